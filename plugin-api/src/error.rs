//! What goes wrong in a plugin, as a client sees it: SQLSTATE, message, detail, hint.

use std::fmt;

/// The result of everything a plugin does for the host.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// PostgreSQL's five-character error code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

/// The codes a plugin is most likely to need.
pub mod state {
    use super::SqlState;
    pub const FEATURE_NOT_SUPPORTED: SqlState = SqlState(*b"0A000");
    pub const INVALID_PARAMETER_VALUE: SqlState = SqlState(*b"22023");
    pub const INVALID_TEXT_REPRESENTATION: SqlState = SqlState(*b"22P02");
    pub const DATA_EXCEPTION: SqlState = SqlState(*b"22000");
    pub const CHECK_VIOLATION: SqlState = SqlState(*b"23514");
    pub const READ_ONLY_SQL_TRANSACTION: SqlState = SqlState(*b"25006");
    pub const DEPENDENT_OBJECTS_STILL_EXIST: SqlState = SqlState(*b"2BP01");
    pub const INSUFFICIENT_PRIVILEGE: SqlState = SqlState(*b"42501");
    pub const SYNTAX_ERROR: SqlState = SqlState(*b"42601");
    pub const SERIALIZATION_FAILURE: SqlState = SqlState(*b"40001");
    pub const TRANSACTION_INTEGRITY_CONSTRAINT_VIOLATION: SqlState = SqlState(*b"40002");
    pub const UNDEFINED_OBJECT: SqlState = SqlState(*b"42704");
    pub const UNDEFINED_TABLE: SqlState = SqlState(*b"42P01");
    pub const DUPLICATE_OBJECT: SqlState = SqlState(*b"42710");
    pub const UNDEFINED_FUNCTION: SqlState = SqlState(*b"42883");
    pub const OUT_OF_MEMORY: SqlState = SqlState(*b"53200");
    pub const PROGRAM_LIMIT_EXCEEDED: SqlState = SqlState(*b"54000");
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: SqlState = SqlState(*b"55000");
    pub const OBJECT_IN_USE: SqlState = SqlState(*b"55006");
    pub const QUERY_CANCELED: SqlState = SqlState(*b"57014");
    /// PostgreSQL's `external_routine_exception`: the plugin broke its contract.
    pub const EXTERNAL_ROUTINE_EXCEPTION: SqlState = SqlState(*b"38000");
    pub const INTERNAL_ERROR: SqlState = SqlState(*b"XX000");
    pub const DATA_CORRUPTED: SqlState = SqlState(*b"XX001");
}

impl SqlState {
    /// A code of five digits or upper-case letters; anything else becomes `XX000`.
    pub fn new(code: &str) -> SqlState {
        let valid = |b: &u8| b.is_ascii_digit() || b.is_ascii_uppercase();
        match <[u8; 5]>::try_from(code.as_bytes()) {
            Ok(bytes) if bytes.iter().all(valid) => SqlState(bytes),
            _ => state::INTERNAL_ERROR,
        }
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error with PostgreSQL's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub sqlstate: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// The row of the batch that it is about, from 0.
    pub row: Option<usize>,
}

impl Error {
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Error {
        Error {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            row: None,
        }
    }

    /// A broken invariant of the plugin itself.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(state::INTERNAL_ERROR, message)
    }

    /// One side of the border did not keep the contract of an interface.
    pub fn contract(message: impl Into<String>) -> Error {
        Error::new(state::EXTERNAL_ROUTINE_EXCEPTION, message)
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Error {
        self.detail = Some(detail.into());
        self
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    pub fn at_row(mut self, row: usize) -> Error {
        self.row = Some(row);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
