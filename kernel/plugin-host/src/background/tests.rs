//! The pool, quanta and workers without any plugin: pieces of work are closures here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use heliosdb_plugin_api::{Error, state};
use heliosdb_storage::governor::{Caps, Governor, Share};
use heliosdb_storage::io::disk::Disk;

use super::pool::Pool;
use super::{Background, quantum};

fn governor() -> (tempfile::TempDir, Arc<Governor>) {
    let dir = tempfile::tempdir().unwrap();
    let io = Arc::new(Disk::open(dir.path()).unwrap());
    (dir, Governor::new(io, Caps::default()))
}

fn work(governor: &Governor, micros: u64) {
    let began = governor.thread_cpu_micros();
    while governor.thread_cpu_micros() < began + micros {
        std::hint::spin_loop();
    }
}

#[test]
fn every_piece_is_done_once_with_threads_and_without() {
    let (_dir, governor) = governor();
    for pool in [Pool::new(None), Pool::new(Some(governor))] {
        for count in [0, 1, 2, 1000] {
            let done: Arc<Vec<AtomicU32>> = Arc::new((0..count).map(|_| 0.into()).collect());
            let pieces = Arc::clone(&done);
            let piece = move |number: u32| {
                pieces[number as usize].fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            pool.run(count, Box::new(piece)).unwrap();
            assert!(done.iter().all(|times| times.load(Ordering::SeqCst) == 1));
        }
        pool.stop();
        pool.run(3, Box::new(|_| Ok(()))).unwrap();
    }
}

#[test]
fn a_piece_may_want_pieces_done() {
    let (_dir, governor) = governor();
    let pool = Pool::new(Some(governor));
    let done = Arc::new(AtomicU32::new(0));
    let (inner, count) = (Arc::clone(&pool), Arc::clone(&done));
    let piece = move |_| {
        let count = Arc::clone(&count);
        let one = move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        inner.run(10, Box::new(one))
    };
    pool.run(10, Box::new(piece)).unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 100);
    pool.stop();
}

#[test]
fn after_an_error_no_further_piece_begins() {
    let (_dir, governor) = governor();
    let pool = Pool::new(Some(governor));
    let begun = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&begun);
    let piece = move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Err(Error::new(state::DATA_EXCEPTION, "no"))
    };
    let error = pool.run(100_000, Box::new(piece)).unwrap_err();
    assert_eq!(error.message, "no");
    assert!(begun.load(Ordering::SeqCst) <= pool.threads());
    pool.stop();
}

#[test]
fn pieces_of_a_quantum_are_paid_from_its_share_on_every_thread() {
    let (_dir, governor) = governor();
    let pool = Pool::new(Some(Arc::clone(&governor)));
    assert_eq!(quantum::left_micros(&governor), None);
    let used = quantum::within(&governor, Share::Deduplication, || {
        assert!(quantum::left_micros(&governor).is_some_and(|left| left <= 5_000));
        let paying = Arc::clone(&governor);
        let piece = move |_| {
            assert_eq!(quantum::share(), Some(Share::Deduplication));
            work(&paying, 1_000);
            Ok(())
        };
        pool.run(8, Box::new(piece)).unwrap();
        work(&governor, 6_000);
        assert_eq!(quantum::left_micros(&governor), Some(0));
        governor.usage(Share::Deduplication).used_micros
    });
    let all = governor.usage(Share::Deduplication).used_micros;
    assert!(
        all >= used + 6_000 && all >= 14_000,
        "{used} and then {all}"
    );
    assert_eq!(quantum::share(), None);
    // Where somebody waits nothing is paid.
    let free = Arc::clone(&governor);
    let piece = move |_| {
        work(&free, 1_000);
        Ok(())
    };
    pool.run(8, Box::new(piece)).unwrap();
    assert_eq!(governor.usage(Share::Deduplication).used_micros, all);
    pool.stop();
}

#[test]
fn without_threads_there_is_no_worker_to_wake() {
    let background = Background::none();
    assert_eq!(background.pool.threads(), 1);
    assert!(background.workers.is_none());
    let (_dir, governor) = governor();
    let background = Background::new(&governor);
    let workers = background.workers.as_ref().unwrap();
    let error = workers.wake("a", "b").unwrap_err();
    assert_eq!(error.sqlstate, state::UNDEFINED_OBJECT);
    background.stop();
}
