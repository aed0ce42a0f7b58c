//! The built `heliosdb-full`, from outside: dumps out of Lite and of Full (`export`), into Full
//! (`import`), killed half way (`kill`), and compared (`verify`); and whose a directory is (`edition`).
//!
//! The programs stand beside each other in the target directory; a test that needs `heliosdb-lite` and
//! does not find it says so and passes. Building the workspace builds both.

// Helpers outside #[test] functions unwrap too.
#![allow(clippy::unwrap_used)]

mod edition;
mod export;
mod import;
mod kill;
mod verify;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A program and the directory it runs in.
#[derive(Clone)]
struct Program {
    path: PathBuf,
    directory: PathBuf,
}

fn full(directory: &Path) -> Program {
    Program {
        path: PathBuf::from(env!("CARGO_BIN_EXE_heliosdb-full")),
        directory: directory.to_path_buf(),
    }
}

/// `None`, with a printed reason, when it was not built.
fn lite(directory: &Path) -> Option<Program> {
    let path = Path::new(env!("CARGO_BIN_EXE_heliosdb-full")).with_file_name("heliosdb-lite");
    if !path.is_file() {
        println!("skipped: {} was not built", path.display());
        return None;
    }
    let directory = directory.to_path_buf();
    Some(Program { path, directory })
}

/// What a run came to.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Program {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).current_dir(&self.directory);
        command.stdin(Stdio::null());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.output(arguments);
        let ran = Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ran.err.contains("panicked"), "{arguments:?}: {}", ran.err);
        ran
    }

    /// Standard output of a run that must succeed.
    fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        ran.out
    }

    /// Standard error of a run that must fail with this status.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(
            ran.code,
            Some(code),
            "{arguments:?}: {}{}",
            ran.out,
            ran.err
        );
        ran.err
    }

    /// Run SQL in a directory's database; its rows as CSV without the header.
    fn sql(&self, data: &str, sql: &str) -> String {
        let out = self.ok(&["sql", "--data", data, "--format", "csv", "-c", sql]);
        out.split_once('\n').map_or("", |(_, rows)| rows).to_owned()
    }

    /// A server in a process of its own, without passwords.
    fn serve(&self, data: &str) -> Serving {
        let arguments = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--auth",
            "trust",
            "--data",
            data,
        ];
        let mut child = self
            .command(&arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map(Result::unwrap);
        let url = lines.find(|line| line.starts_with("postgres://"));
        Serving {
            child,
            url: url.expect("the server said where it listens"),
        }
    }
}

/// Ends with the test.
struct Serving {
    child: Child,
    url: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session that reads statements until it is dropped.
struct Typing {
    child: Child,
}

impl Typing {
    fn new(program: &Program, url: &str) -> Typing {
        let child = program
            .command(&["sql", "--connection", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Typing { child }
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A database of Lite's in `data`, with something of everything: constraints, a view, a sequence, a
/// comment, a role, a schema of documents, NULLs, and rows that were replaced.
const CITIES: &str = "
    CREATE ROLE reader LOGIN;
    CREATE TABLE country (code text PRIMARY KEY, name text NOT NULL UNIQUE);
    CREATE TABLE city (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL CHECK (name <> ''),
        country text REFERENCES country,
        people numeric(12, 2),
        founded date);
    CREATE INDEX city_country ON city (country);
    CREATE VIEW big AS SELECT name FROM city WHERE people > 1000000;
    COMMENT ON TABLE city IS 'places where people live';
    INSERT INTO country VALUES ('no', 'Norge'), ('jp', '日本');
    INSERT INTO city (name, country, people, founded) VALUES
        ('Oslo', 'no', 717710, '1048-01-01'), ('東京', 'jp', 14195730.5, '1457-01-01'),
        ('Atlantis', NULL, NULL, NULL);
    CREATE JSON SCHEMA visit AS '{\"type\": \"object\", \"required\": [\"who\"]}';
    CREATE TABLE visits (city bigint REFERENCES city, what jsonb VALIDATE USING SCHEMA visit);
    INSERT INTO visits VALUES (1, '{\"who\": \"Ada\"}'), (2, '{\"who\": \"Grace\", \"days\": 3}')";

const CHANGES: &str = "
    UPDATE city SET people = 720000 WHERE name = 'Oslo';
    DELETE FROM city WHERE name = 'Atlantis'";

/// What [`CITIES`] and [`CHANGES`] come to.
const QUESTIONS: [&str; 5] = [
    "SELECT id, name, country, people, founded FROM city ORDER BY id",
    "SELECT v.what, c.name FROM visits v JOIN city c ON c.id = v.city ORDER BY 1",
    "SELECT * FROM big",
    "SELECT obj_description('city'::regclass)",
    "SELECT rolname FROM pg_roles WHERE rolname = 'reader'",
];

/// Make it with Lite.
fn cities(lite: &Program, data: &str) {
    lite.sql(data, CITIES);
    lite.sql(data, CHANGES);
}

fn answers(program: &Program, data: &str) -> Vec<String> {
    QUESTIONS.iter().map(|sql| program.sql(data, sql)).collect()
}

/// Names in a directory, sorted; none if there is no directory.
fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A directory for one test.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Write a line to a session's statements.
fn type_line(typing: &mut Typing, line: &str) {
    writeln!(typing.child.stdin.as_mut().unwrap(), "{line}").unwrap();
}
