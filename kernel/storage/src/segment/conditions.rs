//! Ranges in the terms in which codecs from outside are asked ([`crate::codec::Condition`]).

use std::ops::Bound;

use arrow_array::{Array, ArrayRef};
use arrow_select::concat::concat;

use super::filter::ColumnRange;
use crate::codec::{Comparison, Condition};
use crate::datum::Datum;
use crate::ids::ColumnId;
use crate::schema::ColumnType;

impl Condition {
    /// What, taken together, says as much as `range`, or less where that cannot be asked; none when nothing
    /// can.
    pub(super) fn of_range(range: &ColumnRange, ty: &ColumnType) -> Vec<Condition> {
        if !has_order_of_codecs(ty) {
            return Vec::new();
        }
        let of = |comparison, values: &[Datum]| Condition::new(comparison, values, ty);
        if !range.among.is_empty() {
            return of(Comparison::In, &range.among).into_iter().collect();
        }
        match (&range.lower, &range.upper) {
            (Bound::Included(lower), Bound::Included(upper)) if lower == upper => {
                return of(Comparison::Equal, std::slice::from_ref(lower))
                    .into_iter()
                    .collect();
            }
            (Bound::Included(Datum::Bytes(lower)), Bound::Excluded(Datum::Bytes(upper)))
                if is_after_all_with(upper, lower) =>
            {
                let prefix = Datum::Bytes(lower.clone());
                return of(Comparison::StartsWith, &[prefix]).into_iter().collect();
            }
            _ => {}
        }
        let lower = match &range.lower {
            Bound::Included(lower) => Some((Comparison::GreaterOrEqual, lower)),
            Bound::Excluded(lower) => Some((Comparison::Greater, lower)),
            Bound::Unbounded => None,
        };
        let upper = match &range.upper {
            Bound::Included(upper) => Some((Comparison::LessOrEqual, upper)),
            Bound::Excluded(upper) => Some((Comparison::Less, upper)),
            Bound::Unbounded => None,
        };
        let ends = [lower, upper].into_iter().flatten();
        ends.filter_map(|(comparison, end)| of(comparison, std::slice::from_ref(end)))
            .collect()
    }

    /// `None` for constants that are NULL or no values of the type: the end of a range of texts need not be
    /// a text.
    fn new(comparison: Comparison, constants: &[Datum], ty: &ColumnType) -> Option<Condition> {
        let arrays: Vec<ArrayRef> = constants
            .iter()
            .map(|constant| constant.to_array(ty).ok())
            .collect::<Option<_>>()?;
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        let constants = concat(&arrays).ok()?;
        (constants.null_count() == 0).then_some(Condition {
            comparison,
            constants,
        })
    }
}

impl ColumnRange {
    /// All texts, or bytes, that begin with the first character of one, if it has any.
    pub(super) fn of_first_character(
        column: ColumnId,
        ty: &ColumnType,
        value: &Datum,
    ) -> Option<ColumnRange> {
        let (ColumnType::Text | ColumnType::Bytea, Datum::Bytes(bytes)) = (ty, value) else {
            return None;
        };
        let text = std::str::from_utf8(bytes).ok();
        let length = text
            .and_then(|text| text.chars().next())
            .map_or(1, char::len_utf8);
        let prefix = bytes.get(..length)?.to_vec();
        let mut end = prefix.clone();
        let last = end.last_mut()?;
        *last = last.checked_add(1)?;
        let (lower, upper) = (Datum::Bytes(prefix), Datum::Bytes(end));
        Some(ColumnRange::between(
            column,
            Bound::Included(lower),
            Bound::Excluded(upper),
        ))
    }
}

/// Whether the order that codecs know is the one that keys have.
fn has_order_of_codecs(ty: &ColumnType) -> bool {
    match ty {
        ColumnType::Bool
        | ColumnType::Int16
        | ColumnType::Int32
        | ColumnType::Int64
        | ColumnType::Float32
        | ColumnType::Float64
        | ColumnType::Decimal { .. }
        | ColumnType::Date
        | ColumnType::Time
        | ColumnType::Timestamp
        | ColumnType::TimestampTz
        | ColumnType::Text
        | ColumnType::Bytea
        | ColumnType::Uuid
        | ColumnType::Oid => true,
        ColumnType::Numeric
        | ColumnType::Interval
        | ColumnType::Jsonb
        | ColumnType::Json
        | ColumnType::Array(_) => false,
    }
}

/// Whether `end` is the first of all bytes that is after everything that begins with `prefix`.
fn is_after_all_with(end: &[u8], prefix: &[u8]) -> bool {
    match (end.split_last(), prefix.split_last()) {
        (Some((last, start)), Some((byte, same))) => {
            start == same && byte.checked_add(1) == Some(*last)
        }
        _ => false,
    }
}
