//! pgbench and sysbench beside PostgreSQL: short transactions over the wire.
//!
//! Both servers get their data from `pgbench -i` and run pgbench's own scripts, TPC-B and select-only, with
//! prepared statements (`-M prepared`) and as text (`-M simple`), with few clients and with 500; sysbench's
//! `oltp_read_write` follows ([`sysbench`]). HeliosDB and PostgreSQL are measured in turn, round after round.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::Options;
use crate::peer::{Peer, checked};
use crate::sysbench;
use crate::table;

pub const SCALE: f64 = 10.0;

/// Clients of the cell that asks whether many are too many.
const MANY: u32 = 500;
/// pgbench's time runs while it connects.
const SECONDS_TO_CONNECT_MANY: u32 = 10;
/// After the load, for what servers do in the background.
const SETTLE: Duration = Duration::from_secs(10);
/// What the servers are set to let in.
const CONNECTIONS_MAX: &str = "600";

/// pgbench's arguments for a script and a protocol.
struct Work {
    name: &'static str,
    arguments: &'static [&'static str],
    clients: &'static [u32],
}

pub const TPCB: &[&str] = &["-M", "prepared"];
pub const SELECTS: &[&str] = &["-M", "prepared", "-S"];
const SIMPLE_SELECTS: &[&str] = &["-M", "simple", "-S"];

const WORK: [Work; 3] = [
    Work {
        name: "TPC-B, prepared",
        arguments: TPCB,
        clients: &[1, 8, 32, MANY],
    },
    Work {
        name: "select-only, prepared",
        arguments: SELECTS,
        clients: &[1, 8, MANY],
    },
    Work {
        name: "select-only, simple",
        arguments: SIMPLE_SELECTS,
        clients: &[1, 8, MANY],
    },
];

pub fn run(options: &Options) -> Result<(), String> {
    let scale = options.scale.unwrap_or(SCALE);
    let settings = [("max_connections", CONNECTIONS_MAX)];
    let peers = [
        Peer::postgres_with(&settings)?,
        Peer::helios_with(&settings)?,
    ];
    for peer in &peers {
        println!("{}: {}", peer.name, peer.version()?);
        checked(
            peer.client("pgbench")
                .args(["-i", "-q", "-s"])
                .arg(scale.to_string()),
        )?;
    }
    let sysbench = sysbench::is_here();
    if sysbench {
        for peer in &peers {
            sysbench::prepare(peer)?;
        }
    }
    // What loading left to do is no part of what follows.
    for peer in &peers {
        peer.psql("CHECKPOINT")?;
    }
    sleep(SETTLE);
    println!(
        "pgbench scale {scale}, {} s a measurement, median of {} rounds\n",
        options.seconds,
        options.rounds()
    );
    let mut rows = Vec::new();
    for work in &WORK {
        for clients in work.clients {
            rows.push(row(work.name, *clients, &peers, options, |peer| {
                let pgbench = peer.client("pgbench");
                transactions(pgbench, *clients, work.arguments, options)
            })?);
        }
    }
    if sysbench {
        for threads in sysbench::THREADS {
            rows.push(row(sysbench::NAME, threads, &peers, options, |peer| {
                sysbench::transactions(peer, threads, options)
            })?);
        }
    }
    table::print(
        &[
            "work",
            "clients",
            "PostgreSQL tps",
            "HeliosDB tps",
            "ratio",
            "PostgreSQL CPU µs/txn",
            "HeliosDB CPU µs/txn",
        ],
        &rows,
    );
    if !sysbench {
        println!(
            "\nsysbench is not on this machine, so {} was not run",
            sysbench::NAME
        );
    }
    for peer in &peers {
        check(peer)?;
    }
    Ok(())
}

/// One row of the table: both servers in turn, as often as there are rounds.
fn row(
    name: &str,
    clients: u32,
    peers: &[Peer; 2],
    options: &Options,
    measure: impl Fn(&Peer) -> Result<(f64, f64), String>,
) -> Result<Vec<String>, String> {
    let mut tps = [Vec::new(), Vec::new()];
    let mut cpu = [Vec::new(), Vec::new()];
    for _ in 0..options.rounds() {
        for (i, peer) in peers.iter().enumerate() {
            let before = peer.cpu_seconds();
            let (rate, transactions) = measure(peer)?;
            tps[i].push(rate);
            cpu[i].push((peer.cpu_seconds() - before) * 1e6 / transactions.max(1.0));
        }
    }
    let [postgres, helios] = tps.map(|mut samples| table::median(&mut samples));
    let [postgres_cpu, helios_cpu] = cpu.map(|mut samples| table::median(&mut samples));
    let cells = vec![
        name.to_owned(),
        clients.to_string(),
        format!("{postgres:.0}"),
        format!("{helios:.0}"),
        format!("{:.2}", helios / postgres),
        format!("{postgres_cpu:.0}"),
        format!("{helios_cpu:.0}"),
    ];
    // The table comes at the end, and may not.
    eprintln!("{}", cells.join(" | "));
    Ok(cells)
}

/// What a pgbench that knows its server did: transactions per second, and how many there were.
pub fn transactions(
    mut pgbench: Command,
    clients: u32,
    arguments: &[&str],
    options: &Options,
) -> Result<(f64, f64), String> {
    let connecting = match clients >= MANY {
        true => SECONDS_TO_CONNECT_MANY,
        false => 0,
    };
    let output = checked(
        pgbench
            .args(["-n", "-j", "2", "-c"])
            .arg(clients.to_string())
            .args(["-T", &(options.seconds + connecting).to_string()])
            .args(arguments),
    )?;
    let field = |label: &str| {
        output
            .lines()
            .find_map(|line| line.strip_prefix(label))
            .and_then(|rest| {
                rest.trim_start_matches([' ', ':', '='])
                    .split([' ', '/'])
                    .next()
            })
            .and_then(|number| number.parse::<f64>().ok())
            .ok_or(format!("pgbench printed no {label}:\n{output}"))
    };
    Ok((
        field("tps")?,
        field("number of transactions actually processed")?,
    ))
}

/// TPC-B keeps three sums equal; a fast server that loses updates would show here.
fn check(peer: &Peer) -> Result<(), String> {
    match peer.psql(BALANCES_AGREE)?.trim() {
        "t" => Ok(()),
        other => Err(format!(
            "{}: the balances do not agree after the run ({other})",
            peer.name
        )),
    }
}

pub const BALANCES_AGREE: &str = "\
    SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)
       AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)
       AND (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(bbalance) FROM pgbench_branches)";
