//! `json`: operators, constructors, and the functions that `jsonb` has too.
//!
//! What is taken out of a document is returned as it is written there. What is made of SQL values has
//! PostgreSQL's blanks: those of `json_build_object` differ from those of `json_object_agg`, and
//! arrays have none.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewBuilder};
use arrow::datatypes::DataType;
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use super::jsonb::{Values, along_path, check_key, string_form};
use crate::error::{Result, SqlError, state};
use crate::semantics::kernel::*;
use crate::semantics::overload::{Call, Overload, Param, ResultType};
use crate::types::cast::text_at;
use crate::types::json::{Kind, Value};
use crate::types::jsonb::write_string;
use crate::types::{Format, PgType, encode_text};

/// Appends a SQL value as JSON (`to_json`).
pub fn write(a: &ArrayRef, row: usize, f: &Format, out: &mut String) {
    if a.is_null(row) {
        out.push_str("null");
        return;
    }
    let ty = PgType::from_arrow(a.data_type()).unwrap_or(PgType::Text);
    match (&ty, a.data_type()) {
        (PgType::Bool, _) => out.push_str(match a.as_boolean().value(row) {
            true => "true",
            false => "false",
        }),
        (PgType::Json | PgType::Jsonb, _) => out.push_str(text_at(a, row)),
        (PgType::Array(_), DataType::List(_)) => {
            let items = a.as_list::<i32>().value(row);
            out.push('[');
            for i in 0..items.len() {
                if i > 0 {
                    out.push(',');
                }
                write(&items, i, f, out);
            }
            out.push(']');
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
            let start = out.len();
            encode_text(a, row, &ty, f, out);
            // JSON has no NaN and no Infinity.
            if out.ends_with(char::is_alphabetic) {
                let name = out.split_off(start);
                write_string(&name, out);
            }
        }
        _ => write_string(&string_form(a, row, &ty, f), out),
    }
}

/// Appends a SQL value as the key of an object.
pub fn write_key(a: &ArrayRef, row: usize, f: &Format, out: &mut String) -> Result<()> {
    check_key(a)?;
    let start = out.len();
    write(a, row, f, out);
    if !out[start..].starts_with('"') {
        let plain = out.split_off(start);
        write_string(&plain, out);
    }
    Ok(())
}

fn build_object(values: Values<'_>, row: usize, f: &Format) -> Result<String> {
    if values.len() % 2 == 1 {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "argument list must have even number of elements",
        )
        .with_hint(
            "The arguments of json_build_object() must consist of alternating keys and values.",
        ));
    }
    let mut out = String::from("{");
    for (i, pair) in values.chunks(2).enumerate() {
        let [(k, ks), (v, vs)] = pair else { continue };
        if k.is_null(row * ks) {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                format!("argument {} cannot be null", i * 2 + 1),
            )
            .with_hint("Object keys should be text."));
        }
        if i > 0 {
            out.push_str(", ");
        }
        write_key(k, row * ks, f, &mut out)?;
        out.push_str(" : ");
        write(v, row * vs, f, &mut out);
    }
    out.push('}');
    Ok(out)
}

fn build_array(values: Values<'_>, row: usize, f: &Format) -> Result<String> {
    let mut out = String::from("[");
    for (i, (a, step)) in values.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write(a, row * step, f, &mut out);
    }
    out.push(']');
    Ok(out)
}

type Build = fn(Values<'_>, usize, &Format) -> Result<String>;

/// A function of any number of values of any types.
fn constructor(build: Build) -> Overload {
    let result = ResultType::Is(PgType::Json);
    polymorphic(vec![Param::Any], true, result, move |args, call| {
        let columns = args.iter().map(expand).collect::<Result<Vec<_>>>()?;
        let mut out = BinaryViewBuilder::new();
        for row in 0..call.rows {
            out.append_value(build(&columns, row, &call.vars.format)?);
        }
        Ok(Arc::new(out.finish()))
    })
}

fn to_json(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let (a, step) = expand(&args[0])?;
    let mut out = BinaryViewBuilder::new();
    let mut text = String::new();
    for row in 0..call.rows {
        if a.is_null(row * step) {
            out.append_null();
            continue;
        }
        text.clear();
        write(&a, row * step, &call.vars.format, &mut text);
        out.append_value(&text);
    }
    Ok(Arc::new(out.finish()))
}

fn cannot(message: String) -> SqlError {
    SqlError::new(state::INVALID_PARAMETER_VALUE, message)
}

fn elements<'a>(v: &'a Value<'a>, name: &str) -> Result<&'a [Value<'a>]> {
    match &v.kind {
        Kind::Array(items) => Ok(items),
        Kind::Object(_) => Err(cannot(format!("cannot call {name} on a non-array"))),
        _ => Err(cannot(format!("cannot call {name} on a scalar"))),
    }
}

fn array_length(v: &Value<'_>) -> Result<i32> {
    match &v.kind {
        Kind::Array(items) => Ok(items.len() as i32),
        Kind::Object(_) => Err(cannot("cannot get array length of a non-array".into())),
        _ => Err(cannot("cannot get array length of a scalar".into())),
    }
}

fn object_keys(v: Value<'_>) -> Result<Vec<Option<String>>> {
    match v.kind {
        Kind::Object(members) => Ok(members.into_iter().map(|(key, _)| Some(key)).collect()),
        Kind::Array(_) => Err(cannot("cannot call json_object_keys on an array".into())),
        _ => Err(cannot("cannot call json_object_keys on a scalar".into())),
    }
}

/// `json_strip_nulls`, which leaves no blanks either.
fn write_stripped(v: &Value<'_>, out: &mut String) {
    match &v.kind {
        Kind::Null | Kind::Bool | Kind::Number => out.push_str(v.text),
        Kind::String(s) => write_string(s, out),
        Kind::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_stripped(item, out);
            }
            out.push(']');
        }
        Kind::Object(members) => {
            out.push('{');
            let kept = members.iter().filter(|m| !matches!(m.1.kind, Kind::Null));
            for (i, (key, value)) in kept.enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_stripped(value, out);
            }
            out.push('}');
        }
    }
}

fn text(v: Option<&Value<'_>>) -> Option<String> {
    v.map(|v| v.text.to_owned())
}

fn string(v: Option<&Value<'_>>) -> Option<String> {
    v.and_then(Value::as_text)
}

pub fn register(r: &mut Registry) {
    type J = Json;
    r.add(
        "$->",
        o2::<J, Text, J>(|_, v, k| Ok(text(Value::parse(v)?.get(k)))),
    );
    r.add(
        "$->",
        o2::<J, Int4, J>(|_, v, i| Ok(text(Value::parse(v)?.index(i.into())))),
    );
    r.add(
        "$->>",
        o2::<J, Text, Text>(|_, v, k| Ok(string(Value::parse(v)?.get(k)))),
    );
    r.add(
        "$->>",
        o2::<J, Int4, Text>(|_, v, i| Ok(string(Value::parse(v)?.index(i.into())))),
    );
    r.add(
        "$#>",
        o2::<J, TextArray, J>(|_, v, p| Ok(text(Value::parse(v)?.path(&p)))),
    );
    r.add(
        "$#>>",
        o2::<J, TextArray, Text>(|_, v, p| Ok(string(Value::parse(v)?.path(&p)))),
    );
    r.add(
        "json_extract_path",
        along_path::<J, J>(|v, p| Ok(text(Value::parse(v)?.path(p)))),
    );
    r.add(
        "json_extract_path_text",
        along_path::<J, Text>(|v, p| Ok(string(Value::parse(v)?.path(p)))),
    );
    r.add("json_build_object", constructor(build_object));
    r.add("json_build_array", constructor(build_array));
    r.add(
        "to_json",
        polymorphic(
            vec![Param::Any],
            false,
            ResultType::Is(PgType::Json),
            to_json,
        ),
    );
    r.add(
        "json_typeof",
        f1::<J, Text>(|v| Ok(Value::outline(v)?.type_name().to_owned())),
    );
    r.add(
        "json_array_length",
        f1::<J, Int4>(|v| array_length(&Value::outline(v)?)),
    );
    r.add(
        "json_strip_nulls",
        f1::<J, J>(|v| {
            let mut out = String::new();
            write_stripped(&Value::parse(v)?, &mut out);
            Ok(out)
        }),
    );
    r.add(
        "$json_array_elements",
        f1::<J, JsonArray>(|v| {
            let v = Value::outline(v)?;
            let items = elements(&v, "json_array_elements")?.iter();
            Ok(items.map(|item| item.text.to_owned()).collect())
        }),
    );
    r.add(
        "$json_array_elements_text",
        f1::<J, TextArray>(|v| {
            let v = Value::parse(v)?;
            let items = elements(&v, "json_array_elements_text")?.iter();
            Ok(items.map(Value::as_text).collect())
        }),
    );
    r.add(
        "$json_object_keys",
        f1::<J, TextArray>(|v| object_keys(Value::parse(v)?)),
    );
}
