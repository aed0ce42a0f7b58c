//! A manifest that passes, and the ways in which one does not.

use super::*;

const GOOD: &str = r#"
id = "demo"
version = "1.2.0"
abi = 1
services = ["store/1"]
requires = [{ plugin = "base", version = ">=1, <2" }]
[[function]]
name = "distance"
kind = "scalar"
arguments = ["text", "text"]
returns = "float8"
volatility = "immutable"
[[operator]]
name = "<->"
left = "text"
right = "text"
returns = "float8"
function = "distance"
[[clause]]
name = "checked_by"
place = "column"
grammar = "CHECKED BY <name>"
[[command]]
prefix = "CREATE DEMO THING"
[[setting]]
name = "budget"
type = "size"
default = "64MB"
max = 1e9
[[store]]
name = "things"
version = 2
[[step]]
store = "things"
from = 1
checksum = "first"
"#;

fn refused(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    match Manifest::parse(&GOOD.replacen(from, to, 1)) {
        Ok(_) => panic!("accepted {to}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_complete_manifest_is_read() {
    let manifest = Manifest::parse(GOOD).expect("it is complete");
    assert_eq!(manifest.version.to_string(), "1.2.0");
    assert_eq!(
        manifest.extension_points(),
        [
            "function/1",
            "operator/1",
            "clause/1",
            "command/1",
            "migration/1"
        ]
    );
    let range = &manifest.requires[0].version;
    let contains = |v: &str| range.contains(v.parse().expect("a version"));
    assert!(contains("1.9.9") && !contains("2.0.0") && !contains("0.9"));
    let settings = Settings::resolve(&manifest.settings, &Default::default());
    assert_eq!(
        settings.expect("defaults").integer("budget"),
        Some(64 << 20)
    );
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("id = \"demo\"", "id = \"De mo\"", "De mo"),
        ("abi = 1", "abi = 1\nfrobs = 2", "frobs"),
        ("store/1", "store/9", "store/9"),
        ("kind = \"scalar\"", "kind = \"table\"", "TABLE("),
        (
            "function = \"distance\"",
            "function = \"nope\"",
            "nope(text, text)",
        ),
        ("\"CHECKED BY <name>\"", "\"checked by\"", "grammar"),
        ("CREATE DEMO THING", "CREATE", "two or more words"),
        ("\"64MB\"", "\"64 parsecs\"", "a size such as"),
        ("max = 1e9", "max = 1", "between"),
        ("from = 1", "from = 2", "steps start from [2]"),
        ("store = \"things\"", "store = \"nothings\"", "things"),
        ("version = \"1.2.0\"", "version = \"one\"", "not a version"),
    ];
    for (from, to, said) in cases {
        let message = refused(from, to);
        assert!(message.contains(said), "{to}: {message}");
    }
}

#[test]
fn what_cannot_be_read_has_its_line() {
    let line = |needle: &str| GOOD.lines().position(|l| l.contains(needle)).map(|n| n + 1);
    let misspelt = |from: &str, to: &str| {
        let (message, at) = (refused(from, to), line(from).expect(from));
        assert!(message.starts_with(&format!("line {at}: ")), "{message}");
    };
    misspelt("kind = \"scalar\"", "kind = \"scalr\"");
    misspelt("store = \"things\"", "stor = \"things\"");
    misspelt("max = 1e9", "most = 1e9");
}

#[test]
fn a_codec_cannot_be_called_what_the_kernel_calls_its_own() {
    let with = |name: &str| {
        let codec = format!("[[codec]]\nname = \"{name}\"\ntypes = [\"text\"]\n");
        Manifest::parse(&format!("{GOOD}{codec}"))
    };
    assert!(with("rle").is_ok());
    for name in ["default", "none", "zstd"] {
        let error = with(name).map(|_| ()).expect_err(name);
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// Its step is fixed for ever, while the store goes on to other versions.
#[test]
fn an_adoption_says_which_version_it_makes() {
    let with = |to: &str| {
        let adopt = format!(
            "[[adopts]]\nplugin = \"base\"\nstore = \"notes\"\nversion = 3\ninto = \"things\"\n\
             checksum = \"c\"\n{to}"
        );
        let parsed = Manifest::parse(&format!("{GOOD}{adopt}"));
        parsed.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with("to = 1"), Ok(()));
    assert_eq!(with("to = 2"), Ok(()));
    let missing = with("").expect_err("two versions");
    assert!(missing.contains("of the versions 1 to 2"), "{missing}");
    for to in ["to = 0", "to = 3"] {
        let beyond = with(to).expect_err(to);
        assert!(beyond.contains("is at version 2"), "{beyond}");
    }
}

#[test]
fn a_worker_has_a_share_of_the_budget() {
    let with = |worker: &str| Manifest::parse(&format!("{GOOD}[[worker]]\nname = \"w\"\n{worker}"));
    let other = with("").expect("a share may be left out");
    assert_eq!(other.provides.workers[0].share, "other");
    assert!(other.extension_points().contains(&"worker/1"));
    let named = with("share = \"incremental_mv\"\n").expect("a share");
    assert_eq!(named.provides.workers[0].share, "incremental_mv");
    for (worker, said) in [
        ("share = \"storage\"\n", "no share \"storage\""),
        (
            "[[worker]]\nname = \"w\"\n",
            "worker \"w\" is declared twice",
        ),
        ("quantum = 1\n", "unknown field"),
    ] {
        let refused = with(worker).expect_err(said);
        assert!(refused.to_string().contains(said), "{refused}");
    }
}

#[test]
fn an_observer_names_another_plugin_once() {
    let with = |observers: &[&str]| {
        let observer = |plugin: &&str| format!("[[observer]]\nplugin = \"{plugin}\"\n");
        let observers: String = observers.iter().map(observer).collect();
        let parsed = Manifest::parse(&format!("{GOOD}{observers}"));
        parsed.map_err(|error| error.to_string())
    };
    let points = with(&["base", "other"]).map(|m| m.extension_points());
    assert!(points.is_ok_and(|points| points.contains(&"observer/1")));
    for (observers, said) in [
        (&["base", "base"][..], "declared twice"),
        (&["demo"], "observes itself"),
        (&["No Name"], "not a name"),
    ] {
        let refused = with(observers).expect_err(said);
        assert!(refused.contains(said), "{refused}");
    }
}
