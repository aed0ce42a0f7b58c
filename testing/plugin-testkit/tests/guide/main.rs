//! The plugin of docs/writing-a-plugin.md, and that the document quotes it word for word.

use std::sync::Arc;

use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::arrow::array::{Int64Array, StringViewArray};
use heliosdb_plugin_api::{
    Arguments, CommandOutcome, Context, Entry, Error, Fixture, Host, Migrations, Plugin, Registrar,
    Result, Settings, Step, state,
};
use heliosdb_plugin_testkit::{Samples, Started, TestHost};

pub struct TurnPlugin {
    longest: usize,
}

impl Plugin for TurnPlugin {
    const MANIFEST: &'static str = include_str!("plugin.toml");

    fn start(_host: Host, settings: &Settings) -> Result<TurnPlugin> {
        let longest = settings.integer("longest");
        let longest = longest.and_then(|n| usize::try_from(n).ok());
        let longest = longest.ok_or_else(|| Error::internal("longest is no number"))?;
        Ok(TurnPlugin { longest })
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        let plugin = self.clone();
        registrar.scalar(
            "turn_reverse",
            &["text"],
            move |_cx: &Context<'_>, arguments: &Arguments| plugin.reverse(arguments),
        )?;
        registrar.scalar("turn_count", &["text"], count)?;
        registrar.command("REMEMBER WORD", remember)
    }

    fn migrations() -> Migrations {
        Migrations::default()
            .step(
                "words",
                1,
                "counts: decimal text to 8 bytes, big-endian",
                CountsInBytes,
            )
            .fixture(Fixture {
                store: "words".to_owned(),
                version: 1,
                entries: vec![
                    entry(b"abba", b"2"),
                    entry(b"level", b"1"),
                    entry(b"noon", b"18446744073709551615"),
                ],
            })
            .fixture(Fixture {
                store: "words".to_owned(),
                version: 2,
                entries: vec![entry(b"abba", &2u64.to_be_bytes())],
            })
    }
}

fn entry(key: &[u8], value: &[u8]) -> Entry {
    Entry {
        key: key.to_vec(),
        value: value.to_vec(),
    }
}

impl TurnPlugin {
    fn reverse(&self, arguments: &Arguments) -> Result<ArrayRef> {
        let mut reversed = Vec::new();
        for row in 0..arguments.rows() {
            let text = arguments[0].text(row);
            if text.is_some_and(|text| text.chars().count() > self.longest) {
                let error = Error::new(state::PROGRAM_LIMIT_EXCEEDED, "the text is too long");
                return Err(error.with_hint("Raise \"longest\".").at_row(row));
            }
            reversed.push(text.map(|text| text.chars().rev().collect::<String>()));
        }
        Ok(Arc::new(StringViewArray::from_iter(reversed)))
    }
}

const PREFIX: &str = "REMEMBER WORD";

fn remember(cx: &Context<'_>, statement: &str) -> Result<CommandOutcome> {
    let word = statement.get(PREFIX.len()..).unwrap_or_default().trim();
    if word.is_empty() || !word.chars().all(char::is_alphanumeric) {
        return Err(Error::new(state::SYNTAX_ERROR, "one word is needed"));
    }
    let words = cx.store("words")?;
    let before = words.get(word.as_bytes())?.map(|count| number(&count));
    let count = before.transpose()?.unwrap_or(0).saturating_add(1);
    words.put(word.as_bytes(), &count.to_be_bytes())?;
    Ok(CommandOutcome::done("REMEMBER WORD"))
}

fn number(count: &[u8]) -> Result<u64> {
    let bytes = <[u8; 8]>::try_from(count);
    let damaged = |_| Error::new(state::DATA_CORRUPTED, "a count is not 8 bytes");
    Ok(u64::from_be_bytes(bytes.map_err(damaged)?))
}

fn count(cx: &Context<'_>, arguments: &Arguments) -> Result<ArrayRef> {
    let words = cx.store("words")?;
    let mut counts = Vec::new();
    for row in 0..arguments.rows() {
        cx.check_cancelled()?;
        let word = arguments[0].text(row).unwrap_or_default();
        let count = words.get(word.as_bytes())?.map(|count| number(&count));
        let count = i64::try_from(count.transpose()?.unwrap_or(0));
        counts.push(count.unwrap_or(i64::MAX));
    }
    Ok(Arc::new(Int64Array::from(counts)))
}

/// Version 1 kept the counts as decimal text.
struct CountsInBytes;

impl Step for CountsInBytes {
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        let migrate = |entry: Entry| {
            let count = std::str::from_utf8(&entry.value).ok();
            let count: Option<u64> = count.and_then(|count| count.parse().ok());
            let damaged = || Error::new(state::DATA_CORRUPTED, "a count is no number");
            let value = count.ok_or_else(damaged)?.to_be_bytes().to_vec();
            Ok(Entry { value, ..entry })
        };
        entries.into_iter().map(migrate).collect()
    }

    fn check(&self, entry: &Entry) -> Result<()> {
        number(&entry.value).map(|_| ())
    }
}

heliosdb_plugin_testkit::conformance!(
    TurnPlugin,
    Samples::new()
        .setting("longest", 5000)
        .command("REMEMBER WORD noon")
);

#[test]
fn a_word_is_counted() {
    let host = TestHost::new();
    let plugin = Started::new::<TurnPlugin>(&host);
    plugin.command("REMEMBER WORD noon").unwrap();
    plugin.command("remember word noon").unwrap();
    assert_eq!(host.store("words"), [entry(b"noon", &2u64.to_be_bytes())]);
    let refused = plugin.command("REMEMBER WORD two words").unwrap_err();
    assert_eq!(refused.error.sqlstate.as_str(), "42601");
}

/// Each block of code in the document stands in a file that is compiled, or that `plugin new` writes.
#[test]
fn the_document_quotes_code_that_is_compiled() {
    const DOCUMENT: &str = include_str!("../../../../docs/writing-a-plugin.md");
    let template = concat!(
        include_str!("../../../../distributions/command/src/plugin/template/function/lib.rs"),
        include_str!("../../../../distributions/command/src/plugin/template/function/plugin.toml"),
        include_str!(
            "../../../../distributions/command/src/plugin/template/function/conformance.rs"
        ),
    );
    let template = template.replace("{{id}}", "turn");
    let template = template.replace("{{Plugin}}", "TurnPlugin");
    let manifest = include_str!("plugin.toml");
    let first = manifest.replace("version = 2", "version = 1");
    let sources = [
        lines(include_str!("main.rs")),
        lines(manifest),
        lines(&first),
        lines(&template),
    ];
    let mut quoted = 0;
    for language in ["rust", "toml"] {
        let fence = format!("```{language}\n");
        for block in DOCUMENT.split(&fence).skip(1) {
            let block = lines(block.split("```").next().unwrap_or_default());
            // The operator's file is no source of the plugin's.
            if block[0].starts_with("[plugins") {
                continue;
            }
            let is_in = |source: &Vec<&str>| source.windows(block.len()).any(|w| w == block);
            assert!(sources.iter().any(is_in), "{}", block.join("\n"));
            quoted += 1;
        }
    }
    assert!(quoted >= 6, "{quoted} blocks");
}

/// Without blank lines and without the margin, which differs between a document and a file.
fn lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).collect()
}
