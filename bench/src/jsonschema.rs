//! What checking rows against a JSON schema costs.
//!
//! The same 20,000 documents are inserted into a table without and a table with `VALIDATE USING
//! SCHEMA`, alternating, and the difference of the medians is the overhead. PostgreSQL inserts them
//! unchecked beside it, for scale.

use std::time::Instant;

use crate::Options;
use crate::peer::Peer;
use crate::table;

const ROWS: u32 = 20_000;

const SCHEMA: &str = r#"{
  "type": "object",
  "required": ["id", "name", "email"],
  "properties": {
    "id": {"type": "integer", "minimum": 0},
    "name": {"type": "string", "minLength": 1, "maxLength": 100},
    "email": {"type": "string", "pattern": "^[^@]+@[^@]+$"},
    "tags": {"type": "array", "items": {"type": "string"}}
  }
}"#;

pub fn run(options: &Options) -> Result<(), String> {
    let postgres = Peer::postgres()?;
    let helios = Peer::helios()?;
    helios.psql(&format!("CREATE JSON SCHEMA person AS '{SCHEMA}'"))?;
    helios.psql("CREATE TABLE checked (doc jsonb VALIDATE USING SCHEMA person)")?;
    for peer in [&postgres, &helios] {
        peer.psql("CREATE TABLE plain (doc jsonb)")?;
        peer.psql("CREATE TABLE source (doc jsonb)")?;
        peer.psql(&format!(
            "INSERT INTO source SELECT ('{{\"id\": ' || i || ', \"name\": \"name ' || i || \
             '\", \"email\": \"user' || i || '@example.org\", \"tags\": [\"a\", \"b\"]}}')::jsonb \
             FROM generate_series(1, {ROWS}) AS g(i)"
        ))?;
    }
    let runs = [
        (&postgres, "plain"),
        (&helios, "plain"),
        (&helios, "checked"),
    ];
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..options.rounds().max(5) {
        for ((peer, into), times) in runs.iter().zip(&mut times) {
            peer.psql(&format!("TRUNCATE {into}"))?;
            let start = Instant::now();
            peer.psql(&format!("INSERT INTO {into} SELECT doc FROM source"))?;
            times.push(start.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let [postgres, plain, checked] = times.map(|mut samples| table::median(&mut samples));
    let row = |label: &str, ms: f64| vec![label.to_owned(), format!("{ms:.1}")];
    println!("INSERT … SELECT of {ROWS} jsonb documents through psql, milliseconds, median\n");
    table::print(
        &["work", "ms"],
        &[
            row("PostgreSQL, no check", postgres),
            row("HeliosDB, no check", plain),
            row("HeliosDB, VALIDATE USING SCHEMA", checked),
            row("overhead of the schema", checked - plain),
        ],
    );
    Ok(())
}
