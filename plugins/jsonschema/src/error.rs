//! Why a schema or a document cannot be used. A document that breaks its schema is not an error
//! but a list of violations.

pub use heliosdb_plugin_api::{Error, Result, SqlState};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The text is no JSON.
    InvalidText,
    /// The JSON is no schema of its draft.
    InvalidSchema,
    /// A schema that is right, but asks for what is not done here (look-around).
    Unsupported,
    /// There is no schema of that name or URI.
    UndefinedSchema,
    /// Nested too deeply.
    TooDeep,
    TooLarge,
    /// The statement was canceled.
    Canceled,
    /// What the plugin stored cannot be read back.
    Damaged,
}

impl Kind {
    pub fn state(self) -> SqlState {
        SqlState::new(match self {
            Kind::InvalidText => "22P02",
            Kind::InvalidSchema => "22023",
            Kind::Unsupported => "0A000",
            Kind::UndefinedSchema => "42704",
            Kind::TooDeep => "54001",
            Kind::TooLarge => "54000",
            Kind::Canceled => "57014",
            Kind::Damaged => "XX001",
        })
    }

    pub fn error(self, message: impl Into<String>) -> Error {
        Error::new(self.state(), message)
    }
}
