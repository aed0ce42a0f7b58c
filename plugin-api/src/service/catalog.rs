//! `catalog/1`: objects of the plugin's own classes among the database's objects.
//!
//! An object has an oid, a name in a schema and an owner. What it means is in the plugin's store,
//! by oid. Dependencies are PostgreSQL's `pg_depend`: DROP of an object that others need is refused,
//! DROP … CASCADE takes them along, and the plugin hears of it
//! ([`Plugin::on_event`](crate::Plugin::on_event)).

use abi_stable::std_types::{ROption, RStr, RString, RVec};
use abi_stable::StableAbi;

use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::error::{Error, Result};

/// An object of a plugin's class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    pub oid: u32,
    pub plugin: String,
    /// What messages call it: `JSON schema`.
    pub class: String,
    pub schema: String,
    pub name: String,
    pub owner: String,
}

/// Something that cannot be without an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    pub oid: u32,
    /// `constraint`, `view` or a plugin's class.
    pub class: String,
    /// Of a constraint: the table, qualified and quoted as SQL needs.
    pub table: Option<String>,
    /// Of a constraint on one column: the column's bare name.
    pub column: Option<String>,
    pub constraint: Option<String>,
    /// As DROP lists it in DETAIL.
    pub description: String,
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiObject {
    pub oid: u32,
    pub plugin: RString,
    pub class: RString,
    pub schema: RString,
    pub name: RString,
    pub owner: RString,
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiDependent {
    pub oid: u32,
    pub class: RString,
    pub table: ROption<RString>,
    pub column: ROption<RString>,
    pub constraint: ROption<RString>,
    pub description: RString,
}

/// The vtable of `catalog/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct CatalogV1 {
    pub create: extern "C" fn(
        host: *const (),
        statement: *const (),
        class: RStr<'_>,
        schema: ROption<RStr<'_>>,
        name: RStr<'_>,
    ) -> AbiResult<AbiObject>,
    pub find: extern "C" fn(
        host: *const (),
        statement: *const (),
        class: RStr<'_>,
        schema: ROption<RStr<'_>>,
        name: RStr<'_>,
    ) -> AbiResult<ROption<AbiObject>>,
    pub get: extern "C" fn(*const (), *const (), oid: u32) -> AbiResult<ROption<AbiObject>>,
    pub list: extern "C" fn(*const (), *const (), class: RStr<'_>) -> AbiResult<RVec<AbiObject>>,
    pub rename: extern "C" fn(*const (), *const (), oid: u32, name: RStr<'_>) -> AbiResult<()>,
    pub check_owner: extern "C" fn(*const (), *const (), oid: u32) -> AbiResult<()>,
    pub drop: extern "C" fn(*const (), *const (), oid: u32, cascade: bool) -> AbiResult<()>,
    pub depend: extern "C" fn(*const (), *const (), oid: u32, on: u32) -> AbiResult<()>,
    /// Forgets what `oid` depended on.
    pub independent: extern "C" fn(*const (), *const (), oid: u32) -> AbiResult<()>,
    pub dependents: extern "C" fn(*const (), *const (), oid: u32) -> AbiResult<RVec<AbiDependent>>,
}

unsafe impl Published for CatalogV1 {
    const ID: &'static str = "catalog/1";
}

/// The catalog of the statement.
#[derive(Clone, Copy)]
pub struct Catalog<'a> {
    host: *const (),
    statement: *const (),
    vtable: &'static CatalogV1,
    lifetime: std::marker::PhantomData<&'a ()>,
}

impl Catalog<'_> {
    pub(crate) fn new(
        host: *const (),
        statement: *const (),
        vtable: &'static CatalogV1,
    ) -> Catalog<'static> {
        Catalog {
            host,
            statement,
            vtable,
            lifetime: std::marker::PhantomData,
        }
    }

    /// A new object, owned by the current role, in `schema` or in the first schema of the
    /// search_path.
    ///
    /// # Errors
    ///
    /// `42710` when the name is taken in its class, `3F000` without such a schema.
    pub fn create(&self, class: &str, schema: Option<&str>, name: &str) -> Result<ObjectInfo> {
        let (class, name) = (class.into(), name.into());
        let schema = schema.map(RStr::from).into();
        let made = (self.vtable.create)(self.host, self.statement, class, schema, name);
        Ok(made.into_result().map_err(Error::from)?.into())
    }

    /// The object of that name in `schema` or along the search_path.
    pub fn find(
        &self,
        class: &str,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<ObjectInfo>> {
        let (class, name) = (class.into(), name.into());
        let schema = schema.map(RStr::from).into();
        let found = (self.vtable.find)(self.host, self.statement, class, schema, name);
        let found = found.into_result().map_err(Error::from)?;
        Ok(found.into_option().map(ObjectInfo::from))
    }

    pub fn get(&self, oid: u32) -> Result<Option<ObjectInfo>> {
        let found = (self.vtable.get)(self.host, self.statement, oid);
        let found = found.into_result().map_err(Error::from)?;
        Ok(found.into_option().map(ObjectInfo::from))
    }

    /// All objects of a class of this plugin, oldest first.
    pub fn list(&self, class: &str) -> Result<Vec<ObjectInfo>> {
        let all = (self.vtable.list)(self.host, self.statement, class.into());
        let all = all.into_result().map_err(Error::from)?;
        Ok(all.into_iter().map(ObjectInfo::from).collect())
    }

    pub fn rename(&self, oid: u32, name: &str) -> Result<()> {
        let done = (self.vtable.rename)(self.host, self.statement, oid, name.into());
        done.into_result().map_err(Error::from)
    }

    /// # Errors
    ///
    /// `42501` unless the current role owns the object or is a superuser.
    pub fn check_owner(&self, oid: u32) -> Result<()> {
        let done = (self.vtable.check_owner)(self.host, self.statement, oid);
        done.into_result().map_err(Error::from)
    }

    /// # Errors
    ///
    /// `2BP01` while something depends on the object and `cascade` is not set.
    pub fn drop(&self, oid: u32, cascade: bool) -> Result<()> {
        let done = (self.vtable.drop)(self.host, self.statement, oid, cascade);
        done.into_result().map_err(Error::from)
    }

    /// Records that the object `oid` cannot be without the object `on`.
    pub fn depend(&self, oid: u32, on: u32) -> Result<()> {
        let done = (self.vtable.depend)(self.host, self.statement, oid, on);
        done.into_result().map_err(Error::from)
    }

    /// Forgets all that `oid` depended on, before new dependencies are recorded.
    pub fn independent(&self, oid: u32) -> Result<()> {
        let done = (self.vtable.independent)(self.host, self.statement, oid);
        done.into_result().map_err(Error::from)
    }

    /// What depends directly on the object.
    pub fn dependents(&self, oid: u32) -> Result<Vec<Dependent>> {
        let all = (self.vtable.dependents)(self.host, self.statement, oid);
        let all = all.into_result().map_err(Error::from)?;
        Ok(all.into_iter().map(Dependent::from).collect())
    }
}

impl From<AbiObject> for ObjectInfo {
    fn from(o: AbiObject) -> ObjectInfo {
        ObjectInfo {
            oid: o.oid,
            plugin: o.plugin.into(),
            class: o.class.into(),
            schema: o.schema.into(),
            name: o.name.into(),
            owner: o.owner.into(),
        }
    }
}

impl From<ObjectInfo> for AbiObject {
    fn from(o: ObjectInfo) -> AbiObject {
        AbiObject {
            oid: o.oid,
            plugin: o.plugin.into(),
            class: o.class.into(),
            schema: o.schema.into(),
            name: o.name.into(),
            owner: o.owner.into(),
        }
    }
}

impl From<AbiDependent> for Dependent {
    fn from(d: AbiDependent) -> Dependent {
        Dependent {
            oid: d.oid,
            class: d.class.into(),
            table: d.table.into_option().map(String::from),
            column: d.column.into_option().map(String::from),
            constraint: d.constraint.into_option().map(String::from),
            description: d.description.into(),
        }
    }
}

impl From<Dependent> for AbiDependent {
    fn from(d: Dependent) -> AbiDependent {
        AbiDependent {
            oid: d.oid,
            class: d.class.into(),
            table: d.table.map(RString::from).into(),
            column: d.column.map(RString::from).into(),
            constraint: d.constraint.map(RString::from).into(),
            description: d.description.into(),
        }
    }
}
