//! The same TPC-H data into either server.

use std::io::copy;
use std::process::Stdio;
use std::time::Instant;

use heliosdb_tpch::{Data, INDEXES, TABLES, Table};

use crate::peer::Peer;

/// Depends on every table's row count and on the sums of four columns.
pub const FINGERPRINT: &str = "SELECT (SELECT count(*) FROM region) || ' ' || (SELECT count(*) FROM nation) || ' ' || \
     (SELECT count(*) FROM supplier) || ' ' || (SELECT count(*) || ' ' || sum(c_acctbal) FROM customer) || ' ' || \
     (SELECT count(*) FROM part) || ' ' || (SELECT count(*) || ' ' || sum(ps_supplycost) FROM partsupp) || ' ' || \
     (SELECT count(*) || ' ' || sum(o_totalprice) FROM orders) || ' ' || \
     (SELECT count(*) || ' ' || sum(l_extendedprice) FROM lineitem) AS fingerprint";

/// Make the tables and indexes and load all rows; how many bytes of CSV they are.
pub fn load(peer: &Peer, data: &Data) -> Result<u64, String> {
    let start = Instant::now();
    for table in &TABLES {
        peer.psql(table.create)?;
    }
    // Before the rows: an index of all rows at once would be one transaction, which has to fit into
    // HeliosDB's memory.
    for index in INDEXES {
        peer.psql(index)?;
    }
    let mut bytes = 0;
    for table in &TABLES {
        let copies = data.copies(table);
        for part in 0..copies {
            bytes += copy_rows(peer, data, table, part, copies)?;
        }
    }
    peer.psql("CHECKPOINT")?;
    eprintln!(
        "{}: loaded in {:.0} s",
        peer.name,
        start.elapsed().as_secs_f64()
    );
    Ok(bytes)
}

fn copy_rows(
    peer: &Peer,
    data: &Data,
    table: &Table,
    part: u32,
    copies: u32,
) -> Result<u64, String> {
    let statement = format!("COPY {} FROM STDIN WITH (FORMAT csv)", table.name);
    let mut child = peer
        .client("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", &statement])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run psql: {e}"))?;
    let mut rows = data.rows(table, part, copies);
    let sent = match child.stdin.take() {
        Some(mut input) => copy(&mut rows, &mut input),
        None => Err(std::io::ErrorKind::BrokenPipe.into()),
    };
    let status = child.wait().map_err(|e| format!("psql: {e}"))?;
    if !status.success() {
        return Err(format!("{}: COPY {} failed", peer.name, table.name));
    }
    sent.map_err(|e| format!("{}: COPY {}: {e}", peer.name, table.name))
}
