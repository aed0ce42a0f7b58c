//! ALTER TABLE.

use std::sync::Arc;

use arrow::array::ArrayRef;
use heliosdb_storage::TableLockMode;
use heliosdb_storage::ids::RowId;
use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation, DropBehavior, Ident};

use super::constraint::{ConstraintRequest, Existing};
use super::create_table::{ColumnRequest, check_column_name, check_option};
use super::generated::{check_alone, check_not_generated, readers};
use super::put;
use crate::catalog::Relation;
use crate::catalog::model::*;
use crate::ddl::grant::syntax::RoleName;
use crate::dml::generated::Programs;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::plugin::clause::Clauses;
use crate::session::outcome::Outcome;
use crate::session::spelling::{altered_constraint, drops_expression};
use crate::session::{Session, done};
use crate::types::extension;

/// Rows rewritten per step when a new column's default differs by row.
const REWRITE_ROWS: usize = 8192;

impl Session {
    pub(crate) fn alter_table(
        &mut self,
        alter: &ast::AlterTable,
        clauses: &Clauses<'_>,
    ) -> Result<Outcome> {
        let (_, catalog) = self.write_view()?;
        match self.find_relation(&catalog, &alter.name)? {
            None if alter.if_exists => {
                let shown = names::parts(&alter.name)?.join(".");
                self.notify_skipped(format!("relation \"{shown}\" does not exist, skipping"));
                return done("ALTER TABLE");
            }
            Some(Relation::View(_) | Relation::Sequence(_) | Relation::Index(_)) => {
                return self.alter_other(&alter.name, &alter.operations);
            }
            _ => {}
        }
        let table = self.ddl_table(&alter.name, TableLockMode::AccessExclusive)?;
        self.check_none_waits("ALTER TABLE", &table)?;
        // Asked before the columns are added.
        let clauses = clauses.but_for_columns_of(&table);
        check_type_changes(&alter.operations)?;
        for operation in &alter.operations {
            self.alter_one(table.oid, operation)?;
        }
        self.apply_clauses(table.oid, &clauses, Existing::Check)?;
        done("ALTER TABLE")
    }

    /// ALTER TABLE also renames what is not a table.
    fn alter_other(
        &mut self,
        name: &ast::ObjectName,
        operations: &[AlterTableOperation],
    ) -> Result<Outcome> {
        let (_, catalog) = self.write_view()?;
        let relation = self.relation(&catalog, name)?;
        self.check_owner(relation.owner(), relation.kind(), relation.name())?;
        if let [AlterTableOperation::OwnerTo { new_owner }] = operations {
            let to = self.new_owner(new_owner)?;
            self.change_owner(&relation, to)?;
            return done("ALTER TABLE");
        }
        let [AlterTableOperation::RenameTable { table_name }] = operations else {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a table", relation.name()),
            ));
        };
        self.rename_relation(&relation, table_name)?;
        done("ALTER TABLE")
    }

    fn table_by_oid(&mut self, oid: Oid) -> Result<Table> {
        let (_, catalog) = self.write_view()?;
        let table = catalog
            .table(oid)
            .ok_or_else(|| SqlError::internal("the table is gone"))?;
        Ok(table.as_ref().clone())
    }

    fn alter_one(&mut self, oid: Oid, operation: &AlterTableOperation) -> Result<()> {
        match operation {
            AlterTableOperation::AddColumn {
                if_not_exists,
                column_def,
                column_position: None,
                ..
            } => self.add_column(oid, column_def, *if_not_exists),
            AlterTableOperation::DropColumn {
                column_names,
                if_exists,
                drop_behavior,
                ..
            } => {
                for column in column_names {
                    let cascade = matches!(drop_behavior, Some(DropBehavior::Cascade));
                    self.drop_column(oid, column, *if_exists, cascade)?;
                }
                Ok(())
            }
            AlterTableOperation::AddConstraint {
                constraint,
                not_valid,
            } => {
                let existing = if *not_valid {
                    Existing::NotValid
                } else {
                    Existing::Check
                };
                let request = ConstraintRequest::new(constraint)?;
                self.add_constraint(oid, request, existing)
            }
            AlterTableOperation::ValidateConstraint { name } => {
                self.validate_constraint(oid, &fold(name))
            }
            AlterTableOperation::DropConstraint {
                if_exists,
                name,
                drop_behavior,
            } => self.drop_constraint(oid, name, *if_exists, drop_behavior.as_ref()),
            AlterTableOperation::RenameColumn {
                old_column_name,
                new_column_name,
            } => self.rename_column(oid, old_column_name, new_column_name),
            AlterTableOperation::RenameTable { table_name } => {
                let table = self.table_by_oid(oid)?;
                self.rename_relation(&Relation::Table(Arc::new(table)), table_name)
            }
            AlterTableOperation::RenameConstraint { old_name, new_name }
                if altered_constraint(new_name).is_some() =>
            {
                let deferral = altered_constraint(new_name).unwrap_or_default();
                self.alter_constraint(oid, &fold(old_name), deferral)
            }
            AlterTableOperation::RenameConstraint { old_name, new_name } => {
                self.rename_constraint(oid, &fold(old_name), fold(new_name))
            }
            AlterTableOperation::AlterColumn { column_name, op } => {
                self.alter_column(oid, column_name, op)
            }
            AlterTableOperation::OwnerTo { new_owner } => {
                let to = self.new_owner(new_owner)?;
                let table = self.table_by_oid(oid)?;
                self.change_owner(&Relation::Table(Arc::new(table)), to)
            }
            AlterTableOperation::EnableRowLevelSecurity => self.secure(oid, |s| s.enabled = true),
            AlterTableOperation::DisableRowLevelSecurity => self.secure(oid, |s| s.enabled = false),
            AlterTableOperation::ForceRowLevelSecurity => self.secure(oid, |s| s.forced = true),
            AlterTableOperation::NoForceRowLevelSecurity => self.secure(oid, |s| s.forced = false),
            AlterTableOperation::SetOptionsParens { options } => {
                options.iter().try_for_each(check_option)?;
                self.set_retention(oid, options)
            }
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(3).collect();
                Err(SqlError::unsupported(format!(
                    "ALTER TABLE … {}",
                    words.join(" ")
                )))
            }
        }
    }

    fn add_column(
        &mut self,
        oid: Oid,
        definition: &ast::ColumnDef,
        if_not_exists: bool,
    ) -> Result<()> {
        let table = self.table_by_oid(oid)?;
        let mut request = ColumnRequest::new(definition, &self.info.functions())?;
        if table.column(&request.name).is_some() {
            let message = format!(
                "column \"{}\" of relation \"{}\" already exists",
                request.name, table.name
            );
            if if_not_exists {
                self.notify_skipped(format!("{message}, skipping"));
                return Ok(());
            }
            return Err(SqlError::new(state::DUPLICATE_COLUMN, message));
        }
        check_column_name(&request.name)?;
        check_alone(&request, &table.name)?;
        let generated = request.generated.take();
        let constraints = std::mem::take(&mut request.constraints);
        let (_, catalog) = self.write_view()?;
        let schema = catalog
            .schema(table.schema)
            .ok_or_else(|| SqlError::internal("a table without its schema"))?
            .clone();
        let mut changes = Vec::new();
        let mut column = self.new_column(&table, &schema, request, &mut changes)?;
        let not_null = column.not_null;
        // Rows that are there get the default: recorded once when it is one value for all.
        let rewrite = match self.constant_default(&column)? {
            DefaultValue::None if generated.is_some() => {
                column.not_null = false;
                true
            }
            DefaultValue::None => {
                column.not_null = false;
                false
            }
            DefaultValue::Constant(bytes) => {
                column.missing = Some(bytes);
                column.not_null = false;
                false
            }
            DefaultValue::PerRow => {
                column.not_null = false;
                true
            }
        };
        let mut table = table;
        self.leave_places(&mut table)?;
        let place = u16::try_from(table.columns.len())
            .map_err(|_| SqlError::new(state::TOO_MANY_COLUMNS, "too many columns"))?;
        changes.extend(self.views_before_column(&catalog, &table)?);
        table.columns.push(column);
        if let Some(expr) = generated {
            self.generate(&mut table, place, &expr)?;
        }
        changes.push(put!(Table, table));
        let catalog = self.change_catalog(changes)?;
        self.define_storage(&catalog, oid)?;
        if !rewrite {
            self.check_new_domain(&catalog, oid, place)?;
        }
        if rewrite {
            self.fill_column(oid, place)?;
        }
        if not_null {
            self.set_not_null(oid, place)?;
        }
        for constraint in constraints {
            self.add_constraint(oid, constraint, Existing::Check)?;
        }
        Ok(())
    }

    fn constant_default(&mut self, column: &Column) -> Result<DefaultValue> {
        let Some(expr) = crate::dml::target::default_expression(column)? else {
            return Ok(DefaultValue::None);
        };
        let (_, catalog) = self.write_view()?;
        let meta = crate::catalog::meta::ColumnMeta {
            id: heliosdb_storage::ids::ColumnId(0),
            name: column.name.clone(),
            ty: column.ty(),
            typmod: column.typmod,
            not_null: false,
            domain: None,
        };
        let format = self.info.format();
        self.with_state(|session, state| {
            let exprs = crate::plan::compile::Expressions::plan_of_catalog(
                state,
                &catalog,
                &session.info,
                &[],
                vec![expr],
                "DEFAULT expressions",
            )?;
            if exprs.is_volatile() {
                return Ok(DefaultValue::PerRow);
            }
            let value = exprs
                .program(state, &[])?
                .run_one(0, &crate::dml::one_row())?;
            let storage = meta.ty.arrow_typmod(meta.typmod);
            let value = crate::dml::assign::to_column(&value, &meta, &storage, &format)?;
            if value.is_null(0) {
                return Ok(DefaultValue::None);
            }
            Ok(DefaultValue::Constant(one_value(&value)?))
        })
    }

    /// Computes a new column's default, or what generates it, for every row.
    fn fill_column(&mut self, oid: Oid, place: u16) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let target = self.with_state(|s, state| s.write_target(state, &catalog, oid))?;
        let all = target.meta.all_columns();
        let view = self.transaction()?.latest_view();
        let request = heliosdb_storage::ScanRequest {
            row_id: true,
            batch_rows: REWRITE_ROWS,
            ..heliosdb_storage::ScanRequest::columns(all)
        };
        let scans = view.scan(target.meta.storage.clone(), request)?;
        let at = target
            .meta
            .position(heliosdb_storage::ids::ColumnId(place))
            .ok_or_else(|| SqlError::internal("the new column is gone"))?;
        let format = self.info.format();
        let mut programs = Programs::new();
        for batch in scans.into_iter().flatten() {
            let batch = target.meta.read(&batch?)?;
            let (ids, columns) = batch
                .columns()
                .split_last()
                .ok_or_else(|| SqlError::internal("a scan without row ids"))?;
            let ids: Vec<RowId> = ids
                .as_any()
                .downcast_ref::<arrow::array::UInt64Array>()
                .map(|a| a.values().iter().map(|v| RowId(*v)).collect())
                .unwrap_or_default();
            let mut columns: Vec<ArrayRef> = columns.to_vec();
            let rows = ids.len();
            self.with_state(|_, state| {
                let (generated, meta) = (&target.generated, &target.meta);
                if let Some(which) = target.default_of(at) {
                    let program = target.defaults.program(state, &[])?;
                    let values = program.run_one(which, &crate::dml::rows_without_columns(rows))?;
                    let ty = meta.schema.field(at).data_type();
                    let column = &meta.columns[at];
                    columns[at] = crate::dml::assign::to_column(&values, column, ty, &format)?;
                    if let Some(rules) = &column.domain {
                        rules.check(&columns[at])?;
                    }
                }
                generated.fill(
                    state,
                    &mut programs,
                    meta,
                    &mut columns,
                    Some(&[at]),
                    &format,
                )
            })?;
            let new =
                arrow::record_batch::RecordBatch::try_new(target.meta.schema.clone(), columns)?;
            self.transaction()?.update(
                &target.meta.storage,
                &ids,
                extension::stored(&new)?.as_ref(),
            )?;
        }
        Ok(())
    }

    /// Leaves the places of columns free that the table has on other branches: a place is one column's, wherever
    /// it was added, so that what branches added can be merged.
    fn leave_places(&self, table: &mut Table) -> Result<()> {
        let engine = self.instance.engine();
        let timelines = engine.timelines();
        if timelines.len() < 2 {
            return Ok(());
        }
        for timeline in timelines {
            // One that was dropped since has no say.
            let Ok(view) = engine.latest_view_on(timeline.id) else {
                continue;
            };
            let Some(there) = self.instance.catalog_table(&view, table.oid)? else {
                continue;
            };
            // What a row has of it depends on its type, and what rows of before begin with is part of them when
            // they are written to segments.
            for (place, column) in there.columns.iter().enumerate().skip(table.columns.len()) {
                let mut free = column.clone();
                free.take_away(place);
                free.free = true;
                table.columns.push(free);
            }
        }
        Ok(())
    }

    pub(super) fn set_not_null(&mut self, oid: Oid, place: u16) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let mut table = self.table_by_oid(oid)?;
        self.make_not_null(&catalog, &mut table, &[place], true)?;
        self.change_catalog(vec![put!(Table, table)])?;
        Ok(())
    }

    pub(super) fn find_place(&self, table: &Table, column: &Ident) -> Result<u16> {
        let name = fold(column);
        table.column(&name).map(|(id, _)| id.0).ok_or_else(|| {
            SqlError::new(
                state::UNDEFINED_COLUMN,
                format!(
                    "column \"{name}\" of relation \"{}\" does not exist",
                    table.name
                ),
            )
        })
    }

    pub(crate) fn drop_column(
        &mut self,
        oid: Oid,
        column: &Ident,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let table = self.table_by_oid(oid)?;
        let place = match self.find_place(&table, column) {
            Ok(place) => place,
            Err(e) if if_exists => {
                self.notify_skipped(format!("{}, skipping", e.message));
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        for (reader, generated) in readers(&table, place) {
            if !cascade {
                let name = &table.columns[usize::from(place)].name;
                return Err(SqlError::new(
                    state::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop column {name} of table {} because other objects depend on it",
                        table.name
                    ),
                )
                .with_detail(format!(
                    "column {} of table {} depends on column {name} of table {}",
                    generated.name, table.name, table.name
                ))
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
            self.notify_skipped(format!(
                "drop cascades to column {} of table {}",
                generated.name, table.name
            ));
            let reader = &table.columns[usize::from(reader)].name;
            self.drop_column(oid, &crate::names::quoted_ident(reader), true, cascade)?;
        }
        self.drop_column_dependents(&table, place, cascade)?;
        let mut table = self.table_by_oid(oid)?;
        let column = &mut table.columns[usize::from(place)];
        column.take_away(usize::from(place));
        let catalog = self.change_catalog(vec![put!(Table, table)])?;
        self.define_storage(&catalog, oid)
    }

    fn drop_constraint(
        &mut self,
        oid: Oid,
        name: &Ident,
        if_exists: bool,
        behavior: Option<&DropBehavior>,
    ) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let table = self.table_by_oid(oid)?;
        let name = fold(name);
        let Some(constraint) = catalog.constraints_of(oid).find(|c| c.name == name) else {
            let message = format!(
                "constraint \"{name}\" of relation \"{}\" does not exist",
                table.name
            );
            if if_exists {
                self.notify_skipped(format!("{message}, skipping"));
                return Ok(());
            }
            return Err(SqlError::new(state::UNDEFINED_OBJECT, message));
        };
        self.drop_all(
            &[constraint.oid],
            matches!(behavior, Some(DropBehavior::Cascade)),
        )
    }

    /// ALTER CONSTRAINT: when a foreign key is checked.
    fn alter_constraint(&mut self, oid: Oid, name: &str, deferral: Deferral) -> Result<()> {
        let (catalog, table) = self.table_now(oid)?;
        let found = catalog.constraints_of(oid).find(|c| c.name == name);
        let relation = &table.name;
        let Some(found) = found else {
            return Err(SqlError::new(
                state::UNDEFINED_OBJECT,
                format!("constraint \"{name}\" of relation \"{relation}\" does not exist"),
            ));
        };
        let mut constraint = found.as_ref().clone();
        let ConstraintKind::ForeignKey(key) = &mut constraint.kind else {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!(
                    "constraint \"{name}\" of relation \"{relation}\" is not a foreign key constraint"
                ),
            ));
        };
        key.deferral = deferral;
        self.change_catalog(vec![put!(Constraint, constraint)])
            .map(drop)
    }

    fn alter_column(&mut self, oid: Oid, column: &Ident, op: &AlterColumnOperation) -> Result<()> {
        let mut table = self.table_by_oid(oid)?;
        let place = self.find_place(&table, column)?;
        match op {
            AlterColumnOperation::SetNotNull => return self.set_not_null(oid, place),
            AlterColumnOperation::DropNotNull => {
                let (_, catalog) = self.write_view()?;
                let column = &mut table.columns[usize::from(place)];
                if catalog
                    .primary_key(oid)
                    .is_some_and(|pk| pk.columns().contains(&place))
                {
                    return Err(SqlError::new(
                        state::INVALID_TABLE_DEFINITION,
                        format!("column \"{}\" is in a primary key", column.name),
                    ));
                }
                if column.identity.is_some() {
                    return Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        format!(
                            "column \"{}\" of relation \"{}\" is an identity column",
                            column.name, table.name
                        ),
                    ));
                }
                column.not_null = false;
            }
            AlterColumnOperation::SetDefault { value } if drops_expression(value).is_some() => {
                let if_exists = drops_expression(value) == Some(true);
                let column = &mut table.columns[usize::from(place)];
                if column.generated.take().is_none() {
                    let message = format!(
                        "column \"{}\" of relation \"{}\" is not a stored generated column",
                        column.name, table.name
                    );
                    if if_exists {
                        self.notify_skipped(format!("{message}, skipping"));
                        return Ok(());
                    }
                    return Err(SqlError::new(
                        state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                        message,
                    ));
                }
            }
            AlterColumnOperation::SetDefault { value } => {
                check_not_generated(&table, place)?;
                let mut changed = table.columns[usize::from(place)].clone();
                if changed.identity.is_some() {
                    return Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        format!(
                            "column \"{}\" of relation \"{}\" is an identity column",
                            changed.name, table.name
                        ),
                    ));
                }
                self.set_default(&mut changed, value)?;
                table.columns[usize::from(place)] = changed;
            }
            AlterColumnOperation::DropDefault => {
                check_not_generated(&table, place)?;
                let column = &mut table.columns[usize::from(place)];
                column.default = None;
                column.default_sequences.clear();
            }
            AlterColumnOperation::SetDataType {
                data_type, using, ..
            } => return self.alter_column_type(oid, place, data_type, using.as_ref()),
            AlterColumnOperation::AddGenerated { .. } => {
                return Err(SqlError::unsupported("ALTER COLUMN … ADD GENERATED"));
            }
        }
        self.change_catalog(vec![put!(Table, table)])?;
        Ok(())
    }

    /// The role that OWNER TO names.
    pub(super) fn new_owner(&mut self, owner: &ast::Owner) -> Result<Oid> {
        let (_, catalog) = self.write_view()?;
        let name = match owner {
            ast::Owner::Ident(ident) => RoleName::Name(fold(ident)),
            ast::Owner::CurrentRole | ast::Owner::CurrentUser => RoleName::Current,
            ast::Owner::SessionUser => RoleName::Session,
        };
        self.role_oid(&catalog, &name)
    }
}

/// What a column's default gives the rows that are there.
enum DefaultValue {
    None,
    /// One value, in the form of `ColumnDef::missing`.
    Constant(Vec<u8>),
    PerRow,
}

/// Each change of a type is made by itself: one may not read what another changes.
fn check_type_changes(operations: &[AlterTableOperation]) -> Result<()> {
    let changes = operations.iter().filter_map(|operation| match operation {
        AlterTableOperation::AlterColumn {
            column_name,
            op: AlterColumnOperation::SetDataType { using, .. },
        } => Some((fold(column_name), using.as_ref())),
        _ => None,
    });
    let changes: Vec<_> = changes.collect();
    for (column, using) in &changes {
        let Some(using) = using else { continue };
        let mut reads_another = false;
        let _ = ast::visit_expressions(*using, |expr| {
            let read = match expr {
                ast::Expr::Identifier(ident) => Some(fold(ident)),
                ast::Expr::CompoundIdentifier(path) => path.last().map(fold),
                _ => None,
            };
            reads_another |= read.is_some_and(|read| {
                read != *column && changes.iter().any(|(other, _)| *other == read)
            });
            std::ops::ControlFlow::<()>::Continue(())
        });
        if reads_another {
            return Err(SqlError::unsupported(
                "ALTER COLUMN … TYPE … USING a column whose type changes in the same statement",
            ));
        }
    }
    Ok(())
}

/// One value in the form storage keeps it in.
fn one_value(array: &ArrayRef) -> Result<Vec<u8>> {
    let stored = extension::unwrapped(array);
    Ok(heliosdb_storage::datum::Datum::from_array(stored.as_ref(), 0)?.encode())
}
