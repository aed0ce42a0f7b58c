//! Readers beside a writer, a thread that brings the index forward, and one that writes and merges files.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use heliosdb_index_torture::table::{self, WORDS};
use heliosdb_index_torture::truth::compare;
use heliosdb_index_torture::{Ask, Host, open};
use heliosdb_plugin_host::index::IndexError;
use heliosdb_sim::rng::Rng;
use heliosdb_storage::{Durability, Engine, Error, Interrupt, Isolation};

const COMMITS: usize = 150;
const COMPARED_MIN: usize = 100;

fn write(engine: &Engine, rng: &mut Rng) {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    table::write(&mut txn, rng, 4).unwrap();
    txn.commit(Durability::Asynchronous).unwrap();
}

#[test]
fn readers_are_right_beside_everything_else() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, index) = open(directory.path()).unwrap();
    let done = AtomicBool::new(false);
    write(&engine, &mut Rng::new(1));
    index.build(&Interrupt::new()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = Rng::new(2);
            for _ in 0..COMMITS {
                write(&engine, &mut rng);
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                index.catch_up(10, &Interrupt::new()).unwrap();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                engine.flush().unwrap();
                engine.compact_all(&Interrupt::new()).unwrap();
            }
        });
        let (mut rng, mut compared) = (Rng::new(3), 0);
        let mut times = vec![engine.latest_view().ts()];
        while compared < COMPARED_MIN || !done.load(Ordering::SeqCst) {
            let now = engine.latest_view();
            times.push(now.ts());
            let then = engine.view_at(times[rng.index(times.len())]).unwrap();
            let k = [None, Some(3)][rng.index(2)];
            let word = WORDS[rng.index(WORDS.len())];
            for view in [now, then] {
                compare(&Host, &index, &view, &Ask { word, k }).unwrap();
            }
            compared += 1;
        }
    });
    // Two that bring it forward take turns.
    thread::scope(|scope| {
        let forward = || loop {
            match index.catch_up(7, &Interrupt::new()) {
                Ok(progress) if !progress.is_behind => return,
                Ok(_) => {}
                Err(IndexError::Storage(Error::SerializationFailure)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        let both = [scope.spawn(forward), scope.spawn(forward)];
        both.into_iter().for_each(|one| one.join().unwrap());
    });
    let reading = index
        .read(&engine.latest_view(), &Interrupt::new())
        .unwrap();
    assert_eq!(reading.check().unwrap(), [""; 0]);
    for word in WORDS {
        compare(&Host, &index, &engine.latest_view(), &Ask { word, k: None }).unwrap();
    }
}
