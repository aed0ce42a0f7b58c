//! `jsonb`: operators, constructors, and the common functions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringBuilder};
use arrow::datatypes::DataType;
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use crate::error::{Result, SqlError, state};
use crate::semantics::kernel::*;
use crate::semantics::overload::{Call, Overload, Param, ResultType};
use crate::types::cast::text_at;
use crate::types::jsonb::Json;
use crate::types::{Format, PgType, encode_text, json};

/// A SQL value as JSON (`to_jsonb`).
pub fn to_jsonb(a: &ArrayRef, row: usize, f: &Format) -> Result<Json> {
    if a.is_null(row) {
        return Ok(Json::Null);
    }
    let ty = PgType::from_arrow(a.data_type()).unwrap_or(PgType::Text);
    let mut text = String::new();
    Ok(match (&ty, a.data_type()) {
        (PgType::Bool, _) => Json::Bool(a.as_boolean().value(row)),
        (PgType::Jsonb, _) => Json::stored(a.as_string::<i64>().value(row))?,
        (PgType::Json, _) => Json::parse(json::text_at(a.as_binary_view(), row))?,
        (PgType::Array(_), DataType::List(_)) => {
            let items = a.as_list::<i32>().value(row);
            Json::Array(
                (0..items.len())
                    .map(|i| to_jsonb(&items, i, f))
                    .collect::<Result<_>>()?,
            )
        }
        (
            PgType::Int2
            | PgType::Int4
            | PgType::Int8
            | PgType::Numeric
            | PgType::Float4
            | PgType::Float8,
            _,
        ) => {
            encode_text(a, row, &ty, f, &mut text);
            match text.as_str() {
                // JSON has no such numbers.
                "NaN" | "Infinity" | "-Infinity" => Json::String(text),
                _ => Json::Number(crate::types::Numeric::parse(&text)?.to_string()),
            }
        }
        _ => Json::String(string_form(a, row, &ty, f)),
    })
}

/// The string that stands for a value which is no number, truth value, array or document.
pub fn string_form(a: &ArrayRef, row: usize, ty: &PgType, f: &Format) -> String {
    let mut text = String::new();
    encode_text(a, row, ty, f, &mut text);
    if !matches!(ty, PgType::Timestamp | PgType::TimestampTz) {
        return text;
    }
    // ISO 8601 with a T, and minutes in the offset.
    let mut text = text.replacen(' ', "T", 1);
    if *ty == PgType::TimestampTz
        && let Some(sign) = text.rfind(['+', '-'])
        && text.len() - sign == 3
    {
        text.push_str(":00");
    }
    text
}

/// A SQL value as the key of an object.
pub fn key(a: &ArrayRef, row: usize, f: &Format) -> Result<String> {
    check_key(a)?;
    Ok(match to_jsonb(a, row, f)? {
        Json::String(key) => key,
        other => other.to_string(),
    })
}

/// Keys are made of plain values only.
pub fn check_key(a: &ArrayRef) -> Result<()> {
    match PgType::from_arrow(a.data_type()) {
        Some(PgType::Array(_) | PgType::Record | PgType::Json | PgType::Jsonb) => {
            Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "key value must be scalar, not array, composite, or json",
            ))
        }
        _ => Ok(()),
    }
}

pub(super) type Values<'a> = &'a [(ArrayRef, usize)];

/// A function of any number of values of any types.
fn constructor(
    f: fn(Values<'_>, usize, &Format) -> Result<Json>,
) -> impl Fn(&[ColumnarValue], &Call<'_>) -> Result<ArrayRef> + Send + Sync + 'static {
    move |args, call| {
        let columns = args.iter().map(expand).collect::<Result<Vec<_>>>()?;
        let mut out = LargeStringBuilder::new();
        for row in 0..call.rows {
            out.append_value(f(&columns, row, &call.vars.format)?.to_string());
        }
        Ok(Arc::new(out.finish()))
    }
}

fn build_object(values: Values<'_>, row: usize, f: &Format) -> Result<Json> {
    if values.len() % 2 == 1 {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "argument list must have even number of elements",
        )
        .with_hint(
            "The arguments of jsonb_build_object() must consist of alternating keys and values.",
        ));
    }
    let mut members = Vec::new();
    for (i, pair) in values.chunks(2).enumerate() {
        let [(k, ks), (v, vs)] = pair else { continue };
        if k.is_null(row * ks) {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                format!("argument {}: key must not be null", i * 2 + 1),
            ));
        }
        members.push((key(k, row * ks, f)?, to_jsonb(v, row * vs, f)?));
    }
    Ok(Json::object(members))
}

fn build_array(values: Values<'_>, row: usize, f: &Format) -> Result<Json> {
    Ok(Json::Array(
        values
            .iter()
            .map(|(a, s)| to_jsonb(a, row * s, f))
            .collect::<Result<_>>()?,
    ))
}

/// What the steps of a path lead to, where NULL leads nowhere.
type Follow<A, R> =
    for<'a> fn(<A as Arg>::Item<'a>, &[Option<String>]) -> Result<Option<<R as Ret>::Value>>;

/// `…_extract_path(document, VARIADIC text[])`.
pub(super) fn along_path<A: Arg + 'static, R: Ret + 'static>(f: Follow<A, R>) -> Overload {
    let kernel = move |args: &[ColumnarValue], call: &Call<'_>| -> Result<ArrayRef> {
        let columns = args.iter().map(expand).collect::<Result<Vec<_>>>()?;
        let Some(((documents, factor), steps)) = columns.split_first() else {
            return Err(SqlError::internal("a path without a document"));
        };
        let column = A::column(&**documents)?;
        let mut out = R::builder(call.rows);
        for row in 0..call.rows {
            let step = |(a, factor): &(ArrayRef, usize)| {
                let at = row * factor;
                a.is_valid(at).then(|| text_at(a, at).to_owned())
            };
            let path: Vec<Option<String>> = steps.iter().map(step).collect();
            let found = match documents.is_null(row * factor) {
                true => None,
                false => f(A::get(&column, row * factor)?, &path)?,
            };
            R::append(&mut out, found)?;
        }
        Ok(R::finish(out))
    };
    let mut overload = overload(vec![A::pg(), PgType::Text], R::pg(), kernel);
    overload.variadic = true;
    overload
}

fn path<'a>(v: &'a Json, steps: &[Option<String>]) -> Option<&'a Json> {
    steps.iter().try_fold(v, |v, step| v.step(step.as_deref()?))
}

fn concat(a: Json, b: Json) -> Result<Json> {
    Ok(match (a, b) {
        (Json::Object(mut x), Json::Object(y)) => {
            x.extend(y);
            Json::object(x)
        }
        (Json::Array(mut x), Json::Array(y)) => {
            x.extend(y);
            Json::Array(x)
        }
        (Json::Array(mut x), y) => {
            x.push(y);
            Json::Array(x)
        }
        (x, Json::Array(mut y)) => {
            y.insert(0, x);
            Json::Array(y)
        }
        (Json::Object(_), _) | (_, Json::Object(_)) => {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "invalid concatenation of jsonb objects",
            ));
        }
        (x, y) => Json::Array(vec![x, y]),
    })
}

fn delete_key(v: Json, key: &str) -> Result<Json> {
    match v {
        Json::Object(mut m) => {
            m.retain(|(k, _)| k != key);
            Ok(Json::Object(m))
        }
        Json::Array(mut a) => {
            a.retain(|v| !matches!(v, Json::String(s) if s == key));
            Ok(Json::Array(a))
        }
        _ => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "cannot delete from scalar",
        )),
    }
}

fn delete_index(v: Json, i: i32) -> Result<Json> {
    match v {
        Json::Array(mut a) => {
            let at = if i < 0 {
                i as i64 + a.len() as i64
            } else {
                i as i64
            };
            if let Ok(at) = usize::try_from(at)
                && at < a.len()
            {
                a.remove(at);
            }
            Ok(Json::Array(a))
        }
        Json::Object(_) => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "cannot delete from object using integer index",
        )),
        _ => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "cannot delete from scalar",
        )),
    }
}

/// `jsonb_set`: replaces, or with `create` adds, what a path names.
fn set(v: Json, steps: &[Option<String>], new: &Json, create: bool) -> Json {
    let Some((Some(step), rest)) = steps.split_first() else {
        return v;
    };
    match v {
        Json::Object(mut m) => {
            match m.iter_mut().find(|(k, _)| k == step) {
                Some((_, slot)) => {
                    let old = std::mem::replace(slot, Json::Null);
                    *slot = if rest.is_empty() {
                        new.clone()
                    } else {
                        set(old, rest, new, create)
                    };
                }
                None if rest.is_empty() && create => m.push((step.clone(), new.clone())),
                None => {}
            }
            Json::object(m)
        }
        Json::Array(mut a) => {
            let Ok(i) = step.trim().parse::<i64>() else {
                return Json::Array(a);
            };
            let at = if i < 0 { i + a.len() as i64 } else { i };
            match usize::try_from(at).ok().filter(|at| *at < a.len()) {
                Some(at) => {
                    let old = std::mem::replace(&mut a[at], Json::Null);
                    a[at] = if rest.is_empty() {
                        new.clone()
                    } else {
                        set(old, rest, new, create)
                    };
                }
                None if rest.is_empty() && create => {
                    if at < 0 {
                        a.insert(0, new.clone())
                    } else {
                        a.push(new.clone())
                    }
                }
                None => {}
            }
            Json::Array(a)
        }
        other => other,
    }
}

fn strip_nulls(v: Json) -> Json {
    match v {
        Json::Object(m) => Json::Object(
            m.into_iter()
                .filter(|(_, v)| *v != Json::Null)
                .map(|(k, v)| (k, strip_nulls(v)))
                .collect(),
        ),
        Json::Array(a) => Json::Array(a.into_iter().map(strip_nulls).collect()),
        other => other,
    }
}

fn not_an(v: &Json, doing: &str) -> SqlError {
    let kind = match v {
        Json::Object(_) => "an object",
        Json::Array(_) => "an array",
        _ => "a scalar",
    };

    SqlError::new(
        state::INVALID_PARAMETER_VALUE,
        format!("cannot {doing} {kind}"),
    )
}

fn elements(v: Json) -> Result<Vec<Json>> {
    match v {
        Json::Array(a) => Ok(a),
        other => Err(not_an(&other, "extract elements from")),
    }
}

fn array_length(v: &Json) -> Result<i32> {
    match v {
        Json::Array(a) => Ok(a.len() as i32),
        Json::Object(_) => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "cannot get array length of a non-array",
        )),
        _ => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "cannot get array length of a scalar",
        )),
    }
}

fn any_to_jsonb() -> Overload {
    polymorphic(
        vec![Param::Any],
        false,
        ResultType::Is(PgType::Jsonb),
        |args, call| {
            let (a, step) = expand(&args[0])?;
            let mut out = LargeStringBuilder::new();
            for row in 0..call.rows {
                if a.is_null(row * step) {
                    out.append_null();
                } else {
                    out.append_value(to_jsonb(&a, row * step, &call.vars.format)?.to_string());
                }
            }
            Ok(Arc::new(out.finish()))
        },
    )
}

pub fn register(r: &mut Registry) {
    type J = Jsonb;
    r.add("$->", o2::<J, Text, J>(|_, v, k| Ok(v.get(k).cloned())));
    r.add(
        "$->",
        o2::<J, Int4, J>(|_, v, i| Ok(v.index(i as i64).cloned())),
    );
    r.add(
        "$->>",
        o2::<J, Text, Text>(|_, v, k| Ok(v.get(k).and_then(Json::as_text))),
    );
    r.add(
        "$->>",
        o2::<J, Int4, Text>(|_, v, i| Ok(v.index(i as i64).and_then(Json::as_text))),
    );
    r.add(
        "$#>",
        o2::<J, TextArray, J>(|_, v, p| Ok(path(&v, &p).cloned())),
    );
    r.add(
        "$#>>",
        o2::<J, TextArray, Text>(|_, v, p| Ok(path(&v, &p).and_then(Json::as_text))),
    );
    r.add("$@>", f2::<J, J, Bool>(|a, b| Ok(a.contains(&b))));
    r.add("$<@", f2::<J, J, Bool>(|a, b| Ok(b.contains(&a))));
    r.add("$?", f2::<J, Text, Bool>(|v, k| Ok(v.has_key(k))));
    r.add(
        "$?|",
        f2::<J, TextArray, Bool>(|v, k| Ok(k.iter().flatten().any(|k| v.has_key(k)))),
    );
    r.add(
        "$?&",
        f2::<J, TextArray, Bool>(|v, k| Ok(k.iter().flatten().all(|k| v.has_key(k)))),
    );
    r.add("$||", f2::<J, J, J>(concat));
    r.add("$-", f2::<J, Text, J>(delete_key));
    r.add("$-", f2::<J, Int4, J>(delete_index));
    r.add(
        "$-",
        f2::<J, TextArray, J>(|v, keys| keys.iter().flatten().try_fold(v, |v, k| delete_key(v, k))),
    );
    for (name, build) in [
        (
            "jsonb_build_object",
            build_object as fn(Values<'_>, usize, &Format) -> Result<Json>,
        ),
        ("jsonb_build_array", build_array),
    ] {
        let result = ResultType::Is(PgType::Jsonb);
        r.add(
            name,
            polymorphic(vec![Param::Any], true, result, constructor(build)),
        );
    }
    r.add("to_jsonb", any_to_jsonb());
    r.add(
        "jsonb_typeof",
        f1::<J, Text>(|v| Ok(v.type_name().to_string())),
    );
    r.add("jsonb_array_length", f1::<J, Int4>(|v| array_length(&v)));
    r.add(
        "jsonb_extract_path_text",
        along_path::<J, Text>(|v, p| Ok(path(&v, p).and_then(Json::as_text))),
    );
    r.add(
        "jsonb_extract_path",
        along_path::<J, J>(|v, p| Ok(path(&v, p).cloned())),
    );
    r.add(
        "jsonb_pretty",
        f1::<J, Text>(|v| {
            let mut out = String::new();
            v.pretty(0, &mut out);
            Ok(out)
        }),
    );
    r.add("jsonb_strip_nulls", f1::<J, J>(|v| Ok(strip_nulls(v))));
    r.add(
        "jsonb_set",
        f3::<J, TextArray, J, J>(|v, p, n| Ok(set(v, &p, &n, true))),
    );
    r.add(
        "jsonb_set",
        f4::<J, TextArray, J, Bool, J>(|v, p, n, c| Ok(set(v, &p, &n, c))),
    );
    r.add("$jsonb_array_elements", f1::<J, JsonbArray>(elements));
    r.add(
        "$jsonb_array_elements_text",
        f1::<J, TextArray>(|v| Ok(elements(v)?.iter().map(Json::as_text).collect())),
    );
    r.add(
        "$jsonb_object_keys",
        f1::<J, TextArray>(|v| match v {
            Json::Object(m) => Ok(m.into_iter().map(|(k, _)| Some(k)).collect()),
            other => Err(not_an(&other, "call jsonb_object_keys on")),
        }),
    );
}
