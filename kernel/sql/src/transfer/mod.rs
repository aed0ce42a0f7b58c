//! COPY: rows in and out as text or csv. EXPORT DATABASE goes out the same way; BACKUP DATABASE goes to a
//! directory of the server's.

pub(crate) mod backup;
mod copy_in;
mod copy_out;
pub(crate) mod export;

pub(crate) use copy_in::CopyIn;
pub use copy_out::{CopyChunk, CopyOut};

use sqlparser::ast::{self, CopySource, CopyTarget};

use crate::copy::CopyOptions;
use crate::error::{Result, SqlError, state};
use crate::session::Session;
use crate::session::outcome::Outcome;

impl Session {
    pub(crate) fn copy(&mut self, statement: &ast::Statement) -> Result<Outcome> {
        let ast::Statement::Copy {
            source,
            to,
            target,
            options,
            legacy_options,
            values,
        } = statement
        else {
            return Err(SqlError::internal("not a COPY"));
        };
        if !values.is_empty() {
            return Err(SqlError::unsupported("data inside a COPY statement"));
        }
        match target {
            CopyTarget::File { .. } | CopyTarget::Program { .. } => {
                return Err(SqlError::new(
                    state::INSUFFICIENT_PRIVILEGE,
                    "COPY to or from a file or program of the server is not allowed",
                )
                .with_hint("Use COPY ... FROM STDIN or COPY ... TO STDOUT; psql's \\copy does."));
            }
            CopyTarget::Stdin if *to => {
                return Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    "COPY TO STDIN makes no sense",
                ));
            }
            CopyTarget::Stdout if !*to => {
                return Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    "COPY FROM STDOUT makes no sense",
                ));
            }
            CopyTarget::Stdin | CopyTarget::Stdout => {}
        }
        let options = CopyOptions::from_ast(options, legacy_options, !*to)?;
        match (source, to) {
            (
                CopySource::Table {
                    table_name,
                    columns,
                },
                false,
            ) => self.copy_from(table_name, columns, options),
            (
                CopySource::Table {
                    table_name,
                    columns,
                },
                true,
            ) => self.copy_table_to(table_name, columns, options),
            (CopySource::Query(query), true) => self.copy_query_to(query, options),
            (CopySource::Query(_), false) => Err(SqlError::new(
                state::SYNTAX_ERROR,
                "COPY query FROM makes no sense",
            )),
        }
    }
}
