//! The command line that HeliosDB Lite and Full share.
//!
//! Everything it does with a database goes through `heliosdb_kernel`; what is here is the arguments
//! (`args`), the commands (`commands`), opening and first start (`open`), the SQL shell (`shell`, over
//! `client` and `output`), the commands for plugins (`plugin`) and `branches`, `check`, `export`, `backup` and `restore`,
//! with `progress` and `interrupt` for all long work and `partial` for files that appear whole. Every
//! failure is one line on stderr, with PostgreSQL's DETAIL and HINT where there are any, and an exit status
//! other than 0.
//!
//! What differs between the two is an [`Edition`], and how a database is named ([`args::Place`]). It
//! knows no plugin by name.

pub mod args;
pub mod backup;
mod branches;
pub mod bundle;
pub mod check;
pub mod client;
pub mod commands;
pub mod export;
pub mod interrupt;
pub mod open;
pub mod output;
pub mod partial;
mod plugin;
pub mod progress;
mod shell;

use std::process::ExitCode;

use heliosdb_kernel::RootRef;
use tracing_subscriber::EnvFilter;

/// A server's allocations are many, small and of a few sizes. Who embeds the kernel brings their own
/// allocator; plugins that are loaded keep theirs, since nothing is freed across the border.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A distribution, as the shared commands see it.
#[derive(Clone, Copy, Debug)]
pub struct Edition {
    /// The executable's name, which begins every message.
    pub program: &'static str,
    /// What databases, dumps and `SHOW helios.edition` call it: `lite` or `full`. Each opens its own
    /// databases only.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// The plugins it links, or which of them is missing.
    pub plugins: fn() -> Result<Vec<RootRef>, String>,
    /// Their ids, which no new plugin may have.
    pub plugin_ids: &'static [&'static str],
}

/// Why a command fails.
#[derive(Debug)]
pub enum Failed {
    /// One line to say, then status 1.
    With(String),
    /// Status 1; everything there is to say has been said.
    Said,
    /// Another status, and one line to say.
    Status(u8, String),
}

impl From<String> for Failed {
    fn from(message: String) -> Failed {
        Failed::With(message)
    }
}

impl Edition {
    /// The exit status of a command; a failure that was not said yet is said now.
    pub fn exit(&self, outcome: Result<(), Failed>) -> ExitCode {
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failed::Said) => ExitCode::FAILURE,
            Err(Failed::With(message)) => {
                eprintln!("{}: {message}", self.program);
                ExitCode::FAILURE
            }
            Err(Failed::Status(status, message)) => {
                eprintln!("{}: {message}", self.program);
                ExitCode::from(status)
            }
        }
    }
}

/// Which statements are logged, settings say.
const LOGGED: &str = "warn,heliosdb::statement=info";

/// Send the log to stderr: warnings and what is logged of statements, or what `HELIOS_LOG` asks for.
pub fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("HELIOS_LOG").unwrap_or_else(|_| LOGGED.into()))
        .with_writer(std::io::stderr)
        .init();
}
