//! Forms whose types need more than a list of overloads: casts, `CASE`, `COALESCE`, comparisons.
//!
//! While DataFusion plans, each is a scalar function ([`Special`]) that knows its result type for
//! any argument types. [`coerce`](super::coerce) then replaces it by a native expression where
//! DataFusion's meaning is PostgreSQL's, so a [`Special`] is never executed. [`PgCast`] is the cast
//! that remains for pairs on which Arrow and PostgreSQL differ.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TypeSignature, Volatility,
};

use super::common::common_type;
use super::function::df;
use super::overload::{argument_type, pg_type};
use super::vars::SessionVars;
use crate::error::{Result, SqlError};
use crate::types::PgType;
use crate::types::cast::{CastContext, cast_to};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `$cast(x, 'int4', typmod)`, and a name behind that where it was written as a call of it.
    Cast,
    /// `$case(when, then, …, [else])`.
    Case,
    Coalesce,
    NullIf,
    Greatest,
    Least,
    Compare(Operator),
    /// `$array(x, …)`.
    Array,
    /// `$any(x, array, '=')`.
    Any,
    All,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Special {
    name: &'static str,
    pub kind: Kind,
    signature: Signature,
}

impl Special {
    fn udf(name: &'static str, kind: Kind) -> ScalarUDF {
        let signature = Signature::new(TypeSignature::UserDefined, Volatility::Immutable);
        ScalarUDF::from(Special {
            name,
            kind,
            signature,
        })
    }

    pub fn all() -> Vec<ScalarUDF> {
        use Kind::*;
        [
            ("$cast", Cast),
            ("$case", Case),
            ("coalesce", Coalesce),
            ("nullif", NullIf),
            ("greatest", Greatest),
            ("least", Least),
            ("$=", Compare(Operator::Eq)),
            ("$<>", Compare(Operator::NotEq)),
            ("$<", Compare(Operator::Lt)),
            ("$<=", Compare(Operator::LtEq)),
            ("$>", Compare(Operator::Gt)),
            ("$>=", Compare(Operator::GtEq)),
            ("$is distinct from", Compare(Operator::IsDistinctFrom)),
            (
                "$is not distinct from",
                Compare(Operator::IsNotDistinctFrom),
            ),
            ("$array", Array),
            ("$any", Any),
            ("$all", All),
        ]
        .into_iter()
        .map(|(name, kind)| Special::udf(name, kind))
        .collect()
    }

    fn result(&self, types: &[DataType], literals: &[Option<&ScalarValue>]) -> Result<DataType> {
        if !self.arguments_wanted().contains(&types.len()) {
            let types: Vec<PgType> = types.iter().map(pg_type).collect();
            return Err(super::function::undefined_function(
                self.name,
                &types,
                super::overload::Unresolved::None,
            ));
        }
        match self.kind {
            Kind::Cast => {
                let (to, typmod) = cast_arguments(literals)?;
                Ok(cast_target(&types[0], &to, typmod))
            }
            Kind::Case => common_type("CASE", &case_results(types)),
            Kind::Coalesce => common_type("COALESCE", types),
            Kind::Greatest => common_type("GREATEST", types),
            Kind::Least => common_type("LEAST", types),
            Kind::NullIf => match pg_type(&types[0]) {
                PgType::Unknown => common_type("NULLIF", types),
                _ => Ok(types[0].clone()),
            },
            Kind::Array => Ok(DataType::new_list(common_type("ARRAY", types)?, true)),
            Kind::Compare(_) | Kind::Any | Kind::All => Ok(DataType::Boolean),
        }
    }

    fn arguments_wanted(&self) -> std::ops::RangeInclusive<usize> {
        match self.kind {
            Kind::Cast => 3..=4,
            Kind::Any | Kind::All => 3..=3,
            Kind::NullIf | Kind::Compare(_) => 2..=2,
            Kind::Case => 2..=usize::MAX,
            Kind::Array => 0..=usize::MAX,
            _ => 1..=usize::MAX,
        }
    }
}

/// The THEN and ELSE parts of `$case`.
pub fn case_results<T: Clone>(args: &[T]) -> Vec<T> {
    args.iter()
        .enumerate()
        .filter(|(i, _)| i % 2 == 1 || (*i + 1 == args.len()))
        .map(|(_, t)| t.clone())
        .collect()
}

/// The target of a `$cast` from its literal arguments.
pub fn cast_arguments(literals: &[Option<&ScalarValue>]) -> Result<(PgType, i32)> {
    let malformed = || SqlError::internal("$cast without a literal type");
    let name = match literals.get(1) {
        Some(Some(ScalarValue::Utf8(Some(name)))) => name,
        _ => return Err(malformed()),
    };
    let typmod = match literals.get(2) {
        Some(Some(ScalarValue::Int64(Some(t)))) => *t as i32,
        _ => return Err(malformed()),
    };
    Ok((PgType::from_key(name).ok_or_else(malformed)?, typmod))
}

/// The Arrow type of a cast: a numeric without typmod keeps the scale it can be known to have.
pub fn cast_target(from: &DataType, to: &PgType, typmod: i32) -> DataType {
    match to {
        PgType::Numeric if typmod < 0 => argument_type(from, to),
        _ => to.arrow_typmod(typmod),
    }
}

impl ScalarUDFImpl for Special {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        self.result(types, &[]).map_err(df)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        let types: Vec<DataType> = args
            .arg_fields
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        let ty = self.result(&types, args.scalar_arguments).map_err(df)?;
        Ok(Arc::new(Field::new(self.name, ty, true)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        Err(DataFusionError::Internal(format!(
            "{} was not analyzed",
            self.name
        )))
    }
}

/// A cast with PostgreSQL's meaning.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PgCast {
    pub to: PgType,
    pub typmod: i32,
    pub target: DataType,
    explicit: bool,
    signature: Signature,
}

impl PgCast {
    pub fn udf(to: PgType, typmod: i32, target: DataType, ctx: CastContext) -> ScalarUDF {
        // Dates, and texts of them, depend on the session's zone.
        let signature = Signature::new(TypeSignature::UserDefined, Volatility::Stable);
        let explicit = ctx == CastContext::Explicit;
        ScalarUDF::from(PgCast {
            to,
            typmod,
            target,
            explicit,
            signature,
        })
    }
}

impl ScalarUDFImpl for PgCast {
    fn name(&self) -> &str {
        "cast"
    }

    fn schema_name(&self, args: &[datafusion::logical_expr::Expr]) -> DfResult<String> {
        let arg = args.first().map(ToString::to_string).unwrap_or_default();
        Ok(format!(
            "{arg}::{}",
            crate::types::names::format_type(&self.to, self.typmod)
        ))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let value = args
            .args
            .first()
            .ok_or_else(|| DataFusionError::Internal("cast without an argument".into()))?;
        let from = pg_type(&value.data_type());
        let ctx = if self.explicit {
            CastContext::Explicit
        } else {
            CastContext::Implicit
        };
        let format = &SessionVars::of(&args.config_options).format;
        let cast =
            |a| cast_to(a, &from, &self.to, self.typmod, &self.target, ctx, format).map_err(df);
        Ok(match value {
            ColumnarValue::Array(a) => ColumnarValue::Array(cast(a)?),
            ColumnarValue::Scalar(s) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&cast(&s.to_array()?)?, 0)?)
            }
        })
    }
}
