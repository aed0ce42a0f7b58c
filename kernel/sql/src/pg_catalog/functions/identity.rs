//! What a session says of itself: who, where, which version, which settings.

use std::net::IpAddr;

use super::{argument, functions};
use crate::activity::ClientAddress;
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
    current_schema() -> Name = |c, _| Ok(creation_path(c).into_iter().next().into());
    current_schemas(Bool) -> NameArray = |c, a| {
        let implicit = argument::flag(a, 0)?;
        let mut path = if implicit { existing_path(c) } else { creation_path(c) };
        if implicit && !path.iter().any(|s| s == "pg_catalog") {
            path.insert(0, "pg_catalog".to_owned());
        }
        Ok(path.into())
    };
    pg_my_temp_schema() -> Oid = |c, _| Ok(my_temporary_schema(c).into());
    pg_is_other_temp_schema(Oid) -> Bool = |c, a| {
        let schema = argument::oid(a, 0)?;
        Ok((c.catalog.is_temporary(schema) && schema != my_temporary_schema(c)).into())
    };
    version() -> Text = |c, _| version(c);
    pg_backend_pid() -> Int4 = |c, _| Ok(c.session.backend_pid().into());
    inet_client_addr() -> Inet = |c, _| Ok(client(c).and_then(ClientAddress::client).map(address).into());
    inet_client_port() -> Int4 = |c, _| Ok(client(c).and_then(ClientAddress::client).map(port).into());
    inet_server_addr() -> Inet = |c, _| Ok(client(c).and_then(ClientAddress::server).map(address).into());
    inet_server_port() -> Int4 = |c, _| Ok(client(c).and_then(ClientAddress::server).map(port).into());
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

/// Where the session's client is.
fn client(ctx: &SystemContext) -> Option<ClientAddress> {
    ctx.session.live()?.backend.client
}

fn address((address, _): (IpAddr, u16)) -> String {
    address.to_string()
}

fn port((_, port): (IpAddr, u16)) -> i32 {
    port.into()
}

/// The schemas of the search path that exist.
fn existing_path(ctx: &SystemContext) -> Vec<String> {
    let mut path = ctx.session.search_path();
    path.retain(|s| crate::pg_catalog::names::schema_oid(ctx, s).is_some());
    path
}

/// The same without the schema that is searched for temporary objects alone.
fn creation_path(ctx: &SystemContext) -> Vec<String> {
    let mut path = existing_path(ctx);
    path.retain(|s| !crate::names::is_temporary_schema(s));
    path
}

/// 0 before there is one.
fn my_temporary_schema(ctx: &SystemContext) -> crate::catalog::Oid {
    let schema = ctx.session.temporary_schema();
    let schema = schema.and_then(|name| ctx.catalog.schema_by_name(&name).map(|s| s.oid));
    schema.unwrap_or_default()
}

fn version(ctx: &SystemContext) -> Result<Datum> {
    let version = ctx.session.setting("server_version")?;
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    Ok(format!("PostgreSQL {version} on {arch}-{os}").into())
}
