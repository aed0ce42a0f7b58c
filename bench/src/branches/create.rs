//! How long it takes to make a branch, by the size of the database, beside one fsync.
//!
//! A branch is made of what `main` shows now, and one of a time before all of the samples. Before each there is a
//! commit on `main`, so that every branch begins somewhere else, and after it the branch is dropped: how long many
//! take that live at a time is told by [`live`](super::live). The fsync is of 4 KiB that were appended to a file of
//! the same file system, one for each sample, so that a slow minute of the disk falls on all.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use super::{Client, Plan, Random, milliseconds, open, percentile, same, segment_bytes, text};
use crate::peer::temporary_directory;
use crate::table;

/// Of the text of a row. It is random and stored as it is, so that bytes on disk are real.
const TEXT_BYTES: usize = 1_000;
/// A gigabyte: few large files, so that little is merged while branches are made.
const ROWS_PER_COPY: i64 = 1_000_000;
const SAMPLES: u32 = 500;
const SAMPLES_QUICK: u32 = 100;

pub fn run(plan: &Plan) -> Result<(), String> {
    let samples = plan.choose(SAMPLES, SAMPLES_QUICK);
    println!("{samples} branches of each kind, milliseconds\n");
    let rows: Result<Vec<_>, String> = plan
        .sizes
        .iter()
        .map(|bytes| measure(*bytes, samples))
        .collect();
    table::print(
        &[
            "MB of segments",
            "rows",
            "load s",
            "fsync of 4 KiB",
            "p99",
            "CREATE BRANCH",
            "p99",
            "less the fsync",
            "CREATE BRANCH … AS OF",
            "p99",
        ],
        &rows?,
    );
    Ok(())
}

fn measure(bytes: u64, samples: u32) -> Result<Vec<String>, String> {
    let scratch = temporary_directory()?;
    let directory = scratch.path().join("heliosdb");
    let database = open(&directory, "")?;
    let mut client = Client::new(&database)?;
    let rows = (bytes / TEXT_BYTES as u64).max(1) as i64;
    let start = Instant::now();
    load(&mut client, rows)?;
    let seconds = start.elapsed().as_secs_f64();
    let on_disk = segment_bytes(&directory)?;
    let loaded = client.scn()?;

    let mut disk = Disk::new(&scratch.path().join("appended"))?;
    let connection = &mut client.connection;
    let touch = connection
        .prepare("UPDATE t SET n = $1 WHERE id = 1")
        .map_err(text)?;
    let [mut fsync, mut now, mut then] = [Vec::new(), Vec::new(), Vec::new()];
    for sample in 1..=samples as i32 {
        let touched = client.connection.execute_prepared(&touch, &[&sample]);
        same("rows that were touched", touched.map_err(text)?, 1)?;
        fsync.push(disk.append()?);
        now.push(create(&mut client, "")?);
        then.push(create(&mut client, &format!(" AS OF SCN {loaded}"))?);
    }
    check(&mut client, loaded, rows, samples.into())?;
    drop(client);
    database.close().map_err(text)?;

    let [fsync, now, then] =
        [&mut fsync, &mut now, &mut then].map(|all| (table::median(all), percentile(all, 99)));
    let three = |number: f64| format!("{number:.3}");
    Ok(vec![
        format!("{:.0}", on_disk as f64 / 1e6),
        rows.to_string(),
        format!("{seconds:.1}"),
        three(fsync.0),
        three(fsync.1),
        three(now.0),
        three(now.1),
        three(now.0 - fsync.0),
        three(then.0),
        three(then.1),
    ])
}

/// Make a branch and drop it; how long the first took.
fn create(client: &mut Client, when: &str) -> Result<f64, String> {
    let start = Instant::now();
    client.run(&format!("CREATE BRANCH made{when}"))?;
    let took = milliseconds(start);
    client.run("DROP BRANCH made")?;
    Ok(took)
}

/// What such branches show is what was there, and nothing that came later.
fn check(client: &mut Client, loaded: i64, rows: i64, last: i64) -> Result<(), String> {
    const COUNT: &str = "SELECT count(*) FROM t";
    const TOUCHED: &str = "SELECT n FROM t WHERE id = 1";
    client.run("CREATE BRANCH made")?;
    client.run(&format!("CREATE BRANCH past AS OF SCN {loaded}"))?;
    client.affect("UPDATE t SET n = -1 WHERE id = 1", 1)?;
    for (branch, touched) in [("made", last), ("past", 0), ("main", -1)] {
        client.run(&format!("USE BRANCH {branch}"))?;
        client.expect(TOUCHED, touched)?;
        client.expect(COUNT, rows)?;
    }
    client.run("USE BRANCH made")?;
    client.affect("UPDATE t SET n = -2 WHERE id = 1", 1)?;
    client.run("USE BRANCH main")?;
    client.expect(TOUCHED, -1)
}

fn load(client: &mut Client, rows: i64) -> Result<(), String> {
    client.run("CREATE TABLE t (id bigint PRIMARY KEY, n int, body text COMPRESSION none)")?;
    let mut random = Random::new();
    let mut lines = Vec::new();
    for first in (1..=rows).step_by(ROWS_PER_COPY as usize) {
        let session = client.connection.session();
        session
            .execute_text("COPY t FROM STDIN")
            .map(drop)
            .map_err(text)?;
        for id in first..(first + ROWS_PER_COPY).min(rows + 1) {
            write!(lines, "{id}\t0\t").map_err(text)?;
            random_text(&mut random, &mut lines);
            lines.push(b'\n');
            if lines.len() >= 1 << 20 {
                session.copy_in_data(&lines).map_err(text)?;
                lines.clear();
            }
        }
        session.copy_in_data(&lines).map_err(text)?;
        lines.clear();
        session.copy_in_done().map(drop).map_err(text)?;
    }
    client.run("CHECKPOINT").map(drop)
}

/// Letters and digits, ten of each number.
fn random_text(random: &mut Random, into: &mut Vec<u8>) {
    const LETTERS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    for _ in 0..TEXT_BYTES / 10 {
        let bits = random.next();
        let ten: [u8; 10] = std::array::from_fn(|i| LETTERS[((bits >> (6 * i)) & 63) as usize]);
        into.extend_from_slice(&ten);
    }
}

/// A file that is appended to.
struct Disk {
    file: File,
}

impl Disk {
    fn new(path: &Path) -> Result<Disk, String> {
        let file = File::create(path).map_err(text)?;
        Ok(Disk { file })
    }

    fn append(&mut self) -> Result<f64, String> {
        let start = Instant::now();
        self.file.write_all(&[0x5A; 4096]).map_err(text)?;
        self.file.sync_all().map_err(text)?;
        Ok(milliseconds(start))
    }
}
