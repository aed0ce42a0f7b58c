//! Sends each statement to the module that runs it, and names what is not supported.

use std::fmt::Write;

use datafusion::scalar::ScalarValue;
use sqlparser::ast::{self, Statement as Ast};

use super::outcome::{CommandTag, Outcome, Rows};
use super::statement::{Statement, StatementKind};
use super::transaction::GivenModes;
use super::{Session, done};
use crate::dml::with;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::plan::query::{self, PlannedQuery};
use crate::plan::returned::Scope;
use crate::plugin::clause::Clauses;

/// COMMIT, ROLLBACK and ROLLBACK TO are all a failed block accepts.
pub(crate) fn is_allowed_in_failed_block(kind: &StatementKind) -> bool {
    match kind {
        StatementKind::Sql(s) => matches!(**s, Ast::Commit { .. } | Ast::Rollback { .. }),
        StatementKind::Empty => true,
        _ => false,
    }
}

pub(crate) fn is_transaction_control(kind: &StatementKind) -> bool {
    match kind {
        StatementKind::Sql(s) | StatementKind::SqlWithDeferrable(s, _) => matches!(
            **s,
            Ast::Commit { .. }
                | Ast::Rollback { .. }
                | Ast::StartTransaction { .. }
                | Ast::Savepoint { .. }
                | Ast::ReleaseSavepoint { .. }
        ),
        _ => false,
    }
}

impl Session {
    pub(crate) fn dispatch(
        &mut self,
        statement: &Statement,
        params: &[ScalarValue],
    ) -> Result<Outcome> {
        self.info.set_statement_start(self.now_micros());
        match &statement.kind {
            StatementKind::Empty => Ok(Outcome::Empty),
            StatementKind::Known(_) => self.run_text(&statement.text),
            StatementKind::Fetch(fetch) => self.fetch(fetch),
            StatementKind::Checkpoint => {
                self.check_superuser("CHECKPOINT")?;
                self.instance.engine().flush()?;
                done("CHECKPOINT")
            }
            StatementKind::Cluster(cluster) => {
                self.begin_statement_snapshot();
                self.begin_ddl()?;
                self.cluster(cluster)
            }
            StatementKind::Reindex(reindex) => {
                self.begin_statement_snapshot();
                self.begin_ddl()?;
                self.reindex(reindex)
            }
            StatementKind::Upkeep(upkeep) => {
                self.begin_statement_snapshot();
                self.keep_up(upkeep, &statement.text)
            }
            StatementKind::CommentOnConstraint(comment) => {
                self.begin_statement_snapshot();
                self.begin_ddl()?;
                self.comment_on_constraint(comment)
            }
            StatementKind::Grant(grant) => self.grant(grant),
            StatementKind::Owner(owner) => self.own(owner),
            StatementKind::AlterSetting(alter) => {
                self.begin_statement_snapshot();
                self.begin_ddl()?;
                self.alter_setting(alter)
            }
            StatementKind::Policy(policy) => self.policy(policy),
            StatementKind::SetConstraints(set) => {
                self.begin_statement_snapshot();
                self.set_constraints(set)
            }
            StatementKind::Type(statement) => {
                self.begin_statement_snapshot();
                self.begin_ddl()?;
                self.change_type(statement)
            }
            StatementKind::Routine(statement) => {
                self.begin_statement_snapshot();
                self.begin_ddl()?;
                self.change_routine(statement)
            }
            StatementKind::CreateUser(role) => self.create_role(role, true),
            StatementKind::CreateSequence(create) => self.create_sequence(create),
            StatementKind::AlterSequence(alter) => self.alter_sequence(alter),
            StatementKind::AlterExtension(alter) => {
                self.begin_statement_snapshot();
                self.begin_ddl()?;
                self.alter_extension(alter)
            }
            StatementKind::Backup(directory) => self.backup_database(directory),
            StatementKind::ArchiveLog => self.archive_log(),
            StatementKind::Copy(copy) => {
                self.begin_statement_snapshot();
                self.copy(copy, &statement.text)
            }
            StatementKind::Export(options) => self.export_database(options, &statement.text),
            StatementKind::Plugin(command) => self.run_plugin_command(command, &statement.text),
            StatementKind::SqlWithClauses(ast, clauses) => {
                self.begin_statement_snapshot();
                self.begin_ddl()?;
                let clauses = Clauses::new(clauses, &statement.text);
                match ast.as_ref() {
                    Ast::CreateTable(create) => self.create_table(create, &clauses),
                    Ast::AlterTable(alter) => self.alter_table(alter, &clauses),
                    _ => Err(SqlError::internal("clauses in another statement")),
                }
            }
            StatementKind::SqlWithDeferrable(ast, deferrable) => match ast.as_ref() {
                Ast::StartTransaction { .. } => self.start_transaction(ast, Some(*deferrable)),
                Ast::Set(set) => self.set_transaction(set, Some(*deferrable)),
                _ => Err(SqlError::internal("DEFERRABLE in another statement")),
            },
            StatementKind::Sql(ast) => self.dispatch_sql(ast, &statement.text, params, false),
            StatementKind::SqlWithKeyLock(ast) => {
                self.dispatch_sql(ast, &statement.text, params, true)
            }
        }
    }

    fn dispatch_sql(
        &mut self,
        ast: &Ast,
        text: &str,
        params: &[ScalarValue],
        key_lock: bool,
    ) -> Result<Outcome> {
        match ast {
            // Transactions.
            Ast::StartTransaction { .. } => self.start_transaction(ast, None),
            Ast::Commit {
                chain,
                modifier: None,
                ..
            } => self.commit_block(*chain).map(Outcome::Command),
            Ast::Rollback {
                savepoint: Some(name),
                ..
            } => self
                .rollback_to_savepoint(&fold(name))
                .map(Outcome::Command),
            Ast::Rollback {
                chain,
                savepoint: None,
            } => self.rollback_block(*chain).map(Outcome::Command),
            Ast::Savepoint { name } => self.savepoint(fold(name)).map(Outcome::Command),
            Ast::ReleaseSavepoint { name } => {
                self.release_savepoint(&fold(name)).map(Outcome::Command)
            }
            // Settings and prepared statements.
            Ast::Set(set) => self.set(set),
            Ast::ShowVariable { variable } => self.show(variable),
            Ast::Reset(reset) => self.reset(&reset.reset),
            Ast::Discard { object_type } => self.discard(*object_type),
            Ast::Prepare {
                name,
                data_types,
                statement,
            } => self.prepare_named(fold(name), data_types, statement.as_ref().clone(), text),
            Ast::Deallocate { name, .. } => self.deallocate(name),
            Ast::Execute { .. } => self.execute_named(ast),
            Ast::Close { cursor } => self.close_cursor(cursor),
            Ast::LISTEN { channel } => self.listen(channel),
            Ast::UNLISTEN { channel } => self.unlisten(channel),
            Ast::NOTIFY { channel, payload } => self.notify_channel(channel, payload.as_deref()),
            _ => {
                self.begin_statement_snapshot();
                self.dispatch_work(ast, text, params, key_lock)
            }
        }
    }

    fn start_transaction(&mut self, ast: &Ast, deferrable: Option<bool>) -> Result<Outcome> {
        match ast {
            Ast::StartTransaction {
                modes,
                begin,
                modifier: None,
                statements,
                ..
            } if statements.is_empty() => {
                let tag = if *begin { "BEGIN" } else { "START TRANSACTION" };
                let given = GivenModes { modes, deferrable };
                self.begin(given, tag).map(Outcome::Command)
            }
            _ => Err(SqlError::unsupported("this form of BEGIN")),
        }
    }

    /// Statements that read or write data or the catalog.
    pub(crate) fn dispatch_work(
        &mut self,
        ast: &Ast,
        text: &str,
        params: &[ScalarValue],
        key_lock: bool,
    ) -> Result<Outcome> {
        match ast {
            Ast::Query(query) if with::writes(query) => loop {
                let plan = self.planned(|s| s.plan_with(query, &[]))?;
                if !self.lock_parts(&plan)? {
                    break self.run_with(&plan, params);
                }
            },
            Ast::Merge(_) => {
                let query = ast::Statement::Query(Box::new(with::of_merge(ast)));
                self.dispatch_work(&query, text, params, key_lock)
            }
            Ast::Query(query) if !query.locks.is_empty() => {
                self.select_for_update(query, params, key_lock)
            }
            Ast::Query(query) => {
                if let Some(into) = select_into(query) {
                    return self.select_into(query, &into);
                }
                let planned = self.planned(|s| s.plan_query(query, &[]))?;
                self.run_query(&planned, params)
            }
            Ast::Declare { stmts } => {
                let plan = self.planned(|s| s.plan_declare(stmts, &[], key_lock))?;
                self.declare_cursor(&plan, text, params)
            }
            Ast::Insert(insert) => loop {
                let plan = self.planned(|s| s.plan_insert(insert, &[]))?;
                if !self.lock_target(plan.collection())? {
                    break self.run_insert(&plan, params);
                }
            },
            Ast::Update(update) => loop {
                let plan = self.planned(|s| s.plan_update(update, &[]))?;
                if !self.lock_target(plan.collection())? {
                    break self.run_update(&plan, params);
                }
            },
            Ast::Delete(delete) => loop {
                let plan = self.planned(|s| s.plan_delete(delete, &[]))?;
                if !self.lock_target(plan.collection())? {
                    break self.run_update(&plan, params);
                }
            },
            Ast::Explain { .. } => self.explain(ast, None, &[]),
            Ast::Call(call) => self.call_procedure(call),
            Ast::Truncate(truncate) => self.truncate(truncate),
            Ast::Lock(lock) => self.lock_tables(lock),
            _ => {
                self.begin_ddl()?;
                self.dispatch_ddl(ast)
            }
        }
    }

    fn dispatch_ddl(&mut self, ast: &Ast) -> Result<Outcome> {
        match ast {
            Ast::CreateTable(create) => self.create_table(create, &Clauses::default()),
            Ast::AlterTable(alter) => self.alter_table(alter, &Clauses::default()),
            Ast::CreateExtension(create) => self.create_extension(create),
            Ast::DropExtension(drop) => self.drop_extension(drop),
            Ast::CreateIndex(create) => self.create_index(create),
            Ast::AlterIndex { name, operation } => self.alter_index(name, operation),
            Ast::CreateSchema {
                schema_name,
                if_not_exists,
                ..
            } => self.create_schema(schema_name, *if_not_exists),
            Ast::CreateView(create) => self.create_view(create),
            Ast::Drop { .. } => self.drop_objects(ast),
            Ast::CreateRole(create) => self.create_role(create, false),
            Ast::AlterRole { name, operation } => self.alter_role(name, operation),
            Ast::Comment { .. } => self.comment(ast),
            other => Err(SqlError::unsupported(feature_name(other))),
        }
    }

    pub(crate) fn check_superuser(&self, what: &str) -> Result<()> {
        if self.info.role().superuser {
            return Ok(());
        }
        Err(SqlError::new(
            state::INSUFFICIENT_PRIVILEGE,
            format!("must be superuser to do {what}"),
        ))
    }

    /// Plans a query against the catalog of the statement.
    pub(crate) fn plan_query(
        &mut self,
        query: &ast::Query,
        params: &[Option<crate::types::PgType>],
    ) -> Result<PlannedQuery> {
        self.plan_query_in(query, params, &Scope::default())
    }

    /// The same as a part of a statement.
    pub(crate) fn plan_query_in(
        &mut self,
        query: &ast::Query,
        params: &[Option<crate::types::PgType>],
        scope: &Scope,
    ) -> Result<PlannedQuery> {
        if !query.locks.is_empty() {
            return Err(SqlError::unsupported("FOR UPDATE/SHARE here"));
        }
        if scope.with.is_none() && with::writes(query) {
            return Err(SqlError::unsupported(
                "a data-modifying statement in WITH here",
            ));
        }
        let (_, catalog) = self.read_view()?;
        self.with_state(|session, state| {
            query::plan_in(state, &catalog, &session.info, query.clone(), params, scope)
        })
    }

    /// Runs a planned query and gives its rows as they come.
    pub(crate) fn run_query(
        &mut self,
        planned: &PlannedQuery,
        params: &[ScalarValue],
    ) -> Result<Outcome> {
        self.query_rows(planned, params).map(Outcome::Rows)
    }

    pub(crate) fn query_rows(
        &mut self,
        planned: &PlannedQuery,
        params: &[ScalarValue],
    ) -> Result<Rows> {
        // What a routine writes is looked at where it is written.
        if planned.uses.writes && !planned.uses.calls {
            let what = if planned.uses.pins {
                "helios_pin()"
            } else {
                "nextval()"
            };
            self.check_writable(what)?;
            self.transaction()?;
        }
        let (view, _) = self.read_view()?;
        if self.txn.is_explicit() {
            self.lock_used_tables(&planned.uses.tables)?;
        }
        let context = self.statement_context(view);
        if context.fast
            && let Some(fast) = planned.compiled()
            && let Some(batch) = fast.run(&context, params)?
        {
            return Ok(Rows::batches(planned.columns.clone(), vec![batch]));
        }
        let stream = self.with_state(|session, state| {
            planned.start(&session.instance, state, context, params)
        })?;
        let rows = Rows::stream(
            planned.columns.clone(),
            stream,
            self.instance.handle().clone(),
            self.interrupt.clone(),
            self.rows_failed.clone(),
        );
        if planned.uses.calls {
            return self.lending(|| rows.materialise());
        }
        match planned.uses.pins || planned.uses.effects {
            true => rows.materialise(),
            false => Ok(rows),
        }
    }

    /// ACCESS SHARE on what a query in a block reads, until the block ends.
    pub(crate) fn lock_used_tables(
        &mut self,
        tables: &std::collections::BTreeSet<u32>,
    ) -> Result<()> {
        let catalog = self.info.catalog();
        for oid in tables {
            if let Some(table) = catalog.table(*oid) {
                let mode = heliosdb_storage::TableLockMode::AccessShare;
                self.lock_table(table.collection_id(), mode)?;
            }
        }
        Ok(())
    }
}

/// The table of SELECT … INTO.
fn select_into(query: &ast::Query) -> Option<ast::SelectInto> {
    match query.body.as_ref() {
        ast::SetExpr::Select(select) => select.into.clone(),
        _ => None,
    }
}

/// What PostgreSQL calls a statement that this does not run.
fn feature_name(statement: &Ast) -> String {
    let name = match statement {
        Ast::Open(_) => "OPEN",
        Ast::CreateTrigger(_) => "CREATE TRIGGER",
        Ast::DropTrigger(_) => "DROP TRIGGER",
        Ast::Grant(_) => "GRANT",
        Ast::Revoke(_) => "REVOKE",
        Ast::CreateDatabase { .. } => "CREATE DATABASE",
        Ast::CreatePolicy(_) => "CREATE POLICY",
        Ast::AlterSchema(_) => "ALTER SCHEMA",
        Ast::AlterView { .. } => "ALTER VIEW",
        Ast::CreateOperator(_) => "CREATE OPERATOR",
        Ast::CreateCollation(_) => "CREATE COLLATION",
        Ast::CreateServer(_) => "CREATE SERVER",
        Ast::Load { .. } => "LOAD",
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            return words.join(" ").to_uppercase();
        }
    };
    name.to_owned()
}

impl CommandTag {
    pub(crate) fn counted(verb: &str, n: u64) -> CommandTag {
        let mut tag = String::with_capacity(verb.len() + 21);
        tag.push_str(verb);
        tag.push(' ');
        // A string takes whatever is written.
        let _ = write!(tag, "{n}");
        CommandTag(tag)
    }
}
