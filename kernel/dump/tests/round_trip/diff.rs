//! Two dumps by content, and the program that prints it.

use std::process::{Command, Output};

use expect_test::{Expect, expect};
use heliosdb_dump::digest::digest_of;
use heliosdb_dump::{Dump, ExportOptions, Silent, diff, diff_history, export};
use heliosdb_storage::Engine;

use super::load::load_with;
use super::sample::*;

#[test]
fn a_moved_database_has_an_equal_dump() {
    let dump = dump_of(&sample().engine);
    let (loaded, _) = load_with(&dump, 2);
    let moved = dump_of(&loaded.engine);
    assert!(diff(&dump, &moved).is_equal());
    // So has one with the same content and another history, at another time.
    assert!(diff(&dump, &dump_of(&sample().engine)).is_equal());
}

fn described(engine: &Engine, change: impl FnOnce(&mut heliosdb_dump::Described)) -> Dump {
    let view = engine.latest_view();
    let mut described = describe(&view);
    change(&mut described);
    let mut out = Vec::new();
    let options = ExportOptions::default();
    export(engine, &view, described, &mut out, &options, &Silent).unwrap();
    open(&out)
}

fn check(a: &Dump, b: &Dump, expected: Expect) {
    let found = diff(a, b);
    assert!(!found.is_equal());
    expected.assert_eq(&found.to_string());
}

#[test]
fn every_difference_is_a_line() {
    let db = sample();
    let first = dump_of(&db.engine);
    let def = changed_now();
    let row = db
        .engine
        .latest_view()
        .index_rows(&def, &def.indexes[0], &id_is(77))
        .unwrap();
    commit(&db.engine, |tx| {
        tx.update(&def, &row, &rows_now(&[77], |_| Some("another".to_owned())))
            .unwrap();
    });
    check(
        &first,
        &dump_of(&db.engine),
        expect![[r#"
        table public.changed: column column_1: other values
    "#]],
    );
    commit(&db.engine, |tx| {
        tx.delete(&def, &row).unwrap();
        tx.drop_collection(EMPTY).unwrap();
        tx.put(LIVE_STORE, b"k", b"another").unwrap();
    });
    check(
        &first,
        &dump_of(&db.engine),
        expect![[r#"
        table public.changed: rows: 190 and 189
        table public.changed: column column_0: other values
        table public.empty: only in the first
        store p.s: entries: as many, and others
    "#]],
    );
    let second = described(&sample().engine, |described| {
        let object = &mut described.objects[0];
        object.owner = "other".to_owned();
        object.comment = Some("a \n comment".to_owned());
        let mut another = object.clone();
        another.name = "private".to_owned();
        described.objects.push(another);
        described.config = Some(String::new());
        described.tables[0].columns[1].name = "renamed".to_owned();
    });
    check(
        &first,
        &second,
        expect![[r#"
        schema private: only in the second
        schema public: owner: "helios" and "other"
        schema public: comment: none and "a \n comment"
        table public.all_types: columns: (column_0 Bool, column_1 Int16, column_2 Int32, column_3 Int64, column_4 Float32, column_5 Float64, column_6 Decimal { precision: 12, scale: 2 }, column_7 Numeric, column_8 Date, column_9 Time, column_10 Timestamp, column_11 TimestampTz, column_12 Interval, column_13 Text, column_14 Bytea, column_15 Jsonb, column_16 Json, column_17 Uuid, column_18 Oid, column_19 Array(Text)) and (column_0 Bool, renamed Int16, column_2 Int32, column_3 Int64, column_4 Float32, column_5 Float64, column_6 Decimal { precision: 12, scale: 2 }, column_7 Numeric, column_8 Date, column_9 Time, column_10 Timestamp, column_11 TimestampTz, column_12 Interval, column_13 Text, column_14 Bytea, column_15 Jsonb, column_16 Json, column_17 Uuid, column_18 Oid, column_19 Array(Text))
        configuration: other text
    "#]],
    );
    check(
        &second,
        &first,
        expect![[r#"
        schema private: only in the first
        schema public: owner: "other" and "helios"
        schema public: comment: "a \n comment" and none
        table public.all_types: columns: (column_0 Bool, renamed Int16, column_2 Int32, column_3 Int64, column_4 Float32, column_5 Float64, column_6 Decimal { precision: 12, scale: 2 }, column_7 Numeric, column_8 Date, column_9 Time, column_10 Timestamp, column_11 TimestampTz, column_12 Interval, column_13 Text, column_14 Bytea, column_15 Jsonb, column_16 Json, column_17 Uuid, column_18 Oid, column_19 Array(Text)) and (column_0 Bool, column_1 Int16, column_2 Int32, column_3 Int64, column_4 Float32, column_5 Float64, column_6 Decimal { precision: 12, scale: 2 }, column_7 Numeric, column_8 Date, column_9 Time, column_10 Timestamp, column_11 TimestampTz, column_12 Interval, column_13 Text, column_14 Bytea, column_15 Jsonb, column_16 Json, column_17 Uuid, column_18 Oid, column_19 Array(Text))
        configuration: other text
    "#]],
    );
}

/// White space and what is not seen at all are shown where they make the difference.
#[test]
fn unseen_characters_are_shown() {
    let commented = |text: &str, name: &str| {
        described(&sample().engine, |described| {
            described.objects[0].comment = Some(text.to_owned());
            let mut other = described.objects[0].clone();
            other.name = name.to_owned();
            described.objects.push(other);
        })
    };
    check(
        &commented("a \"b\"", "\"a b\""),
        &commented("a\t\"b\"\u{200b}", "\"a\u{a0}b\""),
        expect![[r#"
            schema "a b": only in the first
            schema "\"a\u{a0}b\"": only in the second
            schema public: comment: "a \"b\"" and "a\t\"b\"\u{200b}"
        "#]],
    );
}

/// Where sequences stand, by name, whatever their collections are.
#[test]
fn positions_of_sequences_are_compared() {
    let db = sample();
    let first = dump_of(&db.engine);
    db.engine.sequence_next(SEQUENCE, &SEQUENCE_SPEC).unwrap();
    check(
        &first,
        &dump_of(&db.engine),
        expect![[r#"
        sequence public.counter: position: last value 5 and last value 6
    "#]],
    );
    // At another place, and never used.
    let elsewhere = described(&db.engine, |described| {
        described.sequences[0].collection += 1;
    });
    check(
        &first,
        &elsewhere,
        expect![[r#"
        sequence public.counter: position: last value 5 and unused
    "#]],
    );
    // A sequence that is not there stands nowhere.
    let gone = described(&db.engine, |described| {
        described.objects.retain(|o| o.kind != "sequence");
        described.sequences.clear();
    });
    check(
        &first,
        &gone,
        expect![[r#"
        sequence public.counter: only in the first
    "#]],
    );
}

/// That two passwords differ is all that is ever said of them.
#[test]
fn passwords_are_compared_and_not_shown() {
    let db = sample();
    let with = |verifier: Option<&str>| {
        described(&db.engine, |described| {
            let role = described.objects.iter_mut().find(|o| o.kind == "role");
            role.unwrap().password = verifier.map(|v| digest_of(v.as_bytes()));
        })
    };
    check(
        &with(Some("one")),
        &with(Some("two")),
        expect![[r#"
        role helios: password differs
    "#]],
    );
    assert!(diff(&with(Some("one")), &with(Some("one"))).is_equal());
    // A dump that does not know.
    assert!(diff(&with(None), &with(Some("one"))).is_equal());
}

/// What was moved has the versions it had; what was made anew has others, as many as there were.
#[test]
fn history_is_compared_when_asked_for() {
    let whole = dump_of(&sample().engine);
    let (loaded, _) = load_with(&whole, 2);
    assert_eq!(diff_history(&whole, &dump_of(&loaded.engine)), []);
    let lines = |other: &Dump| -> String {
        let found = diff_history(&whole, other);
        found.iter().map(ToString::to_string).collect()
    };
    let options = ExportOptions {
        history: false,
        ..ExportOptions::default()
    };
    let present = open(&export_with(&loaded.engine, &options).0);
    assert!(diff(&whole, &present).is_equal());
    expect![[r#"
        dropped table 1028: only in the first
        table public.changed: versions: 312 and 190
        store p.s: versions: 3 and 1
    "#]]
    .assert_eq(&lines(&present));
    expect![[r#"
        dropped table 1028: versions: as many, and others
        table public.all_types: versions: as many, and others
        table public.changed: versions: as many, and others
    "#]]
    .assert_eq(&lines(&dump_of(&sample().engine)));
}

/// Two rows exchange a value: no column shows it.
#[test]
fn exchanged_values_are_a_difference() {
    let db = sample();
    let first = dump_of(&db.engine);
    let def = changed_now();
    let view = db.engine.latest_view();
    let find = |id| view.index_rows(&def, &def.indexes[0], &id_is(id)).unwrap()[0];
    let name = |id: i64| {
        let batch = view
            .rows(
                &def,
                &[find(id)],
                &[heliosdb_storage::ids::ColumnId(1)],
                false,
            )
            .unwrap();
        let names: &arrow_array::StringViewArray = batch.column(0).as_any().downcast_ref().unwrap();
        Some(names.value(0).to_owned())
    };
    let (a, b) = (name(9), name(18));
    assert_ne!(a, b);
    commit(&db.engine, |tx| {
        let swapped = |id| if id == 9 { b.clone() } else { a.clone() };
        tx.update(&def, &[find(9), find(18)], &rows_now(&[9, 18], swapped))
            .unwrap();
    });
    check(
        &first,
        &dump_of(&db.engine),
        expect![[r#"
        table public.changed: rows: the same values in every column, and other rows
    "#]],
    );
}

fn program(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_helios_dump_diff"));
    program.args(arguments).output().unwrap()
}

#[test]
fn the_program_says_it_with_its_exit_status() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let db = sample();
    let (bytes, _) = export_with(&db.engine, &ExportOptions::default());
    std::fs::write(path("a"), &bytes).unwrap();
    commit(&db.engine, |tx| {
        tx.put(LIVE_STORE, b"k", b"another").unwrap()
    });
    let (other, _) = export_with(&db.engine, &ExportOptions::default());
    std::fs::write(path("b"), &other).unwrap();
    std::fs::write(path("cut"), &bytes[..bytes.len() - 1]).unwrap();
    let run = |arguments: &[&str]| {
        let output = program(arguments);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let equal = run(&[&path("a"), &path("a")]);
    assert_eq!(equal, (Some(0), "equal\n".to_owned(), String::new()));
    let (status, out, _) = run(&[&path("a"), &path("b")]);
    assert_eq!(
        (status, out.as_str()),
        (Some(1), "store p.s: entries: as many, and others\n")
    );
    let (status, out, _) = run(&["--json", &path("a"), &path("b")]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status, Some(1));
    assert_eq!(json["equal"], false);
    assert_eq!(json["stores"][0]["name"], "p.s");
    let (status, out, _) = run(&["--json", &path("a"), &path("a")]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &json["equal"]), (Some(0), &true.into()));
    let (status, out, _) = run(&["--history", &path("a"), &path("b")]);
    assert_eq!(status, Some(1));
    expect![[r#"
        store p.s: entries: as many, and others
        history of store p.s: versions: 3 and 4
    "#]]
    .assert_eq(&out);
    let trouble: &[&[&str]] = &[
        &[],
        &[&path("a")],
        &["--yaml", &path("a"), &path("a")],
        &[&path("a"), &path("none")],
        &[&path("a"), &path("cut")],
        &[&path("a"), dir.path().to_str().unwrap()],
    ];
    for arguments in trouble {
        let (status, out, error) = run(arguments);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(error.starts_with("helios_dump_diff: "), "{error}");
    }
}
