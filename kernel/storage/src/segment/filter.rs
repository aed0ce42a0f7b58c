//! What spares a read: zone maps for row blocks, ranges and conditions for their rows, bloom filters for
//! keys.
//!
//! Zone maps and bloom filters may say "perhaps" when the truth is no, and never say no when it is yes.
//! [`ValueRange`] is exact but for lists of values; so is what a [`RowFilter`] leaves out, and it may leave out less.

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::OnceLock;

use arrow_array::builder::make_view;
use arrow_array::{Array, ArrayRef, StringViewArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, Buffer};
use arrow_data::MAX_INLINE_VIEW_LEN;

use super::format::ZoneMap;
use crate::codec::Condition;
use crate::datum::arrow::ColumnValues;
use crate::datum::{Datum, fixed, malformed};
use crate::error::Result;
use crate::ids::ColumnId;
use crate::key::{append_ordered, ordered_bytes, ordered_fixed};
use crate::schema::ColumnType;

/// Whole numbers that differ in their last so many bytes only can be counted.
const NUMBER_BYTES: usize = 8;

/// A condition `lower ≤ column ≤ upper` (or strict, or open) that every wanted row meets. NULL
/// meets none. Rows that do not meet it may still be returned.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnRange {
    pub column: ColumnId,
    pub lower: Bound<Datum>,
    pub upper: Bound<Datum>,
    /// When not empty: the values that are wanted, none of them NULL. The bounds then are theirs.
    pub among: Vec<Datum>,
}

impl ColumnRange {
    /// All values between two bounds.
    pub fn between(column: ColumnId, lower: Bound<Datum>, upper: Bound<Datum>) -> ColumnRange {
        ColumnRange {
            column,
            lower,
            upper,
            among: Vec::new(),
        }
    }

    /// Some values, none of them NULL, and at least one.
    pub fn one_of(column: ColumnId, among: Vec<Datum>) -> ColumnRange {
        ColumnRange {
            column,
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
            among,
        }
    }

    /// The bounds, and the keys of the values in order.
    fn parts(&self, ty: &ColumnType) -> Result<Parts> {
        let keyed = self.among.iter().map(|datum| {
            let key = ordered_key(ty, datum)?;
            Ok((key, datum))
        });
        let mut keyed = keyed.collect::<Result<Vec<_>>>()?;
        keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let included = |datum: &Datum| Bound::Included(datum.clone());
        let (lower, upper) = match keyed.as_slice() {
            [] => (self.lower.clone(), self.upper.clone()),
            [(_, one)] => (included(one), included(one)),
            [(_, least), .., (_, most)] => (included(least), included(most)),
        };
        let among = keyed.into_iter().map(|(key, _)| key).collect();
        Ok(Parts {
            lower,
            upper,
            among,
        })
    }
}

/// A range taken apart.
struct Parts {
    lower: Bound<Datum>,
    upper: Bound<Datum>,
    among: Vec<Vec<u8>>,
}

/// A condition of the caller's that every wanted row meets. It is asked about rows that are there and that
/// the ranges allow, before other columns are read. Rows that do not meet it may still be returned.
pub trait RowFilter: Debug + Send + Sync {
    /// The columns it reads, by their places in the projection; none when it need not be asked.
    fn columns(&self) -> &[usize];

    /// Which of the rows meet it, given those columns; `None` when it cannot tell.
    fn select(&self, columns: &[ArrayRef]) -> Option<BooleanBuffer>;
}

/// A [`ColumnRange`] with its bounds in key order.
pub(super) struct ZoneFilter {
    pub column: ColumnId,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    /// When not empty: the only keys that are wanted, in order.
    among: Vec<Vec<u8>>,
    /// Whether the keys of values are numbers one apart.
    is_whole: bool,
}

impl ZoneFilter {
    /// `None` when the range cannot be held against zone maps. A bound of NULL is met by nothing
    /// in SQL; callers do not give one, and here it counts as open.
    pub fn new(range: &ColumnRange, ty: &ColumnType) -> Result<Option<ZoneFilter>> {
        if matches!(ty, ColumnType::Array(_)) {
            return Ok(None);
        }
        let encode = |datum: &Datum| ordered_key(ty, datum);
        let parts = range.parts(ty)?;
        let key = |bound: &Bound<Datum>| -> Result<Bound<Vec<u8>>> {
            Ok(match bound {
                Bound::Unbounded | Bound::Included(Datum::Null) | Bound::Excluded(Datum::Null) => {
                    Bound::Unbounded
                }
                Bound::Included(datum) => Bound::Included(encode(datum)?),
                Bound::Excluded(datum) => Bound::Excluded(encode(datum)?),
            })
        };
        Ok(Some(ZoneFilter {
            column: range.column,
            lower: key(&parts.lower)?,
            upper: key(&parts.upper)?,
            among: parts.among,
            is_whole: is_whole_number(ty),
        }))
    }

    /// Whether a page with these bounds may hold a value in the range.
    pub fn may_match(&self, zone: &ZoneMap) -> bool {
        // The values lie in [min, max], or up to whatever starts with max when max is cut.
        let below_upper = match &self.upper {
            Bound::Unbounded => true,
            Bound::Included(upper) => zone.min <= *upper,
            Bound::Excluded(upper) => zone.min < *upper,
        };
        let cut = |lower: &[u8]| zone.max_cut && lower.starts_with(&zone.max);
        let above_lower = match &self.lower {
            Bound::Unbounded => true,
            Bound::Included(lower) => zone.max >= *lower || cut(lower),
            Bound::Excluded(lower) => zone.max > *lower || cut(lower),
        };
        // The first that is not below all values is the nearest to them.
        let first = self.among.partition_point(|key| *key < zone.min);
        let nearest = self.among.get(first);
        let is_there = nearest.is_some_and(|key| *key <= zone.max || cut(key));
        below_upper && above_lower && (self.among.is_empty() || is_there)
    }

    /// What share of a page's values is in the range, if they lie evenly between its bounds; `None` for
    /// values that may lie anywhere, since there is no next one to each.
    pub fn share(&self, zone: &ZoneMap) -> Option<f64> {
        if !self.may_match(zone) {
            return Some(0.0);
        }
        if self.must_match(zone) {
            return Some(1.0);
        }
        // All that lies between the bounds starts as both do, and what follows is a number.
        let same = zone.min.iter().zip(&zone.max).take_while(|(a, b)| a == b);
        let start = same.count();
        let digits = zone.max.len() - start;
        if !self.is_whole || digits > NUMBER_BYTES {
            return None;
        }
        let number = |key: &[u8]| {
            let digits = key.get(start..start + digits).unwrap_or_default();
            digits
                .iter()
                .fold(0, |number: u64, digit| number << 8 | u64::from(*digit)) as f64
        };
        let (min, max) = (number(&zone.min), number(&zone.max));
        let from = match &self.lower {
            Bound::Included(lower) | Bound::Excluded(lower) if *lower > zone.min => number(lower),
            _ => min,
        };
        let to = match &self.upper {
            Bound::Included(upper) | Bound::Excluded(upper) if *upper < zone.max => number(upper),
            _ => max,
        };
        Some(((to - from + 1.0) / (max - min + 1.0)).clamp(0.0, 1.0))
    }

    /// Whether all values of a page with these bounds are in the range, whether they are among those that
    /// are wanted of it or not.
    pub fn must_match(&self, zone: &ZoneMap) -> bool {
        let above_lower = match &self.lower {
            Bound::Unbounded => true,
            Bound::Included(lower) => zone.min >= *lower,
            Bound::Excluded(lower) => zone.min > *lower,
        };
        let below_upper = match &self.upper {
            Bound::Unbounded => true,
            _ if zone.max_cut => false,
            Bound::Included(upper) => zone.max <= *upper,
            Bound::Excluded(upper) => zone.max < *upper,
        };
        above_lower && below_upper
    }
}

/// Which numbers lie in a range, both ends inside, as far as their width can hold it: those whose distance
/// from its lower end is no more than that of the upper.
macro_rules! in_range {
    ($number:ty, $distance:ty, $slots:expr, $low:expr, $high:expr) => {{
        let (slots, _) = $slots.as_chunks();
        let (least, most) = (<$number>::MIN as i128, <$number>::MAX as i128);
        if $low > $high || $low > most || $high < least {
            BooleanBuffer::new_unset(slots.len())
        } else {
            let (low, high) = ($low.max(least) as $number, $high.min(most) as $number);
            let distance = |number: $number| number.wrapping_sub(low) as $distance;
            let span = distance(high);
            bits_of(slots, |slot| {
                distance(<$number>::from_le_bytes(slot)) <= span
            })
        }
    }};
}

/// A [`ColumnRange`] that values are held against, in the form they have in pages.
pub(super) struct ValueRange {
    bounds: Bounds,
    /// The keys of those that are wanted, in order; empty for all within the bounds.
    among: Vec<Vec<u8>>,
    range: ColumnRange,
    ty: ColumnType,
    /// What codecs from outside are asked, once one is.
    conditions: OnceLock<Vec<Condition>>,
}

enum Bounds {
    /// Of whole numbers, both ends inside.
    Numbers(i128, i128),
    /// Of the ordered forms of other fixed widths.
    Ordered(Bound<u128>, Bound<u128>),
    /// Of the ordered parts of variable widths.
    Bytes(Bound<Vec<u8>>, Bound<Vec<u8>>),
}

impl ValueRange {
    /// `None` when the range rules nothing out that can be told by it.
    pub fn new(range: &ColumnRange, ty: &ColumnType) -> Result<Option<ValueRange>> {
        let known = |bound: &Bound<Datum>| {
            !matches!(
                bound,
                Bound::Unbounded | Bound::Included(Datum::Null) | Bound::Excluded(Datum::Null)
            )
        };
        if matches!(ty, ColumnType::Array(_)) {
            return Ok(None);
        }
        let Parts {
            lower,
            upper,
            among,
        } = range.parts(ty)?;
        if !known(&lower) && !known(&upper) {
            return Ok(None);
        }
        let value = |bound: &Bound<Datum>| -> Result<Bound<Vec<u8>>> {
            let write = |datum: &Datum| {
                let mut value = Vec::new();
                datum.write_value(ty, &mut value).map(|()| value)
            };
            Ok(match bound {
                Bound::Included(datum) if *datum != Datum::Null => Bound::Included(write(datum)?),
                Bound::Excluded(datum) if *datum != Datum::Null => Bound::Excluded(write(datum)?),
                _ => Bound::Unbounded,
            })
        };
        let (lower, upper) = (value(&lower)?, value(&upper)?);
        let bounds = if is_whole_number(ty) {
            let low = match &lower {
                Bound::Included(value) => Some(whole_number(ty, value)?),
                Bound::Excluded(value) => whole_number(ty, value)?.checked_add(1),
                Bound::Unbounded => Some(i128::MIN),
            };
            let high = match &upper {
                Bound::Included(value) => Some(whole_number(ty, value)?),
                Bound::Excluded(value) => whole_number(ty, value)?.checked_sub(1),
                Bound::Unbounded => Some(i128::MAX),
            };
            // What is above all numbers, or below, is none.
            let (low, high) = low.zip(high).unwrap_or((1, 0));
            Bounds::Numbers(low, high)
        } else if ty.fixed_width_bytes().is_some() {
            let ordered = |bound: Bound<Vec<u8>>| -> Result<Bound<u128>> {
                Ok(match bound {
                    Bound::Included(value) => Bound::Included(ordered_fixed(ty, &value)?),
                    Bound::Excluded(value) => Bound::Excluded(ordered_fixed(ty, &value)?),
                    Bound::Unbounded => Bound::Unbounded,
                })
            };
            Bounds::Ordered(ordered(lower)?, ordered(upper)?)
        } else {
            let ordered = |bound: Bound<Vec<u8>>| -> Result<Bound<Vec<u8>>> {
                Ok(match bound {
                    Bound::Included(value) => Bound::Included(ordered_bytes(ty, &value)?.to_vec()),
                    Bound::Excluded(value) => Bound::Excluded(ordered_bytes(ty, &value)?.to_vec()),
                    Bound::Unbounded => Bound::Unbounded,
                })
            };
            Bounds::Bytes(ordered(lower)?, ordered(upper)?)
        };
        Ok(Some(ValueRange {
            bounds,
            among,
            range: range.clone(),
            ty: ty.clone(),
            conditions: OnceLock::new(),
        }))
    }

    /// Whether only some values between the bounds are wanted, which [`ValueRange::select`] does not tell.
    pub fn is_list(&self) -> bool {
        !self.among.is_empty()
    }

    /// The range as codecs from outside are asked about it; none when they cannot be.
    pub fn conditions(&self) -> &[Condition] {
        let make = || Condition::of_range(&self.range, &self.ty);
        self.conditions.get_or_init(make)
    }

    /// The range of whole numbers as distances from `base`, both ends inside, as far as distances of 64
    /// bits go; `None` when none of those is in the range.
    pub fn numbers_from(&self, base: i128) -> Option<(u64, u64)> {
        let Bounds::Numbers(low, high) = self.bounds else {
            return None;
        };
        if low > high || high < base {
            return None;
        }
        let distance = |number: i128| {
            // Not below the base: what overflows is far above it.
            u64::try_from(number.checked_sub(base).unwrap_or(i128::MAX))
        };
        let low = if low <= base { 0 } else { distance(low).ok()? };
        Some((low, distance(high).unwrap_or(u64::MAX)))
    }

    /// Which of few values are wanted.
    pub fn select_few(&self, ty: &ColumnType, array: &dyn Array) -> Result<BooleanBuffer> {
        let inside = self.select(ty, array)?;
        if self.among.is_empty() {
            return Ok(inside);
        }
        let values = ColumnValues::new(ty, array)?;
        let (mut value, mut key) = (Vec::new(), Vec::new());
        let mut wanted = BooleanBufferBuilder::new(array.len());
        for row in 0..array.len() {
            value.clear();
            key.clear();
            wanted.append(
                inside.value(row) && {
                    values.write(row, &mut value)?;
                    append_ordered(ty, &value, &mut key)?;
                    self.among.binary_search(&key).is_ok()
                },
            );
        }
        Ok(wanted.finish())
    }

    /// Which values of an array of `ty` lie between the bounds. NULL does not.
    pub fn select(&self, ty: &ColumnType, array: &dyn Array) -> Result<BooleanBuffer> {
        let values = ColumnValues::new(ty, array)?;
        let rows = array.len();
        let slots = values.slots(0..rows);
        let inside = match (&self.bounds, slots) {
            (Bounds::Numbers(low, high), Some(slots)) => {
                let (low, high) = (*low, *high);
                match ty {
                    ColumnType::Int16 => in_range!(i16, u16, slots, low, high),
                    ColumnType::Int32 | ColumnType::Date => in_range!(i32, u32, slots, low, high),
                    ColumnType::Oid => in_range!(u32, u32, slots, low, high),
                    ColumnType::Decimal { .. } => in_range!(i128, u128, slots, low, high),
                    _ => in_range!(i64, u64, slots, low, high),
                }
            }
            (Bounds::Bytes(low, high), None) if *ty == ColumnType::Text => {
                let low = low.as_ref().map(Vec::as_slice);
                texts_in_range(values.texts()?, low, high.as_ref().map(Vec::as_slice))
            }
            _ => {
                let mut value = Vec::new();
                let mut failed = None;
                let inside = BooleanBuffer::collect_bool(rows, |row| {
                    value.clear();
                    if values.is_null(row) {
                        return false;
                    }
                    let inside = values
                        .write(row, &mut value)
                        .and_then(|()| self.holds(ty, &value));
                    inside.unwrap_or_else(|e| {
                        failed = Some(e);
                        false
                    })
                });
                match failed {
                    Some(error) => return Err(error),
                    None => inside,
                }
            }
        };
        Ok(match array.nulls() {
            Some(nulls) => &inside & nulls.inner(),
            None => inside,
        })
    }

    /// Whether the value, in its bytes, lies in the range.
    fn holds(&self, ty: &ColumnType, value: &[u8]) -> Result<bool> {
        Ok(match &self.bounds {
            Bounds::Numbers(low, high) => (*low..=*high).contains(&whole_number(ty, value)?),
            Bounds::Ordered(low, high) => {
                (low.as_ref(), high.as_ref()).contains(&ordered_fixed(ty, value)?)
            }
            Bounds::Bytes(low, high) => {
                let value = ordered_bytes(ty, value)?;
                let (low, high) = (
                    low.as_ref().map(Vec::as_slice),
                    high.as_ref().map(Vec::as_slice),
                );
                <(Bound<&[u8]>, Bound<&[u8]>) as RangeBounds<[u8]>>::contains(&(low, high), value)
            }
        })
    }
}

/// The bytes by which a value has its place in an order.
fn ordered_key(ty: &ColumnType, datum: &Datum) -> Result<Vec<u8>> {
    let (mut value, mut key) = (Vec::new(), Vec::new());
    datum.write_value(ty, &mut value)?;
    append_ordered(ty, &value, &mut key)?;
    Ok(key)
}

/// A bit for each slot. The answers are made by the byte first, which compilers do several at a time.
fn bits_of<const N: usize>(slots: &[[u8; N]], holds: impl Fn([u8; N]) -> bool) -> BooleanBuffer {
    let mut bytes = Vec::with_capacity(slots.len().div_ceil(8));
    let mut answers = [0u8; 64];
    for slots in slots.chunks(answers.len()) {
        for (answer, slot) in answers.iter_mut().zip(slots) {
            *answer = u8::from(holds(*slot));
        }
        let (eights, _) = answers.as_chunks::<8>();
        // Of eight bytes that are 0 or 1 the product has them in its highest byte, the first lowest.
        let bits = eights
            .iter()
            .map(|eight| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56);
        bytes.extend(bits.take(slots.len().div_ceil(8)).map(|byte| byte as u8));
    }
    BooleanBuffer::new(Buffer::from_vec(bytes), 0, slots.len())
}

/// Which texts lie in the range. That one does not equal another is mostly told by its view.
fn texts_in_range(texts: &StringViewArray, low: Bound<&[u8]>, high: Bound<&[u8]>) -> BooleanBuffer {
    match (low, high) {
        (Bound::Included(wanted), Bound::Included(high)) if wanted == high => {
            let view = make_view(wanted, 0, 0);
            let is_inside = wanted.len() <= MAX_INLINE_VIEW_LEN as usize;
            let views = texts.views();
            BooleanBuffer::collect_bool(views.len(), |row| match is_inside {
                true => views[row] == view,
                // Length and first bytes.
                false => views[row] as u64 == view as u64 && texts.value(row).as_bytes() == wanted,
            })
        }
        range => BooleanBuffer::collect_bool(texts.len(), |row| {
            let value = texts.value(row).as_bytes();
            <(Bound<&[u8]>, Bound<&[u8]>) as RangeBounds<[u8]>>::contains(&range, value)
        }),
    }
}

/// Whether values of a type are whole numbers, and order as such.
fn is_whole_number(ty: &ColumnType) -> bool {
    matches!(
        ty,
        ColumnType::Bool
            | ColumnType::Int16
            | ColumnType::Int32
            | ColumnType::Int64
            | ColumnType::Decimal { .. }
            | ColumnType::Date
            | ColumnType::Time
            | ColumnType::Timestamp
            | ColumnType::TimestampTz
            | ColumnType::Oid
    )
}

fn whole_number(ty: &ColumnType, value: &[u8]) -> Result<i128> {
    Ok(match ty {
        ColumnType::Bool => i128::from(fixed::<1>(value)?[0]),
        ColumnType::Int16 => i16::from_le_bytes(fixed(value)?).into(),
        ColumnType::Int32 | ColumnType::Date => i32::from_le_bytes(fixed(value)?).into(),
        ColumnType::Oid => u32::from_le_bytes(fixed(value)?).into(),
        ColumnType::Decimal { .. } => i128::from_le_bytes(fixed(value)?),
        _ => i64::from_le_bytes(fixed(value)?).into(),
    })
}

const BLOOM_BITS_PER_KEY: u64 = 10;
/// ln 2 times bits per key: about 0.8 % false positives.
const BLOOM_PROBES: u64 = 7;

/// A bloom filter (Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 1970)
/// whose probes are h1 + i·h2 (Kirsch and Mitzenmacher, "Less Hashing, Same Performance", 2006).
///
/// Its page is the bits, a multiple of 8 bytes; probes and hash belong to the format's version.
pub(super) struct Bloom {
    words: Buffer,
}

impl Bloom {
    /// The bytes of a filter of keys with these [`bloom_hash`]es.
    pub fn build(hashes: &[u64]) -> Vec<u8> {
        let bits = (hashes.len() as u64 * BLOOM_BITS_PER_KEY)
            .div_ceil(64)
            .max(1)
            * 64;
        let mut bytes = vec![0; (bits / 8) as usize];
        for hash in hashes {
            for bit in probes(*hash, bits) {
                bytes[(bit / 8) as usize] |= 1 << (bit % 8);
            }
        }
        bytes
    }

    /// The bytes of a filter that spares nothing and takes no room.
    pub fn of_everything() -> Vec<u8> {
        vec![u8::MAX; 8]
    }

    pub fn decode(page: Buffer) -> Result<Bloom> {
        if page.is_empty() || !page.len().is_multiple_of(8) {
            return Err(malformed("a bloom filter", format!("{} bytes", page.len())));
        }
        Ok(Bloom { words: page })
    }

    pub fn may_contain(&self, key: &[u8]) -> bool {
        let bits = self.words.len() as u64 * 8;
        probes(bloom_hash(key), bits)
            .all(|bit| self.words[(bit / 8) as usize] & (1 << (bit % 8)) != 0)
    }

    pub fn bytes(&self) -> usize {
        self.words.len()
    }
}

fn probes(hash: u64, bits: u64) -> impl Iterator<Item = u64> {
    // An odd step cannot be 0.
    let (start, step) = (hash, hash.rotate_left(32) | 1);
    (0..BLOOM_PROBES).map(move |i| start.wrapping_add(i.wrapping_mul(step)) % bits)
}

/// Eight bytes at a time through MurmurHash3's 64-bit finalizer, seeded with the length.
pub(super) fn bloom_hash(key: &[u8]) -> u64 {
    let mut hash = mix(key.len() as u64 ^ 0x9E37_79B9_7F4A_7C15);
    for chunk in key.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    hash
}

fn mix(mut h: u64) -> u64 {
    h ^= h >> 33;
    h = h.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    h ^= h >> 33;
    h = h.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    h ^ (h >> 33)
}
