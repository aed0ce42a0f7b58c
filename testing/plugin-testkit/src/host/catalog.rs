//! `catalog/1`: objects in one schema, `public`, all owned by one role.

use std::collections::BTreeMap;

use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{ROption, RStr, RVec};
use heliosdb_plugin_api::service::catalog::{AbiDependent, AbiObject};
use heliosdb_plugin_api::service::{CatalogV1, Dependent, ObjectInfo};
use heliosdb_plugin_api::{CatalogEvent, Error, Result, SqlState, state};

use super::{Inner, TestHost, answer, lock};

const FIRST_OID: u32 = 16384;
const SCHEMA: &str = "public";

#[derive(Default)]
pub struct Objects {
    made: u32,
    objects: BTreeMap<u32, ObjectInfo>,
    /// (dependent, on what)
    depends: Vec<(u32, u32)>,
    /// Constraints and views of the kernel's, as a test put them there: (on what, who).
    others: Vec<(u32, Dependent)>,
    /// Objects that the current role does not own.
    foreign: Vec<u32>,
}

impl TestHost {
    /// All objects of the plugin.
    pub fn objects(&self) -> Vec<ObjectInfo> {
        lock(&self.0.catalog).objects.values().cloned().collect()
    }

    /// Something of the kernel's that needs the object, such as a table's constraint.
    pub fn add_dependent(&self, on: u32, dependent: Dependent) {
        lock(&self.0.catalog).others.push((on, dependent));
    }

    /// What depends on the object.
    pub fn dependents_of(&self, oid: u32) -> Vec<Dependent> {
        lock(&self.0.catalog).dependents(oid)
    }

    /// From now on the object belongs to another role.
    pub fn disown(&self, oid: u32) {
        lock(&self.0.catalog).foreign.push(oid);
    }
}

pub static CATALOG: CatalogV1 = CatalogV1 {
    create,
    find,
    get,
    list,
    rename,
    check_owner,
    drop: drop_object,
    depend,
    independent,
    dependents,
};

extern "C" fn create(
    host: *const (),
    statement: *const (),
    class: RStr<'_>,
    schema: ROption<RStr<'_>>,
    name: RStr<'_>,
) -> AbiResult<AbiObject> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut catalog = lock(&host.catalog);
        let schema = known_schema(schema)?;
        if catalog.find(&class, &name).is_some() {
            let message = format!("{class} \"{name}\" already exists");
            return Err(Error::new(state::DUPLICATE_OBJECT, message));
        }
        catalog.made += 1;
        let object = ObjectInfo {
            oid: FIRST_OID + catalog.made,
            plugin: "test".to_owned(),
            class: class.to_string(),
            schema: schema.to_owned(),
            name: name.to_string(),
            owner: "tester".to_owned(),
        };
        catalog.objects.insert(object.oid, object.clone());
        Ok(object.into())
    })
}

fn known_schema(schema: ROption<RStr<'_>>) -> Result<&'static str> {
    match schema.into_option() {
        Some(schema) if schema.as_str() != SCHEMA => {
            let message = format!("schema \"{schema}\" does not exist");
            Err(Error::new(SqlState::new("3F000"), message))
        }
        _ => Ok(SCHEMA),
    }
}

impl Objects {
    fn find(&self, class: &str, name: &str) -> Option<&ObjectInfo> {
        let is_it = |o: &&ObjectInfo| o.class == class && o.name == name;
        self.objects.values().find(is_it)
    }

    fn known(&mut self, oid: u32) -> Result<&mut ObjectInfo> {
        let missing = || {
            let message = format!("no object has oid {oid}");
            Error::new(state::UNDEFINED_OBJECT, message)
        };
        self.objects.get_mut(&oid).ok_or_else(missing)
    }

    fn dependents(&self, on: u32) -> Vec<Dependent> {
        let of_plugin = self.depends.iter().filter(|(_, target)| *target == on);
        let of_plugin = of_plugin.filter_map(|(oid, _)| self.objects.get(oid));
        let of_plugin = of_plugin.map(|o| Dependent {
            oid: o.oid,
            class: o.class.clone(),
            table: None,
            column: None,
            constraint: None,
            description: format!("{} {}", o.class, o.name),
        });
        let others = self.others.iter().filter(|(target, _)| *target == on);
        of_plugin.chain(others.map(|(_, d)| d.clone())).collect()
    }
}

extern "C" fn find(
    host: *const (),
    statement: *const (),
    class: RStr<'_>,
    schema: ROption<RStr<'_>>,
    name: RStr<'_>,
) -> AbiResult<ROption<AbiObject>> {
    answer(host, statement, |host| {
        if known_schema(schema).is_err() {
            return Ok(ROption::RNone);
        }
        let catalog = lock(&host.catalog);
        let found = catalog.find(&class, &name).cloned();
        Ok(found.map(AbiObject::from).into())
    })
}

extern "C" fn get(
    host: *const (),
    statement: *const (),
    oid: u32,
) -> AbiResult<ROption<AbiObject>> {
    answer(host, statement, |host| {
        let found = lock(&host.catalog).objects.get(&oid).cloned();
        Ok(found.map(AbiObject::from).into())
    })
}

extern "C" fn list(
    host: *const (),
    statement: *const (),
    class: RStr<'_>,
) -> AbiResult<RVec<AbiObject>> {
    answer(host, statement, |host| {
        let catalog = lock(&host.catalog);
        let of_class = catalog
            .objects
            .values()
            .filter(|o| o.class == class.as_str());
        Ok(of_class.cloned().map(AbiObject::from).collect())
    })
}

extern "C" fn rename(
    host: *const (),
    statement: *const (),
    oid: u32,
    name: RStr<'_>,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        let event = {
            let mut catalog = lock(&host.catalog);
            let object = catalog.known(oid)?;
            let old_name = std::mem::replace(&mut object.name, name.to_string());
            CatalogEvent::Renamed {
                object: object.clone(),
                old_name,
            }
        };
        host.tell(&event)
    })
}

extern "C" fn check_owner(host: *const (), statement: *const (), oid: u32) -> AbiResult<()> {
    answer(host, statement, |host| {
        let mut catalog = lock(&host.catalog);
        let foreign = catalog.foreign.contains(&oid);
        let object = catalog.known(oid)?;
        if foreign {
            let message = format!("must be owner of {} {}", object.class, object.name);
            return Err(Error::new(state::INSUFFICIENT_PRIVILEGE, message));
        }
        Ok(())
    })
}

extern "C" fn drop_object(
    host: *const (),
    statement: *const (),
    oid: u32,
    cascade: bool,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        drop_with(host, oid, cascade)
    })
}

fn drop_with(host: &Inner, oid: u32, cascade: bool) -> Result<()> {
    let (object, dependents) = {
        let mut catalog = lock(&host.catalog);
        let object = catalog.known(oid)?.clone();
        let dependents = catalog.dependents(oid);
        if !dependents.is_empty() && !cascade {
            let list: Vec<String> = dependents.iter().map(|d| d.description.clone()).collect();
            let what = format!("{} {}", object.class, object.name);
            return Err(Error::new(
                state::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop {what} because other objects depend on it"),
            )
            .with_detail(list.join("\n")));
        }
        catalog.objects.remove(&oid);
        catalog
            .depends
            .retain(|(from, on)| *from != oid && *on != oid);
        catalog.others.retain(|(on, _)| *on != oid);
        (object, dependents)
    };
    for dependent in dependents {
        let still_there = lock(&host.catalog).objects.contains_key(&dependent.oid);
        if still_there {
            drop_with(host, dependent.oid, true)?;
        }
    }
    host.tell(&CatalogEvent::Dropped(object))
}

extern "C" fn depend(host: *const (), statement: *const (), oid: u32, on: u32) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut catalog = lock(&host.catalog);
        catalog.known(oid)?;
        catalog.known(on)?;
        catalog.depends.push((oid, on));
        Ok(())
    })
}

extern "C" fn independent(host: *const (), statement: *const (), oid: u32) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut catalog = lock(&host.catalog);
        catalog.depends.retain(|(from, _)| *from != oid);
        Ok(())
    })
}

extern "C" fn dependents(
    host: *const (),
    statement: *const (),
    oid: u32,
) -> AbiResult<RVec<AbiDependent>> {
    answer(host, statement, |host| {
        let found = lock(&host.catalog).dependents(oid);
        Ok(found.into_iter().map(AbiDependent::from).collect())
    })
}
