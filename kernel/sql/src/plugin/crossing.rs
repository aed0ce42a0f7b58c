//! Values on their way to a plugin and back.
//!
//! A plugin sees the Arrow types that `heliosdb_plugin_api::arrow` lists, which are ours but for three
//! things. `json` crosses as `jsonb` does, as LargeUtf8, where we hold a BinaryView. A `json` that comes
//! back is checked, and a `jsonb` read and printed again, because here its text is the canonical one.
//! And a `numeric` that is passed as `any` crosses as text, because its form is nobody else's business.
//! Values of a plugin's own type cross as what stores them.

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use heliosdb_plugin_api::arrow::sql_type;

use crate::error::Result;
use crate::semantics::overload::{Param, pg_type};
use crate::types::names::parse_type_name;
use crate::types::{CastContext, Format, PgType, cast_array, extension};

/// A column of whatever type as a plugin sees it; a `numeric` stays as it is.
pub(crate) fn any(array: &ArrayRef) -> Result<ArrayRef> {
    match crossing_type(array.data_type()) {
        ty if ty == *array.data_type() => Ok(array.clone()),
        ty => Ok(cast(array, &ty)?),
    }
}

/// What came as text, as a value of a type.
pub(crate) fn read(array: &ArrayRef, ty: &PgType, format: &Format) -> Result<ArrayRef> {
    let text = cast(array, &DataType::Utf8View)?;
    let from = PgType::Text;
    cast_array(&text, &from, ty, -1, CastContext::Explicit, format)
}

pub(crate) fn crossing_type(ty: &DataType) -> DataType {
    match ty {
        DataType::BinaryView => DataType::LargeUtf8,
        DataType::List(item) => DataType::new_list(crossing_type(item.data_type()), true),
        other => other.clone(),
    }
}

/// A type as a plugin declares it.
#[derive(Clone, Debug)]
pub(crate) enum Declared {
    /// Any type at all, each argument its own.
    Any,
    One {
        ty: PgType,
        /// How its values cross.
        arrow: DataType,
    },
}

impl Declared {
    /// The type of this name; `None` when no value of it can cross.
    pub fn parse(name: &str) -> Option<Declared> {
        if name == "any" {
            return Some(Declared::Any);
        }
        let (ty, _) = parse_type_name(name).ok()?;
        let arrow = match &ty {
            PgType::Extension(extension) => extension.storage.arrow(),
            _ => sql_type(name)?,
        };
        Some(Declared::One { ty, arrow })
    }

    /// As a formal argument.
    pub fn param(&self) -> Param {
        match self {
            Declared::Any => Param::Any,
            Declared::One { ty, .. } => Param::Is(ty.clone()),
        }
    }

    /// A column as the plugin wants it.
    pub fn outward(&self, array: &ArrayRef, format: &Format) -> Result<ArrayRef> {
        let array = &extension::unwrapped(array);
        match self {
            Declared::Any if *array.data_type() == DataType::LargeBinary => {
                let (from, to) = (PgType::Numeric, PgType::Text);
                cast_array(array, &from, &to, -1, CastContext::Explicit, format)
            }
            Declared::Any => any(array),
            Declared::One { arrow, .. } if array.data_type() != arrow => Ok(cast(array, arrow)?),
            _ => Ok(array.clone()),
        }
    }

    /// A column that a plugin gave, which is of the type [`arrow`](Self::One::arrow), as ours.
    pub fn inward(&self, array: ArrayRef, format: &Format) -> Result<ArrayRef> {
        let Declared::One { ty, .. } = self else {
            return Ok(array);
        };
        match ty {
            PgType::Extension(extension) => extension.wrap(array),
            PgType::Json | PgType::Jsonb => read(&array, ty, format),
            _ if *array.data_type() != ty.arrow() => {
                let from = pg_type(array.data_type());
                cast_array(&array, &from, ty, -1, CastContext::Explicit, format)
            }
            _ => Ok(array),
        }
    }
}
