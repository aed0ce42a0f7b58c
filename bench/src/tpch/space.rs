//! The space that TPC-H takes, beside PostgreSQL and DuckDB: after the load, once nothing is merged any
//! more, and after VACUUM.

use std::thread::sleep;
use std::time::{Duration, Instant};

use heliosdb_tpch::{Data, Scale};

use super::{SCALE, THREADS, bytes_under, load_duckdb, load_server, pieces, postgres_bytes};
use crate::Options;
use crate::duckdb::{self, DuckDb};
use crate::peer::Peer;
use crate::table;

/// Files that stay as they are for so long are merged as far as they are without being told to.
const QUIET: Duration = Duration::from_secs(30);
/// Merging goes on for no longer than this.
const PATIENCE: Duration = Duration::from_secs(1800);

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
    let start = Instant::now();
    settle(&our)?;
    let seconds = start.elapsed().saturating_sub(QUIET).as_secs();
    add(&format!("HeliosDB, {seconds} s later, merged"), our()?);
    helios.psql("VACUUM")?;
    add("HeliosDB, after VACUUM", our()?);
    add("HeliosDB, with its log", bytes_under(&helios.data())?);
    table::print(&["what", "MB", "of DuckDB's"], &rows);
    duck.close()?;
    postgres.stop()?;
    helios.stop()
}

/// Wait until `bytes` are the same for [`QUIET`].
fn settle(bytes: &impl Fn() -> Result<u64, String>) -> Result<(), String> {
    let start = Instant::now();
    let (mut last, mut since) = (bytes()?, Instant::now());
    while since.elapsed() < QUIET {
        if start.elapsed() > PATIENCE {
            return Err(format!("files still change after {PATIENCE:?}"));
        }
        sleep(Duration::from_millis(500));
        // A file may go between the listing of its directory and the look at it.
        let now = bytes().unwrap_or(0);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

fn row(what: &str, bytes: u64, theirs: u64) -> Vec<String> {
    vec![
        what.to_owned(),
        format!("{:.0}", bytes as f64 / 1e6),
        format!("{:.2}", bytes as f64 / theirs as f64),
    ]
}
