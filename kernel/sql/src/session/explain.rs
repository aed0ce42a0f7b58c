//! EXPLAIN: what a statement would do, or with ANALYZE what it did.
//!
//! Every query inside a statement is shown by the route it takes: the compiled one, or DataFusion's physical plan.
//! With ANALYZE the statement runs as it would without EXPLAIN, what it writes included, and the plans that
//! ran are those that are shown: whoever starts a query leaves its plan in the [`Watch`] of the statement.
//!
//! BUFFERS tells of pages of segments: of an operator those that it and its inputs asked for, of the first line
//! all that the execution did, constraints and functions included. The compiled route has the first line alone.
//!
//! Of PostgreSQL's options the one that asks for numbers which nobody counts here, WAL, is refused.
//! There is no cost, so COSTS shows estimated rows, and only when it is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::format::MetricCategory;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::pages::Pages;
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};
use sqlparser::ast::{self, Statement as Ast};

use super::Session;
use super::outcome::{Outcome, ResultColumn, Rows};
use super::prepared::Plan;
use super::settings::Settings;
use crate::dml::with;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::plan::query::PlannedQuery;
use crate::plan::scan::pages_of;
use crate::types::{PgType, decode_text};

/// Settings that decide how statements are planned.
const PLANNING: [&str; 3] = ["helios.fast_path", "search_path", "timezone"];

/// The plan that a query has started with.
#[derive(Clone, Debug)]
pub(crate) enum Started {
    Compiled(Vec<String>),
    Planned(Arc<dyn ExecutionPlan>),
}

/// The plans of a statement's queries, the first that each was started with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<HashMap<usize, Started>>>);

impl Watch {
    pub fn note(&self, query: &PlannedQuery, started: impl FnOnce() -> Started) {
        self.0
            .lock()
            .entry(Watch::key(query))
            .or_insert_with(started);
    }

    fn of(&self, query: &PlannedQuery) -> Option<Started> {
        self.0.lock().get(&Watch::key(query)).cloned()
    }

    /// A query keeps its place while its statement runs.
    fn key(query: &PlannedQuery) -> usize {
        std::ptr::from_ref(query) as usize
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Options {
    analyze: bool,
    verbose: bool,
    costs: bool,
    settings: bool,
    timing: bool,
    summary: bool,
    buffers: bool,
    json: bool,
}

impl Options {
    fn read(
        analyze: bool,
        verbose: bool,
        format: Option<&ast::AnalyzeFormatKind>,
        options: &[ast::UtilityOption],
    ) -> Result<Options> {
        if format.is_some() {
            // EXPLAIN's list of options is where PostgreSQL has it.
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "syntax error at or near \"FORMAT\"",
            ));
        }
        let mut read = Options {
            analyze,
            verbose,
            ..Options::default()
        };
        let (mut timing, mut summary) = (None, None);
        for option in options {
            let name = fold(&option.name);
            let on = || flag(&name, option.arg.as_ref());
            match name.as_str() {
                "analyze" => read.analyze = on()?,
                "verbose" => read.verbose = on()?,
                "costs" => read.costs = on()?,
                "settings" => read.settings = on()?,
                "timing" => timing = Some(on()?),
                "summary" => summary = Some(on()?),
                "buffers" => read.buffers = on()?,
                "wal" if !on()? => {}
                "wal" => {
                    return Err(SqlError::unsupported("EXPLAIN option WAL")
                        .with_hint("Nobody counts what one statement logs."));
                }
                "format" => read.json = is_json(option.arg.as_ref())?,
                _ => {
                    return Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        format!("unrecognized EXPLAIN option \"{name}\""),
                    ));
                }
            }
        }
        if timing == Some(true) && !read.analyze {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "EXPLAIN option TIMING requires ANALYZE",
            ));
        }
        read.timing = timing.unwrap_or(read.analyze);
        read.summary = summary.unwrap_or(read.analyze);
        Ok(read)
    }
}

fn word(arg: &ast::Expr) -> String {
    match arg {
        ast::Expr::Identifier(ident) => fold(ident),
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) => text.clone(),
            value => value.to_string(),
        },
        other => other.to_string(),
    }
}

fn flag(name: &str, arg: Option<&ast::Expr>) -> Result<bool> {
    let Some(arg) = arg else { return Ok(true) };
    match word(arg).to_lowercase().as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(SqlError::new(
            state::SYNTAX_ERROR,
            format!("{name} requires a Boolean value"),
        )),
    }
}

fn is_json(arg: Option<&ast::Expr>) -> Result<bool> {
    let Some(arg) = arg else {
        return Err(SqlError::new(
            state::SYNTAX_ERROR,
            "format requires a parameter",
        ));
    };
    let format = word(arg);
    match format.as_str() {
        "text" => Ok(false),
        "json" => Ok(true),
        "xml" | "yaml" => Err(SqlError::unsupported(format!(
            "EXPLAIN (FORMAT {})",
            format.to_uppercase()
        ))),
        _ => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("unrecognized value for EXPLAIN option \"format\": \"{format}\""),
        )),
    }
}

/// The column that EXPLAIN gives.
pub(super) fn column(options: Option<&[ast::UtilityOption]>) -> ResultColumn {
    let json = options.into_iter().flatten().any(|option| {
        fold(&option.name) == "format" && is_json(option.arg.as_ref()).unwrap_or(false)
    });
    ResultColumn {
        name: "QUERY PLAN".to_owned(),
        ty: if json { PgType::Json } else { PgType::Text },
        table_oid: 0,
        column_attnum: 0,
        typmod: -1,
    }
}

/// One operator, or a part of a statement.
#[derive(Debug, Default)]
struct Node {
    text: String,
    /// What was measured, as text shows it.
    notes: String,
    rows: Option<u64>,
    /// The rows that planning expected.
    estimate: Option<u64>,
    /// What it and its inputs asked for, if that is to be shown.
    pages: Option<Pages>,
    inputs: Vec<Node>,
}

/// Pages as PostgreSQL's text has them; nothing when there are none.
fn buffers(pages: Pages) -> Option<String> {
    let parts = [("hit", pages.hit), ("read", pages.read)];
    let parts = parts.iter().filter(|(_, count)| *count > 0);
    let parts: String = parts
        .map(|(what, count)| format!(" {what}={count}"))
        .collect();
    (!parts.is_empty()).then(|| format!("Buffers: shared{parts}"))
}

fn insert_buffers(pages: Pages, object: &mut Map<String, Json>) {
    object.insert("Shared Hit Blocks".to_owned(), json!(pages.hit));
    object.insert("Shared Read Blocks".to_owned(), json!(pages.read));
}

impl Node {
    fn titled(text: String) -> Node {
        Node {
            text,
            ..Node::default()
        }
    }

    fn lines(&self, depth: usize, out: &mut Vec<String>) {
        let indent = "  ".repeat(depth);
        let estimate = self.estimate.map(|rows| format!(", rows={rows}"));
        let estimate = estimate.unwrap_or_default();
        out.push(format!("{indent}{}{estimate}{}", self.text, self.notes));
        if let Some(buffers) = self.pages.and_then(buffers) {
            out.push(format!("{indent}  {buffers}"));
        }
        for input in &self.inputs {
            input.lines(depth + 1, out);
        }
    }

    fn json(&self) -> Json {
        let mut object = Map::new();
        let (kind, details) = match self.text.split_once(": ") {
            Some((kind, details)) => (kind, Some(details)),
            None => (self.text.as_str(), None),
        };
        object.insert("Node Type".to_owned(), json!(kind));
        if let Some(details) = details {
            object.insert("Details".to_owned(), json!(details));
        }
        if let Some(rows) = self.estimate {
            object.insert("Plan Rows".to_owned(), json!(rows));
        }
        if let Some(rows) = self.rows {
            object.insert("Actual Rows".to_owned(), json!(rows));
        }
        let metrics = self.notes.strip_prefix(", metrics=[");
        if let Some(metrics) = metrics.and_then(|metrics| metrics.strip_suffix(']')) {
            object.insert("Metrics".to_owned(), json!(metrics));
        }
        if let Some(pages) = self.pages {
            insert_buffers(pages, &mut object);
        }
        if !self.inputs.is_empty() {
            let inputs: Vec<Json> = self.inputs.iter().map(Node::json).collect();
            object.insert("Plans".to_owned(), json!(inputs));
        }
        Json::Object(object)
    }
}

/// What is explained, and what is known of it.
struct Explaining {
    options: Options,
    watch: Watch,
}

impl Session {
    /// The statement's plan is the one given, if there is one: with parameters it was made when the EXPLAIN was prepared.
    pub(super) fn explain(
        &mut self,
        ast: &Ast,
        planned: Option<&Arc<Plan>>,
        params: &[ScalarValue],
    ) -> Result<Outcome> {
        let Ast::Explain {
            describe_alias,
            query_plan,
            estimate,
            analyze,
            verbose,
            statement,
            format,
            options,
        } = ast
        else {
            return Err(SqlError::internal("not an EXPLAIN"));
        };
        // Forms of other databases.
        let other = match (describe_alias, query_plan, estimate) {
            (ast::DescribeAlias::Explain, false, false) => None,
            (ast::DescribeAlias::Explain, true, _) => Some("QUERY".to_owned()),
            (ast::DescribeAlias::Explain, _, true) => Some("ESTIMATE".to_owned()),
            (alias, ..) => Some(alias.to_string()),
        };
        if let Some(word) = other {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                format!("syntax error at or near \"{word}\""),
            ));
        }
        let listed = options.as_deref().unwrap_or_default();
        let options = Options::read(*analyze, *verbose, format.as_ref(), listed)?;
        let explaining = Explaining {
            options,
            watch: Watch::default(),
        };
        let engine = self.instance.engine().clone();
        let begun = engine.now_micros();
        let (plan, mut planning_pages) = self.with_pages(|session| {
            if let Some(plan) = planned {
                return Ok((plan.clone(), params.to_vec()));
            }
            if let Ast::Execute { .. } = statement.as_ref() {
                let (prepared, params) = session.executed(statement)?;
                return session.plan_to_execute(&prepared, params);
            }
            loop {
                let plan = session.plan_explained(statement)?;
                if !options.analyze || !session.lock_for(&plan)? {
                    return Ok((Arc::new(plan), Vec::new()));
                }
            }
        });
        let (plan, params) = plan?;
        let params = params.as_slice();
        let planned = engine.now_micros();
        let (mut written, mut ran_pages) = (None, None);
        if options.analyze {
            self.watch = Some(explaining.watch.clone());
            let (ran, pages) = self.with_pages(|session| session.run_explained(&plan, params));
            self.watch = None;
            written = ran?;
            ran_pages = Some(pages);
        }
        let ran = engine.now_micros();
        let (root, shown_pages) =
            self.with_pages(|session| session.explained(&explaining, &plan, written, params));
        let mut root = root?;
        if options.buffers {
            root.pages = ran_pages;
        }
        if !options.analyze {
            // How it would start was found out only now.
            planning_pages = planning_pages + shown_pages;
        }
        let settings = match options.settings {
            true => self.info.with_settings(changed_settings),
            false => Vec::new(),
        };
        let milliseconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1000.0;
        let (planning, execution) = (milliseconds(begun, planned), milliseconds(planned, ran));
        let lines = if options.json {
            let mut object = Map::new();
            object.insert("Plan".to_owned(), root.json());
            if options.settings && !settings.is_empty() {
                object.insert("Settings".to_owned(), settings.into_iter().collect());
            }
            if options.buffers {
                let mut planning = Map::new();
                insert_buffers(planning_pages, &mut planning);
                object.insert("Planning".to_owned(), Json::Object(planning));
            }
            if options.summary {
                object.insert("Planning Time".to_owned(), json!(planning));
                if options.analyze {
                    object.insert("Execution Time".to_owned(), json!(execution));
                }
            }
            let text = serde_json::to_string_pretty(&json!([object]));
            vec![text.map_err(SqlError::internal)?]
        } else {
            let mut lines = Vec::new();
            root.lines(0, &mut lines);
            if !settings.is_empty() {
                let settings = settings
                    .into_iter()
                    .map(|(name, value)| format!("{name} = '{value}'"));
                let settings: Vec<String> = settings.collect();
                lines.push(format!("Settings: {}", settings.join(", ")));
            }
            if let Some(buffers) = buffers(planning_pages).filter(|_| options.buffers) {
                lines.push("Planning:".to_owned());
                lines.push(format!("  {buffers}"));
            }
            if options.summary {
                lines.push(format!("Planning Time: {planning:.3} ms"));
                if options.analyze {
                    lines.push(format!("Execution Time: {execution:.3} ms"));
                }
            }
            lines
        };
        let column = column(Some(listed));
        let rows = match column.ty {
            PgType::Json => self.json_rows(column, &lines)?,
            _ => super::utility::text_rows(&column.name, lines),
        };
        Ok(Outcome::Rows(rows.with_tag("EXPLAIN")))
    }

    /// Does the work, and tells what it asked for.
    fn with_pages<T>(&mut self, work: impl FnOnce(&mut Session) -> T) -> (T, Pages) {
        let counter = self.info.pages.clone();
        let before = counter.now();
        let done = counter.count(|| work(self));
        (done, counter.now() - before)
    }

    fn json_rows(&self, column: ResultColumn, lines: &[String]) -> Result<Rows> {
        let format = self.info.format();
        let batches = lines.iter().map(|line| {
            let value = decode_text(&column.ty, -1, line, &format)?;
            let array = value.to_array().map_err(SqlError::from)?;
            let named = [(column.name.as_str(), array)];
            arrow::record_batch::RecordBatch::try_from_iter(named).map_err(SqlError::from)
        });
        let batches = batches.collect::<Result<_>>()?;
        Ok(Rows::batches(vec![column].into(), batches))
    }

    fn plan_explained(&mut self, statement: &Ast) -> Result<Plan> {
        let plan = match statement {
            Ast::Merge(_) => {
                let plan = self.plan_with(&with::of_merge(statement), &[])?;
                Plan::With(Box::new(plan))
            }
            Ast::Query(query) if with::writes(query) => {
                Plan::With(Box::new(self.plan_with(query, &[])?))
            }
            Ast::Query(query) if !query.locks.is_empty() => {
                Plan::Locking(self.plan_locking(query, &[], false)?)
            }
            Ast::Query(query) => Plan::Query(self.plan_query(query, &[])?),
            Ast::Insert(insert) => Plan::Insert(self.plan_insert(insert, &[])?),
            Ast::Update(update) => Plan::Update(self.plan_update(update, &[])?),
            Ast::Delete(delete) => Plan::Update(self.plan_delete(delete, &[])?),
            _ => return Err(SqlError::unsupported("EXPLAIN of this statement")),
        };
        match plan.has_params() {
            false => Ok(plan),
            true => Err(SqlError::new(
                state::UNDEFINED_PARAMETER,
                "there is no parameter $1",
            )),
        }
    }

    /// Runs the statement; the number of rows it wrote, if it writes.
    fn run_explained(&mut self, plan: &Plan, params: &[ScalarValue]) -> Result<Option<u64>> {
        let outcome = match plan {
            Plan::Query(planned) => {
                if planned.uses.writes && !planned.uses.calls {
                    self.check_writable("nextval()")?;
                    self.transaction()?;
                }
                if self.txn.is_explicit() {
                    self.lock_used_tables(&planned.uses.tables)?;
                }
                let (view, _) = self.read_view()?;
                let context = self.statement_context(view);
                let mut rows = self.with_state(|session, state| {
                    planned.start(&session.instance, state, context, params)
                })?;
                let handle = self.instance.handle().clone();
                let interrupt = self.interrupt.clone();
                let mut drain = || {
                    while rows.next_batch(&handle, Some(&interrupt))?.is_some() {}
                    Ok(())
                };
                match planned.uses.calls {
                    true => self.lending(drain)?,
                    false => drain()?,
                }
                return Ok(None);
            }
            Plan::Insert(p) => self.run_insert(p, params)?,
            Plan::Update(p) => self.run_update(p, params)?,
            Plan::With(p) => self.run_with(p, params)?,
            Plan::Locking(p) => {
                self.run_locking(p, params)?;
                return Ok(None);
            }
            Plan::Declare(_) | Plan::Call(_) | Plan::Explain(_) | Plan::Other => {
                return Err(SqlError::internal("a plan that is not explained"));
            }
        };
        let tag = match &outcome {
            Outcome::Command(tag) => Some(tag.clone()),
            Outcome::Rows(rows) if rows.writes() => Some(rows.tag(0)),
            _ => None,
        };
        let count = tag.and_then(|tag| tag.0.rsplit(' ').next()?.parse().ok());
        Ok(count)
    }

    fn explained(
        &mut self,
        explaining: &Explaining,
        plan: &Plan,
        written: Option<u64>,
        params: &[ScalarValue],
    ) -> Result<Node> {
        let count = |mut node: Node| {
            if let Some(rows) = written {
                node.rows = Some(rows);
                node.notes = format!(", metrics=[output_rows={rows}]");
            }
            node
        };
        match plan {
            Plan::Query(planned) => self.explained_query(explaining, planned, params),
            Plan::Insert(p) => {
                let mut node = Node::titled(format!("Insert on {}", p.table_name()));
                if let Some(query) = p.query() {
                    let query = self.explained_query(explaining, query, params)?;
                    node.inputs.push(query);
                }
                Ok(count(node))
            }
            Plan::Update(p) => {
                let verb = match p.verb() {
                    "UPDATE" => "Update",
                    _ => "Delete",
                };
                let mut node = Node::titled(format!("{verb} on {}", p.table_name()));
                node.inputs
                    .push(self.explained_query(explaining, p.query(), params)?);
                Ok(count(node))
            }
            Plan::With(p) => {
                let slots = vec![Arc::default(); p.slots()];
                let before = std::mem::replace(&mut self.returned, slots);
                let explained = p.explain(&mut |title, query| {
                    let mut node = title.map(Node::titled);
                    if let Some(query) = query {
                        let inner = self.explained_query(explaining, query, params)?;
                        match &mut node {
                            Some(node) => node.inputs.push(inner),
                            None => node = Some(inner),
                        }
                    }
                    Ok(node.unwrap_or_default())
                });
                self.returned = before;
                let (mut main, parts) = explained?;
                let parts = parts.into_iter().map(|(name, node)| Node {
                    inputs: vec![node],
                    ..Node::titled(format!("CTE {name}"))
                });
                let own = std::mem::take(&mut main.inputs);
                main.inputs = parts.chain(own).collect();
                Ok(count(main))
            }
            Plan::Locking(p) => {
                let mut node = Node::titled("LockRows".to_owned());
                node.inputs
                    .push(self.explained_query(explaining, p.query(), params)?);
                Ok(node)
            }
            Plan::Declare(_) | Plan::Call(_) | Plan::Explain(_) | Plan::Other => {
                Err(SqlError::internal("a plan that is not explained"))
            }
        }
    }

    fn explained_query(
        &mut self,
        explaining: &Explaining,
        planned: &PlannedQuery,
        params: &[ScalarValue],
    ) -> Result<Node> {
        let options = &explaining.options;
        let started = match (explaining.watch.of(planned), options.analyze) {
            (Some(started), _) => started,
            (None, true) => return Ok(Node::titled("never executed".to_owned())),
            (None, false) => self.would_start(planned, params)?,
        };
        match started {
            Started::Compiled(lines) => Ok(compiled(lines, options)),
            Started::Planned(plan) => Ok(physical(&plan, options)),
        }
    }

    /// How a query would start now.
    fn would_start(&mut self, planned: &PlannedQuery, params: &[ScalarValue]) -> Result<Started> {
        let (view, _) = self.read_view()?;
        self.with_state(|session, state| {
            let context = session.statement_context(view.clone());
            if let Some(lines) = planned.explain_fast(&session.instance, state, context, params)? {
                return Ok(Started::Compiled(lines));
            }
            let context = session.statement_context(view);
            planned
                .physical(&session.instance, state, context, params)
                .map(Started::Planned)
        })
    }
}

fn changed_settings(settings: &Settings) -> Vec<(String, String)> {
    let changed = PLANNING.iter().filter_map(|name| {
        let value = settings.changed(name)?;
        Some(((*name).to_owned(), value.to_owned()))
    });
    changed.collect()
}

/// Lines of the compiled route, each the only input of the one before.
fn compiled(lines: Vec<String>, options: &Options) -> Node {
    let mut node: Option<Node> = None;
    for line in lines.into_iter().rev() {
        let line = line.trim_start();
        let (text, rows) = match line.split_once(", metrics=[output_rows=") {
            Some((text, rows)) => (text, rows.trim_end_matches(']').parse().ok()),
            None => (line, None),
        };
        let mut outer = Node::titled(text.to_owned());
        outer.rows = rows;
        if let (Some(rows), true) = (rows, options.analyze) {
            outer.notes = format!(", metrics=[output_rows={rows}]");
        }
        outer.inputs.extend(node.take());
        node = Some(outer);
    }
    node.unwrap_or_default()
}

/// A physical plan, operator by operator, with what was measured when it has run.
fn physical(plan: &Arc<dyn ExecutionPlan>, options: &Options) -> Node {
    let display = match options.analyze {
        true => DisplayableExecutionPlan::with_metrics(plan.as_ref()),
        false => DisplayableExecutionPlan::new(plan.as_ref()),
    };
    let mut display = display.set_show_statistics(options.costs);
    if options.analyze && !options.timing {
        let kept = vec![MetricCategory::Rows, MetricCategory::Bytes];
        display = display.set_metric_categories(Some(kept));
    }
    let text = display.indent(options.verbose).to_string();
    let text = crate::routine::shown_in(text.to_string());
    let mut lines = text.lines();
    of_lines(plan, &mut lines, options.buffers && options.analyze)
}

/// The operators in the order of their lines.
fn of_lines<'a>(
    plan: &Arc<dyn ExecutionPlan>,
    lines: &mut impl Iterator<Item = &'a str>,
    with_pages: bool,
) -> Node {
    let line = lines.next().unwrap_or_default().trim_start();
    let (line, estimate) = match line.rsplit_once(", statistics=[") {
        Some((line, statistics)) => (line, estimated_rows(statistics)),
        None => (line, None),
    };
    let (text, notes) = line.split_at(line.rfind(", metrics=[").unwrap_or(line.len()));
    let rows = plan.metrics().and_then(|m| m.output_rows());
    let inputs: Vec<Node> = plan
        .children()
        .into_iter()
        .map(|child| of_lines(child, lines, with_pages))
        .collect();
    let own = pages_of(plan.as_ref()).unwrap_or_default();
    let pages = inputs.iter().filter_map(|input| input.pages);
    let pages = with_pages.then(|| pages.fold(own, |all, input| all + input));
    Node {
        text: text.to_owned(),
        notes: notes.to_owned(),
        rows: rows.and_then(|rows| u64::try_from(rows).ok()),
        estimate,
        pages,
        inputs,
    }
}

/// The number of rows in statistics as they are printed: `Rows=Exact(1)` or `Rows=Inexact(1)`.
fn estimated_rows(statistics: &str) -> Option<u64> {
    let exact = statistics.strip_prefix("Rows=Exact(");
    let known = exact.or_else(|| statistics.strip_prefix("Rows=Inexact("))?;
    known.split_once(')')?.0.parse().ok()
}
