//! CREATE, ALTER and DROP of functions and procedures, and CALL.
//!
//! A body is checked when it is made, as PostgreSQL does it, unless `check_function_bodies` is off.

mod create;
mod find;
pub(crate) mod syntax;

use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::put;
use crate::catalog::CatalogSnapshot;
use crate::catalog::access::Privileges;
use crate::catalog::model::*;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::pg_catalog::names::quote_ident;
use crate::plan::query::PlannedQuery;
use crate::session::outcome::{Outcome, ResultColumn};
use crate::session::{Session, done};
use crate::types::PgType;

use syntax::{AlterRoutine, NamedAs, RoutineName, RoutineOption, RoutineStatement};

/// A signature as messages have it: `f(integer, text)`.
pub(crate) fn signature(catalog: &CatalogSnapshot, routine: &Routine) -> String {
    signature_of(catalog, &routine.name, &routine.input_types())
}

/// The same as DROP takes it, which PostgreSQL prints without spaces.
fn dropped(catalog: &CatalogSnapshot, routine: &Routine) -> String {
    let inputs = routine.input_types().into_iter();
    let inputs: Vec<String> = inputs.map(|oid| type_name(catalog, oid)).collect();
    format!("{}({})", routine.name, inputs.join(","))
}

fn signature_of(catalog: &CatalogSnapshot, name: &str, inputs: &[Oid]) -> String {
    let inputs: Vec<String> = inputs.iter().map(|oid| type_name(catalog, *oid)).collect();
    format!("{name}({})", inputs.join(", "))
}

/// What messages call a type.
pub(crate) fn type_name(catalog: &CatalogSnapshot, oid: Oid) -> String {
    if let Some((_, name)) = create::PSEUDO_TYPES.iter().find(|(known, _)| *known == oid) {
        return (*name).to_owned();
    }
    if let Some((ty, is_array)) = catalog.types().find(oid) {
        let name = quote_ident(&ty.name);
        return format!("{name}{}", if is_array { "[]" } else { "" });
    }
    catalog
        .pg_type(oid)
        .map_or_else(|| oid.to_string(), |ty| ty.name().to_owned())
}

/// A CALL that is planned: the query that runs the procedure.
pub(crate) struct CallPlan {
    query: PlannedQuery,
    /// Whether the query's columns are the statement's, because parameters are given out.
    gives_out: bool,
}

impl CallPlan {
    pub fn params(&self) -> &[PgType] {
        &self.query.params
    }

    pub fn columns(&self) -> Option<Arc<[ResultColumn]>> {
        self.gives_out.then(|| self.query.columns.clone())
    }
}

impl Session {
    pub(crate) fn change_routine(&mut self, statement: &RoutineStatement) -> Result<Outcome> {
        match statement {
            RoutineStatement::Create(create) => {
                self.create_routine(create)?;
                done(match create.kind {
                    RoutineKind::Function => "CREATE FUNCTION",
                    RoutineKind::Procedure => "CREATE PROCEDURE",
                })
            }
            RoutineStatement::Alter {
                named,
                routine,
                action,
            } => {
                self.alter_routine(*named, routine, action)?;
                done(&format!("ALTER {}", named.noun().to_uppercase()))
            }
            RoutineStatement::Drop {
                named,
                routines,
                if_exists,
                cascade,
            } => {
                let mut roots = Vec::new();
                for routine in routines {
                    roots.extend(self.routine_to_drop(*named, routine, *if_exists)?);
                }
                self.drop_all(&roots, *cascade)?;
                done(&format!("DROP {}", named.noun().to_uppercase()))
            }
            RoutineStatement::Comment {
                named,
                routine,
                text,
            } => {
                let routine = self.own_routine(*named, routine)?;
                self.put_comment((oid::PG_PROC, routine.oid, 0), text.clone())
            }
            RoutineStatement::Unsupported(what) => Err(SqlError::unsupported(*what)
                .with_hint("Functions are written in LANGUAGE sql, with their body in quotes.")),
        }
    }

    fn routine_to_drop(
        &mut self,
        named: NamedAs,
        name: &RoutineName,
        if_exists: bool,
    ) -> Result<Option<Oid>> {
        let (_, catalog) = self.write_view()?;
        let found = self.find_routine(&catalog, named, name)?;
        match found {
            Ok(routine) => {
                let schema = catalog.schema(routine.schema);
                if !schema.is_some_and(|schema| self.info.role().has(schema.owner)) {
                    self.check_owner(routine.owner, routine.kind.noun(), &routine.name)?;
                }
                Ok(Some(routine.oid))
            }
            Err(missing) if if_exists => {
                self.notify_skipped(missing.skipped());
                Ok(None)
            }
            Err(missing) => Err(missing.error()),
        }
    }

    /// The routine that a statement names, whose owner this role is.
    fn own_routine(&mut self, named: NamedAs, name: &RoutineName) -> Result<Arc<Routine>> {
        let (_, catalog) = self.write_view()?;
        let found = self.find_routine(&catalog, named, name)?;
        let routine = found.map_err(|missing| missing.error())?;
        self.check_owner(routine.owner, routine.kind.noun(), &routine.name)?;
        Ok(routine)
    }

    fn alter_routine(
        &mut self,
        named: NamedAs,
        name: &RoutineName,
        action: &AlterRoutine,
    ) -> Result<()> {
        let routine = self.own_routine(named, name)?;
        let mut new = routine.as_ref().clone();
        match action {
            AlterRoutine::Rename(to) => {
                let to = fold(to);
                return self.move_routine(&routine, routine.schema, to);
            }
            AlterRoutine::SetSchema(schema) => {
                let (_, catalog) = self.write_view()?;
                let schema = fold(schema);
                let to = self.schema_to_create_in(&catalog, Some(&schema), &routine.name)?;
                return match to.oid == routine.schema {
                    true => Ok(()),
                    false => self.move_routine(&routine, to.oid, routine.name.clone()),
                };
            }
            AlterRoutine::Owner(owner) => {
                let owner = self.new_owner(owner)?;
                return self.give_routine(&routine, owner);
            }
            AlterRoutine::Options(options) => {
                create::check_once(options)?;
                for option in options {
                    match option {
                        RoutineOption::Language(_) | RoutineOption::Body(_) => {
                            return Err(SqlError::new(
                                state::SYNTAX_ERROR,
                                "syntax error: ALTER changes neither the language nor the body",
                            )
                            .with_hint("CREATE OR REPLACE does."));
                        }
                        option => self.apply_option(&mut new, option)?,
                    }
                }
                create::check_estimates(&new, options)?;
            }
        }
        self.change_catalog(vec![put!(Routine, new)])?;
        Ok(())
    }

    /// Gives a routine another name, or another schema.
    fn move_routine(&mut self, routine: &Routine, schema: Oid, name: String) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let inputs = routine.input_types();
        if let Some(other) = catalog.routines().find(schema, &name, &inputs) {
            let schema = catalog.schema(schema).map_or("", |s| s.name.as_str());
            return Err(SqlError::new(
                state::DUPLICATE_FUNCTION,
                format!(
                    "{} {} already exists in schema \"{schema}\"",
                    other.kind.noun(),
                    signature(&catalog, other),
                ),
            ));
        }
        let moved = Routine {
            schema,
            name: name.clone(),
            ..routine.clone()
        };
        self.check_shape(&catalog, &moved)?;
        let schema_name = |oid| catalog.schema(oid).map_or("", |s| s.name.as_str());
        let mut rename = super::stored_text::RenameRoutine {
            oid: routine.oid,
            name: &routine.name,
            to: [schema_name(schema), &name],
        };
        let mut changes = super::stored_text::change_texts(&catalog, &mut rename)?;
        // Last, in place of what a default of its own that calls it made of it.
        changes.push(put!(Routine, moved));
        self.change_catalog(changes)?;
        Ok(())
    }

    fn give_routine(&mut self, routine: &Routine, to: Oid) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        if routine.owner == to {
            return Ok(());
        }
        self.check_member_of(&catalog, to)?;
        if !self.info.role().superuser
            && let Some(schema) = catalog.schema(routine.schema)
        {
            let new = crate::privilege::Authority::of(&catalog, to);
            new.check_schema(&catalog, schema, Privileges::CREATE)?;
        }
        let changes = super::owner::owned_routine(&catalog, routine, to);
        self.change_catalog(changes)?;
        Ok(())
    }

    /// CALL: the columns that a procedure gives out, or nothing.
    pub(crate) fn call_procedure(&mut self, call: &ast::Function) -> Result<Outcome> {
        let plan = self.plan_call(call, &[])?;
        self.run_call(&plan, &[])
    }

    pub(crate) fn plan_call(
        &mut self,
        call: &ast::Function,
        types: &[Option<PgType>],
    ) -> Result<CallPlan> {
        let (_, catalog) = self.read_view()?;
        let (query, gives_out) = self.query_of_call(&catalog, call)?;
        Ok(CallPlan {
            query: self.plan_query(&query, types)?,
            gives_out,
        })
    }

    pub(crate) fn run_call(&mut self, plan: &CallPlan, params: &[ScalarValue]) -> Result<Outcome> {
        let rows = self.query_rows(&plan.query, params)?.materialise()?;
        match plan.gives_out {
            true => Ok(Outcome::Rows(rows.with_tag("CALL"))),
            false => {
                rows.collect()?;
                done("CALL")
            }
        }
    }
}
