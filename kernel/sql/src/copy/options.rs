//! COPY's options: their defaults, and PostgreSQL's checks of what goes together.

use sqlparser::ast::{CopyLegacyCsvOption, CopyLegacyOption, CopyOption, Ident};

use crate::error::{Result, SqlError, state};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Csv,
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
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(state::INVALID_PARAMETER_VALUE, message)
}

fn name(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    }
}

/// Options as written, before defaults depend on the format.
#[derive(Default)]
struct Written {
    format: Option<CopyFormat>,
    delimiter: Option<char>,
    null: Option<String>,
    header: Option<Header>,
    quote: Option<char>,
    escape: Option<char>,
    force_quote: Option<ForceQuote>,
    force_not_null: Option<Vec<String>>,
    force_null: Option<Vec<String>>,
    freeze: Option<bool>,
}

fn set<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    if slot.replace(value).is_some() {
        return Err(SqlError::new(
            state::SYNTAX_ERROR,
            "conflicting or redundant options",
        ));
    }
    Ok(())
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

    /// From the options of the statement; `from` is whether this is COPY FROM.
    pub fn from_ast(
        options: &[CopyOption],
        legacy: &[CopyLegacyOption],
        from: bool,
    ) -> Result<CopyOptions> {
        let mut w = Written::default();
        for option in options {
            match option {
                CopyOption::Format(f) => set(&mut w.format, format_by_name(&name(f))?)?,
                CopyOption::Freeze(freeze) => set(&mut w.freeze, *freeze)?,
                CopyOption::Delimiter(c) => set(&mut w.delimiter, *c)?,
                CopyOption::Null(n) => set(&mut w.null, n.clone())?,
                CopyOption::Header(h) => {
                    set(&mut w.header, if *h { Header::Yes } else { Header::No })?
                }
                CopyOption::Quote(c) => set(&mut w.quote, *c)?,
                CopyOption::Escape(c) => set(&mut w.escape, *c)?,
                CopyOption::ForceQuote(c) => set(
                    &mut w.force_quote,
                    ForceQuote::Columns(c.iter().map(name).collect()),
                )?,
                CopyOption::ForceNotNull(c) => {
                    set(&mut w.force_not_null, c.iter().map(name).collect())?
                }
                CopyOption::ForceNull(c) => set(&mut w.force_null, c.iter().map(name).collect())?,
                CopyOption::Encoding(e) => check_encoding(e)?,
            }
        }
        for option in legacy {
            match option {
                CopyLegacyOption::Binary => {
                    return Err(SqlError::unsupported("COPY format \"binary\""));
                }
                CopyLegacyOption::Delimiter(c) => set(&mut w.delimiter, *c)?,
                CopyLegacyOption::Null(n) => set(&mut w.null, n.clone())?,
                CopyLegacyOption::Header => set(&mut w.header, Header::Yes)?,
                CopyLegacyOption::Csv(csv) => {
                    set(&mut w.format, CopyFormat::Csv)?;
                    for option in csv {
                        match option {
                            CopyLegacyCsvOption::Header => set(&mut w.header, Header::Yes)?,
                            CopyLegacyCsvOption::Quote(c) => set(&mut w.quote, *c)?,
                            CopyLegacyCsvOption::Escape(c) => set(&mut w.escape, *c)?,
                            CopyLegacyCsvOption::ForceQuote(c) => set(
                                &mut w.force_quote,
                                if c.is_empty() {
                                    ForceQuote::All
                                } else {
                                    ForceQuote::Columns(c.iter().map(name).collect())
                                },
                            )?,
                            CopyLegacyCsvOption::ForceNotNull(c) => {
                                set(&mut w.force_not_null, c.iter().map(name).collect())?
                            }
                        }
                    }
                }
                other => return Err(SqlError::unsupported(format!("COPY option {other}"))),
            }
        }
        w.resolve(from)
    }

    /// PostgreSQL's checks; the constructors and `from_ast` give options that pass.
    pub fn check(&self, from: bool) -> Result<()> {
        let csv = self.format == CopyFormat::Csv;
        let d = self.delimiter;
        if !d.is_ascii() {
            return Err(SqlError::unsupported(
                "COPY delimiter of more than one byte",
            ));
        }
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
        if !csv && (d.is_ascii_alphanumeric() || matches!(d, b'\\' | b'.')) {
            return Err(invalid(format!(
                "COPY delimiter cannot be \"{}\"",
                d as char
            )));
        }
        if self.null.as_bytes().contains(&d) {
            return Err(invalid(
                "COPY delimiter must not appear in the NULL specification",
            ));
        }
        if csv {
            if d == self.quote {
                return Err(invalid("COPY delimiter and quote must be different"));
            }
            if self.null.as_bytes().contains(&self.quote) {
                return Err(invalid(
                    "CSV quote character must not appear in the NULL specification",
                ));
            }
        }
        if !from && self.header == Header::Match {
            return Err(invalid("cannot use \"match\" with HEADER in COPY TO"));
        }
        Ok(())
    }
}

fn format_by_name(name: &str) -> Result<CopyFormat> {
    match name {
        "text" => Ok(CopyFormat::Text),
        "csv" => Ok(CopyFormat::Csv),
        "binary" => Err(SqlError::unsupported("COPY format \"binary\"")),
        other => Err(invalid(format!("COPY format \"{other}\" not recognized"))),
    }
}

fn check_encoding(name: &str) -> Result<()> {
    match name.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "utf8" | "unicode" => Ok(()),
        _ => Err(SqlError::unsupported(format!("COPY encoding \"{name}\""))),
    }
}

fn one_byte(what: &str, c: char) -> Result<u8> {
    match u8::try_from(c) {
        Ok(b) if b.is_ascii() => Ok(b),
        _ => Err(SqlError::unsupported(format!(
            "COPY {what} of more than one byte"
        ))),
    }
}

impl Written {
    fn resolve(self, from: bool) -> Result<CopyOptions> {
        let format = self.format.unwrap_or(CopyFormat::Text);
        let mut o = match format {
            CopyFormat::Text => CopyOptions::text(),
            CopyFormat::Csv => CopyOptions::csv(),
        };
        let csv_only = |given: bool, what: &str| {
            if given && format != CopyFormat::Csv {
                return Err(SqlError::unsupported(format!(
                    "COPY {what} outside CSV mode"
                )));
            }
            Ok(())
        };
        csv_only(self.quote.is_some(), "quote")?;
        csv_only(self.escape.is_some(), "escape")?;
        csv_only(self.force_quote.is_some(), "force quote")?;
        csv_only(self.force_not_null.is_some(), "force not null")?;
        csv_only(self.force_null.is_some(), "force null")?;
        if self.force_quote.is_some() && from {
            return Err(SqlError::unsupported("COPY force quote in COPY FROM"));
        }
        if !from && (self.force_not_null.is_some() || self.force_null.is_some()) {
            return Err(SqlError::unsupported("COPY force null in COPY TO"));
        }
        if let Some(c) = self.delimiter {
            o.delimiter = one_byte("delimiter", c)?;
        }
        if let Some(c) = self.quote {
            o.quote = one_byte("quote", c)?;
            o.escape = o.quote;
        }
        if let Some(c) = self.escape {
            o.escape = one_byte("escape", c)?;
        }
        o.null = self.null.unwrap_or(o.null);
        o.header = self.header.unwrap_or(o.header);
        o.force_quote = self.force_quote.unwrap_or(o.force_quote);
        o.force_not_null = self.force_not_null.unwrap_or_default();
        o.force_null = self.force_null.unwrap_or_default();
        o.freeze = self.freeze.unwrap_or_default();
        if o.freeze && !from {
            return Err(invalid("COPY freeze only available using COPY FROM"));
        }
        o.check(from)?;
        Ok(o)
    }
}
