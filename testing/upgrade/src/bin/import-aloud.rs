//! Imports a dump into a directory as Full does, and says a line at every step: for tests that kill it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use clap::Parser;
use heliosdb_kernel::dump::Progress;
use heliosdb_upgrade::transfer;

#[derive(Parser)]
struct Arguments {
    dump: PathBuf,
    target: PathBuf,
    /// Go no further than this step, and wait there.
    #[arg(long)]
    wait_at: Option<u64>,
}

struct Aloud {
    wait_at: Option<u64>,
    steps: AtomicU64,
}

impl Aloud {
    fn step(&self, what: &str) {
        println!("{what}");
        if Some(self.steps.fetch_add(1, Ordering::Relaxed)) == self.wait_at {
            loop {
                thread::park();
            }
        }
    }
}

impl Progress for Aloud {
    fn begin(&self, phase: &str, _: Option<u64>) {
        self.step(phase);
    }

    fn advance(&self, amount: u64) {
        self.step(&amount.to_string());
    }

    fn end(&self) {
        self.step("done");
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let aloud = Aloud {
        wait_at: arguments.wait_at,
        steps: AtomicU64::new(0),
    };
    match transfer::import_with(&arguments.dump, &arguments.target, &aloud, |_| ()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.explain());
            ExitCode::FAILURE
        }
    }
}
