//! BACKUP DATABASE TO 'directory' and ARCHIVE LOG: what the server does with its own files.
//!
//! ```text
//! BACKUP DATABASE TO 'directory'     an absolute path on the server's machine; made when it is not there
//! ARCHIVE LOG                        archive all that is durable, also of the file that is written to
//! ```
//!
//! A backup is of what is durable when the statement begins, whatever a transaction of the session sees, so
//! neither runs inside a transaction block.

use std::path::Path;
use std::sync::Arc;

use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::error::{Result, SqlError, state};
use crate::session::Session;
use crate::session::outcome::{CommandTag, Outcome};

/// Reads the whole statement; the directory.
pub(crate) fn parse(p: &mut Parser<'_>) -> Result<String, ParserError> {
    p.next_token();
    p.expect_keywords(&[Keyword::DATABASE, Keyword::TO])?;
    let directory = p.next_token();
    let Token::SingleQuotedString(directory) = directory.token else {
        return p.expected("the path of a directory in quotes", directory);
    };
    let end = p.peek_token();
    if end.token != Token::EOF {
        return p.expected("the end of the statement", end);
    }
    Ok(directory)
}

impl Session {
    pub(crate) fn backup_database(&mut self, directory: &str) -> Result<Outcome> {
        self.check_alone("BACKUP DATABASE")?;
        let path = Path::new(directory);
        if !path.is_absolute() {
            let message = "relative path not allowed for BACKUP DATABASE TO a directory";
            return Err(SqlError::new(state::INVALID_NAME, message));
        }
        let disk = Disk::open(path).map_err(|e| {
            let message = format!("could not open directory \"{directory}\": {e}");
            SqlError::new(state::IO_ERROR, message)
        })?;
        let target: Arc<dyn Io> = Arc::new(disk);
        let done = self.instance.engine().backup(&target, &self.interrupt)?;
        let what = format!(
            "backup as of SCN {}: {} segments linked, {} copied, {} bytes; {} bytes of log",
            done.ts, done.segments_linked, done.segments_copied, done.segment_bytes, done.log_bytes
        );
        self.notice("NOTICE", state::SUCCESSFUL_COMPLETION, what);
        Ok(Outcome::Command(CommandTag::new("BACKUP")))
    }

    pub(crate) fn archive_log(&mut self) -> Result<Outcome> {
        self.check_alone("ARCHIVE LOG")?;
        let engine = self.instance.engine();
        if engine.archive_state().is_none() {
            let message = "the log is not archived";
            let hint = "Set \"archive\" of [storage] in heliosdb.toml, and start the server again.";
            let error = SqlError::new(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
            return Err(error.with_hint(hint));
        }
        engine.archive()?;
        Ok(Outcome::Command(CommandTag::new("ARCHIVE LOG")))
    }

    fn check_alone(&self, statement: &str) -> Result<()> {
        self.check_superuser(statement)?;
        if self.txn.is_explicit() || self.txn.has_storage() {
            return Err(SqlError::new(
                state::ACTIVE_SQL_TRANSACTION,
                format!("{statement} cannot run inside a transaction block"),
            ));
        }
        Ok(())
    }
}
