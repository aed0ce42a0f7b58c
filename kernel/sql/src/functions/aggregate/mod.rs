//! Aggregates with PostgreSQL's types: `sum(int4)` is bigint, `sum(int8)` numeric, `avg(int4)`
//! numeric, and so on.
//!
//! A [`PgAggregate`] resolves its overload as a function does; the overload either delegates to
//! DataFusion's aggregate of the same meaning or brings an accumulator of its own: exact sums
//! ([`exact`], [`total`], of products without making them: [`products`]), statistics ([`statistics`]) and those that keep their input ([`collect`]). What is
//! not built in implements [`Added`] and resolves by the same rules.

pub mod collect;
pub mod exact;
mod products;
mod replay;
pub mod statistics;
pub mod total;

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::functions_aggregate as inner;
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, TypeSignature,
    Volatility,
};

use crate::semantics::function::{df, undefined_function};
use crate::semantics::kernel::polymorphic;
use crate::semantics::overload::{Overload, Param, Resolved, ResultType, pg_type, resolve};
use crate::types::PgType;

/// Makes an accumulator of ours from the types of the arguments and of the result.
type MakeOwn = fn(&[DataType], &DataType) -> Box<dyn Accumulator>;
/// Makes one that keeps its rows, to be given the order asked for.
type MakeOrdered = fn(&[DataType], &DataType) -> collect::Collect;
type MakeGroups = fn(&[DataType], &DataType) -> Option<Box<dyn GroupsAccumulator>>;

#[derive(Clone)]
enum How {
    /// DataFusion's, which takes and gives the same types.
    Delegate(Arc<AggregateUDF>),
    Own {
        make: MakeOwn,
        groups: MakeGroups,
        state: &'static [DataType],
    },
    Collect(MakeOrdered),
    Added(Arc<dyn Added>),
}

/// An aggregate that is not built in. Its state is one column of bytes.
pub trait Added: Send + Sync {
    fn accumulator(&self) -> DfResult<Box<dyn Accumulator>>;
    /// For window frames whose start moves: one that can take rows back.
    fn sliding(&self) -> DfResult<Box<dyn Accumulator>>;
}

const ADDED_STATE: &[DataType] = &[DataType::Binary];

/// An aggregate of these overloads, each with what computes it.
pub fn added(name: &str, overloads: Vec<(Overload, Arc<dyn Added>)>) -> AggregateUDF {
    let variants = overloads.into_iter().map(|(overload, added)| Variant {
        overload,
        how: How::Added(added),
    });
    AggregateUDF::from(aggregate(name, variants.collect(), false))
}

fn aggregate(name: &str, variants: Vec<Variant>, within_group: bool) -> PgAggregate {
    PgAggregate {
        name: name.to_owned(),
        overloads: variants.iter().map(|v| v.overload.clone()).collect(),
        variants,
        within_group,
        of_products: None,
        signature: Signature::new(TypeSignature::UserDefined, Volatility::Immutable),
    }
}

#[derive(Clone)]
struct Variant {
    overload: Overload,
    how: How,
}

pub struct PgAggregate {
    name: String,
    variants: Vec<Variant>,
    overloads: Vec<Overload>,
    within_group: bool,
    /// What takes the two factors, where the argument is a product.
    of_products: Option<Arc<AggregateUDF>>,
    signature: Signature,
}

impl std::fmt::Debug for PgAggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PgAggregate({})", self.name)
    }
}
impl PartialEq for PgAggregate {
    fn eq(&self, other: &PgAggregate) -> bool {
        self.name == other.name
    }
}
impl Eq for PgAggregate {}
impl Hash for PgAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl PgAggregate {
    fn resolve(&self, types: &[DataType]) -> DfResult<Resolved> {
        resolve(&self.overloads, types).map_err(|why| {
            let types: Vec<PgType> = types.iter().map(pg_type).collect();
            df(undefined_function(&self.name, &types, why))
        })
    }

    fn how(&self, fields: &[FieldRef]) -> DfResult<(&How, Vec<DataType>)> {
        let types: Vec<DataType> = fields.iter().map(|f| f.data_type().clone()).collect();
        let index = self.resolve(&types)?.index;
        Ok((&self.variants[index].how, types))
    }
}

/// The types an aggregate of ours wants for arguments of these types; `None` if it is DataFusion's.
pub fn arguments(f: &AggregateUDF, types: &[DataType]) -> Option<DfResult<Vec<DataType>>> {
    let ours = f.inner().downcast_ref::<PgAggregate>()?;
    Some(ours.resolve(types).map(|r| r.arguments))
}

impl AggregateUDFImpl for PgAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        Ok(self.resolve(types)?.result)
    }

    fn supports_within_group_clause(&self) -> bool {
        self.within_group
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let of_products = Arc::clone(self.of_products.as_ref()?);
        Some(Box::new(move |call, info| {
            products::split(call, &of_products, info)
        }))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DfResult<Box<dyn Accumulator>> {
        match self.how(args.expr_fields)? {
            (How::Delegate(f), _) => f.accumulator(args),
            (How::Own { make, .. }, types) => {
                let inner = make(&types, args.return_field.data_type());
                if args.is_distinct {
                    return Ok(Box::new(collect::Distinct::new(inner, types, false)));
                }
                Ok(inner)
            }
            (How::Added(added), types) => {
                let inner = added.accumulator()?;
                if args.is_distinct {
                    return Ok(Box::new(collect::Distinct::new(inner, types, false)));
                }
                Ok(inner)
            }
            (How::Collect(make), types) => {
                let inner = make(&types, args.return_field.data_type());
                if args.is_distinct {
                    // DISTINCT allows no order but that of its argument.
                    let descending = args.order_bys.first().is_some_and(|o| o.options.descending);
                    let inner = Box::new(inner);
                    return Ok(Box::new(collect::Distinct::new(inner, types, descending)));
                }
                Ok(Box::new(inner.ordered_by(args.order_bys, args.schema)?))
            }
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DfResult<Vec<FieldRef>> {
        match self.how(args.input_fields)? {
            (How::Delegate(f), _) => f.state_fields(args),
            (How::Own { .. } | How::Added(_), types) if args.is_distinct => {
                Ok(collect::Distinct::state(&types))
            }
            (How::Own { state, .. }, _) => Ok(collect::fields(state)),
            (How::Added(_), _) => Ok(collect::fields(ADDED_STATE)),
            (How::Collect(_), mut types) => {
                if !args.is_distinct {
                    types.extend(args.ordering_fields.iter().map(|f| f.data_type().clone()));
                }
                Ok(collect::state_of_inputs(&types))
            }
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match self.how(args.expr_fields) {
            Ok((How::Delegate(f), _)) => f.groups_accumulator_supported(args),
            Ok((How::Own { groups, .. }, types)) => {
                !args.is_distinct && groups(&types, args.return_field.data_type()).is_some()
            }
            Ok((How::Collect(_) | How::Added(_), _)) | Err(_) => false,
        }
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> DfResult<Box<dyn GroupsAccumulator>> {
        match self.how(args.expr_fields)? {
            (How::Delegate(f), _) => f.create_groups_accumulator(args),
            (How::Own { groups, .. }, types) => groups(&types, args.return_field.data_type())
                .ok_or_else(|| DataFusionError::Internal("no groups accumulator".into())),
            (How::Collect(_) | How::Added(_), _) => {
                Err(DataFusionError::Internal("no groups accumulator".into()))
            }
        }
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> DfResult<Box<dyn Accumulator>> {
        match self.how(args.expr_fields)? {
            (How::Delegate(f), types) => sliding_delegate(f, &types, args),
            (How::Added(added), _) if !args.is_distinct => added.sliding(),
            (How::Own { make, .. }, types) if !args.is_distinct => {
                let (make, result) = (*make, args.return_field.data_type().clone());
                replay::sliding(Box::new(move || Ok(make(&types, &result))), true)
            }
            (How::Collect(make), types) if !args.is_distinct && args.order_bys.is_empty() => {
                let (make, result) = (*make, args.return_field.data_type().clone());
                let make = move || Ok(Box::new(make(&types, &result)) as Box<dyn Accumulator>);
                replay::sliding(Box::new(make), true)
            }
            _ => self.accumulator(args),
        }
    }
}

/// DataFusion's for window frames whose start moves. What it takes back of floats leaves NaN behind, and what was lost
/// in rounding: those are computed anew, as in PostgreSQL.
fn sliding_delegate(
    f: &Arc<AggregateUDF>,
    types: &[DataType],
    args: AccumulatorArgs<'_>,
) -> DfResult<Box<dyn Accumulator>> {
    if args.is_distinct {
        return f.create_sliding_accumulator(args);
    }
    let picks = matches!(f.name(), "count" | "min" | "max");
    let is_float = |ty: &DataType| matches!(ty, DataType::Float32 | DataType::Float64);
    let takes_back = picks || !types.iter().any(is_float);
    let (function, return_field) = (Arc::clone(f), args.return_field.clone());
    let (schema, name) = (args.schema.clone(), args.name.to_owned());
    let (exprs, expr_fields) = (args.exprs.to_vec(), args.expr_fields.to_vec());
    let (ignore_nulls, is_reversed) = (args.ignore_nulls, args.is_reversed);
    let make = Box::new(move || {
        function.create_sliding_accumulator(AccumulatorArgs {
            return_field: return_field.clone(),
            schema: &schema,
            ignore_nulls,
            order_bys: &[],
            is_reversed,
            name: &name,
            is_distinct: false,
            exprs: &exprs,
            expr_fields: &expr_fields,
        })
    });
    replay::sliding(make, takes_back)
}

/// The type of the argument.
fn first() -> ResultType {
    ResultType::From(|types| types[0].clone())
}

/// Collects the variants of one aggregate.
struct Builder {
    name: &'static str,
    variants: Vec<Variant>,
    within_group: bool,
    of_products: Option<Arc<AggregateUDF>>,
}

/// The overload of an aggregate, which is only resolved and never called.
pub fn signature(params: Vec<Param>, variadic: bool, result: ResultType) -> Overload {
    polymorphic(params, variadic, result, |_, _| {
        Err(crate::error::SqlError::internal(
            "an aggregate is not a scalar function",
        ))
    })
}

fn no_groups(_: &[DataType], _: &DataType) -> Option<Box<dyn GroupsAccumulator>> {
    None
}

impl Builder {
    fn new(name: &'static str) -> Builder {
        Builder {
            name,
            variants: Vec::new(),
            within_group: false,
            of_products: None,
        }
    }

    fn delegate(mut self, params: Vec<Param>, result: ResultType, f: Arc<AggregateUDF>) -> Builder {
        self.variants.push(Variant {
            overload: signature(params, false, result),
            how: How::Delegate(f),
        });
        self
    }

    /// Delegates for each type, the result being of the argument's type.
    fn same(mut self, types: &[PgType], f: fn() -> Arc<AggregateUDF>) -> Builder {
        for ty in types {
            self = self.delegate(vec![Param::Is(ty.clone())], first(), f());
        }
        self
    }

    fn own(
        mut self,
        params: Vec<Param>,
        result: ResultType,
        make: MakeOwn,
        groups: MakeGroups,
        state: &'static [DataType],
    ) -> Builder {
        self.variants.push(Variant {
            overload: signature(params, false, result),
            how: How::Own {
                make,
                groups,
                state,
            },
        });
        self
    }

    fn collect(mut self, params: Vec<Param>, result: ResultType, make: MakeOrdered) -> Builder {
        self.variants.push(Variant {
            overload: signature(params, false, result),
            how: How::Collect(make),
        });
        self
    }

    fn within_group(mut self) -> Builder {
        self.within_group = true;
        self
    }

    fn of_products(mut self, aggregate: Arc<AggregateUDF>) -> Builder {
        self.of_products = Some(aggregate);
        self
    }

    fn build(self) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::from(PgAggregate {
            of_products: self.of_products,
            ..aggregate(self.name, self.variants, self.within_group)
        }))
    }
}

fn is(ty: PgType) -> Vec<Param> {
    vec![Param::Is(ty)]
}

/// `sum(numeric)` of a decimal with digits to spare stays one.
fn sum_numeric(types: &[DataType]) -> DataType {
    match types {
        [DataType::Decimal128(p, s)] if *p <= exact::DECIMAL_DIGITS_MAX => {
            DataType::Decimal128(38, *s)
        }
        _ => DataType::LargeBinary,
    }
}

const ORDERED: [PgType; 13] = [
    PgType::Int2,
    PgType::Int4,
    PgType::Int8,
    PgType::Float4,
    PgType::Float8,
    PgType::Numeric,
    PgType::Text,
    PgType::Date,
    PgType::Time,
    PgType::Timestamp,
    PgType::TimestampTz,
    PgType::Oid,
    PgType::Bpchar,
];

static ALL: LazyLock<Vec<Arc<AggregateUDF>>> = LazyLock::new(|| {
    use PgType::*;
    let float8 = || ResultType::Is(Float8);
    let exact_state = exact::STATE;
    let mut all = vec![
        inner::count::count_udaf(),
        inner::array_agg::array_agg_udaf(),
        inner::grouping::grouping_udaf(),
        // DISTINCT ON is planned with these.
        inner::first_last::first_value_udaf(),
        inner::first_last::last_value_udaf(),
        inner::nth_value::nth_value_udaf(),
        Builder::new("sum")
            .own(
                is(Int2),
                ResultType::Is(Int8),
                exact::sum,
                exact::groups,
                exact_state,
            )
            .own(
                is(Int4),
                ResultType::Is(Int8),
                exact::sum,
                exact::groups,
                exact_state,
            )
            .own(
                is(Int8),
                ResultType::From(|_| DataType::Decimal128(38, 0)),
                exact::sum,
                exact::groups,
                exact_state,
            )
            .own(
                is(Numeric),
                ResultType::From(sum_numeric),
                exact::sum,
                exact::groups,
                exact_state,
            )
            .own(
                is(Float4),
                ResultType::Is(Float4),
                statistics::sum_float4,
                no_groups,
                statistics::SUM_STATE,
            )
            .delegate(is(Float8), float8(), inner::sum::sum_udaf())
            .own(
                is(Interval),
                ResultType::Is(Interval),
                exact::interval_sum,
                no_groups,
                exact::INTERVAL_STATE,
            )
            .of_products(products::sum())
            .build(),
        Builder::new("avg")
            .own(
                is(Int2),
                ResultType::Is(Numeric),
                exact::avg,
                exact::avg_groups,
                exact_state,
            )
            .own(
                is(Int4),
                ResultType::Is(Numeric),
                exact::avg,
                exact::avg_groups,
                exact_state,
            )
            .own(
                is(Int8),
                ResultType::Is(Numeric),
                exact::avg,
                exact::avg_groups,
                exact_state,
            )
            .own(
                is(Numeric),
                ResultType::Is(Numeric),
                exact::avg,
                exact::avg_groups,
                exact_state,
            )
            .own(
                is(Float4),
                float8(),
                statistics::avg_float4,
                no_groups,
                statistics::MOMENTS_STATE,
            )
            .delegate(is(Float8), float8(), inner::average::avg_udaf())
            .own(
                is(Interval),
                ResultType::Is(Interval),
                exact::interval_avg,
                no_groups,
                exact::INTERVAL_STATE,
            )
            .of_products(products::avg())
            .build(),
        Builder::new("min")
            .same(&ORDERED, inner::min_max::min_udaf)
            .delegate(vec![Param::AnyEnum], first(), inner::min_max::min_udaf())
            .own(
                is(Interval),
                ResultType::Is(Interval),
                exact::interval_min,
                no_groups,
                exact::INTERVAL_EXTREME_STATE,
            )
            .build(),
        Builder::new("max")
            .same(&ORDERED, inner::min_max::max_udaf)
            .delegate(vec![Param::AnyEnum], first(), inner::min_max::max_udaf())
            .own(
                is(Interval),
                ResultType::Is(Interval),
                exact::interval_max,
                no_groups,
                exact::INTERVAL_EXTREME_STATE,
            )
            .build(),
        Builder::new("bool_and")
            .same(&[Bool], inner::bool_and_or::bool_and_udaf)
            .build(),
        Builder::new("every")
            .same(&[Bool], inner::bool_and_or::bool_and_udaf)
            .build(),
        Builder::new("bool_or")
            .same(&[Bool], inner::bool_and_or::bool_or_udaf)
            .build(),
        Builder::new("bit_and")
            .same(&[Int2, Int4, Int8], inner::bit_and_or_xor::bit_and_udaf)
            .build(),
        Builder::new("bit_or")
            .same(&[Int2, Int4, Int8], inner::bit_and_or_xor::bit_or_udaf)
            .build(),
        Builder::new("bit_xor")
            .same(&[Int2, Int4, Int8], inner::bit_and_or_xor::bit_xor_udaf)
            .build(),
        Builder::new("string_agg")
            .collect(
                vec![Param::Is(Text), Param::Is(Text)],
                ResultType::Is(Text),
                collect::string_agg,
            )
            .build(),
        Builder::new("jsonb_agg")
            .collect(vec![Param::Any], ResultType::Is(Jsonb), collect::jsonb_agg)
            .build(),
        Builder::new("json_agg")
            .collect(vec![Param::Any], ResultType::Is(Json), collect::json_agg)
            .build(),
        Builder::new("jsonb_object_agg")
            .collect(
                vec![Param::Any, Param::Any],
                ResultType::Is(Jsonb),
                collect::jsonb_object_agg,
            )
            .build(),
        Builder::new("json_object_agg")
            .collect(
                vec![Param::Any, Param::Any],
                ResultType::Is(Json),
                collect::json_object_agg,
            )
            .build(),
        Builder::new("percentile_cont")
            .collect(
                vec![Param::Is(Float8), Param::Is(Float8)],
                float8(),
                collect::percentile_cont,
            )
            .within_group()
            .build(),
        Builder::new("percentile_disc")
            .collect(
                vec![Param::AnyElement, Param::Is(Float8)],
                ResultType::From(|t| t[0].clone()),
                collect::percentile_disc,
            )
            .within_group()
            .build(),
        Builder::new("mode")
            .collect(
                vec![Param::AnyElement],
                ResultType::From(|t| t[0].clone()),
                collect::mode,
            )
            .within_group()
            .build(),
    ];
    macro_rules! moments {
        ($($name:literal $float:ident $numeric:ident;)*) => {$(
            all.push(
                Builder::new($name)
                    .own(is(Int2), ResultType::Is(Numeric), statistics::$numeric, no_groups, statistics::NUMERIC_STATE)
                    .own(is(Int4), ResultType::Is(Numeric), statistics::$numeric, no_groups, statistics::NUMERIC_STATE)
                    .own(is(Int8), ResultType::Is(Numeric), statistics::$numeric, no_groups, statistics::NUMERIC_STATE)
                    .own(is(Numeric), ResultType::Is(Numeric), statistics::$numeric, no_groups, statistics::NUMERIC_STATE)
                    .own(is(Float4), ResultType::Is(Float8), statistics::$float, no_groups, statistics::MOMENTS_STATE)
                    .own(is(Float8), ResultType::Is(Float8), statistics::$float, no_groups, statistics::MOMENTS_STATE)
                    .build(),
            );
        )*};
    }
    moments! {
        "variance" var_samp var_samp_numeric;
        "var_samp" var_samp var_samp_numeric;
        "var_pop" var_pop var_pop_numeric;
        "stddev" stddev_samp stddev_samp_numeric;
        "stddev_samp" stddev_samp stddev_samp_numeric;
        "stddev_pop" stddev_pop stddev_pop_numeric;
    }
    macro_rules! pairs {
        ($($name:literal $f:expr;)*) => {$(
            all.push(
                Builder::new($name)
                    .delegate(vec![Param::Is(Float8), Param::Is(Float8)], float8(), $f)
                    .build(),
            );
        )*};
    }
    pairs! {
        "corr" inner::correlation::corr_udaf();
        "covar_samp" inner::covariance::covar_samp_udaf();
        "covar_pop" inner::covariance::covar_pop_udaf();
        "regr_slope" inner::regr::regr_slope_udaf();
        "regr_intercept" inner::regr::regr_intercept_udaf();
        "regr_r2" inner::regr::regr_r2_udaf();
        "regr_avgx" inner::regr::regr_avgx_udaf();
        "regr_avgy" inner::regr::regr_avgy_udaf();
        "regr_sxx" inner::regr::regr_sxx_udaf();
        "regr_syy" inner::regr::regr_syy_udaf();
        "regr_sxy" inner::regr::regr_sxy_udaf();
    }
    all
});

pub fn all() -> Vec<Arc<AggregateUDF>> {
    ALL.clone()
}

/// A built-in aggregate by name.
pub fn builtin(name: &str) -> Option<&'static Arc<AggregateUDF>> {
    ALL.iter().find(|aggregate| aggregate.name() == name)
}
