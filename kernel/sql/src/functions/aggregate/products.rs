//! `sum(a * b)` and `avg(a * b)` without the products.
//!
//! The product of two decimals may have more digits than a decimal has room for, and is then a numeric
//! without a scale of its own: bytes that are made only to be read again by the sum. An aggregate over such a
//! product is given its factors instead, as two arguments, and multiplies them where it adds
//! ([`Input`](super::total::Input)). The result is the same, digit for digit; `DISTINCT` and `ORDER BY` within the
//! aggregate need the products and keep them.
//!
//! These aggregates have no name that a statement could say: only [`split`] makes calls of them.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{AggregateUDF, Expr};

use super::{Builder, exact};
use crate::semantics::function::PgFunction;
use crate::semantics::overload::{Param, ResultType};
use crate::types::PgType;

const PRODUCT: &str = "$*";

/// The sum of the products of its two arguments.
pub fn sum() -> Arc<AggregateUDF> {
    with(Builder::new("sum_of_products"), exact::sum, exact::groups)
}

/// Their mean.
pub fn avg() -> Arc<AggregateUDF> {
    let builder = Builder::new("avg_of_products");
    with(builder, exact::avg, exact::avg_groups)
}

fn with(builder: Builder, make: super::MakeOwn, groups: super::MakeGroups) -> Arc<AggregateUDF> {
    let factors = vec![Param::Is(PgType::Numeric), Param::Is(PgType::Numeric)];
    let result = ResultType::From(|_| DataType::LargeBinary);
    builder
        .own(factors, result, make, groups, exact::STATE)
        .build()
}

/// The call with the factors of its argument, if that is a product that no decimal has room for.
pub fn split(
    call: AggregateFunction,
    of_products: &Arc<AggregateUDF>,
    info: &SimplifyContext,
) -> DfResult<Expr> {
    let Some(factors) = factors(&call.params, info)? else {
        return Ok(Expr::AggregateFunction(call));
    };
    Ok(Expr::AggregateFunction(AggregateFunction {
        func: Arc::clone(of_products),
        params: AggregateFunctionParams {
            args: factors,
            ..call.params
        },
    }))
}

fn factors(
    params: &AggregateFunctionParams,
    info: &SimplifyContext,
) -> DfResult<Option<Vec<Expr>>> {
    let [Expr::ScalarFunction(product)] = params.args.as_slice() else {
        return Ok(None);
    };
    let is_ours = product.func.inner().downcast_ref::<PgFunction>().is_some();
    if !is_ours || product.name() != PRODUCT || params.distinct || !params.order_by.is_empty() {
        return Ok(None);
    }
    for factor in &product.args {
        if !matches!(info.get_data_type(factor)?, DataType::Decimal128(_, 0..)) {
            return Ok(None);
        }
    }
    let is_encoded = info.get_data_type(&params.args[0])? == DataType::LargeBinary;
    Ok((is_encoded && product.args.len() == 2).then(|| product.args.clone()))
}
