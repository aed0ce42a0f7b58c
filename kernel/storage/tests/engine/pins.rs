//! Pins and cursors: what they hold, for how long, and what is said of them.

use heliosdb_storage::history::named::PINS;
use heliosdb_storage::ids::{CollectionId, RowId, Ts};
use heliosdb_storage::*;

use super::changes::rows_between;
use super::support::*;

const STORE: CollectionId = CollectionId(500);

/// History is not kept for anybody who does not ask.
fn forgetful() -> Options {
    Options {
        retention_micros: Some(0),
        ..small()
    }
}

fn pin(name: &str, kind: PinKind, ts: Ts) -> NamedPin {
    NamedPin {
        name: name.to_owned(),
        kind,
        ts,
        created_micros: 0,
        owner: "helios".to_owned(),
        reason: "to see whether it is held".to_owned(),
    }
}

fn create(engine: &Engine, name: &str, kind: PinKind, ts: Ts) -> Result<()> {
    let mut txn = begin(engine);
    txn.create_pin(pin(name, kind, ts))?;
    txn.commit(Durability::Synchronous).map(drop)
}

fn remove(engine: &Engine, name: &str) -> Result<()> {
    let mut txn = begin(engine);
    txn.remove_pin(name)?;
    txn.commit(Durability::Synchronous).map(drop)
}

fn advance(engine: &Engine, name: &str, to: Ts) -> Result<()> {
    let mut txn = begin(engine);
    txn.advance_cursor(name, to)?;
    txn.commit(Durability::Synchronous).map(drop)
}

fn rename(engine: &Engine, ids: &[RowId], name: &str) -> Ts {
    let mut txn = begin(engine);
    let rows: Vec<Row> = (1..).zip(ids).map(|(id, _)| row(id, name)).collect();
    txn.update(&table(), ids, &batch(&rows)).unwrap();
    txn.commit(Durability::Synchronous).unwrap()
}

fn compact(engine: &Engine) {
    engine.compact_all(&Interrupt::new()).unwrap();
}

fn names_at(engine: &Engine, ts: Ts) -> Result<Vec<String>> {
    let rows = scan(&engine.view_at(ts)?).into_iter();
    Ok(rows.map(|(_, (_, name))| name).collect())
}

fn is_gone<T: std::fmt::Debug>(outcome: Result<T>) -> bool {
    matches!(outcome, Err(Error::SnapshotTooOld { .. }))
}

#[test]
fn a_point_holds_history_until_it_is_removed() {
    let db = Database::with(forgetful());
    let ids = insert(&db.engine, &[row(1, "first")]);
    let first = db.engine.latest_view().ts();
    create(&db.engine, "before", PinKind::Point, first).unwrap();
    let second = rename(&db.engine, &ids, "second");
    rename(&db.engine, &ids, "third");
    compact(&db.engine);
    assert_eq!(names_at(&db.engine, first).unwrap(), ["first"]);
    let held = db.engine.stats().horizon.held_by;
    assert_eq!(held, HeldBy::Named("before".to_owned()));
    let db = db.reopen();
    rename(&db.engine, &ids, "fourth");
    compact(&db.engine);
    assert_eq!(names_at(&db.engine, first).unwrap(), ["first"]);
    assert_eq!(names_at(&db.engine, second).unwrap(), ["second"]);
    let pins = db.engine.pins().unwrap();
    assert_eq!(pins.len(), 1);
    assert!(pins[0].pin.created_micros > 0 && !pins[0].expired);
    let expected = pin("before", PinKind::Point, first);
    let expected = NamedPin {
        created_micros: pins[0].pin.created_micros,
        ..expected
    };
    assert_eq!(pins[0].pin, expected);
    remove(&db.engine, "before").unwrap();
    compact(&db.engine);
    assert!(is_gone(names_at(&db.engine, first)));
    assert_eq!(db.engine.pins().unwrap(), []);
    db.check();
}

#[test]
fn history_is_held_from_the_moment_a_transaction_names_it() {
    let db = Database::with(forgetful());
    let ids = insert(&db.engine, &[row(1, "first")]);
    let first = db.engine.latest_view().ts();
    let mut txn = begin(&db.engine);
    txn.create_pin(pin("point", PinKind::Point, first)).unwrap();
    txn.begin_statement();
    let rolled_back = {
        let mut txn = begin(&db.engine);
        txn.create_pin(pin("other", PinKind::Point, first)).unwrap();
        txn
    };
    rename(&db.engine, &ids, "second");
    compact(&db.engine);
    assert_eq!(names_at(&db.engine, first).unwrap(), ["first"]);
    txn.commit(Durability::Synchronous).unwrap();
    rolled_back.rollback();
    compact(&db.engine);
    assert_eq!(names_at(&db.engine, first).unwrap(), ["first"]);
    // One that came to nothing holds nothing.
    let mut txn = begin(&db.engine);
    let savepoint = txn.savepoint();
    txn.remove_pin("point").unwrap();
    txn.rollback_to(savepoint);
    txn.commit(Durability::Synchronous).unwrap();
    compact(&db.engine);
    assert_eq!(names_at(&db.engine, first).unwrap(), ["first"]);
    remove(&db.engine, "point").unwrap();
    compact(&db.engine);
    assert!(is_gone(names_at(&db.engine, first)));
}

/// A consumer that copies a table by its changes. Whatever was compacted meanwhile, the changes since its
/// cursor are there, and what it made of them and its cursor are of the same commit.
#[test]
fn a_cursor_moves_with_what_its_owner_writes() {
    let mut db = Database::with(forgetful());
    let start = db.engine.latest_view().ts();
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    create(&db.engine, "copy", PinKind::Cursor, start).unwrap();
    for round in 0..12 {
        if round % 3 != 2 {
            rename(&db.engine, &ids, &format!("round {round}"));
        }
        compact(&db.engine);
        let since = db.engine.cursor("copy").unwrap();
        let until = db.engine.durable();
        let changes = rows_between(&db.engine, since, until, Changes::Net).unwrap();
        let mut txn = begin(&db.engine);
        for (_, id, sign, (_, name)) in changes {
            let key = id.0.to_be_bytes();
            match sign {
                1 => txn.put(STORE, &key, name.as_bytes()).unwrap(),
                _ => txn.remove(STORE, &key).unwrap(),
            }
        }
        txn.advance_cursor("copy", until).unwrap();
        match round % 4 {
            3 => txn.rollback(),
            _ => drop(txn.commit(Durability::Synchronous).unwrap()),
        }
        if round % 5 == 4 {
            db = db.reopen();
        }
        let cursor = db.engine.cursor("copy").unwrap();
        assert_eq!(cursor, if round % 4 == 3 { since } else { until });
        let view = db.engine.view_at(cursor).unwrap();
        let then: Vec<String> = scan(&view).into_iter().map(|(_, (_, name))| name).collect();
        let latest = db.engine.latest_view();
        let copy = ids
            .iter()
            .map(|id| latest.get(STORE, &id.0.to_be_bytes()).unwrap());
        let copy: Vec<String> = copy
            .map(|v| String::from_utf8(v.unwrap()).unwrap())
            .collect();
        assert_eq!(copy, then, "round {round}");
    }
    assert!(is_gone(db.engine.view_at(start)), "what was seen goes");
    db.check();
}

#[test]
fn a_cursor_too_far_behind_holds_nothing_and_its_owner_is_told() {
    let db = Database::with(Options {
        max_pin_age_micros: Some(0),
        ..forgetful()
    });
    let ids = insert(&db.engine, &[row(1, "first")]);
    let first = db.engine.latest_view().ts();
    create(&db.engine, "slow", PinKind::Cursor, first).unwrap();
    create(&db.engine, "point", PinKind::Point, first).unwrap();
    rename(&db.engine, &ids, "second");
    for expired in [
        db.engine.cursor("slow").map(drop),
        advance(&db.engine, "slow", first),
    ] {
        let expired = expired.unwrap_err();
        let Error::CursorExpired { name, ts } = expired else {
            panic!("{expired}")
        };
        assert_eq!((name.as_str(), ts), ("slow", first));
    }
    let states = db.engine.pins().unwrap();
    let states: Vec<(&str, bool)> = states.iter().map(|s| (&*s.pin.name, s.expired)).collect();
    assert_eq!(states, [("point", false), ("slow", true)]);
    compact(&db.engine);
    assert_eq!(
        names_at(&db.engine, first).unwrap(),
        ["first"],
        "a point has no age"
    );
    remove(&db.engine, "point").unwrap();
    compact(&db.engine);
    assert!(is_gone(names_at(&db.engine, first)));
    remove(&db.engine, "slow").unwrap();
    assert!(matches!(
        db.engine.cursor("slow"),
        Err(Error::NoSuchPin { .. })
    ));
    db.check();
}

#[test]
fn what_cannot_be_held_is_refused() {
    let db = Database::with(forgetful());
    let ids = insert(&db.engine, &[row(1, "first")]);
    let first = db.engine.latest_view().ts();
    let second = rename(&db.engine, &ids, "second");
    compact(&db.engine);
    let kind = PinKind::Point;
    assert!(is_gone(create(&db.engine, "a", kind, first)));
    let future = create(&db.engine, "a", kind, Ts(second.0 + 1_000_000));
    assert!(
        matches!(future, Err(Error::SnapshotTooNew { .. })),
        "{future:?}"
    );
    create(&db.engine, "a", kind, second).unwrap();
    let again = create(&db.engine, "a", kind, second).unwrap_err();
    assert!(matches!(again, Error::PinExists { .. }), "{again}");
    let moved = advance(&db.engine, "a", second).unwrap_err();
    assert!(matches!(moved, Error::Invalid { .. }), "a point: {moved}");
    assert!(matches!(db.engine.cursor("a"), Err(Error::Invalid { .. })));
    create(&db.engine, "c", PinKind::Cursor, db.engine.durable()).unwrap();
    let back = advance(&db.engine, "c", second).unwrap_err();
    assert!(matches!(back, Error::Invalid { .. }), "{back}");
    for missing in [advance(&db.engine, "b", second), remove(&db.engine, "b")] {
        assert!(
            matches!(missing, Err(Error::NoSuchPin { .. })),
            "{missing:?}"
        );
    }
    assert!(create(&db.engine, "", kind, second).is_err());
    let view = db.engine.latest_view();
    assert_eq!(view.get(PINS, b"b").unwrap(), None);
}

/// Of two consumers that read the same changes, one moves the cursor.
#[test]
fn a_cursor_that_moved_since_the_transaction_began_is_not_moved() {
    let db = Database::with(forgetful());
    insert(&db.engine, &[row(1, "first")]);
    let since = db.engine.latest_view().ts();
    create(&db.engine, "copy", PinKind::Cursor, since).unwrap();
    let mut slow = begin(&db.engine);
    slow.begin_statement();
    insert(&db.engine, &[row(2, "second")]);
    let until = db.engine.latest_view().ts();
    let mut quick = begin(&db.engine);
    quick.begin_statement();
    quick.advance_cursor("copy", until).unwrap();
    let mark = quick.savepoint();
    quick.advance_cursor("copy", until).unwrap();
    quick.rollback_to(mark);
    quick.advance_cursor("copy", until).unwrap();
    quick.commit(Durability::Synchronous).unwrap();
    // READ COMMITTED shows the new place to a new statement, which helps nothing: what the transaction made
    // of the changes is made.
    slow.begin_statement();
    let refused = slow.advance_cursor("copy", until).unwrap_err();
    assert!(matches!(refused, Error::SerializationFailure), "{refused}");
    slow.rollback();
    advance(&db.engine, "copy", until).unwrap();
    db.check();
}

#[test]
fn a_pin_can_be_given_to_another_owner() {
    let db = Database::with(forgetful());
    insert(&db.engine, &[row(1, "first")]);
    let first = db.engine.latest_view().ts();
    create(&db.engine, "point", PinKind::Point, first).unwrap();
    let before = db.engine.pins().unwrap().remove(0).pin;
    let mut txn = begin(&db.engine);
    txn.give_pin("point", "heir").unwrap();
    assert!(txn.give_pin("point", &"o".repeat(256)).is_err());
    assert!(matches!(
        txn.give_pin("none", "heir"),
        Err(Error::NoSuchPin { .. })
    ));
    txn.commit(Durability::Synchronous).unwrap();
    let expected = NamedPin {
        owner: "heir".to_owned(),
        ..before
    };
    assert_eq!(db.engine.pins().unwrap().remove(0).pin, expected);
    let db = db.reopen();
    assert_eq!(db.engine.pins().unwrap().remove(0).pin, expected);
    db.check();
}
