//! `LIKE table [INCLUDING … | EXCLUDING …]` among the columns of CREATE TABLE.
//!
//! The new table gets the columns, their types and NOT NULL; the rest as far as it is asked for. Nothing binds
//! the two tables afterwards. Indexes and keys get names of their own. What an option stands for that no table
//! here has (STATISTICS, STORAGE) is copied by copying nothing.

use std::sync::Arc;

use sqlparser::ast::{self, Expr};

use super::constraint::{ConstraintRequest, Existing, Fill, KeyColumns, included_places};
use super::create_table::ColumnRequest;
use super::index::{expression_name, told_apart};
use crate::catalog::access::Privileges;
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::plan::computed::shown;
use crate::session::Session;
use crate::session::spelling::{Like, LikeOption};
use crate::session::statement::{SequenceOption, parse_expression};
use crate::types::PgType;

/// A LIKE whose columns the new table has.
pub(super) struct Likeness {
    like: Like,
    /// `None` when it is a view, which has nothing but columns.
    source: Option<Arc<Table>>,
}

impl Session {
    /// The columns that a LIKE stands for.
    pub(super) fn like_columns(&mut self, like: Like) -> Result<(Likeness, Vec<ColumnRequest>)> {
        let (_, catalog) = self.write_view()?;
        let relation = self.relation(&catalog, &like.source)?;
        let role = self.info.role();
        role.check_relation(&catalog, &relation, Privileges::SELECT)?;
        match relation {
            Relation::Table(table) => {
                let columns = table
                    .live_columns()
                    .map(|(_, c)| request(&catalog, c, &like));
                let columns = columns.collect::<Result<_>>()?;
                let source = Some(table.clone());
                Ok((Likeness { like, source }, columns))
            }
            Relation::View(view) => {
                let columns = view.columns.iter().map(|c| {
                    let ty = catalog.pg_type(c.type_oid).ok_or_else(|| {
                        SqlError::internal(format!("a view with a column of type {}", c.type_oid))
                    })?;
                    Ok(plain(&c.name, ty, c.typmod))
                });
                let columns = columns.collect::<Result<_>>()?;
                Ok((Likeness { like, source: None }, columns))
            }
            other => Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("relation \"{}\" is invalid in LIKE clause", other.name()),
            )
            .with_detail(format!(
                "This operation is not supported for {}.",
                match other.kind() {
                    "index" => "indexes".to_owned(),
                    kind => format!("{kind}s"),
                }
            ))),
        }
    }

    /// Gives the new table what else was asked for.
    pub(super) fn add_likeness(&mut self, table: Oid, likeness: &Likeness) -> Result<()> {
        let Some(source) = &likeness.source else {
            return Ok(());
        };
        let has = |option| likeness.like.has(option);
        let (_, catalog) = self.write_view()?;
        if has(LikeOption::Compression) {
            for (_, column) in source.live_columns() {
                if let Some(compression) = &column.compression {
                    self.set_compression(table, Some(&column.name), compression.method())?;
                }
            }
        }
        if has(LikeOption::Constraints) {
            for constraint in catalog.constraints_of(source.oid) {
                match &constraint.kind {
                    ConstraintKind::Check { expression, .. } => {
                        let mut expr = parse_expression(expression)?;
                        unqualify(&mut expr);
                        let request = ConstraintRequest::Check {
                            name: Some(constraint.name.clone()),
                            expr,
                            column: None,
                        };
                        self.add_constraint(table, request, Existing::None)?;
                    }
                    ConstraintKind::Plugin(c) => {
                        return Err(SqlError::unsupported(format!(
                            "LIKE … INCLUDING CONSTRAINTS of a table with constraint \"{}\" of \
                             plugin \"{}\"",
                            constraint.name, c.plugin
                        )));
                    }
                    _ => {}
                }
            }
        }
        if has(LikeOption::Comments) {
            self.copy_comments(&catalog, source, table)?;
        }
        if has(LikeOption::Indexes) {
            let indexes: Vec<Arc<Index>> = catalog.indexes_of(source.oid).cloned().collect();
            for index in indexes {
                let made = self.copy_index(source, &index, table)?;
                if has(LikeOption::Comments)
                    && let Some(text) = catalog.comment(oid::PG_CLASS, index.oid, 0)
                {
                    let comment = Comment {
                        class: oid::PG_CLASS,
                        object: made,
                        sub: 0,
                        text: text.to_owned(),
                    };
                    self.change_catalog(vec![Change::PutComment(comment)])?;
                }
            }
        }
        Ok(())
    }

    fn copy_comments(
        &mut self,
        catalog: &CatalogSnapshot,
        source: &Table,
        table: Oid,
    ) -> Result<()> {
        let (_, new) = self.table_now(table)?;
        let mut changes = Vec::new();
        for (id, column) in source.live_columns() {
            let number = |place: u16| i32::from(place) + 1;
            let text = catalog.comment(oid::PG_CLASS, source.oid, number(id.0));
            if let (Some(text), Some((place, _))) = (text, new.column(&column.name)) {
                changes.push(Change::PutComment(Comment {
                    class: oid::PG_CLASS,
                    object: table,
                    sub: number(place.0),
                    text: text.to_owned(),
                }));
            }
        }
        self.change_catalog(changes).map(drop)
    }

    /// Makes the same index of the new table, or the same key; the index's oid.
    fn copy_index(&mut self, source: &Table, index: &Index, table: Oid) -> Result<Oid> {
        let (catalog, new) = self.table_now(table)?;
        let before: Vec<Oid> = catalog.indexes_of(table).map(|i| i.oid).collect();
        if index.constraint.is_some() {
            let names = |places: &mut dyn Iterator<Item = ColumnId16>| {
                let columns = places.filter_map(|place| source.column_at(place));
                columns.map(|c| c.name.clone()).collect::<Vec<_>>()
            };
            let key = names(&mut index.columns.iter().map(|c| c.column));
            let included = names(&mut index.included.iter().copied());
            let request = ConstraintRequest::Key {
                name: None,
                primary: index.primary,
                columns: KeyColumns::Named(key, included),
            };
            self.add_constraint(table, request, Existing::None)?;
        } else {
            let copy = self.index_like(&catalog, source, index, &new)?;
            self.add_index(copy, Vec::new(), Fill::Nothing)?;
        }
        let (catalog, _) = self.table_now(table)?;
        let mut now = catalog.indexes_of(table).map(|i| i.oid);
        now.find(|oid| !before.contains(oid))
            .ok_or_else(|| SqlError::internal("an index that was not made"))
    }

    fn index_like(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        source: &Table,
        index: &Index,
        new: &Table,
    ) -> Result<Index> {
        let mut columns = Vec::with_capacity(index.columns.len());
        let mut expressions = Vec::new();
        let mut called = Vec::new();
        for part in &index.columns {
            let column = match index.expression(part) {
                Some(expression) => {
                    let expr = parse_expression(&shown(expression, source))?;
                    called.push(expression_name(&expr));
                    expressions.push(self.index_key(catalog, new, &expr)?);
                    EXPRESSION + (expressions.len() - 1) as u16
                }
                None => {
                    let name = source.column_at(part.column).map(|c| c.name.clone());
                    let name = name.unwrap_or_default();
                    let found = new.column(&name);
                    called.push(name);
                    let lost = || SqlError::internal("a column that was not copied");
                    found.ok_or_else(lost)?.0.0
                }
            };
            columns.push(IndexColumn { column, ..*part });
        }
        let predicate = match &index.predicate {
            Some(predicate) => {
                let expr = parse_expression(&shown(predicate, source))?;
                Some(self.index_predicate(catalog, new, &expr)?)
            }
            None => None,
        };
        let named = index.included.iter();
        let named = named.filter_map(|place| source.column_at(*place));
        let named: Vec<String> = named.map(|column| column.name.clone()).collect();
        let included = included_places(new, &named, "")?;
        called.extend(named);
        let name = names::choose(&new.name, &told_apart(called).join("_"), "idx", |n| {
            catalog.relation_in(new.schema, n).is_some()
        });
        Ok(Index {
            oid: self.instance.allocate_oid()?,
            schema: new.schema,
            name,
            owner: new.owner,
            table: new.oid,
            collection: self.instance.allocate_collection()?.0,
            columns,
            constraint: None,
            primary: false,
            clustered: false,
            expressions,
            predicate,
            included,
            ..index.clone()
        })
    }
}

/// A column of a table as one of the new table.
fn request(catalog: &CatalogSnapshot, column: &Column, like: &Like) -> Result<ColumnRequest> {
    let mut request = plain(&column.name, column.ty(), column.typmod);
    request.not_null = column.not_null;
    if let Some(rules) = &column.domain {
        request.domain = Some((column.type_oid, rules.clone()));
    }
    if like.has(LikeOption::Defaults)
        && let Some(default) = &column.default
    {
        request.default = Some(parse_expression(default)?);
    }
    if like.has(LikeOption::Generated)
        && let Some(generated) = &column.generated
    {
        let mut expr = parse_expression(&generated.expression)?;
        unqualify(&mut expr);
        request.generated = Some(expr);
    }
    if like.has(LikeOption::Identity)
        && let Some(identity) = &column.identity
    {
        let lost = || SqlError::internal("an identity column without its sequence");
        let sequence = catalog.sequence(identity.sequence).ok_or_else(lost)?;
        let number = |n: i64| parse_expression(&n.to_string());
        let options = vec![
            SequenceOption::Increment(number(sequence.increment)?),
            SequenceOption::Min(Some(number(sequence.min)?)),
            SequenceOption::Max(Some(number(sequence.max)?)),
            SequenceOption::Start(number(sequence.start)?),
            SequenceOption::Cache(number(sequence.cache)?),
            SequenceOption::Cycle(sequence.cycle),
        ];
        request.identity = Some((identity.always, options));
    }
    Ok(request)
}

fn plain(name: &str, ty: PgType, typmod: i32) -> ColumnRequest {
    ColumnRequest {
        name: name.to_owned(),
        ty,
        typmod,
        not_null: false,
        default: None,
        serial: false,
        identity: None,
        generated: None,
        constraints: Vec::new(),
        domain: None,
    }
}

/// Columns without the name of the table that they were written for.
fn unqualify(expr: &mut Expr) {
    let _ = ast::visit_expressions_mut(expr, |e| {
        if let Expr::CompoundIdentifier(parts) = e
            && let Some(column) = parts.last()
        {
            *e = Expr::Identifier(column.clone());
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
}
