//! The score of a run, and what fails most, as a document.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Outcome;

const REASONS_MAX: usize = 80;

pub fn totals(outcomes: &[Outcome]) -> String {
    let statements: usize = outcomes.iter().map(|o| o.score.statements).sum();
    let agreeing: usize = outcomes.iter().map(|o| o.score.agreeing).sum();
    let whole = outcomes.iter().filter(|o| o.score.is_whole()).count();
    let share = 100.0 * agreeing as f64 / statements.max(1) as f64;
    format!(
        "{agreeing} of {statements} statements agree ({share:.1} %); {whole} of {} files are whole",
        outcomes.len()
    )
}

pub fn text(outcomes: &[Outcome], troubles: &[String]) -> String {
    let mut text = format!(
        "# PostgreSQL's regression tests\n\n\
         Written by `cargo xtask pg-regress --write-docs`, which runs the tests of PostgreSQL 15's source package by psql \
         against\n`heliosdb-lite serve`. A statement agrees when psql prints after it what the expected file has there, letter \
         by letter,\nplans of EXPLAIN and dates in the style `Postgres` among them.\n\n{}.\n",
        totals(outcomes)
    );
    let mut reasons: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for outcome in outcomes {
        for (error, count) in &outcome.score.errors {
            let (statements, files) = reasons.entry(error).or_default();
            *statements += count;
            *files += 1;
        }
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, (statements, _))| std::cmp::Reverse(*statements));
    text.push_str("\n## Why statements differ\n\n| Statements | Files | What they print |\n| ---: | ---: | --- |\n");
    for (error, (statements, files)) in reasons.iter().take(REASONS_MAX) {
        let error = error.replace('|', "\\|");
        let _ = writeln!(text, "| {statements} | {files} | `{error}` |");
    }
    text.push_str(
        "\n## Files\n\n| File | Agree | Statements | Most often |\n| --- | ---: | ---: | --- |\n",
    );
    for outcome in outcomes {
        let score = &outcome.score;
        let most = score.errors.iter().max_by_key(|(_, count)| **count);
        let most = match &outcome.trouble {
            Some(trouble) => trouble.clone(),
            None => most.map_or_else(String::new, |(error, _)| format!("`{error}`")),
        };
        let (agreeing, statements) = (score.agreeing, score.statements);
        let most = most.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| {} | {agreeing} | {statements} | {most} |",
            outcome.name
        );
    }
    let internal = outcomes.iter().flat_map(|o| &o.score.internal);
    let internal: Vec<&String> = internal.collect();
    if !internal.is_empty() {
        text.push_str("\n## Internal errors\n\n```text\n");
        for statement in internal {
            let _ = writeln!(text, "{statement}\n");
        }
        text.push_str("```\n");
    }
    if !troubles.is_empty() {
        text.push_str("\n## Trouble\n\n");
        for trouble in troubles {
            let _ = writeln!(text, "* {trouble}");
        }
    }
    text
}
