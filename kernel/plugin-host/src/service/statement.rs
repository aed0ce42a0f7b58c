//! `store/1`, `catalog/1` and `sql/1`.

use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::{
    AbiBound, AbiEntry, AbiResult, AbiRows, entries_out, fields_out,
};
use heliosdb_plugin_api::abi::{ROption, RSlice, RStr, RVec};
use heliosdb_plugin_api::service::catalog::{AbiDependent, AbiObject};
use heliosdb_plugin_api::service::{CatalogV1, SqlV1, StoreV1};
use heliosdb_plugin_api::{Entry, Result};

use super::{caller, guarded};

pub(super) static STORE: StoreV1 = StoreV1 {
    get,
    range,
    put,
    remove,
};

pub(super) static CATALOG: CatalogV1 = CatalogV1 {
    create,
    find,
    get: get_object,
    list,
    rename,
    check_owner,
    drop: drop_object,
    depend,
    independent,
    dependents,
};

pub(super) static SQL: SqlV1 = SqlV1 { query };

extern "C" fn get(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    key: RSlice<'_, u8>,
) -> AbiResult<ROption<RVec<u8>>> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        let found = services.store_get(plugin, store.as_str(), key.as_slice())?;
        Ok(found.map(RVec::from).into())
    })
}

extern "C" fn range(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    from: AbiBound<'_>,
    to: AbiBound<'_>,
    limit: u64,
) -> AbiResult<RVec<AbiEntry>> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let pairs = services.store_range(plugin, store.as_str(), from.into(), to.into(), limit)?;
        let entries = pairs.into_iter().map(|(key, value)| Entry { key, value });
        Ok(entries_out(entries.collect()))
    })
}

extern "C" fn put(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    key: RSlice<'_, u8>,
    value: RSlice<'_, u8>,
) -> AbiResult<()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        services.store_put(plugin, store.as_str(), key.as_slice(), value.as_slice())
    })
}

extern "C" fn remove(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    key: RSlice<'_, u8>,
) -> AbiResult<()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        services.store_remove(plugin, store.as_str(), key.as_slice())
    })
}

extern "C" fn create(
    handle: *const (),
    statement: *const (),
    class: RStr<'_>,
    schema: ROption<RStr<'_>>,
    name: RStr<'_>,
) -> AbiResult<AbiObject> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        let schema = schema.into_option();
        let schema = schema.as_ref().map(|s| s.as_str());
        let object = services.object_create(plugin, class.as_str(), schema, name.as_str())?;
        Ok(object.into())
    })
}

extern "C" fn find(
    handle: *const (),
    statement: *const (),
    class: RStr<'_>,
    schema: ROption<RStr<'_>>,
    name: RStr<'_>,
) -> AbiResult<ROption<AbiObject>> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        let schema = schema.into_option();
        let schema = schema.as_ref().map(|s| s.as_str());
        let found = services.object_find(plugin, class.as_str(), schema, name.as_str())?;
        Ok(found.map(AbiObject::from).into())
    })
}

extern "C" fn get_object(
    handle: *const (),
    statement: *const (),
    oid: u32,
) -> AbiResult<ROption<AbiObject>> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        let found = services.object_get(plugin, oid)?;
        Ok(found.map(AbiObject::from).into())
    })
}

extern "C" fn list(
    handle: *const (),
    statement: *const (),
    class: RStr<'_>,
) -> AbiResult<RVec<AbiObject>> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        let all = services.objects(plugin, class.as_str())?;
        Ok(all.into_iter().map(AbiObject::from).collect())
    })
}

extern "C" fn rename(
    handle: *const (),
    statement: *const (),
    oid: u32,
    name: RStr<'_>,
) -> AbiResult<()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        services.object_rename(plugin, oid, name.as_str())
    })
}

extern "C" fn check_owner(handle: *const (), statement: *const (), oid: u32) -> AbiResult<()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        services.object_check_owner(plugin, oid)
    })
}

extern "C" fn drop_object(
    handle: *const (),
    statement: *const (),
    oid: u32,
    cascade: bool,
) -> AbiResult<()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        services.object_drop(plugin, oid, cascade)
    })
}

extern "C" fn depend(handle: *const (), statement: *const (), oid: u32, on: u32) -> AbiResult<()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        services.object_depend(plugin, oid, on)
    })
}

extern "C" fn independent(handle: *const (), statement: *const (), oid: u32) -> AbiResult<()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        services.object_independent(plugin, oid)
    })
}

extern "C" fn dependents(
    handle: *const (),
    statement: *const (),
    oid: u32,
) -> AbiResult<RVec<AbiDependent>> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        let all = services.object_dependents(plugin, oid)?;
        Ok(all.into_iter().map(AbiDependent::from).collect())
    })
}

extern "C" fn query(
    handle: *const (),
    statement: *const (),
    sql: RStr<'_>,
    parameters: RSlice<'_, ROption<RStr<'_>>>,
) -> AbiResult<AbiRows> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        let parameters: Vec<Option<&str>> = parameters
            .iter()
            .map(|p| p.as_ref().into_option().map(|p| p.as_str()))
            .collect();
        let result = services.query(sql.as_str(), &parameters)?;
        let mut batches = RVec::new();
        for batch in &result.batches {
            let columns = batch.iter().map(|array| AbiColumn::export(array, false));
            batches.push(columns.collect::<Result<RVec<_>>>()?);
        }
        Ok(AbiRows {
            tag: result.command_tag.into(),
            fields: fields_out(result.columns),
            batches,
        })
    })
}
