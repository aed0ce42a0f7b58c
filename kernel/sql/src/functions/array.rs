//! Arrays: subscripts, concatenation, and the functions over them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, ListArray, UInt32Builder};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::kernels::cmp;
use arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use crate::error::{Result, SqlError};
use crate::semantics::kernel::*;
use crate::semantics::overload::{Call, Overload, Param, ResultType};
use crate::types::PgType;
use crate::types::cast::numeric_at;

/// A list column from its items and the length of each list.
pub fn list_of(
    items: ArrayRef,
    lengths: impl IntoIterator<Item = usize>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    Ok(Arc::new(ListArray::new(
        field,
        OffsetBuffer::from_lengths(lengths),
        items,
        nulls,
    )))
}

fn element(types: &[DataType]) -> DataType {
    match types.first() {
        Some(DataType::List(f)) => f.data_type().clone(),
        _ => DataType::Null,
    }
}

fn same_array(types: &[DataType]) -> DataType {
    types
        .iter()
        .find(|t| matches!(t, DataType::List(_)))
        .cloned()
        .unwrap_or(DataType::Null)
}

fn as_list(a: &ArrayRef) -> Result<&ListArray> {
    a.as_list_opt::<i32>()
        .ok_or_else(|| SqlError::internal("an array argument is not a list"))
}

/// For each row, which items (by index) the result list has; `None` is NULL.
fn select_items(
    list: &ListArray,
    rows: usize,
    step: usize,
    mut pick: impl FnMut(usize, std::ops::Range<usize>) -> Result<Option<std::ops::Range<usize>>>,
) -> Result<ArrayRef> {
    let mut indices = UInt32Builder::new();
    let mut lengths = Vec::with_capacity(rows);
    let mut valid = Vec::with_capacity(rows);
    for row in 0..rows {
        let at = row * step;
        let range = list.value_offsets()[at] as usize..list.value_offsets()[at + 1] as usize;
        let chosen = if list.is_null(at) {
            None
        } else {
            pick(row, range)?
        };
        valid.push(chosen.is_some());
        let chosen = chosen.unwrap_or(0..0);
        lengths.push(chosen.len());
        chosen.for_each(|i| indices.append_value(i as u32));
    }
    let items =
        arrow::compute::take(list.values(), &indices.finish(), None).map_err(SqlError::internal)?;
    list_of(items, lengths, Some(NullBuffer::from(valid)))
}

fn subscript(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let (list, step) = expand(&args[0])?;
    let (index, index_step) = expand(&args[1])?;
    let (list, index) = (as_list(&list)?, index.as_primitive::<Int32Type>());
    let mut indices = UInt32Builder::with_capacity(call.rows);
    for row in 0..call.rows {
        let (at, i) = (row * step, row * index_step);
        let length = list.value_length(at);
        let wanted = index.is_valid(i).then(|| index.value(i));
        match wanted {
            Some(n) if list.is_valid(at) && n >= 1 && n <= length => {
                indices.append_value((list.value_offsets()[at] + n - 1) as u32);
            }
            _ => indices.append_null(),
        }
    }
    arrow::compute::take(list.values(), &indices.finish(), None).map_err(SqlError::internal)
}

fn slice(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let (list, step) = expand(&args[0])?;
    let (lower, ls) = expand(&args[1])?;
    let (upper, us) = expand(&args[2])?;
    let (lower, upper) = (
        lower.as_primitive::<Int32Type>(),
        upper.as_primitive::<Int32Type>(),
    );
    select_items(as_list(&list)?, call.rows, step, |row, range| {
        if lower.is_null(row * ls) || upper.is_null(row * us) {
            return Ok(None);
        }
        let from = (lower.value(row * ls).max(1) - 1) as usize;
        let to = upper.value(row * us).max(0) as usize;
        let start = (range.start + from).min(range.end);
        let end = (range.start + to).min(range.end).max(start);
        Ok(Some(start..end))
    })
}

/// Appends and concatenations: NULL arrays count as empty, unless all are.
fn concatenate(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let (a, sa) = expand(&args[0])?;
    let (b, sb) = expand(&args[1])?;
    let items = |x: &ArrayRef| match x.as_list_opt::<i32>() {
        Some(l) => Arc::clone(l.values()),
        None => Arc::clone(x),
    };
    let (left, right) = (items(&a), items(&b));
    let all = arrow::compute::concat(&[&left, &right]).map_err(SqlError::internal)?;
    let mut indices = UInt32Builder::new();
    let mut lengths = Vec::new();
    let mut valid = Vec::new();
    let range = |x: &ArrayRef, at: usize| match x.as_list_opt::<i32>() {
        Some(l) if l.is_null(at) => None,
        Some(l) => Some(l.value_offsets()[at] as usize..l.value_offsets()[at + 1] as usize),
        None => Some(at..at + 1),
    };
    for row in 0..call.rows {
        let (x, y) = (range(&a, row * sa), range(&b, row * sb));
        valid.push(x.is_some() || y.is_some());
        let (x, y) = (x.unwrap_or(0..0), y.unwrap_or(0..0));
        lengths.push(x.len() + y.len());
        x.for_each(|i| indices.append_value(i as u32));
        y.for_each(|i| indices.append_value((i + left.len()) as u32));
    }
    let taken = arrow::compute::take(&all, &indices.finish(), None).map_err(SqlError::internal)?;
    list_of(taken, lengths, Some(NullBuffer::from(valid)))
}

/// How each element compares to a scalar, NULLs included.
fn compare_elements(
    op: &str,
    x: &ArrayRef,
    items: &ArrayRef,
) -> Result<arrow::array::BooleanArray> {
    if let DataType::LargeBinary = items.data_type() {
        let mut out = BooleanBuilder::new();
        for i in 0..items.len() {
            if items.is_null(i) || x.is_null(0) {
                out.append_null();
                continue;
            }
            let order = numeric_at(x.as_ref(), 0)?.compare(&numeric_at(items.as_ref(), i)?);
            out.append_value(match op {
                "=" => order.is_eq(),
                "<>" | "!=" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            });
        }
        return Ok(out.finish());
    }
    let x = arrow::array::Scalar::new(Arc::clone(x));
    let result = match op {
        "=" => cmp::eq(&x, items),
        "<>" | "!=" => cmp::neq(&x, items),
        "<" => cmp::lt(&x, items),
        "<=" => cmp::lt_eq(&x, items),
        ">" => cmp::gt(&x, items),
        ">=" => cmp::gt_eq(&x, items),
        other => {
            return Err(SqlError::unsupported(format!(
                "operator {other} with ANY or ALL"
            )));
        }
    };
    result.map_err(SqlError::internal)
}

fn quantified(any: bool) -> Overload {
    polymorphic(
        vec![Param::AnyElement, Param::AnyArray, Param::Is(PgType::Text)],
        false,
        ResultType::Is(PgType::Bool),
        move |args, call| {
            let (x, sx) = expand(&args[0])?;
            let (list, sl) = expand(&args[1])?;
            let (op, _) = expand(&args[2])?;
            let op = op.as_string_view().value(0).to_string();
            let list = as_list(&list)?;
            let mut out = BooleanBuilder::with_capacity(call.rows);
            for row in 0..call.rows {
                let at = row * sl;
                if list.is_null(at) {
                    out.append_null();
                    continue;
                }
                let results = compare_elements(&op, &x.slice(row * sx, 1), &list.value(at))?;
                let decided = results.iter().flatten().any(|r| r == any);
                if decided {
                    out.append_value(any);
                } else if results.null_count() > 0 {
                    out.append_null();
                } else {
                    out.append_value(!any);
                }
            }
            Ok(Arc::new(out.finish()))
        },
    )
}

fn over_list(
    result: PgType,
    f: fn(&ListArray, usize) -> Option<i32>,
    params: Vec<Param>,
) -> Overload {
    polymorphic(params, false, ResultType::Is(result), move |args, call| {
        let (list, step) = expand(&args[0])?;
        let list = as_list(&list)?;
        let dimension = match args.get(1) {
            Some(d) => Some(expand(d)?),
            None => None,
        };
        let mut out = arrow::array::Int32Builder::new();
        for row in 0..call.rows {
            let in_range = dimension.as_ref().is_none_or(|(d, s)| {
                let d = d.as_primitive::<Int32Type>();
                d.is_valid(row * s) && d.value(row * s) == 1
            });
            out.append_option(
                (in_range && list.is_valid(row * step))
                    .then(|| f(list, row * step))
                    .flatten(),
            );
        }
        Ok(Arc::new(out.finish()))
    })
}

/// `array_dims`: NULL for an empty array, as for NULL.
fn dims(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let (list, step) = expand(&args[0])?;
    let list = as_list(&list)?;
    let mut out = arrow::array::StringViewBuilder::new();
    for row in 0..call.rows {
        let length = if list.is_valid(row * step) {
            list.value_length(row * step)
        } else {
            0
        };
        out.append_option((length > 0).then(|| format!("[1:{length}]")));
    }
    Ok(Arc::new(out.finish()))
}

/// The array behind `generate_subscripts(array, dimension[, reverse])`.
fn subscripts(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let (list, step) = expand(&args[0])?;
    let list = as_list(&list)?;
    let (dimension, ds) = expand(&args[1])?;
    let dimension = dimension.as_primitive::<Int32Type>();
    let reverse = args.get(2).map(expand).transpose()?;
    let mut out = arrow::array::ListBuilder::new(arrow::array::Int32Builder::new());
    for row in 0..call.rows {
        let backwards = match &reverse {
            None => Some(false),
            Some((r, s)) => r.is_valid(row * s).then(|| r.as_boolean().value(row * s)),
        };
        // A missing array or dimension gives no rows.
        let in_range = list.is_valid(row * step)
            && dimension.is_valid(row * ds)
            && dimension.value(row * ds) == 1;
        let last = if in_range {
            list.value_length(row * step)
        } else {
            0
        };
        match backwards {
            Some(false) => (1..=last).for_each(|i| out.values().append_value(i)),
            Some(true) => (1..=last).rev().for_each(|i| out.values().append_value(i)),
            None => {}
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

fn array_to_string(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let (list, step) = expand(&args[0])?;
    let list = as_list(&list)?;
    let (delimiter, ds) = expand(&args[1])?;
    let null = args.get(2).map(expand).transpose()?;
    let delimiter = delimiter.as_string_view();
    let mut out = arrow::array::StringViewBuilder::new();
    for row in 0..call.rows {
        if list.is_null(row * step) || delimiter.is_null(row * ds) {
            out.append_null();
            continue;
        }
        let items = list.value(row * step);
        let ty = PgType::from_arrow(items.data_type()).unwrap_or(PgType::Text);
        let mut text = String::new();
        let mut first = true;
        for i in 0..items.len() {
            let null_text = null.as_ref().and_then(|(n, s)| {
                let n = n.as_string_view();
                n.is_valid(row * s).then(|| n.value(row * s).to_string())
            });
            if items.is_null(i) && null_text.is_none() {
                continue;
            }
            if !first {
                text.push_str(delimiter.value(row * ds));
            }
            first = false;
            match null_text {
                Some(n) if items.is_null(i) => text.push_str(&n),
                _ => crate::types::encode_text(&items, i, &ty, &call.vars.format, &mut text),
            }
        }
        out.append_value(text);
    }
    Ok(Arc::new(out.finish()))
}

/// Positions of the elements equal to a value.
fn positions(list: &ListArray, at: usize, x: &ArrayRef) -> Result<Vec<i32>> {
    let items = list.value(at);
    if x.is_null(0) {
        return Ok((0..items.len())
            .filter(|i| items.is_null(*i))
            .map(|i| i as i32 + 1)
            .collect());
    }
    let equal = compare_elements("=", x, &items)?;
    Ok((0..items.len())
        .filter(|i| equal.is_valid(*i) && equal.value(*i))
        .map(|i| i as i32 + 1)
        .collect())
}

fn contains(args: &[ColumnarValue], call: &Call<'_>, all: bool, swap: bool) -> Result<ArrayRef> {
    let (a, sa) = expand(&args[usize::from(swap)])?;
    let (b, sb) = expand(&args[usize::from(!swap)])?;
    let (a, b) = (as_list(&a)?, as_list(&b)?);
    let mut out = BooleanBuilder::new();
    for row in 0..call.rows {
        if a.is_null(row * sa) || b.is_null(row * sb) {
            out.append_null();
            continue;
        }
        let wanted = b.value(row * sb);
        let mut found = 0;
        for i in 0..wanted.len() {
            let hit =
                !wanted.is_null(i) && !positions(a, row * sa, &wanted.slice(i, 1))?.is_empty();
            found += usize::from(hit);
        }
        out.append_value(if all {
            found == wanted.len()
        } else {
            found > 0
        });
    }
    Ok(Arc::new(out.finish()))
}

pub fn register(r: &mut Registry) {
    let int = || Param::Is(PgType::Int4);
    r.add(
        "$subscript",
        polymorphic(
            vec![Param::AnyArray, int()],
            false,
            ResultType::From(element),
            subscript,
        ),
    );
    r.add(
        "$slice",
        polymorphic(
            vec![Param::AnyArray, int(), int()],
            false,
            ResultType::From(same_array),
            slice,
        ),
    );
    for name in ["$||", "array_cat"] {
        r.add(
            name,
            polymorphic(
                vec![Param::AnyArray, Param::AnyArray],
                false,
                ResultType::From(same_array),
                concatenate,
            ),
        );
    }
    for name in ["$||", "array_append"] {
        r.add(
            name,
            polymorphic(
                vec![Param::AnyArray, Param::AnyElement],
                false,
                ResultType::From(same_array),
                concatenate,
            ),
        );
    }
    for name in ["$||", "array_prepend"] {
        r.add(
            name,
            polymorphic(
                vec![Param::AnyElement, Param::AnyArray],
                false,
                ResultType::From(same_array),
                concatenate,
            ),
        );
    }
    r.add("$_any", quantified(true));
    r.add("$_all", quantified(false));
    let length = |l: &ListArray, at: usize| Some(l.value_length(at)).filter(|n| *n > 0);
    r.add(
        "cardinality",
        over_list(
            PgType::Int4,
            |l, at| Some(l.value_length(at)),
            vec![Param::AnyArray],
        ),
    );
    r.add(
        "array_ndims",
        over_list(
            PgType::Int4,
            |l, at| (l.value_length(at) > 0).then_some(1),
            vec![Param::AnyArray],
        ),
    );
    r.add(
        "array_dims",
        polymorphic(
            vec![Param::AnyArray],
            false,
            ResultType::Is(PgType::Text),
            dims,
        ),
    );
    for name in ["array_length", "array_upper"] {
        r.add(
            name,
            over_list(PgType::Int4, length, vec![Param::AnyArray, int()]),
        );
    }
    r.add(
        "array_lower",
        over_list(
            PgType::Int4,
            |l, at| (l.value_length(at) > 0).then_some(1),
            vec![Param::AnyArray, int()],
        ),
    );
    for params in [
        vec![Param::AnyArray, int()],
        vec![Param::AnyArray, int(), Param::Is(PgType::Bool)],
    ] {
        r.add(
            "$generate_subscripts",
            polymorphic(
                params,
                false,
                ResultType::Is(PgType::Int4.array_of()),
                subscripts,
            ),
        );
    }
    let text = || Param::Is(PgType::Text);
    r.add(
        "array_to_string",
        polymorphic(
            vec![Param::AnyArray, text()],
            false,
            ResultType::Is(PgType::Text),
            array_to_string,
        ),
    );
    r.add(
        "array_to_string",
        polymorphic(
            vec![Param::AnyArray, text(), text()],
            false,
            ResultType::Is(PgType::Text),
            array_to_string,
        ),
    );
    r.add(
        "string_to_array",
        f2::<Text, Text, TextArray>(|s, d| Ok(split(s, d, None))),
    );
    r.add(
        "string_to_array",
        f3::<Text, Text, Text, TextArray>(|s, d, n| Ok(split(s, d, Some(n)))),
    );
    r.add(
        "array_position",
        polymorphic(
            vec![Param::AnyArray, Param::AnyElement],
            false,
            ResultType::Is(PgType::Int4),
            |args, call| {
                let (list, sl) = expand(&args[0])?;
                let (x, sx) = expand(&args[1])?;
                let list = as_list(&list)?;
                let mut out = arrow::array::Int32Builder::new();
                for row in 0..call.rows {
                    if list.is_null(row * sl) {
                        out.append_null();
                    } else {
                        out.append_option(
                            positions(list, row * sl, &x.slice(row * sx, 1))?
                                .first()
                                .copied(),
                        );
                    }
                }
                Ok(Arc::new(out.finish()))
            },
        ),
    );
    r.add(
        "array_remove",
        polymorphic(
            vec![Param::AnyArray, Param::AnyElement],
            false,
            ResultType::From(same_array),
            |args, call| {
                let (list, sl) = expand(&args[0])?;
                let (x, sx) = expand(&args[1])?;
                let list = as_list(&list)?;
                let mut indices = UInt32Builder::new();
                let (mut lengths, mut valid) = (Vec::new(), Vec::new());
                for row in 0..call.rows {
                    let at = row * sl;
                    valid.push(list.is_valid(at));
                    if list.is_null(at) {
                        lengths.push(0);
                        continue;
                    }
                    let drop = positions(list, at, &x.slice(row * sx, 1))?;
                    let mut kept = 0;
                    for i in 0..list.value_length(at) {
                        if !drop.contains(&(i + 1)) {
                            indices.append_value((list.value_offsets()[at] + i) as u32);
                            kept += 1;
                        }
                    }
                    lengths.push(kept);
                }
                let items = arrow::compute::take(list.values(), &indices.finish(), None)
                    .map_err(SqlError::internal)?;
                list_of(items, lengths, Some(NullBuffer::from(valid)))
            },
        ),
    );
    let pair = || vec![Param::AnyArray, Param::AnyArray];
    r.add(
        "$@>",
        polymorphic(pair(), false, ResultType::Is(PgType::Bool), |a, c| {
            contains(a, c, true, false)
        }),
    );
    r.add(
        "$<@",
        polymorphic(pair(), false, ResultType::Is(PgType::Bool), |a, c| {
            contains(a, c, true, true)
        }),
    );
    r.add(
        "$&&",
        polymorphic(pair(), false, ResultType::Is(PgType::Bool), |a, c| {
            contains(a, c, false, false)
        }),
    );
    r.add(
        "trim_array",
        polymorphic(
            vec![Param::AnyArray, int()],
            false,
            ResultType::From(same_array),
            |args, call| {
                let (list, step) = expand(&args[0])?;
                let (n, ns) = expand(&args[1])?;
                let n = n.as_primitive::<Int32Type>();
                select_items(as_list(&list)?, call.rows, step, |row, range| {
                    if n.is_null(row * ns) {
                        return Ok(None);
                    }
                    let cut = n.value(row * ns);
                    if cut < 0 || cut as usize > range.len() {
                        return Err(SqlError::new(
                            crate::error::SqlState::new("2202E"),
                            format!(
                                "number of elements to trim must be between 0 and {}",
                                range.len()
                            ),
                        ));
                    }
                    Ok(Some(range.start..range.end - cut as usize))
                })
            },
        ),
    );
}

/// `string_to_array`: an empty delimiter keeps the text whole, an empty text has no parts.
fn split(s: &str, delimiter: &str, null: Option<&str>) -> Vec<Option<String>> {
    if s.is_empty() {
        return Vec::new();
    }
    let part = |p: &str| {
        if Some(p) == null {
            None
        } else {
            Some(p.to_string())
        }
    };
    if delimiter.is_empty() {
        return vec![part(s)];
    }
    s.split(delimiter).map(part).collect()
}
