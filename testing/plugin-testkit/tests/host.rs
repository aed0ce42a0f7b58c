//! The test host does what a plugin may expect of a host.

mod specimen;

use heliosdb_plugin_api::service::Dependent;
use heliosdb_plugin_testkit::{Started, TestHost};
use specimen::{Specimen, fault};

type Sound = Specimen<{ fault::NONE }>;

#[test]
fn objects_and_entries_outlive_a_stop() {
    let host = TestHost::new();
    let plugin = Started::new::<Sound>(&host);
    plugin.command("CREATE SPECIMEN beetle").expect("it is new");
    let again = plugin.command("create specimen beetle");
    let again = again.expect_err("the name is taken");
    assert_eq!(again.error.sqlstate.as_str(), "42710");
    plugin.stop().expect("it stops");

    let plugin = Started::new::<Sound>(&host);
    let shown = plugin.command("SHOW SPECIMENS").expect("it shows");
    assert_eq!(specimen::text(&shown.batches[0][0], 0), "BEETLE");
    assert_eq!(host.objects().len(), 1);
    assert_eq!(host.store("specimens").len(), 1);
}

#[test]
fn a_read_only_statement_writes_nothing() {
    let host = TestHost::new();
    let plugin = Started::new::<Sound>(&host);
    host.set_read_only(true);
    let refused = plugin.command("CREATE SPECIMEN beetle");
    let refused = refused.expect_err("it would write");
    assert_eq!(refused.error.sqlstate.as_str(), "25006");
    assert!(host.objects().is_empty() && host.store("specimens").is_empty());
}

#[test]
fn memory_can_run_out_and_services_can_be_missing() {
    let host = TestHost::new();
    host.set_memory_limit(999);
    let loaded = heliosdb_plugin_testkit::Loaded::of::<Sound>().expect("it loads");
    let start = || loaded.start(&host, &Default::default());
    let failed = start().err().expect("it wants 1000 bytes");
    assert_eq!(failed.error.sqlstate.as_str(), "53200");
    host.set_memory_limit(1000);
    start().expect("there are 1000 bytes");
    assert_eq!(host.memory_reserved(), 0);
    host.grant(&["log/1"]);
    let failed = start().err().expect("it may not have memory");
    assert_eq!(failed.error.sqlstate.as_str(), "42501");
}

#[test]
fn dependents_hold_an_object() {
    let host = TestHost::new();
    let plugin = Started::new::<Sound>(&host);
    plugin.command("CREATE SPECIMEN beetle").expect("it is new");
    let oid = host.objects()[0].oid;
    host.add_dependent(
        oid,
        Dependent {
            oid: 1,
            class: "constraint".to_owned(),
            table: Some("public.t".to_owned()),
            column: None,
            constraint: Some("t_check".to_owned()),
            description: "constraint t_check on table t".to_owned(),
        },
    );
    assert_eq!(host.dependents_of(oid).len(), 1);
}
