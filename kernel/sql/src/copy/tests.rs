//! COPY data in pieces of every size, and what PostgreSQL says of damaged data.

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;

use super::*;
use crate::error::{Result, SqlError};
use crate::types::Format;

fn columns(types: &[PgType]) -> Vec<CopyColumn> {
    types
        .iter()
        .zip('a'..)
        .map(|(ty, name)| CopyColumn {
            name: name.to_string(),
            ty: ty.clone(),
            typmod: -1,
        })
        .collect()
}

fn read_chunks(
    o: &CopyOptions,
    types: &[PgType],
    data: &[u8],
    chunk: usize,
) -> Result<Vec<RecordBatch>> {
    let mut d = Decoder::new(o.clone(), &columns(types), "t", Format::default())?;
    let mut batches = Vec::new();
    for piece in data.chunks(chunk) {
        batches.extend(d.push(piece)?);
    }
    batches.extend(d.finish()?);
    Ok(batches)
}

fn rows(batches: &[RecordBatch]) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    for b in batches {
        for r in 0..b.num_rows() {
            rows.push(
                b.columns()
                    .iter()
                    .map(|c| (!c.is_null(r)).then(|| array_value_to_string(c, r).unwrap()))
                    .collect(),
            );
        }
    }
    rows
}

fn text(s: &str) -> Option<String> {
    Some(s.to_string())
}

/// Every chunking of the same bytes gives the same rows.
fn check(o: &CopyOptions, data: &str, expected: &[[Option<String>; 2]]) {
    for chunk in 1..=data.len().max(1) {
        let got = read_chunks(o, &[PgType::Text, PgType::Text], data.as_bytes(), chunk).unwrap();
        assert_eq!(rows(&got), expected, "chunks of {chunk}");
    }
}

#[test]
fn text_format() {
    check(
        &CopyOptions::text(),
        "a\tb\n\\N\t\\\\N\nx\\ty\t\\101\\x42\\\nz\n\t\nlast\trow",
        &[
            [text("a"), text("b")],
            [None, text("\\N")],
            [text("x\ty"), text("AB\nz")],
            [text(""), text("")],
            [text("last"), text("row")],
        ],
    );
    check(
        &CopyOptions::text(),
        "a\tb\r\n\\.\nignored\n",
        &[[text("a"), text("b")]],
    );
}

#[test]
fn csv_format() {
    check(
        &CopyOptions::csv(),
        "a,b\n\"x,\"\"y\"\"\n\",\"\"\n,\"\"\r\nab\"c,d\"e,f\n\"p\",q",
        &[
            [text("a"), text("b")],
            [text("x,\"y\"\n"), text("")],
            [None, text("")],
            [text("abc,de"), text("f")],
            [text("p"), text("q")],
        ],
    );
    let escaped = CopyOptions {
        escape: b'\\',
        ..CopyOptions::csv()
    };
    check(
        &escaped,
        "\"a\\\"b\\\\\",\"c\\d\"\n1,2\n",
        &[[text("a\"b\\"), text("c\\d")], [text("1"), text("2")]],
    );
    let nulls = CopyOptions {
        null: "NA".into(),
        header: Header::Yes,
        force_null: vec!["b".into()],
        force_not_null: vec!["a".into()],
        ..CopyOptions::csv()
    };
    check(
        &nulls,
        "a,b\nNA,NA\n\"NA\",\"NA\"\n",
        &[[text("NA"), None], [text("NA"), None]],
    );
}

fn error(o: &CopyOptions, types: &[PgType], data: &str) -> SqlError {
    read_chunks(o, types, data.as_bytes(), 7).unwrap_err()
}

#[test]
fn errors_name_line_column_and_value() {
    let int = [PgType::Int4, PgType::Int4];
    let e = error(&CopyOptions::csv(), &int, "1,2\n3,x\n");
    assert_eq!(e.message, "invalid input syntax for type integer: \"x\"");
    assert_eq!(
        e.context.as_deref(),
        Some("COPY t, line 2, column b: \"x\"")
    );
    let e = error(&CopyOptions::csv(), &int, "1\n");
    assert_eq!(
        (e.code.as_str(), e.message.as_str()),
        ("22P04", "missing data for column \"b\"")
    );
    assert_eq!(e.context.as_deref(), Some("COPY t, line 1: \"1\""));
    let e = error(&CopyOptions::csv(), &int, "1,2,3\n");
    assert_eq!(e.message, "extra data after last expected column");
    let e = error(&CopyOptions::csv(), &int, "1,\"2\n3,4\n");
    assert_eq!(e.message, "unterminated CSV quoted field");
    let matched = CopyOptions {
        header: Header::Match,
        ..CopyOptions::csv()
    };
    let e = error(&matched, &int, "a,c\n1,2\n");
    assert!(
        e.message
            .starts_with("column name mismatch in header line field 2"),
        "{e}"
    );
    let e = read_chunks(&CopyOptions::text(), &[PgType::Text], b"a\xff\n", 9).unwrap_err();
    assert_eq!(e.code.as_str(), "22021");
}

proptest! {
    /// What the encoder writes, the decoder reads back, in any chunks.
    #[test]
    fn round_trip(
        values in proptest::collection::vec(
            (proptest::option::of("[ab,\"\\\\\t\n\r.N]{0,6}"), proptest::option::of("\\PC{0,4}")), 0..8),
        csv in any::<bool>(),
        chunk in 1usize..20,
    ) {
        let o = if csv { CopyOptions { null: "NUL".into(), ..CopyOptions::csv() } } else { CopyOptions::text() };
        let types = [PgType::Text, PgType::Text];
        let a: arrow::array::StringViewArray = values.iter().map(|v| v.0.clone()).collect();
        let b: arrow::array::StringViewArray = values.iter().map(|v| v.1.clone()).collect();
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("a", std::sync::Arc::new(a) as arrow::array::ArrayRef, true),
            ("b", std::sync::Arc::new(b) as arrow::array::ArrayRef, true),
        ]).unwrap();
        let mut out = Vec::new();
        Encoder::new(o.clone(), columns(&types), Format::default()).unwrap().encode(&batch, &mut out).unwrap();
        let back = read_chunks(&o, &types, &out, chunk).unwrap();
        prop_assert_eq!(rows(&back), rows(&[batch]));
    }

    #[test]
    fn any_bytes_decode_or_fail(data in proptest::collection::vec(any::<u8>(), 0..200), csv in any::<bool>()) {
        let o = if csv { CopyOptions::csv() } else { CopyOptions::text() };
        let _ = read_chunks(&o, &[PgType::Text, PgType::Int4], &data, 13);
    }
}
