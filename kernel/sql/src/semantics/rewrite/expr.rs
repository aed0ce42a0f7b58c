//! The rewrite of one expression whose parts have been rewritten already.

use sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DataType, DateTimeField,
    ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, Interval, ObjectName, ObjectNamePart, Query, Statement, Subscript,
    TrimWhereField, UnaryOperator, Value, Values,
};

use super::names;
use crate::error::{Result, SqlError, state};
use crate::functions::{Functions, domain};
use crate::routine;
use crate::semantics::function::undefined_function;
use crate::semantics::overload::Unresolved;
use crate::types::{PgType, names as type_names};

pub(super) fn object_name(name: &str) -> ObjectName {
    ObjectName(vec![ObjectNamePart::Identifier(names::quoted(name))])
}

pub(super) fn unnamed(e: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(e))
}

pub(super) fn call_args(name: &str, args: Vec<FunctionArg>) -> Expr {
    Expr::Function(Function {
        name: object_name(name),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A call of a function of this exact name.
pub fn call(name: &str, args: impl IntoIterator<Item = Expr>) -> Expr {
    call_args(name, args.into_iter().map(unnamed).collect())
}

fn text(s: impl Into<String>) -> Expr {
    Expr::value(Value::SingleQuotedString(s.into()))
}

fn number(n: i64) -> Expr {
    Expr::value(Value::Number(n.to_string(), true))
}

fn take(e: &mut Expr) -> Expr {
    std::mem::replace(e, Expr::value(Value::Null))
}

/// `SELECT 1`, to be given another projection.
pub(super) fn select_one() -> Result<Query> {
    let dialect = sqlparser::dialect::PostgreSqlDialect {};
    match sqlparser::parser::Parser::parse_sql(&dialect, "SELECT 1").map(|mut s| s.pop()) {
        Ok(Some(Statement::Query(q))) => Ok(*q),
        _ => Err(SqlError::internal("SELECT 1 does not parse")),
    }
}

/// `$cast(e, 'int4', typmod)`.
fn cast(e: Expr, ty: &PgType, typmod: i32) -> Expr {
    call("$cast", [e, text(ty.key()), number(typmod as i64)])
}

/// An expression as a value of a type.
pub fn cast_call(e: Expr, ty: &PgType) -> Expr {
    cast(e, ty, -1)
}

/// A value of a base type as one of the domain, if the type is one.
fn of_domain(value: Expr, ty: &DataType, functions: &Functions) -> Result<Expr> {
    let named = functions.named_types().resolve(ty)?;
    match named.and_then(|named| named.rules) {
        Some(rules) => Ok(call(
            domain::DOMAIN,
            [value, text(domain::to_text(&rules)?)],
        )),
        None => Ok(value),
    }
}

/// Set-returning functions, and the function that gives their rows as an array.
const SET_RETURNING: &[(&str, &str)] = &[
    ("generate_series", "$generate_series"),
    ("generate_subscripts", "$generate_subscripts"),
    ("jsonb_array_elements", "$jsonb_array_elements"),
    ("jsonb_array_elements_text", "$jsonb_array_elements_text"),
    ("jsonb_object_keys", "$jsonb_object_keys"),
    ("jsonb_path_query", "$jsonb_path_query"),
    ("jsonb_path_query_tz", "$jsonb_path_query_tz"),
    ("json_array_elements", "$json_array_elements"),
    ("json_array_elements_text", "$json_array_elements_text"),
    ("json_object_keys", "$json_object_keys"),
    ("pg_listening_channels", "$pg_listening_channels"),
    ("regexp_split_to_table", "regexp_split_to_array"),
    ("string_to_table", "string_to_array"),
];

/// Whether a built-in function gives rows.
pub fn is_set_returning(name: &str) -> bool {
    name == "unnest" || rows_of(name).is_some()
}

/// The function that gives the rows of a built-in one as an array.
pub fn rows_of(name: &str) -> Option<&'static str> {
    let mut all = SET_RETURNING.iter();
    all.find(|(n, _)| *n == name).map(|(_, array)| *array)
}

pub(super) fn rewrite(e: &mut Expr, functions: &Functions) -> Result<()> {
    let new = match e {
        Expr::Value(v) => match literal(&mut v.value)? {
            Some(new) => new,
            None => return Ok(()),
        },
        Expr::Cast {
            kind,
            expr,
            data_type,
            format,
            array,
        } => {
            if !matches!(kind, CastKind::Cast | CastKind::DoubleColon) || format.is_some() || *array
            {
                return Err(SqlError::unsupported("this form of CAST"));
            }
            let (ty, typmod) = functions.type_from_ast(data_type)?;
            of_domain(cast(take(expr), &ty, typmod), data_type, functions)?
        }
        Expr::TypedString(t) => {
            let (ty, typmod) = functions.type_from_ast(&t.data_type)?;
            let value = t.value.value.clone().into_string().ok_or_else(|| {
                SqlError::new(state::SYNTAX_ERROR, "a typed literal needs a string")
            })?;
            of_domain(cast(text(value), &ty, typmod), &t.data_type, functions)?
        }
        Expr::Interval(i) => interval(i)?,
        Expr::Extract { field, expr, .. } => call("extract", [text(field_name(field)), take(expr)]),
        Expr::AtTimeZone {
            timestamp,
            time_zone,
        } => call("timezone", [take(time_zone), take(timestamp)]),
        Expr::Ceil {
            expr,
            field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
        } => call("ceil", [take(expr)]),
        Expr::Floor {
            expr,
            field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
        } => call("floor", [take(expr)]),
        Expr::Position { expr, r#in } => call("position", [take(r#in), take(expr)]),
        Expr::Substring {
            expr,
            substring_from,
            substring_for,
            ..
        } => {
            let mut args = vec![take(expr)];
            match (substring_from, substring_for) {
                (Some(from), None) => args.push(take(from)),
                (Some(from), Some(n)) => args.extend([take(from), take(n)]),
                (None, Some(n)) => args.extend([number_literal(1), take(n)]),
                (None, None) => {}
            }
            call("substring", args)
        }
        Expr::Trim {
            trim_where,
            trim_what,
            expr,
            trim_characters,
        } => {
            let name = match trim_where {
                Some(TrimWhereField::Leading) => "ltrim",
                Some(TrimWhereField::Trailing) => "rtrim",
                _ => "btrim",
            };
            let mut args = vec![take(expr)];
            if let Some(what) = trim_what {
                args.push(take(what));
            } else if let Some(list) = trim_characters {
                args.extend(list.iter_mut().map(take));
            }
            call(name, args)
        }
        Expr::Overlay {
            expr,
            overlay_what,
            overlay_from,
            overlay_for,
        } => {
            let mut args = vec![take(expr), take(overlay_what), take(overlay_from)];
            args.extend(overlay_for.iter_mut().map(|e| take(e)));
            call("overlay", args)
        }
        Expr::Collate { expr, collation } => {
            let name = names::function_name(collation);
            if !matches!(
                name.as_str(),
                "C" | "POSIX" | "default" | "c" | "posix" | "ucs_basic"
            ) {
                return Err(SqlError::unsupported(format!("collation \"{name}\"")));
            }
            take(expr)
        }
        Expr::Case {
            operand,
            conditions,
            else_result,
            ..
        } => {
            let mut args = Vec::new();
            for CaseWhen { condition, result } in conditions.iter_mut() {
                let condition = take(condition);
                args.push(match operand {
                    Some(o) => binary((**o).clone(), BinaryOperator::Eq, condition),
                    None => condition,
                });
                args.push(take(result));
            }
            args.extend(else_result.iter_mut().map(|e| take(e)));
            call("$case", args)
        }
        Expr::Between {
            expr,
            negated,
            low,
            high,
        } => {
            let (x, low, high) = (take(expr), take(low), take(high));
            if *negated {
                nested(binary(
                    binary(x.clone(), BinaryOperator::Lt, low),
                    BinaryOperator::Or,
                    binary(x, BinaryOperator::Gt, high),
                ))
            } else {
                nested(binary(
                    binary(x.clone(), BinaryOperator::GtEq, low),
                    BinaryOperator::And,
                    binary(x, BinaryOperator::LtEq, high),
                ))
            }
        }
        Expr::Like {
            pattern,
            escape_char,
            any: false,
            ..
        }
        | Expr::ILike {
            pattern,
            escape_char,
            any: false,
            ..
        } => {
            if let Some(escape) = escape_char.take() {
                let escape = escape.value.into_string().unwrap_or_default();
                **pattern = call("$like_escape", [take(pattern), text(escape)]);
            }
            return Ok(());
        }
        Expr::SimilarTo {
            negated,
            expr,
            pattern,
            escape_char,
        } => {
            let escape = match escape_char.take() {
                Some(c) => c.value.into_string().unwrap_or_default(),
                None => "\\".to_string(),
            };
            let matched = call("$similar", [take(expr), take(pattern), text(escape)]);
            if *negated { not(matched) } else { matched }
        }
        Expr::IsDistinctFrom(a, b) => call("$is distinct from", [take(a), take(b)]),
        Expr::IsNotDistinctFrom(a, b) => call("$is not distinct from", [take(a), take(b)]),
        Expr::InList {
            expr,
            list,
            negated,
        } if matches!(**expr, Expr::Tuple(_)) => {
            let mut any = Expr::value(Value::Boolean(false));
            for item in list.iter_mut() {
                let equal = row_comparison((**expr).clone(), &BinaryOperator::Eq, take(item))?;
                any = binary(any, BinaryOperator::Or, equal);
            }
            if *negated {
                not(nested(any))
            } else {
                nested(any)
            }
        }
        Expr::BinaryOp { left, op, right }
            if matches!((&**left, &**right), (Expr::Tuple(_), Expr::Tuple(_))) =>
        {
            row_comparison(take(left), op, take(right))?
        }
        Expr::AnyOp {
            left,
            compare_op,
            right,
            ..
        } => {
            if let Some(query) = subquery(right) {
                if *compare_op != BinaryOperator::Eq {
                    return Ok(());
                }
                Expr::InSubquery {
                    expr: Box::new(take(left)),
                    subquery: query,
                    negated: false,
                }
            } else {
                call(
                    "$any",
                    [take(left), take(right), text(compare_op.to_string())],
                )
            }
        }
        Expr::AllOp {
            left,
            compare_op,
            right,
        } => {
            if let Some(query) = subquery(right) {
                if *compare_op != BinaryOperator::NotEq {
                    return Ok(());
                }
                Expr::InSubquery {
                    expr: Box::new(take(left)),
                    subquery: query,
                    negated: true,
                }
            } else {
                call(
                    "$all",
                    [take(left), take(right), text(compare_op.to_string())],
                )
            }
        }
        Expr::Array(Array { elem, .. }) => call("$array", elem.iter_mut().map(take)),
        Expr::CompoundFieldAccess { root, access_chain } => subscripts(take(root), access_chain)?,
        Expr::UnaryOp { op, expr } => match op {
            UnaryOperator::Minus => match minus_literal(expr) {
                Some(folded) => folded,
                None => call("$-", [take(expr)]),
            },
            UnaryOperator::Plus => call("$+", [take(expr)]),
            UnaryOperator::BitwiseNot => call("$~", [take(expr)]),
            UnaryOperator::PGAbs => call("abs", [take(expr)]),
            UnaryOperator::PGSquareRoot => call("sqrt", [take(expr)]),
            UnaryOperator::PGCubeRoot => call("cbrt", [take(expr)]),
            UnaryOperator::Not => return Ok(()),
            other => return Err(SqlError::unsupported(format!("operator {other}"))),
        },
        Expr::Function(f) => match function(f, functions)? {
            Some(new) => new,
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    *e = new;
    Ok(())
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

fn nested(e: Expr) -> Expr {
    Expr::Nested(Box::new(e))
}

fn not(e: Expr) -> Expr {
    Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(e),
    }
}

fn number_literal(n: i64) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(number(n)),
        data_type: DataType::Integer(None),
        array: false,
        format: None,
    }
}

/// `int4`, `int8` or `numeric` by size; a decimal is `numeric` of its own scale.
fn literal(v: &mut Value) -> Result<Option<Expr>> {
    Ok(match v {
        Value::Number(_, true) => None,
        Value::Number(digits, false) => {
            let digits = digits.replace('_', "");
            if let Ok(n) = digits.parse::<i64>() {
                *v = Value::Number(digits, true);
                if i32::try_from(n).is_ok() {
                    Some(number_literal(n))
                } else {
                    None
                }
            } else {
                Some(numeric_literal(&digits)?)
            }
        }
        Value::EscapedStringLiteral(s) => Some(text(std::mem::take(s))),
        Value::DollarQuotedString(d) => Some(text(std::mem::take(&mut d.value))),
        Value::UnicodeStringLiteral(s) => Some(text(std::mem::take(s))),
        Value::SingleQuotedByteStringLiteral(_) | Value::HexStringLiteral(_) => {
            return Err(SqlError::unsupported("bit string literal"));
        }
        _ => None,
    })
}

fn numeric_literal(digits: &str) -> Result<Expr> {
    let n = crate::types::Numeric::parse(digits)?;
    let shown = n.to_string();
    let scale = n.dscale() as i32;
    let precision = shown.bytes().filter(u8::is_ascii_digit).count();
    let typmod = if precision <= 38 {
        type_names::make_numeric_typmod(precision.max(1) as u32, scale)
    } else {
        -1
    };
    Ok(cast(text(shown), &PgType::Numeric, typmod))
}

/// The minus of `-1.5` goes into the literal; integers stay with the operator, which folds later.
fn minus_literal(e: &mut Expr) -> Option<Expr> {
    // PostgreSQL negates while it reads a number, so that the least integers have their type.
    let least = |s: &str| match s {
        "2147483648" => Some(number_literal(i32::MIN as i64)),
        "9223372036854775808" => Some(number(i64::MIN)),
        _ => None,
    };
    match e {
        Expr::Nested(_) => return None,
        Expr::Value(v) => {
            return match &v.value {
                Value::Number(n, true) => least(n),
                _ => None,
            };
        }
        _ => {}
    }
    let Expr::Function(f) = e else { return None };
    if names::function_name(&f.name) != "$cast" {
        return None;
    }
    let FunctionArguments::List(list) = &mut f.args else {
        return None;
    };
    let is_numeric = matches!(list.args.get(1), Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(v)))) if v.value == Value::SingleQuotedString("numeric".into()));
    match list.args.first_mut() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(v)))) if is_numeric => {
            match &mut v.value {
                Value::SingleQuotedString(s) if least(s).is_some() => least(s),
                Value::SingleQuotedString(s)
                    if s.bytes().all(|b| b.is_ascii_digit() || b == b'.') =>
                {
                    s.insert(0, '-');
                    Some(take(e))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn field_name(f: &DateTimeField) -> String {
    match f {
        DateTimeField::Custom(i) => i.value.to_lowercase(),
        other => other.to_string().to_lowercase(),
    }
}

fn interval(i: &mut Interval) -> Result<Expr> {
    if i.last_field.is_some() || i.leading_precision.is_some() {
        return Err(SqlError::unsupported("interval field range"));
    }
    let value = match i.value.as_ref() {
        Expr::Value(v) => v.value.clone().into_string(),
        _ => None,
    };
    let Some(mut value) = value else {
        return Err(SqlError::new(
            state::SYNTAX_ERROR,
            "interval needs a string literal",
        ));
    };
    if let Some(field) = &i.leading_field
        && value.trim().parse::<f64>().is_ok()
    {
        // INTERVAL '3' DAY
        value = format!("{} {}", value.trim(), field_name(field));
    }
    let typmod = i
        .fractional_seconds_precision
        .map_or(-1, |p| p.min(6) as i32);
    Ok(cast(text(value), &PgType::Interval, typmod))
}

pub(super) fn subquery(e: &mut Expr) -> Option<Box<Query>> {
    match e {
        Expr::Subquery(q) => Some(q.clone()),
        Expr::Nested(inner) => subquery(inner),
        _ => None,
    }
}

fn row_comparison(a: Expr, op: &BinaryOperator, b: Expr) -> Result<Expr> {
    let (Expr::Tuple(a), Expr::Tuple(b)) = (a, b) else {
        return Err(SqlError::unsupported(
            "comparison of a row with this expression",
        ));
    };
    if a.len() != b.len() {
        return Err(SqlError::new(
            state::SYNTAX_ERROR,
            "unequal number of entries in row expressions",
        ));
    }
    let pairs: Vec<(Expr, Expr)> = a.into_iter().zip(b).collect();
    let each = |op: BinaryOperator| {
        pairs
            .iter()
            .map(move |(x, y)| binary(x.clone(), op.clone(), y.clone()))
    };
    let fold = |parts: Vec<Expr>, op: BinaryOperator| {
        parts
            .into_iter()
            .reduce(|x, y| binary(x, op.clone(), y))
            .map(nested)
    };
    let folded = match op {
        BinaryOperator::Eq => fold(each(BinaryOperator::Eq).collect(), BinaryOperator::And),
        BinaryOperator::NotEq => fold(each(BinaryOperator::NotEq).collect(), BinaryOperator::Or),
        BinaryOperator::Lt | BinaryOperator::Gt | BinaryOperator::LtEq | BinaryOperator::GtEq => {
            let strict = match op {
                BinaryOperator::LtEq => BinaryOperator::Lt,
                BinaryOperator::GtEq => BinaryOperator::Gt,
                other => other.clone(),
            };
            // The last column decides with the operator itself, the ones before with the strict one.
            let mut result: Option<Expr> = None;
            for (i, (x, y)) in pairs.iter().enumerate().rev() {
                let this = if i + 1 == pairs.len() {
                    op.clone()
                } else {
                    strict.clone()
                };
                let here = binary(x.clone(), this, y.clone());
                result = Some(match result {
                    None => here,
                    Some(rest) => nested(binary(
                        here,
                        BinaryOperator::Or,
                        nested(binary(
                            binary(x.clone(), BinaryOperator::Eq, y.clone()),
                            BinaryOperator::And,
                            rest,
                        )),
                    )),
                });
            }
            result
        }
        other => return Err(SqlError::unsupported(format!("row operator {other}"))),
    };
    folded.ok_or_else(|| SqlError::new(state::SYNTAX_ERROR, "cannot compare rows of zero length"))
}

fn subscripts(root: Expr, chain: &mut [AccessExpr]) -> Result<Expr> {
    let mut value = root;
    for access in chain {
        value = match access {
            AccessExpr::Subscript(Subscript::Index { index }) => {
                call("$subscript", [value, take(index)])
            }
            AccessExpr::Subscript(Subscript::Slice {
                lower_bound,
                upper_bound,
                stride: None,
            }) => {
                let bound = |b: &mut Option<Expr>, open: i64| {
                    b.as_mut().map_or_else(|| number_literal(open), take)
                };
                let lower = bound(lower_bound, 1);
                let upper = bound(upper_bound, i32::MAX as i64);
                call("$slice", [value, lower, upper])
            }
            AccessExpr::Subscript(Subscript::Slice { .. }) => {
                return Err(SqlError::unsupported("array slice with a stride"));
            }
            AccessExpr::Dot(_) => return Err(SqlError::unsupported("field of a composite value")),
        };
    }
    Ok(value)
}

/// Refuses what only aggregates and window functions take, which would be dropped.
fn plain_call(f: &Function, name: &str) -> Result<()> {
    let wrong = |what: &str, kind: &str| {
        Err(SqlError::new(
            state::WRONG_OBJECT_TYPE,
            format!("{what} specified, but {name} is not {kind}"),
        ))
    };
    if f.over.is_some() {
        return wrong("OVER", "a window function nor an aggregate function");
    }
    if f.filter.is_some() {
        return wrong("FILTER", "an aggregate function");
    }
    match &f.args {
        FunctionArguments::List(list) if list.duplicate_treatment.is_some() => {
            wrong("DISTINCT", "an aggregate function")
        }
        _ => Ok(()),
    }
}

/// Whether a window function is called with nothing that takes at least one argument. DataFusion has them without any.
fn is_without_value(f: &Function, name: &str) -> bool {
    let takes = [
        "first_value",
        "last_value",
        "nth_value",
        "lag",
        "lead",
        "ntile",
    ];
    let is_empty = match &f.args {
        FunctionArguments::None => true,
        FunctionArguments::List(list) => list.args.is_empty(),
        FunctionArguments::Subquery(_) => false,
    };
    is_empty && takes.contains(&name)
}

/// The parameters of a built-in function that may be called by their names, with what they are when they are
/// left out.
fn parameters(name: &str) -> Option<Vec<(&'static str, Option<FunctionArgExpr>)>> {
    let given = |e| Some(FunctionArgExpr::Expr(e));
    if name == "make_interval" {
        let parts = ["years", "months", "weeks", "days", "hours", "mins", "secs"];
        return Some(
            parts
                .into_iter()
                .map(|part| (part, given(number_literal(0))))
                .collect(),
        );
    }
    name.starts_with("jsonb_path_").then(|| {
        vec![
            ("target", None),
            ("path", None),
            ("vars", given(text("{}"))),
            ("silent", given(Expr::value(Value::Boolean(false)))),
        ]
    })
}

/// `make_interval(days => 10)` by position.
fn by_position(
    f: &mut Function,
    function: &str,
    parameters: &[(&str, Option<FunctionArgExpr>)],
) -> Result<()> {
    let FunctionArguments::List(list) = &mut f.args else {
        return Ok(());
    };
    let named = |a: &FunctionArg| !matches!(a, FunctionArg::Unnamed(_));
    let Some(first) = list.args.iter().position(named) else {
        return Ok(());
    };
    let missing = |name: &str| {
        SqlError::new(
            state::UNDEFINED_FUNCTION,
            format!("function {function}({name} => …) does not exist"),
        )
    };
    let mut places: Vec<Option<FunctionArgExpr>> = vec![None; parameters.len().max(first)];
    let mut last = 0;
    for (i, arg) in std::mem::take(&mut list.args).into_iter().enumerate() {
        let (at, value) = match arg {
            FunctionArg::Unnamed(value) if i < first => (i, value),
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg,
                ..
            }
            | FunctionArg::Named { name, arg, .. } => {
                let name = names::ident(&name);
                let at = parameters.iter().position(|(p, _)| *p == name);
                let at = at.filter(|at| *at >= first).ok_or_else(|| missing(&name))?;
                (at, arg)
            }
            _ => {
                return Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    "positional argument cannot follow named argument",
                ));
            }
        };
        last = last.max(at);
        places[at] = Some(value);
    }
    places.truncate(last + 1);
    for (at, place) in places.into_iter().enumerate() {
        let default = || parameters.get(at).and_then(|(_, default)| default.clone());
        let value = place.or_else(default);
        let name = parameters.get(at).map_or("", |(name, _)| name);
        let value = value.ok_or_else(|| missing(name))?;
        list.args.push(FunctionArg::Unnamed(value));
    }
    Ok(())
}

/// Calls: the schema `pg_catalog` is dropped, set-returning functions become `unnest`.
fn function(f: &mut Function, functions: &Functions) -> Result<Option<Expr>> {
    let name = names::function_name(&f.name);
    let is_bare = match f.name.0.as_slice() {
        [one] => one.as_ident().is_some_and(|i| i.quote_style.is_none()),
        _ => false,
    };
    match f.name.0.as_slice() {
        [_] => {}
        [schema, _] => {
            let schema = schema.as_ident().map(names::ident).unwrap_or_default();
            if !matches!(schema.as_str(), "pg_catalog" | "public") {
                let catalog = &functions.named_types().catalog;
                let is_known = schema == "information_schema"
                    || catalog.schemas().next().is_none()
                    || catalog.schema_by_name(&schema).is_some();
                return match is_known {
                    true => Ok(None),
                    false => Err(SqlError::new(
                        state::INVALID_SCHEMA_NAME,
                        format!("schema \"{schema}\" does not exist"),
                    )),
                };
            }
            f.name = object_name(&name);
        }
        _ => return Ok(None),
    }
    if functions.is_scalar(&name) {
        plain_call(f, &routine::shown(&name))?;
    }
    if is_without_value(f, &name) {
        return Err(undefined_function(&name, &[], Unresolved::None));
    }
    if let Some(parameters) = parameters(&name) {
        by_position(f, &name, &parameters)?;
    }
    if let FunctionArguments::Subquery(_) = &f.args
        && name == "array"
    {
        return Err(SqlError::unsupported("ARRAY(subquery)"));
    }
    if let Some(array) = rows_of(&name) {
        let mut inner = f.clone();
        inner.name = object_name(array);
        return Ok(Some(call("unnest", [Expr::Function(inner)])));
    }
    if let Some(table) = functions.table(&name) {
        plain_call(f, &routine::shown(&name))?;
        if table.columns.len() > 1 {
            return Err(SqlError::unsupported(format!(
                "{}, whose rows have several columns, outside of FROM",
                routine::shown(&name)
            )));
        }
        let mut inner = f.clone();
        inner.name = object_name(&format!("${name}"));
        return Ok(Some(call("unnest", [Expr::Function(inner)])));
    }
    if let Some(cast) = cast_by_name(f, &name, is_bare, functions) {
        return Ok(Some(cast));
    }
    // DataFusion counts in 64 bits.
    if name == "ntile" && f.over.is_some() {
        return Ok(Some(cast(Expr::Function(f.clone()), &PgType::Int4, -1)));
    }
    // CURRENT_TIMESTAMP and its kin come without parentheses.
    if matches!(f.args, FunctionArguments::None) {
        f.args = FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: Vec::new(),
            clauses: Vec::new(),
        });
        f.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::with_quote(
            '"', name,
        ))]);
    }
    Ok(None)
}

/// `date(x)` is `CAST(x AS date)` where no function is called so.
fn cast_by_name(f: &Function, name: &str, is_bare: bool, functions: &Functions) -> Option<Expr> {
    let FunctionArguments::List(list) = &f.args else {
        return None;
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] = list.args.as_slice() else {
        return None;
    };
    let is_plain = list.duplicate_treatment.is_none()
        && list.clauses.is_empty()
        && f.over.is_none()
        && f.filter.is_none();
    if !is_plain {
        return None;
    }
    let ty = functions.type_called(name, is_bare)?;
    let arguments = [value.clone(), text(ty.key()), number(-1), text(name)];
    Some(call("$cast", arguments))
}

/// Numbers of one VALUES column get one type where they have several, each keeping its scale.
pub(super) fn align_values(values: &mut Values) {
    let width = values.rows.first().map_or(0, |r| r.content.len());
    for column in 0..width {
        let mut kinds: Vec<Option<usize>> = Vec::new();
        for row in &values.rows {
            match row.content.get(column) {
                Some(Expr::Value(v)) => match &v.value {
                    Value::Number(n, false) => {
                        kinds.push(n.split_once('.').map(|(_, fraction)| fraction.len()));
                    }
                    Value::Null => {}
                    _ => return,
                },
                _ => return,
            }
        }
        let mixed = kinds.iter().any(|k| *k != kinds[0]);
        if !mixed {
            continue;
        }
        for row in &mut values.rows {
            if let Some(e @ Expr::Value(_)) = row.content.get_mut(column) {
                let is_null = matches!(e, Expr::Value(v) if v.value == Value::Null);
                if !is_null {
                    *e = Expr::Cast {
                        kind: CastKind::Cast,
                        expr: Box::new(Expr::value(Value::SingleQuotedString(e.to_string()))),
                        data_type: DataType::Numeric(ExactNumberInfo::None),
                        array: false,
                        format: None,
                    };
                }
            }
        }
    }
}
