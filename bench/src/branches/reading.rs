//! Readers of one table that see it differently, in turns: rows by their keys, the same random ones everywhere,
//! and the whole table.

use super::{Plan, Random, mean};
use crate::table;

/// Reads, and fails where it does not find what it must.
pub trait Reader {
    fn name(&self) -> String;

    /// In the table; their keys begin with 1.
    fn rows(&self) -> i64;

    fn point(&mut self, id: i64) -> Result<(), String>;

    fn scan(&mut self) -> Result<(), String>;
}

/// A line for each reader; ratios are to the first.
pub fn measure(
    plan: &Plan,
    state: &str,
    readers: &mut [impl Reader],
    lines: &mut Vec<Vec<String>>,
) -> Result<(), String> {
    let mut points = vec![Vec::new(); readers.len()];
    let mut scans = vec![Vec::new(); readers.len()];
    // The first round warms up.
    for round in 0..=plan.rounds {
        for (i, reader) in readers.iter_mut().enumerate() {
            let (mut keys, rows) = (Random::new(), reader.rows());
            let point = mean(plan.slice, || reader.point(keys.up_to(rows)));
            let scan = mean(plan.slice, || reader.scan());
            let (point, scan) = match (point, scan) {
                (Ok(point), Ok(scan)) => (point, scan),
                (Err(error), _) | (_, Err(error)) => {
                    return Err(format!("{state}, {}: {error}", reader.name()));
                }
            };
            if round > 0 {
                points[i].push(point * 1e6);
                scans[i].push(scan * 1e3);
            }
        }
    }
    let mut first = None;
    for (i, reader) in readers.iter().enumerate() {
        let (point, scan) = (table::median(&mut points[i]), table::median(&mut scans[i]));
        let first = *first.get_or_insert((point, scan));
        lines.push(vec![
            state.to_owned(),
            reader.name(),
            format!("{point:.2}"),
            format!("{:.2}", point / first.0),
            format!("{scan:.2}"),
            format!("{:.2}", scan / first.1),
        ]);
    }
    Ok(())
}
