//! A bundled plugin as operators and applications live with it: switched off and on, dropped and
//! installed, in transactions beside others, and through crashes. JSON Schema is the example, since
//! it has everything: state, objects, a clause, a constraint, statements and functions.

use std::fs;
use std::path::Path;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage};

use crate::{Running, lite, lite_with_input, sql, text};

/// A connection of one role. Errors are `SQLSTATE message`, with DETAIL and HINT on lines of their
/// own.
struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    fn new(running: &Running) -> Session {
        Session::of("helios", running)
    }

    fn of(user: &str, running: &Running) -> Session {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let port = running.port;
        let url = format!("host=127.0.0.1 port={port} user={user} dbname=helios");
        let (client, connection) = runtime
            .block_on(tokio_postgres::connect(&url, NoTls))
            .unwrap();
        runtime.spawn(connection);
        Session { runtime, client }
    }

    /// Runs statements; the values of all rows.
    fn run(&self, sql: &str) -> Result<Vec<String>, String> {
        let messages = self.runtime.block_on(self.client.simple_query(sql));
        let mut rows = Vec::new();
        for message in messages.map_err(said)? {
            if let SimpleQueryMessage::Row(row) = message {
                let values = (0..row.len()).map(|i| row.get(i).unwrap_or("NULL"));
                rows.push(values.collect::<Vec<_>>().join("|"));
            }
        }
        Ok(rows)
    }

    fn ok(&self, sql: &str) -> Vec<String> {
        self.run(sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    fn error(&self, sql: &str) -> String {
        match self.run(sql) {
            Ok(rows) => panic!("{sql} gave {rows:?}"),
            Err(said) => said,
        }
    }

    /// The same through the extended protocol.
    fn execute(&self, sql: &str) -> Result<u64, String> {
        let done = self.runtime.block_on(self.client.execute(sql, &[]));
        done.map_err(said)
    }
}

fn said(error: Error) -> String {
    let Some(db) = error.as_db_error() else {
        return error.to_string();
    };
    let mut said = format!("{} {}", db.code().code(), db.message());
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        said.push('\n');
        said.push_str(more);
    }
    said
}

#[track_caller]
fn contains(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
}

fn activation(data: &Path, value: &str) {
    let settings = format!("[plugins.jsonschema]\nactivation = \"{value}\"\n");
    fs::write(data.join("heliosdb.toml"), settings).unwrap();
}

const OBJECTS: &str = "CREATE JSON SCHEMA person AS
       '{\"type\": \"object\", \"required\": [\"name\"]}';
     CREATE TABLE p (id int PRIMARY KEY, doc jsonb VALIDATE USING SCHEMA person, note text);
     CREATE TABLE c (d jsonb CHECK (jsonb_matches_schema('{\"type\": \"object\"}', d)));
     INSERT INTO p VALUES (1, '{\"name\": \"Ada\"}', 'first');
     INSERT INTO c VALUES ('{}')";

#[test]
fn switched_off_it_is_missed_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    sql(data, &["-c", OBJECTS]);

    activation(data, "off");
    let running = Running::start(data, "trust");
    let s = Session::new(&running);
    assert_eq!(
        s.ok(
            "SELECT name, state, activation, installed FROM helios_plugins \
             WHERE name = 'jsonschema'"
        ),
        ["jsonschema|disabled|off|t"]
    );
    assert_eq!(
        s.ok("SELECT store, state, entries FROM helios_plugin_stores"),
        ["schemas|orphaned|2"]
    );
    // What is there can be read, and so can everything be changed that nobody has to check.
    assert_eq!(
        s.ok("SELECT p.id, c.d FROM p, c"),
        [r#"1|{}"#],
        "both tables are read"
    );
    s.ok("UPDATE p SET note = 'second'; DELETE FROM p WHERE id = 7; DELETE FROM c WHERE false");
    for write in [
        "INSERT INTO p VALUES (2, '{\"name\": \"Bob\"}')",
        "INSERT INTO p (id) VALUES (2)",
        "INSERT INTO p (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x'",
        "UPDATE p SET doc = '{\"name\": \"Bob\"}'",
    ] {
        contains(
            &s.error(write),
            &[
                "55000 constraint \"p_doc_check\" of relation \"p\" cannot be checked: plugin \"jsonschema\" is disabled",
                "Set activation = \"on\" under [plugins.jsonschema]",
            ],
        );
    }
    for (statement, code) in [
        ("INSERT INTO c VALUES ('{}')", "42883"),
        ("SELECT jsonb_matches_schema('{}', '1')", "42883"),
        ("CREATE JSON SCHEMA other AS '{}'", "0A000"),
        ("DROP JSON SCHEMA person", "0A000"),
        (
            "CREATE TABLE q (d json VALIDATE USING SCHEMA person)",
            "0A000",
        ),
    ] {
        let said = s.error(statement).to_lowercase();
        contains(
            &said,
            &[&code.to_lowercase(), "plugin \"jsonschema\"", "is disabled"],
        );
    }
    assert_eq!(running.stop(), Some(0));

    activation(data, "force");
    let running = Running::start(data, "trust");
    let s = Session::new(&running);
    assert_eq!(s.ok("SELECT state FROM helios_plugin_stores"), ["live"]);
    s.ok("INSERT INTO p VALUES (2, '{\"name\": \"Bob\"}')");
    contains(
        &s.error("INSERT INTO p VALUES (3, '{}')"),
        &["23514", "required"],
    );
    contains(&s.error("INSERT INTO c VALUES ('[]')"), &["23514"]);
}

/// The plugin is not there to be told, so what it keeps of the objects stays in its store.
#[test]
fn objects_that_were_dropped_while_it_was_off_are_not_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    sql(data, &["-c", OBJECTS]);
    activation(data, "off");
    let output = lite(&[
        "sql",
        "--data",
        data.to_str().unwrap(),
        "-c",
        "DROP EXTENSION jsonschema",
    ]);
    contains(
        &text(&output.stderr),
        &[
            "cannot drop extension jsonschema because other objects depend on it",
            "constraint p_doc_check on table p",
            "JSON schema person",
        ],
    );
    sql(data, &["-c", "DROP EXTENSION jsonschema CASCADE"]);
    activation(data, "on");
    // It was dropped, so it does not come back by itself.
    let running = Running::start(data, "trust");
    let s = Session::new(&running);
    assert_eq!(
        s.ok("SELECT state, installed FROM helios_plugins WHERE name = 'jsonschema'"),
        ["active|f"]
    );
    s.ok("INSERT INTO p VALUES (2, '[]')");
    contains(
        &s.error("CREATE JSON SCHEMA person AS 'true'"),
        &[
            "is not installed in this database",
            "CREATE EXTENSION jsonschema",
        ],
    );
    s.ok("CREATE EXTENSION jsonschema; CREATE JSON SCHEMA person AS '{\"type\": \"array\"}'");
    s.ok("CREATE JSON SCHEMA list AS '{\"$ref\": \"json-schema:///public/person\"}'");
    assert_eq!(s.ok("SELECT jsonschema_matches('list', '[]'::json)"), ["t"]);
    assert_eq!(
        s.ok(
            "SELECT default_version = installed_version FROM pg_available_extensions \
             WHERE name = 'jsonschema'"
        ),
        ["t"]
    );
    contains(
        &s.error("ALTER EXTENSION jsonschema UPDATE TO '99.0.0'"),
        &["22023", "no update path"],
    );
    s.ok("ALTER EXTENSION jsonschema UPDATE");
}

#[test]
fn every_way_to_write_is_checked_and_the_row_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), "trust");
    let s = Session::new(&running);
    s.ok(OBJECTS);
    let ada = r#"{"name": "Ada"}"#;
    contains(
        &s.error(&format!(
            "INSERT INTO p VALUES (4, '{ada}'), (5, '{{}}'), (6, '[]')"
        )),
        &[
            "23514 new row for relation \"p\" violates check constraint \"p_doc_check\"",
            "At \"\", required: \"name\" is a required property.",
            "Failing row contains (5, {}, null).",
        ],
    );
    for write in [
        "UPDATE p SET doc = '1' WHERE id = 1",
        "UPDATE p SET doc = doc - 'name'",
        "INSERT INTO p VALUES (1, '{\"name\": 1}') ON CONFLICT (id) DO UPDATE SET doc = '2'",
        "INSERT INTO p SELECT g, to_jsonb(g) FROM generate_series(10, 20) g",
        "EXECUTE write('[]')",
        "ALTER TABLE p ADD COLUMN d jsonb DEFAULT '[]' VALIDATE USING SCHEMA person",
    ] {
        s.ok("PREPARE write AS INSERT INTO p VALUES (30, $1)");
        contains(&s.error(write), &["23514"]);
        s.ok("DEALLOCATE write");
    }
    let url = format!("postgres://helios@127.0.0.1:{}/helios", running.port);
    let copied = lite_with_input(
        &["sql", "--connection", &url],
        &format!("COPY p FROM STDIN;\n40\t{ada}\tx\n41\t7\ty\n\\.\n"),
    );
    contains(
        &text(&copied.stderr),
        &["p_doc_check", "Failing row contains (41, 7, y)."],
    );
    assert_eq!(s.ok("SELECT id, doc FROM p"), [format!("1|{ada}")]);
    // The column may be renamed, its constraint too; both go with the column.
    s.ok(
        "ALTER TABLE p RENAME COLUMN doc TO body; ALTER TABLE p RENAME CONSTRAINT p_doc_check TO k",
    );
    contains(
        &s.error("INSERT INTO p VALUES (2, '1')"),
        &["\"k\"", "Column \"body\""],
    );
    contains(
        &s.error("DROP JSON SCHEMA person"),
        &["2BP01", "constraint k on table p"],
    );
    s.ok("ALTER TABLE p DROP COLUMN body; DROP JSON SCHEMA person");
    assert_eq!(
        s.ok("SELECT count(*) FROM helios_plugin_objects"),
        ["0"],
        "nothing is left"
    );
}

#[test]
fn what_is_taken_back_was_never_there() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), "trust");
    let s = Session::new(&running);
    s.ok(OBJECTS);
    s.ok("BEGIN;
          CREATE JSON SCHEMA gone AS 'true';
          CREATE TABLE t (d json VALIDATE USING SCHEMA gone);
          ALTER JSON SCHEMA person AS 'true';
          INSERT INTO p VALUES (2, '[]');
          ROLLBACK");
    contains(&s.error("DROP JSON SCHEMA gone"), &["42704"]);
    contains(&s.error("INSERT INTO p VALUES (2, '[]')"), &["23514"]);
    s.ok("BEGIN;
          SAVEPOINT a; DROP JSON SCHEMA person CASCADE; INSERT INTO p VALUES (2, '[]'); ROLLBACK TO a;
          INSERT INTO p VALUES (3, '{\"name\": \"Eve\"}');
          SAVEPOINT b; ALTER JSON SCHEMA person AS 'true'; INSERT INTO p VALUES (4, '[]'); ROLLBACK TO b");
    contains(&s.error("INSERT INTO p VALUES (5, '[]')"), &["23514"]);
    s.ok("ROLLBACK TO b; COMMIT");
    assert_eq!(s.ok("SELECT id FROM p ORDER BY id"), ["1", "3"]);
    contains(
        &s.error("BEGIN READ ONLY; CREATE JSON SCHEMA s AS '{}'"),
        &["25006"],
    );
}

/// An INSERT is checked by the schema as it is when the row is committed, and ALTER looks at every
/// row that is there by then. So each waits for the other, whichever came first.
#[test]
fn no_row_slips_in_beside_a_change_of_its_schema() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), "trust");
    let (a, b) = (Session::new(&running), Session::new(&running));
    a.ok("CREATE JSON SCHEMA base AS '{\"type\": \"object\"}';
          CREATE JSON SCHEMA s AS '{\"$ref\": \"json-schema:///public/base\"}';
          CREATE TABLE t (d jsonb VALIDATE USING SCHEMA s)");
    for session in [&a, &b] {
        session.ok("SET lock_timeout = '20ms'");
    }
    let empty = "ALTER JSON SCHEMA base AS '{\"maxProperties\": 0}'";
    let insert = "INSERT INTO t VALUES ('{\"a\": 1}')";
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        let begin = format!("BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM t");
        // The row first.
        b.ok(&begin);
        a.ok(&format!("BEGIN; {insert}"));
        contains(&b.error(empty), &["55P03"]);
        b.ok(&format!("ROLLBACK; {begin}"));
        a.ok("COMMIT");
        contains(&b.error(empty), &["23514", "maxProperties"]);
        b.ok("ROLLBACK; DELETE FROM t");
        // The schema first.
        a.ok(&begin);
        b.ok(&format!("BEGIN; {empty}"));
        contains(&a.error(insert), &["55P03"]);
        a.ok(&format!("ROLLBACK; {begin}"));
        b.ok("COMMIT");
        contains(&a.error(insert), &["23514"]);
        a.ok("ROLLBACK; ALTER JSON SCHEMA base AS '{\"type\": \"object\"}'");
    }
    // A table begins to use a schema while it is dropped.
    a.ok("BEGIN; CREATE TABLE u (d jsonb VALIDATE USING SCHEMA s)");
    contains(&b.error("DROP JSON SCHEMA s"), &["55P03"]);
    a.ok("COMMIT");
    contains(
        &b.error("DROP JSON SCHEMA s"),
        &["2BP01", "table t", "table u"],
    );
    b.ok("BEGIN; DROP JSON SCHEMA s CASCADE");
    contains(
        &a.error("CREATE TABLE v (d jsonb VALIDATE USING SCHEMA s)"),
        &["55P03"],
    );
    b.ok("COMMIT");
    contains(
        &a.error("CREATE TABLE v (d jsonb VALIDATE USING SCHEMA s)"),
        &["42704"],
    );
}

#[test]
fn a_role_changes_its_own_schemas_alone_and_by_either_protocol() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), "trust");
    let owner = Session::new(&running);
    owner.ok(OBJECTS);
    owner.ok("CREATE ROLE bob LOGIN; GRANT CREATE ON SCHEMA public TO bob");
    let bob = Session::of("bob", &running);
    for statement in [
        "CREATE JSON SCHEMA mine AS '{\"type\": \"array\"}'",
        "CREATE TABLE m (d jsonb VALIDATE USING SCHEMA mine, e jsonb VALIDATE USING SCHEMA person)",
        "INSERT INTO m VALUES ('[]')",
        "ALTER JSON SCHEMA mine AS '{\"maxItems\": 5}'",
        "ALTER JSON SCHEMA mine RENAME TO ours",
    ] {
        bob.execute(statement)
            .unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    contains(
        &bob.execute("INSERT INTO m VALUES ('[1,2,3,4,5,6]')")
            .unwrap_err(),
        &["23514", "maxItems"],
    );
    for statement in [
        "ALTER JSON SCHEMA person AS 'true'",
        "ALTER JSON SCHEMA person RENAME TO p2",
        "DROP JSON SCHEMA person CASCADE",
    ] {
        let said = bob.execute(statement).unwrap_err();
        assert_eq!(said, "42501 must be owner of JSON schema person");
    }
    contains(
        &bob.error("DROP EXTENSION jsonschema CASCADE"),
        &["42501 must be owner of extension jsonschema"],
    );
    // The rows that an ALTER would show are not bob's to see.
    owner.ok("CREATE TABLE secret (d jsonb VALIDATE USING SCHEMA ours);
              INSERT INTO secret VALUES ('[\"x\"]')");
    contains(
        &bob.error("ALTER JSON SCHEMA ours AS '{\"maxItems\": 0}'"),
        &["42501 permission denied for table secret"],
    );
    // A statement that was prepared with the extension notices that it went.
    owner.ok("PREPARE matches AS SELECT jsonb_matches_schema('{\"type\": \"null\"}', $1)");
    assert_eq!(owner.ok("EXECUTE matches('null')"), ["t"]);
    owner.ok("DROP EXTENSION jsonschema CASCADE");
    contains(
        &owner.error("EXECUTE matches('null')"),
        &["42883", "CREATE EXTENSION jsonschema"],
    );
    owner.ok("CREATE EXTENSION jsonschema");
    assert_eq!(owner.ok("EXECUTE matches('1')"), ["f"]);
}

#[test]
fn a_killed_server_comes_back_with_its_schemas_and_what_they_forbid() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let mut expected = Vec::new();
    for round in 0..4 {
        let running = Running::start(data, "trust");
        let (s, open) = (Session::new(&running), Session::new(&running));
        assert_eq!(
            s.ok("SELECT name FROM jsonschema_list() ORDER BY name"),
            expected
        );
        for name in &expected {
            contains(
                &s.error(&format!("INSERT INTO {name} VALUES ('\"long\"')")),
                &["23514"],
            );
        }
        s.ok(&format!(
            "CREATE JSON SCHEMA s{round} AS '{{\"maxLength\": 9}}';
             CREATE TABLE s{round} (d json VALIDATE USING SCHEMA s{round});
             ALTER JSON SCHEMA s{round} AS '{{\"maxLength\": 2}}';
             INSERT INTO s{round} VALUES ('\"ab\"')"
        ));
        expected.push(format!("s{round}"));
        open.ok(&format!(
            "BEGIN;
             CREATE JSON SCHEMA open AS 'true';
             CREATE TABLE open (d json VALIDATE USING SCHEMA open);
             ALTER JSON SCHEMA s{round} AS 'true';
             INSERT INTO s{round} VALUES ('\"long\"')"
        ));
        // It ends as a process does that is killed.
        drop(running);
    }
}
