//! A view's query as PostgreSQL prints it: stars written out, columns under the names of their relations, one to
//! a line.
//!
//! What is stored is the query as the parser prints it; a table with renamed columns is in it as a subquery that
//! gives them their old names. Queries over tables and views with joins, conditions, groups, an order and a limit
//! are printed. Any other is shown as it is stored, which is valid SQL for the same thing.

use sqlparser::ast::{
    Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, LimitClause, ObjectName, OrderBy,
    OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias,
    TableFactor, TableWithJoins, Value,
};

use super::SystemContext;
use super::deparse::{Columns, Printer};
use super::names::{quote_ident, relation_name};
use crate::catalog::Relation;
use crate::catalog::model::{Oid, View};
use crate::ddl::stored_text::without_oids;
use crate::names::{fold, parts};
use crate::session::statement::parse_query;

/// The query of a view; `None` where this has no words for it.
pub fn print(ctx: &SystemContext, view: &View, pretty: bool) -> Option<String> {
    let mut query = parse_query(&view.definition).ok()?;
    without_oids(query.as_mut());
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    if !is_plain(&query, select) {
        return None;
    }
    let mut scope = Scope::default();
    let from: Option<Vec<String>> = select
        .from
        .iter()
        .map(|item| scope.item(ctx, item, pretty))
        .collect();
    let from = from?;
    let printer = Printer::new(ctx, &scope, pretty);
    let items = items(&printer, &scope, select, view)?;
    let lines: Vec<&str> = items.iter().map(|item| item.shown.as_str()).collect();
    let mut sql = format!(" SELECT {}", lines.join(",\n    "));
    if !from.is_empty() {
        sql.push_str(&format!("\n   FROM {}", from.join(",\n    ")));
    }
    if let Some(condition) = &select.selection {
        sql.push_str(&format!("\n  WHERE {}", printer.text(condition)?));
    }
    if let GroupByExpr::Expressions(groups, modifiers) = &select.group_by
        && !groups.is_empty()
    {
        if !modifiers.is_empty() {
            return None;
        }
        let groups: Option<Vec<String>> = groups.iter().map(|g| key(&printer, &items, g)).collect();
        sql.push_str(&format!("\n  GROUP BY {}", groups?.join(", ")));
    }
    if let Some(condition) = &select.having {
        sql.push_str(&format!("\n HAVING {}", printer.text(condition)?));
    }
    if let Some(order) = &query.order_by {
        sql.push_str(&format!(
            "\n  ORDER BY {}",
            order_by(&printer, &items, order)?
        ));
    }
    if let Some(limit) = &query.limit_clause {
        sql.push_str(&limit_of(limit)?);
    }
    Some(format!("{sql};"))
}

/// Whether a query has no clause that is not printed.
fn is_plain(query: &Query, select: &Select) -> bool {
    query.with.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
        && select.distinct.is_none()
        && select.top.is_none()
        && select.into.is_none()
        && select.named_window.is_empty()
        && select.qualify.is_none()
}

/// A relation in FROM, under the name that columns are qualified with.
struct Entry {
    name: String,
    /// What each column is called in the query and in the relation, and its type.
    columns: Vec<(String, String, Oid)>,
}

#[derive(Default)]
struct Scope(Vec<Entry>);

impl Columns for Scope {
    fn find(&self, relation: Option<&str>, column: &str) -> Option<(String, Oid)> {
        let mut found = self
            .0
            .iter()
            .filter(|entry| relation.is_none_or(|name| name == entry.name))
            .flat_map(|entry| entry.columns.iter().map(move |c| (entry, c)))
            .filter(|(_, (name, ..))| name == column);
        let (entry, (_, real, ty)) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        let text = format!("{}.{}", quote_ident(&entry.name), quote_ident(real));
        Some((text, *ty))
    }
}

impl Scope {
    /// A part of FROM between commas.
    fn item(&mut self, ctx: &SystemContext, item: &TableWithJoins, pretty: bool) -> Option<String> {
        let mut sql = self.relation(ctx, &item.relation)?;
        for join in &item.joins {
            let right = self.relation(ctx, &join.relation)?;
            let (word, constraint) = joined(join)?;
            let printer = Printer::new(ctx, &*self, pretty);
            let condition = match constraint {
                None => String::new(),
                Some(on) if pretty => format!(" ON {}", printer.text(on)?),
                Some(on) => format!(" ON ({})", printer.text(on)?),
            };
            sql = match pretty {
                true => format!("{sql}\n     {word} {right}{condition}"),
                false => format!("({sql}\n     {word} {right}{condition})"),
            };
        }
        Some(sql)
    }

    fn relation(&mut self, ctx: &SystemContext, factor: &TableFactor) -> Option<String> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                version: None,
                with_ordinality: false,
                sample: None,
                ..
            } => {
                let (oid, own_name, columns) = relation(ctx, name)?;
                let columns = columns
                    .into_iter()
                    .map(|(name, ty)| (name.clone(), name, ty))
                    .collect();
                self.add(ctx, oid, &own_name, alias.as_ref(), columns)
            }
            // A table whose columns had other names when the view was made.
            TableFactor::Derived {
                lateral: false,
                subquery,
                alias: Some(alias),
                sample: None,
            } => {
                let SetExpr::Select(select) = subquery.body.as_ref() else {
                    return None;
                };
                let [
                    TableWithJoins {
                        relation:
                            TableFactor::Table {
                                name, alias: None, ..
                            },
                        joins,
                    },
                ] = select.from.as_slice()
                else {
                    return None;
                };
                let whole = select.selection.is_none() && joins.is_empty();
                if !whole || !is_plain(subquery, select) || subquery.limit_clause.is_some() {
                    return None;
                }
                let (oid, own_name, real) = relation(ctx, name)?;
                let columns: Option<Vec<(String, String, Oid)>> = select
                    .projection
                    .iter()
                    .map(|item| {
                        let (column, shown) = match item {
                            SelectItem::UnnamedExpr(Expr::Identifier(c)) => (fold(c), fold(c)),
                            SelectItem::ExprWithAlias {
                                expr: Expr::Identifier(c),
                                alias,
                            } => (fold(c), fold(alias)),
                            _ => return None,
                        };
                        let (_, ty) = real.iter().find(|(name, _)| *name == column)?;
                        Some((shown, column, *ty))
                    })
                    .collect();
                self.add(ctx, oid, &own_name, Some(alias), columns?)
            }
            _ => None,
        }
    }

    fn add(
        &mut self,
        ctx: &SystemContext,
        oid: Oid,
        own_name: &str,
        alias: Option<&TableAlias>,
        columns: Vec<(String, String, Oid)>,
    ) -> Option<String> {
        if alias.is_some_and(|alias| !alias.columns.is_empty()) {
            return None;
        }
        let name = alias.map_or_else(|| own_name.to_owned(), |alias| fold(&alias.name));
        let mut sql = relation_name(ctx, oid)?;
        if name != own_name {
            sql = format!("{sql} {}", quote_ident(&name));
        }
        self.0.push(Entry { name, columns });
        Some(sql)
    }
}

/// The columns of a relation with their types.
type Real = Vec<(String, Oid)>;

/// Oid, name and columns.
fn relation(ctx: &SystemContext, name: &ObjectName) -> Option<(Oid, String, Real)> {
    let parts = parts(name).ok()?;
    let [schema, name] = parts.as_slice() else {
        return None;
    };
    let schema = ctx.catalog.schema_by_name(schema)?;
    let (oid, columns) = match ctx.catalog.relation_in(schema.oid, name)? {
        Relation::Table(t) => {
            let columns = t.live_columns().map(|(_, c)| (c.name.clone(), c.type_oid));
            (t.oid, columns.collect())
        }
        Relation::View(v) => {
            let columns = v.columns.iter().map(|c| (c.name.clone(), c.type_oid));
            (v.oid, columns.collect())
        }
        _ => return None,
    };
    Some((oid, name.clone(), columns))
}

/// The words of a join, and its condition.
fn joined(join: &Join) -> Option<(&'static str, Option<&Expr>)> {
    use JoinOperator as J;
    let (word, constraint) = match &join.join_operator {
        J::Join(c) | J::Inner(c) => ("JOIN", c),
        J::Left(c) | J::LeftOuter(c) => ("LEFT JOIN", c),
        J::Right(c) | J::RightOuter(c) => ("RIGHT JOIN", c),
        J::FullOuter(c) => ("FULL JOIN", c),
        J::CrossJoin(JoinConstraint::None) => return Some(("CROSS JOIN", None)),
        _ => return None,
    };
    match constraint {
        JoinConstraint::On(on) => Some((word, Some(on))),
        _ => None,
    }
}

/// A column of the view.
struct Item<'a> {
    /// As the select list shows it.
    shown: String,
    text: String,
    alias: Option<String>,
    /// `None` for a column that a star stands for.
    expr: Option<&'a Expr>,
}

fn items<'a>(
    printer: &Printer<'_>,
    scope: &Scope,
    select: &'a Select,
    view: &View,
) -> Option<Vec<Item<'a>>> {
    let mut items: Vec<Item<'a>> = Vec::new();
    let mut push =
        |text: String, own_name: Option<&str>, alias: Option<String>, expr: Option<&'a Expr>| {
            let name = &view.columns.get(items.len())?.name;
            let shown = match own_name == Some(name.as_str()) {
                true => text.clone(),
                false => format!("{text} AS {}", quote_ident(name)),
            };
            items.push(Item {
                shown,
                text,
                alias,
                expr,
            });
            Some(())
        };
    for item in &select.projection {
        let star = match item {
            SelectItem::Wildcard(_) => Some(None),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                Some(parts(name).ok()?.pop())
            }
            _ => None,
        };
        if let Some(of) = star {
            let entries = scope.0.iter();
            for entry in entries.filter(|e| of.as_ref().is_none_or(|name| *name == e.name)) {
                for (name, real, _) in &entry.columns {
                    let (text, _) = scope.find(Some(&entry.name), name)?;
                    push(text, Some(real), None, None)?;
                }
            }
            continue;
        }
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(fold(alias))),
            _ => return None,
        };
        let own_name = match expr {
            Expr::Identifier(name) => real_name(scope, None, name),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, name] => real_name(scope, Some(&fold(relation)), name),
                _ => return None,
            },
            _ => None,
        };
        push(printer.text(expr)?, own_name.as_deref(), alias, Some(expr))?;
    }
    Some(items)
}

/// What a column is called in its relation.
fn real_name(scope: &Scope, relation: Option<&str>, column: &Ident) -> Option<String> {
    let column = fold(column);
    let mut entries = scope.0.iter();
    let columns = entries
        .by_ref()
        .filter(|entry| relation.is_none_or(|name| name == entry.name))
        .flat_map(|entry| &entry.columns);
    let mut found = columns.filter(|(name, ..)| *name == column);
    found.next().map(|(_, real, _)| real.clone())
}

/// A key of GROUP BY or ORDER BY, which may be the number or the name of a column of the view.
fn key(printer: &Printer<'_>, items: &[Item<'_>], expr: &Expr) -> Option<String> {
    let number = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.to_string().parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        _ => None,
    };
    let item = match expr {
        Expr::Value(_) => Some(items.get(number(expr)?)?),
        Expr::Identifier(name) => {
            let name = fold(name);
            items.iter().find(|item| item.alias.as_ref() == Some(&name))
        }
        _ => None,
    };
    let (expr, text) = match item {
        Some(item) => (item.expr, item.text.clone()),
        None => (Some(expr), printer.text(expr)?),
    };
    // Anything but a column stands in parentheses: those of an operator, or some of its own.
    Some(match expr {
        None | Some(Expr::Identifier(_) | Expr::CompoundIdentifier(_)) => text,
        Some(_) if text.starts_with('(') && text.ends_with(')') && !printer.is_pretty() => text,
        Some(_) => format!("({text})"),
    })
}

fn order_by(printer: &Printer<'_>, items: &[Item<'_>], order: &OrderBy) -> Option<String> {
    let OrderByKind::Expressions(keys) = &order.kind else {
        return None;
    };
    let keys: Option<Vec<String>> = keys
        .iter()
        .map(|k| {
            let descending = k.options.asc == Some(false);
            let mut text = key(printer, items, &k.expr)?;
            if descending {
                text.push_str(" DESC");
            }
            match k.options.nulls_first {
                Some(true) if !descending => text.push_str(" NULLS FIRST"),
                Some(false) if descending => text.push_str(" NULLS LAST"),
                _ => {}
            }
            Some(text)
        })
        .collect();
    Some(keys?.join(", "))
}

fn limit_of(clause: &LimitClause) -> Option<String> {
    let LimitClause::LimitOffset {
        limit,
        offset,
        limit_by,
    } = clause
    else {
        return None;
    };
    let number = |expr: &Expr| match expr {
        Expr::Value(v) => matches!(v.value, Value::Number(..)).then(|| expr.to_string()),
        _ => None,
    };
    if !limit_by.is_empty() {
        return None;
    }
    let mut sql = String::new();
    if let Some(offset) = offset {
        sql.push_str(&format!("\n OFFSET {}", number(&offset.value)?));
    }
    if let Some(limit) = limit {
        sql.push_str(&format!("\n LIMIT {}", number(limit)?));
    }
    Some(sql)
}
