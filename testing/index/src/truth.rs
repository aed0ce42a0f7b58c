//! What a scan finds, and whether an answer is that.

use std::collections::BTreeMap;

use heliosdb_plugin_host::index::{Hit, PluginIndex};
use heliosdb_storage::ReadView;
use heliosdb_storage::ids::RowId;

use crate::table::scan;
use crate::{Ask, Driver, Result, text};

/// The rows that have the word, and how often.
fn truth(view: &ReadView, word: &str) -> Result<BTreeMap<RowId, f64>> {
    let rows = scan(view).map_err(text)?.into_iter();
    let counted = rows.filter_map(|(row, body)| {
        let count = body?.split(' ').filter(|other| *other == word).count();
        (count > 0).then_some((row, count as f64))
    });
    Ok(counted.collect())
}

/// Compare the answer of `driver` with what a scan finds.
pub fn compare(
    driver: &dyn Driver,
    index: &PluginIndex,
    view: &ReadView,
    ask: &Ask<'_>,
) -> Result<()> {
    let truth = truth(view, ask.word)?;
    let found = driver.search(index, view, ask).map_err(text)?;
    is_right(&truth, &found, ask)
        .map_err(|why| format!("{ask:?} at {}: {why}\n  {truth:?}\n  {found:?}", view.ts()))
}

fn is_right(truth: &BTreeMap<RowId, f64>, found: &[Hit], ask: &Ask<'_>) -> Result<()> {
    for hit in found {
        if truth.get(&hit.row) != Some(&hit.score) {
            return Err(format!("{hit:?} is no row that has the word"));
        }
    }
    let rows: std::collections::BTreeSet<RowId> = found.iter().map(|hit| hit.row).collect();
    if rows.len() != found.len() {
        return Err("a row is found twice".to_owned());
    }
    let mut scores: Vec<f64> = truth.values().copied().collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    scores.truncate(ask.k.map_or(usize::MAX, |k| k as usize));
    let found: Vec<f64> = found.iter().map(|hit| hit.score).collect();
    match found == scores {
        true => Ok(()),
        false => Err(format!("the scores should be {scores:?}")),
    }
}
