//! Advisory locks, as functions: see [`heliosdb_storage::AdvisoryLocks`].
//!
//! Each is there for one 64-bit key and for two of 32 bits, exclusive and shared, held by the session or by the
//! transaction, waiting or not.

use heliosdb_storage::{AdvisoryKey, AdvisoryScope};

use super::Registry;
use crate::error::Result;
use crate::semantics::kernel::*;
use crate::semantics::overload::Call;

pub(super) const NAMES: &[&str] = &[
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_shared",
    "pg_advisory_unlock_all",
];

const SESSION: AdvisoryScope = AdvisoryScope::Session;
const TRANSACTION: AdvisoryScope = AdvisoryScope::Transaction;

fn lock(
    call: &Call<'_>,
    key: AdvisoryKey,
    shared: bool,
    scope: AdvisoryScope,
) -> Result<Option<()>> {
    call.vars.session()?.lock_advisory(key, shared, scope)?;
    Ok(Some(()))
}

fn try_lock(
    call: &Call<'_>,
    key: AdvisoryKey,
    shared: bool,
    scope: AdvisoryScope,
) -> Result<Option<bool>> {
    let session = call.vars.session()?;
    session.try_lock_advisory(key, shared, scope).map(Some)
}

fn unlock(call: &Call<'_>, key: AdvisoryKey, shared: bool) -> Result<Option<bool>> {
    call.vars.session()?.unlock_advisory(key, shared).map(Some)
}

/// `name` for either kind of key; the rest is what follows the key.
macro_rules! both {
    ($r:ident, $name:literal, $result:ident, $function:ident($($more:expr),*)) => {
        $r.add(
            $name,
            o1::<Int8, $result>(|c, key| $function(c, AdvisoryKey::One(key), $($more),*)).volatile(),
        );
        $r.add(
            $name,
            o2::<Int4, Int4, $result>(|c, class, object| {
                $function(c, AdvisoryKey::Two(class, object), $($more),*)
            })
            .volatile(),
        );
    };
}

pub fn register(r: &mut Registry) {
    both!(r, "pg_advisory_lock", Void, lock(false, SESSION));
    both!(r, "pg_advisory_lock_shared", Void, lock(true, SESSION));
    both!(r, "pg_advisory_xact_lock", Void, lock(false, TRANSACTION));
    both!(
        r,
        "pg_advisory_xact_lock_shared",
        Void,
        lock(true, TRANSACTION)
    );
    both!(r, "pg_try_advisory_lock", Bool, try_lock(false, SESSION));
    both!(
        r,
        "pg_try_advisory_lock_shared",
        Bool,
        try_lock(true, SESSION)
    );
    both!(
        r,
        "pg_try_advisory_xact_lock",
        Bool,
        try_lock(false, TRANSACTION)
    );
    both!(
        r,
        "pg_try_advisory_xact_lock_shared",
        Bool,
        try_lock(true, TRANSACTION)
    );
    both!(r, "pg_advisory_unlock", Bool, unlock(false));
    both!(r, "pg_advisory_unlock_shared", Bool, unlock(true));
    r.add(
        "pg_advisory_unlock_all",
        f0::<Void>(|c| {
            c.vars.session()?.unlock_all_advisory();
            Ok(Some(()))
        })
        .volatile(),
    );
}
