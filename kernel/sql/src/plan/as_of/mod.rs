//! `AS OF`: tables as they were.
//!
//! ```sql
//! SELECT n.price - o.price FROM item n JOIN item AS OF TIMESTAMP now() - interval '1 day' o USING (id)
//! ```
//!
//! Storage reads at any time, and the catalog is rows in storage, so a table at another time is the
//! catalog of that time, which knows what was called so then and with which columns, and a view of
//! storage at that time. [`syntax`] reads the clause, [`reference`] names the table for the
//! planner, [`time`] works out when.
//!
//! What holds:
//!
//! 1. Names mean what they meant at that time; the search path and the functions are the statement's
//!    own. Privileges and policies are those of now, on the branch whose history is read. A table that is
//!    still there is its present owner's.
//! 2. A view is read as it was defined then, and all that it reads is read at that time, unless its
//!    definition says another.
//! 3. A transaction's own writes are not seen, and nothing is locked.
//! 4. What was read is final: asked again for the same time, the answer is the same.
//! 5. An index is used when it was there then and is there now. One that was dropped since has no
//!    entries in a database that came out of a dump.
//! 6. A plan is made for the catalogs of its times and not for the times: another execution works the
//!    times out anew, and plans again only when it meets another catalog.

pub(crate) mod reference;
pub(crate) mod syntax;
pub(crate) mod time;
pub(crate) mod versions;

use std::sync::Arc;

use heliosdb_storage::ids::{TimelineId, Ts};

use crate::catalog::CatalogSnapshot;
use crate::privilege::acl::Acl;

/// Privileges, owners and policies of another branch.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub timeline: TimelineId,
    pub catalog: Arc<CatalogSnapshot>,
}

/// One time that a query reads tables at.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub when: time::When,
    /// The time that the query was planned for; `None` while a parameter is to say it.
    pub planned_for: Option<Ts>,
    /// The catalog of that time, or the present one.
    pub catalog: Arc<CatalogSnapshot>,
    /// What is in force for what is read, where that is not the statement's own.
    pub present: Option<InForce>,
    /// The branch that is named, and the access lists that the role was found in.
    pub access: Option<(TimelineId, Vec<Acl>)>,
}
