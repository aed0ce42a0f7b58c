//! `/metrics`, as Prometheus asks for it and as nobody should.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use heliosdb_kernel::{AuthMethod, ServerConfig};

use crate::Served;

fn served() -> (Served, SocketAddr) {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let served = Served::with(&ServerConfig {
        listen: vec![any],
        metrics: Some(any),
        auth: AuthMethod::Trust,
        ..ServerConfig::default()
    });
    let address = served.server.as_ref().unwrap().metrics().unwrap();
    (served, address)
}

/// What is answered to these bytes, as far as it comes.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    // It may be refused before all of it was read.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// The samples of an answer, whose shape is checked on the way.
fn samples(answer: &str) -> BTreeMap<String, f64> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("Content-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    let mut samples = BTreeMap::new();
    let (mut helped, mut family) = (String::new(), (String::new(), String::new()));
    for line in body.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, help] => {
                assert!(!help.is_empty());
                helped = (*name).to_owned();
            }
            ["#", "TYPE", name, kind] => {
                assert_eq!(*name, helped);
                assert!(["counter", "gauge", "histogram"].contains(kind), "{line}");
                family = ((*name).to_owned(), (*kind).to_owned());
            }
            _ => {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let bare = name.split('{').next().unwrap();
                let parts = ["_bucket", "_sum", "_count"];
                let is_part = parts
                    .iter()
                    .any(|part| bare == format!("{}{part}", family.0));
                match family.1.as_str() {
                    "histogram" => assert!(is_part, "{line}"),
                    kind => {
                        assert_eq!(bare, family.0, "{line}");
                        assert_eq!(kind == "counter", bare.ends_with("_total"), "{line}");
                    }
                }
                let value: f64 = value.parse().unwrap();
                assert!(value >= 0.0, "{line}");
                assert_eq!(samples.insert(name.to_owned(), value), None, "{line}");
            }
        }
    }
    samples
}

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n";

#[test]
fn numbers_are_served_to_prometheus() {
    let (served, address) = served();
    let before = samples(&ask(address, GET));
    let database = &served.database;
    let mut session = database.connect().unwrap();
    session
        .execute("CREATE TABLE t (k int PRIMARY KEY)")
        .unwrap();
    session
        .execute("INSERT INTO t VALUES (1), (2), (3)")
        .unwrap();
    session.query("SELECT k FROM t WHERE k = 2", &[]).unwrap();
    session.execute("SELECT 1 / 0").unwrap_err();
    session.execute("BEGIN").unwrap();
    let after = samples(&ask(address, b"GET /metrics?x=1 HTTP/1.0\r\n\r\n"));
    let grown = |name: &str| after[name] - before[name];
    for (name, by) in [
        ("heliosdb_statements_total{kind=\"ddl\"}", 1.0),
        ("heliosdb_statements_total{kind=\"insert\"}", 1.0),
        ("heliosdb_statements_total{kind=\"select\"}", 1.0),
        ("heliosdb_statements_total{kind=\"transaction\"}", 1.0),
        ("heliosdb_statement_errors_total", 1.0),
        ("heliosdb_statement_duration_seconds_count", 4.0),
        (
            "heliosdb_statement_duration_seconds_bucket{le=\"+Inf\"}",
            4.0,
        ),
        ("heliosdb_transactions_total{outcome=\"committed\"}", 3.0),
        ("heliosdb_transactions_total{outcome=\"rolled_back\"}", 1.0),
        ("heliosdb_rows_total{operation=\"inserted\"}", 3.0),
        ("heliosdb_rows_total{operation=\"fetched\"}", 1.0),
        ("heliosdb_index_scans_total", 1.0),
        ("heliosdb_sessions_total", 1.0),
        ("heliosdb_sessions{state=\"idle in transaction\"}", 1.0),
    ] {
        assert_eq!(grown(name), by, "{name}");
    }
    assert!(grown("heliosdb_statement_duration_seconds_sum") > 0.0);
    assert!(grown("heliosdb_wal_bytes_total") > 0.0 && grown("heliosdb_wal_syncs_total") > 0.0);
    assert_eq!(after["heliosdb_connections"], 0.0);
    assert_eq!(after["heliosdb_connections_max"], 100.0);
    assert_eq!(after["heliosdb_deadlocks_total"], 0.0);
    assert!(after["heliosdb_memory_budget_bytes"] > 0.0);
    // A reset of what SQL shows is none of these.
    session.execute("ROLLBACK").unwrap();
    session.execute("SELECT pg_stat_reset()").unwrap();
    let later = samples(&ask(address, GET));
    assert!(
        later
            .iter()
            .all(|(name, value)| { !name.contains("_total") || *value >= after[name.as_str()] })
    );
}

#[test]
fn what_is_no_request_for_them_is_refused() {
    let (_served, address) = served();
    let first_line = |request: &[u8]| {
        let answer = ask(address, request);
        answer.lines().next().unwrap_or_default().to_owned()
    };
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("GET /metrics/x HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        ("GET /metrics\r\n\r\n", "400 Bad Request"),
        ("\r\n\r\n", "400 Bad Request"),
        (
            "GET /metrics HTTP/2.0\r\n\r\n",
            "505 HTTP Version Not Supported",
        ),
    ] {
        assert_eq!(
            first_line(request.as_bytes()),
            format!("HTTP/1.1 {status}"),
            "{request:?}"
        );
    }
    assert_eq!(first_line(b"\xff\xfe\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    let endless = vec![b'x'; 9 << 10];
    assert_eq!(
        first_line(&endless),
        "HTTP/1.1 431 Request Header Fields Too Large"
    );
    let head = ask(address, b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

/// Clients that say nothing take the places of others for a while, and nothing else: those of the database are let in,
/// and when they are gone there are numbers again.
#[test]
fn silent_clients_take_nothing_down() {
    let (served, address) = served();
    let silent: Vec<TcpStream> = (0..64)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    // One more is closed before it is read.
    assert_eq!(ask(address, GET), "");
    served.database.execute("CREATE TABLE t (k int)").unwrap();
    let _client = TcpStream::connect(served.address()).unwrap();
    drop(silent);
    loop {
        let answer = ask(address, GET);
        if !answer.is_empty() {
            samples(&answer);
            break;
        }
        std::thread::yield_now();
    }
}
