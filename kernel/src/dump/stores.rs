//! What became of the state of plugins: each store of the dump, and each store of the database.
//!
//! A store that nobody upgraded has the entries that the dump has. One that was upgraded has what the
//! journal of migrations says its steps made, and the first of them read what the dump has; so the
//! chain from the dump's digest to the live one has no gap. A store that the dump does not know was
//! adopted along such a chain, or is the target's own. What a store held before the dump's snapshot is
//! compared version by version.

use std::ops::Bound;

use heliosdb_dump::Dump;
use heliosdb_dump::digest::VersionsDigest;
use heliosdb_dump::manifest::StoreManifest;
use heliosdb_plugin_host::migration::{Entry, MigrationRow, MigrationState, Tally, migrations};
use heliosdb_plugin_host::store::{self, StoreInfo, StoreState};
use heliosdb_plugin_host::{PluginHost, State};
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::{Engine, Interrupt, ReadView};

use super::catalog;
use super::error::ImportError;
use super::report::{StoreOutcome, StoreReport, Verdict};

/// A database that is compared with a dump.
struct Comparison<'a> {
    dump: &'a Dump,
    host: &'a PluginHost,
    interrupt: &'a Interrupt,
    now: ReadView,
    /// AS OF the dump's snapshot.
    then: ReadView,
    /// Steps and adoptions since the dump, oldest first.
    journal: Vec<MigrationRow>,
}

/// Every store of the dump, then every other live store.
pub(super) fn compare(
    dump: &Dump,
    engine: &Engine,
    host: &PluginHost,
    interrupt: &Interrupt,
) -> Result<Vec<StoreReport>, ImportError> {
    let manifest = dump.manifest();
    let (now, then) = (
        engine.latest_view(),
        engine.view_at(Ts(manifest.snapshot_ts))?,
    );
    // What ran before the dump was written is in it. Clocks may differ, so the journal is asked.
    let before = ran(&then)?;
    let mut journal = ran(&now)?;
    let id = |row: &MigrationRow| (row.plugin.clone(), row.store.clone(), row.number);
    journal.retain(|row| !before.iter().any(|old| id(old) == id(row)));
    let comparison = Comparison {
        dump,
        host,
        interrupt,
        now,
        then,
        journal,
    };
    let mut reports = Vec::new();
    for dumped in &manifest.stores {
        let mut report = comparison.dumped(dumped)?;
        comparison.judge_history(dumped, &mut report)?;
        reports.push(report);
    }
    for live in store::stores(&comparison.now)? {
        let known = |s: &StoreManifest| s.plugin == live.plugin && s.name == live.name;
        if live.state == StoreState::Live && !manifest.stores.iter().any(known) {
            reports.push(comparison.unknown(&live)?);
        }
    }
    Ok(reports)
}

/// Steps and adoptions that a view shows the outcome of.
fn ran(view: &ReadView) -> Result<Vec<MigrationRow>, ImportError> {
    let mut rows = migrations(view)?;
    rows.retain(|row| {
        matches!(
            row.state,
            MigrationState::Published | MigrationState::Finalized
        )
    });
    Ok(rows)
}

impl Comparison<'_> {
    fn dumped(&self, dumped: &StoreManifest) -> Result<StoreReport, ImportError> {
        let StoreManifest {
            plugin,
            name,
            version,
            entries,
            digest,
            ..
        } = dumped;
        let mut report = StoreReport {
            plugin: plugin.clone(),
            store: name.clone(),
            outcome: StoreOutcome::Missing,
            from: Some(format!("{plugin}.{name}@{version}")),
            to_version: None,
            entries_before: *entries,
            entries: 0,
            digest_before: Some(digest.clone()),
            digest: None,
            steps: Vec::new(),
            micros: None,
            verdict: Verdict::Differs,
            details: Vec::new(),
        };
        let is_dumped =
            |tally: Tally| tally.entries == *entries && tally.digest.to_string() == *digest;
        let as_of_snapshot = match store::find(&self.then, plugin, name)? {
            Some(old) if old.version == *version => {
                is_dumped(self.tally(&self.then, old.collection)?)
            }
            _ => false,
        };
        let Some(live) = store::find(&self.now, plugin, name)? else {
            if as_of_snapshot {
                report.verdict = Verdict::ChangedSince;
                report.details.push("it was removed".to_owned());
            }
            return Ok(report);
        };
        let tally = self.tally(&self.now, live.collection)?;
        report.note_live(&live, tally);
        if live.version == *version {
            report.outcome = match self.host.plugin(plugin).map(|p| p.state) {
                Some(State::Active) => StoreOutcome::Kept,
                _ => StoreOutcome::Orphaned,
            };
            report.verdict = match (is_dumped(tally), as_of_snapshot) {
                (true, _) => Verdict::Equal,
                (false, true) => Verdict::ChangedSince,
                (false, false) => Verdict::Differs,
            };
            return Ok(report);
        }
        report.outcome = StoreOutcome::Migrated;
        let chain = self.chain(plugin, name, None);
        let begins = |row: &MigrationRow| {
            row.from_version == *version
                && row.entries_in == *entries
                && row.digest_in.to_string() == *digest
        };
        self.judge(&mut report, &chain, begins, &live, tally);
        if !as_of_snapshot {
            report.verdict = Verdict::Differs;
            let detail = "AS OF the dump's snapshot it is not what the dump has";
            report.details.push(detail.to_owned());
        }
        Ok(report)
    }

    /// A live store that the dump does not have.
    fn unknown(&self, live: &StoreInfo) -> Result<StoreReport, ImportError> {
        let tally = self.tally(&self.now, live.collection)?;
        let mut report = StoreReport {
            plugin: live.plugin.clone(),
            store: live.name.clone(),
            outcome: StoreOutcome::Created,
            from: None,
            to_version: None,
            entries_before: 0,
            entries: 0,
            digest_before: None,
            digest: None,
            steps: Vec::new(),
            micros: None,
            verdict: Verdict::Equal,
            details: Vec::new(),
        };
        report.note_live(live, tally);
        let adopted = self.journal.iter().find_map(|row| match &row.adopted_from {
            Some(from) if row.plugin == live.plugin && row.store == live.name => Some(from),
            _ => None,
        });
        let Some(from) = adopted else {
            // Nothing of the dump is in it, and nothing that a dump has is missed.
            return Ok(report);
        };
        report.outcome = StoreOutcome::Adopted;
        report.from = Some(from.clone());
        let chain = self.chain(&live.plugin, &live.name, Some(from));
        if let Some(first) = chain.first() {
            report.entries_before = first.entries_in;
            report.digest_before = Some(first.digest_in.to_string());
        }
        let sources = self.sources(from);
        let begins = |row: &MigrationRow| sources.contains(&row.digest_in.to_string());
        self.judge(&mut report, &chain, begins, live, tally);
        Ok(report)
    }

    /// The steps of one store since the dump, in order; from its adoption on, where it was adopted.
    fn chain(&self, plugin: &str, name: &str, adopted: Option<&str>) -> Vec<&MigrationRow> {
        let rows = self.journal.iter();
        let own = rows.filter(|row| row.plugin == plugin && row.store == name);
        own.skip_while(|row| row.adopted_from.as_deref() != adopted)
            .collect()
    }

    /// Digests that `plugin.store@version` had since the dump: as it is in the dump, or as its own
    /// steps made it.
    fn sources(&self, from: &str) -> Vec<String> {
        let dumped = self.dump.manifest().stores.iter();
        let dumped = dumped
            .filter(|s| format!("{}.{}@{}", s.plugin, s.name, s.version) == from)
            .map(|s| s.digest.clone());
        let made = self.journal.iter();
        let made = made
            .filter(|row| format!("{}.{}@{}", row.plugin, row.store, row.to_version) == from)
            .map(|row| row.digest_out.to_string());
        dumped.chain(made).collect()
    }

    /// Whether the chain leads from the dump to what is live.
    fn judge(
        &self,
        report: &mut StoreReport,
        chain: &[&MigrationRow],
        begins: impl Fn(&MigrationRow) -> bool,
        live: &StoreInfo,
        tally: Tally,
    ) {
        for row in chain {
            let from = match &row.adopted_from {
                Some(from) => from.clone(),
                None => row.from_version.to_string(),
            };
            let (to, checksum) = (row.to_version, &row.checksum);
            report.steps.push(format!("{from} → {to}: {checksum}"));
        }
        let reports = self.host.reports();
        let ran = reports.iter().find(|r| r.plugin == report.plugin);
        report.micros = ran.map(|r| r.elapsed_micros);
        let (Some(first), Some(last)) = (chain.first(), chain.last()) else {
            let detail = "the journal does not say how it came to its version";
            report.details.push(detail.to_owned());
            report.verdict = Verdict::Differs;
            return;
        };
        let linked = chain.windows(2).all(|pair| {
            pair[0].to_version == pair[1].from_version && pair[0].digest_out == pair[1].digest_in
        });
        if !begins(first) || !linked || last.to_version != live.version {
            let detail = "its upgrade did not begin with what the dump has";
            report.details.push(detail.to_owned());
            report.verdict = Verdict::Differs;
            return;
        }
        let made = last.digest_out == tally.digest && last.entries_out == tally.entries;
        report.verdict = match made {
            true => Verdict::Equal,
            false => Verdict::ChangedSince,
        };
    }

    /// Whether AS OF any time up to the snapshot the store was what the dump has.
    fn judge_history(
        &self,
        dumped: &StoreManifest,
        report: &mut StoreReport,
    ) -> Result<(), ImportError> {
        if report.verdict == Verdict::Differs {
            return Ok(());
        }
        let mut expected = VersionsDigest::default();
        for entry in self.dump.entries(&format!("store/{}", dumped.label()))? {
            self.interrupt.check()?;
            let (collection, version) = entry?;
            expected.add(collection, &version);
        }
        let collection = CollectionId(dumped.collection);
        let found = VersionsDigest::of(&self.then, collection, self.interrupt)?;
        if found != expected {
            report.verdict = Verdict::Differs;
            let versions = catalog::versions(found.versions, expected.versions);
            report
                .details
                .push(format!("its history is not that of the dump: {versions}"));
        }
        Ok(())
    }

    fn tally(&self, view: &ReadView, collection: CollectionId) -> Result<Tally, ImportError> {
        let mut tally = Tally::default();
        for entry in view.range(collection, Bound::Unbounded, Bound::Unbounded)? {
            self.interrupt.check()?;
            let (key, value) = entry?;
            tally.add(&Entry { key, value });
        }
        Ok(tally)
    }
}

impl StoreReport {
    fn note_live(&mut self, live: &StoreInfo, tally: Tally) {
        self.to_version = Some(live.version);
        self.entries = tally.entries;
        self.digest = Some(tally.digest.to_string());
    }
}
