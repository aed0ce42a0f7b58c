//! The budget of work in the background, as SET, SHOW and the view on it have it.

use expect_test::expect;

use super::support::Db;

#[test]
fn caps_are_the_servers() {
    let db = Db::new();
    let (mut one, mut other) = (db.session(), db.session());
    assert_eq!(
        one.run("SHOW max_cpu_background"),
        "max_cpu_background\n15\nSHOW\n"
    );
    one.ok("SET max_cpu_background = 40");
    one.ok("SET incremental_mv_cpu TO '7'");
    assert_eq!(
        other.run("SHOW max_cpu_background"),
        "max_cpu_background\n40\nSHOW\n"
    );
    assert_eq!(
        other.run("SELECT current_setting('incremental_mv_cpu')"),
        "current_setting\n7\n"
    );
    let caps = db.instance.engine().governor().caps();
    assert_eq!((caps.max_cpu_background, caps.incremental_mv_cpu), (40, 7));
    // They are nobody's own.
    other.ok("RESET ALL; DISCARD ALL");
    drop(one);
    assert_eq!(
        other.run("SELECT name, setting, context, vartype, boot_val FROM pg_settings WHERE name ~ 'cpu' ORDER BY 1"),
        "name | setting | context | vartype | boot_val\n\
         adaptive_indexing_cpu | 2 | superuser | integer | 2\n\
         cpu_governor | on | superuser | bool | on\n\
         deduplication_cpu | 3 | superuser | integer | 3\n\
         incremental_mv_cpu | 7 | superuser | integer | 10\n\
         max_cpu_background | 40 | superuser | integer | 15\n"
    );
    other.ok("RESET max_cpu_background; SET incremental_mv_cpu = DEFAULT");
    let start = db.instance.engine().options().cpu;
    assert_eq!(db.instance.engine().governor().caps(), start);
    other.ok("SELECT set_config('deduplication_cpu', '0', false)");
    assert_eq!(
        other.run("SELECT cap_percent FROM helios_background_cpu WHERE share = 'deduplication'"),
        "cap_percent\n0\n"
    );
}

#[test]
fn caps_are_checked_and_a_superusers() {
    let db = Db::new();
    let mut s = db.session();
    expect![[r#"
        ERROR 22023: 101 is outside the valid range for parameter "max_cpu_background" (0 .. 100)
    "#]]
    .assert_eq(&s.run("SET max_cpu_background = 101"));
    expect![[r#"
        ERROR 22023: invalid value for parameter "adaptive_indexing_cpu": "much"
    "#]]
    .assert_eq(&s.run("SET adaptive_indexing_cpu = 'much'"));
    expect![[r#"
        ERROR 0A000: SET LOCAL deduplication_cpu is not supported
        HINT: The parameter is the server's: SET changes it for everybody.
    "#]]
    .assert_eq(&s.run("SET LOCAL deduplication_cpu = 1"));
    s.ok("BEGIN");
    expect![[r#"
        ERROR 25001: SET max_cpu_background cannot run inside a transaction block
    "#]]
    .assert_eq(&s.run("SET max_cpu_background = 1"));
    s.ok("ROLLBACK; BEGIN");
    expect![[r#"
        ERROR 25001: SET max_cpu_background cannot run inside a transaction block
    "#]]
    .assert_eq(&s.run("SELECT set_config('max_cpu_background', '1', false)"));
    s.ok("ROLLBACK");
    let both = "SELECT 1; SELECT set_config('max_cpu_background', '1', false)";
    assert_eq!(s.0.execute_text(both).err().unwrap().code.as_str(), "25001");
    expect![[r#"
        ERROR 55P02: parameter "cpu_governor" cannot be changed
        HINT: HeliosDB Lite always holds background work to its CPU budget.
    "#]]
    .assert_eq(&s.run("SET cpu_governor = off"));
    s.ok("SET cpu_governor = on; CREATE USER ann");
    let mut ann = db.session_of("ann");
    expect![[r#"
        ERROR 42501: permission denied to set parameter "max_cpu_background"
    "#]]
    .assert_eq(&ann.run("SET max_cpu_background = 1"));
    expect![[r#"
        ERROR 42501: permission denied to set parameter "max_cpu_background"
    "#]]
    .assert_eq(&ann.run("SELECT set_config('max_cpu_background', '1', false)"));
    assert_eq!(
        db.instance.engine().governor().caps(),
        db.instance.engine().options().cpu
    );
}

#[test]
fn the_view_has_a_row_for_each_share() {
    let db = Db::new();
    let mut s = db.session();
    expect![[r#"
        share | cap_percent | waiting | in_debt | enforced
        total | 15 | 0 | f | t
        storage | 15 | 0 | f | t
        incremental_mv | 10 | 0 | f | t
        adaptive_indexing | 2 | 0 | f | t
        deduplication | 3 | 0 | f | t
        other | 15 | 0 | f | t
    "#]]
    .assert_eq(
        &s.run("SELECT share, cap_percent, waiting, in_debt, enforced FROM helios_background_cpu"),
    );
}
