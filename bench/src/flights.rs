//! Loading and querying the nycflights13 data beside PostgreSQL.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Options;
use crate::peer::{Peer, checked};
use crate::table;

/// In the order their foreign keys want.
const TABLES: [&str; 5] = ["airlines", "airports", "planes", "weather", "flights"];

pub fn run(options: &Options) -> Result<(), String> {
    let data = options.data.as_deref();
    let data = Path::new(data.unwrap_or("../shared/data/nycflights13"));
    let read = |name: &str| {
        fs::read_to_string(data.join(name)).map_err(|e| format!("{}/{name}: {e}", data.display()))
    };
    let schema = read("schema.sql")?;
    let queries = read("queries.sql")?;
    let unpacked = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
    for name in TABLES {
        unpack(data, name, unpacked.path())?;
    }

    let peers = [Peer::postgres()?, Peer::helios()?];
    let mut load = [Vec::new(), Vec::new()];
    for round in 0..options.rounds() {
        for (i, peer) in peers.iter().enumerate() {
            if round > 0 {
                peer.psql("DROP TABLE flights, weather, planes, airports, airlines")?;
            }
            peer.psql(&schema)?;
            let start = Instant::now();
            for name in TABLES {
                let file = fs::File::open(unpacked.path().join(name))
                    .map_err(|e| format!("{name}: {e}"))?;
                let copy = format!("COPY {name} FROM STDIN WITH (FORMAT csv, HEADER, NULL 'NA')");
                checked(
                    peer.client("psql")
                        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", &copy])
                        .stdin(Stdio::from(file)),
                )?;
            }
            load[i].push(start.elapsed().as_secs_f64());
        }
    }
    let mut rows = Vec::new();
    push(&mut rows, "load all five tables", load);
    for query in queries.lines().filter(|line| !line.trim().is_empty()) {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..options.rounds().max(3) {
            for (i, peer) in peers.iter().enumerate() {
                let start = Instant::now();
                peer.psql(query)?;
                times[i].push(start.elapsed().as_secs_f64());
            }
        }
        let label: String = query.chars().take(60).collect();
        push(&mut rows, &label, times);
    }
    println!(
        "nycflights13 through psql, seconds, median of {} rounds\n",
        options.rounds()
    );
    table::print(&["work", "PostgreSQL", "HeliosDB", "times faster"], &rows);
    Ok(())
}

fn push(rows: &mut Vec<Vec<String>>, label: &str, times: [Vec<f64>; 2]) {
    let [postgres, helios] = times.map(|mut samples| table::median(&mut samples));
    rows.push(vec![
        label.replace('|', "\\|"),
        format!("{postgres:.3}"),
        format!("{helios:.3}"),
        format!("{:.2}", postgres / helios),
    ]);
}

fn unpack(data: &Path, name: &str, into: &Path) -> Result<(), String> {
    let plain = data.join(format!("{name}.csv"));
    let target = into.join(name);
    let content = if plain.exists() {
        fs::read(&plain).map_err(|e| format!("{}: {e}", plain.display()))?
    } else {
        let packed = data.join(format!("{name}.csv.gz"));
        let output = Command::new("gzip")
            .arg("-dc")
            .arg(&packed)
            .output()
            .map_err(|e| format!("cannot run gzip: {e}"))?;
        if !output.status.success() {
            return Err(format!(
                "{}: {}",
                packed.display(),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        output.stdout
    };
    fs::write(&target, content).map_err(|e| format!("{}: {e}", target.display()))
}
