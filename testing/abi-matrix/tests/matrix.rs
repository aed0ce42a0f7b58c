//! Builds of other times and places: what loads, and what is refused with which words.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, StringViewArray};
use heliosdb_abi_matrix::fixture::{self, path, read, replaced, room};
use heliosdb_abi_matrix::server::{Data, Server};
use heliosdb_plugin_api::abi::{ROOT_SYMBOL, root_of};
use heliosdb_plugin_api::{Error, Turn};
use heliosdb_plugin_host::background::workers::Transactions;
use heliosdb_plugin_host::{NoStatement, State, StatementServices};
use heliosdb_plugin_testkit::{Samples, Suite};

fn numbers() -> ArrayRef {
    Arc::new(Int64Array::from(vec![Some(1), None, Some(-3)]))
}

fn boot(files: &[(&str, &[u8])]) -> Server {
    Data::with(files).boot("").expect("it boots")
}

/// A plugin file that this server refuses, and the reason; the plain plugin beside it works.
fn refused(plugin: &str, file: &[u8], reason: &str) {
    let server = boot(&[("it.so", file), ("plain.so", &read("plain"))]);
    let said = server.reason(plugin);
    assert!(said.contains(reason), "{said}");
    assert!(!said.contains('\n'), "more than a line: {said}");
    assert_ne!(server.status(plugin).state, State::Active);
    plain_answers(&server);
}

fn plain_answers(server: &Server) {
    let text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
    let upper = server.call("plain_upper", &text).expect("it answers");
    assert_eq!(
        upper.as_string_view().iter().collect::<Vec<_>>(),
        [Some("A"), None]
    );
}

/// The promise to everyone who ever ships a plugin.
#[test]
fn a_plugin_of_the_first_interface_still_loads_and_works() {
    let server = boot(&[("first.so", &read("first"))]);
    assert_eq!(
        server.status("first").state,
        State::Active,
        "{:?}",
        server.status("first").reason
    );
    let twice = server.call("first_twice", &numbers()).expect("it answers");
    let twice: Vec<_> = twice.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(twice, [Some(2), None, Some(-6)]);
    let slice = server.call("first_twice", &numbers().slice(1, 2));
    assert_eq!(
        slice
            .expect("it answers")
            .as_primitive::<Int64Type>()
            .value(1),
        -6
    );
}

/// abi_stable's own loader keeps one root per type and process: the second plugin would be the first.
#[test]
fn plugins_with_one_root_type_stay_apart() {
    let server = boot(&[
        ("a.so", &read("first")),
        ("b.so", &read("plain")),
        ("c.so", &read("hostile")),
    ]);
    for plugin in ["first", "plain", "hostile"] {
        assert_eq!(server.status(plugin).state, State::Active);
        let own = server.host.registry();
        let own = own.functions().iter().filter(|f| **f.plugin() == *plugin);
        assert!(own.count() > 0, "{plugin} has no function");
    }
    plain_answers(&server);
    server.call("first_twice", &numbers()).expect("it answers");
}

#[test]
fn an_interface_of_another_layout_is_refused_by_name_and_field() {
    let mismatch = read("mismatch");
    refused("mismatch", &mismatch, "function/1 has another layout");
    let server = boot(&[("it.so", &mismatch)]);
    let said = server.reason("mismatch");
    // As docs/abi.md quotes it.
    let quoted = "function/1 has another layout: call.rows: the type is u32, not u64";
    assert_eq!(said, quoted);
}

#[test]
fn a_build_that_aborts_is_refused_unread_and_unrun() {
    let claims = replaced(&read("plain"), "panic=unwind\n", "panic=abort\n\n");
    let claims = replaced(&claims, "id = \"plain\"", "id = \"twain\"");
    refused("twain", &claims, "panic = \"abort\"");
}

/// Not only what a section says: a file that the compiler really built so. It has no dependencies,
/// because those would have to be built so, too.
#[test]
fn a_build_that_really_aborts_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/abort.rs");
    let object = directory.path().join("abort.so");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "cdylib",
            "-C",
            "panic=abort",
            "-o",
        ])
        .arg(&object)
        .arg(&source)
        .output()
        .expect("rustc runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let file = std::fs::read(&object).expect("the object");
    refused("aborts", &file, "panic = \"abort\"");
}

#[test]
fn two_plugins_that_claim_one_name_are_named_both() {
    let plain = read("plain");
    let twin = replaced(&plain, "id = \"plain\"", "id = \"twain\"");
    let server = boot(&[("plain.so", &plain), ("twin.so", &twin)]);
    let reasons: Vec<String> = ["plain", "twain"]
        .iter()
        .filter_map(|id| server.status(id).reason)
        .collect();
    let both = |r: &String| r.contains("plain") && r.contains("twain");
    assert!(reasons.iter().any(both), "{reasons:?}");
    assert!(
        reasons.iter().any(|r| r.contains("plain_upper")),
        "{reasons:?}"
    );
}

#[test]
fn a_plugin_without_what_it_requires_is_refused() {
    let (from, to) = room("requires = [{ plugin = \"absent\", version = \">=2\" }]");
    let needy = replaced(&read("plain"), &from, &to);
    let needy = replaced(&needy, "id = \"plain\"", "id = \"needy\"");
    let server = boot(&[("needy.so", &needy)]);
    let said = server.reason("needy");
    assert!(said.contains("absent"), "{said}");
}

/// The text is in a file more than once: in its section, and where the root hands it out. Whichever
/// is changed alone, no plugin starts under a name that is not its own.
#[test]
fn a_manifest_that_is_not_the_builds_own_is_refused() {
    let plain = read("plain");
    let name = b"id = \"plain\"";
    let places = (0..plain.len() - name.len()).filter(|&at| plain[at..].starts_with(name));
    let places: Vec<usize> = places.collect();
    assert!(places.len() > 1, "{places:?}");
    let mut refused = 0;
    for at in places {
        let mut forged = plain.clone();
        forged[at + 6..at + 11].copy_from_slice(b"plane");
        let server = boot(&[("it.so", &forged)]);
        let status = server.host.plugins().remove(0);
        if status.state == State::Active {
            assert_eq!(status.id, "plain");
        } else {
            let said = status.reason.unwrap_or_default();
            assert!(said.contains("manifest"), "{said}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_truncated_file_is_refused_at_every_length() {
    let plain = read("plain");
    for length in [0, 3, 63, 64, 1000, plain.len() / 2, plain.len() - 1] {
        let server = boot(&[("short.so", &plain[..length])]);
        let said = server.host.plugins()[0].reason.clone().unwrap_or_default();
        let says_why = ["truncated", "not a shared library", "damaged"];
        assert!(
            says_why.iter().any(|w| said.contains(w)),
            "{length}: {said}"
        );
    }
}

#[test]
fn one_changed_byte_is_refused_once_the_file_is_known() {
    let plain = read("plain");
    let data = Data::with(&[("plain.so", &plain)]);
    plain_answers(&data.boot("").expect("it boots"));
    let mut changed = plain.clone();
    *changed.last_mut().expect("the file is not empty") ^= 1;
    data.install("plain.so", &changed);
    let server = data.boot("").expect("it boots");
    let said = server.reason("plain");
    assert!(said.contains("plugins.lock"), "{said}");
    drop(server);
    data.install("plain.so", &plain);
    plain_answers(&data.boot("").expect("it boots"));
}

#[test]
fn what_is_no_plugin_is_refused() {
    for (bytes, reason) in [
        (b"#!/bin/sh\n".as_slice(), "not a shared library"),
        (&[0x7f, b'E', b'L', b'F', 2, 1, 1], "truncated"),
    ] {
        let server = boot(&[("it.so", bytes)]);
        let said = server.host.plugins()[0].reason.clone().unwrap_or_default();
        assert!(said.contains(reason) || said.contains("damaged"), "{said}");
    }
}

/// The suite speaks to a file as it speaks to a linked plugin.
/// Quanta without statements.
#[derive(Default)]
struct Quanta(AtomicU32);

impl Transactions for Quanta {
    fn is_installed(&self, _: &str) -> bool {
        true
    }

    fn run(
        &self,
        work: &mut dyn FnMut(&dyn StatementServices) -> Result<Turn, Error>,
    ) -> Result<Turn, Error> {
        let turn = work(&NoStatement)?;
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(turn)
    }

    fn cancel(&self) {}
}

#[test]
fn a_worker_of_a_file_works_in_the_background() {
    let server = boot(&[("plain.so", &read("plain"))]);
    let quanta = Arc::new(Quanta::default());
    let transactions: Arc<dyn Transactions> = quanta.clone();
    server.host.start_workers(&transactions);
    let done = || {
        let pieces = server.call("plain_pieces", &numbers());
        pieces
            .expect("it answers")
            .as_primitive::<Int64Type>()
            .value(0)
            >= 1000
    };
    while quanta.0.load(Ordering::SeqCst) == 0 || !done() {
        std::thread::yield_now();
    }
    server.host.stop_background();
    assert_eq!(server.status("plain").faults, 0);
}

#[test]
fn files_pass_conformance() {
    for name in ["plain", "first"] {
        let report = Suite::of_root(open(&path(name)), Samples::new()).run();
        assert!(report.passed(), "{name}\n{report}");
    }
    let samples = Samples::new()
        .setting("act", "panics")
        .command("DO HOSTILE");
    let report = Suite::of_root(open(&path("hostile")), samples).run();
    assert!(!report.passed(), "{report}");
}

fn open(path: &Path) -> heliosdb_plugin_api::abi::RootRef {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).expect("a path");
    let symbol = std::ffi::CString::new(ROOT_SYMBOL).expect("a symbol");
    // SAFETY: a fixture of this repository, which is never closed.
    unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null(), "{path:?} does not load");
        let symbol = libc::dlsym(library, symbol.as_ptr());
        root_of(symbol.cast()).expect("it has a root")
    }
}

#[test]
fn fixtures_have_room_for_tests() {
    let (from, to) = room("x = 1");
    assert_eq!(from.len(), to.len());
    assert!(fixture::replaced(&read("plain"), &from, &to) != read("plain"));
}
