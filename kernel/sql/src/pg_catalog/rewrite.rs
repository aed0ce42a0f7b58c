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
//!
//! All of it happens on the syntax tree, before names are resolved, in one pass ([`statement`]).

use std::ops::ControlFlow;

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query,
    Select, SelectFlavor, SelectItem, SetExpr, Statement, TableAlias, TableAliasColumnDef,
    TableFactor, Value, VisitMut, VisitorMut,
};

use super::relations;
use crate::error::{Result, SqlError, state};

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
    match VisitMut::visit(statement, &mut Rewriter::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

#[derive(Default)]
struct Rewriter {
    /// For each SELECT around: alias and oid of the system relations in its FROM.
    scopes: Vec<Vec<(String, u32)>>,
}

impl VisitorMut for Rewriter {
    type Break = SqlError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        let mut scope = Vec::new();
        for item in &select.from {
            name_system_relation(&item.relation, &mut scope);
            for join in &item.joins {
                name_system_relation(&join.relation, &mut scope);
            }
        }
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        self.scopes.pop();
        for item in &mut select.projection {
            keep_name(item);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        from_function(factor);
        ControlFlow::Continue(())
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
                if function.name.0.len() == 1
                    && name_is(&function.name, "array")
                    && let FunctionArguments::Subquery(query) = &function.args
                {
                    let query = query.clone();
                    return Ok(Some(call("array_subquery", vec![Expr::Subquery(query)])));
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
            Expr::BinaryOp { op, .. } => {
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
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, column] if column.value.eq_ignore_ascii_case("tableoid") => {
                    Ok(self.table_oid(&relation.value))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// `alias.tableoid` where the alias is a system relation's.
    fn table_oid(&self, alias: &str) -> Option<Expr> {
        let oid = self
            .scopes
            .iter()
            .rev()
            .flatten()
            .find(|(name, _)| name == alias)?
            .1;
        let oid = Value::SingleQuotedString(oid.to_string()).with_empty_span();
        Some(call("tableoid", vec![Expr::Value(oid)]))
    }
}

/// Remembers a system relation under the name the query gives it.
fn name_system_relation(factor: &TableFactor, scope: &mut Vec<(String, u32)>) {
    let TableFactor::Table {
        name,
        alias,
        args: None,
        ..
    } = factor
    else {
        return;
    };
    let parts: Vec<&str> = name
        .0
        .iter()
        .filter_map(|p| p.as_ident())
        .map(|i| i.value.as_str())
        .collect();
    let (schema, table) = match parts.as_slice() {
        [table] => ("pg_catalog", *table),
        [schema, table] => (*schema, *table),
        _ => return,
    };
    if let Some(relation) = relations::find(schema, table) {
        let alias = alias.as_ref().map_or(table, |a| a.name.value.as_str());
        scope.push((alias.to_owned(), relation.oid));
    }
}

/// A rewritten item keeps the column name PostgreSQL gives it.
fn keep_name(item: &mut SelectItem) {
    let SelectItem::UnnamedExpr(expr) = item else {
        return;
    };
    let name = match expr {
        Expr::Function(f) => {
            let name = f.name.to_string();
            if name == "array_subquery" {
                "array".to_owned()
            } else if name == "unnest" {
                match sole_argument(f) {
                    Some(Expr::Function(inner))
                        if SET_RETURNING.iter().any(|srf| name_is(&inner.name, srf)) =>
                    {
                        inner.name.to_string()
                    }
                    _ => return,
                }
            } else if is_cast(&name) {
                // A cast is named after what is cast if that has a name, else after the type.
                match named_column(expr) {
                    Some(column) => column,
                    None if name.ends_with("out") => "text".to_owned(),
                    None => name,
                }
            } else {
                return;
            }
        }
        _ => return,
    };
    let alias = Ident::with_quote('"', name);
    *item = SelectItem::ExprWithAlias {
        expr: expr.clone(),
        alias,
    };
}

fn sole_argument(function: &Function) -> Option<&Expr> {
    match &function.args {
        FunctionArguments::List(list) => match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expr),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a function stands for a cast.
fn is_cast(function: &str) -> bool {
    function == "oid" || REG_TYPES.contains(&function.strip_suffix("out").unwrap_or(function))
}

/// The column under a chain of rewritten casts.
fn named_column(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(name.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|p| p.value.clone()),
        Expr::Function(f) => {
            let name = f.name.to_string();
            if is_cast(&name) {
                named_column(sole_argument(f)?)
            } else {
                Some(name)
            }
        }
        Expr::Cast { expr, .. } => named_column(expr),
        _ => None,
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
        [schema, symbol] if schema.eq_ignore_ascii_case("pg_catalog") => symbol,
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
        _ => return Err(undefined()),
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

/// A function in FROM whose rows depend on columns, or which gives an array here.
fn from_function(factor: &mut TableFactor) {
    let (name, args, alias, with_ordinality) = match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            with_ordinality,
            ..
        } => {
            strip_catalog(name);
            (name, &args.args, alias, *with_ordinality)
        }
        TableFactor::Function {
            name,
            args,
            alias,
            with_ordinality,
            ..
        } => {
            strip_catalog(name);
            (name, &*args, alias, *with_ordinality)
        }
        _ => return,
    };
    let set_returning = SET_RETURNING.iter().any(|f| name_is(name, f));
    let unnest = name_is(name, "unnest");
    let series = name_is(name, "generate_series") && args.iter().any(reads_a_column);
    if !(set_returning || unnest || series) {
        return;
    }
    let function_name = name.to_string();
    // The rows, and the array they come from.
    let (rows, array) = match args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] if unnest => {
            (function(&function_name, args.clone()), Some(array.clone()))
        }
        _ if unnest => return,
        _ if series => (function(&function_name, args.clone()), None),
        _ => {
            let array = function(&function_name, args.clone());
            (call("unnest", vec![array.clone()]), Some(array))
        }
    };
    if with_ordinality && array.is_none() {
        return;
    }
    let column = alias
        .as_ref()
        .map_or_else(|| Ident::new(&function_name), |a| a.name.clone());
    let mut projection = vec![SelectItem::ExprWithAlias {
        expr: rows,
        alias: column.clone(),
    }];
    if let (true, Some(array)) = (with_ordinality, array) {
        let one = Expr::Value(Value::Number("1".into(), false).with_empty_span());
        projection.push(SelectItem::ExprWithAlias {
            expr: call("generate_subscripts", vec![array, one]),
            alias: Ident::new("ordinality"),
        });
    }
    let mut alias = alias.take().unwrap_or_else(|| TableAlias {
        explicit: true,
        name: column.clone(),
        columns: Vec::new(),
        at: None,
    });
    // PostgreSQL lets a column list be shorter than the columns.
    if alias.columns.len() == 1 && with_ordinality {
        alias
            .columns
            .push(TableAliasColumnDef::from_name("ordinality"));
    }
    *factor = TableFactor::Derived {
        lateral: true,
        subquery: Box::new(select(projection)),
        alias: Some(alias),
        sample: None,
    };
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

/// `SELECT projection`.
fn select(projection: Vec<SelectItem>) -> Query {
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(Select {
            select_token: AttachedToken::empty(),
            optimizer_hints: Vec::new(),
            distinct: None,
            select_modifiers: None,
            top: None,
            top_before_distinct: false,
            projection,
            exclude: None,
            into: None,
            from: Vec::new(),
            lateral_views: Vec::new(),
            prewhere: None,
            selection: None,
            connect_by: Vec::new(),
            group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
            cluster_by: Vec::new(),
            distribute_by: Vec::new(),
            sort_by: Vec::new(),
            having: None,
            named_window: Vec::new(),
            qualify: None,
            window_before_qualify: false,
            value_table_mode: None,
            flavor: SelectFlavor::Standard,
        }))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}
