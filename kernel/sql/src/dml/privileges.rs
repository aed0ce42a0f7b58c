//! What INSERT, UPDATE, DELETE, COPY and row locks ask of their target before they are planned.
//!
//! The privilege to write is asked of the columns that are written, and SELECT of those that the statement
//! names to read: in WHERE, in new values, in RETURNING. Names are looked at as they are written; one without
//! a table counts as a column of the target when the target has such a column. All other relations of the
//! statement are asked for when their names are resolved.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, SelectItem, SetExpr, Visit};

use super::update::flatten_assignments;
use crate::catalog::access::Privileges;
use crate::catalog::model::Table;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::privilege::Authority;
use crate::privilege::check::attributes;
use crate::session::Session;
use crate::session::spelling::does_nothing;

/// The columns of a target (attribute numbers) that a statement names to read.
struct Read<'a> {
    table: &'a Table,
    /// What the statement calls the table.
    alias: &'a str,
    columns: BTreeSet<i32>,
}

impl<'a> Read<'a> {
    fn new(table: &'a Table, alias: &'a str) -> Read<'a> {
        Read {
            table,
            alias,
            columns: BTreeSet::new(),
        }
    }

    fn add(&mut self, name: &str) {
        if let Some((id, _)) = self.table.column(name) {
            self.columns.insert(i32::from(id.0) + 1);
        }
    }

    fn all(&mut self) {
        self.columns.extend(attributes(self.table));
    }

    /// What an expression, or anything with expressions in it, names.
    fn within(&mut self, syntax: &impl Visit) {
        let _ = ast::visit_expressions(syntax, |e: &Expr| {
            match e {
                // A name alone may be the whole row.
                Expr::Identifier(name) if fold(name) == self.alias => self.all(),
                Expr::Identifier(name) => self.add(&fold(name)),
                Expr::QualifiedWildcard(..) | Expr::Wildcard(_) => self.all(),
                Expr::Function(f) if takes_row(f) => self.all(),
                Expr::CompoundIdentifier(names) => {
                    if let [.., of, name] = names.as_slice()
                        && fold(of) == self.alias
                    {
                        self.add(&fold(name));
                    }
                }
                _ => {}
            }
            ControlFlow::<()>::Continue(())
        });
    }

    fn returning(&mut self, items: Option<&[SelectItem]>) {
        for item in items.into_iter().flatten() {
            match item {
                // Of whatever table: which one is not worth an error.
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => self.all(),
                item => self.within(item),
            }
        }
    }

    /// Whether it is anything.
    fn check(&self, catalog: &CatalogSnapshot, role: &Authority) -> Result<bool> {
        if self.columns.is_empty() {
            return Ok(false);
        }
        let columns: Vec<i32> = self.columns.iter().copied().collect();
        role.check_columns(catalog, self.table, &columns, Privileges::SELECT)?;
        Ok(true)
    }
}

/// Whether an argument of a call is all columns of a table.
fn takes_row(call: &ast::Function) -> bool {
    let ast::FunctionArguments::List(list) = &call.args else {
        return false;
    };
    list.args.iter().any(|arg| match arg {
        ast::FunctionArg::Unnamed(arg)
        | ast::FunctionArg::Named { arg, .. }
        | ast::FunctionArg::ExprNamed { arg, .. } => {
            matches!(arg, ast::FunctionArgExpr::QualifiedWildcard(_))
        }
    })
}

/// The attribute numbers of named columns. Those that do not exist are another's to refuse.
fn numbers<'n>(table: &Table, names: impl Iterator<Item = &'n str>) -> Vec<i32> {
    let found = names.filter_map(|name| table.column(name));
    found.map(|(id, _)| i32::from(id.0) + 1).collect()
}

/// Each tells whether the statement reads columns of its target.
impl Session {
    pub(super) fn check_insert(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
        insert: &ast::Insert,
    ) -> Result<bool> {
        let role = self.info.role();
        if role.superuser {
            return Ok(false);
        }
        let named: Vec<String> = insert
            .columns
            .iter()
            .filter_map(|name| crate::names::parts(name).ok()?.pop())
            .collect();
        let given = match (&insert.source, named.is_empty()) {
            (_, false) => numbers(table, named.iter().map(String::as_str)),
            (None, true) => Vec::new(),
            (Some(query), true) => {
                let width = match query.body.as_ref() {
                    SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
                    _ => None,
                };
                let all = attributes(table);
                all.take(width.unwrap_or(usize::MAX)).collect()
            }
        };
        role.check_columns(catalog, table, &given, Privileges::INSERT)?;
        let alias = insert.table_alias.as_ref().map(|a| fold(&a.alias));
        let alias = alias.unwrap_or_else(|| table.name.clone());
        let mut read = Read::new(table, &alias);
        if let Some(ast::OnInsert::OnConflict(on)) = &insert.on {
            if let Some(ast::ConflictTarget::Columns(columns)) = &on.conflict_target {
                columns.iter().for_each(|column| read.add(&fold(column)));
            }
            if let Some(ast::ConflictTarget::OnConstraint(name)) = &on.conflict_target
                && let Some(name) = crate::names::parts(name)?.pop()
                && let Some(index) = catalog.indexes_of(table.oid).find(|i| i.name == name)
            {
                let columns = table.live_columns();
                let columns = columns.filter(|(id, _)| index.reads(id.0));
                read.columns
                    .extend(columns.map(|(id, _)| i32::from(id.0) + 1));
            }
            if let ast::OnConflictAction::DoUpdate(update) = &on.action {
                let assigned = flatten_assignments(&update.assignments)?;
                let columns = numbers(table, assigned.iter().map(|(name, _)| name.as_str()));
                role.check_columns(catalog, table, &columns, Privileges::UPDATE)?;
                assigned.iter().for_each(|(_, value)| read.within(value));
                if let Some(condition) = &update.selection {
                    read.within(condition);
                }
            }
        }
        read.returning(insert.returning.as_deref());
        read.check(catalog, &role)
    }

    pub(super) fn check_update(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
        alias: &str,
        update: &ast::Update,
    ) -> Result<bool> {
        let role = self.info.role();
        if role.superuser {
            return Ok(false);
        }
        let assigned = flatten_assignments(&update.assignments)?;
        let columns = numbers(table, assigned.iter().map(|(name, _)| name.as_str()));
        role.check_columns(catalog, table, &columns, Privileges::UPDATE)?;
        let mut read = Read::new(table, alias);
        assigned.iter().for_each(|(_, value)| read.within(value));
        match &update.from {
            Some(
                ast::UpdateTableFromKind::AfterSet(from)
                | ast::UpdateTableFromKind::BeforeSet(from),
            ) => read.within(from),
            None => {}
        }
        if let Some(condition) = &update.selection {
            read.within(condition);
        }
        read.returning(update.returning.as_deref());
        read.check(catalog, &role)
    }

    pub(super) fn check_delete(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
        alias: &str,
        delete: &ast::Delete,
    ) -> Result<bool> {
        let role = self.info.role();
        if role.superuser {
            return Ok(false);
        }
        role.check_table(catalog, table, Privileges::DELETE)?;
        let mut read = Read::new(table, alias);
        if let Some(using) = &delete.using {
            read.within(using);
        }
        if let Some(condition) = &delete.selection {
            read.within(condition);
        }
        read.returning(delete.returning.as_deref());
        read.check(catalog, &role)
    }

    pub(super) fn check_merge(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
        alias: &str,
        merge: &ast::Merge,
    ) -> Result<()> {
        let role = self.info.role();
        if role.superuser {
            return Ok(());
        }
        if role.is_bound_by(table) {
            return Err(SqlError::unsupported(format!(
                "MERGE into \"{}\", which has row-level security,",
                table.name
            )));
        }
        let mut read = Read::new(table, alias);
        read.within(merge.on.as_ref());
        read.within(&merge.source);
        for clause in &merge.clauses {
            if let Some(condition) = &clause.predicate {
                read.within(condition);
            }
            match &clause.action {
                action if does_nothing(action) => {}
                ast::MergeAction::Delete { .. } => {
                    role.check_table(catalog, table, Privileges::DELETE)?;
                }
                ast::MergeAction::Update(update) => {
                    let assigned = flatten_assignments(&update.assignments)?;
                    let names = assigned.iter().map(|(name, _)| name.as_str());
                    let columns = numbers(table, names);
                    role.check_columns(catalog, table, &columns, Privileges::UPDATE)?;
                    assigned.iter().for_each(|(_, value)| read.within(value));
                }
                ast::MergeAction::Insert(insert) => {
                    let names = insert.columns.iter();
                    let names: Vec<String> = names
                        .filter_map(|name| crate::names::parts(name).ok()?.pop())
                        .collect();
                    let columns = match names.is_empty() {
                        true => attributes(table).collect(),
                        false => numbers(table, names.iter().map(String::as_str)),
                    };
                    role.check_columns(catalog, table, &columns, Privileges::INSERT)?;
                }
            }
        }
        read.check(catalog, &role).map(|_| ())
    }

    /// FOR UPDATE and its weaker forms ask for UPDATE on any column, and for SELECT on what the query reads.
    pub(super) fn check_locking(
        &mut self,
        catalog: &CatalogSnapshot,
        table: &Table,
        query: &ast::Query,
    ) -> Result<()> {
        let role = self.info.role();
        role.check_columns(catalog, table, &[], Privileges::UPDATE)?;
        self.check_read_beside(catalog, table, query)
    }

    /// A table that a query reads by its rows' ids, beside one whose rows it locks.
    pub(super) fn check_read_beside(
        &mut self,
        catalog: &CatalogSnapshot,
        table: &Table,
        query: &ast::Query,
    ) -> Result<()> {
        let role = self.info.role();
        if role.check_table(catalog, table, Privileges::SELECT).is_ok() {
            return Ok(());
        }
        // Planned as a query that locks nothing, whose names are checked.
        self.plan_query(query, &[]).map(|_| ())
    }

    /// COPY … FROM: the columns that come, by name; all of them when none is named.
    pub(crate) fn check_copy_in(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
        columns: &[ast::Ident],
    ) -> Result<()> {
        let names: Vec<String> = columns.iter().map(fold).collect();
        let columns = match names.is_empty() {
            true => attributes(table).collect(),
            false => numbers(table, names.iter().map(String::as_str)),
        };
        let role = self.info.role();
        role.check_columns(catalog, table, &columns, Privileges::INSERT)?;
        if role.is_bound_by(table) {
            return Err(SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                "COPY FROM not supported with row-level security",
            )
            .with_hint("Use INSERT statements instead."));
        }
        Ok(())
    }

    /// What LOCK TABLE asks for: what a statement asks for that takes such a lock by itself.
    pub(crate) fn check_lock_table(
        &self,
        catalog: &CatalogSnapshot,
        relation: &Relation,
        mode: heliosdb_storage::TableLockMode,
    ) -> Result<()> {
        use heliosdb_storage::TableLockMode as Mode;
        let writes = Privileges::UPDATE | Privileges::DELETE | Privileges::TRUNCATE;
        let any = match mode {
            Mode::AccessShare => Privileges::SELECT,
            Mode::RowExclusive => writes | Privileges::INSERT,
            _ => writes,
        };
        let role = self.info.role();
        match role.on_relation(catalog, relation).intersects(any) {
            true => Ok(()),
            false => Err(crate::privilege::check::denied(
                relation.kind(),
                relation.name(),
            )),
        }
    }
}
