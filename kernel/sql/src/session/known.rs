//! Plans of statements that come as text, found again by the text without its constants.
//!
//! A client that does not prepare sends the same statement with other constants again and again, and
//! planning is most of what that costs. A text that has been seen once before is prepared without its
//! constants ([`normal`](super::normal)) and kept, if it is one for the fast path: then its plan is
//! short, it is right for any values, and the errors it can still give are those of evaluating. All
//! else is parsed and planned as it stands, each time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::counted::Asked;
use super::normal::{Normal, normalise};
use super::outcome::{Outcome, Value};
use super::prepared::Prepared;
use super::settings::Settings;
use super::statement::{self, Statement, StatementKind};
use super::{Session, depth};
use crate::error::Result;

/// When more texts than these were seen, all are forgotten.
const TEXTS_MAX: usize = 512;

/// What is known of a text without its constants.
enum Known {
    Seen,
    Prepared(Arc<Prepared>),
    /// It is for the general route.
    General,
}

/// The texts that a session has seen.
#[derive(Default)]
pub(crate) struct KnownTexts(Mutex<HashMap<String, Known>>);

/// A statement whose plan is known, and its constants.
#[derive(Clone, Debug)]
pub(crate) struct KnownStatement {
    prepared: Arc<Prepared>,
    constants: Vec<Value>,
}

impl KnownStatement {
    /// Of the statement that was prepared.
    pub fn kind(&self) -> &StatementKind {
        &self.prepared.statement().kind
    }
}

impl KnownTexts {
    /// The statement of a text whose plan is known.
    pub fn find(&self, text: &str) -> Option<Statement> {
        let normal = normalise(text)?;
        let prepared = match self.0.lock().get(&normal.key)? {
            Known::Prepared(prepared) => prepared.clone(),
            Known::Seen | Known::General => return None,
        };
        Some(Statement {
            text: text.to_owned(),
            offset: 0,
            depth: prepared.statement().depth,
            kind: StatementKind::Known(KnownStatement {
                prepared,
                constants: normal.values(),
            }),
        })
    }

    /// Whether the plan of a text is to be made: it was seen before, and nothing is known of it.
    fn see(&self, normal: &Normal) -> bool {
        let mut known = self.0.lock();
        match known.get(&normal.key) {
            Some(known) => matches!(known, Known::Seen),
            None => {
                if known.len() == TEXTS_MAX {
                    known.clear();
                }
                known.insert(normal.key.clone(), Known::Seen);
                false
            }
        }
    }

    fn learn(&self, key: String, known: Known) {
        self.0.lock().insert(key, known);
    }

    fn forget(&self, statement: &Arc<Prepared>) {
        let is_other = |known: &mut Known| match known {
            Known::Prepared(prepared) => !Arc::ptr_eq(prepared, statement),
            _ => true,
        };
        self.0.lock().retain(|_, known| is_other(known));
    }
}

impl Session {
    /// Whether texts are to be found again by what they are without their constants.
    pub(super) fn knows_texts(&self) -> bool {
        self.info.with_settings(Settings::fast_path)
    }

    /// Prepares a statement that came as text, when its text has been seen before.
    pub(super) fn learn_text(&mut self, statement: &Statement) {
        let StatementKind::Sql(_) = statement.kind else {
            return;
        };
        if !self.knows_texts() || self.txn.is_failed() || self.copy_in.is_some() {
            return;
        }
        let Some(normal) = normalise(&statement.text) else {
            return;
        };
        if !self.known.see(&normal) {
            return;
        }
        let prepared = self.prepare_known(normal.sql(), &normal.types());
        let known = match prepared {
            Some(p) if p.param_types.len() == normal.constants.len() => {
                Known::Prepared(Arc::new(p))
            }
            _ => Known::General,
        };
        self.known.learn(normal.key, known);
    }

    pub(super) fn execute_known(
        &mut self,
        statement: &Statement,
        known: &KnownStatement,
    ) -> Result<Outcome> {
        depth::with_stack(statement.depth, || {
            let asked = Asked {
                kind: &statement.kind,
                text: &statement.text,
                kept: Some(&known.prepared.kept),
            };
            self.run(asked, |session| session.run_known(&statement.text, known))
        })
        .map_err(|e| {
            match statement::parse_one(&statement.text, self.instance.syntax()) {
                // Places are those of the text as it came.
                Ok(parsed) => {
                    let functions = self.info.functions();
                    super::locate::locate(e, &parsed.kind, &parsed.text, &functions)
                }
                Err(_) => e,
            }
        })
    }

    fn run_known(&mut self, text: &str, known: &KnownStatement) -> Result<Outcome> {
        let prepared = &known.prepared;
        self.begin_statement_snapshot();
        // What a constant is refused for is said as the general route says it.
        let Ok(params) = self.bind(&prepared.param_types, &known.constants) else {
            return self.run_text(text);
        };
        loop {
            let Some(plan) = self.cached_plan(prepared)? else {
                self.known.forget(prepared);
                return self.run_text(text);
            };
            if !self.lock_for(&plan)? {
                return self.run_plan(&plan, prepared, &params);
            }
        }
    }

    /// Parses, plans and runs a text inside of a statement.
    pub(super) fn run_text(&mut self, text: &str) -> Result<Outcome> {
        let statement = statement::parse_one(text, self.instance.syntax())?;
        self.dispatch(&statement, &[])
    }
}
