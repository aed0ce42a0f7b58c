//! A plugin host over a directory of files: what a server is, without SQL.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::ArrayRef;
use heliosdb_plugin_api::arrow::sql_type;
use heliosdb_plugin_api::{Argument, Error};
use heliosdb_plugin_host::active::function::Function;
use heliosdb_plugin_host::boot::{BootError, BootPlan};
use heliosdb_plugin_host::config::PluginsConfig;
use heliosdb_plugin_host::service::{MemoryLimit, Unlimited};
use heliosdb_plugin_host::{NoStatement, PluginHost, PluginStatus};
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::{Engine, Options};

/// Long enough for any start that ends, and short enough to wait for one that does not.
pub const START_TIMEOUT: Duration = Duration::from_millis(500);

/// A data directory that outlives its servers.
pub struct Data(tempfile::TempDir);

impl Data {
    /// With these files in its plugin directory.
    ///
    /// # Panics
    ///
    /// Without a temporary directory: this is for tests; so below.
    pub fn with(files: &[(&str, &[u8])]) -> Data {
        let data = Data(tempfile::tempdir().expect("a temporary directory"));
        // The database is made first: a directory with anything in it is not taken for a new one.
        drop(data.engine());
        for (name, bytes) in files {
            data.install(name, bytes);
        }
        data
    }

    /// Puts a file in place of what has the name, as `mv` does. Written over, a file that is loaded
    /// would change under the code that runs from it.
    pub fn install(&self, name: &str, bytes: &[u8]) {
        let directory = self.0.path().join("plugins");
        std::fs::create_dir_all(&directory).expect("a directory");
        let _ = std::fs::remove_file(self.plugin(name));
        std::fs::write(self.plugin(name), bytes).expect("a plugin file");
    }

    /// Puts a built file there itself, not a copy: loaded often, it is one object in the process.
    pub fn link(&self, file: &Path) {
        let directory = self.0.path().join("plugins");
        std::fs::create_dir_all(&directory).expect("a directory");
        let name = file.file_name().expect("a file has a name");
        let there = directory.join(name);
        if std::fs::hard_link(file, &there).is_err() {
            // Another file system.
            std::fs::copy(file, there).expect("a plugin file");
        }
    }

    pub fn plugin(&self, name: &str) -> PathBuf {
        self.0.path().join("plugins").join(name)
    }

    fn engine(&self) -> (Arc<dyn Io>, Engine) {
        let io: Arc<dyn Io> = Arc::new(Disk::open(self.0.path()).expect("a data directory"));
        let engine = Engine::open(io.clone(), Options::default()).expect("a database");
        (io, engine)
    }

    /// Boots with the text of `[plugins]`.
    pub fn boot(&self, settings: &str) -> Result<Server, BootError> {
        let config: PluginsConfig = toml::from_str(settings).expect("sound settings");
        let (io, engine) = self.engine();
        let plan = BootPlan::make(io, self.0.path(), &config, Vec::new(), &|_, _| false)?;
        let memory: Arc<dyn MemoryLimit> = Arc::new(Unlimited);
        let host = PluginHost::boot(plan, &[], &engine, START_TIMEOUT, &memory)?;
        Ok(Server {
            host,
            _engine: engine,
        })
    }
}

/// A booted host.
pub struct Server {
    pub host: Arc<PluginHost>,
    _engine: Engine,
}

impl Server {
    pub fn status(&self, plugin: &str) -> PluginStatus {
        let status = self.host.plugin(plugin);
        status.unwrap_or_else(|| panic!("no plugin {plugin}: {:?}", self.host))
    }

    /// Why a plugin is not active.
    pub fn reason(&self, plugin: &str) -> String {
        let status = self.status(plugin);
        let reason = status.reason;
        reason.unwrap_or_else(|| panic!("{plugin} is {}", status.state))
    }

    pub fn function(&self, name: &str) -> Arc<Function> {
        let registry = self.host.registry();
        let functions = registry.functions();
        let found = functions.iter().find(|f| f.declared.name == name);
        let found = found.unwrap_or_else(|| panic!("no function {name}: {:?}", self.host));
        found.clone()
    }

    /// Calls a scalar function with one column.
    pub fn call(&self, name: &str, column: &ArrayRef) -> Result<ArrayRef, Error> {
        let function = self.function(name);
        let ty = sql_type(&function.declared.returns).expect("a built-in type");
        let arguments = [Argument::new(column.clone(), false)];
        let nobody = NoStatement::shared();
        function.call(&*nobody, &arguments, column.len(), &ty)
    }
}
