//! COPY: rows in and out, between tables and clients or files of the server. EXPORT DATABASE goes out the same way; BACKUP DATABASE goes to a
//! directory of the server's.

pub(crate) mod backup;
mod copy_in;
mod copy_out;
pub(crate) mod export;
mod file;

pub(crate) use copy_in::CopyIn;
pub use copy_out::{CopyChunk, CopyOut};

use sqlparser::ast::{self, CopySource, CopyTarget};

use crate::copy::CopyOptions;
use crate::copy::syntax::CopyStatement;
use crate::error::{Result, SqlError, state};
use crate::session::Session;
use crate::session::outcome::Outcome;

impl Session {
    pub(crate) fn copy(&mut self, statement: &CopyStatement, text: &str) -> Result<Outcome> {
        let ast::Statement::Copy {
            source, to, target, ..
        } = &statement.ast
        else {
            return Err(SqlError::internal("not a COPY"));
        };
        let options = CopyOptions::from_given(&statement.options, !*to, text)?;
        let file = match target {
            CopyTarget::Stdin | CopyTarget::Stdout => None,
            CopyTarget::File { filename } => {
                self.check_may_use_files(*to)?;
                Some(filename.as_str())
            }
            CopyTarget::Program { .. } => {
                let message = "COPY to or from an external program is not supported";
                let error = SqlError::new(state::FEATURE_NOT_SUPPORTED, message);
                return Err(
                    error.with_hint("Let the program read or write a file, or use psql's \\copy.")
                );
            }
        };
        if !*to {
            let CopySource::Table {
                table_name,
                columns,
            } = source
            else {
                return Err(SqlError::internal("COPY FROM a query"));
            };
            let filter = statement.filter.as_ref();
            return self.copy_from(table_name, columns, options, filter, file);
        }
        let out = match source {
            CopySource::Table {
                table_name,
                columns,
            } => self.copy_table_to(table_name, columns, options, file)?,
            CopySource::Query(query) => self.copy_query_to(query, options, file)?,
        };
        Ok(out)
    }

    /// 42501 unless this role may use files of the server.
    fn check_may_use_files(&self, to: bool) -> Result<()> {
        if self.info.role().superuser {
            return Ok(());
        }
        let (role, way) = match to {
            true => ("pg_write_server_files", "COPY to a file"),
            false => ("pg_read_server_files", "COPY from a file"),
        };
        let message = format!("must be superuser or have privileges of the {role} role to {way}");
        let hint =
            "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.";
        Err(SqlError::new(state::INSUFFICIENT_PRIVILEGE, message).with_hint(hint))
    }
}
