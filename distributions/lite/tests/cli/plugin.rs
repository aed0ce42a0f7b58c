//! Plugins from the outside: an author writes, tests and checks one; an operator installs it, sees
//! what became of it, and switches it off.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use heliosdb_kernel::Config;
use heliosdb_plugin_api::Manifest;

use crate::{Running, lite, lite_with_input, sql, text};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// `plugin list`, a line per plugin: name, state, reason.
fn listed(data: &Path) -> Vec<String> {
    let data = data.to_str().unwrap();
    let output = lite(&["plugin", "list", "--data", data, "--format", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cell = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or("").to_owned();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| {
        let (name, state) = (cell(row, "name"), cell(row, "state"));
        format!("{name} {state} {}", cell(row, "reason"))
            .trim()
            .to_owned()
    })
    .collect()
}

/// `sql` that must fail; what it said.
fn refused(data: &Path, statement: &str) -> String {
    let output = lite(&["sql", "--data", data.to_str().unwrap(), "-c", statement]);
    assert_eq!(output.status.code(), Some(1), "{statement}");
    text(&output.stderr)
}

#[test]
fn the_list_says_what_a_start_would_do() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    assert_eq!(
        listed(data),
        ["branching starts", "fsst_alp starts", "jsonschema starts"]
    );
    fs::create_dir(data.join("plugins")).unwrap();
    fs::write(data.join("plugins/noise.so"), "noise").unwrap();
    fs::write(
        data.join("heliosdb.toml"),
        "[plugins.jsonschema]\nactivation = \"off\"\n",
    )
    .unwrap();
    let expected = [
        "branching starts",
        "fsst_alp starts",
        "jsonschema disabled switched off by activation = \"off\"",
        "noise.so failed it is not a shared library: an ELF file was expected",
    ];
    assert_eq!(listed(data), expected);
    // Neither keeps a server from running, and the list is there beside it.
    let _running = Running::start(data, "trust");
    assert_eq!(listed(data), expected);
}

#[test]
fn mistakes_in_the_settings_stop_the_server_with_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("heliosdb.toml");
    let said = |settings: &str| {
        fs::write(&file, settings).unwrap();
        let stderr = refused(directory.path(), "SELECT 1");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        stderr
    };
    let stderr = said("[plugins.jsonshema]\n");
    assert!(
        stderr.contains(
            "heliosdb.toml:1: there is no plugin \"jsonshema\"; did you mean \"jsonschema\"?"
        ),
        "{stderr}"
    );
    let stderr = said("[plugins.jsonschema]\nmax_error = 3\n");
    assert!(stderr.contains("heliosdb.toml:2: plugin \"jsonschema\" has no setting \"max_error\"; did you mean \"max_errors\"?"), "{stderr}");
    let stderr = said("[plugins.jsonschema]\nmax_errors = \"many\"\n");
    assert!(
        stderr.contains("\"max_errors\" must be an integer, not \"many\""),
        "{stderr}"
    );
}

/// The example at the root of the repository has every setting of every bundled plugin, with its
/// default.
#[test]
fn the_example_shows_the_settings_of_the_bundle() {
    let example = fs::read_to_string(Path::new(WORKSPACE).join("heliosdb.toml")).unwrap();
    let options = example.replace("\n#", "\n");
    let options = options
        .lines()
        .filter(|l| !l.starts_with(' ') && (l.contains(" = ") || l.starts_with('[')));
    let options = options.collect::<Vec<_>>().join("\n");
    let config = Config::parse(&options, "heliosdb.toml").unwrap();
    for root in heliosdb_lite::bundle::plugins().unwrap() {
        let manifest = Manifest::parse((root.manifest())().as_str()).unwrap();
        let mut names: Vec<&String> = manifest.settings.iter().map(|s| &s.name).collect();
        names.sort();
        let Some(shown) = config.plugins.plugins.get(&manifest.id) else {
            assert!(names.is_empty(), "{}", manifest.id);
            continue;
        };
        let shown = &shown.settings;
        assert_eq!(shown.keys().collect::<Vec<_>>(), names);
        for setting in &manifest.settings {
            assert_eq!(shown[&setting.name], setting.default, "{}", setting.name);
        }
    }
}

#[test]
fn a_file_that_is_no_plugin_does_not_pass_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.so");
    fs::write(&file, "not a library").unwrap();
    let output = lite(&["plugin", "check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        "✗ file: it is not a shared library: an ELF file was expected\n"
    );
    let output = lite(&["plugin", "check", "--json", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(findings[0]["verdict"], "failed");
}

#[test]
fn a_new_plugin_needs_a_name_and_an_empty_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    let new = |name: &str| {
        let path = path.to_str().unwrap();
        let output = lite(&["plugin", "new", name, "--kind", "codec", "--path", path]);
        (output.status.success(), text(&output.stderr))
    };
    let (written, said) = new("My Plugin");
    assert!(
        !written && said.contains("is not a name of a plugin"),
        "{said}"
    );
    assert!(!path.exists(), "nothing is written for a wrong name");
    assert!(new("mine").0);
    let (written, said) = new("mine");
    assert!(!written && said.contains("is not empty"), "{said}");
}

/// A plugin as its author has it.
struct Written {
    name: String,
    source: PathBuf,
    target: PathBuf,
}

impl Written {
    /// `plugin new`. The dependencies are those of this workspace, already there and built once for
    /// all kinds.
    fn new(directory: &Path, name: &str, kind: &str) -> Written {
        let source = directory.join(name);
        let path = source.to_str().unwrap();
        let output = lite(&["plugin", "new", name, "--kind", kind, "--path", path]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::copy(
            Path::new(WORKSPACE).join("Cargo.lock"),
            source.join("Cargo.lock"),
        )
        .unwrap();
        Written {
            name: name.to_owned(),
            source,
            target: Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-plugins"),
        }
    }

    fn cargo(&self, command: &str) {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args([command, "--offline", "--quiet"])
            .current_dir(&self.source)
            .env("CARGO_TARGET_DIR", &self.target)
            .output()
            .unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{command}\n{stdout}\n{stderr}");
    }

    /// The author makes a mistake: `start` does this.
    fn start_by(self, statement: &str) -> Written {
        let path = self.source.join("src/lib.rs");
        let code = fs::read_to_string(&path).unwrap();
        let (before, after) = code.split_once("-> Result<").unwrap();
        let (head, body) = after.split_once('{').unwrap();
        fs::write(
            path,
            format!("{before}-> Result<{head}{{\n        {statement};{body}"),
        )
        .unwrap();
        self
    }

    fn build_untested(&self) -> PathBuf {
        self.cargo("build");
        self.target
            .join(format!("debug/lib{}_plugin.so", self.name))
    }

    /// Build, pass the suite and the check; the file.
    fn build(&self) -> PathBuf {
        self.cargo("test");
        let file = self.build_untested();
        let output = lite(&["plugin", "check", file.to_str().unwrap()]);
        let findings = text(&output.stdout);
        assert!(output.status.success(), "{findings}");
        assert!(
            findings.lines().all(|line| line.starts_with('✓')),
            "{findings}"
        );
        file
    }

    /// Into the plugin directory of a database that does not exist yet, or exists.
    fn install(&self, file: &Path, data: &Path) -> PathBuf {
        fs::create_dir_all(data.join("plugins")).unwrap();
        let installed = data.join("plugins").join(file.file_name().unwrap());
        fs::copy(file, &installed).unwrap();
        installed
    }

    /// The SQL of the README that `plugin new` wrote, statement by statement: results, then errors.
    fn run_readme(&self, data: &Path) -> (String, String) {
        let readme = fs::read_to_string(self.source.join("README.md")).unwrap();
        let sql = readme.split("```sql\n").nth(1).unwrap();
        let sql = sql.split("```").next().unwrap();
        let data = data.to_str().unwrap();
        let output = lite_with_input(&["sql", "--data", data, "--format", "csv"], sql);
        (text(&output.stdout), text(&output.stderr))
    }
}

/// One test, since the three share a target directory.
#[test]
fn a_new_plugin_builds_passes_its_suite_and_is_used_from_sql() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("db");

    let function = Written::new(directory.path(), "turn", "function");
    let file = function.build();
    let installed = function.install(&file, &data);
    assert_eq!(function.run_readme(&data).0, "turn_reverse\ncba\n");

    let constraint = Written::new(directory.path(), "sku2", "constraint");
    constraint.install(&constraint.build(), &data);
    let (_, said) = constraint.run_readme(&data);
    assert!(
        said.contains("DETAIL:  \"CD-1\" does not begin with \"AB-\"."),
        "{said}"
    );

    let codec = Written::new(directory.path(), "runs", "codec");
    codec.install(&codec.build(), &data);
    let (shown, _) = codec.run_readme(&data);
    let last = shown.lines().last().unwrap();
    let [name, _, ratio] = last.split(',').collect::<Vec<_>>()[..] else {
        panic!("{shown}");
    };
    let ratio: f64 = ratio.parse().unwrap();
    assert!(name == "runs" && ratio > 100.0, "{shown}");
    assert_eq!(
        listed(&data),
        [
            "branching starts",
            "fsst_alp starts",
            "jsonschema starts",
            "runs starts",
            "sku2 starts",
            "turn starts"
        ]
    );

    another_build_is_not_taken_for_the_first(&data, &installed);
    a_plugin_is_switched_off_and_on(&data);
    a_missing_plugin_is_named(&data, &installed);

    let data = directory.path().join("second");
    a_plugin_that_ends_the_server_is_left_out_the_third_time(directory.path(), &data);
    a_plugin_that_never_starts_is_not_waited_for(directory.path(), &data);
}

fn another_build_is_not_taken_for_the_first(data: &Path, installed: &Path) {
    let first = fs::read(installed).unwrap();
    let mut other = first.clone();
    other.extend(b"more");
    fs::write(installed, other).unwrap();
    let turn = listed(data)
        .into_iter()
        .find(|line| line.starts_with("turn"))
        .unwrap();
    assert!(
        turn.contains("turn failed plugin \"turn\" 0.1.0 is another file"),
        "{turn}"
    );
    let said = refused(data, "SELECT turn_reverse('abc')");
    assert!(said.contains("plugin \"turn\""), "{said}");
    // The operator accepts it.
    let lock = fs::read_to_string(data.join("plugins.lock")).unwrap();
    let entries: Vec<&str> = lock.split("[[plugin]]").collect();
    let kept: Vec<&str> = entries
        .into_iter()
        .filter(|e| !e.contains("\"turn\""))
        .collect();
    fs::write(data.join("plugins.lock"), kept.join("[[plugin]]")).unwrap();
    let shown = sql(
        data,
        &["-c", "SELECT turn_reverse('abc')", "--format", "csv"],
    );
    assert_eq!(shown, "turn_reverse\ncba\n");
}

fn a_plugin_is_switched_off_and_on(data: &Path) {
    let settings = data.join("heliosdb.toml");
    fs::write(&settings, "[plugins.sku2]\nactivation = \"off\"\n").unwrap();
    // Its constraint is not skipped: what it would check cannot be written.
    let said = refused(data, "INSERT INTO item VALUES ('CD-1')");
    assert!(said.contains("plugin \"sku2\" is disabled"), "{said}");
    assert_eq!(
        sql(data, &["-c", "SELECT * FROM item", "--format", "csv"]),
        "code\nAB-1\n"
    );
    fs::remove_file(settings).unwrap();
    sql(data, &["-c", "INSERT INTO item VALUES ('AB-2')"]);
}

fn a_missing_plugin_is_named(data: &Path, installed: &Path) {
    fs::remove_file(installed).unwrap();
    let said = refused(data, "SELECT turn_reverse('abc')");
    assert!(said.contains("does not exist"), "{said}");
    let missing = "turn missing its file is not in the plugin directory".to_owned();
    assert!(listed(data).contains(&missing));
    fs::write(
        data.join("heliosdb.toml"),
        "[plugins.turn]\nactivation = \"force\"\n",
    )
    .unwrap();
    let said = refused(data, "SELECT 1");
    assert!(
        said.contains("plugin \"turn\" has activation = \"force\""),
        "{said}"
    );
}

fn a_plugin_that_ends_the_server_is_left_out_the_third_time(directory: &Path, data: &Path) {
    let doom = Written::new(directory, "doom", "function").start_by("std::process::abort()");
    doom.install(&doom.build_untested(), data);
    let run = || lite(&["sql", "--data", data.to_str().unwrap(), "-c", "SELECT 1"]);
    for _ in 0..2 {
        assert_eq!(run().status.code(), None, "it ended by a signal");
    }
    for _ in 0..2 {
        let output = run();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let all = listed(data);
        let is_out = |line: &String| line.starts_with("doom quarantined");
        assert!(all.iter().any(is_out), "{all:?}");
    }
    let said = refused(data, "SELECT doom_reverse('abc')");
    assert!(said.contains("2 times in a row"), "{said}");
}

fn a_plugin_that_never_starts_is_not_waited_for(directory: &Path, data: &Path) {
    let sleepy = Written::new(directory, "sleepy", "function");
    let sleepy = sleepy.start_by("loop { std::thread::park() }");
    sleepy.install(&sleepy.build_untested(), data);
    fs::write(
        data.join("heliosdb.toml"),
        "[plugins]\nstart_timeout = \"50ms\"\n",
    )
    .unwrap();
    let said = refused(data, "SELECT sleepy_reverse('abc')");
    assert!(said.contains("start_timeout"), "{said}");
    sql(data, &["-c", "SELECT 1"]);
    // It was given two chances.
    let all = listed(data);
    let is_out = |line: &String| line.starts_with("sleepy quarantined");
    assert!(all.iter().any(is_out), "{all:?}");
}
