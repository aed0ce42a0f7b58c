//! Checks of databases that SQL made.

use std::path::Path;
use std::sync::Arc;

use heliosdb_dump::Silent;
use heliosdb_storage::catalog::CATALOG as DEFINITIONS;
use heliosdb_storage::io::OpenMode;
use heliosdb_storage::{Durability, Engine, Isolation, Options, Transaction};

use super::*;

const SQL: &str = "
    CREATE SCHEMA s;
    CREATE SEQUENCE s.n;
    CREATE TABLE s.city (id int PRIMARY KEY, name text UNIQUE, founded date, people numeric[]);
    CREATE INDEX city_by_date ON s.city (founded DESC, name);
    CREATE TABLE gone (a int);
    INSERT INTO gone VALUES (1), (2);
    INSERT INTO s.city SELECT g, CASE WHEN g % 7 > 0 THEN 'city ' || g END,
        date '2000-01-01' + g::int, ARRAY[g, NULL] FROM generate_series(1, 500) g;
    CHECKPOINT;
    UPDATE s.city SET name = name || '!' WHERE id % 3 = 0;
    DELETE FROM s.city WHERE id % 11 = 0;
    CHECKPOINT;
    DROP TABLE gone;
    ALTER TABLE s.city ADD COLUMN mayor text DEFAULT 'nobody';
    ALTER TABLE s.city DROP COLUMN founded;
    TRUNCATE s.city;
    INSERT INTO s.city (id, name) VALUES (1, 'a'), (2, NULL);
    CHECKPOINT;
    INSERT INTO s.city (id, name) SELECT g, 'later ' || g FROM generate_series(3, 50) g;
    COMMENT ON TABLE s.city IS 'cities'";

fn made() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path()).unwrap();
    for statement in SQL.split(";\n") {
        db.execute(statement).unwrap();
    }
    db.close().unwrap();
    directory
}

fn checked(directory: &Path) -> Result<CheckReport, OpenError> {
    let options = CheckOptions {
        config: &Config::default(),
        linked: &[],
        interrupt: Interrupt::new(),
    };
    check(directory, &options, &Silent)
}

/// Write beneath SQL.
fn with(directory: &Path, work: impl FnOnce(&mut Transaction)) {
    let disk = Arc::new(Disk::open(directory).unwrap());
    let engine = Engine::open(disk, Options::default()).unwrap();
    let mut transaction = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    transaction.begin_statement();
    work(&mut transaction);
    transaction.commit(Durability::Synchronous).unwrap();
    engine.close().unwrap();
}

/// The definition of the one table there is.
fn one_definition(transaction: &Transaction) -> (CollectionId, Vec<u8>) {
    let view = transaction.read_view();
    let all = std::ops::Bound::Unbounded;
    let mut definitions = view.range(DEFINITIONS, all, all).unwrap();
    let (key, value) = definitions.next().unwrap().unwrap();
    assert!(definitions.next().is_none());
    let id = u32::from_be_bytes(key.as_slice().try_into().unwrap());
    (CollectionId(id), value)
}

#[test]
fn a_database_of_sql_is_whole() {
    let directory = made();
    let report = checked(directory.path()).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.verdict, CheckVerdict::Whole);
    let totals = report.totals;
    assert_eq!((totals.tables, totals.rows), (1, 50));
    // The index on a dropped column went with it.
    assert_eq!((totals.indexes, totals.entries), (2, 100));
    assert!(report.to_text().ends_with("the database is whole\n"));
}

/// The last value page of a file, by the format's drawing: pages lie back to back.
fn value_page(segment: &[u8], collection: u32, column: u16) -> Option<usize> {
    let number = |at: usize, n: usize| {
        let bytes = segment[at..at + n].iter().rev();
        bytes.fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let (mut at, mut found) = (32, None);
    while at < number(segment.len() - 40, 8) {
        let is_it = (number(at + 4, 1), number(at + 6, 2), number(at + 8, 4));
        if is_it == (5, column.into(), collection as usize) {
            found = Some(at);
        }
        at += 32 + number(at + 20, 4);
    }
    found
}

#[test]
#[allow(clippy::disallowed_methods)] // Damage goes around the engine.
fn damage_is_told_with_names() {
    let directory = made();
    let mut table = 0;
    with(directory.path(), |t| table = one_definition(t).0.0);
    let segments = directory.path().join("segments");
    let mut names: Vec<_> = std::fs::read_dir(&segments)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let (path, mut bytes, at) = names
        .into_iter()
        .find_map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            let at = value_page(&bytes, table, 1)?;
            Some((path, bytes, at))
        })
        .unwrap();
    bytes[at + 33] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let report = checked(directory.path()).unwrap();
    assert_eq!(report.verdict, CheckVerdict::Damaged);
    let first = &report.findings[0];
    assert_eq!((first.kind, first.offset), ("damage", Some(at as u64)));
    assert_eq!(first.name.as_deref(), Some("s.city"));
    assert_eq!(first.column.as_deref(), Some("name"));
    let text = report.to_text();
    let place = format!(
        "DAMAGED      segments/{} at byte {at}, HEAD block 0, values, s.city, column name\n",
        path.file_name().unwrap().to_str().unwrap()
    );
    assert!(text.starts_with(&place), "{text}");
    assert!(text.ends_with("the database is damaged\n"), "{text}");
    // What needs the column's values cannot be compared, which is told by the index's name.
    let index = report.findings.iter().find(|f| f.kind == "not_checked");
    assert_eq!(index.unwrap().name.as_deref(), Some("s.city_name_key"));
}

#[test]
fn rows_of_the_catalog_that_do_not_read_are_told() {
    let catalog = CollectionId(16);
    let directory = made();
    with(directory.path(), |t| {
        t.put(catalog, &[1, 9, 9, 9, 9], b"\x01{}").unwrap()
    });
    let report = checked(directory.path()).unwrap();
    assert_eq!(report.verdict, CheckVerdict::Damaged);
    assert_eq!(report.findings.len(), 1, "{report:#?}");
    assert_eq!(report.findings[0].name.as_deref(), Some("the catalog"));

    // From a newer build, which is no damage.
    let directory = made();
    with(directory.path(), |t| t.put(catalog, &[200], b"").unwrap());
    let report = checked(directory.path()).unwrap();
    assert_eq!(report.verdict, CheckVerdict::Unknown);
    assert!(report.findings[0].what.contains("newer version"));

    let directory = made();
    with(directory.path(), |t| {
        t.put(store::STORES, b"odd", b"odd").unwrap()
    });
    let report = checked(directory.path()).unwrap();
    let finding = &report.findings[0];
    assert_eq!(
        finding.name.as_deref(),
        Some("the directory of plugin stores")
    );
    assert_eq!(finding.kind, "damage");
}

#[test]
fn the_catalog_is_held_against_storage() {
    let directory = made();
    let mut id = [0; 4];
    with(directory.path(), |t| {
        let (table, value) = one_definition(t);
        let mut def = heliosdb_storage::catalog::decode_table(table, &value).unwrap();
        def.indexes.pop();
        t.define_table(&def).unwrap();
        id = table.0.to_be_bytes();
    });
    let report = checked(directory.path()).unwrap();
    assert_eq!(report.findings.len(), 1, "{report:#?}");
    assert_eq!(report.findings[0].name.as_deref(), Some("s.city"));
    assert!(report.findings[0].what.contains("has another index"));

    with(directory.path(), |t| t.remove(DEFINITIONS, &id).unwrap());
    let report = checked(directory.path()).unwrap();
    let told = |f: &NamedFinding| f.what == "storage has no definition of the table";
    assert!(report.findings.iter().any(told), "{report:#?}");
}

#[test]
fn what_is_no_database_is_not_checked() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("nowhere");
    for path in [&nowhere, directory.path()] {
        assert!(checked(path).is_err());
    }
    assert!(!nowhere.exists());
    let made = made();
    let db = Database::open(made.path()).unwrap();
    let refused = checked(made.path()).unwrap_err();
    assert!(refused.error.is_in_use());
    db.close().unwrap();
}

#[test]
fn an_import_that_did_not_finish_is_told() {
    let directory = made();
    let io = Disk::open(directory.path()).unwrap();
    io.open(MARKER_FILE, OpenMode::CreateNew).unwrap();
    let report = checked(directory.path()).unwrap();
    assert_eq!(report.verdict, CheckVerdict::Unknown);
    assert_eq!(report.findings.len(), 1, "{report:#?}");
    assert_eq!(report.findings[0].file.as_deref(), Some("import.pending"));
    // Checked all the same.
    assert_eq!(report.totals.tables, 1);

    let directory = tempfile::tempdir().unwrap();
    let io = Disk::open(directory.path()).unwrap();
    io.open(MARKER_FILE, OpenMode::CreateNew).unwrap();
    let report = checked(directory.path()).unwrap();
    assert_eq!(report.verdict, CheckVerdict::Unknown);
}
