//! Functions that do nothing for a while.
//!
//! The sleep ends with a cancel, with `statement_timeout`, or with the session; who sleeps takes no thread that
//! others need ([`SessionInfo::wait`](crate::session::info::SessionInfo::wait)).

use super::Registry;
use crate::error::Result;
use crate::functions::series::add_interval;
use crate::semantics::kernel::*;
use crate::semantics::overload::Call;
use crate::types::datetime::is_finite_timestamp;

pub(super) const NAMES: &[&str] = &["pg_sleep", "pg_sleep_for", "pg_sleep_until"];

/// Until the wall clock shows so many microseconds.
fn until(call: &Call<'_>, end: i64) -> Result<Option<()>> {
    call.vars.session()?.sleep_until(end)?;
    Ok(Some(()))
}

/// For ever, if it is more than there is time.
fn seconds(call: &Call<'_>, seconds: f64) -> Result<Option<()>> {
    // As it is converted, what is no number is none, and what is too big is the biggest.
    let micros = (seconds * 1e6).ceil() as i64;
    match micros > 0 {
        true => until(call, call.vars.now().saturating_add(micros)),
        false => Ok(Some(())),
    }
}

pub fn register(r: &mut Registry) {
    r.add("pg_sleep", o1::<Float8, Void>(seconds).volatile());
    r.add(
        "pg_sleep_for",
        o1::<Interval, Void>(|call, interval| {
            let zone = &call.vars.format.time_zone;
            until(call, add_interval(call.vars.now(), interval, Some(zone))?)
        })
        .volatile(),
    );
    r.add(
        "pg_sleep_until",
        o1::<TimestampTz, Void>(|call, end| match is_finite_timestamp(end) || end > 0 {
            true => until(call, end),
            false => Ok(Some(())),
        })
        .volatile(),
    );
}
