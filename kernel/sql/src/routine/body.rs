//! A routine's body: its statements, with parameters in place of the names that stand for them.
//!
//! A name is a column's, if a relation of the statement has such a column, and a parameter's otherwise; with
//! the routine's name before it, it is a parameter's in any case, as in PostgreSQL.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, Ident, ObjectName, SetExpr, Statement as Ast, TableFactor, Value,
};

use crate::catalog::model::Routine;
use crate::catalog::{CatalogSnapshot, Oid};
use crate::dml::with;
use crate::error::{Result, SqlError, state};
use crate::functions;
use crate::names::{self, fold};
use crate::session::info::SessionInfo;
use crate::session::statement::{self, Statement, StatementKind};

/// What statements do besides giving rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// They change something in the transaction.
    pub writes: bool,
    /// They wait, lock, notify: what a query does row by row.
    pub effects: bool,
}

impl Traits {
    fn add(&mut self, other: Traits) {
        self.writes |= other.writes;
        self.effects |= other.effects;
    }
}

/// The statements of a body, as they were written.
pub(crate) fn parse(routine: &Routine, info: &SessionInfo) -> Result<Vec<Statement>> {
    let statements = statement::parse(&routine.body, info.instance.syntax());
    // The position is one in the body, which the client has not sent.
    let mut statements = statements.map_err(|mut e| {
        e.position = None;
        e
    })?;
    statements.retain(|statement| !statement.is_empty());
    for statement in &statements {
        check(statement)?;
    }
    Ok(statements)
}

/// Refuses what has no place in a function.
fn check(statement: &Statement) -> Result<()> {
    let refused = match &statement.kind {
        StatementKind::Checkpoint => "CHECKPOINT",
        StatementKind::Export(_) => "EXPORT DATABASE",
        StatementKind::Backup(_) => "BACKUP DATABASE",
        StatementKind::ArchiveLog => "ARCHIVE LOG",
        StatementKind::Fetch(_) => "FETCH",
        StatementKind::Plugin(_) => "a command of a plugin",
        StatementKind::Copy(_) => "COPY",
        kind => match kind.ast() {
            Some(Ast::StartTransaction { .. }) => "BEGIN",
            Some(Ast::Commit { .. }) => "COMMIT",
            Some(Ast::Rollback { .. }) => "ROLLBACK",
            Some(Ast::Savepoint { .. }) => "SAVEPOINT",
            Some(Ast::ReleaseSavepoint { .. }) => "RELEASE SAVEPOINT",
            Some(Ast::Vacuum(_)) => "VACUUM",
            Some(Ast::Prepare { .. }) => "PREPARE",
            Some(Ast::Execute { .. }) => "EXECUTE",
            Some(Ast::Deallocate { .. }) => "DEALLOCATE",
            Some(Ast::Declare { .. }) => "DECLARE CURSOR",
            Some(Ast::Close { .. }) => "CLOSE CURSOR",
            Some(Ast::Discard { .. }) => "DISCARD",
            Some(Ast::Explain { .. }) => "EXPLAIN",
            _ => return Ok(()),
        },
    };
    Err(SqlError::new(
        state::FEATURE_NOT_SUPPORTED,
        format!("{refused} is not allowed in an SQL function"),
    ))
}

/// What statements do, as far as it can be told from what they name.
pub(crate) fn traits(statements: &[Statement], info: &SessionInfo) -> Traits {
    let mut found = Traits::default();
    let mut seen = HashSet::new();
    let catalog = info.catalog();
    for statement in statements {
        found.add(of_statement(statement, info, &catalog, &mut seen));
    }
    found
}

fn of_statement(
    statement: &Statement,
    info: &SessionInfo,
    catalog: &CatalogSnapshot,
    seen: &mut HashSet<Oid>,
) -> Traits {
    let mut found = Traits::default();
    let Some(ast) = statement.ast() else {
        found.writes = true;
        return found;
    };
    found.writes = match ast {
        Ast::Query(query) => !query.locks.is_empty() || with::writes(query),
        Ast::Set(_) | Ast::ShowVariable { .. } => true,
        _ => true,
    };
    let mut called = Vec::new();
    let _ = ast::visit_expressions(ast, |e| {
        if let Expr::Function(f) = e
            && let Some(name) = f.name.0.last().and_then(|part| part.as_ident())
        {
            called.push(fold(name));
        }
        ControlFlow::<()>::Continue(())
    });
    called.extend(functions_in_from(ast));
    for name in called {
        found.effects |= functions::has_effect(&name) || name == "set_config";
        found.writes |= crate::session::functions::writes(&name);
        for routine in catalog.routines().iter().filter(|r| r.name == name) {
            if seen.insert(routine.oid)
                && let Ok(statements) = parse(routine, info)
            {
                for statement in &statements {
                    found.add(of_statement(statement, info, catalog, seen));
                }
            }
        }
    }
    found
}

/// The functions that a statement calls in FROM.
fn functions_in_from(ast: &Ast) -> Vec<String> {
    struct Names(Vec<String>);
    impl ast::Visitor for Names {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            let name = match factor {
                TableFactor::Table {
                    name,
                    args: Some(_),
                    ..
                }
                | TableFactor::Function { name, .. } => name,
                _ => return ControlFlow::Continue(()),
            };
            let last = name.0.last().and_then(|part| part.as_ident());
            self.0.extend(last.map(fold));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    let _ = ast::Visit::visit(ast, &mut names);
    names.0
}

/// Puts `$n` in place of the names of parameters.
///
/// # Errors
///
/// 42P02 for a parameter that there is not.
pub(crate) fn bind_names(
    statement: &mut Statement,
    routine: &Routine,
    info: &SessionInfo,
) -> Result<()> {
    let count = routine.inputs().count();
    let Some(ast) = statement.ast_mut() else {
        return Ok(());
    };
    let taken = column_names(ast, info);
    let relations = relation_names(ast);
    let number = |name: &Ident| {
        let name = fold(name);
        let mut inputs = routine.inputs();
        let at = inputs.position(|p| p.name.as_deref() == Some(name.as_str()))?;
        Some((name, at + 1))
    };
    let visited = ast::visit_expressions_mut(ast, |e| {
        let found = match e {
            Expr::Identifier(name) => number(name)
                .filter(|(name, _)| !taken.contains(name))
                .map(|(_, at)| at),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [of, name] if fold(of) == routine.name && !relations.contains(&routine.name) => {
                    number(name).map(|(_, at)| at)
                }
                _ => None,
            },
            Expr::Value(value) => match &value.value {
                Value::Placeholder(text) => {
                    let n = text.strip_prefix('$').and_then(|n| n.parse().ok());
                    match n {
                        Some(n) if (1..=count).contains(&n) => None,
                        _ => return ControlFlow::Break(text.clone()),
                    }
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(at) = found {
            *e = Expr::value(Value::Placeholder(format!("${at}")));
        }
        ControlFlow::Continue(())
    });
    match visited {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(text) => Err(SqlError::new(
            state::UNDEFINED_PARAMETER,
            format!("there is no parameter {text}"),
        )),
    }
}

/// What relations of a statement are called there.
fn relation_names(ast: &Ast) -> HashSet<String> {
    struct Names(HashSet<String>);
    impl ast::Visitor for Names {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            let (name, alias) = match factor {
                TableFactor::Table { name, alias, .. } => (Some(name), alias),
                TableFactor::Derived { alias, .. } | TableFactor::Function { alias, .. } => {
                    (None, alias)
                }
                _ => return ControlFlow::Continue(()),
            };
            let name = match alias {
                Some(alias) => Some(&alias.name),
                None => name.and_then(|name| name.0.last()?.as_ident()),
            };
            self.0.extend(name.map(fold));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(HashSet::new());
    let _ = ast::Visit::visit(ast, &mut names);
    names.0
}

/// The columns that the relations of a statement have, those that it makes itself among them.
fn column_names(ast: &Ast, info: &SessionInfo) -> HashSet<String> {
    let catalog = info.catalog();
    let path = info.search_path();
    let mut found = HashSet::new();
    let _ = ast::visit_relations(ast, |name: &ObjectName| {
        let Ok((schema, name)) = names::qualified(name, &info.database) else {
            return ControlFlow::<()>::Continue(());
        };
        let relation = match &schema {
            Some(schema) => {
                let schema = catalog.schema_by_name(&info.schema_named(schema));
                schema.and_then(|schema| catalog.relation_in(schema.oid, &name))
            }
            None => catalog.resolve(path.iter().map(String::as_str), &name),
        };
        found.extend(relation.iter().flat_map(relation_columns));
        ControlFlow::Continue(())
    });
    let mut inner = InnerNames {
        depth: 0,
        found: &mut found,
    };
    let _ = ast::Visit::visit(ast, &mut inner);
    found
}

fn relation_columns(relation: &crate::catalog::Relation) -> Vec<String> {
    use crate::catalog::Relation;
    match relation {
        Relation::Table(table) => {
            let columns = table.live_columns();
            columns.map(|(_, column)| column.name.clone()).collect()
        }
        Relation::View(view) => view.columns.iter().map(|c| c.name.clone()).collect(),
        Relation::Sequence(_) | Relation::Index(_) => Vec::new(),
    }
}

/// Names of columns that queries inside a statement give, and aliases of columns.
struct InnerNames<'a> {
    depth: usize,
    found: &'a mut HashSet<String>,
}

impl ast::Visitor for InnerNames<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let columns = cte.alias.columns.iter();
            self.found.extend(columns.map(|column| fold(&column.name)));
        }
        if self.depth > 1
            && let SetExpr::Select(select) = query.body.as_ref()
        {
            for item in &select.projection {
                if let ast::SelectItem::ExprWithAlias { alias, .. } = item {
                    self.found.insert(fold(alias));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let alias = match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. } => alias,
            _ => return ControlFlow::Continue(()),
        };
        if let Some(alias) = alias {
            self.found
                .extend(alias.columns.iter().map(|column| fold(&column.name)));
        }
        ControlFlow::Continue(())
    }
}

/// The one expression that a body is, if it is no more than that.
pub(crate) fn expression(statements: &[Statement]) -> Option<&Expr> {
    let [statement] = statements else {
        return None;
    };
    let Some(Ast::Query(query)) = statement.ast() else {
        return None;
    };
    if query.with.is_some()
        || query.order_by.is_some()
        || query.limit_clause.is_some()
        || query.fetch.is_some()
        || !query.locks.is_empty()
    {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let is_plain = select.from.is_empty()
        && select.distinct.is_none()
        && select.into.is_none()
        && select.selection.is_none()
        && select.having.is_none()
        && select.lateral_views.is_empty()
        && select.named_window.is_empty()
        && matches!(&select.group_by, ast::GroupByExpr::Expressions(e, m) if e.is_empty() && m.is_empty());
    match select.projection.as_slice() {
        [ast::SelectItem::UnnamedExpr(e)] if is_plain => Some(e),
        [ast::SelectItem::ExprWithAlias { expr, .. }] if is_plain => Some(expr),
        _ => None,
    }
}
