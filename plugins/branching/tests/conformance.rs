//! The suite that every plugin must pass, and what statements do with branches.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Int64Array, StringViewArray};
use heliosdb_branching::Branching;
use heliosdb_plugin_api::Result;
use heliosdb_plugin_api::service::QueryResult;
use heliosdb_plugin_testkit::{Samples, Started, Statement, TestHost};

/// Every time is the SCN 7.
fn seven() -> Result<QueryResult> {
    one(7)
}

fn one(number: i64) -> Result<QueryResult> {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![number]));
    Ok(QueryResult {
        columns: vec![("c".to_owned(), "bigint".to_owned())],
        batches: vec![vec![column]],
        command_tag: "SELECT 1".to_owned(),
    })
}

fn text(text: Option<&str>) -> ArrayRef {
    Arc::new([text].into_iter().collect::<StringViewArray>())
}

fn samples() -> Samples {
    Samples::new()
        .sql(|_, _| seven())
        .command("CREATE BRANCH dev FROM CURRENT AS OF TIMESTAMP now() - interval '1 hour' WITH (protected = true)")
        .command("CREATE DATABASE BRANCH IF NOT EXISTS \"A b\" FROM dev AS OF SCN 7")
        .command("ALTER BRANCH dev SET (protected = off)")
        .command("ALTER DATABASE BRANCH \"A b\" RENAME TO test")
        .command("USE BRANCH test")
        .command("USE DATABASE BRANCH main")
        .command("MERGE BRANCH test INTO main WITH (strategy = 'ours')")
        .command("MERGE DATABASE BRANCH test INTO main WITH (dry_run = true)")
        .command("CREATE TAG IF NOT EXISTS v1 FROM main AS OF SCN 7")
        .command("SHOW TAGS")
        .command("DROP TAG v1")
        .command("RESTORE DATABASE AS OF SCN 7")
        .command("RESTORE DATABASE TO BRANCH test")
        .command("FLASHBACK TABLE public.item TO TIMESTAMP now()")
        .command("UNDROP TABLE gone AS again")
        .command("SHOW BRANCHES")
        .command("SHOW DATABASE BRANCHES")
        .command("DROP DATABASE BRANCH IF EXISTS test")
        .command("DROP BRANCH dev")
        .arguments("helios_conflicts", Vec::new())
        .arguments("helios_diff", [Some("item"), Some("main"), Some("main@7")].map(text).into())
        .arguments("helios_diff_stat", [Some("main"), Some("")].map(text).into())
        .arguments("pg_database_branches", Vec::new())
}

heliosdb_plugin_testkit::conformance!(Branching, samples());

#[test]
fn what_cannot_be_done_is_told() {
    let host = TestHost::new();
    host.set_sql(|_, _| seven());
    let plugin = Started::new::<Branching>(&host);
    plugin
        .command("CREATE BRANCH dev WITH (protected)")
        .expect("a branch");
    for (statement, told) in [
        ("CREATE BRANCH dev", "42710 branch \"dev\" already exists"),
        (
            "CREATE BRANCH a FROM nowhere",
            "42704 branch \"nowhere\" does not exist",
        ),
        (
            "CREATE BRANCH a WITH (colour = red)",
            "22023 unrecognized parameter \"colour\" of a branch",
        ),
        (
            "CREATE BRANCH a WITH (protected = perhaps)",
            "22023 invalid value for boolean option \"protected\": perhaps",
        ),
        ("DROP BRANCH dev", "55000 branch \"dev\" is protected"),
        (
            "USE BRANCH nowhere",
            "42704 branch \"nowhere\" does not exist",
        ),
        (
            "UNDROP TABLE nothing",
            "42P01 no table \"nothing\" was dropped",
        ),
        (
            "ALTER BRANCH dev RENAME TO main",
            "42710 branch \"main\" already exists",
        ),
    ] {
        let error = plugin.command(statement).expect_err(statement).error;
        assert_eq!(format!("{} {}", error.sqlstate, error.message), told);
    }
    plugin
        .command("CREATE BRANCH IF NOT EXISTS dev")
        .expect("it is there");
    plugin
        .command("ALTER BRANCH dev SET (protected = false)")
        .expect("an option");
    plugin
        .command("DROP BRANCH dev")
        .expect("it can be dropped");
    plugin
        .command("DROP BRANCH IF EXISTS dev")
        .expect("it is gone");
}

/// Branches go when their time has come: not the protected ones, nor the main one whatever is noted of it, and none
/// while history is held because the clock cannot be believed.
#[test]
fn branches_expire() {
    let host = TestHost::new();
    let (clock, held) = (Arc::new(AtomicI64::new(9)), Arc::new(AtomicI64::new(1)));
    let (time, held_by) = (clock.clone(), held.clone());
    host.set_sql(move |sql, _| match sql {
        sql if sql.contains("held_by = 'clock'") => one(held_by.load(Ordering::SeqCst)),
        sql if sql.contains("clock_timestamp") => one(time.load(Ordering::SeqCst)),
        sql if sql.contains("interval") => one(10),
        _ => seven(),
    });
    let plugin = Started::new::<Branching>(&host);
    for statement in [
        "CREATE BRANCH a WITH (expires = '3 microseconds')",
        "CREATE BRANCH b WITH (expires = '3 microseconds', protected = true)",
        "CREATE BRANCH c",
        "ALTER BRANCH main SET (expires = '3 microseconds')",
    ] {
        plugin.command(statement).expect(statement);
    }
    let left = || {
        plugin.work(0, &Statement::new()).expect("a turn");
        let shown = plugin.command("SHOW BRANCHES").expect("the branches");
        let names = shown.batches[0][0].as_string_view();
        let names: Vec<String> = names.iter().flatten().map(str::to_owned).collect();
        names.join(" ")
    };
    assert_eq!(left(), "main a b c");
    clock.store(11, Ordering::SeqCst);
    assert_eq!(left(), "main a b c");
    held.store(0, Ordering::SeqCst);
    assert_eq!(left(), "main b c");
}
