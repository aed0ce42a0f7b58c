//! Syntax, what is said about mistakes in it, and the parts of a document.

use super::*;

fn detail(text: &str) -> String {
    let error = check(text).unwrap_err();
    error
        .detail
        .map(|d| d.to_string())
        .unwrap_or(error.message.to_string())
}

#[test]
fn escapes_matter_only_when_they_are_read() {
    for text in [
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\udc00x""#,
        r#""\ud83d\ud83d""#,
    ] {
        check(text).unwrap();
        assert!(Value::parse(text).is_err(), "{text}");
    }
    let pair = Value::parse(r#""\ud83d\ude04\n""#).unwrap();
    assert_eq!(pair.as_text().as_deref(), Some("😄\n"));
}

#[test]
fn mistakes_are_told_as_postgresql_tells_them() {
    for (text, expected) in [
        ("", "The input string ended unexpectedly."),
        ("[1", "The input string ended unexpectedly."),
        (r#"{"a":"#, "The input string ended unexpectedly."),
        (r#"{"a":1}x"#, "Token \"x\" is invalid."),
        ("01", "Token \"01\" is invalid."),
        ("1.", "Token \"1.\" is invalid."),
        ("-", "Token \"-\" is invalid."),
        ("@", "Token \"@\" is invalid."),
        ("[nul]", "Token \"nul\" is invalid."),
        ("é", "Token \"é\" is invalid."),
        (r#"["a"#, "Token \"\"a\" is invalid."),
        (r#""\u12"#, "Token \"\"\\u12\" is invalid."),
        (
            r#""\u12""#,
            "\"\\u\" must be followed by four hexadecimal digits.",
        ),
        (r#""\x""#, "Escape sequence \"\\x\" is invalid."),
        ("\"a\tb\"", "Character with value 0x09 must be escaped."),
        (r#"{"a" 1}"#, "Expected \":\", but found \"1\"."),
        ("[1,]", "Expected JSON value, but found \"]\"."),
        ("1 2", "Expected end of input, but found \"2\"."),
        ("{1:2}", "Expected string or \"}\", but found \"1\"."),
        (r#"{"a":1,}"#, "Expected string, but found \"}\"."),
        ("[1 2]", "Expected \",\" or \"]\", but found \"2\"."),
        (r#"{"a":1]"#, "Expected \",\" or \"}\", but found \"]\"."),
    ] {
        assert_eq!(detail(text), expected, "{text}");
    }
    assert_eq!(detail(&"[".repeat(100_000)), "stack depth limit exceeded");
}

#[test]
fn parts_keep_their_text() {
    let text = r#" {"a" : 1, "a":{"x" : [1,  2.50]}, "b":null} "#;
    let value = Value::parse(text).unwrap();
    assert_eq!(value.text, text.trim());
    assert_eq!(value.get("a").unwrap().text, r#"{"x" : [1,  2.50]}"#);
    let path = ["a", "x", "-1"].map(|s| Some(s.to_owned()));
    assert_eq!(value.path(&path).unwrap().text, "2.50");
    assert!(value.path(&[None]).is_none());
    assert!(value.get("b").unwrap().as_text().is_none());
}
