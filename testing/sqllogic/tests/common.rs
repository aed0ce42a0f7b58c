//! Every `.slt` file is a test of its own name: under `common/` what holds in every edition, under
//! `full/` what Full has more, with the plugins linked and with the plugins loaded. What the former
//! leave in Lite arrives in Full.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use heliosdb_sqllogic::moved::to_full;
use heliosdb_sqllogic::{Edition, Linkage, Scratch};
use sqllogictest::harness::{Arguments, Failed, Trial, glob, run};
use sqllogictest::{Runner, default_validator};

/// The directories of files, and the editions that each is run on.
const FOLDERS: [(&str, &[Edition]); 2] = [("common", &Edition::ALL), ("full", &[Edition::Full])];

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for (folder, editions) in FOLDERS {
        let pattern = format!("{}/{folder}/**/*.slt", env!("CARGO_MANIFEST_DIR"));
        let paths: Vec<PathBuf> = glob(&pattern)
            .expect("the pattern is valid")
            .filter_map(Result::ok)
            .collect();
        assert!(!paths.is_empty(), "no files match {pattern}");
        for path in &paths {
            for edition in editions {
                for linkage in [Linkage::Static, Linkage::Dynamic] {
                    trials.push(trial(path.clone(), *edition, linkage));
                }
            }
            if editions.contains(&Edition::Lite) {
                trials.push(moved(path.clone()));
            }
        }
    }
    run(&Arguments::from_args(), trials).exit_code()
}

fn trial(path: PathBuf, edition: Edition, linkage: Linkage) -> Trial {
    let name = format!("{} {edition:?} {linkage:?}", stem(&path));
    Trial::test(name, move || test(&path, edition, linkage).map(drop))
}

fn moved(path: PathBuf) -> Trial {
    Trial::test(format!("{} moved to Full", stem(&path)), move || {
        let lite = test(&path, Edition::Lite, Linkage::Static)?;
        Ok(to_full(lite.database())?)
    })
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Runs a file; the database that it leaves.
fn test(path: &Path, edition: Edition, linkage: Linkage) -> Result<Scratch, Failed> {
    let scratch = Scratch::new(edition, linkage)?;
    let mut runner = Runner::new(|| {
        let connected = scratch.connect();
        async move { connected }
    });
    runner.with_validator(default_validator);
    runner.run_file(path)?;
    drop(runner);
    Ok(scratch)
}
