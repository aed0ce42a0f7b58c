//! Functions and operators by name and argument types, resolved as PostgreSQL resolves them.
//!
//! An [`Overload`] is one row of `pg_proc` (or `pg_operator`): argument types, result type, kernel.
//! [`resolve`] picks one for a call: an exact match, or `func_select_candidate`'s rules about
//! implicit casts, preferred types and literals of unknown type (the PostgreSQL manual, "Type
//! Conversion", 10.2 and 10.3).

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarUDF};

use super::vars::SessionVars;
use crate::error::Result;
use crate::types::PgType;
use crate::types::cast::{CastContext, is_allowed};

/// What a kernel is called with besides its arguments.
pub struct Call<'a> {
    pub vars: &'a SessionVars,
    pub rows: usize,
    pub result: &'a DataType,
}

/// Evaluates a function over columns. When every argument is a scalar, `rows` is 1.
pub type Kernel = Arc<dyn Fn(&[ColumnarValue], &Call<'_>) -> Result<ArrayRef> + Send + Sync>;

/// A formal argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    Is(PgType),
    /// One type for all such arguments of a call.
    AnyElement,
    /// The same, of an enum.
    AnyEnum,
    /// An array of the `AnyElement` of the call.
    AnyArray,
    /// Any type at all, each argument its own.
    Any,
    /// Any type but an array.
    AnyNonArray,
}

/// A result's type by the Arrow types of the coerced arguments.
pub type ResultOf = Arc<dyn Fn(&[DataType]) -> DataType + Send + Sync>;

#[derive(Clone)]
pub enum ResultType {
    Is(PgType),
    /// The same, and of its family of types just this one.
    Exactly(PgType),
    /// A type that SQL has no name for, such as rows.
    Arrow(DataType),
    /// From the Arrow types of the coerced arguments.
    From(fn(&[DataType]) -> DataType),
    /// The same for what is known only at run time.
    Of(ResultOf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

#[derive(Clone)]
pub struct Overload {
    pub params: Vec<Param>,
    /// The last parameter may repeat, any number of times.
    pub variadic: bool,
    pub result: ResultType,
    pub volatility: Volatility,
    pub kernel: Kernel,
    /// What stands for one type is that type in each argument, and not one that it can be cast to.
    pub one_type: bool,
    /// What a call becomes, where it is not called as it is.
    pub chosen: Option<Arc<dyn Chosen>>,
    /// It is one of several that nothing tells apart.
    pub ambiguous: bool,
}

/// Makes an array of items that have one type.
pub type MakeArray<'a> = &'a dyn Fn(Vec<Expr>) -> DfResult<Expr>;

/// What a call becomes when its overload is chosen among all that a name may mean.
pub trait Chosen: Send + Sync {
    /// It was chosen.
    fn note(&self);

    /// What is called, with arguments that had the types which the overload asks for.
    fn call(&self, args: Vec<Expr>, array: MakeArray<'_>) -> DfResult<(Arc<ScalarUDF>, Vec<Expr>)>;
}

impl Overload {
    pub fn stable(mut self) -> Overload {
        self.volatility = Volatility::Stable;
        self
    }

    pub fn volatile(mut self) -> Overload {
        self.volatility = Volatility::Volatile;
        self
    }

    pub fn accepts_count(&self, n: usize) -> bool {
        if self.variadic {
            n + 1 >= self.params.len()
        } else {
            n == self.params.len()
        }
    }

    pub fn param(&self, i: usize) -> &Param {
        let last = self.params.len().saturating_sub(1);
        &self.params[if self.variadic { i.min(last) } else { i }]
    }
}

/// Why no overload was chosen.
#[derive(Debug)]
pub enum Unresolved {
    /// No candidate takes these arguments.
    None,
    Ambiguous,
}

/// A chosen overload and what its arguments must become.
pub struct Resolved {
    pub index: usize,
    pub arguments: Vec<DataType>,
    pub result: DataType,
}

/// PostgreSQL's type of an argument; types without one stand for themselves as `record`.
pub fn pg_type(ty: &DataType) -> PgType {
    PgType::from_arrow(ty).unwrap_or(PgType::Record)
}

/// The Arrow type an argument of type `from` gets to be passed as `to`.
pub fn argument_type(from: &DataType, to: &PgType) -> DataType {
    match (from, to) {
        (DataType::Decimal128(_, s), PgType::Numeric) if *s >= 0 => from.clone(),
        (DataType::Int16, PgType::Numeric) => DataType::Decimal128(5, 0),
        (DataType::Int32, PgType::Numeric) => DataType::Decimal128(10, 0),
        (DataType::Int64 | DataType::UInt64, PgType::Numeric) => DataType::Decimal128(20, 0),
        (DataType::List(_), PgType::Array(item))
            if **item == PgType::Numeric && pg_type(from) == *to =>
        {
            from.clone()
        }
        _ => to.arrow(),
    }
}

/// Resolves a call. `arguments` are Arrow types as planned; `Utf8` and `Null` are `unknown`.
pub fn resolve(overloads: &[Overload], arguments: &[DataType]) -> Result<Resolved, Unresolved> {
    let types: Vec<PgType> = arguments.iter().map(pg_type).collect();
    let index = choose(overloads, &types)?;
    let o = &overloads[index];
    if o.ambiguous {
        return Err(Unresolved::Ambiguous);
    }
    let element = element_type(o, arguments);
    let coerced: Vec<DataType> = arguments
        .iter()
        .enumerate()
        .map(|(i, ty)| match o.param(i) {
            Param::Is(to) => argument_type(ty, to),
            Param::Any | Param::AnyNonArray if pg_type(ty) == PgType::Unknown => DataType::Utf8View,
            Param::Any | Param::AnyNonArray => ty.clone(),
            Param::AnyElement | Param::AnyEnum => element.clone(),
            Param::AnyArray => DataType::new_list(element.clone(), true),
        })
        .collect();
    let result = match &o.result {
        ResultType::Is(ty) | ResultType::Exactly(ty) => ty.arrow(),
        ResultType::Arrow(ty) => ty.clone(),
        ResultType::From(f) => f(&coerced),
        ResultType::Of(f) => f(&coerced),
    };
    Ok(Resolved {
        index,
        arguments: coerced,
        result,
    })
}

/// What `AnyElement` is in this call: the common type of what it stands for.
fn element_type(o: &Overload, arguments: &[DataType]) -> DataType {
    let mut seen: Vec<DataType> = Vec::new();
    for (i, ty) in arguments.iter().enumerate() {
        match (o.param(i), ty) {
            (Param::AnyElement | Param::AnyEnum, ty) => seen.push(ty.clone()),
            (Param::AnyArray, DataType::List(f)) => seen.push(f.data_type().clone()),
            _ => {}
        }
    }
    super::common::common_type("", &seen).unwrap_or(DataType::Utf8View)
}

fn choose(overloads: &[Overload], types: &[PgType]) -> Result<usize, Unresolved> {
    let by_count: Vec<usize> = (0..overloads.len())
        .filter(|i| overloads[*i].accepts_count(types.len()))
        .collect();
    // An exact match wins outright. For a binary operator or function of two arguments, a literal
    // of unknown type is first assumed to be of the other's type.
    let exact = |types: &[PgType]| {
        by_count.iter().copied().find(|i| {
            types
                .iter()
                .enumerate()
                .all(|(k, ty)| match overloads[*i].param(k) {
                    Param::Is(p) => p == ty,
                    Param::AnyArray => {
                        matches!(ty, PgType::Array(_)) && types.iter().all(|t| t == ty)
                    }
                    Param::AnyElement | Param::AnyEnum | Param::Any | Param::AnyNonArray => false,
                })
        })
    };
    if let Some(i) = exact(types) {
        return Ok(i);
    }
    if let [a, b] = types {
        let assumed = match (a, b) {
            (PgType::Unknown, PgType::Unknown) => None,
            (PgType::Unknown, b) => Some([b.clone(), b.clone()]),
            (a, PgType::Unknown) => Some([a.clone(), a.clone()]),
            _ => None,
        };
        if let Some(i) = assumed.and_then(|t| exact(&t)) {
            return Ok(i);
        }
    }
    let mut candidates: Vec<usize> = by_count
        .into_iter()
        .filter(|i| {
            types
                .iter()
                .enumerate()
                .all(|(k, ty)| accepts(&overloads[*i], k, ty))
        })
        .filter(|i| polymorphic_agrees(&overloads[*i], types))
        .collect();
    let known = |k: usize| types[k] != PgType::Unknown;
    let is = |i: usize, k: usize| match overloads[i].param(k) {
        Param::Is(ty) => Some(ty.clone()),
        _ => None,
    };
    if candidates.len() > 1 {
        keep_best(&mut candidates, |i| {
            (0..types.len())
                .filter(|k| known(*k) && is(i, *k).is_some_and(|p| same_base(&p, &types[*k])))
                .count()
        });
    }
    if candidates.len() > 1 {
        keep_best(&mut candidates, |i| {
            (0..types.len())
                .filter(|k| {
                    known(*k)
                        && is(i, *k).is_some_and(|p| {
                            same_base(&p, &types[*k])
                                || (p.is_preferred() && p.category() == types[*k].category())
                        })
                })
                .count()
        });
    }
    if candidates.len() > 1 && types.contains(&PgType::Unknown) {
        // The category each unknown argument is taken to have; a slot without one leaves the
        // candidates as they are.
        let slots: Vec<usize> = (0..types.len()).filter(|k| !known(*k)).collect();
        let category = |k: usize| {
            let all: Vec<char> = candidates
                .iter()
                .map(|i| is(*i, k).map_or('A', |t| t.category()))
                .collect();
            if all.contains(&'S') {
                Some('S')
            } else {
                Some(all[0]).filter(|first| all.iter().all(|c| c == first))
            }
        };
        let categories: Vec<Option<char>> = slots.iter().map(|k| category(*k)).collect();
        if categories.iter().all(Option::is_some) {
            for (k, category) in slots.into_iter().zip(categories.into_iter().flatten()) {
                candidates.retain(|i| is(*i, k).map_or('A', |t| t.category()) == category);
                if candidates
                    .iter()
                    .any(|i| is(*i, k).is_some_and(|t| t.is_preferred()))
                {
                    candidates.retain(|i| is(*i, k).is_some_and(|t| t.is_preferred()));
                }
            }
        }
        if candidates.len() > 1
            && let Some(first) = types.iter().find(|t| **t != PgType::Unknown)
            && types.iter().all(|t| *t == PgType::Unknown || t == first)
        {
            let assumed: Vec<usize> = candidates
                .iter()
                .copied()
                .filter(|i| {
                    (0..types.len()).all(|k| {
                        is(*i, k).is_none_or(|p| is_allowed(first, &p, CastContext::Implicit))
                    })
                })
                .collect();
            if !assumed.is_empty() {
                candidates = assumed;
            }
        }
    }
    match candidates.as_slice() {
        [one] => Ok(*one),
        [] => Err(Unresolved::None),
        _ => Err(Unresolved::Ambiguous),
    }
}

fn same_base(a: &PgType, b: &PgType) -> bool {
    let base = |t: &PgType| {
        if *t == PgType::Varchar {
            PgType::Text
        } else {
            t.clone()
        }
    };
    base(a) == base(b)
}

fn accepts(o: &Overload, k: usize, ty: &PgType) -> bool {
    match o.param(k) {
        Param::Is(p) => is_allowed(ty, p, CastContext::Implicit),
        Param::AnyArray => matches!(ty, PgType::Array(_) | PgType::Unknown),
        Param::AnyElement | Param::Any => true,
        Param::AnyEnum => matches!(ty, PgType::Enum(_) | PgType::Unknown),
        Param::AnyNonArray => !matches!(ty, PgType::Array(_)),
    }
}

/// The arguments of polymorphic parameters have a common type.
fn polymorphic_agrees(o: &Overload, types: &[PgType]) -> bool {
    let is_enum = |k| matches!(o.param(k), Param::AnyEnum);
    if (0..types.len()).any(is_enum) && types.iter().all(|ty| *ty == PgType::Unknown) {
        return false;
    }
    let mut element: Option<PgType> = None;
    for (k, ty) in types.iter().enumerate() {
        let this = match (o.param(k), ty) {
            (_, PgType::Unknown) => continue,
            (Param::AnyElement | Param::AnyEnum, ty) => ty.clone(),
            (Param::AnyArray, PgType::Array(item)) => (**item).clone(),
            _ => continue,
        };
        match &element {
            None => element = Some(this),
            Some(e) if *e == this => {}
            Some(_) if o.one_type => return false,
            Some(e) if is_allowed(&this, e, CastContext::Implicit) => {}
            Some(e) if is_allowed(e, &this, CastContext::Implicit) => element = Some(this),
            Some(_) => return false,
        }
    }
    true
}

fn keep_best(candidates: &mut Vec<usize>, score: impl Fn(usize) -> usize) {
    if let Some(best) = candidates.iter().map(|i| score(*i)).max() {
        candidates.retain(|i| score(*i) == best);
    }
}
