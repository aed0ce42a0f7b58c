//! A connection that remembers what it was told, for the report of a failure.

use std::path::Path;

use heliosdb_kernel::{Connection, SqlError};

use crate::Result;
use crate::edition::{self, Edition};

/// Statements of the log that a report shows.
const SHOWN: usize = 12;
const SHOWN_CHARACTERS: usize = 2000;

/// See the module's header.
pub struct Sql {
    connection: Connection,
    log: Vec<String>,
    /// Statements that were refused, as they might be.
    pub refused: usize,
}

impl Sql {
    pub fn new(connection: Connection) -> Sql {
        Sql {
            connection,
            log: Vec::new(),
            refused: 0,
        }
    }

    /// Runs what must succeed.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn must(&mut self, sql: &str) -> Result<u64> {
        self.log.push(sql.to_owned());
        self.connection
            .execute(sql)
            .map_err(|error| self.failure(&error))
    }

    /// Runs what the data or other objects may refuse; whether it succeeded.
    ///
    /// # Errors
    ///
    /// It was refused for another reason.
    pub fn may(&mut self, sql: &str) -> Result<bool> {
        self.log.push(sql.to_owned());
        match self.connection.execute(sql) {
            Ok(_) => Ok(true),
            // 0A000: a column that a view reads keeps its type, 54000: a value is too long for its index, 55000: a
            // sequence is owned by a table of its own schema and owner.
            Err(error)
                if ["0A", "22", "23", "2B", "54", "55"].contains(&&error.code.as_str()[..2]) =>
            {
                self.refused += 1;
                self.log.pop();
                Ok(false)
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// Closes the database and opens it again.
    ///
    /// # Errors
    ///
    /// One of both fails.
    pub fn reopened(self, directory: &Path) -> Result<Sql> {
        edition::close(self.connection)?;
        let connection = Edition::Lite.open(directory)?;
        Ok(Sql { connection, ..self })
    }

    fn failure(&self, error: &SqlError) -> String {
        let from = self.log.len().saturating_sub(SHOWN);
        let detail = error.detail.as_deref().unwrap_or_default();
        let shorten = |sql: &String| match sql.char_indices().nth(SHOWN_CHARACTERS) {
            Some((end, _)) => format!("{} …", &sql[..end]),
            None => sql.clone(),
        };
        let log: Vec<String> = self.log[from..].iter().map(shorten).collect();
        format!("{error} {detail}\nafter:\n{};", log.join(";\n"))
    }
}
