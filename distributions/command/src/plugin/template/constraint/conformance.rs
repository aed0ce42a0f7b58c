//! The suite that every plugin must pass, on rows of which some keep the constraint.

use std::sync::Arc;

use heliosdb_plugin_api::arrow::array::StringViewArray;
use heliosdb_plugin_testkit::Samples;
use {{id}}_plugin::{{Plugin}};

heliosdb_plugin_testkit::conformance!(
    {{Plugin}},
    Samples::new()
        .column_type("text")
        .clause("{{id}}_prefix", &["AB-"])
        .constraint(
            "{{id}}_prefix",
            "AB-",
            vec![Arc::new(StringViewArray::from_iter([
                Some("AB-1"),
                None,
                Some("CD-2"),
            ]))],
        )
);
