//! The reference index: which versions of rows have a word, and how often.
//!
//! It is the smallest method that does all that `index/1` asks: it names versions, learns of their ends,
//! forgets what nobody can read any more, and finds the best first. A query is a word; the score of a row is
//! how often it has it. Its state, in the keyspace that the host gives each index:
//!
//! ```text
//! 'w' │ word │ 0 │ row u64 BE │ begin u64 BE      count u32 LE │ end u64 LE, MAX while it has none
//! 'e' │ end u64 BE │ row │ begin │ word           (nothing)
//! ```
//!
//! 1. A version has an entry of the first kind for each of its words.
//! 2. One that has ended has an entry of the second kind beside each of the first, by which `vacuum` finds
//!    it when its time is over.
//!
//! A word is a run of letters and digits, in lower case; of a long one only the beginning counts.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{Array, Float64Array, UInt64Array};
use heliosdb_plugin_api::extension::index::{
    Hits, Index, IndexBuild, IndexCost, IndexCursor, IndexDefinition, Rows, Search, Versions,
};
use heliosdb_plugin_api::service::{SignedRows, Store};
use heliosdb_plugin_api::{
    Argument, Context, Entry, Error, Host, Plugin, Registrar, Result, Settings, state,
};

const STORE: &str = "words";
const ENTRY: u8 = b'w';
const ENDED: u8 = b'e';
const WORD_CHARS_MAX: usize = 100;
/// The end of what has none.
const LIVE: u64 = u64::MAX;
/// Hits at once.
const PAGE: usize = 256;

/// The plugin that has the method.
pub struct WordPlugin;

impl Plugin for WordPlugin {
    const MANIFEST: &'static str = r#"
        id = "word"
        version = "1.0.0"
        abi = 1
        description = "The reference index."
        services = ["store/1", "visible/1"]
        [[index]]
        name = "word"
        types = ["text"]
        store = "words"
        [[store]]
        name = "words"
        version = 1
    "#;

    fn start(_: Host, _: &Settings) -> Result<WordPlugin> {
        Ok(WordPlugin)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.index("word", Word)
    }
}

/// How often each word is in a text.
pub fn words(text: &str) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if !word.is_empty() {
            *counts.entry(folded(word)).or_default() += 1;
        }
    }
    counts
}

fn folded(word: &str) -> String {
    let lower = word.chars().flat_map(char::to_lowercase);
    lower.take(WORD_CHARS_MAX).collect()
}

/// A posting: one word of one version.
#[derive(Clone, Debug, PartialEq)]
struct Posting {
    word: String,
    row: u64,
    begin: u64,
    count: u32,
    end: u64,
}

fn damaged(what: &str) -> Error {
    Error::new(state::DATA_CORRUPTED, format!("word index: {what}"))
}

/// What the keys of a word's postings begin with.
fn prefix(word: &str) -> Vec<u8> {
    [&[ENTRY], word.as_bytes(), &[0]].concat()
}

/// From the first to behind the last key that begins so; the prefix does not end with 0xFF.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

impl Posting {
    fn key(&self) -> Vec<u8> {
        let mut key = prefix(&self.word);
        key.extend_from_slice(&self.row.to_be_bytes());
        key.extend_from_slice(&self.begin.to_be_bytes());
        key
    }

    fn ended_key(&self) -> Vec<u8> {
        let mut key = vec![ENDED];
        for number in [self.end, self.row, self.begin] {
            key.extend_from_slice(&number.to_be_bytes());
        }
        key.extend_from_slice(self.word.as_bytes());
        key
    }

    fn write(&self, store: &Store<'_>) -> Result<()> {
        let mut value = self.count.to_le_bytes().to_vec();
        value.extend_from_slice(&self.end.to_le_bytes());
        store.put(&self.key(), &value)?;
        match self.end {
            LIVE => Ok(()),
            _ => store.put(&self.ended_key(), &[]),
        }
    }

    fn read(entry: &Entry) -> Result<Posting> {
        let wrong = || damaged("an entry cannot be read");
        let (head, begin) = entry.key.split_last_chunk().ok_or_else(wrong)?;
        let (head, row) = head.split_last_chunk().ok_or_else(wrong)?;
        let (count, end) = entry.value.split_first_chunk().ok_or_else(wrong)?;
        let [ENTRY, word @ .., 0] = head else {
            return Err(wrong());
        };
        Ok(Posting {
            word: String::from_utf8(word.to_vec()).map_err(|_| wrong())?,
            row: u64::from_be_bytes(*row),
            begin: u64::from_be_bytes(*begin),
            count: u32::from_le_bytes(*count),
            end: u64::from_le_bytes(end.try_into().map_err(|_| wrong())?),
        })
    }
}

/// The postings whose keys begin so, in order.
fn postings(store: &Store<'_>, prefix: &[u8]) -> Result<Vec<Posting>> {
    let end = behind(prefix);
    let found = store.range(Bound::Included(prefix), Bound::Excluded(&end))?;
    found.iter().map(Posting::read).collect()
}

/// The word of a query; `None` for one that no text has.
fn word_of(query: &[u8]) -> Result<Option<String>> {
    let invalid = |_| Error::new(state::INVALID_PARAMETER_VALUE, "a word is text");
    let query = std::str::from_utf8(query).map_err(invalid)?;
    let is_word = !query.is_empty() && query.chars().all(char::is_alphanumeric);
    Ok(is_word.then(|| folded(query)))
}

/// The text of each row.
fn texts(columns: &[arrow_array::ArrayRef]) -> Result<Argument> {
    match columns {
        [column] => Ok(Argument::new(column.clone(), false)),
        _ => Err(Error::contract("a word index has one column")),
    }
}

/// The method.
pub struct Word;

impl Index for Word {
    fn build(&self, _: &Context<'_>, _: &IndexDefinition) -> Result<Box<dyn IndexBuild>> {
        Ok(Box::new(Build))
    }

    fn apply(&self, cx: &Context<'_>, _: &IndexDefinition, changes: &SignedRows) -> Result<()> {
        let (store, texts) = (cx.store(STORE)?, texts(&changes.columns)?);
        for at in 0..changes.len() {
            let (row, scn) = (changes.rows.value(at), changes.scns.value(at));
            let words = words(texts.text(at).unwrap_or_default());
            if changes.signs.value(at) > 0 {
                for (word, count) in words {
                    let came = Posting {
                        word,
                        row,
                        begin: scn,
                        count,
                        end: LIVE,
                    };
                    came.write(&store)?;
                }
                continue;
            }
            for word in words.keys() {
                let mut key = prefix(word);
                key.extend_from_slice(&row.to_be_bytes());
                let end = Bound::Included([&key[..], &[0xFF; 8]].concat());
                let versions = store.range(Bound::Included(&key), end.as_ref().map(|e| &e[..]))?;
                let newest = versions.last().map(Posting::read).transpose()?;
                let went = newest.filter(|posting| posting.end == LIVE);
                let went = went.ok_or_else(|| damaged("a version ends that is not there"))?;
                Posting { end: scn, ..went }.write(&store)?;
            }
        }
        Ok(())
    }

    fn vacuum(&self, cx: &Context<'_>, _: &IndexDefinition, horizon: u64) -> Result<()> {
        let store = cx.store(STORE)?;
        let end = [&[ENDED][..], &horizon.saturating_add(1).to_be_bytes()].concat();
        for entry in store.range(Bound::Included(&[ENDED]), Bound::Excluded(&end))? {
            let posting = ended(&entry.key)?;
            store.remove(&posting.key())?;
            store.remove(&entry.key)?;
        }
        Ok(())
    }

    fn stats(&self, cx: &Context<'_>, _: &IndexDefinition, query: &[u8]) -> Result<Vec<u8>> {
        let found = match word_of(query)? {
            Some(word) => postings(&cx.store(STORE)?, &prefix(&word))?.len(),
            None => 0,
        };
        Ok((found as u64).to_le_bytes().to_vec())
    }

    fn stats_of(&self, _: &IndexDefinition, query: &[u8], rows: &Rows) -> Result<Vec<u8>> {
        let scores = scores(query, rows)?;
        let found = scores.len() - scores.null_count();
        Ok((found as u64).to_le_bytes().to_vec())
    }

    fn merge_stats(&self, one: &[u8], other: &[u8]) -> Result<Vec<u8>> {
        let sum = count_of(one)?.saturating_add(count_of(other)?);
        Ok(sum.to_le_bytes().to_vec())
    }

    fn open(
        &self,
        cx: &Context<'_>,
        index: &IndexDefinition,
        search: &Search<'_>,
    ) -> Result<Box<dyn IndexCursor>> {
        count_of(search.stats)?;
        let mut hits = match word_of(search.query)? {
            Some(word) => postings(&cx.store(STORE)?, &prefix(&word))?,
            None => Vec::new(),
        };
        if search.k.is_some() {
            hits.sort_by(|a, b| b.count.cmp(&a.count).then(a.row.cmp(&b.row)));
        }
        hits.reverse();
        Ok(Box::new(Cursor {
            hits,
            table: index.table,
            asks: search.k.is_some(),
        }))
    }

    fn evaluate(
        &self,
        _: &IndexDefinition,
        search: &Search<'_>,
        rows: &Rows,
    ) -> Result<Float64Array> {
        count_of(search.stats)?;
        scores(search.query, rows)
    }

    fn cost(&self, cx: &Context<'_>, index: &IndexDefinition, query: &[u8]) -> Result<IndexCost> {
        let rows = count_of(&self.stats(cx, index, query)?)? as f64;
        Ok(IndexCost {
            startup: 1.0,
            total: 1.0 + rows * 0.01,
            rows,
        })
    }

    fn size_bytes(&self, cx: &Context<'_>, _: &IndexDefinition) -> Result<u64> {
        let entries = cx.store(STORE)?.entries()?;
        let bytes = entries
            .iter()
            .map(|entry| entry.key.len() + entry.value.len());
        Ok(bytes.sum::<usize>() as u64)
    }

    fn check(&self, cx: &Context<'_>, _: &IndexDefinition) -> Result<Vec<String>> {
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        let mut listed = Vec::new();
        for entry in cx.store(STORE)?.entries()? {
            if entry.key.first() == Some(&ENDED) {
                listed.push(entry.key);
                continue;
            }
            let posting = Posting::read(&entry)?;
            if posting.end <= posting.begin || posting.count == 0 {
                found.push(format!("{posting:?} never was"));
            }
            if posting.end != LIVE {
                expected.push(posting.ended_key());
            }
        }
        expected.sort();
        if listed != expected {
            found.push(format!(
                "{} postings have ended, {} are listed",
                expected.len(),
                listed.len()
            ));
        }
        Ok(found)
    }
}

/// The posting that an entry of what ended names; nobody knows its count.
fn ended(key: &[u8]) -> Result<Posting> {
    let wrong = || damaged("an entry of what ended cannot be read");
    let (kind, key) = key.split_first().ok_or_else(wrong)?;
    let (end, key) = key.split_first_chunk().ok_or_else(wrong)?;
    let (row, key) = key.split_first_chunk().ok_or_else(wrong)?;
    let (begin, word) = key.split_first_chunk().ok_or_else(wrong)?;
    match *kind {
        ENDED => Ok(Posting {
            word: String::from_utf8(word.to_vec()).map_err(|_| wrong())?,
            row: u64::from_be_bytes(*row),
            begin: u64::from_be_bytes(*begin),
            count: 0,
            end: u64::from_be_bytes(*end),
        }),
        _ => Err(wrong()),
    }
}

fn count_of(stats: &[u8]) -> Result<u64> {
    let stats = stats.try_into().map(u64::from_le_bytes);
    stats.map_err(|_| damaged("statistics are 8 bytes"))
}

fn scores(query: &[u8], rows: &Rows) -> Result<Float64Array> {
    let (word, texts) = (word_of(query)?, texts(&rows.columns)?);
    let score = |at| {
        let words = words(texts.text(at)?);
        words.get(word.as_ref()?).map(|count| f64::from(*count))
    };
    Ok((0..rows.count).map(score).collect())
}

/// A run that is built: nothing has to be kept of it.
struct Build;

impl IndexBuild for Build {
    fn add(&mut self, cx: &Context<'_>, versions: &Versions) -> Result<()> {
        let (store, texts) = (cx.store(STORE)?, texts(&versions.columns)?);
        for at in 0..versions.rows.len() {
            let ends = &versions.ends;
            for (word, count) in words(texts.text(at).unwrap_or_default()) {
                let posting = Posting {
                    word,
                    row: versions.rows.value(at),
                    begin: versions.begins.value(at),
                    count,
                    end: if ends.is_valid(at) {
                        ends.value(at)
                    } else {
                        LIVE
                    },
                };
                posting.write(&store)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &Context<'_>) -> Result<()> {
        Ok(())
    }
}

/// Hits that are still to come, the next one last.
struct Cursor {
    hits: Vec<Posting>,
    table: u32,
    /// Who wants few is not shown what the reader does not see; the host would leave it out, too.
    asks: bool,
}

impl IndexCursor for Cursor {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Hits>> {
        cx.check_cancelled()?;
        if self.hits.is_empty() {
            return Ok(None);
        }
        let mut page = self.hits.split_off(self.hits.len().saturating_sub(PAGE));
        page.reverse();
        if self.asks {
            let rows: Vec<u64> = page.iter().map(|hit| hit.row).collect();
            let begins: Vec<u64> = page.iter().map(|hit| hit.begin).collect();
            let seen = cx.visible()?.of(self.table, &rows, &begins)?;
            let mut seen = seen.values().iter();
            page.retain(|_| seen.next().unwrap_or(false));
        }
        let scores = page.iter().map(|hit| f64::from(hit.count));
        Ok(Some(Hits {
            rows: page.iter().map(|hit| hit.row).collect::<Vec<_>>().into(),
            begins: UInt64Array::from_iter_values(page.iter().map(|hit| hit.begin)),
            scores: Float64Array::from_iter_values(scores),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let counts = words("The cat, the-CAT \u{0}\u{130}x 4u 4u.");
        let counts: Vec<(&str, u32)> = counts.iter().map(|(w, n)| (w.as_str(), *n)).collect();
        assert_eq!(
            counts,
            [("4u", 2), ("cat", 2), ("i\u{307}x", 1), ("the", 2)]
        );
        let long = "x".repeat(1000);
        assert_eq!(
            words(&long).keys().map(String::len).max(),
            Some(WORD_CHARS_MAX)
        );
        assert_eq!(
            word_of(long.as_bytes()).ok(),
            Some(words(&long).into_keys().next())
        );
    }

    #[test]
    fn a_posting_reads_back() {
        let posting = Posting {
            word: "ähre".to_owned(),
            row: 1 << 40,
            begin: u64::MAX - 1,
            count: 3,
            end: 77,
        };
        let mut value = 3u32.to_le_bytes().to_vec();
        value.extend_from_slice(&77u64.to_le_bytes());
        let key = posting.key();
        assert_eq!(Posting::read(&Entry { key, value }), Ok(posting.clone()));
        let of_ended = Posting {
            count: 0,
            ..posting.clone()
        };
        assert_eq!(ended(&posting.ended_key()), Ok(of_ended));
        for len in 0..5 {
            assert!(ended(&posting.ended_key()[..len]).is_err());
        }
    }
}
