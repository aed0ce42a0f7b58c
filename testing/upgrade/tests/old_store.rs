//! State that an older version of a plugin wrote: the import runs the plugin's own step, and then the
//! registry of Full adopts what came of it.

use std::ops::Bound;
use std::path::Path;

use heliosdb_kernel::dump::report::StoreOutcome;
use heliosdb_kernel::{Config, Database};
use heliosdb_plugin_host::store::{self, STORES};
use heliosdb_storage::{Durability, Interrupt, Isolation};
use heliosdb_upgrade::edition::{self, Edition};
use heliosdb_upgrade::{past, transfer};

const SCHEMA: &str = r#"{"type": "object", "required": ["id"]}"#;

/// A schema's oid, the schema of the catalog it is in, and its name.
type Named = (u32, String, String);

/// Makes a database with two JSON schemas.
fn make(directory: &Path) -> Vec<Named> {
    let mut lite = Edition::Lite.open(directory).expect("a database");
    for sql in [
        format!("CREATE JSON SCHEMA person AS '{SCHEMA}'"),
        "CREATE SCHEMA other".to_owned(),
        format!("CREATE JSON SCHEMA other.\"Pérson\" AS '{SCHEMA}'"),
        "CREATE TABLE people (doc jsonb VALIDATE USING SCHEMA person)".to_owned(),
        "INSERT INTO people VALUES ('{\"id\": 1}')".to_owned(),
    ] {
        lite.execute(&sql).expect(&sql);
    }
    let sql = "SELECT oid::bigint, schema, name FROM helios_plugin_objects ORDER BY oid";
    let rows = lite.query(sql, &[]).expect(sql);
    let named = rows.iter().map(|row| {
        let oid: i64 = row.get(0).expect("an oid");
        let text = |at: usize| row.get::<String>(at).expect("a name");
        (u32::try_from(oid).expect("an oid"), text(1), text(2))
    });
    let named = named.collect();
    edition::close(lite).expect("it closes");
    named
}

/// Puts the store of the schemas back to what version 1 of the plugin wrote: `oid, schema, 0, name`
/// → the text.
fn age(directory: &Path, named: &[Named]) {
    let engine = past::open(directory).expect("an engine");
    let view = engine.latest_view();
    let found = store::find(&view, "jsonschema", "schemas").expect("the directory");
    let found = found.expect("the store of schemas");
    let mut tx = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    let all = (Bound::Unbounded, Bound::Unbounded);
    for entry in view.range(found.collection, all.0, all.1).expect("entries") {
        let (key, _) = entry.expect("an entry");
        store::remove(&mut tx, &found, &key).expect("removed");
    }
    for (oid, schema, name) in named {
        let key = [
            &oid.to_be_bytes(),
            schema.as_bytes(),
            b"\0",
            name.as_bytes(),
        ]
        .concat();
        store::put(&mut tx, &found, &key, SCHEMA.as_bytes()).expect("written");
    }
    let collection = found.collection.0;
    let row = format!("\x01{{\"version\":1,\"collection\":{collection},\"state\":\"live\"}}");
    tx.put(STORES, b"jsonschema\0schemas\0", row.as_bytes())
        .expect("written");
    tx.commit(Durability::Synchronous).expect("committed");
    engine.close().expect("it closes");
}

#[test]
fn state_of_an_old_version_is_upgraded_and_adopted() {
    let directory = tempfile::tempdir().expect("a directory");
    let (lite, full) = (directory.path().join("lite"), directory.path().join("full"));
    let named = make(&lite);
    assert_eq!(named.len(), 2);
    age(&lite, &named);
    let dump = directory.path().join("old.dump");
    {
        // Opened with its plugins it would be upgraded here already.
        let config = Config::default();
        let old = Database::open_edition(&lite, &config, &[], Edition::Lite.name());
        let old = old.expect("a database");
        let manifest = transfer::export(&old, &dump).expect("a dump");
        let stores = manifest.plugins.iter().flat_map(|p| &p.stores);
        assert_eq!(stores.collect::<Vec<_>>(), [&("schemas".to_owned(), 1)]);
        old.close().expect("it closes");
    }

    let report = transfer::import(&dump, &full).unwrap_or_else(|e| panic!("{}", e.explain()));
    let outcome = |plugin: &str| {
        let of = report.stores.iter().filter(|s| s.plugin == plugin);
        of.map(|s| (s.outcome, s.from.clone(), s.to_version))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        outcome("jsonschema"),
        [(
            StoreOutcome::Migrated,
            Some("jsonschema.schemas@1".to_owned()),
            Some(2)
        )]
    );
    assert!(
        outcome("schema_registry")
            .iter()
            .any(|(what, ..)| *what == StoreOutcome::Adopted),
        "{:?}",
        report.stores
    );

    let mut full = Edition::Full.open(&full).expect("a database");
    let listed = full.query("SELECT name FROM jsonschema_list() ORDER BY name", &[]);
    let listed = listed.expect("the schemas");
    let names: Vec<String> = listed.iter().map(|r| r.get(0).expect("a name")).collect();
    assert_eq!(names, ["Pérson", "person"]);
    full.execute("INSERT INTO people VALUES ('{\"id\": 2}')")
        .expect("it matches");
    let error = full
        .execute("INSERT INTO people VALUES ('{}')")
        .expect_err("it does not");
    assert_eq!(error.code.as_str(), "23514");
    edition::close(full).expect("it closes");
}
