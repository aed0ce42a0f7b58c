//! Branches in SQL, over the timelines of the kernel.
//!
//! | in SQL | here |
//! |---|---|
//! | `CREATE`, `ALTER`, `DROP`, `USE BRANCH` | [`command`], read by [`statement`] |
//! | `SHOW BRANCHES`, `pg_database_branches()` | [`shown`] |
//! | `MERGE BRANCH`, `helios_conflicts()` | [`merge`] |
//! | `helios_diff()`, `helios_diff_stat()` | [`diff`] |
//! | `helios_log()`, `helios_blame()` | [`history`] |
//! | `CREATE`, `DROP TAG`, `SHOW TAGS` | [`tag`] |
//! | `WITH (expires = …)` | [`expiry`] |
//! | `RESTORE DATABASE`, `FLASHBACK TABLE`, `UNDROP TABLE` | [`recovery`] |
//!
//! The kernel makes and drops branches, holds who may, and reads and writes on them. What is here is what they
//! are called in SQL and what may be said of them. What the plugin notes of a branch ([`note`]) is kept by the
//! kernel with the branch, so there is no store that could say otherwise.

mod command;
mod diff;
mod expiry;
mod history;
mod merge;
mod note;
mod recovery;
mod shown;
mod statement;
mod tag;
mod token;

use std::sync::Arc;

use heliosdb_plugin_api::{Host, Migrations, Plugin, Registrar, Result, Settings};

/// The plugin, started.
pub struct Branching;

heliosdb_plugin_api::plugin!(Branching);

impl Plugin for Branching {
    const MANIFEST: &'static str = include_str!("../plugin.toml");

    fn start(_host: Host, _settings: &Settings) -> Result<Branching> {
        Ok(Branching)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        for database in ["", "DATABASE "] {
            registrar.command(&format!("CREATE {database}BRANCH"), command::create)?;
            registrar.command(&format!("ALTER {database}BRANCH"), command::alter)?;
            registrar.command(&format!("DROP {database}BRANCH"), command::drop)?;
            registrar.command(&format!("USE {database}BRANCH"), command::choose)?;
            registrar.command(&format!("MERGE {database}BRANCH"), merge::command)?;
            registrar.command(&format!("SHOW {database}BRANCHES"), shown::command)?;
        }
        registrar.command("CREATE TAG", tag::create)?;
        registrar.command("DROP TAG", tag::drop)?;
        registrar.command("SHOW TAGS", tag::show)?;
        registrar.table("helios_diff", &["text", "text", "text"], diff::diff)?;
        registrar.table("helios_diff_stat", &["text", "text"], diff::stat)?;
        registrar.table("helios_log", &["bigint", "bigint"], history::log)?;
        registrar.table("helios_blame", &["text"], history::blame)?;
        registrar.worker("expiry", expiry::Expiry)?;
        registrar.command("RESTORE DATABASE", recovery::restore)?;
        registrar.command("FLASHBACK TABLE", recovery::flashback)?;
        registrar.command("UNDROP TABLE", recovery::undrop)?;
        registrar.table("helios_conflicts", &[], merge::conflicts)?;
        registrar.table("pg_database_branches", &[], shown::function)
    }

    fn migrations() -> Migrations {
        Migrations::default()
    }
}
