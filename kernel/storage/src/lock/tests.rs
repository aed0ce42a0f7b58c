//! The lock manager under two and three owners.
#![allow(clippy::disallowed_methods)]

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::ids::{CollectionId, TimelineId};

struct Owner {
    id: LockOwner,
    interrupt: Arc<Interrupt>,
    moved: Arc<AtomicBool>,
    held: Vec<Arc<LockObject>>,
}

impl Owner {
    fn new(id: u64) -> Owner {
        Owner {
            id: LockOwner::Transaction(TxnId(id)),
            interrupt: Interrupt::new(),
            moved: Arc::default(),
            held: Vec::new(),
        }
    }

    fn row(
        &mut self,
        locks: &LockManager,
        key: &str,
        mode: RowLockMode,
        wait: LockWait,
    ) -> Result<()> {
        let object = LockObject {
            timeline: TimelineId::MAIN,
            collection: CollectionId(1024),
            key: Some(Box::from(key.as_bytes())),
        };
        locks.acquire(
            self.id,
            object,
            mode.into(),
            wait,
            &self.interrupt,
            || self.moved.load(Ordering::SeqCst),
            &mut self.held,
        )
    }
}

fn manager() -> Arc<LockManager> {
    Arc::new(LockManager::new(None, true))
}

/// Wait until somebody queues: the graph's only change that another thread can see.
fn until_waiting(locks: &LockManager, owner: &LockOwner) {
    let waits = || {
        let object = locks.graph.waits_for(*owner);
        object.is_some_and(|o| !locks.table.blockers(&o, *owner).is_empty())
    };
    while !waits() {
        thread::yield_now();
    }
}

#[test]
fn a_conflicting_lock_is_refused_or_waited_for() {
    let locks = manager();
    let mut a = Owner::new(1);
    let mut b = Owner::new(2);
    a.row(&locks, "k", RowLockMode::Update, LockWait::Block)
        .unwrap();
    let refused = b.row(&locks, "k", RowLockMode::KeyShare, LockWait::NoWait);
    assert!(matches!(refused, Err(Error::LockNotAvailable)));
    let refused = b.row(&locks, "k", RowLockMode::KeyShare, LockWait::Timeout(1_000));
    assert!(matches!(refused, Err(Error::LockNotAvailable)));

    let id = b.id;
    let waiting = thread::spawn({
        let locks = Arc::clone(&locks);
        move || {
            b.row(&locks, "k", RowLockMode::KeyShare, LockWait::Block)
                .unwrap();
            locks.release_all(b.id, &mut b.held);
        }
    });
    until_waiting(&locks, &id);
    locks.release_all(a.id, &mut a.held);
    waiting.join().unwrap();
    assert_eq!(locks.object_count(), 0);
}

#[test]
fn an_owner_upgrades_past_the_queue() {
    let locks = manager();
    let mut a = Owner::new(1);
    let mut b = Owner::new(2);
    a.row(&locks, "k", RowLockMode::Share, LockWait::Block)
        .unwrap();
    let id = b.id;
    let waiting = thread::spawn({
        let locks = Arc::clone(&locks);
        move || {
            b.row(&locks, "k", RowLockMode::Update, LockWait::Block)
                .map(|()| b)
        }
    });
    until_waiting(&locks, &id);
    a.row(&locks, "k", RowLockMode::Update, LockWait::Block)
        .unwrap();
    locks.release_all(a.id, &mut a.held);
    let mut b = waiting.join().unwrap().unwrap();
    locks.release_all(b.id, &mut b.held);
    assert_eq!(locks.object_count(), 0);
}

#[test]
fn the_wait_that_closes_a_cycle_is_the_deadlock() {
    let locks = manager();
    let mut a = Owner::new(1);
    let mut b = Owner::new(2);
    a.row(&locks, "x", RowLockMode::Update, LockWait::Block)
        .unwrap();
    b.row(&locks, "y", RowLockMode::Update, LockWait::Block)
        .unwrap();
    let id = a.id;
    let waiting = thread::spawn({
        let locks = Arc::clone(&locks);
        move || {
            a.row(&locks, "y", RowLockMode::Update, LockWait::Block)
                .unwrap();
            locks.release_all(a.id, &mut a.held);
        }
    });
    until_waiting(&locks, &id);
    let deadlock = b.row(&locks, "x", RowLockMode::Update, LockWait::Block);
    let Err(Error::Deadlock { detail }) = deadlock else {
        panic!("{deadlock:?}")
    };
    assert!(
        detail.contains("Transaction 2 waits for FOR UPDATE"),
        "{detail}"
    );
    locks.release_all(b.id, &mut b.held);
    waiting.join().unwrap();
    assert_eq!(locks.object_count(), 0);
}

/// A lock that is good for nothing any more is not waited for, whether the wait or the move came first.
#[test]
fn a_wait_ends_when_the_timeline_has_moved() {
    let locks = manager();
    let mut a = Owner::new(1);
    let mut b = Owner::new(2);
    a.row(&locks, "k", RowLockMode::Update, LockWait::Block)
        .unwrap();
    let (id, moved) = (b.id, Arc::clone(&b.moved));
    let waiting = thread::spawn({
        let locks = Arc::clone(&locks);
        move || {
            let first = b.row(&locks, "k", RowLockMode::Update, LockWait::Block);
            let second = b.row(&locks, "k", RowLockMode::Update, LockWait::Block);
            (first, second)
        }
    });
    until_waiting(&locks, &id);
    moved.store(true, Ordering::SeqCst);
    locks.wake(&[TimelineId(7)]);
    locks.wake(&[TimelineId::MAIN]);
    let (first, second) = waiting.join().unwrap();
    assert!(matches!(first, Err(Error::TimelineMoved)), "{first:?}");
    assert!(matches!(second, Err(Error::TimelineMoved)), "{second:?}");
    locks.release_all(a.id, &mut a.held);
    assert_eq!(locks.object_count(), 0);
}

#[test]
fn a_cancel_ends_the_wait() {
    let locks = manager();
    let mut a = Owner::new(1);
    let mut b = Owner::new(2);
    a.row(&locks, "k", RowLockMode::Update, LockWait::Block)
        .unwrap();
    let (id, interrupt) = (b.id, Arc::clone(&b.interrupt));
    let (sender, receiver) = mpsc::channel();
    let waiting = thread::spawn({
        let locks = Arc::clone(&locks);
        move || {
            sender
                .send(b.row(&locks, "k", RowLockMode::Update, LockWait::Block))
                .unwrap()
        }
    });
    until_waiting(&locks, &id);
    interrupt.cancel();
    assert!(matches!(receiver.recv().unwrap(), Err(Error::Canceled)));
    waiting.join().unwrap();
    locks.release_all(a.id, &mut a.held);
    assert_eq!(locks.object_count(), 0);
}
