//! `docs/compatibility.md`, written from the reports of the last runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::report::{Expected, Outcome, Report};
use super::{CLIENTS, Place};

const OPENING: &str = "\
# Compatibility with clients

Written by `cargo xtask clients --write-docs` from a run of every client against `heliosdb-lite serve`; do not edit
it by hand. The programmes are in `testing/clients`, and what is known to fail, with the reason, in each one's
`expected.txt`. The suites of SQLAlchemy are those of its package.

";

/// So many names are told with a reason; of more, how many there are.
const NAMES_MAX: usize = 12;

pub fn write(root: &Path, target: &Path) -> Result<(), String> {
    let mut table = String::from(
        "| Client | Version | Passed | Failed | Skipped |\n| --- | --- | ---: | ---: | ---: |\n",
    );
    let mut reasons = String::new();
    for client in CLIENTS {
        let place = Place::new(root, target, client.name);
        let path = place.report();
        let Ok(text) = std::fs::read_to_string(&path) else {
            return Err(format!(
                "{} was not run yet: there is no {}",
                client.name,
                path.display()
            ));
        };
        let report = Report::read(&text);
        let title = client.title;
        if let Some(reason) = &report.absent {
            let _ = writeln!(table, "| {title} | | | | not run: {reason} |");
            continue;
        }
        let _ = writeln!(
            table,
            "| {title} | {} | {} | {} | {} |",
            report.version,
            report.count(Outcome::Passed),
            report.count(Outcome::Failed),
            report.count(Outcome::Skipped),
        );
        let expected = Expected::read(&place.sources.join("expected.txt"))?;
        reasons.push_str(&told(title, &report, &expected));
    }
    let path = root.join("docs/compatibility.md");
    let text = format!("{OPENING}{table}{reasons}");
    std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("{} is written", path.display());
    Ok(())
}

/// A client's failures and skips under their reasons.
fn told(title: &str, report: &Report, expected: &Expected) -> String {
    let mut text = String::new();
    for (outcome, heading) in [(Outcome::Failed, "fails"), (Outcome::Skipped, "is skipped")] {
        let mut by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for case in report.cases.iter().filter(|case| case.outcome == outcome) {
            let reason = match expected.reason(&case.name) {
                Some(reason) if outcome == Outcome::Failed => reason,
                _ => &case.reason,
            };
            let reason = reason.replace('\n', " ").replace('|', "\\|");
            by_reason.entry(reason).or_default().push(&case.name);
        }
        if by_reason.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n## What {heading}: {title}\n");
        for (reason, names) in by_reason {
            let mut named = names.iter().map(|name| format!("`{name}`"));
            let told: Vec<String> = named.by_ref().take(NAMES_MAX).collect();
            let more = names.len() - told.len();
            let _ = write!(text, "* {reason}: {}", told.join(", "));
            let _ = match more {
                0 => writeln!(text),
                more => writeln!(text, " and {more} more"),
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_stand_under_their_reasons() {
        let report =
            Report::read("passed a\nfailed b: error 7\nfailed c: error 8\nskipped d: not here\n");
        let directory = std::env::temp_dir();
        let file = directory.join(format!("clients-expected-{}", std::process::id()));
        std::fs::write(&file, "b: no LISTEN\nc: no LISTEN\n").unwrap();
        let expected = Expected::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let text = told("X", &report, &expected);
        assert!(text.contains("* no LISTEN: `b`, `c`\n"), "{text}");
        assert!(text.contains("* not here: `d`\n"), "{text}");
    }
}
