//! What the sessions of an instance did: statements by kind, how long they took, how transactions ended.
//!
//! A session alone writes its [`SessionCounters`], with plain stores; what those say that are open and what those said that
//! ended is added up by who asks ([`crate::activity`] has both).

use std::sync::atomic::{AtomicU64, Ordering};

use sqlparser::ast::Statement as Ast;

use crate::session::statement::StatementKind;

/// What statements are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Select,
    Insert,
    Update,
    Delete,
    Merge,
    Copy,
    /// What changes the catalog.
    Ddl,
    /// What begins, ends and divides transactions.
    Transaction,
    Other,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::Select,
        Kind::Insert,
        Kind::Update,
        Kind::Delete,
        Kind::Merge,
        Kind::Copy,
        Kind::Ddl,
        Kind::Transaction,
        Kind::Other,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Select => "select",
            Kind::Insert => "insert",
            Kind::Update => "update",
            Kind::Delete => "delete",
            Kind::Merge => "merge",
            Kind::Copy => "copy",
            Kind::Ddl => "ddl",
            Kind::Transaction => "transaction",
            Kind::Other => "other",
        }
    }

    pub(crate) fn of(kind: &StatementKind) -> Kind {
        match kind {
            StatementKind::Known(known) => Kind::of(known.kind()),
            StatementKind::Sql(ast)
            | StatementKind::SqlWithKeyLock(ast)
            | StatementKind::SqlWithDeferrable(ast, _)
            | StatementKind::SqlWithClauses(ast, _) => Kind::of_ast(ast),
            StatementKind::Copy(_) => Kind::Copy,
            StatementKind::CreateUser(_)
            | StatementKind::CreateSequence(_)
            | StatementKind::AlterSequence(_)
            | StatementKind::AlterExtension(_)
            | StatementKind::AlterSetting(_)
            | StatementKind::Cluster(_)
            | StatementKind::Reindex(_)
            | StatementKind::CommentOnConstraint(_)
            | StatementKind::Type(_)
            | StatementKind::Grant(_)
            | StatementKind::Owner(_)
            | StatementKind::Policy(_)
            | StatementKind::Routine(_) => Kind::Ddl,
            _ => Kind::Other,
        }
    }

    pub(crate) fn of_ast(ast: &Ast) -> Kind {
        match ast {
            Ast::Query(_) => Kind::Select,
            Ast::Insert(_) => Kind::Insert,
            Ast::Update(_) => Kind::Update,
            Ast::Delete(_) => Kind::Delete,
            Ast::Merge(_) => Kind::Merge,
            Ast::StartTransaction { .. }
            | Ast::Commit { .. }
            | Ast::Rollback { .. }
            | Ast::Savepoint { .. }
            | Ast::ReleaseSavepoint { .. } => Kind::Transaction,
            Ast::CreateTable(_)
            | Ast::CreateView(_)
            | Ast::CreateIndex(_)
            | Ast::CreateSchema { .. }
            | Ast::CreateRole(_)
            | Ast::CreateExtension(_)
            | Ast::DropExtension(_)
            | Ast::AlterTable(_)
            | Ast::AlterIndex { .. }
            | Ast::AlterRole { .. }
            | Ast::Drop { .. }
            | Ast::Comment { .. } => Kind::Ddl,
            _ => Kind::Other,
        }
    }
}

/// The bounds of the histogram of times, in nanoseconds; what took longer is behind the last.
pub const BOUNDS_NANOS: [u64; 13] = [
    10_000,
    25_000,
    100_000,
    250_000,
    1_000_000,
    2_500_000,
    10_000_000,
    25_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one session counts.
        #[derive(Default)]
        pub(crate) struct SessionCounters {
            statements: [AtomicU64; Kind::ALL.len()],
            histogram: [AtomicU64; BOUNDS_NANOS.len() + 1],
            $($name: AtomicU64,)*
        }

        /// What all sessions counted.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct SessionTotals {
            /// In the order of [`Kind::ALL`].
            pub statements: [u64; Kind::ALL.len()],
            /// How many took no longer than each of [`BOUNDS_NANOS`] and longer than the one before; then the others.
            pub histogram: [u64; BOUNDS_NANOS.len() + 1],
            $($(#[$doc])* pub $name: u64,)*
        }

        impl SessionTotals {
            pub(crate) fn add(&mut self, session: &SessionCounters) {
                let arrays = self.statements.iter_mut().zip(&session.statements);
                let histogram = self.histogram.iter_mut().zip(&session.histogram);
                for (sum, counter) in arrays.chain(histogram) {
                    *sum += counter.load(Ordering::Relaxed);
                }
                $(self.$name += session.$name.load(Ordering::Relaxed);)*
            }

            /// What was counted since.
            pub(crate) fn since(&self, before: &SessionTotals) -> SessionTotals {
                let mut since = *self;
                let arrays = since.statements.iter_mut().zip(before.statements);
                let histogram = since.histogram.iter_mut().zip(before.histogram);
                for (sum, before) in arrays.chain(histogram) {
                    *sum = sum.saturating_sub(before);
                }
                $(since.$name = since.$name.saturating_sub(before.$name);)*
                since
            }
        }
    };
}

counters! {
    /// Of statements that succeeded.
    nanos,
    /// Statements that failed.
    errors,
    commits,
    rollbacks,
}

/// Adds to what nobody else writes.
fn grow(counter: &AtomicU64, by: u64) {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add(by), Ordering::Relaxed);
}

impl SessionCounters {
    /// A statement has run.
    pub fn statement(&self, kind: Kind, nanos: u64) {
        let bucket = BOUNDS_NANOS.iter().position(|bound| nanos <= *bound);
        grow(&self.histogram[bucket.unwrap_or(BOUNDS_NANOS.len())], 1);
        grow(&self.statements[kind as usize], 1);
        grow(&self.nanos, nanos);
    }

    pub fn error(&self) {
        grow(&self.errors, 1);
    }

    pub fn commit(&self) {
        grow(&self.commits, 1);
    }

    pub fn rollback(&self) {
        grow(&self.rollbacks, 1);
    }
}
