//! CREATE DOMAIN and ALTER DOMAIN.
//!
//! A column of a domain has the base type, and what the domain asks of its values is held against them when
//! they are written (`crate::dml::domain`); so a change of the domain is a change of the catalog, after the
//! rows there are have been looked at. Checks are expressions over `VALUE` that need no session: immutable,
//! and of built-in functions.

use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::datatypes::{Field, Schema as ArrowSchema};
use heliosdb_storage::TableLockMode;
use sqlparser::ast::Expr;

use super::create_table::{column_type, domain_of};
use super::put;
use super::user_type::{not_a_domain, schema_name};
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::*;
use crate::dml::domain::VALUE;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::plan::compile::{Expressions, Local};
use crate::plan::computed;
use crate::plan::policy::RAW;
use crate::session::Session;
use crate::session::statement::parse_query;
use crate::session::user_type::{AlterType, CreateDomain, DomainCheck};
use crate::types::PgType;

/// What the rows of now are held against, and what is said of a column that has others.
enum Held {
    NotNull,
    Check,
}

impl Session {
    pub(super) fn create_domain(&mut self, create: &CreateDomain) -> Result<()> {
        let (schema, name) = self.schema_for_type(&create.name)?;
        let functions = self.info.functions();
        let (ty, typmod, serial) = column_type(&create.base, &functions)?;
        if serial {
            let message = format!("type \"{}\" does not exist", create.base);
            return Err(SqlError::new(
                state::UNDEFINED_OBJECT,
                message.to_lowercase(),
            ));
        }
        if ty.extension().is_some() {
            let what = format!("a domain over type {}, which is a plugin's", ty.name());
            return Err(SqlError::unsupported(what));
        }
        ty.column_type(typmod).map_err(|e| match e.code {
            state::INVALID_TABLE_DEFINITION => SqlError::new(
                state::DATATYPE_MISMATCH,
                format!("\"{}\" is not a valid base type for a domain", ty.name()),
            ),
            _ => e,
        })?;
        if let Some(collation) = &create.collation {
            return Err(SqlError::unsupported(format!("collation {collation}")));
        }
        if create.nulls.contains(&true) && create.nulls.contains(&false) {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "conflicting NULL/NOT NULL constraints",
            ));
        }
        let over = domain_of(&create.base, &functions)?;
        let inherited = over.as_ref().and_then(|(_, rules)| rules.default.clone());
        let mut domain = Domain {
            base: over.as_ref().map_or(ty.oid(), |(oid, _)| *oid),
            typmod: if over.is_some() { -1 } else { typmod },
            not_null: create.nulls.contains(&false),
            default: match &create.default {
                Some(expr) => self.domain_default(&name, &ty, typmod, expr)?,
                None => inherited,
            },
            constraints: Vec::new(),
        };
        for check in &create.checks {
            let constraint = self.domain_constraint(&name, &domain, &ty, typmod, check)?;
            domain.constraints.push(constraint);
        }
        let made = UserType {
            oid: self.instance.allocate_oid()?,
            array_oid: 0,
            schema: schema.oid,
            name,
            owner: self.info.role().oid,
            definition: TypeDefinition::Domain(domain),
        };
        self.change_catalog(vec![put!(UserType, made)])?;
        Ok(())
    }

    /// A default as a column of the base type would have it.
    fn domain_default(
        &mut self,
        name: &str,
        ty: &PgType,
        typmod: i32,
        expr: &Expr,
    ) -> Result<Option<String>> {
        let mut column = Column {
            name: name.to_owned(),
            type_oid: ty.oid(),
            extension_type: None,
            user_type: Some(ty.clone()),
            domain: None,
            typmod,
            not_null: false,
            default: None,
            default_sequences: Vec::new(),
            identity: None,
            generated: None,
            dropped: false,
            free: false,
            missing: None,
            compression: None,
        };
        self.set_default(&mut column, expr)?;
        match column.default_sequences.is_empty() {
            true => Ok(column.default),
            false => Err(SqlError::unsupported(
                "a sequence in the default of a domain",
            )),
        }
    }

    fn domain_constraint(
        &mut self,
        domain_name: &str,
        domain: &Domain,
        ty: &PgType,
        typmod: i32,
        check: &DomainCheck,
    ) -> Result<DomainConstraint> {
        let is_taken = |name: &str| domain.constraints.iter().any(|c| c.name == name);
        let name = match &check.name {
            Some(name) => {
                let name = fold(name);
                if is_taken(&name) {
                    return Err(already_exists(&name, domain_name));
                }
                name
            }
            None => names::choose(domain_name, "", "check", is_taken),
        };
        let field = Field::new(VALUE, ty.arrow_typmod(typmod), true);
        let schema = Arc::new(ArrowSchema::new(vec![field]));
        let (_, catalog) = self.write_view()?;
        let expr = &check.expr;
        let (found, is_immutable) = self.with_state(|session, state| {
            let local = Local {
                name: domain_name,
                schema: schema.clone(),
            };
            let (info, exprs) = (&session.info, vec![expr.clone()]);
            let what = "check constraints";
            let exprs = Expressions::plan_exprs(state, &catalog, info, &[local], exprs, what)?;
            Ok((exprs.pg_type(0), exprs.are_immutable()?))
        })?;
        if !matches!(found, PgType::Bool | PgType::Unknown) {
            return Err(SqlError::new(
                state::DATATYPE_MISMATCH,
                format!(
                    "argument of CHECK must be type boolean, not type {}",
                    found.name()
                ),
            ));
        }
        let expression = names::text_of(&self.with_qualified_types(expr));
        // Whoever writes a value of the domain has no session at hand.
        if !is_immutable || computed::compile(&expression, &schema).is_err() {
            return Err(SqlError::unsupported(
                "a check of a domain that names a function or type that is not built in, or that \
                 is not immutable",
            ));
        }
        Ok(DomainConstraint {
            oid: self.instance.allocate_oid()?,
            name,
            expression,
            validated: true,
        })
    }

    pub(super) fn alter_domain(&mut self, ty: &UserType, action: &AlterType) -> Result<()> {
        let Some(domain) = ty.domain() else {
            return Err(not_a_domain(&ty.name));
        };
        let (_, catalog) = self.write_view()?;
        let resolved = catalog.types().resolve(ty.oid);
        let (base, typmod) = resolved
            .ok_or_else(|| SqlError::internal(format!("domain {} has no base", ty.name)))?;
        let mut domain = domain.clone();
        let mut held = None;
        match action {
            AlterType::SetDefault(None) => domain.default = None,
            AlterType::SetDefault(Some(expr)) => {
                domain.default = self.domain_default(&ty.name, &base, typmod, expr)?;
            }
            AlterType::SetNotNull(not_null) => {
                if *not_null && !domain.not_null {
                    held = Some(Held::NotNull);
                }
                domain.not_null = *not_null;
            }
            AlterType::AddConstraint {
                constraint,
                not_valid,
            } => {
                let mut new =
                    self.domain_constraint(&ty.name, &domain, &base, typmod, constraint)?;
                new.validated = !not_valid;
                if !not_valid {
                    held = Some(Held::Check);
                }
                domain.constraints.push(new);
            }
            AlterType::DropConstraint { if_exists, name } => {
                let name = fold(name);
                let before = domain.constraints.len();
                domain.constraints.retain(|c| c.name != name);
                if domain.constraints.len() == before {
                    let message = no_constraint(&name, &ty.name);
                    if !*if_exists {
                        return Err(message);
                    }
                    self.notify_skipped(format!("{}, skipping", message.message));
                    return Ok(());
                }
            }
            AlterType::RenameConstraint { from, to } => {
                let (from, to) = (fold(from), fold(to));
                let is_taken = domain.constraints.iter().any(|c| c.name == to);
                let found = domain.constraints.iter_mut().find(|c| c.name == from);
                let found = found.ok_or_else(|| {
                    SqlError::new(
                        state::UNDEFINED_OBJECT,
                        format!(
                            "constraint \"{from}\" for domain {} does not exist",
                            ty.name
                        ),
                    )
                })?;
                if is_taken {
                    return Err(already_exists(&to, &ty.name));
                }
                found.name = to;
            }
            AlterType::ValidateConstraint(name) => {
                let name = fold(name);
                let found = domain.constraints.iter_mut().find(|c| c.name == name);
                let found = found.ok_or_else(|| no_constraint(&name, &ty.name))?;
                if !found.validated {
                    found.validated = true;
                    held = Some(Held::Check);
                }
            }
            _ => return Err(SqlError::unsupported("this form of ALTER DOMAIN")),
        }
        let definition = TypeDefinition::Domain(domain);
        let ty = ty.clone();
        let oid = ty.oid;
        let before = catalog;
        let catalog = self.change_catalog(vec![put!(UserType, UserType { definition, ..ty })])?;
        match held {
            Some(held) => self.check_values_of(&before, &catalog, oid, &held),
            None => Ok(()),
        }
    }

    /// Holds the rows of now against what a domain asks since a change.
    fn check_values_of(
        &mut self,
        before: &CatalogSnapshot,
        catalog: &Arc<CatalogSnapshot>,
        domain: Oid,
        held: &Held,
    ) -> Result<()> {
        let of = catalog.types().made_of(domain);
        // In PostgreSQL's order, columns from the last to the first.
        let tables: Vec<Arc<Table>> = catalog.tables().cloned().collect();
        for table in tables {
            let mut columns: Vec<_> = table.live_columns().collect();
            columns.retain(|(_, column)| of.contains(&column.type_oid));
            for (id, column) in columns.into_iter().rev() {
                self.lock_table(table.collection_id(), TableLockMode::Share)?;
                self.transaction()?.begin_statement();
                let Some(rules) = &column.domain else {
                    continue;
                };
                let old = before.table(table.oid).and_then(|t| t.column_at(id.0));
                let known = old.and_then(|column| column.domain.clone());
                // What was asked before holds, or need not.
                let new = DomainRules {
                    not_null: matches!(held, Held::NotNull),
                    checks: rules
                        .checks
                        .iter()
                        .filter(|c| matches!(held, Held::Check) && !is_known(known.as_deref(), c))
                        .cloned()
                        .collect(),
                    ..rules.as_ref().clone()
                };
                let new = match (held, new.checks.is_empty()) {
                    // VALIDATE asks what was asked of new rows all along.
                    (Held::Check, true) => rules.as_ref().clone(),
                    _ => new,
                };
                let text = format!(
                    "SELECT {} FROM {}.{}.{}",
                    names::quote(&column.name),
                    names::quote(RAW),
                    names::quote(&schema_name(catalog, table.schema)),
                    names::quote(&table.name)
                );
                self.check_all_values(&text, &new).map_err(|e| match e.code {
                    state::NOT_NULL_VIOLATION => SqlError::new(
                        e.code,
                        format!(
                            "column \"{}\" of table \"{}\" contains null values",
                            column.name, table.name
                        ),
                    ),
                    state::CHECK_VIOLATION => SqlError::new(
                        e.code,
                        format!(
                            "column \"{}\" of table \"{}\" contains values that violate the new constraint",
                            column.name, table.name
                        ),
                    ),
                    _ => e,
                })?;
            }
        }
        Ok(())
    }

    fn check_all_values(&mut self, query: &str, rules: &DomainRules) -> Result<()> {
        let planned = self.plan_query(parse_query(query)?.as_ref(), &[])?;
        // The rows that there are now, whatever the transaction's snapshot shows.
        let view = self.transaction()?.latest_view();
        let context = self.statement_context(view);
        self.with_state(|session, state| {
            let handle = session.instance.handle().clone();
            let interrupt = session.interrupt.clone();
            let mut rows = planned.start(&session.instance, state, context, &[])?;
            while let Some(batch) = rows.next_batch(&handle, Some(&interrupt))? {
                rules.check(batch.column(0))?;
            }
            Ok(())
        })
    }

    /// A column that is new to a table has its default in the rows of now, or NULL: both have to be values
    /// of its domain.
    pub(super) fn check_new_domain(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        table: Oid,
        place: u16,
    ) -> Result<()> {
        let Some(table) = catalog.table(table) else {
            return Ok(());
        };
        let Some(column) = table.column_at(place) else {
            return Ok(());
        };
        let Some(rules) = column.domain.clone() else {
            return Ok(());
        };
        let none = new_null_array(&column.ty().arrow_typmod(column.typmod), 1);
        if column.missing.is_none() && rules.check(&none).is_ok() {
            return Ok(());
        }
        let text = format!(
            "SELECT {} FROM {}.{}.{} LIMIT 1",
            names::quote(&column.name),
            names::quote(RAW),
            names::quote(&schema_name(catalog, table.schema)),
            names::quote(&table.name)
        );
        self.check_all_values(&text, &rules)
    }
}

fn is_known(rules: Option<&DomainRules>, check: &(String, String)) -> bool {
    rules.is_some_and(|rules| rules.checks.contains(check))
}

fn no_constraint(name: &str, domain: &str) -> SqlError {
    SqlError::new(
        state::UNDEFINED_OBJECT,
        format!("constraint \"{name}\" of domain \"{domain}\" does not exist"),
    )
}

fn already_exists(name: &str, domain: &str) -> SqlError {
    SqlError::new(
        state::DUPLICATE_OBJECT,
        format!("constraint \"{name}\" for domain \"{domain}\" already exists"),
    )
}
