//! The grammar of functions and procedures, of which the dialect knows only a part:
//!
//! ```text
//! CREATE [ OR REPLACE ] { FUNCTION | PROCEDURE }
//!        name ( [ [ mode ] [ name ] type [ { DEFAULT | = } expression ] [, …] ] )
//!        [ RETURNS [ SETOF ] type | RETURNS TABLE ( name type [, …] ) ] option …
//! ALTER { FUNCTION | PROCEDURE | ROUTINE } routine
//!        { option … | RENAME TO name | OWNER TO role | SET SCHEMA name }
//! DROP { FUNCTION | PROCEDURE | ROUTINE } [ IF EXISTS ] routine [, …] [ CASCADE | RESTRICT ]
//! COMMENT ON { FUNCTION | PROCEDURE | ROUTINE } routine IS { 'text' | NULL }
//!
//! routine  name [ ( [ [ mode ] [ name ] type [, …] ] ) ]
//! option   LANGUAGE name | AS 'text' | IMMUTABLE | STABLE | VOLATILE | [ NOT ] LEAKPROOF
//!        | CALLED ON NULL INPUT | RETURNS NULL ON NULL INPUT | STRICT
//!        | [ EXTERNAL ] SECURITY { INVOKER | DEFINER } | PARALLEL { UNSAFE | RESTRICTED | SAFE }
//!        | COST number | ROWS number | SET name { TO value [, …] | = value [, …] | FROM CURRENT }
//!        | RESET { name | ALL }
//! ```

use sqlparser::ast::{DataType, Expr, Ident, ObjectName, Owner};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::catalog::model::{ParameterMode, RoutineKind, RoutineVolatility};
use crate::names::fold;

/// A statement about routines.
#[derive(Clone, Debug)]
pub(crate) enum RoutineStatement {
    Create(CreateRoutine),
    Alter {
        named: NamedAs,
        routine: RoutineName,
        action: AlterRoutine,
    },
    Drop {
        named: NamedAs,
        routines: Vec<RoutineName>,
        if_exists: bool,
        cascade: bool,
    },
    Comment {
        named: NamedAs,
        routine: RoutineName,
        text: Option<String>,
    },
    /// A form that is not supported.
    Unsupported(&'static str),
}

/// What a statement calls a routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedAs {
    Function,
    Procedure,
    Routine,
}

impl NamedAs {
    /// What messages call it.
    pub fn noun(self) -> &'static str {
        match self {
            NamedAs::Function => "function",
            NamedAs::Procedure => "procedure",
            NamedAs::Routine => "routine",
        }
    }

    /// Whether the word is right for such a routine.
    pub fn fits(self, kind: RoutineKind) -> bool {
        match self {
            NamedAs::Function => kind == RoutineKind::Function,
            NamedAs::Procedure => kind == RoutineKind::Procedure,
            NamedAs::Routine => true,
        }
    }
}

/// A routine by its name, and by the types of its parameters if they are said.
#[derive(Clone, Debug)]
pub(crate) struct RoutineName {
    pub name: ObjectName,
    pub arguments: Option<Vec<Argument>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub mode: Option<ParameterMode>,
    pub name: Option<Ident>,
    pub ty: DataType,
    pub default: Option<Expr>,
}

#[derive(Clone, Debug)]
pub(crate) struct CreateRoutine {
    pub or_replace: bool,
    pub kind: RoutineKind,
    pub name: ObjectName,
    pub arguments: Vec<Argument>,
    pub returns: Option<Returns>,
    pub options: Vec<RoutineOption>,
}

#[derive(Clone, Debug)]
pub(crate) enum Returns {
    Type { ty: DataType, set: bool },
    Table(Vec<(Ident, DataType)>),
}

#[derive(Clone, Debug)]
pub(crate) enum AlterRoutine {
    Options(Vec<RoutineOption>),
    Rename(Ident),
    Owner(Owner),
    SetSchema(Ident),
}

#[derive(Clone, Debug)]
pub(crate) enum RoutineOption {
    Language(String),
    Body(String),
    Volatility(RoutineVolatility),
    Leakproof(bool),
    Strict(bool),
    Definer(bool),
    Parallel(char),
    Cost(f32),
    Rows(f32),
    /// `None` for what the session has now.
    Set(String, Option<String>),
    /// `None` for all.
    Reset(Option<String>),
}

impl RoutineOption {
    /// What may be said only once.
    pub fn what(&self) -> Option<&'static str> {
        Some(match self {
            RoutineOption::Language(_) => "LANGUAGE",
            RoutineOption::Body(_) => "AS",
            RoutineOption::Volatility(_) => "volatility",
            RoutineOption::Leakproof(_) => "LEAKPROOF",
            RoutineOption::Strict(_) => "STRICT",
            RoutineOption::Definer(_) => "SECURITY",
            RoutineOption::Parallel(_) => "PARALLEL",
            RoutineOption::Cost(_) => "COST",
            RoutineOption::Rows(_) => "ROWS",
            RoutineOption::Set(..) | RoutineOption::Reset(_) => return None,
        })
    }
}

type Parsed<T> = Result<T, ParserError>;

/// A part of a statement, or what is not supported of it.
type Part<T> = Parsed<Result<T, &'static str>>;

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

fn named_as(token: &Token) -> Option<NamedAs> {
    let all = [NamedAs::Function, NamedAs::Procedure, NamedAs::Routine];
    all.into_iter().find(|named| is_word(token, named.noun()))
}

/// Whether tokens, without space, begin one of the statements.
pub(crate) fn begins(tokens: &[&Token]) -> bool {
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|t| is_word(t, word));
    let named = |at: usize| tokens.get(at).and_then(|t| named_as(t));
    if is(0, "create") {
        let at = if is(1, "or") && is(2, "replace") {
            3
        } else {
            1
        };
        return named(at).is_some_and(|named| named != NamedAs::Routine);
    }
    if is(0, "comment") && is(1, "on") {
        return named(2).is_some();
    }
    (is(0, "alter") || is(0, "drop")) && named(1).is_some()
}

fn word(p: &mut Parser<'_>, expected: &str) -> bool {
    let is = is_word(&p.peek_token_ref().token, expected);
    if is {
        p.next_token();
    }
    is
}

fn words(p: &mut Parser<'_>, expected: &[&str]) -> bool {
    let start = p.index();
    if expected.iter().all(|expected| word(p, expected)) {
        return true;
    }
    back_to(p, start);
    false
}

fn back_to(p: &mut Parser<'_>, start: usize) {
    while p.index() > start {
        p.prev_token();
    }
}

/// Parses one of the statements, from the first word to the end.
pub(crate) fn parse(p: &mut Parser<'_>) -> Parsed<RoutineStatement> {
    let statement = if word(p, "create") {
        create(p)?
    } else if word(p, "alter") {
        alter(p)?
    } else if words(p, &["comment", "on"]) {
        comment(p)?
    } else {
        drop(p)?
    };
    match (&statement, &p.peek_token_ref().token) {
        (RoutineStatement::Unsupported(_), _) | (_, Token::EOF) => Ok(statement),
        _ => p.expected_ref("end of statement", p.peek_token_ref()),
    }
}

fn expect_named(p: &mut Parser<'_>) -> Parsed<NamedAs> {
    let token = p.next_token();
    match named_as(&token.token) {
        Some(named) => Ok(named),
        None => p.expected("FUNCTION, PROCEDURE or ROUTINE", token),
    }
}

fn create(p: &mut Parser<'_>) -> Parsed<RoutineStatement> {
    let or_replace = words(p, &["or", "replace"]);
    let kind = match expect_named(p)? {
        NamedAs::Procedure => RoutineKind::Procedure,
        _ => RoutineKind::Function,
    };
    let name = p.parse_object_name(false)?;
    p.expect_token(&Token::LParen)?;
    let arguments = p.parse_comma_separated0(argument, Token::RParen)?;
    p.expect_token(&Token::RParen)?;
    // RETURNS NULL ON NULL INPUT is an option.
    let is_option = is_word(&p.peek_nth_token_ref(1).token, "null");
    let returns = match !is_option && word(p, "returns") {
        true => Some(returns(p)?),
        false => None,
    };
    let options = match options(p)? {
        Ok(options) => options,
        Err(what) => return Ok(RoutineStatement::Unsupported(what)),
    };
    Ok(RoutineStatement::Create(CreateRoutine {
        or_replace,
        kind,
        name,
        arguments,
        returns,
        options,
    }))
}

fn returns(p: &mut Parser<'_>) -> Parsed<Returns> {
    if word(p, "table") {
        p.expect_token(&Token::LParen)?;
        let columns =
            p.parse_comma_separated(|p| Ok((p.parse_identifier()?, p.parse_data_type()?)));
        let columns = columns?;
        p.expect_token(&Token::RParen)?;
        return Ok(Returns::Table(columns));
    }
    let set = word(p, "setof");
    let ty = p.parse_data_type()?;
    Ok(Returns::Type { ty, set })
}

fn mode(p: &mut Parser<'_>) -> Option<ParameterMode> {
    if words(p, &["in", "out"]) || word(p, "inout") {
        return Some(ParameterMode::InOut);
    }
    let modes = [
        ("in", ParameterMode::In),
        ("out", ParameterMode::Out),
        ("variadic", ParameterMode::Variadic),
    ];
    let found = modes.into_iter().find(|(name, _)| word(p, name));
    found.map(|(_, mode)| mode)
}

/// `[ mode ] [ name ] [ mode ] type [ default ]`: the name is told from the type by what follows it.
fn argument(p: &mut Parser<'_>) -> Parsed<Argument> {
    let mut mode_of = mode(p);
    let start = p.index();
    let mut parsed = None;
    if let Ok(name) = p.parse_identifier() {
        mode_of = mode_of.or_else(|| mode(p));
        let next = &p.peek_token_ref().token;
        // `double precision`, `character varying`, `timestamp with time zone` are no names of parameters.
        let goes_on = ["precision", "varying", "with", "without"];
        let of_type = name.quote_style.is_none() && goes_on.iter().any(|w| is_word(next, w));
        if !of_type
            && let Token::Word(_) = next
            && !is_word(next, "default")
            && let Ok(ty) = p.parse_data_type()
        {
            parsed = Some((Some(name), ty));
        }
    }
    let (name, ty) = match parsed {
        Some(parsed) => parsed,
        None => {
            back_to(p, start);
            (None, p.parse_data_type()?)
        }
    };
    let default = match word(p, "default") || p.consume_token(&Token::Eq) {
        true => Some(p.parse_expr()?),
        false => None,
    };
    Ok(Argument {
        mode: mode_of,
        name,
        ty,
        default,
    })
}

fn options(p: &mut Parser<'_>) -> Part<Vec<RoutineOption>> {
    let mut options = Vec::new();
    loop {
        match option(p)? {
            Ok(Some(option)) => options.push(option),
            Ok(None) => return Ok(Ok(options)),
            Err(what) => return Ok(Err(what)),
        }
    }
}

fn option(p: &mut Parser<'_>) -> Part<Option<RoutineOption>> {
    let volatilities = [
        ("immutable", RoutineVolatility::Immutable),
        ("stable", RoutineVolatility::Stable),
        ("volatile", RoutineVolatility::Volatile),
    ];
    for (name, volatility) in volatilities {
        if word(p, name) {
            return Ok(Ok(Some(RoutineOption::Volatility(volatility))));
        }
    }
    let option = if word(p, "language") {
        RoutineOption::Language(language(p)?)
    } else if word(p, "as") {
        let body = string(p)?;
        if p.consume_token(&Token::Comma) {
            return Ok(Err("a function of a library"));
        }
        RoutineOption::Body(body)
    } else if word(p, "strict") || words(p, &["returns", "null", "on", "null", "input"]) {
        RoutineOption::Strict(true)
    } else if words(p, &["called", "on", "null", "input"]) {
        RoutineOption::Strict(false)
    } else if word(p, "leakproof") {
        RoutineOption::Leakproof(true)
    } else if words(p, &["not", "leakproof"]) {
        RoutineOption::Leakproof(false)
    } else if words(p, &["external", "security"]) || word(p, "security") {
        let definer = word(p, "definer");
        if !definer && !word(p, "invoker") {
            return p.expected_ref("DEFINER or INVOKER", p.peek_token_ref());
        }
        RoutineOption::Definer(definer)
    } else if word(p, "parallel") {
        let modes = [("unsafe", 'u'), ("restricted", 'r'), ("safe", 's')];
        match modes.into_iter().find(|(name, _)| word(p, name)) {
            Some((_, mode)) => RoutineOption::Parallel(mode),
            None => return p.expected_ref("UNSAFE, RESTRICTED or SAFE", p.peek_token_ref()),
        }
    } else if word(p, "cost") {
        RoutineOption::Cost(number(p)?)
    } else if word(p, "rows") {
        RoutineOption::Rows(number(p)?)
    } else if word(p, "reset") {
        RoutineOption::Reset(match word(p, "all") {
            true => None,
            false => Some(setting_name(p)?),
        })
    } else if word(p, "set") {
        let name = setting_name(p)?;
        if words(p, &["from", "current"]) {
            RoutineOption::Set(name, None)
        } else if word(p, "to") || p.consume_token(&Token::Eq) {
            if word(p, "default") {
                RoutineOption::Reset(Some(name))
            } else {
                let values = p.parse_comma_separated(setting_value)?;
                RoutineOption::Set(name, Some(values.join(", ")))
            }
        } else {
            return p.expected_ref("TO", p.peek_token_ref());
        }
    } else if word(p, "return") || word(p, "begin") {
        return Ok(Err("a function's body that is not in quotes"));
    } else if word(p, "window") {
        return Ok(Err("CREATE FUNCTION … WINDOW"));
    } else if word(p, "transform") {
        return Ok(Err("CREATE FUNCTION … TRANSFORM"));
    } else if word(p, "support") {
        return Ok(Err("CREATE FUNCTION … SUPPORT"));
    } else {
        return Ok(Ok(None));
    };
    Ok(Ok(Some(option)))
}

fn language(p: &mut Parser<'_>) -> Parsed<String> {
    match &p.peek_token_ref().token {
        Token::SingleQuotedString(_) => string(p),
        _ => Ok(fold(&p.parse_identifier()?)),
    }
}

fn string(p: &mut Parser<'_>) -> Parsed<String> {
    let token = p.next_token();
    match token.token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Ok(text),
        Token::DollarQuotedString(text) => Ok(text.value),
        _ => p.expected("a string", token),
    }
}

fn number(p: &mut Parser<'_>) -> Parsed<f32> {
    let minus = p.consume_token(&Token::Minus);
    let token = p.next_token();
    let parsed = match &token.token {
        Token::Number(digits, _) => digits.parse::<f32>().ok(),
        _ => None,
    };
    match parsed {
        Some(n) => Ok(if minus { -n } else { n }),
        None => p.expected("a number", token),
    }
}

fn setting_name(p: &mut Parser<'_>) -> Parsed<String> {
    let name = p.parse_object_name(false)?;
    let parts = name.0.iter().filter_map(|part| part.as_ident()).map(fold);
    Ok(parts.collect::<Vec<_>>().join("."))
}

fn setting_value(p: &mut Parser<'_>) -> Parsed<String> {
    let minus = if p.consume_token(&Token::Minus) {
        "-"
    } else {
        ""
    };
    let token = p.next_token();
    match token.token {
        Token::Word(word) => Ok(match word.quote_style {
            Some(_) => crate::names::quote(&word.value),
            None => word.value,
        }),
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Ok(text),
        Token::Number(digits, _) => Ok(format!("{minus}{digits}")),
        _ => p.expected("a value", token),
    }
}

/// A routine that a statement names.
pub(crate) fn routine(p: &mut Parser<'_>) -> Parsed<RoutineName> {
    let name = p.parse_object_name(false)?;
    let arguments = match p.consume_token(&Token::LParen) {
        true => {
            let arguments = p.parse_comma_separated0(argument, Token::RParen)?;
            p.expect_token(&Token::RParen)?;
            Some(arguments)
        }
        false => None,
    };
    Ok(RoutineName { name, arguments })
}

fn alter(p: &mut Parser<'_>) -> Parsed<RoutineStatement> {
    let named = expect_named(p)?;
    let routine = routine(p)?;
    let action = if words(p, &["rename", "to"]) {
        AlterRoutine::Rename(p.parse_identifier()?)
    } else if words(p, &["owner", "to"]) {
        AlterRoutine::Owner(p.parse_owner()?)
    } else if p.parse_keywords(&[Keyword::SET, Keyword::SCHEMA]) {
        AlterRoutine::SetSchema(p.parse_identifier()?)
    } else if word(p, "depends") || words(p, &["no", "depends"]) {
        return Ok(RoutineStatement::Unsupported("ALTER FUNCTION … DEPENDS ON"));
    } else {
        match options(p)? {
            Ok(options) if options.is_empty() => {
                return p.expected_ref("an action", p.peek_token_ref());
            }
            Ok(options) => {
                let _ = word(p, "restrict");
                AlterRoutine::Options(options)
            }
            Err(what) => return Ok(RoutineStatement::Unsupported(what)),
        }
    };
    Ok(RoutineStatement::Alter {
        named,
        routine,
        action,
    })
}

fn comment(p: &mut Parser<'_>) -> Parsed<RoutineStatement> {
    let named = expect_named(p)?;
    let routine = routine(p)?;
    p.expect_keyword(Keyword::IS)?;
    let text = match word(p, "null") {
        true => None,
        false => Some(string(p)?),
    };
    Ok(RoutineStatement::Comment {
        named,
        routine,
        text,
    })
}

fn drop(p: &mut Parser<'_>) -> Parsed<RoutineStatement> {
    p.expect_keyword(Keyword::DROP)?;
    let named = expect_named(p)?;
    let if_exists = p.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let routines = p.parse_comma_separated(routine)?;
    let cascade = word(p, "cascade");
    if !cascade {
        let _ = word(p, "restrict");
    }
    Ok(RoutineStatement::Drop {
        named,
        routines,
        if_exists,
        cascade,
    })
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn parsed(sql: &str) -> Parsed<RoutineStatement> {
        let dialect = PostgreSqlDialect {};
        let mut tokens = Tokenizer::new(&dialect, sql).tokenize()?;
        tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
        parse(&mut Parser::new(&dialect).with_tokens(tokens))
    }

    #[test]
    fn a_parameter_has_a_name_or_none() {
        let sql = "CREATE FUNCTION f(int, a int, double precision, d double precision, date date, \
                   OUT x timestamp with time zone, y OUT numeric(3, 1), VARIADIC v text[], \
                   z int DEFAULT 1 + 2, w varchar = 'a') LANGUAGE sql AS 'SELECT 1'";
        let Ok(RoutineStatement::Create(create)) = parsed(sql) else {
            panic!("{sql} does not parse");
        };
        let shown = create.arguments.iter().map(|a| {
            let name = a.name.as_ref().map_or("-", |n| n.value.as_str());
            let mode = a.mode.map_or('-', ParameterMode::code);
            format!("{mode} {name} {}", a.ty)
        });
        let shown: Vec<String> = shown.collect();
        assert_eq!(
            shown,
            [
                "- - INT",
                "- a INT",
                "- - DOUBLE PRECISION",
                "- d DOUBLE PRECISION",
                "- date DATE",
                "o x TIMESTAMP WITH TIME ZONE",
                "o y NUMERIC(3,1)",
                "v v TEXT[]",
                "- z INT",
                "- w VARCHAR",
            ]
        );
    }

    #[test]
    fn what_is_no_statement_about_a_routine_is_refused() {
        for sql in [
            "CREATE FUNCTION f",
            "CREATE FUNCTION f(int",
            "CREATE FUNCTION f() RETURNS",
            "CREATE FUNCTION f() RETURNS int AS",
            "CREATE FUNCTION f() RETURNS int COST x",
            "CREATE FUNCTION f() RETURNS int SECURITY",
            "ALTER FUNCTION f()",
            "DROP FUNCTION",
            "DROP FUNCTION f() x",
        ] {
            assert!(parsed(sql).is_err(), "{sql}");
        }
    }
}
