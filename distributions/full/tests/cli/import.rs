//! `import`: every form, what comes out, and what is refused with nothing changed.

use std::fs;
use std::path::Path;

use crate::{Program, answers, cities, full, lite, names, scratch};

/// `cities.dump`, and what its database answers.
fn dumped(lite: &Program) -> Vec<String> {
    cities(lite, "db");
    lite.ok(&["export", "--database", "db", "--output", "cities.dump"]);
    answers(lite, "db")
}

#[test]
fn every_form_makes_the_same_database() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    let expected = dumped(&lite);
    let full = full(directory);
    let forms: [(&[&str], &str); 4] = [
        (&["import", "cities.dump"], "heliosdb-full-data"),
        (&["import", "--input", "cities.dump", "--data", "a"], "a"),
        (
            &[
                "import",
                "--input",
                "cities.dump",
                "--cluster",
                "prod",
                "--migrate-lite-features",
                "--replication-factor",
                "1",
            ],
            "heliosdb-clusters/prod/node-1",
        ),
        (
            &[
                "import",
                "cities.dump",
                "--database",
                "b",
                "--report",
                "b.html",
                "--json",
            ],
            "b",
        ),
    ];
    for (form, data) in forms {
        let out = full.ok(form);
        assert_eq!(answers(&full, data), expected, "{form:?}");
        let page = match form.contains(&"--report") {
            true => directory.join("b.html"),
            false => directory.join(data).join("migration-report.html"),
        };
        let page = fs::read_to_string(page).unwrap();
        for table in ["public.city", "public.country", "public.visits"] {
            assert!(page.contains(table), "{page}");
        }
        if form.contains(&"--json") {
            let report: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(report["action"], "import");
            assert_eq!(report["dump"]["edition"], "lite");
            assert_eq!(report["tables"].as_array().unwrap().len(), 3);
        } else {
            assert!(
                out.contains("imported into") && out.contains("public.city"),
                "{out}"
            );
        }
    }
    assert!(!directory.join("b/migration-report.html").exists());
    // The cluster answers to its name.
    let arguments = [
        "sql",
        "--cluster",
        "prod",
        "--format",
        "csv",
        "-c",
        "SELECT count(*) FROM city",
    ];
    assert_eq!(full.ok(&arguments), "count\n2\n");
    full.ok(&[
        "verify-migration",
        "--original",
        "cities.dump",
        "--cluster",
        "prod",
    ]);
}

#[test]
fn a_dry_run_says_the_same_and_keeps_nothing() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    dumped(&lite);
    let before = names(directory);
    let full = full(directory);
    let out = full.ok(&["import", "cities.dump", "--dry-run"]);
    assert!(
        out.contains("public.city") && out.contains("nothing was kept"),
        "{out}"
    );
    assert_eq!(names(directory), before);
    full.ok(&["import", "cities.dump", "--dry-run", "--report", "dry.html"]);
    assert!(directory.join("dry.html").is_file());
}

#[test]
fn a_refused_dump_leaves_nothing() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    dumped(&lite);
    let full = full(directory);
    let whole = fs::read(directory.join("cities.dump")).unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        fs::write(directory.join(name), bytes).unwrap();
        let said = full.fails(1, &["import", name, "--data", "x"]);
        assert!(said.contains(&format!("\"{name}\"")), "{said}");
        said
    };
    let middle = whole.len() / 2;
    let mut damaged = whole.clone();
    damaged[middle] ^= 1;
    let said = refused("damaged.dump", &damaged);
    assert!(
        said.contains("is damaged") && said.contains("at byte "),
        "{said}"
    );
    refused("short.dump", &whole[..middle]);
    refused("long.dump", &[&whole[..], b"x"].concat());
    refused("noise.dump", b"SELECT 1;");
    full.fails(1, &["import", "nowhere.dump", "--data", "x"]);
    for wrong in [
        &["import", "--data", "x"][..],
        &[
            "import",
            "cities.dump",
            "--data",
            "x",
            "--replication-factor",
            "0",
        ],
        &["import", "cities.dump", "--data", "x", "--cluster", "c"],
        &["import", "cities.dump", "--cluster", "../c"],
    ] {
        full.fails(2, wrong);
    }
    let said = full.fails(2, &["import", "cities.dump", "--replication-factor", "3"]);
    assert!(said.contains("a cluster of 3 nodes"), "{said}");
    assert!(!directory.join("x").exists());
    assert!(!directory.join("heliosdb-clusters").exists());
}

/// Whether the report can be written is asked first: an import is not the moment to find out after it.
#[test]
fn a_report_that_cannot_be_written_is_refused_first() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    dumped(&lite);
    let full = full(directory);
    fs::create_dir(directory.join("folder")).unwrap();
    fs::create_dir(directory.join("empty")).unwrap();
    let before = names(directory);
    let dump = fs::read(directory.join("cities.dump")).unwrap();
    for (report, target) in [
        ("nowhere/r.html", "x"),
        ("folder", "x"),
        ("cities.dump", "x"),
        ("./cities.dump", "x"),
        ("/dev/full", "x"),
        ("x", "x"),
        ("x", "x/y"),
        ("x/wal", "x"),
        ("empty/heliosdb.toml", "empty"),
        ("x/deeper/r.html", "x"),
    ] {
        let arguments = [
            "import",
            "cities.dump",
            "--data",
            target,
            "--report",
            report,
        ];
        let said = full.fails(2, &arguments);
        assert!(said.contains("--report"), "{said}");
        // Nothing was loaded.
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(names(directory), before, "{report}");
        assert_eq!(names(&directory.join("empty")), [""; 0]);
    }
    let within = ["--data", "x", "--report", "x/r.html", "--dry-run"];
    full.fails(2, &[&["import", "cities.dump"][..], &within].concat());
    assert_eq!(names(directory), before);
    assert!(fs::read(directory.join("cities.dump")).unwrap() == dump);
    // A report that was there stays until there is another.
    fs::write(directory.join("r.html"), "of yesterday").unwrap();
    full.fails(1, &["import", "nowhere.dump", "--report", "r.html"]);
    let kept = || fs::read_to_string(directory.join("r.html")).unwrap();
    assert_eq!(kept(), "of yesterday");
    assert!(!directory.join("r.html.partial").exists());
    full.ok(&["import", "cities.dump", "--report", "r.html"]);
    assert!(kept().contains("public.city"));
    assert!(!directory.join("r.html.partial").exists());
    // In the target it may have another name.
    for data in ["empty", "new/er"] {
        let report = format!("{data}/mine.html");
        full.ok(&["import", "cities.dump", "--data", data, "--report", &report]);
        assert_eq!(
            names(&directory.join(data)),
            ["lock", "mine.html", "segments", "wal"]
        );
    }
}

/// There is a database, and nobody takes its report: the status is that of the import.
#[test]
fn a_report_that_is_lost_fails_no_import() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    let expected = dumped(&lite);
    let full = full(directory);
    for json in [&["--json"][..], &[]] {
        let arguments = [&["import", "cities.dump", "--data", "x"][..], json].concat();
        let mut command = full.command(&arguments);
        command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("warning: the import is complete"), "{said}");
        assert_eq!(answers(&full, "x"), expected);
        fs::remove_dir_all(directory.join("x")).unwrap();
    }
    // Of a dry run it is all that there is.
    let mut command = full.command(&["import", "cities.dump", "--data", "x", "--dry-run"]);
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    assert!(!directory.join("x").exists());
}

#[test]
fn a_plugin_that_is_not_here_is_named() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    dumped(&lite);
    let settings = "[plugins.jsonschema]\nactivation = \"off\"\n";
    fs::write(directory.join("off.toml"), settings).unwrap();
    let full = full(directory);
    let said = full.fails(
        1,
        &[
            "import",
            "cities.dump",
            "--data",
            "x",
            "--config",
            "off.toml",
        ],
    );
    assert!(said.contains("jsonschema"), "{said}");
    assert!(!directory.join("x").exists());
}

#[test]
fn a_database_that_is_there_stays_as_it_is() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    dumped(&lite);
    let full = full(directory);
    full.sql(
        "x",
        "CREATE TABLE mine (a int); INSERT INTO mine VALUES (1)",
    );
    full.fails(1, &["import", "cities.dump", "--data", "x"]);
    assert_eq!(full.sql("x", "SELECT a FROM mine"), "1\n");
}

#[test]
fn lite_has_no_import() {
    let scratch = scratch();
    let Some(lite) = lite(scratch.path()) else {
        return;
    };
    for arguments in [
        &["import", "x.dump", "--data", "x"][..],
        &["import", "--help"],
        &["verify-migration", "--original", "x.dump", "--json"],
    ] {
        let said = lite.fails(2, arguments);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("a command of HeliosDB Full"), "{said}");
    }
    assert_eq!(names(scratch.path()), [""; 0]);
}

/// What Full exports is not for Lite, and comes back into Full.
#[test]
fn a_dump_of_full_goes_into_full() {
    let scratch = scratch();
    let directory = scratch.path();
    let full = full(directory);
    full.sql(
        "a",
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (NULL)",
    );
    full.ok(&["export", "--database", "a", "a.dump"]);
    full.ok(&["import", "a.dump", "--data", "b"]);
    assert_eq!(full.sql("b", "SELECT count(*), sum(a) FROM t"), "2,1\n");
    assert!(Path::new(&directory.join("b/migration-report.html")).is_file());
}
