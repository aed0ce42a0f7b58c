//! Every `.slt` file under `common/` is a test of its own name: what holds in every edition.

use std::path::PathBuf;
use std::process::ExitCode;

use heliosdb_sqllogic::Scratch;
use sqllogictest::harness::{Arguments, Failed, Trial, glob, run};
use sqllogictest::{Runner, default_validator};

fn main() -> ExitCode {
    let pattern = concat!(env!("CARGO_MANIFEST_DIR"), "/common/**/*.slt");
    let paths: Vec<PathBuf> = glob(pattern)
        .expect("the pattern is valid")
        .filter_map(Result::ok)
        .collect();
    assert!(!paths.is_empty(), "no files match {pattern}");
    let trial = |path: PathBuf| {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Trial::test(name, move || test(&path))
    };
    run(
        &Arguments::from_args(),
        paths.into_iter().map(trial).collect(),
    )
    .exit_code()
}

fn test(path: &PathBuf) -> Result<(), Failed> {
    let scratch = Scratch::new()?;
    let mut runner = Runner::new(|| {
        let connected = scratch.connect();
        async move { connected }
    });
    runner.with_validator(default_validator);
    runner.run_file(path)?;
    Ok(())
}
