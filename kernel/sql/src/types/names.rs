//! Type names: from the parser's syntax tree to a [`PgType`] and a typmod, and back.
//!
//! A typmod is PostgreSQL's `atttypmod`: −1 for none; `varchar(n)` and `char(n)` are n + 4;
//! `numeric(p, s)` is `((p << 16) | (s & 0x7ff)) + 4`; time types hold their precision.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType as Ast, ExactNumberInfo, ObjectName, TimezoneInfo,
};

use super::PgType;
use crate::error::{Result, SqlError, state};

/// The offset PostgreSQL adds to lengths in a typmod (`VARHDRSZ`).
const HEADER: i32 = 4;
/// The longest `varchar(n)` (`MaxAttrSize`).
const CHAR_LENGTH_MAX: u64 = 10_485_760;

pub fn numeric_typmod(typmod: i32) -> Option<(u32, i32)> {
    if typmod < HEADER {
        return None;
    }
    let t = typmod - HEADER;
    let scale = ((t & 0x7ff) ^ 1024) - 1024;
    Some(((t >> 16) as u32 & 0xffff, scale))
}

pub fn make_numeric_typmod(precision: u32, scale: i32) -> i32 {
    (((precision as i32) << 16) | (scale & 0x7ff)) + HEADER
}

/// The n of `varchar(n)` or `char(n)`.
pub fn char_length(typmod: i32) -> Option<usize> {
    (typmod >= HEADER).then_some((typmod - HEADER) as usize)
}

/// The typmod part of `format_type`: `character varying(10)`, `numeric(10,2)`.
pub fn format_type(ty: &PgType, typmod: i32) -> String {
    if let PgType::Array(item) = ty {
        return format!("{}[]", format_type(item, typmod));
    }
    match ty {
        PgType::Varchar | PgType::Bpchar => match char_length(typmod) {
            Some(n) => format!("{}({n})", ty.name()),
            None if *ty == PgType::Bpchar => "bpchar".to_string(),
            None => ty.name().to_string(),
        },
        PgType::Numeric => match numeric_typmod(typmod) {
            Some((p, s)) => format!("numeric({p},{s})"),
            None => "numeric".to_string(),
        },
        PgType::Time | PgType::Timestamp | PgType::TimestampTz if typmod >= 0 => {
            let (head, tail) = ty.name().split_once(' ').expect("these names have a space");
            format!("{head}({typmod}) {tail}")
        }
        PgType::Extension(extension) if typmod >= 0 => format!("{}({typmod})", extension.name),
        PgType::Interval if (0..=6).contains(&typmod) => format!("interval({typmod})"),
        other => other.name().to_string(),
    }
}

/// The type a name in the syntax tree stands for. Types PostgreSQL has and this does not are
/// `0A000`; names nobody has are `42704`.
pub fn from_ast(ty: &Ast) -> Result<(PgType, i32)> {
    use PgType::*;
    let plain = |ty: PgType| Ok((ty, -1));
    match ty {
        Ast::Boolean | Ast::Bool => plain(Bool),
        Ast::SmallInt(None) | Ast::Int2(None) => plain(Int2),
        Ast::Int(None) | Ast::Integer(None) | Ast::Int4(None) => plain(Int4),
        Ast::BigInt(None) | Ast::Int8(None) => plain(Int8),
        Ast::Real | Ast::Float4 => plain(Float4),
        Ast::Float8 | Ast::DoublePrecision => plain(Float8),
        Ast::Double(ExactNumberInfo::None) => Err(undefined("double")),
        Ast::Float(info) => float(info),
        Ast::Numeric(i) | Ast::Decimal(i) | Ast::Dec(i) => numeric(i),
        Ast::Text => plain(Text),
        Ast::Varchar(n) | Ast::CharacterVarying(n) | Ast::CharVarying(n) => {
            Ok((Varchar, char_typmod("character varying", n.as_ref(), -1)?))
        }
        Ast::Char(n) | Ast::Character(n) => {
            Ok((Bpchar, char_typmod("character", n.as_ref(), HEADER + 1)?))
        }
        Ast::Bytea => plain(Bytea),
        Ast::Date => plain(Date),
        Ast::Time(p, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            Ok((Time, precision(p)?))
        }
        Ast::Time(_, _) => Err(SqlError::unsupported("type time with time zone")),
        Ast::Timestamp(p, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            Ok((Timestamp, precision(p)?))
        }
        Ast::Timestamp(p, _) => Ok((TimestampTz, precision(p)?)),
        Ast::Interval {
            fields: None,
            precision: p,
        } => Ok((Interval, precision(p)?)),
        Ast::Interval {
            fields: Some(f), ..
        } => Err(SqlError::unsupported(format!(
            "interval field restriction {f}"
        ))),
        Ast::Uuid => plain(Uuid),
        Ast::JSON => plain(Json),
        Ast::JSONB => plain(Jsonb),
        Ast::Regclass => plain(Regclass),
        Ast::Array(ArrayElemTypeDef::SquareBracket(item, _))
        | Ast::Array(ArrayElemTypeDef::AngleBracket(item)) => {
            let (item, typmod) = from_ast(item)?;
            Ok((item.array_of(), typmod))
        }
        Ast::Custom(name, modifiers) => custom(name, modifiers),
        other => Err(by_name_error(&other.to_string().to_lowercase())),
    }
}

fn float(info: &ExactNumberInfo) -> Result<(PgType, i32)> {
    match info {
        ExactNumberInfo::None => Ok((PgType::Float8, -1)),
        ExactNumberInfo::Precision(p) if *p < 1 => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "precision for type float must be at least 1 bit",
        )),
        ExactNumberInfo::Precision(1..=24) => Ok((PgType::Float4, -1)),
        ExactNumberInfo::Precision(25..=53) => Ok((PgType::Float8, -1)),
        ExactNumberInfo::Precision(_) => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "precision for type float must be less than 54 bits",
        )),
        ExactNumberInfo::PrecisionAndScale(_, _) => Err(SqlError::new(
            state::SYNTAX_ERROR,
            "syntax error at or near \",\"",
        )),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<(PgType, i32)> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok((PgType::Numeric, -1)),
        ExactNumberInfo::Precision(p) => (*p as i64, 0),
        ExactNumberInfo::PrecisionAndScale(p, s) => (*p as i64, *s),
    };
    let invalid = |message: String| SqlError::new(state::INVALID_PARAMETER_VALUE, message);
    if !(1..=1000).contains(&precision) {
        return Err(invalid(format!(
            "NUMERIC precision {precision} must be between 1 and 1000"
        )));
    }
    if !(-1000..=1000).contains(&scale) {
        return Err(invalid(format!(
            "NUMERIC scale {scale} must be between -1000 and 1000"
        )));
    }
    Ok((
        PgType::Numeric,
        make_numeric_typmod(precision as u32, scale as i32),
    ))
}

fn char_typmod(name: &str, n: Option<&CharacterLength>, default: i32) -> Result<i32> {
    match n {
        None => Ok(default),
        Some(CharacterLength::IntegerLength { length, .. }) => {
            let short = if name == "character" {
                "char"
            } else {
                "varchar"
            };
            if *length < 1 {
                return Err(SqlError::new(
                    state::INVALID_PARAMETER_VALUE,
                    format!("length for type {short} must be at least 1"),
                ));
            }
            if *length > CHAR_LENGTH_MAX {
                return Err(SqlError::new(
                    state::INVALID_PARAMETER_VALUE,
                    format!("length for type {short} cannot exceed {CHAR_LENGTH_MAX}"),
                ));
            }
            Ok(*length as i32 + HEADER)
        }
        Some(CharacterLength::Max) => Err(SqlError::new(
            state::SYNTAX_ERROR,
            "syntax error at or near \"max\"",
        )),
    }
}

/// PostgreSQL reduces a precision above 6 to 6 (with a warning).
fn precision(p: &Option<u64>) -> Result<i32> {
    Ok(p.map_or(-1, |p| p.min(6) as i32))
}

fn custom(name: &ObjectName, modifiers: &[String]) -> Result<(PgType, i32)> {
    let mut parts: Vec<String> = Vec::new();
    for part in &name.0 {
        let Some(ident) = part.as_ident() else {
            return Err(undefined(&name.to_string()));
        };
        parts.push(match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_lowercase(),
        });
    }
    let quoted = name
        .0
        .last()
        .and_then(|p| p.as_ident())
        .is_some_and(|i| i.quote_style.is_some());
    let base = match parts.as_slice() {
        [base] => base.as_str(),
        [schema, base] if schema == "pg_catalog" => base.as_str(),
        _ => return Err(undefined(&parts.join("."))),
    };
    let number = |s: &String| {
        s.trim().parse::<u64>().map_err(|_| {
            SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                format!("invalid type modifier: {s}"),
            )
        })
    };
    // `"char"` is a type of its own; `char` alone never arrives here.
    let ty = match by_name(base) {
        Some(PgType::Char) if !quoted && parts.len() == 1 => PgType::Bpchar,
        Some(ty) => ty,
        None => match super::extension::by_name(base) {
            Some(extension) if parts.len() == 1 => {
                let typmod = match modifiers {
                    [] => -1,
                    modifiers => extension.typmod(modifiers)?,
                };
                return Ok((PgType::Extension(extension), typmod));
            }
            _ => return Err(by_name_error(base)),
        },
    };
    let length = |m: &String| -> Result<Option<CharacterLength>> {
        Ok(Some(CharacterLength::IntegerLength {
            length: number(m)?,
            unit: None,
        }))
    };
    match (&ty, modifiers) {
        (_, []) => Ok((ty, -1)),
        (PgType::Varchar, [n]) => {
            let typmod = char_typmod("character varying", length(n)?.as_ref(), -1)?;
            Ok((ty, typmod))
        }
        (PgType::Bpchar, [n]) => {
            let typmod = char_typmod("character", length(n)?.as_ref(), -1)?;
            Ok((ty, typmod))
        }
        (PgType::Numeric, [p]) => numeric(&ExactNumberInfo::Precision(number(p)?)),
        (PgType::Numeric, [p, s]) => numeric(&ExactNumberInfo::PrecisionAndScale(
            number(p)?,
            number(s)? as i64,
        )),
        (PgType::Timestamp | PgType::TimestampTz | PgType::Time | PgType::Interval, [p]) => {
            let p = precision(&Some(number(p)?))?;
            Ok((ty, p))
        }
        _ => Err(SqlError::new(
            state::SYNTAX_ERROR,
            format!("type modifier is not allowed for type \"{base}\""),
        )),
    }
}

/// A type by any of the spellings PostgreSQL accepts for it, in lower case.
pub fn by_name(name: &str) -> Option<PgType> {
    use PgType::*;
    if let Some(item) = name.strip_suffix("[]") {
        return by_name(item.trim_end()).map(PgType::array_of);
    }
    Some(match name {
        "boolean" => Bool,
        "int" | "integer" => Int4,
        "smallint" => Int2,
        "bigint" => Int8,
        "real" => Float4,
        "double precision" => Float8,
        "decimal" => Numeric,
        "character varying" => Varchar,
        "character" => Bpchar,
        "\"char\"" => Char,
        "time without time zone" => Time,
        "timestamp without time zone" => Timestamp,
        "timestamp with time zone" => TimestampTz,
        "unknown" | "void" | "record" => return None,
        other => PgType::from_internal_name(other)?,
    })
}

/// Parses a type name given as text, as `regtype` input and `'…'::regtype` do.
pub fn parse_type_name(name: &str) -> Result<(PgType, i32)> {
    let trimmed = name.trim();
    let lower = trimmed.to_lowercase();
    if let Some(ty) = by_name(lower.strip_prefix("pg_catalog.").unwrap_or(&lower)) {
        return Ok((ty, -1));
    }
    let dialect = sqlparser::dialect::PostgreSqlDialect {};
    sqlparser::parser::Parser::new(&dialect)
        .try_with_sql(trimmed)
        .and_then(|mut p| p.parse_data_type())
        .map_err(|_| undefined(&lower))
        .and_then(|ast| from_ast(&ast))
}

/// 42704 for a name that no type has.
pub fn undefined(name: &str) -> SqlError {
    SqlError::new(
        state::UNDEFINED_OBJECT,
        format!("type \"{name}\" does not exist"),
    )
}

/// `0A000` for the types PostgreSQL 15 has, `42704` for the rest.
fn by_name_error(name: &str) -> SqlError {
    const KNOWN: &[&str] = &[
        "money",
        "bit",
        "varbit",
        "bit varying",
        "point",
        "line",
        "lseg",
        "box",
        "path",
        "polygon",
        "circle",
        "inet",
        "cidr",
        "macaddr",
        "macaddr8",
        "xml",
        "tsvector",
        "tsquery",
        "int4range",
        "int8range",
        "numrange",
        "tsrange",
        "tstzrange",
        "daterange",
        "timetz",
        "hstore",
        "citext",
        "pg_lsn",
        "txid_snapshot",
        "pg_snapshot",
        "xid",
        "xid8",
        "cid",
        "tid",
        "regoper",
        "regoperator",
        "regconfig",
        "regdictionary",
        "regcollation",
        "oidvector",
        "int2vector",
        "refcursor",
        "anyarray",
        "anyelement",
    ];
    let base = name.split('(').next().unwrap_or(name).trim();
    if KNOWN.contains(&base) {
        SqlError::unsupported(format!("type {name}"))
    } else {
        undefined(name)
    }
}
