//! The space that TPC-H takes, beside PostgreSQL and DuckDB: after the load, once nothing is merged any
//! more, and after VACUUM.

use heliosdb_tpch::{Data, Scale};

use super::settle::settle;
use super::{SCALE, THREADS, bytes_under, load_duckdb, load_server, pieces, postgres_bytes};
use crate::Options;
use crate::duckdb::{self, DuckDb};
use crate::peer::Peer;
use crate::table;

pub fn run(options: &Options) -> Result<(), String> {
    let scale = Scale::new(options.scale.unwrap_or(SCALE))?;
    let mut helios = Peer::helios()?;
    let mut postgres = Peer::postgres()?;
    let file = postgres.scratch().join("tpch.duckdb");
    let mut duck = DuckDb::open(&file, THREADS)?;
    println!(
        "{}\nDuckDB {}\n{}\n",
        postgres.version()?,
        duckdb::VERSION,
        helios.version()?
    );
    let data = Data::new(scale, Data::TEXT_BYTES);
    let pieces = pieces::write(&data, helios.scratch())?;
    drop(data);
    let rows_bytes: u64 = pieces.iter().map(|piece| piece.bytes).sum();
    load_server(&postgres, &pieces)?;
    load_duckdb(&mut duck, &pieces)?;
    load_server(&helios, &pieces)?;

    let theirs = bytes_under(&file)?;
    let mut rows = vec![row("the rows as CSV", rows_bytes, theirs)];
    let mut add = |what: &str, bytes| rows.push(row(what, bytes, theirs));
    add("DuckDB, no keys", theirs);
    add("PostgreSQL, all keys", postgres_bytes(&postgres)?);
    let segments = helios.data().join("segments");
    let our = || bytes_under(&segments);
    add("HeliosDB, all keys, after the load", our()?);
    let seconds = settle(&segments)?;
    add(&format!("HeliosDB, {seconds} s later, merged"), our()?);
    helios.psql("VACUUM")?;
    add("HeliosDB, after VACUUM", our()?);
    add("HeliosDB, with its log", bytes_under(&helios.data())?);
    table::print(&["what", "MB", "of DuckDB's"], &rows);
    duck.close()?;
    postgres.stop()?;
    helios.stop()
}

fn row(what: &str, bytes: u64, theirs: u64) -> Vec<String> {
    vec![
        what.to_owned(),
        format!("{:.0}", bytes as f64 / 1e6),
        format!("{:.2}", bytes as f64 / theirs as f64),
    ]
}
