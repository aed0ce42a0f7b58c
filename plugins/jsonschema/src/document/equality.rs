//! Equality in the sense of JSON Schema: numbers by value, objects without order.

use std::collections::HashSet;
use std::fmt::Write;

use serde_json::Value;

use super::number::Decimal;
use super::{Elements, Kind, Node};

/// Whether a value of a document equals one of a schema (`const`, `enum`).
pub(super) fn equals(node: Node<'_>, expected: &Value) -> bool {
    match (node.kind(), expected) {
        (Kind::Null, Value::Null) => true,
        (Kind::True, Value::Bool(expected)) => *expected,
        (Kind::False, Value::Bool(expected)) => !*expected,
        (Kind::Number, Value::Number(expected)) => Decimal::new(node.source()).equals(expected),
        (Kind::String | Kind::Escaped, Value::String(expected)) => {
            node.string() == Some(expected.as_str())
        }
        (Kind::Array, Value::Array(expected)) => node.elements().is_some_and(|elements| {
            elements.count() == expected.len() && {
                let mut pairs = elements.zip(expected);
                pairs.all(|(element, expected)| equals(element, expected))
            }
        }),
        (Kind::Object, Value::Object(expected)) => node.members().is_some_and(|members| {
            let mut pairs = expected.iter();
            members.count() == expected.len()
                && pairs.all(|(name, expected)| {
                    let member = members.find(name);
                    member.is_some_and(|member| equals(member, expected))
                })
        }),
        _ => false,
    }
}

/// Whether no two elements are equal (`uniqueItems`), by writing each in a form that equal values
/// share.
pub(super) fn all_distinct(elements: Elements<'_>) -> bool {
    let mut seen = HashSet::new();
    for element in elements {
        let mut form = String::new();
        write_form(element, &mut form);
        if !seen.insert(form) {
            return false;
        }
    }
    true
}

/// Strings carry their length in front, so no content can look like structure.
fn write_form(node: Node<'_>, out: &mut String) {
    if let Some(string) = node.string() {
        return write_string(string, out);
    }
    if let Some(elements) = node.elements() {
        out.push('[');
        for element in elements {
            write_form(element, out);
            out.push(',');
        }
        out.push(']');
        return;
    }
    if let Some(members) = node.members() {
        out.push('{');
        for (name, value) in members {
            write_string(name, out);
            write_form(value, out);
        }
        out.push('}');
        return;
    }
    if node.kind() == Kind::Number {
        let number = Decimal::new(node.source()).normal();
        let sign = if number.negative { "-" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(out, "{sign}{}e{}", number.digits, number.exponent);
        return;
    }
    out.push_str(node.source());
}

fn write_string(string: &str, out: &mut String) {
    let _ = write!(out, "\"{}:{string}", string.len());
}
