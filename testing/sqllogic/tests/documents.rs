//! Runs the SQL of the documents: every statement of a page's `sql` blocks, in one session. A
//! statement after `-- error 23514` must fail with that SQLSTATE, every other must succeed. A query that
//! ends in psql's `\gset` gives its columns' values to `:name` in what follows.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use heliosdb_kernel::{Config, Database};
use heliosdb_sqllogic::Edition;

/// The pages, and the edition whose SQL they show.
const PAGES: [(&str, Edition); 9] = [
    ("docs/branches.md", Edition::Lite),
    ("docs/compression.md", Edition::Lite),
    ("docs/functions.md", Edition::Lite),
    ("docs/json-schema.md", Edition::Lite),
    ("docs/observability.md", Edition::Lite),
    ("docs/parquet.md", Edition::Lite),
    ("docs/security.md", Edition::Lite),
    ("docs/time-travel.md", Edition::Lite),
    ("docs/schema-registry.md", Edition::Full),
];

#[test]
fn the_documents_say_what_happens() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (page, edition) in PAGES {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let statements = statements(&text);
        assert!(statements.len() > 5, "{page} has few statements");
        let directory = tempfile::tempdir().unwrap();
        let (config, linked) = (Config::default(), edition.linked().unwrap());
        let database =
            Database::open_edition(directory.path(), &config, &linked, edition.name()).unwrap();
        let mut connection = database.connect().unwrap();
        let mut variables: Vec<(String, String)> = Vec::new();
        // Where the pages have files.
        let files = tempfile::tempdir().unwrap();
        let files = format!("{}/", files.path().display());
        for (expected, mut sql) in statements {
            sql = sql.replace("/srv/data/", &files);
            for (name, value) in &variables {
                sql = sql.replace(name, value);
            }
            let plain = sql.trim_end().strip_suffix("\\gset");
            let outcome = connection.query(plain.unwrap_or(&sql), &[]);
            if let (Some(_), Ok(rows)) = (plain, &outcome) {
                let row = rows.one().unwrap();
                for (at, column) in rows.columns().iter().enumerate() {
                    let value: Option<String> = row.get(at).unwrap();
                    variables.push((format!(":{}", column.name), value.unwrap()));
                }
            }
            let outcome = outcome.map(drop);
            let code = outcome.as_ref().err().map(|e| e.code.as_str().to_owned());
            assert_eq!(code, expected, "{page}: {sql}\n{outcome:?}");
        }
    }
}

/// The statements of all `sql` blocks, with the SQLSTATE that each must fail with.
fn statements(page: &str) -> Vec<(Option<String>, String)> {
    let mut statements = Vec::new();
    for block in page.split("```sql\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let block = block.replace("\\gset\n", "\\gset;\n");
        for piece in block.split(";\n") {
            let mut expected = None;
            let mut sql = Vec::new();
            for line in piece.lines() {
                match line.strip_prefix("-- error ") {
                    Some(code) => expected = Some(code.trim().to_owned()),
                    None => sql.push(line),
                }
            }
            let sql = sql.join("\n");
            if !sql.trim().is_empty() {
                statements.push((expected, sql));
            }
        }
    }
    statements
}
