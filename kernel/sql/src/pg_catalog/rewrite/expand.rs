//! `information_schema._pg_expandarray(array) AS keys` in a subquery, and `(q.keys).x` and `.n` around it, as drivers of
//! JDBC ask for keys.
//!
//! There are no composite values here, so the fields that are asked for become columns of the subquery: `keys` is
//! the element, and `keys.n` its number. A statement that asks for the whole value is refused.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, Expr, Ident, Select, SelectItem, Statement, VisitMut, VisitorMut,
};

use super::vector::{element, expanded_array, number_of};
use crate::error::{Result, SqlError};
use crate::names::{fold, quoted_ident};

/// Whether an item is such a value under a name.
pub(super) fn is_expanded(item: &SelectItem) -> bool {
    matches!(item, SelectItem::ExprWithAlias { expr, .. } if expanded_array(expr).is_some())
}

#[derive(Default, Clone, Copy)]
struct Asked {
    element: bool,
    number: bool,
}

/// Rewrites a statement that has one.
pub(super) fn fields(statement: &mut Statement) -> Result<()> {
    let mut names = Names::default();
    let _: ControlFlow<()> = statement.visit(&mut names);
    let mut fields = Fields(names.0);
    let _: ControlFlow<()> = statement.visit(&mut fields);
    match statement.visit(&mut Items(fields.0)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The names that such values have.
#[derive(Default)]
struct Names(BTreeMap<String, Asked>);

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item
                && is_expanded(item)
            {
                self.0.insert(fold(alias), Asked::default());
            }
        }
        ControlFlow::Continue(())
    }
}

/// Turns their fields into columns.
struct Fields(BTreeMap<String, Asked>);

impl Fields {
    fn column(&mut self, expr: &Expr) -> Option<Expr> {
        let Expr::CompoundFieldAccess { root, access_chain } = expr else {
            return None;
        };
        let (Expr::Nested(inner), [AccessExpr::Dot(Expr::Identifier(field))]) =
            (root.as_ref(), access_chain.as_slice())
        else {
            return None;
        };
        let mut parts: Vec<Ident> = match inner.as_ref() {
            Expr::Identifier(name) => vec![name.clone()],
            Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => return None,
        };
        let last = fold(parts.last()?);
        let asked = self.0.get_mut(&last)?;
        match fold(field).as_str() {
            "x" => asked.element = true,
            "n" => {
                asked.number = true;
                *parts.last_mut()? = number_name(&last);
            }
            _ => return None,
        }
        Some(match parts.as_slice() {
            [name] => Expr::Identifier(name.clone()),
            _ => Expr::CompoundIdentifier(parts),
        })
    }
}

impl VisitorMut for Fields {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(column) = self.column(expr) {
            *expr = column;
        }
        ControlFlow::Continue(())
    }
}

/// Puts the columns in the place of the values.
struct Items(BTreeMap<String, Asked>);

impl VisitorMut for Items {
    type Break = SqlError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        let mut items = Vec::with_capacity(select.projection.len());
        for item in std::mem::take(&mut select.projection) {
            let SelectItem::ExprWithAlias { expr, alias } = &item else {
                items.push(item);
                continue;
            };
            let Some(array) = expanded_array(expr) else {
                items.push(item);
                continue;
            };
            let name = fold(alias);
            let asked = self.0.get(&name).copied().unwrap_or_default();
            if !asked.element && !asked.number {
                let message = "a whole value of information_schema._pg_expandarray";
                return ControlFlow::Break(SqlError::unsupported(message));
            }
            if asked.element {
                items.push(SelectItem::ExprWithAlias {
                    expr: element(array.clone()),
                    alias: alias.clone(),
                });
            }
            if asked.number {
                items.push(SelectItem::ExprWithAlias {
                    expr: number_of(array.clone()),
                    alias: number_name(&name),
                });
            }
        }
        select.projection = items;
        ControlFlow::Continue(())
    }
}

fn number_name(name: &str) -> Ident {
    quoted_ident(&format!("{name}.n"))
}
