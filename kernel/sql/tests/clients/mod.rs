//! What clients of PostgreSQL send, in their order, here and on PostgreSQL: the same parameters, columns, types,
//! rows, tags and SQLSTATEs.
//!
//! The statements are beside the repository, in `shared/data/client_sql`; without them, and without a PostgreSQL,
//! the test is skipped. Each client has a database of its own on both sides, with one [`SCHEMA`]. Values for the
//! parameters of a statement are in `parameters.txt`, because only their number is recorded, and
//! `known_differences.txt` has the statements that are answered otherwise here, with the reason; one that is not
//! any more must be removed from it.

// Tests read files themselves.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::path::Path;

use super::harness::{Postgres, shared_data};
use super::support::Db;

mod answer;
mod here;
mod wire;

use answer::{Answer, NAMED};
use here::Here;
use wire::Wire;

/// That of `schema.sql`, and rows. Left out on both sides, because this server has none: the materialized view
/// `mv`, the function `f`, and the search path of the database, which each session sets.
const SCHEMA: &str = "
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('a', 'b');
CREATE TABLE app.parent (id serial PRIMARY KEY, name text NOT NULL DEFAULT 'x', m app.mood,
  v numeric(10,2) CHECK (v > 0), j jsonb, ts timestamptz DEFAULT now(), arr int[], UNIQUE (name));
CREATE TABLE app.child (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pid int REFERENCES app.parent (id) ON DELETE CASCADE, body text);
CREATE INDEX child_body ON app.child (body) WHERE pid IS NOT NULL;
CREATE VIEW app.vw AS SELECT * FROM app.parent;
COMMENT ON TABLE app.parent IS 'p';
CREATE SEQUENCE app.sq;
INSERT INTO app.parent (name, m, v, j, ts, arr) VALUES
  ('one', 'a', 1.5, '{\"k\": [1, null]}', '2026-11-20 15:13:10.467786+00', '{1,2,null}'),
  ('two', NULL, NULL, NULL, NULL, NULL);
INSERT INTO app.child (pid, body) VALUES (1, 'first')";

const SEARCH_PATH: &str = "SET search_path = app, public";

/// What a client sends to COPY FROM STDIN.
const COPIED: &[u8] = b"copied\n";

/// The oids in recorded statements, and what they are of.
const RECORDED_OIDS: [(&str, &str); 3] = [
    ("17008", "app.parent"),
    ("17022", "app.child"),
    ("17035", "app.vw"),
];

/// What parameters may be the oids of.
const OID_VALUES: [&str; 4] = ["app.parent", "app.child", "app.vw", "app.sq"];

/// One of the two servers, in one client's session.
enum Server {
    Here(Box<Here>),
    Postgres(Wire),
}

impl Server {
    fn simple(&mut self, sql: &str) -> Answer {
        match self {
            Server::Here(here) => here.simple(sql, COPIED),
            Server::Postgres(wire) => wire.simple(sql, COPIED),
        }
    }

    fn must(&mut self, sql: &str) -> Answer {
        let answer = self.simple(sql);
        assert!(answer.error.is_none(), "{sql}: {:?}", answer.error);
        answer
    }

    fn prepare_schema(&mut self) {
        self.must(SCHEMA);
        self.must(SEARCH_PATH);
    }

    fn oid(&mut self, name: &str) -> String {
        let mut answer = self.must(&format!("SELECT '{name}'::regclass::oid"));
        answer.rows.remove(0).remove(0).unwrap()
    }

    /// The names of all objects.
    fn names(&mut self) -> HashMap<u32, String> {
        let mut names = HashMap::new();
        for sql in NAMED {
            for row in self.must(sql).rows {
                let [Some(oid), Some(name)] = <[_; 2]>::try_from(row).unwrap() else {
                    continue;
                };
                names.insert(oid.parse().unwrap(), name);
            }
        }
        names
    }

    /// Runs a recorded statement.
    fn ask(&mut self, client: &str, statement: &Statement) -> Answer {
        let mut sql = statement.sql.clone();
        for (recorded, name) in RECORDED_OIDS {
            if sql.contains(recorded) {
                sql = sql.replace(recorded, &self.oid(name));
            }
        }
        let mut answer = match &statement.parameters {
            None => self.simple(&sql),
            Some(parameters) => {
                let mut values = parameters.clone();
                for name in OID_VALUES {
                    let reference = format!("{{{name}}}");
                    for value in values.iter_mut().filter(|v| **v == reference) {
                        *value = self.oid(name);
                    }
                }
                match self {
                    Server::Here(here) => here.extended(&sql, &values),
                    Server::Postgres(wire) => wire.extended(&sql, &values),
                }
            }
        };
        let names = match answer.shows_oids() {
            true => self.names(),
            false => HashMap::new(),
        };
        answer.settle(client, &sql, &names);
        answer
    }
}

/// As it was recorded.
#[derive(Clone)]
struct Statement {
    sql: String,
    /// The values of a statement of the extended protocol.
    parameters: Option<Vec<String>>,
}

/// A client and the place of a statement among those it sends.
type Place = (String, usize);

/// The statements by client, in the order of the file.
fn recorded(directory: &Path) -> Vec<(String, Vec<Statement>)> {
    let text = std::fs::read_to_string(directory.join("statements.json")).unwrap();
    let clients: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let values = parameters();
    let statement = |client: &str, at: usize, line: &serde_json::Value| {
        let (protocol, sql) = line.as_str().unwrap().split_once(": ").unwrap();
        let of_place = values.get(&(client.to_owned(), at)).cloned();
        Statement {
            sql: sql.to_owned(),
            parameters: protocol
                .starts_with("execute")
                .then(|| of_place.unwrap_or_default()),
        }
    };
    clients
        .iter()
        .map(|(client, lines)| {
            let lines = lines.as_array().unwrap().iter().enumerate();
            let statements = lines
                .map(|(at, line)| statement(client, at, line))
                .collect();
            (client.clone(), statements)
        })
        .collect()
}

/// Lines that say something, of a file with `#` comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
}

/// `client place place …` as places.
fn places(words: &str) -> Vec<Place> {
    let mut words = words.split_whitespace();
    let client = words.next().unwrap();
    words
        .map(|place| (client.to_owned(), place.parse().unwrap()))
        .collect()
}

/// `client place …: value | value …`; a value of two quotes is empty.
fn parameters() -> BTreeMap<Place, Vec<String>> {
    let mut all = BTreeMap::new();
    for line in lines(include_str!("parameters.txt")) {
        let (at, values) = line.split_once(": ").unwrap();
        let values: Vec<String> = values
            .split('|')
            .map(|value| value.trim().replace("''", ""))
            .collect();
        for place in places(at) {
            assert!(
                all.insert(place.clone(), values.clone()).is_none(),
                "{place:?} twice"
            );
        }
    }
    all
}

/// Statements that are answered otherwise here.
fn known_differences() -> BTreeSet<Place> {
    let all = lines(include_str!("known_differences.txt"));
    all.flat_map(places).collect()
}

/// Runs a client's statements on both servers; says what is wrong, and how many answers are the same.
fn compare(
    client: &str,
    statements: &[Statement],
    [here, postgres]: [&mut Server; 2],
    known: &BTreeSet<Place>,
) -> (String, usize) {
    let (mut wrong, mut same) = (String::new(), 0);
    let mut in_block = false;
    for (at, statement) in statements.iter().enumerate() {
        let place = (client.to_owned(), at);
        let theirs = postgres.ask(client, statement);
        // What is known to fail here must not take the block around it along.
        let guarded = in_block && known.contains(&place);
        if guarded {
            here.must("SAVEPOINT known_difference");
        }
        let ours = here.ask(client, statement);
        if guarded && ours.error.is_some() {
            here.must("ROLLBACK TO SAVEPOINT known_difference");
        }
        match theirs.tags.last().map(String::as_str) {
            Some("BEGIN") => in_block = true,
            Some("COMMIT" | "ROLLBACK") => in_block = false,
            _ => {}
        }
        match (ours.is_like(&theirs), known.contains(&place)) {
            (true, true) => _ = writeln!(wrong, "{client} {at}: no longer different"),
            (false, false) => {
                _ = writeln!(
                    wrong,
                    "{client} {at}: {}\n  here:\n      {}\n  PostgreSQL:\n      {}",
                    statement.sql.trim(),
                    ours.beside(&theirs),
                    theirs.beside(&ours)
                );
            }
            (true, false) => same += 1,
            (false, true) => {}
        }
    }
    (wrong, same)
}

#[test]
fn clients_are_answered_as_by_postgres() {
    let Some(directory) = shared_data()
        .map(|data| data.join("client_sql"))
        .filter(|d| d.is_dir())
    else {
        println!("skipped: no shared/data/client_sql beside the repository");
        return;
    };
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(why) => {
            println!("skipped: no PostgreSQL to compare with: {why}");
            return;
        }
    };
    let known = known_differences();
    let mut wrong = String::new();
    let mut total = (0, 0);
    for (client, statements) in &recorded(&directory) {
        // Named as the one here.
        let anew = [
            "DROP DATABASE IF EXISTS helios WITH (FORCE)",
            "CREATE DATABASE helios",
        ];
        let created = postgres.run(&anew.map(String::from));
        assert!(created.iter().all(Result::is_ok), "{created:?}");
        let mut theirs = Server::Postgres(Wire::connect(postgres.socket(), "helios", "helios"));
        let mut ours = Server::Here(Box::new(Here::new(Db::new())));
        theirs.prepare_schema();
        ours.prepare_schema();
        let (differences, same) = compare(client, statements, [&mut ours, &mut theirs], &known);
        println!("{client}: {same} of {}", statements.len());
        total = (total.0 + same, total.1 + statements.len());
        wrong.push_str(&differences);
    }
    println!("all clients: {} of {}", total.0, total.1);
    assert!(wrong.is_empty(), "\n{wrong}");
}
