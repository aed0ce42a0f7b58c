//! What is taken out of a statement, and what is left of it.

use heliosdb_plugin_api::manifest::Provides;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::Tokenizer;

use super::*;

fn syntax() -> Syntax {
    let provides = toml(
        r#"
        [[clause]]
        name = "validate"
        place = "column"
        grammar = "VALIDATE USING SCHEMA <name>"
        [[clause]]
        name = "clustered"
        place = "table"
        grammar = "CLUSTERED BY <name> BUCKETS <literal>"
        [[clause]]
        name = "chunk"
        place = "with"
        grammar = "chunk = <literal>"
        [[command]]
        prefix = "CREATE JSON SCHEMA"
        [[command]]
        prefix = "CREATE JSON"
        "#,
    );
    Syntax::new([("demo", &provides)])
}

fn toml(text: &str) -> Provides {
    let head = "id = \"demo\"\nversion = \"1.0.0\"\nabi = 1\n";
    let manifest = heliosdb_plugin_api::Manifest::parse(&format!("{head}{text}"));
    manifest.expect("a manifest").provides
}

fn tokens(sql: &str) -> Vec<TokenWithSpan> {
    Tokenizer::new(&PostgreSqlDialect {}, sql)
        .tokenize_with_location()
        .expect("tokens")
}

/// The clauses of a statement, one a line, after what is left of it.
fn taken(sql: &str) -> String {
    let mut list = tokens(sql);
    match extract(&syntax(), &mut list) {
        Err(Unexpected(token)) => {
            format!(
                "unexpected {}",
                token.map_or("end".to_owned(), |t| t.token.to_string())
            )
        }
        Ok(found) => {
            let words: Vec<String> = list
                .iter()
                .filter(|t| !matches!(t.token, Token::Whitespace(_)))
                .map(|t| t.token.to_string())
                .collect();
            let mut lines = vec![words.join(" ")];
            for c in found.clauses {
                let mut line = match c.kind {
                    ClauseKind::Plugin(p) => format!("{} {:?}", p.clause, p.arguments),
                    ClauseKind::Compression { method } => format!("compression {method}"),
                };
                if let Some(column) = c.column {
                    line += &format!(" at {column}");
                }
                if let Some(name) = c.constraint {
                    line += &format!(" named {name}");
                }
                if c.not_valid {
                    line += " not valid";
                }
                if c.with_new_column {
                    line += " with its column";
                }
                lines.push(line);
            }
            if found.only_clauses {
                lines.push("nothing else".to_owned());
            }
            lines.join("\n")
        }
    }
}

fn check(sql: &str, expected: &[&str]) {
    assert_eq!(taken(sql), expected.join("\n"), "{sql}");
}

#[test]
fn a_columns_clauses_go_and_its_other_options_stay() {
    check(
        "CREATE TABLE t (id int PRIMARY KEY, doc jsonb NOT NULL validate using schema App.Person DEFAULT '{}')",
        &[
            "CREATE TABLE t ( id int PRIMARY KEY , doc jsonb NOT NULL DEFAULT '{}' )",
            "validate [\"app.person\"] at doc",
        ],
    );
    check(
        "CREATE TABLE t (a numeric(10, 2), \"Doc\" jsonb CONSTRAINT ok VALIDATE USING SCHEMA \"P q\")",
        &[
            "CREATE TABLE t ( a numeric ( 10 , 2 ) , \"Doc\" jsonb )",
            "validate [\"\\\"P q\\\"\"] at Doc named ok",
        ],
    );
}

#[test]
fn words_in_strings_comments_parentheses_and_defaults_are_not_a_clause() {
    for sql in [
        "CREATE TABLE t (doc text DEFAULT 'VALIDATE USING SCHEMA p')",
        "CREATE TABLE t (doc text CHECK (doc <> VALIDATE))",
        "SELECT 1 AS validate",
        "INSERT INTO t VALUES ('VALIDATE USING SCHEMA p')",
    ] {
        let mut list = tokens(sql);
        let before = list.len();
        let found = extract(&syntax(), &mut list).expect("nothing is wrong");
        assert!(found.clauses.is_empty(), "{sql}");
        assert_eq!(list.len(), before, "{sql}");
    }
}

#[test]
fn compression_stands_right_after_the_type() {
    check(
        "CREATE TABLE t (a character varying(9) COMPRESSION Runs NOT NULL, compression int, c text[] compression \"B\")",
        &[
            "CREATE TABLE t ( a character varying ( 9 ) NOT NULL , compression int , c text [ ] )",
            "compression runs at a",
            "compression B at c",
        ],
    );
    for sql in [
        "CREATE TABLE t (a int REFERENCES compression ON DELETE CASCADE)",
        "CREATE TABLE compression (a int DEFAULT compression, CHECK (compression runs))",
        "ALTER TABLE t ADD CONSTRAINT compression CHECK (a > 0)",
    ] {
        let words = taken(sql);
        assert_eq!(words.lines().count(), 1, "{words}");
    }
    for sql in [
        "CREATE TABLE t (a text COMPRESSION)",
        "ALTER TABLE t ALTER a SET COMPRESSION 7",
    ] {
        assert!(taken(sql).starts_with("unexpected"), "{sql}");
    }
}

#[test]
fn compression_is_set_of_a_column_or_of_a_table() {
    check(
        "ALTER TABLE t ALTER COLUMN a SET COMPRESSION runs, ADD b text COMPRESSION none, SET COMPRESSION DEFAULT",
        &[
            "ALTER TABLE t ADD b text",
            "compression runs at a",
            "compression none at b",
            "compression default",
        ],
    );
    check(
        "ALTER TABLE t SET COMPRESSION runs",
        &["ALTER TABLE t", "compression runs", "nothing else"],
    );
}

#[test]
fn commas_around_what_goes_go_with_it() {
    let clause = "CLUSTERED BY a BUCKETS 8";
    let line = "clustered [\"a\", \"8\"]";
    check(
        &format!("CREATE TABLE t (a int, {clause}, b int)"),
        &["CREATE TABLE t ( a int , b int )", line],
    );
    check(
        &format!("CREATE TABLE t ({clause}, a int)"),
        &["CREATE TABLE t ( a int )", line],
    );
    check(
        &format!("CREATE TABLE t (a int, CONSTRAINT n {clause}, {clause})"),
        &["CREATE TABLE t ( a int )", &format!("{line} named n"), line],
    );
    check(
        &format!("CREATE TABLE t (a int) {clause} WITH (fillfactor = 100)"),
        &["CREATE TABLE t ( a int ) WITH ( fillfactor = 100 )", line],
    );
}

#[test]
fn options_of_plugins_leave_with_alone_or_take_it_along() {
    check(
        "CREATE TABLE t (a int) WITH (chunk = '1 day', fillfactor = 100)",
        &[
            "CREATE TABLE t ( a int ) WITH ( fillfactor = 100 )",
            "chunk [\"1 day\"]",
        ],
    );
    check(
        "CREATE TABLE t (a int) WITH (chunk = auto)",
        &["CREATE TABLE t ( a int )", "chunk [\"auto\"]"],
    );
    check(
        "ALTER TABLE t SET (chunk = -7)",
        &["ALTER TABLE t", "chunk [\"-7\"]", "nothing else"],
    );
}

#[test]
fn actions_of_alter_table() {
    check(
        "ALTER TABLE ONLY app.t ALTER COLUMN doc VALIDATE USING SCHEMA p NOT VALID",
        &[
            "ALTER TABLE ONLY app . t",
            "validate [\"p\"] at doc not valid",
            "nothing else",
        ],
    );
    check(
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS doc jsonb VALIDATE USING SCHEMA p, ALTER b SET NOT NULL",
        &[
            "ALTER TABLE t ADD COLUMN IF NOT EXISTS doc jsonb , ALTER b SET NOT NULL",
            "validate [\"p\"] at doc with its column",
        ],
    );
    check(
        "ALTER TABLE t ADD CONSTRAINT n CLUSTERED BY a BUCKETS 2 NOT VALID, ADD b int",
        &[
            "ALTER TABLE t ADD b int",
            "clustered [\"a\", \"2\"] named n not valid",
        ],
    );
    check(
        "ALTER TABLE t ADD CONSTRAINT n CHECK (a > 0) NOT VALID",
        &["ALTER TABLE t ADD CONSTRAINT n CHECK ( a > 0 ) NOT VALID"],
    );
}

#[test]
fn a_clause_that_breaks_off_is_an_error_where_it_does() {
    check(
        "CREATE TABLE t (doc jsonb VALIDATE USING SCHEMA)",
        &["unexpected )"],
    );
    check(
        "ALTER TABLE t ALTER doc VALIDATE USING SCHEMA p q",
        &["unexpected q"],
    );
    check(
        "ALTER TABLE t ALTER doc VALIDATE USING SCHEMA",
        &["unexpected end"],
    );
    check(
        "CREATE TABLE t (a int) WITH (chunk = (1))",
        &["unexpected ("],
    );
}

#[test]
fn statements_cut_off_anywhere_are_no_panic() {
    let sql = "ALTER TABLE IF EXISTS ONLY a.b ADD COLUMN IF NOT EXISTS c numeric(1, [2]) CONSTRAINT n \
               VALIDATE USING SCHEMA p NOT VALID, SET (chunk = 1, x = 2)";
    let create = "CREATE TABLE IF NOT EXISTS a.b (c d(1) VALIDATE USING SCHEMA p, CLUSTERED BY a \
                  BUCKETS 1) WITH (chunk = 1)";
    for sql in [sql, create] {
        let all = tokens(sql);
        for end in 0..=all.len() {
            let _ = extract(&syntax(), &mut all[..end].to_vec());
        }
    }
}

#[test]
fn the_longest_prefix_is_the_command() {
    let prefix = |sql: &str| syntax().command(&tokens(sql)).map(|c| c.prefix.clone());
    let schema = Some("CREATE JSON SCHEMA".to_owned());
    assert_eq!(prefix("create /* a */ json\nschema p AS '{}'"), schema);
    assert_eq!(prefix("CREATE JSON INDEX"), Some("CREATE JSON".to_owned()));
    assert_eq!(prefix("CREATE \"json\" SCHEMA"), None);
    assert_eq!(prefix("CREATE"), None);
}
