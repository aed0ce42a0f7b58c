//! What clients are told of the columns of a result: the exact type of each, and the column of a table behind
//! it, if there is one.
//!
//! Arrow tells the family of a type alone: `varchar(10)` and `name` are text to it, `regclass` is an `oid`. The
//! columns of tables know the member, and so do casts; what passes a value on as it is (`CASE`, `COALESCE`,
//! `array_agg`, a subquery, UNION …) passes on its type, as PostgreSQL does. All that is read from the plan as
//! DataFusion's planner made it, because the analysed one has lost casts that change nothing in a value.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::{ViewTable, source_as_provider};
use datafusion::logical_expr::expr::{ScalarFunction, WindowFunctionDefinition};
use datafusion::logical_expr::{Distinct, EmptyRelation, Expr, ExprSchemable, LogicalPlan};
use datafusion::scalar::ScalarValue;

use super::barrier::Barrier;
use super::policy::SecuredTable;
use super::provider::StoredTable;
use crate::error::Result;
use crate::functions::domain::DOMAIN;
use crate::pg_catalog::functions::catalog_argument;
use crate::pg_catalog::{PG_TYPE_KEY, PG_TYPMOD_KEY};
use crate::semantics::common::common_pg_type;
use crate::semantics::special::{Kind, Special, case_results, cast_arguments};
use crate::semantics::{infer_parameters, map_error, output_name};
use crate::session::outcome::ResultColumn;
use crate::subplan::{ARRAY_SUBQUERY, plans_inside};
use crate::types::PgType;

#[derive(Clone, Debug, PartialEq)]
struct Origin {
    ty: PgType,
    typmod: i32,
    /// 0 when it is not a column of a table as it is.
    table: u32,
    attnum: i16,
}

impl Origin {
    fn of_type(ty: PgType, typmod: i32) -> Origin {
        Origin {
            ty,
            typmod,
            table: 0,
            attnum: 0,
        }
    }

    /// The same value, but no column any more.
    fn computed(self) -> Origin {
        Origin::of_type(self.ty, self.typmod)
    }

    fn array(self) -> Origin {
        Origin::of_type(self.ty.array_of(), self.typmod)
    }
}

/// A query's plan before optimisation, twice.
pub(crate) struct Plans {
    /// As DataFusion's planner made it.
    pub planned: LogicalPlan,
    /// As analysed.
    pub typed: LogicalPlan,
}

/// Describes the output of a plan.
pub(crate) fn result_columns(plans: &Plans) -> Vec<ResultColumn> {
    let told = |(i, field): (usize, &FieldRef)| {
        let family = described_type(field.data_type());
        let column = origin(&plans.planned, i, 0)
            .filter(|o| is_member(&o.ty, &family))
            .unwrap_or(Origin::of_type(family, -1));
        ResultColumn {
            name: output_name(field.name()).to_owned(),
            ty: column.ty,
            table_oid: column.table,
            column_attnum: column.attnum,
            typmod: column.typmod,
        }
    };
    let schema = plans.typed.schema();
    schema.fields().iter().enumerate().map(told).collect()
}

/// The types that parameters of unknown type turned out to have, by number from 1: that of the first cast, or
/// of the argument of a catalog function, and else what analysis made of them.
pub(crate) fn parameters(plans: &Plans) -> Result<Vec<(usize, PgType)>> {
    let mut found: Vec<(usize, PgType)> = Vec::new();
    let mut visit = |expr: &Expr| {
        if let Expr::ScalarFunction(f) = expr {
            for (at, argument) in f.args.iter().enumerate() {
                if let Expr::Placeholder(p) = argument
                    && let Some(number) = p.id.strip_prefix('$').and_then(|n| n.parse().ok())
                    && !found.iter().any(|(known, _)| *known == number)
                    && let Some(ty) = declared(f, at)
                {
                    found.push((number, ty));
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    };
    plans
        .planned
        .apply_with_subqueries(|node| node.apply_expressions(|e| e.apply(&mut visit)))
        .map_err(map_error)?;
    let inside = plans_inside(&plans.typed).map_err(map_error)?;
    for plan in std::iter::once(&plans.typed).chain(inside.iter().map(AsRef::as_ref)) {
        for (number, ty) in infer_parameters(plan)? {
            if !found.iter().any(|(known, _)| *known == number) {
                found.push((number, ty));
            }
        }
    }
    Ok(found)
}

/// What a call makes of its argument at a place.
fn declared(f: &ScalarFunction, at: usize) -> Option<PgType> {
    match f.func.inner().downcast_ref::<Special>() {
        Some(special) if special.kind == Kind::Cast && at == 0 => Some(cast_type(f)?.0),
        Some(_) => None,
        None => catalog_argument(&f.func, f.args.len(), at),
    }
}

/// Type and modifier that a `$cast` is to.
fn cast_type(f: &ScalarFunction) -> Option<(PgType, i32)> {
    let literals = f.args.iter().map(|a| match a {
        Expr::Literal(v, _) => Some(v),
        _ => None,
    });
    cast_arguments(&literals.collect::<Vec<Option<&ScalarValue>>>()).ok()
}

/// The type a client is told: a literal whose type stayed open is text.
pub(crate) fn described_type(ty: &DataType) -> PgType {
    match PgType::from_arrow(ty) {
        Some(PgType::Unknown) | None => PgType::Text,
        Some(ty) => ty,
    }
}

/// Whether values of a type are held as those of the family.
fn is_member(ty: &PgType, family: &PgType) -> bool {
    ty == family || described_type(&ty.arrow()) == *family
}

const DEPTH_MAX: usize = 256;

fn origin(plan: &LogicalPlan, column: usize, depth: usize) -> Option<Origin> {
    if depth > DEPTH_MAX {
        return None;
    }
    let depth = depth + 1;
    match plan {
        LogicalPlan::Projection(p) => value(p.expr.get(column)?, &p.input, depth),
        LogicalPlan::SubqueryAlias(a) => origin(&a.input, column, depth),
        LogicalPlan::Filter(f) => origin(&f.input, column, depth),
        LogicalPlan::Sort(s) => origin(&s.input, column, depth),
        LogicalPlan::Limit(l) => origin(&l.input, column, depth),
        LogicalPlan::Distinct(Distinct::All(input)) => origin(input, column, depth),
        LogicalPlan::Distinct(Distinct::On(on)) => {
            value(on.select_expr.get(column)?, &on.input, depth)
        }
        LogicalPlan::Subquery(s) => origin(&s.subquery, column, depth),
        LogicalPlan::Extension(e) => origin(Barrier::input(&e.node)?, column, depth),
        LogicalPlan::RecursiveQuery(r) => origin(&r.static_term, column, depth),
        LogicalPlan::Aggregate(a) => {
            let groups = a.group_expr.len();
            let expr = match a.group_expr.get(column) {
                Some(Expr::GroupingSet(_)) => return None,
                Some(group) => group,
                None => a.aggr_expr.get(column - groups)?,
            };
            value(expr, &a.input, depth)
        }
        LogicalPlan::Window(w) => {
            let inputs = w.input.schema().fields().len();
            match column.checked_sub(inputs) {
                None => origin(&w.input, column, depth),
                Some(at) => value(w.window_expr.get(at)?, &w.input, depth),
            }
        }
        LogicalPlan::Join(j) => {
            let (qualifier, field) = plan.schema().qualified_field(column);
            [&j.left, &j.right].into_iter().find_map(|side| {
                let at = side
                    .schema()
                    .index_of_column_by_name(qualifier, field.name())?;
                origin(side, at, depth)
            })
        }
        LogicalPlan::Union(u) => {
            let columns = u.inputs.iter().map(|input| {
                let ty = input.schema().field(column).data_type();
                let open = matches!(ty, DataType::Utf8 | DataType::Null);
                match origin(input, column, depth) {
                    Some(origin) => origin,
                    None if open => Origin::of_type(PgType::Unknown, -1),
                    None => Origin::of_type(described_type(ty), -1),
                }
            });
            common(columns)
        }
        LogicalPlan::Values(v) => {
            let nothing = LogicalPlan::EmptyRelation(EmptyRelation {
                produce_one_row: false,
                schema: Arc::new(DFSchema::empty()),
            });
            let cells = v.values.iter().filter_map(|row| row.get(column));
            common(cells.map(|cell| known(cell, &nothing, depth)))
        }
        LogicalPlan::Unnest(u) => {
            let at = *u.dependency_indices.get(column)?;
            let input = origin(&u.input, at, depth)?;
            if !u.list_type_columns.iter().any(|(list, _)| *list == at) {
                return Some(input);
            }
            let item = input.ty.element()?.clone();
            Some(Origin::of_type(item, input.typmod))
        }
        // A relation that never has rows, which is known when it is planned.
        LogicalPlan::EmptyRelation(e) => named(e.schema.field(column).metadata()),
        LogicalPlan::TableScan(scan) => {
            let at = match &scan.projection {
                Some(p) => *p.get(column)?,
                None => column,
            };
            let provider = source_as_provider(&scan.source).ok()?;
            let provider: &dyn std::any::Any = provider.as_ref();
            if let Some(view) = provider.downcast_ref::<ViewTable>() {
                return origin(view.logical_plan(), at, depth);
            }
            if let Some(secured) = provider.downcast_ref::<SecuredTable>() {
                return origin(secured.plan(), at, depth);
            }
            let Some(table) = provider.downcast_ref::<StoredTable>() else {
                return named(scan.source.schema().field(at).metadata());
            };
            let column = table.meta().columns.get(at)?;
            Some(Origin {
                ty: column.ty.clone(),
                typmod: column.typmod,
                table: table.oid(),
                attnum: i16::try_from(column.id.0).ok()?.checked_add(1)?,
            })
        }
        _ => None,
    }
}

/// The type that a field names.
fn named(metadata: &HashMap<String, String>) -> Option<Origin> {
    let oid = metadata.get(PG_TYPE_KEY)?.parse().ok()?;
    let typmod = metadata.get(PG_TYPMOD_KEY).and_then(|t| t.parse().ok());
    Some(Origin::of_type(
        PgType::from_oid(oid)?,
        typmod.unwrap_or(-1),
    ))
}

/// What is known of an expression over the columns of a plan.
fn value(expr: &Expr, input: &LogicalPlan, depth: usize) -> Option<Origin> {
    if depth > DEPTH_MAX {
        return None;
    }
    let depth = depth + 1;
    match expr {
        Expr::Column(column) => column_of(column, input, depth),
        Expr::Alias(a) => value(&a.expr, input, depth),
        Expr::OuterReferenceColumn(field, _) => named(field.metadata()),
        Expr::ScalarSubquery(s) => origin(&s.subquery, 0, depth).map(Origin::computed),
        Expr::ScalarFunction(f) => call(f, expr, input, depth).map(Origin::computed),
        Expr::AggregateFunction(f) => {
            let argument = || value(f.params.args.first()?, input, depth);
            match f.func.name() {
                "array_agg" => argument().map(Origin::array),
                // Of varchar and name they are of text, but not of char(n).
                "min" | "max" => argument()
                    .filter(|o| o.ty == PgType::Bpchar)
                    .map(|o| Origin::of_type(o.ty, -1)),
                _ => None,
            }
        }
        Expr::WindowFunction(f) => {
            let passes_on = matches!(&f.fun, WindowFunctionDefinition::WindowUDF(_))
                && matches!(
                    f.fun.name(),
                    "lag" | "lead" | "first_value" | "last_value" | "nth_value"
                );
            let argument = f.params.args.first().filter(|_| passes_on)?;
            value(argument, input, depth).map(Origin::computed)
        }
        _ => None,
    }
}

fn column_of(column: &Column, input: &LogicalPlan, depth: usize) -> Option<Origin> {
    let at = input.schema().maybe_index_of_column(column)?;
    origin(input, at, depth)
}

fn call(f: &ScalarFunction, expr: &Expr, input: &LogicalPlan, depth: usize) -> Option<Origin> {
    let of_all = |args: Vec<&Expr>| common(args.into_iter().map(|a| known(a, input, depth)));
    let Some(special) = f.func.inner().downcast_ref::<Special>() else {
        if f.func.name() == ARRAY_SUBQUERY {
            return value(f.args.first()?, input, depth).map(Origin::array);
        }
        // A value of a domain is described as one of its base type.
        if f.func.name() == DOMAIN {
            return value(f.args.first()?, input, depth);
        }
        let (_, field) = expr.to_field(input.schema().as_ref()).ok()?;
        return named(field.metadata());
    };
    let args: Vec<&Expr> = f.args.iter().collect();
    match special.kind {
        Kind::Cast => cast_type(f).map(|(ty, typmod)| Origin::of_type(ty, typmod)),
        Kind::Case => of_all(case_results(&args)),
        Kind::Coalesce | Kind::Greatest | Kind::Least => of_all(args),
        Kind::NullIf => value(args.first()?, input, depth),
        Kind::Array => of_all(args).map(Origin::array),
        Kind::Compare(_) | Kind::Any | Kind::All => None,
    }
}

/// [`value`], or what Arrow tells.
fn known(expr: &Expr, input: &LogicalPlan, depth: usize) -> Origin {
    value(expr, input, depth).unwrap_or_else(|| {
        let ty = expr.get_type(input.schema().as_ref()).ok();
        let ty = ty.as_ref().and_then(PgType::from_arrow);
        Origin::of_type(ty.unwrap_or(PgType::Unknown), -1)
    })
}

/// The common type of values, and their modifier if it is one.
fn common(values: impl Iterator<Item = Origin>) -> Option<Origin> {
    let values: Vec<Origin> = values.collect();
    let types: Vec<PgType> = values.iter().map(|v| v.ty.clone()).collect();
    let ty = common_pg_type("", &types).ok()?;
    let mut typmods = values
        .iter()
        .filter(|v| v.ty != PgType::Unknown)
        .map(|v| v.typmod);
    let first = typmods.next().unwrap_or(-1);
    let alike = values.iter().all(|v| v.ty == ty || v.ty == PgType::Unknown)
        && typmods.all(|typmod| typmod == first);
    Some(Origin::of_type(ty, if alike { first } else { -1 }))
}
