//! What an operator reads when the section is wrong, and what a plugin gets when it is right.

use std::path::Path;
use std::time::Duration;

use heliosdb_plugin_api::manifest::Manifest;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    plugins: PluginsConfig,
}

fn parse(text: &str) -> PluginsConfig {
    let mut plugins = toml::from_str::<File>(text).unwrap().plugins;
    plugins.locate("heliosdb.toml", text);
    plugins
}

fn error(text: &str) -> String {
    toml::from_str::<File>(text)
        .unwrap_err()
        .message()
        .to_owned()
}

fn manifest() -> Manifest {
    Manifest::parse(
        r#"
        id = "jsonschema"
        version = "1.0.0"
        abi = 1
        [[setting]]
        name = "max_errors"
        type = "integer"
        default = 10
        min = 1
        max = 1000
        [[setting]]
        name = "cache_size"
        type = "size"
        default = "1MB"
        "#,
    )
    .unwrap()
}

#[test]
fn absent_means_everything_on() {
    let config = parse("");
    assert_eq!(config.activation("anything"), Activation::On);
    assert_eq!(config.start_timeout, Duration::from_secs(30));
    assert_eq!(
        config.directory_of(Path::new("/d")),
        Path::new("/d/plugins")
    );
    let settings = config.settings(&manifest()).unwrap();
    assert_eq!(settings.integer("max_errors"), Some(10));
}

#[test]
fn everything_is_read() {
    let config = parse(
        "[plugins]\ndirectory = \"../shared\"\nstart_timeout = \"500ms\"\n\
         [plugins.jsonschema]\nactivation = \"force\"\nmax_errors = 20\ncache_size = \"2kB\"\n\
         [plugins.other]\nactivation = \"off\"\n",
    );
    assert_eq!(
        config.directory_of(Path::new("/d")),
        Path::new("/d/../shared")
    );
    assert_eq!(config.start_timeout, Duration::from_millis(500));
    assert_eq!(config.activation("jsonschema"), Activation::Force);
    assert_eq!(config.activation("other"), Activation::Off);
    let settings = config.settings(&manifest()).unwrap();
    assert_eq!(settings.integer("max_errors"), Some(20));
    assert_eq!(settings.integer("cache_size"), Some(2048));
}

#[test]
fn a_wrong_shape_is_refused() {
    assert_eq!(
        error("[plugins]\ndirectry = \"x\"\n"),
        "unknown option \"directry\" of [plugins]; did you mean \"directory\"?"
    );
    assert_eq!(
        error("[plugins.a]\nactivation = \"yes\"\n"),
        "unknown activation \"yes\", expected \"off\", \"on\" or \"force\""
    );
    assert!(error("[plugins]\nstart_timeout = \"5\"\n").contains("such as \"30s\""));
    assert!(error("[plugins]\nstart_timeout = \"2h\"\n").contains("10ms .. 1h"));
    assert!(error("[plugins]\nstart_timeout = \"99999999999999999999h\"\n").contains("expected"));
}

#[test]
fn an_unknown_plugin_is_refused_with_file_line_and_the_nearest_name() {
    let config = parse("\n[plugins.jsonshema]\nactivation = \"on\"\n");
    let mut known = KnownPlugins::default();
    known.found.insert("jsonschema");
    let error = config.check_names(&known).unwrap_err();
    assert_eq!(
        error.to_string(),
        "heliosdb.toml:2: there is no plugin \"jsonshema\"; did you mean \"jsonschema\"?"
    );
    // It ran here before, so it is missing, not misspelt.
    known.remembered.insert("jsonshema");
    assert_eq!(config.check_names(&known), Ok(()));
    // A file that cannot be read may be the plugin that is meant.
    known.remembered.clear();
    known.unreadable_files = true;
    assert_eq!(config.check_names(&known), Ok(()));
}

#[test]
fn wrong_settings_are_refused_with_file_line_and_the_nearest_name() {
    let error = |line: &str| {
        let config = parse(&format!("[plugins.jsonschema]\n\n{line}\n"));
        config.settings(&manifest()).unwrap_err().to_string()
    };
    assert_eq!(
        error("max_error = 3"),
        "heliosdb.toml:3: plugin \"jsonschema\" has no setting \"max_error\"; did you mean \"max_errors\"?"
    );
    assert_eq!(
        error("max_errors = 0"),
        "heliosdb.toml:3: setting of plugin \"jsonschema\": \"max_errors\" must be between 1 and 1000"
    );
    assert_eq!(
        error("max_errors = \"3\""),
        "heliosdb.toml:3: setting of plugin \"jsonschema\": \"max_errors\" must be an integer, not \"3\""
    );
}
