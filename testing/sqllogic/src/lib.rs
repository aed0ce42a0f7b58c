//! The `.slt` files of this directory, run against the embedded API.
//!
//! A file's `query` shows values as PostgreSQL's text output, NULL as `NULL` and an empty string as
//! `(empty)`; `statement error (22012)` names a SQLSTATE. Each file has a database of its own, and
//! the connections that it names are connections to that database.

use std::sync::Arc;

use heliosdb_kernel::{Connection, Database, SqlError};
use sqllogictest::{DBOutput, DefaultColumnType};

/// A database in a directory that goes with its last connection.
#[derive(Clone)]
pub struct Scratch {
    database: Database,
    _directory: Arc<tempfile::TempDir>,
}

impl Scratch {
    pub fn new() -> Result<Scratch, Failure> {
        let directory = tempfile::tempdir().map_err(|error| Failure::setup(&error))?;
        let database = Database::open(directory.path()).map_err(|error| Failure::setup(&error))?;
        Ok(Scratch {
            database,
            _directory: Arc::new(directory),
        })
    }

    pub fn connect(&self) -> Result<Session, Failure> {
        let connection = self.database.connect().map_err(Failure::sql)?;
        Ok(Session {
            connection,
            _scratch: self.clone(),
        })
    }
}

/// What a file sees as one connection.
pub struct Session {
    connection: Connection,
    _scratch: Scratch,
}

/// A statement failed, or the database could not be made.
#[derive(Debug)]
pub enum Failure {
    Sql(Box<SqlError>),
    Setup(String),
}

impl Failure {
    fn sql(error: SqlError) -> Failure {
        Failure::Sql(Box::new(error))
    }

    fn setup(error: &dyn std::fmt::Display) -> Failure {
        Failure::Setup(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Sql(error) => write!(f, "{error}"),
            Failure::Setup(why) => write!(f, "cannot make a database: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

impl sqllogictest::DB for Session {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let rows = self.connection.query(sql, &[]).map_err(Failure::sql)?;
        let width = rows.columns().len();
        if width == 0 {
            return Ok(DBOutput::StatementComplete(0));
        }
        let mut shown = Vec::with_capacity(rows.len());
        for row in &rows {
            let cell = |at| {
                row.get::<Option<String>>(at)
                    .map(show)
                    .map_err(Failure::sql)
            };
            let cells: Result<Vec<String>, Failure> = (0..width).map(cell).collect();
            shown.push(cells?);
        }
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Any; width],
            rows: shown,
        })
    }

    fn engine_name(&self) -> &str {
        "heliosdb"
    }

    fn error_sql_state(error: &Failure) -> Option<String> {
        match error {
            Failure::Sql(error) => Some(error.code.as_str().to_string()),
            Failure::Setup(_) => None,
        }
    }
}

fn show(value: Option<String>) -> String {
    match value {
        None => "NULL".to_string(),
        Some(text) if text.is_empty() => "(empty)".to_string(),
        Some(text) => text,
    }
}
