//! What a comparison finds, and how it tells a change of today from one that came with the import.

use heliosdb_kernel::dump::report::{TableReport, Verdict};

use super::*;

fn imported() -> Place {
    let place = Place::with_world();
    place.import("world.dump", "full").unwrap();
    assert!(place.verify("world.dump", "full").is_equal());
    place
}

/// What a comparison says after `sql`, which must not be "equal".
fn after(sql: &str) -> Report {
    let place = imported();
    let db = full(&place.path("full"));
    db.execute(sql).unwrap();
    db.close().unwrap();
    let report = place.verify("world.dump", "full");
    assert!(!report.is_equal(), "{sql}: {}", report.to_text());
    let text = report.to_text();
    assert!(text.trim_end().ends_with("differs from the dump"), "{text}");
    report
}

fn table<'a>(report: &'a Report, name: &str) -> &'a TableReport {
    report.tables.iter().find(|t| t.name == name).unwrap()
}

#[test]
fn one_changed_value_is_found_with_its_column() {
    let report = after("UPDATE geo.city SET area = 0.0 WHERE name = 'Bergen'");
    let city = table(&report, "geo.city");
    assert_eq!(city.verdict, Verdict::ChangedSince);
    assert_eq!(city.columns, ["area"]);
    assert_eq!(table(&report, "geo.country").verdict, Verdict::Equal);
    assert!(
        report
            .to_text()
            .contains("changed since the import in area")
    );
}

#[test]
fn one_missing_row_is_found() {
    let report = after("DELETE FROM geo.city WHERE name = 'Oslo'");
    let city = table(&report, "geo.city");
    assert_eq!(city.verdict, Verdict::ChangedSince);
    assert_eq!((city.rows, city.found_rows), (3, 2));
}

#[test]
fn a_dropped_table_is_found() {
    let report = after("DROP TABLE geo.city CASCADE");
    assert_eq!(table(&report, "geo.city").verdict, Verdict::ChangedSince);
    let missing: Vec<&str> = report
        .objects
        .missing
        .iter()
        .map(|o| o.name.as_str())
        .collect();
    assert!(missing.contains(&"geo.city"), "{missing:?}");
}

#[test]
fn a_changed_sequence_is_found() {
    let report = after("SELECT setval('counter', 999)");
    let [sequence] = report.sequences.as_slice() else {
        panic!("{:?}", report.sequences);
    };
    assert_eq!(sequence.name, "public.counter");
    assert_eq!(sequence.dump, Some((105, true)));
    assert_eq!(sequence.found, Some((999, true)));
    // It stood where the dump has it when the import ended.
    assert_eq!(sequence.verdict, Verdict::ChangedSince);
    let text = report.to_text();
    let said = "sequence public.counter: last value 999 here, last value 105 in the dump";
    assert!(text.contains(said), "{text}");
}

/// RESTART keeps the position at another place, and the name is the same.
#[test]
fn sequences_are_compared_by_name() {
    let report = after("ALTER SEQUENCE counter RESTART WITH 200");
    let [sequence] = report.sequences.as_slice() else {
        panic!("{:?}", report.sequences);
    };
    assert_eq!(sequence.name, "public.counter");
    assert_eq!(sequence.dump, Some((105, true)));
    assert_eq!(sequence.found, Some((200, false)));
    let text = report.to_text();
    let said = "sequence public.counter: next value 200 here, last value 105 in the dump";
    assert!(text.contains(said), "{text}");
    // Made anew, and set to where it stood.
    let report = after(
        "DROP SEQUENCE counter; CREATE SEQUENCE counter START 100 INCREMENT 5; \
         SELECT setval('counter', 105)",
    );
    assert!(report.sequences.is_empty(), "{:?}", report.sequences);
    // What came or went is an object that did.
    let report = after("DROP SEQUENCE counter; CREATE SEQUENCE other; SELECT nextval('other')");
    assert!(report.sequences.is_empty(), "{:?}", report.sequences);
    assert_eq!(report.objects.missing[0].name, "public.counter");
    assert_eq!(report.objects.added[0].name, "public.other");
}

/// Text that differs in white space alone is seen to differ.
#[test]
fn white_space_is_shown() {
    let report = after("COMMENT ON TABLE geo.city IS E'where  people\nlive'");
    let [object] = report.objects.changed.as_slice() else {
        panic!("{:?}", report.objects);
    };
    assert_eq!(
        object.details,
        [r#"comment: "where people live" in the dump, "where  people\nlive" here"#]
    );
}

/// A comparison changes nothing, and what a view would answer today is no question to it.
#[test]
fn views_are_planned_and_never_run() {
    let place = Place::new();
    let db = place.open("lite");
    db.execute(
        "CREATE SEQUENCE ticket; CREATE VIEW draw AS SELECT nextval('ticket') AS number;
         CREATE TABLE t (a int); INSERT INTO t VALUES (0);
         CREATE VIEW inverse AS SELECT 1 / a AS x FROM t",
    )
    .unwrap();
    place.export(&db, "d");
    db.close().unwrap();
    place.import("d", "full").unwrap();
    for _ in 0..2 {
        let report = place.verify("d", "full");
        assert!(report.is_equal(), "{}", report.to_text());
    }
    let db = full(&place.path("full"));
    assert_eq!(rows(&db, "SELECT number FROM draw"), ["1"]);
    db.close().unwrap();
}

#[test]
fn a_view_that_cannot_be_planned_is_found() {
    let report = after("DROP VIEW geo.big");
    let views = report.checks.iter().find(|c| c.name == "views").unwrap();
    assert_eq!(views.verdict, Verdict::Differs);
    assert_eq!(
        views.details,
        ["view geo.big: relation \"geo.big\" does not exist"]
    );
}

#[test]
fn a_dropped_index_is_found() {
    let report = after("DROP INDEX geo.city_by_people");
    let [index] = report.objects.missing.as_slice() else {
        panic!("{:?}", report.objects);
    };
    assert_eq!(
        (index.kind.as_str(), index.name.as_str(), index.verdict),
        ("index", "geo.city_by_people", Verdict::ChangedSince)
    );
}

#[test]
fn changed_definitions_are_found() {
    for (sql, kind, name, what) in [
        (
            "CREATE OR REPLACE VIEW geo.big AS SELECT name, people FROM geo.city WHERE people > 1",
            "view",
            "geo.big",
            "definition",
        ),
        (
            "COMMENT ON TABLE geo.city IS NULL",
            "table",
            "geo.city",
            "comment",
        ),
        ("ALTER ROLE anna NOLOGIN", "role", "anna", "definition"),
        (
            "ALTER TABLE geo.city ALTER COLUMN mayor SET DEFAULT 'x'",
            "table",
            "geo.city",
            "definition",
        ),
    ] {
        let report = after(sql);
        let [object] = report.objects.changed.as_slice() else {
            panic!("{sql}: {:?}", report.objects);
        };
        assert_eq!((object.kind.as_str(), object.name.as_str()), (kind, name));
        assert_eq!(object.verdict, Verdict::ChangedSince, "{sql}");
        assert!(object.details[0].starts_with(what), "{:?}", object.details);
    }
}

#[test]
fn a_removed_comment_on_a_column_and_a_new_table_are_found() {
    let report = after("COMMENT ON COLUMN geo.city.area IS NULL");
    assert_eq!(report.objects.missing[0].kind, "column comment");
    let report = after("CREATE TABLE more (a int)");
    let added = report.objects.added.iter();
    let added: Vec<&str> = added.map(|o| o.name.as_str()).collect();
    assert_eq!(added, ["public.more"]);
}

#[test]
fn an_added_column_is_a_changed_table() {
    let report = after("ALTER TABLE geo.city ADD COLUMN more int DEFAULT 7");
    let city = table(&report, "geo.city");
    assert_eq!(city.verdict, Verdict::ChangedSince);
    assert!(city.details[0].contains("columns"), "{:?}", city.details);
    assert_eq!(report.objects.changed[0].name, "geo.city");
}

/// Rows that were written again with the values they had are the same rows, with more of a past.
#[test]
fn a_change_that_changes_nothing_is_none() {
    let place = imported();
    let db = full(&place.path("full"));
    db.execute("UPDATE geo.city SET name = name").unwrap();
    db.close().unwrap();
    let report = place.verify("world.dump", "full");
    assert!(report.is_equal(), "{}", report.to_text());
}

/// No password is shown, and still it is not the same.
#[test]
fn a_changed_password_is_found() {
    let report = after("ALTER ROLE anna PASSWORD 'other'");
    let [role] = report.objects.changed.as_slice() else {
        panic!("{:?}", report.objects);
    };
    assert_eq!((role.kind.as_str(), role.name.as_str()), ("role", "anna"));
    assert_eq!(role.verdict, Verdict::ChangedSince);
    assert_eq!(role.details, ["password differs"]);
}

/// Another database has other content at the dump's snapshot: that is no change of today.
#[test]
fn another_database_differs() {
    let place = imported();
    let db = full(&place.path("other"));
    db.execute("CREATE TABLE t (a int)").unwrap();
    db.close().unwrap();
    let report = place.verify("world.dump", "other");
    assert!(!report.is_equal());
    assert_eq!(table(&report, "geo.city").verdict, Verdict::Differs);
    assert!(
        report
            .notes
            .iter()
            .any(|n| n.contains("does not say that this dump"))
    );
}

#[test]
fn a_directory_that_a_server_has_is_refused_readably() {
    let place = imported();
    let db = full(&place.path("full"));
    let options = VerifyOptions::new(&[], "full");
    let verify = |directory: &str| {
        dump::verify(
            &place.path("world.dump"),
            &place.path(directory),
            &options,
            &Silent,
        )
        .map(drop)
        .unwrap_err()
        .to_string()
    };
    let said = verify("full");
    assert!(said.contains("in use by another process"), "{said}");
    db.close().unwrap();
    let said = verify("nowhere");
    assert!(said.contains("there is no such directory"), "{said}");
    assert!(!place.path("nowhere").exists());
    fs::create_dir(place.path("empty")).unwrap();
    let said = verify("empty");
    assert!(said.contains("not a HeliosDB database"), "{said}");
    assert!(names(&place.path("empty")).is_empty());
}

/// A dump of `place`'s database, with its history or without, as of one moment.
fn export(place: &Place, db: &Database, file: &str, history: bool) {
    let mut out = File::create(place.path(file)).unwrap();
    let options = ExportOptions {
        history,
        ..ExportOptions::default()
    };
    db.export(&mut out, &options, &Silent).unwrap();
}

/// Nothing differs but what the catalog and a store once had.
#[test]
fn a_lost_past_of_catalog_and_stores_is_found() {
    let place = Place::new();
    let db = place.open("lite");
    db.execute("CREATE VIEW v AS SELECT 1 AS a").unwrap();
    db.execute("CREATE OR REPLACE VIEW v AS SELECT 2 AS a")
        .unwrap();
    db.close().unwrap();
    place.leave_store("lite", "gone", 7);
    place.remove_from_store("lite", "gone", 3);
    let db = place.open("lite");
    export(&place, &db, "whole.dump", true);
    export(&place, &db, "present.dump", false);
    db.close().unwrap();
    let options = ImportOptions {
        keep_orphans: true,
        ..ImportOptions::new(&[], "full")
    };
    for target in ["whole", "present"] {
        let dump = format!("{target}.dump");
        place.import_with(&dump, target, &options).unwrap();
        let report = place.verify(&dump, target);
        assert!(report.is_equal(), "{}", report.to_text());
    }
    let report = place.verify("whole.dump", "present");
    let past = report.checks.iter();
    let past: Vec<_> = past
        .filter(|c| c.name.starts_with("history of the catalog"))
        .collect();
    assert_eq!(past.len(), 1, "{}", report.to_text());
    assert_eq!(past[0].verdict, Verdict::Differs);
    let [store] = report.stores.as_slice() else {
        panic!("{:?}", report.stores);
    };
    assert_eq!(store.verdict, Verdict::Differs);
    assert_eq!(
        store.details,
        ["its history is not that of the dump: 6 versions here, 8 in the dump"]
    );
}
