//! What the catalog says: the objects of a database as plain values.
//!
//! Every object has an [`Oid`] that is never reused and a kind; the stored form of each is the serde
//! form of its struct here (see `super::store`). Nothing in this module reads storage, resolves a
//! name or checks a rule: it is the vocabulary that DDL writes and that planning, `pg_catalog` and
//! dumps read.
//!
//! Invariants:
//! 1. `Table::columns[i]` has attribute number `i + 1` and is storage column `i`. Dropped columns keep
//!    their place for ever.
//! 2. Tables, indexes, sequences and views of one schema share one namespace, as in PostgreSQL.
//! 3. Every primary key or unique constraint names the index that enforces it, and that index names
//!    the constraint.
//! 4. A plugin's objects of one class share one namespace per schema, apart from relations.
//! 5. A field added after the first release has a serde default, so that older rows still read. A field
//!    that is not known is refused: a row of a newer build would otherwise lose it silently.

use std::sync::Arc;

use super::access::{DefaultPrivileges, Membership, Policy, RowSecurity};
use heliosdb_plugin_api::manifest::Provides;
use heliosdb_storage::codec;
use heliosdb_storage::ids::{CollectionId, ColumnId};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use super::routine::{
    Parameter, ParameterMode, ResultShape, Routine, RoutineKind, RoutineVolatility,
};
pub use super::user_type::{
    Domain, DomainConstraint, DomainRules, EnumLabel, TypeDefinition, UserType,
};
use crate::types::PgType;

/// PostgreSQL's object identifier. Objects made by users count from [`FIRST_USER_OID`].
pub type Oid = u32;

/// The first oid that is not reserved for built-in objects (PostgreSQL's `FirstNormalObjectId`).
pub const FIRST_USER_OID: Oid = 16384;

/// Oids of built-in objects, where PostgreSQL has them.
pub mod oid {
    use super::Oid;
    pub const PG_CATALOG_SCHEMA: Oid = 11;
    pub const PUBLIC_SCHEMA: Oid = 2200;
    pub const BOOTSTRAP_ROLE: Oid = 10;
    /// The one database of an instance.
    pub const DATABASE: Oid = 5;
    pub const INFORMATION_SCHEMA: Oid = 13000;

    pub const PG_CLASS: Oid = 1259;
    pub const PG_NAMESPACE: Oid = 2615;
    pub const PG_CONSTRAINT: Oid = 2606;
    pub const PG_AUTHID: Oid = 1260;
    pub const PG_DATABASE: Oid = 1262;
    pub const PG_TYPE: Oid = 1247;
    pub const PG_ENUM: Oid = 3501;
    pub const PG_ATTRDEF: Oid = 2604;
    pub const PG_EXTENSION: Oid = 3079;
    pub const PG_PROC: Oid = 1255;
    /// The relation that lists the objects of plugins; not PostgreSQL's.
    pub const HELIOS_PLUGIN_OBJECTS: Oid = 12905;
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    pub oid: Oid,
    pub name: String,
    pub owner: Oid,
}

/// A base table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub oid: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    /// Where its rows are. TRUNCATE gives the table a new one.
    pub collection: u32,
    /// Dropped ones included (invariant 1).
    pub columns: Vec<Column>,
    /// How long its past is kept, if not as long as the database's: `forever`, or an interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    #[serde(default, skip_serializing_if = "RowSecurity::is_default")]
    pub row_security: RowSecurity,
    /// Those of rows, in the order they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub name: String,
    /// PostgreSQL's `atttypid`, which `PgType::from_oid` reads.
    pub type_oid: Oid,
    /// What a type of a plugin is, for when the plugin is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_type: Option<ExtensionTypeDef>,
    /// What an enum or a domain is in the catalog that has the table.
    #[serde(skip)]
    pub user_type: Option<PgType>,
    /// What a domain asks of its values.
    #[serde(skip)]
    pub domain: Option<Arc<DomainRules>>,
    /// PostgreSQL's `atttypmod`; -1 for none.
    pub typmod: i32,
    pub not_null: bool,
    /// The default as an SQL expression that parses and prints as it is.
    pub default: Option<String>,
    /// Sequences that the default calls `nextval` on.
    pub default_sequences: Vec<Oid>,
    pub identity: Option<Identity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,
    pub dropped: bool,
    /// Of a dropped one: it was never there, and another branch has a column in its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub free: bool,
    /// For a column added later: its value in older rows, as one row of Arrow IPC
    /// ([`heliosdb_storage::schema::ColumnDef::missing`]).
    pub missing: Option<Vec<u8>>,
    /// How its pages are to be compressed; `None` for storage's own choice.
    #[serde(default)]
    pub compression: Option<Compression>,
}

impl Column {
    /// The name of a column that is gone, or was never there.
    pub fn dropped_name(place: usize) -> String {
        format!("........pg.dropped.{}........", place + 1)
    }

    /// Makes it one that was dropped. Its type may go; what storage has of it stays.
    pub fn take_away(&mut self, place: usize) {
        self.dropped = true;
        self.domain = None;
        if let Some(ty) = self.user_type.take() {
            self.type_oid = match ty {
                PgType::Enum(_) => PgType::Int8.oid(),
                PgType::Array(item) if item.enumeration().is_some() => {
                    PgType::Int8.array_of().oid()
                }
                base => base.oid(),
            };
        }
        self.not_null = false;
        self.default = None;
        self.default_sequences.clear();
        self.identity = None;
        self.generated = None;
        self.name = Column::dropped_name(place);
    }
}

/// A compression method that a column was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Compression {
    None,
    Zstd,
    /// A codec of a plugin (its extension point `codec/1`).
    Codec {
        plugin: String,
        name: String,
    },
}

impl Compression {
    /// As SQL and storage name it.
    pub fn method(&self) -> &str {
        match self {
            Compression::None => codec::NONE,
            Compression::Zstd => codec::ZSTD,
            Compression::Codec { name, .. } => name,
        }
    }
}

/// A type of a plugin as a column was made with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtensionTypeDef {
    pub plugin: String,
    pub name: String,
    /// The oid of the built-in type of its values.
    pub storage: Oid,
    /// Values compare as their storage does.
    pub ordered: bool,
}

/// GENERATED { ALWAYS | BY DEFAULT } AS IDENTITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub always: bool,
    pub sequence: Oid,
}

/// A constraint of a table, other than NOT NULL, which is a flag of its column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    pub oid: Oid,
    pub name: String,
    pub table: Oid,
    pub kind: ConstraintKind,
    /// False while it was added NOT VALID and never checked against the rows of then. New rows are
    /// checked all the same.
    #[serde(default = "validated")]
    pub validated: bool,
}

/// Every constraint was validated before NOT VALID came.
fn validated() -> bool {
    true
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ConstraintKind {
    PrimaryKey {
        columns: Vec<ColumnId16>,
        index: Oid,
    },
    Unique {
        columns: Vec<ColumnId16>,
        index: Oid,
    },
    /// The condition as an SQL expression over the table's columns.
    Check {
        expression: String,
        columns: Vec<ColumnId16>,
    },
    ForeignKey(ForeignKey),
    Plugin(PluginConstraint),
}

/// A check that a plugin makes (its extension point `constraint/1`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginConstraint {
    pub plugin: String,
    /// Which of the plugin's constraints.
    pub kind: String,
    pub columns: Vec<ColumnId16>,
    /// The plugin's own words, which the kernel keeps and does not read.
    pub options: String,
    /// The clause as SQL, for `pg_get_constraintdef`.
    pub definition: String,
    /// The plugin's objects it cannot do without.
    pub depends_on: Vec<Oid>,
}

/// A column by its place in [`Table::columns`] (attribute number − 1).
pub type ColumnId16 = u16;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignKey {
    pub columns: Vec<ColumnId16>,
    pub referenced_table: Oid,
    /// In the order of `columns`.
    pub referenced_columns: Vec<ColumnId16>,
    /// The unique index of the referenced table that covers `referenced_columns`.
    pub referenced_index: Oid,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
    pub full_match: bool,
    #[serde(default, skip_serializing_if = "is_not_deferrable")]
    pub deferral: Deferral,
}

/// GENERATED ALWAYS AS … STORED.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generated {
    /// An SQL expression over the table's columns.
    pub expression: String,
    /// Those that it reads.
    pub columns: Vec<ColumnId16>,
}

impl Generated {
    /// Before it is known what the expression reads.
    pub fn unread(expression: &sqlparser::ast::Expr) -> Generated {
        Generated {
            expression: crate::names::text_of(expression),
            columns: Vec::new(),
        }
    }
}

/// Whether the check of a constraint may wait for the end of the transaction, and whether it does so by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deferral {
    #[default]
    NotDeferrable,
    InitiallyImmediate,
    InitiallyDeferred,
}

/// No foreign key was deferrable before they could be.
fn is_not_deferrable(deferral: &Deferral) -> bool {
    *deferral == Deferral::NotDeferrable
}

impl Deferral {
    /// As DDL says it, with a space before it.
    pub fn sql(self) -> &'static str {
        match self {
            Deferral::NotDeferrable => "",
            Deferral::InitiallyImmediate => " DEFERRABLE",
            Deferral::InitiallyDeferred => " DEFERRABLE INITIALLY DEFERRED",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

impl ReferentialAction {
    /// `pg_constraint.confdeltype`.
    pub fn code(self) -> char {
        match self {
            ReferentialAction::NoAction => 'a',
            ReferentialAction::Restrict => 'r',
            ReferentialAction::Cascade => 'c',
            ReferentialAction::SetNull => 'n',
            ReferentialAction::SetDefault => 'd',
        }
    }

    /// As DDL spells it.
    pub fn sql(self) -> &'static str {
        match self {
            ReferentialAction::NoAction => "NO ACTION",
            ReferentialAction::Restrict => "RESTRICT",
            ReferentialAction::Cascade => "CASCADE",
            ReferentialAction::SetNull => "SET NULL",
            ReferentialAction::SetDefault => "SET DEFAULT",
        }
    }
}

/// A btree index: PostgreSQL's name for a sorted collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    pub oid: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    pub table: Oid,
    pub collection: u32,
    pub columns: Vec<IndexColumn>,
    pub unique: bool,
    /// The primary key or unique constraint it enforces (invariant 3).
    pub constraint: Option<Oid>,
    pub primary: bool,
    /// CLUSTER took its order the last time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clustered: bool,
    /// See [`IndexColumn::column`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<IndexExpression>,
    /// Only rows for which this is true are in the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<IndexExpression>,
    /// The columns of INCLUDE. No entry has their values: whoever finds one reads the row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<ColumnId16>,
}

/// An expression over the columns of an index's table, which it calls `c0`, `c1` … by their places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexExpression {
    pub expression: String,
    /// The columns that it reads.
    pub columns: Vec<ColumnId16>,
    pub type_oid: Oid,
    pub typmod: i32,
}

/// The first of the places that stand for expressions of an index.
pub const EXPRESSION: ColumnId16 = 1 << 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexColumn {
    /// The place of a column, or [`EXPRESSION`] + the place of an expression of the index.
    pub column: ColumnId16,
    pub descending: bool,
    pub nulls_first: bool,
    /// Of the key, when it is not the default one of the key's type; else 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub operator_class: Oid,
}

fn is_default(operator_class: &Oid) -> bool {
    *operator_class == 0
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    pub oid: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    /// Where storage keeps its state. RESTART gives it a new one, which makes it transactional.
    pub collection: u32,
    /// `smallint`, `integer` or `bigint`.
    pub type_oid: Oid,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cycle: bool,
    pub cache: i64,
    pub owned_by: Option<OwnedBy>,
}

/// The column a sequence goes away with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnedBy {
    pub table: Oid,
    pub column: ColumnId16,
    /// An identity column's own sequence, rather than one of `serial` or OWNED BY.
    pub identity: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    pub oid: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    /// The query, printed by the parser, with every relation schema-qualified.
    pub definition: String,
    pub columns: Vec<ViewColumn>,
    pub depends_on: Vec<Dependency>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewColumn {
    pub name: String,
    pub type_oid: Oid,
    pub typmod: i32,
}

/// An object, or one column of a table, that another object cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    pub oid: Oid,
    /// `None` for the whole object.
    pub column: Option<ColumnId16>,
}

/// A role; a user is a role that may log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    pub oid: Oid,
    pub name: String,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_db: bool,
    pub login: bool,
    /// -1 for no limit.
    pub connection_limit: i32,
    /// `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, as `pg_authid.rolpassword` holds it.
    pub password: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bypass_rls: bool,
    /// The roles that it is a member of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member_of: Vec<Membership>,
    /// What it grants on what it will make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_privileges: Vec<DefaultPrivileges>,
    /// Until when its password is good, in microseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<i64>,
    /// What sessions begin with. The first role has those that belong to no role, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<RoleSetting>,
}

/// A parameter's value for new sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSetting {
    pub scope: SettingScope,
    pub name: String,
    pub value: String,
}

/// Whose sessions a setting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettingScope {
    Role,
    RoleInDatabase,
    Database,
    AllRoles,
}

/// A comment on an object (`sub = 0`) or on a column (its attribute number).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// Oid of the catalog the object is in, such as [`oid::PG_CLASS`].
    pub class: Oid,
    pub object: Oid,
    pub sub: i32,
    pub text: String,
}

/// An extension: a plugin as the database knows it. A dropped one stays as a tombstone, so that the
/// plugin does not install itself again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    pub oid: Oid,
    /// The plugin's id.
    pub name: String,
    /// The plugin's version when it was installed or last updated.
    pub version: String,
    pub owner: Oid,
    /// Extensions it cannot do without.
    pub requires: Vec<String>,
    /// What that version adds to the database: known here when the plugin itself is missing.
    #[serde(deserialize_with = "provides")]
    pub provides: Provides,
    /// False once DROP EXTENSION took it away.
    pub installed: bool,
}

/// Reads [`Provides`], which ignores what it does not know, because in a manifest it is a part of
/// something larger. What does not come back from it would be lost.
fn provides<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Provides, D::Error> {
    let given = Map::<String, Value>::deserialize(deserializer)?;
    let read: Provides = Deserialize::deserialize(&Value::Object(given.clone()))
        .map_err(|e| Error::custom(format!("what the extension provides: {e}")))?;
    let kept = serde_json::to_value(&read).map_err(Error::custom)?;
    let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    match given
        .iter()
        .find(|(key, value)| kept.get(key).is_none() && !empty(value))
    {
        None => Ok(read),
        Some((key, _)) => Err(Error::custom(format!("unknown field `{key}`"))),
    }
}

/// An object that a plugin keeps in the catalog, such as a registered JSON schema. What it is made of
/// is in the plugin's stores, under its oid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginObject {
    pub oid: Oid,
    pub plugin: String,
    /// What messages call it, such as `json schema`.
    pub class: String,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    /// Objects it cannot do without.
    pub depends_on: Vec<Oid>,
}

/// Any object that has an oid of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    Schema(Arc<Schema>),
    Table(Arc<Table>),
    Constraint(Arc<Constraint>),
    Index(Arc<Index>),
    Sequence(Arc<Sequence>),
    View(Arc<View>),
    Role(Arc<Role>),
    Extension(Arc<Extension>),
    PluginObject(Arc<PluginObject>),
    UserType(Arc<UserType>),
    Routine(Arc<Routine>),
}

/// Something `pg_class` lists and a FROM clause or `regclass` may name.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    Table(Arc<Table>),
    Index(Arc<Index>),
    Sequence(Arc<Sequence>),
    View(Arc<View>),
}

impl Relation {
    /// The names of its columns, in their order.
    pub fn column_names(&self) -> Vec<String> {
        match self {
            Relation::Table(table) => {
                let columns = table.live_columns();
                columns.map(|(_, column)| column.name.clone()).collect()
            }
            Relation::View(view) => view.columns.iter().map(|c| c.name.clone()).collect(),
            Relation::Sequence(_) => ["last_value", "log_cnt", "is_called"]
                .map(str::to_owned)
                .into(),
            Relation::Index(_) => Vec::new(),
        }
    }

    pub fn oid(&self) -> Oid {
        match self {
            Relation::Table(t) => t.oid,
            Relation::Index(i) => i.oid,
            Relation::Sequence(s) => s.oid,
            Relation::View(v) => v.oid,
        }
    }

    pub fn schema(&self) -> Oid {
        match self {
            Relation::Table(t) => t.schema,
            Relation::Index(i) => i.schema,
            Relation::Sequence(s) => s.schema,
            Relation::View(v) => v.schema,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Relation::Table(t) => &t.name,
            Relation::Index(i) => &i.name,
            Relation::Sequence(s) => &s.name,
            Relation::View(v) => &v.name,
        }
    }

    pub fn owner(&self) -> Oid {
        match self {
            Relation::Table(t) => t.owner,
            Relation::Index(i) => i.owner,
            Relation::Sequence(s) => s.owner,
            Relation::View(v) => v.owner,
        }
    }

    /// What a message calls it: `table`, `index`, `sequence` or `view`.
    pub fn kind(&self) -> &'static str {
        match self {
            Relation::Table(_) => "table",
            Relation::Index(_) => "index",
            Relation::Sequence(_) => "sequence",
            Relation::View(_) => "view",
        }
    }
}

impl Table {
    pub fn collection_id(&self) -> CollectionId {
        CollectionId(self.collection)
    }

    /// The columns a user sees, with their places.
    pub fn live_columns(&self) -> impl Iterator<Item = (ColumnId, &Column)> + '_ {
        (0u16..)
            .zip(&self.columns)
            .filter(|(_, c)| !c.dropped)
            .map(|(i, c)| (ColumnId(i), c))
    }

    pub fn column(&self, name: &str) -> Option<(ColumnId, &Column)> {
        self.live_columns().find(|(_, c)| c.name == name)
    }

    /// A column that is known to exist, by place.
    pub fn column_at(&self, column: ColumnId16) -> Option<&Column> {
        self.columns.get(usize::from(column))
    }
}

impl Index {
    /// Whether every row has an entry, whose key is made of columns.
    pub fn is_plain(&self) -> bool {
        self.expressions.is_empty() && self.predicate.is_none()
    }

    /// The expression that a part of the key is.
    pub fn expression(&self, part: &IndexColumn) -> Option<&IndexExpression> {
        let place = part.column.checked_sub(EXPRESSION)?;
        self.expressions.get(usize::from(place))
    }

    /// Whether the index goes with a column of the table.
    pub fn names(&self, column: ColumnId16) -> bool {
        self.reads(column) || self.included.contains(&column)
    }

    /// Whether entries depend on a column of the table.
    pub fn reads(&self, column: ColumnId16) -> bool {
        let mut expressions = self.expressions.iter().chain(&self.predicate);
        self.columns.iter().any(|c| c.column == column)
            || expressions.any(|e| e.columns.contains(&column))
    }
}

impl Constraint {
    /// The table's columns that it reads.
    pub fn columns(&self) -> &[ColumnId16] {
        match &self.kind {
            ConstraintKind::PrimaryKey { columns, .. }
            | ConstraintKind::Unique { columns, .. }
            | ConstraintKind::Check { columns, .. } => columns,
            ConstraintKind::ForeignKey(fk) => &fk.columns,
            ConstraintKind::Plugin(c) => &c.columns,
        }
    }

    /// Whether its check may wait.
    pub fn deferral(&self) -> Deferral {
        match &self.kind {
            ConstraintKind::ForeignKey(fk) => fk.deferral,
            _ => Deferral::NotDeferrable,
        }
    }

    /// The table that a foreign key refers to.
    pub fn references(&self) -> Option<Oid> {
        match &self.kind {
            ConstraintKind::ForeignKey(fk) => Some(fk.referenced_table),
            _ => None,
        }
    }

    /// The plugin's part of a constraint that a plugin checks.
    pub fn plugin(&self) -> Option<&PluginConstraint> {
        match &self.kind {
            ConstraintKind::Plugin(c) => Some(c),
            _ => None,
        }
    }

    /// `pg_constraint.contype`. To clients a plugin's constraint is a check.
    pub fn code(&self) -> char {
        match &self.kind {
            ConstraintKind::PrimaryKey { .. } => 'p',
            ConstraintKind::Unique { .. } => 'u',
            ConstraintKind::Check { .. } | ConstraintKind::Plugin(_) => 'c',
            ConstraintKind::ForeignKey(_) => 'f',
        }
    }
}
