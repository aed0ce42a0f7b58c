//! Steps: everything moves into Full.
//!
//! The export runs beside a client that goes on writing; what the dump has of its rows must be those
//! up to one moment. A damaged copy of the dump must be refused. What arrives is compared by
//! `verify-migration` and, once more, by asking both databases the queries of TPC-H.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use heliosdb_command::client::Client;

use super::numbers::{bytes, grouped, rate, time};
use super::program::{Program, find, show, succeed, this};
use super::queries::comparable;
use super::stage::{Answer, Stage, Who, describe_error};
use super::step::{Next, Outcome, Play, Step, Trouble};

pub const EXPORT: Step = Step {
    title: "Export, while others write",
    play: Play::Code(export),
    next: &[
        Next::Sql("SELECT count(*) FROM tick"),
        Next::Read(
            "docs/migrating-lite-to-full.md says what is in a dump; docs/dump-format.md has every byte.",
        ),
    ],
};

pub const IMPORT: Step = Step {
    title: "Into Full",
    play: Play::Code(import),
    next: &[],
};

const FULL: &str = "heliosdb-full";
const MISSING: &str = "heliosdb-full is neither beside this program nor in PATH; cargo build --release --bin heliosdb-full builds it";

/// What an import leaves in the directory it made.
const REPORT_FILE: &str = "migration-report.html";

/// Before the first step: whether the last one can be played.
pub fn foresee(stage: &Stage) -> Outcome {
    match find(FULL)? {
        Some(_) => Ok(()),
        None => stage.say(&format!(
            "The last step, \"{}\", will fail: {MISSING}.",
            IMPORT.title
        )),
    }
}

fn export(stage: &mut Stage) -> Outcome {
    stage.say("A client inserts one row after the other while the export runs; the dump is of one moment.")?;
    stage.run(
        Who::First,
        "CREATE TABLE tick (n bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
    )?;
    let dump = stage.path("tour.dump");
    let (dial, identity) = stage.dial();
    let mut client = Client::connect(dial, &identity)
        .map_err(|error| Trouble::failed(describe_error(&error)))?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let ticking = thread::spawn(move || {
        let mut ticks = 0;
        while !stopped.load(Ordering::Relaxed) {
            let sql = format!("INSERT INTO tick VALUES ({})", ticks + 1);
            if let Err(error) = client.run(&sql, &mut Answer::default()) {
                return Err(describe_error(&error));
            }
            ticks += 1;
        }
        Ok(ticks)
    });
    let program = Program::new(&this()?)
        .args([
            "export",
            "--connection",
            &stage.url(),
            "--include-config",
            "--include-branches",
            "--output",
        ])
        .arg(&dump)
        .password(&stage.password_file())?;
    let ran = succeed(stage, program);
    stop.store(true, Ordering::Relaxed);
    let ticks: u64 = ticking
        .join()
        .map_err(|_| Trouble::failed("the client that wrote panicked"))?
        .map_err(Trouble::Failed)?;
    let ran = ran?;
    let size = fs::metadata(&dump)
        .map_err(|error| Trouble::failed(format!("{}: {error}", dump.display())))?
        .len();
    let stored = stage.value("SELECT sum(stored_bytes) FROM helios_compression_stats")?;
    stage.say(&format!(
        "{} in {}: {} of dump a second. Flushed columns take {} on disk. The client committed {} rows before it was stopped.",
        bytes(size),
        time(ran.took),
        bytes(rate(size, ran.took)),
        bytes(stored.parse().unwrap_or(0)),
        grouped(ticks),
    ))?;
    stage.dump = Some(dump);
    Ok(())
}

fn import(stage: &mut Stage) -> Outcome {
    let Some(dump) = stage.dump.clone() else {
        return Err(Trouble::failed("there is no dump to import"));
    };
    let full = find(FULL)?.ok_or_else(|| Trouble::failed(MISSING))?;
    refuse_damage(stage, &full, &dump)?;

    let target = stage.path("full");
    stage.say("What an import would come to; it does everything but keep it:")?;
    let rehearsal = command(&full, "import", "--input", &dump, &target).arg("--dry-run");
    succeed(stage, rehearsal)?;
    stage.say(
        "The import: load, migrate, adopt, verify, and one commit that makes it a database.",
    )?;
    let ran = succeed(stage, command(&full, "import", "--input", &dump, &target))?;
    let size = fs::metadata(&dump).map_or(0, |found| found.len());
    stage.say(&format!(
        "It took {}, {} of dump a second.",
        time(ran.took),
        bytes(rate(size, ran.took))
    ))?;
    let report = target.join(REPORT_FILE);
    if !report.is_file() {
        return Err(Trouble::failed(format!("there is no {}", report.display())));
    }
    stage.say(&format!("A page for people: {}", report.display()))?;
    stage.lasting.push(format!(
        "The report of the move into Full: {}",
        report.display()
    ));

    stage.say("The comparison can be made again for as long as the dump is kept:")?;
    succeed(stage, compare_contents(&full, &dump, &target))?;
    ask_the_same(stage, &full, &target)?;
    show_what_is_new(stage, &full, &target)?;

    stage.say("One value is changed in Full, and the comparison is made once more:")?;
    let change = "UPDATE nation SET n_comment = 'changed' WHERE n_nationkey = 7";
    succeed(stage, question(&full, &target, change))?;
    let ran = show(stage, compare_contents(&full, &dump, &target))?;
    if ran.success || !ran.output.contains("nation") {
        return Err(Trouble::failed("the changed value was not found"));
    }
    stage.say("It names the table, and its exit status is not 0.")
}

fn show_what_is_new(stage: &mut Stage, full: &Path, target: &Path) -> Outcome {
    stage.say("Full knows where its data came from:")?;
    succeed(
        stage,
        question(
            full,
            target,
            "SELECT source_edition, source_version, exported_at, imported_at, tables, rows FROM helios_imports",
        ),
    )?;
    stage.say("It keeps every text that a JSON schema had, the one from Lite first:")?;
    let change = r#"ALTER JSON SCHEMA review AS '{"type": "object", "required": ["stars"]}'"#;
    succeed(stage, question(full, target, change))?;
    let ran = succeed(
        stage,
        question(
            full,
            target,
            "SELECT name, version, origin, recorded_at, is_current FROM json_schema_versions()",
        ),
    )?;
    if ran.output.matches(" review ").count() != 2 {
        return Err(Trouble::failed("the schema has not two versions"));
    }
    stage.say("The branch and the tag came along, and so did what is behind them:")?;
    let ran = succeed(
        stage,
        question(
            full,
            target,
            "SELECT p_partkey, old.p_retailprice AS before, dev.p_retailprice AS branch, p_note
FROM part@before_prices old JOIN part@pricing dev USING (p_partkey) WHERE p_note IS NOT NULL",
        ),
    )?;
    if !ran.output.contains("to be watched") {
        return Err(Trouble::failed("the branch is not what it was"));
    }
    stage.say("And the rows that were written while the export ran, up to its moment:")?;
    let ran = succeed(
        stage,
        question(
            full,
            target,
            "SELECT count(*) AS ticks, count(*) = coalesce(max(n), 0) AS without_a_gap FROM tick",
        ),
    )?;
    if !ran.output.contains("| t\n") {
        return Err(Trouble::failed("they have a gap"));
    }
    Ok(())
}

/// `heliosdb-full verify-migration …`.
fn compare_contents(full: &Path, dump: &Path, target: &Path) -> Program {
    command(full, "verify-migration", "--original", dump, target).arg("--check-branches")
}

/// `heliosdb-full WHAT OPTION DUMP --data TARGET`.
fn command(full: &Path, what: &str, option: &str, dump: &Path, target: &Path) -> Program {
    Program::new(full)
        .args([what, option])
        .arg(dump)
        .arg("--data")
        .arg(target)
}

/// `heliosdb-full sql --data TARGET -c SQL`.
fn question(full: &Path, target: &Path, sql: &str) -> Program {
    Program::new(full)
        .args(["sql", "--data"])
        .arg(target)
        .args(["-c", sql])
}

/// One bit of a copy is changed; the import must say so and leave no target behind.
fn refuse_damage(stage: &mut Stage, full: &Path, dump: &Path) -> Outcome {
    let (copy, target) = (stage.path("damaged.dump"), stage.path("never"));
    let at = flip_a_bit(dump, &copy)
        .map_err(|error| Trouble::failed(format!("{}: {error}", copy.display())))?;
    stage.say(&format!(
        "First a copy of the dump in which one bit of byte {at} is changed:"
    ))?;
    let attempt = command(full, "import", "--input", &copy, &target).heard();
    let ran = show(stage, attempt)?;
    if ran.success || !ran.complaints.contains("is damaged") {
        return Err(Trouble::failed("the damage was not found"));
    }
    if target.exists() {
        return Err(Trouble::failed(format!("{} was made", target.display())));
    }
    stage.say("Refused, and the directory for it was not even made.")?;
    fs::remove_file(&copy).map_err(|error| Trouble::failed(format!("{}: {error}", copy.display())))
}

/// Copy a file and change one bit in the middle; which byte it is in.
fn flip_a_bit(from: &Path, to: &Path) -> std::io::Result<u64> {
    let size = fs::copy(from, to)?;
    let at = size / 2;
    let mut file = fs::OpenOptions::new().read(true).write(true).open(to)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    byte[0] ^= 1;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&byte)?;
    Ok(at)
}

/// The queries of TPC-H, asked of both databases.
fn ask_the_same(stage: &mut Stage, full: &Path, target: &Path) -> Outcome {
    let factor = stage.scale.factor();
    let file: PathBuf = stage.path("queries.sql");
    let texts: Vec<String> = comparable().map(|query| query.sql(factor)).collect();
    fs::write(&file, texts.join("\n"))
        .map_err(|error| Trouble::failed(format!("{}: {error}", file.display())))?;
    let mut here = Vec::new();
    for text in &texts {
        let answer = stage
            .ask(Who::First, text)
            .map_err(|error| Trouble::failed(describe_error(&error)))?;
        here.extend(answer.csv()?);
    }
    let program = Program::new(full)
        .args(["sql", "--format", "csv", "--data"])
        .arg(target)
        .arg("--file")
        .arg(&file);
    stage.say(&format!(
        "{} queries of TPC-H, asked of Full, too:",
        texts.len()
    ))?;
    stage.line(&format!("\n$ {}", program.shown()))?;
    let ran = program.run()?;
    if !ran.success {
        stage.line(&ran.complaints)?;
        return Err(Trouble::failed("Full does not answer the queries"));
    }
    if ran.output.as_bytes() != here {
        return Err(Trouble::failed(
            "Full answers differently; did a second terminal change the tables since the export?",
        ));
    }
    stage.say(&format!(
        "The same {} of answers, byte for byte, in {}.",
        bytes(here.len() as u64),
        time(ran.took)
    ))
}
