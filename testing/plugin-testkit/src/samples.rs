//! [`Samples`]: what only the author of a plugin knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::ArrayRef;
use heliosdb_plugin_api::service::{ObjectInfo, QueryResult};
use heliosdb_plugin_api::{Entry, Result};

use crate::plugin::Started;

type Prepare = Arc<dyn Fn(&Started) + Send + Sync>;
type Script = Arc<dyn Fn(&str, &[Option<String>]) -> Result<QueryResult> + Send + Sync>;

/// Values that the suite cannot make up: settings beside the defaults, texts of the plugin's types,
/// arguments of functions that take few, statements of its commands.
///
/// Built-in types need none: the suite generates columns of them.
#[derive(Clone, Default)]
pub struct Samples {
    pub(crate) settings: BTreeMap<String, toml::Value>,
    pub(crate) types: BTreeMap<String, Vec<String>>,
    pub(crate) arguments: BTreeMap<String, Vec<Vec<ArrayRef>>>,
    pub(crate) commands: Vec<String>,
    pub(crate) clauses: Vec<(String, Vec<String>)>,
    pub(crate) column_type: Option<String>,
    pub(crate) constraints: Vec<(String, String, Vec<ArrayRef>)>,
    pub(crate) observed: Vec<ObjectInfo>,
    pub(crate) stored: Vec<(String, Vec<Entry>)>,
    pub(crate) adopted: Vec<(String, Vec<Entry>)>,
    pub(crate) indexes: BTreeMap<String, (ArrayRef, Vec<Vec<u8>>)>,
    pub(crate) prepare: Option<Prepare>,
    pub(crate) sql: Option<Script>,
}

impl Samples {
    pub fn new() -> Samples {
        Samples::default()
    }

    /// A setting for every start but the one with defaults.
    pub fn setting(mut self, name: &str, value: impl Into<toml::Value>) -> Samples {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    /// Texts of values of a type that the plugin declares.
    pub fn texts(mut self, type_name: &str, texts: &[&str]) -> Samples {
        let texts = texts.iter().map(|&t| t.to_owned());
        self.types
            .entry(type_name.to_owned())
            .or_default()
            .extend(texts);
        self
    }

    /// Argument columns for a function, of one length; instead of generated ones.
    pub fn arguments(mut self, function: &str, columns: Vec<ArrayRef>) -> Samples {
        let of_function = self.arguments.entry(function.to_owned()).or_default();
        of_function.push(columns);
        self
    }

    /// A statement that a command of the plugin accepts, after those before it.
    pub fn command(mut self, statement: &str) -> Samples {
        self.commands.push(statement.to_owned());
        self
    }

    /// Arguments that a clause accepts, once the plugin is [prepared](Samples::prepare).
    pub fn clause(mut self, name: &str, arguments: &[&str]) -> Samples {
        let arguments = arguments.iter().map(|&a| a.to_owned()).collect();
        self.clauses.push((name.to_owned(), arguments));
        self
    }

    /// The SQL type of the column that the clauses of columns stand at; without it, `jsonb`.
    pub fn column_type(mut self, sql: &str) -> Samples {
        self.column_type = Some(sql.to_owned());
        self
    }

    /// Options of a constraint, as a clause would give them, and columns with rows that keep and
    /// rows that break it.
    pub fn constraint(mut self, name: &str, options: &str, columns: Vec<ArrayRef>) -> Samples {
        self.constraints
            .push((name.to_owned(), options.to_owned(), columns));
        self
    }

    /// An object of a plugin that this one observes. The [SQL](Samples::sql) that the observer runs
    /// must find it.
    pub fn observed(mut self, object: ObjectInfo) -> Samples {
        self.observed.push(object);
        self
    }

    /// Entries of a store of the plugin, for its workers to find.
    pub fn stored(mut self, store: &str, entries: Vec<Entry>) -> Samples {
        self.stored.push((store.to_owned(), entries));
        self
    }

    /// Entries of a store of another plugin, `plugin.store@version`, that this one adopts.
    pub fn adopted(mut self, store: &str, entries: Vec<Entry>) -> Samples {
        self.adopted.push((store.to_owned(), entries));
        self
    }

    /// What must be done after each start before the other samples hold, such as commands that
    /// create objects.
    pub fn prepare(mut self, prepare: impl Fn(&Started) + Send + Sync + 'static) -> Samples {
        self.prepare = Some(Arc::new(prepare));
        self
    }

    /// Answers the SQL that the plugin runs.
    pub fn sql(
        mut self,
        script: impl Fn(&str, &[Option<String>]) -> Result<QueryResult> + Send + Sync + 'static,
    ) -> Samples {
        self.sql = Some(Arc::new(script));
        self
    }
}
