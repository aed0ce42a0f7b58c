//! The calls that stand for offsets of window frames ([`frames`](crate::semantics::frames)). No plan that runs has them.

use super::Registry;
use crate::error::SqlError;
use crate::semantics::frames::{END, START};
use crate::semantics::kernel::*;

pub fn register(r: &mut Registry) {
    for name in [START, END] {
        r.add(
            name,
            f1::<Int8, Int8>(|_| Err(SqlError::unsupported("this offset of a window frame"))),
        );
    }
}
