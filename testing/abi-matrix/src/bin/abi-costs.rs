//! What the border costs: loading a plugin file, checking a layout, a call, a batch across and back.
//!
//! `cargo run --release -p heliosdb-abi-matrix --bin abi-costs` prints the table of docs/abi.md. Each
//! line is the median of many runs on one thread.

use std::ffi::CString;
use std::hint::black_box;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, StringViewArray};
use heliosdb_abi_matrix::fixture;
use heliosdb_plugin_api::Argument;
use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::{Interface, Published, ROOT_SYMBOL, RootRef, root_of};
use heliosdb_plugin_api::extension::codec::CodecV1;
use heliosdb_plugin_api::extension::function::FunctionV1;
use heliosdb_plugin_host::file::PluginFile;
use heliosdb_plugin_testkit::{Loaded, Statement, TestHost};

const ROWS: usize = 8192;

fn main() {
    let path = fixture::path("plain");
    let bytes = fixture::read("plain");
    println!(
        "file of {:.1} MB, batches of {ROWS} rows\n",
        bytes.len() as f64 / 1e6
    );

    report("read, hash and judge the file", 20, || {
        PluginFile::read(&path).map(drop).expect("a sound file");
    });
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut copies = (0..).map(|n| {
        // A copy each time: an object that is loaded is not loaded again.
        let copy = directory.path().join(format!("{n}.so"));
        std::fs::write(&copy, &bytes).expect("a copy");
        copy
    });
    report_with(
        "load it and check the root's layout",
        20,
        || copies.next().expect("endless"),
        |copy| {
            black_box(open(&copy));
        },
    );

    let root = open(&path);
    let function = interface::<FunctionV1>(root);
    let codec = interface::<CodecV1>(root);
    report("check the layout of function/1", 200, || {
        black_box(function.get::<FunctionV1>()).expect("one layout");
    });
    report("check the layout of codec/1", 200, || {
        black_box(codec.get::<CodecV1>()).expect("one layout");
    });

    let loaded = Loaded::of_root(root).expect("it loads");
    let host = TestHost::new();
    report("start and stop an instance", 200, || {
        let started = loaded.start(&host, &Default::default()).expect("it starts");
        started.stop().expect("it stops");
    });

    let vtable = function.get::<FunctionV1>().expect("one layout");
    report_many("an entry, with its guard", 2000, 1000, || {
        black_box((vtable.size_bytes)(black_box(std::ptr::null_mut())));
    });

    let started = loaded.start(&host, &Default::default()).expect("it starts");
    let statement = Statement::new();
    let call = |name: &str, array: &ArrayRef| {
        let index = started.function(name).expect("it is registered");
        let arguments = [Argument::new(array.clone(), false)];
        let result = started.scalar(index, &statement, &arguments, array.len());
        black_box(result.expect("it answers"));
    };
    let one: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
    let short: ArrayRef = Arc::new(StringViewArray::from_iter_values(
        (0..ROWS).map(|n| format!("row {n}")),
    ));
    let long: ArrayRef =
        Arc::new(StringViewArray::from_iter_values((0..ROWS).map(|n| {
            format!("row {n} with {}", "sixty-four more bytes ".repeat(3))
        })));
    report("one bigint across and back", 2000, || {
        call("plain_same", &one)
    });
    report("a batch of bigint across and back", 2000, || {
        call("plain_same", &numbers)
    });
    report("a batch of short text across and back", 500, || {
        call("plain_same_text", &short)
    });
    report("a batch of text of 80 bytes across and back", 500, || {
        call("plain_same_text", &long);
    });
    report(
        "of these, to export and import without a plugin: bigint",
        2000,
        || {
            let column = AbiColumn::export(&numbers, false).expect("it exports");
            let back = column.import(numbers.data_type(), ROWS);
            black_box(back.expect("it imports"));
        },
    );
}

fn open(path: &Path) -> RootRef {
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path");
    let symbol = CString::new(ROOT_SYMBOL).expect("a symbol");
    // SAFETY: a fixture of this repository, which is never closed.
    unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null(), "{path:?} does not load");
        root_of(libc::dlsym(library, symbol.as_ptr()).cast()).expect("it has a root")
    }
}

fn interface<V: Published>(root: RootRef) -> Interface {
    let found = (root.extension())(V::ID.into()).into_option();
    found.expect("the kit has every interface")
}

fn report(what: &str, runs: usize, body: impl FnMut()) {
    report_many(what, runs, 1, body);
}

/// For what is too short for a clock: `times` in each run.
fn report_many(what: &str, runs: usize, times: u32, mut body: impl FnMut()) {
    report_runs(
        what,
        runs,
        times,
        || (),
        |()| (0..times).for_each(|_| body()),
    );
}

/// What `prepare` does is not measured.
fn report_with<T>(what: &str, runs: usize, prepare: impl FnMut() -> T, body: impl FnMut(T)) {
    report_runs(what, runs, 1, prepare, body);
}

fn report_runs<T>(
    what: &str,
    runs: usize,
    times: u32,
    mut prepare: impl FnMut() -> T,
    mut body: impl FnMut(T),
) {
    let mut took: Vec<Duration> = (0..runs)
        .map(|_| {
            let prepared = prepare();
            let begin = Instant::now();
            body(prepared);
            begin.elapsed() / times
        })
        .collect();
    took.sort();
    let median = took[took.len() / 2].as_nanos() as f64;
    let shown = match median {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    };
    println!("{what:58} {shown:>10}");
}
