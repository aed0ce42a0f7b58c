//! RENAME: of relations, columns and constraints; and of what is kept as text and names them.
//!
//! Views, checks and defaults are text, with names. A view whose table gets another name reads that one with the
//! old as its alias; one whose table's column gets another reads a subquery that gives the column its old name,
//! and so does one that reads all columns and whose table gets one more, which is none of the view's. What such a
//! subquery says is changed in place the next time. A table that a view reads AS OF a time has the names of then,
//! and is left as it is.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{self, Expr, Ident, SelectItem, TableFactor};

use super::create_table::check_column_name;
use super::drop::mentions;
use super::put;
use super::view::{is_changes, literal};
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold, quoted_ident};
use crate::pg_catalog::names::{quote_ident, split_name};
use crate::plan::changes;
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
            relation => views_over(&catalog, relation, |_| {
                Ok(Some(Edit {
                    place: Box::new(|factor, schema, old| {
                        rename_factor(factor, schema, old, &name);
                        Ok(())
                    }),
                    items: None,
                }))
            })?,
        };
        let mut relation = relation.clone();
        if let Relation::Table(table) = &mut relation {
            changes.extend(with_table_name(&catalog, Arc::make_mut(table), &name)?);
        }
        check_no_policy_reads(&catalog, relation.oid())?;
        changes.push(match relation {
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
        let relation = Relation::Table(Arc::new(table.clone()));
        let mut changes = views_over(&catalog, &relation, |definition| {
            if !reads_all(definition) && !mentions(definition, &old) {
                return Ok(None);
            }
            let items = items_of(&table, definition, |name| match name == old {
                true => format!("{} AS {}", names::quote(&new), names::quote(&old)),
                false => names::quote(name),
            });
            let (old, new) = (old.clone(), new.clone());
            Ok(Some(Edit {
                place: Box::new(move |factor, _, _| select_from(factor, &items)),
                items: Some(Box::new(move |items| rename_items(items, &old, &new))),
            }))
        })?;
        let mut rename = |path: &mut [Ident]| {
            if let Some(column) = path.last_mut()
                && fold(column) == old
            {
                *column = quoted_ident(&new);
            }
        };
        changes.extend(checks_with(&catalog, &table, &mut rename)?);
        generate_with(&mut table, &mut rename)?;
        check_no_policy_reads(&catalog, oid)?;
        let of = table.name.clone();
        for policy in &mut table.policies {
            for expression in [&mut policy.using, &mut policy.check].into_iter().flatten() {
                *expression = with_column(expression, &of, &old, &new)?;
            }
        }
        table.columns[usize::from(place)].name = new;
        changes.push(put!(Table, table));
        self.change_catalog(changes)?;
        Ok(())
    }

    /// Views that read all columns of a table that is to get one, with those there are.
    pub(super) fn views_before_column(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
    ) -> Result<Vec<Change>> {
        let relation = Relation::Table(Arc::new(table.clone()));
        views_over(catalog, &relation, |definition| {
            let changes = definition.to_ascii_lowercase().contains(changes::FUNCTION);
            if !reads_all(definition) || changes {
                return Ok(None);
            }
            let items = items_of(table, definition, names::quote);
            Ok(Some(Edit {
                place: Box::new(move |factor, _, _| select_from(factor, &items)),
                items: Some(Box::new(|_| {})),
            }))
        })
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
    pub(super) fn defaults_with(
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
                let others = column.default_sequences.iter();
                let mut others = others.filter(|oid| **oid != sequence.oid);
                let has_namesake = others.any(|oid| {
                    catalog
                        .sequence(*oid)
                        .is_some_and(|o| o.name == sequence.name)
                });
                let mut is_ambiguous = false;
                let mut expr = parse_expression(text)?;
                let _ = ast::visit_expressions_mut(&mut expr, |e| {
                    // One that is named without its schema is the one that the default has.
                    if let Some(text) = sequence_argument(e)
                        && let Ok(parts) = split_name(text)
                        && let [before @ .., last] = parts.as_slice()
                        && *last == sequence.name
                        && before.last().is_none_or(|before| *before == schema.name)
                    {
                        is_ambiguous |= before.is_empty() && has_namesake;
                        text.clone_from(&name);
                    }
                    ControlFlow::<()>::Continue(())
                });
                if is_ambiguous {
                    return Err(SqlError::unsupported(format!(
                        "this change of \"{}\", which a default of \"{}\" names without schema beside another sequence of that name",
                        sequence.name, table.name
                    )));
                }
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

/// Changes a place at which a view reads a relation, of this schema and name.
type ChangePlace<'a> = dyn FnMut(&mut TableFactor, &str, &str) -> Result<()> + 'a;
type ChangeItems<'a> = dyn FnMut(&mut [SelectItem]) + 'a;

/// What is changed where a view reads a relation.
struct Edit<'a> {
    place: Box<ChangePlace<'a>>,
    /// The items of a subquery that reads columns of nothing but the relation, whose place in there then stays.
    items: Option<Box<ChangeItems<'a>>>,
}

/// Finds the places.
struct Places<'a, 'e> {
    schema: &'a str,
    name: &'a str,
    edit: &'a mut Edit<'e>,
    /// Inside of a subquery whose items were changed.
    inside: usize,
    failed: Option<SqlError>,
}

impl ast::VisitorMut for Places<'_, '_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Some(change) = &mut self.edit.items
            && let Some(items) = plain_items(factor, self.schema, self.name)
        {
            change(items);
            self.inside += 1;
        }
        ControlFlow::Continue(())
    }

    // What a place is replaced by is not looked at again.
    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if self.edit.items.is_some() && plain_items(factor, self.schema, self.name).is_some() {
            self.inside -= 1;
            return ControlFlow::Continue(());
        }
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
        if is_it
            && self.inside == 0
            && let Err(e) = (self.edit.place)(factor, self.schema, self.name)
        {
            self.failed = Some(e);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // The place has the table's name without its schema from now on.
        if let Expr::CompoundIdentifier(path) = expr
            && let [schema, name, _] = path.as_slice()
            && fold(schema) == self.schema
            && fold(name) == self.name
        {
            path.remove(0);
        }
        ControlFlow::Continue(())
    }
}

/// The items of `(SELECT column [AS name], … FROM schema.name)`.
fn plain_items<'f>(
    factor: &'f mut TableFactor,
    schema: &str,
    name: &str,
) -> Option<&'f mut [SelectItem]> {
    let TableFactor::Derived {
        lateral: false,
        subquery,
        sample: None,
        ..
    } = factor
    else {
        return None;
    };
    let text = names::text_of(subquery.as_ref());
    let ast::SetExpr::Select(select) = subquery.body.as_mut() else {
        return None;
    };
    let [from] = select.from.as_slice() else {
        return None;
    };
    let TableFactor::Table {
        name: read,
        version: None,
        args: None,
        ..
    } = &from.relation
    else {
        return None;
    };
    let is_read = names::parts(read).is_ok_and(|parts| parts == [schema, name]);
    let are_columns = select.projection.iter().all(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            matches!(expr, Expr::Identifier(_))
        }
        _ => false,
    });
    let items: Vec<String> = select.projection.iter().map(names::text_of).collect();
    let all = format!("SELECT {} FROM {}", items.join(", "), names::text_of(from));
    (is_read && are_columns && text == all).then_some(&mut select.projection)
}

/// A column of the items has another name in its table.
fn rename_items(items: &mut [SelectItem], old: &str, new: &str) {
    for item in items {
        match item {
            SelectItem::UnnamedExpr(Expr::Identifier(column)) if fold(column) == old => {
                *item = SelectItem::ExprWithAlias {
                    alias: column.clone(),
                    expr: Expr::Identifier(quoted_ident(new)),
                };
            }
            SelectItem::ExprWithAlias {
                expr: Expr::Identifier(column),
                ..
            } if fold(column) == old => *column = quoted_ident(new),
            _ => {}
        }
    }
}

/// Whether a view may read columns that it does not name.
fn reads_all(definition: &str) -> bool {
    definition.contains('*') || mentions(definition, "natural")
}

/// The columns of a table that a view may read, each as `item` has it.
fn items_of(table: &Table, definition: &str, item: impl Fn(&str) -> String) -> String {
    let columns = table.live_columns().map(|(_, column)| column.name.as_str());
    let columns = columns.filter(|name| reads_all(definition) || mentions(definition, name));
    let items: Vec<String> = columns.map(item).collect();
    items.join(", ")
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

/// The views that read a relation, each with what `edit` says of its definition done at every place that
/// does; `None` leaves a view as it is.
fn views_over<'e>(
    catalog: &CatalogSnapshot,
    relation: &Relation,
    edit: impl Fn(&str) -> Result<Option<Edit<'e>>>,
) -> Result<Vec<Change>> {
    let schema = catalog.schema(relation.schema());
    let schema = schema.ok_or_else(|| SqlError::internal("a relation without its schema"))?;
    let mut changes = Vec::new();
    for view in catalog.views() {
        if !view.depends_on.iter().any(|on| on.oid == relation.oid()) {
            continue;
        }
        let Some(mut edit) = edit(&view.definition)? else {
            continue;
        };
        let mut query = parse_query(&view.definition)?;
        if reads_namesake(&query, &schema.name, relation.name()) {
            return Err(SqlError::unsupported(format!(
                "this change of \"{}\", which view \"{}\" reads beside another relation of that name",
                relation.name(),
                view.name
            )));
        }
        let mut places = Places {
            schema: &schema.name,
            name: relation.name(),
            edit: &mut edit,
            inside: 0,
            failed: None,
        };
        let _ = ast::VisitMut::visit(&mut query, &mut places);
        if let Some(e) = places.failed {
            return Err(e);
        }
        let definition = names::text_of(query.as_ref());
        // What is kept can be read.
        parse_query(&definition)?;
        changes.push(put!(
            View,
            View {
                definition,
                ..view.as_ref().clone()
            }
        ));
    }
    Ok(changes)
}

/// Whether a query reads a relation of the name in another schema.
fn reads_namesake(query: &ast::Query, schema: &str, name: &str) -> bool {
    let found = ast::visit_relations(query, |relation| {
        let parts = names::parts(relation).unwrap_or_default();
        match parts.as_slice() {
            [other, last] if last == name && other != schema => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    found.is_break()
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

/// Has what a table says of itself name it by another name: its generated columns and policies, and, as changes, its
/// checks.
pub(super) fn with_table_name(
    catalog: &CatalogSnapshot,
    table: &mut Table,
    name: &str,
) -> Result<Vec<Change>> {
    let old = table.name.clone();
    let mut rename = |path: &mut [Ident]| {
        if let [table_name, _] = path
            && fold(table_name) == old
        {
            *table_name = quoted_ident(name);
        }
    };
    let changes = checks_with(catalog, table, &mut rename)?;
    generate_with(table, &mut rename)?;
    for policy in &mut table.policies {
        for expression in [&mut policy.using, &mut policy.check].into_iter().flatten() {
            *expression = with_paths(expression, &mut rename)?;
        }
    }
    Ok(changes)
}

/// The same in what generates columns of the table.
fn generate_with(table: &mut Table, change: &mut dyn FnMut(&mut [Ident])) -> Result<()> {
    let columns = table.columns.iter_mut();
    for generated in columns.filter_map(|column| column.generated.as_mut()) {
        generated.expression = with_paths(&generated.expression, change)?;
    }
    Ok(())
}

/// A policy's expression, in which a column of its table has another name.
fn with_column(expression: &str, table: &str, old: &str, new: &str) -> Result<String> {
    struct Columns<'a> {
        table: &'a str,
        old: &'a str,
        new: &'a str,
        /// Inside of so many subqueries.
        depth: usize,
        is_ambiguous: bool,
    }
    impl ast::VisitorMut for Columns<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(ident) if fold(ident) == self.old => {
                    self.is_ambiguous |= self.depth > 0;
                    *ident = quoted_ident(self.new);
                }
                Expr::CompoundIdentifier(path) => {
                    if let [.., of, column] = path.as_mut_slice()
                        && fold(of) == self.table
                        && fold(column) == self.old
                    {
                        *column = quoted_ident(self.new);
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = parse_expression(expression)?;
    let mut columns = Columns {
        table,
        old,
        new,
        depth: 0,
        is_ambiguous: false,
    };
    let _ = ast::VisitMut::visit(&mut expr, &mut columns);
    if columns.is_ambiguous {
        return Err(SqlError::unsupported(format!(
            "renaming column \"{old}\", which the subquery of a policy may name"
        ))
        .with_hint("Drop the policy first, and create it again."));
    }
    Ok(names::text_of(&expr))
}

/// 0A000 when a policy of another table reads a relation that gets other names.
fn check_no_policy_reads(catalog: &CatalogSnapshot, relation: Oid) -> Result<()> {
    for table in catalog.tables() {
        let mut policies = table.policies.iter();
        if let Some(policy) = policies.find(|p| p.depends_on.contains(&relation)) {
            return Err(SqlError::unsupported(format!(
                "renaming what policy \"{}\" on table \"{}\" reads",
                policy.name, table.name
            ))
            .with_hint("Drop the policy first, and create it again."));
        }
    }
    Ok(())
}

/// An expression, with the paths of columns in it changed.
fn with_paths(expression: &str, change: &mut dyn FnMut(&mut [Ident])) -> Result<String> {
    let mut expr = parse_expression(expression)?;
    let _ = ast::visit_expressions_mut(&mut expr, |e| {
        match e {
            Expr::Identifier(ident) => change(std::slice::from_mut(ident)),
            Expr::CompoundIdentifier(path) => change(path),
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(names::text_of(&expr))
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
        changes.push(put!(
            Constraint,
            Constraint {
                kind: ConstraintKind::Check {
                    expression: with_paths(expression, change)?,
                    columns: columns.clone(),
                },
                ..constraint.as_ref().clone()
            }
        ));
    }
    Ok(changes)
}
