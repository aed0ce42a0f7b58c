//! A log that is not the disk's alone: what it has not committed is gone with its leadership.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use heliosdb_sim::SimDisk;
use heliosdb_sim::quorum::Quorum;
use heliosdb_sim::rng::Rng;
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::{
    Durability, Engine, Error, Interrupt, Isolation, LocalSink, LogSink, Options, ReadView,
    Transaction,
};

const STORE: CollectionId = CollectionId(900);

fn open(disk: &SimDisk, sink: Box<dyn LogSink>) -> Engine {
    let options = Options {
        wal_segment_bytes: 64 << 10,
        ..Options::default()
    };
    Engine::open_with_sink(Arc::new(disk.clone()), options, sink).unwrap()
}

fn begin(engine: &Engine, isolation: Isolation) -> Transaction {
    let mut txn = engine.begin(isolation, Interrupt::new());
    txn.begin_statement();
    txn
}

fn put(engine: &Engine, key: u8, durability: Durability) -> Result<Ts, Error> {
    let mut txn = begin(engine, Isolation::ReadCommitted);
    txn.put(STORE, &[key], &[key])?;
    txn.commit(durability)
}

/// How many of the keys from 0 on are there; none is there behind the first that is not.
fn prefix(view: &ReadView) -> u8 {
    let there: Vec<bool> = (0..100)
        .map(|key| view.get(STORE, &[key]).unwrap().is_some())
        .collect();
    let count = there.iter().take_while(|there| **there).count();
    assert!(there[count..].iter().all(|there| !there), "{there:?}");
    u8::try_from(count).unwrap()
}

#[test]
fn nobody_is_shown_what_lies_above_the_committed_point() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        let quorum = Quorum::default();
        let engine = open(&disk, quorum.sink());
        quorum.lose_after(rng.below(12));
        let (mut acknowledged, mut tried, mut times) = (0, 0, Vec::new());
        let mut witness = None;
        let refused = loop {
            let durability = match rng.below(3) {
                0 => Durability::Synchronous,
                _ => Durability::Asynchronous,
            };
            tried += 1;
            match put(&engine, tried - 1, durability) {
                Ok(ts) => times.push(ts),
                Err(e) => break e,
            }
            if durability == Durability::Synchronous {
                acknowledged = tried;
            }
            // Somebody looks at the newest state, whoever decides about it.
            let txn = begin(&engine, Isolation::RepeatableRead);
            assert_eq!(prefix(&txn.read_view()), tried);
            witness = Some((txn, tried));
        };
        assert!(matches!(refused, Error::Stopped { .. }), "{refused}");

        let committed = prefix(&engine.latest_view());
        assert!((acknowledged..tried).contains(&committed), "seed {seed}");
        assert_eq!(prefix(&engine.visible_view()), committed);
        for isolation in [
            Isolation::ReadCommitted,
            Isolation::RepeatableRead,
            Isolation::Serializable,
        ] {
            assert_eq!(prefix(&begin(&engine, isolation).read_view()), committed);
            let reader = engine.begin_read_only(isolation, Interrupt::new());
            assert_eq!(prefix(&reader.read_view()), committed);
        }
        for ts in &times {
            let seen = prefix(&engine.view_at(*ts).unwrap());
            assert!(seen <= committed, "seed {seed}: AS OF {ts}");
        }
        // Who has seen what is gone is told so, though it wrote nothing.
        if let Some((txn, saw)) = witness {
            let told = txn.commit(Durability::Synchronous);
            assert_eq!(told.is_err(), saw > committed, "seed {seed}: {told:?}");
        }
        assert!(put(&engine, 99, Durability::Asynchronous).is_err());
        // The tail does not get into a segment either.
        assert!(engine.flush().is_err());
        assert_eq!(prefix(&engine.latest_view()), committed);
        drop(engine);

        // Another process on the same machine knows what the majority knows.
        let engine = open(&disk, Box::new(LocalSink));
        assert_eq!(prefix(&engine.latest_view()), committed, "seed {seed}");
        put(&engine, committed, Durability::Synchronous).unwrap();
        assert_eq!(prefix(&engine.latest_view()), committed + 1);
    }
}

/// The majority has every record of the log, in its order.
#[test]
fn all_commits_go_through_the_sink() {
    let disk = SimDisk::new(3);
    let quorum = Quorum::default();
    let engine = open(&disk, quorum.sink());
    for key in 0..5 {
        put(&engine, key, Durability::Asynchronous).unwrap();
    }
    put(&engine, 5, Durability::Synchronous).unwrap();
    assert_eq!(quorum.batches(), 1);
    assert!(quorum.records().len() >= 6);
    let before = quorum.records();
    engine.flush().unwrap();
    assert!(quorum.batches() > 1);
    assert_eq!(quorum.records()[..before.len()], before);
    engine.close().unwrap();
}
