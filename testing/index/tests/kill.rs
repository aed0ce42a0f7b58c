//! A process that writes is killed, and what it leaves answers as a scan does.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use heliosdb_index_torture::table::WORDS;
use heliosdb_index_torture::truth::compare;
use heliosdb_index_torture::{Ask, Host, open};
use heliosdb_storage::Interrupt;
use heliosdb_storage::ids::Ts;

/// Let it commit so often, and kill it. What it said to be on disk.
fn killed_after(directory: &std::path::Path, seed: u64, commits: usize) -> Vec<Ts> {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_index-writer"))
        .arg(directory)
        .arg(seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let acknowledged = lines
        .take(commits)
        .map(|ts| Ts(ts.unwrap().parse().unwrap()));
    let acknowledged = acknowledged.collect();
    writer.kill().unwrap();
    writer.wait().unwrap();
    acknowledged
}

#[test]
fn an_index_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut times = Vec::new();
    for (round, commits) in [40, 15, 60].into_iter().enumerate() {
        times.extend(killed_after(directory.path(), round as u64, commits));
        let (engine, index) = open(directory.path()).unwrap();
        let last = *times.last().unwrap();
        assert!(
            engine.latest_view().ts() >= last,
            "an acknowledged commit is gone"
        );
        for rows_max in [0, 10, usize::MAX] {
            let reading = index
                .read(&engine.latest_view(), &Interrupt::new())
                .unwrap();
            assert_eq!(reading.check().unwrap(), [""; 0]);
            for (at, word) in times.iter().rev().step_by(3).zip(WORDS.iter().cycle()) {
                for view in [engine.view_at(*at).unwrap(), engine.latest_view()] {
                    compare(&Host, &index, &view, &Ask { word, k: None }).unwrap();
                }
            }
            if rows_max > 0 && reading.is_covered() {
                index.catch_up(rows_max, &Interrupt::new()).unwrap();
            }
        }
        engine.close().unwrap();
    }
}
