//! What SELECT … FOR UPDATE and its weaker forms lock.
//!
//! Every table in FROM gives its row ids, before the select list: those of locked tables to lock the rows by, the
//! others to know the rows again when a locked one has changed ([`super::lock`]). What WITH, VALUES and functions give is
//! not locked, as in PostgreSQL; a view or a subquery is refused where PostgreSQL would lock what is inside.

use std::sync::Arc;

use heliosdb_storage::RowLockMode;
use sqlparser::ast::{self, JoinOperator, SelectItem, SetExpr, TableFactor, TableWithJoins};

use super::lock::{Busy, LockedTable, LockingPlan};
use super::update::{column_expr, target_factor};
use crate::catalog::meta::ROW_ID;
use crate::catalog::model::Table;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names::{fold, quoted_ident};
use crate::plan::context::Target;
use crate::plan::query;
use crate::semantics::joins::is_by_names;
use crate::session::Session;
use crate::types::PgType;

/// What an item of FROM is to who locks.
enum Kind {
    Table(Arc<Table>),
    /// What PostgreSQL would lock inside.
    Inside(String),
    /// What has no rows to lock, by the name of its kind.
    Nothing(&'static str),
}

/// An item of FROM.
struct Item {
    alias: String,
    kind: Kind,
    /// Whether an outer join may have no row of it.
    nullable: bool,
    locked: Option<(RowLockMode, Busy)>,
}

/// One locking clause.
struct Clause<'a> {
    of: Option<&'a ast::ObjectName>,
    mode: RowLockMode,
    busy: Busy,
}

impl Clause<'_> {
    fn new(lock: &ast::LockClause, key_lock: bool) -> Clause<'_> {
        let mode = match (lock.lock_type, key_lock) {
            (ast::LockType::Update, false) => RowLockMode::Update,
            (ast::LockType::Update, true) => RowLockMode::NoKeyUpdate,
            (ast::LockType::Share, false) => RowLockMode::Share,
            (ast::LockType::Share, true) => RowLockMode::KeyShare,
        };
        let busy = match lock.nonblock {
            None => Busy::Wait,
            Some(ast::NonBlock::Nowait) => Busy::Fail,
            Some(ast::NonBlock::SkipLocked) => Busy::Skip,
        };
        Clause {
            of: lock.of.as_ref(),
            mode,
            busy,
        }
    }

    fn words(&self) -> &'static str {
        match self.mode {
            RowLockMode::Update => "FOR UPDATE",
            RowLockMode::NoKeyUpdate => "FOR NO KEY UPDATE",
            RowLockMode::Share => "FOR SHARE",
            RowLockMode::KeyShare => "FOR KEY SHARE",
        }
    }

    fn not_allowed(&self, what: &str) -> SqlError {
        SqlError::new(
            state::FEATURE_NOT_SUPPORTED,
            format!("{} is not allowed with {what}", self.words()),
        )
    }

    fn not_applied(&self, what: &str) -> SqlError {
        SqlError::new(
            state::FEATURE_NOT_SUPPORTED,
            format!("{} cannot be applied to {what}", self.words()),
        )
    }

    /// Marks what the clause locks.
    fn apply(&self, items: &mut [Item]) -> Result<()> {
        let wanted = match self.of {
            None => None,
            Some(of) => match of.0.as_slice() {
                [ast::ObjectNamePart::Identifier(name)] => Some(fold(name)),
                _ => {
                    return Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        format!("{} must specify unqualified relation names", self.words()),
                    ));
                }
            },
        };
        let mut found = false;
        for item in items {
            if wanted.as_ref().is_some_and(|name| *name != item.alias) {
                continue;
            }
            found = true;
            match &item.kind {
                Kind::Nothing(kind) if wanted.is_some() => return Err(self.not_applied(kind)),
                Kind::Nothing(_) => continue,
                Kind::Inside(what) => {
                    return Err(SqlError::unsupported(format!("FOR UPDATE/SHARE of {what}")));
                }
                Kind::Table(_) if item.nullable => {
                    return Err(self.not_applied("the nullable side of an outer join"));
                }
                Kind::Table(_) => {}
            }
            let (mode, busy) = item.locked.unwrap_or((self.mode, self.busy));
            item.locked = Some((mode.max(self.mode), busy.max(self.busy)));
        }
        match wanted {
            Some(name) if !found => Err(SqlError::new(
                state::UNDEFINED_TABLE,
                format!(
                    "relation \"{name}\" in {} clause not found in FROM clause",
                    self.words()
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// The items of FROM, which become targets where they are tables.
struct Walk<'a> {
    session: &'a Session,
    catalog: &'a CatalogSnapshot,
    with: Vec<String>,
    items: Vec<Item>,
}

impl Walk<'_> {
    /// Adds an item; what `*` stands for there.
    fn add(&mut self, alias: String, kind: Kind, nullable: bool) -> Vec<SelectItem> {
        let star = match &kind {
            Kind::Table(table) => columns_of(table, &alias),
            _ => vec![all_of(&alias)],
        };
        self.items.push(Item {
            alias,
            kind,
            nullable,
            locked: None,
        });
        star
    }

    /// An item with what is joined to it; what `*` stands for there.
    fn joined(&mut self, from: &mut TableWithJoins, nullable: bool) -> Result<Vec<SelectItem>> {
        let first = self.items.len();
        let mut star = self.factor(&mut from.relation, nullable)?;
        for join in &mut from.joins {
            let (left, right) = match &join.join_operator {
                JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                    (false, false)
                }
                JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => (false, true),
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => (true, false),
                JoinOperator::FullOuter(_) => (true, true),
                _ => return Err(SqlError::unsupported("FOR UPDATE/SHARE of this join")),
            };
            for item in &mut self.items[first..] {
                item.nullable |= left;
            }
            star.extend(self.factor(&mut join.relation, nullable || right)?);
        }
        Ok(star)
    }

    fn factor(&mut self, factor: &mut TableFactor, nullable: bool) -> Result<Vec<SelectItem>> {
        let alias_of = |alias: &Option<ast::TableAlias>, otherwise: &str| {
            let given = alias.as_ref().map(|alias| fold(&alias.name));
            given.unwrap_or_else(|| otherwise.to_owned())
        };
        let (name, alias) = match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                version,
                ..
            } => {
                if version.is_some() {
                    return Err(SqlError::unsupported("FOR UPDATE/SHARE with AS OF"));
                }
                (name, alias)
            }
            TableFactor::Table { name, alias, .. } | TableFactor::Function { name, alias, .. } => {
                let called = crate::names::parts(name)?.pop().unwrap_or_default();
                let alias = alias_of(alias, &called);
                return Ok(self.add(alias, Kind::Nothing("a function"), nullable));
            }
            TableFactor::UNNEST { alias, .. } | TableFactor::TableFunction { alias, .. } => {
                let alias = alias_of(alias, "unnest");
                return Ok(self.add(alias, Kind::Nothing("a function"), nullable));
            }
            TableFactor::Derived {
                subquery, alias, ..
            } => {
                let kind = match subquery.body.as_ref() {
                    SetExpr::Values(_) => Kind::Nothing("VALUES"),
                    _ => Kind::Inside("a subquery".to_owned()),
                };
                let alias = alias_of(alias, "");
                return Ok(self.add(alias, kind, nullable));
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => return self.joined(table_with_joins, nullable),
            _ => {
                return Err(SqlError::unsupported(
                    "FOR UPDATE/SHARE of this FROM clause",
                ));
            }
        };
        let parts = crate::names::parts(name)?;
        let called = parts.last().cloned().unwrap_or_default();
        let alias_name = alias_of(alias, &called);
        if parts.len() == 1 && self.with.contains(&called) {
            return Ok(self.add(alias_name, Kind::Nothing("a WITH query"), nullable));
        }
        let table = match self.session.relation(self.catalog, name)? {
            Relation::Table(table) => table,
            other => {
                let what = format!("{} \"{}\"", other.kind(), other.name());
                return Ok(self.add(alias_name, Kind::Inside(what), nullable));
            }
        };
        if alias
            .as_ref()
            .is_some_and(|alias| !alias.columns.is_empty())
        {
            return Err(SqlError::unsupported(
                "FOR UPDATE/SHARE with other names of a table's columns",
            ));
        }
        Ok(self.add(alias_name, Kind::Table(table), nullable))
    }

    /// Makes targets of the tables, in the order of the walk.
    fn mark(&self, from: &mut TableWithJoins, next: &mut usize) {
        self.mark_factor(&mut from.relation, next);
        for join in &mut from.joins {
            self.mark_factor(&mut join.relation, next);
        }
    }

    fn mark_factor(&self, factor: &mut TableFactor, next: &mut usize) {
        if let TableFactor::NestedJoin {
            table_with_joins, ..
        } = factor
        {
            return self.mark(table_with_joins, next);
        }
        let Some(item) = self.items.get(*next) else {
            return;
        };
        *next += 1;
        if let Kind::Table(table) = &item.kind {
            let target = match item.locked {
                Some(_) => Target::Lock,
                None => Target::Read,
            };
            *factor = target_factor(self.catalog, table, &item.alias, target).relation;
        }
    }
}

fn columns_of(table: &Table, alias: &str) -> Vec<SelectItem> {
    let columns = table.live_columns();
    let items = columns.map(|(_, c)| SelectItem::UnnamedExpr(column_expr(alias, &c.name)));
    items.collect()
}

fn all_of(alias: &str) -> SelectItem {
    let name = ast::ObjectName::from(vec![quoted_ident(alias)]);
    SelectItem::QualifiedWildcard(
        ast::SelectItemQualifiedWildcardKind::ObjectName(name),
        ast::WildcardAdditionalOptions::default(),
    )
}

impl Session {
    pub(crate) fn plan_locking(
        &mut self,
        query: &ast::Query,
        params: &[Option<PgType>],
        key_lock: bool,
    ) -> Result<LockingPlan> {
        let unlocked = ast::Query {
            locks: Vec::new(),
            ..query.clone()
        };
        let clauses = query.locks.iter().map(|lock| Clause::new(lock, key_lock));
        let clauses: Vec<Clause<'_>> = clauses.collect();
        let mut query = query.clone();
        crate::semantics::fetch_to_limit(&mut query)?;
        query.locks.clear();
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        let with: Vec<String> = with.map(|cte| fold(&cte.alias.name)).collect();
        let not_allowed = |what: &str| match clauses.first() {
            Some(clause) => clause.not_allowed(what),
            None => SqlError::internal("a lock without a clause"),
        };
        let SetExpr::Select(select) = query.body.as_mut() else {
            return Err(not_allowed("UNION/INTERSECT/EXCEPT"));
        };
        if select.distinct.is_some() {
            return Err(not_allowed("DISTINCT clause"));
        }
        let grouped =
            !matches!(&select.group_by, ast::GroupByExpr::Expressions(e, _) if e.is_empty());
        if grouped {
            return Err(not_allowed("GROUP BY clause"));
        }
        if select.having.is_some() {
            return Err(not_allowed("HAVING clause"));
        }
        let (_, catalog) = self.read_view()?;
        let mut walk = Walk {
            session: self,
            catalog: &catalog,
            with,
            items: Vec::new(),
        };
        let mut star = Vec::new();
        for from in &mut select.from {
            star.extend(walk.joined(from, false)?);
        }
        for clause in &clauses {
            clause.apply(&mut walk.items)?;
        }
        let mut next = 0;
        for from in &mut select.from {
            walk.mark(from, &mut next);
        }
        let items = walk.items;
        let (mut tables, mut locked, mut list) = (Vec::new(), Vec::new(), Vec::new());
        for item in &items {
            let Kind::Table(table) = &item.kind else {
                continue;
            };
            if let Some((mode, busy)) = item.locked {
                self.check_locking(&catalog, table, &unlocked)?;
                locked.push(LockedTable {
                    collection: table.collection_id(),
                    table: table.oid,
                    name: table.name.clone(),
                    mode,
                    busy,
                    place: tables.len(),
                    key: match mode {
                        RowLockMode::KeyShare => {
                            catalog.table_meta(table.oid)?.key_reader()?.map(Arc::new)
                        }
                        _ => None,
                    },
                });
            } else {
                self.check_read_beside(&catalog, table, &unlocked)?;
            }
            let name = match tables.len() {
                0 => ROW_ID.to_owned(),
                n => format!("{ROW_ID}{n}"),
            };
            list.push(SelectItem::ExprWithAlias {
                expr: column_expr(&item.alias, ROW_ID),
                alias: quoted_ident(&name),
            });
            tables.push(table.oid);
        }
        let by_names = select.from.iter().any(is_by_names);
        for item in std::mem::take(&mut select.projection) {
            match &item {
                // `*` must not show the row ids, and does not over a join by names, which is written out later.
                SelectItem::Wildcard(_) if !by_names => list.extend(star.iter().cloned()),
                SelectItem::QualifiedWildcard(
                    ast::SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => {
                    let wanted = crate::names::parts(name)?.pop().unwrap_or_default();
                    let of = items.iter().find(|item| item.alias == wanted);
                    match of.map(|item| &item.kind) {
                        Some(Kind::Table(table)) => list.extend(columns_of(table, &wanted)),
                        _ => list.push(item),
                    }
                }
                _ => list.push(item),
            }
        }
        select.projection = list;
        let (limit, offset) = match query.limit_clause.take() {
            None => (None, None),
            Some(ast::LimitClause::LimitOffset { limit, offset, .. }) => {
                (limit, offset.map(|o| o.value))
            }
            Some(ast::LimitClause::OffsetCommaLimit { offset, limit }) => {
                (Some(limit), Some(offset))
            }
        };
        let mut types = params.to_vec();
        for e in [&limit, &offset].into_iter().flatten() {
            super::assign::infer_parameter(&mut types, e, &PgType::Int8);
        }
        let planned = self.with_state(|session, state| {
            query::plan(state, &catalog, &session.info, query, &types)
        })?;
        Ok(LockingPlan {
            locked,
            columns: planned.columns[tables.len()..].into(),
            tables,
            query: planned,
            limit,
            offset,
        })
    }
}
