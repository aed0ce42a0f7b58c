//! Joins by columns of the same names: `JOIN … USING` and NATURAL joins.
//!
//! Two columns of such a join are one in its result: without the name of a table it is the left side's, of a RIGHT
//! JOIN the right side's and of a FULL JOIN the one that is not NULL, in the type that both have in common; and `*`
//! has it once and first. The planner has the columns of the sides alone. So the syntax tree is rewritten, last of
//! all, where it is known which columns the relations have ([`Relations`]):
//! * the join becomes one `ON` the equality of the columns;
//! * a name that is the merged column's, wherever it stands, becomes an [`operator`] over the two columns, which the
//!   planner turns into one of them or into their COALESCE;
//! * `*` over such a join becomes the list of its columns ([`side`]).
//!
//! A statement without such a join stays as it is. So does a name that the planner finds as PostgreSQL does, but
//! 42702 is said here where it has several meanings.

mod apart;
mod operator;
mod side;

use std::borrow::Cow;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Cte, Distinct, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName, OrderBy,
    OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Statement,
    TableAlias, TableFactor, TableWithJoins, Value, Visit, VisitMut, Visitor, VisitorMut,
    visit_expressions,
};

use self::operator::Merging;
use self::side::{Side, shown};
use super::derived;
use super::rewrite::{is_set_returning, names};
use crate::error::{Result, SqlError, state};
use crate::names::{fold, parts};
use crate::plan::compile;

pub use operator::{is_joined, plan};

/// Knows the columns of what FROM names.
pub trait Relations {
    /// The columns of a relation, by their names in a plan.
    fn columns(&self, name: &ObjectName) -> Result<Vec<String>>;

    /// The schema of a relation that is named without one, where that can stand before it.
    fn schema_of(&self, name: &str) -> Result<Option<String>>;

    /// Those of a function in FROM.
    fn columns_of_call(&self, call: &TableFactor) -> Result<Vec<String>>;
}

/// Rewrites the joins by names of a query that is ready to be planned otherwise.
pub fn merge(statement: &mut Statement, relations: &dyn Relations) -> Result<()> {
    let joins = |statement: &Statement| statement.visit(&mut Finder).is_break();
    match statement {
        Statement::Query(_) if !joins(statement) => Ok(()),
        Statement::Query(query) => {
            let mut walk = Walk {
                relations,
                with: Vec::new(),
                scopes: Vec::new(),
                unnamed: 0,
            };
            walk.query(query).map(drop)
        }
        _ => Ok(()),
    }
}

/// Whether one of these joins to an item of FROM is by names.
pub fn is_by_names(item: &TableWithJoins) -> bool {
    item.joins.iter().any(|join| {
        matches!(
            constraint(&join.join_operator),
            Some(JoinConstraint::Using(_) | JoinConstraint::Natural)
        )
    }) || factors(item).any(|factor| match factor {
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => is_by_names(table_with_joins),
        _ => false,
    })
}

/// Breaks off at a join by names.
struct Finder;

impl Visitor for Finder {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        match select.from.iter().any(is_by_names) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

fn factors(item: &TableWithJoins) -> impl Iterator<Item = &TableFactor> {
    let joined = item.joins.iter().map(|join| &join.relation);
    std::iter::once(&item.relation).chain(joined)
}

/// What a join of PostgreSQL's is by.
pub fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::CrossJoin(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::FullOuter(c) => Some(c),
        _ => None,
    }
}

/// Goes through a query, and knows what names mean where it is.
struct Walk<'a> {
    relations: &'a dyn Relations,
    /// Queries of WITH, with their columns.
    with: Vec<(String, Vec<String>)>,
    /// What is in FROM, the innermost last.
    scopes: Vec<Side>,
    /// How many subqueries had no name.
    unnamed: usize,
}

/// Begins the names of those. No SQL text can name them.
const UNNAMED: &str = "\0subquery";

impl Walk<'_> {
    /// Rewrites a query; gives its columns.
    fn query(&mut self, query: &mut Query) -> Result<Vec<String>> {
        let outer = self.with.len();
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                let columns = self.cte(cte, with.recursive)?;
                self.with.push((fold(&cte.alias.name), columns));
            }
        }
        let columns = match query.body.as_mut() {
            SetExpr::Select(select) => self.select(select, query.order_by.as_mut()),
            body => self.body(body),
        };
        self.with.truncate(outer);
        self.visit(&mut query.limit_clause)?;
        columns
    }

    fn cte(&mut self, cte: &mut Cte, recursive: bool) -> Result<Vec<String>> {
        let columns = match cte.query.body.as_mut() {
            // The second term sees the columns of the first.
            SetExpr::SetOperation { left, right, .. } if recursive && cte.query.with.is_none() => {
                let columns = renamed(self.body(left)?, Some(&cte.alias));
                self.with.push((fold(&cte.alias.name), columns.clone()));
                self.body(right)?;
                self.with.pop();
                columns
            }
            _ => {
                let columns = self.query(&mut cte.query)?;
                let select = derived::first_select(&cte.query.body);
                match select.is_some_and(|select| select.projection.iter().any(is_beside_rows)) {
                    true => {
                        derived::unmark(cte)?;
                        derived::unique(columns.iter().map(String::as_str))
                    }
                    false => columns,
                }
            }
        };
        Ok(renamed(columns, Some(&cte.alias)))
    }

    fn body(&mut self, body: &mut SetExpr) -> Result<Vec<String>> {
        match body {
            SetExpr::Select(select) => self.select(select, None),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                let columns = self.body(left)?;
                self.body(right)?;
                Ok(columns)
            }
            SetExpr::Values(values) => {
                self.visit(values)?;
                let width = values.rows.first().map_or(0, |row| row.content.len());
                Ok((1..=width).map(|n| format!("column{n}")).collect())
            }
            SetExpr::Table(table) => {
                let path = [table.schema_name.as_ref(), table.table_name.as_ref()];
                let path = path.into_iter().flatten().map(Ident::new);
                self.named(&ObjectName::from(path.collect::<Vec<_>>()))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn select(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Vec<String>> {
        if select.from.iter().any(is_by_names) {
            self.tell_apart(&mut select.from)?;
        }
        let mut from = Side::default();
        for item in &mut select.from {
            let side = self.joined(item, &from)?;
            from = from.and(side);
        }
        let scopes = self.scopes.len();
        self.scopes.push(from.clone());
        let outputs = self.clauses(select, order_by, &from);
        self.scopes.truncate(scopes);
        outputs
    }

    /// The clauses of a SELECT that see its FROM, which is the innermost scope.
    fn clauses(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
        from: &Side,
    ) -> Result<Vec<String>> {
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(Expr::Identifier(name)) => {
                    if let Some(merged) = self.merged(name, true)? {
                        *item = SelectItem::UnnamedExpr(merged);
                    }
                }
                item => self.visit(item)?,
            }
        }
        if from.is_by_names() {
            write_out_stars(&mut select.projection, from)?;
        }
        mark_beside_rows(&mut select.projection);
        let outputs = outputs(&select.projection, from);
        self.visit(&mut select.selection)?;
        if let GroupByExpr::Expressions(list, _) = &mut select.group_by {
            for item in list.iter_mut() {
                self.group(item, &outputs)?;
            }
            if !list.is_empty() {
                for item in &mut select.projection {
                    if let SelectItem::UnnamedExpr(expr) = item {
                        operator::over_groups(expr);
                    }
                }
            }
        }
        self.visit(&mut select.having)?;
        self.visit(&mut select.named_window)?;
        let distinct_on = matches!(select.distinct, Some(Distinct::On(_)));
        let mut on = Vec::new();
        if let Some(Distinct::On(list)) = &mut select.distinct {
            on = list.iter_mut().collect();
        }
        for expr in on {
            if let Some(at) = self.output(expr, &select.projection, &outputs, "DISTINCT ON")?
                && let Some(value) = value(&select.projection[at])
            {
                *expr = operator::unnamed(value.clone());
            }
        }
        if let Some(order_by) = order_by
            && let OrderByKind::Expressions(list) = &mut order_by.kind
        {
            for item in list {
                let expr = &mut item.expr;
                let at = self.output(expr, &select.projection, &outputs, "ORDER BY")?;
                match at.map(|at| (at, value(&select.projection[at]))) {
                    // What DISTINCT ON has is compared with it.
                    Some((_, Some(value))) if distinct_on => {
                        *expr = operator::unnamed(value.clone());
                    }
                    Some((at, _)) => {
                        *expr = Expr::value(Value::Number((at + 1).to_string(), true));
                    }
                    None => {}
                }
            }
        }
        Ok(outputs)
    }

    /// Rewrites an expression of a clause where a name alone is that of an output column first. Gives the place of
    /// this one where the planner would find several columns of the name, and has to be told which one it is.
    fn output(
        &mut self,
        expr: &mut Expr,
        projection: &[SelectItem],
        outputs: &[String],
        clause: &str,
    ) -> Result<Option<usize>> {
        let mut alone = &*expr;
        while let Expr::Nested(inner) = alone {
            alone = inner;
        }
        let Expr::Identifier(name) = alone else {
            return self.visit(expr).map(|()| None);
        };
        let wanted = fold(name);
        let mut places = (0..outputs.len()).filter(|at| shown(&outputs[*at]) == wanted);
        let Some(first) = places.next() else {
            return self.visit(expr).map(|()| None);
        };
        let scope = self.scopes.last();
        let is_merged = scope.is_some_and(|scope| scope.named(&wanted).iter().any(|c| c.merged));
        if !is_merged || projection.len() != outputs.len() {
            return Ok(None);
        }
        let is_other = |at: usize| !are_same(value(&projection[first]), value(&projection[at]));
        match places.any(is_other) {
            true => Err(SqlError::new(
                state::AMBIGUOUS_COLUMN,
                format!("{clause} \"{wanted}\" is ambiguous"),
            )),
            false => Ok(Some(first)),
        }
    }

    /// Rewrites an item of GROUP BY, where a name alone is a column's of this FROM, then that of an output column,
    /// and only then a column's of a query around this one.
    fn group(&mut self, item: &mut Expr, outputs: &[String]) -> Result<()> {
        match item {
            Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
                let mut items = sets.iter_mut().flatten();
                items.try_for_each(|item| self.group(item, outputs))
            }
            Expr::Tuple(items) => items
                .iter_mut()
                .try_for_each(|item| self.group(item, outputs)),
            Expr::Nested(inner) => self.group(inner, outputs),
            Expr::Identifier(name) if self.is_output_alone(name, outputs) => Ok(()),
            item => self.visit(item),
        }
    }

    /// Whether a name is that of an output column, and of no column of this FROM.
    fn is_output_alone(&self, name: &Ident, outputs: &[String]) -> bool {
        let name = fold(name);
        let is_column = self
            .scopes
            .last()
            .is_none_or(|scope| scope.why_unknown().is_some() || !scope.named(&name).is_empty());
        !is_column && outputs.iter().any(|output| shown(output) == name)
    }

    /// An item of FROM with what is joined to it; `beside` is what stands before it.
    fn joined(&mut self, item: &mut TableWithJoins, beside: &Side) -> Result<Side> {
        let mut left = self.factor(&mut item.relation, beside)?;
        for join in &mut item.joins {
            let before = beside.clone().and(left.clone());
            let right = self.factor(&mut join.relation, &before)?;
            left = self.join(&mut join.join_operator, left, right)?;
        }
        Ok(left)
    }

    fn join(&mut self, operator: &mut JoinOperator, left: Side, right: Side) -> Result<Side> {
        let (merging, constraint) = match operator {
            JoinOperator::Join(c) | JoinOperator::Inner(c) | JoinOperator::CrossJoin(c) => {
                (Merging::Inner, c)
            }
            JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (Merging::Left, c),
            JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (Merging::Right, c),
            JoinOperator::FullOuter(c) => (Merging::Full, c),
            _ => return Ok(left.and(right)),
        };
        let names = match constraint {
            JoinConstraint::Using(columns) => {
                let names = columns.iter().map(|name| match parts(name)?.as_slice() {
                    [name] => Ok(name.clone()),
                    _ => Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        "syntax error at or near \".\"",
                    )),
                });
                names.collect::<Result<Vec<String>>>()?
            }
            JoinConstraint::Natural => left.common(&right),
            JoinConstraint::On(condition) => {
                let both = left.and(right);
                self.scopes.push(both.clone());
                let done = self.visit(condition);
                self.scopes.pop();
                return done.map(|()| both);
            }
            JoinConstraint::None => return Ok(left.and(right)),
        };
        let (side, condition) = left.merge(right, &names, merging)?;
        match (condition, merging) {
            (Some(condition), _) => *constraint = JoinConstraint::On(condition),
            // A NATURAL join of what has no name in common.
            (None, Merging::Inner) => *operator = JoinOperator::CrossJoin(JoinConstraint::None),
            (None, _) => {
                let always = Expr::value(Value::Boolean(true));
                *constraint = JoinConstraint::On(always);
            }
        }
        Ok(side)
    }

    fn factor(&mut self, factor: &mut TableFactor, beside: &Side) -> Result<Side> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => {
                let columns = renamed(self.named(name)?, alias.as_ref());
                let path = match alias {
                    Some(alias) => vec![alias.name.clone()],
                    None => parts(name)?.iter().map(|p| names::quoted(p)).collect(),
                };
                Ok(Side::relation(&path, columns))
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                ..
            } => {
                let scopes = self.scopes.len();
                if *lateral {
                    self.scopes.push(beside.clone());
                }
                let columns = self.query(subquery);
                self.scopes.truncate(scopes);
                let mut columns = columns?;
                if !*lateral {
                    columns = derived::unique(columns.iter().map(String::as_str));
                }
                let columns = renamed(columns, alias.as_ref());
                // Its columns need a name that says whose they are.
                let alias = alias.get_or_insert_with(|| {
                    self.unnamed += 1;
                    TableAlias {
                        explicit: true,
                        name: names::quoted(&format!("{UNNAMED}{}", self.unnamed)),
                        columns: Vec::new(),
                        at: None,
                    }
                });
                Ok(Side::relation(std::slice::from_ref(&alias.name), columns))
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                let side = self.joined(table_with_joins, beside)?;
                let Some(alias) = alias else {
                    return Ok(side);
                };
                let path = [alias.name.clone()];
                if !side.merges() {
                    let columns = renamed(side.real_names(), Some(alias));
                    return Ok(Side::relation(&path, columns));
                }
                // Under a name of its own it is a relation like a subquery.
                let inside = table_with_joins.as_ref().clone();
                let lateral = has_lateral(&inside);
                let items = side.items(&mut Vec::new());
                let mut columns = outputs(&items, &side);
                if !lateral {
                    columns = derived::unique(columns.iter().map(String::as_str));
                }
                let columns = renamed(columns, Some(alias));
                *factor = TableFactor::Derived {
                    lateral,
                    subquery: Box::new(compile::select(items, vec![inside])),
                    alias: Some(alias.clone()),
                    sample: None,
                };
                Ok(Side::relation(&path, columns))
            }
            call => {
                let (name, alias) = match &*call {
                    TableFactor::Table { name, alias, .. }
                    | TableFactor::Function { name, alias, .. } => (parts(name)?.pop(), alias),
                    TableFactor::UNNEST { alias, .. } => (Some("unnest".to_owned()), alias),
                    _ => (None, &None),
                };
                let path: Vec<Ident> = match alias {
                    Some(alias) => vec![alias.name.clone()],
                    None => name.iter().map(|name| names::quoted(name)).collect(),
                };
                Ok(match self.relations.columns_of_call(call) {
                    Ok(columns) => Side::relation(&path, renamed(columns, alias.as_ref())),
                    Err(why) => Side::unknown(why),
                })
            }
        }
    }

    /// The columns of a relation that FROM names.
    fn named(&self, name: &ObjectName) -> Result<Vec<String>> {
        if let [part] = parts(name)?.as_slice() {
            let mut with = self.with.iter().rev();
            if let Some((_, columns)) = with.find(|(name, _)| name == part) {
                return Ok(columns.clone());
            }
        }
        self.relations.columns(name)
    }

    /// What a name without that of a table is, if it is a merged column; as an item of a select list, or inside of
    /// an expression.
    fn merged(&self, name: &Ident, is_item: bool) -> Result<Option<Expr>> {
        let name = fold(name);
        for scope in self.scopes.iter().rev() {
            match scope.named(&name).as_slice() {
                _ if scope.why_unknown().is_some() => return Ok(None),
                [] => {}
                [column] if column.merged && is_item => return Ok(Some(column.item())),
                [column] if column.merged => return Ok(Some(column.expr.clone())),
                [_] => return Ok(None),
                _ => return Err(ambiguous(&name)),
            }
        }
        Ok(None)
    }

    /// 42702 for a column that its relation has twice, 42P09 for a name that two relations have: the planner would
    /// take the first.
    fn check_path(&self, path: &[Ident]) -> Result<()> {
        let [schema @ .., relation, column] = path else {
            return Ok(());
        };
        let (relation, column) = (fold(relation), fold(column));
        let mut scopes = self.scopes.iter().rev();
        let scope = scopes.find(|scope| scope.has_relation(&relation));
        match scope {
            Some(scope) if schema.is_empty() && scope.has_several(&relation) => {
                Err(ambiguous_table(&relation))
            }
            Some(scope) if scope.is_twice(&relation, &column) => Err(ambiguous(&column)),
            _ => Ok(()),
        }
    }

    /// Rewrites the names in a part of a statement, and the queries in it.
    fn visit(&mut self, part: &mut impl VisitMut) -> Result<()> {
        let mut names = Names {
            walk: self,
            depth: 0,
        };
        match part.visit(&mut names) {
            ControlFlow::Break(e) => Err(e),
            ControlFlow::Continue(()) => Ok(()),
        }
    }
}

/// Rewrites the names in expressions.
struct Names<'w, 'a> {
    walk: &'w mut Walk<'a>,
    /// Inside of so many queries, which are done already.
    depth: usize,
}

impl VisitorMut for Names<'_, '_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        if self.depth == 0
            && let Err(e) = self.walk.query(query)
        {
            return ControlFlow::Break(e);
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let done = match expr {
            _ if self.depth > 0 => Ok(()),
            Expr::Identifier(name) => match self.walk.merged(name, false) {
                Ok(Some(merged)) => {
                    *expr = merged;
                    Ok(())
                }
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            },
            Expr::CompoundIdentifier(path) => self.walk.check_path(path),
            _ => Ok(()),
        };
        match done {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }
}

fn ambiguous(column: &str) -> SqlError {
    SqlError::new(
        state::AMBIGUOUS_COLUMN,
        format!("column reference \"{column}\" is ambiguous"),
    )
}

fn ambiguous_table(name: &str) -> SqlError {
    SqlError::new(
        state::AMBIGUOUS_ALIAS,
        format!("table reference \"{name}\" is ambiguous"),
    )
}

/// Puts the columns of a join by names, and of its sides, in the place of `*`.
fn write_out_stars(projection: &mut Vec<SelectItem>, from: &Side) -> Result<()> {
    let names = projection.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(names::ident(alias)),
        _ => None,
    });
    let mut taken: Vec<String> = names.collect();
    for item in std::mem::take(projection) {
        let side = match &item {
            SelectItem::Wildcard(_) => match from.why_unknown() {
                Some(why) => return Err(why.clone()),
                None => Some(Cow::Borrowed(from)),
            },
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(of), _) => {
                let name = names::function_name(of);
                if of.0.len() == 1 && from.has_several(&name) {
                    return Err(ambiguous_table(&name));
                }
                from.only_relation(of).map(Cow::Owned)
            }
            _ => None,
        };
        match side {
            Some(side) => projection.extend(side.items(&mut taken)),
            None => projection.push(item),
        }
    }
    Ok(())
}

/// Between the name of a merged column beside a call that gives rows and its place.
const BESIDE_ROWS: &str = "\u{1}j";

/// Gives merged columns names that no column has, where the select list calls what gives rows: the planner has
/// both in one row.
fn mark_beside_rows(projection: &mut [SelectItem]) {
    let gives_rows = |item: &SelectItem| {
        let found = visit_expressions(item, |e| match e {
            Expr::Function(f) if is_set_returning(&names::function_name(&f.name)) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        found.is_break()
    };
    if !projection.iter().any(gives_rows) {
        return;
    }
    for (at, item) in projection.iter_mut().enumerate() {
        if let SelectItem::UnnamedExpr(expr) = item
            && let Some(name) = operator::name_of(expr)
        {
            *item = SelectItem::ExprWithAlias {
                alias: names::quoted(&format!("{name}{BESIDE_ROWS}{at}")),
                expr: operator::unnamed(expr.clone()),
            };
        }
    }
}

fn is_beside_rows(item: &SelectItem) -> bool {
    matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value.contains(BESIDE_ROWS))
}

/// The names in the plan of the columns that a select list gives.
fn outputs(projection: &[SelectItem], from: &Side) -> Vec<String> {
    let mut columns = Vec::new();
    for item in projection {
        match item {
            SelectItem::UnnamedExpr(e) => columns.push(match operator::name_of(e) {
                Some(name) => name.to_owned(),
                None => names::column_name(e),
            }),
            SelectItem::ExprWithAlias { alias, .. } => columns.push(names::ident(alias)),
            SelectItem::Wildcard(_) => columns.extend(from.real_names()),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(of), _) => {
                let relation = from.only_relation(of);
                columns.extend(relation.iter().flat_map(Side::real_names));
            }
            _ => {}
        }
    }
    columns
}

/// Columns under the names that an alias gives to the first of them.
fn renamed(mut columns: Vec<String>, alias: Option<&TableAlias>) -> Vec<String> {
    let given = alias.iter().flat_map(|alias| &alias.columns);
    for (at, name) in given.map(|column| fold(&column.name)).enumerate() {
        match columns.get_mut(at) {
            Some(column) => *column = name,
            None => columns.push(name),
        }
    }
    columns
}

/// What an item of a select list computes.
fn value(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// Whether an item of a select list is the same as one before it, or the side's column that a merged one is.
fn are_same(first: Option<&Expr>, other: Option<&Expr>) -> bool {
    let (Some(first), Some(other)) = (first, other) else {
        return false;
    };
    let path = |expr: &Expr| match expr {
        Expr::CompoundIdentifier(path) => path.iter().rev().map(fold).collect::<Vec<String>>(),
        _ => Vec::new(),
    };
    // One may have a schema before it, and the other none.
    let are_one = |first: &[String], other: &[String]| {
        let (first, other) = (first.iter(), other.iter());
        first.len() > 0 && other.len() > 0 && first.zip(other).all(|(one, other)| one == other)
    };
    let of_side = |merged: &Expr, other: &Expr| {
        let side = operator::side_of(merged).map(path);
        side.is_some_and(|side| are_one(&side, &path(other)))
    };
    operator::unnamed(first.clone()) == operator::unnamed(other.clone())
        || of_side(first, other)
        || of_side(other, first)
}

/// Whether something in a join may name what stands before it.
fn has_lateral(item: &TableWithJoins) -> bool {
    factors(item).any(|factor| match factor {
        TableFactor::Derived { lateral, .. } | TableFactor::Function { lateral, .. } => *lateral,
        TableFactor::UNNEST { .. } => true,
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => has_lateral(table_with_joins),
        _ => false,
    })
}
