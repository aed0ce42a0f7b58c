//! `helios_changes`, pins and cursors, and how long tables remember.

use expect_test::{Expect, expect};
use heliosdb_storage::{Durability, Interrupt, Isolation};

use super::support::{Client, Db};

fn number(s: &mut Client, sql: &str) -> i64 {
    let shown = s.ok(sql);
    shown.lines().nth(1).and_then(|l| l.parse().ok()).unwrap()
}

fn scn(s: &mut Client) -> i64 {
    number(s, "SELECT helios_current_scn()")
}

/// Runs a script in which `$NAME` stands for an SCN, in what it prints, too.
fn check(s: &mut Client, scns: &[(&str, i64)], sql: &str, expected: Expect) {
    let mut sql = sql.to_owned();
    for (name, scn) in scns {
        sql = sql.replace(&format!("${name}"), &scn.to_string());
    }
    let mut out = s.run(&sql);
    for (name, scn) in scns {
        out = out.replace(&scn.to_string(), &format!("${name}"));
    }
    // Times differ from run to run.
    let lines = out.lines().map(|line| match line.split_once(" 20") {
        Some((text, _)) if line.starts_with("HINT") || line.starts_with("DETAIL") => {
            format!("{text} …\n")
        }
        _ => format!("{line}\n"),
    });
    expected.assert_eq(&lines.collect::<String>());
}

/// Three commits, and the SCN before each of them and after the last.
fn items(s: &mut Client) -> [(&'static str, i64); 4] {
    s.ok(
        "CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price int);
          INSERT INTO item VALUES (1, 'pen', 10), (2, 'cup', 20), (3, 'hat', 30)",
    );
    let a = scn(s);
    s.ok("UPDATE item SET price = price + 1 WHERE id < 3");
    let b = scn(s);
    s.ok("DELETE FROM item WHERE id = 3; INSERT INTO item VALUES (4, 'bag', 40)");
    let c = scn(s);
    s.ok("UPDATE item SET price = 12 WHERE id = 1; DELETE FROM item WHERE id = 4");
    [("A", a), ("B", b), ("C", c), ("D", scn(s))]
}

#[test]
fn changes_are_rows_with_a_sign() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    let queries = "SELECT _op, _sign, _rowid, id, name, price FROM helios_changes('item', $A, $B);
         SELECT _op, _sign, id, price FROM helios_changes('item', $A);
         SELECT _op, _sign, id, price FROM helios_changes('public.item', $A, $D, 'net');
         SELECT count(*), sum(_sign), min(_scn) > $A, max(_scn) <= $D FROM helios_changes('item', $A, $D);
         SELECT price, _sign FROM helios_changes('item', $A, $D) c WHERE c.id = 1 AND _sign > 0;
         SELECT * FROM helios_changes('item', $D, $D);
         SELECT i.name, sum(_sign * c.price) FROM helios_changes('item', $A, $D, 'net') c JOIN item i USING (id)
           GROUP BY 1 ORDER BY 1";
    let expected = expect![[r#"
        _op | _sign | _rowid | id | name | price
        UPDATE | -1 | 1 | 1 | pen | 10
        UPDATE | 1 | 1 | 1 | pen | 11
        UPDATE | -1 | 2 | 2 | cup | 20
        UPDATE | 1 | 2 | 2 | cup | 21
        _op | _sign | id | price
        UPDATE | -1 | 1 | 10
        UPDATE | 1 | 1 | 11
        UPDATE | -1 | 2 | 20
        UPDATE | 1 | 2 | 21
        DELETE | -1 | 3 | 30
        INSERT | 1 | 4 | 40
        UPDATE | -1 | 1 | 11
        UPDATE | 1 | 1 | 12
        DELETE | -1 | 4 | 40
        _op | _sign | id | price
        UPDATE | -1 | 1 | 10
        UPDATE | 1 | 1 | 12
        UPDATE | -1 | 2 | 20
        UPDATE | 1 | 2 | 21
        DELETE | -1 | 3 | 30
        count | sum | ?column? | ?column?
        9 | -1 | t | t
        price | _sign
        11 | 1
        12 | 1
        _op | _sign | _scn | _rowid | id | name | price
        name | sum
        cup | 1
        pen | 2
    "#]];
    check(s, &scns, queries, expected);
}

#[test]
fn a_call_that_makes_no_sense_is_refused() {
    let db = Db::new();
    let s = &mut db.session();
    s.ok("CREATE TABLE gone (n int); INSERT INTO gone VALUES (1)");
    let scns = items(s);
    s.ok("CREATE VIEW v AS SELECT * FROM item; CREATE TABLE odd (_op int); TRUNCATE gone");
    check(
        s,
        &scns,
        "SELECT * FROM helios_changes('item', $B, $A);
         SELECT * FROM helios_changes('item', $D, $D + 1000000000);
         SELECT * FROM helios_changes('item', NULL);
         SELECT * FROM helios_changes('item', -1);
         SELECT * FROM helios_changes('item', 'x'::bytea);
         SELECT * FROM helios_changes('item', $A, $B, 'all');
         SELECT * FROM helios_changes('item');
         SELECT * FROM helios_changes('nothing', $A);
         SELECT * FROM helios_changes('v', $A);
         SELECT * FROM helios_changes('odd', $A);
         SELECT * FROM helios_changes(id, $A) ;
         SELECT * FROM helios_changes('item', $A + (random() * 0)::bigint);
         SELECT * FROM helios_changes('gone', $D)",
        expect![[r#"
            ERROR 22023: helios_changes: the span ends before it begins
            ERROR 22023: cannot read AS OF a time in the future
            DETAIL: The present is …
            ERROR 22004: helios_changes: an SCN must not be null
            ERROR 22023: helios_changes: SCN must not be negative
            ERROR 42804: helios_changes: an SCN is a bigint, not bytea
            ERROR 22023: helios_changes: the last argument is 'every' or 'net'
            ERROR 42883: helios_changes takes a table's name and one or two SCNs
            ERROR 42P01: relation "nothing" does not exist
            ERROR 42809: "v" is not a table
            ERROR 42701: column "_op" of the table is one of helios_changes's own
            ERROR 22023: helios_changes: the first argument is the table's name, in quotes
            ERROR 0A000: a volatile function in helios_changes is not supported
            ERROR 55000: table "gone" was truncated within the span
            HINT: Read it AS OF both times.
        "#]],
    );
}

#[test]
fn a_pin_is_made_and_removed_in_its_transaction() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    check(
        s,
        &scns,
        "SELECT helios_pin('p', $A, 'because');
         SELECT kind, name, scn, owner, reason, status FROM helios_history WHERE kind = 'point';
         SELECT helios_pin('p');
         BEGIN; SELECT helios_pin('q', $B); SELECT helios_unpin('p');
         SELECT count(*) FROM helios_history WHERE kind = 'point'; ROLLBACK;
         SELECT name FROM helios_history WHERE kind = 'point';
         BEGIN; SELECT helios_pin('q', $B); SAVEPOINT s; SELECT helios_unpin('p'); ROLLBACK TO s; COMMIT;
         SELECT name, scn FROM helios_history WHERE kind = 'point' ORDER BY 1;
         SELECT helios_unpin('q'), helios_unpin('p');
         SELECT helios_unpin('p');
         SELECT helios_pin(NULL);
         SELECT helios_pin('f', $D + 1000000000);
         SELECT helios_pin('');
         BEGIN READ ONLY; SELECT helios_pin('r'); ROLLBACK;
         SELECT count(*) FROM helios_history WHERE kind = 'point'",
        expect![[r#"
            helios_pin
            $A
            kind | name | scn | owner | reason | status
            point | p | $A | helios | because | ok
            ERROR 42710: pin "p" already exists
            BEGIN
            helios_pin
            $B
            helios_unpin
            t
            count
            1
            ROLLBACK
            name
            p
            BEGIN
            helios_pin
            $B
            SAVEPOINT
            helios_unpin
            t
            ROLLBACK
            COMMIT
            name | scn
            p | $A
            q | $B
            helios_unpin | helios_unpin
            t | t
            ERROR 42704: pin "p" does not exist
            ERROR 22004: argument of helios_pin must not be null
            ERROR 22023: the time asked for is in the future
            ERROR 22023: a pin without a name
            BEGIN
            ERROR 25006: cannot execute helios_pin() in a read-only transaction
            ROLLBACK
            count
            0
        "#]],
    );
}

#[test]
fn a_cursor_moves_with_what_is_made_of_the_changes() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    check(
        s,
        &scns,
        "CREATE TABLE copy (id int PRIMARY KEY, price int);
         SELECT helios_create_cursor('copy', $A);
         BEGIN; INSERT INTO copy SELECT id, price FROM helios_changes('item', helios_cursor('copy'), $B)
           WHERE _sign > 0; SELECT helios_advance_cursor('copy', $B); ROLLBACK;
         SELECT helios_cursor('copy') = $A, (SELECT count(*) FROM copy);
         BEGIN; INSERT INTO copy SELECT id, price FROM helios_changes('item', $A, $B)
           WHERE _sign > 0; SELECT helios_advance_cursor('copy', $B); COMMIT;
         SELECT helios_cursor('copy') = $B, (SELECT count(*) FROM copy);
         SELECT helios_advance_cursor('copy', $A);
         SELECT helios_advance_cursor('other', $A);
         SELECT helios_cursor('other');
         SELECT kind, name, scn, status FROM helios_history WHERE kind = 'cursor';
         CREATE ROLE clerk LOGIN",
        expect![[r#"
            CREATE TABLE
            helios_create_cursor
            $A
            BEGIN
            INSERT 0 2
            helios_advance_cursor
            $B
            ROLLBACK
            ?column? | count
            t | 0
            BEGIN
            INSERT 0 2
            helios_advance_cursor
            $B
            COMMIT
            ?column? | count
            t | 2
            ERROR 22023: cursor "copy" is at $B, which is after $A
            ERROR 42704: pin "other" does not exist
            ERROR 42704: pin "other" does not exist
            kind | name | scn | status
            cursor | copy | $B | ok
            CREATE ROLE
        "#]],
    );
    let clerk = &mut db.session_of("clerk");
    check(
        clerk,
        &scns,
        "SELECT helios_pin('mine');
         SELECT helios_create_cursor('mine', $A);
         SELECT helios_advance_cursor('copy', $C);
         SELECT helios_unpin('copy');
         SELECT * FROM helios_changes('item', $A)",
        expect![[r#"
            ERROR 42501: permission denied to hold history
            HINT: Only a superuser may make pins and cursors.
            ERROR 42501: permission denied to hold history
            HINT: Only a superuser may make pins and cursors.
            ERROR 42501: must be owner of pin "copy"
            ERROR 42501: must be owner of pin "copy"
            ERROR 42501: permission denied for table item
        "#]],
    );
}

#[test]
fn a_table_remembers_for_as_long_as_it_is_told_to() {
    let db = Db::new();
    let s = &mut db.session();
    check(
        s,
        &[],
        "CREATE TABLE t (n int) WITH (retention = '30 days', fillfactor = 100);
         CREATE TABLE u WITH (retention = forever) AS SELECT 1 AS n;
         CREATE TABLE w (n int);
         SELECT name, retention, held_by FROM helios_history WHERE kind = 'table' ORDER BY 1;
         ALTER TABLE t SET (retention = 'forever');
         ALTER TABLE u SET (retention = 'default');
         TRUNCATE t;
         SELECT relname, reloptions FROM pg_class WHERE relname IN ('t', 'u') ORDER BY 1;
         ALTER TABLE t SET (retention = 'soon');
         ALTER TABLE t SET (retention = '-1 s');
         ALTER TABLE t SET (autovacuum_enabled = false)",
        expect![[r#"
            CREATE TABLE
            SELECT 1
            CREATE TABLE
            name | retention | held_by
            t | 30 days | retention
            u | forever | forever
            w | 7 days | retention
            ALTER TABLE
            ALTER TABLE
            TRUNCATE TABLE
            relname | reloptions
            t | {retention=forever}
            u | NULL
            ERROR 22007: invalid input syntax for type interval: "soon"
            ERROR 22023: retention must not be negative: "-1 s"
            ERROR 0A000: storage parameter "autovacuum_enabled" is not supported
        "#]],
    );
}

/// What a table has forgotten is refused by its own horizon, also where another table still knows.
#[test]
fn a_table_that_forgets_says_so_and_no_other_does() {
    let db = Db::new();
    let s = &mut db.session();
    s.ok(
        "CREATE TABLE short (n int) WITH (retention = '0'); CREATE TABLE long (n int);
          INSERT INTO short VALUES (1); INSERT INTO long VALUES (1)",
    );
    let a = scn(s);
    s.ok("UPDATE short SET n = 2; UPDATE long SET n = 2; UPDATE short SET n = 3; VACUUM");
    check(
        s,
        &[("A", a)],
        "SELECT * FROM long AS OF SCN $A;
         SELECT * FROM short AS OF SCN $A;
         SELECT * FROM short AS OF SCN $A s JOIN long AS OF SCN $A l USING (n);
         SELECT * FROM helios_changes('short', $A);
         SELECT _op, n FROM helios_changes('long', $A);
         SELECT n FROM short",
        expect![[r#"
            n
            1
            ERROR 22023: the history of the time asked for is no longer kept
            HINT: History goes back to …
            ERROR 22023: the history of the time asked for is no longer kept
            HINT: History goes back to …
            ERROR 22023: the history of the time asked for is no longer kept
            HINT: History goes back to …
            _op | n
            UPDATE | 1
            UPDATE | 2
            n
            3
        "#]],
    );
}

#[test]
fn a_view_of_changes_names_its_table_for_good() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    let oid = number(s, "SELECT 'item'::regclass::oid::int8");
    check(
        s,
        &[&scns[..], &[("OID", oid)]].concat(),
        "CREATE VIEW came AS SELECT id, price FROM helios_changes('item', $A, $B) WHERE _sign > 0;
         CREATE VIEW net AS SELECT * FROM (SELECT id FROM helios_changes(('item'), $A, $B, 'net')) n;
         CREATE VIEW numbered AS SELECT id FROM helios_changes('$OID', $A, $B);
         SELECT definition FROM pg_views WHERE viewname IN ('came', 'net', 'numbered') ORDER BY viewname;
         CREATE SCHEMA other; CREATE TABLE other.item (id text, price text, more int);
         SET search_path = other;
         SELECT * FROM public.came;
         SELECT count(*) FROM public.net; SELECT count(*) FROM public.numbered;
         SET search_path = pg_catalog;
         SELECT count(*) FROM public.came;
         RESET search_path;
         SELECT * FROM came AS OF NOW;
         DROP TABLE item",
        expect![[r#"
            CREATE VIEW
            CREATE VIEW
            CREATE VIEW
            definition
             SELECT id, price FROM helios_changes('public.item', $A, $B) WHERE _sign > 0;
             SELECT * FROM (SELECT id FROM helios_changes(('public.item'), $A, $B, 'net')) n;
             SELECT id FROM helios_changes('public.item', $A, $B);
            CREATE SCHEMA
            CREATE TABLE
            SET
            id | price
            1 | 11
            2 | 21
            count
            4
            count
            4
            SET
            count
            2
            RESET
            ERROR 0A000: AS OF for helios_changes is not supported
            ERROR 2BP01: cannot drop table item because other objects depend on it
            DETAIL: view came depends on table item
            view net depends on table item
            view numbered depends on table item
            HINT: Use DROP ... CASCADE to drop the dependent objects too.
        "#]],
    );
}

/// Whether the table was there at the beginning of the span or not.
#[test]
fn a_span_with_a_truncate_in_it_is_refused_and_no_other() {
    let db = Db::new();
    let s = &mut db.session();
    let before = scn(s);
    s.ok("CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    let first = scn(s);
    s.ok("INSERT INTO t VALUES (2)");
    let second = scn(s);
    s.ok("TRUNCATE t; INSERT INTO t VALUES (3)");
    let third = scn(s);
    s.ok("ALTER TABLE t ADD COLUMN m int DEFAULT 7; INSERT INTO t VALUES (4)");
    let scns = [
        ("BEFORE", before),
        ("FIRST", first),
        ("SECOND", second),
        ("THIRD", third),
    ];
    check(
        s,
        &scns,
        "SELECT n FROM helios_changes('t', $BEFORE, $THIRD);
         SELECT n FROM helios_changes('t', $BEFORE, $THIRD, 'net');
         SELECT n FROM helios_changes('t', $BEFORE);
         SELECT n FROM helios_changes('t', $FIRST, $THIRD);
         SELECT n, m FROM helios_changes('t', $BEFORE, $SECOND);
         SELECT n FROM helios_changes('t', $FIRST, $SECOND);
         SELECT n, m FROM helios_changes('t', $THIRD);
         SELECT n FROM helios_changes('t', $BEFORE, $BEFORE)",
        expect![[r#"
            ERROR 55000: table "t" was truncated within the span
            HINT: Read it AS OF both times.
            ERROR 55000: table "t" was truncated within the span
            HINT: Read it AS OF both times.
            ERROR 55000: table "t" was truncated within the span
            HINT: Read it AS OF both times.
            ERROR 55000: table "t" was truncated within the span
            HINT: Read it AS OF both times.
            n | m
            1 | 7
            2 | 7
            n
            2
            n | m
            4 | 7
            n
        "#]],
    );
}

/// A name with a slash is that of a plugin's cursor, whatever a role is called.
#[test]
fn pins_of_plugins_are_theirs() {
    let db = Db::new();
    let mut tx = db
        .instance
        .engine()
        .begin(Isolation::ReadCommitted, Interrupt::new());
    let at = db.instance.visible_ts();
    heliosdb_plugin_host::cursors::create(&mut tx, "follower", "t", at).unwrap();
    tx.commit(Durability::Synchronous).unwrap();
    let s = &mut db.session();
    s.ok("CREATE ROLE follower LOGIN");
    let role = &mut db.session_of("follower");
    let scns = [("NOW", scn(s))];
    check(
        role,
        &scns,
        "SELECT helios_advance_cursor('follower/t', $NOW);
         SELECT helios_unpin('follower/t')",
        expect![[r#"
            ERROR 42501: must be superuser to change pin "follower/t"
            ERROR 42501: must be superuser to change pin "follower/t"
        "#]],
    );
    check(
        s,
        &scns,
        "SELECT helios_pin('follower/u');
         SELECT helios_create_cursor('other/u', $NOW);
         DROP ROLE follower;
         SELECT name, owner FROM helios_history WHERE kind = 'cursor';
         SELECT helios_unpin('follower/t')",
        expect![[r#"
            ERROR 42939: pin name "follower/u" is reserved
            DETAIL: Names with a slash are those of plugins' cursors.
            ERROR 42939: pin name "other/u" is reserved
            DETAIL: Names with a slash are those of plugins' cursors.
            DROP ROLE
            name | owner
            follower/t | follower
            helios_unpin
            t
        "#]],
    );
}

#[test]
fn a_role_keeps_its_pins_under_a_new_name_and_is_kept_by_them() {
    let db = Db::new();
    let s = &mut db.session();
    s.ok("CREATE ROLE boss SUPERUSER LOGIN");
    db.session_of("boss").ok("SELECT helios_pin('his')");
    check(
        s,
        &[],
        "ALTER ROLE boss NOSUPERUSER;
         DROP ROLE boss;
         ALTER ROLE boss RENAME TO chief;
         CREATE ROLE boss LOGIN;
         SELECT owner FROM helios_history WHERE name = 'his'",
        expect![[r#"
            ALTER ROLE
            ERROR 2BP01: role "boss" cannot be dropped because some objects depend on it
            DETAIL: owner of pin his
            ALTER ROLE
            CREATE ROLE
            owner
            chief
        "#]],
    );
    let unpin = "SELECT helios_unpin('his')";
    assert_eq!(
        db.session_of("boss").run(unpin),
        "ERROR 42501: must be owner of pin \"his\"\n"
    );
    db.session_of("chief").ok(unpin);
    s.ok("DROP ROLE chief");
}

/// Two consumers run the documented block beside each other: the first to move the cursor wins.
#[test]
fn a_cursor_moves_for_one_of_two_consumers() {
    let db = Db::new();
    let s = &mut db.session();
    s.ok(
        "CREATE TABLE event (n int); CREATE TABLE tally (k int PRIMARY KEY, n bigint);
          INSERT INTO tally VALUES (1, 0); SELECT helios_create_cursor('tally')",
    );
    s.ok("INSERT INTO event VALUES (1), (1)");
    let mut consumers = [db.session(), db.session()];
    let read = |s: &mut Client| {
        s.ok("BEGIN");
        let since = number(s, "SELECT helios_cursor('tally')");
        (since, scn(s))
    };
    let spans = consumers.each_mut().map(read);
    let take = |s: &mut Client, (since, until): (i64, i64)| {
        s.run(&format!(
            "UPDATE tally SET n = tally.n + c.n
               FROM (SELECT count(*) AS n FROM helios_changes('event', {since}, {until})) c WHERE k = 1;
             SELECT helios_advance_cursor('tally', {until}) > 0 AS moved; COMMIT"
        ))
    };
    expect![[r#"
        UPDATE 1
        moved
        t
        COMMIT
    "#]]
    .assert_eq(&take(&mut consumers[0], spans[0]));
    expect![[r#"
        UPDATE 1
        ERROR 40001: could not serialize access due to concurrent update
        ROLLBACK
    "#]]
    .assert_eq(&take(&mut consumers[1], spans[1]));
    // Once more, and there is nothing left to count; and a cursor may be moved twice in a transaction.
    let again = read(&mut consumers[1]);
    let moved = format!(
        "SELECT helios_advance_cursor('tally', {}) > 0 AS moved",
        again.1
    );
    consumers[1].ok(&moved);
    take(&mut consumers[1], again);
    assert_eq!(s.ok("SELECT n FROM tally"), "n\n2\n");
}
