//! Dump and restore of TPC-H, beside `pg_dump` and `pg_restore`.
//!
//! Both servers get the same tables, keys, foreign keys and secondary indexes, through the same COPYs.
//! Then, in one run: `pg_dump -Fc` beside an export of the running server and of the closed directory;
//! `pg_restore` with one and with two jobs beside an import, which verifies what it wrote;
//! `verify-migration` by itself. PostgreSQL restores with fsync on, as it was told to serve. In the end
//! every copy must answer the same question alike.

mod load;
mod measure;

use std::fs;
use std::path::Path;
use std::process::Command;

use heliosdb_tpch::{Data, Scale};

use crate::Options;
use crate::peer::{Peer, checked, ours};
use crate::table;
use load::FINGERPRINT;
use measure::{Measured, measure};

/// Raw rows of two gigabytes.
const SCALE: f64 = 2.0;
/// One round of dumping and restoring takes minutes.
const ROUNDS: u32 = 1;

/// Everything measured for one way to dump or restore.
struct Work {
    name: &'static str,
    /// What it is compared with: indexes of other works.
    beside: &'static [usize],
    runs: Vec<Measured>,
    file_bytes: Vec<u64>,
}

// Places in the list of works.
const PG_DUMP: usize = 0;
const PG_DUMP_FAST: usize = 1;
const EXPORT_ONLINE: usize = 2;
const EXPORT: usize = 3;
const PG_RESTORE: usize = 4;
const PG_RESTORE_2: usize = 5;
const IMPORT: usize = 6;
const VERIFY: usize = 7;

fn works() -> [Work; 8] {
    let work = |name, beside| Work {
        name,
        beside,
        runs: Vec::new(),
        file_bytes: Vec::new(),
    };
    [
        work("pg_dump -Fc", &[]),
        work("pg_dump -Fc -Z1", &[]),
        work(
            "heliosdb-lite export --connection",
            &[PG_DUMP, PG_DUMP_FAST],
        ),
        work("heliosdb-lite export --database", &[PG_DUMP, PG_DUMP_FAST]),
        work("pg_restore -j1", &[]),
        work("pg_restore -j2", &[]),
        work(
            "heliosdb-full import, verification included",
            &[PG_RESTORE, PG_RESTORE_2],
        ),
        work("heliosdb-full verify-migration", &[]),
    ]
}

pub fn run(options: &Options) -> Result<(), String> {
    let scale = Scale::new(options.scale.unwrap_or(SCALE))?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let full = ours("heliosdb-full")?;
    let postgres = Peer::postgres()?;
    let mut helios = Peer::helios()?;
    println!("{}", postgres.version()?);
    println!("{}", helios.version()?);

    let data = Data::new(scale, Data::TEXT_BYTES);
    let raw_bytes = load::load(&postgres, &data)?;
    load::load(&helios, &data)?;
    drop(data);
    let size = postgres.psql("SELECT pg_database_size(current_database())")?;
    println!(
        "TPC-H scale {}: {} of rows as CSV; PostgreSQL's database has {}\n",
        scale.factor(),
        megabytes(raw_bytes),
        megabytes(size.trim().parse().unwrap_or(0)),
    );
    let answer = postgres.psql(FINGERPRINT)?;
    same(&helios.psql(FINGERPRINT)?, &answer, "HeliosDB Lite")?;

    let mut works = works();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        dump_postgres(&postgres, &mut works)?;
        restore_postgres(&postgres, &answer, &mut works)?;
        export_online(&helios, &mut works)?;
    }
    helios.stop()?;
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}, with the server stopped");
        export(&helios, &mut works)?;
        import(&full, &helios, &answer, &mut works)?;
    }
    print(&works, raw_bytes, rounds);
    Ok(())
}

fn dump_postgres(peer: &Peer, works: &mut [Work]) -> Result<(), String> {
    let file = postgres_file(peer);
    // The file that is restored is the one of the default level, so it is written last.
    for (place, level) in [(PG_DUMP_FAST, Some("-Z1")), (PG_DUMP, None)] {
        let mut command = peer.client("pg_dump");
        command.arg("-Fc").args(level).arg("-f").arg(&file);
        let run = measure(&mut command, Some(peer.process()))?;
        works[place].note(run, &file)?;
    }
    Ok(())
}

fn restore_postgres(peer: &Peer, answer: &str, works: &mut [Work]) -> Result<(), String> {
    let file = postgres_file(peer);
    for (place, jobs) in [(PG_RESTORE, "-j1"), (PG_RESTORE_2, "-j2")] {
        checked(peer.client("createdb").arg("restored"))?;
        let mut command = peer.client("pg_restore");
        command.args([jobs, "-d", "restored"]).arg(&file);
        works[place]
            .runs
            .push(measure(&mut command, Some(peer.process()))?);
        let restored = checked(peer.client("psql").args([
            "-X",
            "-A",
            "-t",
            "-d",
            "restored",
            "-c",
            FINGERPRINT,
        ]))?;
        same(&restored, answer, "the restored database")?;
        checked(peer.client("dropdb").arg("restored"))?;
    }
    Ok(())
}

fn export_online(peer: &Peer, works: &mut [Work]) -> Result<(), String> {
    let file = helios_file(peer);
    remove(&file)?;
    let mut command = Command::new(ours("heliosdb-lite")?);
    command
        .args(["export", "--connection"])
        .arg(format!("postgres://helios@127.0.0.1:{}/helios", peer.port))
        .arg("--output")
        .arg(&file);
    let run = measure(&mut command, Some(peer.process()))?;
    works[EXPORT_ONLINE].note(run, &file)
}

fn export(peer: &Peer, works: &mut [Work]) -> Result<(), String> {
    let file = helios_file(peer);
    remove(&file)?;
    let mut command = Command::new(ours("heliosdb-lite")?);
    command.args(["export", "--database"]).arg(peer.data());
    let run = measure(command.arg("--output").arg(&file), None)?;
    works[EXPORT].note(run, &file)
}

fn import(full: &Path, peer: &Peer, answer: &str, works: &mut [Work]) -> Result<(), String> {
    let (file, target) = (helios_file(peer), peer.scratch().join("full"));
    let mut command = Command::new(full);
    command.args(["import", "--input"]).arg(&file);
    let run = measure(command.arg("--data").arg(&target), None)?;
    works[IMPORT].runs.push(run);
    let mut command = Command::new(full);
    command.args(["verify-migration", "--original"]).arg(&file);
    let run = measure(command.arg("--data").arg(&target), None)?;
    works[VERIFY].runs.push(run);
    let mut command = Command::new(full);
    command.args(["sql", "--format", "csv", "-c", FINGERPRINT]);
    let output = checked(command.arg("--data").arg(&target))?;
    // CSV has a header.
    let imported = output.split_once('\n').map_or("", |(_, rest)| rest);
    same(imported, answer, "HeliosDB Full")?;
    fs::remove_dir_all(&target).map_err(|e| format!("{}: {e}", target.display()))
}

fn postgres_file(peer: &Peer) -> std::path::PathBuf {
    peer.scratch().join("postgres.dump")
}

fn helios_file(peer: &Peer) -> std::path::PathBuf {
    peer.scratch().join("helios.dump")
}

fn remove(file: &Path) -> Result<(), String> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {e}", file.display()))
        }
        _ => Ok(()),
    }
}

/// A copy that answers differently makes every figure worthless.
fn same(got: &str, wanted: &str, whose: &str) -> Result<(), String> {
    if got.trim() == wanted.trim() {
        Ok(())
    } else {
        Err(format!(
            "{whose} answers {}, not {}",
            got.trim(),
            wanted.trim()
        ))
    }
}

impl Work {
    fn note(&mut self, run: Measured, file: &Path) -> Result<(), String> {
        let size = fs::metadata(file).map_err(|e| format!("{}: {e}", file.display()))?;
        self.file_bytes.push(size.len());
        self.runs.push(run);
        Ok(())
    }

    fn seconds(&self) -> f64 {
        let mut seconds: Vec<f64> = self.runs.iter().map(|run| run.seconds).collect();
        table::median(&mut seconds)
    }
}

fn print(works: &[Work], raw_bytes: u64, rounds: u32) {
    println!(
        "seconds are the median of {rounds}; MB/s are megabytes of the rows as CSV; memory is the most of all rounds\n"
    );
    let peak =
        |bytes: Option<u64>| bytes.map_or("–".to_owned(), |b| format!("{:.0}", b as f64 / 1e6));
    let rows: Vec<Vec<String>> = works
        .iter()
        .map(|work| {
            let seconds = work.seconds();
            let ratios: Vec<String> = work
                .beside
                .iter()
                .map(|other| {
                    format!(
                        "{:.2} × {}",
                        works[*other].seconds() / seconds,
                        works[*other].name
                    )
                })
                .collect();
            vec![
                work.name.to_owned(),
                format!("{seconds:.1}"),
                format!("{:.0}", raw_bytes as f64 / 1e6 / seconds),
                if ratios.is_empty() {
                    "–".to_owned()
                } else {
                    ratios.join(", ")
                },
                peak(work.file_bytes.last().copied()),
                peak(work.runs.iter().map(|run| run.memory_bytes).max()),
                peak(
                    work.runs
                        .iter()
                        .filter_map(|run| run.server_memory_bytes)
                        .max(),
                ),
            ]
        })
        .collect();
    table::print(
        &[
            "work",
            "s",
            "MB/s",
            "speed",
            "file MB",
            "memory MB",
            "server's memory MB",
        ],
        &rows,
    );
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
