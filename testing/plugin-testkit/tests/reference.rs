//! The reference index passes every check, and the check of index methods finds what is wrong with others.

use std::sync::Arc;

use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::arrow::array::{Float64Array, StringViewArray};
use heliosdb_plugin_api::extension::index::{
    Hits, Index, IndexBuild, IndexCost, IndexCursor, IndexDefinition, Rows, Search,
};
use heliosdb_plugin_api::service::SignedRows;
use heliosdb_plugin_api::{Context, Host, Plugin, Registrar, Result, Settings};
use heliosdb_plugin_testkit::reference::word::{Word, WordPlugin};
use heliosdb_plugin_testkit::{Samples, Suite};

fn samples() -> Samples {
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec![
        Some("the index and the row"),
        Some("the page, the page, THE PAGE"),
        Some(""),
        None,
        Some("a row of words: row, row"),
    ]));
    Samples::new().index("word", texts, &[b"the", b"row", b"PAGE", b"nothing"])
}

heliosdb_plugin_testkit::conformance!(WordPlugin, samples());

/// The reference method with one fault.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum Fault {
    LosesVersions = 1,
    ForgetsTooMuch,
    EvaluatesOtherwise,
    FindsTwice,
    Rises,
    LosesAPage,
}

struct Faulty<const FAULT: u8>;

impl<const FAULT: u8> Faulty<FAULT> {
    fn is(fault: Fault) -> bool {
        FAULT == fault as u8
    }
}

impl<const FAULT: u8> Plugin for Faulty<FAULT> {
    const MANIFEST: &'static str = WordPlugin::MANIFEST;

    fn start(_: Host, _: &Settings) -> Result<Self> {
        Ok(Faulty)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.index("word", Faulty::<FAULT>)
    }
}

struct FaultyCursor<const FAULT: u8> {
    inner: Box<dyn IndexCursor>,
    again: Option<Hits>,
}

impl<const FAULT: u8> IndexCursor for FaultyCursor<FAULT> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Hits>> {
        let hits = self.inner.next(cx)?;
        if Faulty::<FAULT>::is(Fault::LosesAPage) {
            return Ok(None);
        }
        if Faulty::<FAULT>::is(Fault::FindsTwice) {
            return Ok(match hits {
                Some(hits) => {
                    self.again = Some(hits.clone());
                    Some(hits)
                }
                None => self.again.take(),
            });
        }
        Ok(hits.map(|hits| match Faulty::<FAULT>::is(Fault::Rises) {
            true => Hits {
                scores: hits.scores.iter().map(|s| s.map(|s| -s)).collect(),
                ..hits
            },
            false => hits,
        }))
    }
}

impl<const FAULT: u8> Index for Faulty<FAULT> {
    fn build(&self, cx: &Context<'_>, of: &IndexDefinition) -> Result<Box<dyn IndexBuild>> {
        Word.build(cx, of)
    }

    fn apply(&self, cx: &Context<'_>, of: &IndexDefinition, changes: &SignedRows) -> Result<()> {
        if !Self::is(Fault::LosesVersions) {
            return Word.apply(cx, of, changes);
        }
        // Some that come are not taken in, and ends are not either.
        for at in (0..changes.len()).filter(|at| changes.signs.value(*at) > 0) {
            let one = SignedRows {
                columns: changes.columns.iter().map(|c| c.slice(at, 1)).collect(),
                rows: changes.rows.slice(at, 1),
                scns: changes.scns.slice(at, 1),
                signs: changes.signs.slice(at, 1),
            };
            if !one.scns.value(0).is_multiple_of(3) {
                Word.apply(cx, of, &one)?;
            }
        }
        Ok(())
    }

    fn vacuum(&self, cx: &Context<'_>, of: &IndexDefinition, horizon: u64) -> Result<()> {
        let ahead = if Self::is(Fault::ForgetsTooMuch) {
            15
        } else {
            0
        };
        Word.vacuum(cx, of, horizon + ahead)
    }

    fn stats(&self, cx: &Context<'_>, of: &IndexDefinition, query: &[u8]) -> Result<Vec<u8>> {
        Word.stats(cx, of, query)
    }

    fn stats_of(&self, of: &IndexDefinition, query: &[u8], rows: &Rows) -> Result<Vec<u8>> {
        Word.stats_of(of, query, rows)
    }

    fn merge_stats(&self, one: &[u8], other: &[u8]) -> Result<Vec<u8>> {
        Word.merge_stats(one, other)
    }

    fn open(
        &self,
        cx: &Context<'_>,
        of: &IndexDefinition,
        search: &Search<'_>,
    ) -> Result<Box<dyn IndexCursor>> {
        Ok(Box::new(FaultyCursor::<FAULT> {
            inner: Word.open(cx, of, search)?,
            again: None,
        }))
    }

    fn evaluate(
        &self,
        of: &IndexDefinition,
        search: &Search<'_>,
        rows: &Rows,
    ) -> Result<Float64Array> {
        let scores = Word.evaluate(of, search, rows)?;
        let by = if Self::is(Fault::EvaluatesOtherwise) {
            0.5
        } else {
            1.0
        };
        let by = if Self::is(Fault::Rises) { -1.0 } else { by };
        Ok(scores.iter().map(|score| score.map(|s| s * by)).collect())
    }

    fn cost(&self, cx: &Context<'_>, of: &IndexDefinition, query: &[u8]) -> Result<IndexCost> {
        Word.cost(cx, of, query)
    }

    fn size_bytes(&self, cx: &Context<'_>, of: &IndexDefinition) -> Result<u64> {
        Word.size_bytes(cx, of)
    }

    fn check(&self, cx: &Context<'_>, of: &IndexDefinition) -> Result<Vec<String>> {
        Word.check(cx, of)
    }
}

fn caught<const FAULT: u8>(reason: &str) {
    let suite = Suite::of::<Faulty<FAULT>>(samples());
    match suite.check("indexes") {
        Ok(()) => panic!("{reason}: it passes"),
        Err(why) => assert!(why.contains(reason), "{why}"),
    }
}

#[test]
fn faults_of_a_method_are_found() {
    Suite::of::<Faulty<0>>(samples())
        .check("indexes")
        .expect("it has no fault");
    caught::<{ Fault::LosesVersions as u8 }>("the index finds");
    caught::<{ Fault::ForgetsTooMuch as u8 }>("the index finds");
    caught::<{ Fault::EvaluatesOtherwise as u8 }>("the index finds");
    caught::<{ Fault::FindsTwice as u8 }>("is found twice");
    caught::<{ Fault::Rises as u8 }>("do not fall");
    caught::<{ Fault::LosesAPage as u8 }>("the index finds");
}

#[test]
fn a_method_without_samples_is_not_passed() {
    let suite = Suite::of::<WordPlugin>(Samples::new());
    let why = suite.check("indexes").expect_err("there are no samples");
    assert!(why.contains("Samples::index"), "{why}");
}

/// docs/indexes.md shows what is there.
#[test]
fn the_page_on_indexes_shows_the_reference() {
    let page = include_str!("../../../docs/indexes.md");
    let code = [
        include_str!("../src/reference/word.rs"),
        include_str!("reference.rs"),
    ];
    let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    let shown = blocks.iter().filter_map(|block| {
        let (language, text) = block.split_once('\n')?;
        ["rust", "toml"].contains(&language).then_some(text)
    });
    let shown: Vec<&str> = shown.collect();
    assert!(shown.len() > 5);
    for text in shown {
        assert!(code.iter().any(|code| code.contains(text)), "{text}");
    }
}
