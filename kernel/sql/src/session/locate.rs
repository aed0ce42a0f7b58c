//! Where in a statement an error is: the position that psql puts its caret under.
//!
//! Planning happens on a rewritten tree, so an error says what it is about and not where. The name,
//! function or literal is looked up in the tree as parsed. Where several places fit and the message
//! cannot tell which is meant, the first is taken for names, as PostgreSQL reads from left to right,
//! and none for anything else: no caret is better than a wrong one.

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, OrderByKind, Query, Select, Spanned, Statement as Ast, TableFactor, Value,
};
use sqlparser::tokenizer::Location;

use super::statement::{StatementKind, position_in};
use crate::error::{SqlError, state};
use crate::functions::Functions;
use crate::names::{fold, parts};

/// What an error is about.
#[derive(Debug, PartialEq)]
enum Subject {
    Relation(String),
    /// A column by its last name, whatever stands before it.
    Column(String),
    /// The same where it is not inside an aggregate function.
    UngroupedColumn(String),
    QualifiedColumn(String, String),
    /// A table that qualifies a column.
    Qualifier(String),
    Function(String),
    Operator(String),
    Type(String),
    /// A string literal by its value.
    Literal(String),
    /// A number in ORDER BY.
    Ordinal(String),
    Where,
}

/// Gives an error the position of what it is about, where the statement has it.
pub(crate) fn locate(
    error: SqlError,
    kind: &StatementKind,
    text: &str,
    functions: &Functions,
) -> SqlError {
    if error.position.is_some() {
        return error;
    }
    let Some(statement) = kind.ast() else {
        return error;
    };
    let Some(subject) = subject(&error) else {
        return error;
    };
    let mut search = Search {
        only: matches!(subject, Subject::Operator(_) | Subject::Where),
        subject,
        text,
        functions,
        aggregates: 0,
        found: Vec::new(),
    };
    search.assigned_columns(statement);
    let _ = ast::Visit::visit(statement, &mut search);
    match search.found.as_slice() {
        [at] => error.with_position(*at),
        [at, ..] if !search.only => error.with_position(*at),
        _ => error,
    }
}

fn subject(error: &SqlError) -> Option<Subject> {
    let message = error.message.as_str();
    let quoted = || message.split('"').nth(1).map(str::to_owned);
    let last = |name: String| match name.rsplit_once('.') {
        Some((_, last)) => last.to_owned(),
        None => name,
    };
    match error.code {
        state::UNDEFINED_TABLE => {
            let name = quoted()?;
            Some(if message.starts_with("missing FROM-clause entry") {
                Subject::Qualifier(name)
            } else {
                Subject::Relation(name)
            })
        }
        state::UNDEFINED_COLUMN | state::AMBIGUOUS_COLUMN => match quoted() {
            Some(name) => Some(Subject::Column(last(name))),
            None => {
                let rest = message.strip_prefix("column ")?;
                let (table, column) = rest.strip_suffix(" does not exist")?.split_once('.')?;
                Some(Subject::QualifiedColumn(
                    table.to_owned(),
                    column.to_owned(),
                ))
            }
        },
        state::GROUPING_ERROR if message.contains("must appear in the GROUP BY clause") => {
            Some(Subject::UngroupedColumn(last(quoted()?)))
        }
        state::UNDEFINED_FUNCTION | state::AMBIGUOUS_FUNCTION => {
            if let Some(rest) = message.strip_prefix("function ") {
                return Some(Subject::Function(rest.split('(').next()?.to_owned()));
            }
            // Types have several words, operators none of a letter.
            let operator = message
                .split(": ")
                .nth(1)?
                .split(' ')
                .find(|word| !word.contains(|c: char| c.is_alphanumeric() || c == '"'))?;
            Some(Subject::Operator(operator.to_owned()))
        }
        state::UNDEFINED_OBJECT if message.starts_with("type ") => Some(Subject::Type(quoted()?)),
        state::INVALID_TEXT_REPRESENTATION
        | state::INVALID_DATETIME_FORMAT
        | state::DATETIME_FIELD_OVERFLOW
        | state::NUMERIC_VALUE_OUT_OF_RANGE => {
            let value = match message.split_once(": \"") {
                Some((_, rest)) => rest.strip_suffix('"')?.to_owned(),
                None => quoted()?,
            };
            Some(Subject::Literal(value))
        }
        state::INVALID_COLUMN_REFERENCE => {
            let rest = message.strip_prefix("ORDER BY position ")?;
            Some(Subject::Ordinal(rest.split(' ').next()?.to_owned()))
        }
        state::DATATYPE_MISMATCH if message.starts_with("argument of WHERE ") => {
            Some(Subject::Where)
        }
        _ => None,
    }
}

struct Search<'a> {
    subject: Subject,
    /// Only a single place will do.
    only: bool,
    text: &'a str,
    functions: &'a Functions,
    /// How many aggregate functions enclose what is being visited.
    aggregates: usize,
    found: Vec<usize>,
}

impl Search<'_> {
    fn add(&mut self, at: Location) {
        // What the rewriting of tokens made up has no place.
        if at.line > 0 {
            self.found.push(position_in(self.text, at));
        }
    }

    /// The columns that INSERT and UPDATE assign are no expressions.
    fn assigned_columns(&mut self, statement: &Ast) {
        let Subject::Column(name) = &self.subject else {
            return;
        };
        let columns: Vec<&ast::ObjectName> = match statement {
            Ast::Insert(insert) => insert.columns.iter().collect(),
            Ast::Update(update) => update
                .assignments
                .iter()
                .flat_map(|a| match &a.target {
                    ast::AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
                    ast::AssignmentTarget::Tuple(names) => names.as_slice(),
                })
                .collect(),
            _ => return,
        };
        let at = columns
            .into_iter()
            .find(|c| parts(c).is_ok_and(|p| p.last() == Some(name)))
            .map(|c| c.span().start);
        if let Some(at) = at {
            self.add(at);
        }
    }

    fn function(&mut self, name: &ast::ObjectName) {
        if let Subject::Function(wanted) = &self.subject
            && parts(name).is_ok_and(|p| p.last() == Some(wanted) || p.join(".") == *wanted)
        {
            self.add(name.span().start);
        }
    }

    /// An operator stands between its operands; the tree has only their places.
    fn operator(&mut self, symbol: &str, left: &Expr, right: &Expr) {
        let (from, to) = (left.span().end, right.span().start);
        if from.line == 0 || to.line == 0 {
            return;
        }
        let from = position_in(self.text, from) - 1;
        let to = position_in(self.text, to) - 1;
        let between: String = self
            .text
            .chars()
            .skip(from)
            .take(to.saturating_sub(from))
            .collect();
        if let Some(byte) = between.find(symbol) {
            let before = between[..byte].chars().count();
            self.found.push(from + before + 1);
        }
    }
}

fn is_aggregate(e: &Expr, functions: &Functions) -> bool {
    let Expr::Function(f) = e else { return false };
    let name = f.name.0.last().and_then(|p| p.as_ident());
    f.over.is_none() && name.is_some_and(|i| functions.is_aggregate(&fold(i)))
}

impl ast::Visitor for Search<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<()> {
        if let Subject::Relation(name) = &self.subject
            && parts(relation).is_ok_and(|p| p.join(".") == *name)
        {
            self.add(relation.span().start);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table {
                name,
                args: Some(_),
                ..
            }
            | TableFactor::Function { name, .. } => self.function(name),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Subject::Ordinal(n) = &self.subject
            && let Some(OrderByKind::Expressions(list)) = query.order_by.as_ref().map(|o| &o.kind)
        {
            let at = list.iter().find_map(|o| match &o.expr {
                Expr::Value(v) if matches!(&v.value, Value::Number(m, _) if m == n) => {
                    Some(v.span.start)
                }
                _ => None,
            });
            if let Some(at) = at {
                self.add(at);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if self.subject == Subject::Where
            && let Some(condition) = &select.selection
        {
            self.add(condition.span().start);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, e: &Expr) -> ControlFlow<()> {
        self.aggregates += usize::from(is_aggregate(e, self.functions));
        let name: &[ast::Ident] = match e {
            Expr::Identifier(i) => std::slice::from_ref(i),
            Expr::CompoundIdentifier(names) => names,
            _ => &[],
        };
        let is = |i: Option<&ast::Ident>, name: &str| i.is_some_and(|i| fold(i) == name);
        let table = || name.len().checked_sub(2).and_then(|i| name.get(i));
        let column = name.last();
        match &self.subject {
            Subject::Column(c) if is(column, c) => self.add(name[0].span.start),
            Subject::UngroupedColumn(c) if self.aggregates == 0 && is(column, c) => {
                self.add(name[0].span.start);
            }
            Subject::QualifiedColumn(t, c) if is(table(), t) && is(column, c) => {
                self.add(name[0].span.start);
            }
            Subject::Qualifier(t) if is(table(), t) => self.add(name[0].span.start),
            Subject::Function(_) => {
                if let Expr::Function(f) = e {
                    self.function(&f.name);
                }
            }
            Subject::Operator(symbol) => {
                if let Expr::BinaryOp { left, op, right } = e
                    && op.to_string() == *symbol
                {
                    let symbol = symbol.clone();
                    self.operator(&symbol, left, right);
                }
            }
            Subject::Type(wanted) => {
                if let Expr::Cast {
                    data_type: ast::DataType::Custom(name, _),
                    ..
                } = e
                    && parts(name).is_ok_and(|p| p.join(".") == *wanted)
                {
                    self.add(name.span().start);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, e: &Expr) -> ControlFlow<()> {
        self.aggregates -= usize::from(is_aggregate(e, self.functions));
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ast::ValueWithSpan) -> ControlFlow<()> {
        if let Subject::Literal(wanted) = &self.subject
            && matches!(&value.value, Value::SingleQuotedString(s) if s == wanted)
        {
            self.add(value.span.start);
        }
        ControlFlow::Continue(())
    }
}
