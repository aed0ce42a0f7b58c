//! The `.slt` files of this directory, run against the embedded API.
//!
//! A file's `query` shows values as PostgreSQL's text output, NULL as `NULL` and an empty string as
//! `(empty)`; `statement error (22012)` names a SQLSTATE. Each file has a database of its own, and
//! the connections that it names are connections to that database.
//!
//! Every file runs twice: with the plugins linked into the program, and with the same plugins loaded
//! from their shared objects ([`Linkage`]).

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use heliosdb_kernel::{Config, Connection, Database, SqlError};
use heliosdb_lite::bundle;
use heliosdb_plugin_testkit::build;
use sqllogictest::{DBOutput, DefaultColumnType};

/// A database in a directory that goes with its last connection.
#[derive(Clone)]
pub struct Scratch {
    database: Database,
    _directory: Arc<tempfile::TempDir>,
}

/// How the plugins of the bundle get into a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// Linked into the program.
    Static,
    /// From a plugin directory, into a program that links none.
    Dynamic,
}

impl Scratch {
    /// # Errors
    ///
    /// When the database cannot be made or does not open.
    pub fn new(linkage: Linkage) -> Result<Scratch, Failure> {
        let directory = tempfile::tempdir().map_err(|error| Failure::setup(&error))?;
        let linked = match linkage {
            Linkage::Static => bundle::plugins().map_err(|error| Failure::setup(&error))?,
            Linkage::Dynamic => {
                let plugins = directory.path().join("plugins");
                std::fs::create_dir(&plugins).map_err(|error| Failure::setup(&error))?;
                for id in bundle::PLUGINS {
                    let from = shared_object(id);
                    let to = plugins.join(format!("{id}.so"));
                    // As a link, so that the loader maps one file however many databases open it.
                    std::os::unix::fs::symlink(from, to).map_err(|e| Failure::setup(&e))?;
                }
                Vec::new()
            }
        };
        let database = Database::open_bundle(directory.path(), &Config::default(), &linked)
            .map_err(|error| Failure::setup(&error))?;
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

/// The shared object of a bundled plugin, built from the present source.
fn shared_object(id: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let manifest = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let packages = bundle::PLUGINS.map(|id| format!("heliosdb-{id}-dyn"));
        build::packages(manifest, &packages.each_ref().map(String::as_str))
    });
    directory.join(format!("libhelios_{id}.so"))
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
