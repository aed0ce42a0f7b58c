//! A plugin that follows a table with a cursor, and asks which versions a statement sees.

use std::sync::Arc;

use heliosdb_plugin_api::service::{BlobId, Which};
use heliosdb_plugin_api::{
    Argument, CommandOutcome, Context, Error, Host, Plugin, Registrar, Result, Settings, root,
    state,
};

use super::support::{Db, Plugins};

const VERSIONS: BlobId = BlobId { owner: 0, blob: 0 };

/// Keeps the names of all versions that came to the table `t`, as a blob.
struct Follower;

impl Plugin for Follower {
    const MANIFEST: &'static str = r#"
        id = "follower"
        version = "1.0.0"
        abi = 1
        services = ["store/1", "blob/1", "sql/1", "changes/1", "visible/1"]
        [[command]]
        prefix = "FOLLOW CHANGES"
        [[command]]
        prefix = "COUNT VERSIONS"
        [[store]]
        name = "kept"
        version = 1
    "#;

    fn start(_: Host, _: &Settings) -> Result<Follower> {
        Ok(Follower)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.command("FOLLOW CHANGES", follow)?;
        registrar.command("COUNT VERSIONS", count)
    }
}

fn table(cx: &Context<'_>) -> Result<u32> {
    let found = cx.sql()?.query(
        "SELECT oid::int8::text FROM pg_class WHERE relname = 't'",
        &[],
    )?;
    let column = found.batches.first().and_then(|batch| batch.first());
    let column = column.map(|c| Argument::new(c.clone(), false));
    let text = column.as_ref().and_then(|column| column.text(0));
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::internal("no table t"))
}

/// What came since the last time.
fn follow(cx: &Context<'_>, _: &str) -> Result<CommandOutcome> {
    let (changes, blobs) = (cx.changes()?, cx.blobs("kept")?);
    let until = changes.latest()?;
    let Some(since) = changes.cursor("t")? else {
        let at = changes.create_cursor("t")?;
        assert_eq!(at, until);
        return Ok(CommandOutcome::done("FOLLOW"));
    };
    let (mut came, mut went) = (0, 0);
    for batch in changes.read(table(cx)?, &["a"], since..=until, Which::Every)? {
        let batch = batch?;
        assert_eq!(batch.columns.len(), 1);
        for place in 0..batch.len() {
            if batch.signs.value(place) < 0 {
                went += 1;
                continue;
            }
            came += 1;
            for part in [batch.rows.value(place), batch.scns.value(place)] {
                blobs.append(VERSIONS, &part.to_le_bytes())?;
            }
        }
    }
    changes.advance_cursor("t", until)?;
    Ok(CommandOutcome::done(&format!("FOLLOW +{came} -{went}")))
}

fn count(cx: &Context<'_>, _: &str) -> Result<CommandOutcome> {
    let blobs = cx.blobs("kept")?;
    let length = match blobs.length(VERSIONS)? {
        Some(length) => length,
        None => blobs.finish(VERSIONS)?,
    };
    let bytes = blobs.read(VERSIONS, 0..length)?;
    let numbers: std::result::Result<Vec<u64>, _> = bytes
        .chunks_exact(8)
        .map(|part| part.try_into().map(u64::from_le_bytes))
        .collect();
    let numbers = numbers.map_err(|_| Error::new(state::DATA_CORRUPTED, "no number"))?;
    let of = |first| numbers.iter().skip(first).step_by(2).copied().collect();
    let (rows, begins): (Vec<u64>, Vec<u64>) = (of(0), of(1));
    let seen = cx.visible()?.of(table(cx)?, &rows, &begins)?;
    let (seen, all) = (seen.true_count(), rows.len());
    Ok(CommandOutcome::done(&format!("SEEN {seen} OF {all}")))
}

#[test]
fn a_plugin_follows_a_table_with_a_cursor_that_its_transaction_moves() {
    let plugins = Plugins {
        roots: vec![root::<Follower>()],
        ..Plugins::default()
    };
    let db = Db::with(&plugins);
    let mut s = db.session();
    let script = "
        CREATE TABLE t (a int8, b text);
        INSERT INTO t VALUES (0, 'before');
        FOLLOW CHANGES;
        INSERT INTO t VALUES (1, 'x'), (2, 'y');
        UPDATE t SET b = 'z' WHERE a = 1;
        BEGIN; FOLLOW CHANGES; ROLLBACK;
        FOLLOW CHANGES; FOLLOW CHANGES;
        DELETE FROM t WHERE a = 2; FOLLOW CHANGES;
        COUNT VERSIONS;
        BEGIN; UPDATE t SET b = 'own'; COUNT VERSIONS; ROLLBACK;
        COUNT VERSIONS;
        TRUNCATE t; FOLLOW CHANGES;";
    expect_test::expect![[r#"
        CREATE TABLE
        INSERT 0 1
        FOLLOW
        INSERT 0 2
        UPDATE 1
        BEGIN
        FOLLOW +3 -1
        ROLLBACK
        FOLLOW +3 -1
        FOLLOW +0 -0
        DELETE 1
        FOLLOW +0 -1
        SEEN 1 OF 3
        BEGIN
        UPDATE 2
        SEEN 0 OF 3
        ROLLBACK
        SEEN 1 OF 3
        TRUNCATE TABLE
        ERROR 55000: table "t" was truncated within the span
        HINT: Read it AS OF both times.
    "#]]
    .assert_eq(&s.run(script));
    drop(s);
    let db = db.reopen_with(&plugins);
    assert_eq!(db.session().run("COUNT VERSIONS"), "SEEN 0 OF 3\n");
}
