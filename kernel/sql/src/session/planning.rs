//! A planning state that is taken from the pool when something first needs it.
//!
//! Setting one up for a statement costs more than a statement of the fast path does, and such a
//! statement seldom needs one: its expressions are compiled. So what runs statements is given a
//! [`LazyState`], which becomes DataFusion's [`SessionState`] where it is used as one.

use std::cell::OnceCell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use datafusion::execution::SessionState;
use heliosdb_storage::{Interrupt, ReadView};

use super::Session;
use super::info::SessionInfo;
use crate::error::Result;
use crate::plan::memory::{batch_rows, set_batch_rows};
use crate::plugin::services::Faults;
use crate::types::Format;

/// What a statement's planning state is made from.
pub(crate) struct Surroundings {
    pub info: Arc<SessionInfo>,
    pub interrupt: Arc<Interrupt>,
    /// What the statement sees.
    pub view: ReadView,
    pub nesting: usize,
    pub faults: Faults,
}

/// See the module's header.
pub(crate) struct LazyState {
    surroundings: Surroundings,
    state: OnceCell<SessionState>,
}

impl Surroundings {
    fn state(&self) -> SessionState {
        let mut state = self.info.instance.take_state();
        // A nested statement keeps to its thread: it must not wait for the threads that wait for it.
        let partitions = match self.nesting {
            0 => self.info.instance.threads(),
            _ => 1,
        };
        if state.config().target_partitions() != partitions {
            state.config_mut().options_mut().execution.target_partitions = partitions;
        }
        let rows = batch_rows(&*state.runtime_env().memory_pool);
        if state.config().batch_size() != rows {
            set_batch_rows(&mut state, rows);
        }
        let start = chrono::DateTime::from_timestamp_micros(self.info.transaction_start());
        state.execution_props_mut().query_execution_start_time = start;
        let services = self.read_services();
        crate::plan::bridge::set_session(
            &mut state,
            &self.info,
            services,
            self.view.clone(),
            self.nesting,
        );
        state
    }
}

impl LazyState {
    /// How values print in the session.
    pub fn format(&self) -> Format {
        self.surroundings.info.format()
    }

    /// The starts of the transaction and of the statement, microseconds since the Unix epoch.
    pub fn moments(&self) -> [i64; 2] {
        self.surroundings.info.moments()
    }
}

impl Deref for LazyState {
    type Target = SessionState;

    fn deref(&self) -> &SessionState {
        self.state.get_or_init(|| self.surroundings.state())
    }
}

impl DerefMut for LazyState {
    fn deref_mut(&mut self) -> &mut SessionState {
        let state = match self.state.take() {
            Some(state) => state,
            None => self.surroundings.state(),
        };
        self.state.get_or_init(|| state);
        self.state.get_mut().expect("it was filled a line above")
    }
}

impl Drop for LazyState {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            self.surroundings.info.instance.return_state(state);
        }
    }
}

impl Session {
    fn surroundings(&self) -> Surroundings {
        Surroundings {
            info: self.info.clone(),
            interrupt: self.interrupt.clone(),
            view: self.statement_view(),
            nesting: self.nesting,
            faults: self.faults.clone(),
        }
    }

    /// A planning state for what runs in the statement that has begun.
    pub(crate) fn lazy_state(&self) -> LazyState {
        LazyState {
            surroundings: self.surroundings(),
            state: OnceCell::new(),
        }
    }

    /// Runs `f` with a planning state of the pool's, set up for this session.
    pub(crate) fn with_state<T>(
        &mut self,
        f: impl FnOnce(&mut Session, &mut LazyState) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.lazy_state();
        f(self, &mut state)
    }
}
