//! What a programme tells, line by line, and what was expected of it.
//!
//! ```text
//! version 3.2.1
//! passed NAME
//! failed NAME: why
//! skipped NAME: why
//! ```
//!
//! Other lines are the client's own talk, and only kept in its log. A name has no `: ` in it. A programme that
//! ends with another status than 0 without having told of a failure is trouble, and so is one that tells nothing.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Case {
    pub name: String,
    pub outcome: Outcome,
    pub reason: String,
}

#[derive(Default)]
pub struct Report {
    pub version: String,
    pub cases: Vec<Case>,
    /// The client as a whole: why it was not asked.
    pub absent: Option<String>,
    /// What no case tells of: the programme or the server ended badly.
    pub troubles: Vec<String>,
}

impl Report {
    pub fn skipped(reason: &str) -> Self {
        Self {
            absent: Some(reason.to_owned()),
            ..Self::default()
        }
    }

    pub fn broken(reason: &str) -> Self {
        Self {
            troubles: vec![reason.to_owned()],
            ..Self::default()
        }
    }

    pub fn count(&self, outcome: Outcome) -> usize {
        let counted = self.cases.iter().filter(|case| case.outcome == outcome);
        counted.count()
    }

    /// Takes a line in, and says whether it was one for us.
    pub fn line(&mut self, line: &str) -> bool {
        if let Some(version) = line.strip_prefix("version ") {
            self.version = version.trim().to_owned();
            return true;
        }
        if let Some(reason) = line.strip_prefix("absent ") {
            self.absent = Some(reason.to_owned());
            return true;
        }
        if let Some(trouble) = line.strip_prefix("trouble ") {
            self.troubles.push(trouble.to_owned());
            return true;
        }
        for outcome in [Outcome::Passed, Outcome::Failed, Outcome::Skipped] {
            let rest = line.strip_prefix(outcome.word());
            let Some(rest) = rest.and_then(|rest| rest.strip_prefix(' ')) else {
                continue;
            };
            let (name, reason) = rest.split_once(": ").unwrap_or((rest, ""));
            self.cases.push(Case {
                name: name.trim().to_owned(),
                outcome,
                reason: reason.trim().to_owned(),
            });
            return true;
        }
        false
    }

    /// As lines again, for [`Report::read`].
    pub fn text(&self) -> String {
        let mut text = format!("version {}\n", self.version);
        for case in &self.cases {
            let Case { name, reason, .. } = case;
            let word = case.outcome.word();
            let colon = if reason.is_empty() { "" } else { ": " };
            let _ = writeln!(text, "{word} {name}{colon}{reason}");
        }
        for trouble in &self.troubles {
            let _ = writeln!(text, "trouble {trouble}");
        }
        if let Some(reason) = &self.absent {
            let _ = writeln!(text, "absent {reason}");
        }
        text
    }

    pub fn read(text: &str) -> Self {
        let mut report = Self::default();
        for line in text.lines() {
            report.line(line);
        }
        report
    }

    pub fn against(&self, expected: &Expected) -> Verdict {
        let mut verdict = Verdict {
            unexpected: Vec::new(),
            passes: Vec::new(),
            troubles: self.troubles.clone(),
        };
        for case in &self.cases {
            if case.outcome == Outcome::Failed && expected.reason(&case.name).is_none() {
                let said = format!("{}: {}", case.name, case.reason);
                verdict.unexpected.push(said);
            }
        }
        for (pattern, _) in &expected.failures {
            let mut matched = self
                .cases
                .iter()
                .filter(|case| is_match(pattern, &case.name))
                .peekable();
            // What was not run says nothing.
            if matched.peek().is_some() && matched.all(|case| case.outcome == Outcome::Passed) {
                verdict.passes.push(pattern.clone());
            }
        }
        verdict
    }
}

/// What a client's `expected.txt` says will fail: `NAME: why`, where a name may end with `*`.
#[derive(Default)]
pub struct Expected {
    failures: Vec<(String, String)>,
}

impl Expected {
    /// A file that is not there expects nothing to fail.
    pub fn read(path: &Path) -> Result<Self, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut failures = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(": ") {
                Some((name, reason)) if !reason.trim().is_empty() => {
                    failures.push((name.trim().to_owned(), reason.trim().to_owned()));
                }
                _ => {
                    let number = index + 1;
                    return Err(format!("expected.txt:{number}: not `NAME: why`: {line}"));
                }
            }
        }
        Ok(Self { failures })
    }

    pub fn reason(&self, name: &str) -> Option<&str> {
        let found = self.failures.iter().find(|(p, _)| is_match(p, name));
        found.map(|(_, reason)| reason.as_str())
    }
}

fn is_match(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// What differs from what was expected.
pub struct Verdict {
    unexpected: Vec<String>,
    /// Patterns of `expected.txt` under which everything passed.
    passes: Vec<String>,
    troubles: Vec<String>,
}

impl Verdict {
    pub fn is_well(&self) -> bool {
        self.unexpected.is_empty() && self.passes.is_empty() && self.troubles.is_empty()
    }

    pub fn summary(&self, name: &str, report: &Report) -> String {
        if let Some(reason) = &report.absent {
            return format!("{name:14} skipped: {reason}\n");
        }
        let mut text = format!(
            "{name:14} {:4} passed {:4} failed {:4} skipped ({})\n",
            report.count(Outcome::Passed),
            report.count(Outcome::Failed),
            report.count(Outcome::Skipped),
            report.version,
        );
        for said in &self.unexpected {
            let _ = writeln!(text, "  FAILED {said}");
        }
        for pattern in &self.passes {
            let _ = writeln!(text, "  PASSED though expected to fail: {pattern}");
        }
        for trouble in &self.troubles {
            let _ = writeln!(text, "  TROUBLE {trouble}");
        }
        text
    }
}

/// Runs the programme and listens to it; everything it says is kept in `log`.
pub fn listen(command: &mut Command, log: &Path, limit: Duration) -> Result<Report, String> {
    let kept = |e: std::io::Error| format!("{}: {e}", log.display());
    let mut log_file = std::fs::File::create(log).map_err(kept)?;
    let errors = log_file.try_clone().map_err(kept)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(|e| format!("cannot run {:?}: {e}", command.get_program()))?;
    let Some(stdout) = child.stdout.take() else {
        return Err("the programme has no output".to_owned());
    };
    let pid = child.id().to_string();
    let is_over = Arc::new(AtomicBool::new(false));
    let is_ended = Arc::new(AtomicBool::new(false));
    let watch = std::thread::spawn({
        let (is_over, is_ended) = (Arc::clone(&is_over), Arc::clone(&is_ended));
        let deadline = Instant::now() + limit;
        move || {
            while !is_ended.load(Ordering::Relaxed) {
                if Instant::now() > deadline {
                    is_over.store(true, Ordering::Relaxed);
                    let _ = Command::new("kill").args(["-KILL", &pid]).status();
                    return;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    });
    let mut report = Report::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line);
        let _ = writeln!(log_file, "{line}");
        let is_ours = report.line(&line);
        if is_ours && !line.starts_with("passed ") && !line.starts_with("skipped ") {
            println!("{line}");
        }
    }
    let status = child.wait();
    is_ended.store(true, Ordering::Relaxed);
    let _ = watch.join();
    if is_over.load(Ordering::Relaxed) {
        let seconds = limit.as_secs();
        report
            .troubles
            .push(format!("the programme took longer than {seconds} s"));
    }
    let failures = report.count(Outcome::Failed);
    match status {
        Ok(status) if status.success() || failures > 0 => {}
        Ok(status) => report.troubles.push(format!("the programme: {status}")),
        Err(error) => report.troubles.push(format!("the programme: {error}")),
    }
    if report.cases.is_empty() && report.absent.is_none() {
        let trouble = format!("the programme told of no case; see {}", log.display());
        report.troubles.push(trouble);
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &str) -> Report {
        Report::read(lines)
    }

    #[test]
    fn lines_are_read_and_written_again() {
        let text =
            "version 1.2\npassed a\nfailed b: no: such table\nskipped c: absent\ntrouble x\n";
        let report = told(&format!("chatter\n{text}"));
        assert_eq!(report.version, "1.2");
        assert_eq!(report.cases[1].name, "b");
        assert_eq!(report.cases[1].reason, "no: such table");
        assert_eq!(report.text(), text);
    }

    #[test]
    fn what_is_expected_to_fail_must_fail() {
        let expected = Expected::parse("# known\na: no\nsuite.*: never\nnot run: why\n").unwrap();
        let report = told("failed a: no\nfailed suite.x: no\npassed suite.y\n");
        assert!(report.against(&expected).is_well());
        let report = told("passed a\nfailed b: no\npassed suite.x\n");
        let verdict = report.against(&expected);
        assert_eq!(verdict.unexpected, ["b: no"]);
        assert_eq!(verdict.passes, ["a", "suite.*"]);
        assert!(Expected::parse("a\n").is_err());
    }

    #[test]
    fn a_programme_is_heard_and_its_end_is_seen() {
        let directory = std::env::temp_dir();
        let log = directory.join(format!("clients-report-{}", std::process::id()));
        let run = |script: &str, millis: u64| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            listen(&mut command, &log, Duration::from_millis(millis)).unwrap()
        };
        assert!(run("echo passed a", 60_000).troubles.is_empty());
        assert_eq!(run("echo passed a; exit 3", 60_000).troubles.len(), 1);
        assert_eq!(run("true", 60_000).troubles.len(), 1);
        let hung = run("echo passed a; exec sleep 600", 300);
        assert_eq!(hung.troubles.len(), 2, "{:?}", hung.troubles);
        let _ = std::fs::remove_file(&log);
    }
}
