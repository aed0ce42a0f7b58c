//! Every check can fail: a plugin with one fault is caught, by the check that is meant to catch it.

mod specimen;

use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::abi::Root;
use heliosdb_plugin_testkit::{Samples, Suite, conformance};
use specimen::{Specimen, fault, samples};

heliosdb_plugin_testkit::watch_allocations!();

/// The plugin with this fault fails this check, for this reason, and no other check but those that
/// cannot run without what the fault breaks.
fn caught<const FAULT: u8>(check: &str, reason: &str, and_also: &[&str]) {
    let suite = Suite::of::<Specimen<FAULT>>(samples());
    for name in heliosdb_plugin_testkit::suite::names() {
        // The codecs take most of the time, and are what they are whatever else is broken.
        if name == "codecs" && check != "codecs" {
            continue;
        }
        match suite.check(name) {
            Err(why) if name == check => assert!(why.contains(reason), "{why}"),
            Err(why) => assert!(and_also.contains(&name), "{name}: {why}"),
            Ok(()) => assert!(name != check, "{check} passes"),
        }
    }
}

/// Checks that need a started plugin.
const RUNNING: [&str; 17] = [
    "start_with_defaults",
    "start_with_bad_settings",
    "registrations",
    "start_and_stop_again",
    "functions",
    "aggregates",
    "table_functions",
    "types",
    "constraints",
    "clauses",
    "commands",
    "observers",
    "workers",
    "codecs",
    "indexes",
    "migrations",
    "panics",
];

#[test]
fn starting_and_stopping() {
    caught::<{ fault::PANICS_IN_START }>("start_with_defaults", "panicked", &RUNNING);
    caught::<{ fault::REFUSES_DEFAULTS }>("start_with_defaults", "louder", &["panics"]);
    caught::<{ fault::BELIEVES_SETTINGS }>("start_with_bad_settings", "panicked", &[]);
    caught::<{ fault::KEEPS_MEMORY }>("start_and_stop_again", "still reserved", &[]);
    caught::<{ fault::STARTS_ONCE }>("start_and_stop_again", "started before", &RUNNING);
    caught::<{ fault::PANICS_IN_STOP }>("start_and_stop_again", "panicked", &RUNNING);
}

#[test]
fn registrations() {
    caught::<{ fault::FORGETS_A_FUNCTION }>("registrations", "not registered: function", &[]);
}

#[test]
fn functions() {
    caught::<{ fault::WRONG_LENGTH }>("functions", "rows were expected", &[]);
    caught::<{ fault::WRONG_TYPE }>("functions", "no text", &[]);
    caught::<{ fault::COUNTS_ROWS }>("functions", "one by one", &[]);
    caught::<{ fault::NOT_DETERMINISTIC }>("functions", "function shout", &[]);
    caught::<{ fault::FORGETS_CONSTANTS }>("functions", "as a constant", &[]);
    caught::<{ fault::PANICS_ON_NULL }>("functions", "never NULL", &[]);
    caught::<{ fault::FORGETS_MERGE }>("aggregates", "merged parts", &[]);
    caught::<{ fault::BELIEVES_STATE }>("aggregates", "damaged state", &[]);
    caught::<{ fault::IGNORES_CANCEL }>("table_functions", "canceled", &[]);
    caught::<{ fault::NEVER_THE_SAME_ROWS }>("table_functions", "other rows", &[]);
}

#[test]
fn types() {
    caught::<{ fault::TEXT_LOSES }>("types", "text and back", &[]);
    caught::<{ fault::BYTES_LOSE }>("types", "bytes and back", &[]);
    caught::<{ fault::BELIEVES_BYTES }>("types", "damaged bytes", &[]);
}

#[test]
fn constraints_clauses_and_commands() {
    caught::<{ fault::FIRST_ROW_ONLY }>("constraints", "find other rows", &[]);
    caught::<{ fault::ROW_BEYOND }>("constraints", "is no row", &[]);
    caught::<{ fault::UNKNOWN_CONSTRAINT }>("clauses", "unknown kind", &[]);
    caught::<{ fault::NO_TAG }>("commands", "no command tag", &[]);
    caught::<{ fault::SLICES_TEXT }>("commands", "panicked", &[]);
}

#[test]
fn observers() {
    caught::<{ fault::OBSERVES_TWICE }>("observers", "told twice", &[]);
    caught::<{ fault::BELIEVES_OBJECTS }>("observers", "panicked", &[]);
}

#[test]
fn workers() {
    caught::<{ fault::LOSES_ITS_PLACE }>("workers", "at the look 1 at the budget", &[]);
    caught::<{ fault::BELIEVES_IN_WRITES }>("workers", "panicked", &[]);
    caught::<{ fault::NEVER_RESTS }>("workers", "there is more to do", &[]);
}

#[test]
fn codecs() {
    caught::<{ fault::LOSES_NULLS }>("codecs", "decoded block differs", &[]);
    caught::<{ fault::WRONG_SLICE }>("codecs", "differs from the slice", &[]);
    caught::<{ fault::WRONG_FILTER }>("codecs", "differs from evaluation", &[]);
    caught::<{ fault::PANICS_ON_DAMAGE }>("codecs", "panicked", &[]);
    caught::<{ fault::BELIEVES_LENGTH }>("codecs", "allocate", &[]);
}

#[test]
fn migrations() {
    caught::<{ fault::DEPENDS_ON_BATCHES }>("migrations", "in batches of", &[]);
    caught::<{ fault::FAILS_ITS_CHECK }>("migrations", "not upper case", &[]);
    caught::<{ fault::NO_FIXTURE }>("migrations", "no fixture runs", &[]);
    caught::<{ fault::KEYS_TWICE }>("migrations", "comes twice", &[]);
    caught::<{ fault::ADOPTS_BY_BATCH }>("migrations", "in batches of", &[]);
    caught::<{ fault::REFUSES_ITS_OWN }>("migrations", "not an oid", &[]);
}

/// What the author does not say, the suite asks for.
#[test]
fn missing_samples() {
    let report = conformance::<Specimen<{ fault::NONE }>>(Samples::new());
    for name in [
        "types",
        "constraints",
        "clauses",
        "commands",
        "observers",
        "migrations",
    ] {
        let outcome = report.outcomes.iter().find(|(n, _)| *n == name);
        let (_, outcome) = outcome.expect("it is a check");
        assert!(outcome.as_ref().is_err_and(|why| why.contains("Samples::")));
    }
}

/// Roots that no plugin of this kit has.
#[test]
fn roots() {
    extern "C" fn two() -> u32 {
        2
    }
    extern "C" fn no() -> bool {
        false
    }
    extern "C" fn nonsense() -> RStr<'static> {
        RStr::from_str("id = \"Not A Name\"")
    }
    let sound = heliosdb_plugin_api::root::<Specimen<{ fault::NONE }>>();
    let root = || Root {
        abi: sound.abi(),
        manifest: sound.manifest(),
        panics_unwind: sound.panics_unwind(),
        extension: sound.extension(),
    };
    let fails = |root: Root, check: &str, reason: &str| {
        let outcome = Suite::of_root(root.publish(), samples()).check(check);
        let why = outcome.expect_err("the root is broken");
        assert!(why.contains(reason), "{why}");
    };
    fails(Root { abi: two, ..root() }, "build", "ABI 2");
    let aborts = Root {
        panics_unwind: no,
        ..root()
    };
    fails(aborts, "build", "abort");
    let unreadable = Root {
        manifest: nonsense,
        ..root()
    };
    fails(unreadable, "manifest", "plugin.toml");
}
