//! Who may do what: PostgreSQL's roles, privileges and row security.
//!
//! [`acl`] is what access lists mean and how GRANT and REVOKE change them, [`authority`] whose privileges a
//! role has, [`check`] what a statement asks before it does something,
//! [`conceal`] what errors may not tell. What is stored is the catalog's
//! ([`crate::catalog::access`]), the statements are DDL's.
//!
//! Invariants:
//! 1. Privileges are asked for when a statement is planned, under the catalog it sees. A plan is never kept
//!    beyond that catalog, nor for another role (`Settings::plans_alike`).
//! 2. What a view reads is read with the privileges of the view's owner.
//! 3. What the engine reads for itself (foreign keys, unique keys, checks) asks for nobody's privileges.

pub(crate) mod acl;
pub(crate) mod authority;
pub(crate) mod check;
pub(crate) mod conceal;

pub(crate) use authority::Authority;
