//! `backup` and `restore`, as docs/backup.md shows them, and what they refuse.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::{BINARY, Running, lite, lite_with_input, sql, text};

const PAGE: &str = include_str!("../../../../docs/backup.md");

/// The blocks of the page in a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let parts = PAGE.split(&fence).skip(1);
    let blocks = parts.map(|part| part.split("\n```").next().unwrap());
    blocks.collect()
}

fn shell(directory: &Path, script: &str) -> Output {
    let programs = Path::new(BINARY).parent().unwrap().to_str().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-e", "-c", script])
        .current_dir(directory)
        .env("PATH", format!("{programs}:{path}"))
        .output()
        .unwrap()
}

#[test]
fn the_page_says_what_is_so() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("db");
    fs::create_dir(&data).unwrap();
    let [settings] = blocks("toml")[..] else {
        panic!("one block of settings")
    };
    fs::write(data.join("heliosdb.toml"), settings).unwrap();
    let running = Running::start(&data, "trust");
    let url = format!("postgres://helios@127.0.0.1:{}/helios", running.port);
    let [statements] = blocks("sql")[..] else {
        panic!("one block of SQL")
    };
    let arguments = ["sql", "--connection", &url, "--format", "csv"];
    let output = lite_with_input(&arguments, statements);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.ends_with("files_waiting,last_error\n0,\n"), "{said}");

    let written = "postgres://helios@127.0.0.1:5433/helios";
    let (refused, scripts): (Vec<_>, Vec<_>) = blocks("sh")
        .into_iter()
        .partition(|block| block.starts_with("! "));
    let script = scripts.join("\n").replace(written, &url);
    assert!(script.matches(&url).count() >= 3, "{script}");
    let output = shell(scratch.path(), &script);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("segments linked, "), "{said}");
    assert!(said.contains("commits of the archive"), "{said}");
    let [refused] = refused[..] else {
        panic!("one script that fails")
    };
    let output = shell(scratch.path(), refused.trim_start_matches("! "));
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(
        said.contains("the backup and the archive cover 20"),
        "{said}"
    );
    assert!(!scratch.path().join("never").exists());
    running.stop();
}

#[test]
fn what_is_no_backup_or_no_place_for_one_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let (data, backup, other) = (path("db"), path("backup"), path("other"));
    let refused = |arguments: &[&str], why: &str| {
        let output = lite(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains(why), "{arguments:?}: {said}");
    };
    refused(
        &["backup", "--data", &data, &backup],
        "there is no database",
    );
    assert!(!scratch.path().join("backup").exists());
    sql(
        data.as_ref(),
        &["-c", "CREATE TABLE t (a int); INSERT INTO t VALUES (1)"],
    );
    refused(&["backup", "--data", &data, &data], "in use");
    let running = Running::start(data.as_ref(), "trust");
    let url = format!("postgres://helios@127.0.0.1:{}/helios", running.port);
    refused(
        &["backup", "--data", &data, &backup],
        "use --connection URL instead",
    );
    refused(
        &["sql", "--connection", &url, "-c", "ARCHIVE LOG"],
        "the log is not archived",
    );
    let relative = "BACKUP DATABASE TO 'here'";
    refused(
        &["sql", "--connection", &url, "-c", relative],
        "relative path not allowed",
    );
    let block = format!("BEGIN; BACKUP DATABASE TO '{backup}'");
    refused(
        &["sql", "--connection", &url, "-c", &block],
        "inside a transaction block",
    );
    running.stop();
    let output = lite(&["backup", "--data", &data, &backup]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    refused(&["backup", "--data", &data, &backup], "is not empty");

    refused(&["restore", "--backup", &data, &other], "it is no backup");
    refused(
        &["restore", "--backup", &path("nowhere"), &other],
        "there is no directory",
    );
    let output = lite(&["restore", "--backup", &backup, &other]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        sql(other.as_ref(), &["-c", "TABLE t", "--format", "csv"]),
        "a\n1\n"
    );
    refused(&["restore", "--backup", &backup, &other], "is not empty");
    sql(backup.as_ref(), &["-c", "INSERT INTO t VALUES (2)"]);
    refused(
        &["restore", "--backup", &backup, &path("again")],
        "was opened since",
    );
}
