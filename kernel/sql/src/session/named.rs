//! The prepared statements of a session that have names, and what `pg_prepared_statements` shows of them.
//!
//! They are looked up for every execution, by the session alone; what is shown is beside them, so that nobody
//! else's look is waited for then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::prepared::Prepared;
use crate::catalog::Oid;

/// What is shown of one.
#[derive(Clone, Debug)]
pub struct NamedStatement {
    pub name: String,
    /// As the client gave it, PREPARE included.
    pub text: String,
    /// Since the Unix epoch.
    pub prepared_micros: i64,
    pub parameters: Vec<Oid>,
    /// It was made with PREPARE.
    pub from_sql: bool,
    /// How often it ran, always with a plan for any values.
    pub executions: i64,
}

struct Shown {
    text: String,
    prepared_micros: i64,
    from_sql: bool,
    prepared: Arc<Prepared>,
}

/// What all see.
#[derive(Default)]
pub(crate) struct ShownStatements(Mutex<BTreeMap<String, Shown>>);

impl ShownStatements {
    pub fn all(&self) -> Vec<NamedStatement> {
        let all = self.0.lock();
        let shown = |(name, shown): (&String, &Shown)| NamedStatement {
            name: name.clone(),
            text: shown.text.clone(),
            prepared_micros: shown.prepared_micros,
            parameters: shown.prepared.param_types.iter().map(|t| t.oid()).collect(),
            from_sql: shown.from_sql,
            executions: i64::try_from(shown.prepared.executions()).unwrap_or(i64::MAX),
        };
        all.iter().map(shown).collect()
    }
}

/// See the module's header.
#[derive(Default)]
pub(crate) struct NamedStatements {
    by_name: HashMap<String, Arc<Prepared>>,
    shown: Arc<ShownStatements>,
}

impl NamedStatements {
    /// None yet, shown there.
    pub fn new(shown: Arc<ShownStatements>) -> NamedStatements {
        NamedStatements {
            by_name: HashMap::new(),
            shown,
        }
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Prepared>> {
        self.by_name.get(name)
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub fn values(&self) -> impl Iterator<Item = &Arc<Prepared>> {
        self.by_name.values()
    }

    /// `by` is the text of a PREPARE.
    pub fn insert(&mut self, name: String, prepared: Arc<Prepared>, by: Option<&str>, now: i64) {
        let text = by.unwrap_or(&prepared.statement().text).to_owned();
        let shown = Shown {
            text,
            prepared_micros: now,
            from_sql: by.is_some(),
            prepared: Arc::clone(&prepared),
        };
        self.shown.0.lock().insert(name.clone(), shown);
        self.by_name.insert(name, prepared);
    }

    /// Whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let found = self.by_name.remove(name).is_some();
        if found {
            self.shown.0.lock().remove(name);
        }
        found
    }

    pub fn clear(&mut self) {
        self.by_name.clear();
        self.shown.0.lock().clear();
    }
}

impl Drop for NamedStatements {
    fn drop(&mut self) {
        self.shown.0.lock().clear();
    }
}
