//! A database of Lite that is moved to Full: its named schemas become versions, and the plugin that has
//! them goes on having them. Full does not open it where it is.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use heliosdb_kernel::{Config, Database, Error};
use heliosdb_sqllogic::{Edition, moved};

fn open(directory: &Path, edition: Edition, config: &str) -> Database {
    let config = Config::parse(config, "heliosdb.toml").unwrap();
    let linked = edition.linked().unwrap();
    Database::open_edition(directory, &config, &linked, edition.name()).unwrap()
}

/// Moves a database of Lite to Full, beside it; closed, and the way to it.
fn to_full(lite: Database) -> PathBuf {
    let (dump, full) = (
        lite.directory().with_file_name("lite.dump"),
        lite.directory().with_file_name("full"),
    );
    moved::import(&lite, &dump, &full).unwrap();
    lite.close().unwrap();
    full
}

fn run(database: &Database, statements: &[&str]) {
    for sql in statements {
        let done = database.query(sql, &[]).map(drop);
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// The rows of a query of one column of text, a line each.
fn check(database: &Database, sql: &str, expected: Expect) {
    let rows = database.query(sql, &[]).unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    expected.assert_eq(&lines.join("\n"));
}

const OFF: &str = "[plugins.schema_registry]\nactivation = \"off\"\n";

const VERSIONS: &str = "\
SELECT concat_ws(' ', coalesce(schema_name || '.' || name, 'nameless'), version, uri, draft,
         left(digest, 8), origin, recorded_by, CASE WHEN is_current THEN 'current' END,
         CASE WHEN dropped_at IS NOT NULL THEN 'dropped' END, schema::text)
FROM json_schema_versions()";

/// The name, and whether version 1 has a time: that of the adoption.
const TIMES: &str = "\
SELECT name || ' ' || (recorded_at = published_at)::text
FROM json_schema_versions(), helios_plugin_migrations WHERE plugin = 'schema_registry'
ORDER BY name";

#[test]
fn schemas_of_lite_are_version_1_in_full() {
    let directory = tempfile::tempdir().unwrap();
    let lite = open(&directory.path().join("lite"), Edition::Lite, "");
    run(
        &lite,
        &[
            "CREATE JSON SCHEMA person AS '{\"required\": [\"name\"]}'",
            "CREATE SCHEMA shop",
            "CREATE JSON SCHEMA shop.\"Order\" DRAFT '7' URI 'urn:order' AS 'true'",
            "CREATE JSON SCHEMA gone AS 'false'",
            "CREATE TABLE people (doc jsonb VALIDATE USING SCHEMA person)",
            "ALTER JSON SCHEMA person AS '{\"required\": [\"id\"]}'",
            "DROP JSON SCHEMA gone",
        ],
    );
    let moved = to_full(lite);

    let full = open(&moved, Edition::Full, "");
    check(
        &full,
        VERSIONS,
        expect![[r#"
        public.person 1 json-schema:///public/person 2020-12 cbed993f adopted from jsonschema.schemas@2 current {"required": ["id"]}
        shop.Order 1 urn:order 7 b5bea41b adopted from jsonschema.schemas@2 current true"#]],
    );
    check(
        &full,
        TIMES,
        expect![[r#"
        Order true
        person true"#]],
    );
    // The column is checked by the same plugin from the same store.
    let refused = full
        .query("INSERT INTO people VALUES ('{}')", &[])
        .map(drop);
    assert_eq!(refused.unwrap_err().code.as_str(), "23514");
    // The first statement that is observed may be the one that takes the name away.
    run(
        &full,
        &[
            "DROP SCHEMA shop CASCADE",
            "ALTER JSON SCHEMA person AS 'true'",
        ],
    );
    check(
        &full,
        VERSIONS,
        expect![[r#"
        public.person 1 json-schema:///public/person 2020-12 cbed993f adopted from jsonschema.schemas@2 {"required": ["id"]}
        public.person 2 json-schema:///public/person 2020-12 b5bea41b ALTER JSON SCHEMA helios current true
        shop.Order 1 urn:order 7 b5bea41b adopted from jsonschema.schemas@2 dropped true"#]],
    );
    full.close().unwrap();

    // It happens once.
    let off = open(&moved, Edition::Full, OFF);
    run(&off, &["CREATE JSON SCHEMA later AS 'true'"]);
    off.close().unwrap();
    let full = open(&moved, Edition::Full, "");
    run(&full, &["ALTER JSON SCHEMA person RENAME TO human"]);
    check(
        &full,
        VERSIONS,
        expect![[r#"
        public.human 1 json-schema:///public/person 2020-12 cbed993f adopted from jsonschema.schemas@2 {"required": ["id"]}
        public.human 2 json-schema:///public/person 2020-12 b5bea41b ALTER JSON SCHEMA helios current true
        public.later 1 json-schema:///public/later 2020-12 b5bea41b found helios current true
        shop.Order 1 urn:order 7 b5bea41b adopted from jsonschema.schemas@2 dropped true"#]],
    );
}

/// What was adopted and dropped before any statement was observed has nobody who knows its name.
#[test]
fn a_registry_that_is_off_records_nothing_and_is_asked_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let lite = open(&directory.path().join("lite"), Edition::Lite, "");
    run(&lite, &["CREATE JSON SCHEMA person AS 'true'"]);
    let moved = to_full(lite);

    let off = open(&moved, Edition::Full, OFF);
    run(
        &off,
        &[
            "DROP JSON SCHEMA person",
            "CREATE JSON SCHEMA pet AS 'true'",
        ],
    );
    let refused = off.query(VERSIONS, &[]).map(drop);
    assert_eq!(refused.unwrap_err().code.as_str(), "42883");
    off.close().unwrap();

    let full = open(&moved, Edition::Full, "");
    check(
        &full,
        VERSIONS,
        expect![
            "nameless 1 json-schema:///public/person 2020-12 b5bea41b adopted from jsonschema.schemas@2 true"
        ],
    );
    run(&full, &["CREATE JSON SCHEMA other AS 'true'"]);
    check(
        &full,
        VERSIONS,
        expect![[r#"
        public.other 1 json-schema:///public/other 2020-12 b5bea41b CREATE JSON SCHEMA helios current true
        public.pet 1 json-schema:///public/pet 2020-12 b5bea41b found helios current true
        nameless 1 json-schema:///public/person 2020-12 b5bea41b adopted from jsonschema.schemas@2 true"#]],
    );
}

/// Nothing of Full's runs on it: no store is adopted, no extension installed.
#[test]
fn a_database_of_lite_is_left_alone_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (path, config) = (directory.path(), Config::default());
    let lite = open(path, Edition::Lite, "");
    run(&lite, &["CREATE JSON SCHEMA person AS 'true'"]);
    lite.close().unwrap();
    let linked = Edition::Full.linked().unwrap();
    // This program links the bundles of both, of which Full's says what a program is.
    for refused in [
        Database::open_edition(path, &config, &linked, "full"),
        Database::open_bundle(path, &config, &linked),
        Database::open(path),
    ] {
        let refused = refused.map(drop).unwrap_err();
        assert!(matches!(refused.error, Error::Edition { .. }), "{refused}");
    }
    let lite = open(path, Edition::Lite, "");
    check(
        &lite,
        "SELECT plugin || '.' || store FROM helios_plugin_stores WHERE plugin IN ('jsonschema', 'schema_registry')
         UNION ALL SELECT extname FROM pg_extension WHERE extname = 'schema_registry'",
        expect!["jsonschema.schemas"],
    );
}
