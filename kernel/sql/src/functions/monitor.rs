//! Functions that begin to count anew: see [`crate::monitor`].

use super::Registry;
use crate::error::{Result, SqlError, state};
use crate::semantics::kernel::*;
use crate::semantics::overload::Call;

pub(super) const NAMES: &[&str] = &[
    "pg_stat_statements_reset",
    "pg_stat_reset",
    "pg_stat_reset_single_table_counters",
];

/// The statements of a user (all if it is 0), in a database, of a number. There is one database.
fn reset_statements(call: &Call<'_>, user: u32, database: u32, query: i64) -> Result<Option<()>> {
    let session = call.vars.session()?;
    check_superuser(call, "pg_stat_statements_reset")?;
    if database == 0 || database == crate::catalog::model::oid::DATABASE {
        let statements = &session.instance.monitor().statements;
        let now = call.vars.now();
        statements.reset(
            (user != 0).then_some(user),
            (query != 0).then_some(query),
            now,
        );
    }
    Ok(Some(()))
}

fn reset(call: &Call<'_>) -> Result<Option<()>> {
    check_superuser(call, "pg_stat_reset")?;
    call.vars
        .session()?
        .instance
        .reset_statistics(call.vars.now());
    Ok(Some(()))
}

fn reset_one(call: &Call<'_>, relation: u32) -> Result<Option<()>> {
    check_superuser(call, "pg_stat_reset_single_table_counters")?;
    let instance = &call.vars.session()?.instance;
    instance.monitor().relations.reset_one(relation);
    Ok(Some(()))
}

/// 42501 for all others.
fn check_superuser(call: &Call<'_>, function: &str) -> Result<()> {
    match call.vars.session()?.role().superuser {
        true => Ok(()),
        false => Err(SqlError::new(
            state::INSUFFICIENT_PRIVILEGE,
            format!("permission denied for function {function}"),
        )),
    }
}

pub fn register(r: &mut Registry) {
    r.add("pg_stat_reset", f0::<Void>(reset).volatile());
    r.add(
        "pg_stat_reset_single_table_counters",
        o1::<Oid, Void>(reset_one).volatile(),
    );
    let name = "pg_stat_statements_reset";
    r.add(
        name,
        f0::<Void>(|c| reset_statements(c, 0, 0, 0)).volatile(),
    );
    r.add(
        name,
        o1::<Oid, Void>(|c, user| reset_statements(c, user, 0, 0)).volatile(),
    );
    r.add(
        name,
        o2::<Oid, Oid, Void>(|c, user, database| reset_statements(c, user, database, 0)).volatile(),
    );
    r.add(
        name,
        o3::<Oid, Oid, Int8, Void>(reset_statements).volatile(),
    );
}
