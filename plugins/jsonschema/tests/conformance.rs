//! The suite that every plugin must pass, and the plugin's state through its statements.

use std::sync::Arc;

use arrow_array::{ArrayRef, LargeStringArray, StringViewArray};
use heliosdb_jsonschema::JsonSchema;
use heliosdb_plugin_api::Entry;
use heliosdb_plugin_testkit::{Samples, Started, TestHost};

/// The oid that the test host gives to the first object.
const FIRST: u32 = 16385;

const PERSON: &str = r#"CREATE JSON SCHEMA person AS '{"required": ["name"]}'"#;

fn prepare(plugin: &Started) {
    plugin.command(PERSON).expect("a schema");
}

fn json(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(texts.iter().copied().collect::<LargeStringArray>())
}

fn text(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(texts.iter().copied().collect::<StringViewArray>())
}

fn samples() -> Samples {
    let schemas = [Some(r#"{"type": "integer"}"#), Some("true"), None];
    let documents = [Some("1"), Some("{}"), Some("null")];
    let named = [
        Some("person"),
        Some("public.PERSON"),
        Some(r#"{"$ref": "public/person"}"#),
        Some("nobody"),
    ];
    let people = [
        Some(r#"{"name": 1}"#),
        Some("{}"),
        Some("[]"),
        Some("\"x\""),
    ];
    let mut samples = Samples::new()
        .prepare(prepare)
        .command("CREATE JSON SCHEMA IF NOT EXISTS other URI 'urn:x' DRAFT '7' AS 'true'")
        .command("ALTER JSON SCHEMA other AS $${\"$ref\": \"json-schema:///public/person\"}$$")
        .command("ALTER JSON SCHEMA other RENAME TO another")
        .command("DROP JSON SCHEMA IF EXISTS another, nobody RESTRICT")
        .clause("validate_using_schema", &["person"])
        .clause("validate_using_schema", &["public.\"person\""])
        .constraint("json_schema", &FIRST.to_string(), vec![json(&people)])
        .arguments("jsonschema_is_valid", vec![json(&schemas)]);
    for function in ["json_matches_schema", "jsonb_matches_schema"] {
        samples = samples.arguments(function, vec![json(&schemas), json(&documents)]);
    }
    for function in [
        "jsonschema_matches",
        "jsonschema_errors",
        "jsonschema_validation_errors",
    ] {
        samples = samples.arguments(function, vec![text(&named[..3]), json(&people[..3])]);
    }
    samples
}

heliosdb_plugin_testkit::conformance!(JsonSchema, samples());

fn keys(host: &TestHost) -> Vec<Vec<u8>> {
    let entries = host.store("schemas").into_iter();
    entries.map(|Entry { key, .. }| key).collect()
}

#[test]
fn state_comes_and_goes_with_the_objects() {
    let host = TestHost::new();
    let plugin = Started::new::<JsonSchema>(&host);
    prepare(&plugin);
    let one = keys(&host);
    assert_eq!(one.len(), 2, "the schema and its URI");
    let pet = r#"CREATE JSON SCHEMA pet AS '{"properties": {"owner": {"$ref": "person"}}}'"#;
    plugin.command(pet).expect("a schema");
    assert_eq!(host.dependents_of(FIRST).len(), 1);

    let rename = "ALTER JSON SCHEMA person RENAME TO human";
    plugin.command(rename).expect("renamed");
    assert!(one.iter().all(|key| keys(&host).contains(key)));
    let refused = plugin.command("DROP JSON SCHEMA human").expect_err("used");
    assert_eq!(refused.error.sqlstate.as_str(), "2BP01");

    plugin
        .command("ALTER JSON SCHEMA pet AS 'true'")
        .expect("altered");
    assert_eq!(host.dependents_of(FIRST).len(), 0, "nothing refers to it");
    plugin.command("DROP JSON SCHEMA human").expect("dropped");
    plugin
        .command("DROP JSON SCHEMA pet CASCADE")
        .expect("dropped");
    assert_eq!(keys(&host), Vec::<Vec<u8>>::new());
}

#[test]
fn a_change_must_leave_what_refers_to_it_usable() {
    let host = TestHost::new();
    let plugin = Started::new::<JsonSchema>(&host);
    for statement in [
        r#"CREATE JSON SCHEMA parts AS '{"$defs": {"n": {"type": "integer"}}}'"#,
        r##"CREATE JSON SCHEMA whole AS '{"items": {"$ref": "parts#/$defs/n"}}'"##,
    ] {
        plugin.command(statement).expect("a schema");
    }
    let change = plugin.command("ALTER JSON SCHEMA parts AS 'true'");
    let error = change.expect_err("the part is gone").error;
    assert_eq!(error.sqlstate.as_str(), "22023");
    assert!(error.message.contains("public.whole"), "{}", error.message);
}

#[test]
fn only_its_owner_changes_a_schema() {
    let host = TestHost::new();
    let plugin = Started::new::<JsonSchema>(&host);
    prepare(&plugin);
    host.disown(FIRST);
    for statement in [
        "ALTER JSON SCHEMA person AS 'true'",
        "ALTER JSON SCHEMA person RENAME TO human",
        "DROP JSON SCHEMA person",
    ] {
        let error = plugin.command(statement).expect_err("not the owner").error;
        assert_eq!(error.sqlstate.as_str(), "42501", "{statement}");
    }
}
