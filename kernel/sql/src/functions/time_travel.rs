//! Functions about times to read at: see [`crate::plan::as_of`].

use super::Registry;
use crate::error::{Result, SqlError, state};
use crate::semantics::kernel::*;
use crate::types::datetime::{is_finite_timestamp, timestamp_out_of_range};

/// The SCN of a time: commits up to this are those up to the time.
fn scn_of(micros: i64) -> Result<i64> {
    match is_finite_timestamp(micros) {
        true => Ok(micros.max(0)),
        false => Err(timestamp_out_of_range()),
    }
}

fn time_of(scn: i64) -> Result<i64> {
    if scn < 0 {
        let message = "SCN must not be negative";
        return Err(SqlError::new(state::INVALID_PARAMETER_VALUE, message));
    }
    match is_finite_timestamp(scn) {
        true => Ok(scn),
        false => Err(timestamp_out_of_range()),
    }
}

pub fn register(r: &mut Registry) {
    r.add(
        "helios_current_scn",
        f0::<Int8>(|c| Ok(i64::try_from(c.vars.snapshot()?.ts().0).ok())).stable(),
    );
    r.add("helios_scn", f1::<TimestampTz, Int8>(scn_of));
    r.add("helios_timestamp", f1::<Int8, TimestampTz>(time_of));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_scn_is_its_time() {
        assert_eq!(
            scn_of(1_700_000_000_000_000).unwrap(),
            1_700_000_000_000_000
        );
        assert_eq!(scn_of(-1).unwrap(), 0, "before all times");
        assert!(scn_of(i64::MAX).is_err() && scn_of(i64::MIN).is_err());
        assert_eq!(time_of(5).unwrap(), 5);
        assert!(time_of(-5).is_err() && time_of(i64::MAX).is_err());
    }
}
