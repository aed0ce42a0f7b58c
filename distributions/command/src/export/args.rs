//! `export` on the command line, and as SQL.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use heliosdb_kernel::dump::{ExportOptions, LEVEL_DEFAULT, LEVELS};

use crate::args::Place;

/// Everything is in a dump: catalog, rows with their history, and the state of plugins. What has a flag
/// is in it with the flag.
#[derive(Debug, Args)]
pub struct Export<P: Place> {
    #[command(flatten)]
    pub place: P,
    /// Export from a running server, whose writers go on: postgres://user:password@host:port/database.
    /// The password may come from PGPASSWORD.
    #[arg(long, value_name = "URL", conflicts_with = "place")]
    pub connection: Option<String>,
    /// The file to write; - is standard output. [default with --connection: ./DATABASE.dump]
    #[arg(value_name = "FILE", required_unless_present_any = ["output", "connection"])]
    pub file: Option<PathBuf>,
    /// The same.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub output: Option<PathBuf>,
    /// Materialized views, branches and settings, too.
    #[arg(long)]
    pub all: bool,
    /// Materialized views, too.
    #[arg(long)]
    pub include_mvs: bool,
    /// Branches and tags, too, with their history. A dump with some has format 3, of which v2 is a part.
    #[arg(long)]
    pub include_branches: bool,
    /// The text of the settings file, too.
    #[arg(long)]
    pub include_config: bool,
    /// Leave out what was replaced or deleted: AS OF then answers for the time of the export alone.
    #[arg(long)]
    pub no_history: bool,
    /// The dump's format.
    #[arg(long, value_enum, default_value = "v2")]
    pub format: DumpFormat,
    /// Of zstd: 1 is the fastest, 19 the smallest.
    #[arg(long, value_name = "N", default_value_t = LEVEL_DEFAULT, value_parser = level)]
    pub compression_level: i32,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
    /// Settings, without --connection. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE", conflicts_with = "connection")]
    pub config: Option<PathBuf>,
}

/// There is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DumpFormat {
    V2,
}

fn level(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(level) if LEVELS.contains(&level) => Ok(level),
        _ => Err(format!(
            "it goes from {} to {}",
            LEVELS.start(),
            LEVELS.end()
        )),
    }
}

impl<P: Place> Export<P> {
    /// The file to write. `database` is known when there is a connection.
    ///
    /// # Errors
    ///
    /// None was named, and the database's name makes none.
    pub fn file(&self, database: Option<&str>) -> Result<PathBuf, String> {
        if let Some(named) = self.output.as_ref().or(self.file.as_ref()) {
            return Ok(named.clone());
        }
        let name = database.map(|database| format!("{database}.dump"));
        // A file name is one step of a path.
        match name {
            Some(name) if Path::new(&name).file_name().is_some_and(|n| *n == *name) => {
                Ok(PathBuf::from(name))
            }
            _ => Err("name the file to write".to_owned()),
        }
    }

    pub fn options(&self) -> ExportOptions {
        ExportOptions {
            level: self.compression_level,
            history: !self.no_history,
            views: self.all || self.include_mvs,
            branches: self.all || self.include_branches,
            config: self.all || self.include_config,
            ..ExportOptions::default()
        }
    }

    /// What a server is told.
    pub fn statement(&self) -> String {
        let ExportOptions {
            level,
            history,
            views,
            branches,
            config,
            ..
        } = self.options();
        format!(
            "EXPORT DATABASE TO STDOUT WITH (HISTORY {history}, MVS {views}, BRANCHES {branches}, \
             CONFIG {config}, COMPRESSION_LEVEL {level})"
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Args)]
    #[group(id = "place")]
    struct Directory {
        #[arg(long, default_value = "here")]
        data: PathBuf,
    }

    impl Place for Directory {
        fn directory(&self) -> PathBuf {
            self.data.clone()
        }
    }

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        export: Export<Directory>,
    }

    fn parse(arguments: &[&str]) -> Result<Export<Directory>, String> {
        let line = Line::try_parse_from([&["export"], arguments].concat());
        line.map(|line| line.export).map_err(|e| e.to_string())
    }

    #[test]
    fn flags_say_what_goes_in() {
        let statement = |arguments: &[&str]| parse(arguments).unwrap().statement();
        assert_eq!(
            statement(&["a"]),
            "EXPORT DATABASE TO STDOUT WITH (HISTORY true, MVS false, BRANCHES false, CONFIG false, \
             COMPRESSION_LEVEL 3)"
        );
        assert_eq!(
            statement(&["--all", "a", "--no-history", "--compression-level", "19"]),
            "EXPORT DATABASE TO STDOUT WITH (HISTORY false, MVS true, BRANCHES true, CONFIG true, \
             COMPRESSION_LEVEL 19)"
        );
        let each = [
            "a",
            "--include-mvs",
            "--include-branches",
            "--include-config",
        ];
        assert_eq!(statement(&each), statement(&["a", "--all"]));
    }

    #[test]
    fn the_file_is_named_one_way_or_the_other() {
        let file = |arguments: &[&str], database| parse(arguments).unwrap().file(database);
        assert_eq!(file(&["a"], None), Ok("a".into()));
        assert_eq!(file(&["--output", "a"], None), Ok("a".into()));
        let connection = ["--connection", "postgres://h/d"];
        assert_eq!(file(&connection, Some("d")), Ok("d.dump".into()));
        for odd in ["a/b", "/", "../a"] {
            assert!(file(&connection, Some(odd)).is_err(), "{odd}");
        }
        for refused in [
            &[][..],
            &["a", "--output", "b"],
            &["a", "--format", "v1"],
            &["a", "--compression-level", "0"],
            &["a", "--compression-level", "20"],
            &["a", "--data", "d", "--connection", "postgres://h/d"],
            &["a", "--config", "c", "--connection", "postgres://h/d"],
        ] {
            assert!(parse(refused).is_err(), "{refused:?}");
        }
    }
}
