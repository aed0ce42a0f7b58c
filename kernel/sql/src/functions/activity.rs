//! Functions about other sessions: see [`crate::activity`].

use super::Registry;
use crate::semantics::kernel::*;

pub(super) const NAMES: &[&str] = &["pg_cancel_backend", "pg_terminate_backend"];

pub fn register(r: &mut Registry) {
    r.add(
        "pg_cancel_backend",
        o1::<Int4, Bool>(|c, pid| c.vars.session()?.cancel_other(pid).map(Some)).volatile(),
    );
    r.add(
        "pg_terminate_backend",
        o1::<Int4, Bool>(|c, pid| c.vars.session()?.terminate_other(pid, 0).map(Some)).volatile(),
    );
    r.add(
        "pg_terminate_backend",
        o2::<Int4, Int8, Bool>(|c, pid, timeout| {
            c.vars.session()?.terminate_other(pid, timeout).map(Some)
        })
        .volatile(),
    );
    r.add(
        "pg_blocking_pids",
        o1::<Int4, Int4Array>(|c, pid| Ok(Some(c.vars.session()?.blocking(pid)))).volatile(),
    );
    r.add(
        "pg_postmaster_start_time",
        f0::<TimestampTz>(|c| Ok(Some(c.vars.session()?.instance.opened()))).stable(),
    );
    // The settings file is read when the database is opened.
    r.add(
        "pg_conf_load_time",
        f0::<TimestampTz>(|c| Ok(Some(c.vars.session()?.instance.opened()))).stable(),
    );
}
