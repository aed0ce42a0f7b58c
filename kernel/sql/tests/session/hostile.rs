//! Text that is no SQL, or not quite: refused with an error that says so, and never with one of ours.
//!
//! `cargo xtask fuzz` runs these again and again from other random numbers.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

use crate::support::{Client, Db};

const SCRIPTS: [&str; 10] = [
    include_str!("../scripts/alter_type.sql"),
    include_str!("../scripts/conflict.sql"),
    include_str!("../scripts/copy.sql"),
    include_str!("../scripts/domains.sql"),
    include_str!("../scripts/functions.sql"),
    include_str!("../scripts/generated.sql"),
    include_str!("../scripts/grouping.sql"),
    include_str!("../scripts/merge.sql"),
    include_str!("../scripts/row_security.sql"),
    include_str!("../scripts/spellings.sql"),
];

const WORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "join",
    "on",
    "using",
    "(",
    ")",
    ",",
    ".",
    ";",
    "*",
    "::",
    "'",
    "\"",
    "$1",
    "$$",
    "$a$",
    "null",
    "case",
    "when",
    "then",
    "else",
    "end",
    "over",
    "partition",
    "by",
    "order",
    "limit",
    "1",
    "1.5e3",
    "-",
    "+",
    "||",
    "->",
    "->>",
    "@>",
    "[",
    "]",
    "as",
    "with",
    "recursive",
    "union",
    "values",
    "insert",
    "into",
    "update",
    "set",
    "delete",
    "merge",
    "create",
    "table",
    "index",
    "view",
    "drop",
    "alter",
    "column",
    "begin",
    "commit",
    "array",
    "row",
    "interval",
    "timestamp",
    "e'\\",
    "u&'\\",
    "b'1'",
    "x'f'",
    "/*",
    "*/",
    "--",
    "0x",
    "1_0",
    "as of",
    "now",
    "ä",
    "\u{1f600}",
    "collate",
    "\"C\"",
    "filter",
    "within",
    "group",
    "rollup",
    "grouping",
    "sets",
    "lateral",
    "exists",
    "in",
    "any",
    "all",
];

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The statements of the scripts, and the expressions.
fn corpus() -> Vec<String> {
    let mut statements = Vec::new();
    for script in SCRIPTS {
        let mut text = String::new();
        for line in script.lines().filter(|line| !line.starts_with("--")) {
            text.push_str(line);
            text.push('\n');
            if line.ends_with(';') {
                statements.push(std::mem::take(&mut text));
            }
        }
    }
    let expressions = include_str!("../expressions.sql").lines();
    statements.extend(
        expressions
            .filter(|l| l.starts_with("SELECT"))
            .map(str::to_owned),
    );
    statements
}

/// What is done to a statement.
#[derive(Clone, Debug)]
enum Damage {
    Drop(Index),
    Twice(Index),
    Swap(Index, Index),
    Word(Index, &'static str),
    Character(Index, char),
    Cut(Index),
    /// So many parentheses, or other openings, one in the other.
    Nest(Index, &'static str, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        3 => any::<Index>().prop_map(Damage::Drop),
        2 => any::<Index>().prop_map(Damage::Twice),
        3 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Damage::Swap(a, b)),
        4 => (any::<Index>(), select(WORDS)).prop_map(|(at, word)| Damage::Word(at, word)),
        1 => (any::<Index>(), any::<char>()).prop_map(|(at, c)| Damage::Character(at, c)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), select(&["(", "[", "- ", "not ", "case when ", "array[", "'{\"a\":"][..]), 1..600_usize)
            .prop_map(|(at, what, times)| Damage::Nest(at, what, times)),
    ]
}

/// Words, numbers and signs, each with the space behind it.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut last = 2;
    for c in sql.chars() {
        let new = kind(c);
        match tokens.last_mut() {
            Some(token) if new == 1 || (new == last && new == 0) => token.push(c),
            _ => tokens.push(c.to_string()),
        }
        last = new;
    }
    tokens
}

fn damaged(sql: &str, harm: &[Damage]) -> String {
    let mut tokens = tokens(sql);
    for damage in harm {
        let count = tokens.len();
        if count == 0 {
            break;
        }
        match damage {
            Damage::Drop(at) => drop(tokens.remove(at.index(count))),
            Damage::Twice(at) => tokens.insert(at.index(count), tokens[at.index(count)].clone()),
            Damage::Swap(a, b) => tokens.swap(a.index(count), b.index(count)),
            Damage::Word(at, word) => tokens[at.index(count)] = format!("{word} "),
            Damage::Character(at, c) => tokens[at.index(count)].push(*c),
            Damage::Cut(at) => tokens.truncate(at.index(count)),
            Damage::Nest(at, what, times) => tokens.insert(at.index(count), what.repeat(*times)),
        }
    }
    tokens.concat()
}

/// A session of its own, whose transaction is rolled back: what one statement does, no other sees.
fn judged(db: &Db, sql: &str) -> Result<(), TestCaseError> {
    let mut session = db.session();
    session.ok("SET statement_timeout = '20s'");
    session.ok("BEGIN");
    let answer = session.run(sql);
    prop_assert!(!answer.contains("ERROR XX"), "{}\n{}", sql, answer);
    session.run("ROLLBACK");
    prop_assert_eq!(session.ok("SELECT 1 AS one"), "one\n1\n");
    Ok(())
}

#[test]
fn damaged_statements_are_refused_and_no_more() {
    let db = Db::new();
    let strategy = (select(corpus()), vec(damage(), 1..4));
    let ran = TestRunner::new(config(700))
        .run(&strategy, |(sql, harm)| judged(&db, &damaged(&sql, &harm)));
    ran.unwrap();
}

#[test]
fn words_in_any_order_are_refused_and_no_more() {
    let db = Db::new();
    let strategy = (
        select(
            &[
                "select ",
                "",
                "insert into ",
                "create ",
                "with a as (select ",
            ][..],
        ),
        vec(select(WORDS), 0..25),
    );
    let ran = TestRunner::new(config(700)).run(&strategy, |(begin, words)| {
        judged(&db, &format!("{begin}{}", words.join(" ")))
    });
    ran.unwrap();
}

/// What literals of a type may look like, more or less.
fn literal() -> impl Strategy<Value = (&'static str, String)> {
    const DATE: &str = "([0-9]{1,6}[-/. ][0-9]{1,2}[-/. ][0-9]{1,4}|(jan|february|MAR)[ -][0-9]{1,2},? [0-9]{1,6}|J[0-9]{1,8}|[0-9]{6,8}|today|-?infinity|epoch)( BC| AD)?";
    const TIME: &str = "[0-9]{1,2}(:[0-9]{1,2}){0,3}(\\.[0-9]{0,9})?( ?(am|pm))?|allballs";
    const ZONE: &str = "( ?([-+][0-9]{1,2}(:?[0-9]{2}){0,2}|Z|UTC|Europe/Berlin|America/New_York|EST|[a-z]{1,3}))?";
    let of = |types: &'static [&'static str], pattern: String| {
        let exact = proptest::string::string_regex(&pattern).unwrap();
        let harm = vec((any::<Index>(), "[-+:. 0-9a-zA-Z\",{}\\\\]"), 0..3);
        (select(types), exact, harm, 0..4_u8).prop_map(|(ty, text, harm, chance)| {
            let mut text: Vec<char> = text.chars().collect();
            if chance == 0 {
                for (at, with) in harm {
                    let at = at.index(text.len() + 1);
                    text.splice(at..at, with.chars());
                }
            }
            (ty, text.into_iter().collect::<String>())
        })
    };
    prop_oneof![
        of(
            &["numeric", "numeric(6, 2)", "float8", "float4", "int2", "int4", "int8", "oid"],
            " {0,2}[-+]?[0-9]{0,20}(\\.[0-9]{0,12})?([eE][-+]?[0-9]{1,3})?|NaN|[-+]?inf(inity)?".to_owned(),
        ),
        of(&["date", "timestamp", "timestamptz"], DATE.to_owned()),
        of(&["time", "interval"], format!("{TIME}{ZONE}")),
        of(&["timestamp", "timestamptz", "date", "timestamp(2)"], format!("({DATE})[ T]({TIME}){ZONE}")),
        of(
            &["interval", "interval(3)"],
            "([-+]?[0-9]{1,10}(\\.[0-9]{0,7})? ?(years?|mons?|days?|hours?|minutes?|secs?|weeks?|ms|us|decades|c|millennia)? ?){1,4}(ago)?|\
             P([-0-9]{1,4}Y)?([0-9]{1,4}M)?([0-9]{1,3}[DW])?(T([0-9]{1,4}H)?([0-9]{1,5}M)?([0-9.]{1,6}S)?)?|[-+]?[0-9]{1,4}-[0-9]{1,2}( [0-9]{1,3})?"
                .to_owned(),
        ),
        of(
            &["int4[]", "text[]", "numeric[]", "date[]", "bool[]"],
            " ?(\\[-?[0-9]:[0-9]\\]=)?\\{ ?([0-9]{1,3}|NULL|\"([a-z,\\\\ ]|\\\\\")*\"|[a-z]{0,3}|\\{[0-9]?\\})( ?, ?([0-9]{1,3}|null|t)){0,4} ?\\} ?".to_owned(),
        ),
        of(
            &["json", "jsonb"],
            "( ?(\\{|\\}|\\[|\\]|:|,|\"[a-z\\\\/]{0,3}\"|\"\\\\u[0-9a-fdD]{4}\"|-?[0-9]{1,3}(\\.[0-9]{1,3})?([eE]-?[0-9]{1,3})?|true|null)){0,9}|\
             \\{\"a\": ?(\\[[0-9](, ?\"x\"){0,3}\\]|[0-9.e]{1,6}), \"[a-c]\": (null|true|\\{\\})\\}"
                .to_owned(),
        ),
        of(
            &["uuid", "bytea", "bool", "\"char\"", "name", "char(3)", "varchar(2)"],
            "\\{?[0-9a-f]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-f]{12}\\}?|\\\\x([0-9a-f]{2}){0,6}|[a-z]?(\\\\[0-7]{3}|\\\\\\\\){0,3}|tr?u?e?|of?f?|yes|[ -~]{0,6}".to_owned(),
        ),
    ]
}

fn value(session: &mut Client, ty: &str, literal: &str) -> Result<String, String> {
    let answer = session.run(&format!(
        "SELECT CAST('{}' AS {ty}) AS v",
        literal.replace('\'', "''")
    ));
    match answer.strip_prefix("v\n") {
        Some(value) => Ok(value.strip_suffix('\n').unwrap_or(value).to_owned()),
        None => Err(answer),
    }
}

/// What is read is printed so that it reads as the same, and what is not is refused for what it is.
#[test]
fn literals_are_read_as_they_print_or_refused() {
    let db = Db::new();
    let mut session = db.session();
    session.ok("SET timezone = 'Europe/Berlin'");
    let session = std::cell::RefCell::new(session);
    let ran = TestRunner::new(config(4_000)).run(&literal(), |(ty, text)| {
        let mut session = session.borrow_mut();
        match value(&mut session, ty, &text) {
            Ok(printed) => {
                let again = value(&mut session, ty, &printed);
                prop_assert_eq!(again.as_ref(), Ok(&printed), "{} {:?}", ty, text);
            }
            Err(answer) => {
                let is_apt = ["ERROR 22", "ERROR 0A000", "ERROR 54"];
                prop_assert!(
                    is_apt.iter().any(|code| answer.starts_with(code)),
                    "{} {:?}: {}",
                    ty,
                    text,
                    answer
                );
            }
        }
        Ok(())
    });
    ran.unwrap();
}
