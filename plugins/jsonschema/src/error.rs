//! Why a schema or a document cannot be used. A document that breaks its schema is not an error
//! but a list of violations.

use std::fmt;

/// What went wrong, as the SQLSTATE a caller gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 22P02: the text is no JSON.
    InvalidText,
    /// 22023: the JSON is no schema of its draft.
    InvalidSchema,
    /// 0A000: a schema that is right, but asks for what is not done here (look-around).
    Unsupported,
    /// 42704: a reference to a schema that is not registered.
    UndefinedSchema,
    /// 54001: nested too deeply.
    TooDeep,
    /// 54000: too large.
    TooLarge,
    /// XX001: what the plugin stored cannot be read back.
    Damaged,
}

impl Kind {
    pub fn sqlstate(self) -> &'static str {
        match self {
            Kind::InvalidText => "22P02",
            Kind::InvalidSchema => "22023",
            Kind::Unsupported => "0A000",
            Kind::UndefinedSchema => "42704",
            Kind::TooDeep => "54001",
            Kind::TooLarge => "54000",
            Kind::Damaged => "XX001",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Error {
        self.detail = Some(detail.into());
        self
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
