//! sysbench's `oltp_read_write`: ten point reads, four ranges of 100 rows, two updates, a delete and an
//! insert in one transaction, with prepared statements.

use std::process::Command;

use crate::Options;
use crate::peer::{Peer, checked};

pub const NAME: &str = "sysbench oltp_read_write";
pub const THREADS: [u32; 2] = [1, 8];

const TABLES: &str = "--tables=4";
const TABLE_SIZE: &str = "--table-size=100000";

/// Whether the program is there (Debian's package `sysbench`).
pub fn is_here() -> bool {
    let version = Command::new("sysbench").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

pub fn prepare(peer: &Peer) -> Result<(), String> {
    checked(command(peer).arg("prepare")).map(drop)
}

/// Transactions per second, and how many there were.
pub fn transactions(peer: &Peer, threads: u32, options: &Options) -> Result<(f64, f64), String> {
    let output = checked(
        command(peer)
            .arg(format!("--threads={threads}"))
            .arg(format!("--time={}", options.seconds))
            .arg("run"),
    )?;
    // `    transactions:                        1234   (123.40 per sec.)`
    let line = output
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("transactions:"));
    let numbers = line.and_then(|line| {
        let (count, rate) = line.split_once('(')?;
        let rate = rate.split(' ').next()?;
        Some((rate.parse().ok()?, count.trim().parse().ok()?))
    });
    numbers.ok_or_else(|| format!("sysbench printed no transactions:\n{output}"))
}

fn command(peer: &Peer) -> Command {
    let mut command = peer.client("sysbench");
    command
        .args(["oltp_read_write", "--db-driver=pgsql", TABLES, TABLE_SIZE])
        .arg("--pgsql-host=127.0.0.1")
        .arg(format!("--pgsql-port={}", peer.port))
        .arg(format!("--pgsql-user={}", peer.user))
        .arg(format!("--pgsql-db={}", peer.database));
    command
}
