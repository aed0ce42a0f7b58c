//! What a dump says of privileges: access lists, memberships, policies, as lines behind an object's definition.
//!
//! The rows themselves are in the dump as all of the catalog is. These lines are what an import is held against.

use std::fmt::Write;

use crate::catalog::access::{AclItem, PUBLIC};
use crate::catalog::model::{Role, SettingScope, Table};
use crate::catalog::{CatalogSnapshot, Oid};
use crate::ddl::stored_text::shown_expression;
use crate::pg_catalog::names::{quote_ident, quote_literal};
use crate::privilege::acl::item_text;

fn items(catalog: &CatalogSnapshot, items: &[AclItem]) -> String {
    let items = items.iter().map(|item| item_text(catalog, item));
    items.collect::<Vec<String>>().join(", ")
}

fn role_name(catalog: &CatalogSnapshot, role: Oid) -> String {
    match (role, catalog.role(role)) {
        (PUBLIC, _) => "PUBLIC".to_owned(),
        (_, Some(role)) => quote_ident(&role.name),
        (role, None) => role.to_string(),
    }
}

/// The lists of an object and of its columns.
pub(super) fn lists(catalog: &CatalogSnapshot, class: Oid, object: Oid, sql: &mut String) {
    let lists = catalog.access_lists_of(object);
    for list in lists.filter(|list| list.class == class) {
        let column = match list.sub {
            0 => String::new(),
            column => format!(" (column {column})"),
        };
        let items = items(catalog, &list.items);
        let _ = write!(sql, "\nPRIVILEGES{column} {items}");
    }
}

/// What a role is a member of, and what it grants on what it will make.
pub(super) fn role(catalog: &CatalogSnapshot, role: &Role, sql: &mut String) {
    if role.bypass_rls {
        sql.push_str(" BYPASSRLS");
    }
    for membership in &role.member_of {
        let of = role_name(catalog, membership.role);
        let by = role_name(catalog, membership.grantor);
        let admin = if membership.admin {
            " WITH ADMIN OPTION"
        } else {
            ""
        };
        let _ = write!(sql, "\nMEMBER OF {of}{admin} BY {by}");
    }
    for setting in &role.settings {
        let scope = match setting.scope {
            SettingScope::Role => "",
            SettingScope::RoleInDatabase => " IN DATABASE",
            SettingScope::Database => " OF DATABASE",
            SettingScope::AllRoles => " OF ALL",
        };
        let (name, value) = (&setting.name, quote_literal(&setting.value));
        let _ = write!(sql, "\nSETTING{scope} {name} = {value}");
    }
    for default in &role.default_privileges {
        let schema = default.schema.and_then(|schema| catalog.schema(schema));
        let schema = schema.map_or_else(String::new, |s| format!(" IN {}", quote_ident(&s.name)));
        let items = items(catalog, &default.items);
        let kind = default.kind.code();
        let _ = write!(sql, "\nDEFAULT PRIVILEGES{schema} {kind} {items}");
    }
}

/// The policies of a table, and whether they are in force.
pub(super) fn policies(catalog: &CatalogSnapshot, table: &Table, sql: &mut String) {
    if table.row_security.enabled {
        sql.push_str("\nROW LEVEL SECURITY");
        if table.row_security.forced {
            sql.push_str(" FORCED");
        }
    }
    for policy in &table.policies {
        let kind = if policy.permissive {
            "PERMISSIVE"
        } else {
            "RESTRICTIVE"
        };
        let roles = policy.roles.iter().map(|role| role_name(catalog, *role));
        let roles = roles.collect::<Vec<_>>().join(", ");
        let _ = write!(
            sql,
            "\nPOLICY {} AS {kind} FOR {} TO {roles}",
            quote_ident(&policy.name),
            policy.command.name()
        );
        if let Some(using) = &policy.using {
            let _ = write!(sql, " USING ({})", shown_expression(using));
        }
        if let Some(check) = &policy.check {
            let _ = write!(sql, " WITH CHECK ({})", shown_expression(check));
        }
    }
}
