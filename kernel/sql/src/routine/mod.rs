//! Functions and procedures of users, in `LANGUAGE sql`, as statements call them.
//!
//! A routine is an overload like any other ([`overloads`]): its types are resolved and its arguments cast by
//! the same rules. What it computes, a session inside the session does ([`call`]): one that only reads runs
//! over what the statement sees, on any thread; one that writes runs in the statement's own transaction,
//! which the session lends while it reads the rows ([`lent`]). A body that is one expression is compiled and
//! evaluated for all rows of a batch at once.
//!
//! Invariants:
//! 1. A body is parsed and planned when it is first needed, so that routines may call themselves and each
//!    other, and one that is never called costs nothing.
//! 2. EXECUTE is asked for when a routine is called, of the role that is current then; so are the rights on
//!    what its body names.
//! 3. What a body may do is known before the statement runs ([`body::Traits`]). One that would write where no
//!    transaction is lent is refused.

pub(crate) mod body;
mod call;
mod complete;
pub(crate) mod lent;
mod overloads;

pub(crate) use call::{Callable, is_polymorphic};
pub(crate) use complete::complete_call;
pub(crate) use overloads::{Set, add};

/// Between the schema and the name of a routine that is called by both. No SQL text can have it.
pub(crate) const IN_SCHEMA: char = '\u{1}';

/// What the planner calls a procedure, which no query can call.
pub(crate) fn procedure(name: &str) -> String {
    format!("{PROCEDURE}{name}")
}

/// What the planner calls a routine of a schema.
pub(crate) fn key(schema: &str, name: &str) -> String {
    format!("{schema}{IN_SCHEMA}{name}")
}

/// Before the name of a procedure. No SQL text can have it.
const PROCEDURE: char = '\u{2}';

/// The name that a user knows in what the planner calls a function.
pub(crate) fn shown(name: &str) -> String {
    name.trim_start_matches('$')
        .replace(PROCEDURE, "")
        .replace(IN_SCHEMA, ".")
}

/// The same without a schema.
pub(crate) fn bare(name: &str) -> &str {
    name.rsplit(IN_SCHEMA).next().unwrap_or(name)
}
