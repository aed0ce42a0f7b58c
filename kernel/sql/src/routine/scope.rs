//! Names of parameters in the statements of a body.
//!
//! A name is a column's, if a relation that is visible where it stands has such a column, and a parameter's
//! otherwise; with the routine's name before it, it is a parameter's unless there is such a column of a relation
//! of that name. Whole items of ORDER BY, GROUP BY and DISTINCT ON are names of output columns first. The target
//! of an INSERT is visible to RETURNING and ON CONFLICT, not to what is inserted. So PostgreSQL has it.
//!
//! This is done each time a statement is planned, in the catalog and along the path of then.

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, AccessExpr, Distinct, Expr, FromTable, FunctionArgExpr, FunctionArguments, GroupByExpr,
    Ident, JoinConstraint, ObjectName, OnInsert, OrderBy, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement as Ast, TableAlias, TableFactor,
    TableWithJoins, UpdateTableFromKind, Value, VisitMut, VisitorMut,
};

use super::lookup::{Names, name_by_assignment, resolve};
use crate::catalog::model::Routine;
use crate::error::{Result, SqlError, state};
use crate::functions::Functions;
use crate::names::{self, fold};
use crate::pg_catalog::{SessionView, system_table};
use crate::plan::changes;
use crate::semantics::joins;
use crate::semantics::rewrite::names as output;
use crate::session::info::SessionInfo;
use crate::session::statement::Statement;

/// Columns that each table has besides its own.
const SYSTEM: [&str; 6] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

/// Puts `$n` in place of the names of parameters.
pub(super) fn bind(
    statement: &Statement,
    routine: &Routine,
    info: &std::sync::Arc<SessionInfo>,
) -> Statement {
    let mut bound = statement.clone();
    if let Some(ast) = bound.ast_mut()
        && is_bound(ast)
    {
        let mut binder = Binder {
            routine,
            info,
            functions: info.functions(),
            scopes: Vec::new(),
            later: Vec::new(),
        };
        // It never breaks.
        let _ = ast.visit(&mut binder);
    }
    bound
}

/// 42P02 for a number that no parameter has.
pub(super) fn check_numbers(statement: &Statement, routine: &Routine) -> Result<()> {
    let count = routine.inputs().count();
    let Some(ast) = statement.ast() else {
        return Ok(());
    };
    let visited = ast::visit_expressions(ast, |e| match e {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(text) => {
                let number = text.strip_prefix('$').and_then(|n| n.parse().ok());
                match number {
                    Some(n) if (1..=count).contains(&n) => ControlFlow::Continue(()),
                    _ => ControlFlow::Break(text.clone()),
                }
            }
            _ => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    });
    match visited {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(text) => Err(SqlError::new(
            state::UNDEFINED_PARAMETER,
            format!("there is no parameter {text}"),
        )),
    }
}

/// Whether a statement may have parameters: others take names as they are.
fn is_bound(ast: &Ast) -> bool {
    matches!(
        ast,
        Ast::Query(_) | Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_) | Ast::Merge(_)
    ) || matches!(ast, Ast::CreateTable(create) if create.query.is_some())
        || matches!(ast, Ast::Call(_))
}

/// A relation in FROM.
#[derive(Clone, Debug)]
struct Source {
    name: Option<String>,
    columns: Vec<String>,
    /// A table has more than it shows.
    is_table: bool,
}

#[derive(Debug)]
enum Scope {
    /// What is in FROM.
    From(Vec<Source>),
    /// Queries of WITH, with their columns.
    With(Vec<(String, Vec<String>)>),
    /// The nearest FROM is not seen: a subquery in it that is not LATERAL.
    Hidden,
}

/// What is visited after the rest of what it is a part of, in another scope.
enum Later {
    Query(Option<OrderBy>),
    Select(GroupByExpr, Option<Distinct>),
    Insert(Box<Option<OnInsert>>, Option<Vec<SelectItem>>),
    Nothing,
}

struct Binder<'a> {
    routine: &'a Routine,
    info: &'a std::sync::Arc<SessionInfo>,
    functions: std::sync::Arc<Functions>,
    scopes: Vec<Scope>,
    later: Vec<Later>,
}

type Flow = ControlFlow<std::convert::Infallible>;

impl VisitorMut for Binder<'_> {
    type Break = std::convert::Infallible;

    fn pre_visit_statement(&mut self, statement: &mut Ast) -> Flow {
        let mut later = Later::Nothing;
        let sources = match statement {
            Ast::Insert(insert) => {
                later = Later::Insert(Box::new(insert.on.take()), insert.returning.take());
                Vec::new()
            }
            Ast::Update(update) => {
                let mut sources = self.from(std::slice::from_ref(&update.table));
                if let Some(
                    UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from),
                ) = &update.from
                {
                    sources.extend(self.from(from));
                }
                sources
            }
            Ast::Delete(delete) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) =
                    &delete.from;
                let mut sources = self.from(from);
                sources.extend(self.from(delete.using.as_deref().unwrap_or_default()));
                sources
            }
            Ast::Merge(merge) => {
                let mut sources = self.factor(&merge.table);
                sources.extend(self.factor(&merge.source));
                sources
            }
            _ => Vec::new(),
        };
        self.later.push(later);
        self.scopes.push(Scope::From(sources));
        Flow::Continue(())
    }

    fn post_visit_statement(&mut self, statement: &mut Ast) -> Flow {
        self.scopes.pop();
        if let Some(Later::Insert(mut on, mut returning)) = self.later.pop()
            && let Ast::Insert(insert) = statement
        {
            let mut sources = Vec::new();
            if let ast::TableObject::TableName(name) = &insert.table {
                let alias = insert.table_alias.as_ref().map(|alias| fold(&alias.alias));
                let name_of = last(name);
                sources.push(Source {
                    name: alias.or(name_of),
                    columns: self.relation_columns(name).unwrap_or_default(),
                    is_table: true,
                });
            }
            self.scopes.push(Scope::From(sources.clone()));
            let _ = returning.visit(self);
            self.scopes.pop();
            let excluded = sources.first().map(|target| Source {
                name: Some("excluded".to_owned()),
                ..target.clone()
            });
            sources.extend(excluded);
            self.scopes.push(Scope::From(sources));
            let _ = on.visit(self);
            self.scopes.pop();
            (insert.on, insert.returning) = (*on, returning);
        }
        Flow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        let with = self.with_of(query);
        self.scopes.push(Scope::With(with));
        self.later.push(Later::Query(query.order_by.take()));
        Flow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        if let Some(Later::Query(Some(mut order_by))) = self.later.pop() {
            let outputs = self.outputs(&query.body);
            let from = match query.body.as_ref() {
                SetExpr::Select(select) => self.from(&select.from),
                _ => Vec::new(),
            };
            self.scopes.push(Scope::From(from));
            if let OrderByKind::Expressions(items) = &mut order_by.kind {
                for item in items {
                    if !is_output(&item.expr, &outputs) {
                        let _ = item.expr.visit(self);
                    }
                }
            }
            self.scopes.pop();
            query.order_by = Some(order_by);
        }
        self.scopes.pop();
        Flow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        let from = self.from(&select.from);
        self.scopes.push(Scope::From(from));
        let none = GroupByExpr::Expressions(Vec::new(), Vec::new());
        let groups = std::mem::replace(&mut select.group_by, none);
        self.later
            .push(Later::Select(groups, select.distinct.take()));
        Flow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> Flow {
        if let Some(Later::Select(mut groups, mut distinct)) = self.later.pop() {
            let outputs = self.items(&select.projection, &select.from);
            if let GroupByExpr::Expressions(items, _) = &mut groups {
                items.iter_mut().for_each(|item| self.group(item, &outputs));
            }
            if let Some(Distinct::On(items)) = &mut distinct {
                items.iter_mut().for_each(|item| self.group(item, &outputs));
            }
            (select.group_by, select.distinct) = (groups, distinct);
        }
        self.scopes.pop();
        Flow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        if let TableFactor::Derived { lateral: false, .. } = factor {
            self.scopes.push(Scope::Hidden);
        }
        Flow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        if let TableFactor::Derived { lateral: false, .. } = factor {
            self.scopes.pop();
        }
        Flow::Continue(())
    }

    fn pre_visit_expr(&mut self, e: &mut Expr) -> Flow {
        let found = match e {
            Expr::Identifier(name) => self.parameter(name).filter(|_| !self.is_column(name)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [of, name] => self.parameter_of(of, name),
                _ => None,
            },
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.field(root, access_chain);
                None
            }
            Expr::Function(call) => {
                // The name of an argument is nothing else.
                if let FunctionArguments::List(list) = &mut call.args {
                    for arg in &mut list.args {
                        name_by_assignment(arg);
                        if let ast::FunctionArg::ExprNamed {
                            name: Expr::Identifier(name),
                            arg: value,
                            operator,
                        } = arg
                        {
                            *arg = ast::FunctionArg::Named {
                                name: name.clone(),
                                arg: value.clone(),
                                operator: operator.clone(),
                            };
                        }
                    }
                }
                None
            }
            _ => None,
        };
        if let Some(number) = found {
            *e = placeholder(number);
        }
        Flow::Continue(())
    }
}

fn placeholder(number: usize) -> Expr {
    Expr::value(Value::Placeholder(format!("${number}")))
}

fn last(name: &ObjectName) -> Option<String> {
    name.0.last()?.as_ident().map(fold)
}

/// Whether a whole item of ORDER BY is an output column.
fn is_output(e: &Expr, outputs: &[String]) -> bool {
    match e {
        Expr::Identifier(name) => outputs.contains(&fold(name)),
        _ => false,
    }
}

impl Binder<'_> {
    /// The number of a parameter.
    fn parameter(&self, name: &Ident) -> Option<usize> {
        let name = fold(name);
        let mut inputs = self.routine.inputs();
        let at = inputs.position(|p| p.name.as_deref() == Some(name.as_str()))?;
        Some(at + 1)
    }

    /// The same with a name before it.
    fn parameter_of(&self, of: &Ident, name: &Ident) -> Option<usize> {
        let of = fold(of);
        if of != self.routine.name {
            return None;
        }
        let name_of = fold(name);
        let mut sources = self.visible();
        let is_column = |s: &Source| s.name.as_deref() == Some(of.as_str()) && s.has(&name_of);
        if sources.any(is_column) {
            return None;
        }
        self.parameter(name)
    }

    /// `routine.parameter[1]`, whose name the parser takes for a field.
    fn field(&self, root: &mut Expr, access_chain: &mut Vec<AccessExpr>) {
        if let Expr::Identifier(of) = &*root
            && let Some(AccessExpr::Dot(Expr::Identifier(name))) = access_chain.first()
            && let Some(number) = self.parameter_of(of, name)
        {
            *root = placeholder(number);
            access_chain.remove(0);
        }
    }

    fn group(&mut self, item: &mut Expr, outputs: &[String]) {
        match item {
            Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
                for item in sets.iter_mut().flatten() {
                    self.group(item, outputs);
                }
            }
            Expr::Tuple(items) => items.iter_mut().for_each(|item| self.group(item, outputs)),
            Expr::Nested(inner) => self.group(inner, outputs),
            item if is_output(item, outputs) => {}
            item => {
                let _ = item.visit(self);
            }
        }
    }

    /// The relations that are visible here.
    fn visible(&self) -> impl Iterator<Item = &Source> {
        let mut hidden = 0_usize;
        let scopes = self
            .scopes
            .iter()
            .rev()
            .filter_map(move |scope| match scope {
                Scope::Hidden => {
                    hidden += 1;
                    None
                }
                Scope::From(_) if hidden > 0 => {
                    hidden -= 1;
                    None
                }
                Scope::From(sources) => Some(sources),
                Scope::With(_) => None,
            });
        scopes.flatten()
    }

    /// A column, or a relation as a whole.
    fn is_column(&self, name: &Ident) -> bool {
        let name = fold(name);
        let mut sources = self.visible();
        sources.any(|s| s.has(&name) || s.name.as_deref() == Some(name.as_str()))
    }

    fn with_of(&self, query: &Query) -> Vec<(String, Vec<String>)> {
        let mut inner = Binder {
            routine: self.routine,
            info: self.info,
            functions: self.functions.clone(),
            scopes: vec![Scope::With(self.all_with())],
            later: Vec::new(),
        };
        let mut all = Vec::new();
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let columns = inner.query(&cte.query);
            let columns = renamed(columns, Some(&cte.alias));
            all.push((fold(&cte.alias.name), columns));
            inner.scopes.push(Scope::With(all.clone()));
        }
        all
    }

    /// The queries of WITH that are visible here, the nearest first.
    fn all_with(&self) -> Vec<(String, Vec<String>)> {
        let scopes = self.scopes.iter().rev().filter_map(|scope| match scope {
            Scope::With(with) => Some(with.clone()),
            _ => None,
        });
        scopes.flatten().collect()
    }

    fn from(&self, from: &[TableWithJoins]) -> Vec<Source> {
        from.iter().flat_map(|item| self.joined(item).0).collect()
    }

    /// The relations of an item of FROM, and what `*` stands for there: the columns of a join by names come first, and
    /// once. Each subquery is gone through once for both, since it may have one in it, and so on.
    fn joined(&self, item: &TableWithJoins) -> (Vec<Source>, Vec<String>) {
        let of = |factor: &TableFactor| match factor {
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => self.joined(table_with_joins),
            factor => {
                let sources = self.factor(factor);
                let columns = sources.iter().flat_map(|source| source.columns.clone());
                let columns = columns.collect();
                (sources, columns)
            }
        };
        let (mut sources, mut columns) = of(&item.relation);
        for join in &item.joins {
            let (others, mut right) = of(&join.relation);
            sources.extend(others);
            let mut both: Vec<String> = match joins::constraint(&join.join_operator) {
                Some(JoinConstraint::Using(names)) => names.iter().filter_map(last).collect(),
                Some(JoinConstraint::Natural) => {
                    let left = columns.iter().filter(|name| right.contains(name));
                    left.cloned().collect()
                }
                _ => Vec::new(),
            };
            columns.retain(|name| !both.contains(name));
            right.retain(|name| !both.contains(name));
            both.append(&mut columns);
            both.append(&mut right);
            columns = both;
        }
        (sources, columns)
    }

    fn factor(&self, factor: &TableFactor) -> Vec<Source> {
        let alias_name = |alias: &Option<TableAlias>| alias.as_ref().map(|a| fold(&a.name));
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => {
                let with = match name.0.as_slice() {
                    [_] => {
                        let all = self.all_with();
                        let mut all = all.into_iter();
                        all.find(|(with, _)| Some(with) == last(name).as_ref())
                    }
                    _ => None,
                };
                let is_table = with.is_none();
                let columns = match with {
                    Some((_, columns)) => columns,
                    None => self.relation_columns(name).unwrap_or_default(),
                };
                vec![Source {
                    name: alias_name(alias).or_else(|| last(name)),
                    columns: renamed(columns, alias.as_ref()),
                    is_table,
                }]
            }
            TableFactor::Table {
                name,
                alias,
                args: Some(args),
                with_ordinality,
                ..
            } => vec![self.call(name, &args.args, alias, *with_ordinality)],
            TableFactor::Function {
                name,
                args,
                alias,
                with_ordinality,
                ..
            } => vec![self.call(name, args, alias, *with_ordinality)],
            TableFactor::UNNEST {
                alias,
                with_ordinality,
                ..
            } => {
                let name = ObjectName::from(vec![Ident::new("unnest")]);
                vec![self.call(&name, &[], alias, *with_ordinality)]
            }
            TableFactor::Derived {
                subquery, alias, ..
            } => vec![Source {
                name: alias_name(alias),
                columns: renamed(self.query(subquery), alias.as_ref()),
                is_table: false,
            }],
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => match alias {
                None => self.joined(table_with_joins).0,
                Some(_) => vec![Source {
                    name: alias_name(alias),
                    columns: renamed(self.joined(table_with_joins).1, alias.as_ref()),
                    is_table: false,
                }],
            },
            _ => Vec::new(),
        }
    }

    /// A function in FROM.
    fn call(
        &self,
        name: &ObjectName,
        args: &[ast::FunctionArg],
        alias: &Option<TableAlias>,
        ordinality: bool,
    ) -> Source {
        let written = last(name).unwrap_or_default();
        let table = alias.as_ref().map_or(written.clone(), |a| fold(&a.name));
        let mut call = TableFactor::Function {
            lateral: false,
            name: name.clone(),
            args: args.to_vec(),
            with_ordinality: false,
            alias: None,
        };
        // What cannot be resolved has no columns, and the planner says why.
        let resolved = resolve(&mut call, &self.functions, Names::Statement, None);
        let planned = match (resolved, &call) {
            (Ok(()), TableFactor::Function { name, .. }) => output::function_name(name),
            _ => written.clone(),
        };
        let of_table = self.functions.table(&planned);
        let mut columns = match of_table {
            Some(of_table) if of_table.named_by_alias => vec![table.clone()],
            Some(of_table) => of_table.columns,
            None if written == changes::FUNCTION => self.changed_columns(args),
            None => match self.functions.output(&planned) {
                Some(output) => vec![output],
                None if alias.is_none() && written.contains("_array_elements") => {
                    vec!["value".to_owned()]
                }
                None => vec![table.clone()],
            },
        };
        if ordinality {
            columns.push("ordinality".to_owned());
        }
        Source {
            name: Some(table),
            columns: renamed(columns, alias.as_ref()),
            is_table: false,
        }
    }

    /// The columns of the table that a call of `helios_changes` names.
    fn changed_columns(&self, args: &[ast::FunctionArg]) -> Vec<String> {
        let first = args.first().and_then(|arg| match arg {
            ast::FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => {
                value.value.clone().into_string()
            }
            _ => None,
        });
        let relation = first.and_then(|name| self.info.resolve_relation(&name).ok());
        relation.map_or(Vec::new(), |relation| relation.column_names())
    }

    fn relation_columns(&self, name: &ObjectName) -> Option<Vec<String>> {
        let (schema, name) = names::qualified(name, &self.info.database).ok()?;
        let session: std::sync::Arc<dyn SessionView> = self.info.clone();
        let built_in = match schema.as_deref() {
            None => system_table("pg_catalog", &name, &session),
            Some(schema @ ("pg_catalog" | "information_schema")) => {
                system_table(schema, &name, &session)
            }
            Some(_) => None,
        };
        if let Some(table) = built_in {
            let schema = table.schema();
            let names = schema.fields().iter().map(|f| f.name().clone());
            return Some(names.collect());
        }
        let catalog = self.info.catalog();
        let relation = match schema {
            Some(schema) => {
                let schema = self.info.schema_named(&schema);
                let schema = catalog.schema_by_name(&schema)?;
                catalog.relation_in(schema.oid, &name)
            }
            None => {
                let path = self.info.search_path();
                catalog.resolve(path.iter().map(String::as_str), &name)
            }
        };
        relation.map(|relation| relation.column_names())
    }

    /// The columns that a query gives.
    fn query(&self, query: &Query) -> Vec<String> {
        if query.with.is_none() {
            return self.outputs(&query.body);
        }
        let inner = Binder {
            routine: self.routine,
            info: self.info,
            functions: self.functions.clone(),
            scopes: vec![
                Scope::With(self.all_with()),
                Scope::With(self.with_of(query)),
            ],
            later: Vec::new(),
        };
        inner.outputs(&query.body)
    }

    fn outputs(&self, body: &SetExpr) -> Vec<String> {
        match body {
            SetExpr::Select(select) => self.items(&select.projection, &select.from),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, .. } => self.outputs(left),
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.content.len());
                (1..=width).map(|n| format!("column{n}")).collect()
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => self.returned(statement),
            SetExpr::Table(table) => {
                let parts = [table.schema_name.as_ref(), table.table_name.as_ref()];
                let parts = parts.into_iter().flatten().map(Ident::new);
                let name = ObjectName::from(parts.collect::<Vec<_>>());
                self.relation_columns(&name).unwrap_or_default()
            }
        }
    }

    fn returned(&self, statement: &Ast) -> Vec<String> {
        let target = |name: Option<&ObjectName>| -> Vec<Source> {
            let columns = name.and_then(|name| self.relation_columns(name));
            vec![Source {
                name: name.and_then(last),
                columns: columns.unwrap_or_default(),
                is_table: true,
            }]
        };
        let (items, sources) = match statement {
            Ast::Insert(insert) => {
                let name = match &insert.table {
                    ast::TableObject::TableName(name) => Some(name),
                    _ => None,
                };
                (insert.returning.as_deref(), target(name))
            }
            Ast::Update(update) => (
                update.returning.as_deref(),
                self.factor(&update.table.relation),
            ),
            Ast::Delete(delete) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) =
                    &delete.from;
                (delete.returning.as_deref(), self.from(from))
            }
            _ => (None, Vec::new()),
        };
        let columns = sources.iter().flat_map(|source| source.columns.clone());
        let star: Vec<String> = columns.collect();
        items_over(items.unwrap_or_default(), &sources, &star)
    }

    fn items(&self, items: &[SelectItem], from: &[TableWithJoins]) -> Vec<String> {
        let has_star = items.iter().any(|item| {
            matches!(
                item,
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
            )
        });
        let from = if has_star { from } else { &[] };
        let joined = from.iter().map(|item| self.joined(item));
        let (sources, stars): (Vec<_>, Vec<_>) = joined.unzip();
        items_over(items, &sources.concat(), &stars.concat())
    }
}

fn items_over(items: &[SelectItem], sources: &[Source], star: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for item in items {
        match item {
            SelectItem::UnnamedExpr(e) => names.push(output::column_name(e)),
            SelectItem::ExprWithAlias { alias, .. } => names.push(fold(alias)),
            SelectItem::Wildcard(_) => names.extend_from_slice(star),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(of), _) => {
                let of = last(of);
                let of = sources.iter().filter(|s| s.name == of);
                names.extend(of.flat_map(|s| s.columns.clone()));
            }
            _ => {}
        }
    }
    names
}

impl Source {
    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
            || (self.is_table && SYSTEM.contains(&column))
    }
}

/// Columns under the names that an alias gives to the first of them.
fn renamed(mut columns: Vec<String>, alias: Option<&TableAlias>) -> Vec<String> {
    let names = alias.iter().flat_map(|alias| &alias.columns);
    for (at, name) in names.map(|column| fold(&column.name)).enumerate() {
        match columns.get_mut(at) {
            Some(column) => *column = name,
            None => columns.push(name),
        }
    }
    columns
}
