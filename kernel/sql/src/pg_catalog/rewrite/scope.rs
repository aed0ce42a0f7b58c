//! What is known of the relations in a FROM before anything is planned: which are system relations, and the types
//! of columns that come from those, through subqueries as well.

use sqlparser::ast::{Expr, Ident, Select, SelectItem, SetExpr, TableFactor};

use super::reg_type;
use crate::names::fold;
use crate::pg_catalog::datum::Type;
use crate::pg_catalog::relations;
use crate::semantics::rewrite::names;

/// A relation in FROM, under the name the query gives it.
pub(super) struct Source {
    pub name: String,
    pub of: Of,
}

pub(super) enum Of {
    /// A system relation, by its oid.
    System(u32),
    /// A subquery, by the columns whose types are known.
    Query(Vec<(String, Type)>),
}

impl Source {
    fn column(&self, name: &str) -> Option<Type> {
        match &self.of {
            Of::System(oid) => {
                let mut columns = relations::find_oid(*oid)?.columns.iter();
                columns.find(|c| c.name == name).map(|c| c.ty)
            }
            Of::Query(columns) => columns.iter().find(|c| c.0 == name).map(|c| c.1),
        }
    }

    fn columns(&self) -> Vec<(String, Type)> {
        match &self.of {
            Of::System(oid) => relations::find_oid(*oid)
                .into_iter()
                .flat_map(|relation| relation.columns)
                .map(|c| (c.name.to_owned(), c.ty))
                .collect(),
            Of::Query(columns) => columns.clone(),
        }
    }
}

/// Those in a SELECT's FROM.
pub(super) fn sources(select: &Select) -> Vec<Source> {
    let items = select.from.iter();
    let factors = items.flat_map(|item| {
        let joined = item.joins.iter().map(|join| &join.relation);
        std::iter::once(&item.relation).chain(joined)
    });
    factors.filter_map(source).collect()
}

fn source(factor: &TableFactor) -> Option<Source> {
    match factor {
        TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } => {
            let parts: Vec<String> = name
                .0
                .iter()
                .filter_map(|p| p.as_ident())
                .map(fold)
                .collect();
            let (schema, table) = match parts.as_slice() {
                [table] => ("pg_catalog", table),
                [schema, table] => (schema.as_str(), table),
                _ => return None,
            };
            let oid = relations::find(schema, table)?.oid;
            Some(Source {
                name: alias
                    .as_ref()
                    .map_or_else(|| table.clone(), |a| fold(&a.name)),
                of: Of::System(oid),
            })
        }
        TableFactor::Derived {
            subquery,
            alias: Some(alias),
            ..
        } if alias.columns.is_empty() => Some(Source {
            name: fold(&alias.name),
            of: Of::Query(output(&subquery.body)),
        }),
        _ => None,
    }
}

/// The columns of a query whose types are known.
fn output(body: &SetExpr) -> Vec<(String, Type)> {
    let select = match body {
        SetExpr::Select(select) => select,
        SetExpr::Query(query) => return output(&query.body),
        _ => return Vec::new(),
    };
    let scope = sources(select);
    let mut columns = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let ty = type_of(scope.iter(), expr);
                columns.extend(ty.map(|ty| (names::column_name(expr), ty)));
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                columns.extend(type_of(scope.iter(), expr).map(|ty| (fold(alias), ty)));
            }
            SelectItem::Wildcard(_) => columns.extend(scope.iter().flat_map(Source::columns)),
            SelectItem::QualifiedWildcard(kind, _) => {
                let of = kind.to_string();
                let of = of.strip_suffix(".*").unwrap_or(&of);
                let named = scope.iter().filter(|source| source.name == of);
                columns.extend(named.flat_map(Source::columns));
            }
            SelectItem::ExprWithAliases { .. } => {}
        }
    }
    columns
}

/// The type of an expression that is a column of these relations, the nearest first, or a cast to a `reg*` type.
pub(super) fn type_of<'a>(
    mut nearest: impl Iterator<Item = &'a Source>,
    expr: &Expr,
) -> Option<Type> {
    let column = |name: &Ident| fold(name);
    match expr {
        Expr::Nested(inner) => type_of(nearest, inner),
        Expr::Identifier(name) => nearest.find_map(|source| source.column(&column(name))),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [relation, name] | [_, relation, name] => {
                let relation = fold(relation);
                nearest
                    .find(|source| source.name == relation)?
                    .column(&column(name))
            }
            _ => None,
        },
        Expr::Cast { data_type, .. } => Type::of_reg(reg_type(data_type)?),
        _ => None,
    }
}
