//! A memtable is published as a segment while its rows are superseded.
//!
//! ```text
//!   commit   | insert into active …… flip at the commit point |          under the freeze lock, shared
//!   flush    | freeze |  wait durable, write, sync, log record, wait | swap |      exclusive at both ends
//!   branch   | settle, base_of | record | wait | insert |
//!   runs     | freeze, runs in front of it, at the commit point |        exclusive
//!   reader   | timestamp, sources of each level, horizons | reads …      no lock at all
//!
//!   sources of a timeline, newest first:   active ▸ frozen ▸ run ▸ frozen ▸ segment …
//! ```
//!
//! | step | in the engine |
//! |---|---|
//! | commit | `Transaction::commit`, `Log::commit_as`, `TxnSlot::commit` |
//! | runs | `Transaction::publish_runs`, `EngineInner::show_runs` |
//! | freeze | `EngineInner::flush_all`, `EngineInner::freeze_memtable` |
//! | write, publish, swap | `EngineInner::try_flush_frozen`, `EngineInner::swap`, `Layer::put_by_age` |
//! | the log goes | `EngineInner::oldest_in_memory`, `Log::remove_obsolete` |
//! | branch | `EngineInner::create_timeline`, `EngineInner::base_of` |
//! | reader | `EngineInner::view_now`, `Path::new` |
//!
//! Two writers, on the main timeline and on a branch of it, supersede what two flushers publish; another
//! branch is made and written to; somebody reads the present and the past of all, and keeps views; and the
//! power goes at some step. What has to hold is in the crate's header.

use std::sync::Arc;

use heliosdb_sim::rng::Rng;
use heliosdb_storage::Options;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use crate::explore::Shared;
use crate::machine::{MAIN, Machine, Work};
use crate::writer::{TRANSACTION_BYTES_MAX, Writer};

/// What has to come about.
pub const SOMETIMES: &[&str] = &[
    "a commit on the main timeline beside a flush",
    "a commit on the branch beside a flush",
    "runs are committed beside a flush",
    "a branch is made beside a flush",
    "a branch is dropped beside a flush",
    "a look while a memtable waits for its flush",
    "a look while two memtables wait for their flush",
    "a view is read again after a flush",
    "a file of the log goes",
    "a crash leaves files that nothing names",
    "a crash takes what nobody was promised",
];

fn options(rng: &mut Rng) -> Options {
    Options {
        memory_bytes_max: 1 << 30,
        // Now and then commits flush what is due themselves.
        memtable_bytes_max: if rng.one_in(4) { 2 << 10 } else { 64 << 20 },
        // The least, so that some transactions fill a file.
        wal_segment_bytes: 64 << 10,
        page_bytes: 4 << 10,
        transaction_bytes_max: TRANSACTION_BYTES_MAX,
        compaction_in_background: false,
        retention_micros: None,
        ..Options::default()
    }
}

/// Let others go on for a while.
pub(crate) fn dawdle(rng: &mut Rng, steps_max: u64) {
    let step = AtomicBool::new(false);
    for _ in 0..rng.below(steps_max) {
        step.load(Ordering::SeqCst);
    }
}

/// One schedule.
pub fn run(seed: u64, shared: &Shared) {
    let rng = Rng::new(seed);
    let Some(machine) = Machine::new(seed, options(&mut rng.fork(1)), shared) else {
        return;
    };
    if begin(&machine, &rng).is_none() {
        return;
    }
    machine.finish();
}

fn begin(machine: &Arc<Machine>, rng: &Rng) -> Option<()> {
    let mut dice = rng.fork(4);
    let mut main = Writer::new(machine, MAIN, rng.fork(2))?;
    main.insert(machine, 3)?;
    if dice.coin() {
        machine.expect("a flush", machine.engine.flush())?;
    }
    // Most of a file of the log, so that writers come to the next one.
    main.large_one_in = 1;
    main.write(machine)?;
    let fork = machine.engine.latest_view().ts();
    let child = machine.expect("a branch", machine.branch(MAIN, fork))?;
    let mut branch = Writer::new(machine, child, rng.fork(3))?;
    if dice.coin() {
        branch.write(machine)?;
    }
    let first_log = first_log_file(machine);
    (main.large_one_in, branch.large_one_in) = (2, 3);

    let spawn = |name: u64, mut work: Work| {
        let (machine, mut rng) = (Arc::clone(machine), rng.fork(name));
        thread::spawn(move || work(&machine, &mut rng))
    };
    let mut threads = vec![
        spawn(
            10,
            Box::new(move |machine, _| {
                for _ in 0..2 {
                    main.write(machine);
                    if machine.is_at_work() {
                        machine.note("a commit on the main timeline beside a flush");
                        if main.was_large() {
                            machine.note("runs are committed beside a flush");
                        }
                    }
                }
            }),
        ),
        spawn(
            11,
            Box::new(move |machine, _| {
                for _ in 0..2 {
                    branch.write(machine);
                    if machine.is_at_work() {
                        machine.note("a commit on the branch beside a flush");
                    }
                }
            }),
        ),
        spawn(
            12,
            Box::new(move |machine, rng| {
                for _ in 0..2 {
                    dawdle(rng, 100);
                    let flushed = machine.work(|engine| engine.flush());
                    machine.expect("a flush", flushed);
                }
            }),
        ),
        spawn(13, Box::new(move |machine, rng| read(machine, rng, child))),
        spawn(
            14,
            Box::new(move |machine, rng| branch_off(machine, rng, child)),
        ),
    ];
    if dice.coin() {
        let flush = move |machine: &Machine, rng: &mut Rng| {
            dawdle(rng, 300);
            let flushed = machine.work(|engine| engine.flush());
            machine.expect("another flush", flushed);
        };
        threads.push(spawn(15, Box::new(flush)));
    }
    let cut = {
        let (machine, mut rng) = (Arc::clone(machine), rng.fork(16));
        thread::spawn(move || {
            dawdle(&mut rng, 600);
            machine.cut()
        })
    };
    for thread in threads {
        machine.expect("a thread", thread.join().map_err(|_| "a panic"))?;
    }
    let cut = machine.expect("a thread", cut.join().map_err(|_| "a panic"))?;
    if first_log_file(machine) != first_log {
        machine.note("a file of the log goes");
    }
    for id in machine.timelines() {
        machine.look_now(id, &mut dice);
    }
    machine.check_files();
    machine.recover(&cut, &mut dice);
    machine.recover(&machine.cut(), &mut dice);
    Some(())
}

fn read(machine: &Machine, rng: &mut Rng, child: heliosdb_storage::ids::TimelineId) {
    let mut kept = Vec::new();
    for _ in 0..2 {
        dawdle(rng, 100);
        for id in [MAIN, child] {
            let flushes = machine.engine.stats().flushes;
            kept.extend(machine.look_now(id, rng).map(|view| (id, view, flushes)));
            match machine.engine.stats().memtables_frozen {
                0 => {}
                1 => machine.note("a look while a memtable waits for its flush"),
                _ => machine.note("a look while two memtables wait for their flush"),
            }
        }
        let (id, at) = ([MAIN, child][rng.index(2)], machine.some_time(rng));
        if let Some(view) = machine.expect("a view of the past", machine.engine.view_at_on(id, at))
        {
            machine.look(id, &view, rng, "the past");
        }
    }
    for (id, view, flushes) in kept {
        if machine.engine.stats().flushes > flushes {
            machine.note("a view is read again after a flush");
        }
        machine.look(id, &view, rng, "a view that was kept");
    }
}

fn branch_off(machine: &Machine, rng: &mut Rng, child: heliosdb_storage::ids::TimelineId) {
    dawdle(rng, 200);
    let from = [MAIN, child][rng.index(2)];
    let at = match rng.coin() {
        true => machine.engine.latest_view().ts(),
        false => machine.some_time(rng),
    };
    let Some(id) = machine.expect("another branch", machine.branch(from, at)) else {
        return;
    };
    if machine.is_at_work() {
        machine.note("a branch is made beside a flush");
    }
    machine.look_now(id, rng);
    if let Some(mut writer) = Writer::new(machine, id, rng.fork(1)) {
        writer.write(machine);
    }
    let view = machine.look_now(id, rng);
    if rng.coin() {
        let flushing = machine.is_at_work();
        machine.drop_branch(id);
        if flushing && machine.is_at_work() {
            machine.note("a branch is dropped beside a flush");
        }
        if let Some(view) = view {
            machine.look(id, &view, rng, "a view of a branch that was dropped");
        }
    }
}

/// The oldest file of the log.
fn first_log_file(machine: &Machine) -> Option<String> {
    let files = machine.disk.files().into_iter().map(|(name, _)| name);
    files.filter(|name| name.starts_with("wal/")).min()
}
