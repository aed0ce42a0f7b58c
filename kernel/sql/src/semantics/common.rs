//! The common type of several expressions: `CASE`, `COALESCE`, `UNION`, `ARRAY[…]`, `IN`.
//!
//! PostgreSQL's `select_common_type`: literals of unknown type follow the others; within a category
//! the type the others convert to implicitly wins; across categories there is none (`42804`).

use arrow::datatypes::DataType;

use super::overload::pg_type;
use crate::error::{Result, SqlError, state};
use crate::types::PgType;
use crate::types::cast::{CastContext, is_allowed};

/// The common PostgreSQL type; all unknown is `text`.
pub fn common_pg_type(context: &str, types: &[PgType]) -> Result<PgType> {
    let mut common: Option<&PgType> = None;
    for ty in types.iter().filter(|t| **t != PgType::Unknown) {
        common = Some(match common {
            None => ty,
            Some(c) if c == ty => c,
            Some(c) if c.category() != ty.category() => {
                return Err(SqlError::new(
                    state::DATATYPE_MISMATCH,
                    format!(
                        "{context} types {} and {} cannot be matched",
                        c.name(),
                        ty.name()
                    ),
                ));
            }
            Some(c) if c.is_preferred() => c,
            Some(c)
                if is_allowed(c, ty, CastContext::Implicit)
                    && !is_allowed(ty, c, CastContext::Implicit) =>
            {
                ty
            }
            Some(c) => c,
        });
    }
    let common = common.cloned().unwrap_or(PgType::Text);
    for ty in types {
        if !is_allowed(ty, &common, CastContext::Implicit) {
            return Err(SqlError::new(
                state::CANNOT_COERCE,
                format!(
                    "{context} could not convert type {} to {}",
                    ty.name(),
                    common.name()
                ),
            ));
        }
    }
    Ok(common)
}

/// As [`common_pg_type`], in Arrow. Numerics keep a `Decimal128` when they all have one scale;
/// otherwise each value keeps its own, as in PostgreSQL.
pub fn common_type(context: &str, types: &[DataType]) -> Result<DataType> {
    let pg: Vec<PgType> = types.iter().map(pg_type).collect();
    let common = common_pg_type(context, &pg)?;
    if common == PgType::Numeric {
        return Ok(common_numeric(types));
    }
    if let PgType::Array(item) = &common
        && **item == PgType::Numeric
    {
        let items: Vec<DataType> = types
            .iter()
            .filter_map(|t| match t {
                DataType::List(f) => Some(f.data_type().clone()),
                _ => None,
            })
            .collect();
        return Ok(DataType::new_list(common_numeric(&items), true));
    }
    Ok(common.arrow())
}

fn common_numeric(types: &[DataType]) -> DataType {
    let mut precision = 0;
    let mut scale = None;
    for ty in types {
        let (p, s) = match ty {
            DataType::Decimal128(p, s) => (*p, *s),
            DataType::Int16 => (5, 0),
            DataType::Int32 => (10, 0),
            DataType::Int64 | DataType::UInt64 => (20, 0),
            DataType::Null => continue,
            _ => return DataType::LargeBinary,
        };
        if *scale.get_or_insert(s) != s {
            return DataType::LargeBinary;
        }
        precision = precision.max(p);
    }
    match scale {
        Some(s) if s >= 0 => DataType::Decimal128(precision, s),
        _ => DataType::LargeBinary,
    }
}

/// A decimal type that holds both sides exactly, if `Decimal128` has one.
pub fn common_decimal(a: &DataType, b: &DataType) -> Option<DataType> {
    let parts = |t: &DataType| match t {
        DataType::Decimal128(p, s) if *s >= 0 => Some((*p as i32, *s as i32)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 | DataType::UInt64 => Some((20, 0)),
        _ => None,
    };
    let ((p1, s1), (p2, s2)) = (parts(a)?, parts(b)?);
    let scale = s1.max(s2);
    let precision = (p1 - s1).max(p2 - s2) + scale;
    (precision <= 38).then_some(DataType::Decimal128(precision as u8, scale as i8))
}
