//! Kill -9 against a real server process, with a ledger on the client's side.
//!
//! One cycle: start the server, compare what it holds with the ledger, let several clients write and
//! note what was acknowledged, SIGKILL the server at a random moment, and again. Now and then the
//! kill comes during start-up, so that recovery is interrupted too. Nothing but the wire protocol
//! and the command line is used.
//!
//! What must hold after every restart:
//!
//! 1. Every acknowledged transaction is there, whole.
//! 2. A transaction that was in flight is there whole or not at all.
//! 3. Nothing is there that no client sent.
//! 4. Money moved between accounts neither appears nor vanishes.

mod check;
mod clients;
mod ledger;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use ledger::Ledger;
use server::Server;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `heliosdb-lite` to start.
    pub binary: PathBuf,
    /// Where the database goes; it must not exist.
    pub directory: PathBuf,
    pub cycles: u32,
    pub clients: u32,
    pub seed: u64,
}

/// What was done, for the report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    pub kills: u32,
    pub kills_during_start: u32,
    pub acknowledged: u64,
    /// In flight at a kill, and found committed afterwards.
    pub found_unacknowledged: u64,
}

/// Longest time between the first write and the kill.
const LOAD_MILLISECONDS_MAX: u64 = 600;
/// Longest time into a start-up at which it is killed.
const START_MILLISECONDS_MAX: u64 = 60;

/// Run the cycles; an error says which promise was broken, and how.
pub fn run(options: &Options) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(run_cycles(options))
}

async fn run_cycles(options: &Options) -> Result<Report, String> {
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut ledger = Ledger::new(options.clients);
    let mut report = Report::default();
    for cycle in 0..options.cycles {
        if cycle > 0 && random.random_ratio(1, 5) {
            let server = Server::spawn(options)?;
            tokio::time::sleep(milliseconds(random.random_range(0..START_MILLISECONDS_MAX))).await;
            server.kill()?;
            report.kills_during_start += 1;
        }
        let server = Server::start(options)?;
        if cycle == 0 {
            clients::create_tables(server.port).await?;
        } else {
            report.found_unacknowledged += check::check(server.port, &mut ledger)
                .await
                .map_err(|why| format!("cycle {cycle}: {why}"))?;
        }
        let load = milliseconds(random.random_range(20..LOAD_MILLISECONDS_MAX));
        clients::write_until_killed(server, load, &mut ledger, random.random()).await?;
        report.kills += 1;
    }
    let server = Server::start(options)?;
    report.found_unacknowledged += check::check(server.port, &mut ledger).await?;
    report.acknowledged = ledger.acknowledged();
    server.kill()?;
    Ok(report)
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}
