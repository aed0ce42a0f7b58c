//! Functions and procedures of users, in `LANGUAGE sql`, as statements call them.
//!
//! Which routines a call may mean is found before anything else ([`lookup`]). There a routine is an overload like
//! any other ([`candidate`]): its types are resolved and its arguments cast by the same rules. What it computes, a
//! session inside the session does ([`call`]): one that only reads runs over what the statement sees, on any
//! thread; one that writes runs in the statement's own transaction, which the session lends while it reads the
//! rows ([`lent`]). A body that is one expression is compiled and evaluated for all rows of a batch at once.
//!
//! Invariants:
//! 1. A body is parsed and planned when it is first needed, so that routines may call themselves and each
//!    other, and one that is never called costs nothing.
//! 2. EXECUTE is asked for when a routine is called, of the role that is current then; so are the rights on
//!    what its body names.
//! 3. What a body may do is known before the statement runs ([`traits::Traits`]). One that would write where no
//!    transaction is lent is refused.

pub(crate) mod body;
mod call;
mod candidate;
pub(crate) mod lent;
mod lookup;
mod reference;
mod scope;
mod traits;

pub(crate) use call::{Callable, is_polymorphic};
pub(crate) use candidate::{Making, Noted, function};
pub(crate) use lookup::{Index, Names, clashes, is_volatile, refuse_calls, resolve};
pub(crate) use reference::{
    CALLED, Reference, SPREAD, bare, is_reference, labelled, shown, shown_in, site,
};
