//! Index methods: at any time an index finds, of the versions that it covers, those that its own evaluation
//! of their rows finds, with the same scores.
//!
//! A table gets a history. An index is built of the first part of it, with the superseded versions, and told
//! the rest in batches of several lengths; then it is asked at every SCN, and again after what ended long
//! ago may have been forgotten.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{Array, ArrayRef, Int8Array, UInt64Array, make_array};
use arrow_data::transform::MutableArrayData;
use heliosdb_plugin_api::extension::index::{IndexDefinition, Search, Versions};
use heliosdb_plugin_api::service::SignedRows;

use super::{Outcome, Suite, ensure, fair};
use crate::host::Statement;
use crate::indexing::Indexed;
use crate::plugin::Started;
use crate::samples::Samples;
use crate::values::Random;

const TABLE: u32 = 16_384;
/// Commits of the history, and of its part that the index is built of.
const COMMITS: u64 = 60;
const BUILT: u64 = 25;
/// Before it nobody reads, in the end.
const HORIZON: u64 = 40;
/// No commit.
const NEVER: u64 = u64::MAX;

/// A version of a row: the place of its value among the samples, and its time.
#[derive(Clone, Copy, Debug)]
struct Version {
    row: u64,
    value: usize,
    begin: u64,
    end: u64,
}

impl Version {
    fn is_seen(&self, at: u64) -> bool {
        self.begin <= at && at < self.end
    }
}

pub fn check(suite: &Suite) -> Outcome {
    let methods = suite.loaded()?.manifest.provides.indexes;
    for (place, declared) in (0..).zip(methods) {
        let named = |why| format!("index method {}: {why}", declared.name);
        let sample = suite.samples.indexes.get(&declared.name);
        let (values, queries) = sample
            .filter(|(values, queries)| !values.is_empty() && !queries.is_empty())
            .ok_or_else(|| named("Samples::index has no values or no queries of it".to_owned()))?;
        for changes_at_once in [1, 7, 1000] {
            let plugin = suite.started()?;
            let history = history(&plugin, values);
            let case = Case {
                index: index(&plugin, place).map_err(named)?,
                values,
                queries,
                history: &history,
                plugin: &plugin,
            };
            let checked = case.check(changes_at_once);
            checked.map_err(|why| named(format!("{changes_at_once} changes at once: {why}")))?;
        }
    }
    Ok(())
}

fn index(plugin: &Started, place: u32) -> Result<Indexed<'_>, String> {
    let definition = IndexDefinition {
        oid: TABLE + 1,
        table: TABLE,
        columns: vec!["c".to_owned()],
        options: "{}".to_owned(),
    };
    let index = plugin.index(place, definition);
    index.map_err(|e| e.to_string())
}

/// Commits of one row each, in the test host's table too.
fn history(plugin: &Started, values: &ArrayRef) -> Vec<Version> {
    plugin.host.set_table(TABLE, &["c"]);
    let mut random = Random(5);
    let mut all: Vec<Version> = Vec::new();
    for n in 1..=COMMITS {
        let live: Vec<usize> = (0..all.len()).filter(|at| all[*at].end == NEVER).collect();
        let what = random.below(4);
        let value = random.below(values.len());
        let (row, comes) = match (what, live.as_slice()) {
            (0 | 1, _) | (_, []) => (1000 + n, true),
            (2, live) => (all[live[random.below(live.len())]].row, true),
            (_, live) => (all[live[random.below(live.len())]].row, false),
        };
        let image = comes.then(|| vec![values.slice(value, 1)]);
        let scn = plugin.host.commit(TABLE, row, image);
        for version in &mut all {
            if version.row == row && version.end == NEVER {
                version.end = scn;
            }
        }
        if comes {
            all.push(Version {
                row,
                value,
                begin: scn,
                end: NEVER,
            });
        }
    }
    all
}

struct Case<'a> {
    index: Indexed<'a>,
    values: &'a ArrayRef,
    queries: &'a [Vec<u8>],
    history: &'a [Version],
    plugin: &'a Started,
}

impl Case<'_> {
    fn check(&self, changes_at_once: usize) -> Outcome {
        let statement = Statement::new();
        self.build(&statement)?;
        self.ask_all(1, BUILT)?;
        self.apply(&statement, changes_at_once)?;
        self.ask_all(1, COMMITS)?;
        let vacuumed = self.index.vacuum(&statement, HORIZON);
        vacuumed.map_err(|e| format!("vacuum: {e}"))?;
        self.ask_all(HORIZON, COMMITS)?;
        let found = self.index.check(&statement);
        let found = found.map_err(|e| format!("check: {e}"))?;
        ensure(found.is_empty(), || format!("check finds {found:?}"))?;
        let size = self.index.size_bytes(&statement);
        size.map_err(|e| format!("size: {e}"))?;
        self.nonsense(&statement)
    }

    /// A column of values.
    fn column(&self, places: &[usize]) -> Result<Vec<ArrayRef>, String> {
        let data = self.values.to_data();
        let mut column = MutableArrayData::new(vec![&data], true, places.len());
        for place in places {
            let added = column.try_extend(0, *place, place + 1);
            added.map_err(|e| e.to_string())?;
        }
        Ok(vec![make_array(column.freeze())])
    }

    fn build(&self, statement: &Statement) -> Outcome {
        let known = self.history.iter().filter(|v| v.begin <= BUILT);
        let known: Vec<&Version> = known.collect();
        let batches = known.chunks(9).map(|versions| {
            let places: Vec<usize> = versions.iter().map(|v| v.value).collect();
            let numbers = |of: fn(&Version) -> u64| versions.iter().map(move |v| of(v));
            let end = |v: &&Version| (v.end <= BUILT).then_some(v.end);
            Ok(Versions {
                columns: self.column(&places)?,
                rows: UInt64Array::from_iter_values(numbers(|v| v.row)),
                begins: UInt64Array::from_iter_values(numbers(|v| v.begin)),
                ends: versions.iter().map(end).collect(),
            })
        });
        let batches: Vec<Versions> = batches.collect::<Result<_, String>>()?;
        let built = self.index.build(statement, &batches);
        built.map_err(|e| format!("build: {e}"))
    }

    /// What came after, in the order of commits.
    fn apply(&self, statement: &Statement, at_once: usize) -> Outcome {
        let mut signed: Vec<(u64, i8, &Version)> = Vec::new();
        for version in self.history {
            signed.push((version.begin, 1, version));
            signed.push((version.end, -1, version));
        }
        signed.retain(|(scn, ..)| *scn > BUILT && *scn <= COMMITS);
        signed.sort_by_key(|(scn, sign, _)| (*scn, *sign));
        for changes in signed.chunks(at_once) {
            let places: Vec<usize> = changes.iter().map(|(_, _, v)| v.value).collect();
            let changes = SignedRows {
                columns: self.column(&places)?,
                rows: UInt64Array::from_iter_values(changes.iter().map(|(_, _, v)| v.row)),
                scns: UInt64Array::from_iter_values(changes.iter().map(|(scn, ..)| *scn)),
                signs: Int8Array::from_iter_values(changes.iter().map(|(_, sign, _)| *sign)),
            };
            let applied = self.index.apply(statement, &changes);
            applied.map_err(|e| format!("apply: {e}"))?;
        }
        Ok(())
    }

    fn ask_all(&self, first: u64, last: u64) -> Outcome {
        let mut found = 0;
        for at in first..=last {
            self.plugin.host.set_snapshot(Some(at));
            for query in self.queries {
                for k in [None, Some(1), Some(3)] {
                    let asked = self.ask(query, k, at);
                    let shown = query.escape_ascii();
                    found +=
                        asked.map_err(|why| format!("\"{shown}\" at SCN {at}, k {k:?}: {why}"))?;
                }
            }
        }
        ensure(found > 0, || "no query finds anything".to_owned())
    }

    /// How many rows a query finds.
    fn ask(&self, query: &[u8], k: Option<u64>, at: u64) -> Result<usize, String> {
        let statement = Statement::new();
        let failed = |e: crate::call::CallError| e.to_string();
        let stats = self.index.stats(&statement, query).map_err(failed)?;
        let empty = self.index.stats_of(query, &self.column(&[])?, 0);
        let merged = self.index.merge_stats(&stats, &empty.map_err(failed)?);
        let stats = merged.map_err(failed)?;
        let search = Search {
            query,
            stats: &stats,
            k,
        };
        let seen: Vec<&Version> = self.history.iter().filter(|v| v.is_seen(at)).collect();
        let places: Vec<usize> = seen.iter().map(|v| v.value).collect();
        let scores = self
            .index
            .evaluate(&search, &self.column(&places)?, seen.len());
        let scores = scores.map_err(failed)?;
        let mut expected: BTreeMap<(u64, u64), f64> = BTreeMap::new();
        for (version, score) in seen.iter().zip(scores.iter()) {
            let name = (version.row, version.begin);
            expected.extend(score.map(|score| (name, score)));
        }
        let mut hits = self.index.open(&statement, &search).map_err(failed)?;
        let (mut named, mut last) = (BTreeSet::new(), f64::INFINITY);
        let mut found = BTreeMap::new();
        while let Some(batch) = hits.next(&statement).map_err(failed)? {
            for place in 0..batch.rows.len() {
                let name = (batch.rows.value(place), batch.begins.value(place));
                let score = batch.scores.value(place);
                ensure(named.insert(name), || format!("{name:?} is found twice"))?;
                ensure(k.is_none() || score <= last, || {
                    "the scores do not fall".to_owned()
                })?;
                last = score;
                if seen.iter().any(|v| (v.row, v.begin) == name) {
                    found.insert(name, score);
                }
            }
        }
        ensure(found == expected, || {
            format!("the index finds {found:?}, evaluation {expected:?}")
        })?;
        let cost = self.index.cost(&statement, query).map_err(failed)?;
        let sound = |n: f64| n.is_finite() && n >= 0.0;
        ensure(
            sound(cost.startup)
                && sound(cost.rows)
                && sound(cost.total)
                && cost.startup <= cost.total,
            || format!("{cost:?} is no cost"),
        )?;
        Ok(found.len())
    }

    /// Queries and statistics that are none.
    fn nonsense(&self, statement: &Statement) -> Outcome {
        for query in [&b""[..], b"\xff\xfe", b"\0", &[b'x'; 10_000]] {
            fair("stats", self.index.stats(statement, query))?;
            for stats in [&b""[..], b"\xff", &[0xFF; 100]] {
                let k = Some(2);
                let search = Search { query, stats, k };
                fair(
                    "evaluate",
                    self.index.evaluate(&search, &self.column(&[0])?, 1),
                )?;
                let hits = fair("open", self.index.open(statement, &search))?;
                if let Some(mut hits) = hits {
                    fair("next", hits.next(statement))?;
                }
                fair("merge_stats", self.index.merge_stats(stats, b"\x01"))?;
            }
        }
        Ok(())
    }
}

impl Samples {
    /// Values of a column that an index method indexes, and queries that find some of them.
    pub fn index(mut self, method: &str, values: ArrayRef, queries: &[&[u8]]) -> Samples {
        let queries = queries.iter().map(|query| query.to_vec()).collect();
        self.indexes.insert(method.to_owned(), (values, queries));
        self
    }
}
