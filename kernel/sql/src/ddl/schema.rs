//! CREATE SCHEMA.

use sqlparser::ast;

use super::put;
use crate::catalog::access::Privileges;
use crate::catalog::model::*;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::role::undefined_role;
use crate::session::outcome::Outcome;
use crate::session::{Session, done};

impl Session {
    pub(crate) fn create_schema(
        &mut self,
        name: &ast::SchemaName,
        if_not_exists: bool,
    ) -> Result<Outcome> {
        let (_, catalog) = self.write_view()?;
        let (name, owner) = match name {
            ast::SchemaName::Simple(name) => (names::qualified(name, &self.info.database)?.1, None),
            ast::SchemaName::UnnamedAuthorization(role) => (fold(role), Some(fold(role))),
            ast::SchemaName::NamedAuthorization(name, role) => (
                names::qualified(name, &self.info.database)?.1,
                Some(fold(role)),
            ),
        };
        let owner = match owner {
            None => self.info.role().oid,
            Some(role) => {
                catalog
                    .role_by_name(&role)
                    .ok_or_else(|| undefined_role(&role))?
                    .oid
            }
        };
        let role = self.info.role();
        role.check_database(&catalog, &self.info.database, Privileges::CREATE)?;
        if !crate::privilege::authority::is_member(&catalog, role.oid, owner) {
            let owner = catalog.role(owner).map_or("", |r| r.name.as_str());
            return Err(crate::privilege::check::must_be_member(owner));
        }
        if catalog.schema_by_name(&name).is_some() {
            if if_not_exists {
                self.notify_skipped(format!("schema \"{name}\" already exists, skipping"));
                return done("CREATE SCHEMA");
            }
            return Err(SqlError::new(
                state::DUPLICATE_SCHEMA,
                format!("schema \"{name}\" already exists"),
            ));
        }
        if name.starts_with("pg_") {
            return Err(SqlError::new(
                state::RESERVED_NAME,
                format!("unacceptable schema name \"{name}\""),
            )
            .with_detail("The prefix \"pg_\" is reserved for system schemas."));
        }
        let oid = self.instance.allocate_oid()?;
        self.change_catalog(vec![put!(Schema, Schema { oid, name, owner })])?;
        done("CREATE SCHEMA")
    }
}
