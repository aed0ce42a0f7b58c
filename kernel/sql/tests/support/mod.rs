//! A database in a temporary directory, and sessions that print what psql would, roughly.

#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;

use expect_test::Expect;
use heliosdb_plugin_api::abi::RootRef;
use heliosdb_plugin_host::PluginHost;
use heliosdb_plugin_host::boot::BootPlan;
use heliosdb_plugin_host::config::PluginsConfig;
use heliosdb_plugin_host::host::manifests;
use heliosdb_plugin_host::service::{MemoryLimit, Unlimited};
use heliosdb_sql::types::{Format, encode_text};
use heliosdb_sql::{Instance, InstanceOptions, Outcome, Rows, Session, SessionOptions, SqlError};
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::{Engine, Options};

pub mod letters;
pub mod points;
pub mod stage;
pub mod watcher;
pub mod words;

pub struct Db {
    pub instance: Arc<Instance>,
    directory: Arc<tempfile::TempDir>,
}

/// Plugins that are linked into the test.
#[derive(Clone, Default)]
pub struct Plugins {
    pub roots: Vec<RootRef>,
    /// `[plugins]` of the settings.
    pub config: PluginsConfig,
    /// None of them starts.
    pub fail: bool,
}

impl Db {
    pub fn new() -> Db {
        Db::with(&Plugins::default())
    }

    pub fn with(plugins: &Plugins) -> Db {
        Db::open(
            Arc::new(tempfile::tempdir().unwrap()),
            plugins,
            Options::default(),
        )
    }

    /// With settings of storage, which a reopening forgets.
    pub fn with_options(options: Options) -> Db {
        Db::with_plugins_and_options(&Plugins::default(), options)
    }

    pub fn with_plugins_and_options(plugins: &Plugins, options: Options) -> Db {
        Db::open(Arc::new(tempfile::tempdir().unwrap()), plugins, options)
    }

    /// One with a budget of so many bytes of memory.
    pub fn within(memory_bytes_max: usize) -> Db {
        Db::with_options(Options {
            memory_bytes_max,
            ..Options::default()
        })
    }

    fn open(directory: Arc<tempfile::TempDir>, plugins: &Plugins, options: Options) -> Db {
        let disk = Arc::new(Disk::open(directory.path()).unwrap());
        let engine = Engine::open(disk.clone(), options).unwrap();
        let bundled = manifests(&plugins.roots).unwrap();
        let plan = BootPlan::make(
            disk,
            directory.path(),
            &plugins.config,
            bundled,
            &|kind, name| plugins.fail || heliosdb_sql::is_builtin(kind, name),
        );
        let memory: Arc<dyn MemoryLimit> = Arc::new(Unlimited);
        let timeout = std::time::Duration::from_secs(30);
        let host = PluginHost::boot(plan.unwrap(), &plugins.roots, &engine, timeout, &memory);
        let options = InstanceOptions {
            plugins: host.unwrap(),
            ..InstanceOptions::default()
        };
        let instance = Instance::open(engine, options).unwrap();
        Db {
            instance,
            directory,
        }
    }

    /// Closes without a goodbye and opens again.
    pub fn reopen(self) -> Db {
        self.reopen_with(&Plugins::default())
    }

    pub fn reopen_with(self, plugins: &Plugins) -> Db {
        let directory = self.directory.clone();
        self.instance.shutdown();
        let holders = Arc::strong_count(&self.instance);
        assert_eq!(holders, 1, "sessions or plans hold the database");
        drop(self);
        Db::open(directory, plugins, Options::default())
    }

    pub fn session(&self) -> Client {
        self.session_of("helios")
    }

    pub fn session_of(&self, user: &str) -> Client {
        let options = SessionOptions {
            user: user.to_owned(),
            database: "helios".to_owned(),
            ..SessionOptions::default()
        };
        Client(self.instance.session(options).unwrap())
    }
}

pub struct Client(pub Session);

impl Client {
    /// Runs each statement on its own and prints what comes of it; goes on after errors.
    pub fn run(&mut self, sql: &str) -> String {
        let mut out = String::new();
        let statements = match self.0.parse(sql) {
            Ok(statements) => statements,
            Err(e) => return print_error(&e),
        };
        for statement in &statements {
            let result = self.0.execute(statement, &[]);
            for notice in self.0.take_notices() {
                out.push_str(&format!("{}: {}\n", notice.severity, notice.message));
                if let Some(detail) = &notice.detail {
                    out.push_str(&format!("DETAIL: {detail}\n"));
                }
            }
            out.push_str(&match result {
                Ok(outcome) => self.print(outcome),
                Err(e) => print_error(&e),
            });
        }
        out
    }

    /// Runs one statement that must succeed.
    pub fn ok(&mut self, sql: &str) -> String {
        let statements = self.0.parse(sql).unwrap();
        let mut out = String::new();
        for statement in &statements {
            match self.0.execute(statement, &[]) {
                Ok(outcome) => out.push_str(&self.print(outcome)),
                Err(e) => panic!("{}: {e}", statement.text),
            }
        }
        out
    }

    pub fn copy_in(&mut self, sql: &str, data: &[u8]) -> String {
        let statement = self.0.parse(sql).unwrap().remove(0);
        match self.0.execute(&statement, &[]) {
            Ok(Outcome::CopyIn { .. }) => {}
            Ok(_) => return "not a COPY\n".to_owned(),
            Err(e) => return print_error(&e),
        }
        for chunk in data.chunks(1 << 16) {
            if let Err(e) = self.0.copy_in_data(chunk) {
                return print_error(&e);
            }
        }
        match self.0.copy_in_done() {
            Ok(tag) => format!("{}\n", tag.0),
            Err(e) => print_error(&e),
        }
    }

    pub fn print(&mut self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Rows(rows) => {
                let format = self.0.info().format();
                match print_rows(rows, &format) {
                    Ok(text) => text,
                    Err(e) => print_error(&e),
                }
            }
            Outcome::Command(tag) => format!("{}\n", tag.0),
            Outcome::CopyIn { .. } => {
                self.0.copy_in_fail("no data");
                "COPY IN\n".to_owned()
            }
            Outcome::CopyOut(mut out) => {
                let mut text = Vec::new();
                while let Some(chunk) = out.next_chunk().unwrap() {
                    text.extend(chunk.data);
                }
                String::from_utf8(text).unwrap() + &out.tag().0 + "\n"
            }
            Outcome::Empty => String::new(),
        }
    }
}

fn print_rows(mut rows: Rows, format: &Format) -> Result<String, SqlError> {
    let columns = rows.columns().to_vec();
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let mut out = names.join(" | ") + "\n";
    let mut n = 0;
    while let Some(batch) = rows.next_batch()? {
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns
                .iter()
                .zip(batch.columns())
                .map(|(column, array)| {
                    let mut text = String::new();
                    if array.is_null(row) {
                        text.push_str("NULL");
                    } else {
                        encode_text(array.as_ref(), row, &column.ty, format, &mut text);
                    }
                    text
                })
                .collect();
            out.push_str(&(values.join(" | ") + "\n"));
            n += 1;
        }
    }
    let tag = rows.tag(n).0;
    if tag != format!("SELECT {n}") {
        out.push_str(&(tag + "\n"));
    }
    Ok(out)
}

fn print_error(e: &SqlError) -> String {
    let mut out = format!("ERROR {}: {}\n", e.code.as_str(), e.message);
    for (label, text) in [
        ("DETAIL", &e.detail),
        ("HINT", &e.hint),
        ("CONTEXT", &e.context),
    ] {
        if let Some(text) = text {
            out.push_str(&format!("{label}: {text}\n"));
        }
    }
    out
}

/// Runs a script in a new database and compares what it prints.
pub fn check(sql: &str, expected: Expect) {
    let db = Db::new();
    expected.assert_eq(&db.session().run(sql));
}
