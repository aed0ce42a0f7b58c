//! `cargo xtask sqlsmith --queries N`: queries that sqlsmith makes up, run by a server.
//!
//! sqlsmith reads the catalog and makes statements that are right by its types and functions. What they answer is
//! not known, so this looks at the server alone: it has to go on, to answer each statement in time, and with no
//! error but those that a statement can deserve. A panic, the end of the server, an internal error (class XX) and a
//! statement without an answer are trouble; they are printed with the queries that did it, and make the command fail.
//!
//! Two clients share the queries: one asks about the system catalog, too, and one only about the tables of
//! [`SCHEMA`]. Each statement has a second by sqlsmith's own timeout, and is rolled back.

pub mod log;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::clients::{Server, binary};
use log::{Failure, Told};

const SCHEMA: &str = include_str!("schema.sql");

/// A statement that is not answered for so long hangs, as its timeout is a second.
const ANSWER_SECONDS_MAX: u64 = 240;

/// After so many ends of the server there is enough to mend.
const STARTS_MAX: usize = 20;

struct Options {
    queries: usize,
    seed: u64,
    binary: Option<PathBuf>,
}

fn parse(arguments: &[&str]) -> Result<Options, String> {
    let mut options = Options {
        queries: 20_000,
        seed: 1,
        binary: None,
    };
    let mut arguments = arguments.iter();
    while let Some(&argument) = arguments.next() {
        let value = arguments.next().copied();
        let value = value.ok_or_else(|| format!("{argument} wants a value"))?;
        let number = || {
            let number = value.parse::<u64>();
            number.map_err(|_| format!("{argument}: not a number: {value}"))
        };
        match argument {
            "--queries" => options.queries = number()? as usize,
            "--seed" => options.seed = number()?,
            "--binary" => options.binary = Some(value.into()),
            _ => return Err(format!("not an option of sqlsmith: {argument}")),
        }
    }
    Ok(options)
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

/// What came of all queries.
#[derive(Default)]
struct Outcome {
    asked: usize,
    failures: Vec<Failure>,
    troubles: Vec<String>,
}

fn ran(root: &Path, arguments: &[&str]) -> Result<bool, String> {
    let options = parse(arguments)?;
    if Command::new("sqlsmith").arg("--version").output().is_err() {
        return Err("there is no sqlsmith here; the Debian package is called sqlsmith".to_owned());
    }
    let target = crate::ci::target_dir(root);
    let binary = binary(root, &target, options.binary.as_deref())?;
    let work = target.join("sqlsmith");
    let mut outcome = Outcome::default();
    let started = Instant::now();
    for start in 0..STARTS_MAX {
        let left = options.queries.saturating_sub(outcome.asked);
        if left == 0 {
            break;
        }
        let seed = options.seed + 1_000 * start as u64;
        once(&binary, &work, left, seed, &mut outcome)?;
    }
    if outcome.asked < options.queries {
        let trouble = format!("given up after {STARTS_MAX} ends of the server");
        outcome.troubles.push(trouble);
    }
    println!("\n{}", told(&outcome, started.elapsed()));
    let internal = outcome.failures.iter().any(Failure::is_internal);
    Ok(!internal && outcome.troubles.is_empty())
}

/// One server with its clients, until the queries are asked or something ends.
fn once(
    binary: &Path,
    work: &Path,
    queries: usize,
    seed: u64,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let mut server = Server::start(binary, &work.join("server"))?;
    fill(&server, work)?;
    let mut clients = Vec::new();
    for (of_catalog, share) in [(true, queries / 2), (false, queries - queries / 2)] {
        if share > 0 {
            let seed = seed + u64::from(of_catalog);
            clients.push(Client::start(&server, work, share, seed, of_catalog)?);
        }
    }
    let mut reported = Instant::now();
    let ended = loop {
        std::thread::sleep(Duration::from_millis(100));
        if !server.is_running() {
            break Some("the server ended".to_owned());
        }
        let mut are_done = true;
        let mut silent = None;
        for client in &mut clients {
            if client.is_running() {
                are_done = false;
                if client.is_silent() {
                    silent = Some("a statement was not answered".to_owned());
                }
            }
        }
        if are_done || silent.is_some() {
            break silent;
        }
        if reported.elapsed() > Duration::from_secs(60) {
            reported = Instant::now();
            let asked = clients.iter().map(|c| c.asked().map_or(0, |(n, _)| n));
            println!("{} asked", outcome.asked + asked.sum::<usize>());
        }
    };
    let mut last = Vec::new();
    for mut client in clients {
        client.end();
        let (asked, query) = client.asked()?;
        if ended.is_none() && asked < client.share {
            let trouble = format!("sqlsmith ended after {asked} of {}", client.share);
            outcome.troubles.push(trouble);
        }
        // One that asks nothing at all would be started again and again.
        outcome.asked += asked.max(1);
        last.push(query);
    }
    if let Some(ended) = ended {
        let trouble = format!(
            "{ended}; asked last:\n{}",
            last.join("\n-- and beside it:\n")
        );
        outcome.troubles.push(trouble);
    }
    let path = server.log().to_owned();
    outcome.troubles.extend(server.end());
    let log = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let Told { failures, panics } = log::read(&String::from_utf8_lossy(&log));
    if !panics.is_empty() {
        let kept = work.join(format!("server-{seed}.log"));
        std::fs::copy(&path, &kept).map_err(|e| format!("{}: {e}", kept.display()))?;
        let trouble = format!("{} panics, in {}", panics.len(), kept.display());
        outcome.troubles.push(trouble);
    }
    outcome.failures.extend(failures);
    Ok(())
}

/// Makes the tables.
fn fill(server: &Server, work: &Path) -> Result<(), String> {
    let path = work.join("schema.sql");
    std::fs::write(&path, SCHEMA).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(&path);
    server.tell(&mut psql);
    let ran = psql.output().map_err(|e| format!("cannot run psql: {e}"))?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&ran.stderr).into_owned()),
    }
}

/// A sqlsmith.
struct Client {
    child: Child,
    /// Where it writes its queries before it asks them.
    queries: PathBuf,
    share: usize,
    /// How long the file was when it last grew, and when that was.
    size: u64,
    grew: Instant,
}

impl Client {
    fn start(
        server: &Server,
        work: &Path,
        share: usize,
        seed: u64,
        of_catalog: bool,
    ) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("sqlsmith: {e}");
        let queries = work.join(match of_catalog {
            true => "queries-catalog.sql",
            false => "queries-tables.sql",
        });
        let out = std::fs::File::create(&queries).map_err(failed)?;
        let errors = std::fs::File::create(queries.with_extension("err")).map_err(failed)?;
        let mut sqlsmith = Command::new("sqlsmith");
        sqlsmith
            .arg("--dump-all-queries")
            .arg(format!("--max-queries={share}"))
            .arg(format!("--seed={seed}"))
            .arg("--target=sslmode=disable")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors);
        if !of_catalog {
            sqlsmith.arg("--exclude-catalog");
        }
        server.tell(&mut sqlsmith);
        Ok(Self {
            child: sqlsmith.spawn().map_err(failed)?,
            queries,
            share,
            size: 0,
            grew: Instant::now(),
        })
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it has waited too long for its answer.
    fn is_silent(&mut self) -> bool {
        let size = std::fs::metadata(&self.queries).map_or(0, |m| m.len());
        if size > self.size {
            (self.size, self.grew) = (size, Instant::now());
        }
        self.grew.elapsed().as_secs() > ANSWER_SECONDS_MAX
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How many queries it wrote, and the last of them.
    fn asked(&self) -> Result<(usize, String), String> {
        let path = &self.queries;
        let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        let queries = text.split_inclusive(";\n").filter(|q| q.ends_with(";\n"));
        Ok((
            queries.clone().count(),
            queries.last().unwrap_or_default().to_owned(),
        ))
    }
}

/// What to print of it.
fn told(outcome: &Outcome, took: Duration) -> String {
    let mut lines = Vec::new();
    let failed = outcome.failures.len();
    lines.push(format!(
        "{} queries in {:.0} s, {} answered with rows",
        outcome.asked,
        took.as_secs_f64(),
        outcome.asked.saturating_sub(failed)
    ));
    let states = log::by_sqlstate(&outcome.failures);
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for (state, (count, _)) in &states {
        *classes.entry(&state[..state.len().min(2)]).or_default() += count;
    }
    for (class, count) in classes {
        lines.push(format!("class {class}: {count}"));
        for (state, (count, most)) in states.iter().filter(|(s, _)| s.starts_with(class)) {
            lines.push(format!("  {state} {count:6}  {most}"));
        }
    }
    for failure in outcome.failures.iter().filter(|f| f.is_internal()) {
        let (state, error) = (&failure.sqlstate, &failure.error);
        lines.push(format!("INTERNAL {state} {error}\n{};", failure.statement));
    }
    for trouble in &outcome.troubles {
        lines.push(format!("TROUBLE {trouble}"));
    }
    lines.join("\n")
}
