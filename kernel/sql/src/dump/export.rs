//! The one view that a dump is made of, and those of branches at the same time.
//!
//! Everything in a dump is read from one view of what was committed: sessions go on writing, and nothing
//! they commit after it is in the dump. `heliosdb_dump` waits until all of the view is durable before it
//! writes. The view pins memtables and segments and nothing else, so an export takes no lock and nobody
//! waits for it.

use std::io::Write;
use std::sync::Arc;

use heliosdb_dump::{Described, ExportOptions, Manifest, Progress};
use heliosdb_storage::codec::Encoding;
use heliosdb_storage::{Engine, ReadView};

use super::branches;
use crate::branch::MAIN;
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::pg_catalog::names::quote_ident;

/// All that an export needs. It holds no session and no instance, so a thread may outlive both.
pub(super) struct Source {
    engine: Engine,
    view: ReadView,
    described: Described,
}

impl Source {
    pub fn new(instance: &Arc<Instance>, options: &ExportOptions) -> Result<Source> {
        let engine = instance.engine().clone();
        let (view, timelines) = loop {
            let view = engine.visible_view();
            let timelines = engine.timelines();
            // A restore in place gives the name to another.
            let mut all = timelines.iter();
            if all.any(|info| info.id == view.timeline() && info.name == MAIN) {
                break (view, timelines);
            }
        };
        let config = instance.config_text().filter(|_| options.config);
        let mut described =
            instance.describe(&view, instance.edition(), config.map(str::to_owned))?;
        branches::describe(instance, &view, &timelines, &mut described, options)?;
        check_decoders(instance, &described, options.history)?;
        Ok(Source {
            engine,
            view,
            described,
        })
    }

    /// Branches that are not asked for, in words.
    pub fn branches_left_out(&self) -> Option<String> {
        self.described.branches_left_out.clone()
    }

    pub fn write(
        self,
        out: &mut dyn Write,
        options: &ExportOptions,
        progress: &dyn Progress,
    ) -> Result<Manifest> {
        let manifest = heliosdb_dump::export(
            &self.engine,
            &self.view,
            self.described,
            out,
            options,
            progress,
        )?;
        Ok(manifest)
    }
}

/// Refuses before anything is written what would end half way: pages that nobody here can read. All of
/// them are named, because one at a time is as many tries.
fn check_decoders(instance: &Instance, described: &Described, history: bool) -> Result<()> {
    let registry = instance.plugins().registry();
    let mut unreadable = Vec::new();
    for pages in instance.engine().codecs_in_use() {
        let Encoding::Codec(codec) = &pages.encoding else {
            continue;
        };
        let decoder = registry.decoder(codec);
        if decoder.is_some_and(|decoder| !decoder.is_quarantined()) {
            continue;
        }
        let mut tables = described.tables.iter();
        let table = tables.find(|t| t.collection == pages.collection.0);
        let column = table.and_then(|t| t.columns.get(usize::from(pages.column.0)));
        unreadable.push(match (table, column) {
            (Some(table), Some(column)) if !column.dropped => {
                let column = quote_ident(&column.name);
                format!("Column {}.{column} needs codec \"{codec}\".", table.name)
            }
            // Only history reads what was dropped.
            _ if !history => continue,
            (Some(table), _) => {
                format!(
                    "A dropped column of {} needs codec \"{codec}\".",
                    table.name
                )
            }
            (None, _) => format!("A table that was dropped needs codec \"{codec}\"."),
        });
    }
    unreadable.dedup();
    if unreadable.is_empty() {
        return Ok(());
    }
    Err(SqlError::new(
        state::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "cannot export columns whose codecs are missing",
    )
    .with_detail(unreadable.join("\n"))
    .with_hint("Install or enable the plugins that provide them."))
}

impl Instance {
    /// Writes a dump of everything that is committed now; what it says of itself. Others may go on
    /// writing, and what they commit from now on is not in it.
    pub fn export(
        self: &Arc<Self>,
        out: &mut dyn Write,
        options: &ExportOptions,
        progress: &dyn Progress,
    ) -> Result<Manifest> {
        Source::new(self, options)?.write(out, options, progress)
    }
}
