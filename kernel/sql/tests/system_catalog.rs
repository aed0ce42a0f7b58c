//! The system catalogs through a session: what psql and drivers ask, and, where the machine has a
//! PostgreSQL, its answers to the same questions about the same schema.

#![allow(clippy::unwrap_used)]

mod harness;
mod support;

use harness::{Postgres, Row};
use heliosdb_sql::types::encode_text;
use heliosdb_sql::{Outcome, ResultColumn, Session, SqlError};
use support::Db;

const SCHEMA: &str = "
CREATE SCHEMA app;
CREATE TABLE app.parent (id serial PRIMARY KEY, name text NOT NULL DEFAULT 'x',
  v numeric(10,2) CHECK (v > 0), j jsonb, ts timestamptz DEFAULT now(), arr int[], UNIQUE (name));
CREATE TABLE app.child (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pid int REFERENCES app.parent (id) ON DELETE CASCADE, body text);
CREATE INDEX child_body ON app.child (body);
CREATE VIEW app.vw AS SELECT id, name FROM app.parent;
COMMENT ON TABLE app.parent IS 'p';
CREATE SEQUENCE app.sq;
CREATE ROLE guest LOGIN";

const SEARCH_PATH: &str = "SET search_path = app, public";

/// The relations that the recorded questions name by oid, and the oids they use.
const RECORDED_OIDS: &[(&str, &str)] = &[
    ("app.parent", "16392"),
    ("app.child", "16406"),
    ("app.child_body", "16418"),
    ("app.vw", "16419"),
    ("app.parent_id_seq", "16391"),
    ("app.child_id_seq", "16405"),
    ("app.sq", "16427"),
    ("app.child_pkey", "16411"),
    ("app.parent_pkey", "16401"),
    ("app.parent_name_key", "16403"),
];

/// psql commands whose answers tell of the server itself, of sizes, or of the text of views.
const PHYSICAL: &[&str] = &[
    "\\d+",
    "\\dt+",
    "\\di+",
    "\\dv+",
    "\\ds+",
    "\\l",
    "\\l+",
    "\\db+",
    "\\dn",
    "\\dn+",
    "\\dA",
    "\\dA+",
    "\\dL",
    "\\dx",
    "\\dFd",
    "\\drds",
    "\\d+ app.vw",
    "\\sv app.vw",
];

/// Other statements to which this server rightly has an answer of its own: there is no JIT compiler,
/// and there are fewer types.
const OUR_OWN: &[&str] = &[
    "current_setting('jit')",
    "from pg_catalog.pg_type a\nleft join",
];

/// Title and statement of each question.
fn questions() -> Vec<(&'static str, &'static str)> {
    [
        include_str!("../src/pg_catalog/tests/clients/psql.txt"),
        include_str!("../src/pg_catalog/tests/clients/drivers.txt"),
    ]
    .into_iter()
    .flat_map(|file| file.split("\n\n"))
    .filter_map(|block| {
        let (question, _) = block.split_once("\n----")?;
        question.strip_prefix("# ")?.split_once('\n')
    })
    .collect()
}

/// A statement with the recorded oids replaced by those of this server.
fn with_oids(sql: &str, oids: &[String]) -> String {
    let mut sql = sql.to_owned();
    for (i, (_, recorded)) in RECORDED_OIDS.iter().enumerate() {
        sql = sql.replace(recorded, &format!("<oid {i}>"));
    }
    for (i, actual) in oids.iter().enumerate() {
        sql = sql.replace(&format!("<oid {i}>"), actual);
    }
    sql
}

/// An answer with this server's oids replaced by the recorded ones.
fn without_oids(rows: Vec<Row>, oids: &[String]) -> Vec<Row> {
    let recorded = |value: String| match oids.iter().position(|oid| *oid == value) {
        Some(i) => RECORDED_OIDS[i].1.to_owned(),
        None => value,
    };
    let row = |row: Row| row.into_iter().map(|v| v.map(recorded)).collect();
    rows.into_iter().map(row).collect()
}

fn oid_questions() -> Vec<String> {
    let oid = |(name, _): &(&str, _)| format!("SELECT '{name}'::regclass::oid");
    RECORDED_OIDS.iter().map(oid).collect()
}

fn ask(session: &mut Session, sql: &str) -> Result<Vec<Row>, SqlError> {
    let mut answer = Vec::new();
    for statement in &session.parse(sql)? {
        let Outcome::Rows(mut rows) = session.execute(statement, &[])? else {
            continue;
        };
        let (columns, format) = (rows.columns().to_vec(), session.info().format());
        while let Some(batch) = rows.next_batch()? {
            for row in 0..batch.num_rows() {
                let cell = |(i, column): (usize, &ResultColumn)| {
                    let array = batch.column(i).as_ref();
                    let mut text = String::new();
                    encode_text(array, row, &column.ty, &format, &mut text);
                    array.is_valid(row).then_some(text)
                };
                answer.push(columns.iter().enumerate().map(cell).collect());
            }
        }
    }
    Ok(answer)
}

fn session(db: &Db) -> (Session, Vec<String>) {
    let mut session = db.session().0;
    ask(&mut session, SCHEMA).unwrap();
    ask(&mut session, SEARCH_PATH).unwrap();
    let oids = oid_questions()
        .iter()
        .map(|sql| ask(&mut session, sql).unwrap()[0][0].clone().unwrap())
        .collect();
    (session, oids)
}

#[test]
fn every_question_of_psql_and_of_drivers_has_an_answer() {
    let db = Db::new();
    let (mut session, oids) = session(&db);
    let mut failed = Vec::new();
    for (title, sql) in questions() {
        if let Err(error) = ask(&mut session, &with_oids(sql, &oids)) {
            failed.push(format!("{title}: {error}\n{sql}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn answers_are_those_of_postgresql() {
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(why) => {
            println!("skipped: no PostgreSQL to compare with: {why}");
            return;
        }
    };
    let db = Db::new();
    let (mut session, ours) = session(&db);
    postgres.run(&[SCHEMA.to_owned()]);
    let theirs: Vec<String> = postgres
        .run(&oid_questions())
        .into_iter()
        .map(|answer| answer.unwrap()[0][0].clone().unwrap())
        .collect();
    let questions: Vec<(&str, &str)> = questions()
        .into_iter()
        .filter(|(title, sql)| {
            !PHYSICAL.contains(title) && !OUR_OWN.iter().any(|own| sql.contains(own))
        })
        .collect();
    let mut script = vec![SEARCH_PATH.to_owned()];
    script.extend(questions.iter().map(|(_, sql)| with_oids(sql, &theirs)));
    let answers = postgres.run(&script).into_iter().skip(1);
    let mut different = Vec::new();
    for ((title, sql), expected) in questions.into_iter().zip(answers) {
        let expected = expected.map(|rows| without_oids(rows, &theirs));
        let actual = ask(&mut session, &with_oids(sql, &ours))
            .map(|rows| without_oids(rows, &ours))
            .map_err(|e| e.code.as_str().to_owned());
        if actual != expected {
            different.push(format!(
                "{title}\n{sql}\nhere:  {actual:?}\nthere: {expected:?}"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}
