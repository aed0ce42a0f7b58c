//! LISTEN and NOTIFY between sessions.

use std::thread;
use std::time::Duration;

use super::support::{Client, Db};

/// What a session was told, `channel:payload` each.
fn told(session: &mut Client) -> Vec<String> {
    let told = session.0.take_notifications().into_iter();
    told.map(|n| format!("{}:{}", n.channel, n.payload))
        .collect()
}

#[test]
fn those_who_listen_are_told_when_the_transaction_commits() {
    let db = Db::new();
    let (mut a, mut b, mut c) = (db.session(), db.session(), db.session());
    b.ok("LISTEN x; LISTEN \"Y\"");
    c.ok("LISTEN x");
    a.ok("BEGIN; NOTIFY x, '1'; SELECT pg_notify('Y', '2'); NOTIFY z");
    assert!(told(&mut b).is_empty());
    a.ok("NOTIFY x, '1'; NOTIFY x, '3'; NOTIFY X; COMMIT");
    // Once what was said twice, in the order in which it was said.
    assert_eq!(told(&mut b), ["x:1", "Y:2", "x:3", "x:"]);
    assert_eq!(told(&mut c), ["x:1", "x:3", "x:"]);
    assert!(told(&mut b).is_empty() && told(&mut a).is_empty());
    a.ok("NOTIFY x, '1'");
    let again = b.0.take_notifications();
    assert_eq!(again.len(), 1, "another transaction says it again");
    assert_eq!(again[0].pid as u32, a.0.pid());
    c.ok("UNLISTEN *");
    assert!(
        told(&mut c).is_empty(),
        "it came before, and is not wanted any more"
    );
}

#[test]
fn a_session_is_told_of_its_own() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("BEGIN; LISTEN x; NOTIFY x, 'mine'; COMMIT");
    assert_eq!(told(&mut a), ["x:mine"]);
    a.ok("BEGIN; UNLISTEN x; NOTIFY x; COMMIT");
    assert!(told(&mut a).is_empty());
}

#[test]
fn what_is_rolled_back_was_never_said() {
    let db = Db::new();
    let (mut a, mut b) = (db.session(), db.session());
    b.ok("LISTEN x");
    a.ok("BEGIN; NOTIFY x, '1'; ROLLBACK");
    a.ok("BEGIN; NOTIFY x, '2'; SAVEPOINT s; NOTIFY x, '3'; NOTIFY x, '2'; ROLLBACK TO s");
    a.ok("NOTIFY x, '4'; RELEASE s; COMMIT");
    assert_eq!(told(&mut b), ["x:2", "x:4"]);
    // A statement that fails, and a block that does.
    a.ok("CREATE TABLE p (id int PRIMARY KEY);
          CREATE TABLE t (id int REFERENCES p DEFERRABLE INITIALLY DEFERRED)");
    let out = a.run("INSERT INTO t SELECT 1 FROM pg_notify('x', '5')");
    assert!(out.starts_with("ERROR 23503"), "{out}");
    a.run("BEGIN; NOTIFY x, '6'; SELECT nothing");
    a.run("COMMIT");
    assert!(told(&mut b).is_empty());
    a.ok("INSERT INTO p VALUES (1); INSERT INTO t SELECT 1 FROM pg_notify('x', '7')");
    assert_eq!(told(&mut b), ["x:7"]);
}

#[test]
fn nothing_is_told_inside_a_transaction() {
    let db = Db::new();
    let (mut a, mut b) = (db.session(), db.session());
    b.ok("LISTEN x; BEGIN; SELECT 1");
    a.ok("NOTIFY x, '1'");
    assert!(told(&mut b).is_empty());
    assert!(!b.0.has_notifications());
    b.run("SELECT nothing");
    assert!(told(&mut b).is_empty(), "nor in a failed one");
    b.ok("ROLLBACK");
    assert!(b.0.has_notifications());
    assert_eq!(told(&mut b), ["x:1"]);
}

/// Each of those who write tells of what it wrote; whoever is told finds it, and in the order of the commits.
#[test]
fn notifications_come_in_the_order_of_the_commits() {
    const WRITES: usize = 40;
    let db = Db::new();
    let mut reader = db.session();
    reader.ok("CREATE TABLE t (writer int, n int, PRIMARY KEY (writer, n)); LISTEN x");
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let mut session = db.session();
            thread::spawn(move || {
                for n in 0..WRITES {
                    session.ok(&format!(
                        "BEGIN; NOTIFY x, '{writer} {n}'; INSERT INTO t VALUES ({writer}, {n}); COMMIT"
                    ));
                }
            })
        })
        .collect();
    let mut next = [0; 4];
    while next.iter().sum::<usize>() < 4 * WRITES {
        assert!(
            reader
                .0
                .wait_for_notification(Some(Duration::from_secs(60)))
        );
        for notification in reader.0.take_notifications() {
            let (writer, n) = notification.payload.split_once(' ').unwrap();
            let place = &mut next[writer.parse::<usize>().unwrap()];
            assert_eq!(n.parse::<usize>().unwrap(), *place);
            *place += 1;
            assert_eq!(
                reader.ok(&format!(
                    "SELECT count(*) FROM t WHERE writer = {writer} AND n = {n}"
                )),
                "count\n1\n"
            );
        }
    }
    for writer in writers {
        writer.join().unwrap();
    }
}

/// A session that does not take what it was told leaves no space to others at last; none of theirs is lost
/// then, since their transactions fail.
#[test]
fn the_space_for_notifications_has_an_end() {
    let db = Db::within(64 << 20);
    let (mut a, mut b) = (db.session(), db.session());
    b.ok("LISTEN x; BEGIN");
    let mut sent = 0;
    let out = loop {
        let notify =
            "SELECT count(pg_notify('x', n || repeat('x', 7000))) FROM generate_series(1, 50) AS n";
        let out = a.run(notify);
        match out.starts_with("ERROR") {
            true => break out,
            false => sent += 50,
        }
        assert!(sent < 10_000);
    };
    assert_eq!(
        out,
        "ERROR 54000: too many notifications in the NOTIFY queue\n"
    );
    let usage = |session: &mut Client, test: &str| {
        session.ok(&format!(
            "SELECT pg_notification_queue_usage() {test} AS it"
        ))
    };
    assert_eq!(usage(&mut a, "> 0.5"), "it\nt\n");
    // Whom nobody listens to is told to nobody, and still there has to be space.
    b.ok("COMMIT");
    assert_eq!(told(&mut b).len(), sent);
    assert_eq!(usage(&mut a, "= 0"), "it\nt\n");
    a.ok("NOTIFY x, 'again'");
    assert_eq!(told(&mut b), ["x:again"]);
    drop(b);
    a.ok("NOTIFY x, 'to nobody'");
    assert_eq!(usage(&mut a, "= 0"), "it\nt\n");
}
