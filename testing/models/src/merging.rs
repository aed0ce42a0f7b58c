//! Segments are merged, and history goes, beside those who read old times.
//!
//! ```text
//!   merge    | sources, definitions, limit | plan | write, sync | record, wait | settle | swap | remove inputs
//!                                           ╰ pins' lock ╯                       ╰────╯  ╰ freeze, exclusive
//!   snapshot | pin | sources, reads …                          pins' lock
//!   branch   | settle, fork | record | wait | insert |         pins' lock
//!   the past | sources, horizons, reads …                      no lock at all
//!   flush    | freeze … swap |                                 freeze, exclusive at both ends
//! ```
//!
//! | step | in the engine |
//! |---|---|
//! | limit, plan, settle, give up | `Pins::limit`, `Pins::plan`, `Pins::settle`, `Pins::give_up` |
//! | write | `Merging::write`, `Keep::keeps` |
//! | record, swap | `EngineInner::publish` of `compact` |
//! | remove inputs | `EngineInner::remove_segment` |
//! | snapshot | `Pins::pin_now` |
//! | branch | `Pins::fork`, of `EngineInner::base_of` |
//! | the past | `Engine::view_at_on`, `EngineInner::view`, `Pins::before`, `Pins::check` |
//!
//! Nothing is retained for its age, so only those who hold on to the past keep it. Besides what the crate's
//! header says, *always*: a time at or after one that a branch or a snapshot holds is not refused, and what
//! is not refused is whole, until the reader ends.

use std::sync::Arc;

use heliosdb_sim::rng::Rng;
use heliosdb_storage::ids::{TimelineId, Ts};
use heliosdb_storage::{Error, Interrupt, Isolation, Options, ReadView};
use shuttle::thread;

use crate::explore::Shared;
use crate::machine::{MAIN, Machine, Work};
use crate::publishing::dawdle;
use crate::roads::STORE;
use crate::writer::Writer;

/// What has to come about.
pub const SOMETIMES: &[&str] = &[
    "history goes",
    "files of the branch are merged",
    "some files are merged and an older one stays",
    "a commit beside a merge",
    "a flush is published beside a merge",
    "a look at the past beside a merge",
    "a time that is gone is refused",
    "a view is read again after its files were merged",
    "a snapshot reads on after a merge",
    "a branch of the past is made beside a merge",
    "a branch of what is gone is refused",
    "a branch is dropped beside a merge",
    "a crash leaves files that nothing names",
];

fn options() -> Options {
    Options {
        memory_bytes_max: 1 << 30,
        wal_segment_bytes: 64 << 10,
        page_bytes: 4 << 10,
        compaction_in_background: false,
        retention_micros: Some(0),
        // One with a large value is not merged, unless everything is.
        compaction_bytes_max: 8 << 10,
        ..Options::default()
    }
}

/// One schedule.
pub fn run(seed: u64, shared: &Shared) {
    let Some(machine) = Machine::new(seed, options(), shared) else {
        return;
    };
    if begin(&machine, &Rng::new(seed)).is_none() {
        return;
    }
    machine.finish();
}

fn begin(machine: &Arc<Machine>, rng: &Rng) -> Option<()> {
    let mut dice = rng.fork(1);
    let flush = || machine.expect("a flush", machine.engine.flush());
    let mut main = Writer::new(machine, MAIN, rng.fork(2))?;
    main.insert(machine, 4)?;
    main.large_one_in = 1;
    main.write(machine)?;
    main.large_one_in = 0;
    for _ in 0..3 {
        flush()?;
        main.write(machine)?;
        if dice.coin() {
            main.write(machine)?;
        }
    }
    flush()?;
    // Without a branch nothing holds the past.
    let mut held = Ts::MAX;
    let mut child = None;
    if !dice.one_in(3) {
        held = machine.some_time(&mut dice);
        let id = machine.expect("a branch", machine.branch(MAIN, held))?;
        let mut branch = Writer::new(machine, id, rng.fork(3))?;
        branch.write(machine)?;
        flush()?;
        branch.write(machine)?;
        flush()?;
        child = Some(branch);
    }
    main.write(machine)?;
    flush()?;
    // All of it is past its time.
    machine.disk.advance(1_000_000);

    let timelines = machine.timelines();
    let (read, branched) = (timelines.clone(), timelines.clone());
    let mut works: Vec<Work> = vec![
        Box::new(merge),
        Box::new(move |machine, rng| {
            for _ in 0..2 {
                dawdle(rng, 100);
                main.write(machine);
                if machine.is_at_work() {
                    machine.note("a commit beside a merge");
                }
                let flushed = machine.engine.flush();
                machine.expect("a flush", flushed);
                if machine.is_at_work() {
                    machine.note("a flush is published beside a merge");
                }
            }
        }),
        Box::new(snapshot),
        Box::new(move |machine, rng| past(machine, rng, &read, held)),
        Box::new(move |machine, rng| branch_off(machine, rng, &branched, held)),
    ];
    if let Some(mut child) = child {
        works.push(Box::new(move |machine, rng| {
            dawdle(rng, 200);
            child.write(machine);
        }));
    }
    let threads: Vec<_> = works
        .into_iter()
        .zip(10..)
        .map(|(mut work, name)| {
            let (machine, mut rng) = (Arc::clone(machine), rng.fork(name));
            thread::spawn(move || work(&machine, &mut rng))
        })
        .collect();
    let cut = {
        let (machine, mut rng) = (Arc::clone(machine), rng.fork(20));
        thread::spawn(move || {
            dawdle(&mut rng, 800);
            machine.cut()
        })
    };
    for thread in threads {
        machine.expect("a thread", thread.join().map_err(|_| "a panic"))?;
    }
    let cut = machine.expect("a thread", cut.join().map_err(|_| "a panic"))?;
    for id in machine.timelines() {
        machine.look_now(id, &mut dice);
    }
    machine.check_files();
    machine.recover(&cut, &mut dice);
    machine.recover(&machine.cut(), &mut dice);
    Some(())
}

/// Merge what is due, and everything, the one or the other first.
fn merge(machine: &Machine, rng: &mut Rng) {
    let interrupt = Interrupt::new();
    let first = u64::from(rng.coin());
    for turn in 0..2 {
        dawdle(rng, 100);
        let is_all = turn == first;
        let merged = machine.work(|engine| match is_all {
            true => engine.compact_all(&interrupt),
            false => engine.compact(&interrupt),
        });
        let Some(merged) = machine.expect("a merge", merged) else {
            return;
        };
        if merged.versions_dropped > 0 {
            machine.note("history goes");
        }
        if is_all && merged.compactions > 1 {
            machine.note("files of the branch are merged");
        }
        if !is_all && merged.files_in > merged.compactions {
            machine.note("some files are merged and an older one stays");
        }
    }
}

/// A transaction with a snapshot, which nobody is to take away.
fn snapshot(machine: &Machine, rng: &mut Rng) {
    dawdle(rng, 200);
    let level = Isolation::RepeatableRead;
    let begun = machine
        .engine
        .begin_read_only_on(MAIN, level, Interrupt::new());
    let Some(mut txn) = machine.expect("a transaction", begun) else {
        return;
    };
    txn.begin_statement();
    for _ in 0..3 {
        let before = compactions(machine);
        machine.look(MAIN, &txn.read_view(), rng, "a snapshot");
        dawdle(rng, 150);
        if compactions(machine) > before {
            machine.note("a snapshot reads on after a merge");
        }
    }
}

/// Views of the present and of old times, of which some are gone.
fn past(machine: &Machine, rng: &mut Rng, timelines: &[TimelineId], held: Ts) {
    let mut kept: Vec<(TimelineId, ReadView, u64)> = Vec::new();
    for _ in 0..4 {
        dawdle(rng, 80);
        // The present is past when a merge comes before its sources are taken.
        machine.look_now(MAIN, rng);
        let (id, at) = (
            timelines[rng.index(timelines.len())],
            machine.some_time(rng),
        );
        let merged = compactions(machine);
        let view = machine.engine.view_at_on(id, at);
        // One that was told of horizons which came to nothing afterwards is refused when it reads.
        let view = view.and_then(|view| view.get(STORE, &[0]).map(|_| view));
        match view {
            Ok(view) => {
                machine.look(id, &view, rng, "the past");
                if machine.is_at_work() {
                    machine.note("a look at the past beside a merge");
                }
                kept.push((id, view, merged));
            }
            Err(Error::SnapshotTooOld { asked, .. }) if asked < held => {
                machine.note("a time that is gone is refused");
            }
            Err(error) => {
                machine.expect::<()>("a view of the past", Err(error));
            }
        }
    }
    for (id, view, merged) in kept {
        if compactions(machine) > merged {
            machine.note("a view is read again after its files were merged");
        }
        machine.look(id, &view, rng, "a view that was kept");
    }
}

/// A branch at an old time, which stays once it is there.
fn branch_off(machine: &Machine, rng: &mut Rng, timelines: &[TimelineId], held: Ts) {
    dawdle(rng, 150);
    let (from, at) = (
        timelines[rng.index(timelines.len())],
        machine.some_time(rng),
    );
    match machine.branch(from, at) {
        Ok(id) => {
            if machine.is_at_work() {
                machine.note("a branch of the past is made beside a merge");
            }
            machine.look_now(id, rng);
            dawdle(rng, 150);
            machine.look_now(id, rng);
            if rng.coin()
                && let Some(mut writer) = Writer::new(machine, id, rng.fork(1))
            {
                writer.write(machine);
                machine.expect("a flush", machine.engine.flush());
            }
            let view = machine.look_now(id, rng);
            if rng.one_in(3) {
                let merging = machine.is_at_work();
                machine.drop_branch(id);
                if merging && machine.is_at_work() {
                    machine.note("a branch is dropped beside a merge");
                }
                if let Some(view) = view {
                    dawdle(rng, 150);
                    machine.look(id, &view, rng, "a view of a branch that was dropped");
                }
            }
        }
        Err(Error::SnapshotTooOld { asked, .. }) if asked < held => {
            machine.note("a branch of what is gone is refused");
        }
        Err(error) => {
            machine.expect::<()>("a branch", Err(error));
        }
    }
}

fn compactions(machine: &Machine) -> u64 {
    machine.engine.stats().compacted.compactions
}
