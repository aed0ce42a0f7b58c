//! NotificationResponse: when it comes, and to whom.

use std::time::Duration;

use crate::Served;
use crate::raw::*;

/// Its sender, channel and payload.
fn notification(message: &Message) -> (u32, String, String) {
    assert_eq!(message.kind, b'A', "{message:?}");
    let pid = u32::from_be_bytes(message.body[..4].try_into().unwrap());
    let mut texts = message.body[4..].split(|b| *b == 0);
    let mut text = || String::from_utf8(texts.next().unwrap().to_vec()).unwrap();
    (pid, text(), text())
}

/// A client that says nothing is told at once: it waits for nothing but this.
#[test]
fn an_idle_client_is_woken() {
    let served = Served::trust();
    let (mut sender, key) = Raw::ready_with_key(served.address());
    let pid = u32::from_be_bytes(key[..4].try_into().unwrap());
    let mut listeners: Vec<Raw> = (0..3).map(|_| Raw::ready(served.address())).collect();
    for listener in &mut listeners {
        assert_eq!(listener.ask(&query("listen x")), "C(LISTEN) Z(I)");
    }
    for round in 0..20 {
        sender.ask(&query(&format!("notify x, '{round}'; notify y")));
        for listener in &mut listeners {
            let told = notification(&listener.next().unwrap());
            assert_eq!(told, (pid, "x".to_owned(), round.to_string()));
        }
    }
    // It is a client like others afterwards.
    assert_eq!(
        listeners[0].ask(&query("unlisten x; select 1")),
        "C(UNLISTEN) T D(1) C(SELECT 1) Z(I)"
    );
    sender.ask(&query("notify x"));
    assert_eq!(
        listeners[0].ask(&query("select 2")),
        "T D(2) C(SELECT 1) Z(I)"
    );
    // The others are still told, whatever they ask for then.
    let told = notification(&listeners[1].next().unwrap());
    assert_eq!(told, (pid, "x".to_owned(), String::new()));
    assert_eq!(
        listeners[1].ask(&query("select 2")),
        "T D(2) C(SELECT 1) Z(I)"
    );
}

#[test]
fn a_client_is_told_between_its_transactions() {
    let served = Served::trust();
    let mut sender = Raw::ready(served.address());
    let mut raw = Raw::ready(served.address());
    // Of its own before the end of the cycle.
    assert_eq!(
        raw.ask(&query("listen x; notify x")),
        "C(LISTEN) C(NOTIFY) A Z(I)"
    );
    assert_eq!(raw.ask(&query("begin")), "C(BEGIN) Z(T)");
    sender.ask(&query("notify x, '1'"));
    assert_eq!(raw.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(T)");
    assert_eq!(raw.ask(&query("select nothing")), "E(42703) Z(E)");
    sender.ask(&query("notify x, '2'"));
    assert_eq!(raw.ask(&query("rollback")), "C(ROLLBACK) A A Z(I)");
    // In a pipeline at its end.
    let flushed = [parse("", "select 1"), bind("", ""), message(b'H', b"")].concat();
    raw.send(&flushed);
    assert_eq!(raw.next().unwrap().kind, b'1');
    assert_eq!(raw.next().unwrap().kind, b'2');
    sender.ask(&query("notify x, '3'"));
    let rest = [execute("", 0), sync()].concat();
    assert_eq!(raw.ask(&rest), "D(1) C(SELECT 1) A Z(I)");
}

/// A client that vanishes leaves no locks behind, whatever it held.
#[test]
fn a_client_that_vanishes_lets_go_of_its_advisory_locks() {
    let served = Served::trust();
    let mut holder = Raw::ready(served.address());
    holder.ask(&query("select pg_advisory_lock(1)"));
    let mut waiting = Raw::ready(served.address());
    assert_eq!(
        waiting.ask(&query("select pg_try_advisory_lock(1)")),
        "T D(f) C(SELECT 1) Z(I)"
    );
    waiting.send(&query("select pg_advisory_lock(1)"));
    drop(holder);
    assert_eq!(shown(&waiting.until_ready()), "T D() C(SELECT 1) Z(I)");
}

/// As does one that a program within the process was.
#[test]
fn a_program_is_told_too() {
    let served = Served::trust();
    let mut sender = Raw::ready(served.address());
    let mut connection = served.database.connect().unwrap();
    connection.execute("listen x").unwrap();
    assert!(!connection.wait_for_notification(Some(Duration::ZERO)));
    sender.ask(&query("notify x, 'to it'"));
    assert!(connection.wait_for_notification(Some(Duration::from_secs(20))));
    let told = connection.notifications();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].channel.as_str(), told[0].payload.as_str()),
        ("x", "to it")
    );
    // Sessions that the database keeps for later are new ones.
    served.database.execute("listen y").unwrap();
    let channels = served.database.query("select pg_listening_channels()", &[]);
    assert_eq!(channels.unwrap().len(), 0);
}
