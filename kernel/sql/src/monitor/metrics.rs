//! Numbers for Prometheus, in its text format: families of counters, gauges and histograms.
//!
//! Counters begin at 0 when the database is opened and only grow; no reset of the statistics views touches them.

use std::fmt::{Display, Write};

use heliosdb_storage::Stats;

use super::relations::Count;
use super::sessions::{BOUNDS_NANOS, Kind, SessionTotals};
use crate::activity::State;
use crate::instance::Instance;

/// Text that is being written.
#[derive(Debug, Default)]
pub struct Metrics(String);

impl Metrics {
    /// The text so far.
    pub fn into_text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn sample(&mut self, name: &str, label: Option<(&str, &str)>, value: impl Display) {
        match label {
            None => self.line(format_args!("{name} {value}")),
            Some((label, of)) => self.line(format_args!(
                "{name}{{{label}=\"{}\"}} {value}",
                escaped(of)
            )),
        }
    }

    /// One number that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, None, value);
    }

    /// One number that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, None, value);
    }

    fn by<V: Display>(
        &mut self,
        kind: &str,
        (name, help): (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (impl AsRef<str>, V)>,
    ) {
        self.family(name, kind, help);
        for (of, value) in values {
            self.sample(name, Some((label, of.as_ref())), value);
        }
    }
}

/// The value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn micros(micros: u64) -> f64 {
    micros as f64 / 1e6
}

impl Instance {
    /// What is counted, as Prometheus reads it.
    pub fn metrics(&self) -> Metrics {
        let mut m = Metrics::default();
        m.family("heliosdb_info", "gauge", "Which server this is; always 1.");
        let (version, edition) = (env!("CARGO_PKG_VERSION"), escaped(self.edition()));
        m.line(format_args!(
            "heliosdb_info{{version=\"{version}\",edition=\"{edition}\"}} 1"
        ));
        let opened = u64::try_from(self.opened()).unwrap_or(0);
        m.gauge(
            "heliosdb_start_time_seconds",
            "When the database was opened, in seconds since the Unix epoch.",
            micros(opened),
        );
        self.sessions(&mut m);
        self.rows(&mut m);
        let stats = self.engine().stats();
        storage(&mut m, &stats);
        locks(&mut m, &stats);
        self.memory(&mut m);
        self.background(&mut m);
        m
    }

    fn sessions(&self, m: &mut Metrics) {
        let activity = self.activity();
        let states = activity.sessions();
        let states = states.iter().map(|session| session.backend.state());
        let states: Vec<State> = states.collect();
        let counts = State::ALL.map(|state| {
            let of = states.iter().filter(|other| **other == state);
            (state.name(), of.count())
        });
        m.by(
            "gauge",
            (
                "heliosdb_sessions",
                "Sessions that are open, by what they do.",
            ),
            "state",
            counts,
        );
        let (begun, totals) = activity.totals();
        m.counter("heliosdb_sessions_total", "Sessions that began.", begun);
        m.by(
            "counter",
            ("heliosdb_transactions_total", "Transactions that ended."),
            "outcome",
            [
                ("committed", totals.commits),
                ("rolled_back", totals.rollbacks),
            ],
        );
        m.by(
            "counter",
            (
                "heliosdb_statements_total",
                "Statements of clients that succeeded.",
            ),
            "kind",
            Kind::ALL
                .iter()
                .zip(totals.statements)
                .map(|(k, n)| (k.name(), n)),
        );
        m.counter(
            "heliosdb_statement_errors_total",
            "Statements of clients that failed.",
            totals.errors,
        );
        histogram(m, &totals);
    }

    fn rows(&self, m: &mut Metrics) {
        let totals = self.monitor().relations.lifetime();
        let (tables, indexes) = (totals.tables, totals.indexes);
        m.counter(
            "heliosdb_table_scans_total",
            "Scans of whole tables.",
            tables.get(Count::Scans),
        );
        m.counter(
            "heliosdb_index_scans_total",
            "Look-ups in indexes.",
            indexes.get(Count::Scans),
        );
        m.by(
            "counter",
            ("heliosdb_rows_total", "Rows, by what was done with them."),
            "operation",
            [
                ("scanned", tables.get(Count::Read)),
                ("fetched", indexes.get(Count::Read)),
                ("inserted", tables.get(Count::Inserted)),
                ("updated", tables.get(Count::Updated)),
                ("deleted", tables.get(Count::Deleted)),
            ],
        );
    }

    fn memory(&self, m: &mut Metrics) {
        let usage = self.engine().memory().usage();
        m.gauge(
            "heliosdb_memory_budget_bytes",
            "The budget of memory.",
            usage.budget_bytes,
        );
        let parts = || usage.parts.iter();
        m.by(
            "gauge",
            (
                "heliosdb_memory_bytes",
                "What each part holds of the budget.",
            ),
            "part",
            parts().map(|p| (p.part.name(), p.bytes)),
        );
        m.by(
            "gauge",
            (
                "heliosdb_memory_peak_bytes",
                "The most that each part held of the budget.",
            ),
            "part",
            parts().map(|p| (p.part.name(), p.peak_bytes)),
        );
        m.by(
            "counter",
            (
                "heliosdb_memory_refused_total",
                "How often each part was told that there is no more.",
            ),
            "part",
            parts().map(|p| (p.part.name(), p.refused)),
        );
    }

    fn background(&self, m: &mut Metrics) {
        let report = self.engine().governor().report();
        let shares = || report.shares.iter();
        m.by(
            "counter",
            (
                "heliosdb_background_cpu_seconds_total",
                "CPU time of work in the background.",
            ),
            "share",
            shares().map(|(share, usage)| (share.name(), micros(usage.used_micros))),
        );
        m.by(
            "counter",
            (
                "heliosdb_background_throttled_seconds_total",
                "How long work in the background slept because its budget was used up.",
            ),
            "share",
            shares().map(|(share, usage)| (share.name(), micros(usage.throttled_micros))),
        );
    }
}

fn histogram(m: &mut Metrics, totals: &SessionTotals) {
    let name = "heliosdb_statement_duration_seconds";
    m.family(
        name,
        "histogram",
        "How long statements of clients took that succeeded.",
    );
    let mut below = 0;
    let bucket = format!("{name}_bucket");
    for (place, count) in totals.histogram.iter().enumerate() {
        below += count;
        let bound = BOUNDS_NANOS.get(place);
        let bound = bound.map_or("+Inf".to_owned(), |nanos| seconds(*nanos).to_string());
        m.sample(&bucket, Some(("le", &bound)), below);
    }
    m.sample(&format!("{name}_sum"), None, seconds(totals.nanos));
    m.sample(&format!("{name}_count"), None, below);
}

fn storage(m: &mut Metrics, stats: &Stats) {
    m.counter(
        "heliosdb_wal_bytes_total",
        "Bytes written to the log.",
        stats.wal_bytes,
    );
    m.counter(
        "heliosdb_wal_syncs_total",
        "Times that the log was flushed to disk.",
        stats.wal_syncs,
    );
    m.counter(
        "heliosdb_wal_commits_total",
        "Commits written to the log.",
        stats.commits,
    );
    m.gauge("heliosdb_wal_files", "Files of the log.", stats.wal_files);
    m.gauge(
        "heliosdb_memtable_bytes",
        "Rows in memory that are not in segments yet.",
        stats.memtable_bytes,
    );
    m.gauge(
        "heliosdb_memtables_frozen",
        "Memtables that wait to be written as segments.",
        stats.memtables_frozen,
    );
    m.counter(
        "heliosdb_memtable_flushes_total",
        "Memtables that were written as segments.",
        stats.flushes,
    );
    m.gauge("heliosdb_segments", "Segments.", stats.segments);
    m.gauge(
        "heliosdb_segment_bytes",
        "Bytes of all segments.",
        stats.segment_bytes,
    );
    m.gauge(
        "heliosdb_page_cache_bytes",
        "Pages of segments that are kept in memory.",
        stats.page_cache_bytes,
    );
    m.counter(
        "heliosdb_pages_requested_total",
        "Pages of segments that readers asked for.",
        stats.pages_read,
    );
    m.counter(
        "heliosdb_pages_missed_total",
        "Pages that were asked for and had to be read from disk.",
        stats.pages_missed,
    );
    let compacted = &stats.compacted;
    m.counter(
        "heliosdb_compactions_total",
        "Merges of segments.",
        compacted.compactions,
    );
    m.counter(
        "heliosdb_compaction_read_bytes_total",
        "Bytes that merging read.",
        compacted.bytes_in,
    );
    m.counter(
        "heliosdb_compaction_written_bytes_total",
        "Bytes that merging wrote.",
        compacted.bytes_out,
    );
    m.counter(
        "heliosdb_compaction_dropped_versions_total",
        "Versions of rows that merging left out.",
        compacted.versions_dropped,
    );
    if let Some(archive) = &stats.archive {
        m.counter(
            "heliosdb_archived_files_total",
            "Files of the log that were archived.",
            archive.files_archived,
        );
        m.counter(
            "heliosdb_archive_failures_total",
            "Attempts to archive that failed.",
            archive.failures,
        );
        m.gauge(
            "heliosdb_archive_waiting_files",
            "Full files of the log that are not archived.",
            archive.files_waiting,
        );
    }
}

fn locks(m: &mut Metrics, stats: &Stats) {
    m.gauge(
        "heliosdb_locked_objects",
        "Rows, keys and tables that are locked or waited for.",
        stats.locked_objects,
    );
    m.gauge(
        "heliosdb_lock_waiters",
        "Transactions that wait for a lock.",
        stats.lock_waits,
    );
    m.counter(
        "heliosdb_lock_waits_total",
        "Waits for locks that began.",
        stats.waits_begun,
    );
    m.counter(
        "heliosdb_deadlocks_total",
        "Waits that ended with a deadlock.",
        stats.deadlocks,
    );
}
