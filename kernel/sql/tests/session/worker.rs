//! Workers of a plugin in a database: each quantum is a transaction.

use std::sync::Arc;

use heliosdb_plugin_api::{Context, Host, Plugin, Registrar, Result, Settings, Turn, root};
use heliosdb_plugin_host::store;
use heliosdb_storage::governor::Share;

use super::support::{Db, Plugins};

/// Counts in its store how often it worked, up to five times a start, and says so in a table.
struct Ticking;

impl Plugin for Ticking {
    const MANIFEST: &'static str = r#"
        id = "ticking"
        version = "1.0.0"
        abi = 1
        services = ["store/1", "sql/1", "budget/1"]
        [[worker]]
        name = "tick"
        share = "adaptive_indexing"
        [[store]]
        name = "ticks"
        version = 1
    "#;

    fn start(_: Host, _: &Settings) -> Result<Ticking> {
        Ok(Ticking)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.worker("tick", |cx: &Context<'_>| {
            let ticks = cx.store("ticks")?;
            let n = ticks.get(b"n")?.map_or(0, |n| n[0]);
            ticks.put(b"n", &[n + 1])?;

            cx.sql()?
                .query("CREATE TABLE IF NOT EXISTS ticks (n int)", &[])?;
            let n = (n + 1).to_string();
            cx.sql()?
                .query("INSERT INTO ticks VALUES ($1)", &[Some(&n)])?;
            if n == "3" && cx.sql()?.query("SELECT no_such_function()", &[]).is_err() {
                return Ok(Turn::Sleep(1));
            }
            assert!(cx.host().budget()?.left_us().is_some());
            Ok(match n.as_str() {
                "5" => Turn::Done,
                _ => Turn::More,
            })
        })
    }
}

fn ticks(db: &Db) -> u8 {
    let view = db.instance.engine().visible_view();
    let found = store::find(&view, "ticking", "ticks").unwrap();
    let n = found.and_then(|info| view.get(info.collection, b"n").unwrap());
    n.map_or(0, |n| n[0])
}

#[test]
fn a_quantum_is_a_transaction_and_is_paid_for() {
    let plugins = Plugins {
        roots: vec![root::<Ticking>()],
        ..Plugins::default()
    };
    let db = Db::with(&plugins);
    while ticks(&db) < 5 {
        std::thread::yield_now();
    }
    let mut s = db.session();
    assert_eq!(
        s.run("SELECT array_agg(n ORDER BY n) AS n FROM ticks"),
        "n\n{1,2,3,4,5}\n"
    );
    let governor = db.instance.engine().governor().clone();
    while governor.usage(Share::AdaptiveIndexing).used_micros == 0 {
        std::thread::yield_now();
    }
    assert_eq!(governor.usage(Share::Deduplication).used_micros, 0);
    assert_eq!(
        s.run("SELECT plugins FROM helios_extension_points WHERE id = 'worker/1'"),
        "plugins\n{ticking}\n"
    );
    drop(s);
    // The next start goes on where this one was.
    let db = db.reopen_with(&plugins);
    while ticks(&db) < 6 {
        std::thread::yield_now();
    }
}
