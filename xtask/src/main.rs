//! The project's own commands: `cargo xtask ci` is what continuous integration runs, `cargo xtask
//! tidy` checks what neither rustc nor clippy can.

mod ci;
mod clients;
mod failures;
mod fuzz;
mod pg_isolation;
mod pg_regress;
mod sqlsmith;
mod tidy;
mod torture;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  ci      format, lints, tidy, all tests and a short torture; what CI runs
  tidy    dependency edges, homes of crates, module headers, links in documents
  torture --minutes N [--seed N]
          the crash torture in a release build, and a summary to keep
  fuzz --minutes N
          what reads bytes from outside, fed with random and damaged ones
  clients [--only NAME[,NAME]] [--binary PATH] [--write-docs]
          drivers and frameworks against a server; --write-docs writes docs/compatibility.md
  pg-regress [--only NAME[,NAME]] [--binary PATH] [--write-docs]
          PostgreSQL's regression tests against a server; --write-docs writes docs/pg-regress.md
  pg-isolation [--only NAME[,NAME]] [--binary PATH] [--write-docs]
          PostgreSQL's isolation tests against a server; --write-docs writes docs/pg-isolation.md
  sqlsmith [--queries N] [--seed N] [--binary PATH]
          queries that sqlsmith makes up: no crash, no hang, no internal error";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ci"] => ci::run(&root()),
        ["tidy"] => tidy::run(&root()),
        ["torture", "--minutes", minutes] => torture::run(&root(), minutes, None),
        ["fuzz", "--minutes", minutes] => fuzz::run(&root(), minutes),
        ["torture", "--minutes", minutes, "--seed", seed] => {
            torture::run(&root(), minutes, Some(seed))
        }
        ["pg-regress", ref options @ ..] => pg_regress::run(&root(), options),
        ["pg-isolation", ref options @ ..] => pg_isolation::run(&root(), options),
        ["sqlsmith", ref options @ ..] => sqlsmith::run(&root(), options),
        ["clients", ref options @ ..] => clients::run(&root(), options),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// The workspace's directory.
fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask
        .parent()
        .expect("xtask lies in the workspace")
        .to_path_buf()
}
