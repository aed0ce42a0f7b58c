//! CREATE INDEX and ALTER INDEX.

use std::sync::Arc;

use heliosdb_storage::schema::{IndexDef, TableDef};
use heliosdb_storage::{LockWait, TableLockMode, Transaction};
use sqlparser::ast::{self, Expr};

use super::constraint::{Fill, included_places};
use super::index_labels::with_keys;
use super::put;
use super::row_expression::{RowExpression, check_without_plugins};
use crate::catalog::model::*;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::pg_catalog::builtin::{accepts, btree_class, builtin_classes};
use crate::plan::computed;
use crate::session::outcome::Outcome;
use crate::session::spelling::take_included;
use crate::session::statement::parse_expression;
use crate::session::{Session, done};
use crate::types::PgType;

/// Changed rows that are few enough to keep writers waiting for.
const FEW_ROWS: u64 = 1000;

/// PostgreSQL's, which drivers read as `max_index_keys`.
const INDEX_KEYS_MAX: usize = 32;

/// How often to catch up before writers wait, whatever they write.
const ROUNDS_MAX: usize = 10;

/// Fills an index while others write; when it returns, none does.
pub(super) fn fill_online(
    transaction: &mut Transaction,
    table: &TableDef,
    index: &IndexDef,
    wait: LockWait,
) -> heliosdb_storage::Result<()> {
    let mut build = transaction.begin_index(table, index)?;
    for _ in 0..ROUNDS_MAX {
        if transaction.catch_up_index(&mut build)? <= FEW_ROWS {
            break;
        }
    }
    transaction.lock_table(table.id, TableLockMode::Share, wait)?;
    transaction.catch_up_index(&mut build).map(drop)
}

impl Session {
    pub(crate) fn create_index(&mut self, create: &ast::CreateIndex) -> Result<Outcome> {
        if let Some(method) = &create.using
            && !matches!(method, ast::IndexType::BTree)
        {
            return Err(SqlError::unsupported(format!(
                "index access method {method}"
            )));
        }
        if !create.with.is_empty() || !create.index_options.is_empty() {
            return Err(SqlError::unsupported("index storage parameters"));
        }
        if create.nulls_distinct == Some(false) {
            return Err(SqlError::unsupported("UNIQUE NULLS NOT DISTINCT"));
        }
        if create.concurrently && self.txn.in_block() {
            return Err(SqlError::new(
                state::ACTIVE_SQL_TRANSACTION,
                "CREATE INDEX CONCURRENTLY cannot run inside a transaction block",
            ));
        }
        let (keys, included) = take_included(&create.columns);
        check_keys(keys.len() + included.len())?;
        let mode = TableLockMode::ShareUpdateExclusive;
        let table = self.ddl_table(&create.table_name, mode)?;
        let (_, catalog) = self.write_view()?;
        let predicate = match &create.predicate {
            Some(expr) => Some(self.index_predicate(&catalog, &table, expr)?),
            None => None,
        };
        let mut columns = Vec::new();
        let mut expressions = Vec::new();
        let mut column_names = Vec::new();
        for c in keys {
            let (column, name, type_oid) = match unwrap_parentheses(&c.column.expr) {
                Expr::Identifier(ident) => {
                    let name = fold(ident);
                    let (id, column) =
                        table.column(&name).ok_or_else(|| undefined_column(&name))?;
                    super::constraint::check_indexable(&table, id.0)?;
                    (id.0, name, column.type_oid)
                }
                expr => {
                    let key = self.index_key(&catalog, &table, expr)?;
                    let type_oid = key.type_oid;
                    expressions.push(key);
                    (
                        EXPRESSION + (expressions.len() - 1) as u16,
                        expression_name(expr),
                        type_oid,
                    )
                }
            };
            let descending = c.column.options.asc == Some(false);
            columns.push(IndexColumn {
                column,
                descending,
                nulls_first: c.column.options.nulls_first.unwrap_or(descending),
                operator_class: match &c.operator_class {
                    Some(name) => operator_class(name, type_oid, &self.info.database)?,
                    None => 0,
                },
            });
            column_names.push(name);
        }
        let named: Vec<String> = included.iter().map(included_name).collect::<Result<_>>()?;
        let included = included_places(&table, &named, "")?;
        column_names.extend(named);
        let name = match &create.name {
            Some(name) => {
                let (schema, name) = names::qualified(name, &self.info.database)?;
                if schema.is_some() {
                    return Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        "an index is always in the schema of its table",
                    ));
                }
                name
            }
            None => names::choose(
                &table.name,
                &told_apart(column_names).join("_"),
                "idx",
                |n| catalog.relation_in(table.schema, n).is_some(),
            ),
        };
        if create.if_not_exists && catalog.relation_in(table.schema, &name).is_some() {
            self.notify_skipped(format!("relation \"{name}\" already exists, skipping"));
            return done("CREATE INDEX");
        }
        self.check_free(&catalog, table.schema, &name)?;
        let index = Index {
            oid: self.instance.allocate_oid()?,
            schema: table.schema,
            name,
            owner: table.owner,
            table: table.oid,
            collection: self.instance.allocate_collection()?.0,
            columns,
            unique: create.unique,
            constraint: None,
            primary: false,
            clustered: false,
            expressions,
            predicate,
            included,
        };
        self.add_index(index, Vec::new(), Fill::Online)?;
        done("CREATE INDEX")
    }

    /// An expression that is a part of a key.
    pub(super) fn index_key(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        table: &Table,
        expr: &Expr,
    ) -> Result<IndexExpression> {
        let key = self.index_expression(catalog, table, expr, "index expression")?;
        let ty = PgType::from_oid(key.type_oid);
        if !ty.is_some_and(|ty| ty.is_comparable() && ty.extension().is_none()) {
            let name = format_type(key.type_oid);
            return Err(SqlError::new(
                state::UNDEFINED_OBJECT,
                format!(
                    "data type {name} has no default operator class for access method \"btree\""
                ),
            )
            .with_hint(
                "You must specify an operator class for the index or define a default operator \
                 class for the data type.",
            ));
        }
        Ok(key)
    }

    pub(super) fn index_predicate(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        table: &Table,
        expr: &Expr,
    ) -> Result<IndexExpression> {
        let predicate = self.index_expression(catalog, table, expr, "index predicate")?;
        if predicate.type_oid != PgType::Bool.oid() {
            let name = format_type(predicate.type_oid);
            return Err(SqlError::new(
                state::DATATYPE_MISMATCH,
                format!("argument of WHERE must be type boolean, not type {name}"),
            ));
        }
        Ok(predicate)
    }

    /// An expression over a table's columns that gives the same for the same row for ever.
    fn index_expression(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        table: &Table,
        expr: &Expr,
        what: &str,
    ) -> Result<IndexExpression> {
        let meta = catalog.table_meta(table.oid)?;
        let RowExpression {
            columns,
            ty,
            is_immutable,
            ..
        } = self.row_expression(catalog, &meta, expr, &format!("{what}s"))?;
        if !is_immutable {
            return Err(SqlError::new(
                state::INVALID_OBJECT_DEFINITION,
                format!("functions in {what} must be marked IMMUTABLE"),
            ));
        }
        let ty = match ty {
            PgType::Unknown => PgType::Text,
            ty => ty,
        };
        if let Some(column) = columns
            .iter()
            .filter_map(|c| table.column_at(*c))
            .find(|c| c.extension_type.is_some())
        {
            let name = &column.name;
            return Err(SqlError::unsupported(format!(
                "column \"{name}\", whose type is a plugin's, in an {what}"
            )));
        }
        if ty.enumeration().is_some() {
            let ty = ty.name();
            return Err(SqlError::unsupported(format!("an {what} of type {ty}")));
        }
        let keyed = with_keys(expr, table, self.info.functions().named_types())?;
        let stored = IndexExpression {
            expression: computed::to_stored(&keyed, table),
            columns,
            type_oid: ty.oid(),
            typmod: -1,
        };
        // Whoever opens the database has no session, and no functions of plugins.
        let what = format!("an {what}");
        check_without_plugins(&meta, &stored.expression, &stored.columns, &what)?;
        Ok(stored)
    }

    pub(crate) fn alter_index(
        &mut self,
        name: &ast::ObjectName,
        operation: &ast::AlterIndexOperation,
    ) -> Result<Outcome> {
        let (_, catalog) = self.write_view()?;
        let Relation::Index(index) = self.relation(&catalog, name)? else {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not an index"),
            ));
        };
        self.check_owner(index.owner, "index", &index.name)?;
        let ast::AlterIndexOperation::RenameIndex { index_name } = operation;
        let (_, new) = names::qualified(index_name, &self.info.database)?;
        self.check_free(&catalog, index.schema, &new)?;
        let mut changes = Vec::new();
        // A constraint and its index have one name.
        if let Some(constraint) = index.constraint.and_then(|c| catalog.constraint(c)) {
            changes.push(put!(
                Constraint,
                Constraint {
                    name: new.clone(),
                    ..constraint.as_ref().clone()
                }
            ));
        }
        changes.push(put!(
            Index,
            Index {
                name: new,
                ..index.as_ref().clone()
            }
        ));
        self.change_catalog(changes)?;
        done("ALTER INDEX")
    }
}

/// The operator class of this name for keys of a type, 0 for the default one. Those that compare text by
/// characters or by bytes order it alike here, so an index is the same under each that its type has.
fn operator_class(name: &ast::ObjectName, type_oid: Oid, database: &str) -> Result<Oid> {
    let (schema, class_name) = names::qualified(name, database)?;
    let class = builtin_classes()
        .iter()
        .find(|class| class.name == class_name)
        .filter(|_| schema.is_none_or(|schema| schema == "pg_catalog"))
        .ok_or_else(|| {
            SqlError::new(
                state::UNDEFINED_OBJECT,
                format!(
                    "operator class \"{}\" does not exist for access method \"btree\"",
                    names::parts(name).unwrap_or_default().join(".")
                ),
            )
        })?;
    check_operator_class(class.oid, type_oid)?;
    Ok(match class.oid == btree_class(type_oid) {
        true => 0,
        false => class.oid,
    })
}

/// 42804 when keys of the type cannot be in an index of the class.
pub(super) fn check_operator_class(class: Oid, type_oid: Oid) -> Result<()> {
    let Some(class) = builtin_classes().iter().find(|c| c.oid == class) else {
        return Ok(());
    };
    if accepts(class, type_oid) {
        return Ok(());
    }
    Err(SqlError::new(
        state::DATATYPE_MISMATCH,
        format!(
            "operator class \"{}\" does not accept data type {}",
            class.name,
            format_type(type_oid)
        ),
    ))
}

/// A column of INCLUDE, which is nothing but a column.
fn included_name(column: &ast::IndexColumn) -> Result<String> {
    let refused = |what: &str| {
        Err(SqlError::new(
            state::INVALID_OBJECT_DEFINITION,
            format!("including column does not support {what}"),
        ))
    };
    let Expr::Identifier(name) = &column.column.expr else {
        return Err(match &column.column.expr {
            Expr::Collate { .. } => SqlError::new(
                state::INVALID_OBJECT_DEFINITION,
                "including column does not support a collation",
            ),
            _ => SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                "expressions are not supported in included columns",
            ),
        });
    };
    let options = &column.column.options;
    if column.operator_class.is_some() {
        return refused("an operator class");
    }
    if options.asc.is_some() {
        return refused("ASC/DESC options");
    }
    if options.nulls_first.is_some() {
        return refused("NULLS FIRST/LAST options");
    }
    Ok(fold(name))
}

fn undefined_column(name: &str) -> SqlError {
    SqlError::new(
        state::UNDEFINED_COLUMN,
        format!("column \"{name}\" does not exist"),
    )
}

fn unwrap_parentheses(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// 54011 for an index of more keys than `max_index_keys` tells.
pub(super) fn check_keys(count: usize) -> Result<()> {
    if count <= INDEX_KEYS_MAX {
        return Ok(());
    }
    let message = format!("cannot use more than {INDEX_KEYS_MAX} columns in an index");
    Err(SqlError::new(state::TOO_MANY_COLUMNS, message))
}

/// The names of an index's own columns: a column's, or what an expression would be called, with a number from the
/// second of a name on.
pub(crate) fn column_names(table: &Table, index: &Index) -> Vec<String> {
    let keys = index.columns.iter().map(|part| {
        match (index.expression(part), table.column_at(part.column)) {
            (Some(e), _) => match parse_expression(&e.expression) {
                Ok(expr) => of_column(table, expression_name(&expr)),
                Err(_) => "expr".to_owned(),
            },
            (None, Some(column)) => column.name.clone(),
            (None, None) => String::new(),
        }
    });
    let included = index.included.iter().map(|place| {
        let column = table.column_at(*place);
        column.map_or_else(String::new, |column| column.name.clone())
    });
    told_apart(keys.chain(included))
}

/// Names with a number behind those that come again.
pub(super) fn told_apart(all: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in all {
        let mut free = name.clone();
        let mut number = 1;
        while names.contains(&free) {
            free = format!("{name}{number}");
            number += 1;
        }
        names.push(free);
    }
    names
}

/// A stored expression calls its columns by their places.
fn of_column(table: &Table, name: String) -> String {
    let place = name.strip_prefix('c').and_then(|place| place.parse().ok());
    let column = place.and_then(|place| table.column_at(place));
    column.map_or(name, |column| column.name.clone())
}

/// What a column of an index is called that is an expression.
pub(super) fn expression_name(expr: &Expr) -> String {
    match expr {
        Expr::Function(function) => names::parts(&function.name)
            .ok()
            .and_then(|mut parts| parts.pop())
            .unwrap_or_else(|| "expr".to_owned()),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => match expr.as_ref() {
            Expr::Identifier(ident) => fold(ident),
            inner => expression_name(inner),
        },
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::AtTimeZone { .. } => "timezone".to_owned(),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Trim { .. } => "btrim".to_owned(),
        Expr::Position { .. } => "position".to_owned(),
        Expr::Overlay { .. } => "overlay".to_owned(),
        Expr::Case { .. } => "case".to_owned(),
        _ => "expr".to_owned(),
    }
}

fn format_type(oid: Oid) -> String {
    PgType::from_oid(oid).map_or_else(|| oid.to_string(), |ty| ty.name().to_owned())
}
