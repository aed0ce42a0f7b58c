//! A routine as one call may mean it: with defaults for what is left out, with the items of a variadic parameter
//! one by one, with arguments by name.
//!
//! Its overload has a parameter for each argument of the call, so that it is chosen by types among all that the
//! call may mean, as PostgreSQL does it. Once it is chosen the call becomes one of the routine itself, with all
//! its arguments, under the routine's oid.

use std::ops::Range;
use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{Expr, ScalarUDF};
use parking_lot::Mutex;

use super::call::Callable;
use super::lookup::{BuiltIn, Index, builtin};
use super::reference::{Reference, Site};
use crate::catalog::Oid;
use crate::catalog::model::{Parameter, ParameterMode, Routine, RoutineKind, RoutineVolatility};
use crate::error::{Result, SqlError};
use crate::functions::Functions;
use crate::semantics::function::PgFunction;
use crate::semantics::overload::{Chosen, MakeArray, Overload, Param, Volatility};
use crate::types::PgType;

/// Where a parameter's value is from.
#[derive(Clone, Debug)]
enum Source {
    Argument(usize),
    /// Items of an array.
    Items(Range<usize>),
    Default,
}

/// A routine, called in one way.
#[derive(Debug)]
pub(super) struct Candidate {
    pub callable: Arc<Callable>,
    /// Of the arguments of the call, in order.
    pub params: Vec<Param>,
    sources: Vec<Source>,
    /// Of its schema on the path.
    place: usize,
    takes_items: bool,
    /// Another one of its schema takes the same, and nothing tells which is meant.
    pub ambiguous: bool,
}

impl Candidate {
    /// `None` if the routine cannot be called so.
    pub fn new(callable: Arc<Callable>, call: &Reference, place: usize) -> Option<Candidate> {
        let routine = callable.routine.clone();
        let inputs: Vec<&Parameter> = routine.inputs().collect();
        let params = callable.params();
        let takes_items = routine.is_variadic() && !call.spread && call.count >= inputs.len();
        if routine.is_variadic() && !call.spread && !call.labels.is_empty() {
            return None;
        }
        let mut sources: Vec<Option<Source>> = vec![None; inputs.len()];
        let mut taken = Vec::with_capacity(call.count);
        if takes_items {
            let fixed = inputs.len() - 1;
            for at in 0..fixed {
                sources[at] = Some(Source::Argument(at));
                taken.push(params[at].clone());
            }
            sources[fixed] = Some(Source::Items(fixed..call.count));
            let item = item_of(&params[fixed])?;
            taken.resize(call.count, item);
        } else {
            let positional = call.count.checked_sub(call.labels.len())?;
            let places = 0..positional;
            let by_name = call.labels.iter().map(|label| {
                let mut names = inputs.iter().map(|p| p.name.as_deref());
                names.position(|name| name == Some(label.as_str()))
            });
            let places = places.map(Some).chain(by_name);
            for (argument, parameter) in places.enumerate() {
                let slot = sources.get_mut(parameter?)?;
                if slot.replace(Source::Argument(argument)).is_some() {
                    return None;
                }
                taken.push(params[parameter?].clone());
            }
        }
        let sources = sources.into_iter().zip(&inputs).map(|(source, input)| {
            let default = input.default.as_ref().map(|_| Source::Default);
            source.or(default)
        });
        let has_array = |p: &&Parameter| p.mode == ParameterMode::Variadic;
        if call.spread && !inputs.last().is_some_and(has_array) {
            return None;
        }
        Some(Candidate {
            sources: sources.collect::<Option<_>>()?,
            params: taken,
            callable,
            place,
            takes_items,
            ambiguous: false,
        })
    }

    /// Whether it is meant rather than another one that takes the same types.
    pub fn is_before(&self, other: &Candidate) -> bool {
        (self.place, self.takes_items) < (other.place, other.takes_items)
    }
}

fn item_of(param: &Param) -> Option<Param> {
    match param {
        Param::Is(PgType::Array(item)) => Some(Param::Is((**item).clone())),
        Param::AnyArray => Some(Param::AnyElement),
        _ => None,
    }
}

/// The routines that the calls of a statement turned out to mean.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<Vec<Note>>);

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub routine: Arc<Routine>,
    /// Where the call stands, if it is one of the statement itself and not of a view or a policy.
    pub site: Option<Site>,
}

impl Noted {
    fn add(&self, note: Note) {
        let mut all = self.0.lock();
        let is_it = |n: &Note| n.routine.oid == note.routine.oid && n.site == note.site;
        if !all.iter().any(is_it) {
            all.push(note);
        }
    }

    pub fn all(&self) -> Vec<Note> {
        self.0.lock().clone()
    }

    /// The routine that the call at a place means.
    pub fn at(&self, site: Site) -> Option<Oid> {
        let all = self.0.lock();
        // What was noted last was planned with the types that it has.
        let mut found = all.iter().rev().filter(|note| note.site == Some(site));
        found.next().map(|note| note.routine.oid)
    }
}

/// What a function of several candidates is made with.
pub(crate) struct Making<'a> {
    pub functions: &'a Functions,
    pub noted: &'a Arc<Noted>,
    /// The call is one of the statement itself.
    pub own: bool,
    /// Plans a default as a value of a type.
    pub default: &'a dyn Fn(&str, Option<&PgType>) -> Result<Expr>,
}

/// The function that the planner has for a name of ours.
pub(crate) fn function(index: &Index, name: &str, making: &Making<'_>) -> Option<Arc<ScalarUDF>> {
    let reference = Reference::decode(name)?;
    let is_array = name.starts_with('$');
    let mut candidates = index.candidates(&reference);
    let mut overloads = Vec::new();
    if reference.schema.is_none()
        && reference.kind == RoutineKind::Function
        && reference.labels.is_empty()
        && !reference.spread
        && let BuiltIn::Function(function, built_in) =
            builtin(making.functions, &reference.name, reference.count)
    {
        let place = index.builtin_place();
        for mut overload in built_in {
            let takes = |c: &Candidate| {
                let mut params = c.params.iter().enumerate();
                params.all(|(at, param)| overload.param(at) == param)
            };
            if candidates.iter().any(|c| c.place < place && takes(c)) {
                continue;
            }
            candidates.retain(|c| !takes(c));
            overload.chosen = Some(Arc::new(BuiltInChoice(function.clone())));
            overloads.push(overload);
        }
    }
    for candidate in candidates {
        overloads.push(overload(index, candidate, &reference, is_array, making));
    }
    let shown = reference.anywhere().encode();
    let shown = if is_array { format!("${shown}") } else { shown };
    Some(Arc::new(PgFunction::udf(&shown, overloads)))
}

fn overload(
    index: &Index,
    candidate: Candidate,
    call: &Reference,
    is_array: bool,
    making: &Making<'_>,
) -> Overload {
    let callable = candidate.callable.clone();
    let routine = callable.routine.clone();
    let inputs = routine.inputs().zip(callable.params());
    let defaults = inputs
        .zip(&candidate.sources)
        .map(|((input, param), source)| {
            let text = input.default.as_deref().filter(|_| is_default(source))?;
            let ty = match &param {
                Param::Is(ty) => Some(ty),
                _ => None,
            };
            Some((making.default)(text, ty))
        });
    let choice = RoutineChoice {
        function: bound(index, &callable, is_array),
        sources: candidate.sources.clone(),
        defaults: defaults.collect(),
        noted: making.noted.clone(),
        note: Note {
            routine: routine.clone(),
            site: call.site.filter(|_| making.own),
        },
    };
    Overload {
        result: callable.result_for(candidate.params.clone()),
        params: candidate.params,
        chosen: Some(Arc::new(choice)),
        ambiguous: candidate.ambiguous,
        ..of_routine(&callable)
    }
}

fn is_default(source: &Source) -> bool {
    matches!(source, Source::Default)
}

/// A routine as it is, called with all of its arguments.
fn of_routine(callable: &Arc<Callable>) -> Overload {
    let called = callable.clone();
    Overload {
        params: callable.params(),
        variadic: false,
        result: callable.result_for(callable.params()),
        volatility: match callable.routine.volatility {
            RoutineVolatility::Immutable => Volatility::Immutable,
            RoutineVolatility::Stable => Volatility::Stable,
            RoutineVolatility::Volatile => Volatility::Volatile,
        },
        kernel: Arc::new(move |args, call| called.invoke(args, call)),
        one_type: callable.is_of_one_type(),
        chosen: None,
        ambiguous: false,
    }
}

/// The one function that a routine is.
fn bound(index: &Index, callable: &Arc<Callable>, is_array: bool) -> Arc<ScalarUDF> {
    let routine = &callable.routine;
    let name = Reference {
        kind: routine.kind,
        schema: Some(index.schema_of(routine).to_owned()),
        oid: Some(routine.oid),
        name: routine.name.clone(),
        count: callable.params().len(),
        labels: Vec::new(),
        spread: false,
        site: None,
    };
    let name = name.encode();
    let name = if is_array { format!("${name}") } else { name };
    Arc::new(PgFunction::udf(&name, vec![of_routine(callable)]))
}

struct RoutineChoice {
    function: Arc<ScalarUDF>,
    sources: Vec<Source>,
    defaults: Vec<Option<Result<Expr>>>,
    noted: Arc<Noted>,
    note: Note,
}

impl Chosen for RoutineChoice {
    fn note(&self) {
        self.noted.add(self.note.clone());
    }

    fn call(&self, args: Vec<Expr>, array: MakeArray<'_>) -> DfResult<(Arc<ScalarUDF>, Vec<Expr>)> {
        let mut args: Vec<Option<Expr>> = args.into_iter().map(Some).collect();
        let mut take = |at: usize| {
            let arg = args.get_mut(at).and_then(Option::take);
            arg.ok_or_else(|| lost("an argument"))
        };
        let mut all = Vec::with_capacity(self.sources.len());
        for (source, default) in self.sources.iter().zip(&self.defaults) {
            all.push(match source {
                Source::Argument(at) => take(*at)?,
                Source::Items(items) => {
                    let items = items.clone().map(&mut take);
                    array(items.collect::<DfResult<_>>()?)?
                }
                Source::Default => match default {
                    Some(Ok(default)) => default.clone(),
                    Some(Err(e)) => return Err(crate::plan::error::wrap(e.clone())),
                    None => return Err(lost("a default")),
                },
            });
        }
        Ok((self.function.clone(), all))
    }
}

fn lost(what: &str) -> datafusion::common::DataFusionError {
    crate::plan::error::wrap(SqlError::internal(format!("{what} of a call was lost")))
}

/// What is built in was meant, by a name that routines have, too.
struct BuiltInChoice(Arc<ScalarUDF>);

impl Chosen for BuiltInChoice {
    fn note(&self) {}

    fn call(&self, args: Vec<Expr>, _: MakeArray<'_>) -> DfResult<(Arc<ScalarUDF>, Vec<Expr>)> {
        Ok((self.0.clone(), args))
    }
}
