//! Catalog functions: what clients call on oids, and what a session says of itself.
//!
//! A function is a row of a table: name, argument types, result type and the Rust that computes one
//! value. [`scalar_function`] makes a DataFusion function of it, bound to the session.
//! Overloads that differ in their number of arguments are rows of the same name.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use super::datum::{Datum, Type, array, read};
use super::{SessionView, SystemContext};
use crate::error::{Result, SqlError, state};
use crate::types::PgType;

mod definitions;
mod identity;
mod lookup;
mod privileges;
mod sizes;

/// One overload of a function.
pub struct Function {
    pub name: &'static str,
    pub arguments: &'static [Type],
    pub result: Type,
    /// NULL in, NULL out, without a call.
    pub strict: bool,
    pub call: fn(&SystemContext, &[Datum]) -> Result<Datum>,
}

/// `name(Type, …) -> Type = function;`, with `null` before `=` for a function that sees NULLs.
macro_rules! functions {
    ($($name:ident($($argument:ident),*) -> $result:ident $($null:ident)? = $call:expr;)*) => {
        pub(super) static FUNCTIONS: &[$crate::pg_catalog::functions::Function] = &[$(
            $crate::pg_catalog::functions::Function {
                name: stringify!($name),
                arguments: &[$($crate::pg_catalog::datum::Type::$argument),*],
                result: $crate::pg_catalog::datum::Type::$result,
                strict: stringify!($($null)?).is_empty(),
                call: $call,
            }
        ),*];
    };
}
use functions;

pub(crate) use privileges::is_secret;

static BY_NAME: LazyLock<HashMap<&'static str, Vec<&'static Function>>> = LazyLock::new(|| {
    let mut map: HashMap<_, Vec<_>> = HashMap::new();
    for f in [
        definitions::FUNCTIONS,
        identity::FUNCTIONS,
        lookup::FUNCTIONS,
        privileges::FUNCTIONS,
        sizes::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    {
        map.entry(f.name).or_default().push(f);
    }
    map
});

/// Every name there is a function for.
pub fn names() -> impl Iterator<Item = &'static str> {
    BY_NAME.keys().copied()
}

/// The overloads of a function, for whoever shows them.
pub fn overloads(name: &str) -> &'static [&'static Function] {
    BY_NAME.get(name).map_or(&[], Vec::as_slice)
}

/// The catalog function of that name, bound to a session.
pub fn scalar_function(name: &str, session: &Arc<dyn SessionView>) -> Option<Arc<ScalarUDF>> {
    let (name, overloads) = BY_NAME.get_key_value(name)?;
    let arities = overloads
        .iter()
        .map(|f| match f.arguments.len() {
            0 => TypeSignature::Nullary,
            n => TypeSignature::Any(n),
        })
        .collect();
    // Stable: the answer holds for a snapshot, not for ever.
    let signature = Signature::one_of(arities, Volatility::Stable);
    let bound = Bound {
        name,
        overloads,
        session: session.clone(),
        signature,
    };
    Some(Arc::new(ScalarUDF::new_from_impl(bound)))
}

/// The declared type of an argument of a function that [`scalar_function`] made.
pub fn catalog_argument(function: &ScalarUDF, arguments: usize, at: usize) -> Option<PgType> {
    let bound = function.inner().downcast_ref::<Bound>()?;
    let overload = bound.overload(arguments).ok()?;
    PgType::from_oid(overload.arguments.get(at)?.oid())
}

#[derive(Debug)]
struct Bound {
    name: &'static str,
    overloads: &'static [&'static Function],
    session: Arc<dyn SessionView>,
    signature: Signature,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.arguments.len())
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Bound) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.session, &other.session)
    }
}

impl Eq for Bound {}

impl Hash for Bound {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Bound {
    fn overload(&self, arguments: usize) -> PlanResult<&'static Function> {
        self.overloads
            .iter()
            .find(|f| f.arguments.len() == arguments)
            .copied()
            .ok_or_else(|| {
                external(SqlError::new(
                    state::UNDEFINED_FUNCTION,
                    format!(
                        "function {} with {arguments} arguments does not exist",
                        self.name
                    ),
                ))
            })
    }
}

fn external(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl ScalarUDFImpl for Bound {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        Ok(self.overload(arguments.len())?.result.arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        let field: Field = self
            .overload(args.arg_fields.len())?
            .result
            .field(self.name);
        Ok(Arc::new(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let function = self.overload(args.args.len())?;
        let constant = args
            .args
            .iter()
            .all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let count = if constant { 1 } else { args.number_rows };
        let arrays = args
            .args
            .iter()
            .map(|a| a.to_array(count))
            .collect::<PlanResult<Vec<_>>>()?;
        let ctx = SystemContext::new(&self.session);
        let mut results = Vec::with_capacity(count);
        for row in 0..count {
            let mut values = Vec::with_capacity(arrays.len());
            for (ty, array) in function.arguments.iter().zip(&arrays) {
                values.push(read(*ty, array, row).map_err(external)?);
            }
            let result = if function.strict && values.iter().any(Datum::is_null) {
                Datum::Null
            } else {
                (function.call)(&ctx, &values).map_err(external)?
            };
            results.push(result);
        }
        let result = array(function.result, results.iter()).map_err(external)?;
        if constant {
            let scalar = datafusion::scalar::ScalarValue::try_from_array(&result, 0)?;
            return Ok(ColumnarValue::Scalar(scalar));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// The argument at a place, as the type it was declared.
mod argument {
    use super::*;
    use crate::catalog::model::Oid;
    use crate::pg_catalog::names;

    fn wrong(value: &Datum) -> SqlError {
        SqlError::new(
            state::DATATYPE_MISMATCH,
            format!("unexpected argument {value:?}"),
        )
    }

    pub fn text(args: &[Datum], at: usize) -> Result<&str> {
        match args.get(at) {
            Some(Datum::Text(t)) => Ok(t),
            other => Err(wrong(other.unwrap_or(&Datum::Null))),
        }
    }

    pub fn int(args: &[Datum], at: usize) -> Result<i64> {
        match args.get(at) {
            Some(Datum::Int(i)) => Ok(*i),
            other => Err(wrong(other.unwrap_or(&Datum::Null))),
        }
    }

    pub fn flag(args: &[Datum], at: usize) -> Result<bool> {
        match args.get(at) {
            Some(Datum::Bool(b)) => Ok(*b),
            other => Err(wrong(other.unwrap_or(&Datum::Null))),
        }
    }

    pub fn oid(args: &[Datum], at: usize) -> Result<Oid> {
        match args.get(at) {
            Some(Datum::Oid(o)) => Ok(*o),
            other => Err(wrong(other.unwrap_or(&Datum::Null))),
        }
    }

    /// An oid, or a name looked up as the input of a `reg*` type.
    pub fn reg(ctx: &SystemContext, ty: Type, args: &[Datum], at: usize) -> Result<Oid> {
        match args.get(at) {
            Some(Datum::Oid(o)) => Ok(*o),
            Some(Datum::Text(t)) => names::parse(ctx, ty, t),
            other => Err(wrong(other.unwrap_or(&Datum::Null))),
        }
    }
}
