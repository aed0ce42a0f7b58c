//! CREATE FUNCTION and CREATE PROCEDURE.

use sqlparser::ast::{self, DataType};

use super::super::put;
use super::syntax::{Argument, CreateRoutine, Returns, RoutineOption};
use super::type_name;
use crate::catalog::model::*;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::functions::Functions;
use crate::names::{self, fold};
use crate::plan::compile::Expressions;
use crate::routine::Callable;
use crate::session::Session;
use crate::types::PgType;

/// Types that only routines have, by their names.
pub(super) const PSEUDO_TYPES: &[(Oid, &str)] = &[
    (2278, "void"),
    (2249, "record"),
    (2283, "anyelement"),
    (2277, "anyarray"),
    (2776, "anynonarray"),
    (3500, "anyenum"),
    (5077, "anycompatible"),
    (5078, "anycompatiblearray"),
    (5079, "anycompatiblenonarray"),
];

const VOID: Oid = 2278;
const RECORD: Oid = 2249;

/// PostgreSQL's estimates where none is given.
const COST: f32 = 100.0;
const ROWS: f32 = 1000.0;

fn definition(message: impl Into<String>) -> SqlError {
    SqlError::new(state::INVALID_FUNCTION_DEFINITION, message)
}

/// The one word that a type is, without quotes.
fn pseudo_type(ty: &DataType) -> Option<Oid> {
    let name = ty.to_string().to_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    let found = PSEUDO_TYPES.iter().find(|(_, known)| *known == name);
    found.map(|(oid, _)| *oid)
}

fn is_polymorphic(oid: Oid) -> bool {
    crate::routine::is_polymorphic(oid)
}

fn type_oid(ty: &DataType, functions: &Functions) -> Result<Oid> {
    if let Some(oid) = pseudo_type(ty) {
        return Ok(oid);
    }
    if let Some(named) = functions.named_types().resolve(ty)? {
        return Ok(match ty {
            DataType::Array(_) => named.definition.array_oid,
            _ => named.definition.oid,
        });
    }
    functions.type_from_ast(ty).map(|(ty, _)| ty.oid())
}

pub(super) fn check_once(options: &[RoutineOption]) -> Result<()> {
    for (at, option) in options.iter().enumerate() {
        let mut before = options[..at].iter();
        if option.what().is_some() && before.any(|o| o.what() == option.what()) {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "conflicting or redundant options",
            ));
        }
    }
    Ok(())
}

/// 22023 for estimates that cannot be.
pub(super) fn check_estimates(routine: &Routine, options: &[RoutineOption]) -> Result<()> {
    let refuse = |message: &str| Err(SqlError::new(state::INVALID_PARAMETER_VALUE, message));
    for option in options {
        match option {
            RoutineOption::Cost(cost) if *cost <= 0.0 => return refuse("COST must be positive"),
            RoutineOption::Rows(rows) if *rows <= 0.0 => return refuse("ROWS must be positive"),
            RoutineOption::Rows(_) if !routine.returns_set => {
                return refuse("ROWS is not applicable when function does not return a set");
            }
            _ => {}
        }
    }
    Ok(())
}

impl Session {
    /// The type of a parameter, by its oid.
    pub(super) fn parameter_type_oid(&mut self, ty: &DataType) -> Result<Oid> {
        self.write_view()?;
        type_oid(ty, &self.info.functions())
    }

    pub(super) fn create_routine(&mut self, create: &CreateRoutine) -> Result<()> {
        let (schema, name) = self.creation_schema(&create.name, false)?;
        let (_, catalog) = self.write_view()?;
        if catalog.is_temporary(schema.oid) {
            return Err(SqlError::unsupported("temporary functions"));
        }
        check_once(&create.options)?;
        let body = body_of(&create.options)?;
        let functions = self.info.functions();
        let mut parameters = self.parameters_of(&create.arguments, &functions)?;
        let (result, returns_set) =
            self.result_of(create, &mut parameters, &catalog, &functions)?;
        let mut routine = Routine {
            oid: 0,
            schema: schema.oid,
            name,
            owner: self.info.role().oid,
            kind: create.kind,
            parameters,
            result,
            returns_set,
            volatility: RoutineVolatility::Volatile,
            strict: false,
            definer: false,
            leakproof: false,
            parallel: 'u',
            cost: COST,
            rows: if returns_set { ROWS } else { 0.0 },
            settings: Vec::new(),
            body,
        };
        for option in &create.options {
            self.apply_option(&mut routine, option)?;
        }
        check_estimates(&routine, &create.options)?;
        check_polymorphic(&routine)?;
        self.check_shape(&catalog, &routine)?;
        let existing = {
            let inputs = routine.input_types();
            catalog
                .routines()
                .find(routine.schema, &routine.name, &inputs)
        };
        match existing {
            None => routine.oid = self.instance.allocate_oid()?,
            Some(existing) if !create.or_replace => {
                return Err(SqlError::new(
                    state::DUPLICATE_FUNCTION,
                    format!(
                        "function \"{}\" already exists with same argument types",
                        existing.name
                    ),
                ));
            }
            Some(existing) => {
                self.check_owner(existing.owner, existing.kind.noun(), &existing.name)?;
                check_replaces(&catalog, existing, &routine)?;
                routine.oid = existing.oid;
                routine.owner = existing.owner;
            }
        }
        let is_checked = self
            .info
            .with_settings(|s| s.value("check_function_bodies") == "on");
        let catalog = self.change_catalog(vec![put!(Routine, routine.clone())])?;
        if is_checked {
            let routine = std::sync::Arc::new(routine);
            let callable = Callable::new(&routine, &catalog)
                .ok_or_else(|| SqlError::internal("a type of a function is not there"))?;
            callable.check(self)?;
        }
        Ok(())
    }

    /// 0A000 for a routine whose calls look like those of another one of the name, or of a built-in function,
    /// which gives other columns: a call has one form, whatever the types of its arguments are.
    pub(super) fn check_shape(&self, catalog: &CatalogSnapshot, routine: &Routine) -> Result<()> {
        if routine.kind != RoutineKind::Function {
            return Ok(());
        }
        let columns = |routine: &Routine| -> Option<Option<Vec<String>>> {
            let callable = Callable::new(&std::sync::Arc::new(routine.clone()), catalog)?;
            Some(callable.columns())
        };
        let Some(own) = columns(routine) else {
            return Ok(());
        };
        let others = catalog.routines().named(routine.schema, &routine.name);
        let inputs = routine.input_types();
        let mut others = others.filter(|r| r.kind == routine.kind && r.input_types() != inputs);
        let differs = |other: &std::sync::Arc<Routine>| {
            other.takes_as_many_as(routine) && columns(other).is_some_and(|c| c != own)
        };
        if others.any(differs) {
            return Err(SqlError::unsupported(format!(
                "a function \"{}\" whose columns are not those of another of that name and number of arguments,",
                routine.name
            )));
        }
        let functions = self.info.functions();
        match crate::routine::clashes(&functions, routine, own.is_some()) {
            false => Ok(()),
            true => Err(SqlError::unsupported(format!(
                "a function \"{}\" that gives rows where the built-in one gives a value, or the reverse,",
                routine.name
            ))),
        }
    }

    fn parameters_of(
        &mut self,
        arguments: &[Argument],
        functions: &Functions,
    ) -> Result<Vec<Parameter>> {
        let mut parameters: Vec<Parameter> = Vec::new();
        let mut has_default = false;
        for argument in arguments {
            let mode = argument.mode.unwrap_or(ParameterMode::In);
            let type_oid = type_oid(&argument.ty, functions)?;
            if type_oid == VOID || type_oid == RECORD {
                return Err(definition(match create_noun(type_oid) {
                    "record" => return Err(SqlError::unsupported("parameters of type record")),
                    name => format!("SQL functions cannot have arguments of type {name}"),
                }));
            }
            let name = argument.name.as_ref().map(fold);
            if let Some(name) = &name
                && parameters
                    .iter()
                    .any(|p| p.name.as_ref() == Some(name) && clash(p.mode, mode))
            {
                return Err(definition(format!(
                    "parameter name \"{name}\" used more than once"
                )));
            }
            let after_variadic = parameters.iter().any(|p| p.mode == ParameterMode::Variadic);
            if after_variadic && mode.is_input() {
                return Err(definition(
                    "VARIADIC parameter must be the last input parameter",
                ));
            }
            let is_array = type_oid == 2277
                || matches!(
                    functions.type_from_ast(&argument.ty),
                    Ok((PgType::Array(_), _))
                );
            if mode == ParameterMode::Variadic && !is_array {
                return Err(definition("VARIADIC parameter must be an array"));
            }
            let default = match &argument.default {
                Some(_) if !mode.is_input() => {
                    return Err(definition("only input parameters can have default values"));
                }
                Some(default) => Some(self.parameter_default(default, &argument.ty)?),
                None if has_default && mode.is_input() && mode != ParameterMode::Variadic => {
                    return Err(definition(
                        "input parameters after one with a default value must also have defaults",
                    ));
                }
                None => None,
            };
            has_default |= default.is_some();
            parameters.push(Parameter {
                name,
                mode,
                type_oid,
                default,
            });
        }
        Ok(parameters)
    }

    /// A default as the catalog keeps it.
    fn parameter_default(&mut self, default: &ast::Expr, ty: &DataType) -> Result<String> {
        let (_, catalog) = self.write_view()?;
        let mut default = default.clone();
        self.qualify_types(&mut default);
        // It has to be one that the type can be made of.
        let mut parsed = default.clone();
        if pseudo_type(ty).is_none() {
            let cast = format!("CAST(NULL AS {})", self.qualified_type(ty));
            parsed = crate::session::statement::parse_expression(&cast)?;
            if let ast::Expr::Cast { expr, .. } = &mut parsed {
                **expr = default.clone();
            }
        }
        let uses = self.with_state(|session, state| {
            Expressions::plan_exprs(
                state,
                &catalog,
                &session.info,
                &[],
                vec![parsed],
                "DEFAULT expressions",
            )
            .map(|exprs| exprs.uses)
        })?;
        self.qualify_functions(&mut default, &uses);
        Ok(names::text_of(&default))
    }

    /// What the routine gives; the columns of RETURNS TABLE become parameters.
    fn result_of(
        &mut self,
        create: &CreateRoutine,
        parameters: &mut Vec<Parameter>,
        catalog: &CatalogSnapshot,
        functions: &Functions,
    ) -> Result<(ResultShape, bool)> {
        let outputs: Vec<Oid> = parameters
            .iter()
            .filter(|p| p.mode.is_output())
            .map(|p| p.type_oid)
            .collect();
        let of_outputs = match outputs.as_slice() {
            [] => None,
            [one] if create.kind == RoutineKind::Function => Some(ResultShape::Value(*one)),
            _ => Some(ResultShape::Columns),
        };
        let is_procedure = create.kind == RoutineKind::Procedure;
        match (&create.returns, of_outputs) {
            (Some(_), _) if is_procedure => Err(SqlError::new(
                state::SYNTAX_ERROR,
                "syntax error at or near \"RETURNS\"",
            )),
            (None, Some(shape)) => Ok((shape, false)),
            (None, None) if is_procedure => Ok((ResultShape::Value(VOID), false)),
            (None, None) => Err(definition("function result type must be specified")),
            (Some(Returns::Table(_)), Some(_)) => Err(definition(
                "OUT and INOUT arguments aren't allowed in TABLE functions",
            )),
            (Some(Returns::Table(columns)), None) => {
                for (name, ty) in columns {
                    let name = fold(name);
                    if parameters.iter().any(|p| p.name.as_ref() == Some(&name)) {
                        return Err(definition(format!(
                            "parameter name \"{name}\" used more than once"
                        )));
                    }
                    parameters.push(Parameter {
                        name: Some(name),
                        mode: ParameterMode::Table,
                        type_oid: type_oid(ty, functions)?,
                        default: None,
                    });
                }
                Ok(match columns.as_slice() {
                    [(_, ty)] => (ResultShape::Value(type_oid(ty, functions)?), true),
                    _ => (ResultShape::Columns, true),
                })
            }
            (Some(Returns::Type { ty, set }), Some(shape)) => {
                let said = type_oid(ty, functions)?;
                let wanted = match shape {
                    ResultShape::Value(oid) => oid,
                    _ => RECORD,
                };
                if said != wanted {
                    return Err(definition(format!(
                        "function result type must be {} because of OUT parameters",
                        type_name(catalog, wanted)
                    )));
                }
                Ok((shape, *set))
            }
            (Some(Returns::Type { ty, set }), None) => {
                if ty.to_string().eq_ignore_ascii_case("trigger") {
                    return Err(SqlError::unsupported("a trigger function"));
                }
                let oid = match type_oid(ty, functions) {
                    Err(e) if e.code == state::UNDEFINED_OBJECT => {
                        return match self.row_type(catalog, ty)? {
                            Some(relation) => Ok((ResultShape::Relation(relation), *set)),
                            None => Err(e),
                        };
                    }
                    oid => oid?,
                };
                if oid == RECORD {
                    return Err(
                        SqlError::unsupported("RETURNS record without OUT parameters")
                            .with_hint("RETURNS TABLE says what columns there are."),
                    );
                }
                Ok((ResultShape::Value(oid), *set))
            }
        }
    }

    /// The table or view whose rows a type is.
    fn row_type(&mut self, catalog: &CatalogSnapshot, ty: &DataType) -> Result<Option<Oid>> {
        let DataType::Custom(name, modifiers) = ty else {
            return Ok(None);
        };
        if !modifiers.is_empty() {
            return Ok(None);
        }
        Ok(match self.find_relation(catalog, name)? {
            Some(relation @ (Relation::Table(_) | Relation::View(_))) => Some(relation.oid()),
            _ => None,
        })
    }

    pub(super) fn apply_option(
        &mut self,
        routine: &mut Routine,
        option: &RoutineOption,
    ) -> Result<()> {
        let is_procedure = routine.kind == RoutineKind::Procedure;
        let of_functions = matches!(
            option,
            RoutineOption::Volatility(_)
                | RoutineOption::Leakproof(_)
                | RoutineOption::Strict(_)
                | RoutineOption::Parallel(_)
                | RoutineOption::Cost(_)
                | RoutineOption::Rows(_)
        );
        if is_procedure && of_functions {
            return Err(definition("invalid attribute in procedure definition"));
        }
        match option {
            RoutineOption::Language(_) | RoutineOption::Body(_) => {}
            RoutineOption::Volatility(volatility) => routine.volatility = *volatility,
            RoutineOption::Leakproof(leakproof) => {
                if *leakproof && !self.info.role().superuser {
                    return Err(SqlError::new(
                        state::INSUFFICIENT_PRIVILEGE,
                        "only superuser can define a leakproof function",
                    ));
                }
                routine.leakproof = *leakproof;
            }
            RoutineOption::Strict(strict) => routine.strict = *strict,
            RoutineOption::Definer(definer) => routine.definer = *definer,
            RoutineOption::Parallel(parallel) => routine.parallel = *parallel,
            RoutineOption::Cost(cost) => routine.cost = *cost,
            RoutineOption::Rows(rows) => routine.rows = *rows,
            RoutineOption::Set(name, value) => {
                let value = match value {
                    Some(value) => value.clone(),
                    None => self
                        .info
                        .with_settings(|s| s.get(name).map(str::to_owned))?,
                };
                self.info.check_may_set(name)?;
                let mut tried = self.info.settings();
                tried.set(name, &value)?;
                routine.settings.retain(|(known, _)| known != name);
                routine.settings.push((name.clone(), value));
            }
            RoutineOption::Reset(None) => routine.settings.clear(),
            RoutineOption::Reset(Some(name)) => routine.settings.retain(|(n, _)| n != name),
        }
        Ok(())
    }
}

fn create_noun(oid: Oid) -> &'static str {
    let found = PSEUDO_TYPES.iter().find(|(known, _)| *known == oid);
    found.map_or("", |(_, name)| name)
}

/// Whether two parameters may not have one name: an input and a column may.
fn clash(a: ParameterMode, b: ParameterMode) -> bool {
    (a.is_input() && b.is_input()) || (a.is_output() && b.is_output()) || a == b
}

/// The body, in the one language that there is.
fn body_of(options: &[RoutineOption]) -> Result<String> {
    let language = options.iter().find_map(|o| match o {
        RoutineOption::Language(language) => Some(language.as_str()),
        _ => None,
    });
    match language {
        Some("sql") => {}
        None => return Err(definition("no language specified")),
        Some(language @ ("plpgsql" | "c" | "internal")) => {
            return Err(SqlError::unsupported(format!("LANGUAGE {language}"))
                .with_hint("Functions are written in LANGUAGE sql, with their body in quotes."));
        }
        Some(language) => {
            return Err(SqlError::new(
                state::UNDEFINED_OBJECT,
                format!("language \"{language}\" does not exist"),
            ));
        }
    }
    let body = options.iter().find_map(|o| match o {
        RoutineOption::Body(body) => Some(body.clone()),
        _ => None,
    });
    body.ok_or_else(|| definition("no function body specified"))
}

/// A result of the arguments' type needs such an argument.
fn check_polymorphic(routine: &Routine) -> Result<()> {
    let has_input = routine.inputs().any(|p| is_polymorphic(p.type_oid));
    let mut results: Vec<Oid> = routine.outputs().map(|p| p.type_oid).collect();
    if let ResultShape::Value(oid) = routine.result {
        results.push(oid);
    }
    let Some(result) = results.into_iter().find(|oid| is_polymorphic(*oid)) else {
        return Ok(());
    };
    if !has_input {
        let name = create_noun(result);
        return Err(
            definition("cannot determine result data type").with_detail(format!(
                "A result of type {name} requires at least one input of type anyelement, anyarray, \
             anynonarray, anyenum, anyrange, or anymultirange."
            )),
        );
    }
    if routine.outputs().count() > 1 {
        return Err(SqlError::unsupported("polymorphic types of columns"));
    }
    Ok(())
}

/// What a routine may not become.
fn check_replaces(catalog: &CatalogSnapshot, old: &Routine, new: &Routine) -> Result<()> {
    let hint = |error: SqlError| {
        let word = old.kind.noun().to_uppercase();
        error.with_hint(format!(
            "Use DROP {word} {} first.",
            super::dropped(catalog, old)
        ))
    };
    if old.kind != new.kind {
        return Err(
            SqlError::new(state::WRONG_OBJECT_TYPE, "cannot change routine kind")
                .with_detail(format!("\"{}\" is a {}.", old.name, old.kind.noun())),
        );
    }
    if old.result != new.result || old.returns_set != new.returns_set {
        return Err(hint(definition(match old.kind {
            RoutineKind::Function => "cannot change return type of existing function",
            RoutineKind::Procedure => "cannot change whether a procedure has output parameters",
        })));
    }
    let outputs = |r: &Routine| -> Vec<(Option<String>, Oid)> {
        let outputs = r.outputs();
        outputs.map(|p| (p.name.clone(), p.type_oid)).collect()
    };
    if outputs(old) != outputs(new) {
        return Err(hint(
            definition("cannot change return type of existing function")
                .with_detail("Row type defined by OUT parameters is different."),
        ));
    }
    for (before, after) in old.inputs().zip(new.inputs()) {
        if let Some(name) = &before.name
            && after.name.as_ref() != Some(name)
        {
            return Err(hint(definition(format!(
                "cannot change name of input parameter \"{name}\""
            ))));
        }
        if before.default.is_some() && after.default.is_none() {
            return Err(hint(definition(
                "cannot remove parameter defaults from existing function",
            )));
        }
    }
    Ok(())
}
