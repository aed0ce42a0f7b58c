//! The newtypes every layer above storage speaks in.
//!
//! An index, a count and a number of bytes are different kinds of number; so are a timestamp and a
//! row. Each id here is a transparent wrapper that orders, hashes and prints, and does no arithmetic
//! a caller did not ask for.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($repr:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub $repr);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id! {
    /// Commit timestamp: microseconds since the Unix epoch, strictly increasing over all commits of
    /// a database. Commit order, WAL order and visibility order are this one order.
    Ts(u64), "ts:"
}
id! {
    /// A transaction while it runs. Never persisted; a committed transaction is known by its [`Ts`].
    TxnId(u64), "txn:"
}
id! {
    /// A branch of the database's history. [`TimelineId::MAIN`] is the first.
    TimelineId(u32), "tl:"
}
id! {
    /// A keyspace: a table's rows, an index, or a plain sorted store. Never reused.
    CollectionId(u32), "c:"
}
id! {
    /// A column of a table, counted from 0 in order of creation and never reused, so that a row
    /// written before an ALTER TABLE still means what it meant. From 2¹⁵ on: a column that is computed.
    ColumnId(u16), "col:"
}
id! {
    /// A row of a table for its whole life. Never reused, never rewound, one allocator for all
    /// timelines.
    RowId(u64), "row:"
}
id! {
    /// Byte position in the write-ahead log, counted over the life of the database.
    Lsn(u64), "lsn:"
}

impl ColumnId {
    const FIRST_COMPUTED: u16 = 1 << 15;

    /// The `n`th [computed column](crate::schema::ComputedColumn) of a definition. Unlike the ids of stored
    /// columns it is good for that definition alone.
    pub const fn computed(n: u16) -> ColumnId {
        ColumnId(Self::FIRST_COMPUTED | n)
    }

    /// Its place among the computed columns, if it is one.
    pub fn as_computed(self) -> Option<usize> {
        self.0.checked_sub(Self::FIRST_COMPUTED).map(usize::from)
    }
}

impl TimelineId {
    /// The timeline a new database starts with. After a swap of names it need not be the main one.
    pub const MAIN: TimelineId = TimelineId(1);
}

impl Ts {
    /// Before every commit.
    pub const ZERO: Ts = Ts(0);
    /// After every commit.
    pub const MAX: Ts = Ts(u64::MAX);
}
