//! Which unique index `ON CONFLICT (…) [WHERE …]` means.
//!
//! As PostgreSQL infers it: one whose columns and expressions are those that are named, in any order, and
//! whose predicate, if it is of a part of the table, the given condition implies. Expressions are the same
//! when they are once they are analysed. Of several the one of the whole table is taken: a row that is in the
//! way of a part is in its way, too.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::logical_expr::Expr as Planned;
use sqlparser::ast::{self, Expr};

use super::insert::find_column;
use super::target::WriteTarget;
use crate::catalog::model::{Index, IndexExpression};
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::plan::computed::{compile, to_stored};
use crate::plan::partial::is_implied;
use crate::session::spelling::{ConflictTarget, conflict_target};
use crate::session::statement::{parse_expression, parse_query};

/// The index that a conflict target means.
pub(super) fn find<'a>(target: &'a WriteTarget, wanted: &ast::ConflictTarget) -> Result<&'a Index> {
    let wanted = match wanted {
        ast::ConflictTarget::OnConstraint(name) => return named(target, name),
        ast::ConflictTarget::Columns(columns) => Wanted::read(target, columns)?,
    };
    let indexes = target.meta.indexes.iter();
    let met: Vec<&Arc<Index>> = indexes.filter(|i| wanted.is_met(target, i)).collect();
    let whole = met.iter().find(|i| i.predicate.is_none());
    let found = whole.or(met.first()).copied();
    found.map(Arc::as_ref).ok_or_else(|| {
        SqlError::new(
            state::INVALID_COLUMN_REFERENCE,
            "there is no unique or exclusion constraint matching the ON CONFLICT specification",
        )
    })
}

fn named<'a>(target: &'a WriteTarget, name: &ast::ObjectName) -> Result<&'a Index> {
    let name = crate::names::parts(name)?.join(".");
    target
        .meta
        .indexes
        .iter()
        .find(|i| i.unique && i.constraint.is_some() && i.name == name)
        .map(Arc::as_ref)
        .ok_or_else(|| {
            SqlError::new(
                state::UNDEFINED_OBJECT,
                format!(
                    "constraint \"{name}\" for table \"{}\" does not exist",
                    target.name()
                ),
            )
        })
}

/// What a conflict target names.
struct Wanted {
    columns: BTreeSet<u16>,
    expressions: Vec<Planned>,
    condition: Option<Planned>,
}

impl Wanted {
    fn read(target: &WriteTarget, columns: &[ast::Ident]) -> Result<Wanted> {
        let mut wanted = Wanted {
            columns: BTreeSet::new(),
            expressions: Vec::new(),
            condition: None,
        };
        let Some(ConflictTarget {
            elements,
            condition,
        }) = conflict_target(columns)
        else {
            for column in columns {
                wanted.column(target, column)?;
            }
            return Ok(wanted);
        };
        let elements = parse_query(&format!("SELECT {elements}"))?;
        let ast::SetExpr::Select(select) = elements.body.as_ref() else {
            return Err(not_an_element());
        };
        for item in &select.projection {
            let ast::SelectItem::UnnamedExpr(expr) = item else {
                return Err(not_an_element());
            };
            match unwrapped(expr) {
                Expr::Identifier(column) => wanted.column(target, column)?,
                expr => wanted.expressions.push(analysed(target, expr)?),
            }
        }
        if let Some(condition) = condition {
            let condition = parse_expression(condition)?;
            wanted.condition = Some(analysed(target, &condition)?);
        }
        Ok(wanted)
    }

    fn column(&mut self, target: &WriteTarget, column: &ast::Ident) -> Result<()> {
        let name = fold(column);
        let place = match find_column(target, &name) {
            Ok(place) => place,
            Err(_) => {
                return Err(SqlError::new(
                    state::UNDEFINED_COLUMN,
                    format!("column \"{name}\" does not exist"),
                ));
            }
        };
        self.columns.insert(target.meta.columns[place].id.0);
        Ok(())
    }

    fn is_met(&self, target: &WriteTarget, index: &Index) -> bool {
        let parts = index.columns.iter();
        let plain = parts.filter(|part| index.expression(part).is_none());
        let columns: BTreeSet<u16> = plain.map(|part| part.column).collect();
        if !index.unique || columns != self.columns {
            return false;
        }
        let kept = |e: &IndexExpression| stored(target, &e.expression, &e.columns).ok();
        let Some(keys) = index
            .expressions
            .iter()
            .map(kept)
            .collect::<Option<Vec<_>>>()
        else {
            return false;
        };
        let same = self.expressions.iter().all(|e| keys.contains(e))
            && keys.iter().all(|e| self.expressions.contains(e));
        let implied = match index.predicate.as_ref().map(kept) {
            None => true,
            Some(None) => false,
            Some(Some(predicate)) => is_implied(&predicate, self.condition.as_slice()),
        };
        same && implied
    }
}

fn unwrapped(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// An expression over the table as an index would have it.
fn analysed(target: &WriteTarget, expr: &Expr) -> Result<Planned> {
    let table = &target.meta.table;
    let mut columns = Vec::new();
    let found = ast::visit_expressions(expr, |e| {
        let name = match e {
            Expr::Identifier(name) => name,
            Expr::CompoundIdentifier(parts) => match parts.last() {
                Some(name) => name,
                None => return std::ops::ControlFlow::Continue(()),
            },
            _ => return std::ops::ControlFlow::Continue(()),
        };
        match table.column(&fold(name)) {
            Some((id, _)) => columns.push(id.0),
            None => return std::ops::ControlFlow::Break(fold(name)),
        }
        std::ops::ControlFlow::Continue(())
    });
    if let std::ops::ControlFlow::Break(name) = found {
        return Err(SqlError::new(
            state::UNDEFINED_COLUMN,
            format!("column \"{name}\" does not exist"),
        ));
    }
    columns.sort_unstable();
    columns.dedup();
    stored(target, &to_stored(expr, table), &columns)
}

fn stored(target: &WriteTarget, expression: &str, columns: &[u16]) -> Result<Planned> {
    let meta = &target.meta;
    let fields = columns.iter().map(|column| {
        let ty = &meta.storage.columns[usize::from(*column)].ty;
        Field::new(format!("c{column}"), ty.arrow(), true)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    compile(expression, &schema).map(|compiled| compiled.logical.clone())
}

fn not_an_element() -> SqlError {
    SqlError::unsupported("a collation or an operator class in ON CONFLICT")
}
