//! Functions about other sessions: see [`crate::activity`].

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanBuilder};
use arrow::datatypes::Int32Type;

use super::Registry;
use crate::semantics::kernel::*;
use crate::semantics::overload::Overload;
use crate::types::PgType;

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
        "pg_isolation_test_session_is_blocked",
        is_blocked().volatile(),
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

/// Whether a session waits for one of others: what PostgreSQL's own tests of isolation ask to see that a step waits.
fn is_blocked() -> Overload {
    let params = vec![PgType::Int4, PgType::Int4.array_of()];
    overload(params, PgType::Bool, |args, call| {
        let (pids, pid_step) = expand(&args[0])?;
        let (others, other_step) = expand(&args[1])?;
        let (pids, others) = (pids.as_primitive::<Int32Type>(), others.as_list::<i32>());
        let mut out = BooleanBuilder::with_capacity(call.rows);
        for row in 0..call.rows {
            let (pid, other) = (row * pid_step, row * other_step);
            if pids.is_null(pid) || others.is_null(other) {
                out.append_null();
                continue;
            }
            let of = others.value(other);
            let of = of.as_primitive::<Int32Type>();
            let blocking = call.vars.session()?.blocking(pids.value(pid));
            out.append_value(of.iter().flatten().any(|pid| blocking.contains(&pid)));
        }
        Ok(Arc::new(out.finish()))
    })
}
