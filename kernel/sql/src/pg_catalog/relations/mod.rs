//! Every system relation, by family.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::relation::Relation;
use crate::information_schema;

pub mod absent;
pub mod access;
pub mod activity;
pub mod attribute;
pub mod class;
pub mod constraint;
pub mod dependency;
pub mod import;
pub mod namespace;
pub mod plugin;
pub mod privilege;
pub mod role;
pub mod statements;
pub mod statistics;
pub mod storage;
pub mod types;
pub mod view;

/// All of them: what `pg_class` shows besides the user's own.
static RELATIONS: &[&Relation] = &[
    &namespace::PG_NAMESPACE,
    &class::PG_CLASS,
    &class::PG_SEQUENCE,
    &attribute::PG_ATTRIBUTE,
    &attribute::PG_ATTRDEF,
    &types::PG_CAST,
    &types::PG_TYPE,
    &types::PG_ENUM,
    &types::PG_RANGE,
    &constraint::PG_CONSTRAINT,
    &constraint::PG_INDEX,
    &dependency::PG_DESCRIPTION,
    &dependency::PG_DEPEND,
    &dependency::PG_REWRITE,
    &role::PG_AUTHID,
    &role::PG_ROLES,
    &role::PG_USER,
    &role::PG_SHADOW,
    &role::PG_GROUP,
    &role::PG_HBA_FILE_RULES,
    &role::PG_DATABASE,
    &role::PG_TABLESPACE,
    &privilege::PG_AUTH_MEMBERS,
    &role::PG_DB_ROLE_SETTING,
    &role::PG_SHDESCRIPTION,
    &role::PG_SHDEPEND,
    &activity::PG_STAT_ACTIVITY,
    &activity::PG_LOCKS,
    &activity::PG_PREPARED_STATEMENTS,
    &statements::PG_STAT_STATEMENTS,
    &statements::PG_STAT_STATEMENTS_INFO,
    &access::PG_AM,
    &access::PG_OPERATOR,
    &access::PG_OPCLASS,
    &access::PG_OPFAMILY,
    &access::PG_COLLATION,
    &access::PG_LANGUAGE,
    &access::PG_PROC,
    &view::PG_TABLES,
    &view::PG_VIEWS,
    &view::PG_INDEXES,
    &view::PG_SEQUENCES,
    &view::PG_CURSORS,
    &view::PG_SETTINGS,
    &statistics::PG_STAT_ALL_TABLES,
    &statistics::PG_STAT_USER_TABLES,
    &statistics::PG_STAT_ALL_INDEXES,
    &statistics::PG_STAT_USER_INDEXES,
    &statistics::PG_STAT_DATABASE,
    &view::PG_STATIO_ALL_TABLES,
    &view::PG_STATIO_USER_TABLES,
    &view::PG_STATIO_ALL_INDEXES,
    &view::PG_STATIO_USER_INDEXES,
    &view::PG_STATIO_ALL_SEQUENCES,
    &view::PG_STATIO_USER_SEQUENCES,
    &plugin::PG_EXTENSION,
    &plugin::PG_AVAILABLE_EXTENSIONS,
    &plugin::PG_AVAILABLE_EXTENSION_VERSIONS,
    &plugin::HELIOS_PLUGINS,
    &plugin::HELIOS_EXTENSION_POINTS,
    &plugin::HELIOS_PLUGIN_STORES,
    &plugin::HELIOS_PLUGIN_MIGRATIONS,
    &plugin::HELIOS_PLUGIN_OBJECTS,
    &storage::HELIOS_COMPRESSION_STATS,
    &storage::HELIOS_ARCHIVE,
    &storage::HELIOS_RETENTION,
    &storage::HELIOS_BACKGROUND_CPU,
    &storage::HELIOS_MEMORY,
    &storage::HELIOS_HISTORY,
    &import::HELIOS_IMPORTS,
    &absent::PG_INHERITS,
    &absent::PG_PARTITIONED_TABLE,
    &privilege::PG_POLICY,
    &privilege::PG_POLICIES,
    &absent::PG_TRIGGER,
    &absent::PG_STATISTIC_EXT,
    &absent::PG_PUBLICATION,
    &absent::PG_PUBLICATION_NAMESPACE,
    &absent::PG_PUBLICATION_REL,
    &absent::PG_PUBLICATION_TABLES,
    &absent::PG_SUBSCRIPTION_REL,
    &absent::PG_FOREIGN_DATA_WRAPPER,
    &absent::PG_FOREIGN_SERVER,
    &absent::PG_FOREIGN_TABLE,
    &absent::PG_USER_MAPPING,
    &absent::PG_USER_MAPPINGS,
    &absent::PG_EVENT_TRIGGER,
    &privilege::PG_DEFAULT_ACL,
    &absent::PG_INIT_PRIVS,
    &absent::PG_SECLABEL,
    &absent::PG_SHSECLABEL,
    &absent::PG_MATVIEWS,
    &absent::PG_RULES,
    &absent::PG_LARGEOBJECT_METADATA,
    &absent::PG_TRANSFORM,
    &absent::PG_PREPARED_XACTS,
    &absent::PG_REPLICATION_SLOTS,
    &absent::PG_SUBSCRIPTION,
    &absent::PG_CONVERSION,
    &absent::PG_TS_CONFIG,
    &absent::PG_TS_CONFIG_MAP,
    &absent::PG_TS_DICT,
    &absent::PG_TS_PARSER,
    &absent::PG_TS_TEMPLATE,
    &absent::PG_STATS,
    &absent::PG_SECLABELS,
    &absent::PG_LARGEOBJECT,
    &absent::PG_PARAMETER_ACL,
    &absent::PG_REPLICATION_ORIGIN,
    &absent::TRIGGERS,
    &absent::TRIGGERED_UPDATE_COLUMNS,
    &information_schema::domain::DOMAINS,
    &information_schema::domain::DOMAIN_CONSTRAINTS,
    &absent::FOREIGN_TABLES,
    &absent::FOREIGN_SERVERS,
    &information_schema::routine::ROUTINES,
    &information_schema::routine::PARAMETERS,
    &information_schema::SCHEMATA,
    &information_schema::TABLES,
    &information_schema::COLUMNS,
    &information_schema::TABLE_CONSTRAINTS,
    &information_schema::KEY_COLUMN_USAGE,
    &information_schema::REFERENTIAL_CONSTRAINTS,
    &information_schema::CONSTRAINT_COLUMN_USAGE,
    &information_schema::CONSTRAINT_TABLE_USAGE,
    &information_schema::CHECK_CONSTRAINTS,
    &information_schema::SEQUENCES,
    &information_schema::VIEWS,
    &information_schema::element::ELEMENT_TYPES,
    &information_schema::grants::TABLE_PRIVILEGES,
    &information_schema::grants::ROLE_TABLE_GRANTS,
];

static BY_NAME: LazyLock<HashMap<(&'static str, &'static str), &'static Relation>> =
    LazyLock::new(|| RELATIONS.iter().map(|r| ((r.schema, r.name), *r)).collect());

static BY_OID: LazyLock<HashMap<u32, &'static Relation>> =
    LazyLock::new(|| RELATIONS.iter().map(|r| (r.oid, *r)).collect());

pub fn all() -> impl Iterator<Item = &'static Relation> {
    RELATIONS.iter().copied()
}

pub fn find(schema: &str, name: &str) -> Option<&'static Relation> {
    BY_NAME.get(&(schema, name)).copied()
}

pub fn find_oid(oid: u32) -> Option<&'static Relation> {
    BY_OID.get(&oid).copied()
}
