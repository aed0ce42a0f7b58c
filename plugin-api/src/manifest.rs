//! `plugin.toml`: what a plugin says of itself, readable without running any of it.
//!
//! The manifest is the claim; what the plugin registers when it starts must equal it, name by name
//! and signature by signature ([`Provides`]). The host reads it from the section
//! [`MANIFEST_SECTION`](crate::abi::MANIFEST_SECTION) of a shared object before it loads the object,
//! so conflicts of names, missing requirements and wrong versions are found with no foreign code run.
//!
//! Invariants of a parsed [`Manifest`]:
//! 1. Every name is an SQL identifier in lower case, at most 63 bytes, and unique in its kind.
//! 2. A step leads from a version to the next one, and every store has all steps from its oldest.
//! 3. A setting's default has the setting's type and lies in its range.

mod check;
pub use check::table_columns;
mod setting;
mod version;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use setting::{Setting, SettingType, Settings};
pub use version::{Version, VersionRange};

/// The whole of `plugin.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What `heliosdb.toml`, `CREATE EXTENSION` and messages call the plugin.
    pub id: String,
    pub version: Version,
    /// The version of the root interface it was built for: [`crate::abi::ABI_VERSION`].
    pub abi: u32,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub license: String,
    /// Services of the host it may ask for, such as `store/1`. Others are refused to it.
    #[serde(default)]
    pub services: Vec<String>,
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// Plugins that must not be active beside it.
    #[serde(default)]
    pub conflicts: Vec<String>,
    #[serde(flatten)]
    pub provides: Provides,
    #[serde(default, rename = "setting")]
    pub settings: Vec<Setting>,
    #[serde(default, rename = "store")]
    pub stores: Vec<StoreDecl>,
}

/// Everything that a plugin adds to the database. In the manifest it is claimed, at start it is
/// registered, and the two must be equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provides {
    #[serde(default, rename = "function", skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<FunctionDecl>,
    #[serde(default, rename = "type", skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<TypeDecl>,
    #[serde(default, rename = "operator", skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<OperatorDecl>,
    #[serde(
        default,
        rename = "operator_class",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub operator_classes: Vec<OperatorClassDecl>,
    #[serde(default, rename = "clause", skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<ClauseDecl>,
    #[serde(default, rename = "command", skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandDecl>,
    #[serde(default, rename = "constraint", skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<ConstraintDecl>,
    #[serde(default, rename = "codec", skip_serializing_if = "Vec::is_empty")]
    pub codecs: Vec<CodecDecl>,
    #[serde(default, rename = "index", skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexDecl>,
    #[serde(default, rename = "observer", skip_serializing_if = "Vec::is_empty")]
    pub observers: Vec<ObserverDecl>,
    #[serde(default, rename = "worker", skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerDecl>,
    #[serde(default, rename = "step", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepDecl>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopts: Vec<AdoptDecl>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    pub plugin: String,
    #[serde(default)]
    pub version: VersionRange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FunctionKind {
    Scalar,
    Aggregate,
    Table,
}

/// PostgreSQL's `provolatile`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Volatility {
    /// The same arguments give the same result for ever: it may be evaluated while planning.
    Immutable,
    /// The same within one statement.
    Stable,
    #[default]
    Volatile,
}

/// One overload of a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionDecl {
    pub name: String,
    pub kind: FunctionKind,
    /// SQL names of types; `any` takes every type.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// The last argument may repeat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub variadic: bool,
    /// An SQL type, or `TABLE(name type, …)` of a table function.
    pub returns: String,
    #[serde(default)]
    pub volatility: Volatility,
    /// NULL in any argument gives NULL (for a table function: no row) without a call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

/// A type whose values are kept as values of a built-in type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeDecl {
    pub name: String,
    /// The built-in type that holds its values, such as `bytea`.
    pub storage: String,
    /// Values order and compare as their storage does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorDecl {
    pub name: String,
    pub left: String,
    pub right: String,
    pub returns: String,
    /// The function that it calls, of this plugin and with these argument types.
    pub function: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commutator: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negator: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exactness {
    /// An index answers the operator exactly.
    #[default]
    Exact,
    /// What an index finds is evaluated again.
    Recheck,
    /// An index may miss rows.
    Approximate,
}

/// The operators that an index method may serve for a type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorClassDecl {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    pub method: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    #[serde(default)]
    pub exactness: Exactness,
    /// `ORDER BY a operator b` may use the index.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub orderable: bool,
    pub operators: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClausePlace {
    /// After a column's type in CREATE TABLE and ADD COLUMN, and in ALTER COLUMN.
    Column,
    /// After the parenthesis that closes CREATE TABLE's columns.
    Table,
    /// A key in CREATE TABLE's `WITH (…)`.
    With,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClauseDecl {
    pub name: String,
    pub place: ClausePlace,
    /// Keywords and arguments: `VALIDATE USING SCHEMA <name>`; of a `with` clause, the key:
    /// `chunk = <literal>`. `<name>` is an identifier, maybe qualified; `<literal>` a constant.
    pub grammar: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandDecl {
    /// The keywords that a statement of this command begins with: `CREATE JSON SCHEMA`.
    pub prefix: String,
    /// `TABLE(name type, …)` of a command that answers with rows. Drivers ask for the columns before
    /// they run a statement, so they have to be known by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstraintDecl {
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodecDecl {
    pub name: String,
    /// SQL types it encodes; `any` for all.
    pub types: Vec<String>,
}

/// An index method, as in `CREATE INDEX … USING name`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexDecl {
    pub name: String,
    /// SQL types of columns that it indexes; `any` for all.
    pub types: Vec<String>,
    /// The store of this plugin that the indexes lie in, each in a keyspace of its own.
    pub store: String,
}

/// Another plugin whose objects this one watches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObserverDecl {
    pub plugin: String,
}

/// Work in the background.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerDecl {
    pub name: String,
    /// Whose CPU budget it is paid from: one of [`SHARES`](crate::service::budget::SHARES).
    #[serde(default = "other_share")]
    pub share: String,
}

fn other_share() -> String {
    "other".to_owned()
}

/// A keyspace of the plugin's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreDecl {
    pub name: String,
    /// The version of its entries that this build reads and writes; from 1.
    pub version: u32,
}

/// A step of a store's entries from one version to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepDecl {
    pub store: String,
    pub from: u32,
    /// Fixed for ever once shipped: a database that ran the step refuses another by its name.
    pub checksum: String,
}

/// State of another plugin that this one can take over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptDecl {
    pub plugin: String,
    pub store: String,
    /// The version of that store it understands.
    pub version: u32,
    /// The store of this plugin that receives the entries.
    pub into: String,
    /// The version of that store that the entries are in then; the plugin's own steps go on from it.
    /// It may be left out while the store has had one version only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    pub checksum: String,
}

/// Why a manifest is refused: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError(pub(crate) String);

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ManifestError {}

impl Manifest {
    /// Reads and checks the text of a `plugin.toml`.
    pub fn parse(text: &str) -> Result<Manifest, ManifestError> {
        refuse_unknown_keys(text)?;
        // Flattened fields lose their places in the text, so what the plugin provides is read alone
        // first, where an error still has its line.
        let _: Provides = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        let manifest: Manifest = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        check::check(&manifest)?;
        Ok(manifest)
    }

    /// The ids of the extension points that the manifest uses, each once.
    pub fn extension_points(&self) -> Vec<&'static str> {
        let p = &self.provides;
        let used = [
            ("function/1", !p.functions.is_empty()),
            ("type/1", !p.types.is_empty()),
            (
                "operator/1",
                !p.operators.is_empty() || !p.operator_classes.is_empty(),
            ),
            ("clause/1", !p.clauses.is_empty()),
            ("command/1", !p.commands.is_empty()),
            ("constraint/1", !p.constraints.is_empty()),
            ("codec/1", !p.codecs.is_empty()),
            ("index/1", !p.indexes.is_empty()),
            ("observer/1", !p.observers.is_empty()),
            ("worker/1", !p.workers.is_empty()),
            ("migration/1", !p.steps.is_empty() || !p.adopts.is_empty()),
        ];
        used.into_iter().filter(|u| u.1).map(|u| u.0).collect()
    }

    pub fn store(&self, name: &str) -> Option<&StoreDecl> {
        self.stores.iter().find(|s| s.name == name)
    }
}

fn unreadable(text: &str, error: &toml::de::Error) -> ManifestError {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| 1 + before.matches('\n').count());
    let message: Vec<&str> = error.message().lines().collect();
    ManifestError(format!("line {line}: {}", message.join(" ")))
}

/// `flatten` and `deny_unknown_fields` exclude each other, so the top level is checked here.
fn refuse_unknown_keys(text: &str) -> Result<(), ManifestError> {
    const KEYS: [&str; 23] = [
        "id",
        "version",
        "abi",
        "description",
        "license",
        "services",
        "requires",
        "conflicts",
        "function",
        "type",
        "operator",
        "operator_class",
        "clause",
        "command",
        "constraint",
        "codec",
        "index",
        "observer",
        "worker",
        "setting",
        "store",
        "step",
        "adopts",
    ];
    let Ok(table) = text.parse::<toml::Table>() else {
        return Ok(());
    };
    match table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(ManifestError(format!(
            "unknown key \"{key}\", expected one of {}",
            KEYS.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests;
