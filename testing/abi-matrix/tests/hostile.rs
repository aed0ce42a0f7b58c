//! Each hostile act, and what the host says of it; the plugin beside it goes on answering.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int64Array, StringViewArray};
use arrow_schema::DataType;
use heliosdb_abi_matrix::fixture::path;
use heliosdb_abi_matrix::server::{Data, START_TIMEOUT, Server};
use heliosdb_plugin_api::arrow::sql_type;
use heliosdb_plugin_api::{Argument, Comparison, ConstraintDefinition, Error};
use heliosdb_plugin_host::{NoStatement, State};

fn numbers() -> ArrayRef {
    Arc::new(Int64Array::from(vec![Some(1), None, Some(-3)]))
}

/// Its setting is of the whole process, so acts wait for each other.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Boots with one act, lets `test` see what comes of it, and asks the plugin beside it something.
fn during(act: &str, test: impl FnOnce(&Server)) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let data = Data::with(&[]);
    data.link(&path("hostile"));
    data.link(&path("plain"));
    let server = data.boot(&format!("[hostile]\nact = \"{act}\"\n"));
    let server = server.unwrap_or_else(|e| panic!("{act}: {e}"));
    test(&server);
    still_answers(&server, act);
    if act.contains("start") {
        // The next start of the same database is none the worse for it.
        drop(server);
        let server = data.boot("[hostile]\nactivation = \"off\"\n");
        still_answers(&server.expect("it boots"), act);
    }
}

fn still_answers(server: &Server, act: &str) {
    let text: ArrayRef = Arc::new(StringViewArray::from(vec!["a"]));
    let upper = server.call("plain_upper", &text);
    let upper = upper.unwrap_or_else(|e| panic!("after \"{act}\": {e}"));
    assert_eq!(upper.as_string_view().value(0), "A");
}

fn failed<T>(act: &str, result: Result<T, Error>) -> Error {
    match result {
        Ok(_) => panic!("\"{act}\" went through"),
        Err(error) => error,
    }
}

fn says(act: &str, error: &Error, reason: &str) {
    let text = format!(
        "{} {}",
        error.message,
        error.detail.as_deref().unwrap_or_default()
    );
    assert!(text.contains(reason), "\"{act}\": {text}");
    assert!(text.contains("\"hostile\""), "it names no plugin: {text}");
    assert_eq!(error.sqlstate.as_str(), "38000", "\"{act}\": {text}");
}

#[test]
fn without_an_act_it_behaves() {
    during("", |server| {
        for (function, ty) in [
            ("hostile_bigint", "bigint"),
            ("hostile_text", "text"),
            ("hostile_json", "jsonb"),
        ] {
            let result = server.call(function, &numbers()).expect("it behaves");
            assert_eq!(Some(result.data_type().clone()), sql_type(ty));
        }
        assert_eq!(sum(server).expect("it behaves"), -2);
        assert_eq!(drain(server, 10).expect("it behaves"), 2);
    });
}

#[test]
fn starts_that_fail() {
    for (act, reason) in [
        ("panics in start", "panicked in lifecycle/1.start"),
        ("refuses in start", "not today"),
        ("gives a null instance", "start gave no instance"),
        ("registers nonsense", "cannot be read"),
        ("registers an unknown kind", "is not registered"),
        ("registers nothing", "is not registered"),
        ("forgets a function", "hostile_bigint"),
    ] {
        during(act, |server| {
            let said = server.reason("hostile");
            assert!(said.contains(reason), "\"{act}\": {said}");
            let registry = server.host.registry();
            let mut names = registry.functions().iter().map(|f| &f.declared.name);
            assert!(names.all(|name| name.starts_with("plain_")), "\"{act}\"");
        });
    }
}

#[test]
fn a_start_that_hangs_is_left_alone() {
    let begin = Instant::now();
    during("hangs in start", |server| {
        assert!(begin.elapsed() >= START_TIMEOUT);
        let said = server.reason("hostile");
        assert!(said.contains("start"), "{said}");
        assert_ne!(server.status("hostile").state, State::Active);
    });
}

#[test]
fn a_stop_that_panics_changes_nothing() {
    during("panics in stop", |server| {
        server
            .call("hostile_bigint", &numbers())
            .expect("until then it behaves");
    });
}

#[test]
fn scalar_functions() {
    for (act, reason) in [
        ("panics", "panicked in function/1.call"),
        ("panics with a bomb", "panicked in function/1.call"),
        ("overflows an index", "index out of bounds"),
        ("gives too few rows", "3 rows were expected, not 2"),
        ("gives too many rows", "3 rows were expected, not 4"),
        ("gives no column", "no column was returned"),
        ("says length -1", "3 rows were expected"),
        ("says length 2^63 - 1", "3 rows were expected"),
        ("says offset -1", "do not agree"),
        ("says offset 2^62", "do not agree"),
        ("says null count -2", "do not agree"),
        ("says null count 1000", "do not agree"),
        ("says no buffers", "0 buffers"),
        ("says 2^62 buffers", "buffers"),
        ("says -1 buffers", "-1 buffers"),
        ("has no list of buffers", "is null"),
        ("has a null buffer", "is null"),
        ("says 3 children", "3 children"),
        ("says -1 children", "-1 children"),
        ("has a dictionary", "no dictionary"),
        ("was released", "no column was returned"),
        ("has a released schema", "no column was returned"),
        ("has no format", "no format"),
        ("has format zzz", "zzz"),
        ("has format i", "the format is"),
    ] {
        during(act, |server| {
            let error = failed(act, server.call("hostile_bigint", &numbers()));
            says(act, &error, reason);
            assert_eq!(server.status("hostile").faults, 1);
        });
    }
}

#[test]
fn text() {
    for (act, function, reason) in [
        ("gives text that is not UTF-8", "hostile_text", "damaged"),
        (
            "points to a buffer that is not there",
            "hostile_text",
            "damaged",
        ),
        ("points behind a buffer", "hostile_text", "damaged"),
        ("points with a wrong prefix", "hostile_text", "damaged"),
        ("says a text of 4 GB", "hostile_text", "damaged"),
        ("pads with garbage", "hostile_text", "damaged"),
        ("gives offsets that fall", "hostile_json", "do not rise"),
        ("gives negative offsets", "hostile_json", "do not rise"),
        ("gives json that is not UTF-8", "hostile_json", "damaged"),
    ] {
        during(act, |server| {
            let error = failed(act, server.call(function, &numbers()));
            says(act, &error, reason);
        });
    }
}

/// What the author's own kit refuses before it crosses.
#[test]
fn the_kit_keeps_a_plugin_from_its_own_mistakes() {
    during("gives another type", |server| {
        let error = failed("", server.call("hostile_bigint", &numbers()));
        assert!(error.message.contains("is no bigint"), "{}", error.message);
        assert_eq!(error.sqlstate.as_str(), "38000");
    });
}

/// Odd, and allowed: it harms nobody.
#[test]
fn odd_and_harmless() {
    during("says it is constant", |server| {
        let result = server.call("hostile_bigint", &numbers());
        assert_eq!(result.expect("three rows are three rows").len(), 3);
    });
    during("invents a SQLSTATE", |server| {
        let error = failed("", server.call("hostile_bigint", &numbers()));
        assert_eq!(error.sqlstate.as_str(), "XX000");
    });
    during("talks too much", |server| {
        let error = failed("", server.call("hostile_bigint", &numbers()));
        assert!(error.message.starts_with("blah"));
    });
}

/// A call that does not come back holds its own thread and nothing else.
#[test]
fn a_call_that_ignores_cancel_holds_only_its_own_thread() {
    during("ignores cancel", |server| {
        std::thread::scope(|scope| {
            let away = scope.spawn(|| {
                server
                    .call("hostile_bigint", &numbers())
                    .expect("in the end it answers");
            });
            for _ in 0..100 {
                still_answers(server, "ignores cancel");
            }
            away.join().expect("it comes back");
        });
    });
}

#[test]
fn after_three_faults_it_is_called_no_more() {
    during("panics", |server| {
        for _ in 0..3 {
            let error = failed("panics", server.call("hostile_bigint", &numbers()));
            says("panics", &error, "panicked");
        }
        let error = failed("panics", server.call("hostile_bigint", &numbers()));
        assert_eq!(error.sqlstate.as_str(), "55000");
        assert!(error.message.contains("quarantined"), "{}", error.message);
        assert_eq!(server.status("hostile").state, State::Quarantined);
    });
}

fn sum(server: &Server) -> Result<i64, Error> {
    let mut accumulator = server.function("hostile_sum").accumulator()?;
    let arguments = [Argument::new(numbers(), false)];
    accumulator.update(&arguments, 3)?;
    let _ = accumulator.size_bytes();
    let value = accumulator.evaluate(&DataType::Int64)?;
    Ok(value
        .as_primitive::<arrow_array::types::Int64Type>()
        .value(0))
}

#[test]
fn aggregates() {
    for (act, reason) in [
        ("gives a null accumulator", "gave no accumulator"),
        ("panics in update", "panicked in function/1.update"),
        ("evaluates to two rows", "1 rows were expected, not 2"),
    ] {
        during(act, |server| says(act, &failed(act, sum(server)), reason));
    }
    during("evaluates to text", |server| {
        let error = failed("", sum(server));
        assert!(error.message.contains("is no bigint"), "{}", error.message);
    });
    // These have no result to refuse.
    for act in [
        "panics in size_bytes",
        "is as large as memory",
        "panics in release",
    ] {
        during(act, |server| assert_eq!(sum(server).expect("a sum"), -2));
    }
}

/// The batches of the table function, at most so many.
fn drain(server: &Server, most: usize) -> Result<usize, Error> {
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let mut cursor = server
        .function("hostile_rows")
        .open(NoStatement::shared(), &[one])?;
    let types = [DataType::Int64, DataType::Utf8View];
    for n in 0..most {
        if cursor.next(&types)?.is_none() {
            return Ok(n);
        }
    }
    Ok(most)
}

#[test]
fn table_functions() {
    for (act, reason) in [
        ("gives a null cursor", "gave no cursor"),
        ("panics in next", "panicked in function/1.next"),
        ("gives ragged columns", "3 rows were expected, not 1"),
        ("gives another number of columns", "1 columns"),
        ("announces 2^64 - 1 rows", "rows were expected"),
        ("announces no rows", "0 rows were expected"),
        ("drops a column on the way", "1 columns"),
        ("gives nothing but columns", "0 columns"),
    ] {
        during(act, |server| {
            let error = failed(act, drain(server, 10));
            // Some are caught by the plugin's own kit, which names the function alone.
            let text = error.message.clone();
            assert!(text.contains(reason), "\"{act}\": {text}");
            assert_eq!(error.sqlstate.as_str(), "38000");
        });
    }
    during("gives nothing at all", |server| {
        assert_eq!(drain(server, 10).expect("no rows"), 0);
    });
    // Nobody has to read to the end.
    during("never ends", |server| {
        assert_eq!(drain(server, 50).expect("rows"), 50);
    });
}

#[test]
fn types_and_codecs() {
    let text: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b"]));
    for act in ["loses rows of a type", "panics in format"] {
        during(act, |server| {
            let registry = server.host.registry();
            let ty = &registry.types()[0];
            let parsed = ty.parse(&text, -1, &DataType::Binary);
            let result = parsed.and_then(|values| ty.format(&values));
            let error = failed(act, result);
            assert_eq!(error.sqlstate.as_str(), "38000", "{}", error.message);
        });
    }
    for act in [
        "panics in analyze",
        "panics in decode",
        "decodes to fewer rows",
        "filters fewer rows",
    ] {
        during(act, |server| {
            let registry = server.host.registry();
            let codec = registry.codec("hostile_codec").expect("it is registered");
            let one = numbers().slice(0, 1);
            let result = codec
                .analyze(&numbers())
                .and_then(|_| codec.encode(&numbers()))
                .and_then(|bytes| {
                    codec.decode(&bytes, &DataType::Int64, 3)?;
                    codec.filter(&bytes, 3, Comparison::Less, &one)
                });
            let error = failed(act, result);
            assert_eq!(error.sqlstate.as_str(), "38000", "{}", error.message);
        });
    }
}

#[test]
fn constraints_and_commands() {
    let definition = ConstraintDefinition {
        name: "c".to_owned(),
        schema: "public".to_owned(),
        table: "t".to_owned(),
        columns: vec!["a".to_owned()],
        options: String::new(),
    };
    for act in ["blames a row that is not there", "blames row 2^64 - 1"] {
        during(act, |server| {
            let registry = server.host.registry();
            let constraint = registry.constraint("hostile", "hostile_constraint");
            let constraint = constraint.expect("it is registered");
            let found = constraint.check(&NoStatement, &definition, &[numbers()], 3);
            let error = failed(act, found);
            assert_eq!(error.sqlstate.as_str(), "38000", "{}", error.message);
        });
    }
    for (act, reason) in [
        ("panics in a command", "panicked in command/1.run"),
        ("gives ragged columns", "rows were expected"),
    ] {
        during(act, |server| {
            let registry = server.host.registry();
            let command = &registry.commands()[0];
            let outcome = command.run(&NoStatement, "DO HOSTILE", sql_type);
            says(act, &failed(act, outcome), reason);
        });
    }
}
