//! Entries of version 1, which are only read, by the step to version 2.

use crate::error::{Kind, Result};

/// A named schema as version 1 kept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub oid: u32,
    pub schema: &'a str,
    pub name: &'a str,
    pub text: &'a str,
}

impl<'a> Entry<'a> {
    pub fn decode(entry: &'a heliosdb_plugin_api::Entry) -> Result<Entry<'a>> {
        let (key, value) = (&entry.key, &entry.value);
        let damaged = || {
            Kind::Damaged
                .error("JSON schema of state version 1 cannot be read")
                .with_detail(format!("Its key is {key:?}."))
        };
        let (oid, names) = key.split_first_chunk::<4>().ok_or_else(damaged)?;
        let names = std::str::from_utf8(names).map_err(|_| damaged())?;
        let (schema, name) = names.split_once('\0').ok_or_else(damaged)?;
        let text = std::str::from_utf8(value).map_err(|_| damaged())?;
        Ok(Entry {
            oid: u32::from_be_bytes(*oid),
            schema,
            name,
            text,
        })
    }

    /// For tests of the step: nothing writes version 1 any more.
    #[cfg(test)]
    pub fn encode(&self) -> heliosdb_plugin_api::Entry {
        let mut key = self.oid.to_be_bytes().to_vec();
        key.extend_from_slice(self.schema.as_bytes());
        key.push(0);
        key.extend_from_slice(self.name.as_bytes());
        heliosdb_plugin_api::Entry {
            key,
            value: self.text.as_bytes().to_vec(),
        }
    }
}
