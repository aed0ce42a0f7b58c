//! RENAME: of relations, columns and constraints; and of what is kept as text and names them.
//!
//! Views, checks and defaults are text, with names. A view whose table gets another name reads that one with the
//! old as its alias; one whose table's column gets another reads a subquery that gives the column its old name,
//! and so does one whose table gets a column, which is none of the view's. A table that a view reads AS OF a time
//! has the names of then, and is left as it is.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{self, Expr, Ident, TableFactor};

use super::create_table::check_column_name;
use super::put;
use super::view::{is_changes, literal};
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold, quoted_ident};
use crate::pg_catalog::names::quote_ident;
use crate::session::Session;
use crate::session::statement::{parse_expression, parse_query};

impl Session {
    /// Gives a relation another name in its schema.
    pub(super) fn rename_relation(
        &mut self,
        relation: &Relation,
        name: &ast::RenameTableNameKind,
    ) -> Result<()> {
        let (ast::RenameTableNameKind::To(name) | ast::RenameTableNameKind::As(name)) = name;
        let name = names::qualified(name, &self.info.database)?.1;
        self.rename_to(relation, name)
    }

    pub(super) fn rename_to(&mut self, relation: &Relation, name: String) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        self.check_free(&catalog, relation.schema(), &name)?;
        let mut changes = match relation {
            Relation::Sequence(s) => self.defaults_with(&catalog, s, &name)?,
            relation => views_over(&catalog, relation, &mut |factor, schema, old| {
                rename_factor(factor, schema, old, &name);
            })?,
        };
        if let Relation::Table(table) = relation {
            changes.extend(checks_with(&catalog, table, &mut |path| {
                if let [table_name, _] = path
                    && fold(table_name) == table.name
                {
                    *table_name = quoted_ident(&name);
                }
            })?);
        }
        changes.push(match relation.clone() {
            Relation::Table(t) => put!(
                Table,
                Table {
                    name,
                    ..t.as_ref().clone()
                }
            ),
            Relation::View(v) => put!(
                View,
                View {
                    name,
                    ..v.as_ref().clone()
                }
            ),
            Relation::Sequence(s) => put!(
                Sequence,
                Sequence {
                    name,
                    ..s.as_ref().clone()
                }
            ),
            Relation::Index(i) => put!(
                Index,
                Index {
                    name,
                    ..i.as_ref().clone()
                }
            ),
        });
        self.change_catalog(changes)?;
        Ok(())
    }

    pub(super) fn rename_column(&mut self, oid: Oid, old: &Ident, new: &Ident) -> Result<()> {
        let (catalog, mut table) = self.table_now(oid)?;
        let place = self.find_place(&table, old).map_err(|e| {
            let message = format!("column \"{}\" does not exist", fold(old));
            SqlError::new(e.code, message)
        })?;
        let (old, new) = (fold(old), fold(new));
        check_column_name(&new)?;
        if table.column(&new).is_some() {
            return Err(SqlError::new(
                state::DUPLICATE_COLUMN,
                format!(
                    "column \"{new}\" of relation \"{}\" already exists",
                    table.name
                ),
            ));
        }
        let columns = table
            .live_columns()
            .map(|(id, column)| match id.0 == place {
                true => (new.clone(), old.clone()),
                false => (column.name.clone(), column.name.clone()),
            });
        let mut changes = self.views_with_columns(&catalog, &table, columns.collect())?;
        changes.extend(checks_with(&catalog, &table, &mut |path| {
            if let Some(column) = path.last_mut()
                && fold(column) == old
            {
                *column = quoted_ident(&new);
            }
        })?);
        table.columns[usize::from(place)].name = new;
        changes.push(put!(Table, table));
        self.change_catalog(changes)?;
        Ok(())
    }

    /// Views over a table that is to get a column, with the columns there are.
    pub(super) fn views_before_column(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
    ) -> Result<Vec<Change>> {
        let columns = table.live_columns();
        let columns = columns.map(|(_, column)| (column.name.clone(), column.name.clone()));
        self.views_with_columns(catalog, table, columns.collect())
    }

    /// Views over a table, with its columns (first) under the names that the views know (second).
    fn views_with_columns(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
        columns: Vec<(String, String)>,
    ) -> Result<Vec<Change>> {
        let items: Vec<String> = columns
            .iter()
            .map(|(now, known)| match now == known {
                true => names::quote(now),
                false => format!("{} AS {}", names::quote(now), names::quote(known)),
            })
            .collect();
        let items = items.join(", ");
        let relation = Relation::Table(Arc::new(table.clone()));
        let mut failed = None;
        let changes = views_over(catalog, &relation, &mut |factor, _, _| {
            if let Err(e) = select_from(factor, &items) {
                failed = Some(e);
            }
        })?;
        match failed {
            Some(e) => Err(e),
            None => Ok(changes),
        }
    }

    pub(super) fn rename_constraint(&mut self, oid: Oid, old: &str, new: String) -> Result<()> {
        let (catalog, table) = self.table_now(oid)?;
        let found = catalog
            .constraints_of(oid)
            .find(|c| c.name == old)
            .ok_or_else(|| {
                SqlError::new(
                    state::UNDEFINED_OBJECT,
                    format!(
                        "constraint \"{old}\" for table \"{}\" does not exist",
                        table.name
                    ),
                )
            })?;
        if catalog.constraints_of(oid).any(|c| c.name == new) {
            return Err(SqlError::new(
                state::DUPLICATE_OBJECT,
                format!(
                    "constraint \"{new}\" for relation \"{}\" already exists",
                    table.name
                ),
            ));
        }
        let mut changes = vec![put!(
            Constraint,
            Constraint {
                name: new.clone(),
                ..found.as_ref().clone()
            }
        )];
        if let Some(index) = catalog
            .indexes_of(oid)
            .find(|i| i.constraint == Some(found.oid))
        {
            self.check_free(&catalog, index.schema, &new)?;
            changes.push(put!(
                Index,
                Index {
                    name: new,
                    ..index.as_ref().clone()
                }
            ));
        }
        self.change_catalog(changes)?;
        Ok(())
    }

    /// Tables whose defaults take values of a sequence, with its new name.
    fn defaults_with(
        &self,
        catalog: &CatalogSnapshot,
        sequence: &Sequence,
        name: &str,
    ) -> Result<Vec<Change>> {
        let schema = catalog.schema(sequence.schema);
        let schema = schema.ok_or_else(|| SqlError::internal("a sequence without its schema"))?;
        let name = format!("{}.{}", quote_ident(&schema.name), quote_ident(name));
        let mut changes = Vec::new();
        for table in catalog.tables() {
            let mut changed = table.as_ref().clone();
            for column in &mut changed.columns {
                let Some(text) = &column.default else {
                    continue;
                };
                if !column.default_sequences.contains(&sequence.oid) {
                    continue;
                }
                let mut expr = parse_expression(text)?;
                let _ = ast::visit_expressions_mut(&mut expr, |e| {
                    if let Some(text) = sequence_argument(e)
                        && self
                            .info
                            .resolve_sequence(text)
                            .is_ok_and(|s| s.oid == sequence.oid)
                    {
                        text.clone_from(&name);
                    }
                    ControlFlow::<()>::Continue(())
                });
                column.default = Some(names::text_of(&expr));
            }
            if changed != **table {
                changes.push(put!(Table, changed));
            }
        }
        Ok(changes)
    }
}

/// The name in `nextval('name')`, also where it is cast.
fn sequence_argument(expr: &mut Expr) -> Option<&mut String> {
    let Expr::Function(function) = expr else {
        return None;
    };
    if !function.name.to_string().eq_ignore_ascii_case("nextval") {
        return None;
    }
    let ast::FunctionArguments::List(list) = &mut function.args else {
        return None;
    };
    let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))] =
        list.args.as_mut_slice()
    else {
        return None;
    };
    let argument = match argument {
        Expr::Cast { expr, .. } => expr,
        argument => argument,
    };
    match literal(argument)? {
        ast::Value::SingleQuotedString(text) => Some(text),
        _ => None,
    }
}

/// Replaces the places at which a view reads a relation.
struct Places<'a> {
    schema: &'a str,
    name: &'a str,
    replace: &'a mut dyn FnMut(&mut TableFactor, &str, &str),
}

impl ast::VisitorMut for Places<'_> {
    type Break = ();

    // What a place is replaced by is not looked at again.
    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let is_it = match factor {
            TableFactor::Table {
                name,
                version: None,
                args: None,
                ..
            } => names::parts(name).is_ok_and(|parts| parts == [self.schema, self.name]),
            TableFactor::Table {
                name,
                args: Some(ast::TableFunctionArgs { args, .. }),
                ..
            }
            | TableFactor::Function { name, args, .. } => {
                is_changes(name)
                    && changes_argument(args).is_some_and(|text| {
                        *text == format!("{}.{}", quote_ident(self.schema), quote_ident(self.name))
                    })
            }
            _ => false,
        };
        if is_it {
            (self.replace)(factor, self.schema, self.name);
        }
        ControlFlow::Continue(())
    }
}

/// The table that `helios_changes` is asked for.
fn changes_argument(args: &mut [ast::FunctionArg]) -> Option<&mut String> {
    match args.first_mut()? {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => match literal(expr)? {
            ast::Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The views that read a relation, with each place that does replaced.
fn views_over(
    catalog: &CatalogSnapshot,
    relation: &Relation,
    replace: &mut dyn FnMut(&mut TableFactor, &str, &str),
) -> Result<Vec<Change>> {
    let schema = catalog.schema(relation.schema());
    let schema = schema.ok_or_else(|| SqlError::internal("a relation without its schema"))?;
    let mut changes = Vec::new();
    for view in catalog.views() {
        if !view.depends_on.iter().any(|on| on.oid == relation.oid()) {
            continue;
        }
        let mut query = parse_query(&view.definition)?;
        let mut places = Places {
            schema: &schema.name,
            name: relation.name(),
            replace: &mut *replace,
        };
        let _ = ast::VisitMut::visit(&mut query, &mut places);
        changes.push(put!(
            View,
            View {
                definition: names::text_of(query.as_ref()),
                ..view.as_ref().clone()
            }
        ));
    }
    Ok(changes)
}

fn alias_of(name: &str) -> ast::TableAlias {
    ast::TableAlias {
        explicit: true,
        name: quoted_ident(name),
        columns: Vec::new(),
        at: None,
    }
}

/// Has a place read the relation's new name under its old one.
fn rename_factor(factor: &mut TableFactor, schema: &str, old: &str, new: &str) {
    match factor {
        TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } => {
            alias.get_or_insert_with(|| alias_of(old));
            name.0 = [schema, new]
                .map(|part| ast::ObjectNamePart::Identifier(quoted_ident(part)))
                .into();
        }
        TableFactor::Table {
            args: Some(ast::TableFunctionArgs { args, .. }),
            ..
        }
        | TableFactor::Function { args, .. } => {
            if let Some(text) = changes_argument(args) {
                *text = format!("{}.{}", quote_ident(schema), quote_ident(new));
            }
        }
        _ => {}
    }
}

/// Has a place read `SELECT items` from what it read.
fn select_from(factor: &mut TableFactor, items: &str) -> Result<()> {
    let TableFactor::Table {
        name,
        alias,
        args: None,
        ..
    } = factor
    else {
        return Err(SqlError::unsupported(
            "a change of the columns of a table whose changes a view reads",
        ));
    };
    // Names in an alias go by places, which stay.
    let old = names::parts(name)?.pop().unwrap_or_default();
    let alias = alias.take().unwrap_or_else(|| alias_of(&old));
    let subquery = parse_query(&format!("SELECT {items} FROM {}", names::text_of(factor)))?;
    *factor = TableFactor::Derived {
        lateral: false,
        subquery,
        alias: Some(alias),
        sample: None,
    };
    Ok(())
}

/// The checks of a table, with the paths of columns in them (`column`, or `table.column`) changed.
fn checks_with(
    catalog: &CatalogSnapshot,
    table: &Table,
    change: &mut dyn FnMut(&mut [Ident]),
) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for constraint in catalog.constraints_of(table.oid) {
        let ConstraintKind::Check {
            expression,
            columns,
        } = &constraint.kind
        else {
            continue;
        };
        let mut expr = parse_expression(expression)?;
        let _ = ast::visit_expressions_mut(&mut expr, |e| {
            match e {
                Expr::Identifier(ident) => change(std::slice::from_mut(ident)),
                Expr::CompoundIdentifier(path) => change(path),
                _ => {}
            }
            ControlFlow::<()>::Continue(())
        });
        changes.push(put!(
            Constraint,
            Constraint {
                kind: ConstraintKind::Check {
                    expression: names::text_of(&expr),
                    columns: columns.clone(),
                },
                ..constraint.as_ref().clone()
            }
        ));
    }
    Ok(changes)
}
