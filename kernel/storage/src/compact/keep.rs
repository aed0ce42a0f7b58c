//! Which versions stay.

use crate::ids::Ts;
use crate::planted::{self, Bug};

/// What decides on the versions of one collection in one merge.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    pub horizon: Ts,
    /// No older file has anything of the collection.
    pub is_oldest: bool,
}

impl Keep {
    /// Whether a version that ends at `end` (`None`: only newer files know) is still needed.
    ///
    /// 1. Nobody reads before the horizon, so what ended by then is seen by nobody. Of a key these are the
    ///    oldest versions, so the chain of the others has no gap.
    /// 2. A delete hides what older files have. Where they have nothing, and what was before it has
    ///    ended, nothing is left to be hidden.
    pub fn keeps(&self, begin: Ts, end: Option<Ts>, deleted: bool) -> bool {
        let ended = end.is_some_and(|end| end <= self.horizon);
        let is_oldest = self.is_oldest || planted::is(Bug::GcForgetsDeletes);
        let hides_nothing = deleted && is_oldest && begin <= self.horizon;
        !ended && !hides_nothing
    }
}
