//! Authentication, cancelling, limits and shutdown.

use std::io::Write;
use std::time::Duration;

use heliosdb_kernel::{AuthMethod, ServerConfig};

use crate::raw::*;
use crate::{PASSWORD, Served};

/// Long enough that only a cancel ends it.
const ENDLESS: &str =
    "select count(*) from generate_series(1, 3000000) a, generate_series(1, 3000000) b";

fn connect_error(served: &Served, user: &str, password: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime
        .block_on(
            tokio_postgres::Config::new()
                .host("127.0.0.1")
                .port(served.address().port())
                .user(user)
                .password(password)
                .dbname("helios")
                .connect(tokio_postgres::NoTls),
        )
        .err()
        .expect("the password is wrong");
    let error = error.as_db_error().unwrap();
    format!("{} {}", error.code().code(), error.message())
}

#[test]
fn scram_tells_nothing_about_names() {
    let served = Served::new(AuthMethod::Scram, 10);
    assert_eq!(
        connect_error(&served, "helios", "wrong"),
        "28P01 password authentication failed for user \"helios\""
    );
    assert_eq!(
        connect_error(&served, "nobody", PASSWORD),
        "28P01 password authentication failed for user \"nobody\""
    );
    // The salt of a name is the same at every attempt, whether the name exists or not.
    for user in ["helios", "nobody"] {
        assert_eq!(salt_of(&served, user), salt_of(&served, user), "{user}");
    }
    assert_ne!(salt_of(&served, "nobody"), salt_of(&served, "nobody2"));
}

/// The `s=…,i=…` of the server's first SCRAM message.
fn salt_of(served: &Served, user: &str) -> String {
    let mut raw = Raw::silent(served.address());
    raw.send(&startup_packet(&[("user", user), ("database", "helios")]));
    assert_eq!(raw.next().unwrap().body, b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    let first = b"n,,n=,r=abcdefghijklmnop";
    let mut body = b"SCRAM-SHA-256\0".to_vec();
    body.extend((first.len() as u32).to_be_bytes());
    body.extend(first);
    raw.send(&message(b'p', &body));
    let answer = String::from_utf8(raw.next().unwrap().body[4..].to_vec()).unwrap();
    let (nonce, rest) = answer.split_once(",s=").unwrap();
    assert!(nonce.starts_with("r=abcdefghijklmnop"));
    assert!(rest.ends_with(",i=4096"), "{rest}");
    rest.to_owned()
}

#[test]
fn nothing_is_answered_before_authentication() {
    let served = Served::new(AuthMethod::Scram, 10);
    let mut raw = Raw::silent(served.address());
    let startup = startup_packet(&[("user", "helios"), ("database", "helios")]);
    raw.send(&[startup, query("select 1")].concat());
    assert_eq!(shown(&raw.until_closed()), "R E(08P01)");
}

/// Whoever has not logged in by then is gone, however busy he looks.
#[test]
fn a_client_that_drips_is_not_waited_for() {
    let served = Served::with(&ServerConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        auth: AuthMethod::Scram,
        authentication_timeout: Duration::from_millis(500),
        ..ServerConfig::default()
    });
    let mut raw = Raw::silent(served.address());
    // A pause is shorter than what a served connection waits for.
    raw.stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    // As long as a startup packet may be.
    raw.send(&10_000_u32.to_be_bytes());
    let is_closed = (0..2_000).any(|_| {
        let read = raw
            .stream
            .write_all(&[0])
            .and_then(|()| std::io::Read::read(&mut raw.stream, &mut [0]));
        match read {
            Ok(count) => count == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    });
    assert!(is_closed);
}

/// Those who have not said who they are hold no threads, however many they are.
#[test]
fn clients_that_drip_hold_no_threads() {
    let served = Served::new(AuthMethod::Trust, 2);
    let mut dripping: Vec<Raw> = (0..60).map(|_| Raw::silent(served.address())).collect();
    for raw in &mut dripping {
        raw.send(&10_000_u32.to_be_bytes());
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..1_000 {
                if stop.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                for raw in &mut dripping {
                    raw.send(&[0]);
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let mut raw = Raw::ready(served.address());
        let answer = raw.ask(&query("select 1"));
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(answer, "T D(1) C(SELECT 1) Z(I)");
    });
}

pub fn cancel(served: &Served, key: [u8; 8]) {
    let mut raw = Raw::silent(served.address());
    raw.send(&[&b"\0\0\0\x10\x04\xd2\x16\x2e"[..], &key].concat());
    // The server closes once it has done what it was asked.
    assert_eq!(raw.next(), None);
}

#[test]
fn cancel_needs_the_secret_and_spares_the_session() {
    let served = Served::trust();
    let (mut raw, key) = Raw::ready_with_key(served.address());
    // Nothing runs: nothing happens, now or later.
    cancel(&served, key);
    assert_eq!(raw.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");

    raw.send(&query(ENDLESS));
    let mut wrong = key;
    wrong[7] ^= 1;
    cancel(&served, wrong);
    raw.stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut first = [0];
    assert!(
        std::io::Read::read(&mut raw.stream, &mut first).is_err(),
        "a wrong secret cancelled"
    );
    raw.stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    cancel(&served, key);
    assert_eq!(shown(&raw.until_ready()), "E(57014) Z(I)");
    assert_eq!(raw.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
}

#[test]
fn too_many_clients_are_told_so() {
    let served = Served::new(AuthMethod::Trust, 2);
    let first = Raw::ready(served.address());
    let mut second = Raw::ready(served.address());
    let mut third = Raw::silent(served.address());
    third.send(&startup_packet(&[
        ("user", "helios"),
        ("database", "helios"),
    ]));
    assert_eq!(shown(&third.until_closed()), "E(53300)");
    drop(first);
    second.send(&message(b'X', b""));
    assert_eq!(second.until_closed(), []);
    // The places are free again once the server has seen both go.
    while served.server.as_ref().unwrap().connections() > 0 {
        std::thread::yield_now();
    }
    Raw::ready(served.address());
}

#[test]
fn shutdown_finishes_statements_and_tells_clients() {
    let mut served = Served::trust();
    let mut idle = Raw::ready(served.address());
    let mut busy = Raw::ready(served.address());
    let mut open = Raw::ready(served.address());
    open.ask(&query("create table t (a int)"));
    open.ask(&query("begin; insert into t values (1)"));
    busy.send(&query(ENDLESS));
    busy.stream.flush().unwrap();
    let server = served.server.take().unwrap();
    server.shutdown(Duration::from_millis(200));
    for (what, raw) in [("idle", &mut idle), ("open", &mut open)] {
        let end = raw.until_closed();
        assert_eq!(shown(&end), "E(57P01)", "{what}");
        assert_eq!(end[0].field(b'S').as_deref(), Some("FATAL"));
    }
    assert_eq!(shown(&busy.until_closed()), "E(57P01)");
    // What was not committed is gone.
    let rows = served
        .database
        .query("select count(*) from t", &[])
        .unwrap();
    assert_eq!(rows.one().unwrap().get::<i64>(0).unwrap(), 0);
}

/// Quiet connections give their threads back.
#[test]
fn quiet_connections_are_cheap() {
    let served = Served::new(AuthMethod::Trust, 400);
    let quiet: Vec<Raw> = (0..300).map(|_| Raw::ready(served.address())).collect();
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let begun = std::time::Instant::now();
    while threads() > 100 {
        let waited = begun.elapsed();
        assert!(
            waited < Duration::from_secs(30),
            "{} threads for quiet connections",
            threads()
        );
        std::thread::yield_now();
    }
    for mut raw in quiet {
        assert_eq!(raw.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
    }
}

/// A client that has closed its half is answered what it asked before, and is gone then, wherever it stood.
#[test]
fn half_a_connection_is_served_to_its_end() {
    let served = Served::trust();
    let close = |raw: &Raw| raw.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut raw = Raw::ready(served.address());
    raw.send(&query("select 1"));
    close(&raw);
    assert_eq!(shown(&raw.until_closed()), "T D(1) C(SELECT 1) Z(I)");
    let startup = startup_packet(&[("user", "helios")]);
    for sent in [&[][..], &startup[..3], &startup[..startup.len() - 1]] {
        let mut raw = Raw::silent(served.address());
        raw.send(sent);
        close(&raw);
        assert_eq!(shown(&raw.until_closed()), "");
    }
    // In the middle of a COPY, whose rows are gone with it.
    let mut raw = Raw::ready(served.address());
    raw.ask(&query("create table t (a int)"));
    raw.send(&query("copy t from stdin"));
    raw.next();
    raw.send(&crate::raw::message(b'd', b"1\n2\n"));
    close(&raw);
    raw.until_closed();
    let begun = std::time::Instant::now();
    while served.server.as_ref().unwrap().connections() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    let rows = served
        .database
        .query("select count(*) from t", &[])
        .unwrap();
    assert_eq!(rows.one().unwrap().get::<i64>(0).unwrap(), 0);
}

/// Whoever asks for much and reads nothing keeps what is on its way to him and no more, and others are served.
#[test]
fn clients_that_do_not_read_hold_only_themselves() {
    let served = Served::trust();
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages = status.split(' ').nth(1).unwrap();
        pages.parse::<usize>().unwrap() * 4096
    };
    let much = "select repeat('x', 1000) from generate_series(1, 1000000)";
    let begun = resident();
    let deaf: Vec<Raw> = (0..4)
        .map(|_| {
            let mut raw = Raw::ready(served.address());
            raw.send(&query(much));
            raw
        })
        .collect();
    // Each of them would be sent a gigabyte.
    for _ in 0..20 {
        let mut raw = Raw::ready(served.address());
        assert_eq!(raw.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
    }
    let grown = resident().saturating_sub(begun);
    assert!(grown < 1 << 30, "{} MiB", grown >> 20);
    drop(deaf);
}
