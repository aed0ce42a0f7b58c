//! Where a part of a document would be in PostgreSQL's binary form of it.
//!
//! `.keyvalue()` numbers objects by the distance of their container from that of the document, in bytes. We
//! have no such form, but the numbers are seen, stored and compared, so they are computed.
//!
//! A container is a header of four bytes, an entry of four bytes for each value (for an object, all keys and
//! then all values), and what the entries are of, one after the other: the bytes of strings, and numerics and
//! containers, which begin at a multiple of four. Truth values and null have an entry alone.

use crate::types::jsonb::Json;

/// The offset of `part`, which is told by its address, in `document`.
pub fn offset(document: &Json, part: &Json) -> Option<i64> {
    let mut at = 0;
    find(document, part, &mut at)
}

fn aligned(at: i64) -> i64 {
    (at + 3) / 4 * 4
}

/// Adds the size of a container that begins at `at`, or stops with the place of what is looked for.
fn find(container: &Json, part: &Json, at: &mut i64) -> Option<i64> {
    if std::ptr::eq(container, part) {
        return Some(*at);
    }
    match container {
        Json::Array(items) => {
            *at += 4 + 4 * items.len() as i64;
            items.iter().find_map(|item| skip(item, part, at))
        }
        Json::Object(members) => {
            *at += 4 + 8 * members.len() as i64;
            *at += members.iter().map(|(key, _)| key.len() as i64).sum::<i64>();
            members.iter().find_map(|(_, value)| skip(value, part, at))
        }
        _ => None,
    }
}

fn skip(value: &Json, part: &Json, at: &mut i64) -> Option<i64> {
    match value {
        Json::Null | Json::Bool(_) => None,
        Json::String(text) => {
            *at += text.len() as i64;
            None
        }
        Json::Number(text) => {
            *at = aligned(*at) + numeric_size(text);
            None
        }
        Json::Array(_) | Json::Object(_) => {
            *at = aligned(*at);
            find(value, part, at)
        }
    }
}

/// A length of four bytes, a header of two or four, and two bytes for every four digits that are not zeros at
/// either end.
fn numeric_size(text: &str) -> i64 {
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = fraction.len();
    // Groups of four, counted from the point.
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let fraction = format!("{fraction}{}", "0".repeat((4 - scale % 4) % 4));
    let all = format!("{whole}{fraction}");
    let groups: Vec<&[u8]> = all.as_bytes().chunks(4).collect();
    let is_zero = |group: &&[u8]| group.iter().all(|d| *d == b'0');
    let leading = groups.iter().take_while(|g| is_zero(g)).count();
    let trailing = groups.iter().rev().take_while(|g| is_zero(g)).count();
    let count = groups.len().saturating_sub(leading + trailing) as i64;
    let weight = match count {
        0 => 0,
        _ => (whole.len() / 4) as i64 - leading as i64 - 1,
    };
    let is_short = scale <= 63 && (-64..=63).contains(&weight);
    4 + if is_short { 2 } else { 4 } + 2 * count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pg_column_size` of numerics in PostgreSQL 15, where their length takes four bytes.
    #[test]
    fn numerics_have_the_size_of_postgresql() {
        for (n, size) in [
            ("0", 6),
            ("1", 8),
            ("-1", 8),
            ("9999", 8),
            ("10000", 8),
            ("10001", 10),
            ("1.5", 10),
            ("0.00001", 8),
            ("123456789.123456789", 18),
        ] {
            assert_eq!(numeric_size(n), size, "{n}");
        }
    }

    #[test]
    fn objects_are_where_postgresql_has_them() {
        let text = r#"{"a": 1, "b": [1, {"x": 2}], "c": {"y": {"z": 1.5}}}"#;
        let document = Json::parse(text).unwrap();
        let inner = document.get("b").and_then(|b| b.index(1)).unwrap();
        assert_eq!(offset(&document, inner), Some(60));
        let inner = document.get("c").and_then(|c| c.get("y")).unwrap();
        assert_eq!(offset(&document, inner), Some(100));
        assert_eq!(offset(&document, &document), Some(0));
        assert_eq!(offset(&document, &document.clone()), None);
    }
}
