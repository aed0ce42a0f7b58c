//! What schemas promise beyond the test suite: no reading from outside, linear patterns, a stack
//! that holds, digits that stay, errors that say why.

use std::collections::HashMap;

use expect_test::{Expect, expect};

use super::*;
use crate::document::{self, Parser};
use crate::error::{Error, Kind, Result};
use crate::stack::Watch;

/// Registered schemas, by URI.
struct Named(HashMap<&'static str, &'static str>);

impl Registered for Named {
    fn by_uri(&self, uri: &str) -> Result<Option<RegisteredSchema>> {
        Ok(self.0.get(uri).map(|text| RegisteredSchema {
            text: (*text).into(),
            draft: None,
        }))
    }
}

fn compiled(schema: &str) -> Compiled {
    Compiled::new(Source::anonymous(schema), &Unregistered).expect("a schema")
}

fn refused(schema: &str) -> Error {
    Compiled::new(Source::anonymous(schema), &Unregistered).expect_err("no schema")
}

fn matches(schema: &Compiled, instance: &str) -> Result<bool> {
    let mut parser = Parser::new();
    schema.matches(&parser.parse(instance, document::DEPTH_MAX)?)
}

fn valid(schema: &str, instance: &str) -> bool {
    matches(&compiled(schema), instance).expect("checked")
}

fn check(schema: &str, instance: &str, expected: Expect) {
    let mut parser = Parser::new();
    let document = parser.parse(instance, document::DEPTH_MAX).expect("JSON");
    let violations = compiled(schema).violations(&document, 3).expect("checked");
    expected.assert_eq(&violations.to_string());
}

fn check_refused(schema: &str, expected: Expect) {
    let error = refused(schema);
    let mut text = format!("{}: {error}", error.sqlstate);
    let parts = [("DETAIL", error.detail), ("HINT", error.hint)];
    for (part, said) in parts {
        if let Some(said) = said {
            text += &format!("\n{part}: {said}");
        }
    }
    expected.assert_eq(&text);
}

#[test]
fn violations_name_the_value_and_the_keyword() {
    check(
        r#"{"properties": {"a/b": {"items": {"type": "integer"}}, "n": false}, "required": ["x"]}"#,
        r#"{"a/b": [1, "two", 3.5], "n": null}"#,
        expect![[r#"
            At "", required: "x" is a required property.
            At "/n", false: False schema does not allow null.
            At "/a~1b/1", type: "two" is not of type "integer".
            1 more."#]],
    );
}

#[test]
fn long_values_are_not_quoted() {
    let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(1000));
    check(
        r#"{"required": ["b"], "type": "array"}"#,
        &long,
        expect![[r#"
        At "", type: value is not of type "array".
        At "", required: "b" is a required property."#]],
    );
    check(
        r#"{"properties": {"a": {"maxLength": 3}}}"#,
        &long,
        expect![[r#"At "/a", maxLength: value is longer than 3 characters."#]],
    );
}

#[test]
fn schemas_that_are_none_are_refused_with_a_place() {
    check_refused(
        r#"{"properties": {"a": {"type": "strong"}}}"#,
        expect![[r#"
            22023: invalid JSON schema
            DETAIL: At "/properties/a/type": "strong" is not valid under any of the schemas listed in the 'anyOf' keyword (anyOf)."#]],
    );
    check_refused(
        r#"{"$schema": "http://json-schema.org/draft-03/schema#"}"#,
        expect![[r#"
            22023: unrecognized JSON Schema draft "http://json-schema.org/draft-03/schema#"
            HINT: Drafts are 4, 6, 7, 2019-09, 2020-12."#]],
    );
    check_refused(
        "12",
        expect!["22023: JSON schema must be an object or a boolean"],
    );
    check_refused(
        r#"{"type": }"#,
        expect![[r#"
            22P02: invalid input syntax for type json
            DETAIL: Character "}" at byte 10 is unexpected."#]],
    );
    check_refused(
        r##"{"$ref": "#/$defs/x"}"##,
        expect![[r#"
            22023: invalid reference in JSON schema
            DETAIL: Pointer '/$defs/x' does not exist"#]],
    );
}

#[test]
fn nothing_is_read_from_outside() {
    check_refused(
        r#"{"$ref": "http://127.0.0.1:9/x.json"}"#,
        expect![[r#"
            42704: JSON schema "http://127.0.0.1:9/x.json" does not exist
            DETAIL: A reference leads to a registered JSON schema only.
            HINT: Use CREATE JSON SCHEMA … URI 'http://127.0.0.1:9/x.json' AS … first."#]],
    );
    check_refused(
        r#"{"$ref": "file:///etc/hostname"}"#,
        expect![[r#"
            42704: JSON schema "file:///etc/hostname" does not exist
            DETAIL: A reference leads to a registered JSON schema only.
            HINT: Use CREATE JSON SCHEMA … URI 'file:///etc/hostname' AS … first."#]],
    );
    check_refused(
        r#"{"$ref": "other"}"#,
        expect![[r#"
            42704: JSON schema "json-schema:///other" does not exist
            DETAIL: A reference leads to a registered JSON schema only.
            HINT: Use CREATE JSON SCHEMA … URI 'json-schema:///other' AS … first."#]],
    );
    check_refused(
        r#"{"$schema": "https://example.com/mine"}"#,
        expect![[r#"
            42704: JSON schema "https://example.com/mine" does not exist
            DETAIL: A reference leads to a registered JSON schema only.
            HINT: Use CREATE JSON SCHEMA … URI 'https://example.com/mine' AS … first."#]],
    );
}

#[test]
fn references_lead_to_registered_schemas() {
    let mut named = Named(HashMap::from([
        (
            "json-schema:///public/person",
            r#"{"properties": {"home": {"$ref": "address"}}}"#,
        ),
        (
            "json-schema:///public/address",
            r#"{"required": ["street"]}"#,
        ),
    ]));
    let cache = Cache::default();
    let list = Source::anonymous(r#"{"items": {"$ref": "public/person"}}"#);
    let first = cache.get(list, &named).expect("a schema");
    let uris: Vec<&str> = first
        .references()
        .iter()
        .map(|(uri, _)| uri.as_str())
        .collect();
    let expected = [
        "json-schema:///public/address",
        "json-schema:///public/person",
    ];
    assert_eq!(uris, expected);
    assert_eq!(matches(&first, r#"[{"home": {}}]"#), Ok(false));
    assert!(std::sync::Arc::ptr_eq(
        &first,
        &cache.get(list, &named).expect("cached")
    ));

    // What it refers to changes: the cache does not answer with what was.
    named.0.insert("json-schema:///public/address", "true");
    let second = cache.get(list, &named).expect("a schema");
    assert_eq!(matches(&second, r#"[{"home": {}}]"#), Ok(true));
}

#[test]
fn references_may_have_what_uris_must_not() {
    let schema = r##"{
        "properties": {"a": {"$ref": "#/$defs/List<é>"}, "b": {"const": {"$ref": "<"}}},
        "$defs": {"List<é>": {"type": "array"}}
    }"##;
    assert!(valid(schema, r#"{"a": [], "b": {"$ref": "<"}}"#));
    assert!(!valid(schema, r#"{"a": 1}"#));
    assert!(!valid(schema, r#"{"b": {"$ref": "%3C"}}"#));
}

#[test]
fn schemas_may_refer_to_each_other() {
    let named = Named(HashMap::from([
        (
            "json-schema:///public/tree",
            r#"{"items": {"$ref": "node"}, "type": "array"}"#,
        ),
        (
            "json-schema:///public/node",
            r#"{"anyOf": [{"$ref": "tree"}, {"type": "integer"}]}"#,
        ),
    ]));
    let outside = Source::anonymous(r#"{"$ref": "public/tree"}"#);
    let uri = "json-schema:///public/tree";
    let inside = Source {
        uri: Some(uri),
        ..Source::anonymous(named.0[uri])
    };
    for source in [outside, inside] {
        let tree = Compiled::new(source, &named).expect("a schema");
        assert_eq!(matches(&tree, "[1, [2, [3]]]"), Ok(true));
        assert_eq!(matches(&tree, r#"[1, [2, ["3"]]]"#), Ok(false));
    }
}

#[test]
fn a_statement_may_say_the_draft_but_not_contradict_it() {
    let draft4 = Source {
        draft: Some(Draft::Draft4),
        ..Source::anonymous(r#"{"exclusiveMinimum": true, "minimum": 3}"#)
    };
    let schema = Compiled::new(draft4, &Unregistered).expect("a schema");
    assert_eq!(schema.draft(), Draft::Draft4);
    assert_eq!(matches(&schema, "3"), Ok(false));
    let text = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema"}"#;
    let source = Source {
        draft: Some(Draft::Draft4),
        ..Source::anonymous(text)
    };
    assert!(Compiled::new(source, &Unregistered).is_err());
    for (text, draft) in [
        ("7", Draft::Draft7),
        ("draft-07", Draft::Draft7),
        ("draft2019-09", Draft::Draft201909),
        ("http://json-schema.org/draft-04/schema#", Draft::Draft4),
    ] {
        assert_eq!(parse_draft(text), Ok(draft));
    }
    assert!(parse_draft("5").is_err());
}

#[test]
fn patterns_are_linear_or_refused() {
    check_refused(
        r#"{"pattern": "^(?!a)b"}"#,
        expect![[r#"
            0A000: pattern "^(?!a)b" is not supported
            DETAIL: It stands at "/pattern" of the JSON schema.
            HINT: Look-around and back-references are not supported: patterns are matched in linear time."#]],
    );
    check_refused(
        r#"{"properties": {"x": {"pattern": "(a)\\1"}}}"#,
        expect![[r#"
            0A000: pattern "(a)\1" is not supported
            DETAIL: It stands at "/properties/x/pattern" of the JSON schema.
            HINT: Look-around and back-references are not supported: patterns are matched in linear time."#]],
    );
    check_refused(
        r#"{"pattern": "("}"#,
        expect![[r#"
            22023: invalid pattern "(" in JSON schema
            DETAIL: It stands at "/pattern" of the JSON schema, and is no regular expression or too large a one."#]],
    );
    check_refused(
        r#"{"patternProperties": {"^(?=x)": true}}"#,
        expect![[r#"
            0A000: pattern "^(?=x)" is not supported
            DETAIL: It stands at "/patternProperties/^(?=x)" of the JSON schema.
            HINT: Look-around and back-references are not supported: patterns are matched in linear time."#]],
    );
    // More than memory has, if it were expanded.
    assert!(
        Compiled::new(
            Source::anonymous(r#"{"pattern": "((a{1000}){1000}){1000}"}"#),
            &Unregistered
        )
        .is_err()
    );
    // Takes 2^30000 steps where it is tried way by way.
    let subject = format!("\"{}!\"", "a".repeat(30_000));
    assert!(!valid(r#"{"pattern": "^(a+)+$"}"#, &subject));
}

#[test]
fn formats_are_annotations_unless_asked_for() {
    for (schema, instance) in [
        (r#"{"format": "date"}"#, "\"tomorrow\""),
        (
            r#"{"$schema": "http://json-schema.org/draft-07/schema#", "format": "email"}"#,
            "\"x\"",
        ),
        (
            r#"{"$schema": "http://json-schema.org/draft-07/schema#", "contentEncoding": "base64"}"#,
            "\"-\"",
        ),
    ] {
        assert!(valid(schema, instance), "{schema}");
        let source = Source::anonymous(schema);
        let strict = Compiled::with_formats(source, &Unregistered, Formats::Assert);
        let strict = strict.expect("a schema");
        assert_eq!(matches(&strict, instance), Ok(false), "{schema}");
    }
}

#[test]
fn numbers_keep_their_digits() {
    assert!(valid(r#"{"type": "integer"}"#, "1.0"));
    assert!(valid(r#"{"type": "integer"}"#, "1e400"));
    assert!(!valid(r#"{"type": "integer"}"#, "1e-400"));
    assert!(valid(r#"{"minimum": 1e308}"#, "1e400"));
    assert!(!valid(r#"{"maximum": 0}"#, "1e400"));
    assert!(valid(r#"{"const": 9007199254740993}"#, "9007199254740993"));
    assert!(!valid(r#"{"const": 9007199254740993}"#, "9007199254740992"));
    assert!(!valid(r#"{"uniqueItems": true}"#, "[1, 1.00]"));
    assert!(!valid(
        r#"{"uniqueItems": true}"#,
        r#"[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]"#
    ));
    assert!(valid(
        r#"{"uniqueItems": true}"#,
        "[9007199254740993, 9007199254740992]"
    ));
    assert!(valid(r#"{"multipleOf": 0.01}"#, "19.99"));
    assert!(!valid(
        r#"{"multipleOf": 3}"#,
        "100000000000000000000000000000000000001"
    ));
    assert!(valid(
        r#"{"multipleOf": 3}"#,
        "300000000000000000000000000000000000003"
    ));
}

#[test]
fn of_equal_names_the_last_counts() {
    let schema = r#"{"properties": {"a": {"type": "integer"}}, "maxProperties": 2}"#;
    assert!(valid(schema, r#"{"a": "x", "b": 1, "a": 2}"#));
    assert!(!valid(schema, r#"{"a": 2, "b": 1, "a": "x"}"#));
}

/// Runs on a stack as small as a worker's may be when a statement gets to its checks.
fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    let thread = thread.spawn(work).expect("a thread starts");
    thread.join().expect("no overflow");
}

fn nested(levels: usize, before: &str, inner: &str, after: &str) -> String {
    [&before.repeat(levels), inner, &after.repeat(levels)].concat()
}

#[test]
fn deep_documents_are_checked_on_a_stack_that_holds() {
    on_small_stack(|| {
        let tree = compiled(r##"{"properties": {"a": {"$ref": "#"}}, "type": "object"}"##);
        let deep = document::DEPTH_MAX;
        let good = nested(deep - 1, r#"{"a": "#, "{}", "}");
        assert_eq!(matches(&tree, &good), Ok(true));
        let bad = nested(deep - 1, r#"{"a": "#, "[]", "}");
        let mut parser = Parser::new();
        let document = parser.parse(&bad, deep).expect("JSON");
        let violations = tree.violations(&document, 10).expect("checked");
        assert_eq!(violations.total, 1);
        assert_eq!(violations.first[0].pointer, "/a".repeat(deep - 1));
        let deeper = nested(100_000, "[", "", "]");
        let error = matches(&tree, &deeper).expect_err("refused");
        assert_eq!(error.sqlstate, Kind::TooDeep.state());
    });
}

#[test]
fn deep_schemas_are_compiled_on_a_stack_that_holds() {
    on_small_stack(|| {
        for (before, inner, after) in [
            (r#"{"not": "#, "{}", "}"),
            (r#"{"properties": {"a": "#, r#"{"type": "object"}"#, "}}"),
            (r#"{"allOf": [{"items": "#, "true", "}]}"),
            (r#"{"unevaluatedProperties": "#, "false", "}"),
        ] {
            let levels = (DEPTH_MAX - 2) / before.matches(['{', '[']).count();
            let schema = compiled(&nested(levels, before, inner, after));
            assert!(matches(&schema, r#"{"a": [[1]]}"#).is_ok());
            let error = refused(&nested(DEPTH_MAX + 1, before, inner, after));
            assert_eq!(error.sqlstate, Kind::TooDeep.state());
        }
    });
}

#[test]
fn long_chains_of_references_hold() {
    on_small_stack(|| {
        let links = 5_000;
        let mut defs = String::new();
        for i in 0..links {
            defs += &format!(r##""d{i}": {{"$ref": "#/$defs/d{}"}}, "##, i + 1);
        }
        let text = format!(
            r##"{{"$ref": "#/$defs/d0", "$defs": {{{defs} "d{links}": {{"type": "null"}}}}}}"##
        );
        let schema = compiled(&text);
        assert_eq!(matches(&schema, "null"), Ok(true));
        assert_eq!(matches(&schema, "1"), Ok(false));
    });
}

#[test]
fn recursion_that_multiplies_is_an_error_or_an_answer() {
    on_small_stack(|| {
        // Each level of the document goes through a hundred levels of the schema.
        let inner = nested(50, r#"{"allOf": ["#, r##"{"items": {"$ref": "#"}}"##, "]}");
        let schema = compiled(&inner);
        let deep = nested(document::DEPTH_MAX, "[", "", "]");
        match matches(&schema, &deep) {
            Ok(answer) => assert!(answer),
            Err(error) => assert_eq!(error.sqlstate, Kind::TooDeep.state()),
        }
    });
}

#[test]
fn checking_without_end_can_be_canceled() {
    // `unevaluatedItems` looks at what is beside it, which does so again: 3^50 looks.
    let inner = nested(
        50,
        r#"{"unevaluatedItems": false, "allOf": ["#,
        r#"{"items": true}"#,
        "]}",
    );
    let schema = compiled(&inner);
    let mut parser = Parser::new();
    let document = parser.parse("[1]", document::DEPTH_MAX).expect("JSON");
    let asked = std::cell::Cell::new(0);
    let canceled = || {
        asked.set(asked.get() + 1);
        asked.get() == 3
    };
    let watch = Watch::new(&canceled);
    let error = schema.matches(&document.watched(&watch));
    assert_eq!(
        error.expect_err("canceled").sqlstate,
        Kind::Canceled.state()
    );
}

#[test]
fn the_cache_is_bounded() {
    let cache = Cache::default();
    for i in 0..600 {
        let text = format!(r#"{{"minimum": {i}}}"#);
        let schema = cache.get(Source::anonymous(&text), &Unregistered);
        schema.expect("a schema");
    }
    assert_eq!(cache.len(), 256);
    let last = Source::anonymous(r#"{"minimum": 599}"#);
    let twice = [0, 1].map(|_| cache.get(last, &Unregistered).expect("a schema"));
    assert!(std::sync::Arc::ptr_eq(&twice[0], &twice[1]));
}

#[test]
fn a_uri_is_asked_for_or_its_own_or_made_of_the_name() {
    let fallback = default_uri("public", "a b");
    let uri = |text: &str, asked| Source::anonymous(text).settle_uri(asked, &fallback);
    assert_eq!(
        uri("{}", None).as_deref(),
        Ok("json-schema:///public/a%20b")
    );
    assert_eq!(
        uri(r#"{"$id": "https://example.com/x#"}"#, None).as_deref(),
        Ok("https://example.com/x")
    );
    assert_eq!(
        uri(r#"{"$id": "y"}"#, None).as_deref(),
        Ok("json-schema:///public/y")
    );
    assert_eq!(
        uri(r#"{"$id": "y"}"#, Some("urn:z")).as_deref(),
        Ok("urn:z")
    );
    assert!(uri("{}", Some("urn:z#part")).is_err());
    assert!(uri("{}", Some("http://[")).is_err());
}
