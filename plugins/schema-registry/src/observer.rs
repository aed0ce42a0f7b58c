//! Statements about named schemas become versions.
//!
//! Told that a statement had some schemas in hand, the recorder compares all that are there with what
//! it keeps. So it needs no knowledge of what the statements mean, and what happened while the plugin
//! was off is found. It costs a statement about schemas a pass over the texts of all of them, which the
//! statement is slow enough for.

use heliosdb_plugin_api::service::{ObjectInfo, Store};
use heliosdb_plugin_api::{Context, Entry, Observer, Result};

use crate::named::{self, Schema};
use crate::state::{Head, Mark, Origin, STORE, Version, head_key, version_key};

/// Keeps versions of the schemas of the plugin jsonschema.
pub struct Recorder;

impl Observer for Recorder {
    fn changed(&self, cx: &Context<'_>, command: &str, objects: &[ObjectInfo]) -> Result<()> {
        let registry = Registry::new(cx)?;
        for (oid, schema) in named::schemas(cx)? {
            cx.check_cancelled()?;
            let origin = match objects.iter().any(|object| object.oid == oid) {
                true => Origin::Command(command.to_owned()),
                false => Origin::Found,
            };
            registry.record(oid, &schema, origin)?;
        }
        Ok(())
    }

    /// A schema that the registry never heard of left nothing that could be kept.
    fn dropped(&self, cx: &Context<'_>, object: &ObjectInfo) -> Result<()> {
        let registry = Registry::new(cx)?;
        let Some(head) = registry.head(object.oid)? else {
            return Ok(());
        };
        let head = Head {
            schema: Some(object.schema.clone()),
            name: Some(object.name.clone()),
            dropped: Some(registry.mark()?),
            ..head
        };
        registry.put(head.entry(object.oid))
    }
}

/// The registry's store in a statement that may write.
struct Registry<'a> {
    cx: &'a Context<'a>,
    store: Store<'a>,
}

impl<'a> Registry<'a> {
    fn new(cx: &'a Context<'a>) -> Result<Registry<'a>> {
        Ok(Registry {
            cx,
            store: cx.store(STORE)?,
        })
    }

    fn head(&self, oid: u32) -> Result<Option<Head>> {
        let head = self.store.get(&head_key(oid))?;
        head.map(|value| Head::decode(&value)).transpose()
    }

    fn put(&self, Entry { key, value }: Entry) -> Result<()> {
        self.store.put(&key, &value)
    }

    /// Now, and who runs the statement.
    fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            at: self.cx.host().clock()?.now_us(),
            by: named::role(self.cx)?,
        })
    }

    /// A new version, if the schema is not as its last version says; and its name, if that is another.
    fn record(&self, oid: u32, schema: &Schema, origin: Origin) -> Result<()> {
        let head = self.head(oid)?;
        let last = head.as_ref().map_or(0, |head| head.last);
        let is_recorded = match self.store.get(&version_key(oid, last))? {
            Some(value) => Version::decode(&value)?.is_of(&schema.text, schema.draft),
            None => false,
        };
        let now = Head {
            schema: Some(schema.schema.clone()),
            name: Some(schema.name.clone()),
            last: if is_recorded {
                last
            } else {
                last.saturating_add(1)
            },
            dropped: None,
        };
        if !is_recorded {
            let Schema {
                uri, draft, text, ..
            } = schema.clone();
            let version = Version::new(uri, draft, text, origin, Some(self.mark()?));
            self.put(version.entry(oid, now.last))?;
        }
        match head == Some(now.clone()) {
            true => Ok(()),
            false => self.put(now.entry(oid)),
        }
    }
}
