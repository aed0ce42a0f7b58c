//! PostgreSQL spellings that catalog queries use, said in words the planner has.
//!
//! | written | becomes |
//! |---|---|
//! | `pg_catalog.f(x)` | `f(x)` |
//! | `x::regclass` | `regclass(x)`, which reads names and passes oids |
//! | `x::regclass::text` | `regclassout(regclass(x))` |
//! | `x::regclass::oid` | `oid(regclass(x))` |
//! | `a OPERATOR(pg_catalog.~) b` | `a ~ b` |
//! | `x COLLATE "C"` | `x`: there is one collation, by bytes |
//! | `ARRAY(SELECT …)` | `array_subquery((SELECT …))`, which [`crate::subplan`] runs |
//! | `SELECT srf(x)` | `SELECT unnest(srf(x))`, for functions that give an array here and rows there |
//! | `FROM srf(x) a` | `FROM LATERAL (SELECT unnest(srf(x)) AS a) a` |
//! | `current_schema` | `current_schema()` |
//! | `c.tableoid` of a system relation | its oid |
//! | `typinput::text` of a `reg*` column | `regprocout(typinput)` |
//! | `indkey[0]` and other uses of vectors | see [`vector`] |
//!
//! All of it happens on the syntax tree, before names are resolved, in one pass ([`statement`]).

mod expand;
mod scope;
mod vector;

use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableAliasColumnDef, TableFactor,
    Value, VisitMut, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use self::scope::{Of, Source};
use super::datum::Type;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::semantics::rewrite::names;

/// Functions that return a set in PostgreSQL and an array here.
const SET_RETURNING: &[&str] = &["pg_partition_ancestors"];

/// The `reg*` types: a function of the same name reads one, `…out` prints one.
const REG_TYPES: &[&str] = &[
    "regclass",
    "regtype",
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regnamespace",
    "regrole",
    "regcollation",
];

/// Rewrites a statement in place.
pub fn statement(statement: &mut Statement) -> Result<()> {
    let mut rewriter = Rewriter::default();
    match VisitMut::visit(statement, &mut rewriter) {
        ControlFlow::Continue(()) if rewriter.expands => expand::fields(statement),
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

#[derive(Default)]
struct Rewriter {
    /// For each SELECT around: what is known of the relations in its FROM.
    scopes: Vec<Vec<Source>>,
    /// It has what [`expand`] is for.
    expands: bool,
}

impl VisitorMut for Rewriter {
    type Break = SqlError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        self.scopes.push(scope::sources(select));
        select.projection.iter_mut().for_each(keep_name);
        self.expands |= select.projection.iter().any(expand::is_expanded);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<SqlError> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        match from_function(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match self.expr(expr) {
            Ok(Some(new)) => *expr = new,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

impl Rewriter {
    /// What an expression becomes, if it does; its parts are rewritten already.
    fn expr(&self, expr: &mut Expr) -> Result<Option<Expr>> {
        match expr {
            Expr::Function(function) => {
                strip_catalog(&mut function.name);
                if ["concat", "concat_ws", "format"]
                    .iter()
                    .any(|f| name_is(&function.name, f))
                {
                    self.print_arguments(function);
                }
                if function.name.0.len() == 1
                    && name_is(&function.name, "array")
                    && let FunctionArguments::Subquery(query) = &function.args
                {
                    let query = query.clone();
                    return Ok(Some(call("array_subquery", vec![Expr::Subquery(query)])));
                }
                if let Some(array) = self.vector_call(function) {
                    return Ok(Some(array));
                }
                if SET_RETURNING.iter().any(|f| name_is(&function.name, f)) {
                    return Ok(Some(call("unnest", vec![expr.clone()])));
                }
                Ok(None)
            }
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr: inner,
                data_type,
                ..
            } => {
                if is_text(data_type) && self.is_vector(inner) {
                    return Ok(Some(vector::as_text((**inner).clone())));
                }
                if is_text(data_type)
                    && let Some(reg) = self.reg_column(inner)
                {
                    return Ok(Some(call(&format!("{reg}out"), vec![(**inner).clone()])));
                }
                if is_text(data_type)
                    && let Some(reg) = self.reg_array(inner)
                {
                    let name = format!("{reg}arrayout");
                    return Ok(Some(call(&name, vec![(**inner).clone()])));
                }
                if let Some(reg) = reg_type(data_type) {
                    return Ok(Some(call(reg, vec![(**inner).clone()])));
                }
                if let Some(reg) = reg_call(inner) {
                    if is_text(data_type) {
                        return Ok(Some(call(&format!("{reg}out"), vec![(**inner).clone()])));
                    }
                    if type_name(data_type).as_deref() == Some("oid") {
                        return Ok(Some(call("oid", vec![(**inner).clone()])));
                    }
                }
                Ok(None)
            }
            Expr::BinaryOp { left, op, right } => {
                if matches!(op, BinaryOperator::StringConcat) {
                    self.print(left);
                    self.print(right);
                }
                if let BinaryOperator::PGCustomBinaryOperator(name) = op {
                    *op = operator(name)?;
                }
                Ok(None)
            }
            Expr::Collate { expr, collation } => {
                check_collation(collation)?;
                Ok(Some((**expr).clone()))
            }
            Expr::Identifier(name)
                if name.quote_style.is_none()
                    && name.value.eq_ignore_ascii_case("current_schema") =>
            {
                Ok(Some(call("current_schema", Vec::new())))
            }
            Expr::CompoundFieldAccess { root, access_chain } => Ok(self.access(root, access_chain)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, column] if column.value.eq_ignore_ascii_case("tableoid") => {
                    Ok(self.table_oid(&fold(relation)))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// A subscript or a field.
    fn access(&self, root: &Expr, access_chain: &[AccessExpr]) -> Option<Expr> {
        if let Some(field) = vector::expanded(root, access_chain) {
            return Some(field);
        }
        let column = column_access(root, access_chain);
        let (root, chain) = match &column {
            None => (root, access_chain),
            Some(Expr::CompoundFieldAccess { root, access_chain }) => {
                (root.as_ref(), access_chain.as_slice())
            }
            Some(_) => return column,
        };
        if !self.is_vector(root) {
            return column;
        }
        let mut access_chain = chain.to_vec();
        vector::shift_subscript(&mut access_chain);
        Some(Expr::CompoundFieldAccess {
            root: Box::new(root.clone()),
            access_chain,
        })
    }

    /// The type of an expression that is a column of a system relation.
    fn column_type(&self, expr: &Expr) -> Option<Type> {
        match expr {
            Expr::Nested(inner) => self.column_type(inner),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                scope::type_of(self.scopes.iter().rev().flatten(), expr)
            }
            _ => None,
        }
    }

    /// The `reg*` type of a column of a system relation.
    fn reg_column(&self, expr: &Expr) -> Option<&'static str> {
        let ty = self.column_type(expr).filter(|ty| ty.is_reg())?;
        REG_TYPES.iter().find(|name| **name == ty.sql()).copied()
    }

    /// The `reg*` type of the elements of an array, of those whose arrays are printed.
    fn reg_array(&self, expr: &Expr) -> Option<&'static str> {
        let found = match expr {
            Expr::Nested(inner) => return self.reg_array(inner),
            Expr::Array(array) => reg_call(array.elem.first()?)?,
            Expr::Cast {
                data_type: DataType::Array(ArrayElemTypeDef::SquareBracket(of, _)),
                ..
            } => reg_type(of)?,
            column => match self.column_type(column)? {
                Type::RegtypeArray => "regtype",
                _ => return None,
            },
        };
        matches!(found, "regtype" | "regclass").then_some(found)
    }

    /// Puts the name that a value of a `reg*` type prints as in the place of the value.
    fn print(&self, expr: &mut Expr) {
        if let Some(reg) = reg_call(expr).or_else(|| self.reg_column(expr)) {
            *expr = call(&format!("{reg}out"), vec![expr.clone()]);
        }
    }

    /// The same for what a call prints.
    fn print_arguments(&self, function: &mut Function) {
        let FunctionArguments::List(list) = &mut function.args else {
            return;
        };
        for argument in &mut list.args {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
                self.print(expr);
            }
        }
    }

    /// `alias.tableoid` where the alias is a system relation's.
    fn table_oid(&self, alias: &str) -> Option<Expr> {
        let mut nearest = self.scopes.iter().rev().flatten();
        let Of::System(oid) = &nearest.find(|source| source.name == alias)?.of else {
            return None;
        };
        let oid = Value::SingleQuotedString(oid.to_string()).with_empty_span();
        Some(call("tableoid", vec![Expr::Value(oid)]))
    }
}

/// `con.conkey[1]`: the parser takes the column for a field of something called `con`.
fn column_access(root: &Expr, access_chain: &[AccessExpr]) -> Option<Expr> {
    let mut parts = match root {
        Expr::Identifier(name) => vec![name.clone()],
        Expr::CompoundIdentifier(parts) => parts.clone(),
        _ => return None,
    };
    let fields = access_chain.iter().map_while(|access| match access {
        AccessExpr::Dot(Expr::Identifier(name)) => Some(name.clone()),
        _ => None,
    });
    let before = parts.len();
    parts.extend(fields);
    let rest = access_chain.get(parts.len() - before..)?.to_vec();
    if parts.len() == before {
        return None;
    }
    let column = Expr::CompoundIdentifier(parts);
    if rest.is_empty() {
        return Some(column);
    }
    Some(Expr::CompoundFieldAccess {
        root: Box::new(column),
        access_chain: rest,
    })
}

/// An item keeps the name it has as written, whatever it is rewritten to.
fn keep_name(item: &mut SelectItem) {
    if let SelectItem::UnnamedExpr(expr) = item
        && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
    {
        *item = SelectItem::ExprWithAlias {
            alias: names::quoted(&names::column_name(expr)),
            expr: expr.clone(),
        };
    }
}

/// Takes `pg_catalog` off a function's name.
fn strip_catalog(name: &mut ObjectName) {
    if name.0.len() == 2
        && name.0[0]
            .as_ident()
            .is_some_and(|i| i.value.eq_ignore_ascii_case("pg_catalog"))
    {
        name.0.remove(0);
    }
}

fn name_is(name: &ObjectName, wanted: &str) -> bool {
    match name.0.as_slice() {
        [part] => part
            .as_ident()
            .is_some_and(|i| i.value.eq_ignore_ascii_case(wanted)),
        _ => false,
    }
}

/// The last part of a type's name, in lower case, without `pg_catalog`.
fn type_name(ty: &DataType) -> Option<String> {
    match ty {
        DataType::Regclass => Some("regclass".to_owned()),
        DataType::Custom(name, modifiers) if modifiers.is_empty() => {
            let parts: Vec<&Ident> = name.0.iter().filter_map(|p| p.as_ident()).collect();
            match parts.as_slice() {
                [name] => Some(name.value.to_lowercase()),
                [schema, name] if schema.value.eq_ignore_ascii_case("pg_catalog") => {
                    Some(name.value.to_lowercase())
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn reg_type(ty: &DataType) -> Option<&'static str> {
    let name = type_name(ty)?;
    REG_TYPES.iter().find(|r| **r == name).copied()
}

fn is_text(ty: &DataType) -> bool {
    match ty {
        DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None) => true,
        other => matches!(
            type_name(other).as_deref(),
            Some("text" | "varchar" | "name")
        ),
    }
}

/// The `reg*` type of a call that gives one.
fn reg_call(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Nested(inner) => reg_call(inner),
        Expr::Function(f) => {
            let name = f.name.to_string();
            let name = name.strip_prefix("to_").unwrap_or(&name);
            REG_TYPES.iter().find(|r| **r == name).copied()
        }
        _ => None,
    }
}

fn operator(name: &[String]) -> Result<BinaryOperator> {
    let undefined = || {
        let message = format!("operator does not exist: {}", name.join("."));
        SqlError::new(state::UNDEFINED_FUNCTION, message)
    };
    let symbol = match name {
        [symbol] => symbol,
        [schema, symbol]
            if schema.eq_ignore_ascii_case("pg_catalog")
                || schema.eq_ignore_ascii_case("public") =>
        {
            symbol
        }
        _ => return Err(undefined()),
    };
    Ok(match symbol.as_str() {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "||" => BinaryOperator::StringConcat,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "&" => BinaryOperator::BitwiseAnd,
        "|" => BinaryOperator::BitwiseOr,
        "->" => BinaryOperator::Arrow,
        "->>" => BinaryOperator::LongArrow,
        "@>" => BinaryOperator::AtArrow,
        "<@" => BinaryOperator::ArrowAt,
        other => BinaryOperator::PGCustomBinaryOperator(vec![other.to_owned()]),
    })
}

fn check_collation(name: &ObjectName) -> Result<()> {
    let mut bare = name.clone();
    strip_catalog(&mut bare);
    if ["default", "C", "POSIX", "ucs_basic"]
        .iter()
        .any(|c| name_is(&bare, c))
    {
        return Ok(());
    }
    Err(SqlError::new(
        state::UNDEFINED_OBJECT,
        format!("collation \"{bare}\" for encoding \"UTF8\" does not exist"),
    ))
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args
        .into_iter()
        .map(|a| FunctionArg::Unnamed(FunctionArgExpr::Expr(a)))
        .collect();
    function(name, args)
}

fn function(name: &str, args: Vec<FunctionArg>) -> Expr {
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A function in FROM whose rows depend on columns, which gives an array here, or which numbers its
/// rows.
fn from_function(factor: &mut TableFactor) -> Result<()> {
    let (name, args, alias, with_ordinality) = match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            with_ordinality,
            ..
        } => {
            strip_catalog(name);
            (name.to_string(), args.args.clone(), alias, *with_ordinality)
        }
        TableFactor::Function {
            name,
            args,
            alias,
            with_ordinality,
            ..
        } => {
            strip_catalog(name);
            (name.to_string(), args.clone(), alias, *with_ordinality)
        }
        TableFactor::UNNEST {
            array_exprs,
            alias,
            with_ordinality,
            with_offset: false,
            ..
        } => {
            let arrays = array_exprs.iter().cloned();
            let args = arrays.map(|a| FunctionArg::Unnamed(FunctionArgExpr::Expr(a)));
            ("unnest".to_owned(), args.collect(), alias, *with_ordinality)
        }
        _ => return Ok(()),
    };
    let name = name.to_lowercase();
    let set_returning = SET_RETURNING.contains(&name.as_str());
    let known = set_returning || name == "unnest" || name == "generate_series";
    if !known || !(set_returning || with_ordinality || args.iter().any(reads_a_column)) {
        return Ok(());
    }
    let calls = if name == "unnest" {
        // Several arrays side by side, the shorter ones filled up with NULL.
        args.iter()
            .map(|array| function("unnest", vec![array.clone()]))
            .collect()
    } else if set_returning {
        vec![call("unnest", vec![function(&name, args)])]
    } else {
        vec![function(&name, args)]
    };
    let table = alias
        .as_ref()
        .map_or_else(|| Ident::new(&name), |a| a.name.clone());
    let mut columns: Vec<Ident> = alias
        .iter()
        .flat_map(|a| a.columns.iter().map(|c| c.name.clone()))
        .collect();
    // The column of one function is called as the table; PostgreSQL lets a list be too short.
    while columns.len() < calls.len() {
        columns.push(if calls.len() == 1 {
            table.clone()
        } else {
            Ident::new(&name)
        });
    }
    if with_ordinality && columns.len() == calls.len() {
        columns.push(Ident::new("ordinality"));
    }
    let projection = calls
        .into_iter()
        .zip(&columns)
        .map(|(expr, name)| SelectItem::ExprWithAlias {
            expr,
            alias: name.clone(),
        })
        .collect();
    let mut query = parsed(if with_ordinality {
        "SELECT *, row_number() OVER () AS ordinality FROM (SELECT 1) AS rows"
    } else {
        "SELECT 1"
    })?;
    set_projection(&mut query, projection);
    *factor = TableFactor::Derived {
        lateral: true,
        subquery: Box::new(query),
        alias: Some(TableAlias {
            explicit: true,
            name: table,
            columns: columns
                .into_iter()
                .map(|name| TableAliasColumnDef {
                    name,
                    data_type: None,
                })
                .collect(),
            at: None,
        }),
        sample: None,
    };
    Ok(())
}

/// A query of ours.
fn parsed(sql: &str) -> Result<Query> {
    Parser::new(&PostgreSqlDialect {})
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_query())
        .map(|query| *query)
        .map_err(SqlError::internal)
}

/// Replaces the select list of the innermost SELECT.
fn set_projection(query: &mut Query, projection: Vec<SelectItem>) {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    match select.from.first_mut().map(|item| &mut item.relation) {
        Some(TableFactor::Derived { subquery, .. }) => set_projection(subquery, projection),
        _ => select.projection = projection,
    }
}

fn reads_a_column(arg: &FunctionArg) -> bool {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
        return false;
    };
    let mut found = false;
    let _ = sqlparser::ast::visit_expressions(expr, |e| {
        found |= matches!(e, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        ControlFlow::<()>::Continue(())
    });
    found
}
