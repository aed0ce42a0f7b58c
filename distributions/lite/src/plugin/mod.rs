//! `heliosdb-lite plugin`: for authors of plugins, and for operators who want to know what a start of
//! the server would do.

mod check;
mod list;
mod migrate;
mod new;

use crate::Failed;
use crate::args::Plugin;

pub fn run(command: Plugin) -> Result<(), Failed> {
    match command {
        Plugin::New(new) => new::run(&new),
        Plugin::Check(check) => check::run(&check),
        Plugin::List(list) => list::run(&list),
        Plugin::Migrate(migrate) => migrate::run(&migrate),
        Plugin::Finalize(state) => migrate::finalize(&state),
        Plugin::Rollback(state) => migrate::rollback(&state),
    }
}
