//! The suite that every plugin must pass, and what this one is to compute.

use std::sync::Arc;

use heliosdb_plugin_api::Argument;
use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::arrow::array::StringViewArray;
use heliosdb_plugin_api::arrow::array::cast::AsArray;
use heliosdb_plugin_testkit::{Started, Statement, TestHost};
use {{id}}_plugin::{{Plugin}};

heliosdb_plugin_testkit::conformance!({{Plugin}});

#[test]
fn texts_are_reversed() {
    let plugin = Started::new::<{{Plugin}}>(&TestHost::new());
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter([Some("abc"), None, Some("é!")]));
    let function = plugin.function("{{id}}_reverse").unwrap();
    let arguments = [Argument::new(texts, false)];
    let reversed = plugin.scalar(function, &Statement::new(), &arguments, 3);
    let reversed = reversed.unwrap();
    let reversed: Vec<_> = reversed.as_string_view().iter().collect();
    assert_eq!(reversed, [Some("cba"), None, Some("!é")]);
}
