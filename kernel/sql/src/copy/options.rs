//! COPY's options: their defaults, and PostgreSQL's checks of what goes together.

use ::parquet::basic::Compression;

use super::encoding::Encoding;
use super::parquet;
use super::syntax::{Given, GivenOption};
use crate::error::{Result, SqlError, state};
use crate::session::settings::parse_bool;
use crate::session::statement::position_in;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
    Parquet,
}

impl CopyFormat {
    /// As messages have it, of the formats that are no text.
    fn mode(self) -> Option<&'static str> {
        match self {
            CopyFormat::Text | CopyFormat::Csv => None,
            CopyFormat::Binary => Some("BINARY"),
            CopyFormat::Parquet => Some("PARQUET"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    No,
    Yes,
    /// The names must be those of the columns (input only).
    Match,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForceQuote {
    /// These columns, by name.
    Columns(Vec<String>),
    All,
}

/// Options of one COPY. Build with [`CopyOptions::text`] or [`CopyOptions::csv`], or from syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub delimiter: u8,
    pub null: String,
    pub header: Header,
    pub quote: u8,
    pub escape: u8,
    pub force_quote: ForceQuote,
    pub force_not_null: Vec<String>,
    pub force_null: Vec<String>,
    /// PostgreSQL's promise to load a table that nobody else can see yet. Whoever runs the COPY checks
    /// it; the rows need no freezing, since a version here carries its commit timestamp for ever.
    pub freeze: bool,
    /// Of the data, where it is text.
    pub encoding: Encoding,
    /// Of the pages of a Parquet file.
    pub compression: Compression,
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(state::INVALID_PARAMETER_VALUE, message)
}

fn not_supported(message: impl Into<String>) -> SqlError {
    SqlError::new(state::FEATURE_NOT_SUPPORTED, message)
}

fn syntax_error(message: impl Into<String>) -> SqlError {
    SqlError::new(state::SYNTAX_ERROR, message)
}

/// Options as written, before defaults depend on the format.
#[derive(Default)]
struct Written {
    format: Option<CopyFormat>,
    delimiter: Option<String>,
    null: Option<String>,
    header: Option<Header>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<ForceQuote>,
    force_not_null: Option<Vec<String>>,
    force_null: Option<Vec<String>>,
    freeze: Option<bool>,
    encoding: Option<Encoding>,
    compression: Option<Compression>,
}

impl GivenOption {
    fn text(&self) -> Result<String> {
        match &self.value {
            Given::Nothing => Err(syntax_error(format!("{} requires a parameter", self.name))),
            Given::Number(text) | Given::Text(text) => Ok(text.clone()),
            Given::Star => Ok("*".to_owned()),
            Given::List(list) => Ok(list.join(", ")),
        }
    }

    fn boolean(&self) -> Result<bool> {
        self.flag()
            .ok_or_else(|| syntax_error(format!("{} requires a Boolean value", self.name)))
    }

    /// `None` when it is no Boolean value.
    fn flag(&self) -> Option<bool> {
        match &self.value {
            Given::Nothing => Some(true),
            Given::Number(text) => match text.as_str() {
                "0" => Some(false),
                "1" => Some(true),
                _ => None,
            },
            // No prefixes of the words, as SET would take them.
            Given::Text(text) => match text.to_ascii_lowercase().as_str() {
                word @ ("true" | "false" | "on" | "off") => parse_bool(word),
                _ => None,
            },
            Given::Star | Given::List(_) => None,
        }
    }

    fn header(&self, from: bool) -> Result<Header> {
        match (self.flag(), &self.value) {
            (Some(true), _) => Ok(Header::Yes),
            (Some(false), _) => Ok(Header::No),
            (None, Given::Text(text)) if text.eq_ignore_ascii_case("match") => match from {
                true => Ok(Header::Match),
                false => Err(not_supported(format!(
                    "cannot use \"{text}\" with HEADER in COPY TO"
                ))),
            },
            _ => Err(syntax_error(format!(
                "{} requires a Boolean value or \"match\"",
                self.name
            ))),
        }
    }

    fn columns(&self) -> Result<Vec<String>> {
        match &self.value {
            Given::List(list) => Ok(list.clone()),
            _ => Err(invalid(format!(
                "argument to option \"{}\" must be a list of column names",
                self.name
            ))),
        }
    }
}

/// Puts an option in its place; twice is once too often.
fn set<T>(slot: &mut Option<T>, value: impl FnOnce() -> Result<T>) -> Result<()> {
    if slot.is_some() {
        return Err(syntax_error("conflicting or redundant options"));
    }
    *slot = Some(value()?);
    Ok(())
}

impl Written {
    fn take(&mut self, option: &GivenOption, from: bool) -> Result<()> {
        match option.name.as_str() {
            "format" => set(&mut self.format, || format_by_name(&option.text()?)),
            "freeze" => set(&mut self.freeze, || option.boolean()),
            "delimiter" => set(&mut self.delimiter, || option.text()),
            "null" => set(&mut self.null, || option.text()),
            "header" => set(&mut self.header, || option.header(from)),
            "quote" => set(&mut self.quote, || option.text()),
            "escape" => set(&mut self.escape, || option.text()),
            "force_quote" => set(&mut self.force_quote, || match option.value {
                Given::Star => Ok(ForceQuote::All),
                _ => option.columns().map(ForceQuote::Columns),
            }),
            "force_not_null" => set(&mut self.force_not_null, || option.columns()),
            "force_null" => set(&mut self.force_null, || option.columns()),
            "encoding" => set(&mut self.encoding, || Encoding::by_name(&option.text()?)),
            "compression" => set(&mut self.compression, || {
                parquet::compression_by_name(&option.text()?)
            }),
            other => Err(syntax_error(format!("option \"{other}\" not recognized"))),
        }
    }
}

impl CopyOptions {
    pub fn text() -> CopyOptions {
        CopyOptions {
            format: CopyFormat::Text,
            delimiter: b'\t',
            null: "\\N".into(),
            header: Header::No,
            quote: b'"',
            escape: b'"',
            force_quote: ForceQuote::Columns(Vec::new()),
            force_not_null: Vec::new(),
            force_null: Vec::new(),
            freeze: false,
            encoding: Encoding::Utf8,
            compression: parquet::zstd(),
        }
    }

    pub fn csv() -> CopyOptions {
        CopyOptions {
            format: CopyFormat::Csv,
            delimiter: b',',
            null: String::new(),
            ..CopyOptions::text()
        }
    }

    pub fn parquet() -> CopyOptions {
        CopyOptions {
            format: CopyFormat::Parquet,
            ..CopyOptions::text()
        }
    }

    pub fn binary() -> CopyOptions {
        CopyOptions {
            format: CopyFormat::Binary,
            ..CopyOptions::text()
        }
    }

    /// From the options of the statement with this text; `from` is whether this is COPY FROM.
    pub(crate) fn from_given(given: &[GivenOption], from: bool, text: &str) -> Result<CopyOptions> {
        let mut written = Written::default();
        for option in given {
            written.take(option, from).map_err(|e| {
                // PostgreSQL points at what it does not know, and not at a wrong value.
                let pointless = e.message.contains("requires a") || e.message.contains("HEADER in");
                match pointless {
                    true => e,
                    false => e.with_position(position_in(text, option.at)),
                }
            })?;
        }
        written.resolve(from)
    }

    /// PostgreSQL's checks; the constructors and `from_given` give options that pass.
    pub fn check(&self, from: bool) -> Result<()> {
        let csv = self.format == CopyFormat::Csv;
        let d = self.delimiter;
        if matches!(d, b'\n' | b'\r') {
            return Err(invalid(
                "COPY delimiter cannot be newline or carriage return",
            ));
        }
        if self.null.contains(['\n', '\r']) {
            return Err(invalid(
                "COPY null representation cannot use newline or carriage return",
            ));
        }
        // Those that could be part of an escape.
        if !csv && (d.is_ascii_lowercase() || d.is_ascii_digit() || matches!(d, b'\\' | b'.')) {
            return Err(invalid(format!(
                "COPY delimiter cannot be \"{}\"",
                d as char
            )));
        }
        if csv && d == self.quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        if self.null.as_bytes().contains(&d) {
            return Err(not_supported(
                "COPY delimiter must not appear in the NULL specification",
            ));
        }
        if csv && self.null.as_bytes().contains(&self.quote) {
            return Err(not_supported(
                "CSV quote character must not appear in the NULL specification",
            ));
        }
        if !from && self.header == Header::Match {
            return Err(not_supported("cannot use \"match\" with HEADER in COPY TO"));
        }
        Ok(())
    }
}

fn format_by_name(name: &str) -> Result<CopyFormat> {
    match name {
        "text" => Ok(CopyFormat::Text),
        "csv" => Ok(CopyFormat::Csv),
        "binary" => Ok(CopyFormat::Binary),
        "parquet" => Ok(CopyFormat::Parquet),
        other => Err(invalid(format!("COPY format \"{other}\" not recognized"))),
    }
}

fn one_byte(what: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(not_supported(format!(
            "COPY {what} must be a single one-byte character"
        ))),
    }
}

impl Written {
    fn resolve(self, from: bool) -> Result<CopyOptions> {
        let format = self.format.unwrap_or(CopyFormat::Text);
        let mut o = match format {
            CopyFormat::Text => CopyOptions::text(),
            CopyFormat::Csv => CopyOptions::csv(),
            CopyFormat::Binary => CopyOptions::binary(),
            CopyFormat::Parquet => CopyOptions::parquet(),
        };
        if let Some(mode) = format.mode() {
            for (given, what) in [
                (self.delimiter.is_some(), "DELIMITER"),
                (self.null.is_some(), "NULL"),
            ] {
                if given {
                    return Err(syntax_error(format!(
                        "cannot specify {what} in {mode} mode"
                    )));
                }
            }
        }
        if let Some(text) = &self.delimiter {
            o.delimiter = one_byte("delimiter", text)?;
        }
        o.null = self.null.unwrap_or(o.null);
        if let Some(mode) = format.mode()
            && self.header.is_some_and(|h| h != Header::No)
        {
            return Err(not_supported(format!(
                "cannot specify HEADER in {mode} mode"
            )));
        }
        let is_parquet = format == CopyFormat::Parquet;
        if is_parquet && self.encoding.is_some_and(|e| e != Encoding::Utf8) {
            return Err(not_supported("the texts of a Parquet file are in UTF8"));
        }
        if !is_parquet && self.compression.is_some() {
            return Err(not_supported(
                "COPY compression available only in PARQUET mode",
            ));
        }
        let csv_only = |given: bool, what: &str| match given && format != CopyFormat::Csv {
            true => Err(not_supported(format!(
                "COPY {what} available only in CSV mode"
            ))),
            false => Ok(()),
        };
        let one_way = |given: bool, what: &str, way: &str| match given {
            true => Err(not_supported(format!(
                "COPY {what} only available using COPY {way}"
            ))),
            false => Ok(()),
        };
        csv_only(self.quote.is_some(), "quote")?;
        if let Some(text) = &self.quote {
            o.quote = one_byte("quote", text)?;
            o.escape = o.quote;
        }
        csv_only(self.escape.is_some(), "escape")?;
        if let Some(text) = &self.escape {
            o.escape = one_byte("escape", text)?;
        }
        csv_only(self.force_quote.is_some(), "force quote")?;
        one_way(from && self.force_quote.is_some(), "force quote", "TO")?;
        for (given, what) in [
            (self.force_not_null.is_some(), "force not null"),
            (self.force_null.is_some(), "force null"),
        ] {
            csv_only(given, what)?;
            one_way(!from && given, what, "FROM")?;
        }
        o.header = self.header.unwrap_or(o.header);
        o.force_quote = self.force_quote.unwrap_or(o.force_quote);
        o.force_not_null = self.force_not_null.unwrap_or_default();
        o.force_null = self.force_null.unwrap_or_default();
        o.freeze = self.freeze.unwrap_or_default();
        o.encoding = self.encoding.unwrap_or(o.encoding);
        o.compression = self.compression.unwrap_or(o.compression);
        if o.freeze && !from {
            return Err(invalid("COPY freeze only available using COPY FROM"));
        }
        o.check(from)?;
        Ok(o)
    }
}
