//! Every `.slt` file under `common/` is a test of its own name: what holds in every edition, with the
//! plugins linked and with the plugins loaded.

use std::path::PathBuf;
use std::process::ExitCode;

use heliosdb_sqllogic::{Edition, Linkage, Scratch};
use sqllogictest::harness::{Arguments, Failed, Trial, glob, run};
use sqllogictest::{Runner, default_validator};

fn main() -> ExitCode {
    let pattern = concat!(env!("CARGO_MANIFEST_DIR"), "/common/**/*.slt");
    let paths: Vec<PathBuf> = glob(pattern)
        .expect("the pattern is valid")
        .filter_map(Result::ok)
        .collect();
    assert!(!paths.is_empty(), "no files match {pattern}");
    let mut trials = Vec::new();
    for path in &paths {
        for edition in Edition::ALL {
            for linkage in [Linkage::Static, Linkage::Dynamic] {
                trials.push(trial(path.clone(), edition, linkage));
            }
        }
    }
    run(&Arguments::from_args(), trials).exit_code()
}

fn trial(path: PathBuf, edition: Edition, linkage: Linkage) -> Trial {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = format!("{stem} {edition:?} {linkage:?}");
    Trial::test(name, move || test(&path, edition, linkage))
}

fn test(path: &PathBuf, edition: Edition, linkage: Linkage) -> Result<(), Failed> {
    let scratch = Scratch::new(edition, linkage)?;
    let mut runner = Runner::new(|| {
        let connected = scratch.connect();
        async move { connected }
    });
    runner.with_validator(default_validator);
    runner.run_file(path)?;
    Ok(())
}
