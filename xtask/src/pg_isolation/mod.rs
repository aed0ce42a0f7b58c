//! `cargo xtask pg-isolation`: PostgreSQL's own isolation tests, run by its `isolationtester` against our server.
//!
//! Specs, what they print on PostgreSQL and the programme that runs them come with its source package ([`source`]),
//! and none of that becomes a part of the repository. The programme is built from the package's files by the C compiler
//! alone ([`tester`]). A spec has sessions with steps, and permutations of those; it passes when everything that is
//! printed, which step waits and for how long included, is letter by letter what PostgreSQL prints.
//!
//! Every spec has a server of its own, so that none is judged by what another left behind. What is known to fail
//! stands in `known.txt` with what is behind it; a failure that is not there, and one there that no longer fails, both
//! make the command fail, and so does trouble with a server.

mod difference;
mod report;
mod tester;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::clients::{Server, binary};
use crate::pg_regress::{parse, source};
use difference::Difference;

const KNOWN: &str = include_str!("known.txt");

/// How long a step may take, in seconds, before isolationtester cancels it.
const STEP_SECONDS_MAX: u64 = 20;
/// A spec that takes longer is ended: where a transaction is refused later than in PostgreSQL, what comes after all
/// steps may wait for it for ever.
const SPEC_SECONDS_MAX: u64 = 90;
/// How long the server may take to answer then.
const ANSWER_SECONDS_MAX: u64 = 30;

/// What became of a spec.
pub struct Outcome {
    pub name: String,
    /// `None` when it passed.
    pub difference: Option<Difference>,
    pub trouble: Option<String>,
}

/// What is behind a failure that is known.
pub struct Known {
    pub name: &'static str,
    /// `unsupported`, `message`, `differs` or `bug`.
    pub kind: &'static str,
    pub why: &'static str,
}

/// The lines `name: kind: why`.
pub fn known() -> Vec<Known> {
    let lines = KNOWN.lines().filter(|line| !line.starts_with('#'));
    let parts = lines.filter_map(|line| {
        let (name, rest) = line.split_once(": ")?;
        let (kind, why) = rest.split_once(": ")?;
        Some(Known { name, kind, why })
    });
    parts.collect()
}

pub fn run(root: &Path, arguments: &[&str]) -> ExitCode {
    match ran(root, arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn ran(root: &Path, arguments: &[&str]) -> Result<bool, String> {
    let options = parse("pg-isolation", arguments)?;
    let target = crate::ci::target_dir(root);
    let package = source::fetched(&target.join("pg-regress"))?;
    let work = target.join("pg-isolation");
    let results = work.join("results");
    std::fs::create_dir_all(&results).map_err(|e| format!("{}: {e}", results.display()))?;
    let tester = tester::built(&package, &work)?;
    let binary = binary(root, &target, options.binary.as_deref())?;
    let tests = package.join("src/test/isolation");
    let mut outcomes = Vec::new();
    for name in schedule(&tests)? {
        if !options.only.is_empty() && !options.only.contains(&name) {
            continue;
        }
        let mut server = Server::start(&binary, &work.join("server"))?;
        let began = Instant::now();
        let mut outcome = spec(&tests, &tester, &results, &server, &name)?;
        if !server.is_running() {
            outcome.trouble = Some("the server ended".to_owned());
        }
        let of_server = server.end();
        if !of_server.is_empty() {
            outcome.trouble = Some(of_server.join("; "));
        }
        let verdict = match (&outcome.difference, &outcome.trouble) {
            (_, Some(trouble)) => trouble.clone(),
            (Some(difference), None) => format!("failed: {}", difference.reason()),
            (None, None) => "passed".to_owned(),
        };
        println!(
            "{name:32} {:6.1} s {verdict}",
            began.elapsed().as_secs_f64()
        );
        outcomes.push(outcome);
    }
    println!("\n{}", report::totals(&outcomes));
    let unexpected = report::unexpected(&outcomes, &known(), options.only.is_empty());
    for line in &unexpected {
        println!("UNEXPECTED {line}");
    }
    println!("what each printed is in {}", results.display());
    let text = report::text(&outcomes, &known());
    if options.write {
        let path = root.join("docs/pg-isolation.md");
        std::fs::write(&path, &text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let is_well = outcomes.iter().all(|outcome| outcome.trouble.is_none());
    Ok(is_well && unexpected.is_empty())
}

/// The names of its specs, in its order.
fn schedule(tests: &Path) -> Result<Vec<String>, String> {
    let path = tests.join("isolation_schedule");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("test:"));
    Ok(lines
        .flat_map(|line| line.split_whitespace().map(str::to_owned))
        .collect())
}

/// Whether a server still answers.
fn answers(server: &Server) -> bool {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-c", "SELECT 1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    server.tell(&mut psql);
    let Ok(mut child) = psql.spawn() else {
        return false;
    };
    let asked = Instant::now();
    while asked.elapsed().as_secs() < ANSWER_SECONDS_MAX {
        if let Ok(Some(status)) = child.try_wait() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// Runs a spec and holds what it prints against each of its expected outputs.
fn spec(
    tests: &Path,
    tester: &Path,
    results: &Path,
    server: &Server,
    name: &str,
) -> Result<Outcome, String> {
    let output = results.join(name).with_extension("out");
    let failed = |e: std::io::Error| format!("{}: {e}", output.display());
    let out = std::fs::File::create(&output).map_err(failed)?;
    let input = tests.join("specs").join(name).with_extension("spec");
    let input = std::fs::File::open(&input).map_err(|e| format!("{}: {e}", input.display()))?;
    let mut command = Command::new(tester);
    command
        .env("PGAPPNAME", format!("isolation/{name}"))
        .env("PGTZ", "America/Los_Angeles")
        .env("PGISOLATIONTIMEOUT", STEP_SECONDS_MAX.to_string())
        .env("LC_MESSAGES", "C")
        .env_remove("PGCLIENTENCODING")
        .arg(format!("host=127.0.0.1 port={}", server.port))
        .stdin(input)
        .stderr(out.try_clone().map_err(failed)?)
        .stdout(Stdio::from(out));
    server.tell(&mut command);
    let mut child = command.spawn();
    let child = child
        .as_mut()
        .map_err(|e| format!("isolationtester: {e}"))?;
    let (started, mut trouble) = (Instant::now(), None);
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if started.elapsed().as_secs() > SPEC_SECONDS_MAX => {
                let _ = child.kill();
                let _ = child.wait();
                if !answers(server) {
                    trouble = Some(format!("no answer within {ANSWER_SECONDS_MAX} s"));
                }
                break;
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(format!("isolationtester: {error}")),
        }
    }
    let read = |path: &Path| {
        let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok::<_, String>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let printed = read(&output)?;
    let mut closest: Option<Difference> = None;
    for variant in 0..10 {
        let suffix = match variant {
            0 => String::new(),
            n => format!("_{n}"),
        };
        let path = tests.join("expected").join(format!("{name}{suffix}.out"));
        if !path.is_file() {
            continue;
        }
        let Some(difference) = difference::first(&read(&path)?, &printed) else {
            return Ok(Outcome {
                name: name.to_owned(),
                difference: None,
                trouble,
            });
        };
        if closest.as_ref().is_none_or(|c| difference.line > c.line) {
            closest = Some(difference);
        }
    }
    Ok(Outcome {
        name: name.to_owned(),
        difference: Some(closest.ok_or_else(|| format!("{name} has no expected output"))?),
        trouble,
    })
}
