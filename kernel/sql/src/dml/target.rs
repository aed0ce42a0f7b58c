//! A table prepared for writing: what has to hold of its rows, and who refers to them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::execution::SessionState;
use sqlparser::ast;

use super::generated::GeneratedColumns;
use crate::catalog::meta::TableMeta;
use crate::catalog::model::{Column, Constraint, ConstraintKind, ForeignKey};
use crate::catalog::{CatalogSnapshot, CatalogVersion, Oid};
use crate::error::{Result, SqlError};
use crate::plan::compile::{Expressions, Local};
use crate::plugin::constraint::PluginCheck;
use crate::session::info::SessionInfo;
use crate::session::settings::Settings;
use crate::session::statement::parse_expression;

/// The tables that a session has prepared, for one version of the catalog and for settings under which
/// plans are alike: defaults and conditions are compiled with both.
#[derive(Default)]
pub(crate) struct WriteTargets {
    tables: HashMap<Oid, Arc<WriteTarget>>,
    catalog: CatalogVersion,
    settings: Option<Settings>,
}

impl WriteTargets {
    /// The table, if it is prepared for this catalog and these settings. All are forgotten when they are
    /// for others.
    pub fn find(
        &mut self,
        catalog: CatalogVersion,
        settings: &Settings,
        table: Oid,
    ) -> Option<Arc<WriteTarget>> {
        let under = self.settings.as_ref();
        if self.catalog != catalog || !under.is_some_and(|under| settings.plans_alike(under)) {
            self.tables.clear();
            self.catalog = catalog;
            self.settings = Some(settings.clone());
        }
        self.tables.get(&table).cloned()
    }

    /// Keeps a table that was prepared for what [`WriteTargets::find`] was last asked with.
    pub fn keep(&mut self, table: Oid, target: Arc<WriteTarget>) {
        self.tables.insert(table, target);
    }
}

#[derive(Debug)]
pub(crate) struct WriteTarget {
    pub meta: Arc<TableMeta>,
    /// Places of columns that have a default, and the defaults, in the same order.
    pub default_columns: Vec<usize>,
    pub defaults: Expressions,
    pub generated: GeneratedColumns,
    /// CHECK constraints and their conditions, in the same order.
    pub checks: Vec<Arc<Constraint>>,
    pub conditions: Expressions,
    /// Constraints that plugins check.
    pub plugin_checks: Vec<PluginCheck>,
    /// Foreign keys of this table.
    pub foreign_keys: Vec<ForeignKeyTarget>,
    /// Foreign keys that reference this table.
    pub referenced_by: Vec<ForeignKeyTarget>,
    pub schema_name: String,
}

impl WriteTarget {
    /// Whether it holds nothing of the session that prepared it.
    pub fn is_shareable(&self) -> bool {
        self.defaults.is_shareable()
            && self.generated.is_shareable()
            && self.conditions.is_shareable()
            && self.plugin_checks.is_empty()
    }
}

/// A foreign key with both its tables.
#[derive(Clone, Debug)]
pub(crate) struct ForeignKeyTarget {
    pub constraint: Arc<Constraint>,
    pub key: ForeignKey,
    pub child: Arc<TableMeta>,
    /// Where the child is, for messages.
    pub child_schema: String,
    pub parent: Arc<TableMeta>,
    /// The place of the parent's unique index in its list.
    pub index_place: usize,
    /// For each column of the index: the place among `key.columns` of the column that matches it.
    pub order: Vec<usize>,
}

impl ForeignKeyTarget {
    fn new(
        catalog: &CatalogSnapshot,
        constraint: &Arc<Constraint>,
        key: &ForeignKey,
    ) -> Result<ForeignKeyTarget> {
        let child = catalog.table_meta(constraint.table)?;
        let parent = catalog.table_meta(key.referenced_table)?;
        let lost = || {
            SqlError::internal(format!(
                "foreign key {} has lost its index",
                constraint.name
            ))
        };
        let index_place = parent
            .indexes
            .iter()
            .position(|i| i.oid == key.referenced_index)
            .ok_or_else(lost)?;
        let order = parent.indexes[index_place]
            .columns
            .iter()
            .map(|c| {
                key.referenced_columns
                    .iter()
                    .position(|r| *r == c.column)
                    .ok_or_else(lost)
            })
            .collect::<Result<_>>()?;
        let schema = catalog.schema(child.table.schema);
        Ok(ForeignKeyTarget {
            constraint: constraint.clone(),
            key: key.clone(),
            child_schema: schema.map_or_else(String::new, |s| s.name.clone()),
            child,
            parent,
            index_place,
            order,
        })
    }

    /// The foreign key that a constraint is.
    pub fn of(catalog: &CatalogSnapshot, constraint: &Arc<Constraint>) -> Result<ForeignKeyTarget> {
        match &constraint.kind {
            ConstraintKind::ForeignKey(key) => ForeignKeyTarget::new(catalog, constraint, key),
            _ => Err(SqlError::internal("a constraint that is no foreign key")),
        }
    }

    pub fn is_self_reference(&self) -> bool {
        self.child.table.oid == self.parent.table.oid
    }
}

impl WriteTarget {
    pub fn new(
        state: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        table: Oid,
    ) -> Result<WriteTarget> {
        let meta = catalog.table_meta(table)?;
        let mut default_columns = Vec::new();
        let mut defaults = Vec::new();
        for (place, column) in meta.columns.iter().enumerate() {
            let catalog_column = &meta.table.columns[usize::from(column.id.0)];
            if let Some(expr) = default_expression(catalog_column)? {
                default_columns.push(place);
                defaults.push(expr);
            }
        }
        let defaults =
            Expressions::plan_stored(state, catalog, info, &[], defaults, "DEFAULT expressions")?;
        let generated = GeneratedColumns::plan(state, catalog, info, &meta)?;
        let mut checks = Vec::new();
        let mut conditions = Vec::new();
        let mut plugin_checks = Vec::new();
        let mut foreign_keys = Vec::new();
        for constraint in catalog.constraints_of(table) {
            match &constraint.kind {
                ConstraintKind::Check { expression, .. } => {
                    checks.push(constraint.clone());
                    conditions.push(parse_expression(expression)?);
                }
                ConstraintKind::ForeignKey(key) => {
                    foreign_keys.push(ForeignKeyTarget::new(catalog, constraint, key)?);
                }
                ConstraintKind::Plugin(_) => {
                    plugin_checks.push(PluginCheck::new(catalog, constraint)?);
                }
                ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => {}
            }
        }
        let local = Local {
            name: &meta.table.name,
            schema: meta.schema.clone(),
        };
        let conditions = Expressions::plan_stored(
            state,
            catalog,
            info,
            &[local],
            conditions,
            "check constraints",
        )?;
        let referenced_by = catalog
            .foreign_keys_to(table)
            .filter_map(|c| match &c.kind {
                ConstraintKind::ForeignKey(key) => Some(ForeignKeyTarget::new(catalog, c, key)),
                _ => None,
            })
            .collect::<Result<_>>()?;
        let schema_name = catalog
            .schema(meta.table.schema)
            .map_or_else(String::new, |s| s.name.clone());
        Ok(WriteTarget {
            meta,
            default_columns,
            defaults,
            generated,
            checks,
            conditions,
            plugin_checks,
            foreign_keys,
            referenced_by,
            schema_name,
        })
    }

    pub fn name(&self) -> &str {
        &self.meta.table.name
    }

    /// The place of a column's default among `defaults`.
    pub fn default_of(&self, place: usize) -> Option<usize> {
        self.default_columns.iter().position(|p| *p == place)
    }

    /// Whether a change of these columns (by place) can change a key that an index or a foreign key
    /// relies on: then the row is locked FOR UPDATE rather than FOR NO KEY UPDATE.
    pub fn changes_key(&self, places: &[usize]) -> bool {
        let places = self.generated.changed_with(places);
        let mut columns = places.iter().map(|place| self.meta.columns[*place].id);
        columns.any(|column| self.meta.is_in_key(column))
    }
}

/// A column's default as an expression: its own, or the next value of its identity sequence.
pub(crate) fn default_expression(column: &Column) -> Result<Option<ast::Expr>> {
    if let Some(identity) = column.identity {
        return parse_expression(&format!("nextval('{}')", identity.sequence)).map(Some);
    }
    let of_domain = || column.domain.as_ref()?.default.as_ref();
    let text = match column.generated {
        None => column.default.as_ref().or_else(of_domain),
        Some(_) => None,
    };
    let Some(text) = text else {
        return Ok(None);
    };
    let mut expr = parse_expression(text)?;
    strip_regclass(&mut expr);
    Ok(Some(expr))
}

/// `nextval('s'::regclass)` is how PostgreSQL prints it; `nextval` takes the name itself.
fn strip_regclass(expr: &mut ast::Expr) {
    let ast::Expr::Function(function) = expr else {
        return;
    };
    let ast::FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    for arg in &mut list.args {
        if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(inner)) = arg
            && let ast::Expr::Cast {
                expr, data_type, ..
            } = inner
            && data_type.to_string().eq_ignore_ascii_case("regclass")
        {
            *inner = expr.as_ref().clone();
        }
    }
}
