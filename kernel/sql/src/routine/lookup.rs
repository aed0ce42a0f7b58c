//! Which routines a call may mean.
//!
//! Before anything else is done with a statement, each call in it that may mean a routine gets the name of a
//! [`Reference`]; the other names are those of built-in functions from then on. So what a routine is called cannot
//! change what a built-in name means later, an operator or `$cast` included.
//!
//! 1. A name without schema means what is built in and the routines of the schemas on the search path. Of those
//!    that take the same types the first on the path is meant, where `pg_catalog` comes first unless the path
//!    says otherwise. So PostgreSQL has it.
//! 2. `pg_catalog.f` is what is built in, `s.f` the routines of the schema `s`, for which the role needs USAGE.
//! 3. In a text of the catalog ([`Names::Stored`]) a name without schema is what is built in, and a routine is
//!    named with its oid (`s.f."16400"`): whose search path it is, and what is created later, changes nothing.
//! 4. Names that are no functions to the planner (aggregates, window functions, those that look at the session)
//!    take no overloads; routines of such names are called with their schema.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::functions_window::all_default_window_functions;
use datafusion::logical_expr::ScalarUDF;
use parking_lot::Mutex;
use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArguments, Ident, ObjectName, ObjectNamePart, Statement, TableFactor, VisitMut,
    VisitorMut, visit_expressions,
};

use super::call::Callable;
use super::candidate::Candidate;
use super::reference::{CALLED, Reference, SPREAD, is_reference, site};
use super::traits::{self, Traits};
use crate::catalog::access::Privileges;
use crate::catalog::model::{Routine, RoutineKind, RoutineVolatility, Schema};
use crate::catalog::{CatalogSnapshot, Oid};
use crate::error::{Result, SqlError, state};
use crate::functions::{Functions, TableFunction};
use crate::names::{self, fold, quoted_ident};
use crate::pg_catalog;
use crate::privilege::Authority;
use crate::semantics::function::PgFunction;
use crate::semantics::overload::Overload;
use crate::session::info::SessionInfo;

/// Whose names they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Of a statement, looked up along the search path.
    Statement,
    /// Of a text of the catalog.
    Stored,
}

/// The routines of a catalog, as statements find them along a path.
#[derive(Debug)]
pub(crate) struct Index {
    catalog: Arc<CatalogSnapshot>,
    path: Vec<String>,
    callables: Mutex<HashMap<Oid, Option<Arc<Callable>>>>,
    traits: Mutex<HashMap<Oid, Traits>>,
}

/// What is built in under a name.
pub(super) enum BuiltIn {
    Nothing,
    /// A function that takes so many arguments, with these overloads.
    Function(Arc<ScalarUDF>, Vec<Overload>),
    /// Something that no routine can be an overload of.
    Closed,
}

impl Index {
    pub fn new(catalog: &Arc<CatalogSnapshot>, path: Vec<String>) -> Index {
        Index {
            catalog: catalog.clone(),
            path,
            callables: Mutex::default(),
            traits: Mutex::default(),
        }
    }

    /// `None` when a type of the routine is not there any more: nobody can call it then.
    pub(super) fn callable(&self, routine: &Arc<Routine>) -> Option<Arc<Callable>> {
        let mut known = self.callables.lock();
        let callable = known
            .entry(routine.oid)
            .or_insert_with(|| Callable::new(routine, &self.catalog).map(Arc::new));
        callable.clone()
    }

    /// What calls of a routine may do.
    pub fn traits(&self, routine: &Arc<Routine>, info: &SessionInfo) -> Traits {
        if let Some(known) = self.traits.lock().get(&routine.oid) {
            return *known;
        }
        let traits = traits::of(routine, info);
        self.traits.lock().insert(routine.oid, traits);
        traits
    }

    pub(super) fn schema_of(&self, routine: &Routine) -> &str {
        let schema = self.catalog.schema(routine.schema);
        schema.map_or("", |schema| schema.name.as_str())
    }

    /// Where what is built in stands on the path.
    pub(super) fn builtin_place(&self) -> usize {
        let place = self.path.iter().position(|schema| schema == "pg_catalog");
        place.unwrap_or(0)
    }

    /// The routines of a name that a reference may mean, each with its schema's place on the path.
    fn routines<'a>(&'a self, reference: &'a Reference) -> Vec<(usize, &'a Arc<Routine>)> {
        let routines = self.catalog.routines();
        if let Some(oid) = reference.oid {
            return routines.get(oid).into_iter().map(|r| (0, r)).collect();
        }
        let schemas = match &reference.schema {
            Some(schema) => std::slice::from_ref(schema),
            None => self.path.as_slice(),
        };
        let found = schemas.iter().enumerate().filter_map(|(place, schema)| {
            let schema = self.catalog.schema_by_name(schema)?;
            Some((place, schema.oid))
        });
        let found = found.flat_map(|(place, schema)| {
            let named = routines.named(schema, &reference.name);
            named.map(move |routine| (place, routine))
        });
        found
            .filter(|(_, routine)| routine.kind == reference.kind)
            .collect()
    }

    /// The calls that a reference may mean, one for each list of types.
    pub(super) fn candidates(&self, reference: &Reference) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = Vec::new();
        for (place, routine) in self.routines(reference) {
            let candidate = self
                .callable(routine)
                .and_then(|callable| Candidate::new(callable, reference, place));
            let Some(mut candidate) = candidate else {
                continue;
            };
            let same = all.iter().position(|c| c.params == candidate.params);
            match same {
                None => all.push(candidate),
                Some(at) if all[at].is_before(&candidate) => {}
                Some(at) if candidate.is_before(&all[at]) => all[at] = candidate,
                Some(at) => {
                    candidate.ambiguous = true;
                    all[at] = candidate;
                }
            }
        }
        all
    }

    /// How the rows of calls look, if they give rows.
    pub fn table(&self, reference: &Reference) -> Option<TableFunction> {
        let candidates = self.candidates(reference);
        let first = candidates.first()?;
        let columns = first.callable.columns()?;
        let mut outputs = candidates
            .iter()
            .map(|c| c.callable.routine.outputs().next());
        Some(TableFunction {
            named_by_alias: columns.len() == 1
                && outputs.all(|output| output.is_none_or(|p| p.name.is_none())),
            columns,
        })
    }

    /// What the one value of a call is called by the routine itself.
    pub fn output(&self, reference: &Reference) -> Option<String> {
        let candidates = self.candidates(reference);
        let mut outputs = candidates.iter().filter_map(|c| {
            let output = c.callable.routine.outputs().next()?;
            output.name.clone()
        });
        outputs.next()
    }

    /// Whether a call may mean a routine that is volatile.
    pub fn is_volatile(&self, reference: &Reference) -> bool {
        let mut found = self.candidates(reference).into_iter();
        found.any(|c| c.callable.routine.volatility == RoutineVolatility::Volatile)
    }
}

/// What is built in under a name that is called with so many arguments.
pub(super) fn builtin(functions: &Functions, name: &str, count: usize) -> BuiltIn {
    let takes = |function: &ScalarUDF| -> Option<Vec<Overload>> {
        let function = function.inner().downcast_ref::<PgFunction>()?;
        let overloads = function.overloads().iter();
        let fitting = overloads.filter(|o| o.accepts_count(count));
        Some(fitting.cloned().collect())
    };
    let is_window = || {
        let windows = all_default_window_functions();
        windows.iter().any(|f| f.name() == name)
    };
    if matches!(name, "unnest" | "array")
        || functions.is_aggregate(name)
        || crate::session::functions::is_known(name)
        || pg_catalog::functions::names().any(|n| n == name)
        || is_window()
    {
        return BuiltIn::Closed;
    }
    // What gives rows does so by its array.
    let rows = crate::semantics::rows_of(name).map(str::to_owned);
    let rows = rows.or_else(|| functions.added_table(name).map(|_| format!("${name}")));
    if let Some(array) = rows {
        let array = functions.scalar(&array);
        let overloads = array.and_then(|array| takes(&array));
        return match overloads {
            Some(overloads) if overloads.is_empty() => BuiltIn::Nothing,
            _ => BuiltIn::Closed,
        };
    }
    let Some(function) = functions.scalar(name).filter(|_| !name.starts_with('$')) else {
        return BuiltIn::Nothing;
    };
    match takes(&function) {
        None => BuiltIn::Closed,
        Some(overloads) if overloads.is_empty() => BuiltIn::Nothing,
        Some(overloads) => BuiltIn::Function(function, overloads),
    }
}

/// Whether a routine has a name that is built in for calls with as many arguments, and one of the two gives rows.
pub(crate) fn clashes(functions: &Functions, routine: &Routine, gives_rows: bool) -> bool {
    let most = routine.inputs().count();
    let mut counts = (0..=most).filter(|count| routine.takes(*count));
    counts.any(|count| match builtin(functions, &routine.name, count) {
        BuiltIn::Nothing => false,
        BuiltIn::Function(..) => gives_rows,
        BuiltIn::Closed => functions.gives_rows(&routine.name),
    })
}

/// Gives the calls of a statement, or of a part of one, the names of what they may mean, if `role` may name that.
///
/// # Errors
///
/// 42501 without USAGE on a schema that the statement names, 3F000 where there is none, 42601 for an argument by
/// position after one by name.
pub(crate) fn resolve(
    syntax: &mut impl VisitMut,
    functions: &Functions,
    names: Names,
    role: Option<&Authority>,
) -> Result<()> {
    let mut resolver = Resolver {
        functions,
        names,
        role,
    };
    match syntax.visit(&mut resolver) {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Whether a call in a statement may mean a routine that is volatile.
pub(crate) fn is_volatile(call: &Function, functions: &Functions) -> bool {
    let mut call = Expr::Function(call.clone());
    let resolved = resolve(&mut call, functions, Names::Statement, None);
    let Expr::Function(call) = call else {
        return false;
    };
    let name = crate::semantics::rewrite::names::function_name(&call.name);
    match (resolved, functions.index(), Reference::decode(&name)) {
        (Ok(()), Some(index), Some(reference)) => index.is_volatile(&reference),
        _ => false,
    }
}

/// 0A000 when a statement whose calls have their names calls a routine.
pub(crate) fn refuse_calls(statement: &Statement, what: &str) -> Result<()> {
    let found = visit_expressions(statement, |e| match e {
        Expr::Function(call)
            // One that is chosen for good has three parts, and keeps them where it is not known.
            if call.name.0.len() > 2
                || is_reference(&crate::semantics::rewrite::names::function_name(&call.name)) =>
        {
            ControlFlow::Break(SqlError::unsupported(what))
        }
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Resolver<'a> {
    functions: &'a Functions,
    names: Names,
    role: Option<&'a Authority>,
}

impl VisitorMut for Resolver<'_> {
    type Break = SqlError;

    fn pre_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<SqlError> {
        if let Expr::Function(Function {
            name,
            args: FunctionArguments::List(list),
            ..
        }) = e
        {
            return flow(self.call(name, &mut list.args));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        flow(match factor {
            TableFactor::Table {
                name,
                args: Some(args),
                ..
            } => self.call(name, &mut args.args),
            TableFactor::Function { name, args, .. } => self.call(name, args),
            _ => Ok(()),
        })
    }
}

fn flow(result: Result<()>) -> ControlFlow<SqlError> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(e) => ControlFlow::Break(e),
    }
}

impl Resolver<'_> {
    /// 42501 without USAGE on a schema that a statement names.
    fn check_schema(&self, index: &Index, schema: &Schema) -> Result<()> {
        match self.role {
            Some(role) => role.check_schema(&index.catalog, schema, Privileges::USAGE),
            None => Ok(()),
        }
    }

    fn call(&self, name: &mut ObjectName, args: &mut [FunctionArg]) -> Result<()> {
        let found = match self.functions.index() {
            Some(index) => self.find(index, name, args)?,
            None => None,
        };
        let Some(reference) = found else {
            return match args.last() {
                Some(arg) if is_spread(arg) => Err(SqlError::unsupported(
                    "VARIADIC in the call of a built-in function",
                )),
                _ => Ok(()),
            };
        };
        let mut ident = quoted_ident(&reference.encode());
        if let Some(last) = name.0.last().and_then(ObjectNamePart::as_ident) {
            ident.span = last.span;
        }
        name.0 = vec![ObjectNamePart::Identifier(ident)];
        Ok(())
    }

    /// The routines that a call may mean; `None` if it means what is built in.
    fn find(
        &self,
        index: &Index,
        name: &mut ObjectName,
        args: &mut [FunctionArg],
    ) -> Result<Option<Reference>> {
        let idents: Option<Vec<Ident>> = name.0.iter().map(|p| p.as_ident().cloned()).collect();
        let Some(idents) = idents else {
            return Ok(None);
        };
        let (kind, idents) = match idents.as_slice() {
            [first, rest @ ..] if first.value == CALLED => (RoutineKind::Procedure, rest),
            all => (RoutineKind::Function, all),
        };
        let parts: Vec<String> = idents.iter().map(fold).collect();
        let mut reference = Reference {
            kind,
            schema: None,
            oid: None,
            name: String::new(),
            count: args.len(),
            labels: Vec::new(),
            spread: false,
            site: idents.last().and_then(|last| site(last.span.start)),
        };
        match parts.as_slice() {
            [plain] => {
                let stays = is_reference(&idents[0].value)
                    || (self.names == Names::Stored && kind == RoutineKind::Function);
                if stays {
                    return Ok(None);
                }
                reference.name.clone_from(plain);
                if index.routines(&reference).is_empty() && kind == RoutineKind::Function {
                    return Ok(None);
                }
            }
            [schema, _] if schema == "pg_catalog" => {
                name.0.remove(0);
                return Ok(None);
            }
            [schema, plain] => {
                let schema = names::on_path(schema, &index.path).to_owned();
                reference.name.clone_from(plain);
                reference.schema = Some(schema.clone());
                if schema == "information_schema" && index.routines(&reference).is_empty() {
                    return Ok(None);
                }
                let Some(found) = index.catalog.schema_by_name(&schema) else {
                    return Err(SqlError::new(
                        state::INVALID_SCHEMA_NAME,
                        format!("schema \"{schema}\" does not exist"),
                    ));
                };
                if self.names == Names::Statement {
                    self.check_schema(index, found)?;
                }
                // What plugins bring is found there, too.
                if schema == "public"
                    && index.routines(&reference).is_empty()
                    && self.functions.is_added(plain)
                {
                    name.0.remove(0);
                    return Ok(None);
                }
            }
            // It is who it is, whatever it is called now.
            [_, _, oid] => {
                let oid: Option<Oid> = oid.parse().ok();
                let routine = oid.and_then(|oid| index.catalog.routines().get(oid));
                let Some(routine) = routine.filter(|r| r.kind == kind) else {
                    return Ok(None);
                };
                if self.names == Names::Statement
                    && let Some(schema) = index.catalog.schema(routine.schema)
                {
                    self.check_schema(index, schema)?;
                }
                reference.name.clone_from(&routine.name);
                reference.schema = Some(index.schema_of(routine).to_owned());
                reference.oid = Some(routine.oid);
            }
            _ => return Ok(None),
        }
        let builtin = match reference.schema {
            _ if kind == RoutineKind::Procedure => BuiltIn::Nothing,
            Some(_) => BuiltIn::Nothing,
            None => builtin(self.functions, &reference.name, args.len()),
        };
        if matches!(builtin, BuiltIn::Closed) {
            return Ok(None);
        }
        say_arguments(&mut reference, args)?;
        let candidates = index.candidates(&reference);
        let gives_rows = candidates.iter().any(|c| c.callable.gives_array());
        if matches!(builtin, BuiltIn::Function(..)) && (candidates.is_empty() || gives_rows) {
            return Ok(None);
        }
        let columns = |c: &Candidate| c.callable.columns();
        if candidates
            .iter()
            .any(|c| columns(c) != columns(&candidates[0]))
        {
            return Err(SqlError::unsupported(format!(
                "a call that may mean functions \"{}\" of different schemas, of which one gives \
                 other columns than another,",
                reference.name
            ))
            .with_hint("Put the schema in front of the name."));
        }
        for arg in args {
            if let FunctionArg::Named { arg: value, .. }
            | FunctionArg::ExprNamed { arg: value, .. } = arg
            {
                *arg = FunctionArg::Unnamed(value.clone());
            }
        }
        Ok(Some(reference))
    }
}

fn is_spread(arg: &FunctionArg) -> bool {
    label(arg).is_some_and(|name| name.value == SPREAD)
}

/// What a call names an argument, in either of the forms that the dialect has for it.
fn label(arg: &FunctionArg) -> Option<&Ident> {
    match arg {
        FunctionArg::Named { name, .. }
        | FunctionArg::ExprNamed {
            name: Expr::Identifier(name),
            ..
        } => Some(name),
        _ => None,
    }
}

/// What a call says of its arguments: names, and that the last one is the array of a variadic parameter.
fn say_arguments(reference: &mut Reference, args: &mut [FunctionArg]) -> Result<()> {
    for arg in args {
        name_by_assignment(arg);
        if is_spread(arg) {
            reference.spread = true;
            continue;
        }
        let label = match label(arg) {
            Some(name) => fold(name),
            None if reference.labels.is_empty() => continue,
            None => {
                return Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    "positional argument cannot follow named argument",
                ));
            }
        };
        if reference.labels.contains(&label) {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                format!("argument name \"{label}\" used more than once"),
            ));
        }
        reference.labels.push(label);
    }
    Ok(())
}

/// `name := value`, which the dialect takes for an operator.
pub(super) fn name_by_assignment(arg: &mut FunctionArg) {
    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp { left, op, right })) = arg
        && *op == BinaryOperator::Assignment
        && let Expr::Identifier(name) = left.as_ref()
    {
        *arg = FunctionArg::Named {
            name: name.clone(),
            arg: FunctionArgExpr::Expr(right.as_ref().clone()),
            operator: FunctionArgOperator::Assignment,
        };
    }
}
