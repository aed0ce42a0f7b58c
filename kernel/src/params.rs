//! Rust values as statement parameters.

use heliosdb_sql::Value;

/// A Rust value that can stand for `$n`. It travels in its textual form and is read as whatever type
/// the statement gives the parameter, so an `i32` is welcome where SQL wants a `numeric`.
pub trait ToSql {
    fn to_value(&self) -> Value;
}

macro_rules! textual {
    ($($ty:ty),* $(,)?) => {
        $(impl ToSql for $ty {
            fn to_value(&self) -> Value {
                Value::Text(self.to_string())
            }
        })*
    };
}

textual!(
    bool, i8, i16, i32, i64, u8, u16, u32, u64, str, String, char
);

macro_rules! float {
    ($($ty:ty),*) => {
        $(impl ToSql for $ty {
            fn to_value(&self) -> Value {
                Value::Text(if self.is_nan() {
                    "NaN".to_owned()
                } else if self.is_infinite() {
                    if *self > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
                } else {
                    // Shortest text that reads back as the same number.
                    format!("{self:?}")
                })
            }
        })*
    };
}

float!(f32, f64);

impl ToSql for [u8] {
    fn to_value(&self) -> Value {
        use std::fmt::Write;
        let mut text = String::with_capacity(2 + 2 * self.len());
        text.push_str("\\x");
        for byte in self {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        }
        Value::Text(text)
    }
}

impl ToSql for Vec<u8> {
    fn to_value(&self) -> Value {
        self.as_slice().to_value()
    }
}

impl<T: ToSql> ToSql for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToSql::to_value)
    }
}

impl<T: ToSql + ?Sized> ToSql for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}

pub(crate) fn values(params: &[&dyn ToSql]) -> Vec<Value> {
    params.iter().map(|p| p.to_value()).collect()
}
