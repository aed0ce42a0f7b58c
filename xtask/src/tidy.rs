//! `cargo xtask tidy`: rules of the repository that no compiler holds. Also a test.
//!
//! 1. Crates of ours depend on each other only along [`EDGES`], dev-dependencies included.
//! 2. A neighbour is named only in its home ([`HOMES`]).
//! 3. Every member inherits the workspace's lints and is in the tables here.
//! 4. Every Rust file opens with `//!`, has at most [`LINES_MAX`] lines and none of [`FORBIDDEN`].
//! 5. A relative link in a Markdown file leads to a file that exists, and to a heading in it.

mod links;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use toml::{Table, Value};

/// Who may depend on whom. A crate that is not here may not exist.
const EDGES: &[(&str, &[&str])] = &[
    ("heliosdb-plugin-api", &[]),
    ("heliosdb-storage", &[]),
    (
        "heliosdb-plugin-host",
        &["heliosdb-plugin-api", "heliosdb-storage"],
    ),
    (
        "heliosdb-dump",
        &["heliosdb-plugin-host", "heliosdb-storage"],
    ),
    (
        "heliosdb-sql",
        &[
            "heliosdb-dump",
            "heliosdb-isolation",
            "heliosdb-plugin-api",
            "heliosdb-plugin-host",
            "heliosdb-storage",
        ],
    ),
    ("heliosdb-server", &["heliosdb-sql"]),
    (
        "heliosdb-kernel",
        &[
            "heliosdb-dump",
            "heliosdb-plugin-host",
            "heliosdb-server",
            "heliosdb-sql",
            "heliosdb-storage",
        ],
    ),
    (
        "heliosdb-fsst-alp",
        &["heliosdb-plugin-api", "heliosdb-plugin-testkit"],
    ),
    (
        "heliosdb-fsst-alp-dyn",
        &["heliosdb-fsst-alp", "heliosdb-plugin-api"],
    ),
    (
        "heliosdb-jsonschema",
        &[
            "heliosdb-jsonschema-state",
            "heliosdb-plugin-api",
            "heliosdb-plugin-testkit",
        ],
    ),
    ("heliosdb-jsonschema-state", &["heliosdb-plugin-api"]),
    (
        "heliosdb-branching",
        &["heliosdb-plugin-api", "heliosdb-plugin-testkit"],
    ),
    (
        "heliosdb-branching-dyn",
        &["heliosdb-branching", "heliosdb-plugin-api"],
    ),
    (
        "heliosdb-schema-registry",
        &[
            "heliosdb-jsonschema-state",
            "heliosdb-plugin-api",
            "heliosdb-plugin-testkit",
        ],
    ),
    (
        "heliosdb-schema-registry-dyn",
        &["heliosdb-plugin-api", "heliosdb-schema-registry"],
    ),
    (
        "heliosdb-jsonschema-dyn",
        &["heliosdb-plugin-api", "heliosdb-jsonschema"],
    ),
    (
        "heliosdb-command",
        &[
            "heliosdb-kernel",
            "heliosdb-plugin-api",
            "heliosdb-plugin-host",
        ],
    ),
    (
        "heliosdb-full",
        &[
            "heliosdb-branching",
            "heliosdb-command",
            "heliosdb-fsst-alp",
            "heliosdb-jsonschema",
            "heliosdb-kernel",
            "heliosdb-plugin-api",
            "heliosdb-plugin-host",
            "heliosdb-schema-registry",
        ],
    ),
    (
        "heliosdb-lite",
        &[
            "heliosdb-branching",
            "heliosdb-command",
            "heliosdb-fsst-alp",
            "heliosdb-jsonschema",
            "heliosdb-kernel",
            "heliosdb-plugin-api",
            "heliosdb-plugin-host",
            "heliosdb-tpch",
        ],
    ),
    ("heliosdb-plugin-testkit", &["heliosdb-plugin-api"]),
    (
        "heliosdb-abi-matrix",
        &[
            "heliosdb-kernel",
            "heliosdb-plugin-api",
            "heliosdb-plugin-host",
            "heliosdb-plugin-testkit",
            "heliosdb-storage",
        ],
    ),
    ("heliosdb-hostile", &["heliosdb-plugin-api"]),
    ("heliosdb-fixture-plain", &["heliosdb-plugin-api"]),
    // A plugin of another build than ours: it shares no code with us.
    ("heliosdb-fixture-first", &[]),
    ("heliosdb-fixture-mismatch", &[]),
    (
        "heliosdb-migration",
        &[
            "heliosdb-jsonschema-state",
            "heliosdb-plugin-api",
            "heliosdb-plugin-host",
            "heliosdb-schema-registry",
            "heliosdb-sim",
            "heliosdb-storage",
        ],
    ),
    ("heliosdb-isolation", &["heliosdb-storage"]),
    ("heliosdb-sim", &["heliosdb-isolation", "heliosdb-storage"]),
    (
        "heliosdb-models",
        &["heliosdb-models-sim", "heliosdb-models-storage"],
    ),
    ("heliosdb-models-locks", &[]),
    (
        "heliosdb-models-sim",
        &["heliosdb-models-locks", "heliosdb-models-storage"],
    ),
    ("heliosdb-models-storage", &["heliosdb-models-locks"]),
    (
        "heliosdb-upgrade",
        &[
            "heliosdb-dump",
            "heliosdb-full",
            "heliosdb-kernel",
            "heliosdb-lite",
            "heliosdb-plugin-host",
            "heliosdb-sim",
            "heliosdb-storage",
        ],
    ),
    (
        "heliosdb-sqllogic",
        &[
            "heliosdb-full",
            "heliosdb-kernel",
            "heliosdb-lite",
            "heliosdb-plugin-testkit",
            "heliosdb-sim",
        ],
    ),
    (
        "heliosdb-index-torture",
        &[
            "heliosdb-plugin-api",
            "heliosdb-plugin-host",
            "heliosdb-plugin-testkit",
            "heliosdb-sim",
            "heliosdb-storage",
        ],
    ),
    ("heliosdb-kill9", &[]),
    (
        "heliosdb-bench",
        &[
            "heliosdb-branching",
            "heliosdb-fsst-alp",
            "heliosdb-kernel",
            "heliosdb-plugin-api",
            "heliosdb-tpch",
        ],
    ),
    ("heliosdb-tpch", &[]),
    ("xtask", &[]),
];

/// Crates of others, by prefix, and the one crate of ours that may name them.
const HOMES: &[(&str, &str)] = &[
    ("abi_stable", "heliosdb-plugin-api"),
    ("libloading", "heliosdb-plugin-host"),
    ("datafusion", "heliosdb-sql"),
    ("sqlparser", "heliosdb-sql"),
    ("pgwire", "heliosdb-server"),
    ("sqllogictest", "heliosdb-sqllogic"),
    ("fsst", "heliosdb-fsst-alp"),
    ("alp", "heliosdb-fsst-alp"),
];

/// Fixtures that stand for plugins of foreign builds, and may name what those would name.
const FOREIGN: &[&str] = &["heliosdb-fixture-first", "heliosdb-fixture-mismatch"];

const LINES_MAX: usize = 1000;

/// Split, so that this file does not contain them.
const FORBIDDEN: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("#[", "ignore"),
];

pub fn run(root: &Path) -> ExitCode {
    let problems = check(root);
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() {
        println!("tidy");
        return ExitCode::SUCCESS;
    }
    eprintln!("\n{} untidy things", problems.len());
    ExitCode::FAILURE
}

/// Everything wrong, one line each, in the order of the files.
pub fn check(root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    check_members(root, &mut problems);
    for path in files(root) {
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string();
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        match path.extension().and_then(|e| e.to_str()) {
            Some("rs") => check_rust(&name, &text, &mut problems),
            Some("md") => links::check(&path, &name, &text, &mut problems),
            _ => {}
        }
    }
    problems
}

fn check_members(root: &Path, problems: &mut Vec<String>) {
    let workspace = manifest(&root.join("Cargo.toml"), problems);
    let members = workspace["workspace"]
        .get("members")
        .and_then(Value::as_array);
    for member in members.into_iter().flatten().filter_map(Value::as_str) {
        let path = root.join(member).join("Cargo.toml");
        let manifest = manifest(&path, problems);
        check_manifest(&format!("{member}/Cargo.toml"), &manifest, problems);
    }
}

fn manifest(path: &Path, problems: &mut Vec<String>) -> Table {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    match text.and_then(|text| text.parse::<Table>().map_err(|error| error.to_string())) {
        Ok(table) => table,
        Err(error) => {
            problems.push(format!("{}: {error}", path.display()));
            Table::new()
        }
    }
}

fn check_manifest(name: &str, manifest: &Table, problems: &mut Vec<String>) {
    let package = manifest
        .get("package")
        .and_then(|p| p.get("name"))
        .and_then(Value::as_str);
    let package = package.unwrap_or("?");
    let inherits = manifest.get("lints").and_then(|l| l.get("workspace"));
    if inherits != Some(&Value::Boolean(true)) {
        problems.push(format!("{name}: does not inherit the workspace's lints"));
    }
    let Some((_, allowed)) = EDGES.iter().find(|(from, _)| *from == package) else {
        problems.push(format!(
            "{name}: {package} is not in the table of edges of xtask tidy"
        ));
        return;
    };
    for dependency in dependencies(manifest) {
        if EDGES.iter().any(|(ours, _)| *ours == dependency)
            && !allowed.contains(&dependency.as_str())
        {
            problems.push(format!("{name}: {package} may not depend on {dependency}"));
        }
        for (prefix, home) in HOMES {
            if dependency.starts_with(prefix) && package != *home && !FOREIGN.contains(&package) {
                problems.push(format!("{name}: only {home} may name {dependency}"));
            }
        }
    }
}

/// Real names of all dependencies of all kinds, renamed ones and those of targets included.
fn dependencies(manifest: &Table) -> Vec<String> {
    const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut names = Vec::new();
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets
        .into_iter()
        .flat_map(|t| t.values())
        .filter_map(Value::as_table);
    for table in std::iter::once(manifest).chain(tables) {
        for kind in KINDS {
            let Some(table) = table.get(kind).and_then(Value::as_table) else {
                continue;
            };
            for (key, value) in table {
                let real = value.get("package").and_then(Value::as_str);
                names.push(real.unwrap_or(key).to_string());
            }
        }
    }
    names
}

fn check_rust(name: &str, text: &str, problems: &mut Vec<String>) {
    if !text.starts_with("//!") {
        problems.push(format!("{name}: does not open with `//!`"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        problems.push(format!("{name}: {lines} lines, more than {LINES_MAX}"));
    }
    for (number, line) in text.lines().enumerate() {
        for word in FORBIDDEN {
            if line.contains(word) {
                problems.push(format!("{name}:{}: `{word}` is not allowed", number + 1));
            }
        }
    }
}

/// All files of the repository, sorted; not what is built, downloaded or measured.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let ours = name != "target" && name != ".git" && !name.starts_with("heliosdb-data");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && ours => dirs.push(path),
                Ok(kind) if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let problems = check(&crate::root());
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    fn problems_of_manifest(text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        check_manifest("Cargo.toml", &text.parse().unwrap(), &mut problems);
        problems
    }

    #[test]
    fn an_edge_against_the_drawing_is_refused_in_every_kind_of_dependency() {
        for kind in [
            "dependencies",
            "dev-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            let text = format!(
                "[package]\nname = \"heliosdb-storage\"\n[lints]\nworkspace = true\n\
                 [{kind}]\nengine = {{ package = \"heliosdb-sql\", path = \"../sql\" }}\n"
            );
            let expected = "Cargo.toml: heliosdb-storage may not depend on heliosdb-sql";
            assert_eq!(problems_of_manifest(&text), [expected]);
        }
    }

    #[test]
    fn a_neighbour_away_from_home_and_missing_lints_are_refused() {
        let text = "[package]\nname = \"heliosdb-server\"\n\
                    [dependencies]\nheliosdb-sql = \"1\"\ndatafusion-common = \"1\"\n";
        let expected = [
            "Cargo.toml: does not inherit the workspace's lints",
            "Cargo.toml: only heliosdb-sql may name datafusion-common",
        ];
        assert_eq!(problems_of_manifest(text), expected);
        let text = "[package]\nname = \"heliosdb-common\"\n[lints]\nworkspace = true\n";
        assert!(problems_of_manifest(text)[0].contains("not in the table"));
    }

    #[test]
    fn a_file_says_what_it_is_for_and_is_not_too_long() {
        let mut problems = Vec::new();
        check_rust("a.rs", "//! Fine.\n", &mut problems);
        assert!(problems.is_empty());
        let text = format!(
            "fn f() {{ {}1) }}\n{}",
            FORBIDDEN[2],
            "\n".repeat(LINES_MAX)
        );
        check_rust("a.rs", &text, &mut problems);
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
