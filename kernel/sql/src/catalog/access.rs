//! Who may do what, as the catalog stores it: access lists, memberships of roles, policies of rows.
//!
//! What the lists mean, and how GRANT and REVOKE change them, is [`crate::privilege`]'s.
//!
//! Invariants:
//! 1. An object without an access list has the privileges that PostgreSQL's `acldefault` gives it. One that
//!    was ever granted or revoked has a list, which then says everything.
//! 2. No list has two items of one grantee and one grantor, nor an item that says nothing.
//! 3. Options to grant are a part of what is granted.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

use serde::{Deserialize, Serialize};

use super::model::{ColumnId16, Oid};

/// The grantee that stands for every role.
pub const PUBLIC: Oid = 0;

/// A set of privileges, a bit for each; PostgreSQL's `AclMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Privileges(u32);

impl Privileges {
    pub const NONE: Privileges = Privileges(0);
    pub const INSERT: Privileges = Privileges(1);
    pub const SELECT: Privileges = Privileges(1 << 1);
    pub const UPDATE: Privileges = Privileges(1 << 2);
    pub const DELETE: Privileges = Privileges(1 << 3);
    pub const TRUNCATE: Privileges = Privileges(1 << 4);
    pub const REFERENCES: Privileges = Privileges(1 << 5);
    pub const TRIGGER: Privileges = Privileges(1 << 6);
    pub const EXECUTE: Privileges = Privileges(1 << 7);
    pub const USAGE: Privileges = Privileges(1 << 8);
    pub const CREATE: Privileges = Privileges(1 << 9);
    pub const TEMPORARY: Privileges = Privileges(1 << 10);
    pub const CONNECT: Privileges = Privileges(1 << 11);

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, other: Privileges) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn intersects(self, other: Privileges) -> bool {
        self.0 & other.0 != 0
    }

    /// Each privilege of the set, as a set of its own, in PostgreSQL's order.
    pub fn each(self) -> impl Iterator<Item = Privileges> {
        PRIVILEGES
            .iter()
            .map(|(privilege, ..)| *privilege)
            .filter(move |privilege| self.contains(*privilege))
    }

    /// The name of one privilege.
    pub fn name(self) -> &'static str {
        let found = PRIVILEGES.iter().find(|(privilege, ..)| *privilege == self);
        found.map_or("", |(_, _, name)| name)
    }

    /// The letter of one privilege in an `aclitem`.
    pub fn letter(self) -> char {
        let found = PRIVILEGES.iter().find(|(privilege, ..)| *privilege == self);
        found.map_or('?', |(_, letter, _)| *letter)
    }

    /// A privilege by its name, in any case.
    pub fn named(name: &str) -> Option<Privileges> {
        if name.eq_ignore_ascii_case("TEMP") {
            return Some(Privileges::TEMPORARY);
        }
        let found = PRIVILEGES
            .iter()
            .find(|(.., known)| known.eq_ignore_ascii_case(name));
        found.map(|(privilege, ..)| *privilege)
    }
}

/// Each with its letter and its name, in the order that lists print them.
const PRIVILEGES: [(Privileges, char, &str); 12] = [
    (Privileges::INSERT, 'a', "INSERT"),
    (Privileges::SELECT, 'r', "SELECT"),
    (Privileges::UPDATE, 'w', "UPDATE"),
    (Privileges::DELETE, 'd', "DELETE"),
    (Privileges::TRUNCATE, 'D', "TRUNCATE"),
    (Privileges::REFERENCES, 'x', "REFERENCES"),
    (Privileges::TRIGGER, 't', "TRIGGER"),
    (Privileges::EXECUTE, 'X', "EXECUTE"),
    (Privileges::USAGE, 'U', "USAGE"),
    (Privileges::CREATE, 'C', "CREATE"),
    (Privileges::TEMPORARY, 'T', "TEMPORARY"),
    (Privileges::CONNECT, 'c', "CONNECT"),
];

impl BitOr for Privileges {
    type Output = Privileges;
    fn bitor(self, other: Privileges) -> Privileges {
        Privileges(self.0 | other.0)
    }
}

impl BitOrAssign for Privileges {
    fn bitor_assign(&mut self, other: Privileges) {
        self.0 |= other.0;
    }
}

impl BitAnd for Privileges {
    type Output = Privileges;
    fn bitand(self, other: Privileges) -> Privileges {
        Privileges(self.0 & other.0)
    }
}

impl Not for Privileges {
    type Output = Privileges;
    fn not(self) -> Privileges {
        Privileges(!self.0)
    }
}

impl fmt::Display for Privileges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.each().map(Privileges::name).collect();
        f.write_str(&names.join(", "))
    }
}

/// What one role granted another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclItem {
    /// [`PUBLIC`] for every role.
    pub grantee: Oid,
    pub grantor: Oid,
    pub privileges: Privileges,
    /// Those that the grantee may grant in turn.
    pub grantable: Privileges,
}

/// The privileges on an object (`sub = 0`) or on a column (its attribute number).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessList {
    /// The catalog that the object is in, such as [`PG_CLASS`](super::model::oid::PG_CLASS).
    pub class: Oid,
    pub object: Oid,
    pub sub: i32,
    pub items: Vec<AclItem>,
}

/// That a role is a member of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    pub role: Oid,
    pub grantor: Oid,
    /// The member may grant the membership to others.
    pub admin: bool,
}

/// The kinds of objects that ALTER DEFAULT PRIVILEGES speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DefaultKind {
    Tables,
    Sequences,
    Functions,
    Types,
    Schemas,
}

impl DefaultKind {
    /// `pg_default_acl.defaclobjtype`.
    pub fn code(self) -> char {
        match self {
            DefaultKind::Tables => 'r',
            DefaultKind::Sequences => 'S',
            DefaultKind::Functions => 'f',
            DefaultKind::Types => 'T',
            DefaultKind::Schemas => 'n',
        }
    }
}

/// Privileges on what a role will make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultPrivileges {
    pub oid: Oid,
    /// Only in this schema, beside those of all schemas.
    pub schema: Option<Oid>,
    pub kind: DefaultKind,
    /// Without a schema: all that such an object starts with; in a schema: what is added.
    pub items: Vec<AclItem>,
}

/// Whether the policies of a table are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowSecurity {
    pub enabled: bool,
    /// For the owner, too.
    pub forced: bool,
}

impl RowSecurity {
    pub fn is_default(&self) -> bool {
        *self == RowSecurity::default()
    }
}

/// Which commands a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyCommand {
    All,
    Select,
    Insert,
    Update,
    Delete,
}

impl PolicyCommand {
    /// `pg_policy.polcmd`.
    pub fn code(self) -> char {
        match self {
            PolicyCommand::All => '*',
            PolicyCommand::Select => 'r',
            PolicyCommand::Insert => 'a',
            PolicyCommand::Update => 'w',
            PolicyCommand::Delete => 'd',
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            PolicyCommand::All => "ALL",
            PolicyCommand::Select => "SELECT",
            PolicyCommand::Insert => "INSERT",
            PolicyCommand::Update => "UPDATE",
            PolicyCommand::Delete => "DELETE",
        }
    }
}

/// A condition on which rows of a table some roles see and write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub oid: Oid,
    pub name: String,
    pub permissive: bool,
    pub command: PolicyCommand,
    /// [`PUBLIC`] for every role.
    pub roles: Vec<Oid>,
    /// Which rows are there, an SQL expression over the table's columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub using: Option<String>,
    /// Which rows may be written, if that is not the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The columns that the expressions may read.
    pub columns: Vec<ColumnId16>,
    /// Other relations that they read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Oid>,
}
