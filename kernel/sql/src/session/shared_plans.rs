//! Compiled plans that sessions share.
//!
//! A driver prepares its statements on each of its connections, and planning one takes a hundred times what
//! running it does. So a plan that is compiled whole is kept for all: such plans hold nothing of the session that
//! made them ([`Plan::is_shareable`]), and are good wherever catalog, settings and role are those that they were
//! made with, as the plan of a prepared statement is for its own session.
//!
//! Temporary tables are found by a path that is not in the settings: sessions that have any take no part.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sqlparser::ast::Statement as Ast;

use super::Session;
use super::prepared::Plan;
use super::settings::Settings;
use super::statement::{Statement, StatementKind};
use crate::catalog::CatalogVersion;
use crate::error::Result;
use crate::types::PgType;

/// When plans of more texts than these are kept, all are forgotten.
const TEXTS_MAX: usize = 1024;
/// Plans of one text, for other roles and settings; the oldest goes.
const PLANS_MAX: usize = 8;
/// Longer texts are seldom those of short statements.
const TEXT_BYTES_MAX: usize = 4096;

/// A text and the types given for its parameters, as oids; 0 where none is given.
type Key = (String, Vec<u32>);

#[derive(Default)]
pub(crate) struct SharedPlans(Mutex<HashMap<Key, Vec<Entry>>>);

struct Entry {
    catalog: CatalogVersion,
    settings: Settings,
    plan: Arc<Plan>,
}

impl SharedPlans {
    fn find(&self, key: &Key, catalog: CatalogVersion, settings: &Settings) -> Option<Arc<Plan>> {
        let plans = self.0.lock();
        let mut entries = plans.get(key)?.iter();
        entries
            .find(|entry| entry.catalog == catalog && settings.plans_alike(&entry.settings))
            .map(|entry| Arc::clone(&entry.plan))
    }

    fn keep(&self, key: Key, entry: Entry) {
        let mut plans = self.0.lock();
        if plans.len() >= TEXTS_MAX && !plans.contains_key(&key) {
            plans.clear();
        }
        let entries = plans.entry(key).or_default();
        entries.retain(|known| !entry.settings.plans_alike(&known.settings));
        if entries.len() == PLANS_MAX {
            entries.remove(0);
        }
        entries.push(entry);
    }
}

/// Whether it may be one for the compiled route.
fn is_of_rows(statement: &Statement) -> bool {
    let StatementKind::Sql(ast) = &statement.kind else {
        return false;
    };
    matches!(
        ast.as_ref(),
        Ast::Query(_) | Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_)
    )
}

impl Session {
    /// The plan of a statement, which another session may have made.
    pub(super) fn plan_or_share(
        &mut self,
        statement: &Statement,
        types: &[Option<PgType>],
    ) -> Result<Arc<Plan>> {
        let shares = statement.text.len() <= TEXT_BYTES_MAX
            && is_of_rows(statement)
            && !self.info.has_made_temporary()
            && !self.info.has_given_parameters();
        if !shares {
            return self.plan_ahead(statement, types).map(Arc::new);
        }
        let oids = types.iter();
        let oids = oids.map(|ty| ty.as_ref().map_or(0, PgType::oid));
        let key = (statement.text.clone(), oids.collect());
        self.begin_statement_snapshot();
        let (_, catalog) = self.read_view()?;
        let instance = Arc::clone(&self.instance);
        let shared = instance.shared_plans();
        let found = self
            .info
            .with_settings(|settings| shared.find(&key, catalog.version, settings));
        if let Some(plan) = found {
            return Ok(plan);
        }
        let plan = Arc::new(self.plan_ahead(statement, types)?);
        if plan.is_shareable() {
            let entry = Entry {
                catalog: self.info.catalog().version,
                settings: self.info.settings(),
                plan: Arc::clone(&plan),
            };
            shared.keep(key, entry);
        }
        Ok(plan)
    }
}
