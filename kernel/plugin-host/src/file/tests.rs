//! Files that are refused, and the words they are refused with.

#![expect(
    clippy::disallowed_methods,
    reason = "the tests play the operator, who puts files where the server finds them"
)]

use std::path::Path;

use expect_test::{Expect, expect};

use super::forge::Forge;
use super::*;

const MANIFEST: &str = "id = \"a\"\nversion = \"1.2.0\"\nabi = 1\n";

/// Through a real file, as the server reads it.
fn read(bytes: &[u8]) -> Result<PluginFile, Refusal> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.so");
    std::fs::write(&path, bytes).unwrap();
    PluginFile::read(&path).map_err(|error| error.refusal)
}

fn refused(bytes: &[u8], expected: Expect) {
    expected.assert_eq(&read(bytes).unwrap_err().to_string());
}

#[test]
fn a_plugin_file_is_read_without_running_it() {
    let bytes = Forge::plugin(MANIFEST).bytes();
    let file = read(&bytes).unwrap();
    assert_eq!(file.manifest.id, "a");
    assert_eq!(file.sha256, Sha256::of(&bytes));
    assert_eq!(file.build.panic, "unwind");
    assert_eq!(file.exports, [ROOT_SYMBOL]);
    assert_eq!(file.imports.len(), 1);
    assert!(file.imports[0].weak);
}

#[test]
fn a_file_that_was_exchanged_since_it_was_read_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.so");
    let bytes = Forge::plugin(MANIFEST).bytes();
    std::fs::write(&path, &bytes).unwrap();
    let file = PluginFile::read(&path).unwrap();
    assert_eq!(file.check_unchanged(), Ok(()));
    let new = directory.path().join("new");
    std::fs::write(&new, &bytes).unwrap();
    std::fs::rename(&new, &path).unwrap();
    let error = file.check_unchanged().unwrap_err();
    assert_eq!(
        error,
        "its file was exchanged after the server had checked it"
    );
    std::fs::remove_file(&path).unwrap();
    assert!(
        file.check_unchanged()
            .unwrap_err()
            .starts_with("it cannot be read")
    );
}

#[test]
fn a_file_that_is_no_library_of_this_machine_is_refused() {
    let forge = Forge::plugin(MANIFEST);
    refused(
        b"",
        expect!["it is not a shared library: an ELF file was expected"],
    );
    refused(
        b"#!/bin/sh\n",
        expect!["it is not a shared library: an ELF file was expected"],
    );
    let mut other = forge.clone();
    other.class = 1;
    let error = read(&other.bytes()).unwrap_err().to_string();
    assert!(
        error.starts_with("it is built for a 32-bit machine, and this server runs on"),
        "{error}"
    );
    let mut other = forge.clone();
    other.machine = 40;
    let error = read(&other.bytes()).unwrap_err().to_string();
    assert!(
        error.starts_with("it is built for machine 40, and"),
        "{error}"
    );
    for (kind, flags) in [(2, 0), (3, 0x0800_0001)] {
        let mut other = forge.clone();
        other.kind = kind;
        other.flags = flags;
        refused(
            &other.bytes(),
            expect!["it is an executable, not a shared library"],
        );
    }
    let mut other = forge.clone();
    other.kind = 1;
    refused(
        &other.bytes(),
        expect!["it is an object file, not a shared library"],
    );
}

#[test]
fn a_library_that_is_no_plugin_is_refused() {
    let forge = Forge::plugin(MANIFEST);
    refused(
        &forge.clone().without_section(MANIFEST_SECTION).bytes(),
        expect![
            "it is a shared library but no HeliosDB plugin: there is no section .heliosdb.manifest"
        ],
    );
    refused(
        &forge.clone().without_section(BUILD_SECTION).bytes(),
        expect!["it does not say how it was built: there is no section .heliosdb.build"],
    );
    let mut rootless = forge.clone();
    rootless.exports = vec!["something_else"];
    refused(
        &rootless.bytes(),
        expect![
            "it does not export the plugin's root, the symbol _1as_0lib_1header_0root_bmodule_bloader"
        ],
    );
}

#[test]
fn a_manifest_that_cannot_be_read_is_refused() {
    let with = |manifest: &[u8]| {
        let forge = Forge::plugin("");
        forge.with_section(MANIFEST_SECTION, manifest).bytes()
    };
    refused(
        &with(b"id = \"\xff\""),
        expect!["section .heliosdb.manifest: not UTF-8 after 6 bytes"],
    );
    let error = read(&with(b"id = \"a\"\nversion = \"one\"\nabi = 1\n")).unwrap_err();
    assert!(
        error.to_string().starts_with("manifest: line 2: "),
        "{error}"
    );
    refused(
        &with(b"id = \"a\"\nversion = \"1\"\nabi = 7\n"),
        expect!["its manifest says abi = 7, but it was built for plugin ABI 1"],
    );
    // A linker pads with zeros.
    assert!(read(&with(format!("{MANIFEST}\0\0\0").as_bytes())).is_ok());
}

#[test]
fn a_build_that_cannot_be_loaded_is_refused() {
    let with = |build: &str| {
        let forge = Forge::plugin(MANIFEST);
        forge.with_section(BUILD_SECTION, build.as_bytes()).bytes()
    };
    refused(
        &with("abi=1\npanic=abort\n"),
        expect![[
            r#"it is built with panic = "abort", so a panic in it would end the server; build it with panic = "unwind""#
        ]],
    );
    refused(
        &with("abi=1\npanic=explode\n"),
        expect![[r#"it is built with the unknown panic strategy "explode"; "unwind" is needed"#]],
    );
    // A newer ABI is said before anything of its manifest, which may be newer too.
    let newer = Forge::plugin("new = \"kind of manifest\"");
    refused(
        &newer
            .with_section(BUILD_SECTION, b"abi=2\npanic=unwind\n")
            .bytes(),
        expect!["it is built for plugin ABI 2, and this server speaks ABI 1"],
    );
    refused(
        &with("panic=unwind"),
        expect!["section .heliosdb.build: there is no line abi="],
    );
    refused(
        &with("abi=x\npanic=unwind"),
        expect![[r#"section .heliosdb.build: abi="x" is not a number"#]],
    );
    refused(
        &with("abi=1\nabi=2\npanic=unwind"),
        expect![[r#"section .heliosdb.build: "abi" is said twice"#]],
    );
    assert!(read(&with("abi=1\npanic=unwind\nkit=0.2.0")).is_ok());
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let bytes = Forge::plugin(MANIFEST).bytes();
    for end in 4..bytes.len() {
        let refusal = examine_bytes_aligned(&bytes[..end]).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Truncated { .. }),
            "at {end}: {refusal}"
        );
    }
    refused(
        &bytes[..100],
        expect!["it is truncated: it has 100 bytes and its headers describe 1112"],
    );
    // A real, large one.
    let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    for part in 1..16 {
        let end = whole.len() / 16 * part;
        let mut library = whole[..end].to_vec();
        library[16] = 3;
        let refusal = examine_bytes_aligned(&library).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Truncated { .. }),
            "at {end}: {refusal}"
        );
    }
}

#[test]
fn a_damaged_file_never_panics() {
    let bytes = Forge::plugin(MANIFEST).bytes();
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 4] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            drop(examine_bytes_aligned(&damaged));
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_after_a_header_never_panic(
        tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600),
        headers_at in 0u64..700,
        count in 0u16..12,
    ) {
        let mut bytes = Forge::plugin(MANIFEST).bytes();
        bytes.truncate(64);
        bytes[40..48].copy_from_slice(&headers_at.to_le_bytes());
        bytes[60..62].copy_from_slice(&count.to_le_bytes());
        bytes.extend(tail);
        drop(examine_bytes_aligned(&bytes));
    }
}

fn examine_bytes_aligned(bytes: &[u8]) -> Result<Examined, Refusal> {
    let mut words = vec![0u64; bytes.len().div_ceil(8)];
    object::pod::bytes_of_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    let len = bytes.len();
    let stamp = Stamp::default();
    examine_bytes(Bytes { words, len, stamp }.as_slice(), stamp)
}

/// A thousand symbols that share one long name would be read a thousand times over.
#[test]
fn a_forged_table_of_long_names_is_refused() {
    let name: &'static str = Box::leak("x".repeat(100_000).into_boxed_str());
    for in_locals in [false, true] {
        let mut forge = Forge::plugin(MANIFEST);
        let table = match in_locals {
            true => &mut forge.locals,
            false => &mut forge.imports,
        };
        *table = vec![name; 1000];
        refused(
            &forge.bytes(),
            expect!["it is damaged: its symbols have more names than it has bytes"],
        );
    }
}

#[test]
fn misuse_is_warned_of_where_it_can_be_seen() {
    let topics = |forge: &Forge| {
        let examined = examine_bytes_aligned(&forge.bytes()).unwrap();
        let warnings = examined.warnings.into_iter();
        warnings
            .map(|w| format!("{}: {}", w.topic, w.text))
            .collect::<Vec<_>>()
    };
    let plain = Forge::plugin(MANIFEST);
    assert_eq!(topics(&plain), [""; 0]);

    let mut forge = plain.clone();
    forge.imports = vec!["pthread_create", "_exit", "nowhere_to_be_found"];
    forge.exports.push("malloc");
    forge.locals = vec!["_R12___rustc12___rust_alloc"];
    expect![[r#"
        threads: it contains code that starts threads; the server can neither limit nor stop them (imports pthread_create)
        exit: it contains code that ends the process, and with it the server (imports _exit)
        allocator: it has a global allocator of its own, so the server cannot account for its memory
        unresolved: none of the libraries it was linked with provides pthread_create, _exit, nowhere_to_be_found; loading it will fail if nothing else does
        exports: it exports more than the plugin's root: malloc"#]]
    .assert_eq(&topics(&forge).join("\n"));

    let mut library = plain.clone();
    library.exports.extend(["a"; 20]);
    let said = topics(&library).join("");
    assert!(said.ends_with("a, a, a, a and 12 more"), "{said}");

    // Whether a stripped file has an allocator of its own cannot be seen.
    let mut stripped = plain.clone();
    stripped.locals.clear();
    assert_eq!(topics(&stripped), [""; 0]);
    let examined = examine_bytes_aligned(&stripped.bytes()).unwrap();
    assert_eq!(examined.allocator, Allocator::Unknown);
}

#[test]
fn a_directory_gives_its_files_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    };
    write("b.so", &Forge::plugin(MANIFEST).bytes());
    write("a.so", b"nothing");
    write("README", b"not looked at");
    write(".hidden.so", b"not looked at");
    std::fs::create_dir(directory.path().join("c.so")).unwrap();
    let found = discover(directory.path()).unwrap();
    assert_eq!(found.len(), 3);
    assert!(matches!(
        found[0].as_ref().unwrap_err().refusal,
        Refusal::NotElf
    ));
    assert_eq!(found[1].as_ref().unwrap().manifest.id, "a");
    assert!(matches!(
        found[2].as_ref().unwrap_err().refusal,
        Refusal::NotAFile
    ));
    assert!(discover(Path::new("/nowhere/at/all")).is_err());
}
