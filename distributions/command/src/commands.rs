//! `serve`, `sql`, `plugin`, and what happens without a command.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use crate::args::{Place, Serve, Shared, Sql, Target};
use crate::client::{Canceller, Client, Dial, Error, Identity};
pub use crate::interrupt::{Signals, on_interrupt};
use crate::open::{self, Opened, Overrides};
use crate::output::{self, Format};
use crate::shell::Shell;
use crate::{Edition, Failed, backup, branches, check, export, interrupt, plugin};

/// One of the commands that every distribution has.
///
/// # Errors
///
/// Those of the command.
pub fn run<P: Place, T: Target>(edition: &Edition, command: Shared<P, T>) -> Result<(), Failed> {
    match command {
        Shared::Serve(arguments) => serve(edition, arguments),
        Shared::Sql(arguments) => sql(edition, &arguments),
        Shared::Plugin(command) => plugin::run(edition, command),
        Shared::Branch(command) => branches::run(edition, &command),
        Shared::Check(arguments) => check::run(edition, &arguments),
        Shared::Backup(arguments) => backup::back_up(edition, &arguments),
        Shared::Restore(arguments) => backup::restore(&arguments),
        Shared::Export(arguments) => export::run(edition, &arguments),
    }
}

/// Without a command: serve, and give a shell when there is a terminal.
///
/// # Errors
///
/// The database does not open, or its address is taken.
pub fn open_and_shell(edition: &Edition, directory: &Path) -> Result<(), Failed> {
    let has_shell = io::stdin().is_terminal();
    let overrides = Overrides {
        has_shell,
        ..Overrides::default()
    };
    let opened = Opened::serve(edition, directory, overrides)?;
    if has_shell {
        opened.announce();
        shell_on(opened, |shell| {
            shell
                .run_interactive(heliosdb_kernel::FIRST_NAME)
                .map_err(drop)
        })
    } else {
        announce_and_serve(opened)
    }
}

/// # Errors
///
/// The database does not open, or its address is taken.
fn serve<P: Place>(edition: &Edition, serve: Serve<P>) -> Result<(), Failed> {
    let overrides = Overrides {
        config: serve.config,
        listen: serve.listen,
        auth: serve.auth,
        has_shell: false,
    };
    let opened = Opened::serve(edition, &serve.place.directory(), overrides)?;
    announce_and_serve(opened)
}

/// Until a signal comes.
fn announce_and_serve(opened: Opened) -> Result<(), Failed> {
    let signals = opened.signals()?;
    opened.announce();
    signals.wait();
    Ok(opened.close()?)
}

/// # Errors
///
/// Anything that was run failed.
fn sql<T: Target>(edition: &Edition, sql: &Sql<T>) -> Result<(), Failed> {
    let config = sql.config.as_deref();
    on_target(edition, &sql.target, config, sql.format, |shell| {
        run_inputs(edition, shell, sql)
    })
}

/// A shell on the database that a command names, in this process or behind a connection.
///
/// # Errors
///
/// The database does not open or the server cannot be reached, or `work` failed and has said so.
pub(crate) fn on_target<T: Target>(
    edition: &Edition,
    target: &T,
    config: Option<&Path>,
    format: Format,
    work: impl FnOnce(&mut Shell) -> Result<(), ()>,
) -> Result<(), Failed> {
    match (target.directory(), target.connection()) {
        (Some(directory), _) => {
            let opened = Opened::private(edition, &directory, config)?;
            shell_on_format(opened, format, work)
        }
        (None, Some(url)) => {
            let (dial, identity) = open::parse_url(edition, url)?;
            let client = connect(dial, &identity)?;
            let _signals = cancel_on_interrupt(client.canceller())?;
            work(&mut Shell::new(client, format)).map_err(|()| Failed::Said)
        }
        (None, None) => Err(Failed::With(
            "a database's directory or --connection is needed".to_owned(),
        )),
    }
}

fn shell_on(opened: Opened, work: impl FnOnce(&mut Shell) -> Result<(), ()>) -> Result<(), Failed> {
    shell_on_format(opened, Format::Table, work)
}

/// A shell on a database of this process, which is closed when `work` is done.
fn shell_on_format(
    opened: Opened,
    format: Format,
    work: impl FnOnce(&mut Shell) -> Result<(), ()>,
) -> Result<(), Failed> {
    let opened = Arc::new(opened);
    let outcome = connect(opened.dial(), &opened.first_identity()).and_then(|client| {
        let signals = cancel_on_interrupt(client.canceller())?;
        let outcome = work(&mut Shell::new(client, format)).map_err(|()| Failed::Said);
        drop(signals);
        outcome
    });
    // The shell, its client and its canceller are gone, so this is the last one.
    if let Some(opened) = Arc::into_inner(opened) {
        opened.close()?;
    }
    outcome
}

pub(crate) fn connect(dial: Dial, identity: &Identity) -> Result<Client, Failed> {
    Client::connect(dial, identity).map_err(|error| {
        Failed::With(match error {
            Error::Server(error) => output::describe(&error, ""),
            Error::Lost(why) => why,
            Error::Local(error) => error.to_string(),
        })
    })
}

/// `-c` in order, then `-f`; without either, a terminal or standard input.
fn run_inputs<T: Target>(edition: &Edition, shell: &mut Shell, sql: &Sql<T>) -> Result<(), ()> {
    for command in &sql.commands {
        shell.run_argument(command).map_err(drop)?;
    }
    match &sql.file {
        Some(file) if file.as_os_str() != "-" => run_file(edition, shell, file),
        None if !sql.commands.is_empty() => Ok(()),
        None if io::stdin().is_terminal() => shell
            .run_interactive(heliosdb_kernel::FIRST_NAME)
            .map_err(drop),
        _ => shell
            .run_script(&mut io::stdin().lock(), "<stdin>")
            .map(drop)
            .map_err(drop),
    }
}

fn run_file(edition: &Edition, shell: &mut Shell, file: &Path) -> Result<(), ()> {
    let name = file.display().to_string();
    match std::fs::File::open(file) {
        Ok(opened) => shell
            .run_script(&mut io::BufReader::new(opened), &name)
            .map(drop)
            .map_err(drop),
        Err(error) => {
            eprintln!("{}: cannot open {name}: {error}", edition.program);
            Err(())
        }
    }
}

/// Ctrl-C cancels what runs, and ends the process when nothing does. (While a line is edited the
/// terminal hands Ctrl-C to the editor.)
fn cancel_on_interrupt(canceller: Canceller) -> Result<Signals, Failed> {
    on_interrupt(move || {
        if !canceller.cancel() {
            interrupt::exit();
        }
    })
}
