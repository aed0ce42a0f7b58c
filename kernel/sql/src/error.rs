//! The one error of the SQL layer: what PostgreSQL would put into an ErrorResponse.
//!
//! Every failure a user can see becomes a [`SqlError`] with a SQLSTATE, a primary message and, where
//! they help, a detail, a hint and a position. Nothing below this module decides how an error reads;
//! nothing above it invents a code.

use std::fmt;

/// A five-character SQLSTATE. The constants of [`state`] are the ones in use.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    /// Whether it is of the class of a code, which its first two characters are.
    pub fn is_of_class(self, other: SqlState) -> bool {
        self.0[..2] == other.0[..2]
    }

    pub const fn new(code: &str) -> SqlState {
        let b = code.as_bytes();
        assert!(b.len() == 5, "a SQLSTATE has five characters");
        SqlState([b[0], b[1], b[2], b[3], b[4]])
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("SQLSTATEs are ASCII")
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// SQLSTATEs by PostgreSQL's names (its Appendix A).
pub mod state {
    use super::SqlState;
    macro_rules! states { ($($name:ident = $code:literal),* $(,)?) => {
        $(pub const $name: SqlState = SqlState::new($code);)*
    } }
    states! {
        SUCCESSFUL_COMPLETION = "00000",
        WARNING = "01000",
        PRIVILEGE_NOT_REVOKED = "01006",
        PRIVILEGE_NOT_GRANTED = "01007",
        INVALID_GRANT_OPERATION = "0LP01",
        PROTOCOL_VIOLATION = "08P01",
        FEATURE_NOT_SUPPORTED = "0A000",
        CARDINALITY_VIOLATION = "21000",
        STRING_DATA_RIGHT_TRUNCATION = "22001",
        NUMERIC_VALUE_OUT_OF_RANGE = "22003",
        INVALID_DATETIME_FORMAT = "22007",
        DATETIME_FIELD_OVERFLOW = "22008",
        DIVISION_BY_ZERO = "22012",
        NULL_VALUE_NOT_ALLOWED = "22004",
        INVALID_PRECEDING_OR_FOLLOWING_SIZE = "22013",
        INVALID_ARGUMENT_FOR_NTILE = "22014",
        INVALID_ARGUMENT_FOR_NTH_VALUE = "22016",
        INVALID_PARAMETER_VALUE = "22023",
        CHARACTER_NOT_IN_REPERTOIRE = "22021",
        INVALID_REGULAR_EXPRESSION = "2201B",
        INVALID_ROW_COUNT_IN_LIMIT_CLAUSE = "2201W",
        INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE = "2201X",
        UNTRANSLATABLE_CHARACTER = "22P05",
        INVALID_TEXT_REPRESENTATION = "22P02",
        INVALID_BINARY_REPRESENTATION = "22P03",
        BAD_COPY_FILE_FORMAT = "22P04",
        NOT_NULL_VIOLATION = "23502",
        FOREIGN_KEY_VIOLATION = "23503",
        UNIQUE_VIOLATION = "23505",
        CHECK_VIOLATION = "23514",
        ACTIVE_SQL_TRANSACTION = "25001",
        READ_ONLY_SQL_TRANSACTION = "25006",
        NO_ACTIVE_SQL_TRANSACTION = "25P01",
        IN_FAILED_SQL_TRANSACTION = "25P02",
        IDLE_IN_TRANSACTION_SESSION_TIMEOUT = "25P03",
        INVALID_SQL_STATEMENT_NAME = "26000",
        INVALID_AUTHORIZATION_SPECIFICATION = "28000",
        INVALID_PASSWORD = "28P01",
        DEPENDENT_OBJECTS_STILL_EXIST = "2BP01",
        INVALID_CURSOR_NAME = "34000",
        INVALID_CATALOG_NAME = "3D000",
        INVALID_SCHEMA_NAME = "3F000",
        SEQUENCE_GENERATOR_LIMIT_EXCEEDED = "2200H",
        INVALID_SAVEPOINT_SPECIFICATION = "3B001",
        SERIALIZATION_FAILURE = "40001",
        DEADLOCK_DETECTED = "40P01",
        SYNTAX_ERROR = "42601",
        INSUFFICIENT_PRIVILEGE = "42501",
        CANNOT_COERCE = "42846",
        GROUPING_ERROR = "42803",
        INVALID_RECURSION = "42P19",
        WINDOWING_ERROR = "42P20",
        DATATYPE_MISMATCH = "42804",
        INVALID_FOREIGN_KEY = "42830",
        GENERATED_ALWAYS = "428C9",
        INVALID_NAME = "42602",
        NAME_TOO_LONG = "42622",
        RESERVED_NAME = "42939",
        AMBIGUOUS_COLUMN = "42702",
        AMBIGUOUS_FUNCTION = "42725",
        DUPLICATE_FUNCTION = "42723",
        INVALID_FUNCTION_DEFINITION = "42P13",
        UNDEFINED_COLUMN = "42703",
        UNDEFINED_FUNCTION = "42883",
        UNDEFINED_TABLE = "42P01",
        UNDEFINED_PARAMETER = "42P02",
        UNDEFINED_OBJECT = "42704",
        DUPLICATE_COLUMN = "42701",
        DUPLICATE_CURSOR = "42P03",
        DUPLICATE_DATABASE = "42P04",
        DUPLICATE_PREPARED_STATEMENT = "42P05",
        DUPLICATE_SCHEMA = "42P06",
        DUPLICATE_TABLE = "42P07",
        DUPLICATE_ALIAS = "42712",
        AMBIGUOUS_ALIAS = "42P09",
        DUPLICATE_OBJECT = "42710",
        INVALID_COLUMN_REFERENCE = "42P10",
        INVALID_TABLE_DEFINITION = "42P16",
        INVALID_OBJECT_DEFINITION = "42P17",
        INDETERMINATE_DATATYPE = "42P18",
        WRONG_OBJECT_TYPE = "42809",
        INSUFFICIENT_RESOURCES = "53000",
        OUT_OF_MEMORY = "53200",
        DISK_FULL = "53100",
        TOO_MANY_CONNECTIONS = "53300",
        PROGRAM_LIMIT_EXCEEDED = "54000",
        STATEMENT_TOO_COMPLEX = "54001",
        TOO_MANY_COLUMNS = "54011",
        OBJECT_NOT_IN_PREREQUISITE_STATE = "55000",
        OBJECT_IN_USE = "55006",
        LOCK_NOT_AVAILABLE = "55P03",
        QUERY_CANCELED = "57014",
        CANT_CHANGE_RUNTIME_PARAM = "55P02",
        ADMIN_SHUTDOWN = "57P01",
        CANNOT_CONNECT_NOW = "57P03",
        IDLE_SESSION_TIMEOUT = "57P05",
        IO_ERROR = "58030",
        UNDEFINED_FILE = "58P01",
        DUPLICATE_FILE = "58P02",
        INTERNAL_ERROR = "XX000",
        EXTERNAL_ROUTINE_EXCEPTION = "38000",
        DATA_CORRUPTED = "XX001",
    }
}

/// An error as PostgreSQL reports it.
#[derive(Clone, Debug)]
pub struct SqlError {
    pub code: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// 1-based character position in the statement text.
    pub position: Option<usize>,
    /// Names of the objects concerned, for the `s t c n` fields of an ErrorResponse.
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
    /// PostgreSQL's CONTEXT, such as `COPY flights, line 7, column dep_time: "x"`.
    pub context: Option<String>,
    /// A prepared statement is stale: drivers know that by the name of PostgreSQL's routine that finds it out.
    pub is_stale_plan: bool,
}

pub type Result<T, E = SqlError> = std::result::Result<T, E>;

impl SqlError {
    pub fn new(code: SqlState, message: impl Into<String>) -> SqlError {
        SqlError {
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            schema: None,
            table: None,
            column: None,
            constraint: None,
            context: None,
            is_stale_plan: false,
        }
    }

    /// A feature that PostgreSQL has and this does not: `0A000`, named.
    pub fn unsupported(feature: impl fmt::Display) -> SqlError {
        SqlError::new(
            state::FEATURE_NOT_SUPPORTED,
            format!("{feature} is not supported"),
        )
    }

    /// A prepared statement whose result is another than when it was described. asyncpg and pgjdbc prepare it again
    /// when they see the routine.
    pub fn result_type_changed() -> SqlError {
        SqlError {
            is_stale_plan: true,
            ..SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                "cached plan must not change result type",
            )
        }
    }

    /// A broken invariant of ours. Never the answer to bad input.
    pub fn internal(message: impl fmt::Display) -> SqlError {
        SqlError::new(state::INTERNAL_ERROR, format!("internal error: {message}"))
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> SqlError {
        self.detail = Some(detail.into());
        self
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> SqlError {
        self.hint = Some(hint.into());
        self
    }

    pub fn with_position(mut self, position: usize) -> SqlError {
        self.position = Some(position);
        self
    }

    pub fn with_table(mut self, schema: impl Into<String>, table: impl Into<String>) -> SqlError {
        self.schema = Some(schema.into());
        self.table = Some(table.into());
        self
    }

    pub fn with_column(mut self, column: impl Into<String>) -> SqlError {
        self.column = Some(column.into());
        self
    }

    pub fn with_constraint(mut self, constraint: impl Into<String>) -> SqlError {
        self.constraint = Some(constraint.into());
        self
    }

    pub fn with_context(mut self, context: impl Into<String>) -> SqlError {
        self.context = Some(context.into());
        self
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.code.as_str())?;
        if let Some(detail) = &self.detail {
            write!(f, "\nDETAIL: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nHINT: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlError {}

impl From<heliosdb_storage::Error> for SqlError {
    /// Storage's errors as PostgreSQL words them. A unique violation needs names and is worded where
    /// the catalog is at hand; here it keeps its code.
    fn from(error: heliosdb_storage::Error) -> SqlError {
        use heliosdb_storage::Error;
        let message = error.to_string();
        match error {
            Error::UniqueViolation { .. } => SqlError::new(state::UNIQUE_VIOLATION, message),
            Error::SerializationFailure => SqlError::new(
                state::SERIALIZATION_FAILURE,
                "could not serialize access due to concurrent update",
            ),
            Error::ReadWriteDependency { reason } => {
                SqlError::new(state::SERIALIZATION_FAILURE, message)
                    .with_detail(format!("Reason code: {reason}"))
                    .with_hint("The transaction might succeed if retried.")
            }
            Error::ReadOnlyTransaction => SqlError::new(state::READ_ONLY_SQL_TRANSACTION, message),
            Error::Deadlock { detail } => {
                SqlError::new(state::DEADLOCK_DETECTED, "deadlock detected").with_detail(detail)
            }
            Error::LockNotAvailable => SqlError::new(
                state::LOCK_NOT_AVAILABLE,
                "canceling statement due to lock timeout",
            ),
            Error::Canceled => SqlError::new(
                state::QUERY_CANCELED,
                "canceling statement due to user request",
            ),
            Error::OutOfMemory { .. } => SqlError::new(state::OUT_OF_MEMORY, message),
            Error::DiskFull { .. } => SqlError::new(state::DISK_FULL, message).with_hint(
                "Free space on the disk of the data directory; the server then goes on by itself. \
                 What is committed can be read.",
            ),
            Error::Corruption { .. } | Error::CodecFailed { .. } => {
                SqlError::new(state::DATA_CORRUPTED, message)
            }
            Error::CodecMissing { ref codec, .. } => {
                let hint = format!("Install or enable the plugin that provides codec \"{codec}\".");
                SqlError::new(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_hint(hint)
            }
            Error::Expression { sqlstate, message } => SqlError::new(SqlState(sqlstate), message),
            Error::SnapshotTooOld { oldest, .. } => {
                let mut time = String::new();
                let micros = i64::try_from(oldest.0).unwrap_or(i64::MAX);
                crate::types::datetime::write_timestamp(micros, &mut time);
                let hint = format!("History goes back to {time} UTC.");
                let message = "the history of the time asked for is no longer kept";
                SqlError::new(state::INVALID_PARAMETER_VALUE, message).with_hint(hint)
            }
            Error::TableTooYoung { .. } => SqlError::new(state::INVALID_PARAMETER_VALUE, message),
            Error::UnknownTimeline { .. } => SqlError::new(state::UNDEFINED_OBJECT, message),
            Error::TimelineExists { .. } => SqlError::new(state::DUPLICATE_OBJECT, message),
            Error::TimelineHasBranches { .. } => {
                SqlError::new(state::DEPENDENT_OBJECTS_STILL_EXIST, message)
            }
            Error::TimelineMoved => SqlError::new(
                state::SERIALIZATION_FAILURE,
                "could not serialize access due to a restore of the database",
            )
            .with_hint("The transaction might succeed if retried."),
            Error::SnapshotTooNew { .. } => SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "the time asked for is in the future",
            ),
            Error::DirectoryNotEmpty { .. }
            | Error::ArchiveConflict { .. }
            | Error::NotCovered { .. } => {
                SqlError::new(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            }
            Error::PinExists { .. } => SqlError::new(state::DUPLICATE_OBJECT, message),
            Error::NoSuchPin { .. } => SqlError::new(state::UNDEFINED_OBJECT, message),
            Error::CursorExpired { .. } => {
                let hint = "Make what followed it anew, and the cursor.";
                SqlError::new(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_hint(hint)
            }
            Error::KeyTooLong { bytes, max_bytes } => SqlError::new(
                state::PROGRAM_LIMIT_EXCEEDED,
                format!("index row size {bytes} exceeds maximum {max_bytes}"),
            ),
            Error::RowTooLong { .. } => SqlError::new(state::PROGRAM_LIMIT_EXCEEDED, message),
            Error::Stopped { .. } => SqlError::new(state::CANNOT_CONNECT_NOW, message)
                .with_hint("Restart the server; recovery keeps what was acknowledged."),
            Error::Internal { .. } | Error::Invalid { .. } => {
                SqlError::new(state::INTERNAL_ERROR, message)
            }
            _ => SqlError::new(state::IO_ERROR, message),
        }
    }
}

impl From<heliosdb_dump::Error> for SqlError {
    fn from(error: heliosdb_dump::Error) -> SqlError {
        use heliosdb_dump::Error;
        let code = match error {
            Error::Storage(error) => return SqlError::from(error),
            Error::Write(ref io) if io.kind() == std::io::ErrorKind::StorageFull => {
                state::DISK_FULL
            }
            Error::Write(_) | Error::Read { .. } => state::IO_ERROR,
            Error::NotEmpty(_) => state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            ref e if e.is_damage() => state::DATA_CORRUPTED,
            _ => state::INTERNAL_ERROR,
        };
        SqlError::new(code, error.to_string())
    }
}

impl From<arrow::error::ArrowError> for SqlError {
    fn from(error: arrow::error::ArrowError) -> SqlError {
        crate::plan::error::convert(datafusion::error::DataFusionError::from(error))
    }
}

impl From<datafusion::error::DataFusionError> for SqlError {
    fn from(error: datafusion::error::DataFusionError) -> SqlError {
        crate::plan::error::convert(error)
    }
}
