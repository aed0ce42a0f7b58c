//! `cargo test`, whose failures are told once more at the end.
//!
//! A workspace has many test binaries, and what one of them says of a failure is thousands of lines
//! above the end. What stands between `failures:` and `test result:` is kept while it is passed on.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// What a run of tests came to.
pub struct Outcome {
    pub passed: bool,
    /// What the binaries with failures said of them, in their order.
    pub failures: String,
}

/// Runs the command and passes on what it prints.
pub fn run(command: &mut Command) -> std::io::Result<Outcome> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut failures = Failures::default();
    if let Some(stdout) = child.stdout.take() {
        let mut shown = std::io::stdout().lock();
        // A test may print what is not UTF-8.
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line?;
            shown.write_all(&line)?;
            shown.write_all(b"\n")?;
            failures.line(&String::from_utf8_lossy(&line));
        }
    }
    Ok(Outcome {
        passed: child.wait()?.success(),
        failures: failures.told,
    })
}

#[derive(Default)]
struct Failures {
    told: String,
    is_inside: bool,
}

impl Failures {
    fn line(&mut self, line: &str) {
        self.is_inside |= line == "failures:";
        if self.is_inside {
            self.told.push_str(line);
            self.told.push('\n');
        }
        self.is_inside &= !line.starts_with("test result:");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_kept_and_what_passed_is_not() {
        let printed = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n\
                       panicked at b.rs:1\n\nfailures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed\n\n\
                       running 1 test\ntest c ... ok\n\ntest result: ok. 1 passed\n";
        let mut failures = Failures::default();
        printed.lines().for_each(|line| failures.line(line));
        assert_eq!(
            failures.told,
            "failures:\n\n---- b stdout ----\npanicked at b.rs:1\n\nfailures:\n    b\n\n\
             test result: FAILED. 1 passed; 1 failed\n"
        );
    }

    #[test]
    fn the_end_of_the_command_is_the_verdict() {
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo failures:; echo x; exit 3"]);
        let outcome = run(&mut failing).unwrap();
        assert!(!outcome.passed);
        assert_eq!(outcome.failures, "failures:\nx\n");
        assert!(run(&mut Command::new("true")).unwrap().passed);
    }
}
