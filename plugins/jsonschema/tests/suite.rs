//! The official test suite of JSON Schema: all required cases of the five drafts, expected to pass
//! without exception.
//!
//! The suite is no part of the repository. Where its folder is absent the test says so and passes.
//! Schemas and documents are taken from the files as they are written, so numbers arrive with their
//! digits.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heliosdb_jsonschema::document::{DEPTH_MAX, Node, Parser};
use heliosdb_jsonschema::error::Result;
use heliosdb_jsonschema::schema::{Cache, Draft, Registered, RegisteredSchema, Source};

/// The drafts and how many cases each has at the least: a suite that was found and not read fails.
const EXPECTED: [(&str, Draft, usize); 5] = [
    ("draft4", Draft::Draft4, 600),
    ("draft6", Draft::Draft6, 800),
    ("draft7", Draft::Draft7, 900),
    ("draft2019-09", Draft::Draft201909, 1200),
    ("draft2020-12", Draft::Draft202012, 1200),
];

fn folder() -> Option<PathBuf> {
    let relative = "../../../shared/data/json-schema-test-suite";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
    if folder.join("tests").is_dir() {
        return Some(folder);
    }
    println!("skipped: no JSON Schema test suite at {}", folder.display());
    None
}

/// The files under `remotes`, by the URI at which the suite expects them.
struct Remotes(BTreeMap<String, RegisteredSchema>);

impl Registered for Remotes {
    fn by_uri(&self, uri: &str) -> Result<Option<RegisteredSchema>> {
        Ok(self.0.get(uri).cloned())
    }
}

impl Remotes {
    /// Remotes that do not say their draft are of the draft under test.
    fn read(folder: &Path, draft: Draft) -> Remotes {
        let mut found = BTreeMap::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let relative = path.strip_prefix(folder).expect("below the folder");
                let uri = format!("http://localhost:1234/{}", relative.display());
                let text = fs::read_to_string(&path).expect("a file");
                let says = text.contains("\"$schema\"");
                let schema = RegisteredSchema {
                    text: text.into(),
                    draft: (!says).then_some(draft),
                };
                found.insert(uri, schema);
            }
        }
        Remotes(found)
    }
}

#[derive(Default)]
struct Outcome {
    files: usize,
    cases: usize,
    failures: Vec<String>,
}

fn member<'a>(node: Node<'a>, name: &str) -> Node<'a> {
    let found = node.members().and_then(|members| members.find(name));
    found.unwrap_or_else(|| panic!("a member {name}"))
}

fn run_file(path: &Path, draft: Draft, remotes: &Remotes, outcome: &mut Outcome) {
    let text = fs::read_to_string(path).expect("a file");
    let (mut parser, cache) = (Parser::new(), Cache::default());
    let file = parser.parse(&text, DEPTH_MAX).expect("JSON");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    outcome.files += 1;
    for group in file.root().elements().expect("groups") {
        let title = member(group, "description").string().unwrap_or_default();
        let schema = member(group, "schema");
        let says = schema
            .members()
            .is_some_and(|members| members.find("$schema").is_some());
        let source = Source {
            draft: (!says).then_some(draft),
            ..Source::anonymous(schema.source())
        };
        let compiled = cache.get(source, remotes);
        for case in member(group, "tests").elements().expect("cases") {
            outcome.cases += 1;
            let expected = member(case, "valid").source() == "true";
            let checked = compiled.clone().and_then(|compiled| {
                let mut parser = Parser::new();
                let document = parser.parse(member(case, "data").source(), DEPTH_MAX)?;
                let valid = compiled.matches(&document)?;
                let violations = compiled.violations(&document, usize::MAX)?;
                assert_eq!(valid, violations.is_empty(), "both ways agree");
                assert_eq!(violations.total, violations.first.len());
                Ok(valid)
            });
            if checked != Ok(expected) {
                let case = member(case, "description").string().unwrap_or_default();
                let failure = format!("{name}: {title}: {case}: {checked:?}");
                outcome.failures.push(failure);
            }
        }
    }
}

#[test]
fn all_required_cases_pass() {
    let Some(folder) = folder() else { return };
    let mut failures = Vec::new();
    for (name, draft, at_least) in EXPECTED {
        let remotes = Remotes::read(&folder.join("remotes"), draft);
        let mut outcome = Outcome::default();
        // `optional` is a folder among the files.
        let mut files: Vec<PathBuf> = fs::read_dir(folder.join("tests").join(name))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .collect();
        files.sort();
        for path in &files {
            run_file(path, draft, &remotes, &mut outcome);
        }
        println!("{name}: {} files, {} cases", outcome.files, outcome.cases);
        assert!(outcome.cases >= at_least, "{name} was not read");
        failures.extend(outcome.failures.iter().map(|f| format!("{name}/{f}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The meta-schemas can be referred to, from every draft, and check schemas.
#[test]
fn meta_schemas_are_there() {
    let none = Remotes(BTreeMap::new());
    for draft in Draft::ALL {
        let text = format!(r#"{{"$ref": "{}"}}"#, draft.uri());
        let source = Source {
            draft: Some(draft),
            ..Source::anonymous(&text)
        };
        let compiled = Arc::clone(&Cache::default().get(source, &none).expect("a schema"));
        for (schema, expected) in [(r#"{"type": "string"}"#, true), (r#"{"type": 1}"#, false)] {
            let mut parser = Parser::new();
            let document = parser.parse(schema, DEPTH_MAX).expect("JSON");
            assert_eq!(compiled.matches(&document), Ok(expected), "{draft}");
        }
    }
}
