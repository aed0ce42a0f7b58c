//! The official test suite of JSON Schema through SQL: every required case of the five drafts, with
//! the plugin linked and with the plugin loaded.
//!
//! A group of cases is a named schema. Each of its documents is checked by name and by the schema's
//! text, as `json` and as `jsonb`; those with NUL characters as `json` only, which is what can hold
//! them. What the suite expects at `http://localhost:1234` is registered under those URIs.
//!
//! The suite is no part of the repository. Where its folder is absent the tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};

use heliosdb_sqllogic::{Edition, Failure, Linkage, Scratch, Session};
use serde_json::Value;
use sqllogictest::{DB, DBOutput};

/// Folder, name and meta-schema of each draft, and how many cases it has at the least: a suite that
/// was found and not read is a failure.
const DRAFTS: [(&str, &str, &str, usize); 5] = [
    (
        "draft4",
        "4",
        "http://json-schema.org/draft-04/schema#",
        600,
    ),
    (
        "draft6",
        "6",
        "http://json-schema.org/draft-06/schema#",
        800,
    ),
    (
        "draft7",
        "7",
        "http://json-schema.org/draft-07/schema#",
        900,
    ),
    (
        "draft2019-09",
        "2019-09",
        "https://json-schema.org/draft/2019-09/schema",
        1200,
    ),
    (
        "draft2020-12",
        "2020-12",
        "https://json-schema.org/draft/2020-12/schema",
        1200,
    ),
];

#[test]
fn all_required_cases_pass_linked() {
    run(Linkage::Static);
}

#[test]
fn all_required_cases_pass_loaded() {
    run(Linkage::Dynamic);
}

fn run(linkage: Linkage) {
    let relative = "../../../shared/data/json-schema-test-suite";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
    if !folder.join("tests").is_dir() {
        println!("skipped: no JSON Schema test suite at {}", folder.display());
        return;
    }
    let mut failures = Vec::new();
    for (draft, name, uri, at_least) in DRAFTS {
        let scratch = Scratch::new(Edition::Lite, linkage).expect("a database");
        let mut suite = Suite {
            session: scratch.connect().expect("a connection"),
            draft: name,
            uri,
            cases: 0,
            failures: Vec::new(),
        };
        suite.register_remotes(&folder.join("remotes"), draft);
        // `optional` is a folder among the files.
        for path in json_files(&folder.join("tests").join(draft), false) {
            suite.run_file(&path);
        }
        println!("{draft}: {} cases", suite.cases);
        assert!(suite.cases >= at_least, "{draft} was not read");
        failures.extend(suite.failures.iter().map(|f| format!("{draft}/{f}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

struct Suite {
    session: Session,
    draft: &'static str,
    /// Of the draft's meta-schema.
    uri: &'static str,
    cases: usize,
    failures: Vec<String>,
}

impl Suite {
    fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        self.session.run(sql).map(|_| ())
    }

    /// The schemas at the top of the folder and those of the draft. They refer to each other, so
    /// what cannot be created yet is tried again; what never can is missed by the cases that need it.
    fn register_remotes(&mut self, folder: &Path, draft: &str) {
        let other_draft = |path: &Path| {
            let relative = path.strip_prefix(folder).unwrap_or(path);
            let first = relative.components().next();
            let first = first.map(|c| c.as_os_str().to_string_lossy().into_owned());
            first.is_some_and(|f| f == "v1" || (f.starts_with("draft") && f != draft))
        };
        let mut left = json_files(folder, true);
        left.retain(|path| !other_draft(path));
        let mut created = 0;
        loop {
            let before = left.len();
            left.retain(|path| {
                let relative = path.strip_prefix(folder).unwrap_or(path);
                let uri = format!("http://localhost:1234/{}", relative.display());
                let text = fs::read_to_string(path).expect("a file");
                let schema: Value = serde_json::from_str(&text).expect("JSON");
                let sql = format!(
                    "CREATE JSON SCHEMA remote{} {} URI '{uri}' AS {}",
                    created + 1,
                    self.draft_of(&schema),
                    literal(&text)
                );
                let done = self.execute(&sql).is_ok();
                created += usize::from(done);
                !done
            });
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        println!("{draft}: {created} remotes, without {left:?}");
        assert!(created > 5, "no remotes");
    }

    /// What a statement must say of the draft that the schema does not say.
    fn draft_of(&self, schema: &Value) -> String {
        match schema.get("$schema") {
            Some(_) => String::new(),
            None => format!("DRAFT '{}'", self.draft),
        }
    }

    fn run_file(&mut self, path: &Path) {
        let text = fs::read_to_string(path).expect("a file");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for group in file.as_array().expect("groups") {
            let title = group["description"].as_str().unwrap_or_default();
            let cases = group["tests"].as_array().expect("cases");
            self.cases += cases.len();
            if let Err(failure) = self.run_group(&group["schema"], cases) {
                self.failures.push(format!("{name}: {title}: {failure}"));
            }
        }
    }

    fn run_group(&mut self, schema: &Value, cases: &[Value]) -> Result<(), String> {
        let said = |failure: Failure| failure.to_string();
        let text = schema.to_string();
        let draft = self.draft_of(schema);
        self.execute(&format!(
            "CREATE JSON SCHEMA grp {draft} AS {}",
            literal(&text)
        ))
        .map_err(said)?;
        // Functions have no other way to know the draft.
        let mut says = schema.clone();
        if let Some(members) = says.as_object_mut() {
            let uri = || self.uri.into();
            members.entry("$schema").or_insert_with(uri);
        }
        let says = literal(&says.to_string());

        let mut select = Vec::new();
        let mut expected = Vec::new();
        for case in cases {
            let data = case["data"].to_string();
            let document = literal(&data);
            let mut calls = vec![
                format!("jsonschema_matches('grp', {document}::json)"),
                format!("json_matches_schema({says}, {document})"),
            ];
            if !data.contains("\\u0000") {
                calls.push(format!("jsonschema_matches('grp', {document}::jsonb)"));
                calls.push(format!("jsonb_matches_schema({says}, {document})"));
            }
            let valid = if case["valid"] == true { "t" } else { "f" };
            expected.extend(calls.iter().map(|call| (valid, call.clone())));
            select.append(&mut calls);
        }
        let query = format!("SELECT {}", select.join(", "));
        let answer = self.session.run(&query);
        self.execute("DROP JSON SCHEMA grp").map_err(said)?;
        let answer = answer.map_err(said)?;

        let DBOutput::Rows { rows, .. } = answer else {
            return Err("no rows".to_owned());
        };
        let row = rows.first().ok_or("no row")?;
        assert_eq!(row.len(), expected.len());
        let pairs = row.iter().zip(&expected);
        let wrong = pairs.filter(|(got, (wanted, _))| got != wanted);
        let wrong: Vec<String> = wrong
            .map(|(got, (_, call))| format!("{got}: {call}"))
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(wrong.join("; "))
    }
}

/// The files of a folder, sorted, with those of the folders in it if `deep`.
fn json_files(folder: &Path, deep: bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if deep {
                files.append(&mut json_files(&path, deep));
            }
        } else if path.extension().is_some_and(|e| e == "json") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
