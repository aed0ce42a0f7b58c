//! What branches cost that live at a time: making them, memory, and recovery after the process was killed.
//!
//! The database is in a process of its own, which is this program again. It makes the branches, each of another
//! moment of `main`, writes on all of them, says so, and waits to be killed with SIGKILL. Another one opens what is left,
//! reads every branch, and compares it with what the first had committed. The same is done without a branch, to be
//! set against it. Memory is that of the whole process (Pss), two seconds after each step.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use heliosdb_kernel::Database;

use super::{Client, Plan, milliseconds, open, same, text};
use crate::peer::temporary_directory;
use crate::{process, table};

/// The first argument of the processes that this part starts.
pub const CHILD: &str = "branches-child";

const ROWS: i64 = 100_000;
/// Updated and inserted on each branch; each has a text of a hundred bytes.
const WRITTEN: i64 = 20;
/// What the process says when it waits for its end.
const DONE: &str = "done";

pub fn run(plan: &Plan) -> Result<(), String> {
    let scratch = temporary_directory()?;
    let branches = plan.branches;
    println!(
        "{branches} branches of a table of {ROWS} rows; on each {WRITTEN} rows were updated and {WRITTEN} inserted\n"
    );
    let without = Told::by(&scratch.path().join("without"), 0)?;
    let with = Told::by(&scratch.path().join("with"), branches)?;
    let mut rows = Vec::new();
    for (what, name) in [
        ("the table is loaded", "loaded"),
        ("branches are made", "made"),
        ("all are written on", "written"),
        ("opened after kill -9, main answers", "opened"),
        ("all are read", "read"),
        ("after CHECKPOINT", "checkpoint"),
    ] {
        let (before, after) = (without.step(name)?, with.step(name)?);
        let each = |after: f64, before: f64| (after - before) / f64::from(branches);
        rows.push(vec![
            what.to_owned(),
            format!("{:.0}", before.milliseconds),
            format!("{:.0}", after.milliseconds),
            format!("{:.3}", each(after.milliseconds, before.milliseconds)),
            format!("{:.1}", before.memory / 1e6),
            format!("{:.1}", after.memory / 1e6),
            format!("{:.1}", each(after.memory, before.memory) / 1024.0),
        ]);
    }
    table::print(
        &[
            "what is done",
            "ms without branches",
            "ms",
            "ms a branch",
            "MB without branches",
            "MB",
            "KiB a branch",
        ],
        &rows,
    );
    Ok(())
}

/// What the processes said: numbers by their names.
struct Told(HashMap<String, f64>);

struct Step {
    milliseconds: f64,
    /// Of the process after it, in bytes.
    memory: f64,
}

impl Told {
    /// By the two that work on a new database, one after the other.
    fn by(directory: &Path, branches: u32) -> Result<Told, String> {
        let mut told = HashMap::new();
        for what in ["fill", "recover"] {
            let mut process = Process::start(what, directory, branches)?;
            told.extend(process.listen()?);
            process.kill()?;
        }
        Ok(Told(told))
    }

    fn step(&self, name: &str) -> Result<Step, String> {
        let number = |of: &str| {
            let name = format!("{name}.{of}");
            let number = self.0.get(&name).copied();
            number.ok_or_else(|| format!("{name} was not told"))
        };
        Ok(Step {
            milliseconds: number("ms")?,
            memory: number("memory")?,
        })
    }
}

/// This program, at work on the database.
struct Process {
    child: Child,
}

impl Process {
    fn start(what: &str, directory: &Path, branches: u32) -> Result<Process, String> {
        let child = Command::new(std::env::current_exe().map_err(text)?)
            .args([CHILD, what])
            .arg(directory)
            .arg(branches.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start this program again: {e}"))?;
        Ok(Process { child })
    }

    /// What it says, a name and a number a line, until it is done.
    fn listen(&mut self) -> Result<HashMap<String, f64>, String> {
        let output = self
            .child
            .stdout
            .take()
            .ok_or("the process has no output")?;
        let mut said = HashMap::new();
        for line in BufReader::new(output).lines() {
            let line = line.map_err(text)?;
            if line == DONE {
                return Ok(said);
            }
            let (name, number) = line.split_once(' ').ok_or(format!("it said {line}"))?;
            said.insert(name.to_owned(), number.parse().map_err(text)?);
        }
        Err("the process ended before it was done".to_owned())
    }

    /// With SIGKILL.
    fn kill(&mut self) -> Result<(), String> {
        self.child.kill().map_err(text)?;
        self.child.wait().map(drop).map_err(text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing is left to do where it has ended already.
        let _ = self.kill();
    }
}

/// What the processes do that this part starts.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [what, directory, branches] = arguments else {
        return Err(format!("{CHILD} is for the benchmark itself"));
    };
    let branches: i64 = branches.parse().map_err(text)?;
    let start = Instant::now();
    let database = open(Path::new(directory), "")?;
    match what.as_str() {
        "fill" => fill(&database, branches, start)?,
        "recover" => recover(&database, branches, start)?,
        other => return Err(format!("{CHILD} cannot {other}")),
    }
    println!("{DONE}");
    // It is killed here; its input ends only if who started it is gone.
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .map_err(text)?;
    Ok(())
}

fn tell(name: &str, took: f64) {
    // What has just ended is done with.
    sleep(Duration::from_secs(2));
    let memory = process::memory(std::process::id());
    println!("{name}.ms {took}\n{name}.memory {memory}");
}

fn fill(database: &Database, branches: i64, start: Instant) -> Result<(), String> {
    let mut client = Client::new(database)?;
    client.run("CREATE TABLE t (id bigint PRIMARY KEY, n int, s text)")?;
    let insert = format!(
        "INSERT INTO t SELECT i, 0, {} FROM generate_series(1, {ROWS}) AS g(i)",
        words("i")
    );
    client.affect(&insert, ROWS as u64)?;
    client.run("CHECKPOINT")?;
    tell("loaded", milliseconds(start));

    let mut took = 0.0;
    for branch in 1..=branches {
        client.affect(&format!("UPDATE t SET n = {branch} WHERE id = 1"), 1)?;
        let start = Instant::now();
        client.run(&format!("CREATE BRANCH b{branch}"))?;
        took += milliseconds(start);
    }
    tell("made", took);

    let start = Instant::now();
    for branch in 1..=branches {
        client.run(&format!("USE BRANCH b{branch}"))?;
        let update = format!(
            "UPDATE t SET n = {branch}, s = {} WHERE id BETWEEN 2 AND {}",
            words("(id + n)"),
            WRITTEN + 1
        );
        client.affect(&update, WRITTEN as u64)?;
        let insert = format!(
            "INSERT INTO t SELECT i, {branch}, {} FROM generate_series({}, {}) AS g(i)",
            words("i"),
            ROWS + 1,
            ROWS + WRITTEN
        );
        client.affect(&insert, WRITTEN as u64)?;
    }
    client.run("USE BRANCH main")?;
    tell("written", milliseconds(start));
    Ok(())
}

/// Some hundred bytes.
fn words(of: &str) -> String {
    format!("md5({of}::text) || md5(({of} + 1)::text) || md5(({of} + 2)::text)")
}

fn recover(database: &Database, branches: i64, start: Instant) -> Result<(), String> {
    let mut client = Client::new(database)?;
    client.expect("SELECT n FROM t WHERE id = 1", branches)?;
    tell("opened", milliseconds(start));

    let start = Instant::now();
    client.expect("SELECT count(*) FROM pg_database_branches()", branches + 1)?;
    for branch in 1..=branches {
        client.run(&format!("USE BRANCH b{branch}"))?;
        // The row of the moment it was made of, the updated ones, and the inserted ones.
        client.expect("SELECT n FROM t WHERE id = 1", branch)?;
        let written = format!(
            "SELECT count(*) FROM t WHERE n = {branch} AND (id BETWEEN 2 AND {} OR id > {ROWS})",
            WRITTEN + 1
        );
        client.expect(&written, 2 * WRITTEN)?;
    }
    client.run("USE BRANCH main")?;
    let nothing = format!("SELECT count(*) FROM t WHERE id > {ROWS} OR (n > 0 AND id > 1)");
    client.expect(&nothing, 0)?;
    tell("read", milliseconds(start));

    let start = Instant::now();
    client.run("CHECKPOINT")?;
    tell("checkpoint", milliseconds(start));
    same(
        "plugins that failed to start",
        database.plugin_failures().len(),
        0,
    )
}
