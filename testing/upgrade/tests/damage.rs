//! Every byte of a dump counts: one that is changed, missing or too many refuses the import before
//! anything is written.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use heliosdb_upgrade::edition::Edition;
use heliosdb_upgrade::{damage, transfer};

/// A dump with something of everything, and still small.
fn small_dump(directory: &Path) -> PathBuf {
    let lite = Edition::Lite
        .open(&directory.join("lite"))
        .expect("a database");
    let statements = "CREATE JSON SCHEMA s AS '{\"type\": \"object\"}'; \
         CREATE TABLE t (id integer PRIMARY KEY, x text, doc jsonb VALIDATE USING SCHEMA s); \
         INSERT INTO t VALUES (1, 'one', '{}'), (2, NULL, NULL); \
         CREATE SEQUENCE q; CREATE VIEW v AS SELECT x FROM t";
    let mut lite = lite;
    for statement in statements.split("; ") {
        lite.execute(statement).expect(statement);
    }
    lite.execute("UPDATE t SET x = 'two' WHERE id = 2")
        .expect("an update");
    let dump = directory.join("small.dump");
    transfer::export(lite.database(), &dump).expect("a dump");
    dump
}

#[test]
fn damage_of_any_kind_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (dump, target) = (small_dump(directory.path()), directory.path().join("full"));
    let whole = fs::read(&dump).expect("the dump");
    println!("a dump of {} bytes", whole.len());
    assert!(whole.len() < 64 << 10);

    let changed = damage::every_byte(&dump, &target).expect("all are refused");
    let cut = damage::every_length(&dump, &target).expect("all are refused");
    println!("{changed} changed bytes and {cut} lengths refused");
    assert_eq!(fs::read(&dump).expect("the dump"), whole);

    for appended in [&b"\0"[..], b"x", &[0; 4096], &whole] {
        fs::write(&dump, &whole).expect("written");
        let mut file = OpenOptions::new().append(true).open(&dump).expect("opened");
        file.write_all(appended).expect("written");
        damage::refuse(&dump, &target).expect("refused");
    }
    fs::write(&dump, &whole).expect("written");
    transfer::import(&dump, &target).expect("what is not damaged arrives");
}
