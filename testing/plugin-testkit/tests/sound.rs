//! A sound plugin passes every check.

mod specimen;

use specimen::{Specimen, fault, samples};

heliosdb_plugin_testkit::conformance!(Specimen<{ fault::NONE }>, samples());

#[test]
fn the_report_says_that_all_is_well() {
    let report = heliosdb_plugin_testkit::conformance::<Specimen<{ fault::NONE }>>(samples());
    assert!(report.passed(), "{report}");
}
