//! What `heliosdb_dump` finds of branches, as a report says it: a check per branch or tag.

use heliosdb_dump::{BranchComparison, CompareOptions, Dump, Progress, compare_branches};
use heliosdb_storage::Engine;

use super::error::ImportError;
use super::report::{CheckReport, Verdict};
use super::text::counted;

/// Compares the branches of the dump with what the engine has; one check that says so when it has none.
pub(super) fn compare(
    dump: &Dump,
    engine: &Engine,
    options: &CompareOptions,
    progress: &dyn Progress,
) -> Result<Vec<CheckReport>, ImportError> {
    let manifest = dump.manifest();
    if manifest.branches.is_none() {
        let left_out = manifest.left_out.iter().find(|l| l.what == "branches");
        return Ok(vec![CheckReport {
            name: "branches".to_owned(),
            verdict: Verdict::Equal,
            details: vec![match left_out {
                Some(left_out) => format!("the dump left them out: {}", left_out.why),
                None => "the dump has none besides the main timeline".to_owned(),
            }],
        }]);
    }
    let compared = compare_branches(dump, engine, options, progress)?;
    Ok(compared.into_iter().map(report).collect())
}

fn report(branch: BranchComparison) -> CheckReport {
    let verdict = match (branch.is_equal(), branch.is_changed_since()) {
        (true, _) => Verdict::Equal,
        (false, true) => Verdict::ChangedSince,
        (false, false) => Verdict::Differs,
    };
    let mut details = branch.problems.clone();
    details.extend(branch.changes.iter().cloned());
    details.extend(branch.tables.iter().flat_map(|table| table.lines()));
    if details.is_empty() {
        let rows = branch.tables.iter().filter_map(|table| table.head.as_ref());
        let times: usize = branch.tables.iter().map(|table| table.history.len()).sum();
        let indexes: usize = branch.tables.iter().map(|table| table.indexes.len()).sum();
        details.push(format!(
            "{} with {}, {} in the past, indexes compared: {indexes}",
            counted(branch.tables.len() as u64, "table"),
            counted(rows.map(|head| head.rows).sum(), "row"),
            counted(times as u64, "time"),
        ));
    }
    CheckReport {
        name: match branch.tag {
            true => format!("tag {}", branch.name),
            false => format!("branch {}", branch.name),
        },
        verdict,
        details,
    }
}
