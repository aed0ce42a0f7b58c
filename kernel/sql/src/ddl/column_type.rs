//! ALTER COLUMN … TYPE.
//!
//! The table is rewritten with its rows converted (`super::rewrite`). Where the values stay as they are, as
//! varchar(20) in text, only the catalog changes.

use std::sync::Arc;

use arrow::array::new_empty_array;
use heliosdb_storage::TableLockMode;
use heliosdb_storage::ids::ColumnId;
use sqlparser::ast::{self, Expr};

use super::constraint::check_alike;
use super::create_table::{column_type, domain_of};
use super::index::check_operator_class;
use super::put;
use crate::catalog::CatalogSnapshot;
use crate::catalog::meta::ColumnMeta;
use crate::catalog::model::*;
use crate::dml::assign::to_column;
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::plan::compile::{Expressions, Local};
use crate::routine::Names;
use crate::session::Session;
use crate::types::PgType;
use crate::types::names::format_type;

impl Session {
    pub(super) fn alter_column_type(
        &mut self,
        oid: Oid,
        place: u16,
        ast_type: &ast::DataType,
        using: Option<&Expr>,
    ) -> Result<()> {
        let (catalog, table) = self.table_now(oid)?;
        let old = &table.columns[usize::from(place)];
        let (ty, typmod, serial) = column_type(ast_type, &self.info.functions())?;
        let domain = domain_of(ast_type, &self.info.functions())?;
        if serial {
            let message = "type \"serial\" does not exist";
            return Err(SqlError::new(state::UNDEFINED_OBJECT, message));
        }
        ty.column_type(typmod)?;
        check_uses(&catalog, &table, place, &ty)?;
        let mut new = Column {
            type_oid: domain.as_ref().map_or(ty.oid(), |(oid, _)| *oid),
            typmod,
            extension_type: None,
            user_type: (domain.is_some() || ty.enumeration().is_some()).then(|| ty.clone()),
            domain: domain.map(|(_, rules)| rules),
            missing: None,
            // A plugin's codec was chosen for the type there was.
            compression: match &old.compression {
                Some(Compression::Codec { .. }) if old.type_oid != ty.oid() => None,
                kept => kept.clone(),
            },
            ..old.clone()
        };
        if ty.extension().is_some() || old.extension_type.is_some() {
            return Err(SqlError::unsupported(
                "ALTER COLUMN … TYPE to or from a type of a plugin",
            ));
        }
        let is_untyped = self.check_conversion(&catalog, &table, place, &new, using)?;
        self.convert_default(old, &mut new)?;
        if using.is_none() && is_kept(old, &new) {
            // The values are those there were, and so is what holds of them.
            new.missing = old.missing.clone();
            let mut table = table;
            table.columns[usize::from(place)] = new;
            let catalog = self.change_catalog(vec![put!(Table, table)])?;
            return self.define_storage(&catalog, oid);
        }
        let items = table.live_columns().map(|(id, column)| match using {
            Some(expr) if id.0 == place && is_untyped => {
                let ty = self.qualified_type(ast_type);
                format!("CAST({} AS {ty})", names::text_of(expr))
            }
            Some(expr) if id.0 == place => names::text_of(expr),
            _ => names::quote(&column.name),
        });
        let items = items.collect();
        let not_null = std::mem::replace(&mut new.not_null, false);
        let mut columns = table.columns.clone();
        columns[usize::from(place)] = new;
        self.rewrite_table(&catalog, table, columns, items, "")?;
        if not_null {
            self.set_not_null(oid, place)?;
        }
        self.check_constraints_again(oid, place)
    }

    /// Whether the values that the column is to have can be assigned to one of its new type; true when they
    /// have no type of their own.
    fn check_conversion(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        table: &Table,
        place: u16,
        new: &Column,
        using: Option<&Expr>,
    ) -> Result<bool> {
        let meta = catalog.table_meta(table.oid)?;
        let from = match using {
            None => table.columns[usize::from(place)].ty(),
            Some(expr) => self.with_state(|session, state| {
                let local = Local {
                    name: &table.name,
                    schema: meta.schema.clone(),
                };
                let exprs = Expressions::plan_exprs(
                    state,
                    catalog,
                    &session.info,
                    &[local],
                    vec![expr.clone()],
                    "transform expressions",
                )?;
                Ok(exprs.pg_type(0))
            })?,
        };
        if using.is_some() && from == PgType::Unknown {
            return Ok(true);
        }
        self.check_assigned(&from, new).map_err(|e| {
            if e.code != state::DATATYPE_MISMATCH {
                return e;
            }
            let (name, column_type) = (&new.name, new.ty());
            let ty = format_type(&column_type, new.typmod);
            match using {
                None => SqlError::new(
                    state::DATATYPE_MISMATCH,
                    format!("column \"{name}\" cannot be cast automatically to type {}", column_type.name()),
                )
                .with_hint(format!("You might need to specify \"USING {}::{ty}\".", names::quote(name))),
                Some(_) => SqlError::new(
                    state::DATATYPE_MISMATCH,
                    format!(
                        "result of USING clause for column \"{name}\" cannot be cast automatically to type {}",
                        column_type.name()
                    ),
                )
                .with_hint("You might need to add an explicit cast."),
            }
        })?;
        Ok(false)
    }

    /// 42804 when values of a type cannot be assigned to a column.
    pub(super) fn check_assigned(&self, from: &PgType, column: &Column) -> Result<()> {
        let column = ColumnMeta {
            id: ColumnId(0),
            name: column.name.clone(),
            ty: column.ty(),
            typmod: column.typmod,
            not_null: false,
            domain: None,
        };
        let from = match from {
            PgType::Unknown => &PgType::Text,
            from => from,
        };
        let none = new_empty_array(&from.arrow_typmod(-1));
        let storage = column.ty.arrow_typmod(column.typmod);
        to_column(&none, &column, &storage, &self.info.format()).map(drop)
    }

    /// The default stays, as an expression that is assigned to the new type as the old one could be.
    fn convert_default(&mut self, old: &Column, column: &mut Column) -> Result<()> {
        let Some(expr) = crate::dml::target::default_expression(column)? else {
            return Ok(());
        };
        if column.identity.is_some() {
            return Ok(());
        }
        let (name, ty) = (column.name.clone(), column.ty());
        let (_, catalog) = self.write_view()?;
        let from = self.with_state(|session, state| {
            let exprs = vec![expr.clone()];
            let what = "DEFAULT expressions";
            let info = &session.info;
            let exprs = Expressions::plan_of_catalog(state, &catalog, info, &[], exprs, what)?;
            Ok(exprs.pg_type(0))
        })?;
        // A literal has had the column's type until now.
        let from = match from {
            PgType::Unknown => old.ty(),
            from => from,
        };
        let assigned = self.check_assigned(&from, column);
        let kept = assigned.and_then(|()| self.set_default_of(column, &expr, Names::Stored));
        // The expression is the same, whatever the search path is now.
        column.default_sequences.clone_from(&old.default_sequences);
        kept.map_err(|e| match e.code {
            state::DATATYPE_MISMATCH => SqlError::new(
                state::DATATYPE_MISMATCH,
                format!(
                    "default for column \"{name}\" cannot be cast automatically to type {}",
                    ty.name()
                ),
            ),
            _ => e,
        })
    }

    /// Holds what says something of the column against its new values.
    fn check_constraints_again(&mut self, oid: Oid, place: u16) -> Result<()> {
        let (catalog, table) = self.table_now(oid)?;
        let own: Vec<_> = catalog
            .constraints_of(oid)
            .filter(|constraint| constraint.columns().contains(&place))
            .cloned()
            .collect();
        let others: Vec<_> = catalog
            .foreign_keys_to(oid)
            .filter(|constraint| !own.iter().any(|of_own| of_own.oid == constraint.oid))
            .filter(|constraint| match &constraint.kind {
                ConstraintKind::ForeignKey(key) => key.referenced_columns.contains(&place),
                _ => false,
            })
            .cloned()
            .collect();
        for constraint in &others {
            let Some(child) = catalog.table(constraint.table).filter(|t| t.oid != oid) else {
                continue;
            };
            self.lock_table(child.collection_id(), TableLockMode::ShareRowExclusive)?;
        }
        for constraint in own.iter().chain(&others) {
            if let ConstraintKind::ForeignKey(key) = &constraint.kind
                && let Some(child) = catalog.table(constraint.table)
                && let Some(parent) = catalog.table(key.referenced_table)
            {
                let parent = if parent.oid == oid { &table } else { parent };
                check_alike(&constraint.name, child, parent, key)?;
            }
            if constraint.validated {
                self.check_existing_rows(&catalog, constraint)?;
            }
        }
        Ok(())
    }
}

/// 0A000 or 22023 when something depends on the column that its new type would break.
fn check_uses(catalog: &CatalogSnapshot, table: &Table, place: u16, ty: &PgType) -> Result<()> {
    let column = &table.columns[usize::from(place)];
    let view = catalog
        .views()
        .find(|view| view.depends_on.iter().any(|on| on.oid == table.oid));
    if let Some(view) = view {
        return Err(SqlError::new(
            state::FEATURE_NOT_SUPPORTED,
            "cannot alter type of a column used by a view or rule",
        )
        .with_detail(format!(
            "rule _RETURN on view {} depends on column \"{}\"",
            view.name, column.name
        )));
    }
    if column.generated.is_some() {
        return Err(SqlError::unsupported(
            "ALTER COLUMN … TYPE of a generated column",
        ));
    }
    if let Some(policy) = table.policies.iter().find(|p| p.columns.contains(&place)) {
        return Err(SqlError::new(
            state::FEATURE_NOT_SUPPORTED,
            "cannot alter type of a column used in a policy definition",
        )
        .with_detail(format!(
            "policy {} on table {} depends on column \"{}\"",
            policy.name, table.name, column.name
        )));
    }
    if let Some((_, reader)) = super::generated::readers(table, place).next() {
        return Err(SqlError::new(
            state::FEATURE_NOT_SUPPORTED,
            "cannot alter type of a column used by a generated column",
        )
        .with_detail(format!(
            "Column \"{}\" is used by generated column \"{}\".",
            column.name, reader.name
        )));
    }
    if column.identity.is_some() && !ty.is_integer() {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "identity column type must be smallint, integer, or bigint",
        ));
    }
    let reads = |expression: &IndexExpression| expression.columns.contains(&place);
    let in_index = catalog.indexes_of(table.oid).find(|index| {
        index.expressions.iter().any(reads) || index.predicate.as_ref().is_some_and(reads)
    });
    if let Some(index) = in_index {
        return Err(SqlError::unsupported(format!(
            "ALTER COLUMN … TYPE of a column in an expression of index \"{}\"",
            index.name
        )));
    }
    for index in catalog.indexes_of(table.oid) {
        for key in index.columns.iter().filter(|key| key.column == place) {
            check_operator_class(key.operator_class, ty.oid())?;
        }
    }
    let by_plugin = catalog
        .constraints_of(table.oid)
        .find(|constraint| constraint.plugin().is_some() && constraint.columns().contains(&place));
    match by_plugin {
        Some(constraint) => Err(SqlError::unsupported(format!(
            "ALTER COLUMN … TYPE of a column of constraint \"{}\", which a plugin checks",
            constraint.name
        ))),
        None => Ok(()),
    }
}

/// Whether every value of the old column is one of the new, and is kept in the same form.
fn is_kept(old: &Column, new: &Column) -> bool {
    let is_text = |ty: &PgType| matches!(ty, PgType::Text | PgType::Varchar);
    let no_shorter = new.typmod < 0 || (old.typmod >= 0 && old.typmod <= new.typmod);
    let same = old.type_oid == new.type_oid && old.typmod == new.typmod;
    same || (is_text(&old.ty()) && is_text(&new.ty()) && no_shorter)
}
