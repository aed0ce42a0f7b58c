//! VACUUM and ANALYZE.
//!
//! Tables share their files, and old versions go by themselves when they are past their time. VACUUM of tables
//! that are named does at once what is due to be done, whichever table it is of; VACUUM of all, and VACUUM FULL,
//! writes everything anew. It works beside everybody and waits for no lock, so `SKIP_LOCKED` has nothing to skip;
//! `FREEZE` has nothing to do, since no version ever grows too old to be told from a new one.
//!
//! Storage keeps counts of rows and zone maps as it writes, so ANALYZE has nothing to collect; when it ran is noted.
//! An option whose promise would not be kept is refused.

use std::sync::Arc;

use heliosdb_storage::Compacted;

use super::outcome::Outcome;
use super::upkeep::{Command, Found, Upkeep, UpkeepOption};
use super::{Session, done};
use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError, state};
use crate::monitor::relations::Kind;

/// PostgreSQL's bound.
const PARALLEL_WORKERS_MAX: u32 = 1024;

/// What the options say.
#[derive(Default)]
struct Modes {
    analyze: bool,
    full: bool,
    verbose: bool,
    disable_page_skipping: bool,
    without_toast: bool,
    parallel: u32,
    /// The last that is not followed.
    refused: Option<String>,
}

impl Modes {
    fn read(upkeep: &Upkeep, text: &str) -> Result<Modes> {
        let mut modes = Modes::default();
        let command = upkeep.command;
        for option in &upkeep.options {
            match (option.name.as_str(), command) {
                ("verbose", _) => modes.verbose = option.is_on()?,
                ("skip_locked", _) => _ = option.is_on()?,
                (_, Command::Analyze) => return Err(option.unrecognized(command, text)),
                ("analyze", _) => modes.analyze = option.is_on()?,
                ("full", _) => modes.full = option.is_on()?,
                ("freeze", _) => _ = option.is_on()?,
                (_, Command::Vacuum) => modes.read_refusable(option, text)?,
            }
        }
        if modes.full && modes.parallel > 0 {
            let message = "VACUUM FULL cannot be performed in parallel";
            return Err(SqlError::new(state::FEATURE_NOT_SUPPORTED, message));
        }
        Ok(modes)
    }

    /// Those that are followed as long as they ask for what is done anyway.
    fn read_refusable(&mut self, option: &UpkeepOption, text: &str) -> Result<()> {
        let name = option.name.as_str();
        let followed = match name {
            "disable_page_skipping" => {
                self.disable_page_skipping = option.is_on()?;
                !self.disable_page_skipping
            }
            "process_toast" => {
                self.without_toast = !option.is_on()?;
                !self.without_toast
            }
            "index_cleanup" => {
                let auto = option.is_word("auto");
                if !auto {
                    option.is_on()?;
                }
                auto
            }
            "truncate" => option.is_on()?,
            "parallel" => {
                let what = ["parallel option", "parallel workers for vacuum"];
                self.parallel = option.number(what, PARALLEL_WORKERS_MAX, text)?;
                self.parallel == 0
            }
            _ => return Err(option.unrecognized(Command::Vacuum, text)),
        };
        if !followed {
            self.refused = Some(name.to_uppercase());
        }
        Ok(())
    }
}

impl Session {
    pub(crate) fn keep_up(&mut self, upkeep: &Upkeep, text: &str) -> Result<Outcome> {
        let modes = Modes::read(upkeep, text)?;
        let vacuum = upkeep.command == Command::Vacuum;
        if vacuum {
            self.check_vacuum(upkeep, &modes)?;
        }
        let (_, catalog) = self.read_view()?;
        let tables = self.upkept(upkeep, &catalog)?;
        if vacuum && !tables.is_empty() {
            let everything = modes.full || upkeep.targets.is_empty();
            self.vacuum(&tables, everything, modes.verbose)?;
        }
        let now = self.now_micros();
        for found in &tables {
            let counters = found
                .table()
                .map(|table| catalog.counted().of(Kind::Table, table.oid));
            if vacuum && let Some(counters) = &counters {
                counters.note_vacuumed(now);
            }
            if !vacuum || modes.analyze {
                found.check_columns()?;
                if modes.verbose {
                    self.tell_of_analysis(found, &catalog)?;
                }
                if let Some(counters) = &counters {
                    counters.note_analyzed(now);
                }
            }
        }
        done(upkeep.command.name())
    }

    /// What stands against a VACUUM before its tables are looked for.
    fn check_vacuum(&self, upkeep: &Upkeep, modes: &Modes) -> Result<()> {
        let refuse = |message: &str| Err(SqlError::new(state::FEATURE_NOT_SUPPORTED, message));
        let columns = upkeep.targets.iter().any(|t| !t.columns.is_empty());
        if columns && !modes.analyze {
            return refuse("ANALYZE option must be specified when a column list is provided");
        }
        if self.txn.in_block() {
            return Err(SqlError::new(
                state::ACTIVE_SQL_TRANSACTION,
                "VACUUM cannot run inside a transaction block",
            ));
        }
        if modes.full && modes.disable_page_skipping {
            return refuse("VACUUM option DISABLE_PAGE_SKIPPING cannot be used with FULL");
        }
        if modes.full && modes.without_toast {
            return refuse("PROCESS_TOAST required with VACUUM FULL");
        }
        match &modes.refused {
            Some(option) => Err(SqlError::unsupported(format!("VACUUM option {option}"))),
            None => Ok(()),
        }
    }

    /// Merges files, and lets history go that is past its time.
    fn vacuum(&mut self, tables: &[Found], everything: bool, verbose: bool) -> Result<()> {
        if verbose {
            let database = self.info.database.clone();
            let catalog = self.info.catalog();
            for found in tables {
                let (schema, name) = (found.schema(&catalog), found.name());
                self.inform(format!("vacuuming \"{database}.{schema}.{name}\""));
            }
        }
        // What this statement has read is nothing to hold history back for.
        self.forget_reader();
        let engine = self.instance.engine().clone();
        let done = match everything {
            true => engine.compact_all(&self.interrupt)?,
            false => engine.compact(&self.interrupt)?,
        };
        if verbose {
            self.inform(summary(&done));
        }
        Ok(())
    }

    fn tell_of_analysis(&mut self, found: &Found, catalog: &Arc<CatalogSnapshot>) -> Result<()> {
        let (schema, name) = (found.schema(catalog), found.name());
        self.inform(format!("analyzing \"{schema}.{name}\""));
        if let Some(table) = found.table() {
            let (view, _) = self.read_view()?;
            let rows = view.row_count_estimate(table.collection_id());
            self.inform(format!("\"{name}\": {rows} estimated total rows"));
        }
        Ok(())
    }

    fn inform(&mut self, message: String) {
        self.notice("INFO", state::SUCCESSFUL_COMPLETION, message);
    }
}

fn summary(done: &Compacted) -> String {
    let Compacted {
        files_in,
        files_out,
        bytes_in,
        bytes_out,
        versions_dropped,
        ..
    } = done;
    if *files_in == 0 {
        return "finished vacuuming: no files were due to be merged".to_owned();
    }
    format!(
        "finished vacuuming: {files_in} files of {bytes_in} bytes written anew as {files_out} of {bytes_out}, \
         {versions_dropped} old versions removed"
    )
}
