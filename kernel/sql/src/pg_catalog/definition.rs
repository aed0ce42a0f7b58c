//! Objects as the SQL that makes them: `pg_get_constraintdef` and its kin.
//!
//! `pretty` is PostgreSQL's flag: fewer parentheses, and names qualified only where the search path
//! does not find them.

use super::SystemContext;
use super::builtin::builtin_classes;
use super::deparse;
use super::names::{qualified_relation_name, quote_ident, relation_name};
use super::view_definition;
use crate::catalog::model::{
    ColumnId16, Constraint, ConstraintKind, Index, IndexColumn, IndexExpression, Oid,
    PluginConstraint, ReferentialAction, Table, View,
};
use crate::ddl::stored_text::shown_query;
use crate::plan::computed::shown;
use crate::session::statement::parse_expression;

/// The names of columns, quoted and separated by commas.
fn column_list(table: Option<&Table>, columns: &[ColumnId16]) -> String {
    let names: Vec<String> = columns.iter().map(|c| column_name(table, *c)).collect();
    names.join(", ")
}

fn column_name(table: Option<&Table>, column: ColumnId16) -> String {
    table
        .and_then(|t| t.column_at(column))
        .map_or_else(String::new, |c| quote_ident(&c.name))
}

/// What follows `CONSTRAINT name`.
pub fn constraint(ctx: &SystemContext, constraint: &Constraint, pretty: bool) -> String {
    let mut sql = constraint_body(ctx, constraint, pretty);
    if !constraint.validated {
        sql.push_str(" NOT VALID");
    }
    sql
}

/// The same of a constraint of a domain; `None` for an oid of another object.
pub fn domain_constraint(ctx: &SystemContext, oid: Oid, pretty: bool) -> Option<String> {
    let (ty, constraint) = ctx.catalog.types().constraint(oid)?;
    let condition = deparse::of_domain(ctx, ty.oid, &constraint.expression, pretty);
    let not_valid = if constraint.validated {
        ""
    } else {
        " NOT VALID"
    };
    Some(format!("CHECK ({condition}){not_valid}"))
}

fn constraint_body(ctx: &SystemContext, constraint: &Constraint, pretty: bool) -> String {
    let table = ctx.catalog.table(constraint.table).map(AsRef::as_ref);
    match &constraint.kind {
        ConstraintKind::PrimaryKey { columns, .. } => {
            let included = included_of(ctx, table, constraint);
            format!("PRIMARY KEY ({}){included}", column_list(table, columns))
        }
        ConstraintKind::Unique { columns, .. } => {
            let included = included_of(ctx, table, constraint);
            format!("UNIQUE ({}){included}", column_list(table, columns))
        }
        ConstraintKind::Check { expression, .. } => {
            let condition = deparse::expression(ctx, expression, table, None, pretty);
            // Without the pretty flag an operator brings parentheses of its own.
            format!("CHECK ({condition})")
        }
        ConstraintKind::ForeignKey(fk) => {
            let referenced = ctx.catalog.table(fk.referenced_table).map(AsRef::as_ref);
            let mut sql = format!(
                "FOREIGN KEY ({}) REFERENCES {}({})",
                column_list(table, &fk.columns),
                relation_name(ctx, fk.referenced_table).unwrap_or_default(),
                column_list(referenced, &fk.referenced_columns),
            );
            if fk.full_match {
                sql.push_str(" MATCH FULL");
            }
            for (event, action) in [(" ON UPDATE ", fk.on_update), (" ON DELETE ", fk.on_delete)] {
                if action != ReferentialAction::NoAction {
                    sql.push_str(event);
                    sql.push_str(action.sql());
                }
            }
            sql.push_str(fk.deferral.sql());
            sql
        }
        ConstraintKind::Plugin(c) => plugin_clause(ctx, c),
    }
}

/// The INCLUDE of a key.
fn included_of(ctx: &SystemContext, table: Option<&Table>, constraint: &Constraint) -> String {
    let mut indexes = ctx.catalog.indexes_of(constraint.table);
    let index = indexes.find(|index| index.constraint == Some(constraint.oid));
    index.map_or_else(String::new, |index| include(table, index))
}

fn include(table: Option<&Table>, index: &Index) -> String {
    match index.included.as_slice() {
        [] => String::new(),
        included => format!(" INCLUDE ({})", column_list(table, included)),
    }
}

/// A check constraint's condition as information_schema shows it; a plugin's is its clause.
pub fn check_clause(ctx: &SystemContext, constraint: &Constraint) -> Option<String> {
    let expression = match &constraint.kind {
        ConstraintKind::Check { expression, .. } => expression,
        ConstraintKind::Plugin(c) => return Some(plugin_clause(ctx, c)),
        _ => return None,
    };
    let table = ctx.catalog.table(constraint.table).map(AsRef::as_ref);
    Some(format!(
        "({})",
        deparse::expression(ctx, expression, table, None, false)
    ))
}

/// A plugin's clause, with the names that its objects have now in place of `{oid}`.
fn plugin_clause(ctx: &SystemContext, constraint: &PluginConstraint) -> String {
    let mut sql = constraint.definition.clone();
    for oid in &constraint.depends_on {
        let Some(object) = ctx.catalog.plugin_object(*oid) else {
            continue;
        };
        let schema = ctx.catalog.schema(object.schema);
        let schema = schema.map_or_else(String::new, |s| quote_ident(&s.name));
        let name = format!("{schema}.{}", quote_ident(&object.name));
        sql = sql.replace(&format!("{{{oid}}}"), &name);
    }
    sql
}

/// A column's default, or what generates it.
pub fn default(
    ctx: &SystemContext,
    table: &Table,
    place: ColumnId16,
    pretty: bool,
) -> Option<String> {
    let column = table.column_at(place)?;
    let generated = column.generated.as_ref().map(|g| g.expression.as_str());
    let text = column.default.as_deref().or(generated)?;
    let target = Some((column.type_oid, column.typmod));
    Some(deparse::expression(ctx, text, Some(table), target, pretty))
}

/// A column of an index: a column of the table, a call, or any other expression in parentheses.
fn index_key(
    ctx: &SystemContext,
    table: Option<&Table>,
    index: &Index,
    part: &IndexColumn,
) -> String {
    let Some(expression) = index.expression(part) else {
        return column_name(table, part.column);
    };
    let text = index_expression(ctx, table, expression, false);
    match is_call(&expression.expression) {
        true => text,
        false => format!("({text})"),
    }
}

/// Whether an expression looks like the call of a function.
fn is_call(expression: &str) -> bool {
    use sqlparser::ast::Expr;
    matches!(
        parse_expression(expression),
        Ok(Expr::Function(_)
            | Expr::Extract { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Position { .. }
            | Expr::Overlay { .. })
    )
}

fn index_expression(
    ctx: &SystemContext,
    table: Option<&Table>,
    expression: &IndexExpression,
    pretty: bool,
) -> String {
    let Some(table) = table else {
        return expression.expression.clone();
    };
    let text = shown(expression, table);
    deparse::expression(ctx, &text, Some(table), None, pretty)
}

/// What an index's expressions and its predicate are, as `pg_index` has them: none are NULL.
pub fn index_expressions(ctx: &SystemContext, index: &Index) -> (Option<String>, Option<String>) {
    let table = ctx.catalog.table(index.table).map(AsRef::as_ref);
    let shown = |e: &IndexExpression| match table {
        Some(table) => shown(e, table),
        None => e.expression.clone(),
    };
    let expressions: Vec<String> = index.expressions.iter().map(shown).collect();
    let expressions = (!expressions.is_empty()).then(|| expressions.join(", "));
    (expressions, index.predicate.as_ref().map(shown))
}

fn index_column(
    ctx: &SystemContext,
    table: Option<&Table>,
    index: &Index,
    part: &IndexColumn,
) -> String {
    let mut sql = index_key(ctx, table, index, part);
    if let Some(class) = builtin_classes()
        .iter()
        .find(|c| c.oid == part.operator_class)
    {
        sql.push(' ');
        sql.push_str(class.name);
    }
    match (part.descending, part.nulls_first) {
        (true, true) => sql.push_str(" DESC"),
        (true, false) => sql.push_str(" DESC NULLS LAST"),
        (false, true) => sql.push_str(" NULLS FIRST"),
        (false, false) => {}
    }
    sql
}

/// `CREATE INDEX …`.
pub fn index(ctx: &SystemContext, index: &Index, pretty: bool) -> String {
    let table = ctx.catalog.table(index.table).map(AsRef::as_ref);
    let on = if pretty {
        relation_name(ctx, index.table)
    } else {
        qualified_relation_name(ctx, index.table)
    };
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|c| index_column(ctx, table, index, c))
        .collect();
    let predicate = index
        .predicate
        .as_ref()
        .map_or_else(String::new, |predicate| {
            format!(" WHERE {}", index_expression(ctx, table, predicate, pretty))
        });
    format!(
        "CREATE {}INDEX {} ON {} USING btree ({}){}{predicate}",
        if index.unique { "UNIQUE " } else { "" },
        quote_ident(&index.name),
        on.unwrap_or_default(),
        columns.join(", "),
        include(table, index),
    )
}

/// One column of an index, from 1; `None` past the last.
pub fn index_part(ctx: &SystemContext, index: &Index, number: i64) -> Option<String> {
    let table = ctx.catalog.table(index.table).map(AsRef::as_ref);
    let place = usize::try_from(number).ok()?.checked_sub(1)?;
    match index.columns.get(place) {
        Some(part) => Some(index_key(ctx, table, index, part)),
        None => {
            let included = index.included.get(place - index.columns.len())?;
            Some(column_name(table, *included))
        }
    }
}

/// A view's query.
pub fn view(ctx: &SystemContext, view: &View, pretty: bool) -> String {
    view_definition::print(ctx, view, pretty)
        .unwrap_or_else(|| format!(" {};", shown_query(&view.definition)))
}
