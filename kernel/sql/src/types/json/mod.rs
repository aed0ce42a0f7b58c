//! `json`: a text that is kept as it was written, once its syntax is found to be right.
//!
//! Blanks, the order of keys and keys given twice all stay, and an escape such as `\u0000` is only
//! looked at when something needs the string that it stands in. A [`Value`] is a document taken apart
//! whose every part still knows its text, because that is what `->` and its kin return.
//!
//! In Arrow a `json` is a `BinaryView` of UTF-8. Each Arrow type names one SQL type, the three types
//! of strings are those of `text`, of open literals and of `jsonb`, and of the types of bytes this is
//! the one that nothing else uses. Plugins never see it: `plugin::crossing` makes it a `LargeUtf8`.

pub mod parse;

use arrow::array::BinaryViewArray;

use self::parse::{FromJson, Scalar, Strings, parse};
use crate::error::Result;

/// Checks that a text is JSON, without looking into its strings.
pub fn check(text: &str) -> Result<()> {
    parse::<()>(text, Strings::Skip)
}

/// The text at a slot that is not NULL.
pub fn text_at(array: &BinaryViewArray, row: usize) -> &str {
    // Every such array was made of text, and storage checks what it reads.
    std::str::from_utf8(array.value(row)).unwrap_or_default()
}

/// A part of a document.
#[derive(Clone, Debug)]
pub struct Value<'a> {
    /// As it is written, without blanks around it.
    pub text: &'a str,
    pub kind: Kind<'a>,
}

#[derive(Clone, Debug)]
pub enum Kind<'a> {
    Null,
    Bool,
    Number,
    String(String),
    Array(Vec<Value<'a>>),
    /// In the order in which they stand, also those whose key comes again.
    Object(Vec<(String, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Takes a document apart, with the contents of its strings: it fails on an escape that stands for
    /// no character.
    pub fn parse(text: &'a str) -> Result<Value<'a>> {
        parse(text, Strings::Decode)
    }

    /// The same, with all strings and keys left empty.
    pub fn outline(text: &'a str) -> Result<Value<'a>> {
        parse(text, Strings::Skip)
    }

    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool => "boolean",
            Kind::Number => "number",
            Kind::String(_) => "string",
            Kind::Array(_) => "array",
            Kind::Object(_) => "object",
        }
    }

    /// The member of an object; of several with the key, the last.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        match &self.kind {
            Kind::Object(members) => members.iter().rev().find(|(k, _)| k == key).map(|m| &m.1),
            _ => None,
        }
    }

    /// An array element; negative counts from the end.
    pub fn index(&self, i: i64) -> Option<&Value<'a>> {
        match &self.kind {
            Kind::Array(items) => {
                let i = if i < 0 { i + items.len() as i64 } else { i };
                usize::try_from(i).ok().and_then(|i| items.get(i))
            }
            _ => None,
        }
    }

    /// What a `#>` path leads to; of several, the last. A NULL in the path leads nowhere.
    pub fn path(&self, steps: &[Option<String>]) -> Option<&Value<'a>> {
        let Some((step, rest)) = steps.split_first() else {
            return Some(self);
        };
        let step = step.as_deref()?;
        match &self.kind {
            Kind::Object(members) => {
                let mut found = members.iter().rev().filter(|(key, _)| key == step);
                found.find_map(|(_, value)| value.path(rest))
            }
            Kind::Array(_) => self.index(step.trim().parse().ok()?)?.path(rest),
            _ => None,
        }
    }

    /// `->>`: strings without quotes, null as SQL NULL.
    pub fn as_text(&self) -> Option<String> {
        match &self.kind {
            Kind::Null => None,
            Kind::String(s) => Some(s.clone()),
            _ => Some(self.text.to_owned()),
        }
    }
}

impl<'a> FromJson<'a> for () {
    fn scalar(_: &'a str, _: Scalar) -> Result<()> {
        Ok(())
    }

    fn array(_: &'a str, _: Vec<()>) {}

    fn object(_: &'a str, _: Vec<(String, ())>) {}
}

impl<'a> FromJson<'a> for Value<'a> {
    fn scalar(text: &'a str, scalar: Scalar) -> Result<Value<'a>> {
        let kind = match scalar {
            Scalar::Null => Kind::Null,
            Scalar::Bool(_) => Kind::Bool,
            Scalar::Number => Kind::Number,
            Scalar::String(s) => Kind::String(s),
        };
        Ok(Value { text, kind })
    }

    fn array(text: &'a str, items: Vec<Value<'a>>) -> Value<'a> {
        let kind = Kind::Array(items);
        Value { text, kind }
    }

    fn object(text: &'a str, members: Vec<(String, Value<'a>)>) -> Value<'a> {
        let kind = Kind::Object(members);
        Value { text, kind }
    }
}

#[cfg(test)]
mod tests;
