//! HeliosDB Lite, the one-node distribution: the kernel behind a command line.
//!
//! Everything it does with a database goes through `heliosdb_kernel`; what is here is the command
//! line (`args`), opening and first start (`open`), the SQL shell (`shell`, over `client` and
//! `output`) and the commands for plugins (`plugin`). Every failure is one line on stderr, with
//! PostgreSQL's DETAIL and HINT where there are any, and an exit status other than 0.

pub mod args;
pub mod bundle;
mod client;
mod open;
mod output;
mod plugin;
mod shell;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use args::{Arguments, Command, Serve, Sql};
use client::{Canceller, Client, Dial, Error, Identity};
use open::{Message, Opened, Overrides};
use output::Format;
use shell::Shell;

/// Where a database lives when nobody says otherwise.
pub const DATA_DIRECTORY: &str = "./heliosdb-data";

/// Why a command ends with status 1.
enum Failed {
    With(Message),
    /// Everything there is to say has been said.
    Said,
}

impl From<Message> for Failed {
    fn from(message: Message) -> Failed {
        Failed::With(message)
    }
}

/// Run a command; its exit status.
pub fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        None => open_and_shell(),
        Some(Command::Serve(serve)) => run_server(serve),
        Some(Command::Sql(sql)) => run_sql(sql),
        Some(Command::Plugin(command)) => plugin::run(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Said) => ExitCode::FAILURE,
        Err(Failed::With(message)) => {
            eprintln!("heliosdb-lite: {message}");
            ExitCode::FAILURE
        }
    }
}

fn open_and_shell() -> Result<(), Failed> {
    let opened = Opened::serve(Path::new(DATA_DIRECTORY), Overrides::default())?;
    opened.announce();
    if io::stdin().is_terminal() {
        shell_on(opened, |shell| {
            shell
                .run_interactive(heliosdb_kernel::FIRST_NAME)
                .map_err(drop)
        })
    } else {
        opened.wait_for_signal()?;
        Ok(opened.close()?)
    }
}

fn run_server(serve: Serve) -> Result<(), Failed> {
    let overrides = Overrides {
        config: serve.config,
        listen: serve.listen,
        auth: serve.auth,
    };
    let opened = Opened::serve(&serve.data, overrides)?;
    opened.announce();
    opened.wait_for_signal()?;
    Ok(opened.close()?)
}

fn run_sql(sql: Sql) -> Result<(), Failed> {
    match (&sql.target.data, &sql.target.connection) {
        (Some(directory), _) => {
            let opened = Opened::private(directory, sql.config.as_deref())?;
            shell_on_format(opened, sql.format, |shell| run_inputs(shell, &sql))
        }
        (None, Some(url)) => {
            let (dial, identity) = open::parse_url(url)?;
            let client = connect(dial, &identity)?;
            let _signals = cancel_on_interrupt(client.canceller())?;
            run_inputs(&mut Shell::new(client, sql.format), &sql).map_err(|()| Failed::Said)
        }
        (None, None) => Err(Failed::With(
            "one of --data and --connection is needed".to_owned(),
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
    let outcome = connect(opened.dial(), &open::first_identity()).and_then(|client| {
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

fn connect(dial: Dial, identity: &Identity) -> Result<Client, Failed> {
    Client::connect(dial, identity).map_err(|error| {
        Failed::With(match error {
            Error::Server(error) => output::describe(&error, ""),
            Error::Lost(why) => why,
            Error::Local(error) => error.to_string(),
        })
    })
}

/// `-c` in order, then `-f`; without either, a terminal or standard input.
fn run_inputs(shell: &mut Shell, sql: &Sql) -> Result<(), ()> {
    for command in &sql.commands {
        shell.run_argument(command).map_err(drop)?;
    }
    match &sql.file {
        Some(file) if file.as_os_str() != "-" => run_file(shell, file),
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

fn run_file(shell: &mut Shell, file: &Path) -> Result<(), ()> {
    let name = file.display().to_string();
    match std::fs::File::open(file) {
        Ok(opened) => shell
            .run_script(&mut io::BufReader::new(opened), &name)
            .map(drop)
            .map_err(drop),
        Err(error) => {
            eprintln!("heliosdb-lite: cannot open {name}: {error}");
            Err(())
        }
    }
}

/// Ctrl-C cancels what runs, and ends the process when nothing does. (While a line is edited the
/// terminal hands Ctrl-C to the editor.)
fn cancel_on_interrupt(canceller: Canceller) -> Result<tokio::runtime::Runtime, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("signals")
        .enable_all()
        .build()
        .map_err(|e| Failed::With(format!("cannot start a thread: {e}")))?;
    runtime.spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if !canceller.cancel() {
                std::process::exit(130);
            }
        }
    });
    Ok(runtime)
}
