//! The syntax, which the parser does not have.
//!
//! ```text
//! FROM name[@branch] [AS OF { NOW | { TIMESTAMP | SCN | TRANSACTION } expr }] [[AS] alias]
//! FROM name[@branch] VERSIONS BETWEEN { TIMESTAMP | SCN | TRANSACTION } expr AND expr [[AS] alias]
//! ```
//!
//! A transaction is known by the SCN of its commit, so that the two words say the same.
//!
//! `name@branch` is one word without spaces: elsewhere `@` is an operator before or between values.
//! `AS OF` and one of these words in a row are nowhere valid PostgreSQL, where `of` after AS is a name
//! that nothing but a list, a keyword or a comma may follow. Neither is `VERSIONS BETWEEN` and one of them
//! behind a word that may be a table's name, without an operator between them. So [`extract`] takes the clauses out of
//! the tokens before the parser sees them, and [`attach`] puts them into the tree as the table's
//! version. A clause and its table find each other by the place of the last word of the table's name;
//! a clause that finds none is an error. In a tree they are a [`TableVersion`], and [`print`] spells
//! it as it is read, for definitions that are stored as text.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Spanned, TableFactor, TableVersion, Value, VisitMut, VisitorMut,
};
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::keywords::{Keyword, RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_TABLE_ALIAS};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use crate::error::{SqlError, state};
use crate::names::{fold, is_reserved, quote};

/// When a table is to be read, as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Time {
    /// What the statement would see, without what its own transaction wrote.
    Now,
    Timestamp(Expr),
    Scn(Expr),
}

/// Where and when a table is to be read, as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moment {
    /// `None` for the session's own.
    pub branch: Option<String>,
    /// Where all versions since another time are read, the later of the two.
    pub time: Time,
    /// The earlier one, in what `time` counts.
    pub since: Option<Expr>,
}

/// How a tree has VERSIONS BETWEEN: what the times count in, and the times.
fn span_version(
    scale: &str,
    since: Expr,
    until: Expr,
    on: impl FnOnce(Expr) -> Expr,
) -> TableVersion {
    let scale = Value::SingleQuotedString(scale.to_owned());
    TableVersion::Changes {
        changes: on(Expr::value(scale)),
        at: since,
        end: Some(until),
    }
}

/// What stands behind BETWEEN in a tree.
fn is_timestamps(scale: &Expr) -> bool {
    matches!(scale, Expr::Value(value) if value.to_string() == "'timestamp'")
}

impl Moment {
    /// Every expression.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.time.expr().into_iter().chain(&self.since)
    }

    /// The later time, and the earlier one of a span as a moment of its own.
    pub fn split(self) -> (Moment, Option<Moment>) {
        let since = self.since.map(|since| Moment {
            branch: self.branch.clone(),
            time: match self.time {
                Time::Timestamp(_) => Time::Timestamp(since),
                Time::Now | Time::Scn(_) => Time::Scn(since),
            },
            since: None,
        });
        let until = Moment {
            branch: self.branch,
            time: self.time,
            since: None,
        };
        (until, since)
    }

    fn into_version(self) -> TableVersion {
        let name = self.branch.map(|branch| Ident::with_quote('"', branch));
        let on_branch = |expr| match name {
            None => expr,
            Some(name) => Expr::Named {
                expr: Box::new(expr),
                name,
            },
        };
        let time = match (self.time, self.since) {
            (Time::Timestamp(until), Some(since)) => {
                return span_version("timestamp", since, until, on_branch);
            }
            (Time::Scn(until), Some(since)) => {
                return span_version("scn", since, until, on_branch);
            }
            (time, _) => time,
        };
        match time {
            // A version needs an expression, and this time has none.
            Time::Now => TableVersion::ForSystemTimeAsOf(on_branch(Expr::value(Value::Null))),
            Time::Timestamp(expr) => TableVersion::TimestampAsOf(on_branch(expr)),
            Time::Scn(expr) => TableVersion::VersionAsOf(on_branch(expr)),
        }
    }

    /// What a tree has for a table. `None` for versions that nothing here makes.
    pub fn from_version(version: TableVersion) -> Option<Moment> {
        let apart = |expr: Expr| match expr {
            Expr::Named { expr, name } => (*expr, Some(name.value)),
            expr => (expr, None),
        };
        let of = |expr: Expr, time: fn(Expr) -> Time| {
            let (expr, branch) = apart(expr);
            Moment {
                branch,
                time: time(expr),
                since: None,
            }
        };
        match version {
            TableVersion::ForSystemTimeAsOf(expr) => Some(of(expr, |_| Time::Now)),
            TableVersion::TimestampAsOf(expr) => Some(of(expr, Time::Timestamp)),
            TableVersion::VersionAsOf(expr) => Some(of(expr, Time::Scn)),
            TableVersion::Changes {
                changes,
                at,
                end: Some(until),
            } => {
                let (scale, branch) = apart(changes);
                Some(Moment {
                    branch,
                    time: match is_timestamps(&scale) {
                        true => Time::Timestamp(until),
                        false => Time::Scn(until),
                    },
                    since: Some(at),
                })
            }
            TableVersion::Function(_) | TableVersion::Changes { end: None, .. } => None,
        }
    }
}

impl std::fmt::Display for Moment {
    /// What follows the name of the table.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(branch) = &self.branch {
            write!(f, "@{}", quote(branch))?;
        }
        match (&self.branch, &self.since, &self.time) {
            (_, Some(since), Time::Timestamp(until)) => {
                write!(f, " VERSIONS BETWEEN TIMESTAMP {since} AND {until}")
            }
            (_, Some(since), Time::Scn(until)) => {
                write!(f, " VERSIONS BETWEEN SCN {since} AND {until}")
            }
            (Some(_), _, Time::Now) => Ok(()),
            (_, _, time) => write!(f, " {time}"),
        }
    }
}

impl Time {
    pub fn expr(&self) -> Option<&Expr> {
        match self {
            Time::Now => None,
            Time::Timestamp(expr) | Time::Scn(expr) => Some(expr),
        }
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Time::Now => write!(f, "AS OF NOW"),
            Time::Timestamp(expr) => write!(f, "AS OF TIMESTAMP {expr}"),
            Time::Scn(expr) => write!(f, "AS OF SCN {expr}"),
        }
    }
}

/// A clause that was taken out.
#[derive(Debug)]
pub(crate) struct Clause {
    /// Where the word before it begins.
    table: Location,
    /// Where it begins itself.
    pub at: Location,
    moment: Moment,
}

/// Why clauses cannot be taken out.
#[derive(Debug)]
pub(crate) enum Failure {
    Syntax(ParserError),
    Refused(Box<SqlError>, Location),
}

impl From<ParserError> for Failure {
    fn from(error: ParserError) -> Failure {
        Failure::Syntax(error)
    }
}

/// Where a clause cannot stand.
pub(crate) fn misplaced() -> SqlError {
    SqlError::new(
        state::SYNTAX_ERROR,
        "AS OF, VERSIONS BETWEEN and @ can only follow the name of a table or view that a query reads",
    )
}

fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(w)
        if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// Whether a token may be the name of a table, and is no word of the grammar.
fn may_name(token: &TokenWithSpan) -> bool {
    let is_name = |word: &Word| {
        word.quote_style.is_some()
            || !RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword)
                && !RESERVED_FOR_COLUMN_ALIAS.contains(&word.keyword)
                && !is_reserved(&word.value.to_ascii_lowercase())
    };
    matches!(&token.token, Token::Word(word) if is_name(word))
}

/// The branch that `@` names between two words, all three without space between them.
fn branch_of(
    before: Option<&TokenWithSpan>,
    token: &TokenWithSpan,
    next: &TokenWithSpan,
) -> Option<String> {
    // Behind a word of the grammar it is the operator: `WHERE@x > 1`.
    let before = before.filter(|before| may_name(before))?;
    let is_one = token.token == Token::AtSign
        && before.span.end == token.span.start
        && token.span.end == next.span.start;
    match &next.token {
        Token::Word(word) if is_one => Some(fold(&word.clone().into_ident(next.span))),
        _ => None,
    }
}

/// Takes the clauses out of the tokens of a statement.
pub(crate) fn extract(
    dialect: &dyn Dialect,
    depth_max: usize,
    tokens: &mut Vec<TokenWithSpan>,
) -> Result<Vec<Clause>, Failure> {
    let is_mark =
        |t: &TokenWithSpan| is_word(t, "of") || is_word(t, "versions") || t.token == Token::AtSign;
    if !tokens.iter().any(is_mark) {
        return Ok(Vec::new());
    }
    let mut parser = Parser::new(dialect)
        .with_recursion_limit(depth_max)
        .with_tokens_with_locations(tokens.clone());
    let (mut clauses, mut taken) = (Vec::new(), Vec::new());
    let mut before: Option<TokenWithSpan> = None;
    loop {
        let token = parser.next_token();
        if token.token == Token::EOF {
            break;
        }
        if let Some(branch) = branch_of(before.as_ref(), &token, &parser.peek_token_no_skip()) {
            let start = parser.get_current_index();
            parser.next_token();
            taken.push(start..parser.index());
            let name = before
                .take()
                .map_or(token.span.start, |name| name.span.start);
            let clause = Clause {
                table: name,
                at: token.span.start,
                moment: Moment {
                    branch: Some(branch),
                    time: Time::Now,
                    since: None,
                },
            };
            clauses.push(clause);
            continue;
        }
        let [second, third] = parser.peek_tokens_ref::<2>();
        let as_of = is_word(&token, "as") && is_word(second, "of");
        let is_table = before.as_ref().map_or(!clauses.is_empty(), may_name);
        let versions = is_table && is_word(&token, "versions") && is_word(second, "between");
        let kind = ["now", "timestamp", "scn", "transaction"]
            .into_iter()
            .find(|kind| (as_of || versions) && is_word(third, kind))
            .filter(|kind| as_of || *kind != "now");
        let Some(kind) = kind else {
            before = Some(token);
            continue;
        };
        let (start, at) = (parser.get_current_index(), token.span.start);
        // Right behind `@branch` the time is that branch's.
        let is_next = |clause: &Clause| before.is_none() && clause.moment.branch.is_some();
        let on_branch = clauses.last().is_some_and(is_next);
        let name = before.take().filter(|t| matches!(t.token, Token::Word(_)));
        if name.is_none() && !on_branch {
            return Err(Failure::Refused(Box::new(misplaced()), at));
        }
        parser.next_token();
        parser.next_token();
        let since = match as_of {
            true => None,
            false => {
                let since = parser.parse_subexpr(dialect.prec_value(Precedence::Between))?;
                parser.expect_keyword(Keyword::AND)?;
                Some(since)
            }
        };
        let until = |parser: &mut Parser<'_>| match as_of {
            true => parser.parse_expr(),
            false => parser.parse_subexpr(dialect.prec_value(Precedence::Between)),
        };
        let time = match kind {
            "now" => Time::Now,
            "timestamp" => Time::Timestamp(until(&mut parser)?),
            _ => Time::Scn(until(&mut parser)?),
        };
        match (name, clauses.last_mut()) {
            (Some(name), _) => clauses.push(Clause {
                table: name.span.start,
                at,
                moment: Moment {
                    branch: None,
                    time,
                    since,
                },
            }),
            (None, Some(clause)) => {
                clause.moment.time = time;
                clause.moment.since = since;
            }
            (None, None) => return Err(Failure::Refused(Box::new(misplaced()), at)),
        }
        taken.push(start..parser.index());
        before = Some(parser.get_current_token().clone());
    }
    for range in taken.into_iter().rev() {
        tokens.drain(range.start..range.end.min(tokens.len()));
    }
    Ok(clauses)
}

/// Gives the tables of a tree their times. The first clause that belongs to none comes back.
pub(crate) fn attach(tree: &mut impl VisitMut, clauses: Vec<Clause>) -> Option<Clause> {
    if clauses.is_empty() {
        return None;
    }
    let mut attacher = Attacher(clauses);
    let _ = tree.visit(&mut attacher);
    attacher.0.into_iter().next()
}

struct Attacher(Vec<Clause>);

impl VisitorMut for Attacher {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table {
            name,
            version: version @ None,
            args: None,
            ..
        } = factor
            && let Some(last) = name.0.last()
            && let Some(place) = self.0.iter().position(|c| c.table == last.span().start)
        {
            *version = Some(self.0.remove(place).moment.into_version());
        }
        ControlFlow::Continue(())
    }
}

/// Makes a tree print its times where the grammar has them: the parser's text has a version after the
/// alias. What comes of it is fit for nothing else, since a name then holds a whole clause.
pub(crate) fn print(factor: &mut TableFactor) {
    if let TableFactor::Table { name, version, .. } = factor
        && let Some(moment) = version.take().and_then(Moment::from_version)
        && let Some(last) = name.0.pop()
    {
        let text = format!("{last}{moment}");
        name.0.push(ObjectNamePart::Identifier(Ident::new(text)));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::Tokenizer;

    use super::*;
    use crate::names::text_of;

    /// What is read of a statement, printed again; or why it is not.
    fn read(sql: &str) -> Result<String, String> {
        let dialect = PostgreSqlDialect {};
        let mut tokens = Tokenizer::new(&dialect, sql)
            .tokenize_with_location()
            .unwrap();
        let clauses = extract(&dialect, 50, &mut tokens).map_err(|e| match e {
            Failure::Syntax(e) => e.to_string(),
            Failure::Refused(e, at) => format!("{}{at}", e.message),
        })?;
        let mut statement = Parser::new(&dialect)
            .with_tokens_with_locations(tokens)
            .parse_statement()
            .map_err(|e| e.to_string())?;
        match attach(&mut statement, clauses) {
            None => Ok(text_of(&statement)),
            Some(clause) => Err(format!("misplaced{}", clause.at)),
        }
    }

    fn check(sql: &str, expected: Expect) {
        let text = read(sql);
        if let Ok(text) = &text {
            assert_eq!(
                read(text).as_ref(),
                Ok(text),
                "what is printed is read again"
            );
        }
        expected.assert_eq(&text.unwrap_or_else(|e| e));
    }

    #[test]
    fn a_time_stands_between_a_table_and_its_alias() {
        check(
            "SELECT * FROM t AS OF NOW",
            expect!["SELECT * FROM t AS OF NOW"],
        );
        check(
            "select * from s.\"T\" as of scn 5 x, u As Of Timestamp '2026-01-01' AS y (a, b)",
            expect![
                "SELECT * FROM s.\"T\" AS OF SCN 5 x, u AS OF TIMESTAMP '2026-01-01' AS y (a, b)"
            ],
        );
        check(
            "SELECT 1 FROM t AS OF TIMESTAMP now() - interval '1 hour' LEFT JOIN
               t AS OF SCN $1 AS old USING (id) WHERE a IN (SELECT b FROM u AS OF NOW)",
            expect![
                "SELECT 1 FROM t AS OF TIMESTAMP now() - INTERVAL '1 hour' LEFT JOIN t AS OF SCN $1 AS old USING(id) WHERE a IN (SELECT b FROM u AS OF NOW)"
            ],
        );
        check(
            "SELECT * FROM t AS OF TIMESTAMP 'it''s' FOR UPDATE",
            expect!["SELECT * FROM t AS OF TIMESTAMP 'it''s' FOR UPDATE"],
        );
    }

    #[test]
    fn a_branch_is_part_of_a_name() {
        check(
            "SELECT * FROM t@dev JOIN s.t@\"A b\" AS OF SCN 7 AS u ON t.a = u.a, v@main as of now w",
            expect!["SELECT * FROM t@dev JOIN s.t@\"A b\" AS OF SCN 7 AS u ON t.a = u.a, v@main w"],
        );
        for sql in [
            "SELECT @ a, @ -5",
            "SELECT a @> b, a <@ b FROM t",
            "SELECT@a FROM t WHERE@b > 1",
        ] {
            assert!(read(sql).is_ok(), "operators stay what they are: {sql}");
        }
        check(
            "SELECT a@b FROM t",
            expect!["misplaced at Line: 1, Column: 9"],
        );
    }

    #[test]
    fn a_transaction_is_its_scn() {
        check(
            "SELECT * FROM t AS OF TRANSACTION 7 x",
            expect!["SELECT * FROM t AS OF SCN 7 x"],
        );
    }

    #[test]
    fn versions_stand_between_two_times() {
        check(
            "SELECT * FROM t versions between scn 5 and $1 v JOIN
               t@dev VERSIONS BETWEEN TIMESTAMP now() - interval '1 day' AND now() AS w ON v.a = w.a AND w.b",
            expect![
                "SELECT * FROM t VERSIONS BETWEEN SCN 5 AND $1 v JOIN t@dev VERSIONS BETWEEN TIMESTAMP now() - INTERVAL '1 day' AND now() AS w ON v.a = w.a AND w.b"
            ],
        );
        for sql in [
            "SELECT versions BETWEEN scn AND 5 FROM t",
            "SELECT * FROM t WHERE a AND versions BETWEEN timestamp AND scn",
            "SELECT * FROM t versions JOIN u ON NOT versions BETWEEN transaction AND 7",
            "SELECT a + versions BETWEEN scn AND 5 FROM t versions",
        ] {
            assert!(read(sql).is_ok(), "it is a name here: {sql}");
        }
        // Here it is an alias, and what follows is nothing.
        assert_eq!(
            read("SELECT * FROM t VERSIONS BETWEEN NOW AND 5"),
            read("SELECT * FROM t VERSIONS")
        );
    }

    #[test]
    fn of_stays_a_name() {
        for sql in [
            "SELECT a AS of FROM t AS of",
            "SELECT of.now FROM t AS of JOIN u AS of2 ON true",
            "SELECT 'x AS OF NOW', \"AS OF NOW\" FROM t of",
            "SELECT 1 AS of, now FROM timestamp",
        ] {
            assert_eq!(read(sql).as_deref(), Ok(sql));
        }
        check(
            "SELECT * FROM t \"as\" /* AS OF NOW */",
            expect!["SELECT * FROM t \"as\""],
        );
    }

    #[test]
    fn elsewhere_it_is_refused() {
        check(
            "SELECT a AS OF NOW FROM t",
            expect!["misplaced at Line: 1, Column: 10"],
        );
        check(
            "INSERT INTO t AS OF SCN 5 VALUES (1)",
            expect!["misplaced at Line: 1, Column: 15"],
        );
        check(
            "SELECT * FROM t x AS OF SCN 5",
            expect!["misplaced at Line: 1, Column: 19"],
        );
        check(
            "SELECT * FROM f() AS OF NOW",
            expect![
                "AS OF, VERSIONS BETWEEN and @ can only follow the name of a table or view that a query reads at Line: 1, Column: 19"
            ],
        );
        check(
            "SELECT * FROM t AS OF NOW (1)",
            expect!["misplaced at Line: 1, Column: 17"],
        );
    }
}
