//! Types of plugins: values of a built-in type under a name of their own.
//!
//! A value travels as the built-in value that stores it, inside an Arrow struct whose only field is
//! called as no other is (`point#3`). So the Arrow type names the SQL type, as for every other, and
//! wrapping or unwrapping a column costs nothing. Storage never sees the struct.
//!
//! The identity of a type is made once per process and lives as long as it, because an Arrow type,
//! which has no database, has to lead back to it. What reads and writes the values is the plugin's
//! ([`ExtensionType::activate`]); while no server of the process runs the plugin, values can be kept,
//! compared and dropped, but neither read from text nor shown (55000).

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, ListArray, RecordBatch, StringViewArray, StructArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use heliosdb_plugin_host::active::types::Type;
use parking_lot::RwLock;

use super::{PgType, TypeRow, enumeration, jsonpath};
use crate::error::{Result, SqlError, state};

/// Derived oids are between this and twice this: above all that are counted out.
const DERIVED: u32 = 1 << 30;

/// The identity of a plugin's type.
pub struct ExtensionType {
    id: usize,
    pub plugin: &'static str,
    pub name: &'static str,
    /// The built-in type of its values.
    pub storage: PgType,
    /// Values compare as their storage does.
    pub ordered: bool,
    pub(super) row: TypeRow,
    fields: Fields,
    /// The plugin in each server of the process that runs it.
    active: RwLock<Vec<Weak<Type>>>,
}

static TYPES: RwLock<Vec<&'static ExtensionType>> = RwLock::new(Vec::new());

impl PartialEq for ExtensionType {
    fn eq(&self, other: &ExtensionType) -> bool {
        self.id == other.id
    }
}
impl Eq for ExtensionType {}
impl Hash for ExtensionType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}
impl std::fmt::Debug for ExtensionType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// The type of this declaration.
pub fn declare(
    plugin: &str,
    name: &str,
    storage: &PgType,
    ordered: bool,
) -> &'static ExtensionType {
    let is_it = |t: &&&ExtensionType| {
        t.plugin == plugin && t.name == name && t.storage == *storage && t.ordered == ordered
    };
    if let Some(known) = TYPES.read().iter().find(is_it) {
        return known;
    }
    let mut types = TYPES.write();
    if let Some(known) = types.iter().find(is_it) {
        return known;
    }
    // One name has one oid, whatever versions of its declaration the process has seen.
    let oid = |identity: String| derived_oid(&identity);
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let name = leak(name.to_owned());
    let id = types.len();
    let field = Field::new(format!("{name}#{id}"), storage.arrow(), true);
    let made = Box::leak(Box::new(ExtensionType {
        id,
        plugin: leak(plugin.to_owned()),
        name,
        storage: storage.clone(),
        ordered,
        row: TypeRow {
            ty: PgType::Unknown,
            oid: oid(format!("type {name}")),
            array_oid: oid(format!("type {name}[]")),
            name,
            array_name: leak(format!("{name}[]")),
            internal: name,
            array_internal: leak(format!("_{name}")),
            len: -1,
        },
        fields: Fields::from(vec![field]),
        active: RwLock::default(),
    }));
    types.push(made);
    made
}

/// The type of this name that was declared last.
pub fn by_name(name: &str) -> Option<&'static ExtensionType> {
    TYPES.read().iter().rev().find(|t| t.name == name).copied()
}

/// A type, or an array of one, by oid.
pub fn by_oid(oid: u32) -> Option<PgType> {
    TYPES.read().iter().rev().find_map(|t| {
        let ty = PgType::Extension(t);
        if t.row.oid == oid {
            Some(ty)
        } else if t.row.array_oid == oid {
            Some(ty.array_of())
        } else {
            None
        }
    })
}

/// The type whose values these structs are.
pub fn of_fields(fields: &Fields) -> Option<&'static ExtensionType> {
    let [field] = fields.as_ref() else {
        return None;
    };
    by_key(field.name())
}

/// The type with this [`key`](ExtensionType::key).
pub fn by_key(key: &str) -> Option<&'static ExtensionType> {
    let id: usize = key.rsplit_once('#')?.1.parse().ok()?;
    TYPES.read().get(id).copied().filter(|t| t.key() == key)
}

/// An oid for something that has no row in the catalog, from what identifies it.
pub fn derived_oid(identity: &str) -> u32 {
    DERIVED | (fnv1a(identity.as_bytes()) & (DERIVED - 1))
}

/// The one to try when a derived oid is taken.
pub fn next_derived_oid(oid: u32) -> u32 {
    DERIVED | (oid.wrapping_add(1) & (DERIVED - 1))
}

/// Fowler, Noll and Vo's hash of 32 bits, the variant 1a.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

impl ExtensionType {
    /// Says who reads and writes the values.
    pub fn activate(&self, by: &Arc<Type>) {
        let mut active = self.active.write();
        active.retain(|ty| ty.strong_count() > 0);
        active.push(Arc::downgrade(by));
    }

    fn plugin_type(&self) -> Result<Arc<Type>> {
        let active = self.active.read().iter().find_map(Weak::upgrade);
        active.ok_or_else(|| {
            SqlError::new(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "values of type {} cannot be read or shown: plugin \"{}\" is not active",
                    self.name, self.plugin
                ),
            )
            .with_hint("helios_plugins says what became of the plugin.")
        })
    }

    /// The struct that carries values.
    pub fn arrow(&self) -> DataType {
        DataType::Struct(self.fields.clone())
    }

    /// The name of the struct's only field, which tells types of one name apart that different
    /// databases of a process have.
    pub fn key(&self) -> &str {
        self.fields[0].name()
    }

    /// Stored values as values of the type.
    pub fn wrap(&self, values: ArrayRef) -> Result<ArrayRef> {
        let nulls = values.logical_nulls();
        let wrapped = StructArray::try_new(self.fields.clone(), vec![values], nulls)?;
        Ok(Arc::new(wrapped))
    }

    /// Text (Utf8View) as values.
    pub fn parse(&self, text: &ArrayRef, typmod: i32) -> Result<ArrayRef> {
        let values = self
            .plugin_type()?
            .parse(text, typmod, &self.storage.arrow())?;
        self.wrap(values)
    }

    /// Values as text (Utf8View).
    pub fn format(&self, values: &ArrayRef) -> Result<ArrayRef> {
        if values.null_count() == values.len() {
            return Ok(new_null_array(&DataType::Utf8View, values.len()));
        }
        Ok(self.plugin_type()?.format(&unwrapped(values))?)
    }

    pub fn parse_one(&self, text: &str, typmod: i32) -> Result<ArrayRef> {
        let text: ArrayRef = Arc::new(StringViewArray::from_iter_values([text]));
        self.parse(&text, typmod)
    }

    /// The binary wire format of one value, given as text.
    pub fn send_text(&self, text: &str) -> Result<Vec<u8>> {
        let value = unwrapped(&self.parse_one(text, -1)?);
        let bytes = self.plugin_type()?.send(&value)?;
        Ok(bytes.as_binary::<i32>().value(0).to_vec())
    }

    /// One value from the binary wire format.
    pub fn receive_one(&self, bytes: &[u8]) -> Result<ArrayRef> {
        let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values([bytes]));
        let storage = self.storage.arrow();
        self.wrap(self.plugin_type()?.receive(&bytes, -1, &storage)?)
    }

    /// The modifier of `name(a, b)`.
    pub fn typmod(&self, modifiers: &[String]) -> Result<i32> {
        let modifiers: Vec<&str> = modifiers
            .iter()
            .map(|m| m.trim().trim_matches('\''))
            .collect();
        Ok(self.plugin_type()?.typmod(&modifiers)?)
    }
}

fn item_type(ty: &DataType) -> Option<&'static ExtensionType> {
    match ty {
        DataType::List(item) => of_type(item.data_type()),
        _ => None,
    }
}

fn of_type(ty: &DataType) -> Option<&'static ExtensionType> {
    match ty {
        DataType::Struct(fields) => of_fields(fields),
        _ => None,
    }
}

/// Stored values of a plugin's type, of an enum or of jsonpath; of any other type the column as it is.
pub fn unwrapped(values: &ArrayRef) -> ArrayRef {
    match of_type(values.data_type()) {
        Some(_) => values.as_struct().column(0).clone(),
        None => jsonpath::unwrap(values).unwrap_or_else(|| enumeration::unwrap(values)),
    }
}

/// A column that storage gave, as the plan's type has it.
pub fn wrapped_as(values: &ArrayRef, ty: &DataType) -> Result<ArrayRef> {
    if values.data_type() == ty {
        return Ok(values.clone());
    }
    match of_type(ty) {
        Some(extension) => extension.wrap(values.clone()),
        None => jsonpath::wrap(values, ty)
            .or_else(|| enumeration::wrap(values, ty))
            .unwrap_or_else(|| Ok(values.clone())),
    }
}

/// Whether the values of a type of ours are not as storage has them.
pub fn is_wrapped(ty: &DataType) -> bool {
    enumeration::is_wrapped(ty) || jsonpath::is_wrapped(ty)
}

/// A batch as storage has it.
pub fn stored(batch: &RecordBatch) -> Result<Cow<'_, RecordBatch>> {
    let is_replaced = |ty: &DataType| of_type(ty).is_some() || is_wrapped(ty);
    replaced(batch, is_replaced, |values| Ok(unwrapped(values)))
}

/// A batch as clients see it: values of plugins' types and of jsonpath as text.
pub fn shown(batch: &RecordBatch) -> Result<Cow<'_, RecordBatch>> {
    let is_replaced =
        |ty: &DataType| of_type(ty).or(item_type(ty)).is_some() || jsonpath::is_wrapped(ty);
    replaced(batch, is_replaced, |values| {
        if let Some(texts) = jsonpath::unwrap(values) {
            return Ok(texts);
        }
        if let Some(extension) = of_type(values.data_type()) {
            return extension.format(values);
        }
        let Some(extension) = item_type(values.data_type()) else {
            return Ok(values.clone());
        };
        let list = values.as_list::<i32>();
        let items = extension.format(list.values())?;
        let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
        let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
        Ok(Arc::new(ListArray::try_new(field, offsets, items, nulls)?))
    })
}

fn replaced(
    batch: &RecordBatch,
    is_replaced: impl Fn(&DataType) -> bool,
    replace: impl Fn(&ArrayRef) -> Result<ArrayRef>,
) -> Result<Cow<'_, RecordBatch>> {
    let schema = batch.schema_ref();
    let mut types = schema.fields().iter().map(|f| f.data_type());
    if !types.any(is_replaced) {
        return Ok(Cow::Borrowed(batch));
    }
    let columns = batch
        .columns()
        .iter()
        .map(replace)
        .collect::<Result<Vec<_>>>()?;
    let fields = schema.fields().iter().zip(&columns).map(|(field, column)| {
        let field = field.as_ref().clone();
        field.with_data_type(column.data_type().clone())
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    Ok(Cow::Owned(RecordBatch::try_new(Arc::new(schema), columns)?))
}
