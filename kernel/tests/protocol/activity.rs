//! Sessions that others stop, or that end because their client says nothing.

use crate::Served;
use crate::raw::*;

/// What a connection's process is.
fn pid(key: [u8; 8]) -> u32 {
    u32::from_be_bytes(key[..4].try_into().unwrap())
}

#[test]
fn a_session_is_terminated_whatever_it_does() {
    let served = Served::trust();
    let mut admin = Raw::ready(served.address());
    let mut terminate = |key| {
        let sql = format!("select pg_terminate_backend({}, 20000)", pid(key));
        assert_eq!(admin.ask(&query(&sql)), "T D(t) C(SELECT 1) Z(I)");
    };
    // Idle, and idle in a transaction that holds a lock.
    let (mut idle, key) = Raw::ready_with_key(served.address());
    terminate(key);
    assert_eq!(shown(&idle.until_closed()), "E(57P01)");
    let (mut idle, key) = Raw::ready_with_key(served.address());
    idle.ask(&query("begin; select pg_advisory_xact_lock(1)"));
    terminate(key);
    assert_eq!(shown(&idle.until_closed()), "E(57P01)");
    // Waiting, and computing.
    let mut holder = Raw::ready(served.address());
    assert_eq!(
        holder.ask(&query("select pg_try_advisory_lock(1)")),
        "T D(t) C(SELECT 1) Z(I)"
    );
    for sql in [
        "select pg_advisory_lock(1)",
        "select pg_sleep(3600)",
        "select count(*) from generate_series(1, 20000) a, generate_series(1, 20000) b, generate_series(1, 2000) c",
    ] {
        let (mut busy, key) = Raw::ready_with_key(served.address());
        busy.send(&query(sql));
        terminate(key);
        let answer = shown(&busy.until_closed());
        assert!(answer.ends_with("E(57P01)"), "{sql}: {answer}");
    }
    assert_eq!(holder.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
    let own = "select pg_terminate_backend(pg_backend_pid())";
    holder.send(&query(own));
    assert_eq!(shown(&holder.until_closed()), "E(57P01)");
}

#[test]
fn a_client_that_says_nothing_loses_its_session() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    raw.ask(&query("set idle_session_timeout = 1"));
    assert_eq!(shown(&raw.until_closed()), "E(57P05)");
    let mut raw = Raw::ready(served.address());
    raw.ask(&query("set idle_in_transaction_session_timeout = 1"));
    // Not in a transaction it may be as quiet as it likes.
    assert_eq!(raw.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
    raw.ask(&query("begin; select pg_advisory_lock(1)"));
    assert_eq!(shown(&raw.until_closed()), "E(25P03)");
    let mut raw = Raw::ready(served.address());
    raw.ask(&query("set idle_in_transaction_session_timeout = '1ms'"));
    assert_eq!(
        raw.ask(&query("begin; select 1/0")),
        "C(BEGIN) E(22012) Z(E)"
    );
    assert_eq!(shown(&raw.until_closed()), "E(25P03)");
    // What it held is free.
    let mut raw = Raw::ready(served.address());
    assert_eq!(
        raw.ask(&query("select pg_try_advisory_lock(1)")),
        "T D(t) C(SELECT 1) Z(I)"
    );
}

#[test]
fn a_session_tells_where_its_client_is() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    let client = raw.stream.local_addr().unwrap();
    let sql = format!(
        "select inet_client_addr()::text = '{}' and inet_client_port() = {}
            and inet_server_addr()::text = '{}' and inet_server_port() = {}",
        client.ip(),
        client.port(),
        served.address().ip(),
        served.address().port()
    );
    assert_eq!(raw.ask(&query(&sql)), "T D(t) C(SELECT 1) Z(I)");
    let sql = "select client_addr::text || ' ' || client_port from pg_stat_activity where pid = pg_backend_pid()";
    assert_eq!(
        raw.ask(&query(sql)),
        format!("T D({} {}) C(SELECT 1) Z(I)", client.ip(), client.port())
    );
}

#[test]
fn statements_that_drivers_prepare_are_shown() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    let prepared = [parse("s", "select $1::int"), parse("", "select 2"), sync()].concat();
    assert_eq!(raw.ask(&prepared), "1 1 Z(I)");
    let shown = "select name || '|' || statement || '|' || from_sql
                 from pg_prepared_statements";
    assert_eq!(
        raw.ask(&query(shown)),
        "T D(s|select $1::int|false) C(SELECT 1) Z(I)"
    );
    let closed = [message(b'C', b"Ss\0"), sync()].concat();
    assert_eq!(raw.ask(&closed), "3 Z(I)");
    assert_eq!(raw.ask(&query(shown)), "T C(SELECT 0) Z(I)");
}
