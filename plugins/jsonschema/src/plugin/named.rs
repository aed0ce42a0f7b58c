//! Schemas that have names: catalog and store together.

use std::ops::Bound;

use heliosdb_jsonschema_state::{CLASS, STORE, v2};
use heliosdb_plugin_api::service::{Catalog, ObjectInfo, Store};
use heliosdb_plugin_api::{Context, Error, Result, state as sqlstate};

use super::name::Name;
use crate::error::Kind;
use crate::schema::{Registered, RegisteredSchema};

/// The named schemas as a statement sees them.
pub struct Named<'a> {
    catalog: Catalog<'a>,
    store: Store<'a>,
}

impl<'a> Named<'a> {
    pub fn new(cx: &Context<'a>) -> Result<Named<'a>> {
        Ok(Named {
            catalog: cx.catalog()?,
            store: cx.store(STORE)?,
        })
    }

    pub fn catalog(&self) -> Catalog<'a> {
        self.catalog
    }

    /// The object of a name that must exist.
    pub fn find(&self, name: &Name) -> Result<ObjectInfo> {
        let found = self.find_maybe(name)?;
        found.ok_or_else(|| undefined(&name.display()))
    }

    pub fn find_maybe(&self, name: &Name) -> Result<Option<ObjectInfo>> {
        self.catalog.find(CLASS, name.schema.as_deref(), &name.name)
    }

    /// What is stored of an object.
    pub fn record(&self, oid: u32) -> Result<v2::Record> {
        match self.store.get(&v2::schema_key(oid))? {
            Some(value) => v2::Record::decode(&value),
            None => {
                Err(Kind::Damaged.error(format!("JSON schema with OID {oid} has no stored schema")))
            }
        }
    }

    /// The oid of the schema that has a URI. Entries of a schema that was dropped while the plugin
    /// was off are still in the store; the catalog says that it is gone.
    pub fn by_uri(&self, uri: &str) -> Result<Option<u32>> {
        let (from, to) = v2::uri_range(uri);
        for entry in self.store.range(as_slice(&from), as_slice(&to))? {
            if let v2::Key::Uri(_, oid) = v2::Key::decode(&entry.key)?
                && self.catalog.get(oid)?.is_some()
            {
                return Ok(Some(oid));
            }
        }
        Ok(None)
    }

    /// Stores a new schema under its object's oid and its URI.
    pub fn insert(&self, oid: u32, record: &v2::Record) -> Result<()> {
        if let Some(other) = self.by_uri(&record.uri)? {
            let error = Error::new(
                sqlstate::DUPLICATE_OBJECT,
                format!("JSON schema with URI \"{}\" already exists", record.uri),
            );
            return Err(match self.catalog.get(other)? {
                Some(o) => error.with_detail(format!("It is {}.{}.", o.schema, o.name)),
                None => error,
            });
        }
        self.store.put(&v2::uri_key(&record.uri, oid), &[])?;
        self.update(oid, record)
    }

    /// Stores another schema for the oid, of the same URI.
    pub fn update(&self, oid: u32, record: &v2::Record) -> Result<()> {
        self.store.put(&v2::schema_key(oid), &record.encode())
    }

    /// Forgets the schema of an object that is gone.
    pub fn remove(&self, oid: u32) -> Result<()> {
        let Some(value) = self.store.get(&v2::schema_key(oid))? else {
            return Ok(());
        };
        // A record that cannot be read must not keep the object from being dropped.
        if let Ok(record) = v2::Record::decode(&value) {
            self.store.remove(&v2::uri_key(&record.uri, oid))?;
        }
        self.store.remove(&v2::schema_key(oid))
    }
}

impl Registered for Named<'_> {
    fn by_uri(&self, uri: &str) -> Result<Option<RegisteredSchema>> {
        let found = Named::by_uri(self, uri)?;
        let record = found.map(|oid| self.record(oid)).transpose()?;
        Ok(record.map(RegisteredSchema::from))
    }
}

pub fn undefined(name: &str) -> Error {
    Kind::UndefinedSchema.error(format!("JSON schema \"{name}\" does not exist"))
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
