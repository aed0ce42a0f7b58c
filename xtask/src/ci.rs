//! `cargo xtask ci`: every check, in the order in which a mistake is cheapest to find.
//!
//! The steps share one set of features and profiles, so that the dependencies are built once for
//! clippy (metadata only) and once for tests; the torture is the binary the tests have built. Only the
//! planted bugs, which the torture must find, are built for themselves.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::{failures, tidy};

/// How long the torture runs, in seconds.
const TORTURE_SECONDS: &str = "75";

struct Step {
    name: &'static str,
    took: Duration,
    passed: bool,
}

pub fn run(root: &Path) -> ExitCode {
    let mut steps = Vec::new();
    let told = RefCell::new(String::new());
    let mut step = |name, check: &dyn Fn() -> bool| {
        println!("\n=== {name} ===");
        let start = Instant::now();
        let passed = check();
        steps.push(Step {
            name,
            took: start.elapsed(),
            passed,
        });
        passed
    };
    let command = |args: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args).current_dir(root);
        command
    };
    let cargo = |args: &'static [&'static str]| move || succeeds(&mut command(args));
    let testing = |args: &[&str]| match failures::run(&mut command(args)) {
        Ok(outcome) => {
            told.borrow_mut().push_str(&outcome.failures);
            outcome.passed
        }
        Err(error) => {
            eprintln!("cannot run the tests: {error}");
            false
        }
    };

    step("fmt", &cargo(&["fmt", "--all", "--check"]));
    step("tidy", &|| tidy::run(root) == ExitCode::SUCCESS);
    step(
        "clippy",
        &cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            // They have the sources of others, without what the tests in there want.
            "--exclude=heliosdb-models-storage",
            "--exclude=heliosdb-models-sim",
            "--",
            "-D",
            "warnings",
        ]),
    );
    let built = step("test", &|| {
        testing(&["test", "--workspace", "--no-fail-fast"])
    });
    if built {
        step("torture", &|| {
            let torture = target_dir(root).join("debug").join("torture");
            succeeds(
                Command::new(torture)
                    .args(["--seconds", TORTURE_SECONDS])
                    .current_dir(root),
            )
        });
    }
    step("planted", &|| {
        let features = ["--features", "planted"];
        let test = ["test", "-p", "heliosdb-sim", "--test", "planted"];
        testing(&[test.as_slice(), &features].concat())
    });
    summary(&steps, &told.borrow())
}

fn succeeds(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("cannot run {:?}: {error}", command.get_program());
            false
        }
    }
}

/// Where cargo builds; xtask itself was built there.
pub fn target_dir(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root.join(dir),
        None => root.join("target"),
    }
}

/// Which steps passed; what failed is told last, where it is found.
fn summary(steps: &[Step], failures: &str) -> ExitCode {
    println!("\n=== summary ===");
    for step in steps {
        let verdict = if step.passed { "ok" } else { "FAILED" };
        println!(
            "{:8} {verdict:6} {:6.1} s",
            step.name,
            step.took.as_secs_f64()
        );
    }
    let failed: Vec<&str> = steps.iter().filter(|s| !s.passed).map(|s| s.name).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nfailed: {}\n\n{failures}", failed.join(", "));
    ExitCode::FAILURE
}
