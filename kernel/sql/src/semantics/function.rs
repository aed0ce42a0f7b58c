//! [`PgFunction`]: a set of overloads under one name as a DataFusion scalar function.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility as DfVolatility,
};

use super::overload::{
    Call, Overload, Resolved, ResultType, Unresolved, Volatility, pg_type, resolve,
};
use super::vars::SessionVars;
use crate::error::{Result, SqlError, state};
use crate::pg_catalog::PG_TYPE_KEY;
use crate::types::PgType;

/// A PostgreSQL function or operator with all its overloads.
pub struct PgFunction {
    name: String,
    overloads: Arc<[Overload]>,
    signature: Signature,
    /// Why there is no overload, when something is known of it.
    hint: Option<String>,
}

impl std::fmt::Debug for PgFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PgFunction({})", self.name)
    }
}

// One name, one function: the registry makes each once.
impl PartialEq for PgFunction {
    fn eq(&self, other: &PgFunction) -> bool {
        self.name == other.name
    }
}
impl Eq for PgFunction {}
impl Hash for PgFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Carries a PostgreSQL error through DataFusion; `map_error` finds it again.
pub fn df(e: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(e))
}

impl PgFunction {
    pub fn udf(name: &str, overloads: Vec<Overload>) -> ScalarUDF {
        let volatility = overloads
            .iter()
            .map(|o| o.volatility)
            .max_by_key(|v| match v {
                Volatility::Immutable => 0,
                Volatility::Stable => 1,
                Volatility::Volatile => 2,
            })
            .unwrap_or(Volatility::Immutable);
        let volatility = match volatility {
            Volatility::Immutable => DfVolatility::Immutable,
            Volatility::Stable => DfVolatility::Stable,
            Volatility::Volatile => DfVolatility::Volatile,
        };
        ScalarUDF::from(PgFunction {
            name: name.to_string(),
            overloads: overloads.into(),
            signature: Signature::new(TypeSignature::UserDefined, volatility),
            hint: None,
        })
    }

    /// A function or operator that does not exist.
    pub fn missing(name: &str, hint: Option<String>) -> ScalarUDF {
        ScalarUDF::from(PgFunction {
            name: name.to_string(),
            overloads: Arc::new([]),
            signature: Signature::new(TypeSignature::UserDefined, DfVolatility::Immutable),
            hint,
        })
    }

    /// How much the overload for arguments of these types may vary; `None` when there is none.
    pub fn volatility_for(&self, types: &[DataType]) -> Option<Volatility> {
        let resolved = resolve(&self.overloads, types).ok()?;
        Some(self.overloads[resolved.index].volatility)
    }

    pub fn overloads(&self) -> &[Overload] {
        &self.overloads
    }

    /// The overload for arguments of these types, and the types that they must be cast to.
    pub fn choose(&self, types: &[DataType]) -> Result<(&Overload, Vec<DataType>)> {
        let resolved = self.resolve(types)?;
        Ok((&self.overloads[resolved.index], resolved.arguments))
    }

    fn resolve(&self, types: &[DataType]) -> Result<Resolved> {
        let found = resolve(&self.overloads, types);
        if let Ok(resolved) = &found
            && let Some(chosen) = &self.overloads[resolved.index].chosen
        {
            chosen.note();
        }
        found.map_err(|why| {
            let types: Vec<PgType> = types.iter().map(pg_type).collect();
            let name = self.name.as_str();
            // The rows of `f` are the array of `$f`.
            let bare = name.strip_prefix('$').unwrap_or(name);
            let is_function = bare.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            let error = if is_function || crate::routine::is_reference(name) {
                undefined_function(name, &types, why)
            } else {
                undefined_operator(name, &types, why)
            };
            match &self.hint {
                Some(hint) => error.with_hint(hint.clone()),
                None => error,
            }
        })
    }
}

const CASTS_HINT: &str = "You might need to add explicit type casts.";

pub fn undefined_operator(name: &str, types: &[PgType], why: Unresolved) -> SqlError {
    let symbol = name.trim_start_matches('$');
    let shown = match types {
        [one] => format!("{symbol} {}", one.name()),
        [a, b] => format!("{} {symbol} {}", a.name(), b.name()),
        _ => symbol.to_string(),
    };
    match why {
        Unresolved::None => SqlError::new(
            state::UNDEFINED_FUNCTION,
            format!("operator does not exist: {shown}"),
        )
        .with_hint(format!(
            "No operator matches the given name and argument type{}. {CASTS_HINT}",
            if types.len() == 1 { "" } else { "s" }
        )),
        Unresolved::Ambiguous => SqlError::new(
            state::AMBIGUOUS_FUNCTION,
            format!("operator is not unique: {shown}"),
        )
        .with_hint(
            "Could not choose a best candidate operator. You might need to add explicit \
                     type casts.",
        ),
    }
}

pub fn undefined_function(name: &str, types: &[PgType], why: Unresolved) -> SqlError {
    let list: Vec<&str> = types.iter().map(PgType::name).collect();
    let list = crate::routine::labelled(name, &list);
    let name = crate::routine::shown(name);
    let shown = format!("{name}({list})");
    match why {
        Unresolved::None => SqlError::new(
            state::UNDEFINED_FUNCTION,
            format!("function {shown} does not exist"),
        )
        .with_hint(format!(
            "No function matches the given name and argument types. {CASTS_HINT}"
        )),
        Unresolved::Ambiguous => SqlError::new(
            state::AMBIGUOUS_FUNCTION,
            format!("function {shown} is not unique"),
        )
        .with_hint(
            "Could not choose a best candidate function. You might need to add explicit \
                     type casts.",
        ),
    }
}

impl ScalarUDFImpl for PgFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// DataFusion is not asked to coerce: it refuses casts that PostgreSQL has.
    fn coerce_types(&self, types: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        Ok(self.resolve(types).map_err(df)?.result)
    }

    /// Names `void`, whose values are held as text, and what else its values do not tell.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        let types: Vec<DataType> = args
            .arg_fields
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        let resolved = self.resolve(&types).map_err(df)?;
        let field = Field::new(&self.name, resolved.result, true);
        Ok(Arc::new(match &self.overloads[resolved.index].result {
            ResultType::Is(ty @ PgType::Void) | ResultType::Exactly(ty) => {
                let oid = ty.oid().to_string();
                field.with_metadata([(PG_TYPE_KEY.to_owned(), oid)].into())
            }
            _ => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let types: Vec<DataType> = args
            .arg_fields
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        let vars = SessionVars::of(&args.config_options);
        let result = args.return_field.data_type();
        self.bind(&types)
            .map_err(df)?
            .call(&args.args, args.number_rows, result, vars)
    }
}

impl PgFunction {
    /// The overload for arguments of these types.
    pub fn bind(&self, types: &[DataType]) -> Result<&Overload> {
        let resolved = self.resolve(types)?;
        Ok(&self.overloads[resolved.index])
    }
}

impl Overload {
    /// Calls it for `rows` rows.
    pub fn call(
        &self,
        args: &[ColumnarValue],
        rows: usize,
        result: &DataType,
        vars: &SessionVars,
    ) -> DfResult<ColumnarValue> {
        let scalar = args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)))
            && self.volatility != Volatility::Volatile;
        let call = Call {
            vars,
            rows: if scalar { 1 } else { rows },
            result,
        };
        let array = (self.kernel)(args, &call).map_err(df)?;
        if scalar {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &array, 0,
            )?))
        } else {
            Ok(ColumnarValue::Array(array))
        }
    }
}
