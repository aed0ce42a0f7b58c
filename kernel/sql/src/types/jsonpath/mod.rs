//! `jsonpath`: a path through a JSON document (SQL/JSON), read and printed as PostgreSQL does.
//!
//! A path is kept as its canonical text, which is what PostgreSQL prints for it, and is taken apart
//! ([`JsonPath::parse`]) by whatever follows it. Storage has a text. In Arrow the text is wrapped in a struct
//! whose only field is called [`FIELD`], because each Arrow type names one SQL type and those of texts have
//! theirs; wrapping costs nothing.
//!
//! What a path finds in a document is `functions::jsonpath`'s.

mod lexer;
mod parser;
mod print;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringViewArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use regex::Regex;

use super::jsonb::Json;
use crate::error::{Result, SqlError};

/// The field of the struct that carries a path. No plugin's type has such a name: theirs have a `#`.
const FIELD: &str = "jsonpath";

/// Does something that a path as deep as the parser allows has done a level further in, wherever the stack ends.
pub fn with_room<T>(work: impl FnOnce() -> T) -> T {
    const LEVEL_BYTES_MAX: usize = 64 << 10;
    stacker::maybe_grow(LEVEL_BYTES_MAX, 1 << 20, work)
}

/// A whole path.
#[derive(Clone, Debug)]
pub struct JsonPath {
    pub lax: bool,
    pub root: Item,
}

/// Something and what follows it: `$.a[0]` is a root, a key and an index. Never empty.
#[derive(Clone, Debug)]
pub struct Item(pub Vec<Node>);

#[derive(Clone, Debug)]
pub enum Node {
    /// A literal that is no array and no object.
    Scalar(Json),
    Variable(String),
    Root,
    Current,
    Last,
    Key(String),
    AnyKey,
    AnyArray,
    /// Of each place, or of each range of them.
    Index(Vec<(Item, Option<Item>)>),
    /// `**` on these levels; [`LEVEL_LAST`] is the last there is.
    Any {
        first: u32,
        last: u32,
    },
    Method(Method),
    Datetime(Option<String>),
    Filter(Box<Item>),
    Exists(Box<Item>),
    Not(Box<Item>),
    IsUnknown(Box<Item>),
    Plus(Box<Item>),
    Minus(Box<Item>),
    Binary(Binary, Box<Item>, Box<Item>),
    LikeRegex(Box<Item>, Pattern),
}

pub const LEVEL_LAST: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Type,
    Size,
    Abs,
    Floor,
    Ceiling,
    Double,
    KeyValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    StartsWith,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
}

/// What `like_regex` looks for.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    flags: Flags,
    pub regex: Regex,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    case_insensitive: bool,
    dot_all: bool,
    multi_line: bool,
    /// Of no effect, and only allowed where the pattern is taken as it stands.
    expanded: bool,
    quoted: bool,
}

impl JsonPath {
    pub fn parse(text: &str) -> Result<JsonPath> {
        parser::parse(text)
    }
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Method::Type => "type",
            Method::Size => "size",
            Method::Abs => "abs",
            Method::Floor => "floor",
            Method::Ceiling => "ceiling",
            Method::Double => "double",
            Method::KeyValue => "keyvalue",
        }
    }
}

impl Binary {
    pub fn symbol(self) -> &'static str {
        match self {
            Binary::Or => "||",
            Binary::And => "&&",
            Binary::Equal => "==",
            Binary::NotEqual => "!=",
            Binary::Less => "<",
            Binary::Greater => ">",
            Binary::LessOrEqual => "<=",
            Binary::GreaterOrEqual => ">=",
            Binary::StartsWith => "starts with",
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::Mod => "%",
        }
    }
}

/// The canonical text of a path.
pub fn canonical(text: &str) -> Result<String> {
    Ok(JsonPath::parse(text)?.to_string())
}

fn fields() -> Fields {
    Fields::from(vec![Field::new(FIELD, DataType::Utf8View, true)])
}

pub fn arrow() -> DataType {
    DataType::Struct(fields())
}

pub fn is_jsonpath(ty: &DataType) -> bool {
    matches!(ty, DataType::Struct(fields) if fields.len() == 1 && fields[0].name() == FIELD)
}

/// Whether a type is of paths, or of arrays of them.
pub fn is_wrapped(ty: &DataType) -> bool {
    match ty {
        DataType::List(item) => is_jsonpath(item.data_type()),
        ty => is_jsonpath(ty),
    }
}

/// Canonical texts (Utf8View) as values.
pub fn of_texts(texts: ArrayRef) -> Result<ArrayRef> {
    let nulls = texts.logical_nulls();
    Ok(Arc::new(StructArray::try_new(
        fields(),
        vec![texts],
        nulls,
    )?))
}

/// The texts of values.
pub fn texts(values: &dyn Array) -> Result<&StringViewArray> {
    values
        .as_struct_opt()
        .and_then(|values| values.columns().first())
        .and_then(|texts| texts.as_string_view_opt())
        .ok_or_else(|| SqlError::internal(format!("{} where a jsonpath is", values.data_type())))
}

/// Values, or arrays of them, as storage has them; `None` for anything else.
pub fn unwrap(values: &ArrayRef) -> Option<ArrayRef> {
    match values.data_type() {
        ty if is_jsonpath(ty) => values.as_struct().columns().first().cloned(),
        DataType::List(item) if is_jsonpath(item.data_type()) => {
            let list = values.as_list::<i32>();
            unwrap(list.values()).map(|items| with_items(list, items))
        }
        _ => None,
    }
}

/// A column that storage gave, as the plan's type has it; `None` when that is of no paths.
pub fn wrap(values: &ArrayRef, ty: &DataType) -> Option<Result<ArrayRef>> {
    match ty {
        ty if is_jsonpath(ty) => Some(of_texts(values.clone())),
        DataType::List(item) if is_jsonpath(item.data_type()) => {
            let list = values.as_list_opt::<i32>()?;
            let items = of_texts(list.values().clone());
            Some(items.map(|items| with_items(list, items)))
        }
        _ => None,
    }
}

fn with_items(list: &ListArray, items: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
    Arc::new(ListArray::new(field, offsets, items, nulls))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PostgreSQL 15 prints.
    #[test]
    fn paths_are_printed_as_postgresql_does() {
        for (input, shown) in [
            (" lax $ ", "$"),
            ("strict $.a.\"b c\"[*].*", "strict $.\"a\".\"b c\"[*].*"),
            ("$ /*x*/ .b", "$.\"b\""),
            ("$.a[last]+ -1.5 * -(2)", "($.\"a\"[last] + -1.5 * -2)"),
            (
                "$.**{2 to last}.**{last}.**{0}.**{0 to last}.**.a.**{3 to 5}",
                "$.**{2 to last}.**{last}.**{0}.**.**.\"a\".**{3 to 5}",
            ),
            (
                "$.a?(@>1||exists(@.b?(@ starts with \"a\")))",
                "$.\"a\"?(@ > 1 || exists (@.\"b\"?(@ starts with \"a\")))",
            ),
            (
                "$ ? ((@ like_regex \"^a\" flag \"iq\") is unknown && !(@ <> 1))",
                "$?((@ like_regex \"^a\" flag \"iq\") is unknown && !(@ != 1))",
            ),
            ("$.TRUE.Type().size", "$.\"TRUE\".type().\"size\""),
            ("(1+2).type()+(-1).type()", "((1 + 2).type() + (-1).type())"),
            (
                "$.\\u0041b.\"\\x41\\u{1f604}\\ud83d\\ude04\"",
                "$.\"Ab\".\"A😄😄\"",
            ),
            ("$[1,2 to 3,$.a[last]]", "$[1,2 to 3,$.\"a\"[last]]"),
            ("+$.a - - 1", "(+$.\"a\" - -1)"),
            ("($.a).b", "$.\"a\".\"b\""),
            ("$.a.datetime( \"yyyy\" )", "$.\"a\".datetime(\"yyyy\")"),
            ("1e3 - .5 - 1.", "((1000 - 0.5) - 1)"),
        ] {
            assert_eq!(canonical(input).unwrap(), shown, "{input}");
            assert_eq!(canonical(shown).unwrap(), shown, "{shown}");
        }
    }

    #[test]
    fn what_is_no_path_is_told_where_it_is_none() {
        for (input, said) in [
            ("$ +", "syntax error at end of jsonpath input"),
            ("$.a b", "syntax error at end of jsonpath input"),
            (
                "$.a/**/.b",
                "syntax error at or near \".\" of jsonpath input",
            ),
            ("$::x", "syntax error at or near \":\" of jsonpath input"),
            ("!$.a", "syntax error at or near \"$\" of jsonpath input"),
            (
                "1 == 1 == 2",
                "syntax error at or near \"==\" of jsonpath input",
            ),
            (
                "$.a && !($.c)",
                "syntax error at or near \"&&\" of jsonpath input",
            ),
            (
                "1.type()",
                "trailing junk after numeric literal at or near \"1.t\" of jsonpath input",
            ),
            (
                "$.\"abc",
                "unexpected end of quoted string at end of jsonpath input",
            ),
            (
                "$.\"\\u12\"",
                "invalid unicode sequence at or near \"\\u12\" of jsonpath input",
            ),
            (
                "$ /* a",
                "unexpected end of comment at end of jsonpath input",
            ),
            ("@.a", "@ is not allowed in root expressions"),
            ("$[@]", "@ is not allowed in root expressions"),
            (
                "$.a ? (last > 1)",
                "LAST is allowed only in array subscripts",
            ),
            ("", "invalid input syntax for type jsonpath: \"\""),
        ] {
            assert_eq!(canonical(input).unwrap_err().message, said, "{input}");
        }
    }

    #[test]
    fn a_path_beyond_all_measure_is_refused() {
        for path in [
            format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000)),
            format!("1{}", "+1".repeat(100_000)),
            format!("{}1", "-$ * ".repeat(100_000)),
            format!("{}1", "-".repeat(100_000)),
            format!("${}", ".a".repeat(100_000)),
            format!("${}", "[$".repeat(100_000)),
        ] {
            assert_eq!(canonical(&path).unwrap_err().code.as_str(), "54001");
        }
    }
}
