//! Whole boots over directories of forged plugin files.

#![expect(
    clippy::disallowed_methods,
    reason = "the tests play the operator, who puts files where the server finds them"
)]

use std::path::PathBuf;

use heliosdb_storage::io::disk::Disk;
use serde::Deserialize;

use super::*;
use crate::file::forge::Forge;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    plugins: PluginsConfig,
}

struct Server {
    data: tempfile::TempDir,
    bundled: Vec<Manifest>,
}

impl Server {
    fn new() -> Server {
        Server {
            data: tempfile::tempdir().unwrap(),
            bundled: vec![Manifest::parse(&manifest("core", "1.0.0")).unwrap()],
        }
    }

    fn install(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let directory = self.data.path().join("plugins");
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn plan(&self, settings: &str) -> Result<BootPlan, String> {
        let mut config = toml::from_str::<File>(settings).unwrap().plugins;
        config.locate("heliosdb.toml", settings);
        let io: Arc<dyn Io> = Arc::new(Disk::open(self.data.path()).unwrap());
        let bundled = self.bundled.clone();
        BootPlan::make(io, self.data.path(), &config, bundled, &|_, _| false)
            .map_err(|error| error.to_string())
    }

    /// Boot as the host does, every start ending well.
    fn boot(&self) -> Vec<String> {
        let mut plan = self.plan("").unwrap();
        let shown = shown(&plan);
        let files: Vec<PluginFile> = starting_files(&plan);
        plan.commit().unwrap();
        let guard = plan.guard();
        for file in &files {
            guard.begin(file).unwrap();
            guard.finish(file).unwrap();
        }
        shown
    }

    fn die_in_start(&self) {
        let mut plan = self.plan("").unwrap();
        let files = starting_files(&plan);
        plan.commit().unwrap();
        plan.guard().begin(&files[0]).unwrap();
    }
}

fn starting_files(plan: &BootPlan) -> Vec<PluginFile> {
    let starts = plan.plugins.iter().filter(|p| p.outcome == Outcome::Start);
    starts.filter_map(|p| p.file.clone()).collect()
}

fn shown(plan: &BootPlan) -> Vec<String> {
    let plugins = plan.plugins.iter().map(|p| {
        let outcome = match &p.outcome {
            Outcome::Start => "start".to_owned(),
            Outcome::Not(state, _) => state.to_string(),
        };
        format!("{} {} {outcome}", p.manifest.id, p.manifest.version)
    });
    let missing = plan.missing.iter().map(|id| format!("{id} missing"));
    plugins.chain(missing).collect()
}

fn manifest(id: &str, version: &str) -> String {
    format!("id = \"{id}\"\nversion = \"{version}\"\nabi = 1\n")
}

fn plugin(id: &str, version: &str) -> Vec<u8> {
    Forge::plugin(&manifest(id, version)).bytes()
}

#[test]
fn without_files_nothing_is_written() {
    let server = Server::new();
    assert_eq!(server.boot(), ["core 1.0.0 start"]);
    assert_eq!(std::fs::read_dir(server.data.path()).unwrap().count(), 0);
}

/// A database that is in no directory has the plugins of the program, and no files are looked for.
#[test]
fn without_a_directory_there_are_no_files() {
    let server = Server::new();
    server.install("a.so", &plugin("a", "1.0.0"));
    let plan = |settings: &str| {
        let mut config = toml::from_str::<File>(settings).unwrap().plugins;
        config.locate("heliosdb.toml", settings);
        let io: Arc<dyn Io> = Arc::new(Disk::open(server.data.path()).unwrap());
        let bundled = server.bundled.clone();
        BootPlan::without_files(io, &config, bundled, &|_, _| false)
            .map_err(|error| error.to_string())
    };
    assert_eq!(shown(&plan("").unwrap()), ["core 1.0.0 start"]);
    let refused = plan("[plugins]\ndirectory = \"plugins\"\n").map(drop);
    assert_eq!(
        refused.unwrap_err(),
        "heliosdb.toml:2: plugin directory: the database is in no directory, and has no plugin files"
    );
}

#[test]
fn a_file_that_changes_under_its_version_is_left_out() {
    let server = Server::new();
    server.install("a.so", &plugin("a", "1.0.0"));
    assert_eq!(server.boot(), ["core 1.0.0 start", "a 1.0.0 start"]);
    let changed = Forge::plugin(&manifest("a", "1.0.0")).with_section(".more", b"x");
    let path = server.install("a.so", &changed.bytes());
    assert_eq!(server.boot(), ["core 1.0.0 start", "a 1.0.0 failed"]);
    server.install("a.so", &plugin("a", "1.1.0"));
    assert_eq!(server.boot(), ["core 1.0.0 start", "a 1.1.0 start"]);
    std::fs::remove_file(path).unwrap();
    assert_eq!(server.boot(), ["core 1.0.0 start", "a missing"]);
    // Its settings may stay: the operator did not misspell it.
    assert!(server.plan("[plugins.a]\nx = 1\n").is_ok());
    let forced = server.plan("[plugins.a]\nactivation = \"force\"\n");
    assert_eq!(
        forced.map(drop).unwrap_err(),
        "plugin \"a\" has activation = \"force\" but cannot be started: there is no such plugin"
    );
}

#[test]
fn a_file_that_ends_the_server_twice_is_quarantined() {
    let server = Server::new();
    server.install("a.so", &plugin("a", "1.0.0"));
    server.die_in_start();
    server.die_in_start();
    assert_eq!(server.boot(), ["core 1.0.0 start", "a 1.0.0 quarantined"]);
    assert_eq!(server.boot(), ["core 1.0.0 start", "a 1.0.0 quarantined"]);
    std::fs::remove_file(server.data.path().join("plugins.starting")).unwrap();
    assert_eq!(server.boot(), ["core 1.0.0 start", "a 1.0.0 start"]);
}

#[test]
fn a_file_that_cannot_be_read_leaves_the_others_alone() {
    let server = Server::new();
    let whole = plugin("a", "1.0.0");
    server.install("a.so", &whole[..whole.len() / 2]);
    server.install("b.so", &plugin("b", "1.0.0"));
    let plan = server.plan("[plugins.a]\nactivation = \"on\"\n").unwrap();
    assert_eq!(shown(&plan), ["core 1.0.0 start", "b 1.0.0 start"]);
    assert_eq!(plan.unreadable.len(), 1);
    let forced = server
        .plan("[plugins.a]\nactivation = \"force\"\n")
        .map(drop)
        .unwrap_err();
    assert!(forced.contains("it is truncated"), "{forced}");
}

#[test]
fn a_file_built_to_abort_is_known_by_name() {
    let server = Server::new();
    let abort = Forge::plugin(&manifest("a", "1.0.0"))
        .with_section(".heliosdb.build", b"abi=1\npanic=abort\n");
    server.install("a.so", &abort.bytes());
    let plan = server.plan("[plugins.a]\n").unwrap();
    assert_eq!(plan.unreadable[0].id.as_deref(), Some("a"));
    // It is known whose it is, so another name is a mistake.
    let error = server.plan("[plugins.aa]\n").map(drop).unwrap_err();
    assert_eq!(
        error,
        "heliosdb.toml:1: there is no plugin \"aa\"; did you mean \"a\"?"
    );
}

/// It is refused, which is not to be gone.
#[test]
fn a_file_that_was_loaded_once_and_is_refused_now_is_not_missing_too() {
    let server = Server::new();
    server.install("a.so", &plugin("a", "1.0.0"));
    server.boot();
    let abort = Forge::plugin(&manifest("a", "1.1.0"))
        .with_section(".heliosdb.build", b"abi=1\npanic=abort\n");
    server.install("a.so", &abort.bytes());
    let plan = server.plan("").unwrap();
    assert_eq!(shown(&plan), ["core 1.0.0 start"]);
    assert_eq!(plan.unreadable[0].id.as_deref(), Some("a"));
}

/// What reads old data is loaded too.
#[test]
fn a_file_of_a_plugin_that_is_off_is_pinned_when_it_is_loaded() {
    let server = Server::new();
    server.install("a.so", &plugin("a", "1.0.0"));
    let mut plan = server.plan("[plugins.a]\nactivation = \"off\"\n").unwrap();
    plan.commit().unwrap();
    let file = plan.plugins[1].file.clone().unwrap();
    plan.pin(&file).unwrap();
    let io: Arc<dyn Io> = Arc::new(Disk::open(server.data.path()).unwrap());
    let lock = PluginLock::read(&io).unwrap();
    assert_eq!(lock.pins()[0].sha256, file.sha256);
}

#[test]
fn a_forced_plugin_starts_or_nothing_does() {
    let server = Server::new();
    server.install(
        "a.so",
        &Forge::plugin(&format!(
            "{}requires = [{{ plugin = \"b\" }}]\n",
            manifest("a", "1.0.0")
        ))
        .bytes(),
    );
    assert_eq!(shown(&server.plan("").unwrap())[1], "a 1.0.0 failed");
    let error = server
        .plan("[plugins.a]\nactivation = \"force\"\n")
        .map(drop)
        .unwrap_err();
    assert!(
        error.contains("cannot be started: it requires plugin \"b\""),
        "{error}"
    );
    // A second file with a forced plugin's id does not take the plugin away.
    server.install("core.so", &plugin("core", "2.0.0"));
    let plan = server
        .plan("[plugins.core]\nactivation = \"force\"\n")
        .unwrap();
    assert_eq!(shown(&plan)[0], "core 1.0.0 start");
}

#[test]
fn a_named_directory_must_exist() {
    let server = Server::new();
    let error = server
        .plan("[plugins]\n\ndirectory = \"nowhere\"\n")
        .map(drop)
        .unwrap_err();
    assert!(
        error.starts_with("heliosdb.toml:3: plugin directory: "),
        "{error}"
    );
}
