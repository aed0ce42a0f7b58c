//! The analyzer rule that gives every expression PostgreSQL's types, before DataFusion's own
//! coercion runs and finds nothing left to do.
//!
//! Bottom-up over the plan, for each expression:
//! 1. calls of our functions get the casts their overload asks for;
//! 2. comparisons get PostgreSQL's common type and become native `BinaryExpr`s, over *keys* where
//!    the stored form does not compare by itself (`numeric` of no fixed scale, `interval`);
//! 3. `CASE`, `COALESCE` and their kin get the common type of their parts and become native;
//! 4. casts of literals are done at once, casts on which Arrow agrees become native.
//!
//! Names of output columns are preserved, types are recomputed upwards.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, NullEquality, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{
    AggregateFunction, InList, InSubquery, Like, ScalarFunction, WindowFunction,
};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Case, Cast, Expr, ExprSchemable, Filter, Join, LogicalPlan, Operator, Projection,
    ScalarUDF, SortExpr, Subquery, Union, WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;

use super::common::{common_decimal, common_pg_type, common_type};
use super::comparable::{self, has_equality, has_order, unidentified};
use super::function::{PgFunction, df, undefined_operator};
use super::overload::{Unresolved, argument_type, pg_type};
use super::recursive;
use super::special::{Kind, PgCast, Special, case_results, cast_arguments, cast_target};
use super::vars::SessionVars;
use crate::error::{Result, SqlError, state};
use crate::types::cast::{CastContext, cast_to, context_needed};
use crate::types::{ExtensionType, Format, PgType, extension};

#[derive(Debug, Default)]
pub struct PostgresTypes;

impl AnalyzerRule for PostgresTypes {
    fn name(&self) -> &str {
        "postgres_types"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> DfResult<LogicalPlan> {
        let vars = SessionVars::of(config);
        plan.transform_up_with_subqueries(|plan| coerce_node(plan, &vars.format))
            .map(|t| t.data)
    }
}

/// Coerces an expression outside a plan (a DEFAULT, a CHECK) over a schema.
pub fn coerce_expr(expr: Expr, schema: &DFSchema, vars: &SessionVars) -> DfResult<Expr> {
    let rewriter = Rewriter {
        schema,
        format: &vars.format,
    };
    expr.transform_up(|e| rewriter.expr(e)).map(|t| t.data)
}

fn coerce_node(plan: LogicalPlan, format: &Format) -> DfResult<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        let source =
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        schema.merge(&source);
    }
    comparable::check_node(&plan, &schema)?;
    recursive::check_node(&plan)?;
    let names = NamePreserver::new(&plan);
    let rewriter = Rewriter {
        schema: &schema,
        format,
    };
    let plan = plan
        .map_expressions(|e| {
            let name = names.save(&e);
            e.transform_up(|e| rewriter.expr(e))
                .map(|t| t.update_data(|e| name.restore(e)))
        })?
        .data;
    let plan = match plan {
        LogicalPlan::Filter(f) => {
            let predicate = rewriter.boolean(f.predicate, "WHERE")?;
            LogicalPlan::Filter(Filter::try_new(predicate, f.input)?)
        }
        LogicalPlan::Join(join) => rewriter.join(join)?,
        LogicalPlan::Union(union) => union_types(union, format)?,
        LogicalPlan::Sort(mut sort) => {
            sort.expr = rewriter.sort_keys(sort.expr)?;
            LogicalPlan::Sort(sort)
        }
        other => other,
    };
    Ok(Transformed::yes(plan.recompute_schema()?))
}

struct Rewriter<'a> {
    schema: &'a DFSchema,
    format: &'a Format,
}

fn is_comparison(op: Operator) -> bool {
    use Operator::*;
    matches!(
        op,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

fn is_unknown(ty: &DataType) -> bool {
    matches!(ty, DataType::Utf8 | DataType::Null)
}

/// Whether values of this type are ordered by a key computed from them.
fn needs_key(ty: &DataType) -> bool {
    matches!(ty, DataType::LargeBinary | DataType::Interval(_)) || extension(ty).is_some()
}

/// The plugin's type that an Arrow type stands for.
fn extension(ty: &DataType) -> Option<&'static ExtensionType> {
    match ty {
        DataType::Struct(fields) => extension::of_fields(fields),
        _ => None,
    }
}

fn key(e: Expr, ty: &DataType) -> Expr {
    if let Some(extension) = extension(ty) {
        let field = ScalarValue::Utf8(Some(extension.key().to_owned()));
        return match crate::functions::scalar(crate::functions::FIELD) {
            Some(f) => f.call(vec![e, Expr::Literal(field, None)]),
            None => e,
        };
    }
    let name = match ty {
        DataType::LargeBinary => "$_numeric_key",
        _ => "$_interval_key",
    };
    match crate::functions::scalar(name) {
        Some(f) => f.call(vec![e]),
        None => e,
    }
}

impl Rewriter<'_> {
    fn ty(&self, e: &Expr) -> DfResult<DataType> {
        e.get_type(self.schema)
    }

    fn expr(&self, e: Expr) -> DfResult<Transformed<Expr>> {
        Ok(Transformed::yes(match e {
            Expr::ScalarFunction(f) => self.call(f)?,
            Expr::Cast(Cast { expr, field }) => {
                let target = field.data_type().clone();
                match *expr {
                    // An integer literal as the rewrite typed it.
                    Expr::Literal(ScalarValue::Int64(Some(n)), m) if target == DataType::Int32 => {
                        Expr::Literal(ScalarValue::Int32(Some(n as i32)), m)
                    }
                    other => Expr::Cast(Cast {
                        expr: Box::new(other),
                        field,
                    }),
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::And | Operator::Or => {
                    let word = if op == Operator::And { "AND" } else { "OR" };
                    let left = self.boolean(*left, word)?;
                    let right = self.boolean(*right, word)?;
                    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
                }
                op if is_comparison(op) => self.compare(*left, op, *right)?,
                op => Expr::BinaryExpr(BinaryExpr::new(left, op, right)),
            },
            Expr::Not(inner) => Expr::Not(Box::new(self.boolean(*inner, "NOT")?)),
            Expr::IsTrue(e) => Expr::IsTrue(Box::new(self.boolean(*e, "IS TRUE")?)),
            Expr::IsFalse(e) => Expr::IsFalse(Box::new(self.boolean(*e, "IS FALSE")?)),
            Expr::IsNotTrue(e) => Expr::IsNotTrue(Box::new(self.boolean(*e, "IS NOT TRUE")?)),
            Expr::IsNotFalse(e) => Expr::IsNotFalse(Box::new(self.boolean(*e, "IS NOT FALSE")?)),
            Expr::IsUnknown(e) => Expr::IsUnknown(Box::new(self.boolean(*e, "IS UNKNOWN")?)),
            Expr::IsNotUnknown(e) => {
                Expr::IsNotUnknown(Box::new(self.boolean(*e, "IS NOT UNKNOWN")?))
            }
            Expr::Like(like) => self.like(like)?,
            Expr::InList(list) => self.in_list(list)?,
            Expr::InSubquery(q) => self.in_subquery(q)?,
            Expr::ScalarSubquery(q) => Expr::ScalarSubquery(super::nullable::scalar_subquery(q)?),
            Expr::AggregateFunction(f) => self.aggregate(f)?,
            Expr::WindowFunction(f) => self.window(*f)?,
            other => return Ok(Transformed::no(other)),
        }))
    }

    fn call(&self, f: ScalarFunction) -> DfResult<Expr> {
        let ScalarFunction { func, args } = f;
        if let Some(special) = func.inner().downcast_ref::<Special>() {
            return self.special(special.kind, &func, args);
        }
        if let Some(function) = func.inner().downcast_ref::<PgFunction>() {
            let types = args
                .iter()
                .map(|a| self.ty(a))
                .collect::<DfResult<Vec<_>>>()?;
            let (overload, wanted) = function.choose(&types).map_err(df)?;
            let args = args
                .into_iter()
                .zip(types)
                .zip(wanted)
                .map(|((a, from), to)| self.cast(a, &from, &to))
                .collect::<DfResult<Vec<_>>>()?;
            let Some(chosen) = &overload.chosen else {
                return Ok(Expr::ScalarFunction(ScalarFunction::new_udf(func, args)));
            };
            // What is called for it is called as it is.
            let array = |items| self.array(items);
            let (func, args) = chosen.call(args, &array)?;
            return self.call(ScalarFunction::new_udf(func, args));
        }
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(func, args)))
    }

    fn array(&self, items: Vec<Expr>) -> DfResult<Expr> {
        match crate::functions::scalar("$array") {
            Some(array) => self.special(Kind::Array, &array, items),
            None => Err(df(SqlError::internal("there are no arrays"))),
        }
    }

    fn special(&self, kind: Kind, func: &Arc<ScalarUDF>, args: Vec<Expr>) -> DfResult<Expr> {
        let types = args
            .iter()
            .map(|a| self.ty(a))
            .collect::<DfResult<Vec<_>>>()?;
        let to_common = |args: Vec<Expr>, types: &[DataType], context: &str| {
            let common = common_type(context, types).map_err(df)?;
            args.into_iter()
                .zip(types)
                .map(|(a, from)| self.cast(a, from, &common))
                .collect::<DfResult<Vec<Expr>>>()
        };
        match kind {
            Kind::Cast => {
                let literals: Vec<Option<&ScalarValue>> = args
                    .iter()
                    .map(|a| match a {
                        Expr::Literal(v, _) => Some(v),
                        _ => None,
                    })
                    .collect();
                let (to, typmod) = cast_arguments(&literals).map_err(df)?;
                let target = cast_target(&types[0], &to, typmod);
                if let Some(Some(ScalarValue::Utf8(Some(called)))) = literals.get(3) {
                    let from = pg_type(&types[0]);
                    if context_needed(&from, &to).is_none() {
                        let why = super::overload::Unresolved::None;
                        let error = super::function::undefined_function(called, &[from], why);
                        return Err(df(error));
                    }
                }
                let value = args
                    .into_iter()
                    .next()
                    .unwrap_or(Expr::Literal(ScalarValue::Null, None));
                self.cast_as(
                    value,
                    &types[0],
                    &to,
                    typmod,
                    &target,
                    CastContext::Explicit,
                )
            }
            Kind::Case => {
                let common = common_type("CASE", &case_results(&types)).map_err(df)?;
                let mut whens = Vec::new();
                let mut rest = args.into_iter().zip(types);
                let mut otherwise = None;
                while let Some((first, first_type)) = rest.next() {
                    match rest.next() {
                        Some((then, then_type)) => whens.push((
                            Box::new(self.boolean(first, "CASE/WHEN")?),
                            Box::new(self.cast(then, &then_type, &common)?),
                        )),
                        None => {
                            otherwise = Some(Box::new(self.cast(first, &first_type, &common)?))
                        }
                    }
                }
                Ok(Expr::Case(Case::new(None, whens, otherwise)))
            }
            Kind::Coalesce => {
                let args = to_common(args, &types, "COALESCE")?;
                Ok(datafusion::functions::core::coalesce().call(args))
            }
            Kind::Greatest | Kind::Least => {
                let name = if kind == Kind::Greatest {
                    "GREATEST"
                } else {
                    "LEAST"
                };
                let common = common_pg_type(name, &types.iter().map(pg_type).collect::<Vec<_>>());
                let common = common.map_err(df)?;
                if !common.is_comparable() {
                    return Err(df(unidentified("a comparison function", &common)));
                }
                let args = to_common(args, &types, name)?;
                let f = if kind == Kind::Greatest {
                    datafusion::functions::core::greatest()
                } else {
                    datafusion::functions::core::least()
                };
                Ok(f.call(args))
            }
            Kind::NullIf => {
                let [a, b]: [Expr; 2] = two(args)?;
                let equal = self.compare(a.clone(), Operator::Eq, b)?;
                let result = func.return_type(&types)?;
                let value = self.cast(a, &types[0], &result)?;
                let null = Expr::Literal(ScalarValue::try_from(&result)?, None);
                Ok(Expr::Case(Case::new(
                    None,
                    vec![(Box::new(equal), Box::new(null))],
                    Some(Box::new(value)),
                )))
            }
            Kind::Compare(op) => {
                let [a, b]: [Expr; 2] = two(args)?;
                self.compare(a, op, b)
            }
            Kind::Array => {
                let item = common_type("ARRAY", &types).map_err(df)?;
                if matches!(item, DataType::List(_)) {
                    return Err(df(SqlError::unsupported("multi-dimensional array")));
                }
                let args = to_common(args, &types, "ARRAY")?;
                match crate::functions::scalar("$_make_array") {
                    Some(f) if !args.is_empty() => Ok(f.call(args)),
                    _ => {
                        let empty = ScalarValue::new_list(&[], &DataType::Utf8View, true);
                        Ok(Expr::Literal(ScalarValue::List(empty), None))
                    }
                }
            }
            Kind::Any | Kind::All => self.quantified(kind, args, &types),
        }
    }

    /// `x op ANY (array)`: IN over the elements when they are written out, a kernel otherwise.
    fn quantified(&self, kind: Kind, args: Vec<Expr>, types: &[DataType]) -> DfResult<Expr> {
        let mut args = args.into_iter();
        let (Some(x), Some(array), Some(Expr::Literal(ScalarValue::Utf8(Some(op)), _))) =
            (args.next(), args.next(), args.next())
        else {
            return Err(df(SqlError::internal("malformed ANY or ALL")));
        };
        let name = if kind == Kind::Any { "ANY" } else { "ALL" };
        let (item, element) = match &types[1] {
            DataType::List(f) => (f.data_type().clone(), pg_type(f.data_type())),
            t if is_unknown(t) => {
                let element = match pg_type(&types[0]) {
                    PgType::Unknown => PgType::Text,
                    known => known,
                };
                (argument_type(&types[0], &element), element)
            }
            _ => {
                return Err(df(SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("op {name} (array) requires array on right side"),
                )));
            }
        };
        let x_type = pg_type(&types[0]);
        if x_type.extension().or(element.extension()).is_some() {
            let what = format!("{name} over values of type {}", element.name());
            return Err(df(SqlError::unsupported(what)));
        }
        let common = common_pg_type("ANY", &[x_type.clone(), element.clone()]).ok();
        let Some(common) = common.filter(PgType::is_comparable) else {
            let types = [x_type, element];
            return Err(df(undefined_operator(&op, &types, Unresolved::None)));
        };
        let common = match common {
            PgType::Numeric => DataType::LargeBinary,
            _ if common == element => item,
            other => other.arrow(),
        };
        let x = self.cast(x, &types[0], &common)?;
        let list = DataType::new_list(common.clone(), true);
        let array = self.cast(array, &types[1], &list)?;
        if !needs_key(&common)
            && let Expr::Literal(ScalarValue::List(values), _) = &array
            && ((kind == Kind::Any && op == "=") || (kind == Kind::All && op == "<>"))
            && !values.value(0).is_empty()
            && !arrow::array::Array::is_null(values.as_ref(), 0)
        {
            let items = values.value(0);
            let list = (0..items.len())
                .map(|i| Ok(Expr::Literal(ScalarValue::try_from_array(&items, i)?, None)))
                .collect::<DfResult<Vec<_>>>()?;
            return Ok(Expr::InList(InList::new(
                Box::new(x),
                list,
                kind == Kind::All,
            )));
        }
        let f = crate::functions::scalar(if kind == Kind::Any { "$_any" } else { "$_all" });
        match f {
            Some(f) => Ok(f.call(vec![
                x,
                array,
                Expr::Literal(ScalarValue::Utf8View(Some(op)), None),
            ])),
            None => Err(df(SqlError::internal("ANY is not registered"))),
        }
    }

    /// An operand that must be boolean; a literal of unknown type becomes one.
    fn boolean(&self, e: Expr, what: &str) -> DfResult<Expr> {
        match self.ty(&e)? {
            DataType::Boolean => Ok(e),
            t if is_unknown(&t) => self.cast(e, &t, &DataType::Boolean),
            other => Err(df(SqlError::new(
                state::DATATYPE_MISMATCH,
                format!(
                    "argument of {what} must be type boolean, not type {}",
                    pg_type(&other).name()
                ),
            ))),
        }
    }

    fn compare(&self, left: Expr, op: Operator, right: Expr) -> DfResult<Expr> {
        let (lt, rt) = (self.ty(&left)?, self.ty(&right)?);
        let (left, right) = self.comparable(left, &lt, right, &rt, op)?;
        Ok(Expr::BinaryExpr(BinaryExpr::new(
            Box::new(left),
            op,
            Box::new(right),
        )))
    }

    /// Brings two operands to a type whose native order is PostgreSQL's.
    fn comparable(
        &self,
        left: Expr,
        lt: &DataType,
        right: Expr,
        rt: &DataType,
        op: Operator,
    ) -> DfResult<(Expr, Expr)> {
        let Some(common) = comparison_type(lt, rt) else {
            if let (PgType::Array(item), PgType::Array(_)) = (pg_type(lt), pg_type(rt))
                && !item.is_comparable()
            {
                // Arrays do have the operator, which looks for one of their elements.
                return Err(df(unidentified("an equality operator", &item)));
            }
            let symbol = match op {
                Operator::NotEq => "<>".to_string(),
                Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => "=".to_string(),
                other => other.to_string(),
            };
            return Err(df(undefined_operator(
                &symbol,
                &[pg_type(lt), pg_type(rt)],
                Unresolved::None,
            )));
        };
        let left = self.cast(left, lt, &common)?;
        let right = self.cast(right, rt, &common)?;
        if needs_key(&common) {
            return Ok((key(left, &common), key(right, &common)));
        }
        Ok((left, right))
    }

    fn like(&self, like: Like) -> DfResult<Expr> {
        let (et, pt) = (self.ty(&like.expr)?, self.ty(&like.pattern)?);
        let text = |t: &DataType| is_unknown(t) || *t == DataType::Utf8View;
        if !text(&et) || !text(&pt) {
            let symbol = match (like.negated, like.case_insensitive) {
                (false, false) => "~~",
                (true, false) => "!~~",
                (false, true) => "~~*",
                (true, true) => "!~~*",
            };
            return Err(df(undefined_operator(
                symbol,
                &[pg_type(&et), pg_type(&pt)],
                Unresolved::None,
            )));
        }
        Ok(Expr::Like(Like {
            expr: Box::new(self.cast(*like.expr, &et, &DataType::Utf8View)?),
            pattern: Box::new(self.cast(*like.pattern, &pt, &DataType::Utf8View)?),
            ..like
        }))
    }

    fn in_list(&self, list: InList) -> DfResult<Expr> {
        let InList {
            expr,
            list,
            negated,
        } = list;
        let mut types = vec![self.ty(&expr)?];
        for e in &list {
            types.push(self.ty(e)?);
        }
        // One type that all compare in; otherwise item by item, as PostgreSQL does.
        let mut common = Some(types[0].clone());
        for ty in &types[1..] {
            common = common.and_then(|c| {
                if c == *ty {
                    Some(c)
                } else {
                    comparison_type(&c, ty)
                }
            });
        }
        match common {
            Some(c) if !needs_key(&c) && !is_unknown(&c) && pg_type(&c).is_comparable() => {
                let x = self.cast(*expr, &types[0], &c)?;
                let list = list
                    .into_iter()
                    .zip(&types[1..])
                    .map(|(e, t)| self.cast(e, t, &c))
                    .collect::<DfResult<Vec<_>>>()?;
                Ok(Expr::InList(InList::new(Box::new(x), list, negated)))
            }
            _ => {
                let mut any: Option<Expr> = None;
                for item in list {
                    let equal = self.compare((*expr).clone(), Operator::Eq, item)?;
                    any = Some(match any {
                        None => equal,
                        Some(a) => a.or(equal),
                    });
                }
                let any = any.unwrap_or(Expr::Literal(ScalarValue::Boolean(Some(false)), None));
                Ok(if negated {
                    Expr::Not(Box::new(any))
                } else {
                    any
                })
            }
        }
    }

    fn in_subquery(&self, q: InSubquery) -> DfResult<Expr> {
        let InSubquery {
            expr,
            subquery,
            negated,
        } = q;
        let left = self.ty(&expr)?;
        let field = subquery.subquery.schema().field(0).clone();
        let right = field.data_type().clone();
        let Some(common) = comparison_type(&left, &right) else {
            return Err(df(undefined_operator(
                "=",
                &[pg_type(&left), pg_type(&right)],
                Unresolved::None,
            )));
        };
        let keyed = needs_key(&common);
        let mut x = self.cast(*expr, &left, &common)?;
        if keyed {
            x = key(x, &common);
        }
        let subquery = if right == common && !keyed {
            subquery
        } else {
            let input = Arc::unwrap_or_clone(subquery.subquery);
            let column = Expr::from(input.schema().qualified_field(0));
            let inner = Rewriter {
                schema: input.schema(),
                format: self.format,
            };
            let mut value = inner.cast(column, &right, &common)?;
            if keyed {
                value = key(value, &common);
            }
            let value = value.alias(field.name());
            let plan = LogicalPlan::Projection(Projection::try_new(vec![value], Arc::new(input))?);
            Subquery {
                subquery: Arc::new(plan),
                ..subquery
            }
        };
        Ok(Expr::InSubquery(InSubquery::new(
            Box::new(x),
            subquery,
            negated,
        )))
    }

    fn aggregate(&self, mut f: AggregateFunction) -> DfResult<Expr> {
        let types = f
            .params
            .args
            .iter()
            .map(|a| self.ty(a))
            .collect::<DfResult<Vec<_>>>()?;
        if f.params.distinct {
            types.iter().try_for_each(has_equality)?;
        }
        if let Some(wanted) = crate::functions::aggregate::arguments(&f.func, &types) {
            let wanted = wanted?;
            f.params.args = f
                .params
                .args
                .into_iter()
                .zip(types)
                .zip(wanted)
                .map(|((a, from), to)| self.cast(a, &from, &to))
                .collect::<DfResult<Vec<_>>>()?;
        } else if f.params.distinct {
            // count(DISTINCT x) counts values, not display scales.
            f.params.args = f
                .params
                .args
                .into_iter()
                .zip(types)
                .map(|(a, ty)| if needs_key(&ty) { key(a, &ty) } else { a })
                .collect();
        }
        f.params.filter = match f.params.filter {
            Some(filter) => Some(Box::new(self.boolean(*filter, "FILTER")?)),
            None => None,
        };
        f.params.order_by = self.sort_keys(f.params.order_by)?;
        Ok(Expr::AggregateFunction(f))
    }

    fn window(&self, mut f: WindowFunction) -> DfResult<Expr> {
        let args = std::mem::take(&mut f.params.args);
        let types = args
            .iter()
            .map(|a| self.ty(a))
            .collect::<DfResult<Vec<_>>>()?;
        f.params.args = match &f.fun {
            WindowFunctionDefinition::AggregateUDF(udaf)
                if let Some(wanted) = crate::functions::aggregate::arguments(udaf, &types) =>
            {
                let wanted = wanted?;
                args.into_iter()
                    .zip(types)
                    .zip(wanted)
                    .map(|((a, from), to)| self.cast(a, &from, &to))
                    .collect::<DfResult<Vec<_>>>()?
            }
            WindowFunctionDefinition::WindowUDF(w) if matches!(w.name(), "lag" | "lead") => args
                .into_iter()
                .enumerate()
                .zip(types.clone())
                .map(|((i, a), from)| match i {
                    0 if is_unknown(&from) => self.cast(a, &from, &DataType::Utf8View),
                    1 => self.cast(a, &from, &DataType::Int64),
                    2 => self.cast(a, &from, &types[0]),
                    _ => Ok(a),
                })
                .collect::<DfResult<Vec<_>>>()?,
            WindowFunctionDefinition::WindowUDF(_) => args
                .into_iter()
                .zip(types)
                .map(|(a, from)| match from {
                    DataType::Int32 | DataType::Int16 if matches!(a, Expr::Literal(_, _)) => {
                        self.cast(a, &from, &DataType::Int64)
                    }
                    _ => Ok(a),
                })
                .collect::<DfResult<Vec<_>>>()?,
            _ => args,
        };
        f.params.order_by = self.sort_keys(f.params.order_by)?;
        for e in &mut f.params.partition_by {
            let ty = self.ty(e)?;
            has_equality(&ty)?;
            if extension(&ty).is_some() {
                *e = key(std::mem::take(e), &ty);
            }
        }
        Ok(Expr::from(f))
    }

    fn sort_keys(&self, list: Vec<SortExpr>) -> DfResult<Vec<SortExpr>> {
        list.into_iter()
            .map(|mut s| {
                let ty = self.ty(&s.expr)?;
                has_order(&ty)?;
                if needs_key(&ty) {
                    s.expr = key(s.expr, &ty);
                }
                Ok(s)
            })
            .collect()
    }

    fn join(&self, mut join: Join) -> DfResult<LogicalPlan> {
        let (left, right) = (
            Arc::clone(join.left.schema()),
            Arc::clone(join.right.schema()),
        );
        let mut on = Vec::new();
        for (l, r) in join.on {
            let (lt, rt) = (l.get_type(&left)?, r.get_type(&right)?);
            if join.null_equality == NullEquality::NullEqualsNull {
                // A set operation, which compares rows.
                has_equality(&lt)?;
            }
            on.push(
                if lt == rt && !needs_key(&lt) && pg_type(&lt).is_comparable() {
                    (l, r)
                } else {
                    self.comparable(l, &lt, r, &rt, Operator::Eq)?
                },
            );
        }
        join.on = on;
        if let Some(filter) = join.filter {
            join.filter = Some(self.boolean(filter, "JOIN/ON")?);
        }
        Ok(LogicalPlan::Join(join))
    }

    fn cast(&self, e: Expr, from: &DataType, to: &DataType) -> DfResult<Expr> {
        let pg = pg_type(to);
        self.cast_as(e, from, &pg, -1, to, CastContext::Implicit)
    }

    fn cast_as(
        &self,
        e: Expr,
        from: &DataType,
        to: &PgType,
        typmod: i32,
        target: &DataType,
        ctx: CastContext,
    ) -> DfResult<Expr> {
        if from == target
            && (typmod < 0 || matches!(target, DataType::Decimal128(_, _)))
            && plain(to)
        {
            return Ok(e);
        }
        let from_pg = pg_type(from);
        if context_needed(&from_pg, to).is_none_or(|needed| needed > ctx) {
            return Err(df(SqlError::new(
                state::CANNOT_COERCE,
                format!("cannot cast type {} to {}", from_pg.name(), to.name()),
            )));
        }
        match e {
            Expr::Literal(v, m) => {
                let array = v.to_array()?;
                let cast =
                    cast_to(&array, &from_pg, to, typmod, target, ctx, self.format).map_err(df)?;
                Ok(Expr::Literal(ScalarValue::try_from_array(&cast, 0)?, m))
            }
            e if typmod < 0 && native(from, target) && plain(to) => {
                Ok(Expr::Cast(Cast::new(Box::new(e), target.clone())))
            }
            e => Ok(PgCast::udf(to.clone(), typmod, target.clone(), ctx).call(vec![e])),
        }
    }
}

/// Text types that restrict nothing.
fn plain(to: &PgType) -> bool {
    !matches!(to, PgType::Bpchar | PgType::Name | PgType::Char)
}

fn two(args: Vec<Expr>) -> DfResult<[Expr; 2]> {
    args.try_into()
        .map_err(|_| df(SqlError::internal("two arguments expected")))
}

/// Conversions that cannot fail and mean the same in Arrow.
fn native(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (Int16, Int32 | Int64 | Float32 | Float64) | (Int32, Int64 | Float64) => true,
        (Int64, Float64) | (Float32, Float64) | (UInt32, Int64) => true,
        (Utf8, Utf8View) | (Null, _) => true,
        (Decimal128(p1, s1), Decimal128(p2, s2)) => {
            s2 >= s1 && (*p2 as i32 - *s2 as i32) >= (*p1 as i32 - *s1 as i32)
        }
        (Int16, Decimal128(p, s)) => *p as i32 - *s as i32 >= 5,
        (Int32, Decimal128(p, s)) => *p as i32 - *s as i32 >= 10,
        (Int64, Decimal128(p, s)) => *p as i32 - *s as i32 >= 19,
        (Timestamp(TimeUnit::Nanosecond, a), Timestamp(TimeUnit::Microsecond, b)) => a == b,
        _ => false,
    }
}

/// The type in which PostgreSQL compares two values; `None` when it has no such operator.
fn comparison_type(a: &DataType, b: &DataType) -> Option<DataType> {
    use PgType::*;
    let (pa, pb) = (pg_type(a), pg_type(b));
    if !pa.is_comparable() || !pb.is_comparable() {
        return None;
    }
    let other = |known: &PgType, ty: &DataType| match known {
        // A literal beside a number of fixed scale may have more digits.
        Numeric => DataType::LargeBinary,
        Record => ty.clone(),
        known => known.arrow(),
    };
    Some(match (&pa, &pb) {
        (Unknown, Unknown) => DataType::Utf8View,
        (Unknown, known) => other(known, b),
        (known, Unknown) => other(known, a),
        (Numeric, Numeric) => match common_decimal(a, b) {
            Some(d) => d,
            None => DataType::LargeBinary,
        },
        (x, y) if x == y => pa.arrow(),
        // Versions of one enum, of which a table of the past may have another.
        (Enum(x), Enum(y)) if x.oid() == y.oid() => pb.arrow(),
        (Int2 | Int4 | Int8, Int2 | Int4 | Int8) => {
            if pa == Int8 || pb == Int8 {
                DataType::Int64
            } else {
                DataType::Int32
            }
        }
        (Int2 | Int4 | Int8, Numeric) | (Numeric, Int2 | Int4 | Int8) => {
            common_decimal(a, b).unwrap_or(DataType::LargeBinary)
        }
        (Float4 | Float8, Int2 | Int4 | Int8 | Numeric | Float4 | Float8)
        | (Int2 | Int4 | Int8 | Numeric, Float4 | Float8) => DataType::Float64,
        (Oid, Int2 | Int4 | Int8) | (Int2 | Int4 | Int8, Oid) => DataType::UInt32,
        (Date, Timestamp) | (Timestamp, Date) => Timestamp.arrow(),
        (Date | Timestamp, TimestampTz) | (TimestampTz, Date | Timestamp) => TimestampTz.arrow(),
        (Time, Interval) | (Interval, Time) => Interval.arrow(),
        (Array(x), Array(y)) => {
            let _ = (x, y);
            let item = |t: &DataType| match t {
                DataType::List(f) => f.data_type().clone(),
                other => other.clone(),
            };
            DataType::new_list(comparison_type(&item(a), &item(b))?, true)
        }
        _ => return None,
    })
}

/// Gives the inputs of a UNION one type per column.
fn union_types(union: Union, format: &Format) -> DfResult<LogicalPlan> {
    let width = union
        .inputs
        .first()
        .map_or(0, |i| i.schema().fields().len());
    let mut common = Vec::new();
    for column in 0..width {
        let types: Vec<DataType> = union
            .inputs
            .iter()
            .map(|i| i.schema().field(column).data_type().clone())
            .collect();
        let ty = if types.iter().all(|t| *t == types[0]) {
            types[0].clone()
        } else {
            common_type("UNION", &types).map_err(df)?
        };
        common.push(ty);
    }
    let inputs = union
        .inputs
        .into_iter()
        .map(|input| cast_output(input, &common, format))
        .collect::<DfResult<Vec<_>>>()?;
    Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
}

/// Projects a plan's columns to these types, keeping their names.
fn cast_output(
    input: Arc<LogicalPlan>,
    types: &[DataType],
    format: &Format,
) -> DfResult<Arc<LogicalPlan>> {
    let schema = Arc::clone(input.schema());
    if schema
        .fields()
        .iter()
        .zip(types)
        .all(|(f, t)| f.data_type() == t)
    {
        return Ok(input);
    }
    let rewriter = Rewriter {
        schema: &schema,
        format,
    };
    // Casts of literals are done in the projection that has them.
    if let LogicalPlan::Projection(p) = input.as_ref() {
        let inner = Rewriter {
            schema: p.input.schema(),
            format,
        };
        let exprs = p
            .expr
            .iter()
            .zip(types)
            .enumerate()
            .map(|(i, (e, to))| {
                let (qualifier, field) = schema.qualified_field(i);
                let from = field.data_type();
                if from == to {
                    return Ok(e.clone());
                }
                let cast = inner.cast(e.clone().unalias(), from, to)?;
                Ok(cast.alias_qualified(qualifier.cloned(), field.name()))
            })
            .collect::<DfResult<Vec<_>>>()?;
        return Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(
            exprs,
            Arc::clone(&p.input),
        )?)));
    }
    let exprs = (0..types.len())
        .map(|i| {
            let (qualifier, field) = schema.qualified_field(i);
            let column = Expr::from((qualifier, field));
            if field.data_type() == &types[i] {
                return Ok(column);
            }
            let cast = rewriter.cast(column, field.data_type(), &types[i])?;
            Ok(cast.alias_qualified(qualifier.cloned(), field.name()))
        })
        .collect::<DfResult<Vec<_>>>()?;
    Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(
        exprs, input,
    )?)))
}

/// The types that the unknown parameters of an analyzed plan turned out to have, by number from 1.
///
/// Plan a statement with `Utf8` for each parameter of unknown type, analyze, ask here, and plan it
/// again with the answers.
pub fn infer_parameters(plan: &LogicalPlan) -> Result<Vec<(usize, PgType)>> {
    let mut found: Vec<(usize, PgType)> = Vec::new();
    let mut visit_expr = |e: &Expr| {
        if let Expr::ScalarFunction(f) = e
            && let Some(cast) = f.func.inner().downcast_ref::<PgCast>()
            && let Some(Expr::Placeholder(p)) = f.args.first()
            && let Some(n) = p.id.strip_prefix('$').and_then(|n| n.parse::<usize>().ok())
            && !found.iter().any(|(m, _)| *m == n)
        {
            found.push((n, cast.to.clone()));
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    };
    plan.apply_with_subqueries(|node| node.apply_expressions(|e| e.apply(&mut visit_expr)))
        .map_err(super::errors::map_error)?;
    Ok(found)
}

#[cfg(test)]
mod tests;
