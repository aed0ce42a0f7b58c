//! PostgreSQL's lock modes and their conflict matrices
//! (`src/backend/storage/lmgr/lock.c`, `LockConflicts`; `src/backend/access/heap/README.tuplock`).

/// What an owner may hold on a table; PostgreSQL's eight, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TableLockMode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

/// All of them, in order.
pub(super) const TABLE_MODES: [TableLockMode; 8] = [
    TableLockMode::AccessShare,
    TableLockMode::RowShare,
    TableLockMode::RowExclusive,
    TableLockMode::ShareUpdateExclusive,
    TableLockMode::Share,
    TableLockMode::ShareRowExclusive,
    TableLockMode::Exclusive,
    TableLockMode::AccessExclusive,
];

impl TableLockMode {
    /// PostgreSQL's name of the mode.
    pub fn name(self) -> &'static str {
        TABLE_NAMES[self as usize]
    }
}

/// What an owner may hold on a row or a key; weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RowLockMode {
    /// FOR KEY SHARE: the row stays, and so does its key.
    KeyShare,
    /// FOR SHARE: the row stays as it is.
    Share,
    /// FOR NO KEY UPDATE: what an UPDATE that leaves the key alone takes.
    NoKeyUpdate,
    /// FOR UPDATE: what DELETE, and an UPDATE of a key, take.
    Update,
}

/// All of them, in order.
pub(super) const ROW_MODES: [RowLockMode; 4] = [
    RowLockMode::KeyShare,
    RowLockMode::Share,
    RowLockMode::NoKeyUpdate,
    RowLockMode::Update,
];

/// A lock mode of either kind as a bit, with the bits it conflicts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    pub bit: u16,
    pub conflicts: u16,
    pub name: &'static str,
}

const fn bits(modes: &[u8]) -> u16 {
    let mut mask = 0;
    let mut i = 0;
    while i < modes.len() {
        mask |= 1 << modes[i];
        i += 1;
    }
    mask
}

/// `TABLE_CONFLICTS[mode]` has the bit of each mode that conflicts with it.
const TABLE_CONFLICTS: [u16; 8] = [
    bits(&[7]),
    bits(&[6, 7]),
    bits(&[4, 5, 6, 7]),
    bits(&[3, 4, 5, 6, 7]),
    bits(&[2, 3, 5, 6, 7]),
    bits(&[2, 3, 4, 5, 6, 7]),
    bits(&[1, 2, 3, 4, 5, 6, 7]),
    bits(&[0, 1, 2, 3, 4, 5, 6, 7]),
];

const TABLE_NAMES: [&str; 8] = [
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
];

/// `ROW_CONFLICTS[mode]`, likewise.
const ROW_CONFLICTS: [u16; 4] = [
    bits(&[3]),
    bits(&[2, 3]),
    bits(&[1, 2, 3]),
    bits(&[0, 1, 2, 3]),
];

const ROW_NAMES: [&str; 4] = [
    "FOR KEY SHARE",
    "FOR SHARE",
    "FOR NO KEY UPDATE",
    "FOR UPDATE",
];

// A conflict is mutual.
const _: () = {
    let mut a = 0;
    while a < 8 {
        let mut b = 0;
        while b < 8 {
            assert!((TABLE_CONFLICTS[a] >> b) & 1 == (TABLE_CONFLICTS[b] >> a) & 1);
            if a < 4 && b < 4 {
                assert!((ROW_CONFLICTS[a] >> b) & 1 == (ROW_CONFLICTS[b] >> a) & 1);
            }
            b += 1;
        }
        a += 1;
    }
};

impl From<TableLockMode> for Mode {
    fn from(mode: TableLockMode) -> Mode {
        let i = mode as usize;
        Mode {
            bit: 1 << i,
            conflicts: TABLE_CONFLICTS[i],
            name: TABLE_NAMES[i],
        }
    }
}

impl From<RowLockMode> for Mode {
    fn from(mode: RowLockMode) -> Mode {
        let i = mode as usize;
        Mode {
            bit: 1 << i,
            conflicts: ROW_CONFLICTS[i],
            name: ROW_NAMES[i],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflicts(a: impl Into<Mode>, b: impl Into<Mode>) -> bool {
        a.into().conflicts & b.into().bit != 0
    }

    /// The table of PostgreSQL's manual, section 13.3.1.
    #[test]
    fn table_modes_conflict_as_in_the_manual() {
        use TableLockMode::*;
        let modes = [
            AccessShare,
            RowShare,
            RowExclusive,
            ShareUpdateExclusive,
            Share,
            ShareRowExclusive,
            Exclusive,
            AccessExclusive,
        ];
        let manual = [
            ".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX",
            "XXXXXXXX",
        ];
        for (i, a) in modes.into_iter().enumerate() {
            for (j, b) in modes.into_iter().enumerate() {
                assert_eq!(
                    conflicts(a, b),
                    manual[i].as_bytes()[j] == b'X',
                    "{a:?} {b:?}"
                );
            }
        }
    }

    /// The table of PostgreSQL's manual, section 13.3.2.
    #[test]
    fn row_modes_conflict_as_in_the_manual() {
        use RowLockMode::*;
        let modes = [KeyShare, Share, NoKeyUpdate, Update];
        let manual = ["...X", "..XX", ".XXX", "XXXX"];
        for (i, a) in modes.into_iter().enumerate() {
            for (j, b) in modes.into_iter().enumerate() {
                assert_eq!(
                    conflicts(a, b),
                    manual[i].as_bytes()[j] == b'X',
                    "{a:?} {b:?}"
                );
            }
        }
    }
}
