//! A test host and conformance suites for plugins.
//!
//! ```ignore
//! // tests/conformance.rs of a plugin
//! use heliosdb_plugin_testkit::Samples;
//!
//! heliosdb_plugin_testkit::conformance!(MyPlugin, Samples::new().setting("depth", 3));
//! ```
//!
//! [`conformance!`] makes one `#[test]` of each of [`suite::CHECKS`]. For tests of a plugin's own,
//! [`TestHost`] lends all services from memory, and [`Started`] has a method for each thing that a
//! host can do with a plugin. Both sides speak through the plugin's root and its vtables alone, as a
//! server does, so the same suite runs on a file that was loaded ([`Suite::of_root`]).
//!
//! The kit knows the plugin interface and nothing of the kernel.

pub mod allocation;
pub mod build;
mod call;
mod host;
mod indexing;
mod plugin;
pub mod reference;
mod samples;
pub mod suite;
pub mod values;

pub use call::{Accumulator, CallError, Cursor, MigrationCalls};
pub use host::{LOOK_US, LogLine, Statement, TestHost};
pub use indexing::{IndexHits, Indexed};
pub use plugin::{Loaded, Started};
pub use samples::Samples;
pub use suite::{Report, Suite};

use heliosdb_plugin_api::Plugin;

/// Runs every check on a plugin.
pub fn conformance<P: Plugin>(samples: Samples) -> Report {
    Suite::of::<P>(samples).run()
}

/// Makes a test of each conformance check. Once per test binary, for it watches allocations.
#[macro_export]
macro_rules! conformance {
    ($plugin:ty) => {
        $crate::conformance!($plugin, $crate::Samples::new());
    };
    ($plugin:ty, $samples:expr) => {
        $crate::watch_allocations!();

        mod conformance {
            #[allow(unused_imports)]
            use super::*;

            fn check(name: &str) {
                let suite = $crate::Suite::of::<$plugin>($samples);
                if let Err(why) = suite.check(name) {
                    panic!("{why}");
                }
            }

            $crate::conformance!(@tests manifest build start_with_defaults
                start_with_bad_settings registrations start_and_stop_again functions aggregates
                table_functions types constraints clauses commands observers workers codecs indexes migrations
                panics);

            #[test]
            fn all_checks_are_here() {
                assert_eq!(TESTS, $crate::suite::names());
            }
        }
    };
    (@tests $($name:ident)*) => {
        const TESTS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*
    };
}
