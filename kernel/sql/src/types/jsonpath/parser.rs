//! The grammar of paths: PostgreSQL's `jsonpath_gram.y`, by recursive descent.
//!
//! A path is made of expressions, which give items, and of predicates, which are true, false or unknown. What
//! stands in brackets may be either, so both are read by the same functions and told apart by [`Kind`]; a
//! predicate becomes an expression only when something follows its brackets (`(1 == 1).type()`).
//!
//! What is made of a path is walked recursively, so its depth is counted while it is read ([`DEPTH_MAX`]): an
//! operator is one deeper than its operands, and so is each accessor than what stands before it.

use regex::RegexBuilder;

use super::lexer::{self, Lexer, Token};
use super::{Binary, Flags, Item, JsonPath, LEVEL_LAST, Method, Node, Pattern, with_room};
use crate::error::{Result, SqlError, state};
use crate::types::jsonb::Json;
use crate::types::numeric::Numeric;
use crate::types::pattern;

/// PostgreSQL stops where its stack ends.
const DEPTH_MAX: usize = 250;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Expression,
    Predicate,
}

struct Parsed {
    item: Item,
    kind: Kind,
    depth: usize,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    /// What is open around the next token.
    open: usize,
    /// Filters around it, where `@` is something, and subscripts, where `last` is.
    filters: usize,
    subscripts: usize,
    /// `@` or `last` where there is none. The whole text is read before it is told, as in PostgreSQL.
    misplaced: Option<&'static str>,
}

pub fn parse(text: &str) -> Result<JsonPath> {
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        open: 0,
        filters: 0,
        subscripts: 0,
        misplaced: None,
    };
    if parser.token.kind == lexer::Kind::End {
        return Err(SqlError::new(
            state::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type jsonpath: \"{text}\""),
        ));
    }
    let lax = !parser.keyword("strict")?;
    if lax {
        parser.keyword("lax")?;
    }
    let root = parser.any()?.item;
    if parser.token.kind != lexer::Kind::End {
        return Err(parser.unexpected());
    }
    match parser.misplaced {
        Some(message) => Err(SqlError::new(state::SYNTAX_ERROR, message)),
        None => Ok(JsonPath { lax, root }),
    }
}

fn too_deep() -> SqlError {
    SqlError::new(state::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
}

impl Parsed {
    fn of(node: Node, kind: Kind, depth: usize) -> Result<Parsed> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        let item = Item(vec![node]);
        Ok(Parsed { item, kind, depth })
    }

    fn followed_by(mut self, node: Node, depth: usize) -> Result<Parsed> {
        self.depth = self.depth.max(depth) + 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep());
        }
        self.item.0.push(node);
        self.kind = Kind::Expression;
        Ok(self)
    }
}

fn binary(op: Binary, left: Parsed, right: Parsed, kind: Kind) -> Result<Parsed> {
    let depth = left.depth.max(right.depth) + 1;
    let node = Node::Binary(op, Box::new(left.item), Box::new(right.item));
    Parsed::of(node, kind, depth)
}

impl Parser<'_> {
    fn unexpected(&self) -> SqlError {
        lexer::error("syntax error", self.token.shown.as_deref())
    }

    fn advance(&mut self) -> Result<Token> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.token.kind, lexer::Kind::Symbol(s) if s == symbol)
    }

    fn symbol(&mut self, symbol: &str) -> Result<bool> {
        let is = self.is(symbol);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn expect(&mut self, symbol: &str) -> Result<()> {
        match self.symbol(symbol)? {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    /// Whether the next token is this keyword. `null`, `true` and `false` are none in capitals.
    fn is_keyword(&self, keyword: &str) -> bool {
        let lexer::Kind::Name(name) = &self.token.kind else {
            return false;
        };
        match keyword {
            "null" | "true" | "false" => name == keyword,
            _ => name.eq_ignore_ascii_case(keyword),
        }
    }

    fn keyword(&mut self, keyword: &str) -> Result<bool> {
        let is = self.is_keyword(keyword);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn expect_keyword(&mut self, keyword: &str) -> Result<()> {
        match self.keyword(keyword)? {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    fn string(&mut self) -> Result<String> {
        match &mut self.token.kind {
            lexer::Kind::String(text) => {
                let text = std::mem::take(text);
                self.advance()?;
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Reads what is inside of something.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.open >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.open += 1;
        let read = with_room(|| read(self));
        self.open -= 1;
        read
    }

    fn predicate(&mut self) -> Result<Parsed> {
        let parsed = self.any()?;
        self.must_be(parsed, Kind::Predicate)
    }

    fn expression(&mut self) -> Result<Parsed> {
        let parsed = self.sum()?;
        self.must_be(parsed, Kind::Expression)
    }

    fn must_be(&self, parsed: Parsed, kind: Kind) -> Result<Parsed> {
        match parsed.kind == kind {
            true => Ok(parsed),
            false => Err(self.unexpected()),
        }
    }

    /// An expression or a predicate.
    fn any(&mut self) -> Result<Parsed> {
        let mut left = self.conjunction()?;
        while self.is("||") {
            left = self.must_be(left, Kind::Predicate)?;
            self.advance()?;
            let right = self.conjunction()?;
            let right = self.must_be(right, Kind::Predicate)?;
            left = binary(Binary::Or, left, right, Kind::Predicate)?;
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Parsed> {
        let mut left = self.condition()?;
        while self.is("&&") {
            left = self.must_be(left, Kind::Predicate)?;
            self.advance()?;
            let right = self.condition()?;
            let right = self.must_be(right, Kind::Predicate)?;
            left = binary(Binary::And, left, right, Kind::Predicate)?;
        }
        Ok(left)
    }

    fn condition(&mut self) -> Result<Parsed> {
        if self.symbol("!")? {
            let exists = self.is_keyword("exists");
            let of = match exists {
                true => self.exists()?,
                false => {
                    self.expect("(")?;
                    let of = self.nested(Self::predicate)?;
                    self.expect(")")?;
                    of
                }
            };
            let depth = of.depth + 1;
            return Parsed::of(Node::Not(Box::new(of.item)), Kind::Predicate, depth);
        }
        let left = self.sum()?;
        if left.kind == Kind::Predicate {
            return Ok(left);
        }
        let comparison = match self.token.kind {
            lexer::Kind::Symbol("==") => Some(Binary::Equal),
            lexer::Kind::Symbol("!=" | "<>") => Some(Binary::NotEqual),
            lexer::Kind::Symbol("<") => Some(Binary::Less),
            lexer::Kind::Symbol(">") => Some(Binary::Greater),
            lexer::Kind::Symbol("<=") => Some(Binary::LessOrEqual),
            lexer::Kind::Symbol(">=") => Some(Binary::GreaterOrEqual),
            _ => None,
        };
        if let Some(op) = comparison {
            self.advance()?;
            let right = self.expression()?;
            return binary(op, left, right, Kind::Predicate);
        }
        if self.keyword("starts")? {
            self.expect_keyword("with")?;
            let initial = match &self.token.kind {
                lexer::Kind::Variable(name) => Node::Variable(name.clone()),
                lexer::Kind::String(text) => Node::Scalar(Json::String(text.clone())),
                _ => return Err(self.unexpected()),
            };
            self.advance()?;
            let initial = Parsed::of(initial, Kind::Expression, 1)?;
            return binary(Binary::StartsWith, left, initial, Kind::Predicate);
        }
        if self.keyword("like_regex")? {
            let source = self.string()?;
            let flags = match self.keyword("flag")? {
                true => flags(&self.string()?)?,
                false => Flags::default(),
            };
            let pattern = compile(source, flags)?;
            let node = Node::LikeRegex(Box::new(left.item), pattern);
            return Parsed::of(node, Kind::Predicate, left.depth + 1);
        }
        Ok(left)
    }

    fn exists(&mut self) -> Result<Parsed> {
        self.expect_keyword("exists")?;
        self.expect("(")?;
        let of = self.nested(Self::expression)?;
        self.expect(")")?;
        let node = Node::Exists(Box::new(of.item));
        Parsed::of(node, Kind::Predicate, of.depth + 1)
    }

    fn sum(&mut self) -> Result<Parsed> {
        let mut left = self.product()?;
        while left.kind == Kind::Expression {
            let op = match self.token.kind {
                lexer::Kind::Symbol("+") => Binary::Add,
                lexer::Kind::Symbol("-") => Binary::Sub,
                _ => break,
            };
            self.advance()?;
            let right = self.product()?;
            let right = self.must_be(right, Kind::Expression)?;
            left = binary(op, left, right, Kind::Expression)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Parsed> {
        let mut left = self.signed()?;
        while left.kind == Kind::Expression {
            let op = match self.token.kind {
                lexer::Kind::Symbol("*") => Binary::Mul,
                lexer::Kind::Symbol("/") => Binary::Div,
                lexer::Kind::Symbol("%") => Binary::Mod,
                _ => break,
            };
            self.advance()?;
            let right = self.signed()?;
            let right = self.must_be(right, Kind::Expression)?;
            left = binary(op, left, right, Kind::Expression)?;
        }
        Ok(left)
    }

    /// A sign of a literal is a part of it.
    fn signed(&mut self) -> Result<Parsed> {
        let minus = self.is("-");
        if !minus && !self.is("+") {
            return self.accessors();
        }
        self.advance()?;
        let of = self.nested(Self::signed)?;
        let mut of = self.must_be(of, Kind::Expression)?;
        if let [Node::Scalar(Json::Number(n))] = of.item.0.as_mut_slice() {
            if minus {
                *n = Numeric::parse(n)?.neg().to_string();
            }
            return Ok(of);
        }
        let node = match minus {
            true => Node::Minus(Box::new(of.item)),
            false => Node::Plus(Box::new(of.item)),
        };
        Parsed::of(node, Kind::Expression, of.depth + 1)
    }

    /// What an expression starts with, and all that follows it.
    fn accessors(&mut self) -> Result<Parsed> {
        let mut parsed = match &self.token.kind {
            lexer::Kind::Symbol("(") => {
                self.advance()?;
                let inner = self.nested(Self::any)?;
                self.expect(")")?;
                if inner.kind == Kind::Predicate && self.keyword("is")? {
                    self.expect_keyword("unknown")?;
                    let node = Node::IsUnknown(Box::new(inner.item));
                    return Parsed::of(node, Kind::Predicate, inner.depth + 1);
                }
                inner
            }
            lexer::Kind::Name(_) if self.is_keyword("exists") => return self.exists(),
            _ => self.primary()?,
        };
        while let Some((node, depth)) = self.accessor()? {
            parsed = parsed.followed_by(node, depth)?;
        }
        Ok(parsed)
    }

    fn primary(&mut self) -> Result<Parsed> {
        let node = match &self.token.kind {
            lexer::Kind::String(text) => Node::Scalar(Json::String(text.clone())),
            lexer::Kind::Variable(name) => Node::Variable(name.clone()),
            lexer::Kind::Integer(text) | lexer::Kind::Numeric(text) => {
                Node::Scalar(Json::Number(Numeric::parse(text)?.to_string()))
            }
            lexer::Kind::Symbol("$") => Node::Root,
            lexer::Kind::Symbol("@") => {
                if self.filters == 0 {
                    self.misplaced
                        .get_or_insert("@ is not allowed in root expressions");
                }
                Node::Current
            }
            lexer::Kind::Name(_) if self.is_keyword("null") => Node::Scalar(Json::Null),
            lexer::Kind::Name(_) if self.is_keyword("true") => Node::Scalar(Json::Bool(true)),
            lexer::Kind::Name(_) if self.is_keyword("false") => Node::Scalar(Json::Bool(false)),
            lexer::Kind::Name(_) if self.is_keyword("last") => {
                if self.subscripts == 0 {
                    self.misplaced
                        .get_or_insert("LAST is allowed only in array subscripts");
                }
                Node::Last
            }
            _ => return Err(self.unexpected()),
        };
        self.advance()?;
        Parsed::of(node, Kind::Expression, 1)
    }

    /// What follows, and how deep it is itself.
    fn accessor(&mut self) -> Result<Option<(Node, usize)>> {
        if self.symbol("[")? {
            return self.nested(Self::subscripts).map(Some);
        }
        if self.symbol("?")? {
            self.expect("(")?;
            self.filters += 1;
            let condition = self.nested(Self::predicate)?;
            self.filters -= 1;
            self.expect(")")?;
            let node = Node::Filter(Box::new(condition.item));
            return Ok(Some((node, condition.depth)));
        }
        if !self.symbol(".")? {
            return Ok(None);
        }
        if self.symbol("*")? {
            return Ok(Some((Node::AnyKey, 0)));
        }
        if self.symbol("**")? {
            return Ok(Some((self.levels()?, 0)));
        }
        let token = match self.token.kind {
            lexer::Kind::Name(_) | lexer::Kind::String(_) => self.advance()?,
            _ => return Err(self.unexpected()),
        };
        let name = match token.kind {
            lexer::Kind::Name(name) => name,
            lexer::Kind::String(key) => return Ok(Some((Node::Key(key), 0))),
            _ => return Err(self.unexpected()),
        };
        const METHODS: [Method; 7] = [
            Method::Type,
            Method::Size,
            Method::Abs,
            Method::Floor,
            Method::Ceiling,
            Method::Double,
            Method::KeyValue,
        ];
        let method = METHODS.iter().find(|m| name.eq_ignore_ascii_case(m.name()));
        if !self.is("(") {
            return Ok(Some((Node::Key(name), 0)));
        }
        let node = if let Some(method) = method {
            self.advance()?;
            Node::Method(*method)
        } else if name.eq_ignore_ascii_case("datetime") {
            self.advance()?;
            let template = !self.is(")");
            Node::Datetime(template.then(|| self.string()).transpose()?)
        } else {
            return Err(self.unexpected());
        };
        self.expect(")")?;
        Ok(Some((node, 0)))
    }

    fn subscripts(&mut self) -> Result<(Node, usize)> {
        if self.symbol("*")? {
            self.expect("]")?;
            return Ok((Node::AnyArray, 0));
        }
        let mut places = Vec::new();
        let mut depth = 0;
        self.subscripts += 1;
        loop {
            let from = self.expression()?;
            depth = depth.max(from.depth);
            let mut to = None;
            if self.keyword("to")? {
                let end = self.expression()?;
                depth = depth.max(end.depth);
                to = Some(end.item);
            }
            places.push((from.item, to));
            if !self.symbol(",")? {
                break;
            }
        }
        self.subscripts -= 1;
        self.expect("]")?;
        Ok((Node::Index(places), depth))
    }

    /// The levels of `**`.
    fn levels(&mut self) -> Result<Node> {
        if !self.symbol("{")? {
            return Ok(Node::Any {
                first: 0,
                last: LEVEL_LAST,
            });
        }
        let first = self.level()?;
        let last = match self.keyword("to")? {
            true => self.level()?,
            false => first,
        };
        self.expect("}")?;
        Ok(Node::Any { first, last })
    }

    fn level(&mut self) -> Result<u32> {
        if self.keyword("last")? {
            return Ok(LEVEL_LAST);
        }
        let level = match &self.token.kind {
            lexer::Kind::Integer(text) => match text.parse::<i32>() {
                Ok(level) => level.unsigned_abs(),
                Err(_) => {
                    return Err(SqlError::new(
                        state::NUMERIC_VALUE_OUT_OF_RANGE,
                        format!("value \"{text}\" is out of range for type integer"),
                    ));
                }
            },
            _ => return Err(self.unexpected()),
        };
        self.advance()?;
        Ok(level)
    }
}

fn flags(letters: &str) -> Result<Flags> {
    let mut flags = Flags::default();
    for letter in letters.chars() {
        match letter {
            'i' => flags.case_insensitive = true,
            's' => flags.dot_all = true,
            'm' => flags.multi_line = true,
            'x' => flags.expanded = true,
            'q' => flags.quoted = true,
            other => {
                let message = "invalid input syntax for type jsonpath";
                return Err(
                    SqlError::new(state::SYNTAX_ERROR, message).with_detail(format!(
                        "Unrecognized flag character \"{other}\" in LIKE_REGEX predicate."
                    )),
                );
            }
        }
    }
    Ok(flags)
}

fn compile(source: String, flags: Flags) -> Result<Pattern> {
    if flags.expanded && !flags.quoted {
        return Err(SqlError::new(
            state::FEATURE_NOT_SUPPORTED,
            "XQuery \"x\" flag (expanded regular expressions) is not implemented",
        ));
    }
    let translated = match flags.quoted {
        true => regex::escape(&source),
        false => pattern::translate(&source),
    };
    let regex = RegexBuilder::new(&translated)
        .case_insensitive(flags.case_insensitive)
        .dot_matches_new_line(flags.dot_all)
        .multi_line(flags.multi_line)
        .build()
        .map_err(pattern::invalid)?;
    Ok(Pattern {
        source,
        flags,
        regex,
    })
}
