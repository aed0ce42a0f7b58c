//! The score of a run, and what is behind each failure, as a document.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Known, Outcome};

/// The kinds of failures, and what they mean.
const KINDS: [(&str, &str); 4] = [
    (
        "unsupported",
        "the spec wants something that is refused by name",
    ),
    (
        "message",
        "the same things happen, and are told in other words or in another order",
    ),
    (
        "differs",
        "locks or snapshots work otherwise here, and what is answered is right",
    ),
    ("bug", "wrong here"),
];

fn passed(outcomes: &[Outcome]) -> usize {
    let passed = outcomes.iter().filter(|o| o.difference.is_none());
    passed.count()
}

pub fn totals(outcomes: &[Outcome]) -> String {
    let passed = passed(outcomes);
    let (failed, all) = (outcomes.len() - passed, outcomes.len());
    format!("{passed} of {all} specs pass, {failed} fail")
}

/// What `known` does not know, and what it says that is no longer so.
pub fn unexpected(outcomes: &[Outcome], known: &[Known], is_whole: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for outcome in outcomes {
        let is_known = known.iter().any(|known| known.name == outcome.name);
        match (&outcome.difference, is_known) {
            (Some(difference), false) => {
                lines.push(format!("{}: fails: {}", outcome.name, difference.reason()));
            }
            (None, true) => lines.push(format!("{}: no longer fails", outcome.name)),
            _ => {}
        }
    }
    for known in known.iter().filter(|_| is_whole) {
        if !outcomes.iter().any(|outcome| outcome.name == known.name) {
            lines.push(format!("{}: there is no such spec", known.name));
        }
        if !KINDS.iter().any(|(kind, _)| *kind == known.kind) {
            lines.push(format!(
                "{}: no kind of failure: {}",
                known.name, known.kind
            ));
        }
    }
    lines
}

pub fn text(outcomes: &[Outcome], known: &[Known]) -> String {
    let mut text = format!(
        "# PostgreSQL's isolation tests\n\n\
         Written by `cargo xtask pg-isolation --write-docs`, which runs the schedule of PostgreSQL 15's source package by its \
         own\n`isolationtester` against `heliosdb-lite serve`, each spec on a server of its own. A spec passes when all that is \
         printed\nin all of its permutations, and which steps wait, is letter by letter what PostgreSQL prints.\n\n{}.\n",
        totals(outcomes)
    );
    let of = |name: &str| known.iter().find(|known| known.name == name);
    text.push_str("\n## What is behind the failures\n\n| Specs | Kind | |\n| ---: | --- | --- |\n");
    for (kind, meaning) in KINDS {
        let failing = outcomes.iter().filter(|o| o.difference.is_some());
        let count = failing.filter(|o| of(&o.name).is_some_and(|known| known.kind == kind));
        let _ = writeln!(text, "| {} | {kind} | {meaning} |", count.count());
    }
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for outcome in outcomes {
        if let Some(difference) = &outcome.difference {
            reasons
                .entry(difference.reason())
                .or_default()
                .push(&outcome.name);
        }
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    text.push_str("\n## By the first difference\n\n| Specs | What is printed |\n| ---: | --- |\n");
    for (reason, names) in &reasons {
        let _ = writeln!(text, "| {} | `{}` |", names.len(), escaped(reason));
    }
    text.push_str("\n## Specs that fail\n\n| Spec | First difference | Kind | What is behind it |\n| --- | --- | --- | --- |\n");
    for outcome in outcomes {
        let Some(difference) = &outcome.difference else {
            continue;
        };
        let (kind, why) = of(&outcome.name).map_or(("", ""), |known| (known.kind, known.why));
        let reason = escaped(&difference.reason());
        let _ = writeln!(text, "| {} | `{reason}` | {kind} | {why} |", outcome.name);
    }
    text.push_str("\n## Specs that pass\n\n");
    let names = outcomes.iter().filter(|o| o.difference.is_none());
    let names: Vec<&str> = names.map(|o| o.name.as_str()).collect();
    for names in names.chunks(6) {
        let _ = writeln!(text, "{}", names.join(", "));
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
