//! `plugin`: for authors of plugins, and for operators who want to know what a start of
//! the server would do.

mod check;
mod list;
mod migrate;
mod new;

use crate::args::{Place, Plugin};
use crate::{Edition, Failed};

pub fn run<P: Place>(edition: &Edition, command: Plugin<P>) -> Result<(), Failed> {
    match command {
        Plugin::New(new) => new::run(edition, &new),
        Plugin::Check(check) => check::run(&check),
        Plugin::List(list) => list::run(edition, &list),
        Plugin::Migrate(migrate) => migrate::run(edition, &migrate),
        Plugin::Finalize(state) => migrate::finalize(edition, &state),
        Plugin::Rollback(state) => migrate::rollback(edition, &state),
    }
}
