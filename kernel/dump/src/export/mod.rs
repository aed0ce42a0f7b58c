//! Export: one view of an engine, written as a dump.
//!
//! What is exported, from the one view that the caller gives:
//!
//! * the **catalog**: all versions of the system collections, with two of the plugin host's cut down to
//!   what is in the dump ([`catalog`]);
//! * every **live store** of a plugin, with its versions ([`stores`]);
//! * every **table** that ever was, with its superseded versions, or without history the live ones
//!   ([`tables`]);
//! * of every **branch** and tag that is described what it alone holds ([`branches`]);
//! * the configuration's text, and where the sequences stand.
//!
//! Indexes are not: their entries follow from the rows. Nor is what a migration keeps to go back to,
//! nor what one that has not ended has written; the manifest names them.
//!
//! The view pins what it reads, so writers go on. Rows are read, hashed and laid out on the caller's
//! thread and compressed on another; a few frames are in memory at a time, whatever the size.

use std::collections::HashMap;
use std::io::Write;

use heliosdb_plugin_host::store::{self, StoreState};
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::{Engine, Interrupt, ReadView};
use ring::rand::{SecureRandom, SystemRandom};

use crate::describe::{Described, Temporary};
use crate::digest::digest_of;
use crate::error::{Error, Result};
use crate::format::{FORMAT_VERSION, FORMAT_WITH_BRANCHES, FRAME_RAW_BYTES, FrameKind, section};
use crate::manifest::{BRANCHES_NOT_ASKED_FOR, LeftOut, Manifest, SequenceManifest};
use crate::options::{ExportOptions, LEVELS};
use crate::progress::Progress;
use crate::writer::{Payload, Pipeline, Writer};

mod branches;
mod catalog;
mod samples;
mod stores;
mod tables;

pub(crate) use stores::StoreCounter;

/// Write everything that `view` shows and knows of into `out`, front to back; the manifest that the
/// dump ends with. `view` is of `engine`, and `described` was made from it.
///
/// The dump holds nothing that a crash could take back: this waits until the view is durable. An error
/// leaves an unfinished dump in `out`, which no reader takes for a whole one.
pub fn export(
    engine: &Engine,
    view: &ReadView,
    described: Described,
    out: &mut dyn Write,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<Manifest> {
    if !LEVELS.contains(&options.level) {
        let (least, most) = (LEVELS.start(), LEVELS.end());
        let what = format!(
            "the compression level is {}; it must be from {least} to {most}",
            options.level
        );
        return Err(heliosdb_storage::Error::invalid(what).into());
    }
    // Read after the view was taken: no row of the dump has a value that a sequence gives once more. And
    // before the rows: what is set back while they are written is not of this view's time.
    let sequences = sequences(engine, view, &described);
    engine.wait_durable(view.ts())?;
    let version = match described.branches.is_empty() {
        true => FORMAT_VERSION,
        false => FORMAT_WITH_BRANCHES,
    };
    if version == FORMAT_WITH_BRANCHES && !options.history {
        let what = "branches go on from the past of others, and a dump without history has none";
        return Err(heliosdb_storage::Error::invalid(what).into());
    }
    let writer = Writer::new(out, version, random_uuid()?)?;
    Pipeline::run(writer, options.level, |pipeline| {
        let export = Export {
            view,
            described: &described,
            options,
            progress,
        };
        export.run(engine, sequences, pipeline)
    })
}

/// What the parts of an export share.
struct Export<'a> {
    view: &'a ReadView,
    described: &'a Described,
    options: &'a ExportOptions,
    progress: &'a dyn Progress,
}

impl Export<'_> {
    fn run(
        &self,
        engine: &Engine,
        sequences: Vec<SequenceManifest>,
        pipeline: &mut Pipeline<'_>,
    ) -> Result<Manifest> {
        let snapshot_ts = self.view.ts().0;
        let mut oldest = Oldest(snapshot_ts);
        self.progress.begin("exporting the catalog, entries", None);
        catalog::export(self, pipeline, &mut oldest)?;
        self.progress.end();
        self.progress
            .begin("exporting plugin stores, entries", None);
        let stores = stores::export(self, pipeline, &mut oldest)?;
        self.progress.end();
        let mut tables = tables::export(self, pipeline, &mut oldest)?;
        let mut branches = match self.described.branches.is_empty() {
            true => None,
            false => Some(branches::export(
                self,
                engine,
                &sequences,
                pipeline,
                &mut oldest,
            )?),
        };
        let config = self.described.config.as_ref();
        let config = config.filter(|_| self.options.config);
        if let Some(config) = config {
            export_config(config, pipeline)?;
        }
        let described = self.described;
        let since = |horizon: Ts| match self.options.history {
            true => oldest.0.max(horizon.0).min(snapshot_ts),
            false => snapshot_ts,
        };
        let oldest_ts = since(engine.oldest_ts());
        let of_branches = branches.iter_mut().flat_map(|all| &mut all.branches);
        let of_branches = of_branches.flat_map(|branch| &mut branch.tables);
        for table in tables.iter_mut().chain(of_branches) {
            let own = since(engine.oldest_ts_of(CollectionId(table.collection)));
            table.oldest_ts = Some(own).filter(|own| *own != oldest_ts);
        }
        Ok(Manifest {
            // The writer knows it, and the id.
            format: FORMAT_VERSION,
            edition: described.edition.clone(),
            kernel_version: env!("CARGO_PKG_VERSION").to_owned(),
            dump_id: String::new(),
            created_at_micros: engine.now_micros(),
            database: described.database.clone(),
            snapshot_ts,
            oldest_ts,
            included: self.included(),
            left_out: self.left_out()?,
            objects: described.objects.clone(),
            tables,
            plugins: described.plugins.clone(),
            stores,
            sequences,
            branches,
            next_collection: engine.next_collection().0,
            config: config.map(|config| digest_of(config.as_bytes())),
            sections: Vec::new(),
        })
    }

    fn included(&self) -> Vec<String> {
        let mut included = vec!["catalog", "tables", "sequences", "plugin stores"];
        let mut add = |what, wanted| included.extend(Some(what).filter(|_| wanted));
        add("history", self.options.history);
        add("branches", !self.described.branches.is_empty());
        add(
            "configuration",
            self.options.config && self.described.config.is_some(),
        );
        included.into_iter().map(str::to_owned).collect()
    }

    fn left_out(&self) -> Result<Vec<LeftOut>> {
        let mut left_out = Vec::new();
        let mut add = |what: &str, why: &str| {
            left_out.push(LeftOut {
                what: what.to_owned(),
                why: why.to_owned(),
            });
        };
        let not_asked = "not asked for";
        if !self.options.history {
            add("history", not_asked);
            add("dropped tables and columns", "they are history");
        }
        let none = |wanted| if wanted { "there are none" } else { not_asked };
        add("materialized views", none(self.options.views));
        let described = self.described;
        match (&described.branches_left_out, described.branches.is_empty()) {
            (Some(some), _) => add("branches", &format!("{BRANCHES_NOT_ASKED_FOR}{some}")),
            (None, true) => add("branches", none(self.options.branches)),
            (None, false) => {}
        }
        for (store, branch) in branches::stores_left_out(self)? {
            add(
                &format!("store {store} on {branch}"),
                "it was migrated on the main timeline since",
            );
        }
        match (&self.described.config, self.options.config) {
            (_, false) => add("configuration", not_asked),
            (None, true) => add("configuration", "there is no configuration file"),
            (Some(_), true) => {}
        }
        add("indexes", "their entries follow from the rows");
        for store in store::stores(self.view)? {
            let why = match store.state {
                StoreState::Live => continue,
                StoreState::Shadow => "a migration that has not ended writes it",
                StoreState::Retired => "it was live before the last migration",
                StoreState::Discarded => "it is nobody's any more",
            };
            let (plugin, name, state) = (&store.plugin, &store.name, store.state);
            let collection = store.collection;
            add(
                &format!("store {plugin}.{name}, {state} collection {collection}"),
                why,
            );
        }
        Ok(left_out)
    }

    fn interrupt(&self) -> &Interrupt {
        &self.options.interrupt
    }
}

/// The least time seen.
struct Oldest(u64);

impl Oldest {
    fn see(&mut self, ts: u64) {
        self.0 = self.0.min(ts);
    }
}

fn export_config(config: &str, pipeline: &mut Pipeline<'_>) -> Result<()> {
    pipeline.section(section::CONFIG.to_owned());
    for piece in config.as_bytes().chunks(FRAME_RAW_BYTES) {
        pipeline.frame(Payload {
            kind: FrameKind::Text,
            items: 1,
            raw: piece.to_vec(),
        })?;
    }
    Ok(())
}

/// Those of the view's timeline, which is the main one no more when the database is restored meanwhile.
fn sequences(engine: &Engine, view: &ReadView, described: &Described) -> Vec<SequenceManifest> {
    let names = described.sequences.iter();
    let names: HashMap<u32, &String> = names.map(|s| (s.collection, &s.name)).collect();
    sequences_of(
        engine.sequences_on(view.timeline()),
        names,
        &described.temporary,
    )
}

/// Where sequences stand that are not temporary, by id.
fn sequences_of(
    all: Vec<(CollectionId, i64, bool)>,
    names: HashMap<u32, &String>,
    temporary: &Temporary,
) -> Vec<SequenceManifest> {
    let temporary = &temporary.collections;
    let all = all.into_iter();
    let all = all.filter(|(collection, ..)| !temporary.contains(collection));
    let mut all: Vec<SequenceManifest> = all
        .map(|(collection, value, is_called)| SequenceManifest {
            collection: collection.0,
            value,
            is_called,
            name: names.get(&collection.0).map(|name| (*name).clone()),
        })
        .collect();
    all.sort_unstable_by_key(|sequence| sequence.collection);
    all
}

/// A version 4 UUID.
fn random_uuid() -> Result<[u8; 16]> {
    let mut id = [0; 16];
    let filled = SystemRandom::new().fill(&mut id);
    filled.map_err(|_| Error::Worker("the system gives no random bytes".to_owned()))?;
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    Ok(id)
}
