//! Enums and domains: what survives a restart, what other snapshots see, how plans find labels.

use heliosdb_sql::Value;
use heliosdb_sql::error::state;
use heliosdb_sql::types::PgType;

use crate::support::Db;

const WORLD: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE DOMAIN score AS int CHECK (VALUE BETWEEN 0 AND 100) DEFAULT 50;
    CREATE TABLE person (id int PRIMARY KEY, m mood DEFAULT 'ok', s score, ms mood[]);
    CREATE INDEX person_m ON person (m);
    CREATE INDEX person_sad ON person (id) WHERE m = 'sad';
    INSERT INTO person (id, m) SELECT i, (enum_range(NULL::mood))[i % 3 + 1] FROM generate_series(1, 999) i;
    UPDATE person SET ms = ARRAY[m, 'happy'] WHERE id = 1;
    COMMENT ON TYPE mood IS 'how it is';";

#[test]
fn types_survive_a_restart() {
    let db = Db::new();
    let mut session = db.session();
    session.ok(WORLD);
    session.ok("ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok'; INSERT INTO person (id, m) VALUES (1000, 'meh')");
    drop(session);
    let db = db.reopen();
    let mut session = db.session();
    let asked = [
        (
            "SELECT DISTINCT m FROM person ORDER BY m",
            "m\nsad\nmeh\nok\nhappy\n",
        ),
        ("SELECT ms FROM person WHERE id = 1", "ms\n{ok,happy}\n"),
        (
            "SELECT count(*) FROM person WHERE m > 'sad' AND m < 'ok'",
            "count\n1\n",
        ),
        (
            "SELECT count(*) FROM person WHERE m = 'sad' AND id < 100",
            "count\n33\n",
        ),
        (
            "SELECT obj_description('mood'::regtype, 'pg_type')",
            "obj_description\nhow it is\n",
        ),
        (
            "INSERT INTO person (id) VALUES (1001) RETURNING m, s",
            "m | s\nok | 50\nINSERT 0 1\n",
        ),
    ];
    for (sql, expected) in asked {
        assert_eq!(session.ok(sql), expected, "{sql}");
    }
    let refused = session.run("INSERT INTO person (id, s) VALUES (1002, 101)");
    assert!(refused.contains("23514"), "{refused}");
}

/// What EXPLAIN says of a query.
fn plan(db: &Db, sql: &str) -> String {
    db.session().ok(&format!("EXPLAIN {sql}"))
}

#[test]
fn indexes_of_enums_are_found() {
    let db = Db::new();
    db.session().ok(WORLD);
    for (condition, index) in [
        ("m = 'sad' AND id = 7", "person_pkey"),
        ("m = 'sad'", "person_m"),
        ("m IN ('sad', 'ok')", "person_m"),
        ("m >= 'ok'", "person_m"),
        ("m = ANY('{sad}')", "person_m"),
    ] {
        let plan = plan(&db, &format!("SELECT id FROM person WHERE {condition}"));
        assert!(plan.contains(index), "{condition}: {plan}");
    }
    let shown = "SELECT pg_get_indexdef('person_sad'::regclass)";
    let definition =
        "CREATE INDEX person_sad ON public.person USING btree (id) WHERE (m = 'sad'::mood)";
    assert!(db.session().ok(shown).contains(definition));
    db.session()
        .ok("ALTER TYPE mood RENAME VALUE 'sad' TO 'it''s bad'");
    let shown = db.session().ok(shown);
    assert!(shown.contains("m = 'it''s bad'::mood"), "{shown}");
}

/// A reader keeps the labels of its snapshot, and a statement prepared before has those of now.
#[test]
fn snapshots_and_prepared_statements_have_their_labels() {
    let db = Db::new();
    let (mut reader, mut writer) = (db.session(), db.session());
    writer.ok(WORLD);
    let insert = "INSERT INTO person (id, m) VALUES ($1, $2) RETURNING m";
    let insert = writer.0.prepare(insert, &[]).unwrap();
    reader.ok("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM person");
    db.session()
        .ok("ALTER TYPE mood ADD VALUE 'new'; ALTER TYPE mood RENAME VALUE 'ok' TO 'okay'");
    let params = [Value::Text("5000".into()), Value::Text("new".into())];
    let types = writer.0.parameter_types(&insert).into_owned();
    assert!(matches!(&types[1], PgType::Enum(of) if of.key_of("new").is_ok()));
    assert_eq!(
        writer.0.parameter_type(types[1].oid()),
        Some(types[1].clone())
    );
    let outcome = writer.0.execute_prepared(&insert, &params).unwrap();
    assert_eq!(writer.print(outcome), "m\nnew\nINSERT 0 1\n");
    assert_eq!(
        reader.ok("SELECT m FROM person WHERE id = 3000 OR m = 'ok' ORDER BY id LIMIT 1"),
        "m\nok\n"
    );
    assert!(reader.run("SELECT 'new'::mood").contains("22P02"));
    reader.run("ROLLBACK");
    assert_eq!(
        reader.ok("SELECT m FROM person WHERE id IN (1, 5000) ORDER BY m"),
        "m\nokay\nnew\n"
    );
}

#[test]
fn a_table_of_the_past_has_the_labels_of_then() {
    let db = Db::new();
    let mut session = db.session();
    session.ok(WORLD);
    let pinned = session.ok("SELECT helios_pin('before')");
    let scn = pinned.lines().nth(1).unwrap();
    session.ok(
        "DELETE FROM person WHERE id > 3; ALTER TYPE mood RENAME VALUE 'ok' TO 'okay';
        ALTER TYPE mood ADD VALUE 'low' BEFORE 'sad'",
    );
    let past = format!("person AS OF SCN {scn}");
    let then = format!("SELECT m FROM {past} WHERE id IN (1, 2) ORDER BY m");
    assert_eq!(session.ok(&then), "m\nok\nhappy\n");
    assert_eq!(
        session.ok(&format!("SELECT p.m, n.m FROM {past} AS p JOIN person n ON p.m = n.m WHERE p.id < 4 ORDER BY p.id")),
        "m | m\nok | okay\nhappy | happy\nsad | sad\n"
    );
    session.ok(&format!(
        "INSERT INTO person SELECT * FROM {past} WHERE id = 4"
    ));
    assert_eq!(session.ok("SELECT m FROM person WHERE id = 4"), "m\nokay\n");
}

#[test]
fn copy_reads_and_writes_labels() {
    let db = Db::new();
    let mut session = db.session();
    session.ok(WORLD);
    session.ok("CREATE TABLE t (m mood, ms mood[], s score)");
    let done = session.copy_in("COPY t FROM STDIN", b"ok\t{sad,NULL}\t7\n\\N\t\\N\t\\N\n");
    assert!(done.contains("COPY 2"), "{done}");
    for (row, code) in [("fine\t{}\t1", "22P02"), ("ok\t{}\t101", "23514")] {
        let failed = session.copy_in("COPY t FROM STDIN", format!("{row}\n").as_bytes());
        assert!(failed.contains(code), "{failed}");
    }
    let out = session.run("COPY t TO STDOUT");
    assert!(out.contains("ok\t{sad,NULL}\t7"), "{out}");
}

/// A label in a text is changed where it is surely one, and the renaming refused where it may be.
#[test]
fn a_renaming_changes_what_is_kept_as_text() {
    let db = Db::new();
    let mut session = db.session();
    session.ok(WORLD);
    session.ok("CREATE TABLE c (id int, m mood CHECK (m <> 'sad'), note text DEFAULT 'sad', CHECK (note <> 'x'));
        CREATE VIEW bad AS SELECT id, 'sad' AS word FROM person WHERE m = 'sad'");
    let error = session
        .0
        .execute_text("ALTER TYPE mood RENAME VALUE 'sad' TO 'low'")
        .err();
    assert_eq!(error.unwrap().code, state::FEATURE_NOT_SUPPORTED);
    session.ok(
        "DROP VIEW bad; CREATE VIEW low AS SELECT id FROM person WHERE m IN ('sad') AND id < 9;
        ALTER TYPE mood RENAME VALUE 'sad' TO 'low'",
    );
    assert_eq!(session.ok("SELECT count(*) FROM low"), "count\n2\n");
    assert!(
        session
            .run("INSERT INTO c VALUES (1, 'low')")
            .contains("23514")
    );
    assert_eq!(
        session.ok("INSERT INTO c VALUES (1, 'ok') RETURNING note"),
        "note\nsad\nINSERT 0 1\n"
    );
}

#[test]
fn a_dump_describes_types() {
    let db = Db::new();
    db.session().ok(WORLD);
    let view = db.instance.engine().visible_view();
    let described = db.instance.describe(&view, "lite", None).unwrap();
    let of = |kind: &str| {
        let found = described.objects.iter().find(|o| o.kind == kind).unwrap();
        (found.definition.clone(), found.comment.clone())
    };
    assert_eq!(
        of("type"),
        (
            "CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy')".to_owned(),
            Some("how it is".to_owned())
        )
    );
    let check = "CONSTRAINT score_check CHECK (((VALUE >= 0) AND (VALUE <= 100)))";
    assert_eq!(
        of("domain").0,
        format!("CREATE DOMAIN public.score AS integer DEFAULT 50 {check}")
    );
    let table = of("table").0;
    for column in [
        "m public.mood DEFAULT 'ok'::public.mood",
        "s public.score",
        "ms public.mood[]",
    ] {
        assert!(table.contains(column), "{table}");
    }
}

/// There is room for 48 labels at one place; then the error says what to do.
#[test]
fn a_place_without_room_is_told() {
    let db = Db::new();
    let mut session = db.session();
    session.ok("CREATE TYPE tight AS ENUM ('a', 'b')");
    for n in 0..48 {
        session.ok(&format!("ALTER TYPE tight ADD VALUE 'n{n}' AFTER 'a'"));
    }
    let refused = session.run("ALTER TYPE tight ADD VALUE 'last' AFTER 'a'");
    assert!(refused.contains("54000"), "{refused}");
    session.ok("ALTER TYPE tight ADD VALUE 'last'");
    let count =
        "SELECT cardinality(enum_range(NULL::tight)) AS n, 'n47'::tight < 'n46'::tight AS before";
    assert_eq!(session.ok(count), "n | before\n51 | t\n");
}
