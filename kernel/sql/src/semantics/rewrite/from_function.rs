//! Functions in FROM, as subqueries: DataFusion knows calls in a select list.
//!
//! | written | becomes |
//! |---|---|
//! | `FROM f(x) AS t(c)`, a scalar function | `FROM (SELECT f(x) AS c) AS t(c)` |
//! | `FROM f(x) AS t`, rows of one column `a` | `FROM (SELECT unnest("$f"(x)) AS a) AS t(a)` |
//! | `FROM f(x) AS t(c)`, rows of `a` and `b` | `FROM (SELECT field(r, 'a') AS a, field(r, 'b') AS b FROM (SELECT unnest("$f"(x)) AS r)) AS t(c, b)` |
//!
//! A function in FROM may use columns of what stands before it without saying LATERAL.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Query, SelectItem, SetExpr, TableAlias,
    TableAliasColumnDef, TableFactor, TableWithJoins, Value,
};

use super::{expr, names};
use crate::error::{Result, SqlError, state};
use crate::functions::{FIELD, Functions};

/// The array's element, and the subquery that has it. No SQL text can name them.
const ROW: &str = "\0row";
const ROWS: &str = "\0rows";

/// A call in FROM, taken apart.
struct Call {
    name: String,
    args: Vec<FunctionArg>,
    alias: Option<TableAlias>,
    lateral: bool,
    ordinality: bool,
}

/// Rewrites a function in FROM that is one of ours.
pub(super) fn to_subquery(factor: &mut TableFactor, functions: &Functions) -> Result<()> {
    let Some(call) = call(factor) else {
        return Ok(());
    };
    let rows_of = functions.table(&call.name);
    let columns = rows_of.as_ref().map(|t| t.columns.as_slice());
    if columns.is_none() && !functions.is_scalar(&call.name) && !expr::is_set_returning(&call.name)
    {
        return Ok(());
    }
    if call.ordinality {
        return Err(SqlError::unsupported("WITH ORDINALITY"));
    }
    let table = call.alias.as_ref().map_or_else(
        || names::quoted(&crate::routine::bare(&call.name)),
        |a| a.name.clone(),
    );
    let mut names: Vec<TableAliasColumnDef> = match &call.alias {
        Some(a) => a.columns.clone(),
        None => Vec::new(),
    };
    let unnamed = |name| TableAliasColumnDef {
        name,
        data_type: None,
    };
    let subquery = match columns {
        Some(columns) => {
            if names.len() > columns.len() {
                return Err(SqlError::new(
                    state::INVALID_COLUMN_REFERENCE,
                    format!(
                        "table \"{}\" has {} columns available but {} columns specified",
                        names::ident(&table),
                        columns.len(),
                        names.len()
                    ),
                ));
            }
            if rows_of.as_ref().is_some_and(|t| t.named_by_alias) && names.is_empty() {
                names.push(unnamed(table.clone()));
            }
            let rest = columns.iter().skip(names.len());
            names.extend(rest.map(|c| unnamed(names::quoted(c))));
            rows(&call, columns)?
        }
        None => {
            if names.is_empty() {
                // An OUT parameter names the column. Under an alias, the alias names it all the
                // same: where PostgreSQL has the whole row for the alias, which is the value, there
                // is a column here. The column of any other function is called as the table.
                let out = call.alias.is_none() && call.name.contains("_array_elements");
                names.push(unnamed(match functions.output(&call.name) {
                    Some(name) => names::quoted(&name),
                    None if out => names::quoted("value"),
                    None => table.clone(),
                }));
            }
            let value = expr::call_args(&call.name, call.args.clone());
            select(vec![item(value, names[0].name.clone())])?
        }
    };
    *factor = TableFactor::Derived {
        lateral: call.lateral || call.args.iter().any(reads_a_column),
        subquery: Box::new(subquery),
        alias: Some(TableAlias {
            explicit: true,
            name: table,
            columns: names,
            at: None,
        }),
        sample: None,
    };
    Ok(())
}

fn call(factor: &TableFactor) -> Option<Call> {
    match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            with_ordinality,
            ..
        } => Some(Call {
            name: names::function_name(name),
            args: args.args.clone(),
            alias: alias.clone(),
            lateral: false,
            ordinality: *with_ordinality,
        }),
        TableFactor::Function {
            name,
            args,
            alias,
            lateral,
            with_ordinality,
        } => Some(Call {
            name: names::function_name(name),
            args: args.clone(),
            alias: alias.clone(),
            lateral: *lateral,
            ordinality: *with_ordinality,
        }),
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            with_ordinality,
            ..
        } if array_exprs.len() == 1 => Some(Call {
            name: "unnest".to_owned(),
            args: array_exprs
                .iter()
                .map(|e| expr::unnamed(e.clone()))
                .collect(),
            alias: alias.clone(),
            lateral: false,
            ordinality: *with_ordinality,
        }),
        _ => None,
    }
}

/// The rows of the array that the function `$name` gives, with these columns.
fn rows(call: &Call, columns: &[String]) -> Result<Query> {
    let array = expr::call_args(&format!("${}", call.name), call.args.clone());
    let unnested = expr::call_args("unnest", vec![expr::unnamed(array)]);
    if let [column] = columns {
        return select(vec![item(unnested, names::quoted(column))]);
    }
    let inner = select(vec![item(unnested, names::quoted(ROW))])?;
    let fields = columns.iter().map(|column| {
        let row = Expr::Identifier(names::quoted(ROW));
        let name = Expr::value(Value::SingleQuotedString(column.clone()));
        let args = vec![expr::unnamed(row), expr::unnamed(name)];
        item(expr::call_args(FIELD, args), names::quoted(column))
    });
    let mut query = select(fields.collect())?;
    if let SetExpr::Select(outer) = query.body.as_mut() {
        outer.from = vec![TableWithJoins {
            relation: TableFactor::Derived {
                lateral: false,
                subquery: Box::new(inner),
                alias: Some(TableAlias {
                    explicit: true,
                    name: names::quoted(ROWS),
                    columns: Vec::new(),
                    at: None,
                }),
                sample: None,
            },
            joins: Vec::new(),
        }];
    }
    Ok(query)
}

fn item(expr: Expr, alias: sqlparser::ast::Ident) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias }
}

fn select(projection: Vec<SelectItem>) -> Result<Query> {
    let mut query = expr::select_one()?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = projection;
    }
    Ok(query)
}

fn reads_a_column(arg: &FunctionArg) -> bool {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
        return false;
    };
    sqlparser::ast::visit_expressions(expr, |e| match e {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}
