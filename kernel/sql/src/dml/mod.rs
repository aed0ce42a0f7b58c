//! INSERT, UPDATE, DELETE and row locks.
//!
//! [`target`] is a table prepared for writing, [`write`] the one door through which rows change:
//! it checks NOT NULL, CHECK, unique and foreign keys ([`foreign_key`]) and runs referential actions.
//! Very many new rows of one statement go through [`bulk`].
//! [`insert`] and [`update`] plan statements and feed it; [`lock`] takes row locks, on what [`lock_plan`] finds in a query, and looks again at
//! rows that changed while it waited. [`merge`] does all
//! three by what a source says. [`with`] runs statements that several of those are parts of. [`privileges`] is
//! what all of them ask for first.

mod arbiter;
pub(crate) mod assign;
mod bulk;
pub(crate) mod domain;
pub(crate) mod foreign_key;
pub(crate) mod generated;
pub(crate) mod insert;
pub(crate) mod lock;
mod lock_plan;
pub(crate) mod merge;
pub(crate) mod on_conflict;
mod privileges;
pub(crate) mod target;
pub(crate) mod update;
pub(crate) mod values;
pub(crate) mod with;
pub(crate) mod write;

pub(crate) use insert::InsertPlan;
pub(crate) use lock::LockingPlan;
pub(crate) use merge::MergePlan;
pub(crate) use update::UpdatePlan;
pub(crate) use with::WithPlan;

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

/// A batch of one row and no columns, to evaluate constants over.
pub(crate) fn one_row() -> RecordBatch {
    rows_without_columns(1)
}

/// A batch of rows and no columns.
pub(crate) fn rows_without_columns(rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)
        .expect("a batch without columns fits the empty schema")
}
