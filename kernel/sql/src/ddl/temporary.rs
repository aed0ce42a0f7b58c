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
//! 4. *Of no restore.* RESTORE DATABASE brings none back, and those of now are gone with the main branch of now.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, UInt64Array};
use heliosdb_storage::ScanRequest;
use heliosdb_storage::ids::RowId;
use sqlparser::ast;

use super::put;
use crate::catalog::access::Privileges;
use crate::catalog::model::Schema;
use crate::catalog::{CatalogSnapshot, Oid};
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::names;
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
        let (role, database) = (self.info.role(), &self.info.database);
        let may = role.check_database(&catalog, database, Privileges::TEMPORARY);
        may.map_err(|e| {
            let message = "permission denied to create temporary tables in database";
            SqlError::new(e.code, format!("{message} \"{database}\""))
        })?;
        let name = self.info.temporary_schema();
        if self.info.has_made_temporary()
            && let Some(schema) = catalog.schema_by_name(&name)
        {
            return Ok(schema.clone());
        }
        // Those of sessions that are gone, one of which may have had this one's number. They are forgotten once
        // they are not there any more: this transaction may not commit.
        let mut of_others = {
            let mut left = self.instance.left_schemas();
            left.retain(|name| catalog.schema_by_name(name).is_some());
            left.clone()
        };
        of_others.push(name.clone());
        self.drop_schemas(&of_others)?;
        let schema = Schema {
            oid: self.instance.allocate_oid()?,
            name,
            owner: self.info.role().oid,
        };
        let made = Arc::new(schema.clone());
        self.change_catalog(vec![put!(Schema, schema)])?;
        self.info.note_made_temporary();
        Ok(made)
    }

    /// Drops the schemas that there are of these, with all that is in them, in the running transaction.
    pub(crate) fn drop_schemas(&mut self, names: &[String]) -> Result<()> {
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
        if std::thread::panicking() {
            self.instance.left_schemas().push(own);
            return;
        }
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
        let (_, catalog) = self.write_view()?;
        let all = self.info.on_commit().clone();
        let is_there = |(table, _): &(&Oid, &OnCommit)| catalog.table(**table).is_some();
        let (dropped, emptied): (Vec<_>, Vec<_>) = all
            .iter()
            .filter(is_there)
            .partition(|(_, on_commit)| **on_commit == OnCommit::Drop);
        for (table, _) in &emptied {
            self.empty(&catalog, **table, &all)?;
        }
        let dropped: Vec<Oid> = dropped.into_iter().map(|(table, _)| *table).collect();
        if dropped.is_empty() {
            return Ok(());
        }
        self.without_notices(|session| {
            session.begin_ddl()?;
            session.drop_all(&dropped, true)
        })
    }

    /// Forgets what tables that are gone were to do.
    pub(crate) fn forget_on_commit(&mut self) {
        let mut all = self.info.on_commit();
        if !all.is_empty() {
            let catalog = self.info.catalog();
            all.retain(|table, _| catalog.table(*table).is_some());
        }
    }

    /// Deletes all rows of a temporary table; 0A000 when rows of a table that keeps its own refer to them.
    fn empty(
        &mut self,
        catalog: &CatalogSnapshot,
        table: Oid,
        all: &BTreeMap<Oid, OnCommit>,
    ) -> Result<()> {
        let meta = catalog.table_meta(table)?;
        let view = self.transaction()?.latest_view();
        let rows = ScanRequest {
            row_id: true,
            ..ScanRequest::columns(Vec::new())
        };
        let mut is_first = true;
        for batch in view.scan(meta.storage.clone(), rows)?.into_iter().flatten() {
            let batch = batch?;
            let Some(ids) = batch.columns().last().and_then(|c| c.as_primitive_opt()) else {
                return Err(SqlError::internal("a scan without row ids"));
            };
            let ids: &UInt64Array = ids;
            let ids: Vec<RowId> = ids.values().iter().map(|id| RowId(*id)).collect();
            if ids.is_empty() {
                continue;
            }
            let mut children = catalog.foreign_keys_to(table);
            if std::mem::take(&mut is_first) && !children.all(|fk| all.contains_key(&fk.table)) {
                return Err(SqlError::new(
                    state::FEATURE_NOT_SUPPORTED,
                    "unsupported ON COMMIT and foreign key combination",
                )
                .with_detail(format!(
                    "A table that refers to \"{}\" does not have the same ON COMMIT setting.",
                    meta.table.name
                )));
            }
            self.transaction()?.delete(&meta.storage, &ids)?;
        }
        Ok(())
    }
}

/// What a temporary table does when a transaction commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnCommit {
    DeleteRows,
    Drop,
}

/// Drops what sessions of a server that is gone have left behind. What cannot be dropped now is left to sessions.
pub(crate) fn sweep(instance: &Arc<Instance>) -> Result<()> {
    let catalog = instance.catalog(&instance.engine().latest_view())?;
    let left = catalog.schemas().map(|schema| schema.name.clone());
    let left: Vec<String> = left
        .filter(|name| names::is_temporary_schema(name))
        .collect();
    let mut roles = catalog.roles();
    if left.is_empty() {
        return Ok(());
    }
    let swept = match roles.find(|r| r.superuser && r.login) {
        None => false,
        Some(role) => {
            let mut session = instance.session(SessionOptions {
                user: role.name.clone(),
                database: instance.database().to_owned(),
                ..SessionOptions::default()
            })?;
            session.drop_in_a_transaction(&left).is_ok()
        }
    };
    if !swept {
        instance.left_schemas().extend(left);
    }
    Ok(())
}
