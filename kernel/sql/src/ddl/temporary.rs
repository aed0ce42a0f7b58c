//! Temporary tables, views and sequences.
//!
//! They are what others are, in a schema that is the session's: `pg_temp_N`, which names without schema find
//! first, and which `pg_temp` stands for. DDL of them is transactional like all other, and their rows are kept as
//! others' are, but without a past.
//!
//! 1. *A session's alone.* Nobody else can name what is in the schema (0A000), and it is in no dump.
//! 2. *Gone with the session.* Its end drops the schema. Where that cannot be done at once, because somebody else
//!    is changing the catalog, the next session to make such a schema does it; and what a server that was
//!    killed left behind goes when the database is opened.
//! 3. *ON COMMIT* is done in the transaction that commits, after its checks.

use std::sync::Arc;

use heliosdb_storage::ScanRequest;
use sqlparser::ast;

use super::put;
use crate::catalog::Oid;
use crate::catalog::model::Schema;
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::names;
use crate::session::statement::parse_one;
use crate::session::{Session, SessionOptions};

/// How long the end of a session waits for others who change the catalog.
const END_WAIT_MAX: &str = "100ms";

impl Session {
    /// Whether a new relation of this name is temporary; 42P16 when its schema says otherwise than `temporary`.
    pub(super) fn is_temporary(&self, name: &ast::ObjectName, temporary: bool) -> Result<bool> {
        let (schema, _) = names::qualified(name, &self.info.database)?;
        let Some(schema) = schema else {
            return Ok(temporary || self.info.creates_temporary());
        };
        let wrong = |message| Err(SqlError::new(state::INVALID_TABLE_DEFINITION, message));
        match self.info.schema_named(&schema) == self.info.temporary_schema() {
            true => Ok(true),
            false if temporary => wrong("cannot create temporary relation in non-temporary schema"),
            false if names::is_temporary_schema(&schema) && self.info.has_schema(&schema) => {
                wrong("cannot create relations in temporary schemas of other sessions")
            }
            false => Ok(false),
        }
    }

    /// The schema of this session's temporary objects, made if there is none.
    pub(super) fn own_temporary_schema(&mut self) -> Result<Arc<Schema>> {
        let (_, catalog) = self.write_view()?;
        let name = self.info.temporary_schema();
        let of_others = match self.info.has_made_temporary() {
            true => match catalog.schema_by_name(&name) {
                Some(schema) => return Ok(schema.clone()),
                None => Vec::new(),
            },
            // Of sessions that are gone, one of which may have had this one's number.
            false => {
                let mut left = std::mem::take(&mut *self.instance.left_schemas());
                left.push(name.clone());
                left
            }
        };
        self.drop_schemas(&of_others)?;
        let schema = Schema {
            oid: self.instance.allocate_oid()?,
            name,
            owner: self.info.user_oid,
        };
        let made = Arc::new(schema.clone());
        self.change_catalog(vec![put!(Schema, schema)])?;
        self.info.note_made_temporary();
        Ok(made)
    }

    /// Drops the schemas that there are of these, with all that is in them, in the running transaction.
    fn drop_schemas(&mut self, names: &[String]) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let schemas = names.iter().filter_map(|name| catalog.schema_by_name(name));
        let schemas: Vec<Oid> = schemas.map(|schema| schema.oid).collect();
        if schemas.is_empty() {
            return Ok(());
        }
        self.without_notices(|session| session.drop_all(&schemas, true))
    }

    /// Drops all temporary objects of the session: DISCARD TEMP.
    pub(crate) fn discard_temporary(&mut self) -> Result<()> {
        let own = self.info.temporary_schema();
        if !self.info.has_schema(&own) {
            return Ok(());
        }
        self.begin_statement_snapshot();
        self.begin_ddl()?;
        self.drop_schemas(&[own])
    }

    /// The same when the session has ended: in a transaction of its own, and left to others where it would
    /// have to wait.
    pub(crate) fn end_temporary(&mut self) {
        if !self.info.has_made_temporary() {
            return;
        }
        let own = self.info.temporary_schema();
        if self
            .drop_in_a_transaction(std::slice::from_ref(&own))
            .is_err()
        {
            self.rollback();
            self.instance.left_schemas().push(own);
        }
    }

    fn drop_in_a_transaction(&mut self, schemas: &[String]) -> Result<()> {
        self.interrupt.reset();
        for (name, value) in [
            ("lock_timeout", END_WAIT_MAX),
            ("default_transaction_read_only", "off"),
            ("synchronous_commit", "off"),
        ] {
            self.info.change_settings(|s| s.set(name, value))?;
        }
        self.begin_statement_snapshot();
        self.begin_ddl()?;
        self.drop_schemas(schemas)?;
        self.commit()
    }

    /// Remembers what a temporary table is to do when a transaction commits.
    pub(super) fn set_on_commit(&mut self, table: Oid, on_commit: Option<ast::OnCommit>) {
        let on_commit = match on_commit {
            None | Some(ast::OnCommit::PreserveRows) => return,
            Some(ast::OnCommit::DeleteRows) => OnCommit::DeleteRows,
            Some(ast::OnCommit::Drop) => OnCommit::Drop,
        };
        self.info.on_commit().insert(table, on_commit);
    }

    /// Does it, in the transaction that is about to commit.
    pub(crate) fn run_on_commit(&mut self) -> Result<()> {
        if self.info.on_commit().is_empty() || !self.txn.has_storage() {
            return Ok(());
        }
        let (view, catalog) = self.write_view()?;
        let all = {
            let mut all = self.info.on_commit();
            all.retain(|table, _| catalog.table(*table).is_some());
            all.clone()
        };
        let (mut dropped, mut emptied) = (Vec::new(), Vec::new());
        for (table, on_commit) in &all {
            match on_commit {
                OnCommit::Drop => dropped.push(*table),
                OnCommit::DeleteRows => {
                    let meta = catalog.table_meta(*table)?;
                    let any = ScanRequest {
                        limit: Some(1),
                        row_id: true,
                        ..ScanRequest::columns(Vec::new())
                    };
                    let rows = view.scan(meta.storage.clone(), any)?.into_iter().flatten();
                    let mut counts = rows.map(|rows| rows.map(|rows| rows.num_rows()));
                    if counts.any(|count| count.is_ok_and(|count| count > 0)) {
                        let table = names::quote(&meta.table.name);
                        emptied.push(format!("{}.{table}", names::TEMPORARY));
                    }
                }
            }
        }
        if dropped.is_empty() && emptied.is_empty() {
            return Ok(());
        }
        self.without_notices(|session| {
            session.begin_ddl()?;
            if !dropped.is_empty() {
                session.drop_all(&dropped, true)?;
            }
            if !emptied.is_empty() {
                let text = format!("TRUNCATE {}", emptied.join(", "));
                let statement = parse_one(&text, session.instance.syntax())?;
                session.dispatch(&statement, &[])?;
            }
            Ok(())
        })
    }
}

/// What a temporary table does when a transaction commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnCommit {
    DeleteRows,
    Drop,
}

/// Drops what sessions of a server that is gone have left behind.
pub(crate) fn sweep(instance: &Arc<Instance>) -> Result<()> {
    let catalog = instance.catalog(&instance.engine().latest_view())?;
    let left = catalog.schemas().map(|schema| schema.name.clone());
    let left: Vec<String> = left
        .filter(|name| names::is_temporary_schema(name))
        .collect();
    let mut roles = catalog.roles();
    let (false, Some(role)) = (left.is_empty(), roles.find(|r| r.superuser && r.login)) else {
        return Ok(());
    };
    let mut session = instance.session(SessionOptions {
        user: role.name.clone(),
        database: instance.database().to_owned(),
        ..SessionOptions::default()
    })?;
    session.drop_in_a_transaction(&left)
}
