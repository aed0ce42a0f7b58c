//! Sessions over the real engine: what statements print, what concurrent ones see, what survives.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod activity;
mod advisory;
mod aggregates;
mod background;
mod branches;
mod bulk;
mod changes;
mod compression;
mod concurrency;
mod cursors;
mod ddl;
mod dml;
mod dump;
mod durability;
mod explain;
mod fast_path;
mod flights;
mod follower;
mod functions;
mod hostile;
mod isolation;
mod joins;
mod json;
mod list_append;
mod locks;
mod memory;
mod monitor;
mod notify;
mod observer;
mod offset;
mod parquet;
mod plugin;
mod privileges;
mod query;
mod regression;
mod routines;
mod shared_plans;
#[path = "../support/mod.rs"]
mod support;
mod temporary;
mod time_travel;
mod transaction;
mod types;
mod user_types;
mod worker;

/// Runs the file that `SCRIPT` names, for trying things out.
#[test]
fn script() {
    if let Ok(path) = std::env::var("SCRIPT") {
        let db = support::Db::new();
        println!(
            "{}",
            db.session().run(&std::fs::read_to_string(path).unwrap())
        );
    }
}
