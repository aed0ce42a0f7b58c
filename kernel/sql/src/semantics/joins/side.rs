//! What a side of a join gives: the columns that `*` stands for, in their order, and which relations have them.

use sqlparser::ast::{Expr, Ident, ObjectName, SelectItem};

use super::operator::{self, Merging};
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::semantics::rewrite::names::{self, MARK, output_name};

/// A column, by the name that it has for who writes SQL.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    /// Its name in the plan, where one that comes again has a mark.
    real: String,
    /// What says it to the planner.
    pub expr: Expr,
    /// Whether it is one of a join by names, which the planner does not know by its name.
    pub merged: bool,
}

#[derive(Clone, Debug)]
struct Relation {
    name: String,
    /// As the plan has them.
    columns: Vec<Column>,
}

impl Relation {
    /// Whether a path is that of its columns.
    fn is_at(&self, path: &[String]) -> bool {
        self.columns.iter().any(|column| match &column.expr {
            Expr::CompoundIdentifier(own) => {
                let own = own.iter().rev().skip(1).map(fold);
                path.iter().rev().take(2).cloned().eq(own.take(2))
            }
            _ => false,
        })
    }
}

/// An item of FROM, or several.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    relations: Vec<Relation>,
    pub columns: Vec<Column>,
    /// Whether there is a join by names, if only of what has no name in common.
    by_names: bool,
    /// Why it is not known which columns there are.
    unknown: Option<SqlError>,
}

impl Side {
    /// A relation with these columns in the plan. The path of its name is what stands before theirs.
    pub fn relation(path: &[Ident], columns: Vec<String>) -> Side {
        let of = columns.into_iter().map(|real| {
            let column = names::quoted(&real);
            Column {
                name: shown(&real).to_owned(),
                real,
                expr: match path {
                    [] => Expr::Identifier(column),
                    path => Expr::CompoundIdentifier([path, &[column]].concat()),
                },
                merged: false,
            }
        });
        let columns: Vec<Column> = of.collect();
        let relation = Relation {
            name: path.last().map_or_else(String::new, names::ident),
            columns: columns.clone(),
        };
        Side {
            columns,
            relations: vec![relation],
            ..Side::default()
        }
    }

    /// What has columns that nobody knows.
    pub fn unknown(why: SqlError) -> Side {
        Side {
            unknown: Some(why),
            ..Side::default()
        }
    }

    /// Why it is not known which columns there are, where it is not.
    pub fn why_unknown(&self) -> Option<&SqlError> {
        self.unknown.as_ref()
    }

    /// The two beside each other.
    pub fn and(mut self, other: Side) -> Side {
        self.relations.extend(other.relations);
        self.columns.extend(other.columns);
        self.by_names |= other.by_names;
        self.unknown = self.unknown.or(other.unknown);
        self
    }

    pub fn merges(&self) -> bool {
        self.columns.iter().any(|column| column.merged)
    }

    /// Whether there is a join by names.
    pub fn is_by_names(&self) -> bool {
        self.by_names
    }

    /// What the columns are called in the plan.
    pub fn real_names(&self) -> Vec<String> {
        let names = self.columns.iter().map(|column| column.real.clone());
        names.collect()
    }

    /// The relation of a name, where there is one, as the side of a join.
    pub fn only_relation(&self, name: &ObjectName) -> Option<Side> {
        let last = names::function_name(name);
        let of = self.relations.iter().filter(|r| r.name == last);
        let path: Vec<String> = name
            .0
            .iter()
            .filter_map(|p| p.as_ident().map(fold))
            .collect();
        let is_alone = !self.has_several(&last);
        let mut of = of.filter(|r| is_alone || r.is_at(&path));
        match (of.next(), of.next()) {
            (Some(relation), None) => Some(Side {
                columns: relation.columns.clone(),
                ..Side::default()
            }),
            _ => None,
        }
    }

    /// Whether there is a relation of a name.
    pub fn has_relation(&self, name: &str) -> bool {
        self.relations.iter().any(|r| r.name == name)
    }

    /// Whether there are several relations of a name, in different schemas.
    pub fn has_several(&self, name: &str) -> bool {
        self.relations.iter().filter(|r| r.name == name).count() > 1
    }

    /// Whether a relation has two columns of a name.
    pub fn is_twice(&self, relation: &str, column: &str) -> bool {
        let mut of = self.relations.iter().filter(|r| r.name == relation);
        of.any(|r| r.columns.iter().filter(|c| c.name == column).count() > 1)
    }

    /// The columns of a name.
    pub fn named(&self, name: &str) -> Vec<&Column> {
        let columns = self.columns.iter();
        columns.filter(|column| column.name == name).collect()
    }

    /// The names that two sides have in common.
    pub fn common(&self, other: &Side) -> Vec<String> {
        let names = self.columns.iter().map(|column| &column.name);
        let common = names.filter(|name| !other.named(name).is_empty());
        common.cloned().collect()
    }

    /// The join of two sides by columns of these names, which come first and once, and its condition.
    pub fn merge(
        mut self,
        mut other: Side,
        names: &[String],
        merging: Merging,
    ) -> Result<(Side, Option<Expr>)> {
        if let Some(why) = self.unknown.or(other.unknown) {
            return Err(why);
        }
        let mut merged: Vec<Column> = Vec::with_capacity(names.len());
        let mut condition: Option<Expr> = None;
        for name in names {
            if merged.iter().any(|column| column.name == *name) {
                return Err(SqlError::new(
                    state::DUPLICATE_COLUMN,
                    format!("column name \"{name}\" appears more than once in USING clause"),
                ));
            }
            let left = only(&self.columns, name, "left")?;
            let right = only(&other.columns, name, "right")?;
            let equal = operator::equal(left.expr.clone(), right.expr.clone());
            condition = Some(match condition {
                None => equal,
                Some(before) => Expr::BinaryOp {
                    left: Box::new(before),
                    op: sqlparser::ast::BinaryOperator::And,
                    right: Box::new(equal),
                },
            });
            merged.push(Column {
                name: name.clone(),
                real: name.clone(),
                expr: operator::merged(merging, left.expr.clone(), right.expr.clone()),
                merged: true,
            });
        }
        for side in [&mut self.columns, &mut other.columns] {
            side.retain(|column| !names.contains(&column.name));
        }
        merged.append(&mut self.columns);
        merged.append(&mut other.columns);
        self.relations.append(&mut other.relations);
        let side = Side {
            relations: self.relations,
            columns: merged,
            by_names: true,
            unknown: None,
        };
        Ok((side, condition))
    }

    /// What `*` stands for, beside items that have `taken` names. A name that comes again gets a mark.
    pub fn items(&self, taken: &mut Vec<String>) -> Vec<SelectItem> {
        let items = self.columns.iter().map(|column| {
            let expr = column.item();
            let again = taken.contains(&column.name);
            taken.push(column.name.clone());
            match again {
                true => SelectItem::ExprWithAlias {
                    expr,
                    alias: names::quoted(&format!("{}{MARK}u{}", column.name, taken.len())),
                },
                // The mark that it may have is one in another plan.
                false if column.real != column.name => SelectItem::ExprWithAlias {
                    expr,
                    alias: names::quoted(&column.name),
                },
                false => SelectItem::UnnamedExpr(expr),
            }
        });
        items.collect()
    }
}

impl Column {
    /// The column as an item of a select list.
    pub fn item(&self) -> Expr {
        operator::named(self.expr.clone(), &self.name)
    }
}

/// The name for who writes SQL of a column in the plan. Names of ours begin with a mark.
pub(super) fn shown(real: &str) -> &str {
    match real.starts_with(MARK) {
        true => real,
        false => output_name(real),
    }
}

/// The one column of a name.
fn only<'c>(columns: &'c [Column], name: &str, side: &str) -> Result<&'c Column> {
    let mut found = columns.iter().filter(|column| column.name == name);
    match (found.next(), found.next()) {
        (Some(column), None) => Ok(column),
        (Some(_), Some(_)) => Err(SqlError::new(
            state::AMBIGUOUS_COLUMN,
            format!("common column name \"{name}\" appears more than once in {side} table"),
        )),
        (None, _) => Err(SqlError::new(
            state::UNDEFINED_COLUMN,
            format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )),
    }
}
