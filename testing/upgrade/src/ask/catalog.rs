//! The questions about the catalog, the same for every database.
//!
//! Left out is what a move may change: sizes, statistics, what the editions' plugins add to the
//! built-in functions, and the plugins that only Full has.

use super::Question;

/// With `oid`s, which a move keeps.
const QUERIES: [&str; 20] = [
    "SELECT oid, nspname, nspowner FROM pg_namespace",
    "SELECT oid, relname, relnamespace, relowner, relkind, relnatts, relchecks, relhasindex, \
     relhastriggers FROM pg_class WHERE oid >= 16384",
    "SELECT attrelid, attname, atttypid, atttypmod, attnum, attndims, attnotnull, atthasdef, \
     atthasmissing, attidentity, attisdropped FROM pg_attribute WHERE attrelid >= 16384",
    "SELECT adrelid, adnum, pg_get_expr(adbin, adrelid) FROM pg_attrdef",
    "SELECT oid, conname, contype, convalidated, conrelid, conindid, confrelid, confupdtype, \
     confdeltype, confmatchtype, conkey, confkey, pg_get_constraintdef(oid) FROM pg_constraint",
    "SELECT indexrelid, indrelid, indisunique, indisprimary, indkey, indoption, \
     pg_get_indexdef(indexrelid) FROM pg_index",
    "SELECT * FROM pg_indexes WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    "SELECT schemaname, viewname, viewowner, definition FROM pg_views \
     WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    "SELECT * FROM pg_sequence",
    "SELECT * FROM pg_sequences",
    "SELECT * FROM pg_description WHERE objoid >= 16384 AND classoid <> 3079 OR classoid = 2615",
    "SELECT * FROM pg_shdescription",
    "SELECT * FROM pg_authid",
    "SELECT classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype FROM pg_depend \
     WHERE refclassid <> 3079",
    "SELECT oid, extname, extowner, extversion FROM pg_extension WHERE extname = 'jsonschema'",
    "SELECT store, version, state, entries, bytes FROM helios_plugin_stores \
     WHERE plugin = 'jsonschema'",
    "SELECT * FROM helios_plugin_objects WHERE plugin = 'jsonschema'",
    "SELECT * FROM jsonschema_list()",
    "SELECT name, setting FROM pg_settings WHERE name LIKE 'jsonschema%'",
    "SELECT datname, datdba FROM pg_database",
];

/// Relations of `information_schema`, with the column that holds the schema.
const STANDARD: [(&str, &str); 11] = [
    ("schemata", "schema_name"),
    ("tables", "table_schema"),
    ("columns", "table_schema"),
    ("table_constraints", "table_schema"),
    ("key_column_usage", "table_schema"),
    ("referential_constraints", "constraint_schema"),
    ("constraint_column_usage", "table_schema"),
    ("constraint_table_usage", "table_schema"),
    ("check_constraints", "constraint_schema"),
    ("sequences", "sequence_schema"),
    ("views", "table_schema"),
];

pub fn questions() -> Vec<Question> {
    let standard = STANDARD.map(|(relation, schema)| {
        Question::new(format!(
            "SELECT * FROM information_schema.{relation} \
             WHERE {schema} NOT IN ('pg_catalog', 'information_schema')"
        ))
    });
    QUERIES
        .map(Question::new)
        .into_iter()
        .chain(standard)
        .collect()
}
