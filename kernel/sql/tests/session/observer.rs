//! A plugin that is told what statements do to the objects of another one.

use expect_test::{Expect, expect};
use heliosdb_plugin_api::root;
use heliosdb_plugin_host::config::Activation;

use super::support::watcher::Watcher;
use super::support::words::Words;
use super::support::{Db, Plugins};

fn both() -> Plugins {
    Plugins {
        roots: vec![root::<Words>(), root::<Watcher>()],
        ..Plugins::default()
    }
}

fn check(sql: &str, expected: Expect) {
    let db = Db::with(&both());
    expected.assert_eq(&db.session().run(sql));
}

#[test]
fn an_observer_is_told_in_the_transaction_of_the_statement() {
    check(
        "CREATE WORD LIST animals AS 'cat';
         RENAME WORD LIST animals TO beasts;
         SHOW WORD LISTS;
         RUN SQL $$CREATE WORD LIST inside AS 'x'$$;
         BEGIN; CREATE WORD LIST never AS 'x'; SHOW SIGHTINGS; ROLLBACK;
         DROP WORD LIST beasts;
         SHOW SIGHTINGS;",
        expect![[r#"
            CREATE WORD LIST
            RENAME WORD LIST
            name | words
            public.beasts | cat
            SHOW 1
            RUN CREATE WORD LIST
            BEGIN
            CREATE WORD LIST
            sighting
            CREATE WORD LIST: animals (animals)
            RENAME WORD LIST: beasts (beasts)
            CREATE WORD LIST: inside (beasts inside)
            CREATE WORD LIST: never (beasts inside never)
            SHOW 4
            ROLLBACK
            DROP WORD LIST
            sighting
            CREATE WORD LIST: animals (animals)
            RENAME WORD LIST: beasts (beasts)
            CREATE WORD LIST: inside (beasts inside)
            gone: public.beasts (inside)
            SHOW 4
        "#]],
    );
}

/// Each plugin of a dropped object is told before anybody who watches it.
#[test]
fn what_goes_with_something_else_is_told_too() {
    check(
        "CREATE SCHEMA shop;
         CREATE WORD LIST shop.a AS 'x';
         CREATE WORD LIST shop.b AS 'x';
         CREATE TABLE shop.t (w text LISTED IN shop.a);
         DROP SCHEMA shop CASCADE;
         SHOW WORD LISTS;
         SHOW SIGHTINGS;
         CREATE WORD LIST c AS 'x';
         DROP EXTENSION words CASCADE;
         SHOW SIGHTINGS;",
        expect![[r#"
            CREATE SCHEMA
            CREATE WORD LIST
            CREATE WORD LIST
            CREATE TABLE
            NOTICE: drop cascades to 3 other objects
            DETAIL: drop cascades to word list a
            drop cascades to word list b
            drop cascades to table t
            DROP SCHEMA
            name | words
            SHOW 0
            sighting
            CREATE WORD LIST: a (a)
            CREATE WORD LIST: b (a b)
            gone: shop.a (no list)
            gone: shop.b (no list)
            SHOW 4
            CREATE WORD LIST
            NOTICE: drop cascades to word list c
            DROP EXTENSION
            sighting
            CREATE WORD LIST: a (a)
            CREATE WORD LIST: b (a b)
            gone: shop.a (no list)
            gone: shop.b (no list)
            CREATE WORD LIST: c (c)
            gone: public.c (no list)
            SHOW 6
        "#]],
    );
}

#[test]
fn an_observer_that_fails_fails_the_statement() {
    check(
        "CREATE WORD LIST forbidden AS 'x';
         CREATE WORD LIST held AS 'x';
         DROP WORD LIST held;
         CREATE SCHEMA shop;
         CREATE WORD LIST shop.held AS 'x';
         DROP SCHEMA shop CASCADE;
         SHOW WORD LISTS;
         CREATE WORD LIST bomb AS 'x';
         CREATE WORD LIST bomb AS 'x';
         CREATE WORD LIST bomb AS 'x';
         CREATE WORD LIST another AS 'x';
         SHOW WORD LISTS;",
        expect![[r#"
            ERROR XX000: the watcher does not want it
            CREATE WORD LIST
            ERROR XX000: the watcher wants to keep it
            CREATE SCHEMA
            CREATE WORD LIST
            NOTICE: drop cascades to word list held
            ERROR XX000: the watcher wants to keep it
            name | words
            public.held | x
            shop.held | x
            SHOW 2
            ERROR 38000: plugin "watcher" panicked in observer/1.changed
            DETAIL: it went off
            ERROR 38000: plugin "watcher" panicked in observer/1.changed
            DETAIL: it went off
            ERROR 38000: plugin "watcher" panicked in observer/1.changed
            DETAIL: it went off
            ERROR 55000: plugin "watcher" is quarantined
            DETAIL: Its last of 3 faults: the plugin panicked in observer/1.changed: it went off
            HINT: It is called again after the server was started again.
            name | words
            public.held | x
            shop.held | x
            SHOW 2
        "#]],
    );
}

#[test]
fn one_that_is_off_or_not_installed_is_not_told() {
    let mut off = both();
    let config = &mut off.config.plugins;
    config.entry("watcher".to_owned()).or_default().activation = Activation::Off;
    let db = Db::with(&both());
    db.session().ok("CREATE WORD LIST told AS 'x'");
    let db = db.reopen_with(&off);
    db.session()
        .ok("CREATE WORD LIST forbidden AS 'x'; DROP WORD LIST told");
    let db = db.reopen_with(&both());
    expect![[r#"
        DROP EXTENSION
        CREATE WORD LIST
        DROP WORD LIST
        CREATE EXTENSION
        CREATE WORD LIST
        sighting
        CREATE WORD LIST: told (told)
        CREATE WORD LIST: again (again forbidden)
        SHOW 2
    "#]]
    .assert_eq(&db.session().run(
        "DROP EXTENSION watcher;
         CREATE WORD LIST bomb AS 'x';
         DROP WORD LIST bomb;
         CREATE EXTENSION watcher;
         CREATE WORD LIST again AS 'x';
         SHOW SIGHTINGS;",
    ));
}
