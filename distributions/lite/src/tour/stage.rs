//! What steps have in common: the database, two connections to it, and how things are shown.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use heliosdb_command::client::{Client, Column, Dial, Error, Identity, ServerError, Sink, TextRow};
use heliosdb_command::open::{CONFIG_FILE, Opened, Overrides, PASSWORD_FILE};
use heliosdb_command::output::{Format, describe, write_result};
use heliosdb_tpch::Scale;

use super::directory::Directory;
use super::numbers;
use super::step::{Next, Outcome, Trouble};
use crate::EDITION;

/// Sentences are broken at this column; results are not.
const COLUMNS: usize = 100;

/// What the tour's database is told, and takes along into Full.
const CONFIG: &str =
    "# The settings of the tour's database; heliosdb.toml of the repository explains all there are.

[plugins.jsonschema]
max_errors = 5
";

pub struct Stage {
    directory: Directory,
    data: PathBuf,
    opened: Arc<Opened>,
    address: SocketAddr,
    first: Client,
    second: Client,
    pub scale: Scale,
    /// What step `export` wrote, for the import.
    pub dump: Option<PathBuf>,
    /// Said again at the end, when everything stays.
    pub lasting: Vec<String>,
}

/// Which connection a statement runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    First,
    Second,
}

/// What one run of SQL gave.
#[derive(Default)]
pub struct Answer<'a> {
    results: Vec<Shown>,
    copied: Vec<u8>,
    source: Option<&'a mut dyn Read>,
}

enum Shown {
    Rows(Vec<Column>, Vec<TextRow>),
    Tag(String),
    Notice(ServerError),
}

impl Answer<'_> {
    /// Rows of the last result.
    pub fn rows(&self) -> &[TextRow] {
        let last = self.results.iter().rev().find_map(|shown| match shown {
            Shown::Rows(_, rows) => Some(rows.as_slice()),
            _ => None,
        });
        last.unwrap_or_default()
    }

    /// The only value of the last result.
    pub fn value(&self) -> Option<&str> {
        match self.rows() {
            [row] => match row.as_slice() {
                [value] => value.as_deref(),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether a value of the last result has `text` in it.
    pub fn contains(&self, text: &str) -> bool {
        let values = self.rows().iter().flatten().flatten();
        values.into_iter().any(|value| value.contains(text))
    }

    /// All results as CSV, to be compared.
    pub fn csv(&self) -> Result<Vec<u8>, Trouble> {
        let mut out = Vec::new();
        for shown in &self.results {
            if let Shown::Rows(columns, rows) = shown {
                write_result(&mut out, Format::Csv, false, columns, rows)
                    .map_err(Trouble::Output)?;
            }
        }
        Ok(out)
    }

    fn show(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.copied)?;
        for shown in &self.results {
            match shown {
                Shown::Rows(columns, rows) => {
                    write_result(out, Format::Table, false, columns, rows)?;
                }
                Shown::Tag(tag) => writeln!(out, "{tag}")?,
                Shown::Notice(notice) => writeln!(out, "{}", describe(notice, ""))?,
            }
        }
        Ok(())
    }
}

impl Sink for Answer<'_> {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.results.push(Shown::Rows(columns.to_vec(), Vec::new()));
        Ok(())
    }

    fn row(&mut self, row: TextRow) -> io::Result<()> {
        if let Some(Shown::Rows(_, rows)) = self.results.last_mut() {
            rows.push(row);
        }
        Ok(())
    }

    fn complete(&mut self, tag: &str) -> io::Result<()> {
        // The number of rows stands below them.
        if !tag.starts_with("SELECT") && !tag.starts_with("EXPLAIN") {
            self.results.push(Shown::Tag(tag.to_owned()));
        }
        Ok(())
    }

    fn notice(&mut self, notice: &ServerError) -> io::Result<()> {
        self.results.push(Shown::Notice(notice.clone()));
        Ok(())
    }

    fn copy_data(&mut self, data: &[u8]) -> io::Result<()> {
        self.copied.extend_from_slice(data);
        Ok(())
    }

    fn copy_source(&mut self) -> Option<&mut dyn Read> {
        match &mut self.source {
            Some(source) => Some(&mut **source),
            None => None,
        }
    }
}

impl Stage {
    /// Make the database, open it, serve it on a free port, connect twice.
    pub fn open(directory: &Directory, scale: Scale) -> Result<Stage, String> {
        let data = directory.path().join("lite");
        let config = data.join(CONFIG_FILE);
        fs::create_dir(&data)
            .and_then(|()| fs::write(&config, CONFIG))
            .map_err(|error| format!("cannot write {}: {error}", config.display()))?;
        let overrides = Overrides {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            ..Overrides::default()
        };
        let opened = Arc::new(Opened::serve(&EDITION, &data, overrides)?);
        let address = *opened
            .addresses()
            .first()
            .ok_or("the server listens nowhere")?;
        let connect = || {
            Client::connect(opened.dial(), &opened.first_identity())
                .map_err(|error| describe_error(&error))
        };
        let (first, second) = (connect()?, connect()?);
        Ok(Stage {
            directory: directory.clone(),
            data,
            opened,
            address,
            first,
            second,
            scale,
            dump: None,
            lasting: Vec::new(),
        })
    }

    pub fn close(self) -> Result<(), String> {
        let Stage {
            opened,
            first,
            second,
            ..
        } = self;
        // Their connections hold the server.
        drop((first, second));
        match Arc::into_inner(opened) {
            Some(opened) => opened.close(),
            None => Ok(()),
        }
    }

    /// The database's directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A place for files of a step.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// How a client reaches the server; the password stands in [`Stage::password_file`].
    pub fn url(&self) -> String {
        format!("postgres://helios@{}/helios", self.address)
    }

    pub fn password_file(&self) -> PathBuf {
        self.data.join(PASSWORD_FILE)
    }

    /// What another connection to the database needs.
    pub fn dial(&self) -> (Dial, Identity) {
        (self.opened.dial(), self.opened.first_identity())
    }

    /// Run `sql` and show it, what it answered, and how long that took.
    pub fn run(&mut self, who: Who, sql: &str) -> Result<Answer<'static>, Trouble> {
        self.show_sql(who, sql)?;
        let begun = Instant::now();
        let answer = self.ask(who, sql);
        let took = begun.elapsed();
        match answer {
            Ok(answer) => {
                let mut out = io::stdout().lock();
                answer
                    .show(&mut out)
                    .and_then(|()| writeln!(out, "Time: {}", numbers::time(took)))
                    .map_err(Trouble::Output)?;
                Ok(answer)
            }
            Err(error) => {
                self.line(&describe_error(&error))?;
                Err(Trouble::failed("the statement above was to succeed"))
            }
        }
    }

    /// Run `sql`, which must fail with `sqlstate`, and show both.
    pub fn refused(&mut self, sqlstate: &str, sql: &str) -> Outcome {
        self.show_sql(Who::First, sql)?;
        match self.ask(Who::First, sql) {
            Ok(_) => Err(Trouble::failed(format!(
                "the statement above was to be refused with SQLSTATE {sqlstate}"
            ))),
            Err(Error::Server(error)) if error.code == sqlstate => {
                self.line(&describe(&error, ""))?;
                self.line(&format!("SQLSTATE: {sqlstate}"))
            }
            Err(error) => Err(Trouble::failed(describe_error(&error))),
        }
    }

    /// Run `sql` without showing anything.
    pub fn ask(&mut self, who: Who, sql: &str) -> Result<Answer<'static>, Error> {
        let mut answer = Answer::default();
        self.client(who).run(sql, &mut answer)?;
        Ok(answer)
    }

    /// The only value that a query answers, without showing anything.
    pub fn value(&mut self, sql: &str) -> Result<String, Trouble> {
        let answer = self.ask(Who::First, sql);
        let answer = answer.map_err(|error| Trouble::failed(describe_error(&error)))?;
        let value = answer.value();
        value
            .map(str::to_owned)
            .ok_or_else(|| Trouble::failed(format!("not one value: {sql}")))
    }

    /// Run `COPY … FROM STDIN` with `source` behind it.
    pub fn copy(&mut self, sql: &str, source: &mut dyn Read) -> Outcome {
        let mut answer = Answer {
            source: Some(source),
            ..Answer::default()
        };
        self.client(Who::First)
            .run(sql, &mut answer)
            .map_err(|error| Trouble::failed(describe_error(&error)))
    }

    /// End transactions that a failed step left behind.
    pub fn recover(&mut self) {
        for who in [Who::First, Who::Second] {
            if self.client(who).in_transaction() {
                // A connection that is lost fails the next step, which says so.
                let _ = self.ask(who, "ROLLBACK");
            }
            let _ = self.ask(who, "RESET branch");
        }
    }

    fn client(&mut self, who: Who) -> &mut Client {
        match who {
            Who::First => &mut self.first,
            Who::Second => &mut self.second,
        }
    }

    pub fn welcome(&self, steps: usize) -> Outcome {
        self.say(&format!(
            "HeliosDB Lite {}: a tour in {steps} steps, on TPC-H data of scale {}.",
            env!("CARGO_PKG_VERSION"),
            self.scale.factor(),
        ))?;
        let directory = self.directory.path().display();
        self.line(&if self.directory.is_kept() {
            format!("Everything it writes is in {directory}, and stays there.")
        } else {
            format!("Everything it writes is in {directory}, which is removed in the end (--keep DIR keeps it).")
        })?;
        self.say("The database is open and serves PostgreSQL's protocol. A second terminal may look at any time:")?;
        self.line(&format!(
            "    PGPASSWORD=$(cat {}) psql {}",
            self.password_file().display(),
            self.url()
        ))?;
        self.line("    or, without psql, heliosdb-lite sql --connection in its place.")
    }

    pub fn title(&self, number: usize, title: &str) -> Outcome {
        let text = format!("━━ {number}. {title} ");
        let rule = "━".repeat(COLUMNS.saturating_sub(text.chars().count()));
        self.line(&format!("\n{text}{rule}"))
    }

    /// What the reader may try while the tour waits or goes on.
    pub fn suggest(&self, next: &[Next]) -> Outcome {
        if next.is_empty() {
            return Ok(());
        }
        self.line("\nTry next:")?;
        for next in next {
            match next {
                Next::Sql(sql) => self.line(&format!("    try> {sql}"))?,
                Next::Read(text) => self.line(&format!("    {text}"))?,
            }
        }
        Ok(())
    }

    pub fn farewell(&self, took: Duration, failed: &[&str]) -> Outcome {
        self.line(&format!("\n{}", "━".repeat(COLUMNS)))?;
        if self.directory.is_kept() {
            for text in &self.lasting {
                self.line(text)?;
            }
        } else {
            self.line(&format!(
                "{} is removed now; --keep DIR keeps everything.",
                self.directory.path().display()
            ))?;
        }
        for title in failed {
            self.line(&format!("Failed: {title}"))?;
        }
        self.line(&format!("The tour took {}.", numbers::time(took)))
    }

    /// A paragraph, broken into lines.
    pub fn say(&self, text: &str) -> Outcome {
        let mut lines = String::from("\n");
        let mut column = 0;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > COLUMNS {
                lines.push('\n');
                column = 0;
            }
            if column > 0 {
                lines.push(' ');
                column += 1;
            }
            lines.push_str(word);
            column += length;
        }
        self.line(&lines)
    }

    /// Text as it is.
    pub fn line(&self, text: &str) -> Outcome {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")
            .and_then(|()| out.flush())
            .map_err(Trouble::Output)
    }

    fn show_sql(&self, who: Who, sql: &str) -> Outcome {
        let prompt = match who {
            Who::First => "sql> ",
            Who::Second => "another connection> ",
        };
        let mut text = String::new();
        for (i, line) in sql.lines().enumerate() {
            let margin = if i == 0 { prompt } else { "     " };
            text.push_str(&format!("\n{margin}{line}"));
        }
        self.line(&text)
    }
}

/// An error of the server as psql shows it, or what else went wrong.
pub fn describe_error(error: &Error) -> String {
    match error {
        Error::Server(error) => describe(error, ""),
        Error::Lost(why) => why.clone(),
        Error::Local(error) => error.to_string(),
    }
}
