//! A plugin of two types, linked into the tests: `point2`, kept as bytes and without an order, and
//! `money2`, kept as a bigint and ordered as it is.

use std::sync::Arc;

use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::arrow::array::cast::AsArray;
use heliosdb_plugin_api::arrow::array::types::Int64Type;
use heliosdb_plugin_api::arrow::array::{BinaryArray, Float64Array, Int64Array, StringViewArray};
use heliosdb_plugin_api::{
    Accumulator, Argument, Arguments, Context, Error, Host, Plugin, Registrar, Result, Settings,
    Type, state,
};

pub struct Points;

impl Plugin for Points {
    const MANIFEST: &'static str = r#"
id = "points"
version = "1.0.0"
abi = 1
description = "types, for tests"

[[type]]
name = "point2"
storage = "bytea"

[[type]]
name = "money2"
storage = "bigint"
ordered = true

[[function]]
name = "point2_distance"
kind = "scalar"
arguments = ["point2", "point2"]
returns = "float8"
volatility = "immutable"
strict = true

[[function]]
name = "point2_swap"
kind = "scalar"
arguments = ["point2"]
returns = "point2"
volatility = "immutable"
strict = true

[[function]]
name = "money2_total"
kind = "aggregate"
arguments = ["money2"]
returns = "money2"
volatility = "immutable"
strict = true

[[operator]]
name = "<->"
left = "point2"
right = "point2"
returns = "float8"
function = "point2_distance"
"#;

    fn start(_: Host, _: &Settings) -> Result<Points> {
        Ok(Points)
    }

    fn register(self: &Arc<Points>, r: &mut Registrar) -> Result<()> {
        r.sql_type("point2", Point2)?;
        r.sql_type("money2", Money2)?;
        r.scalar("point2_distance", &["point2", "point2"], distance)?;
        r.scalar("point2_swap", &["point2"], swap)?;
        r.aggregate(
            "money2_total",
            &["money2"],
            || -> Result<Box<dyn Accumulator>> { Ok(Box::new(Total(0))) },
        )
    }
}

fn invalid(ty: &str, text: &str) -> Error {
    let message = format!("invalid input syntax for type {ty}: \"{text}\"");
    Error::new(state::INVALID_TEXT_REPRESENTATION, message)
}

/// Two 64-bit floats, big-endian. The modifier is the largest coordinate.
struct Point2;

fn to_bytes(x: f64, y: f64) -> Vec<u8> {
    [x.to_be_bytes(), y.to_be_bytes()].concat()
}

fn coordinates(bytes: &[u8]) -> Result<(f64, f64)> {
    let part = |at: usize| -> Option<f64> {
        Some(f64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
    };
    match (part(0), part(8)) {
        (Some(x), Some(y)) if bytes.len() == 16 => Ok((x, y)),
        _ => Err(Error::new(state::DATA_CORRUPTED, "a point has 16 bytes")),
    }
}

fn read_point(text: &str, typmod: i32) -> Result<Vec<u8>> {
    let parts = text
        .trim()
        .strip_prefix('(')
        .and_then(|t| t.strip_suffix(')'));
    let parts = parts.and_then(|t| t.split_once(','));
    let (x, y) = parts.ok_or_else(|| invalid("point2", text))?;
    let number = |t: &str| t.trim().parse::<f64>().map_err(|_| invalid("point2", text));
    let (x, y) = (number(x)?, number(y)?);
    if typmod >= 0 && x.abs().max(y.abs()) > f64::from(typmod) {
        let message = format!("{text} lies outside of point2({typmod})");
        return Err(Error::new(state::INVALID_PARAMETER_VALUE, message));
    }
    Ok(to_bytes(x, y))
}

impl Type for Point2 {
    fn parse(&self, text: &ArrayRef, typmod: i32) -> Result<ArrayRef> {
        let texts = text.as_string_view().iter();
        let values = texts.map(|t| t.map(|t| read_point(t, typmod)).transpose());
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(
            values.iter().map(Option::as_deref).collect::<BinaryArray>(),
        ))
    }

    fn format(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let print = |bytes: &[u8]| coordinates(bytes).map(|(x, y)| format!("({x},{y})"));
        let values = values.as_binary::<i32>().iter();
        let texts = values.map(|v| v.map(print).transpose());
        Ok(Arc::new(texts.collect::<Result<StringViewArray>>()?))
    }

    fn receive(&self, bytes: &ArrayRef, _: i32) -> Result<ArrayRef> {
        for value in bytes.as_binary::<i32>().iter().flatten() {
            coordinates(value)?;
        }
        Ok(bytes.clone())
    }

    fn send(&self, values: &ArrayRef) -> Result<ArrayRef> {
        Ok(values.clone())
    }

    fn typmod(&self, modifiers: &[&str]) -> Result<i32> {
        match modifiers {
            [one] => one.parse().map_err(|_| {
                Error::new(
                    state::INVALID_PARAMETER_VALUE,
                    "the modifier must be a number",
                )
            }),
            _ => Err(Error::new(
                state::INVALID_PARAMETER_VALUE,
                "point2 takes one modifier",
            )),
        }
    }
}

/// Cents.
struct Money2;

impl Type for Money2 {
    fn parse(&self, text: &ArrayRef, _: i32) -> Result<ArrayRef> {
        let read = |t: &str| {
            let number = t
                .trim()
                .strip_prefix('$')
                .and_then(|t| t.parse::<f64>().ok());
            let cents = number.ok_or_else(|| invalid("money2", t))? * 100.0;
            Ok(cents.round() as i64)
        };
        let values = text
            .as_string_view()
            .iter()
            .map(|t| t.map(read).transpose());
        Ok(Arc::new(values.collect::<Result<Int64Array>>()?))
    }

    fn format(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let values = values.as_primitive::<Int64Type>().iter();
        let print = |cents: i64| format!("${}.{:02}", cents / 100, (cents % 100).abs());
        Ok(Arc::new(
            values.map(|v| v.map(print)).collect::<StringViewArray>(),
        ))
    }

    fn receive(&self, bytes: &ArrayRef, _: i32) -> Result<ArrayRef> {
        let read = |b: &[u8]| {
            let bytes = b.try_into();
            bytes
                .map(i64::from_be_bytes)
                .map_err(|_| invalid("money2", "bytes"))
        };
        let values = bytes
            .as_binary::<i32>()
            .iter()
            .map(|b| b.map(read).transpose());
        Ok(Arc::new(values.collect::<Result<Int64Array>>()?))
    }

    fn send(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let values = values.as_primitive::<Int64Type>().iter();
        let sent: Vec<Option<[u8; 8]>> = values.map(|v| v.map(i64::to_be_bytes)).collect();
        let sent = sent.iter().map(|v| v.as_ref().map(<[u8; 8]>::as_slice));
        Ok(Arc::new(sent.collect::<BinaryArray>()))
    }
}

fn point(argument: &Argument, row: usize) -> Result<(f64, f64)> {
    let bytes = argument.bytes(row);
    coordinates(bytes.ok_or_else(|| Error::contract("not a point"))?)
}

fn distance(_: &Context<'_>, a: &Arguments) -> Result<ArrayRef> {
    let apart = |row| {
        let ((ax, ay), (bx, by)) = (point(&a[0], row)?, point(&a[1], row)?);
        Ok(Some((ax - bx).hypot(ay - by)))
    };
    let values = (0..a.rows()).map(apart);
    Ok(Arc::new(values.collect::<Result<Float64Array>>()?))
}

fn swap(_: &Context<'_>, a: &Arguments) -> Result<ArrayRef> {
    let swapped = (0..a.rows()).map(|row| point(&a[0], row).map(|(x, y)| to_bytes(y, x)));
    let swapped = swapped.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(BinaryArray::from_iter_values(swapped)))
}

struct Total(i64);

impl Accumulator for Total {
    fn update(&mut self, a: &Arguments) -> Result<()> {
        self.0 += (0..a.rows())
            .filter_map(|row| a[0].integer(row))
            .sum::<i64>();
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.0.to_be_bytes().to_vec())
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let state = state.try_into().map_err(|_| Error::internal("8 bytes"))?;
        self.0 += i64::from_be_bytes(state);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(vec![self.0])))
    }
}

/// The first type alone, under another name.
pub struct Lost;

impl Plugin for Lost {
    const MANIFEST: &'static str = r#"
id = "lost"
version = "1.0.0"
abi = 1

[[type]]
name = "lost2"
storage = "bytea"
"#;

    fn start(_: Host, _: &Settings) -> Result<Lost> {
        Ok(Lost)
    }

    fn register(self: &Arc<Lost>, r: &mut Registrar) -> Result<()> {
        r.sql_type("lost2", Point2)
    }
}
