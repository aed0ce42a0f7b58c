//! The step of the store `schemas` from version 1 to version 2.
//!
//! Pure: an entry gives two, whatever stands beside it, so entries may come in any batches. The URI
//! of a schema is settled here as creating it would settle it today; a text that is no schema stops
//! the migration.

use heliosdb_jsonschema_state::{v1, v2};
use heliosdb_plugin_api::{Entry, Result, Step};

use crate::schema::{Source, default_uri};

/// Says what the step does. Never changes: databases remember it.
pub const CHECKSUM: &str =
    "schemas 1-2: by oid; URI from $id or json-schema:///schema/name; URI keys";

/// See the module's header.
pub struct OneToTwo;

impl Step for OneToTwo {
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        one_to_two(&entries)
    }

    /// It can be read, and its schema can be read by its draft.
    fn check(&self, entry: &Entry) -> Result<()> {
        match v2::Stored::decode(entry)? {
            v2::Stored::Schema { record, .. } => Source::named(&record).read().map(|_| ()),
            v2::Stored::Uri { .. } => Ok(()),
        }
    }
}

fn one_to_two(entries: &[Entry]) -> Result<Vec<Entry>> {
    let mut out = Vec::with_capacity(entries.len() * 2);
    for entry in entries {
        let old = v1::Entry::decode(entry)?;
        let source = Source::anonymous(old.text);
        let uri = source.settle_uri(None, &default_uri(old.schema, old.name))?;
        out.push(Entry {
            key: v2::uri_key(&uri, old.oid),
            value: Vec::new(),
        });
        let record = v2::Record {
            uri,
            draft: None,
            text: old.text.to_owned(),
        };
        out.push(Entry {
            key: v2::schema_key(old.oid),
            value: record.encode(),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use heliosdb_jsonschema_state::golden::{VERSION_1, VERSION_2, entries};

    use super::*;

    fn write(entries: &[Entry]) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let line = |e: &Entry| format!("{}:{}\n", hex(&e.key), hex(&e.value));
        entries.iter().map(line).collect()
    }

    fn old() -> Vec<Entry> {
        let entry = |oid, schema, name, text| v1::Entry {
            oid,
            schema,
            name,
            text,
        };
        [
            entry(
                16384,
                "public",
                "person",
                r#"{"type": "object", "required": ["name"]}"#,
            ),
            entry(
                16390,
                "public",
                "address",
                r#"{"$id": "https://example.com/address", "$schema": "http://json-schema.org/draft-07/schema#"}"#,
            ),
            entry(16401, "shop", "naïve name", "true"),
        ]
        .iter()
        .map(v1::Entry::encode)
        .collect()
    }

    fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.sort();
        entries
    }

    #[test]
    fn golden_state_of_version_1_becomes_that_of_version_2() {
        assert_eq!(write(&old()), VERSION_1);
        let new = sorted(one_to_two(&entries(VERSION_1)).expect("a step"));
        assert_eq!(write(&new), VERSION_2);
        for entry in &new {
            OneToTwo.check(entry).expect("the invariant holds");
        }
    }

    #[test]
    fn golden_state_of_version_2_is_what_todays_code_reads() {
        let mut found = Vec::new();
        for Entry { key, value } in entries(VERSION_2) {
            if let v2::Key::Schema(oid) = v2::Key::decode(&key).expect("a key") {
                let record = v2::Record::decode(&value).expect("a record");
                found.push((oid, record.uri.clone()));
                assert_eq!(record.encode(), value);
            }
        }
        let expected = [
            (16384, "json-schema:///public/person"),
            (16390, "https://example.com/address"),
            (16401, "json-schema:///shop/na%C3%AFve%20name"),
        ];
        assert_eq!(found, expected.map(|(oid, uri)| (oid, uri.to_owned())));
    }

    #[test]
    fn batches_make_no_difference() {
        let whole = sorted(one_to_two(&old()).expect("a step"));
        let each = old().into_iter();
        let each = each.flat_map(|entry| one_to_two(&[entry]).expect("a step"));
        assert_eq!(sorted(each.collect()), whole);
    }

    #[test]
    fn what_is_no_schema_stops_the_step() {
        for text in ["", "1", "{", r#"{"$schema": 1, "#] {
            let entry = v1::Entry {
                oid: 1,
                schema: "public",
                name: "x",
                text,
            };
            assert!(one_to_two(&[entry.encode()]).is_err(), "{text}");
        }
        let broken = Entry {
            key: vec![0, 0, 0],
            value: Vec::new(),
        };
        assert!(one_to_two(&[broken]).is_err());
    }
}
