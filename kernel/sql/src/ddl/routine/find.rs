//! Routines as statements name them.

use std::sync::Arc;

use sqlparser::ast::{self, FunctionArguments, ObjectNamePart};

use super::syntax::{NamedAs, RoutineName};
use super::{signature_of, type_name};
use crate::catalog::CatalogSnapshot;
use crate::catalog::access::Privileges;
use crate::catalog::model::*;
use crate::error::{Result, SqlError, state};
use crate::names::{self, quoted_ident};
use crate::session::Session;

/// What keeps a name from meaning a routine.
pub(super) enum Missing {
    /// With types of parameters there is none.
    Signature(&'static str, String),
    Name(&'static str, String),
    /// Several have the name.
    Many(&'static str, String),
    /// It is one of another kind.
    Kind(&'static str, String),
}

impl Missing {
    pub fn error(&self) -> SqlError {
        match self {
            Missing::Signature(noun, signature) => SqlError::new(
                state::UNDEFINED_FUNCTION,
                format!("{noun} {signature} does not exist"),
            ),
            Missing::Name(noun, name) => SqlError::new(
                state::UNDEFINED_FUNCTION,
                format!("could not find a {noun} named \"{name}\""),
            ),
            Missing::Many(noun, name) => SqlError::new(
                state::AMBIGUOUS_FUNCTION,
                format!("{noun} name \"{name}\" is not unique"),
            )
            .with_hint(format!(
                "Specify the argument list to select the {noun} unambiguously."
            )),
            Missing::Kind(noun, signature) => SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("{signature} is not a {noun}"),
            ),
        }
    }

    /// What is said where it need not be there.
    pub fn skipped(&self) -> String {
        match self {
            Missing::Signature(noun, signature) | Missing::Kind(noun, signature) => {
                format!("{noun} {signature} does not exist, skipping")
            }
            Missing::Name(noun, name) | Missing::Many(noun, name) => {
                format!("{noun} {name}() does not exist, skipping")
            }
        }
    }
}

impl Session {
    /// The routine that a statement names, along the search path if it names no schema.
    pub(crate) fn routine_named(
        &mut self,
        named: NamedAs,
        name: &RoutineName,
    ) -> Result<Arc<Routine>> {
        let (_, catalog) = self.write_view()?;
        let found = self.find_routine(&catalog, named, name)?;
        found.map_err(|missing| missing.error())
    }

    pub(super) fn find_routine(
        &mut self,
        catalog: &CatalogSnapshot,
        named: NamedAs,
        routine: &RoutineName,
    ) -> Result<std::result::Result<Arc<Routine>, Missing>> {
        let (schema, name) = names::qualified(&routine.name, &self.info.database)?;
        let schemas = match &schema {
            Some(schema) => vec![schema.clone()],
            None => self.info.search_path(),
        };
        self.check_schema_named(catalog, schema.as_deref())?;
        let schemas: Vec<Oid> = schemas
            .iter()
            .filter_map(|schema| catalog.schema_by_name(schema))
            .map(|schema| schema.oid)
            .collect();
        let shown = match &schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name.clone(),
        };
        let noun = named.noun();
        let Some(arguments) = &routine.arguments else {
            let mut found = Vec::new();
            for schema in schemas {
                found.extend(catalog.routines().named(schema, &name));
                if !found.is_empty() {
                    break;
                }
            }
            return Ok(match found.as_slice() {
                [] => Err(Missing::Name(noun, shown)),
                [only] if named.fits(only.kind) => Ok((*only).clone()),
                [only] => Err(Missing::Kind(noun, super::signature(catalog, only))),
                _ => Err(Missing::Many(noun, shown)),
            });
        };
        let mut inputs = Vec::new();
        for argument in arguments {
            if argument.mode.is_none_or(ParameterMode::is_input) {
                inputs.push(self.parameter_type_oid(&argument.ty)?);
            }
        }
        let mut found = schemas
            .iter()
            .filter_map(|schema| catalog.routines().find(*schema, &name, &inputs));
        Ok(match found.next() {
            Some(found) if named.fits(found.kind) => Ok(found.clone()),
            Some(other) => Err(Missing::Kind(noun, super::signature(catalog, other))),
            None => Err(Missing::Signature(
                noun,
                signature_of(catalog, &shown, &inputs),
            )),
        })
    }

    /// 42501 when a statement names a schema that the role may not use.
    fn check_schema_named(&self, catalog: &CatalogSnapshot, schema: Option<&str>) -> Result<()> {
        match schema.and_then(|schema| catalog.schema_by_name(schema)) {
            Some(schema) => {
                let role = self.info.role();
                role.check_schema(catalog, schema, Privileges::USAGE)
            }
            None => Ok(()),
        }
    }

    /// The query that runs a procedure, and whether the procedure gives columns out.
    pub(super) fn query_of_call(
        &mut self,
        catalog: &CatalogSnapshot,
        call: &ast::Function,
    ) -> Result<(ast::Query, bool)> {
        let (schema, name) = names::qualified(&call.name, &self.info.database)?;
        self.check_schema_named(catalog, schema.as_deref())?;
        let path = match &schema {
            Some(schema) => vec![schema.clone()],
            None => self.info.search_path(),
        };
        let schemas = path.iter().filter_map(|s| catalog.schema_by_name(s));
        let found: Vec<&Arc<Routine>> = schemas
            .flat_map(|schema| catalog.routines().named(schema.oid, &name))
            .collect();
        let count = match &call.args {
            FunctionArguments::List(list) => list.args.len(),
            _ => 0,
        };
        let procedures = || found.iter().filter(|r| r.kind == RoutineKind::Procedure);
        let gives_out = |routine: &&&Arc<Routine>| routine.outputs().next().is_some();
        let with_outputs = procedures().find(gives_out);
        if procedures().next().is_none() {
            let Some(function) = found.first() else {
                return Err(SqlError::new(
                    state::UNDEFINED_FUNCTION,
                    format!("procedure {name}() does not exist"),
                )
                .with_hint(
                    "No procedure matches the given name and argument types. You might need to \
                     add explicit type casts.",
                ));
            };
            let inputs = function.inputs().map(|p| type_name(catalog, p.type_oid));
            let inputs: Vec<String> = inputs.collect();
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("{name}({}) is not a procedure", inputs.join(", ")),
            )
            .with_hint("To call a function, use SELECT."));
        }
        let mut call = call.clone();
        // What is given out is in the list of arguments, too, and its value there is nothing to anybody.
        if let Some(routine) = with_outputs
            && routine.parameters.len() == count
            && let FunctionArguments::List(list) = &mut call.args
        {
            let mut modes = routine.parameters.iter().map(|p| p.mode);
            list.args
                .retain(|_| modes.next().is_none_or(ParameterMode::is_input));
        }
        let called = quoted_ident(crate::routine::CALLED);
        call.name.0.insert(0, ObjectNamePart::Identifier(called));
        Ok((
            query_of(call, with_outputs.is_some())?,
            with_outputs.is_some(),
        ))
    }
}

/// The query of a call, in FROM where it gives columns.
fn query_of(call: ast::Function, gives_columns: bool) -> Result<ast::Query> {
    let text = match gives_columns {
        true => "SELECT * FROM f()",
        false => "SELECT f()",
    };
    let mut query = crate::session::statement::parse_query(text)?;
    let ast::SetExpr::Select(select) = query.body.as_mut() else {
        return Err(SqlError::internal("a SELECT that is none"));
    };
    let arguments = match &call.args {
        FunctionArguments::List(list) => list.args.clone(),
        _ => Vec::new(),
    };
    match (select.from.first_mut(), select.projection.first_mut()) {
        (Some(from), _) => {
            if let ast::TableFactor::Table {
                name,
                args: Some(args),
                ..
            } = &mut from.relation
            {
                *name = call.name;
                args.args = arguments;
            }
        }
        (None, Some(ast::SelectItem::UnnamedExpr(e))) => *e = ast::Expr::Function(call),
        _ => return Err(SqlError::internal("a call in a SELECT that has none")),
    }
    Ok(*query)
}
