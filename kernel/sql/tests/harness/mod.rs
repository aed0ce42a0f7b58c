//! A session without storage: DataFusion with our semantics over in-memory tables, and PostgreSQL
//! to compare it with when the machine has one.

// Tests read and write files themselves.
#![allow(dead_code, clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use heliosdb_sql::error::{Result, SqlError};
use heliosdb_sql::functions::Functions;
use heliosdb_sql::semantics::{self, SessionVars, map_error};
use heliosdb_sql::types::{PgType, encode_text};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

pub type Row = Vec<Option<String>>;

pub struct Answer {
    pub columns: Vec<String>,
    pub types: Vec<PgType>,
    pub rows: Vec<Row>,
}

pub struct Session {
    pub context: SessionContext,
    pub vars: SessionVars,
    runtime: tokio::runtime::Runtime,
}

impl Session {
    pub fn new() -> Session {
        let vars = SessionVars::default();
        let mut config = SessionConfig::new().with_target_partitions(2);
        semantics::configure(config.options_mut());
        config.options_mut().extensions.insert(vars.clone());
        let builder = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features();
        let state = heliosdb_sql::functions::session_state(builder).build();
        let context = SessionContext::new_with_state(state);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .thread_stack_size(8 << 20)
            .build()
            .unwrap();
        Session {
            context,
            vars,
            runtime,
        }
    }

    pub fn table(&self, name: &str, batches: Vec<RecordBatch>) {
        let schema = batches[0].schema();
        let table = MemTable::try_new(schema, vec![batches]).unwrap();
        self.context.register_table(name, Arc::new(table)).unwrap();
    }

    pub fn run(&self, sql: &str) -> Result<Answer> {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql)
            .map_err(|e| semantics::errors::map_parser_error(&e))?;
        let mut statement = statements.remove(0);
        semantics::rewrite_statement(&mut statement, &Functions::builtin())?;
        let state = self.context.state();
        let statement = datafusion::sql::parser::Statement::Statement(Box::new(statement));
        self.runtime.block_on(async {
            let plan = state
                .statement_to_plan(statement)
                .await
                .map_err(map_error)?;
            let frame = self
                .context
                .execute_logical_plan(plan)
                .await
                .map_err(map_error)?;
            let schema = frame.schema().clone();
            let batches = frame.collect().await.map_err(map_error)?;
            let types: Vec<PgType> = schema
                .fields()
                .iter()
                .map(|f| match PgType::from_arrow(f.data_type()) {
                    Some(PgType::Unknown) | None => PgType::Text,
                    Some(t) => t,
                })
                .collect();
            let columns = schema
                .fields()
                .iter()
                .map(|f| semantics::output_name(f.name()).to_string())
                .collect();
            let mut rows = Vec::new();
            for b in &batches {
                for r in 0..b.num_rows() {
                    rows.push(
                        b.columns()
                            .iter()
                            .zip(&types)
                            .map(|(c, ty)| {
                                if c.is_null(r)
                                    || *c.data_type() == arrow::datatypes::DataType::Null
                                {
                                    return None;
                                }
                                let mut out = String::new();
                                encode_text(c, r, ty, &self.vars.format, &mut out);
                                Some(out)
                            })
                            .collect(),
                    );
                }
            }
            Ok::<_, SqlError>(Answer {
                columns,
                types,
                rows,
            })
        })
    }
}

/// A PostgreSQL of its own on a socket in a temporary directory; stopped when dropped.
pub struct Postgres {
    directory: tempfile::TempDir,
    as_user: Vec<String>,
}

fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|d| d.join(name))
        .find(|p| p.is_file())
}

impl Postgres {
    /// Starts one, or says why not.
    pub fn start() -> std::result::Result<Postgres, String> {
        for tool in ["initdb", "pg_ctl", "psql"] {
            which(tool).ok_or_else(|| format!("{tool} is not on the PATH"))?;
        }
        let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
        // PostgreSQL refuses to run as root.
        let root = Command::new("id")
            .arg("-u")
            .output()
            .is_ok_and(|o| o.stdout.starts_with(b"0\n"));
        let as_user: Vec<String> = if root {
            which("setpriv").ok_or("running as root without setpriv")?;
            let chown = Command::new("chown")
                .arg("nobody")
                .arg(directory.path())
                .status();
            if !chown.is_ok_and(|s| s.success()) {
                return Err("cannot give a directory to nobody".into());
            }
            [
                "setpriv",
                "--reuid=nobody",
                "--regid=nogroup",
                "--clear-groups",
            ]
            .map(String::from)
            .to_vec()
        } else {
            Vec::new()
        };
        let pg = Postgres { directory, as_user };
        let data = pg.directory.path().join("data");
        pg.call(
            "initdb",
            &[
                "-D",
                data.to_str().unwrap(),
                "-U",
                "helios",
                "-A",
                "trust",
                "--locale=C",
                "--encoding=UTF8",
            ],
        )?;
        let socket = pg.directory.path().to_str().unwrap().to_string();
        let options = format!("-k {socket} -c listen_addresses= -c fsync=off -c timezone=UTC");
        let log = pg.directory.path().join("log");
        pg.call(
            "pg_ctl",
            &[
                "-D",
                data.to_str().unwrap(),
                "-o",
                &options,
                "-l",
                log.to_str().unwrap(),
                "-w",
                "start",
            ],
        )?;
        Ok(pg)
    }

    /// The directory of its socket.
    pub fn socket(&self) -> &Path {
        self.directory.path()
    }

    fn call(&self, program: &str, args: &[&str]) -> std::result::Result<(), String> {
        let mut words: Vec<&str> = self.as_user.iter().map(String::as_str).collect();
        words.push(program);
        words.extend(args);
        let status = Command::new(words[0])
            .args(&words[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir(self.directory.path())
            .status()
            .map_err(|e| format!("{program}: {e}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{program} failed: {status}"))
        }
    }

    /// Runs each statement by itself: its rows (with the column types as `pg_typeof` prints them
    /// left to the statement), or its SQLSTATE.
    pub fn run(&self, statements: &[String]) -> Vec<std::result::Result<Vec<Row>, String>> {
        let mut script = String::from("\\set VERBOSITY sqlstate\n\\set ON_ERROR_STOP off\n");
        for (i, sql) in statements.iter().enumerate() {
            script.push_str(&format!("\\echo '<<{i}>>'\n\\warn '<<{i}>>'\n{sql};\n"));
        }
        let file = self.directory.path().join("script.sql");
        std::fs::write(&file, script).unwrap();
        let output = Command::new("psql")
            .args([
                "-X", "-q", "-A", "-t", "-F", "\u{1f}", "-R", "\u{1e}", "-P", "null=\\N",
            ])
            .args([
                "-h",
                self.directory.path().to_str().unwrap(),
                "-U",
                "helios",
                "-d",
                "postgres",
            ])
            .arg("-f")
            .arg(&file)
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let parts = |text: &str, i: usize| -> String {
            let start = format!("<<{i}>>\n");
            let Some((_, rest)) = text.split_once(&start) else {
                return String::new();
            };
            match rest.split_once(&format!("<<{}>>\n", i + 1)) {
                Some((part, _)) => part.to_string(),
                None => rest.to_string(),
            }
        };
        (0..statements.len())
            .map(|i| {
                let error = parts(&stderr, i);
                if let Some((_, code)) = error.split_once("ERROR:  ") {
                    return Err(code.trim().chars().take(5).collect());
                }
                let out = parts(&stdout, i);
                let out = out.strip_suffix('\n').unwrap_or(&out);
                if out.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(out
                    .split('\u{1e}')
                    .map(|row| {
                        row.split('\u{1f}')
                            .map(|v| (v != "\\N").then(|| v.to_string()))
                            .collect()
                    })
                    .collect())
            })
            .collect()
    }
}

impl Postgres {
    /// Runs statements one after the other in a new database, and says what each printed, in the words of
    /// `support::Client::run`.
    pub fn script(&self, database: &str, statements: &[&str]) -> Vec<String> {
        let psql = |database: &str, args: &[&str]| {
            let socket = self.directory.path().to_str().unwrap();
            let mut command = Command::new("psql");
            command.args([
                "-X",
                "-A",
                "-F",
                " | ",
                "-P",
                "null=NULL",
                "-P",
                "footer=off",
            ]);
            command.args(["-h", socket, "-U", "helios", "-d", database]);
            command.args(args).output().unwrap()
        };
        let created = psql("postgres", &["-c", &format!("CREATE DATABASE {database}")]);
        assert!(created.status.success(), "{created:?}");
        let mut answers = Vec::new();
        let mut script = String::from("\\set VERBOSITY verbose\n\\set SHOW_CONTEXT never\n");
        for (i, sql) in statements.iter().enumerate() {
            script.push_str(&format!("\\echo '<<{i}>>'\n\\warn '<<{i}>>'\n{sql}\n"));
        }
        let file = self.directory.path().join("script.sql");
        std::fs::write(&file, script).unwrap();
        let output = psql(database, &["-f", file.to_str().unwrap()]);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        for i in 0..statements.len() {
            let part = |text: &str| -> String {
                let (_, rest) = text.split_once(&format!("<<{i}>>\n")).unwrap_or_default();
                let (part, _) = rest
                    .split_once(&format!("<<{}>>\n", i + 1))
                    .unwrap_or((rest, ""));
                part.to_owned()
            };
            answers.push(messages(&part(&stderr)) + &part(&stdout));
        }
        answers
    }
}

impl Postgres {
    /// Runs one statement with this on its standard input; the bytes it printed, or its error.
    pub fn pipe(
        &self,
        database: &str,
        sql: &str,
        input: &[u8],
    ) -> std::result::Result<Vec<u8>, String> {
        let socket = self.directory.path().to_str().unwrap();
        let mut child = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "VERBOSITY=verbose"])
            .args(["-h", socket, "-U", "helios", "-d", database, "-c", sql])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have failed already and read nothing.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input);
        let output = child.wait_with_output().unwrap();
        let errors = messages(&String::from_utf8_lossy(&output.stderr));
        if errors.contains("ERROR ") {
            return Err(errors);
        }
        Ok(output.stdout)
    }

    /// A new database.
    pub fn create(&self, database: &str) {
        let made = self.pipe("postgres", &format!("CREATE DATABASE {database}"), b"");
        made.unwrap();
    }
}

/// The notices and errors that psql printed, without where in the server and in the statement they are from.
fn messages(text: &str) -> String {
    let mut out = String::new();
    let mut after_line = false;
    for line in text.lines() {
        // "psql:FILE:LINE: ERROR:  42P01: message"
        let line = match line.strip_prefix("psql:") {
            Some(rest) => rest.splitn(3, ':').nth(2).unwrap_or_default().trim_start(),
            None => line,
        };
        let caret = std::mem::take(&mut after_line);
        if line.starts_with("LINE ") {
            after_line = true;
            continue;
        }
        const FIELDS: [&str; 6] = [
            "LOCATION:",
            "SCHEMA NAME:",
            "TABLE NAME:",
            "COLUMN NAME:",
            "DATATYPE NAME:",
            "CONSTRAINT NAME:",
        ];
        if caret || FIELDS.iter().any(|field| line.starts_with(field)) {
            continue;
        }
        let said = line.split_once(":  ").map(|(label, rest)| match label {
            "ERROR" => format!("ERROR {rest}"),
            "DETAIL" | "HINT" | "CONTEXT" => format!("{label}: {rest}"),
            _ => {
                let message = rest.split_once(": ").map_or(rest, |(_, message)| message);
                format!("{label}: {message}")
            }
        });
        out.push_str(&said.unwrap_or_else(|| line.to_owned()));
        out.push('\n');
    }
    out
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.directory.path().join("data");
        let _ = self.call(
            "pg_ctl",
            &["-D", data.to_str().unwrap(), "-m", "immediate", "stop"],
        );
    }
}

/// The shared data beside the checkout, or `None`.
pub fn shared_data() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let candidates = [root.join("../shared/data"), root.join("../../shared/data")];
    candidates.into_iter().find(|p| p.is_dir())
}
