//! Stores on a real disk.

use std::sync::Arc;

use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, Options};

use super::*;

fn engine() -> (tempfile::TempDir, Engine) {
    let directory = tempfile::tempdir().unwrap();
    let io = Arc::new(Disk::open(directory.path()).unwrap());
    (directory, Engine::open(io, Options::default()).unwrap())
}

fn begin(engine: &Engine) -> Transaction {
    engine.begin(Isolation::RepeatableRead, Interrupt::new())
}

fn made(engine: &Engine, plugin: &str, name: &str) -> StoreInfo {
    let mut tx = begin(engine);
    let info = create(&mut tx, engine.allocate_collection_id(), plugin, name, 1).unwrap();
    tx.commit(Durability::Synchronous).unwrap();
    info
}

#[test]
fn a_store_is_found_by_plugin_and_name() {
    let (_directory, engine) = engine();
    let a = made(&engine, "a", "s");
    let other = made(&engine, "a", "t");
    let longer = made(&engine, "ab", "s");
    let view = engine.latest_view();
    assert_eq!(find(&view, "a", "s").unwrap(), Some(a.clone()));
    assert_eq!(find(&view, "b", "s").unwrap(), None);
    assert_eq!(
        stores_of(&view, "a").unwrap(),
        [a.clone(), other.clone()],
        "and none of a plugin with a longer name"
    );
    assert_eq!(stores(&view).unwrap(), [a, other, longer]);
}

#[test]
fn a_store_is_created_once_and_with_a_name() {
    let (_directory, engine) = engine();
    made(&engine, "a", "s");
    let mut tx = begin(&engine);
    for (plugin, name) in [("a", "s"), ("a", ""), ("", "s"), ("a", "s\0t")] {
        let id = engine.allocate_collection_id();
        let refused = create(&mut tx, id, plugin, name, 1).unwrap_err();
        assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
    }
}

#[test]
fn what_a_transaction_writes_is_undone_with_it() {
    let (_directory, engine) = engine();
    let mut tx = begin(&engine);
    let id = engine.allocate_collection_id();
    let info = create(&mut tx, id, "a", "s", 1).unwrap();
    put(&mut tx, &info, b"k", b"v").unwrap();
    assert_eq!(tx.latest_view().get(id, b"k").unwrap().unwrap(), b"v");
    tx.rollback();
    assert!(stores(&engine.latest_view()).unwrap().is_empty());
    assert_eq!(engine.latest_view().get(id, b"k").unwrap(), None);
}

/// A session that found a store before it was replaced must not write to what is retired.
#[test]
fn a_store_that_is_no_longer_live_refuses_writes() {
    let (_directory, engine) = engine();
    let old = made(&engine, "a", "s");
    let mut tx = begin(&engine);
    put(&mut tx, &old, b"k", b"v").unwrap();
    remove(&mut tx, &old, b"l").unwrap();
    tx.commit(Durability::Synchronous).unwrap();

    let mut tx = begin(&engine);
    set_state(&mut tx, &old, StoreState::Retired).unwrap();
    let new = create(&mut tx, engine.allocate_collection_id(), "a", "s", 2).unwrap();
    tx.commit(Durability::Synchronous).unwrap();

    let mut tx = begin(&engine);
    let refused = put(&mut tx, &old, b"k", b"w").unwrap_err();
    assert!(matches!(refused, Error::SerializationFailure), "{refused}");
    let refused = remove(&mut tx, &old, b"k").unwrap_err();
    assert!(matches!(refused, Error::SerializationFailure), "{refused}");
    put(&mut tx, &new, b"k", b"w").unwrap();
}

/// What is stored may grow, and never change its meaning.
#[test]
fn the_stored_form_is_fixed() {
    let mut info = StoreInfo {
        plugin: "a".to_owned(),
        name: "s".to_owned(),
        version: 7,
        collection: CollectionId(0x01020304),
        state: StoreState::Live,
    };
    let shown = |info: &StoreInfo| {
        let (key, value) = (key_of(info), encode(info).unwrap());
        assert_eq!(decode(&key, &value).unwrap(), *info);
        format!("{} {}", key.escape_ascii(), value.escape_ascii())
    };
    expect_test::expect![[
        r#"a\x00s\x00 \x01{\"version\":7,\"collection\":16909060,\"state\":\"live\"}"#
    ]]
    .assert_eq(&shown(&info));
    info.state = StoreState::Retired;
    expect_test::expect![[r#"a\x00s\x00\x01\x02\x03\x04 \x01{\"version\":7,\"collection\":16909060,\"state\":\"retired\"}"#]].assert_eq(&shown(&info));
}

#[test]
fn a_damaged_row_is_told_from_a_store() {
    let info = StoreInfo {
        plugin: "a".to_owned(),
        name: "s".to_owned(),
        version: 7,
        collection: CollectionId(9),
        state: StoreState::Shadow,
    };
    let (key, value) = (key_of(&info), encode(&info).unwrap());
    let mut newer = value.clone();
    newer[0] = FORMAT + 1;
    for (key, value) in [
        (&key[..3], &value[..]),
        (b"a", &value),
        (b"a\0s\0\0\0\0\x08", &value),
        (b"\xff\0s\0\0\0\0\x09", &value),
        (&key, &newer),
        (&key, &value[..value.len() - 1]),
        (&key, b""),
    ] {
        let refused = decode(key, value).unwrap_err();
        assert!(matches!(refused, Error::Corruption { .. }), "{refused}");
    }
}
