//! Small values that cross: errors, entries of stores, names with types.

use std::ops::Bound;

use abi_stable::std_types::{RNone, ROption, RResult, RSlice, RSome, RString, RVec};
use abi_stable::StableAbi;

use super::arrow::AbiColumn;
use crate::error::{Error, SqlState};
use crate::migration::Entry;

/// [`Error`] as it crosses.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiError {
    pub sqlstate: RString,
    pub message: RString,
    pub detail: ROption<RString>,
    pub hint: ROption<RString>,
    /// -1 for none.
    pub row: i64,
    /// The entry panicked: the instance it was called on is not to be trusted again.
    pub panicked: bool,
}

pub type AbiResult<T> = RResult<T, AbiError>;

impl From<Error> for AbiError {
    fn from(error: Error) -> AbiError {
        AbiError {
            sqlstate: error.sqlstate.as_str().into(),
            message: error.message.into(),
            detail: error.detail.map(RString::from).into(),
            hint: error.hint.map(RString::from).into(),
            row: error.row.and_then(|r| i64::try_from(r).ok()).unwrap_or(-1),
            panicked: false,
        }
    }
}

impl From<AbiError> for Error {
    fn from(error: AbiError) -> Error {
        Error {
            sqlstate: SqlState::new(&error.sqlstate),
            message: error.message.into(),
            detail: error.detail.into_option().map(String::from),
            hint: error.hint.into_option().map(String::from),
            row: usize::try_from(error.row).ok(),
        }
    }
}

/// [`Entry`] as it crosses.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiEntry {
    pub key: RVec<u8>,
    pub value: RVec<u8>,
}

impl From<Entry> for AbiEntry {
    fn from(entry: Entry) -> AbiEntry {
        AbiEntry {
            key: entry.key.into(),
            value: entry.value.into(),
        }
    }
}

impl From<AbiEntry> for Entry {
    fn from(entry: AbiEntry) -> Entry {
        Entry {
            key: entry.key.into(),
            value: entry.value.into(),
        }
    }
}

pub fn entries_out(entries: Vec<Entry>) -> RVec<AbiEntry> {
    entries.into_iter().map(AbiEntry::from).collect()
}

pub fn entries_in(entries: RVec<AbiEntry>) -> Vec<Entry> {
    entries.into_iter().map(Entry::from).collect()
}

/// One end of a range of keys.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiBound<'a> {
    /// `None` for no bound.
    pub key: ROption<RSlice<'a, u8>>,
    pub included: bool,
}

impl<'a> From<Bound<&'a [u8]>> for AbiBound<'a> {
    fn from(bound: Bound<&'a [u8]>) -> AbiBound<'a> {
        let (key, included) = match bound {
            Bound::Unbounded => (RNone, false),
            Bound::Included(key) => (RSome(key.into()), true),
            Bound::Excluded(key) => (RSome(key.into()), false),
        };
        AbiBound { key, included }
    }
}

impl<'a> From<AbiBound<'a>> for Bound<&'a [u8]> {
    fn from(bound: AbiBound<'a>) -> Bound<&'a [u8]> {
        match bound.key {
            RNone => Bound::Unbounded,
            RSome(key) if bound.included => Bound::Included(key.as_slice()),
            RSome(key) => Bound::Excluded(key.as_slice()),
        }
    }
}

/// A column of a result: its name and its SQL type.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiField {
    pub name: RString,
    pub sql_type: RString,
}

pub fn fields_out(fields: Vec<(String, String)>) -> RVec<AbiField> {
    let field = |(name, sql_type): (String, String)| AbiField {
        name: name.into(),
        sql_type: sql_type.into(),
    };
    fields.into_iter().map(field).collect()
}

pub fn fields_in(fields: RVec<AbiField>) -> Vec<(String, String)> {
    let field = |f: AbiField| (f.name.into(), f.sql_type.into());
    fields.into_iter().map(field).collect()
}

/// What a command or a query answers.
#[repr(C)]
#[derive(StableAbi)]
pub struct AbiRows {
    pub tag: RString,
    pub fields: RVec<AbiField>,
    /// Batches of one column per field.
    pub batches: RVec<RVec<AbiColumn>>,
}
