//! The format against its golden entries.

use heliosdb_jsonschema_state::golden::entries;

use super::*;

fn write(entries: &[Entry]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let line = |e: &Entry| format!("{}:{}\n", hex(&e.key), hex(&e.value));
    entries.iter().map(line).collect()
}

fn mark(at: i64) -> Mark {
    Mark {
        at,
        by: "ada".to_owned(),
    }
}

/// What the golden entries say: a schema that was adopted and altered, one that is as it was adopted,
/// and one that was made by a statement, altered while the plugin was off, and dropped.
fn golden() -> Vec<Entry> {
    let adopted = || Origin::Adopted("jsonschema.schemas@2".to_owned());
    let command = |prefix: &str| Origin::Command(prefix.to_owned());
    let version = |uri: &str, draft, text: &str, origin, recorded| {
        Version::new(uri.to_owned(), draft, text.to_owned(), origin, recorded)
    };
    let person = "json-schema:///public/person";
    let heads = [
        Head {
            schema: Some("public".to_owned()),
            name: Some("person".to_owned()),
            last: 2,
            dropped: None,
        }
        .entry(16384),
        Head {
            schema: None,
            name: None,
            last: 1,
            dropped: None,
        }
        .entry(16390),
        Head {
            schema: Some("shop".to_owned()),
            name: Some("naïve name".to_owned()),
            last: 2,
            dropped: Some(mark(1_700_000_000_000_000)),
        }
        .entry(16401),
    ];
    let versions = [
        version(person, None, r#"{"type": "object"}"#, adopted(), None).entry(16384, 1),
        version(
            person,
            Some(Draft::Draft7),
            "true",
            command("ALTER JSON SCHEMA"),
            Some(mark(1_600_000_000_000_000)),
        )
        .entry(16384, 2),
        version("urn:x", None, "false", adopted(), None).entry(16390, 1),
        version(
            "urn:y",
            None,
            "{}",
            command("CREATE JSON SCHEMA"),
            Some(mark(1_500_000_000_000_000)),
        )
        .entry(16401, 1),
        version(
            "urn:y",
            None,
            "{\"a\": \"ü\"}",
            Origin::Found,
            Some(mark(1_550_000_000_000_000)),
        )
        .entry(16401, 2),
    ];
    heads.into_iter().chain(versions).collect()
}

#[test]
fn golden_entries_are_what_is_written_and_read() {
    assert_eq!(write(&golden()), GOLDEN_1);
    for entry in entries(GOLDEN_1) {
        let stored = Stored::decode(&entry).expect("an entry");
        stored.check().expect("the invariant holds");
        let again = match stored {
            Stored::Head { oid, head } => head.entry(oid),
            Stored::Version {
                oid,
                number,
                version,
            } => version.entry(oid, number),
        };
        assert_eq!(again, entry);
    }
}

#[test]
fn what_was_never_written_is_refused() {
    let golden = golden();
    let (head, version) = (&golden[0], &golden[3]);
    let with = |key: &[u8], value: &[u8]| Entry {
        key: key.to_vec(),
        value: value.to_vec(),
    };
    for entry in [
        with(&[], &[]),
        with(&[3, 0, 0, 0, 1], &head.value),
        with(&head.key[..4], &head.value),
        with(&version.key, &head.value),
        with(&head.key, &version.value),
        with(&version_key(1, 0), &version.value),
        with(&head.key, br#"{"last": 0}"#),
        with(&head.key, br#"{"last": 1, "more": 1}"#),
        with(&head.key, br#"{"last": 4294967296}"#),
    ] {
        assert!(Stored::decode(&entry).is_err(), "{entry:?}");
    }
    let text = String::from_utf8(version.value.clone()).expect("JSON");
    let other = text.replace("object", "array");
    assert_ne!(other, text);
    let entry = with(&version.key, other.as_bytes());
    let stored = Stored::decode(&entry).expect("an entry");
    assert!(stored.check().is_err(), "the digest is of another text");
}
