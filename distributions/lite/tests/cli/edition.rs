//! A directory of Full's is not Lite's to open.

use std::path::Path;
use std::process::Command;

use crate::{BINARY, lite, sql, text};

#[test]
fn a_directory_of_full_is_refused_and_stays_as_it_is() {
    let full = Path::new(BINARY).with_file_name("heliosdb-full");
    if !full.is_file() {
        println!("skipped: {} was not built", full.display());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("db");
    let data = data.to_str().unwrap();
    let run = |sql: &str| {
        let arguments = ["sql", "--data", data, "--format", "csv", "-c", sql];
        let output = Command::new(&full).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    run("CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
    let dump = directory.path().join("x.dump");
    let commands: [&[&str]; 4] = [
        &["sql", "--data", data, "-c", "SELECT 1"],
        &["serve", "--data", data, "--listen", "127.0.0.1:0"],
        &["export", "--data", data, dump.to_str().unwrap()],
        &["plugin", "migrate", "--data", data],
    ];
    for command in commands {
        let output = lite(command);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert_eq!(
            text(&output.stderr),
            format!(
                "heliosdb-lite: cannot open database \"{data}\": it is a database of HeliosDB Full, \
                 and this is HeliosDB Lite (SQLSTATE 55000)\n\
                 HINT:  Open it with heliosdb-full. Nothing was changed.\n"
            ),
            "{command:?}"
        );
    }
    assert!(!dump.exists());
    assert_eq!(run("SELECT a FROM t"), "a\n7\n");
    // What Lite makes is Lite's.
    let own = directory.path().join("own");
    assert!(sql(&own, &["-c", "SHOW helios.edition"]).contains("lite"));
}
