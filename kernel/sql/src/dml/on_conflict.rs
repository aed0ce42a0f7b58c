//! INSERT … ON CONFLICT: rows one at a time, because each may meet what the one before it wrote.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ids::{CollectionId, RowId};
use heliosdb_storage::{InsertOutcome, RowLock, RowLockMode};
use sqlparser::ast;

use super::insert::{Inserted, find_column};
use super::target::WriteTarget;
use super::update::flatten_assignments;
use super::write::Writer;
use super::{arbiter, assign};
use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError, state};
use crate::plan::compile::{Expressions, Local, Program};
use crate::plan::policy::{WritePolicies, Written};
use crate::session::Session;
use crate::session::info::SessionInfo;
use crate::session::planning::LazyState;
use crate::types::extension;

#[derive(Clone, Debug)]
pub(crate) struct ConflictPlan {
    /// The index whose conflicts count; all unique ones when none is named.
    arbiter: Option<CollectionId>,
    update: Option<ConflictUpdate>,
}

#[derive(Clone, Debug)]
struct ConflictUpdate {
    /// Places of the assigned columns.
    places: Vec<usize>,
    /// Their new values, then the WHERE condition if there is one; over the existing row and
    /// `excluded`.
    expressions: Expressions,
    has_condition: bool,
}

impl ConflictPlan {
    /// Whether it holds nothing of the session that planned it.
    pub fn is_shareable(&self) -> bool {
        let update = self.update.as_ref();
        update.is_none_or(|update| update.expressions.is_shareable())
    }

    pub fn new(
        state: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        target: &WriteTarget,
        name: &str,
        on: &ast::OnConflict,
    ) -> Result<ConflictPlan> {
        let arbiter = match &on.conflict_target {
            None => None,
            Some(t) => Some(CollectionId(arbiter::find(target, t)?.collection)),
        };
        let ast::OnConflictAction::DoUpdate(update) = &on.action else {
            return Ok(ConflictPlan {
                arbiter,
                update: None,
            });
        };
        if arbiter.is_none() {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "ON CONFLICT DO UPDATE requires inference specification or constraint name",
            )
            .with_hint("For example, ON CONFLICT (column_name)."));
        }
        let mut places = Vec::new();
        let mut exprs = Vec::new();
        for (column, value) in flatten_assignments(&update.assignments)? {
            let place = find_column(target, &column)?;
            if places.contains(&place) {
                return Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    format!("multiple assignments to same column \"{column}\""),
                ));
            }
            places.push(place);
            exprs.push(super::update::default_or(target, place, value)?);
        }
        let has_condition = update.selection.is_some();
        exprs.extend(update.selection.clone());
        let locals = [
            Local {
                name,
                schema: target.meta.schema.clone(),
            },
            Local {
                name: "excluded",
                schema: target.meta.schema.clone(),
            },
        ];
        for expr in &mut exprs {
            qualify(expr, name);
        }
        let expressions = Expressions::plan_exprs(
            state,
            catalog,
            info,
            &locals,
            exprs,
            "ON CONFLICT DO UPDATE",
        )?;
        Ok(ConflictPlan {
            arbiter,
            update: Some(ConflictUpdate {
                places,
                expressions,
                has_condition,
            }),
        })
    }

    /// Inserts or updates each row; gives the rows as they now are.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one statement's execution"
    )]
    pub fn insert(
        &self,
        session: &mut Session,
        state: &LazyState,
        writer: &mut Writer,
        target: &WriteTarget,
        batch: &RecordBatch,
        params: &[ScalarValue],
        policies: Option<&WritePolicies>,
        done: &mut Inserted,
    ) -> Result<RecordBatch> {
        let program = match &self.update {
            Some(update) => Some(update.expressions.prepare(state, params)?),
            None => None,
        };
        let mut written: Vec<RecordBatch> = Vec::new();
        let stored = extension::stored(batch)?;
        for row in 0..batch.num_rows() {
            loop {
                let outcome = session
                    .transaction()?
                    .insert_or_conflict(&target.meta.storage, &stored, row, self.arbiter)
                    .map_err(|e| writer.explain(target, e))?;
                match (outcome, &self.update, &program) {
                    (InsertOutcome::Inserted(id), _, _) => {
                        done.touched.insert(id);
                        writer.note_changed(target.meta.id(), &[id]);
                        let one = batch.slice(row, 1);
                        writer.note_inserted(session, target, &one)?;
                        written.push(one);
                    }
                    (InsertOutcome::Conflict { row: other, .. }, Some(update), Some(program)) => {
                        let new = batch.slice(row, 1);
                        let updated = update.apply(
                            session, state, writer, target, program, other, &new, policies, done,
                        )?;
                        match updated {
                            Updated::Row(r) => written.push(r),
                            Updated::Skipped => {}
                            // The row in the way was deleted: there is room now.
                            Updated::Gone => continue,
                        }
                    }
                    (InsertOutcome::Conflict { .. }, _, _) => {}
                }
                break;
            }
        }
        concat_batches(&target.meta.schema, &written).map_err(SqlError::from)
    }
}

enum Updated {
    Row(RecordBatch),
    Skipped,
    Gone,
}

impl ConflictUpdate {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one statement's execution"
    )]
    fn apply(
        &self,
        session: &mut Session,
        state: &LazyState,
        writer: &mut Writer,
        target: &WriteTarget,
        program: &Program,
        row: RowId,
        new: &RecordBatch,
        policies: Option<&WritePolicies>,
        done: &mut Inserted,
    ) -> Result<Updated> {
        if done.touched.contains(&row) || writer.has_changed(target.meta.id(), row) {
            return Err(SqlError::new(
                state::CARDINALITY_VIOLATION,
                "ON CONFLICT DO UPDATE command cannot affect row a second time",
            )
            .with_hint(
                "Ensure that no rows proposed for insertion within the same command have \
                 duplicate constrained values.",
            ));
        }
        let wait = session.lock_wait();
        let mode = if target.changes_key(&self.places) {
            RowLockMode::Update
        } else {
            RowLockMode::NoKeyUpdate
        };
        let transaction = session.transaction()?;
        if transaction.lock_row(target.meta.id(), row, mode, wait)? == RowLock::Gone {
            return Ok(Updated::Gone);
        }
        let all = target.meta.all_columns();
        let old = transaction
            .latest_view()
            .rows(&target.meta.storage, &[row], &all, false)?;
        if old.num_rows() == 0 {
            return Ok(Updated::Gone);
        }
        let old = target.meta.read(&old)?;
        if let Some(policies) = policies {
            policies.check(session, state, &target.meta.table, &old, Written::Met)?;
        }
        let both = beside(&old, new)?;
        if self.has_condition {
            let holds = program.condition(program.len() - 1, &both)?;
            if !holds.iter().next().flatten().unwrap_or(false) {
                return Ok(Updated::Skipped);
            }
        }
        let mut columns: Vec<ArrayRef> = old.columns().to_vec();
        for (i, place) in self.places.iter().enumerate() {
            let value = program.run_one(i, &both)?;
            let column = &target.meta.columns[*place];
            let ty = target.meta.schema.field(*place).data_type();
            columns[*place] = assign::to_column(&value, column, ty, &writer.format)?;
        }
        let updated =
            writer.check_rows(session, state, target, (columns, 1), Some(&self.places))?;
        if let Some(policies) = policies {
            let table = &target.meta.table;
            policies.check(session, state, table, &updated, Written::Updated)?;
        }
        writer.update(session, target, &[row], &updated, &self.places)?;
        done.touched.insert(row);
        writer.note_changed(target.meta.id(), &[row]);
        Ok(Updated::Row(updated))
    }
}

/// Two batches of equal length side by side.
fn beside(left: &RecordBatch, right: &RecordBatch) -> Result<RecordBatch> {
    let name = |side: &str, f: &Arc<Field>| {
        Field::new(format!("{side}{}", f.name()), f.data_type().clone(), true)
    };
    let fields: Vec<Field> = left
        .schema()
        .fields()
        .iter()
        .map(|f| name("", f))
        .chain(right.schema().fields().iter().map(|f| name("excluded.", f)))
        .collect();
    let columns = left
        .columns()
        .iter()
        .chain(right.columns())
        .cloned()
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(SqlError::from)
}

/// A bare column name means the existing row's.
fn qualify(expr: &mut ast::Expr, table: &str) {
    let _ = ast::visit_expressions_mut(expr, |e| {
        if let ast::Expr::Identifier(ident) = e {
            let ident = ident.clone();
            *e = ast::Expr::CompoundIdentifier(vec![crate::names::quoted_ident(table), ident]);
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
}
