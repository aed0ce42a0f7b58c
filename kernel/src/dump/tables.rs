//! What `heliosdb_dump` finds of the tables, as a report says it.

use heliosdb_dump::{CompareOptions, Dump, Progress, TableComparison, compare_tables};
use heliosdb_storage::Engine;

use super::error::ImportError;
use super::report::{TableReport, Verdict};
use super::text::counted;

/// Compares the tables of the dump with what the engine has, now and in the past.
pub(super) fn compare(
    dump: &Dump,
    engine: &Engine,
    options: &CompareOptions,
    progress: &dyn Progress,
) -> Result<Vec<TableReport>, ImportError> {
    let compared = compare_tables(dump, engine, options, progress)?;
    Ok(compared.into_iter().map(report).collect())
}

fn report(table: TableComparison) -> TableReport {
    let mut details = table.problems.clone();
    for past in table.history.iter().filter(|past| !past.equal) {
        details.push(format!(
            "AS OF {} it had {} and has {}, or rows with other values",
            past.ts,
            counted(past.rows, "row"),
            past.found_rows
        ));
    }
    for index in table.indexes.iter().filter(|index| !index.equal) {
        details.push(format!(
            "the index of collection {} has {} for {}, or entries of other rows",
            index.collection,
            counted(index.entries, "entry"),
            counted(index.rows, "row")
        ));
    }
    if table.snapshot_equal == Some(false) {
        details.push("AS OF the dump's snapshot it is another, too".to_owned());
    }
    TableReport {
        verdict: verdict(&table),
        rows: table.rows,
        found_rows: table.found_rows,
        versions: table.rows + table.superseded,
        history_times: table.history.len() as u64,
        indexes: table.indexes.len() as u64,
        // When rows came or went every column is another.
        columns: match table.rows == table.found_rows {
            true => table.columns,
            false => Vec::new(),
        },
        name: table.name,
        details,
    }
}

/// Whatever is wrong with the past, or with an index, did not come with a change of today.
fn verdict(table: &TableComparison) -> Verdict {
    let past = table.history.iter().all(|past| past.equal);
    let indexes = table.indexes.iter().all(|index| index.equal);
    if !past || !indexes {
        return Verdict::Differs;
    }
    match table.snapshot_equal {
        _ if table.is_equal() => Verdict::Equal,
        // Rows that were written again with the values they had.
        Some(true) if table.values_equal && table.problems.is_empty() => Verdict::Equal,
        Some(true) => Verdict::ChangedSince,
        Some(false) | None => Verdict::Differs,
    }
}

#[cfg(test)]
mod tests {
    use heliosdb_dump::HistoryComparison;

    use super::*;

    fn equal() -> TableComparison {
        TableComparison {
            collection: 1024,
            name: "public.t".to_owned(),
            rows: 3,
            found_rows: 3,
            superseded: 1,
            found_superseded: 1,
            values_equal: true,
            columns: Vec::new(),
            versions_equal: true,
            snapshot_equal: None,
            history: Vec::new(),
            indexes: Vec::new(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_change_of_today_is_told_from_one_of_the_import() {
        assert_eq!(verdict(&equal()), Verdict::Equal);
        let rewritten = TableComparison {
            versions_equal: false,
            snapshot_equal: Some(true),
            ..equal()
        };
        assert_eq!(verdict(&rewritten), Verdict::Equal);
        let changed = TableComparison {
            values_equal: false,
            ..rewritten.clone()
        };
        assert_eq!(verdict(&changed), Verdict::ChangedSince);
        let other = TableComparison {
            snapshot_equal: Some(false),
            ..rewritten
        };
        assert_eq!(verdict(&other), Verdict::Differs);
        let past = TableComparison {
            history: vec![HistoryComparison {
                ts: 7,
                rows: 2,
                found_rows: 2,
                equal: false,
            }],
            ..changed
        };
        assert_eq!(verdict(&past), Verdict::Differs);
        assert_eq!(report(past).details.len(), 1);
    }
}
