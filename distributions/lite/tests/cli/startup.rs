//! What goes wrong at start: one clear line, a status other than 0, no panic, no backtrace.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::{Running, lite, sql, text};

/// Start a server on `directory` with more arguments; it must fail with one line, which is returned.
fn refused(directory: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["serve", "--data", directory.to_str().unwrap()];
    arguments.extend(more);
    if !more.contains(&"--listen") {
        arguments.extend(["--listen", "127.0.0.1:0"]);
    }
    one_line(lite(&arguments))
}

fn one_line(output: Output) -> String {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr.trim_end().to_owned()
}

#[test]
fn the_first_start_makes_a_password_that_works() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("db");
    let running = Running::start(&data, "scram");
    assert!(
        running
            .announced
            .last()
            .unwrap()
            .starts_with("password in "),
        "{:?}",
        running.announced
    );
    let file = data.join("password");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let password = fs::read_to_string(&file).unwrap().trim().to_owned();
    assert!(password.len() >= 20);
    let url = |password: &str| {
        format!(
            "postgres://helios:{password}@127.0.0.1:{}/helios",
            running.port
        )
    };
    let output = lite(&[
        "sql",
        "--connection",
        &url(&password),
        "--format",
        "csv",
        "-c",
        "select 1 as a",
    ]);
    assert_eq!(text(&output.stdout), "a\n1\n", "{}", text(&output.stderr));
    let output = lite(&["sql", "--connection", &url("wrong"), "-c", "select 1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("password authentication failed"));
    assert_eq!(running.stop(), Some(0));
    // The second start keeps it.
    let running = Running::start(&data, "scram");
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), password);
    assert_eq!(running.stop(), Some(0));
    // Without the file it names none.
    fs::remove_file(&file).unwrap();
    let running = Running::start(&data, "scram");
    assert_eq!(
        running.announced.last().unwrap(),
        "password of helios as it was set; it is in no file here"
    );
    drop(running);
}

#[test]
fn a_connection_goes_by_a_socket_and_never_in_the_clear_where_tls_is_demanded() {
    let directory = tempfile::tempdir().unwrap();
    let (data, sockets) = (directory.path().join("db"), directory.path().join("run"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&sockets).unwrap();
    let settings = format!("[server]\nunix_socket_directory = {sockets:?}\n");
    fs::write(data.join("heliosdb.toml"), settings).unwrap();
    let running = Running::start(&data, "trust");
    let ask = |url: &str| {
        let arguments = ["sql", "--connection", url, "--format", "csv"];
        lite(&[&arguments[..], &["-c", "select 1 as a"]].concat())
    };
    let by_socket = format!(
        "postgres://helios@/helios?host={}&port={}",
        sockets.display(),
        running.port
    );
    let output = ask(&by_socket);
    assert_eq!(text(&output.stdout), "a\n1\n", "{}", text(&output.stderr));
    let by_network = format!("postgres://helios@127.0.0.1:{}/helios", running.port);
    assert!(
        ask(&format!("{by_network}?sslmode=prefer"))
            .status
            .success()
    );
    for demand in [
        "sslmode=require",
        "channel_binding=require",
        "sslmode=require&sslnegotiation=direct",
    ] {
        let line = one_line(ask(&format!("{by_network}?{demand}")));
        assert!(line.contains("does not speak TLS"), "{line}");
    }
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn a_bad_config_names_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("my.toml");
    fs::write(&file, "[server]\n\nlisten_addr = \"127.0.0.1:1\"\n").unwrap();
    let data = directory.path().join("db");
    let message = refused(&data, &["--config", file.to_str().unwrap()]);
    assert!(
        message.ends_with("my.toml:3: unknown option \"listen_addr\"; did you mean \"listen\"?"),
        "{message}"
    );
    assert!(
        !data.exists(),
        "a bad config must be seen before anything is made"
    );
    let message = refused(&data, &["--config", "/nonexistent/x.toml"]);
    assert!(
        message.contains("cannot read /nonexistent/x.toml"),
        "{message}"
    );
}

#[test]
fn trust_stays_on_loopback() {
    let directory = tempfile::tempdir().unwrap();
    let message = refused(
        directory.path(),
        &["--listen", "0.0.0.0:0", "--auth", "trust"],
    );
    assert!(message.contains("loopback"), "{message}");
}

#[test]
fn a_second_process_is_told_that_the_directory_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let _running = Running::start(directory.path(), "trust");
    let message = refused(directory.path(), &[]);
    assert!(message.contains("in use by another process"), "{message}");
}

#[test]
fn a_port_in_use_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = one_line(lite(&[
        "serve",
        "--data",
        directory.path().to_str().unwrap(),
        "--listen",
        &address,
    ]));
    assert!(
        message.contains(&format!("cannot listen on {address}")),
        "{message}"
    );
}

#[test]
fn a_data_directory_that_is_a_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "hello").unwrap();
    let message = refused(&file, &[]);
    assert!(message.contains("not a directory"), "{message}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("db");
    sql(&data, &["-c", "create table t (a int)"]);
    set_mode(&data, 0o500);
    let writable = fs::write(data.join("probe"), "").is_ok();
    if writable {
        println!("skipped: this user writes to read-only directories");
    } else {
        let message = refused(&data, &[]);
        assert!(message.contains("ermission denied"), "{message}");
    }
    set_mode(&data, 0o700);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Files under a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    found
}

/// Copy the directory `from` to `to`, which is made anew.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
    }
}

/// Damage is reported, or does not matter; it never panics and never shows wrong rows.
#[test]
fn damage_is_reported_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("db");
    // Small files, so that the rows are in the log and in segments.
    let file = directory.path().join("small.toml");
    let config = "[storage]\nmemtable_size = \"16kB\"\nwal_segment_size = \"64kB\"\n";
    fs::write(&file, config).unwrap();
    let config = ["--config", file.to_str().unwrap(), "-c"];
    let sql = |text: &str| sql(&data, &[&config[..], &[text]].concat());
    sql("create table t (a int primary key, b text)");
    sql("insert into t select g, repeat('x', 50) from generate_series(1, 500) g");
    let file_name = config[1];
    let damaged = directory.path().join("damaged");
    let mut reported = 0;
    let whole = files(&data);
    for file in &whole {
        let name = file.strip_prefix(&data).unwrap();
        let original = fs::read(file).unwrap();
        for offset in [0, 8, 100, 5000, 9000, 30_000] {
            let Some(byte) = original.get(offset) else {
                continue;
            };
            copy(&data, &damaged);
            let handle = fs::OpenOptions::new()
                .write(true)
                .open(damaged.join(name))
                .unwrap();
            handle.write_all_at(&[byte ^ 0x55], offset as u64).unwrap();
            let output = lite(&[
                "sql",
                "--data",
                damaged.to_str().unwrap(),
                "--config",
                file_name,
                "--format",
                "csv",
                "-c",
                "select count(*) as n, min(b) as b from t",
            ]);
            let stderr = text(&output.stderr);
            let place = format!("{}@{offset}: {stderr}", name.display());
            assert!(!stderr.contains("panicked"), "{place}");
            if output.status.success() {
                let expected = format!("n,b\n500,{}\n", "x".repeat(50));
                assert_eq!(text(&output.stdout), expected, "{place}");
            } else {
                reported += 1;
                assert_eq!(stderr.lines().count(), 1, "{place}");
            }
        }
    }
    assert!(reported > 0, "no damage was noticed in {whole:?}");
}
