//! Taking over the named schemas that are there: each becomes version 1 of a registered schema.
//!
//! Pure: an entry gives two or none, whatever stands beside it. The name is the catalog's and the time
//! the migration journal's, so neither is here.

use heliosdb_jsonschema_state::{self as schemas, v2};
use heliosdb_plugin_api::{Entry, Result, Step};

use crate::state::{Head, Origin, Stored, Version};

/// The version of the store `schemas` that is understood.
pub const FROM: u32 = 2;

/// Says what the adoption does. Never changes: databases remember it.
pub const CHECKSUM: &str = "schemas@2: version 1 of each schema, with the SHA-256 of its text";

/// See the module's header.
pub struct Adoption;

impl Step for Adoption {
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        let store = format!("{}.{}@{FROM}", schemas::PLUGIN, schemas::STORE);
        let mut out = Vec::with_capacity(entries.len());
        for entry in entries {
            // What leads from a URI to a schema is found through the schemas.
            let v2::Stored::Schema { oid, record } = v2::Stored::decode(&entry)? else {
                continue;
            };
            let head = Head {
                schema: None,
                name: None,
                last: 1,
                dropped: None,
            };
            let v2::Record { uri, draft, text } = record;
            let version = Version::new(uri, draft, text, Origin::Adopted(store.clone()), None);
            out.push(head.entry(oid));
            out.push(version.entry(oid, 1));
        }
        Ok(out)
    }

    fn check(&self, entry: &Entry) -> Result<()> {
        Stored::decode(entry)?.check()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use heliosdb_jsonschema_state::golden::{VERSION_2, entries};

    use super::*;

    fn adopt(batch: usize) -> Vec<Entry> {
        let golden = entries(VERSION_2);
        let batches = golden.chunks(batch);
        let adopted = batches.flat_map(|b| Adoption.migrate(b.to_vec()).expect("a step"));
        let mut adopted: Vec<Entry> = adopted.collect();
        adopted.sort();
        adopted
    }

    #[test]
    fn each_schema_becomes_version_1_in_any_batches() {
        let adopted = adopt(100);
        assert_eq!(adopt(1), adopted);
        let mut lines = Vec::new();
        for entry in &adopted {
            Adoption.check(entry).expect("the invariant holds");
            lines.push(format!(
                "{:?} {}",
                entry.key,
                String::from_utf8_lossy(&entry.value)
            ));
        }
        expect![[r#"
            [1, 0, 0, 64, 0] {"last":1}
            [1, 0, 0, 64, 6] {"last":1}
            [1, 0, 0, 64, 17] {"last":1}
            [2, 0, 0, 64, 0, 0, 0, 0, 1] {"uri":"json-schema:///public/person","text":"{\"type\": \"object\", \"required\": [\"name\"]}","digest":"f8302dc79ab4a303e634969176c509c5b10bceac1c9718d5ad6629180a77378d","origin":{"adopted":"jsonschema.schemas@2"}}
            [2, 0, 0, 64, 6, 0, 0, 0, 1] {"uri":"https://example.com/address","text":"{\"$id\": \"https://example.com/address\", \"$schema\": \"http://json-schema.org/draft-07/schema#\"}","digest":"691efe1f4ea356a8e5ffa0b69cde05531c4867cd80fbb94b0576f71d22ae8a4d","origin":{"adopted":"jsonschema.schemas@2"}}
            [2, 0, 0, 64, 17, 0, 0, 0, 1] {"uri":"json-schema:///shop/na%C3%AFve%20name","text":"true","digest":"b5bea41b6c623f7c09f1bf24dcae58ebab3c0cdd90ad966bc43a45b44867e12b","origin":{"adopted":"jsonschema.schemas@2"}}"#]].assert_eq(&lines.join("\n"));
    }

    #[test]
    fn what_version_2_never_wrote_stops_it() {
        let entry = Entry {
            key: vec![1, 0, 0, 0, 1],
            value: b"{}".to_vec(),
        };
        assert!(Adoption.migrate(vec![entry]).is_err());
    }
}
