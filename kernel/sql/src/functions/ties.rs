//! What `FETCH FIRST n ROWS WITH TIES` counts ([`semantics::ties`](crate::semantics::ties)).

use super::Registry;
use crate::error::{Result, SqlError, SqlState, state};
use crate::semantics::kernel::*;
use crate::semantics::ties::{COUNT, FIRST, LAST};

pub fn register(r: &mut Registry) {
    r.add(
        COUNT,
        f1::<Int8, Int8>(|_| Err(SqlError::unsupported("WITH TIES here"))),
    );
    r.add(
        LAST,
        f2::<Int8, Int8, Int8>(|offset, count| {
            let offset = skipped(offset)?;
            let count = not_negative(count, "LIMIT", state::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE)?;
            // With no rows at all none tie.
            Ok(match count {
                0 => 0,
                count => offset.saturating_add(count),
            })
        }),
    );
    r.add(FIRST, f1::<Int8, Int8>(skipped));
}

fn skipped(offset: i64) -> Result<i64> {
    let code = state::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE;
    not_negative(offset, "OFFSET", code)
}

fn not_negative(count: i64, clause: &str, code: SqlState) -> Result<i64> {
    match count {
        0.. => Ok(count),
        _ => Err(SqlError::new(
            code,
            format!("{clause} must not be negative"),
        )),
    }
}
