//! `cargo xtask pg-regress`: PostgreSQL's own regression tests, run by psql against our server.
//!
//! Its source package is fetched from Debian below `target/pg-regress` and never becomes a part of the repository.
//! The files run in the order of its schedule against one server, as they build on each other; each statement
//! counts as agreeing when what psql printed after it is what the expected file has there ([`score`]). A server
//! that ends, hangs or panics is trouble and makes the command fail; a low score does not.
//!
//! What differs from how PostgreSQL runs them: dates are asked for in ISO style, which is the one there is here, and
//! `COPY … FROM` a file of the server becomes psql's `\copy`, as the server reads no files for clients.

mod report;
mod score;
pub mod source;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::clients::{Server, binary};
use score::Score;

/// A file that takes longer hangs.
const FILE_SECONDS_MAX: u64 = 180;

/// What became of one file.
pub struct Outcome {
    pub name: String,
    pub score: Score,
    pub took: Duration,
    pub trouble: Option<String>,
}

pub struct Options {
    pub only: Vec<String>,
    pub binary: Option<PathBuf>,
    pub write: bool,
}

/// The options of `command`.
pub fn parse(command: &str, arguments: &[&str]) -> Result<Options, String> {
    let mut options = Options {
        only: Vec::new(),
        binary: None,
        write: false,
    };
    let mut arguments = arguments.iter();
    while let Some(&argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next().copied();
            value.ok_or_else(|| format!("{argument} wants a value"))
        };
        match argument {
            "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
            "--binary" => options.binary = Some(value()?.into()),
            "--write-docs" => options.write = true,
            _ => return Err(format!("not an option of {command}: {argument}")),
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

fn ran(root: &Path, arguments: &[&str]) -> Result<bool, String> {
    let options = parse("pg-regress", arguments)?;
    let target = crate::ci::target_dir(root);
    let work = target.join("pg-regress");
    let tests = source::fetched(&work)?.join("src/test/regress");
    let binary = binary(root, &target, options.binary.as_deref())?;
    let directory = work.join("server");
    let mut server = Server::start(&binary, &directory)?;
    let (mut outcomes, mut troubles) = (Vec::new(), Vec::new());
    for name in source::schedule(&tests)? {
        // What others build on runs in any case.
        let wanted = options.only.is_empty()
            || options.only.contains(&name)
            || matches!(name.as_str(), "test_setup" | "create_index");
        if !wanted {
            continue;
        }
        let mut outcome = file(&tests, &work, &server, &name)?;
        if !server.is_running() {
            outcome.trouble = Some("the server ended".to_owned());
            troubles.extend(server.end().into_iter().map(|t| format!("{name}: {t}")));
            server = Server::again(&binary, &directory)?;
        } else if outcome.trouble.is_some() {
            // Whatever hangs in there would disturb the files that follow.
            troubles.extend(server.end().into_iter().map(|t| format!("{name}: {t}")));
            server = Server::again(&binary, &directory)?;
        }
        println!(
            "{name:24} {:5} of {:5} agree, {:6.1} s {}",
            outcome.score.agreeing,
            outcome.score.statements,
            outcome.took.as_secs_f64(),
            outcome.trouble.as_deref().unwrap_or_default(),
        );
        outcomes.push(outcome);
    }
    troubles.extend(server.end());
    let text = report::text(&outcomes, &troubles);
    println!("\n{}", report::totals(&outcomes));
    for trouble in &troubles {
        println!("TROUBLE {trouble}");
    }
    let path = work.join("report.md");
    std::fs::write(&path, &text).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("what fails, and why, is in {}", path.display());
    if options.write {
        let path = root.join("docs/pg-regress.md");
        std::fs::write(&path, &text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let is_well = troubles.is_empty() && outcomes.iter().all(|o| o.trouble.is_none());
    Ok(is_well)
}

/// Runs one file and scores it against the closest of its expected outputs.
fn file(tests: &Path, work: &Path, server: &Server, name: &str) -> Result<Outcome, String> {
    let read = |path: &Path| {
        let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok::<_, String>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let script = read(&tests.join("sql").join(format!("{name}.sql")))?;
    let adapted = source::adapted(&script, tests);
    let (results, input) = (work.join("results"), work.join("results").join(name));
    let (input, output) = (input.with_extension("sql"), input.with_extension("out"));
    let failed = |e: std::io::Error| format!("{}: {e}", results.display());
    std::fs::create_dir_all(&results).map_err(failed)?;
    std::fs::write(&input, &adapted).map_err(failed)?;
    let (out, started) = (
        std::fs::File::create(&output).map_err(failed)?,
        Instant::now(),
    );
    let mut psql = Command::new("psql");
    psql.args(["-X", "-a", "-q", "-v", "HIDE_TABLEAM=on"])
        .args(["-v", "HIDE_TOAST_COMPRESSION=on"])
        .env("PG_ABS_SRCDIR", tests)
        .env("PG_ABS_BUILDDIR", work)
        .env("PG_LIBDIR", work)
        .env("PG_DLSUFFIX", ".so")
        .env("PGTZ", "PST8PDT")
        .env("LC_MESSAGES", "C")
        .env_remove("PGCLIENTENCODING")
        .env("PSQLRC", "/dev/null")
        .current_dir(work)
        .stdin(std::fs::File::open(&input).map_err(failed)?)
        .stderr(out.try_clone().map_err(failed)?)
        .stdout(Stdio::from(out));
    server.tell(&mut psql);
    let mut child = psql.spawn().map_err(|e| format!("cannot run psql: {e}"))?;
    let mut trouble = None;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if started.elapsed().as_secs() > FILE_SECONDS_MAX => {
                trouble = Some(format!("took longer than {FILE_SECONDS_MAX} s"));
                let _ = child.kill();
                let _ = child.wait();
                break;
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(30)),
            Err(error) => return Err(format!("psql: {error}")),
        }
    }
    let printed = read(&output)?;
    let mut best: Option<Score> = None;
    for variant in 0..10 {
        let suffix = match variant {
            0 => String::new(),
            n => format!("_{n}"),
        };
        let path = tests.join("expected").join(format!("{name}{suffix}.out"));
        if !path.is_file() {
            continue;
        }
        let score = score::score(&script, &read(&path)?, &adapted, &printed);
        if best.as_ref().is_none_or(|b| score.agreeing > b.agreeing) {
            best = Some(score);
        }
    }
    Ok(Outcome {
        name: name.to_owned(),
        score: best.ok_or_else(|| format!("{name} has no expected output"))?,
        took: started.elapsed(),
        trouble,
    })
}
