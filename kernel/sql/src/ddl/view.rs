//! CREATE VIEW.

use sqlparser::ast;

use super::put;
use super::user_type::check_row_type_free;
use crate::catalog::model::*;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::dml::with;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold, quoted_ident};
use crate::pg_catalog::names::quote_ident;
use crate::plan::as_of::Slot;
use crate::plan::changes;
use crate::plan::context::PlanContext;
use crate::semantics::WITH_TIES;
use crate::session::outcome::Outcome;
use crate::session::{Session, done};

impl Session {
    pub(crate) fn create_view(&mut self, create: &ast::CreateView) -> Result<Outcome> {
        if create.materialized {
            return Err(SqlError::unsupported("CREATE MATERIALIZED VIEW"));
        }
        if create.secure || create.or_alter || create.params.is_some() || create.to.is_some() {
            return Err(SqlError::unsupported("this form of CREATE VIEW"));
        }
        match &create.options {
            ast::CreateTableOptions::None => {}
            ast::CreateTableOptions::With(o) | ast::CreateTableOptions::Options(o)
                if o.is_empty() => {}
            _ => return Err(SqlError::unsupported("CREATE VIEW … WITH (options)")),
        }
        if with::writes(&create.query) {
            return Err(SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                "views must not contain data-modifying statements in WITH",
            ));
        }
        if !create.temporary {
            // Asked first, as it is there: who may not make a view need not know what it could read.
            self.creation_schema(&create.name, false)?;
        }
        let planned = self.plan_query(&create.query, &[])?;
        let (_, catalog) = self.write_view()?;
        let mut reads = planned.uses.relations.iter();
        let reads_temporary = reads.any(|relation| {
            let relation = catalog.relation(*relation);
            relation.is_some_and(|relation| catalog.is_temporary(relation.schema()))
        });
        if reads_temporary && !self.is_temporary(&create.name, create.temporary)? {
            let (_, name) = names::qualified(&create.name, &self.info.database)?;
            self.notify_skipped(format!("view \"{name}\" will be a temporary view"));
        }
        let temporary = create.temporary || reads_temporary;
        let (schema, name) = self.creation_schema(&create.name, temporary)?;
        let (_, catalog) = self.write_view()?;
        let existing = match catalog.relation_in(schema.oid, &name) {
            None => None,
            Some(Relation::View(v)) if create.or_replace => {
                self.check_owner(v.owner, "view", &v.name)?;
                Some(v)
            }
            Some(other) if create.or_replace => {
                return Err(SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a view", other.name()),
                ));
            }
            Some(_) => {
                self.check_free(&catalog, schema.oid, &name)?;
                None
            }
        };
        if !planned.params.is_empty() {
            return Err(SqlError::new(
                state::UNDEFINED_PARAMETER,
                "there is no parameter $1",
            ));
        }
        check_row_type_free(&catalog, schema.oid, &name)?;
        let names: Vec<String> = create.columns.iter().map(|c| fold(&c.name)).collect();
        if names.len() > planned.columns.len() {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "CREATE VIEW specifies more column names than columns",
            ));
        }
        let columns: Vec<ViewColumn> = planned
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| ViewColumn {
                name: names.get(i).cloned().unwrap_or_else(|| c.name.clone()),
                type_oid: c.ty.oid(),
                typmod: c.typmod,
            })
            .collect();
        for (i, column) in columns.iter().enumerate() {
            if columns[..i].iter().any(|c| c.name == column.name) {
                return Err(SqlError::new(
                    state::DUPLICATE_COLUMN,
                    format!("column \"{}\" specified more than once", column.name),
                ));
            }
        }
        if let Some(old) = &existing {
            let kept = old.columns.len() <= columns.len()
                && old
                    .columns
                    .iter()
                    .zip(&columns)
                    .all(|(a, b)| a.name == b.name && a.type_oid == b.type_oid);
            if !kept {
                return Err(SqlError::new(
                    state::INVALID_TABLE_DEFINITION,
                    "cannot change name or data type of view columns, or drop them",
                ));
            }
            if planned.uses.relations.contains(&old.oid) {
                return Err(SqlError::new(
                    state::INVALID_TABLE_DEFINITION,
                    format!("infinite recursion detected in rules for relation \"{name}\""),
                ));
            }
        }
        let mut query = create.query.as_ref().clone();
        self.qualify_relations(&mut query, &planned.uses.times);
        self.qualify_types(&mut query);
        self.qualify_functions(&mut query, &planned.uses);
        let definition = names::text_of(&query);
        if definition.contains(WITH_TIES) {
            let what = "FETCH FIRST (expression) … WITH TIES in a view";
            return Err(SqlError::unsupported(what));
        }
        let view = View {
            oid: match &existing {
                Some(v) => v.oid,
                None => self.instance.allocate_oid()?,
            },
            schema: schema.oid,
            name,
            owner: existing.map_or(self.info.role().oid, |v| v.owner),
            definition,
            columns,
            depends_on: PlanContext::dependencies(&planned.uses),
        };
        self.change_catalog(vec![put!(View, view)])?;
        done("CREATE VIEW")
    }

    /// Puts the schema in front of every relation the query finds along the search path. `times` are
    /// those that the query's own tables are read at, in order, with the catalogs of then.
    pub(super) fn qualify_relations(&self, query: &mut ast::Query, times: &[Slot]) {
        let catalog = self.info.catalog();
        let mut ctes = Vec::new();
        collect_ctes(query, &mut ctes);
        let _ = ast::VisitMut::visit(
            query,
            &mut Qualifier {
                session: self,
                times: times.iter(),
            },
        );
        let _ = ast::visit_relations_mut(query, |name| {
            let plain = names::parts(name).unwrap_or_default();
            if plain.first().is_some_and(|plain| !ctes.contains(plain)) {
                self.qualify(&catalog, name);
            }
            std::ops::ControlFlow::<()>::Continue(())
        });
    }

    fn qualify(&self, catalog: &CatalogSnapshot, name: &mut ast::ObjectName) {
        let is_open = match names::parts(name).as_deref() {
            Ok([_]) => true,
            Ok([schema, _]) => schema == names::TEMPORARY,
            _ => false,
        };
        if is_open
            && let Ok(Some(relation)) = self.find_relation(catalog, name)
            && let Some(schema) = catalog.schema(relation.schema())
        {
            name.0 = [schema.name.as_str(), relation.name()]
                .map(|part| ast::ObjectNamePart::Identifier(quoted_ident(part)))
                .into();
        }
    }

    /// The same for the table that the first argument of `helios_changes` names.
    fn qualify_changes(&self, args: &mut [ast::FunctionArg]) {
        if let Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr))) = args.first_mut()
            && let Some(literal) = literal(expr)
            && let Some(text) = literal.clone().into_string()
            && let Ok(relation) = self.info.resolve_relation(&text)
            && let Some(schema) = self.info.catalog().schema(relation.schema())
        {
            let parts = [schema.name.as_str(), relation.name()].map(quote_ident);
            *literal = ast::Value::SingleQuotedString(parts.join("."));
        }
    }
}

/// The literal that an expression is.
pub(super) fn literal(expr: &mut ast::Expr) -> Option<&mut ast::Value> {
    match expr {
        ast::Expr::Value(value) => Some(&mut value.value),
        ast::Expr::Nested(expr) => literal(expr),
        _ => None,
    }
}

pub(super) fn is_changes(name: &ast::ObjectName) -> bool {
    names::parts(name).is_ok_and(|parts| parts == [changes::FUNCTION])
}

/// Qualifies what depends on more than the name: the tables that have a time, in the order in which the
/// planner takes the times, and the tables whose changes are read.
struct Qualifier<'a> {
    session: &'a Session,
    times: std::slice::Iter<'a, Slot>,
}

impl ast::VisitorMut for Qualifier<'_> {
    type Break = ();

    fn pre_visit_table_factor(
        &mut self,
        factor: &mut ast::TableFactor,
    ) -> std::ops::ControlFlow<()> {
        match factor {
            ast::TableFactor::Table {
                name,
                version: Some(version),
                ..
            } => {
                if let Some(slot) = self.times.next() {
                    self.session.qualify(&slot.catalog, name);
                }
                // The earlier of two times has a slot of its own.
                if matches!(version, ast::TableVersion::Changes { .. }) {
                    self.times.next();
                }
            }
            ast::TableFactor::Table {
                name,
                args: Some(ast::TableFunctionArgs { args, .. }),
                ..
            }
            | ast::TableFactor::Function { name, args, .. }
                if is_changes(name) =>
            {
                self.session.qualify_changes(args);
            }
            _ => {}
        }
        std::ops::ControlFlow::Continue(())
    }
}

/// Names of WITH queries anywhere in a query.
fn collect_ctes(query: &ast::Query, out: &mut Vec<String>) {
    struct Finder<'a>(&'a mut Vec<String>);
    impl ast::Visitor for Finder<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, query: &ast::Query) -> std::ops::ControlFlow<()> {
            for cte in query.with.iter().flat_map(|w| &w.cte_tables) {
                self.0.push(fold(&cte.alias.name));
            }
            std::ops::ControlFlow::Continue(())
        }
    }
    let _ = ast::Visit::visit(query, &mut Finder(out));
}
