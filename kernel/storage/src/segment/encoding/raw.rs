//! The plain form of a column page, taken apart for encoding; `column` has its drawing.

use crate::datum::malformed;
use crate::error::Result;
use crate::schema::ColumnType;

/// See the module's header.
pub(super) struct RawColumn<'a> {
    pub ty: &'a ColumnType,
    pub rows: usize,
    /// Bits, of which one that is not set is a NULL; `None` when nothing is.
    pub validity: Option<&'a [u8]>,
    pub values: RawValues<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum RawValues<'a> {
    Slots {
        width: usize,
        slots: &'a [u8],
    },
    /// `ends` are u32, one for each row and one before them.
    Variable {
        offsets: &'a [[u8; 4]],
        bytes: &'a [u8],
    },
}

impl<'a> RawColumn<'a> {
    pub fn parse(ty: &'a ColumnType, rows: usize, raw: &'a [u8]) -> Result<RawColumn<'a>> {
        let short = || {
            malformed(
                format!("a page of {rows} rows"),
                format!("{} bytes", raw.len()),
            )
        };
        let (values, rest) = match ty.fixed_width_bytes() {
            Some(width) => {
                let (slots, rest) = raw.split_at_checked(rows * width).ok_or_else(short)?;
                (RawValues::Slots { width, slots }, rest)
            }
            None => {
                let (offsets, rest) = raw.split_at_checked((rows + 1) * 4).ok_or_else(short)?;
                let (offsets, _) = offsets.as_chunks::<4>();
                let end = offsets.last().map_or(0, |end| u32::from_le_bytes(*end));
                let (bytes, rest) = rest.split_at_checked(end as usize).ok_or_else(short)?;
                (RawValues::Variable { offsets, bytes }, rest)
            }
        };
        Ok(RawColumn {
            ty,
            rows,
            validity: (!rest.is_empty()).then_some(rest),
            values,
        })
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.validity
            .is_some_and(|bits| bits[row / 8] & (1 << (row % 8)) == 0)
    }

    /// The bytes of a row's value; of a NULL something.
    pub fn value(&self, row: usize) -> &'a [u8] {
        match self.values {
            RawValues::Slots { width, slots } => &slots[row * width..][..width],
            RawValues::Variable { offsets, bytes } => {
                let at = |row: usize| u32::from_le_bytes(offsets[row]) as usize;
                &bytes[at(row)..at(row + 1)]
            }
        }
    }

    /// The first row that is not NULL.
    pub fn first_value(&self) -> Option<usize> {
        (0..self.rows).find(|row| !self.is_null(*row))
    }

    /// The values of a whole-number type as distances from the lowest of them, NULLs as the value before;
    /// `None` for other types, and when the distances do not fit.
    pub fn numbers(&self) -> Option<(i128, Vec<u64>)> {
        let RawValues::Slots { slots, .. } = self.values else {
            return None;
        };
        match self.ty {
            ColumnType::Bool => self.distances(slots, u8::from_le_bytes),
            ColumnType::Int16 => self.distances(slots, i16::from_le_bytes),
            ColumnType::Int32 | ColumnType::Date => self.distances(slots, i32::from_le_bytes),
            ColumnType::Oid => self.distances(slots, u32::from_le_bytes),
            ColumnType::Int64
            | ColumnType::Time
            | ColumnType::Timestamp
            | ColumnType::TimestampTz => self.distances(slots, i64::from_le_bytes),
            ColumnType::Decimal { .. } => self.distances(slots, i128::from_le_bytes),
            _ => None,
        }
    }

    fn distances<const N: usize, T: Ord + Copy + Into<i128>>(
        &self,
        slots: &[u8],
        value: impl Fn([u8; N]) -> T,
    ) -> Option<(i128, Vec<u64>)> {
        let (slots, _) = slots.as_chunks::<N>();
        let first = value(slots[self.first_value()?]);
        let (mut min, mut max) = (first, first);
        for (row, slot) in slots.iter().enumerate() {
            if !self.is_null(row) {
                let value = value(*slot);
                min = min.min(value);
                max = max.max(value);
            }
        }
        let base: i128 = min.into();
        u64::try_from(max.into().checked_sub(base)?).ok()?;
        // In 64 bits the difference is what it would be in 128.
        let distance = |value: T| (value.into() as u64).wrapping_sub(base as u64);
        let mut last = distance(first);
        let numbers = slots.iter().enumerate().map(|(row, slot)| {
            if !self.is_null(row) {
                last = distance(value(*slot));
            }
            last
        });
        Some((base, numbers.collect()))
    }
}
