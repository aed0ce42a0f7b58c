//! Commands and clauses: what the samples say works, and text that is no statement is refused in
//! order.

use arrow_array::Array;
use heliosdb_plugin_api::manifest::{ClauseDecl, ClausePlace};
use heliosdb_plugin_api::{ClauseAction, ClauseTarget};

use super::{Outcome, Suite, ensure, fair};
use crate::host::Statement;
use crate::plugin::Started;

pub fn commands(suite: &Suite) -> Outcome {
    let plugin = suite.started()?;
    for statement in &suite.samples.commands {
        let outcome = plugin.command(statement);
        let outcome = outcome.map_err(|e| format!("{statement}: {e}"))?;
        ensure(!outcome.tag.is_empty(), || {
            format!("{statement}: no command tag")
        })?;
        for batch in &outcome.batches {
            let rows = batch.first().map_or(0, |c| c.len());
            ensure(batch.iter().all(|c| c.len() == rows), || {
                format!("{statement}: columns of several lengths")
            })?;
        }
    }
    let claimed = |prefix: &str| {
        let begins = |s: &String| s.to_uppercase().starts_with(prefix);
        suite.samples.commands.iter().any(begins)
    };
    for declared in &plugin.provides.commands {
        ensure(claimed(&declared.prefix), || {
            format!(
                "command {}: Samples::command has none of it",
                declared.prefix
            )
        })?;
    }
    for (index, declared) in plugin.provides.commands.iter().enumerate() {
        let samples = suite.samples.commands.iter();
        let samples = samples.filter(|s| s.to_uppercase().starts_with(&declared.prefix));
        for statement in odd_statements(&declared.prefix, samples) {
            odd(&plugin, index as u32, &statement)?;
        }
    }
    Ok(())
}

fn odd_statements<'a>(prefix: &str, samples: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut odd: Vec<String> = [
        "", " ", "\u{0}", "🐈", "\"", "'", "$$", "(", ")", "x y z", "/*", "--",
    ]
    .iter()
    .map(|rest| format!("{prefix} {rest}"))
    .collect();
    odd.push(prefix.to_lowercase());
    odd.push(format!("{prefix} {}", "(".repeat(20_000)));
    odd.push(format!("{prefix} {}", "x".repeat(100_000)));
    odd.push(String::new());
    for sample in samples {
        let ends = sample.char_indices().map(|(at, _)| sample[..at].to_owned());
        odd.extend(ends);
    }
    odd
}

/// Any statement may work or be refused, canceled or not, when it may write and when it may not.
fn odd(plugin: &Started, index: u32, text: &str) -> Outcome {
    let what = || -> String { text.chars().take(60).collect() };
    for read_only in [true, false] {
        plugin.host.set_read_only(read_only);
        let outcome = plugin.command_at(index, &Statement::new(), text);
        plugin.host.set_read_only(false);
        fair(&format!("statement {:?}", what()), outcome)?;
    }
    let canceled = plugin.command_at(index, &Statement::cancelled_after(0), text);
    fair(&format!("canceled statement {:?}", what()), canceled)?;
    Ok(())
}

pub fn clauses(suite: &Suite) -> Outcome {
    let plugin = suite.started()?;
    for declared in &plugin.provides.clauses {
        let samples = suite.samples.clauses.iter();
        let mut samples = samples
            .filter(|(name, _)| *name == declared.name)
            .peekable();
        if samples.peek().is_none() {
            return Err(format!(
                "clause {}: Samples::clause has none of it",
                declared.name
            ));
        }
        let target = target(suite, declared);
        for (_, arguments) in samples {
            clause(&plugin, declared, &target, arguments)
                .map_err(|why| format!("clause {}: {why}", declared.name))?;
        }
        for arguments in odd_arguments(&declared.grammar) {
            let applied = plugin.clause(&declared.name, &target, &arguments);
            fair(
                &format!("clause {} with {arguments:?}", declared.name),
                applied,
            )?;
        }
    }
    Ok(())
}

fn target(suite: &Suite, declared: &ClauseDecl) -> ClauseTarget {
    let ty = suite.samples.column_type.as_deref().unwrap_or("jsonb");
    let column = ("c".to_owned(), ty.to_owned());
    ClauseTarget {
        schema: "public".to_owned(),
        table: "t".to_owned(),
        column: (declared.place == ClausePlace::Column).then_some(column),
    }
}

fn clause(
    plugin: &Started,
    declared: &ClauseDecl,
    target: &ClauseTarget,
    arguments: &[String],
) -> Outcome {
    let apply = || plugin.clause(&declared.name, target, arguments);
    let actions = apply().map_err(|e| e.to_string())?;
    let again = apply().map_err(|e| format!("a second time: {e}"))?;
    ensure(actions == again, || {
        "it means something else a second time".to_owned()
    })?;
    for action in actions {
        let ClauseAction::AddConstraint {
            kind, definition, ..
        } = action;
        let known = plugin.provides.constraints.iter().any(|c| c.name == kind);
        ensure(known, || {
            format!("it adds a constraint of unknown kind \"{kind}\"")
        })?;
        ensure(!definition.trim().is_empty(), || {
            "its constraint has no definition, which dumps need".to_owned()
        })?;
    }
    Ok(())
}

fn odd_arguments(grammar: &str) -> Vec<Vec<String>> {
    let count = grammar.matches('<').count();
    let odd = ["", "no_such_thing", "a.b.c.d", "\"", "\u{0}", "🐈", "-1"];
    let mut sets: Vec<Vec<String>> = odd.iter().map(|&o| vec![o.to_owned(); count]).collect();
    sets.push(Vec::new());
    sets.push(vec!["x".to_owned(); count + 1]);
    sets
}
