//! A JSON text, checked in one pass and kept as a flat list of nodes over the text.
//!
//! ```text
//! {"b": [1, 2], "a": "x"}
//! nodes     0 object  1 "b"  2 array  3 `1`  4 `2`  5 "a"  6 "x"
//! children  3 4 | 5 1            elements of 2, then member names of 0; a member's value follows its name
//! ```
//!
//! 1. Members of an object are ordered by length and bytes of their names, each name once, the last
//!    of equal ones staying: as `jsonb` keeps them. So a member is found by bisection.
//! 2. Parsing does not recurse. Nesting is at most the `depth_max` a caller gives, so walking a
//!    document may recurse.
//! 3. Numbers stay text, see [`number`].
//! 4. Strings without escapes are the text itself; others are decoded once. A lone half of a
//!    surrogate pair, which the type `json` lets through, reads as U+FFFD.
//!
//! A [`Parser`] keeps its memory from one text to the next, since millions of rows go through it.

mod equality;
mod node;
pub mod number;
mod parse;

#[cfg(test)]
mod tests;

pub use node::{Elements, Members, Node, Text};
pub use parse::Parser;

use crate::stack::Watch;

/// Nesting a document may have. The type `jsonb` allows less.
pub const DEPTH_MAX: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    True,
    False,
    Number,
    /// Content is the text between the quotes.
    String,
    /// Content is in `Tape::decoded`.
    Escaped,
    Array,
    Object,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: Kind,
    /// Bytes of the text that spell this value, quotes included.
    start: u32,
    end: u32,
    /// Range in `Tape::children`, or in `Tape::decoded` for an escaped string.
    first: u32,
    len: u32,
}

#[derive(Debug, Default)]
struct Tape {
    nodes: Vec<Entry>,
    children: Vec<u32>,
    decoded: String,
}

impl Tape {
    /// The content of a string node.
    fn string<'a>(&'a self, text: &'a str, at: u32) -> &'a str {
        let entry = &self.nodes[at as usize];
        match entry.kind {
            Kind::Escaped => {
                &self.decoded[entry.first as usize..(entry.first + entry.len) as usize]
            }
            _ => &text[entry.start as usize + 1..entry.end as usize - 1],
        }
    }

    fn children(&self, at: u32) -> &[u32] {
        let entry = &self.nodes[at as usize];
        &self.children[entry.first as usize..(entry.first + entry.len) as usize]
    }
}

/// The order of names in an object (`jsonb`'s).
fn name_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.len()
        .cmp(&b.len())
        .then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

/// A parsed text. Borrows the text and the parser's memory.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    text: &'a str,
    tape: &'a Tape,
    watch: Option<&'a Watch<'a>>,
}

impl<'a> Document<'a> {
    /// The same document, whose checking ends when the statement is canceled.
    pub fn watched(self, watch: &'a Watch<'a>) -> Document<'a> {
        Document {
            watch: Some(watch),
            ..self
        }
    }

    /// The top value. The node borrows the document, not only what the document borrows.
    pub fn root(&'a self) -> Node<'a> {
        Node::at(self, 0)
    }
}
