//! Every `.slt` file under `common/` is a test of its own name: what holds in every edition, with the
//! plugins linked and with the plugins loaded.

use std::path::PathBuf;
use std::process::ExitCode;

use heliosdb_sqllogic::{Linkage, Scratch};
use sqllogictest::harness::{Arguments, Failed, Trial, glob, run};
use sqllogictest::{Runner, default_validator};

fn main() -> ExitCode {
    let pattern = concat!(env!("CARGO_MANIFEST_DIR"), "/common/**/*.slt");
    let paths: Vec<PathBuf> = glob(pattern)
        .expect("the pattern is valid")
        .filter_map(Result::ok)
        .collect();
    assert!(!paths.is_empty(), "no files match {pattern}");
    let trial = |(path, linkage): (PathBuf, Linkage)| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{stem} {linkage:?}");
        Trial::test(name, move || test(&path, linkage))
    };
    let both = |path: PathBuf| {
        [Linkage::Static, Linkage::Dynamic].map(|linkage| trial((path.clone(), linkage)))
    };
    run(
        &Arguments::from_args(),
        paths.into_iter().flat_map(both).collect(),
    )
    .exit_code()
}

fn test(path: &PathBuf, linkage: Linkage) -> Result<(), Failed> {
    let scratch = Scratch::new(linkage)?;
    let mut runner = Runner::new(|| {
        let connected = scratch.connect();
        async move { connected }
    });
    runner.with_validator(default_validator);
    runner.run_file(path)?;
    Ok(())
}
