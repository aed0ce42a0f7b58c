//! Entries of version 1, which are only read, by the step to version 2.

use heliosdb_plugin_api::Result;

use crate::damaged;

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
        let unreadable = || {
            damaged(
                "JSON schema of state version 1 cannot be read",
                format!("Its key is {key:?}."),
            )
        };
        let (oid, names) = key.split_first_chunk::<4>().ok_or_else(unreadable)?;
        let names = std::str::from_utf8(names).map_err(|_| unreadable())?;
        let (schema, name) = names.split_once('\0').ok_or_else(unreadable)?;
        let text = std::str::from_utf8(value).map_err(|_| unreadable())?;
        Ok(Entry {
            oid: u32::from_be_bytes(*oid),
            schema,
            name,
            text,
        })
    }

    /// What version 1 wrote. No server writes it any more; tests make old state of it.
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
