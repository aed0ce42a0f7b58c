//! Loading TPC-H alone, beside PostgreSQL: seconds of the COPYs of each table, all keys present.
//!
//! Each round has new servers, in turn, so that a slow minute of the machine falls on both.

use std::collections::BTreeMap;

use heliosdb_tpch::{Data, Scale, TABLES};

use super::pieces::{self, Piece};
use super::{SCALE, copy, create};
use crate::Options;
use crate::peer::{Peer, temporary_directory};
use crate::table;

/// Seconds per table, one of each round.
type Seconds = BTreeMap<&'static str, Vec<f64>>;

pub fn run(options: &Options) -> Result<(), String> {
    let scale = Scale::new(options.scale.unwrap_or(SCALE))?;
    let directory = temporary_directory()?;
    let data = Data::new(scale, Data::TEXT_BYTES);
    let pieces = pieces::write(&data, directory.path())?;
    drop(data);
    let (mut theirs, mut our) = (Seconds::new(), Seconds::new());
    for round in 0..options.rounds() {
        let (postgres, helios) = (Peer::postgres()?, Peer::helios()?);
        if round == 0 {
            println!("{}\n{}\n", postgres.version()?, helios.version()?);
        }
        for (mut peer, seconds) in [(postgres, &mut theirs), (helios, &mut our)] {
            load(&peer, &pieces, seconds)?;
            peer.stop()?;
        }
    }
    print(&pieces, theirs, our);
    Ok(())
}

fn load(peer: &Peer, pieces: &[Piece], seconds: &mut Seconds) -> Result<(), String> {
    create(peer)?;
    let mut sums = Seconds::new();
    for piece in pieces {
        let sum = sums.entry(piece.table).or_insert_with(|| vec![0.0]);
        sum[0] += copy(peer, piece)?;
    }
    for (table, sum) in sums {
        seconds.entry(table).or_default().extend(sum);
    }
    Ok(())
}

fn print(pieces: &[Piece], mut theirs: Seconds, mut our: Seconds) {
    let mut rows = Vec::new();
    let (mut all_theirs, mut all_our, mut all_bytes) = (0.0, 0.0, 0);
    for table in &TABLES {
        let median = |seconds: &mut Seconds| {
            let samples = seconds.get_mut(table.name);
            samples.map_or(0.0, |samples| table::median(samples))
        };
        let (theirs, our) = (median(&mut theirs), median(&mut our));
        let of_table = pieces.iter().filter(|piece| piece.table == table.name);
        let bytes: u64 = of_table.map(|piece| piece.bytes).sum();
        all_theirs += theirs;
        all_our += our;
        all_bytes += bytes;
        rows.push(row(table.name, bytes, theirs, our));
    }
    rows.push(row("all", all_bytes, all_theirs, all_our));
    table::print(
        &[
            "table",
            "MB",
            "PostgreSQL s",
            "HeliosDB s",
            "MB/s",
            "times as fast",
        ],
        &rows,
    );
}

fn row(name: &str, bytes: u64, theirs: f64, our: f64) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.1}", bytes as f64 / 1e6),
        format!("{theirs:.2}"),
        format!("{our:.2}"),
        format!("{:.1}", bytes as f64 / 1e6 / our),
        format!("{:.2}", theirs / our),
    ]
}
