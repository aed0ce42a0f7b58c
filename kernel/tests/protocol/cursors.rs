//! Portals of the protocol and cursors of SQL are one thing under one name: answers as PostgreSQL 15 gives them.

use crate::Served;
use crate::raw::*;

const SIX: &str = "select i from generate_series(1, 6) g(i)";

/// A connection with statements: `s` gives six rows, the others name a portal `p`.
fn prepared(served: &Served) -> Raw {
    let mut raw = Raw::ready(served.address());
    let statements = [
        parse("s", SIX),
        parse("f", "fetch 2 from p"),
        parse("m", "move p"),
        parse("c", "close p"),
        sync(),
    ];
    assert_eq!(raw.ask(&statements.concat()), "1 1 1 1 Z(I)");
    raw
}

fn bind_binary(portal: &str, statement: &str) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0\0\0\0\0").into_bytes();
    body.extend([0, 1, 0, 1]);
    message(b'B', &body)
}

#[test]
fn fetch_and_move_read_a_portal_on() {
    let served = Served::trust();
    let mut raw = prepared(&served);
    raw.ask(&query("begin"));
    assert_eq!(
        raw.ask(&[bind("p", "s"), execute("p", 2), sync()].concat()),
        "2 D(1) D(2) s Z(T)"
    );
    assert_eq!(raw.ask(&query("fetch p")), "T D(3) C(FETCH 1) Z(T)");
    assert_eq!(raw.ask(&query("move 1 from p")), "C(MOVE 1) Z(T)");
    assert_eq!(raw.ask(&[execute("p", 1), sync()].concat()), "D(5) s Z(T)");
    // It goes forward only, and can do nothing after a FETCH that failed.
    assert_eq!(
        raw.ask(&query("savepoint a; fetch backward p")),
        "C(SAVEPOINT) E(55000) Z(E)"
    );
    raw.ask(&query("rollback to a"));
    assert_eq!(
        raw.ask(&[execute("p", 0), sync()].concat()),
        "E(55000) Z(E)"
    );
    raw.ask(&query("rollback"));
    assert_eq!(
        raw.ask(&[execute("p", 0), sync()].concat()),
        "E(34000) Z(I)"
    );
}

#[test]
fn fetch_runs_a_portal_that_was_bound() {
    let served = Served::trust();
    let mut raw = prepared(&served);
    raw.ask(&query("begin"));
    assert_eq!(raw.ask(&[bind("p", "s"), sync()].concat()), "2 Z(T)");
    assert_eq!(
        raw.ask(&query("fetch 2 from p")),
        "T D(1) D(2) C(FETCH 2) Z(T)"
    );
    // What FETCH returns is what the portal does; MOVE returns nothing.
    let fetch = [bind("", "f"), describe_portal(""), execute("", 0), sync()];
    assert_eq!(raw.ask(&fetch.concat()), "2 T D(3) D(4) C(FETCH 2) Z(T)");
    assert_eq!(
        raw.ask(&[describe_statement("f"), sync()].concat()),
        "t T Z(T)"
    );
    let moved = [bind("", "m"), describe_portal(""), execute("", 0), sync()];
    assert_eq!(raw.ask(&moved.concat()), "2 n C(MOVE 1) Z(T)");
    assert_eq!(
        raw.ask(&[execute("p", 0), sync()].concat()),
        "D(6) C(SELECT 1) Z(T)"
    );
    assert_eq!(
        raw.ask(&[execute("p", 0), sync()].concat()),
        "C(SELECT 0) Z(T)"
    );
    assert_eq!(raw.ask(&query("close p")), "C(CLOSE CURSOR) Z(T)");
    assert_eq!(
        raw.ask(&[execute("p", 0), sync()].concat()),
        "E(34000) Z(E)"
    );
}

#[test]
fn close_finds_portals() {
    let served = Served::trust();
    let mut raw = prepared(&served);
    raw.ask(&query("begin; create temporary table counted (n int)"));
    // What is closed before it ran never runs.
    let insert = parse("i", "insert into counted values (1) returning n");
    assert_eq!(
        raw.ask(&[insert, bind("p", "i"), sync()].concat()),
        "1 2 Z(T)"
    );
    assert_eq!(raw.ask(&query("close p")), "C(CLOSE CURSOR) Z(T)");
    assert_eq!(
        raw.ask(&query("select count(*) from counted")),
        "T D(0) C(SELECT 1) Z(T)"
    );
    let again = [bind("p", "s"), execute("p", 1), sync()].concat();
    assert_eq!(raw.ask(&again), "2 D(1) s Z(T)");
    assert_eq!(raw.ask(&query("fetch p")), "T D(2) C(FETCH 1) Z(T)");
    // By the message, lent as it is.
    let closed = [close_portal("p"), again.clone()].concat();
    assert_eq!(raw.ask(&closed), "3 2 D(1) s Z(T)");
    let closed = [bind("", "c"), execute("", 0), again].concat();
    assert_eq!(raw.ask(&closed), "2 C(CLOSE CURSOR) 2 D(1) s Z(T)");
    assert_eq!(raw.ask(&query("close all")), "C(CLOSE CURSOR ALL) Z(T)");
    assert_eq!(raw.ask(&[bind("p", "s"), sync()].concat()), "2 Z(T)");
    assert_eq!(raw.ask(&query("close nope")), "E(34000) Z(E)");
}

#[test]
fn formats_stay_those_of_bind() {
    let served = Served::trust();
    let mut raw = prepared(&served);
    raw.ask(&query("begin"));
    let one = [bind_binary("p", "s"), execute("p", 1), sync()].concat();
    assert_eq!(raw.ask(&one), "2 D(\0\0\0\u{1}) s Z(T)");
    assert_eq!(raw.ask(&query("fetch p")), "T D(2) C(FETCH 1) Z(T)");
    assert_eq!(
        raw.ask(&[execute("p", 1), sync()].concat()),
        "D(\0\0\0\u{3}) s Z(T)"
    );
}

#[test]
fn within_a_pipeline() {
    let served = Served::trust();
    let mut raw = prepared(&served);
    let pipeline = [
        bind("p", "s"),
        bind("x", "f"),
        execute("x", 0),
        execute("p", 1),
        sync(),
    ];
    assert_eq!(
        raw.ask(&pipeline.concat()),
        "2 2 D(1) D(2) C(FETCH 2) D(3) s Z(I)"
    );
    // The last of it, which would be a transaction of its own if it did not read a portal.
    let pipeline = [
        bind("p", "s"),
        bind("x", "f"),
        describe_portal("x"),
        execute("x", 0),
        sync(),
    ];
    assert_eq!(
        raw.ask(&pipeline.concat()),
        "2 2 T D(1) D(2) C(FETCH 2) Z(I)"
    );
    assert_eq!(raw.ask(&query("fetch p")), "E(34000) Z(I)");
}

#[test]
fn what_returns_no_rows_is_not_fetched() {
    let served = Served::trust();
    let mut raw = prepared(&served);
    raw.ask(&[parse("d", "create table made (n int)"), sync()].concat());
    raw.ask(&query("begin"));
    assert_eq!(raw.ask(&[bind("p", "d"), sync()].concat()), "2 Z(T)");
    assert_eq!(raw.ask(&query("fetch p")), "E(55000) Z(E)");
    raw.ask(&query("rollback; begin"));
    // Nor does a portal fetch from itself.
    assert_eq!(
        raw.ask(&[bind("p", "f"), execute("p", 0), sync()].concat()),
        "2 E(55000) Z(E)"
    );
    raw.ask(&query("rollback"));
    assert_eq!(raw.ask(&query("select * from made")), "E(42P01) Z(I)");
}

#[test]
fn execute_reads_cursors() {
    let served = Served::trust();
    let mut raw = prepared(&served);
    raw.ask(&query(
        "begin; declare \"My c\" scroll cursor for select i from generate_series(1, 5) g(i)",
    ));
    let two = [execute("My c", 2), sync()].concat();
    assert_eq!(raw.ask(&two), "D(1) D(2) s Z(T)");
    assert_eq!(raw.ask(&query("fetch \"My c\"")), "T D(3) C(FETCH 1) Z(T)");
    assert_eq!(
        raw.ask(&query("fetch backward 2 from \"My c\"")),
        "T D(2) D(1) C(FETCH 2) Z(T)"
    );
    let described = [describe_portal("My c"), two].concat();
    assert_eq!(raw.ask(&described), "T D(2) D(3) s Z(T)");
    let rest = [execute("My c", 0), sync()].concat();
    assert_eq!(raw.ask(&rest), "D(4) D(5) C(SELECT 2) Z(T)");
    assert_eq!(raw.ask(&rest), "C(SELECT 0) Z(T)");
    assert_eq!(
        raw.ask(&[execute("my c", 0), sync()].concat()),
        "E(34000) Z(E)"
    );
    raw.ask(&query("rollback"));
    // One that is held, outside of a transaction.
    raw.ask(&query(
        "begin; declare h cursor with hold for select i from generate_series(1, 4) g(i); commit",
    ));
    assert_eq!(raw.ask(&[execute("h", 1), sync()].concat()), "D(1) s Z(I)");
    let rest = [execute("h", 0), sync()].concat();
    assert_eq!(raw.ask(&rest), "D(2) D(3) D(4) C(SELECT 3) Z(I)");
    assert_eq!(raw.ask(&rest), "C(SELECT 0) Z(I)");
    let closed = [close_portal("h"), rest].concat();
    assert_eq!(raw.ask(&closed), "3 E(34000) Z(I)");
}

#[test]
fn savepoints_take_portals_along() {
    let served = Served::trust();
    let mut raw = prepared(&served);
    let one = [bind("p", "s"), execute("p", 1), sync()].concat();
    // What was bound after it goes with it, and its name is free.
    raw.ask(&query("begin; savepoint a"));
    assert_eq!(raw.ask(&one), "2 D(1) s Z(T)");
    assert_eq!(raw.ask(&query("fetch p")), "T D(2) C(FETCH 1) Z(T)");
    raw.ask(&query("rollback to a"));
    assert_eq!(
        raw.ask(&[describe_portal("p"), sync()].concat()),
        "E(34000) Z(E)"
    );
    raw.ask(&query("rollback to a"));
    assert_eq!(raw.ask(&one), "2 D(1) s Z(T)");
    raw.ask(&query("rollback"));
    // What was bound before it stays where it is.
    raw.ask(&query("begin"));
    assert_eq!(raw.ask(&one), "2 D(1) s Z(T)");
    assert_eq!(
        raw.ask(&query("savepoint a; fetch p; rollback to a")),
        "C(SAVEPOINT) T D(2) C(FETCH 1) C(ROLLBACK) Z(T)"
    );
    assert_eq!(raw.ask(&[execute("p", 1), sync()].concat()), "D(3) s Z(T)");
    assert_eq!(
        raw.ask(&query("savepoint b; select 1/0")),
        "C(SAVEPOINT) E(22012) Z(E)"
    );
    assert_eq!(raw.ask(&query("fetch p")), "E(25P02) Z(E)");
    raw.ask(&query("rollback to b"));
    assert_eq!(raw.ask(&[execute("p", 1), sync()].concat()), "D(4) s Z(T)");
    assert_eq!(
        raw.ask(&query("declare p cursor for select 1")),
        "E(42P03) Z(E)"
    );
}
