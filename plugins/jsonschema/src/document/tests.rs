//! The parser beside `serde_json`, and what a document answers.

use jsonschema::json::{self, Json, JsonNumber};
use serde_json::{Value, json};

use super::*;
use crate::error::Kind as ErrorKind;

fn with<T>(text: &str, look: impl FnOnce(Node<'_>) -> T) -> T {
    let mut parser = Parser::new();
    let document = parser.parse(text, DEPTH_MAX);
    look(document.expect("JSON").root())
}

/// The document as a value, read through the traits that the validator reads it through.
fn value(node: Node<'_>) -> Value {
    use json::Node as _;
    if let Some(members) = node.as_object() {
        return members
            .map(|(name, v)| (name.to_owned(), value(v)))
            .collect();
    }
    if let Some(elements) = node.as_array() {
        return elements.map(value).collect();
    }
    if let Some(number) = node.as_number() {
        return Value::Number(number.to_number().into_owned());
    }
    match (node.as_string(), node.as_boolean()) {
        (Some(string), _) => Value::String(string.into_owned()),
        (_, Some(boolean)) => Value::Bool(boolean),
        _ => {
            assert!(node.is_null());
            Value::Null
        }
    }
}

const TEXTS: [&str; 8] = [
    r#" {"b": [1, -2.50, 3e2, 0], "a": {"c": null, "d": [true, false]}, "": ""} "#,
    r#"["\"\\\/\b\f\n\r\t", "\u0041\u00e9\ud83d\ude00", "é😀", "\u0000"]"#,
    r#"{"a": 1, "bb": 2, "a": {"x": [[], {}, [{}]]}, "c": 3, "bb": 4}"#,
    "-0.0e-7",
    "null",
    "\"\"",
    "[[[[[[[[[[]]]]]]]]]]",
    r#"{"k": [{"k": [{"k": [1, {"k": 2}, 3]}, 4]}, 5], "l": 6}"#,
];

#[test]
fn values_are_those_of_serde_json() {
    for text in TEXTS {
        let expected: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(with(text, value), expected, "{text}");
    }
}

/// Each text with each byte replaced, dropped and doubled: what one takes the other takes.
#[test]
fn texts_are_taken_and_refused_as_by_serde_json() {
    let mut parser = Parser::new();
    let mut taken = 0;
    let mut try_text = |bytes: Vec<u8>| {
        let Ok(text) = String::from_utf8(bytes) else {
            return;
        };
        let ours = parser.parse(&text, DEPTH_MAX).map(|d| value(d.root()));
        match serde_json::from_str::<Value>(&text) {
            Ok(theirs) => {
                // Not `==`, for -0 is a double there.
                let ours = ours.expect("theirs is JSON");
                assert!(json::cmp::equal(&ours, &theirs), "{text}: {ours}");
                taken += 1;
            }
            // The type json lets half a surrogate pair through.
            Err(_) if ours.is_ok() => assert!(text.contains("\\ud"), "{text}"),
            Err(_) => {}
        }
    };
    for text in TEXTS {
        let bytes = text.as_bytes();
        for at in 0..bytes.len() {
            for new in *b"\"\\{}[],:0 9.eE+-tnu\x01a" {
                let mut changed = bytes.to_vec();
                changed[at] = new;
                try_text(changed);
            }
            try_text([&bytes[..at], &bytes[at + 1..]].concat());
            try_text([&bytes[..=at], &bytes[at..]].concat());
            try_text(bytes[..at].to_vec());
        }
    }
    assert!(taken > 1000, "{taken} texts were taken");
}

#[test]
fn half_a_surrogate_pair_reads_as_the_replacement_character() {
    for (text, expected) in [
        (r#""\ud800""#, "\u{fffd}"),
        (r#""\ud800\u0041""#, "\u{fffd}A"),
        (r#""\udc00x""#, "\u{fffd}x"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
    ] {
        with(text, |node| assert_eq!(node.string(), Some(expected)));
    }
}

#[test]
fn members_are_ordered_and_found() {
    with(r#"{"bb": 1, "a": 2, "\u0063": 3, "a": 4}"#, |node| {
        let members = node.members().expect("an object");
        let names: Vec<&str> = members.map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "c", "bb"]);
        let found = |name| members.find(name).map(|node| node.source().to_owned());
        assert_eq!(found("a").as_deref(), Some("4"));
        assert_eq!(found("c").as_deref(), Some("3"));
        assert_eq!(found("b"), None);
    });
}

#[test]
fn pointers_lead_to_values() {
    let text = r#"{"a/b": [10, {"~": "x"}], "": 1}"#;
    with(text, |node| {
        let at = |pointer| node.pointer(pointer).map(|node| node.source().to_owned());
        assert_eq!(at("").as_deref(), Some(text));
        assert_eq!(at("/a~1b/0").as_deref(), Some("10"));
        assert_eq!(at("/a~1b/1/~0").as_deref(), Some("\"x\""));
        assert_eq!(at("/").as_deref(), Some("1"));
        for nowhere in ["/x", "/a~1b/2", "/a~1b/x", "/a~1b/0/0"] {
            assert_eq!(at(nowhere), None, "{nowhere}");
        }
    });
}

#[test]
fn nesting_is_bounded_and_costs_no_stack() {
    let mut parser = Parser::new();
    let levels = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(parser.parse(&levels(7), 7).is_ok());
    let error = parser.parse(&levels(8), 7).expect_err("refused");
    assert_eq!(error.sqlstate, ErrorKind::TooDeep.state());
    assert!(parser.parse(&levels(1_000_000), 2_000_000).is_ok());
    // The memory of the text before is not seen.
    assert!(parser.parse("1", 7).is_ok());
}

#[test]
fn errors_say_where() {
    let mut parser = Parser::new();
    let mut detail = |text| {
        let error = parser.parse(text, 7).expect_err("no JSON");
        assert_eq!(error.sqlstate, ErrorKind::InvalidText.state());
        error.detail.expect("a detail")
    };
    assert_eq!(detail("[1"), "The input string ended unexpectedly.");
    assert_eq!(
        detail("{\"é\" 1}"),
        "Character \"1\" at byte 7 is unexpected."
    );
    assert_eq!(
        detail("\"a\nb\""),
        "Character \"\\n\" at byte 3 is unexpected."
    );
}

/// What the validator relies on beyond values.
#[test]
fn identities_tell_live_values_apart() {
    use json::Node as _;
    with(r#"{"a": {"b": 1}, "c": {"b": 1}}"#, |node| {
        let child = |name| node.pointer(name).expect("a member");
        assert_eq!(node.identity(), node.identity());
        assert_eq!(child("/a").identity(), child("/a").identity());
        assert_ne!(child("/a").identity(), child("/c").identity());
        assert_ne!(child("/a/b").identity(), child("/c/b").identity());
        Text::with_string_node(&mut String::new(), "", |name| {
            assert_ne!(name.identity(), node.identity());
            assert_eq!(name.as_string().as_deref(), Some(""));
        });
    });
}

#[test]
fn equality_is_by_value() {
    let equal = |text: &str, other: Value| {
        with(text, |node| json::Node::<Text>::equals_value(&node, &other))
    };
    assert!(equal("1.0", json!(1)));
    assert!(equal(
        r#"{"b": [1, "x"], "a": null}"#,
        json!({"a": null, "b": [1.0, "x"]})
    ));
    assert!(!equal("1", json!(true)));
    assert!(!equal("[1, 2]", json!([1])));
    assert!(!equal(r#"{"a": 1}"#, json!({"b": 1})));
    assert!(!equal(r#"{"a": 1}"#, json!({"a": 1, "b": 1})));
}
