//! What PostgreSQL calls an output column that has no alias (`FigureColname`).

use sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, DataType, Expr, FunctionArguments, Ident, ObjectName, SelectItem,
    SetExpr, TrimWhereField, Value,
};

use crate::types::names;

/// Between a repeated column name and the number that makes it unique.
pub const MARK: char = '\u{1}';
const UNKNOWN: &str = "?column?";

/// The name a client sees for a column of a plan.
pub fn output_name(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

pub fn ident(i: &Ident) -> String {
    if i.quote_style.is_some() {
        i.value.clone()
    } else {
        i.value.to_lowercase()
    }
}

pub fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// A function's name without its schema, folded.
pub fn function_name(name: &ObjectName) -> String {
    name.0
        .last()
        .and_then(|p| p.as_ident())
        .map(ident)
        .unwrap_or_default()
}

pub fn column_name(e: &Expr) -> String {
    figure(e).map_or_else(|| UNKNOWN.to_string(), |(name, _)| name)
}

/// What a column is called for the type that its value is cast to.
fn type_name(ty: &DataType) -> Option<String> {
    match (names::from_ast(ty), ty) {
        (Ok((ty, _)), _) => Some(ty.internal_name().trim_start_matches('_').to_owned()),
        (Err(_), DataType::Custom(name, _)) => Some(function_name(name)),
        (Err(_), DataType::Array(ArrayElemTypeDef::SquareBracket(item, _))) => type_name(item),
        _ => None,
    }
}

/// A name and whether it is a strong one; a cast or CASE keeps only a strong inner name.
fn figure(e: &Expr) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_string(), true));
    match e {
        Expr::Identifier(i) => Some((ident(i), true)),
        Expr::CompoundIdentifier(parts) => parts.last().map(|i| (ident(i), true)),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Cast {
            expr, data_type, ..
        } => match figure(expr) {
            Some((name, true)) => Some((name, true)),
            _ => type_name(data_type).map(|name| (name, false)),
        },
        Expr::TypedString(t) => type_name(&t.data_type).map(|name| (name, false)),
        Expr::Interval(_) => Some(("interval".into(), false)),
        Expr::Value(v) => match v.value {
            Value::Boolean(_) => Some(("bool".into(), false)),
            _ => None,
        },
        Expr::Function(f) => {
            if matches!(&f.args, FunctionArguments::Subquery(_)) {
                return strong("array");
            }
            Some((crate::routine::bare(&function_name(&f.name)), true))
        }
        Expr::Case { else_result, .. } => match else_result.as_deref().and_then(figure) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".into(), false)),
        },
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|a| match a {
                AccessExpr::Dot(Expr::Identifier(i)) => Some(ident(i)),
                _ => None,
            });
            match field {
                Some(name) => Some((name, true)),
                None => figure(root),
            }
        }
        Expr::Array(_) => strong("array"),
        Expr::Exists { .. } => strong("exists"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Position { .. } => strong("position"),
        Expr::Substring {
            shorthand: true, ..
        } => strong("substr"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::Tuple(_) => strong("row"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        Expr::Subquery(q) => match q.body.as_ref() {
            SetExpr::Select(s) => match s.projection.first()? {
                SelectItem::UnnamedExpr(e) => figure(e),
                SelectItem::ExprWithAlias { alias, .. } => Some((ident(alias), true)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
