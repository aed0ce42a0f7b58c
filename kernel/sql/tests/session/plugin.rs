//! Commands, clauses, constraints, objects and the extension of a plugin in SQL.

use expect_test::{Expect, expect};
use heliosdb_plugin_api::root;
use heliosdb_plugin_host::config::Activation;
use heliosdb_sql::Outcome;

use super::support::words::Words;
use super::support::{Db, Plugins};

fn words() -> Plugins {
    Plugins {
        roots: vec![root::<Words>()],
        ..Plugins::default()
    }
}

fn check(sql: &str, expected: Expect) {
    let db = Db::with(&words());
    expected.assert_eq(&db.session().run(sql));
}

/// The same plugin, known and switched off.
fn switched_off() -> Plugins {
    let mut plugins = words();
    let config = &mut plugins.config.plugins;
    config.entry("words".to_owned()).or_default().activation = Activation::Off;
    plugins
}

#[test]
fn commands_are_claimed_by_their_prefix_and_run_in_the_transaction() {
    check(
        "create word list animals as 'cat,dog';
         CREATE WORD LIST animals AS 'cow';
         CREATE WORD LIST nowhere.x AS 'cow';
         /* a comment */ CREATE
           WORD LIST dollar AS $$a;b$$;
         SHOW WORD LISTS;
         BEGIN; CREATE WORD LIST gone AS 'x'; ROLLBACK;
         BEGIN; SAVEPOINT s; CREATE WORD LIST gone AS 'x'; ROLLBACK TO s; COMMIT;
         SHOW WORD LISTS;
         RENAME WORD LIST dollar TO euro; DROP WORD LIST animals; DROP WORD LIST animals;
         SHOW WORD LISTS;
         BEGIN READ ONLY; SHOW WORD LISTS; CREATE WORD LIST no AS 'x'; ROLLBACK;",
        expect![[r#"
            CREATE WORD LIST
            ERROR 42710: word list "animals" already exists
            ERROR 3F000: schema "nowhere" does not exist
            CREATE WORD LIST
            name | words
            public.animals | cat,dog
            public.dollar | a;b
            SHOW 2
            BEGIN
            CREATE WORD LIST
            ROLLBACK
            BEGIN
            SAVEPOINT
            CREATE WORD LIST
            ROLLBACK
            COMMIT
            name | words
            public.animals | cat,dog
            public.dollar | a;b
            SHOW 2
            RENAME WORD LIST
            DROP WORD LIST
            ERROR 42704: word list "animals" does not exist
            name | words
            public.euro | a;b
            SHOW 1
            BEGIN
            name | words
            public.euro | a;b
            SHOW 1
            ERROR 25006: cannot execute DDL in a read-only transaction
            ROLLBACK
        "#]],
    );
}

#[test]
fn sql_of_a_command_is_part_of_its_statement() {
    check(
        "CREATE TABLE t (a int PRIMARY KEY);
         RUN SQL 'INSERT INTO t VALUES (1), (2)';
         RUN SQL 'SELECT * FROM t';
         RUN SQL 'COMMIT'; RUN SQL 'SAVEPOINT s'; RUN SQL 'COPY t TO STDOUT'; RUN SQL 'VACUUM';
         RUN SQL 'SELECT 1; SELECT 2';
         RUN SQL 'RUN SQL $$INSERT INTO t VALUES (3)$$';
         TRY SQL 'INSERT INTO t VALUES (4), (1)';
         SELECT a FROM t ORDER BY a;
         BEGIN; RUN SQL 'INSERT INTO t VALUES (5)'; SELECT count(*) FROM t; ROLLBACK;
         SELECT count(*) FROM t;
         RUN SQL 'SELECT nothing';
         BEGIN; SAVEPOINT s; RUN SQL 'SELECT nothing'; ROLLBACK TO s; SELECT 1 AS alive; COMMIT;",
        expect![[r#"
            CREATE TABLE
            RUN INSERT 0 2
            RUN SELECT 2
            ERROR 0A000: transaction control inside a plugin's statement is not supported
            ERROR 0A000: transaction control inside a plugin's statement is not supported
            ERROR 0A000: COPY inside a plugin's statement is not supported
            ERROR 0A000: VACUUM inside a plugin's statement is not supported
            ERROR 42601: cannot insert multiple commands into a prepared statement
            RUN INSERT 0 1
            TRY 23505
            a
            1
            2
            3
            BEGIN
            RUN INSERT 0 1
            count
            4
            ROLLBACK
            count
            3
            ERROR 42703: column "nothing" does not exist
            BEGIN
            SAVEPOINT
            ERROR 42703: column "nothing" does not exist
            ROLLBACK
            alive
            1
            COMMIT
        "#]],
    );
}

#[test]
fn a_statement_of_a_command_that_failed_leaves_no_pins() {
    check(
        "CREATE TABLE t (n int); INSERT INTO t VALUES (0);
         TRY SQL 'SELECT helios_pin('lost'), 1 / n FROM t';
         RUN SQL 'SELECT helios_pin('kept')';
         SELECT name FROM helios_history WHERE kind = 'point'",
        expect![[r#"
            CREATE TABLE
            INSERT 0 1
            TRY 22012
            RUN SELECT 1
            name
            kept
        "#]],
    );
}

#[test]
fn statements_inside_statements_have_a_limit() {
    let nested = |depth: usize| {
        // The command takes what stands between the first quote and the last.
        let (before, after) = ("RUN SQL '".repeat(depth), "'".repeat(depth));
        format!("{before}SELECT 1{after}")
    };
    let db = Db::with(&words());
    let mut session = db.session();
    expect![[r#"
        RUN RUN RUN SELECT 1
    "#]]
    .assert_eq(&session.run(&nested(3)));
    expect![[r#"
        ERROR 54001: stack depth limit exceeded
        DETAIL: Plugins ran statements inside statements 16 deep.
    "#]]
    .assert_eq(&session.run(&nested(40)));
    expect![[r#"
        RUN SELECT 1
    "#]]
    .assert_eq(&session.run("RUN SQL 'SELECT 1'"));
}

#[test]
fn a_column_clause_makes_a_constraint_that_every_write_meets() {
    check(
        "CREATE WORD LIST animals AS 'cat,dog';
         CREATE TABLE t (id int PRIMARY KEY, pet text NOT NULL DEFAULT 'cat' LISTED IN animals, note text);
         INSERT INTO t VALUES (1, 'cat'), (2, 'cow');
         INSERT INTO t VALUES (1, 'cat'), (2, 'dog');
         INSERT INTO t (id) VALUES (3);
         UPDATE t SET pet = 'cow' WHERE id = 2;
         UPDATE t SET pet = 'cat' WHERE id = 2;
         INSERT INTO t VALUES (1, 'cat') ON CONFLICT (id) DO UPDATE SET pet = 'cow';
         INSERT INTO t VALUES (1, 'cat') ON CONFLICT (id) DO UPDATE SET pet = 'dog';
         SELECT id, pet FROM t ORDER BY id;
         CREATE TABLE u (pet text CONSTRAINT known LISTED IN public.animals, other text);
         INSERT INTO u VALUES (NULL), ('cow');
         CREATE TABLE v (a text, b text, CONSTRAINT both ALL LISTED IN animals);
         INSERT INTO v VALUES ('cat', 'dog'), ('cat', 'cow');
         CREATE TABLE w (a text) WITH (words = 'animals');
         INSERT INTO w VALUES ('cow');
         CREATE TABLE x (a text LISTED IN plants);
         SELECT conname, contype, convalidated, conkey, pg_get_constraintdef(oid) FROM pg_constraint
           WHERE contype = 'c' ORDER BY conname;",
        expect![[r#"
            CREATE WORD LIST
            CREATE TABLE
            ERROR 23514: new row for relation "t" violates check constraint "t_pet_check"
            DETAIL: "cow" of pet is not in the list.
            Failing row contains (2, cow, null).
            INSERT 0 2
            INSERT 0 1
            ERROR 23514: new row for relation "t" violates check constraint "t_pet_check"
            DETAIL: "cow" of pet is not in the list.
            Failing row contains (2, cow, null).
            UPDATE 1
            ERROR 23514: new row for relation "t" violates check constraint "t_pet_check"
            DETAIL: "cow" of pet is not in the list.
            Failing row contains (1, cow, null).
            INSERT 0 1
            id | pet
            1 | dog
            2 | cat
            3 | cat
            CREATE TABLE
            ERROR 23514: new row for relation "u" violates check constraint "known"
            DETAIL: "cow" of pet is not in the list.
            Failing row contains (cow, null).
            CREATE TABLE
            ERROR 23514: new row for relation "v" violates check constraint "both"
            DETAIL: "cow" of b is not in the list.
            Failing row contains (cat, cow).
            CREATE TABLE
            ERROR 23514: new row for relation "w" violates check constraint "w_check"
            DETAIL: "cow" of a is not in the list.
            Failing row contains (cow).
            ERROR 42704: word list "plants" does not exist
            conname | contype | convalidated | conkey | pg_get_constraintdef
            both | c | t | {1,2} | ALL LISTED IN animals
            known | c | t | {1} | LISTED IN public.animals
            t_pet_check | c | t | {2} | LISTED IN animals
            w_check | c | t | {1} | ALL LISTED IN animals
        "#]],
    );
}

#[test]
fn copy_and_referential_actions_are_writes_too() {
    let db = Db::with(&words());
    let mut session = db.session();
    session.ok("CREATE WORD LIST animals AS 'cat,dog';
         CREATE TABLE kinds (name text PRIMARY KEY);
         CREATE TABLE pets (id int, kind text REFERENCES kinds ON UPDATE CASCADE LISTED IN animals);
         INSERT INTO kinds VALUES ('cat');
         INSERT INTO pets VALUES (1, 'cat');");
    let copied = session.copy_in("COPY pets FROM STDIN", b"2\tcat\n3\tcow\n");
    expect![[r#"
        ERROR 23514: new row for relation "pets" violates check constraint "pets_kind_check"
        DETAIL: "cow" of kind is not in the list.
        Failing row contains (3, cow).
        CONTEXT: COPY pets
    "#]]
    .assert_eq(&copied);
    expect![[r#"
        ERROR 23514: new row for relation "pets" violates check constraint "pets_kind_check"
        DETAIL: "cow" of kind is not in the list.
        Failing row contains (1, cow).
        UPDATE 1
        id | kind
        1 | dog
    "#]]
    .assert_eq(
        &session.run(
            "UPDATE kinds SET name = 'cow'; UPDATE kinds SET name = 'dog'; SELECT * FROM pets;",
        ),
    );
}

#[test]
fn rows_that_are_there_are_checked_unless_not_valid() {
    check(
        "CREATE WORD LIST animals AS 'cat,dog';
         CREATE TABLE t (id int, pet text);
         INSERT INTO t VALUES (1, 'cat'), (2, 'cow');
         ALTER TABLE t ALTER COLUMN pet LISTED IN animals;
         ALTER TABLE t ALTER pet CONSTRAINT known LISTED IN animals NOT VALID;
         INSERT INTO t VALUES (3, 'cow');
         UPDATE t SET id = 5 WHERE id = 2;
         UPDATE t SET pet = pet WHERE id = 5;
         SELECT convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'known';
         ALTER TABLE t VALIDATE CONSTRAINT known;
         UPDATE t SET pet = 'dog' WHERE id = 5;
         ALTER TABLE t VALIDATE CONSTRAINT known;
         SELECT convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'known';
         ALTER TABLE t ADD COLUMN other text DEFAULT 'cow' LISTED IN animals;
         ALTER TABLE t ADD COLUMN other text DEFAULT 'cat' LISTED IN animals, ADD more text;
         ALTER TABLE t ADD COLUMN IF NOT EXISTS pet text LISTED IN nothing;
         ALTER TABLE t ADD ALL LISTED IN animals NOT VALID;
         ALTER TABLE t DROP CONSTRAINT known;
         ALTER TABLE t DROP COLUMN other;
         SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass ORDER BY 1;",
        expect![[r#"
            CREATE WORD LIST
            CREATE TABLE
            INSERT 0 2
            ERROR 23514: check constraint "t_pet_check" of relation "t" is violated by some row
            DETAIL: "cow" of pet is not in the list.
            ALTER TABLE
            ERROR 23514: new row for relation "t" violates check constraint "known"
            DETAIL: "cow" of pet is not in the list.
            Failing row contains (3, cow).
            UPDATE 1
            ERROR 23514: new row for relation "t" violates check constraint "known"
            DETAIL: "cow" of pet is not in the list.
            Failing row contains (5, cow).
            convalidated | pg_get_constraintdef
            f | LISTED IN animals NOT VALID
            ERROR 23514: check constraint "known" of relation "t" is violated by some row
            DETAIL: "cow" of pet is not in the list.
            UPDATE 1
            ALTER TABLE
            convalidated | pg_get_constraintdef
            t | LISTED IN animals
            ERROR 23514: check constraint "t_other_check" of relation "t" is violated by some row
            DETAIL: "cow" of other is not in the list.
            ALTER TABLE
            NOTICE: column "pet" of relation "t" already exists, skipping
            ALTER TABLE
            ALTER TABLE
            ALTER TABLE
            ALTER TABLE
            conname
        "#]],
    );
}

#[test]
fn checks_and_foreign_keys_may_be_validated_later() {
    check(
        "CREATE TABLE p (id int PRIMARY KEY);
         CREATE TABLE t (a int, b int);
         INSERT INTO t VALUES (-1, 7);
         ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0) NOT VALID;
         ALTER TABLE t ADD CONSTRAINT parent FOREIGN KEY (b) REFERENCES p NOT VALID;
         ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a) NOT VALID;
         INSERT INTO t VALUES (-2, NULL);
         INSERT INTO t VALUES (2, 8);
         ALTER TABLE t VALIDATE CONSTRAINT positive;
         ALTER TABLE t VALIDATE CONSTRAINT parent;
         ALTER TABLE t VALIDATE CONSTRAINT nothing;
         ALTER TABLE p VALIDATE CONSTRAINT p_pkey;
         UPDATE t SET a = 1; INSERT INTO p VALUES (7);
         ALTER TABLE t VALIDATE CONSTRAINT positive, VALIDATE CONSTRAINT parent;
         SELECT conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint
           WHERE conrelid = 't'::regclass ORDER BY 1;",
        expect![[r#"
            CREATE TABLE
            CREATE TABLE
            INSERT 0 1
            ALTER TABLE
            ALTER TABLE
            ERROR 0A000: PRIMARY KEY constraints cannot be marked NOT VALID
            ERROR 23514: new row for relation "t" violates check constraint "positive"
            DETAIL: Failing row contains (-2, null).
            ERROR 23503: insert or update on table "t" violates foreign key constraint "parent"
            DETAIL: Key (b)=(8) is not present in table "p".
            ERROR 23514: check constraint "positive" of relation "t" is violated by some row
            ERROR 23503: insert or update on table "t" violates foreign key constraint "parent"
            DETAIL: Key (b)=(7) is not present in table "p".
            ERROR 42704: constraint "nothing" of relation "t" does not exist
            ERROR 42809: constraint "p_pkey" of relation "p" is not a foreign key or check constraint
            UPDATE 1
            INSERT 0 1
            ALTER TABLE
            conname | convalidated | pg_get_constraintdef
            parent | t | FOREIGN KEY (b) REFERENCES p(id)
            positive | t | CHECK ((a > 0))
        "#]],
    );
}

#[test]
fn what_depends_on_an_object_keeps_it_or_goes_along() {
    check(
        "CREATE WORD LIST animals AS 'cat';
         CREATE TABLE t (a text LISTED IN animals, b text LISTED IN animals);
         DROP WORD LIST animals;
         SELECT classid::regclass, deptype, refclassid::regclass FROM pg_depend
           WHERE refclassid IN (12905, 3079) ORDER BY 1, 2, 3;
         DROP WORD LIST animals CASCADE;
         INSERT INTO t VALUES ('cow');
         CREATE SCHEMA s; CREATE WORD LIST s.plants AS 'oak'; CREATE TABLE u (a text LISTED IN s.plants);
         SELECT plugin, class, schema, name, owner FROM helios_plugin_objects;
         DROP SCHEMA s;
         DROP SCHEMA s CASCADE;
         SELECT count(*) FROM helios_plugin_objects;
         SHOW WORD LISTS;
         INSERT INTO u VALUES ('cow');
         CREATE WORD LIST again AS 'x'; CREATE TABLE w (a text LISTED IN again); DROP TABLE w;
         DROP WORD LIST again;",
        expect![[r#"
            CREATE WORD LIST
            CREATE TABLE
            ERROR 2BP01: cannot drop word list animals because other objects depend on it
            DETAIL: constraint t_a_check on table t depends on word list animals
            constraint t_b_check on table t depends on word list animals
            HINT: Use DROP ... CASCADE to drop the dependent objects too.
            classid | deptype | refclassid
            pg_constraint | n | pg_extension
            pg_constraint | n | pg_extension
            pg_constraint | n | helios_plugin_objects
            pg_constraint | n | helios_plugin_objects
            helios_plugin_objects | n | pg_extension
            NOTICE: drop cascades to 2 other objects
            DETAIL: drop cascades to constraint t_a_check on table t
            drop cascades to constraint t_b_check on table t
            DROP WORD LIST
            INSERT 0 1
            CREATE SCHEMA
            CREATE WORD LIST
            CREATE TABLE
            plugin | class | schema | name | owner
            words | word list | s | plants | helios
            ERROR 2BP01: cannot drop schema s because other objects depend on it
            DETAIL: word list plants depends on schema s
            constraint u_a_check on table u depends on word list plants
            HINT: Use DROP ... CASCADE to drop the dependent objects too.
            NOTICE: drop cascades to 2 other objects
            DETAIL: drop cascades to word list plants
            drop cascades to constraint u_a_check on table u
            DROP SCHEMA
            count
            0
            name | words
            SHOW 0
            INSERT 0 1
            CREATE WORD LIST
            CREATE TABLE
            DROP TABLE
            DROP WORD LIST
        "#]],
    );
}

#[test]
fn objects_have_owners() {
    let db = Db::with(&words());
    db.session().ok(
        "CREATE ROLE guest LOGIN; CREATE WORD LIST animals AS 'cat'; CREATE TABLE t (a int);
             GRANT CREATE ON SCHEMA public TO guest",
    );
    expect![[r#"
        ERROR 42501: must be owner of word list animals
        ERROR 42501: must be owner of word list animals
        ERROR 42501: permission denied for table t
        CREATE WORD LIST
        ERROR 42501: must be owner of extension words
        ERROR 42501: permission denied to create extension "words"
        HINT: Must be superuser to create this extension.
    "#]]
    .assert_eq(&db.session_of("guest").run(
        "DROP WORD LIST animals; RENAME WORD LIST animals TO x; RUN SQL 'SELECT * FROM t';
         CREATE WORD LIST mine AS 'x'; DROP EXTENSION words; CREATE EXTENSION words;",
    ));
    expect![[r#"
        ERROR 2BP01: role "guest" cannot be dropped because some objects depend on it
        DETAIL: privileges for schema public
        owner of word list mine
    "#]]
    .assert_eq(&db.session().run("DROP ROLE guest"));
}

#[test]
fn functions_read_what_their_statement_sees() {
    check(
        "CREATE WORD LIST animals AS 'cat';
         CREATE TABLE t (id serial, a text, CHECK (is_listed('animals', a)));
         INSERT INTO t (a) VALUES ('cat'); INSERT INTO t (a) VALUES ('cow');
         SELECT is_listed('animals', a), is_listed('plants', NULL) FROM t;
         SELECT is_listed('plants', 'oak');
         BEGIN; CREATE WORD LIST plants AS 'oak'; SELECT is_listed('plants', 'oak'); ROLLBACK;
         SELECT is_listed('plants', 'oak');",
        expect![[r#"
            CREATE WORD LIST
            CREATE TABLE
            INSERT 0 1
            ERROR 23514: new row for relation "t" violates check constraint "t_a_check"
            DETAIL: Failing row contains (2, cow).
            is_listed | is_listed
            t | NULL
            ERROR 42704: word list "plants" does not exist
            BEGIN
            CREATE WORD LIST
            is_listed
            t
            ROLLBACK
            ERROR 42704: word list "plants" does not exist
        "#]],
    );
}

#[test]
fn an_extension_is_installed_by_itself_and_dropped_for_good() {
    let db = Db::with(&words());
    expect![[r#"
        extname | extversion | extnamespace
        words | 1.0.0 | pg_catalog
        name | default_version | installed_version | comment
        words | 1.0.0 | 1.0.0 | word lists, for tests
        ERROR 42710: extension "words" already exists
        NOTICE: extension "words" already exists, skipping
        CREATE EXTENSION
        NOTICE: version "1.0.0" of extension "words" is already installed
        ALTER EXTENSION
        ERROR 22023: extension "words" has no update path from version "1.0.0" to version "2.0"
        HINT: The server has version 1.0.0 of the plugin.
        ERROR 42704: extension "nothing" does not exist
        COMMENT
        obj_description
        lists
        CREATE WORD LIST
        CREATE TABLE
        CREATE TABLE
        CREATE VIEW
        ERROR 2BP01: cannot drop extension words because other objects depend on it
        DETAIL: constraint t_a_check on table t depends on extension words
        word list animals depends on extension words
        constraint ok on table c depends on extension words
        view v depends on extension words
        default value for column b of table c depends on extension words
        HINT: Use DROP ... CASCADE to drop the dependent objects too.
        ERROR 42704: extension "nothing" does not exist
        NOTICE: extension "nothing" does not exist, skipping
        DROP EXTENSION
        BEGIN
        NOTICE: drop cascades to 5 other objects
        DETAIL: drop cascades to constraint t_a_check on table t
        drop cascades to word list animals
        drop cascades to constraint ok on table c
        drop cascades to view v
        drop cascades to default value for column b of table c
        DROP EXTENSION
        ROLLBACK
        count
        1
        NOTICE: drop cascades to 5 other objects
        DETAIL: drop cascades to constraint t_a_check on table t
        drop cascades to word list animals
        drop cascades to constraint ok on table c
        drop cascades to view v
        drop cascades to default value for column b of table c
        DROP EXTENSION
        count
        0
        ERROR 0A000: SHOW WORD LISTS cannot be used: plugin "words" is not installed in this database
        HINT: Use CREATE EXTENSION words.
        ERROR 0A000: clause listed_in cannot be used: plugin "words" is not installed in this database
        HINT: Use CREATE EXTENSION words.
        ERROR 42883: function is_listed(unknown, unknown) does not exist
        HINT: Plugin "words", which has it, is not installed in this database. Use CREATE EXTENSION words.
        INSERT 0 1
        name | installed_version
        words | NULL
    "#]]
    .assert_eq(&db.session().run(
        "SELECT extname, extversion, extnamespace::regnamespace FROM pg_extension;
         SELECT name, default_version, installed_version, comment FROM pg_available_extensions;
         CREATE EXTENSION words; CREATE EXTENSION IF NOT EXISTS words;
         ALTER EXTENSION words UPDATE; ALTER EXTENSION words UPDATE TO '2.0';
         ALTER EXTENSION nothing UPDATE;
         COMMENT ON EXTENSION words IS 'lists';
         SELECT obj_description(oid, 'pg_extension') FROM pg_extension;
         CREATE WORD LIST animals AS 'cat'; CREATE TABLE t (a text LISTED IN animals);
         CREATE TABLE c (a text, b text DEFAULT 'x' || is_listed('animals', 'cat')::text,
                         CONSTRAINT ok CHECK (is_listed('animals', a)));
         CREATE VIEW v AS SELECT is_listed('animals', a) AS l FROM c;
         DROP EXTENSION words; DROP EXTENSION nothing; DROP EXTENSION IF EXISTS nothing;
         BEGIN; DROP EXTENSION words CASCADE; ROLLBACK; SELECT count(*) FROM pg_extension;
         DROP EXTENSION words CASCADE;
         SELECT count(*) FROM pg_extension;
         SHOW WORD LISTS; CREATE TABLE x (a text LISTED IN animals); SELECT is_listed('a', 'b');
         INSERT INTO t VALUES ('cow');
         SELECT name, installed_version FROM pg_available_extensions;",
    ));
    let db = db.reopen_with(&words());
    expect![[r#"
        count
        0
        ERROR 0A000: extension "nothing" is not available
        DETAIL: The server has no plugin "nothing".
        HINT: Put the file of plugin nothing into the plugin directory and restart the server.
        ERROR 22023: extension "words" has no installation script nor update path for version "2.0"
        HINT: The server has version 1.0.0 of the plugin.
        ERROR 0A000: extension "words" must be installed in schema "pg_catalog"
        CREATE EXTENSION
        name | words
        SHOW 0
        CREATE WORD LIST
        name | words
        public.animals | cat
        SHOW 1
    "#]]
    .assert_eq(&db.session().run(
        "SELECT count(*) FROM pg_extension;
         CREATE EXTENSION nothing; CREATE EXTENSION words VERSION '2.0';
         CREATE EXTENSION words SCHEMA public; CREATE EXTENSION words WITH VERSION '1.0.0' CASCADE;
         SHOW WORD LISTS; CREATE WORD LIST animals AS 'cat'; SHOW WORD LISTS;",
    ));
}

#[test]
fn a_plugin_that_is_off_refuses_writes_to_its_columns_and_nothing_else() {
    let db = Db::with(&words());
    db.session().ok("CREATE WORD LIST animals AS 'cat';
         CREATE TABLE t (id int PRIMARY KEY, pet text LISTED IN animals, note text);
         INSERT INTO t VALUES (1, 'cat', 'a'), (2, 'cat', 'b');");
    let db = db.reopen_with(&switched_off());
    let script = "SELECT id, pet FROM t ORDER BY id;
         INSERT INTO t (id) VALUES (3);
         UPDATE t SET pet = 'cat'; UPDATE t SET note = 'c' WHERE id = 1;
         INSERT INTO t VALUES (1) ON CONFLICT (id) DO NOTHING;
         DELETE FROM t WHERE id = 2;
         SHOW WORD LISTS; CREATE TABLE x (a text LISTED IN animals); SELECT is_listed('a', 'b');
         CREATE EXTENSION IF NOT EXISTS words; ALTER EXTENSION words UPDATE;
         SELECT name, state, activation, installed, linkage, error FROM helios_plugins;
         SELECT plugin, store, version, state, entries, bytes FROM helios_plugin_stores;
         SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c';";
    expect![[r#"
        id | pet
        1 | cat
        2 | cat
        ERROR 55000: constraint "t_pet_check" of relation "t" cannot be checked: plugin "words" is disabled
        HINT: Set activation = "on" under [plugins.words] in heliosdb.toml and restart the server.
        ERROR 55000: constraint "t_pet_check" of relation "t" cannot be checked: plugin "words" is disabled
        HINT: Set activation = "on" under [plugins.words] in heliosdb.toml and restart the server.
        UPDATE 1
        ERROR 55000: constraint "t_pet_check" of relation "t" cannot be checked: plugin "words" is disabled
        HINT: Set activation = "on" under [plugins.words] in heliosdb.toml and restart the server.
        DELETE 1
        ERROR 0A000: SHOW WORD LISTS cannot be used: plugin "words" is disabled
        HINT: Set activation = "on" under [plugins.words] in heliosdb.toml and restart the server.
        ERROR 0A000: clause listed_in cannot be used: plugin "words" is disabled
        HINT: Set activation = "on" under [plugins.words] in heliosdb.toml and restart the server.
        ERROR 42883: function is_listed(unknown, unknown) does not exist
        HINT: Plugin "words", which has it, is disabled. Set activation = "on" under [plugins.words] in heliosdb.toml and restart the server.
        NOTICE: extension "words" already exists, skipping
        CREATE EXTENSION
        ERROR 0A000: extension "words" is not available
        DETAIL: Plugin "words" is disabled.
        HINT: Set activation = "on" under [plugins.words] in heliosdb.toml and restart the server.
        name | state | activation | installed | linkage | error
        words | disabled | off | t | static | switched off by activation = "off"
        plugin | store | version | state | entries | bytes
        words | lists | 1 | orphaned | 1 | 7
        pg_get_constraintdef
        LISTED IN animals
    "#]].assert_eq(&db.session().run(script));
    // Gone altogether: not even its grammar is known.
    let db = db.reopen();
    let mut session = db.session();
    let (clause, command) = (
        "CREATE TABLE x (a text LISTED IN animals); ",
        "SHOW WORD LISTS; ",
    );
    expect![[r#"
        ERROR 0A000: clause listed_in cannot be used: plugin "words" is missing
        HINT: Put the file of plugin words into the plugin directory and restart the server.
    "#]]
    .assert_eq(&session.run(clause));
    expect![[r#"
        ERROR 0A000: SHOW WORD LISTS cannot be used: plugin "words" is missing
        HINT: Put the file of plugin words into the plugin directory and restart the server.
    "#]]
    .assert_eq(&session.run(command));
    let script = script.replace(clause, "").replace(command, "");
    expect![[r#"
        id | pet
        1 | cat
        ERROR 55000: constraint "t_pet_check" of relation "t" cannot be checked: plugin "words" is missing
        HINT: Put the file of plugin words into the plugin directory and restart the server.
        ERROR 55000: constraint "t_pet_check" of relation "t" cannot be checked: plugin "words" is missing
        HINT: Put the file of plugin words into the plugin directory and restart the server.
        UPDATE 1
        ERROR 55000: constraint "t_pet_check" of relation "t" cannot be checked: plugin "words" is missing
        HINT: Put the file of plugin words into the plugin directory and restart the server.
        DELETE 0
        ERROR 42883: function is_listed(unknown, unknown) does not exist
        HINT: Plugin "words", which has it, is missing. Put the file of plugin words into the plugin directory and restart the server.
        NOTICE: extension "words" already exists, skipping
        CREATE EXTENSION
        ERROR 0A000: extension "words" is not available
        DETAIL: The server has no plugin "words".
        HINT: Put the file of plugin words into the plugin directory and restart the server.
        name | state | activation | installed | linkage | error
        words | missing | NULL | t | NULL | this server does not have it
        plugin | store | version | state | entries | bytes
        words | lists | 1 | orphaned | 1 | 7
        pg_get_constraintdef
        LISTED IN animals
    "#]].assert_eq(&session.run(&script));
    drop(session);
    let db = db.reopen_with(&words());
    expect![[r#"
        name | words
        public.animals | cat
        SHOW 1
        ERROR 23514: new row for relation "t" violates check constraint "t_pet_check"
        DETAIL: "cow" of pet is not in the list.
        Failing row contains (3, cow, null).
    "#]]
    .assert_eq(
        &db.session()
            .run("SHOW WORD LISTS; INSERT INTO t VALUES (3, 'cow')"),
    );
}

#[test]
fn a_plugin_that_is_missing_can_be_let_go() {
    let db = Db::with(&words());
    db.session()
        .ok("CREATE WORD LIST animals AS 'cat'; CREATE TABLE t (pet text LISTED IN animals);");
    let db = db.reopen();
    expect![[r#"
        ERROR 2BP01: cannot drop extension words because other objects depend on it
        DETAIL: constraint t_pet_check on table t depends on extension words
        word list animals depends on extension words
        HINT: Use DROP ... CASCADE to drop the dependent objects too.
        NOTICE: drop cascades to 2 other objects
        DETAIL: drop cascades to constraint t_pet_check on table t
        drop cascades to word list animals
        DROP EXTENSION
        INSERT 0 1
        plugin | state
        words | orphaned
    "#]]
    .assert_eq(&db.session().run(
        "DROP EXTENSION words; DROP EXTENSION words CASCADE; INSERT INTO t VALUES ('cow');
         SELECT plugin, state FROM helios_plugin_stores;",
    ));
}

#[test]
fn operators_see_everything_in_sql() {
    check(
        "SELECT name, version, state, activation, installed, linkage, path, abi, description, faults
           FROM helios_plugins;
         SELECT id, plugins FROM helios_extension_points WHERE plugins <> '{}' ORDER BY 1;
         SELECT plugin, store, version, state, entries FROM helios_plugin_stores;
         SELECT count(*) FROM helios_plugin_migrations;
         SELECT e.extname AS \"Name\", e.extversion AS \"Version\", n.nspname AS \"Schema\",
                c.description AS \"Description\"
           FROM pg_catalog.pg_extension e
           LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
           LEFT JOIN pg_catalog.pg_description c ON c.objoid = e.oid
                AND c.classoid = 'pg_catalog.pg_extension'::pg_catalog.regclass
           ORDER BY 1;",
        expect![[r#"
            name | version | state | activation | installed | linkage | path | abi | description | faults
            words | 1.0.0 | active | on | t | static | NULL | 1 | word lists, for tests | 0
            id | plugins
            clause/1 | {words}
            command/1 | {words}
            constraint/1 | {words}
            function/1 | {words}
            plugin | store | version | state | entries
            words | lists | 1 | live | 0
            count
            0
            Name | Version | Schema | Description
            words | 1.0.0 | pg_catalog | word lists, for tests
        "#]],
    );
}

#[test]
fn a_command_is_described_before_it_runs() {
    let db = Db::with(&words());
    let mut session = db.session();
    session.ok("CREATE WORD LIST animals AS 'cat'");
    let show = session.0.prepare("SHOW WORD LISTS", &[]).unwrap();
    let names: Vec<String> = show
        .columns
        .iter()
        .flat_map(|columns| columns.iter())
        .map(|c| format!("{} {}", c.name, c.ty.name()))
        .collect();
    assert_eq!(names, ["name text", "words text"]);
    assert!(show.param_types.is_empty());
    assert!(matches!(
        session.0.execute_prepared(&show, &[]).unwrap(),
        Outcome::Rows(_)
    ));
    let create = session
        .0
        .prepare("CREATE WORD LIST plants AS 'oak'", &[])
        .unwrap();
    assert!(create.columns.is_none());
    let made = session.0.execute_prepared(&create, &[]).unwrap();
    expect![[r#"
        CREATE WORD LIST
    "#]]
    .assert_eq(&session.print(made));
}

#[test]
fn an_error_of_a_clause_points_at_it() {
    let db = Db::with(&words());
    let mut session = db.session();
    let mut position = |sql: &str| {
        let parsed = session.0.parse(sql);
        let result = parsed.and_then(|s| session.0.execute(&s[0], &[]).map(drop));
        result.unwrap_err().position
    };
    let sql = "CREATE TABLE t (a text,\n  b text LISTED IN nothing)";
    assert_eq!(position(sql), sql.find("LISTED").map(|at| at + 1));
    let sql = "CREATE TABLE t (a text LISTED IN, b text)";
    assert_eq!(position(sql), sql.find(", b").map(|at| at + 1));
    // What comes after a clause that was taken out is where it was.
    let sql = "CREATE TABLE t (a text LISTED IN x, b text nonsense)";
    assert_eq!(position(sql), sql.find("nonsense").map(|at| at + 1));
}
