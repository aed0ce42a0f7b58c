//! What is recorded of a run: the transactions, as their clients saw them.

use std::fmt;

/// A list. Lists need not be there before the first append.
pub type Key = u64;

/// What is appended. No number is appended twice in a run, to whatever list.
pub type Element = u64;

/// One operation of a transaction, with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Append(Key, Element),
    /// A list that is not there is empty.
    Read(Key, Vec<Element>),
}

/// How a transaction ended, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    Aborted,
    /// The answer to its COMMIT never came.
    Unknown,
}

/// A transaction.
#[derive(Clone, Debug)]
pub struct Txn {
    pub ops: Vec<Op>,
    pub outcome: Outcome,
    /// Ticks of one counter for all clients: before it began, and after its end was known.
    pub begun: u64,
    pub ended: u64,
}

impl Txn {
    /// The last element that it appended to a list.
    pub fn last_append(&self, key: Key) -> Option<Element> {
        self.ops.iter().rev().find_map(|op| match op {
            Op::Append(k, element) if *k == key => Some(*element),
            _ => None,
        })
    }
}

impl fmt::Display for Txn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} [{}..{}]", self.outcome, self.begun, self.ended)?;
        for op in &self.ops {
            match op {
                Op::Append(key, element) => write!(f, " append({key}, {element})")?,
                Op::Read(key, list) => write!(f, " read({key}) = {list:?}")?,
            }
        }
        Ok(())
    }
}

/// A run.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub txns: Vec<Txn>,
}
