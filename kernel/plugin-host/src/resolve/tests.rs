//! Sets of plugins, and which of them start.

use super::*;

struct Found {
    manifest: Manifest,
    origin: Origin,
    activation: Activation,
}

fn bundled(text: &str) -> Found {
    Found {
        manifest: Manifest::parse(&format!("abi = 1\n{text}")).unwrap(),
        origin: Origin::Bundled,
        activation: Activation::On,
    }
}

fn file(text: &str) -> Found {
    let found = bundled(text);
    let path = format!("{}-{}.so", found.manifest.id, found.manifest.version);
    Found {
        origin: Origin::File(path.into()),
        ..found
    }
}

fn off(found: Found) -> Found {
    Found {
        activation: Activation::Off,
        ..found
    }
}

fn builtin(kind: NameKind, name: &str) -> bool {
    (kind, name) == (NameKind::Function, "length")
}

/// The order of the ids that start, and the reasons of the others, by id; the same for every order
/// in which the plugins are found.
fn resolved(found: &[Found]) -> (Vec<String>, Vec<String>) {
    let candidates: Vec<Candidate<'_>> = found
        .iter()
        .map(|f| Candidate {
            manifest: &f.manifest,
            origin: f.origin.clone(),
            activation: f.activation,
            refused: None,
        })
        .collect();
    let outcome = describe(&candidates);
    for turn in 1..candidates.len() {
        let mut turned = candidates.clone();
        turned.rotate_left(turn);
        assert_eq!(describe(&turned).0, outcome.0);
    }
    outcome
}

fn describe(candidates: &[Candidate<'_>]) -> (Vec<String>, Vec<String>) {
    let resolution = resolve(candidates, &builtin);
    let id = |i: usize| candidates[i].manifest.id.clone();
    let order = resolution.order.iter().map(|i| id(*i)).collect();
    let mut not = Vec::new();
    for (i, outcome) in resolution.outcomes.iter().enumerate() {
        if let Outcome::Not(state, reason) = outcome {
            not.push(format!("{} {state}: {reason}", id(i)));
        }
    }
    not.sort();
    (order, not)
}

#[test]
fn requirements_start_first() {
    let (order, not) = resolved(&[
        file("id = \"a\"\nversion = \"1\"\nrequires = [{ plugin = \"c\", version = \">=1.1\" }]"),
        file("id = \"b\"\nversion = \"1\""),
        file("id = \"c\"\nversion = \"1.2\"\nrequires = [{ plugin = \"d\" }]"),
        bundled("id = \"d\"\nversion = \"1\""),
    ]);
    assert_eq!(order, ["d", "b", "c", "a"]);
    assert_eq!(not, [""; 0]);
}

#[test]
fn an_unmet_requirement_is_named_and_spreads() {
    let requires = |id: &str, plugin: &str, version: &str| {
        file(&format!(
            "id = \"{id}\"\nversion = \"1\"\nrequires = [{{ plugin = \"{plugin}\", version = \"{version}\" }}]"
        ))
    };
    let (order, not) = resolved(&[
        requires("a", "bas", ">=1"),
        requires("b", "base", ">=2"),
        requires("c", "b", ""),
        requires("d", "dark", ""),
        file("id = \"base\"\nversion = \"1.5\""),
        off(file("id = \"dark\"\nversion = \"1\"")),
    ]);
    assert_eq!(order, ["base"]);
    assert_eq!(
        not,
        [
            "a failed: it requires plugin \"bas\" >=1.0.0, which is not here; did you mean \"base\"?",
            "b failed: it requires plugin \"base\" >=2.0.0, and 1.5.0 is here",
            "c failed: it requires plugin \"b\", which cannot start: it requires plugin \"base\" >=2.0.0, and 1.5.0 is here",
            "d failed: it requires plugin \"dark\", which is switched off",
            "dark disabled: switched off by activation = \"off\"",
        ]
    );
}

#[test]
fn a_circle_starts_nobody_in_it() {
    let requires = |id: &str, plugin: &str| {
        file(&format!(
            "id = \"{id}\"\nversion = \"1\"\nrequires = [{{ plugin = \"{plugin}\" }}]"
        ))
    };
    let (order, not) = resolved(&[
        requires("a", "b"),
        requires("b", "c"),
        requires("c", "b"),
        requires("self", "self"),
        file("id = \"free\"\nversion = \"1\""),
    ]);
    assert_eq!(order, ["free"]);
    assert_eq!(not.len(), 4);
    assert!(not[1].contains("in a circle: "), "{}", not[1]);
    assert!(not[3].contains("self → self"), "{}", not[3]);
}

#[test]
fn one_id_is_one_plugin() {
    let (order, not) = resolved(&[
        bundled("id = \"a\"\nversion = \"1\""),
        file("id = \"a\"\nversion = \"2\""),
        file("id = \"b\"\nversion = \"1\""),
        file("id = \"b\"\nversion = \"1.1\""),
    ]);
    assert_eq!(order, ["a"]);
    assert_eq!(
        not,
        [
            "a failed: plugin \"a\" 1.0.0 (part of this server) has the same id",
            "b failed: plugin \"b\" 1.0.0 (file b-1.0.0.so) has the same id",
            "b failed: plugin \"b\" 1.1.0 (file b-1.1.0.so) has the same id",
        ]
    );
}

#[test]
fn one_name_is_one_plugins_and_both_are_named() {
    let function = |id: &str, name: &str| {
        format!(
            "id = \"{id}\"\nversion = \"1\"\n[[function]]\nname = \"{name}\"\nkind = \"scalar\"\narguments = [\"text\"]\nreturns = \"text\"\n"
        )
    };
    let (order, not) = resolved(&[
        file(&function("a", "f")),
        file(&function("b", "f")),
        file(&function("c", "length")),
        bundled(&function("d", "g")),
        file(&function("e", "g")),
        off(file(&function("z", "f"))),
    ]);
    assert_eq!(order, ["d"]);
    assert_eq!(
        not[..4],
        [
            "a failed: plugin \"b\" 1.0.0 (file b-1.0.0.so) claims the function f(text) too",
            "b failed: plugin \"a\" 1.0.0 (file a-1.0.0.so) claims the function f(text) too",
            "c failed: it claims the function length(text), which the server itself has",
            "e failed: plugin \"d\" 1.0.0 (part of this server) claims the function g(text) too",
        ]
    );
}

/// `b` claims what `a` claims, but cannot start anyway, so `a` keeps its name.
#[test]
fn a_plugin_that_does_not_start_claims_nothing() {
    let (order, _) = resolved(&[
        file("id = \"a\"\nversion = \"1\"\n[[codec]]\nname = \"x\"\ntypes = [\"text\"]\n"),
        file(
            "id = \"b\"\nversion = \"1\"\nrequires = [{ plugin = \"gone\" }]\n[[codec]]\nname = \"x\"\ntypes = [\"text\"]\n",
        ),
    ]);
    assert_eq!(order, ["a"]);
}

/// What it encoded is read while it is off, and by nobody else.
#[test]
fn a_plugin_that_is_off_keeps_its_codecs() {
    let codec = |id: &str, codec: &str| {
        format!(
            "id = \"{id}\"\nversion = \"1\"\n[[codec]]\nname = \"{codec}\"\ntypes = [\"text\"]\n"
        )
    };
    let (order, not) = resolved(&[
        off(file(&codec("a", "x"))),
        file(&codec("b", "x")),
        file(&codec("c", "y")),
    ]);
    assert_eq!(order, ["c"]);
    assert_eq!(
        not[1],
        "b failed: plugin \"a\" 1.0.0 (file a-1.0.0.so) has the codec x too, and reads with it while \
         it is off"
    );
}

#[test]
fn declared_conflicts_count_both_ways() {
    let (order, not) = resolved(&[
        file("id = \"a\"\nversion = \"1\"\nconflicts = [\"b\"]"),
        bundled("id = \"b\"\nversion = \"1\""),
        file("id = \"c\"\nversion = \"1\"\nrequires = [{ plugin = \"a\" }]"),
    ]);
    assert_eq!(order, ["b"]);
    assert_eq!(
        not[0],
        "a failed: it conflicts with plugin \"b\" 1.0.0 (part of this server)"
    );
    assert!(not[1].starts_with("c failed: it requires plugin \"a\", which cannot start"));
}

#[test]
fn an_options_name_is_no_plugins_name() {
    let (order, not) = resolved(&[file("id = \"directory\"\nversion = \"1\"")]);
    assert!(order.is_empty());
    assert!(not[0].contains("option of [plugins]"), "{}", not[0]);
}
