//! What a check came to: findings with names, as text and as JSON.

use std::fmt::Write;

use heliosdb_sql::catalog::check::Names;
use heliosdb_storage::check::{Finding, Kind, Totals};
use heliosdb_storage::ids::CollectionId;
use serde::Serialize;

/// The outcome in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    Whole,
    Damaged,
    /// Nothing that was looked at is damaged, but not everything could be looked at.
    Unknown,
}

/// A finding with the names of what it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedFinding {
    /// `damage`, `not_checked` or `note`.
    pub kind: &'static str,
    pub file: Option<String>,
    pub offset: Option<u64>,
    /// Which part of the file.
    pub part: Option<String>,
    /// Storage's number of the table, index or store.
    pub collection: Option<u32>,
    /// What it is called.
    pub name: Option<String>,
    pub column: Option<String>,
    pub what: String,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckTotals {
    pub log_files: u64,
    pub log_records: u64,
    pub segments: u64,
    pub pages: u64,
    /// Of segments.
    pub bytes: u64,
    pub tables: u64,
    pub rows: u64,
    pub indexes: u64,
    pub entries: u64,
}

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    pub verdict: CheckVerdict,
    /// Damage first, then what was not checked, then notes.
    pub findings: Vec<NamedFinding>,
    /// Findings that there was no room for.
    pub more_findings: u64,
    pub totals: CheckTotals,
}

/// Give a finding its names.
pub(super) fn named(
    finding: Finding,
    names: &Names,
    stores: &[(CollectionId, String)],
) -> NamedFinding {
    let Finding { kind, place, what } = finding;
    let collection = place.collection;
    let store = |c| stores.iter().find(|(id, _)| *id == c);
    let name = collection.and_then(|c| match names.collection(c) {
        Some(name) => Some(name.to_owned()),
        None => store(c).map(|(_, name)| name.clone()),
    });
    let column = place.column.map(|column| {
        let name = collection.and_then(|table| names.column(table, column));
        name.map_or_else(|| format!("column {column}"), str::to_owned)
    });
    NamedFinding {
        kind: match kind {
            Kind::Damage => DAMAGE,
            Kind::NotChecked => NOT_CHECKED,
            Kind::Note => NOTE,
        },
        file: place.file,
        offset: place.offset,
        part: place.part,
        collection: collection.map(|c| c.0),
        name,
        column,
        what,
    }
}

const DAMAGE: &str = "damage";
const NOT_CHECKED: &str = "not_checked";
const NOTE: &str = "note";
const KINDS: [(&str, &str); 3] = [
    (DAMAGE, "DAMAGED"),
    (NOT_CHECKED, "NOT CHECKED"),
    (NOTE, "note"),
];

impl CheckReport {
    pub(super) fn new(mut findings: Vec<NamedFinding>, more: u64, totals: Totals) -> CheckReport {
        let rank =
            |finding: &NamedFinding| KINDS.iter().position(|(kind, _)| *kind == finding.kind);
        findings.sort_by_key(rank);
        let has = |kind| findings.iter().any(|finding| finding.kind == kind);
        let verdict = match (has(DAMAGE), has(NOT_CHECKED)) {
            (true, _) => CheckVerdict::Damaged,
            (false, true) => CheckVerdict::Unknown,
            (false, false) => CheckVerdict::Whole,
        };
        CheckReport {
            verdict,
            findings,
            more_findings: more,
            totals: CheckTotals {
                log_files: totals.log_files,
                log_records: totals.log_records,
                segments: totals.segments,
                pages: totals.pages,
                bytes: totals.bytes,
                tables: totals.tables,
                rows: totals.rows,
                indexes: totals.indexes,
                entries: totals.entries,
            },
        }
    }

    /// For people: the findings, what was looked at, and the verdict.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let kind = KINDS.iter().find(|(kind, _)| *kind == finding.kind);
            let kind = kind.map_or("", |(_, title)| title);
            // To a String, which takes everything.
            let _ = writeln!(
                text,
                "{kind:<12} {}\n{:13}{}",
                place(finding),
                "",
                finding.what
            );
        }
        if self.more_findings > 0 {
            let _ = writeln!(text, "and {} more findings", self.more_findings);
        }
        let CheckTotals {
            log_files,
            log_records,
            segments,
            pages,
            bytes,
            tables,
            rows,
            indexes,
            entries,
        } = self.totals;
        let _ = writeln!(
            text,
            "checked: log files {log_files} (records {log_records}), segments {segments} (pages \
             {pages}, bytes {bytes}), tables {tables} (rows {rows}), indexes {indexes} (entries \
             {entries})"
        );
        text.push_str(match self.verdict {
            CheckVerdict::Whole => "the database is whole\n",
            CheckVerdict::Damaged => "the database is damaged\n",
            CheckVerdict::Unknown => {
                "nothing that was checked is damaged; not everything could be checked\n"
            }
        });
        text
    }
}

/// `segments/….seg at byte 32, HEAD block 3, values: public.city.founded`.
fn place(finding: &NamedFinding) -> String {
    let mut words = Vec::new();
    match (&finding.file, finding.offset) {
        (Some(file), Some(offset)) => words.push(format!("{file} at byte {offset}")),
        (Some(file), None) => words.push(file.clone()),
        _ => {}
    }
    words.extend(finding.part.clone());
    let object = match (&finding.name, finding.collection) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(number)) => Some(format!("collection {number}")),
        (None, None) => None,
    };
    words.extend(object.map(|object| match &finding.column {
        Some(column) => format!("{object}, column {column}"),
        None => object,
    }));
    match words.is_empty() {
        true => "the database".to_owned(),
        false => words.join(", "),
    }
}
