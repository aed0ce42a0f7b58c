//! What a session says of itself: who, where, which version, which settings.

use super::{argument, functions};
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;

functions! {
    current_database() -> Name = |c, _| Ok(c.session.database().into());
    current_catalog() -> Name = |c, _| Ok(c.session.database().into());
    current_user() -> Name = |c, _| Ok(c.session.current_user().into());
    current_role() -> Name = |c, _| Ok(c.session.current_user().into());
    user() -> Name = |c, _| Ok(c.session.current_user().into());
    session_user() -> Name = |c, _| Ok(c.session.session_user().into());
    current_schema() -> Name = |c, _| Ok(existing_path(c).into_iter().next().into());
    current_schemas(Bool) -> NameArray = |c, a| {
        let mut path = existing_path(c);
        if argument::flag(a, 0)? && !path.iter().any(|s| s == "pg_catalog") {
            path.insert(0, "pg_catalog".to_owned());
        }
        Ok(path.into())
    };
    version() -> Text = |c, _| version(c);
    pg_backend_pid() -> Int4 = |c, _| Ok(c.session.backend_pid().into());
    pg_is_in_recovery() -> Bool = |_, _| Ok(false.into());
    txid_current() -> Int8 = |c, _| Ok(Datum::Int(c.session.transaction_id() as i64));
    current_setting(Text) -> Text = |c, a| Ok(c.session.setting(argument::text(a, 0)?)?.into());
    current_setting(Text, Bool) -> Text = |c, a| {
        let missing_is_null = argument::flag(a, 1)?;
        match c.session.setting(argument::text(a, 0)?) {
            Ok(value) => Ok(value.into()),
            Err(_) if missing_is_null => Ok(Datum::Null),
            Err(error) => Err(error),
        }
    };
    set_config(Text, Text, Bool) -> Text null = |c, a| {
        let value = if a[1].is_null() { "" } else { argument::text(a, 1)? };
        let local = !a[2].is_null() && argument::flag(a, 2)?;
        Ok(c.session.set_setting(argument::text(a, 0)?, value, local)?.into())
    };
}

/// The schemas of the search path that exist.
fn existing_path(ctx: &SystemContext) -> Vec<String> {
    let mut path = ctx.session.search_path();
    path.retain(|s| crate::pg_catalog::names::schema_oid(ctx, s).is_some());
    path
}

fn version(ctx: &SystemContext) -> Result<Datum> {
    let version = ctx.session.setting("server_version")?;
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    Ok(format!("PostgreSQL {version} on {arch}-{os}").into())
}
