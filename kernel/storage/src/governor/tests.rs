//! The caps hold over any time, and what is not used by one is there for the others. The machine here
//! is made up: its time goes on when somebody works or everybody sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::state::{State, Turn};
use super::*;
use crate::io::disk::Disk;

const CPUS: u32 = 2;
const SECOND: u64 = 1_000_000;

/// Threads that always have work, each with a CPU to itself.
struct Machine {
    state: State,
    now: u64,
    threads: Vec<Thread>,
}

struct Thread {
    share: Share,
    /// Working until then, or asleep.
    busy_until: Option<u64>,
    turn: Option<Turn>,
    slept_from: u64,
}

impl Machine {
    fn new(caps: Caps, shares: &[Share]) -> Machine {
        let thread = |share: &Share| Thread {
            share: *share,
            busy_until: None,
            turn: None,
            slept_from: 0,
        };
        Machine {
            state: State::new(caps, CPUS, 0),
            now: 0,
            threads: shares.iter().map(thread).collect(),
        }
    }

    /// Work in quanta until `end`.
    fn run(&mut self, end: u64) {
        while self.now < end {
            let mut next = self.now + 50_000;
            for thread in &mut self.threads {
                if thread.busy_until.is_some_and(|until| until <= self.now) {
                    self.state.charge(thread.share, QUANTUM_MICROS, self.now);
                    (thread.busy_until, thread.slept_from) = (None, self.now);
                }
                if thread.busy_until.is_none() {
                    match self.state.turn(thread.share, &mut thread.turn, self.now) {
                        Some(0) => {
                            let slept = self.now - thread.slept_from;
                            self.state.leave(thread.share, thread.turn.take(), slept);
                            thread.busy_until = Some(self.now + QUANTUM_MICROS);
                        }
                        Some(wait) => next = next.min(self.now + wait),
                        None => {}
                    }
                }
                next = next.min(thread.busy_until.unwrap_or(u64::MAX));
            }
            self.now = next.max(self.now + 1);
        }
    }

    fn used(&mut self, share: Share) -> u64 {
        self.state.usage(share, self.now).used_micros
    }

    /// Check that the share used `percent` of the machine, but for what can be saved and the quanta
    /// that each of its threads had begun.
    fn check(&mut self, share: Share, percent: u64) {
        let flowed = self.now * u64::from(CPUS) * percent / 100;
        let threads = self.threads.iter().filter(|t| t.share == share).count() as u64;
        let saved = (u64::from(CPUS) * percent * 1_000).max(QUANTUM_MICROS);
        let used = self.used(share);
        assert!(
            used <= flowed + saved + threads * QUANTUM_MICROS,
            "{used} of {flowed}"
        );
        assert!(used + QUANTUM_MICROS >= flowed, "{used} of {flowed}");
    }
}

#[test]
fn a_share_uses_its_number_and_no_more() {
    for threads in [1, 3] {
        for (share, percent) in [
            (Share::IncrementalMv, 10),
            (Share::AdaptiveIndexing, 2),
            (Share::Deduplication, 3),
            (Share::Storage, 15),
            (Share::Other, 15),
        ] {
            let mut machine = Machine::new(Caps::default(), &vec![share; threads]);
            machine.run(60 * SECOND);
            machine.check(share, percent);
        }
    }
}

#[test]
fn together_they_use_the_common_number_and_nobody_starves() {
    let caps = Caps {
        deduplication_cpu: 15,
        incremental_mv_cpu: 15,
        ..Caps::default()
    };
    let shares = [Share::Storage, Share::IncrementalMv, Share::Deduplication];
    let mut machine = Machine::new(caps, &shares);
    machine.run(60 * SECOND);
    let used = shares.map(|share| machine.used(share));
    let all: u64 = used.iter().sum();
    assert!(
        all <= 60 * SECOND * 2 * 15 / 100 + 30_000 + 3 * QUANTUM_MICROS,
        "{used:?}"
    );
    for one in used {
        assert!(one * 100 > all * 30, "{used:?}");
    }
    for share in shares {
        let usage = machine.state.usage(share, machine.now);
        assert!(usage.throttled_micros > 40 * SECOND, "{usage:?}");
        let recent = usage.recent_micros as i64 - 10 * 2 * SECOND as i64 * 5 / 100;
        assert!(recent.abs() < 30_000, "{usage:?}");
    }
}

#[test]
fn one_whose_share_is_used_up_does_not_hold_up_the_others() {
    let shares = [Share::AdaptiveIndexing, Share::Storage];
    let mut machine = Machine::new(Caps::default(), &shares);
    machine.run(60 * SECOND);
    machine.check(Share::AdaptiveIndexing, 2);
    let storage = machine.used(Share::Storage);
    assert!(storage > 60 * SECOND * 2 * 12 / 100, "{storage}");
}

#[test]
fn other_caps_hold_from_the_moment_they_are_set() {
    let mut machine = Machine::new(Caps::default(), &[Share::Storage]);
    machine.run(10 * SECOND);
    let before = machine.used(Share::Storage);
    let none = Caps {
        max_cpu_background: 0,
        ..Caps::default()
    };
    machine.state.set_caps(none, machine.now);
    machine.run(20 * SECOND);
    assert!(machine.used(Share::Storage) <= before + 2 * QUANTUM_MICROS);
    let free = Caps {
        enforced: false,
        ..none
    };
    machine.state.set_caps(free, machine.now);
    let before = machine.used(Share::Storage);
    machine.run(30 * SECOND);
    assert!(machine.used(Share::Storage) + 2 * QUANTUM_MICROS >= before + 10 * SECOND);
}

#[test]
fn a_debt_is_counted_and_held_against_the_others_only_for_a_moment() {
    let mut state = State::new(Caps::default(), CPUS, 0);
    state.set_in_debt(Share::Storage, true);
    for quantum in 0..1_000 {
        let now = quantum * QUANTUM_MICROS;
        state.charge_over(Share::Storage, QUANTUM_MICROS, now);
    }
    let now = 1_000 * QUANTUM_MICROS;
    let usage = state.usage(Share::Storage, now);
    assert_eq!(usage.over_micros, 5 * SECOND);
    assert_eq!(usage.used_micros, 5 * SECOND);
    assert!(usage.in_debt);
    let wait = state.wait_micros(Share::Other, now);
    assert!(wait.is_some_and(|wait| wait <= 100_001), "{wait:?}");
    state.set_in_debt(Share::Storage, false);
    assert!(!state.usage(Share::Storage, now).in_debt);
}

#[test]
fn no_cap_is_above_the_machine() {
    let caps = Caps {
        deduplication_cpu: 101,
        ..Caps::default()
    };
    let error = caps.check().unwrap_err().to_string();
    assert_eq!(error, "deduplication_cpu is 101; it is a percentage");
}

fn governor(max_cpu_background: u32) -> (tempfile::TempDir, Arc<Governor>) {
    let dir = tempfile::tempdir().unwrap();
    let caps = Caps {
        max_cpu_background,
        ..Caps::default()
    };
    let io = Arc::new(Disk::open(dir.path()).unwrap());
    (dir, Governor::new(io, caps))
}

/// Use CPU time until there is a quantum to pay for.
fn work(governor: &Governor) {
    let began = governor.thread_cpu_micros();
    while governor.thread_cpu_micros() < began + QUANTUM_MICROS {
        std::hint::spin_loop();
    }
}

#[test]
fn a_sleeper_wakes_when_the_cap_is_raised() {
    let (_dir, governor) = governor(0);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let pace = governor.pace(Share::Other, "a test");
            work(&governor);
            pace.step(&|| Pressure::None);
        });
        while governor.usage(Share::Other).waiting == 0 {
            std::thread::yield_now();
        }
        governor
            .set_caps(Caps {
                max_cpu_background: 100,
                ..Caps::default()
            })
            .unwrap();
        sleeper.join().unwrap();
    });
    assert!(governor.usage(Share::Other).used_micros >= QUANTUM_MICROS);
    assert_eq!(governor.usage(Share::Other).waiting, 0);
}

#[test]
fn a_sleeper_wakes_when_somebody_waits_for_it() {
    let (_dir, governor) = governor(0);
    let waited = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let pace = governor.pace(Share::Storage, "a test");
            work(&governor);
            pace.step(&|| match waited.load(Ordering::SeqCst) {
                true => Pressure::Waited,
                false => Pressure::None,
            });
            let used = governor.usage(Share::Storage).used_micros;
            // From here on it is not background work.
            work(&governor);
            pace.step(&|| Pressure::Waited);
            assert_eq!(governor.usage(Share::Storage).used_micros, used);
        });
        while governor.usage(Share::Storage).waiting == 0 {
            std::thread::yield_now();
        }
        waited.store(true, Ordering::SeqCst);
        governor.wake();
        sleeper.join().unwrap();
    });
}
