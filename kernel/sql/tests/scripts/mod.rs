//! Scripts here and on PostgreSQL: the same rows, tags, notices, errors, details and hints, statement by
//! statement, each script in a database of its own.
//!
//! A statement ends with `;` at the end of a line. One under a line `-- differs: why` has to differ, so that a
//! difference that goes away is seen; one under `-- here: why` runs here alone. `HELIOSDB_SCRIPT=file` runs a file alone.

use std::fmt::Write;

use super::harness::Postgres;
use super::support::Db;

const SCRIPTS: [(&str, &str); 31] = [
    ("advisory", include_str!("advisory.sql")),
    ("alter_type", include_str!("alter_type.sql")),
    ("cluster", include_str!("cluster.sql")),
    ("conflict", include_str!("conflict.sql")),
    ("copy", include_str!("copy.sql")),
    ("create_like", include_str!("create_like.sql")),
    ("deferred", include_str!("deferred.sql")),
    ("domains", include_str!("domains.sql")),
    ("enums", include_str!("enums.sql")),
    ("functions", include_str!("functions.sql")),
    ("generated", include_str!("generated.sql")),
    ("grouping", include_str!("grouping.sql")),
    ("include", include_str!("include.sql")),
    ("introspection", include_str!("introspection.sql")),
    ("joins_using", include_str!("joins_using.sql")),
    ("jsonpath", include_str!("jsonpath.sql")),
    ("merge", include_str!("merge.sql")),
    ("notify", include_str!("notify.sql")),
    ("prepared", include_str!("prepared.sql")),
    ("privileges", include_str!("privileges.sql")),
    ("rename", include_str!("rename.sql")),
    ("role_settings", include_str!("role_settings.sql")),
    ("row_locks", include_str!("row_locks.sql")),
    ("row_security", include_str!("row_security.sql")),
    ("spellings", include_str!("spellings.sql")),
    ("subqueries", include_str!("subqueries.sql")),
    ("temporary", include_str!("temporary.sql")),
    ("ties", include_str!("ties.sql")),
    ("upkeep", include_str!("upkeep.sql")),
    ("windows", include_str!("windows.sql")),
    ("writing_with", include_str!("writing_with.sql")),
];

struct Statement {
    text: String,
    differs: bool,
    here_alone: bool,
}

/// Where an error came from is told, which psql leaves out here.
fn without_context(shown: &str) -> String {
    let lines = shown.lines();
    let lines = lines.filter(|line| !line.starts_with("CONTEXT: SQL function"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn statements(script: &str) -> Vec<Statement> {
    let mut all = Vec::new();
    let (mut text, mut differs, mut here_alone) = (String::new(), false, false);
    for line in script.lines() {
        if let Some(comment) = line.strip_prefix("--") {
            differs |= comment.trim_start().starts_with("differs:");
            here_alone |= comment.trim_start().starts_with("here:");
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if line.ends_with(';') {
            all.push(Statement {
                text: text.trim().to_owned(),
                differs,
                here_alone,
            });
            (differs, here_alone) = (false, false);
            text.clear();
        }
    }
    assert!(
        text.trim().is_empty(),
        "a script ends within a statement: {text}"
    );
    all
}

#[test]
fn scripts_do_what_they_do_in_postgres() {
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(why) => {
            println!("skipped: no PostgreSQL to compare with: {why}");
            return;
        }
    };
    let mut wrong = String::new();
    let file = std::env::var("HELIOSDB_SCRIPT").ok();
    #[expect(clippy::disallowed_methods, reason = "the file is not the engine's")]
    let given = file.map(|file| std::fs::read_to_string(file).unwrap());
    let scripts = match &given {
        Some(script) => vec![("given", script.as_str())],
        None => SCRIPTS.to_vec(),
    };
    for (name, script) in scripts {
        let statements = statements(script);
        let shared: Vec<&str> = statements
            .iter()
            .filter(|statement| !statement.here_alone)
            .map(|statement| statement.text.as_str())
            .collect();
        let mut theirs = postgres.script(name, &shared).into_iter();
        let db = Db::new();
        let mut session = db.session();
        for statement in &statements {
            let ours = without_context(&session.run(&statement.text));
            if statement.here_alone {
                continue;
            }
            let theirs = theirs.next().unwrap_or_default();
            let text = &statement.text;
            match (ours == theirs, statement.differs) {
                (true, true) => _ = writeln!(wrong, "{name}: no longer different: {text}\n"),
                (false, false) => {
                    _ = writeln!(
                        wrong,
                        "{name}: {text}\n  here:\n{ours}  PostgreSQL:\n{theirs}"
                    );
                }
                _ => {}
            }
        }
        println!("{name}: {} statements", statements.len());
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
