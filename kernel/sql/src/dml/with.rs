//! WITH of statements that write: `WITH … INSERT/UPDATE/DELETE`, and queries in WITH that write themselves.
//!
//! Such a statement is taken apart. Its *parts* are the statement itself, every data-modifying query of
//! WITH, and every other one that more than one of those reads, so that it runs once. Each part is planned as
//! a statement of its kind; what it reads of another part are rows of a slot ([`returned`](crate::plan::returned)).
//!
//! 1. All parts read the statement's one snapshot: none sees what another wrote, only what it returned.
//! 2. Every part runs once, whether it is read or not: one that is read before those that read it; then the
//!    statement itself; then the rest, the last first.
//! 3. A row that one part has changed is left alone by the others ([`Writer::of_parts`]).
//! 4. MERGE may find that what it read has changed. Then nothing of the statement stays, and all of it runs again.
//! 5. Foreign keys are checked and their actions run when all parts have.
//!
//! Only the WITH of the statement itself may have queries that write; that of a query inside is the planner's,
//! which refuses them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ReadView;
use heliosdb_storage::ids::CollectionId;
use sqlparser::ast::{self, SetExpr, Statement as Ast, Visit, Visitor};

use super::insert::Inserted;
use super::write::Writer;
use super::{InsertPlan, MergePlan, UpdatePlan};
use crate::error::{Result, SqlError, state};
use crate::names::{fold, quoted_ident};
use crate::plan::compile::{query, select, table_factor};
use crate::plan::query::PlannedQuery;
use crate::plan::returned::{Scope, as_slot, select_all, slot_schema};
use crate::session::Session;
use crate::session::kept::Memory;
use crate::session::outcome::{CommandTag, Outcome, ResultColumn, Rows};
use crate::session::planning::LazyState;
use crate::types::PgType;

/// A statement of several parts, or one that writes and has queries before it.
#[derive(Clone, Debug)]
pub(crate) struct WithPlan {
    /// Those of WITH, each with the schema of its slot if it gives rows.
    parts: Vec<(Part, Option<SchemaRef>)>,
    /// What WITH calls them.
    names: Vec<String>,
    main: Part,
    /// The parts that run before the statement itself, and those after it.
    before: Vec<usize>,
    after: Vec<usize>,
    params: Vec<PgType>,
}

#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once per statement and never stored in bulk"
)]
enum Part {
    Query(PlannedQuery),
    Insert(InsertPlan),
    Update(UpdatePlan),
    Merge(MergePlan),
}

/// What a part has done.
struct Done {
    rows: u64,
    batches: Vec<RecordBatch>,
}

/// MERGE as a query that [`writes`].
pub(crate) fn of_merge(merge: &Ast) -> ast::Query {
    query(SetExpr::Merge(merge.clone()))
}

/// Whether a query writes, or has queries in its WITH that do.
pub(crate) fn writes(query: &ast::Query) -> bool {
    let tables = query.with.iter().flat_map(|with| &with.cte_tables);
    is_modifying(&query.body) || tables.into_iter().any(|cte| is_modifying(&cte.query.body))
}

fn is_modifying(body: &SetExpr) -> bool {
    matches!(
        body,
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
    )
}

impl WithPlan {
    pub fn params(&self) -> &[PgType] {
        &self.params
    }

    pub fn columns(&self) -> Option<Arc<[ResultColumn]>> {
        self.main.columns()
    }

    /// How many slots its parts have.
    pub fn slots(&self) -> usize {
        self.parts.len()
    }

    /// The statement itself and its parts by name, in the order in which they run, each made of what it does and
    /// the query in it.
    pub fn explain<N>(
        &self,
        node: &mut impl FnMut(Option<String>, Option<&PlannedQuery>) -> Result<N>,
    ) -> Result<(N, Vec<(&str, N)>)> {
        let mut parts = Vec::with_capacity(self.parts.len());
        for slot in self.before.iter().chain(&self.after) {
            let made = self.parts[*slot].0.explain(node)?;
            parts.push((self.names[*slot].as_str(), made));
        }
        Ok((self.main.explain(node)?, parts))
    }

    /// The tables that it writes.
    pub fn collections(&self) -> impl Iterator<Item = CollectionId> {
        let parts = self.parts.iter().map(|(part, _)| part);
        parts.chain([&self.main]).filter_map(|part| match part {
            Part::Query(_) => None,
            Part::Insert(p) => Some(p.collection()),
            Part::Update(p) => Some(p.collection()),
            Part::Merge(p) => Some(p.collection()),
        })
    }
}

impl Part {
    fn explain<N>(
        &self,
        node: &mut impl FnMut(Option<String>, Option<&PlannedQuery>) -> Result<N>,
    ) -> Result<N> {
        match self {
            Part::Query(p) => node(None, Some(p)),
            Part::Insert(p) => node(Some(format!("Insert on {}", p.table_name())), p.query()),
            Part::Update(p) => {
                let verb = match p.verb() {
                    "UPDATE" => "Update",
                    _ => "Delete",
                };
                let title = format!("{verb} on {}", p.table_name());
                node(Some(title), Some(p.query()))
            }
            Part::Merge(p) => node(
                Some(format!("Merge on {}", p.table_name())),
                Some(p.query()),
            ),
        }
    }

    fn columns(&self) -> Option<Arc<[ResultColumn]>> {
        match self {
            Part::Query(p) => Some(p.columns.clone()),
            Part::Insert(p) => p.returning_columns().map(Arc::from),
            Part::Update(p) => p.returning_columns().map(Arc::from),
            Part::Merge(_) => None,
        }
    }

    fn fields(&self) -> Option<Vec<FieldRef>> {
        match self {
            Part::Query(p) => Some(p.output_fields()),
            Part::Insert(p) => p.returning_fields().map(|f| f.to_vec()),
            Part::Update(p) => p.returning_fields().map(|f| f.to_vec()),
            Part::Merge(_) => None,
        }
    }

    fn params(&self) -> &[PgType] {
        match self {
            Part::Query(p) => &p.params,
            Part::Insert(p) => p.params(),
            Part::Update(p) => p.params(),
            Part::Merge(p) => p.params(),
        }
    }

    fn verb(&self) -> &'static str {
        match self {
            Part::Query(_) => "SELECT",
            Part::Insert(_) => "INSERT",
            Part::Update(p) => p.verb(),
            Part::Merge(_) => "MERGE",
        }
    }

    fn run(
        &self,
        session: &mut Session,
        state: &mut LazyState,
        writer: &mut Writer,
        view: ReadView,
        params: &[ScalarValue],
    ) -> Result<Option<Done>> {
        Ok(Some(match self {
            Part::Query(planned) => {
                let handle = session.instance.handle().clone();
                let interrupt = session.interrupt.clone();
                let context = session.statement_context(view);
                let mut rows = planned.start(&session.instance, state, context, params)?;
                let mut batches = Vec::new();
                while let Some(batch) = rows.next_batch(&handle, Some(&interrupt))? {
                    batches.push(batch);
                }
                Done { rows: 0, batches }
            }
            Part::Insert(plan) => {
                let mut done = Inserted::default();
                let inserted = plan.run(session, state, writer, view, params, &mut done);
                let settled = inserted.and_then(|()| writer.settle(session));
                settled.map_err(|e| writer.fail(session, e))?;
                Done {
                    rows: done.rows,
                    batches: done.returned,
                }
            }
            Part::Update(plan) => {
                let done = plan.run(session, state, writer, view, params)?;
                Done {
                    rows: done.rows,
                    batches: done.returned,
                }
            }
            Part::Merge(plan) => {
                let merged = plan.run(session, state, writer, view, params);
                let Some(rows) = merged.map_err(|e| writer.fail(session, e))? else {
                    return Ok(None);
                };
                let settled = writer.settle(session);
                settled.map_err(|e| writer.fail(session, e))?;
                Done {
                    rows,
                    batches: Vec::new(),
                }
            }
        }))
    }
}

/// The queries of a WITH and who reads which.
struct Tables<'a> {
    ctes: &'a [ast::Cte],
    names: Vec<String>,
    /// For each the earlier ones that it names.
    reads: Vec<BTreeSet<usize>>,
}

impl<'a> Tables<'a> {
    fn new(with: Option<&'a ast::With>) -> Result<Tables<'a>> {
        let ctes = with.map_or(&[][..], |with| &with.cte_tables);
        let recursive = with.is_some_and(|with| with.recursive);
        let names: Vec<String> = ctes.iter().map(|cte| fold(&cte.alias.name)).collect();
        let mut reads = Vec::with_capacity(ctes.len());
        for (i, cte) in ctes.iter().enumerate() {
            if names[..i].contains(&names[i]) {
                return Err(SqlError::new(
                    state::DUPLICATE_ALIAS,
                    format!("WITH query name \"{}\" specified more than once", names[i]),
                ));
            }
            let mut named = named_in(&names, cte.query.as_ref());
            if recursive && named.contains(&i) && is_modifying(&cte.query.body) {
                return Err(SqlError::new(
                    state::INVALID_RECURSION,
                    format!(
                        "recursive query \"{}\" must not contain data-modifying statements",
                        names[i]
                    ),
                ));
            }
            named.retain(|other| *other < i);
            if matches!(cte.query.body.as_ref(), SetExpr::Merge(_)) {
                return Err(not_supported("MERGE not supported in WITH query"));
            }
            reads.push(named);
        }
        Ok(Tables { ctes, names, reads })
    }

    fn is_modifying(&self, i: usize) -> bool {
        is_modifying(&self.ctes[i].query.body)
    }

    /// What those name, and what the queries named name in turn, up to those that write.
    fn reached(&self, named: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut reached = named.clone();
        let mut next: Vec<usize> = named.iter().copied().collect();
        while let Some(i) = next.pop() {
            if !self.is_modifying(i) {
                next.extend(self.reads[i].iter().filter(|r| reached.insert(**r)));
            }
        }
        reached
    }

    /// The queries that become parts: those that write, and others that more than one part reads.
    fn parts(&self, main: &BTreeSet<usize>) -> Vec<usize> {
        let modifying = || (0..self.ctes.len()).filter(|i| self.is_modifying(*i));
        let mut readers = vec![0; self.ctes.len()];
        let named = modifying().map(|i| &self.reads[i]).chain([main]);
        for named in named {
            self.reached(named)
                .into_iter()
                .for_each(|i| readers[i] += 1);
        }
        let all = 0..self.ctes.len();
        all.filter(|i| self.is_modifying(*i) || readers[*i] > 1)
            .collect()
    }
}

/// Those of the names that a syntax tree names as a relation to read.
fn named_in(names: &[String], tree: &ast::Query) -> BTreeSet<usize> {
    let mut tree = tree.clone();
    // The table that is written is no relation that is read.
    let nothing = ast::ObjectName(Vec::new());
    match tree.body.as_mut() {
        SetExpr::Insert(Ast::Insert(insert)) => {
            insert.table = ast::TableObject::TableName(nothing);
        }
        SetExpr::Update(Ast::Update(update)) => {
            if let ast::TableFactor::Table { name, .. } = &mut update.table.relation {
                *name = nothing;
            }
        }
        SetExpr::Delete(Ast::Delete(delete)) => {
            let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) =
                &mut delete.from;
            for table in from {
                if let ast::TableFactor::Table { name, .. } = &mut table.relation {
                    *name = nothing.clone();
                }
            }
        }
        _ => {}
    }
    let mut finder = Finder {
        names,
        hidden: Vec::new(),
        found: BTreeSet::new(),
    };
    let _ = tree.visit(&mut finder);
    finder.found
}

struct Finder<'a> {
    names: &'a [String],
    /// Names that queries around the present place give to others.
    hidden: Vec<Vec<String>>,
    found: BTreeSet<usize>,
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let own = query.with.iter().flat_map(|with| &with.cte_tables);
        self.hidden
            .push(own.map(|cte| fold(&cte.alias.name)).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &ast::Query) -> ControlFlow<()> {
        self.hidden.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<()> {
        if let [ast::ObjectNamePart::Identifier(name)] = relation.0.as_slice() {
            let name = fold(name);
            if !self.hidden.iter().flatten().any(|hidden| *hidden == name) {
                self.found
                    .extend(self.names.iter().position(|known| *known == name));
            }
        }
        ControlFlow::Continue(())
    }
}

/// A statement being planned.
struct Planning<'a> {
    tables: Tables<'a>,
    with: Option<&'a ast::With>,
    /// The part that each query of WITH became.
    part_of: BTreeMap<usize, usize>,
    parts: Vec<(Part, Option<SchemaRef>)>,
    params: Vec<Option<PgType>>,
}

impl Planning<'_> {
    /// What a part sees that names these.
    fn scope(&self, named: &BTreeSet<usize>) -> Result<Scope> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<usize> = named.iter().copied().collect();
        while let Some(i) = next.pop() {
            if reached.insert(i) && !self.part_of.contains_key(&i) {
                next.extend(&self.tables.reads[i]);
            }
        }
        let mut ctes = Vec::with_capacity(reached.len());
        for i in reached {
            let mut cte = self.tables.ctes[i].clone();
            if let Some(part) = self.part_of.get(&i) {
                let (made, schema) = &self.parts[*part];
                let Some(schema) = schema else {
                    return Err(not_supported(format!(
                        "WITH query \"{}\" does not have a RETURNING clause",
                        self.tables.names[i]
                    )));
                };
                let (has, named) = (schema.fields().len(), cte.alias.columns.len());
                if named > has {
                    return Err(SqlError::new(
                        state::INVALID_COLUMN_REFERENCE,
                        format!(
                            "WITH query \"{}\" has {has} columns available but {named} columns \
                             specified",
                            self.tables.names[i]
                        ),
                    ));
                }
                if named > 0 {
                    // The planner wants names for all or none.
                    let rest = schema.fields().iter().skip(named);
                    cte.alias
                        .columns
                        .extend(rest.map(|f| ast::TableAliasColumnDef {
                            name: quoted_ident(f.name()),
                            data_type: None,
                        }));
                }
                *cte.query = select_all(*part);
                if matches!(made, Part::Query(_)) {
                    cte.alias.columns.clear();
                }
            }
            ctes.push(cte);
        }
        let with = self
            .with
            .filter(|_| !ctes.is_empty())
            .map(|with| ast::With {
                cte_tables: ctes,
                ..with.clone()
            });
        let slots = self.parts.iter().map(|(_, schema)| match schema {
            Some(schema) => schema.clone(),
            None => Arc::new(arrow::datatypes::Schema::empty()),
        });
        Ok(Scope {
            with,
            slots: slots.collect(),
        })
    }

    /// Takes over the types of the parameters that a part has.
    fn learn(&mut self, tree: &ast::Query, types: &[PgType]) {
        let _ = ast::visit_expressions(tree, |e| {
            if let Some(n) = super::assign::parameter(e)
                && let Some(ty) = types.get(n - 1)
            {
                if self.params.len() < n {
                    self.params.resize(n, None);
                }
                self.params[n - 1].get_or_insert_with(|| ty.clone());
            }
            ControlFlow::<()>::Continue(())
        });
    }
}

impl Session {
    /// Plans a query that [`writes`].
    pub(crate) fn plan_with(
        &mut self,
        query: &ast::Query,
        params: &[Option<PgType>],
    ) -> Result<WithPlan> {
        let tables = Tables::new(query.with.as_ref())?;
        let mut main = query.clone();
        main.with = None;
        let named = named_in(&tables.names, &main);
        let wanted = tables.parts(&named);
        let mut planning = Planning {
            tables,
            with: query.with.as_ref(),
            part_of: BTreeMap::new(),
            parts: Vec::new(),
            params: params.to_vec(),
        };
        // What each part reads of others.
        let mut sources: Vec<BTreeSet<usize>> = Vec::new();
        let mut names = Vec::new();
        for i in wanted {
            let cte = &planning.tables.ctes[i];
            let part = match planning.tables.is_modifying(i) {
                true => {
                    let scope = planning.scope(&planning.tables.reads[i])?;
                    self.plan_part(&cte.query, &planning.params, scope)?
                }
                false => {
                    let this = BTreeSet::from([i]);
                    let scope = planning.scope(&this)?;
                    self.plan_part(&all_of(&planning.tables.names[i]), &planning.params, scope)?
                }
            };
            planning.learn(&cte.query, part.params());
            let schema = match (part.fields(), part.columns()) {
                (Some(fields), Some(columns)) => Some(slot_schema(&fields, &columns)),
                _ => None,
            };
            sources.push(sources_of(&planning, &planning.tables.reads[i]));
            names.push(planning.tables.names[i].clone());
            planning.part_of.insert(i, planning.parts.len());
            planning.parts.push((part, schema));
        }
        let scope = planning.scope(&named)?;
        let read = sources_of(&planning, &named);
        let part = self.plan_part(&main, &planning.params, scope)?;
        planning.learn(&main, part.params());
        let count = planning.params.len().max(part.params().len());
        planning.params.resize(count, None);

        let mut before = Vec::new();
        read.iter()
            .for_each(|p| run_first(&sources, *p, &mut before));
        let mut all = before.clone();
        for part in (0..planning.parts.len()).rev() {
            run_first(&sources, part, &mut all);
        }
        let after = all.split_off(before.len());
        Ok(WithPlan {
            parts: planning.parts,
            names,
            main: part,
            before,
            after,
            params: planning
                .params
                .into_iter()
                .map(|p| p.unwrap_or(PgType::Text))
                .collect(),
        })
    }

    fn plan_part(
        &mut self,
        query: &ast::Query,
        params: &[Option<PgType>],
        scope: Scope,
    ) -> Result<Part> {
        // One that writes may have a WITH of its own, whose queries hide others.
        let scope = match (&query.with, is_modifying(&query.body)) {
            (Some(own), true) => {
                if own.cte_tables.iter().any(|c| is_modifying(&c.query.body)) {
                    return Err(not_at_top());
                }
                let mut with = own.clone();
                let names: Vec<String> =
                    own.cte_tables.iter().map(|c| fold(&c.alias.name)).collect();
                if let Some(outer) = &scope.with {
                    let mut all = outer.cte_tables.clone();
                    all.retain(|cte| !names.contains(&fold(&cte.alias.name)));
                    all.append(&mut with.cte_tables);
                    with.cte_tables = all;
                    with.recursive |= outer.recursive;
                }
                Scope {
                    with: Some(with),
                    slots: scope.slots,
                }
            }
            _ => scope,
        };
        match query.body.as_ref() {
            SetExpr::Insert(Ast::Insert(insert)) => self
                .plan_insert_in(insert, params, &scope)
                .map(Part::Insert),
            SetExpr::Update(Ast::Update(update)) => self
                .plan_update_in(update, params, &scope)
                .map(Part::Update),
            SetExpr::Delete(Ast::Delete(delete)) => self
                .plan_delete_in(delete, params, &scope)
                .map(Part::Update),
            SetExpr::Merge(Ast::Merge(merge)) => {
                if scope.with.as_ref().is_some_and(|with| with.recursive) {
                    return Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        "WITH RECURSIVE is not supported for MERGE statement",
                    ));
                }
                self.plan_merge_in(merge, params, &scope).map(Part::Merge)
            }
            SetExpr::Select(select) if select.into.is_some() => Err(SqlError::unsupported(
                "SELECT INTO with a data-modifying statement in WITH",
            )),
            _ => self.plan_query_in(query, params, &scope).map(Part::Query),
        }
    }

    /// Locks what a plan writes. True when it has to be made again.
    pub(crate) fn lock_parts(&mut self, plan: &WithPlan) -> Result<bool> {
        for collection in plan.collections() {
            if self.lock_target(collection)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Runs it. The tables are locked, and the plan is one of the catalog since then.
    pub(crate) fn run_with(&mut self, plan: &WithPlan, params: &[ScalarValue]) -> Result<Outcome> {
        self.check_writable(plan.main.verb())?;
        let begun = self.begin_again_from()?;
        let (done, memory) = loop {
            let mut memory = Memory::new(self.instance.engine().memory());
            match self.attempt(plan, params, &mut memory)? {
                Some(done) => break (done, memory),
                None => self.begin_again(&begun)?,
            }
        };
        let tag = match &plan.main {
            Part::Query(_) => None,
            Part::Insert(_) => Some(CommandTag(format!("INSERT 0 {}", done.rows))),
            part => Some(CommandTag::counted(part.verb(), done.rows)),
        };
        Ok(match (plan.columns(), tag) {
            (Some(columns), Some(tag)) => Outcome::Rows(
                Rows::batches(columns, done.batches)
                    .with_memory(memory)
                    .with_tag(tag.0),
            ),
            (Some(columns), None) => {
                Outcome::Rows(Rows::batches(columns, done.batches).with_memory(memory))
            }
            (None, tag) => Outcome::Command(tag.unwrap_or(CommandTag::new("SELECT 0"))),
        })
    }

    /// Runs all parts; `None` when what they read has changed meanwhile.
    fn attempt(
        &mut self,
        plan: &WithPlan,
        params: &[ScalarValue],
        memory: &mut Memory,
    ) -> Result<Option<Done>> {
        let (view, catalog) = self.write_view()?;
        if self.txn.is_explicit() {
            let parts = plan.parts.iter().map(|(part, _)| part);
            for part in parts.chain([&plan.main]) {
                if let Part::Query(planned) = part {
                    self.lock_used_tables(&planned.uses.tables)?;
                }
            }
        }
        let mut writer = match plan.collections().count() > 1 {
            true => Writer::of_parts(self, catalog),
            false => Writer::new(self, catalog),
        };
        let slots = vec![Arc::default(); plan.parts.len()];
        let before = std::mem::replace(&mut self.returned, slots);
        let done = self.with_state(|session, state| {
            let mut run = |part: &Part, slot: Option<usize>| -> Result<Option<Done>> {
                let view = view.clone();
                let Some(mut done) = part.run(session, state, &mut writer, view, params)? else {
                    return Ok(None);
                };
                for batch in &done.batches {
                    memory.grow(batch.get_array_memory_size())?;
                }
                if let Some(slot) = slot
                    && let Some(schema) = &plan.parts[slot].1
                {
                    let batches = std::mem::take(&mut done.batches).into_iter();
                    let batches = batches.map(|batch| as_slot(schema, &batch));
                    session.returned[slot] = batches.collect::<Result<_>>()?;
                }
                Ok(Some(done))
            };
            for slot in &plan.before {
                if run(&plan.parts[*slot].0, Some(*slot))?.is_none() {
                    return Ok(None);
                }
            }
            let Some(done) = run(&plan.main, None)? else {
                return Ok(None);
            };
            for slot in &plan.after {
                if run(&plan.parts[*slot].0, Some(*slot))?.is_none() {
                    return Ok(None);
                }
            }
            writer.finish(session, state)?;
            Ok(Some(done))
        });
        self.returned = before;
        done
    }
}

/// The parts whose rows come to one that names these queries.
fn sources_of(planning: &Planning<'_>, named: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut sources = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut next: Vec<usize> = named.iter().copied().collect();
    while let Some(i) = next.pop() {
        match planning.part_of.get(&i) {
            Some(part) => _ = sources.insert(*part),
            None if seen.insert(i) => next.extend(&planning.tables.reads[i]),
            None => {}
        }
    }
    sources
}

/// Puts a part at the end of an order, after those that it reads.
fn run_first(sources: &[BTreeSet<usize>], part: usize, order: &mut Vec<usize>) {
    if order.contains(&part) {
        return;
    }
    for source in &sources[part] {
        run_first(sources, *source, order);
    }
    order.push(part);
}

/// `SELECT * FROM name`.
fn all_of(name: &str) -> ast::Query {
    let star = ast::SelectItem::Wildcard(ast::WildcardAdditionalOptions::default());
    query(*select(vec![star], vec![table_factor(name)]).body)
}

fn not_supported(message: impl Into<String>) -> SqlError {
    SqlError::new(state::FEATURE_NOT_SUPPORTED, message.into())
}

fn not_at_top() -> SqlError {
    not_supported("WITH clause containing a data-modifying statement must be at the top level")
}
