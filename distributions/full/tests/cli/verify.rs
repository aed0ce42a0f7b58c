//! `verify-migration`: what it finds, and what its exit status says.

use std::fs;

use crate::{cities, full, lite, scratch};

const CHECKS: [&str; 4] = [
    "--check-mvs",
    "--check-branches",
    "--check-indexes",
    "--check-compression",
];

#[test]
fn equal_different_and_unknown() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    cities(&lite, "db");
    lite.ok(&["export", "--database", "db", "cities.dump"]);
    let full = full(directory);
    full.ok(&["import", "cities.dump", "--data", "x"]);
    let verify = [
        "verify-migration",
        "--original",
        "cities.dump",
        "--data",
        "x",
    ];
    let report = ["--report", "report.html"];
    let out = full.ok(&[&verify[..], &CHECKS, &report].concat());
    assert!(out.contains("has what the dump has"), "{out}");
    assert!(directory.join("report.html").is_file());

    // One value of one row.
    full.sql(
        "x",
        "UPDATE city SET founded = '1048-01-02' WHERE name = 'Oslo'",
    );
    let ran = full.run(&verify);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    let ran = full.run(&[&verify[..], &["--json", "--history-samples", "2"]].concat());
    assert_eq!(ran.code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["equal"], false);
    for table in report["tables"].as_array().unwrap() {
        let changed = table["name"] == "public.city";
        assert_eq!(table["verdict"] != "equal", changed, "{table}");
        if changed {
            assert_eq!(table["columns"], serde_json::json!(["founded"]));
        }
    }

    // Nobody can tell.
    fs::write(directory.join("noise.dump"), "noise").unwrap();
    for (original, data) in [
        ("nowhere.dump", "x"),
        ("noise.dump", "x"),
        ("cities.dump", "nowhere"),
    ] {
        full.fails(
            2,
            &["verify-migration", "--original", original, "--data", data],
        );
    }
    assert!(!directory.join("nowhere").exists());
    let _serving = full.serve("x");
    let said = full.fails(2, &verify);
    assert!(said.contains("in use by another process"), "{said}");
}

/// A plugin that would change its state first is not asked to: there is no answer, and nothing happens.
#[test]
fn pending_migrations_are_not_run() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    cities(&lite, "db");
    lite.ok(&["export", "--database", "db", "cities.dump"]);
    let full = full(directory);
    fs::create_dir(directory.join("x")).unwrap();
    let settings = directory.join("x/heliosdb.toml");
    fs::write(
        &settings,
        "[plugins.schema_registry]\nactivation = \"off\"\n",
    )
    .unwrap();
    full.ok(&["import", "cities.dump", "--data", "x"]);
    let verify = [
        "verify-migration",
        "--original",
        "cities.dump",
        "--data",
        "x",
    ];
    full.ok(&verify);
    fs::remove_file(&settings).unwrap();
    // Twice: the first time has not done it.
    for _ in 0..2 {
        let said = full.fails(2, &verify);
        assert!(
            said.contains("migrations of plugins are pending")
                && said.contains("adopts jsonschema.schemas@2")
                && said.contains("HINT:  Start heliosdb-full on the database once"),
            "{said}"
        );
    }
    full.ok(&["plugin", "migrate", "--data", "x"]);
    full.ok(&verify);
}

/// What the flags of both commands say is what they do.
#[test]
fn the_help_says_what_a_flag_does() {
    let scratch = scratch();
    let full = full(scratch.path());
    // As one line, however wide it is printed.
    let help = |command: &str| {
        let out = full.ok(&[command, "--help"]);
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let import = help("import");
    assert!(
        import.contains("--migrate-lite-features Changes nothing: an import always brings"),
        "{import}"
    );
    let verify = help("verify-migration");
    for said in [
        "--check-compression Whether everything that a codec wrote can be read here, too",
        "--check-mvs Whether every view can be planned, too; none is run",
    ] {
        assert!(verify.contains(said), "{verify}");
    }
}
