//! EXPORT DATABASE over the wire: the data of a COPY, under both query protocols.

use std::io::Write;

use futures::StreamExt;
use heliosdb_dump::{Dump, Silent};
use heliosdb_kernel::Database;

use crate::Served;
use crate::driver::with_client;
use crate::life::cancel;
use crate::raw::*;

/// More than the server, the sockets and the client hold on the way.
fn much() -> Served {
    let served = Served::trust();
    served
        .database
        .execute(
            "CREATE TABLE much AS
             SELECT i, md5('a' || i) || md5('b' || i) || md5('c' || i) AS v
             FROM generate_series(1, 250000) i",
        )
        .unwrap();
    served
}

fn read(bytes: &[u8]) -> Dump {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Dump::open(file, "test.dump", &Silent).unwrap()
}

#[test]
fn a_driver_receives_a_dump() {
    let served = Served::trust();
    with_client(&served, async |client| {
        client
            .batch_execute("create table t (a int); insert into t values (1), (2)")
            .await
            .unwrap();
        let out = client
            .copy_out("export database to stdout with (compression_level 1)")
            .await
            .unwrap();
        let chunks: Vec<_> = out.map(|chunk| chunk.unwrap().to_vec()).collect().await;
        let dump = read(&chunks.concat());
        let table = &dump.manifest().tables[0];
        assert_eq!(table.name.as_deref(), Some("public.t"));
        assert_eq!(table.rows, 2);
        let error = client
            .copy_out("export database to stdout with (compression 1)")
            .await
            .err()
            .unwrap();
        assert_eq!(error.code().unwrap().code(), "42601");
    });
}

#[test]
fn a_simple_query_answers_with_binary_data_and_its_length() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    raw.send(&query("export database to stdout"));
    let messages = raw.until_ready();
    // Binary, and no columns.
    assert_eq!(
        (messages[0].kind, &messages[0].body[..]),
        (b'H', &[1, 0, 0][..])
    );
    let data: Vec<u8> = messages
        .iter()
        .filter(|m| m.kind == b'd')
        .flat_map(|m| m.body.clone())
        .collect();
    read(&data);
    let end: Vec<Message> = messages.iter().rev().take(3).rev().cloned().collect();
    assert_eq!(shown(&end), format!("c C(EXPORT {}) Z(I)", data.len()));
    // Several statements: none of them is a transaction that the dump would have to wait for.
    let answer = raw.ask(&query("select 1; export database to stdout; select 2"));
    assert!(answer.starts_with("T D(1) C(SELECT 1) H d "), "{answer}");
    assert!(answer.ends_with("T D(2) C(SELECT 1) Z(I)"), "{answer}");
}

#[test]
fn a_cancel_request_ends_an_export() {
    let served = much();
    let (mut raw, key) = Raw::ready_with_key(served.address());
    raw.send(&query("export database to stdout"));
    assert_eq!(raw.next().unwrap().kind, b'H');
    assert_eq!(raw.next().unwrap().kind, b'd');
    cancel(&served, key);
    let rest = raw.until_ready();
    let end: Vec<Message> = rest.iter().rev().take(2).rev().cloned().collect();
    assert_eq!(shown(&end), "E(57014) Z(I)");
    assert_eq!(raw.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
}

/// Whoever exports for a client that is gone would hold the directory.
#[test]
fn an_export_ends_with_its_client() {
    let served = much();
    let mut raw = Raw::ready(served.address());
    raw.send(&query("export database to stdout"));
    assert_eq!(raw.next().unwrap().kind, b'H');
    assert_eq!(raw.next().unwrap().kind, b'd');
    drop(raw);
    let Served {
        server,
        database,
        _directory: directory,
    } = served;
    drop(server);
    drop(database);
    Database::open(directory.path()).unwrap();
}
