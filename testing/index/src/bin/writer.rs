//! Writes to a table and its index until it is killed: `index-writer DIRECTORY SEED`. A line on the standard
//! output follows each commit that is on disk, with its SCN.

use std::io::Write;
use std::path::PathBuf;

use heliosdb_index_torture::{Result, open, table, text};
use heliosdb_plugin_host::index::IndexError;
use heliosdb_sim::rng::Rng;
use heliosdb_storage::{Durability, Interrupt, Isolation};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = || "usage: index-writer DIRECTORY SEED".to_owned();
    let directory = PathBuf::from(arguments.next().ok_or_else(usage)?);
    let seed = arguments.next().and_then(|seed| seed.into_string().ok());
    let seed = seed.and_then(|seed| seed.parse().ok()).ok_or_else(usage)?;
    let (engine, index) = open(&directory)?;
    let (mut rng, interrupt) = (Rng::new(seed), Interrupt::new());
    loop {
        let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        txn.begin_statement();
        table::write(&mut txn, &mut rng, 6).map_err(text)?;
        let ts = txn.commit(Durability::Synchronous).map_err(text)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{ts}")
            .and_then(|()| out.flush())
            .map_err(text)?;
        drop(out);
        match rng.below(6) {
            0 => match index.catch_up(1 + rng.index(40), &interrupt) {
                Err(IndexError::NotBuilt(_)) => index.build(&interrupt).map_err(text)?,
                done => drop(done.map_err(text)?),
            },
            1 if rng.one_in(4) => engine.flush().map_err(text)?,
            _ => {}
        }
    }
}
