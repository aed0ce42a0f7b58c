//! `cargo xtask fuzz --minutes N`: what reads bytes from outside, fed with random and damaged ones for a while, and
//! what answers queries, fed with queries of a grammar.
//!
//! The tests that do so in CI are run in a release build, again and again, from other random numbers each time. They
//! are not guided by coverage, which needs a compiler that is not the project's; where a checksum would hide
//! damage, they set it right. What fails is made small and shown.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// Arguments of `cargo test`, and which tests to run.
struct Target {
    what: &'static str,
    arguments: &'static [&'static str],
    tests: &'static [&'static str],
}

const TARGETS: [Target; 7] = [
    Target {
        what: "blocks of fsst_alp",
        arguments: &["-p", "heliosdb-fsst-alp", "--test", "blocks"],
        tests: &["any_"],
    },
    Target {
        what: "pages and files of storage",
        arguments: &["-p", "heliosdb-storage", "--lib"],
        tests: &[
            "segment::tests::damage",
            "segment::tests::codec::strange",
            "segment::tests::encoding::encoded_is",
            "row::tests",
            "datum::tests",
        ],
    },
    Target {
        what: "dumps",
        arguments: &["-p", "heliosdb-dump", "--lib"],
        tests: &["hostile"],
    },
    Target {
        what: "files of plugins",
        arguments: &["-p", "heliosdb-plugin-host", "--lib"],
        tests: &["file::tests"],
    },
    Target {
        what: "frames of the protocol",
        arguments: &["-p", "heliosdb-kernel", "--test", "protocol"],
        tests: &["hostile"],
    },
    Target {
        what: "SQL and literals",
        arguments: &["-p", "heliosdb-sql", "--test", "session"],
        tests: &["hostile"],
    },
    Target {
        what: "queries of a grammar",
        arguments: &["-p", "heliosdb-sql", "--test", "differential"],
        tests: &["grammar"],
    },
];

/// All targets in turn until the time is up, each at least once.
pub fn run(root: &Path, minutes: &str) -> ExitCode {
    let Ok(minutes) = minutes.parse::<u64>() else {
        eprintln!("--minutes: not a number: {minutes}");
        return ExitCode::from(2);
    };
    // Built before the clock starts.
    for target in &TARGETS {
        if !test(root, target, &["--no-run"], &[]) {
            return ExitCode::FAILURE;
        }
    }
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let mut rounds = 0;
    while rounds == 0 || Instant::now() < end {
        for target in &TARGETS {
            if !test(root, target, &["--quiet"], target.tests) {
                eprintln!("{}: see above, after {rounds} rounds", target.what);
                return ExitCode::FAILURE;
            }
        }
        rounds += 1;
    }
    for target in &TARGETS {
        println!(
            "{}: {rounds} rounds of {}",
            target.what,
            target.tests.join(", ")
        );
    }
    ExitCode::SUCCESS
}

/// Whether `cargo test` succeeds, with some test run if any was asked for. What it prints is shown otherwise.
fn test(root: &Path, target: &Target, options: &[&str], tests: &[&str]) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ran = Command::new(&cargo)
        .args(["test", "--release"])
        .args(target.arguments)
        .args(options)
        .arg("--")
        .args(tests)
        // Where those begin that count through their seeds.
        .env("HELIOSDB_SEED", seed().to_string())
        .current_dir(root)
        .stdin(Stdio::null())
        .output();
    match ran {
        Ok(ran) if ran.status.success() && (tests.is_empty() || ran_any(&ran.stdout)) => true,
        Ok(ran) => {
            eprintln!("{}", String::from_utf8_lossy(&ran.stdout));
            eprintln!("{}", String::from_utf8_lossy(&ran.stderr));
            false
        }
        Err(e) => {
            eprintln!("cannot run {cargo:?}: {e}");
            false
        }
    }
}

/// Another one each time.
fn seed() -> u128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis())
}

/// Whether what the test harness printed speaks of a test.
fn ran_any(stdout: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stdout);
    let counts = text
        .lines()
        .filter_map(|line| line.strip_prefix("running "));
    let mut counts = counts.filter_map(|line| line.split(' ').next()?.parse::<u32>().ok());
    counts.any(|count| count > 0)
}
