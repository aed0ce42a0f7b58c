//! `export`, of Lite and of Full: every form, what is refused, and a server whose writers go on.

use std::fs;
use std::path::Path;

use heliosdb_kernel::dump::{Dump, Silent};

use crate::{Typing, answers, cities, full, lite, names, scratch, type_line};

/// What a dump says of itself; it is whole.
fn manifest(file: &Path) -> heliosdb_kernel::dump::Manifest {
    let opened = fs::File::open(file).unwrap();
    let dump = Dump::open(opened, "dump", &Silent).unwrap();
    dump.manifest().clone()
}

#[test]
fn every_form_writes_the_same_content() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    // The default directory.
    cities(&lite, "heliosdb-data");
    let forms: [&[&str]; 4] = [
        &["export", "a.dump"],
        &[
            "export",
            "--database",
            "heliosdb-data",
            "--output",
            "b.dump",
        ],
        &[
            "export",
            "--data",
            "heliosdb-data",
            "c.dump",
            "--format",
            "v2",
        ],
        &["export", "--all", "d.dump", "--compression-level", "9"],
    ];
    let mut written = Vec::new();
    for form in forms {
        let out = lite.ok(form);
        assert!(out.contains("database helios of edition lite"), "{out}");
        assert!(out.contains("3 tables with 6 rows"), "{out}");
        let file = form.iter().find(|word| word.ends_with(".dump")).unwrap();
        let manifest = manifest(&directory.join(file));
        let tables = manifest.tables.iter().map(|t| (t.name.clone(), t.digest));
        written.push(tables.collect::<Vec<_>>());
        // Views and branches there are none of, with the flag or without; that is said.
        assert!(out.contains("left out: "), "{out}");
        assert_eq!(out.lines().count(), 3 + manifest.left_out.len(), "{out}");
    }
    assert!(written.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(
        names(directory),
        ["a.dump", "b.dump", "c.dump", "d.dump", "heliosdb-data"]
    );
    // What was replaced is in it, unless it is to be left out.
    let superseded = |file: &str| {
        let manifest = manifest(&directory.join(file));
        manifest.tables.iter().map(|t| t.superseded).sum::<u64>()
    };
    assert_eq!(superseded("a.dump"), 2);
    lite.ok(&["export", "e.dump", "--no-history"]);
    assert_eq!(superseded("e.dump"), 0);
    // Full writes its own.
    let full = full(directory);
    full.ok(&["import", "a.dump", "--data", "full"]);
    full.ok(&["export", "--database", "full", "f.dump"]);
    assert_eq!(manifest(&directory.join("f.dump")).edition, "full");
}

#[test]
fn standard_output_and_settings() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    cities(&lite, "db");
    let settings = "# ours\n[server]\nmax_connections = 7\n";
    fs::write(directory.join("db/heliosdb.toml"), settings).unwrap();
    let output = lite.output(&[
        "export",
        "--data",
        "db",
        "--include-config",
        "--output",
        "-",
    ]);
    assert!(output.status.success());
    let file = directory.join("piped");
    fs::write(&file, output.stdout).unwrap();
    let dump = Dump::open(fs::File::open(&file).unwrap(), "piped", &Silent).unwrap();
    assert_eq!(dump.config().unwrap().as_deref(), Some(settings));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("database helios of edition lite"), "{said}");
}

#[test]
fn what_exists_is_not_overwritten_and_a_refusal_leaves_nothing() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    lite.sql("db", "CREATE TABLE t (a int)");
    fs::write(directory.join("a.dump"), "precious").unwrap();
    let said = lite.fails(1, &["export", "--data", "db", "a.dump"]);
    assert!(said.contains("a.dump exists"), "{said}");
    assert_eq!(fs::read(directory.join("a.dump")).unwrap(), b"precious");
    lite.ok(&["export", "--data", "db", "a.dump", "--force"]);
    manifest(&directory.join("a.dump"));
    for refused in [
        &["export", "--data", "db"][..],
        &["export", "--data", "db", "x.dump", "--format", "v1"],
        &[
            "export",
            "--data",
            "db",
            "x.dump",
            "--compression-level",
            "20",
        ],
        &["export", "--data", "db", "x.dump", "--output", "y.dump"],
        &[
            "export",
            "--data",
            "db",
            "--connection",
            "postgres://h",
            "x.dump",
        ],
    ] {
        lite.fails(2, refused);
    }
    let said = lite.fails(1, &["export", "--data", "nowhere", "x.dump"]);
    assert!(said.contains("there is no database in nowhere"), "{said}");
    let said = lite.fails(1, &["export", "--data", "db", "missing/x.dump"]);
    assert!(said.contains("cannot write missing/x.dump"), "{said}");
    let _serving = lite.serve("db");
    let said = lite.fails(1, &["export", "--data", "db", "x.dump"]);
    assert!(
        said.contains("in use by another process") && said.contains("--connection URL"),
        "{said}"
    );
    assert_eq!(names(directory), ["a.dump", "db"]);
}

/// Two accounts, of which writers move money all the time: a dump is of one moment, so the sum is right
/// and what was acknowledged before it is in it.
#[test]
fn a_server_is_exported_while_its_writers_go_on() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    lite.sql(
        "db",
        "CREATE TABLE account (id int PRIMARY KEY, amount bigint);
         INSERT INTO account VALUES (1, 1000), (2, 1000);
         CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, moved bigint)",
    );
    let serving = lite.serve("db");
    let mut writers: Vec<Typing> = (0..2).map(|_| Typing::new(&lite, &serving.url)).collect();
    let mut type_moves = |count: usize| {
        for writer in &mut writers {
            for _ in 0..count {
                type_line(
                    writer,
                    "BEGIN; UPDATE account SET amount = amount - 1 WHERE id = 1; \
                     UPDATE account SET amount = amount + 1 WHERE id = 2; \
                     INSERT INTO ledger (moved) VALUES (1); COMMIT;",
                );
            }
        }
    };
    type_moves(300);
    let count = |sql: &str| -> u64 {
        let arguments = [
            "sql",
            "--connection",
            &serving.url,
            "--format",
            "csv",
            "-c",
            sql,
        ];
        lite.ok(&arguments).lines().nth(1).unwrap().parse().unwrap()
    };
    let rows = "SELECT count(*) FROM ledger";
    // They are on their way.
    while count(rows) < 50 {
        std::thread::yield_now();
    }
    let before = count(rows);
    let out = lite.ok(&["export", "--connection", &serving.url]);
    let after = count(rows);
    assert!(out.starts_with("helios.dump: "), "{out}");
    drop(writers);
    let full = full(directory);
    full.ok(&["import", "helios.dump", "--data", "full"]);
    assert_eq!(
        full.sql("full", "SELECT sum(amount) FROM account"),
        "2000\n"
    );
    let moved: u64 = full.sql("full", rows).trim().parse().unwrap();
    assert!(
        (before..=after).contains(&moved),
        "{before} {moved} {after}"
    );
    let amount = full.sql("full", "SELECT amount FROM account WHERE id = 2");
    assert_eq!(amount.trim().parse::<u64>().unwrap(), 1000 + moved);
}

#[test]
fn a_server_that_refuses_says_why_and_no_file_stays() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    cities(&lite, "db");
    let expected = answers(&lite, "db");
    let serving = lite.serve("db");
    let reader = serving.url.replace("helios@", "reader@");
    let said = lite.fails(1, &["export", "--connection", &reader, "x.dump"]);
    assert!(said.contains("ERROR:  "), "{said}");
    assert_eq!(names(directory), ["db"]);
    // Dumped from afar it is what it is from near by.
    lite.ok(&["export", "--connection", &serving.url, "--all", "x.dump"]);
    drop(serving);
    let full = full(directory);
    full.ok(&["import", "x.dump", "--data", "full"]);
    assert_eq!(answers(&full, "full"), expected);
}
