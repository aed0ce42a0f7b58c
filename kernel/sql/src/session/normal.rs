//! A statement's text with its constants taken out, so that statements which differ in nothing else
//! share a plan.
//!
//! This is no parser. It knows the few places where a constant and a parameter mean the same (beside a
//! comparison or an operator, in the lists of VALUES and IN) and takes integers and plain strings out of
//! those; a constant anywhere else stays in the text. An integer becomes a parameter of the type that
//! the constant has, a string one whose type is found out, which is what a string constant is. Text
//! with anything else in it (comments, dollars, several statements, other kinds of strings) is left
//! alone, and so are long texts: [`normalise`] then gives `None`.

use super::outcome::Value;
use crate::types::PgType;

/// Longer texts are seldom sent twice.
const TEXT_BYTES_MAX: usize = 2048;
/// More constants than these belong to bulk loads.
const CONSTANTS_MAX: usize = 64;

/// A statement without its constants.
#[derive(Debug, PartialEq)]
pub(super) struct Normal {
    /// With `$1`, `$2` … in the place of constants; the types are part of it, after a zero byte.
    pub key: String,
    /// How much of `key` is SQL.
    pub sql_bytes: usize,
    /// What was taken out.
    pub constants: Vec<Constant>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Constant {
    /// `None` for a string.
    pub ty: Option<PgType>,
    pub text: String,
}

impl Normal {
    pub fn sql(&self) -> &str {
        &self.key[..self.sql_bytes]
    }

    pub fn types(&self) -> Vec<Option<PgType>> {
        self.constants.iter().map(|c| c.ty.clone()).collect()
    }

    pub fn values(self) -> Vec<Value> {
        let texts = self.constants.into_iter();
        texts.map(|c| Value::Text(c.text)).collect()
    }
}

/// What stands before a token, as far as it matters to the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    /// `=`, `<` and their like, BETWEEN, and AND, which may be that of BETWEEN.
    Comparison,
    /// `+ - * /`.
    Arithmetic,
    /// A minus with nothing to subtract from, after a comparison or in a list.
    Sign,
    /// `(` or `,` of VALUES or IN.
    List,
    /// A value: what follows an operator's left side.
    Operand,
    Values,
    In,
    Other,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    before: Before,
    /// For each open parenthesis, whether it is one of VALUES or IN.
    lists: Vec<bool>,
    /// Between VALUES and what ends its lists.
    in_values: bool,
    /// RETURNING has come, where parameters have no types.
    returning: bool,
    normal: Normal,
}

/// Takes the constants out of a text that is one SELECT, INSERT, UPDATE or DELETE.
pub(super) fn normalise(text: &str) -> Option<Normal> {
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let text = text.strip_suffix(';').unwrap_or(text);
    let verb = text.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    let known = ["select", "insert", "update", "delete"];
    if text.len() > TEXT_BYTES_MAX || !known.iter().any(|v| v.eq_ignore_ascii_case(verb)) {
        return None;
    }
    let mut lexer = Lexer {
        text,
        at: 0,
        before: Before::Other,
        lists: Vec::new(),
        in_values: false,
        returning: false,
        normal: Normal {
            key: String::with_capacity(text.len() + 16),
            sql_bytes: 0,
            constants: Vec::new(),
        },
    };
    while lexer.at < text.len() {
        lexer.token()?;
    }
    let mut normal = lexer.normal;
    normal.sql_bytes = normal.key.len();
    normal.key.push('\0');
    for constant in &normal.constants {
        normal.key.push(match constant.ty {
            None => 's',
            Some(PgType::Int4) => 'i',
            Some(_) => 'l',
        });
    }
    Some(normal)
}

impl Lexer<'_> {
    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// Takes `bytes` of text over as they are.
    fn copy(&mut self, bytes: usize, before: Before) {
        self.normal
            .key
            .push_str(&self.text[self.at..self.at + bytes]);
        self.at += bytes;
        self.before = before;
    }

    fn token(&mut self) -> Option<()> {
        let rest = self.rest();
        let first = *rest.first()?;
        let run = |is: fn(u8) -> bool| rest.iter().take_while(|b| is(**b)).count();
        match first {
            b if b.is_ascii_whitespace() => {
                let bytes = run(|b| b.is_ascii_whitespace());
                self.copy(bytes, self.before);
            }
            b'0'..=b'9' => {
                let bytes = run(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'));
                self.number(bytes)?;
            }
            b'\'' => self.string()?,
            b'"' => {
                let inside = rest[1..].iter().position(|b| *b == b'"')?;
                self.copy(inside + 2, Before::Operand);
            }
            b if is_word(b) => {
                let bytes = run(|b| is_word(b) || b.is_ascii_digit());
                // E'…', B'…', U&'…' and the like.
                if matches!(rest.get(bytes), Some(b'\'' | b'&')) {
                    return None;
                }
                self.word(bytes)?;
            }
            b'(' => {
                let list = matches!(self.before, Before::Values | Before::In)
                    || (self.in_values && self.lists.is_empty());
                self.lists.push(list);
                self.copy(1, if list { Before::List } else { Before::Other });
            }
            b')' => {
                self.lists.pop()?;
                self.copy(1, Before::Operand);
            }
            b',' => {
                let list = self.lists.last() == Some(&true);
                self.copy(1, if list { Before::List } else { Before::Other });
            }
            b'.' | b'[' | b']' => self.copy(1, Before::Other),
            b if is_operator(b) => {
                let bytes = run(is_operator);
                self.operator(bytes)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn word(&mut self, bytes: usize) -> Option<()> {
        let word = &self.text[self.at..self.at + bytes];
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        if is("conflict") {
            return None;
        }
        self.returning |= is("returning");
        if is("select")
            && let Some(list) = self.lists.last_mut()
        {
            *list = false;
        }
        let before = if is("values") {
            self.in_values = true;
            Before::Values
        } else if is("in") {
            Before::In
        } else if is("between") || is("and") {
            Before::Comparison
        } else if self.in_values && self.lists.is_empty() {
            // RETURNING, ON CONFLICT: the lists are over.
            self.in_values = false;
            Before::Other
        } else if KEYWORDS.iter().any(|k| is(k)) {
            Before::Other
        } else {
            Before::Operand
        };
        self.copy(bytes, before);
        Some(())
    }

    fn operator(&mut self, bytes: usize) -> Option<()> {
        let operator = &self.text[self.at..self.at + bytes];
        if operator.contains("--") || operator.contains("/*") {
            return None;
        }
        let before = match operator {
            "=" | "<" | ">" | "<=" | ">=" | "<>" | "!=" => Before::Comparison,
            "-" if matches!(self.before, Before::Comparison | Before::List) => Before::Sign,
            "+" | "-" | "*" | "/" if self.before == Before::Operand => Before::Arithmetic,
            _ => Before::Other,
        };
        self.copy(bytes, before);
        Some(())
    }

    fn number(&mut self, bytes: usize) -> Option<()> {
        let digits = &self.text[self.at..self.at + bytes];
        use Before::{In, Operand, Other, Values};
        if self.returning || matches!(self.before, Other | Operand | Values | In) {
            self.copy(bytes, Before::Operand);
            return Some(());
        }
        // A fraction or an exponent makes it numeric.
        let value: i64 = match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse().ok()?,
            false => return None,
        };
        // A cast binds closer than a sign.
        if self.is_cast(bytes) {
            return None;
        }
        let ty = match i32::try_from(value) {
            Ok(_) => PgType::Int4,
            Err(_) => PgType::Int8,
        };
        let mut text = digits.to_owned();
        if self.before == Before::Sign {
            let sign = self.normal.key.rfind('-')?;
            self.normal.key.truncate(sign);
            text.insert(0, '-');
        }
        self.take(bytes, Some(ty), text)
    }

    fn string(&mut self) -> Option<()> {
        let mut text = String::new();
        let mut at = 1;
        let rest = &self.text[self.at..];
        loop {
            let end = at + rest[at..].find('\'')?;
            text.push_str(&rest[at..end]);
            at = end + 1;
            if !rest[at..].starts_with('\'') {
                break;
            }
            text.push('\'');
            at += 1;
        }
        if self.returning || !matches!(self.before, Before::Comparison | Before::List) {
            // Next to an operator or a type's name its meaning depends on its neighbours.
            self.copy(at, Before::Other);
            return Some(());
        }
        // It ends the expression that it is in, or a type would be found out by more than it.
        let next = rest[at..].trim_start();
        let ends = next.is_empty()
            || next.starts_with([')', ','])
            || ENDS.iter().any(|end| starts_with_word(next, end));
        if !ends || text.contains('\0') {
            return None;
        }
        self.take(at, None, text)
    }

    fn is_cast(&self, bytes: usize) -> bool {
        self.text[self.at + bytes..].trim_start().starts_with("::")
    }

    /// Puts a parameter in the place of the next `bytes`.
    fn take(&mut self, bytes: usize, ty: Option<PgType>, text: String) -> Option<()> {
        if self.normal.constants.len() == CONSTANTS_MAX {
            return None;
        }
        self.normal.constants.push(Constant { ty, text });
        let number = self.normal.constants.len();
        self.normal.key.push_str(&format!("${number}"));
        self.at += bytes;
        self.before = Before::Operand;
        Some(())
    }
}

/// Words after which no binary operator stands.
const KEYWORDS: &[&str] = &[
    "select",
    "distinct",
    "all",
    "from",
    "where",
    "set",
    "or",
    "not",
    "returning",
    "by",
    "limit",
    "offset",
    "case",
    "when",
    "then",
    "else",
    "having",
    "on",
    "as",
    "is",
    "like",
    "ilike",
    "interval",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "fetch",
    "first",
    "next",
    "using",
    "default",
];

/// Whether no operator that stands behind this word has it for its left side.
pub(crate) fn is_operator_keyword(word: &str) -> bool {
    let others = ["and", "in", "values", "between"];
    let known = KEYWORDS.iter().chain(&others);
    known.into_iter().any(|k| word.eq_ignore_ascii_case(k))
}

/// Words that end the expression before them.
const ENDS: &[&str] = &[
    "and",
    "or",
    "where",
    "returning",
    "order",
    "limit",
    "for",
    "on",
];

fn starts_with_word(text: &str, word: &str) -> bool {
    let (Some(start), rest) = (text.get(..word.len()), text.as_bytes().get(word.len())) else {
        return false;
    };
    start.eq_ignore_ascii_case(word) && rest.is_none_or(|b| !is_word(*b) && !b.is_ascii_digit())
}

pub(crate) fn is_word(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || !b.is_ascii()
}

pub(crate) fn is_operator(b: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?:".contains(&b)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(sql: &str, expected: Expect) {
        let shown = match normalise(sql) {
            None => "as it is".to_owned(),
            Some(normal) => {
                let constants = normal.constants.iter();
                let constants = constants.map(|c| match &c.ty {
                    None => format!("'{}'", c.text),
                    Some(ty) => format!("{}::{}", c.text, ty.name()),
                });
                let constants: Vec<String> = constants.collect();
                format!("{} <- {}", normal.sql(), constants.join(", "))
            }
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn constants_beside_comparisons_and_in_lists_are_taken_out() {
        check(
            "SELECT a, 1, 'x' FROM t WHERE k = 5 AND s='it''s' LIMIT 1;",
            expect!["SELECT a, 1, 'x' FROM t WHERE k = $1 AND s=$2 LIMIT 1 <- 5::integer, 'it's'"],
        );
        check(
            "insert into t (a, b) values (1, 'x'), (-3000000000, f(4)) returning a + 1",
            expect![
                "insert into t (a, b) values ($1, $2), ($3, f(4)) returning a + 1 <- 1::integer, 'x', -3000000000::bigint"
            ],
        );
        check(
            "UPDATE \"T 1\" SET n = n - 1, m = -2 WHERE k IN (1, -2) OR k BETWEEN 3 AND 4",
            expect![
                "UPDATE \"T 1\" SET n = n - $1, m = $2 WHERE k IN ($3, $4) OR k BETWEEN $5 AND $6 <- 1::integer, -2::integer, 1::integer, -2::integer, 3::integer, 4::integer"
            ],
        );
    }

    #[test]
    fn places_in_an_order_stay() {
        check(
            "SELECT a FROM t WHERE k IN (SELECT b, 3 FROM u ORDER BY 1, 2) AND a < 4",
            expect![
                "SELECT a FROM t WHERE k IN (SELECT b, 3 FROM u ORDER BY 1, 2) AND a < $1 <- 4::integer"
            ],
        );
    }

    #[test]
    fn what_a_neighbour_gives_a_meaning_stays() {
        check(
            "SELECT f(1, 'a'), interval '1 day', j -> 'a' FROM t ORDER BY 1",
            expect!["SELECT f(1, 'a'), interval '1 day', j -> 'a' FROM t ORDER BY 1 <- "],
        );
        for text in [
            "INSERT INTO t VALUES (1) ON CONFLICT (k) DO UPDATE SET n = 2",
            "SELECT a FROM t WHERE k = '5'::int",
            "SELECT a FROM t WHERE k = 5::int2",
            "SELECT a FROM t WHERE k = 1.5",
            "SELECT a FROM t WHERE s = 'a' || b",
            "SELECT a FROM t WHERE s = E'a'",
            "SELECT a FROM t WHERE s = 'a' 'b'",
            "SELECT a FROM t WHERE k = $1",
            "SELECT 1; SELECT 2",
            "SELECT 1 -- one",
            "SELECT 1 /* one */",
            "SELECT 99999999999999999999 = 99999999999999999999",
            "CREATE TABLE t (a int)",
            "SELECT 'a",
            "SELECT )",
        ] {
            check(text, expect!["as it is"]);
        }
    }
}
