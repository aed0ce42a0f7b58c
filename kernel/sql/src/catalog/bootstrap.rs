//! The objects a new database starts with.

use std::sync::Arc;

use super::model::*;
use super::store::Change;

/// Schemas and the first role, a superuser.
pub(crate) fn objects(superuser: &str) -> Vec<Change> {
    let schema = |oid, name: &str| {
        Change::Put(Object::Schema(Arc::new(Schema {
            oid,
            name: name.to_owned(),
            owner: oid::BOOTSTRAP_ROLE,
        })))
    };
    vec![
        schema(oid::PG_CATALOG_SCHEMA, "pg_catalog"),
        schema(oid::PUBLIC_SCHEMA, "public"),
        schema(oid::INFORMATION_SCHEMA, "information_schema"),
        Change::Put(Object::Role(Arc::new(Role {
            oid: oid::BOOTSTRAP_ROLE,
            name: superuser.to_owned(),
            superuser: true,
            inherit: true,
            create_role: true,
            create_db: true,
            login: true,
            connection_limit: -1,
            password: None,
            bypass_rls: false,
            member_of: Vec::new(),
            default_privileges: Vec::new(),
            valid_until: None,
            settings: Vec::new(),
        }))),
    ]
}
