//! A plugin that follows a table: what the test host gives of changes, versions and blobs is what the
//! interface promises.

use std::sync::Arc;

use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::arrow::array::Int64Array;
use heliosdb_plugin_api::arrow::array::cast::AsArray;
use heliosdb_plugin_api::arrow::array::types::Int64Type;
use heliosdb_plugin_api::service::{BlobId, SignedRows, Which};
use heliosdb_plugin_api::{
    CommandOutcome, Context, Error, Host, Plugin, Registrar, Result, Settings, state,
};
use heliosdb_plugin_testkit::{Started, TestHost};

const TABLE: u32 = 7;
const BLOB: BlobId = BlobId { owner: 1, blob: 1 };

/// Adds up a column as it changes, and keeps the sum, and as a blob each value that came.
struct Follower;

impl Plugin for Follower {
    const MANIFEST: &'static str = r#"
        id = "follower"
        version = "1.0.0"
        abi = 1
        services = ["store/1", "blob/1", "changes/1", "visible/1"]
        [[command]]
        prefix = "FOLLOW IT"
        [[command]]
        prefix = "LOOK BACK"
        [[store]]
        name = "kept"
        version = 1
    "#;

    fn start(_: Host, _: &Settings) -> Result<Follower> {
        Ok(Follower)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.command("FOLLOW IT", follow)?;
        registrar.command("LOOK BACK", look_back)
    }
}

fn follow(cx: &Context<'_>, _: &str) -> Result<CommandOutcome> {
    let (changes, store) = (cx.changes()?, cx.store("kept")?);
    let sum = store.get(b"sum")?.unwrap_or_default();
    let mut sum = sum.try_into().map_or(0, i64::from_le_bytes);
    let until = changes.latest()?;
    let since = match changes.cursor("sum")? {
        Some(since) => since,
        None => {
            changes.create_cursor("sum")?;
            0
        }
    };
    for batch in changes.read(TABLE, &["n"], since..=until, Which::Every)? {
        let SignedRows {
            columns,
            rows,
            scns,
            signs,
        } = batch?;
        let numbers = columns[0].as_primitive::<Int64Type>();
        for place in 0..rows.len() {
            sum += numbers.value(place) * i64::from(signs.value(place));
            if signs.value(place) > 0 {
                let name = [rows.value(place), scns.value(place)];
                let name: Vec<u8> = name.iter().flat_map(|part| part.to_le_bytes()).collect();
                cx.blobs("kept")?.append(BLOB, &name)?;
            }
        }
    }
    store.put(b"sum", &sum.to_le_bytes())?;
    changes.advance_cursor("sum", until)?;
    Ok(CommandOutcome::done(&format!("SUM {sum}")))
}

/// How many of all versions that ever came the statement sees.
fn look_back(cx: &Context<'_>, _: &str) -> Result<CommandOutcome> {
    let blobs = cx.blobs("kept")?;
    let length = match blobs.length(BLOB)? {
        Some(length) => length,
        None => blobs.finish(BLOB)?,
    };
    let bytes = blobs.read(BLOB, 0..length)?;
    let (mut rows, mut begins) = (Vec::new(), Vec::new());
    for name in bytes.chunks_exact(16) {
        let number = |part: &[u8]| part.try_into().map(u64::from_le_bytes);
        let damaged = |_| Error::new(state::DATA_CORRUPTED, "no number");
        rows.push(number(&name[..8]).map_err(damaged)?);
        begins.push(number(&name[8..]).map_err(damaged)?);
    }
    let seen = cx.visible()?.of(TABLE, &rows, &begins)?.true_count();
    Ok(CommandOutcome::done(&format!(
        "SEEN {seen} OF {}",
        rows.len()
    )))
}

fn number(n: i64) -> Option<Vec<ArrayRef>> {
    Some(vec![Arc::new(Int64Array::from(vec![n]))])
}

#[test]
fn a_follower_takes_each_change_in_once_and_knows_what_is_visible() {
    let host = TestHost::new();
    let plugin = Started::new::<Follower>(&host);
    let run = |command: &str| match plugin.command(command) {
        Ok(outcome) => outcome.tag,
        Err(why) => why.error.sqlstate.to_string(),
    };
    assert_eq!(run("FOLLOW IT"), "42P01", "there is no table");
    host.set_table(TABLE, &["n"]);
    host.commit(TABLE, 1, number(5));
    let early = host.commit(TABLE, 2, number(6));
    assert_eq!(run("FOLLOW IT"), "SUM 11");
    host.commit(TABLE, 1, number(50));
    host.commit(TABLE, 2, None);
    let late = host.commit(TABLE, 3, number(1));
    assert_eq!(run("FOLLOW IT"), "SUM 51");
    assert_eq!(run("FOLLOW IT"), "SUM 51");
    assert_eq!(host.cursor("sum"), Some(late));
    assert_eq!(run("LOOK BACK"), "SEEN 2 OF 4");
    host.set_snapshot(Some(early));
    assert_eq!(run("LOOK BACK"), "SEEN 2 OF 4");
    host.set_snapshot(Some(early - 1));
    assert_eq!(run("LOOK BACK"), "SEEN 1 OF 4");
    assert_eq!(run("FOLLOW IT"), "SUM 51");
    host.set_read_only(true);
    assert_eq!(run("FOLLOW IT"), "25006");
}

#[test]
fn a_service_that_the_manifest_does_not_name_is_not_lent() {
    let host = TestHost::new();
    host.grant(&["store/1"]);
    let plugin = Started::new::<Follower>(&host);
    let refused = plugin.command("FOLLOW IT").expect_err("no changes/1");
    assert_eq!(refused.error.sqlstate.as_str(), "42501");
}
