//! `heliosdb-lite tour`: one command that shows what there is, on data it makes.
//!
//! It opens a database in a temporary directory, serves it, so that a second terminal can look, and
//! plays its [`STEPS`] in order; the last ones move the database into Full. Two kinds of step: a script
//! of SQL with what must become of each statement, and code. Either way nothing is shown that did not
//! happen: statements are run, errors are compared with the SQLSTATE that the text promises, and a
//! sentence about a result stands behind a query that checked it.
//!
//! A step that fails says so, the tour goes on, and its exit status is 1.
//!
//! To add a step: write a module with a `STEP`, and name it in [`STEPS`].

mod branches;
mod constraints;
mod directory;
mod documents;
mod kill;
mod load;
mod numbers;
mod objects;
mod past;
mod plugins;
mod program;
mod queries;
mod sql;
mod stage;
mod step;
mod storage;
mod transactions;
mod upgrade;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use heliosdb_command::Failed;
use heliosdb_tpch::Scale;

use directory::Directory;
use stage::Stage;
use step::{Step, Trouble};

/// The order is that of a first day: load, ask, change, break, move.
const STEPS: [&Step; 14] = [
    &load::STEP,
    &queries::STEP,
    &sql::STEP,
    &transactions::STEP,
    &constraints::STEP,
    &objects::STEP,
    &documents::STEP,
    &past::STEP,
    &branches::STEP,
    &plugins::STEP,
    &storage::STEP,
    &kill::STEP,
    &upgrade::EXPORT,
    &upgrade::IMPORT,
];

#[derive(Debug, Args)]
pub struct Tour {
    /// How much TPC-H data: 0.01 is 87,000 rows, and it grows in proportion.
    #[arg(long, value_name = "FACTOR", default_value = "0.02", value_parser = scale)]
    pub scale: Scale,
    /// Work in this directory, which is made or is empty, and keep it. [default: a temporary one,
    /// removed in the end]
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Wait for Enter before each step, on a terminal.
    #[arg(long)]
    pub pause: bool,
}

fn scale(text: &str) -> Result<Scale, String> {
    let factor: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if factor > 10.0 {
        return Err("more than 10 is no tour; see bench/README.md for larger loads".to_owned());
    }
    Scale::new(factor)
}

/// Play the tour.
///
/// # Errors
///
/// It cannot begin, nobody reads what it prints, or a step failed, which has been said.
pub fn run(tour: &Tour) -> Result<(), Failed> {
    let directory = Directory::new(tour.keep.as_deref())?;
    let clear = directory.clone();
    let _signals = heliosdb_command::commands::on_interrupt(move || {
        clear.remove();
        std::process::exit(130);
    })?;
    let mut stage = Stage::open(&directory, tour.scale)?;
    let outcome = play(&mut stage, tour.pause);
    let closed = stage.close();
    directory.remove();
    match outcome {
        Ok(0) => Ok(closed?),
        Ok(_) => Err(Failed::Said),
        Err(Trouble::Output(error)) => Err(Failed::With(format!("cannot write: {error}"))),
        Err(Trouble::Failed(why)) => Err(Failed::With(why)),
    }
}

/// Play all steps; how many failed.
fn play(stage: &mut Stage, pause: bool) -> Result<usize, Trouble> {
    let begun = Instant::now();
    stage.welcome(STEPS.len())?;
    upgrade::foresee(stage)?;
    let mut failed = Vec::new();
    for (i, step) in STEPS.iter().enumerate() {
        if pause && i > 0 && io::stdin().is_terminal() {
            wait_for_enter()?;
        }
        stage.title(i + 1, step.title)?;
        match step.play(stage) {
            Ok(()) => stage.suggest(step.next)?,
            Err(Trouble::Failed(why)) => {
                stage.line(&format!("This step failed: {why}"))?;
                failed.push(step.title);
                // A step that stopped in a transaction must not take the others with it.
                stage.recover();
            }
            Err(output) => return Err(output),
        }
    }
    stage.farewell(begun.elapsed(), &failed)?;
    Ok(failed.len())
}

fn wait_for_enter() -> Result<(), Trouble> {
    print!("\nEnter goes on, Ctrl-C ends the tour. ");
    io::stdout().flush().map_err(Trouble::Output)?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Trouble::Output)?;
    Ok(())
}
