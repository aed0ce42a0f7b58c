//! What an import did, or a comparison found, for people and for programs.
//!
//! A [`Report`] is plain data: [`Report::to_json`] is its serde form and what `--json` prints,
//! [`Report::to_text`] is for a terminal, [`Report::to_html`] a page to keep. Nothing is decided here but how a thing is said, and
//! whether everything is [equal](Report::is_equal).

use std::fmt::{self, Write};

use heliosdb_dump::manifest::LeftOut;
use serde::Serialize;

use super::html;
use super::marker::{show_moment, show_time};
use super::text::{Align, Grid, bytes, counted, seconds};

/// See the module's header.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub action: Action,
    pub dump: DumpSummary,
    pub target: TargetSummary,
    /// Every table of the dump, dropped ones that have history included.
    pub tables: Vec<TableReport>,
    /// Every plugin that the dump needs or that was started.
    pub plugins: Vec<PluginReport>,
    /// What became of which store.
    pub stores: Vec<StoreReport>,
    pub objects: ObjectsReport,
    /// Those that differ.
    pub sequences: Vec<SequenceReport>,
    /// Everything else that was looked at.
    pub checks: Vec<CheckReport>,
    /// What somebody should know, and what is no difference.
    pub notes: Vec<String>,
    pub phases: Vec<Phase>,
    /// Why the page that was asked for is not there. The import is whole all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Import,
    /// Everything was done and verified, and nothing kept.
    DryRun,
    Verify,
}

#[derive(Clone, Debug, Serialize)]
pub struct DumpSummary {
    pub file: String,
    pub dump_id: String,
    pub format: u32,
    pub edition: String,
    pub kernel_version: String,
    pub database: String,
    pub created_at_micros: u64,
    pub snapshot_ts: u64,
    pub oldest_ts: u64,
    /// Of the file.
    pub bytes: u64,
    /// What is in it, before compression.
    pub raw_bytes: u64,
    pub rows: u64,
    pub left_out: Vec<LeftOut>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TargetSummary {
    pub directory: String,
    pub edition: String,
    pub kernel_version: String,
    /// Of the segments, which hold the rows. Of a dry run, what they were before they went.
    pub bytes: u64,
    /// Of the log, whose files are made in their full length.
    pub log_bytes: u64,
    /// When the dump was imported into it, as far as it knows.
    pub imported_at_micros: Option<u64>,
}

/// How a thing of the database stands to the same thing of the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Equal,
    /// It was changed after the import: AS OF the dump's snapshot it is equal.
    ChangedSince,
    Differs,
}

impl Verdict {
    pub(super) fn of(equal: bool) -> Verdict {
        match equal {
            true => Verdict::Equal,
            false => Verdict::Differs,
        }
    }

    pub fn is_equal(self) -> bool {
        self == Verdict::Equal
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Equal => "equal",
            Verdict::ChangedSince => "changed since the import",
            Verdict::Differs => "differs",
        })
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct TableReport {
    pub name: String,
    /// As the dump has it.
    pub rows: u64,
    pub found_rows: u64,
    /// Current and superseded, as the dump has them.
    pub versions: u64,
    pub verdict: Verdict,
    /// Columns whose values differ.
    pub columns: Vec<String>,
    /// What differs besides, one line each.
    pub details: Vec<String>,
    /// Times AS OF which the content was compared.
    pub history_times: u64,
    /// Indexes whose entries were compared with the rows.
    pub indexes: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct PluginReport {
    pub id: String,
    /// In the dump; `None` for one that it does not know.
    pub from_version: Option<String>,
    /// In the target; `None` when it is not there.
    pub to_version: Option<String>,
    pub state: String,
    /// The dump's content does not work without it.
    pub needed: bool,
}

/// What became of a store on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreOutcome {
    /// As it is in the dump.
    Kept,
    Migrated,
    Adopted,
    Created,
    /// As it is in the dump, and no plugin that runs has it.
    Orphaned,
    /// The dump has it and the target has not.
    Missing,
}

impl fmt::Display for StoreOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreOutcome::Kept => "kept",
            StoreOutcome::Migrated => "upgraded",
            StoreOutcome::Adopted => "adopted",
            StoreOutcome::Created => "created",
            StoreOutcome::Orphaned => "kept, orphaned",
            StoreOutcome::Missing => "missing",
        })
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct StoreReport {
    pub plugin: String,
    pub store: String,
    pub outcome: StoreOutcome,
    /// The store it was made of, as `plugin.store@version`; `None` when it is new.
    pub from: Option<String>,
    pub to_version: Option<u32>,
    pub entries_before: u64,
    pub entries: u64,
    pub digest_before: Option<String>,
    pub digest: Option<String>,
    /// The steps and adoptions that made it, by their checksums, in order.
    pub steps: Vec<String>,
    /// How long the plugin's migration took, all stores together.
    pub micros: Option<u64>,
    pub verdict: Verdict,
    pub details: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct ObjectsReport {
    /// Objects of the dump.
    pub compared: u64,
    pub missing: Vec<ObjectReport>,
    pub changed: Vec<ObjectReport>,
    /// In the target and not in the dump. No difference when a plugin of the target brought them.
    pub added: Vec<ObjectReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ObjectReport {
    pub kind: String,
    pub name: String,
    pub verdict: Verdict,
    /// What differs, one line each.
    pub details: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SequenceReport {
    pub name: String,
    /// As `last_value, is_called`; `None` when the sequence was never used.
    pub dump: Option<(i64, bool)>,
    pub found: Option<(i64, bool)>,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    pub name: String,
    pub verdict: Verdict,
    /// What was looked at, and what is wrong, one line each.
    pub details: Vec<String>,
}

/// A part of the work and how long it took.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    pub name: String,
    pub micros: u64,
}

impl Report {
    /// Whether the database has what the dump has, and nothing else.
    pub fn is_equal(&self) -> bool {
        let objects = &self.objects;
        let objects = [&objects.missing, &objects.changed, &objects.added];
        let mut verdicts = self.tables.iter().map(|t| t.verdict);
        verdicts.all(Verdict::is_equal)
            && self.stores.iter().all(|s| s.verdict.is_equal())
            && objects.into_iter().flatten().all(|o| o.verdict.is_equal())
            && self.sequences.iter().all(|s| s.verdict.is_equal())
            && self.checks.iter().all(|c| c.verdict.is_equal())
    }

    /// The line to end with.
    pub fn conclusion(&self) -> String {
        let Report { dump, target, .. } = self;
        let (rows, directory) = (counted(dump.rows, "row"), &target.directory);
        match (self.action, self.is_equal()) {
            (Action::Import, true) => {
                format!("{rows} imported into {directory} and verified")
            }
            (Action::DryRun, true) => {
                format!("{rows} would be imported; everything was verified, nothing was kept")
            }
            (Action::Verify, true) => format!("{directory} has what the dump has"),
            (Action::Import | Action::DryRun, false) => {
                "what was imported differs from the dump, and nothing was kept".to_owned()
            }
            (Action::Verify, false) => format!("{directory} differs from the dump"),
        }
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = self.write_text(&mut out);
        out
    }

    /// One self-contained page.
    pub fn to_html(&self) -> String {
        html::page(self)
    }

    /// One object, with `equal` before everything else.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Json<'a> {
            equal: bool,
            #[serde(flatten)]
            report: &'a Report,
        }
        serde_json::to_string_pretty(&Json {
            equal: self.is_equal(),
            report: self,
        })
    }

    pub(super) fn title(&self) -> String {
        let file = &self.dump.file;
        match self.action {
            Action::Import => format!("Import of {file}"),
            Action::DryRun => format!("Dry run of the import of {file}"),
            Action::Verify => format!("Comparison with {file}"),
        }
    }

    /// What the dump and the target are, as pairs.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let Report { dump, target, .. } = self;
        let mut facts = vec![
            ("dump", format!("{} (format {})", dump.dump_id, dump.format)),
            (
                "from",
                format!(
                    "HeliosDB {} {}, database {}",
                    title_case(&dump.edition),
                    dump.kernel_version,
                    dump.database
                ),
            ),
            ("exported", show_time(dump.created_at_micros)),
            ("snapshot", show_moment(dump.snapshot_ts)),
        ];
        if dump.oldest_ts < dump.snapshot_ts {
            facts.push(("history since", show_moment(dump.oldest_ts)));
        }
        facts.push((
            "to",
            format!(
                "HeliosDB {} {}, {}",
                title_case(&target.edition),
                target.kernel_version,
                target.directory
            ),
        ));
        if let Some(at) = target.imported_at_micros {
            facts.push(("imported", show_time(at)));
        }
        facts.push((
            "size",
            format!(
                "{} in the file, {} unpacked; {} in the database, and {} of log",
                bytes(dump.bytes),
                bytes(dump.raw_bytes),
                bytes(target.bytes),
                bytes(target.log_bytes)
            ),
        ));
        for left_out in &dump.left_out {
            facts.push(("left out", format!("{}: {}", left_out.what, left_out.why)));
        }
        facts
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "{}\n", self.title())?;
        let mut facts = Grid::new(&[("", Align::Left), ("", Align::Left)]);
        for (name, value) in self.facts() {
            facts.row([name.to_owned(), value]);
        }
        facts.write(out)?;
        self.table_grid().write_titled(out, "Tables")?;
        self.plugin_grid().write_titled(out, "Plugins")?;
        self.store_grid().write_titled(out, "State of plugins")?;
        self.other_grid().write_titled(out, "Checks")?;
        let remarks = self.remarks();
        if !remarks.is_empty() {
            writeln!(out, "\nRemarks")?;
            for remark in remarks {
                writeln!(out, "  {remark}")?;
            }
        }
        self.phase_grid().write_titled(out, "Time")?;
        writeln!(out, "\n{}", self.conclusion())
    }

    pub(super) fn table_grid(&self) -> Grid {
        let mut grid = Grid::new(&[
            ("table", Align::Left),
            ("rows", Align::Right),
            ("versions", Align::Right),
            ("past times", Align::Right),
            ("indexes", Align::Right),
            ("result", Align::Left),
        ]);
        for table in &self.tables {
            let mut result = table.verdict.to_string();
            if !table.columns.is_empty() {
                let _ = write!(result, " in {}", table.columns.join(", "));
            }
            if table.found_rows != table.rows {
                let _ = write!(result, ", found {}", counted(table.found_rows, "row"));
            }
            grid.judged(
                [
                    table.name.clone(),
                    table.rows.to_string(),
                    table.versions.to_string(),
                    table.history_times.to_string(),
                    table.indexes.to_string(),
                    result,
                ],
                table.verdict,
            );
        }
        grid
    }

    pub(super) fn plugin_grid(&self) -> Grid {
        let mut grid = Grid::new(&[
            ("plugin", Align::Left),
            ("in the dump", Align::Left),
            ("here", Align::Left),
            ("state", Align::Left),
        ]);
        for plugin in &self.plugins {
            let version = |v: &Option<String>| v.clone().unwrap_or_else(|| "-".to_owned());
            grid.row([
                plugin.id.clone(),
                version(&plugin.from_version),
                version(&plugin.to_version),
                plugin.state.clone(),
            ]);
        }
        grid
    }

    pub(super) fn store_grid(&self) -> Grid {
        let mut grid = Grid::new(&[
            ("store", Align::Left),
            ("from", Align::Left),
            ("to", Align::Right),
            ("entries", Align::Left),
            ("result", Align::Left),
        ]);
        for store in &self.stores {
            let entries = match store.outcome {
                StoreOutcome::Migrated | StoreOutcome::Adopted => {
                    format!("{} → {}", store.entries_before, store.entries)
                }
                _ => store.entries.to_string(),
            };
            let result = match store.verdict {
                Verdict::Equal => store.outcome.to_string(),
                verdict => format!("{}, {verdict}", store.outcome),
            };
            grid.judged(
                [
                    format!("{}.{}", store.plugin, store.store),
                    store.from.clone().unwrap_or_else(|| "-".to_owned()),
                    store
                        .to_version
                        .map_or_else(|| "-".to_owned(), |v| v.to_string()),
                    entries,
                    result,
                ],
                store.verdict,
            );
        }
        grid
    }

    /// Objects, sequences and the rest.
    pub(super) fn other_grid(&self) -> Grid {
        let mut grid = Grid::new(&[("check", Align::Left), ("result", Align::Left)]);
        let objects = &self.objects;
        let lists = [
            ("missing", &objects.missing),
            ("changed", &objects.changed),
            ("added", &objects.added),
        ];
        let verdict = worst(lists.iter().flat_map(|(_, l)| l.iter()).map(|o| o.verdict));
        let mut said = vec![format!("{} compared", objects.compared)];
        for (what, list) in lists {
            if !list.is_empty() {
                said.push(format!("{} {what}", list.len()));
            }
        }
        said.push(verdict.to_string());
        grid.judged(["objects".to_owned(), said.join(", ")], verdict);
        let verdict = worst(self.sequences.iter().map(|s| s.verdict));
        let said = match self.sequences.len() {
            0 => verdict.to_string(),
            n => format!("{n} not where the dump has them, {verdict}"),
        };
        grid.judged(["sequences".to_owned(), said], verdict);
        for check in &self.checks {
            let said = match check.details.first() {
                Some(first) if check.details.len() == 1 => format!("{}, {first}", check.verdict),
                _ => check.verdict.to_string(),
            };
            grid.judged([check.name.clone(), said], check.verdict);
        }
        grid
    }

    /// Everything that needs a sentence, one line each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for table in &self.tables {
            for detail in &table.details {
                remarks.push(format!("{}: {detail}", table.name));
            }
        }
        for store in &self.stores {
            for detail in &store.details {
                remarks.push(format!("{}.{}: {detail}", store.plugin, store.store));
            }
        }
        let objects = &self.objects;
        let (brought, added): (Vec<_>, Vec<_>) =
            objects.added.iter().partition(|o| o.verdict.is_equal());
        for object in brought {
            let ObjectReport { kind, name, .. } = object;
            let why = object.details.join(", ");
            remarks.push(format!("{kind} {name} is new: {why}"));
        }
        let missing = objects.missing.iter().collect();
        let changed = objects.changed.iter().collect();
        let lists: [(Vec<&ObjectReport>, &str, &str); 3] = [
            (missing, "was removed", "is missing"),
            (changed, "was changed", "is another"),
            (added, "was added", "is not in the dump"),
        ];
        for (list, since, differs) in lists {
            for object in list {
                let ObjectReport { kind, name, .. } = object;
                remarks.push(match object.verdict {
                    Verdict::ChangedSince => format!("{kind} {name} {since} since the import"),
                    _ => format!("{kind} {name} {differs}"),
                });
                for detail in &object.details {
                    remarks.push(format!("  {detail}"));
                }
            }
        }
        for SequenceReport {
            name, dump, found, ..
        } in &self.sequences
        {
            let (dump, found) = (show_sequence(dump), show_sequence(found));
            remarks.push(format!("sequence {name}: {found} here, {dump} in the dump"));
        }
        for check in self.checks.iter().filter(|c| c.details.len() > 1) {
            for detail in &check.details {
                remarks.push(format!("{}: {detail}", check.name));
            }
        }
        remarks.extend(self.notes.iter().cloned());
        let problem = self.page_problem.iter();
        remarks.extend(problem.map(|why| format!("the report is not on a page: {why}")));
        remarks
    }

    pub(super) fn phase_grid(&self) -> Grid {
        let mut grid = Grid::new(&[("phase", Align::Left), ("time", Align::Right)]);
        for phase in &self.phases {
            grid.row([phase.name.clone(), seconds(phase.micros)]);
        }
        let all = self.phases.iter().map(|p| p.micros).sum();
        grid.row(["all".to_owned(), seconds(all)]);
        grid
    }
}

/// The first letter in upper case.
fn title_case(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Equal => 0,
        Verdict::ChangedSince => 1,
        Verdict::Differs => 2,
    };
    verdicts.max_by_key(rank).unwrap_or(Verdict::Equal)
}

fn show_sequence(state: &Option<(i64, bool)>) -> String {
    match state {
        None => "unused".to_owned(),
        Some((value, true)) => format!("last value {value}"),
        Some((value, false)) => format!("next value {value}"),
    }
}
