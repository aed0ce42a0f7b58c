//! What a routine may do, from the statements of its body and all that they name.
//!
//! Names are followed as they would be looked up, by kind and number of arguments but not by types, through
//! views and policies. What is built in and takes as many arguments is taken for what is meant: who makes an
//! overload of it changes nothing about the bodies of others. A routine that is missed here is refused when it
//! writes.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{
    self, Expr, FunctionArguments, ObjectName, ObjectNamePart, Statement as Ast, TableFactor,
};

use super::body;
use super::lookup::{BuiltIn, Names, builtin};
use crate::catalog::model::{Routine, RoutineKind, Table};
use crate::catalog::{CatalogSnapshot, Oid, Relation};
use crate::dml::with;
use crate::functions::{self, Functions};
use crate::names::{self, fold};
use crate::session::info::SessionInfo;
use crate::session::statement::{Statement, parse_expression, parse_query};

/// What statements do besides giving rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// They change something in the transaction.
    pub writes: bool,
    /// They wait, lock, notify: what a query does row by row.
    pub effects: bool,
}

/// What calls of a routine may do. A body that does not parse does nothing.
pub(super) fn of(routine: &Arc<Routine>, info: &SessionInfo) -> Traits {
    let mut walk = Walk {
        info,
        catalog: info.catalog(),
        functions: info.functions(),
        found: Traits::default(),
        seen: HashSet::new(),
        queue: Vec::new(),
    };
    let path: Arc<[String]> = info.search_path().into();
    walk.add(routine, &path);
    // A list of work: a chain of routines is as long as somebody makes it.
    while let Some(next) = walk.queue.pop() {
        match next {
            Next::Body(routine, path) => walk.body(&routine, &path),
            Next::View(oid) => walk.view(oid),
            Next::Policies(table) => walk.policies(&table),
        }
        if walk.found.writes && walk.found.effects {
            break;
        }
    }
    walk.found
}

enum Next {
    Body(Arc<Routine>, Arc<[String]>),
    View(Oid),
    Policies(Arc<Table>),
}

struct Walk<'a> {
    info: &'a SessionInfo,
    catalog: Arc<CatalogSnapshot>,
    functions: Arc<Functions>,
    found: Traits,
    seen: HashSet<(Oid, Option<Arc<[String]>>)>,
    queue: Vec<Next>,
}

impl Walk<'_> {
    fn add(&mut self, routine: &Arc<Routine>, path: &Arc<[String]>) {
        if self.seen.insert((routine.oid, Some(path.clone()))) {
            self.queue.push(Next::Body(routine.clone(), path.clone()));
        }
    }

    fn body(&mut self, routine: &Routine, path: &Arc<[String]>) {
        let mut own = routine.settings.iter();
        let path = match own.find(|(name, _)| name == "search_path") {
            Some((name, value)) => self.path_of(name, value).unwrap_or(path.clone()),
            None => path.clone(),
        };
        for statement in body::parse(routine, self.info).unwrap_or_default() {
            self.statement(&statement, &path);
        }
    }

    /// The path that a routine sets for itself.
    fn path_of(&self, name: &str, value: &str) -> Option<Arc<[String]>> {
        let mut settings = self.info.settings();
        settings.set(name, value).ok()?;
        let role = self.info.role();
        Some(settings.search_path(&role.name).into())
    }

    fn statement(&mut self, statement: &Statement, path: &Arc<[String]>) {
        let Some(ast) = statement.ast() else {
            self.found.writes = true;
            return;
        };
        self.found.writes |= match ast {
            Ast::Query(query) => !query.locks.is_empty() || with::writes(query),
            _ => true,
        };
        self.names(ast, path, Names::Statement);
    }

    fn view(&mut self, oid: Oid) {
        let view = self.catalog.view(oid).cloned();
        if let Some(query) = view.and_then(|view| parse_query(&view.definition).ok()) {
            self.names(query.as_ref(), &Arc::default(), Names::Stored);
        }
    }

    fn policies(&mut self, table: &Table) {
        let texts = table.policies.iter();
        for text in texts.flat_map(|policy| policy.using.iter().chain(&policy.check)) {
            if let Ok(expr) = parse_expression(text) {
                self.names(&expr, &Arc::default(), Names::Stored);
            }
        }
    }

    /// Follows the names in a piece of syntax.
    fn names(&mut self, syntax: &impl ast::Visit, path: &Arc<[String]>, names: Names) {
        for (parts, count) in calls(syntax) {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.call(&parts, count, path, names);
        }
        let mut relations = Vec::new();
        let _ = ast::visit_relations(syntax, |name: &ObjectName| {
            relations.extend(self.relation(name, path));
            ControlFlow::<()>::Continue(())
        });
        for relation in relations {
            if !self.seen.insert((relation.oid(), None)) {
                continue;
            }
            match relation {
                Relation::View(view) => self.queue.push(Next::View(view.oid)),
                Relation::Table(table) if !table.policies.is_empty() => {
                    self.queue.push(Next::Policies(table));
                }
                _ => {}
            }
        }
    }

    fn relation(&self, name: &ObjectName, path: &[String]) -> Option<Relation> {
        let (schema, name) = names::qualified(name, &self.info.database).ok()?;
        match schema {
            Some(schema) => {
                let schema = self.info.schema_named(&schema);
                let schema = self.catalog.schema_by_name(&schema)?;
                self.catalog.relation_in(schema.oid, &name)
            }
            None => self.catalog.resolve(path.iter().map(String::as_str), &name),
        }
    }

    fn call(&mut self, parts: &[&str], count: usize, path: &Arc<[String]>, names: Names) {
        let (schemas, name) = match parts {
            ["pg_catalog", name] => (Vec::new(), *name),
            [schema, name] => (vec![(*schema).to_owned()], *name),
            [_, _, oid] => {
                let oid: Option<Oid> = oid.parse().ok();
                let routine = oid.and_then(|oid| self.catalog.routines().get(oid).cloned());
                if let Some(routine) = routine {
                    self.add(&routine, path);
                }
                return;
            }
            [name] => {
                let is_built_in = names == Names::Stored
                    || !matches!(builtin(&self.functions, name, count), BuiltIn::Nothing);
                let path: &[String] = if is_built_in { &[] } else { path.as_ref() };
                (path.to_vec(), *name)
            }
            _ => return,
        };
        if schemas.is_empty() {
            self.found.effects |= functions::has_effect(name) || name == "set_config";
            self.found.writes |= crate::session::functions::writes(name);
        }
        let schemas = schemas.iter().filter_map(|schema| {
            let schema = self.catalog.schema_by_name(schema)?;
            Some(schema.oid)
        });
        let routines = schemas.flat_map(|schema| self.catalog.routines().named(schema, name));
        let routines = routines.filter(|r| r.kind == RoutineKind::Function && r.takes(count));
        let routines: Vec<Arc<Routine>> = routines.cloned().collect();
        for routine in routines {
            self.add(&routine, path);
        }
    }
}

/// The functions that a piece of syntax calls, with how many arguments.
fn calls(syntax: &impl ast::Visit) -> Vec<(Vec<String>, usize)> {
    struct Calls(Vec<(Vec<String>, usize)>);
    impl Calls {
        fn add(&mut self, name: &ObjectName, count: usize) {
            let parts = name.0.iter().filter_map(ObjectNamePart::as_ident);
            self.0.push((parts.map(fold).collect(), count));
        }
    }
    impl ast::Visitor for Calls {
        type Break = ();

        fn pre_visit_expr(&mut self, e: &Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = e {
                let count = match &function.args {
                    FunctionArguments::List(list) => list.args.len(),
                    _ => 0,
                };
                self.add(&function.name, count);
            }
            ControlFlow::Continue(())
        }

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            match factor {
                TableFactor::Table {
                    name,
                    args: Some(args),
                    ..
                } => self.add(name, args.args.len()),
                TableFactor::Function { name, args, .. } => self.add(name, args.len()),
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut calls = Calls(Vec::new());
    let _ = syntax.visit(&mut calls);
    calls.0
}
