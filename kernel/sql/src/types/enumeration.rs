//! Enums: values of a few labels, in the order of their declaration.
//!
//! A value is kept as its label's *key*, a 64-bit number whose order is that of the labels. Labels are
//! declared with wide gaps between their keys, so that one that is added between two others gets a key
//! between theirs and no row is written again ([`key_between`]).
//!
//! In a plan a value travels as a timestamp of seconds in a time zone of its type's own: the only
//! fixed-width Arrow type with room for a name. So an enum compares, sorts, groups and joins as the number
//! that it is, and the Arrow type names the SQL type, as for every other. Storage sees the bare number;
//! [`wrap`] and [`unwrap`] only change the type of an array.
//!
//! An [`EnumType`] is one version of a declaration: a type that gets another label is another one, of the
//! same oid. Which version a statement has is the catalog's to say, and the catalogs of a process say which
//! versions there are: each holds a [`Declared`], and when nobody does any more, the zone is given to
//! another version. Zones that are zones to Arrow, which prints them, are some thousands
//! ([`VERSIONS_MAX`]), and they are given out in turns, so that a plan that outlives its catalog, an open
//! cursor's, keeps its types for as long as thousands of others come and go.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, PrimitiveArray, StringViewBuilder, TimestampSecondArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit, TimestampSecondType};
use datafusion::scalar::ScalarValue;
use parking_lot::RwLock;

use super::{PgType, TypeRow};
use crate::error::{Result, SqlError, state};

/// What a key of a type begins with.
const KEY: &str = "enum:";
/// Offsets of hours and minutes that Arrow reads, `+00:00` to `+23:59`, where minutes may be up to 99.
const OFFSETS: usize = 2360;
/// Both signs, with a colon or without.
pub const VERSIONS_MAX: usize = 4 * OFFSETS;
/// The distance of the keys of labels that are declared one after the other.
const GAP: i64 = 1 << 48;

/// One version of an enum.
pub struct EnumType {
    id: u64,
    /// The place of its zone.
    slot: usize,
    pub name: &'static str,
    pub(super) row: TypeRow,
    /// In their order.
    labels: Vec<(i64, Box<str>)>,
    keys: HashMap<Box<str>, i64>,
    zone: Arc<str>,
    key: String,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Declaration {
    oid: u32,
    array_oid: u32,
    name: String,
    labels: Vec<(i64, Box<str>)>,
}

#[derive(Default)]
struct Types {
    /// By slot.
    slots: Vec<&'static EnumType>,
    /// Slots of types that nobody has any more, the longest unused first.
    free: VecDeque<usize>,
    known: HashMap<Declaration, Weak<Declared>>,
}

/// Keeps a version of an enum alive.
pub struct Declared {
    pub ty: &'static EnumType,
    declaration: Declaration,
}

impl std::fmt::Debug for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.ty.fmt(f)
    }
}

impl Drop for Declared {
    fn drop(&mut self) {
        let mut types = TYPES.write();
        types.free.push_back(self.ty.slot);
        // It may have been declared again since.
        let is_gone = |known: &Weak<Declared>| known.strong_count() == 0;
        if types.known.get(&self.declaration).is_some_and(is_gone) {
            types.known.remove(&self.declaration);
        }
    }
}

/// How often a zone was given to another version: what was kept by an Arrow type before is of no use.
static REUSES: AtomicU64 = AtomicU64::new(0);

/// Changes when an Arrow type gets another meaning.
pub fn reuses() -> u64 {
    REUSES.load(Ordering::Acquire)
}

static TYPES: LazyLock<RwLock<Types>> = LazyLock::new(RwLock::default);

impl PartialEq for EnumType {
    fn eq(&self, other: &EnumType) -> bool {
        self.id == other.id
    }
}
impl Eq for EnumType {}
impl Hash for EnumType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}
impl std::fmt::Debug for EnumType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// The type of this declaration; `labels` are keys and texts, in the order of the keys. 54000 when more
/// versions are alive than there are zones.
pub fn declare<'a>(
    oid: u32,
    array_oid: u32,
    name: &str,
    labels: impl Iterator<Item = (i64, &'a str)>,
) -> Result<Arc<Declared>> {
    let declaration = Declaration {
        oid,
        array_oid,
        name: name.to_owned(),
        labels: labels.map(|(key, label)| (key, label.into())).collect(),
    };
    let known = |types: &Types| types.known.get(&declaration).and_then(Weak::upgrade);
    if let Some(known) = known(&TYPES.read()) {
        return Ok(known);
    }
    let mut types = TYPES.write();
    if let Some(known) = known(&types) {
        return Ok(known);
    }
    static IDS: AtomicU64 = AtomicU64::new(0);
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let slot = match types.slots.len() {
        used if used < VERSIONS_MAX => used,
        _ => types.free.pop_front().ok_or_else(too_many_versions)?,
    };
    let id = IDS.fetch_add(1, Ordering::Relaxed);
    let name = leak(declaration.name.clone());
    let keys = declaration.labels.iter();
    let ty: &'static EnumType = Box::leak(Box::new(EnumType {
        id,
        slot,
        name,
        row: TypeRow {
            ty: PgType::Unknown,
            oid,
            array_oid,
            name,
            array_name: leak(format!("{name}[]")),
            internal: name,
            array_internal: leak(format!("_{name}")),
            len: 4,
        },
        keys: keys.map(|(key, label)| (label.clone(), *key)).collect(),
        labels: declaration.labels.clone(),
        zone: zone(slot).into(),
        key: format!("{KEY}{id}:{}", zone(slot)),
    }));
    match types.slots.get_mut(slot) {
        Some(place) => {
            *place = ty;
            REUSES.fetch_add(1, Ordering::Release);
        }
        None => types.slots.push(ty),
    }
    let made = Arc::new(Declared {
        ty,
        declaration: declaration.clone(),
    });
    types.known.insert(declaration, Arc::downgrade(&made));
    Ok(made)
}

fn too_many_versions() -> SqlError {
    SqlError::new(
        state::PROGRAM_LIMIT_EXCEEDED,
        format!("there are more than {VERSIONS_MAX} enums in the databases of the server"),
    )
}

/// The zone of a slot, one of those that Arrow reads as an offset.
fn zone(slot: usize) -> String {
    let sign = if (slot / OFFSETS).is_multiple_of(2) {
        '+'
    } else {
        '-'
    };
    let colon = if slot / OFFSETS < 2 { ":" } else { "" };
    let offset = slot % OFFSETS;
    format!("{sign}{:02}{colon}{:02}", offset / 100, offset % 100)
}

/// The slot of a zone, if it is one's.
fn slot(zone: &str) -> Option<usize> {
    let (signs, digits) = match (zone.strip_prefix('+'), zone.strip_prefix('-')) {
        (Some(digits), _) => (0, digits),
        (None, Some(digits)) => (1, digits),
        (None, None) => return None,
    };
    let (colons, hours, minutes) = match (digits.len(), digits.split_once(':')) {
        (5, Some((hours, minutes))) => (0, hours, minutes),
        (4, None) => (2, digits.get(..2)?, digits.get(2..)?),
        _ => return None,
    };
    let offset: usize = hours.parse::<usize>().ok()? * 100 + minutes.parse::<usize>().ok()?;
    (offset < OFFSETS).then_some((colons + signs) * OFFSETS + offset)
}

/// The type with this [`key`](EnumType::key).
pub fn by_key(key: &str) -> Option<&'static EnumType> {
    let (_, zone) = key.strip_prefix(KEY)?.split_once(':')?;
    by_zone(zone).filter(|ty| ty.key == *key)
}

fn by_zone(zone: &str) -> Option<&'static EnumType> {
    let slot = slot(zone)?;
    TYPES.read().slots.get(slot).copied()
}

/// The enum that an Arrow type stands for.
pub fn of_arrow(ty: &DataType) -> Option<&'static EnumType> {
    match ty {
        DataType::Timestamp(TimeUnit::Second, Some(zone)) => by_zone(zone),
        _ => None,
    }
}

/// The keys of labels that are declared together.
pub fn first_keys(count: usize) -> Option<Vec<i64>> {
    let key = |place: usize| GAP.checked_mul(i64::try_from(place).ok()? + 1);
    (0..count).map(key).collect()
}

/// A key between two others, or beyond one; `None` when there is no room.
pub fn key_between(before: Option<i64>, after: Option<i64>) -> Option<i64> {
    let key = match (before, after) {
        (None, None) => GAP,
        (Some(before), None) => match before.checked_add(GAP) {
            Some(key) => key,
            None => before + (i64::MAX - before) / 2,
        },
        (None, Some(after)) => match after.checked_sub(GAP) {
            Some(key) => key,
            None => after - (after - i64::MIN) / 2,
        },
        (Some(before), Some(after)) => i64::midpoint(before, after),
    };
    let is_new = |other: Option<i64>| other != Some(key);
    (is_new(before) && is_new(after)).then_some(key)
}

/// `pg_enum.enumsortorder` of keys in their order: 1, 2, 3 for labels declared together, 1.5 for one that
/// was added between two of them.
pub fn sort_orders(keys: &[i64]) -> Vec<f32> {
    let orders = keys.iter().map(|key| (*key as f64 / GAP as f64) as f32);
    let orders: Vec<f32> = orders.collect();
    match orders.windows(2).all(|pair| pair[0] < pair[1]) {
        true => orders,
        // Closer than a float can tell; PostgreSQL counts anew, too.
        false => (1..=keys.len()).map(|place| place as f32).collect(),
    }
}

impl EnumType {
    pub fn oid(&self) -> u32 {
        self.row.oid
    }

    /// A text that no other type has.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The Arrow type of its values.
    pub fn arrow(&self) -> DataType {
        DataType::Timestamp(TimeUnit::Second, Some(self.zone.clone()))
    }

    /// Keys and texts of the labels, in order.
    pub fn labels(&self) -> &[(i64, Box<str>)] {
        &self.labels
    }

    /// The key of a label; 22P02 when there is no such label.
    pub fn key_of(&self, label: &str) -> Result<i64> {
        self.keys.get(label).copied().ok_or_else(|| {
            SqlError::new(
                state::INVALID_TEXT_REPRESENTATION,
                format!("invalid input value for enum {}: \"{label}\"", self.name),
            )
        })
    }

    /// The label of a key. A row may have one that this version of the type does not know, when it was
    /// written by a later one.
    pub fn label_of(&self, key: i64) -> Option<&str> {
        let at = self.labels.binary_search_by_key(&key, |label| label.0);
        at.ok().map(|at| &*self.labels[at].1)
    }

    pub fn scalar(&self, key: Option<i64>) -> ScalarValue {
        ScalarValue::TimestampSecond(key, Some(self.zone.clone()))
    }

    /// Keys (Int64) as values, or values of another version as those of this one.
    pub fn wrap(&self, keys: &ArrayRef) -> Result<ArrayRef> {
        let values = match keys.data_type() {
            DataType::Int64 => {
                let keys = keys.as_primitive::<Int64Type>();
                keys.reinterpret_cast::<TimestampSecondType>()
            }
            DataType::Timestamp(TimeUnit::Second, _) => {
                keys.as_primitive::<TimestampSecondType>().clone()
            }
            other => {
                return Err(SqlError::internal(format!(
                    "{other} where keys of {} are expected",
                    self.name
                )));
            }
        };
        Ok(Arc::new(values.with_timezone(self.zone.clone())))
    }

    /// These keys as values.
    pub fn array(&self, keys: Vec<i64>) -> ArrayRef {
        let values = TimestampSecondArray::new(ScalarBuffer::from(keys), None);
        Arc::new(values.with_timezone(self.zone.clone()))
    }

    /// Values as text (Utf8View).
    pub fn format(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let mut out = StringViewBuilder::with_capacity(values.len());
        for row in 0..values.len() {
            match key_at(values.as_ref(), row) {
                Some(key) => out.append_value(self.label_of(key).ok_or_else(|| self.unknown(key))?),
                None => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()))
    }

    fn unknown(&self, key: i64) -> SqlError {
        SqlError::new(
            state::INVALID_BINARY_REPRESENTATION,
            format!("invalid internal value for enum {}: {key}", self.name),
        )
    }
}

/// The key of a value, as storage or a plan has it.
pub fn key_at(values: &dyn Array, row: usize) -> Option<i64> {
    if values.is_null(row) {
        return None;
    }
    match values.data_type() {
        DataType::Int64 => Some(values.as_primitive::<Int64Type>().value(row)),
        DataType::Timestamp(TimeUnit::Second, _) => {
            Some(values.as_primitive::<TimestampSecondType>().value(row))
        }
        _ => None,
    }
}

/// Whether a type is an enum, or of arrays of one.
pub fn is_wrapped(ty: &DataType) -> bool {
    match ty {
        DataType::List(item) => of_arrow(item.data_type()).is_some(),
        ty => of_arrow(ty).is_some(),
    }
}

/// Values of enums, or arrays of them, as storage has them; anything else as it is.
pub fn unwrap(values: &ArrayRef) -> ArrayRef {
    if of_arrow(values.data_type()).is_some() {
        let values = values.as_primitive::<TimestampSecondType>();
        let keys: PrimitiveArray<Int64Type> = values.reinterpret_cast();
        return Arc::new(keys);
    }
    match is_wrapped(values.data_type()) {
        true => with_items(
            values.as_list::<i32>(),
            unwrap(values.as_list::<i32>().values()),
        ),
        false => values.clone(),
    }
}

/// A column that storage gave, as the plan's type has it; `None` when that is no enum's.
pub fn wrap(values: &ArrayRef, ty: &DataType) -> Option<Result<ArrayRef>> {
    if let Some(of) = of_arrow(ty) {
        return Some(of.wrap(values));
    }
    let (DataType::List(item), DataType::List(_)) = (ty, values.data_type()) else {
        return None;
    };
    let of = of_arrow(item.data_type())?;
    let list = values.as_list::<i32>();
    Some(of.wrap(list.values()).map(|items| with_items(list, items)))
}

fn with_items(list: &ListArray, items: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
    Arc::new(ListArray::new(field, offsets, items, nulls))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mood(oid: u32, labels: &[&'static str]) -> Arc<Declared> {
        let keys = first_keys(labels.len()).unwrap();
        let labels = keys.into_iter().zip(labels.iter().copied());
        declare(oid, oid + 1, "mood", labels).unwrap()
    }

    #[test]
    fn a_declaration_is_one_type_and_another_is_another() {
        let one = mood(70_000, &["sad", "ok"]);
        assert_eq!(mood(70_000, &["sad", "ok"]).ty, one.ty);
        assert_ne!(mood(70_000, &["sad", "ok", "happy"]).ty, one.ty);
        assert_ne!(mood(70_010, &["sad", "ok"]).ty, one.ty);
        let ty = PgType::Enum(one.ty);
        assert_eq!(PgType::from_arrow(&ty.arrow()), Some(ty.clone()));
        let list = ty.clone().array_of();
        assert_eq!(PgType::from_arrow(&list.arrow()), Some(list.clone()));
        assert_eq!(PgType::from_key(&ty.key()), Some(ty));
        assert_eq!(PgType::from_key(&list.key()), Some(list));
    }

    #[test]
    fn values_go_to_storage_and_back() {
        let declared = mood(70_020, &["sad", "ok"]);
        let mood = declared.ty;
        let values = mood.array(vec![
            mood.key_of("ok").unwrap(),
            mood.key_of("sad").unwrap(),
        ]);
        let stored = unwrap(&values);
        assert_eq!(*stored.data_type(), DataType::Int64);
        let back = wrap(&stored, &mood.arrow()).unwrap().unwrap();
        assert_eq!(back.as_ref(), values.as_ref());
        let text = mood.format(&stored).unwrap();
        let text: Vec<_> = text.as_string_view().iter().flatten().collect();
        assert_eq!(text, ["ok", "sad"]);
        let error = mood.key_of("Sad").unwrap_err();
        assert_eq!(error.code, state::INVALID_TEXT_REPRESENTATION);
        assert_eq!(error.message, "invalid input value for enum mood: \"Sad\"");
    }

    /// Arrow prints values of lists, and refuses zones that are none.
    #[test]
    fn every_zone_is_one_to_arrow_and_leads_back() {
        for place in 0..VERSIONS_MAX {
            assert_eq!(slot(&zone(place)), Some(place));
            assert!(zone(place).parse::<arrow::array::timezone::Tz>().is_ok());
        }
        for no_zone in ["UTC", "+24:00", "-2360", "+1:00", "0100", "", "+"] {
            assert_eq!(slot(no_zone), None, "{no_zone}");
        }
        let declared = mood(70_030, &["sad", "ok"]);
        let items = declared.ty.array(vec![GAP, i64::MAX, i64::MIN]);
        let list = ScalarValue::new_list_from_iter(
            (0..3).map(|row| ScalarValue::try_from_array(&items, row).unwrap()),
            items.data_type(),
            true,
        );
        assert!(!ScalarValue::List(list).to_string().is_empty());
    }

    #[test]
    fn zones_of_versions_that_nobody_has_are_given_out_again() {
        let kept = mood(70_040, &["sad"]);
        for version in 0..VERSIONS_MAX as u32 + 10 {
            let one = mood(80_000 + 2 * version, &["sad"]);
            assert_eq!(of_arrow(&one.ty.arrow()), Some(one.ty));
        }
        assert_eq!(of_arrow(&kept.ty.arrow()), Some(kept.ty));
        assert_eq!(mood(70_040, &["sad"]).ty, kept.ty);
        assert!(reuses() > 0);
    }

    /// A plain list of names is the model: wherever one is put, keys stay in the list's order.
    #[test]
    fn keys_stay_in_order_wherever_a_label_is_put() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        for _ in 0..50 {
            let mut keys = first_keys(random(4)).unwrap();
            for _ in 0..200 {
                let at = random(keys.len() + 1);
                let before = at.checked_sub(1).map(|at| keys[at]);
                let key = key_between(before, keys.get(at).copied()).unwrap();
                keys.insert(at, key);
                assert!(keys.is_sorted_by(|a, b| a < b));
                let orders = sort_orders(&keys);
                assert!(orders.is_sorted_by(|a, b| a < b));
            }
        }
    }

    #[test]
    fn room_ends_at_one_place_and_not_at_the_ends() {
        let (low, high) = (GAP, 2 * GAP);
        let mut next = high;
        let mut count = 0;
        while let Some(key) = key_between(Some(low), Some(next)) {
            next = key;
            count += 1;
        }
        assert_eq!(count, 48);
        let mut last = GAP;
        for _ in 0..33_000 {
            last = key_between(Some(last), None).unwrap_or(last);
        }
        assert!(last > i64::MAX - GAP);
        assert_eq!(key_between(Some(i64::MAX - 1), None), None);
    }

    #[test]
    fn sort_orders_are_those_of_postgresql() {
        let mut keys = first_keys(3).unwrap();
        assert_eq!(sort_orders(&keys), [1.0, 2.0, 3.0]);
        keys.insert(1, key_between(Some(keys[0]), Some(keys[1])).unwrap());
        keys.insert(0, key_between(None, Some(keys[0])).unwrap());
        assert_eq!(sort_orders(&keys), [0.0, 1.0, 1.5, 2.0, 3.0]);
        assert_eq!(sort_orders(&[GAP, GAP + 1]), [1.0, 2.0]);
    }
}
