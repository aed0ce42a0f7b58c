//! The `.slt` files of this directory, run against the embedded API.
//!
//! A file's `query` shows values as PostgreSQL's text output, NULL as `NULL` and an empty string as
//! `(empty)`; `statement error (22012)` names a SQLSTATE. Each file has a database of its own, and
//! the connections that it names are connections to that database.
//!
//! Every file runs on each [`Edition`], and on each twice: with the plugins linked into the program,
//! and with the same plugins loaded from their shared objects ([`Linkage`]). What a file leaves in Lite
//! is then moved to Full ([`moved`]).

pub mod moved;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use heliosdb_kernel::{Config, Connection, Database, RootRef, SqlError};
use heliosdb_plugin_testkit::build;
use sqllogictest::{DBOutput, DefaultColumnType};

/// A database in a directory that goes with its last connection.
#[derive(Clone)]
pub struct Scratch {
    database: Database,
    _directory: Arc<tempfile::TempDir>,
}

/// Whose a database is, and whose plugins it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    Lite,
    Full,
}

impl Edition {
    pub const ALL: [Edition; 2] = [Edition::Lite, Edition::Full];

    /// What its databases call it.
    pub fn name(self) -> &'static str {
        match self {
            Edition::Lite => heliosdb_lite::EDITION.name,
            Edition::Full => heliosdb_full::EDITION.name,
        }
    }

    /// The ids of its plugins.
    pub fn plugins(self) -> &'static [&'static str] {
        match self {
            Edition::Lite => &heliosdb_lite::bundle::PLUGINS,
            Edition::Full => &heliosdb_full::bundle::PLUGINS,
        }
    }

    /// Its plugins, as linked into this program, which links those of both.
    ///
    /// # Errors
    ///
    /// One of them is not linked.
    pub fn linked(self) -> Result<Vec<RootRef>, Failure> {
        let linked = match self {
            Edition::Lite => heliosdb_lite::bundle::plugins(),
            Edition::Full => heliosdb_full::bundle::plugins(),
        };
        linked.map_err(|error| Failure::setup(&error))
    }
}

/// How the plugins of an edition get into a database.
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
    pub fn new(edition: Edition, linkage: Linkage) -> Result<Scratch, Failure> {
        let directory = tempfile::tempdir().map_err(|error| Failure::setup(&error))?;
        let linked = match linkage {
            Linkage::Static => edition.linked()?,
            Linkage::Dynamic => {
                let plugins = directory.path().join("plugins");
                std::fs::create_dir(&plugins).map_err(|error| Failure::setup(&error))?;
                for id in edition.plugins() {
                    let from = shared_object(id);
                    let to = plugins.join(format!("{id}.so"));
                    // As a link, so that the loader maps one file however many databases open it.
                    std::os::unix::fs::symlink(from, to).map_err(|e| Failure::setup(&e))?;
                }
                Vec::new()
            }
        };
        let config = Config::default();
        let database = Database::open_edition(directory.path(), &config, &linked, edition.name());
        Ok(Scratch {
            database: database.map_err(|error| Failure::setup(&error))?,
            _directory: Arc::new(directory),
        })
    }

    pub fn database(&self) -> &Database {
        &self.database
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
        let mut ids: Vec<&str> = Edition::ALL.map(Edition::plugins).concat();
        ids.sort_unstable();
        ids.dedup();
        let package = |id: &&str| format!("heliosdb-{}-dyn", id.replace('_', "-"));
        let packages: Vec<String> = ids.iter().map(package).collect();
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        build::packages(manifest, &packages)
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
