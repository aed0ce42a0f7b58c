//! GRANT and REVOKE of privileges; ALTER DEFAULT PRIVILEGES; membership of roles is [`membership`]'s.
//!
//! Who grants is the owner, when the current role has the owner's privileges, and else the one of its roles
//! that may grant most of what is asked for. What nobody may grant is left out with a warning, as the standard
//! has it; without any right to the object the statement is refused.

mod membership;
pub(crate) mod syntax;

use heliosdb_plugin_host::names::NameKind;
use heliosdb_storage::ids::TimelineId;
use sqlparser::ast::{Ident, ObjectName};

use self::syntax::{Grant, GrantDefault, GrantPrivileges, Kind, Named, Objects, RoleName, Terms};
use crate::catalog::access::{
    AccessList, AclItem, DefaultKind, DefaultPrivileges, PUBLIC, Privileges,
};
use crate::catalog::model::{Object, Role, Routine, oid};
use crate::catalog::store::Change;
use crate::catalog::{CatalogSnapshot, Oid, Relation};
use crate::ddl::put;
use crate::ddl::routine::syntax::{NamedAs, RoutineName};
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::plugin::names::is_builtin;
use crate::privilege::acl::{Acl, Granting, ObjectClass};
use crate::privilege::authority::{self, acl_of, class_of};
use crate::privilege::check::{attributes, denied, must_be_member};
use crate::role::undefined_role;
use crate::session::outcome::Outcome;
use crate::session::{Session, done};

/// Something that privileges are granted on.
struct Target {
    class: ObjectClass,
    oid: Oid,
    owner: Oid,
    /// What messages call it.
    kind: &'static str,
    name: String,
    /// A table or view, whose columns have privileges, too.
    relation: Option<Relation>,
}

impl Target {
    fn of(relation: Relation) -> Target {
        Target {
            class: class_of(&relation),
            oid: relation.oid(),
            owner: relation.owner(),
            kind: relation.kind(),
            name: relation.name().to_owned(),
            relation: Some(relation),
        }
    }

    fn of_routine(routine: &Routine) -> Target {
        Target {
            class: ObjectClass::Function,
            oid: routine.oid,
            owner: routine.owner,
            kind: routine.kind.noun(),
            name: routine.name.clone(),
            relation: None,
        }
    }

    /// The attribute number of a column.
    fn column(&self, name: &str) -> Result<i32> {
        let found = match &self.relation {
            Some(Relation::Table(t)) => t.column(name).map(|(id, _)| i32::from(id.0) + 1),
            Some(Relation::View(v)) => {
                let mut columns = v.columns.iter().zip(1..);
                columns.find(|(c, _)| c.name == name).map(|(_, at)| at)
            }
            _ => None,
        };
        found.ok_or_else(|| {
            SqlError::new(
                state::UNDEFINED_COLUMN,
                format!(
                    "column \"{name}\" of relation \"{}\" does not exist",
                    self.name
                ),
            )
        })
    }

    fn columns(&self) -> Vec<i32> {
        match &self.relation {
            Some(Relation::Table(t)) => attributes(t).collect(),
            Some(Relation::View(v)) => v.columns.iter().zip(1..).map(|(_, at)| at).collect(),
            _ => Vec::new(),
        }
    }
}

/// What a statement asks for, of an object and of its columns.
struct Asked {
    whole: Privileges,
    /// ALL was said.
    all: bool,
    columns: Vec<(i32, Privileges)>,
}

fn invalid(name: &str, class: ObjectClass) -> SqlError {
    let noun = match class {
        // Sequences, which ON TABLE may name, have it.
        ObjectClass::Table if name == "USAGE" => "table",
        ObjectClass::Table => "relation",
        other => other.noun(),
    };
    SqlError::new(
        state::INVALID_GRANT_OPERATION,
        format!("invalid privilege type {name} for {noun}"),
    )
}

/// A privilege of a class of objects.
fn privilege(name: &str, class: ObjectClass) -> Result<Privileges> {
    let found = Privileges::named(name).ok_or_else(|| {
        SqlError::new(
            state::SYNTAX_ERROR,
            format!("unrecognized privilege type \"{}\"", name.to_lowercase()),
        )
    })?;
    match class.all().contains(found) {
        true => Ok(found),
        false => Err(invalid(found.name(), class)),
    }
}

fn asked(privileges: &[Named], target: &Target) -> Result<Asked> {
    let mut asked = Asked {
        whole: Privileges::NONE,
        all: false,
        columns: Vec::new(),
    };
    for named in privileges {
        if named.columns.is_empty() {
            match &named.name {
                None => {
                    asked.all = true;
                    asked.whole = target.class.all();
                }
                Some(name) => asked.whole |= privilege(name, target.class)?,
            }
            continue;
        }
        if target.class != ObjectClass::Table {
            return Err(SqlError::new(
                state::INVALID_GRANT_OPERATION,
                "column privileges are only valid for relations",
            ));
        }
        let on = match &named.name {
            None => ObjectClass::Column.all(),
            Some(name) => privilege(name, ObjectClass::Column)?,
        };
        for column in &named.columns {
            let column = target.column(&fold(column))?;
            match asked.columns.iter_mut().find(|(at, _)| *at == column) {
                Some((_, privileges)) => *privileges |= on,
                None => asked.columns.push((column, on)),
            }
        }
    }
    Ok(asked)
}

impl Session {
    pub(crate) fn grant(&mut self, grant: &Grant) -> Result<Outcome> {
        self.begin_statement_snapshot();
        self.begin_ddl()?;
        match grant {
            Grant::Roles(roles) => self.grant_roles(roles),
            Grant::Privileges(privileges) => {
                self.grant_privileges(privileges)?;
                done(if privileges.terms.grant {
                    "GRANT"
                } else {
                    "REVOKE"
                })
            }
            Grant::Default(default) => {
                self.alter_default_privileges(default)?;
                done("ALTER DEFAULT PRIVILEGES")
            }
        }
    }

    /// The roles of a list; PUBLIC is [`PUBLIC`].
    pub(crate) fn role_oids(
        &self,
        catalog: &CatalogSnapshot,
        names: &[RoleName],
    ) -> Result<Vec<Oid>> {
        let oid = |name: &RoleName| match name {
            RoleName::Public => Ok(PUBLIC),
            name => self.role_oid(catalog, name),
        };
        names.iter().map(oid).collect()
    }

    pub(crate) fn role_oid(&self, catalog: &CatalogSnapshot, name: &RoleName) -> Result<Oid> {
        match name {
            RoleName::Public => Err(undefined_role("public")),
            RoleName::Current => Ok(self.info.role().oid),
            RoleName::Session => {
                let session = self.info.session_user();
                let found = catalog.role_by_name(&session).map(|role| role.oid);
                found.ok_or_else(|| undefined_role(&session))
            }
            RoleName::Name(name) => {
                let found = catalog.role_by_name(name).map(|role| role.oid);
                found.ok_or_else(|| undefined_role(name))
            }
        }
    }

    fn grant_privileges(&mut self, grant: &GrantPrivileges) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        if let Some(by) = &grant.terms.granted_by
            && self.role_oid(&catalog, by)? != self.info.role().oid
        {
            return Err(
                SqlError::unsupported("a grantor that is not the current role")
                    .with_hint("GRANTED BY must name the current role."),
            );
        }
        let roles = self.role_oids(&catalog, &grant.terms.roles)?;
        for target in self.targets(&catalog, &grant.objects)? {
            let asked = asked(&grant.privileges, &target)?;
            if !asked.whole.is_empty() {
                self.grant_on(&target, 0, &asked, asked.whole, &grant.terms, &roles)?;
            }
            if !grant.terms.grant && target.class == ObjectClass::Table {
                self.revoke_on_columns(&target, asked.whole, &grant.terms, &roles)?;
            }
            for (column, privileges) in &asked.columns {
                self.grant_on(&target, *column, &asked, *privileges, &grant.terms, &roles)?;
            }
        }
        Ok(())
    }

    /// What is revoked of a table is revoked of its columns, too.
    fn revoke_on_columns(
        &mut self,
        target: &Target,
        privileges: Privileges,
        terms: &Terms,
        roles: &[Oid],
    ) -> Result<()> {
        let privileges = privileges & ObjectClass::Column.all();
        for column in target.columns() {
            let (_, catalog) = self.write_view()?;
            let Some(items) = catalog.access(oid::PG_CLASS, target.oid, column) else {
                continue;
            };
            let mut acl = Acl {
                owner: target.owner,
                items: items.to_vec(),
            };
            let grantor = match self.info.role().has(target.owner) {
                true => target.owner,
                false => self.info.role().oid,
            };
            for role in roles {
                let what = Granting {
                    grantor,
                    grantee: *role,
                    privileges,
                    option: terms.option,
                };
                acl.revoke(what, terms.cascade)?;
            }
            self.put_access(target, column, acl)?;
        }
        Ok(())
    }

    /// Changes the list of an object, or of one of its columns.
    fn grant_on(
        &mut self,
        target: &Target,
        column: i32,
        asked: &Asked,
        wanted: Privileges,
        terms: &Terms,
        roles: &[Oid],
    ) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let class = match column {
            0 => target.class,
            _ => ObjectClass::Column,
        };
        let mut acl = match class {
            ObjectClass::Branch => self.branch_acl(TimelineId(target.oid))?,
            class => acl_of(&catalog, class, target.oid, column, target.owner),
        };
        let before = acl.clone();
        // What may be granted of a table may be granted of its columns.
        let mut sources = acl.clone();
        if column != 0 {
            let of_table = acl_of(&catalog, target.class, target.oid, 0, target.owner);
            sources.merge(&of_table.items);
        }
        let role = self.info.role();
        let (grantor, may) = match role.has(target.owner) {
            true => (target.owner, class.all()),
            false => best_grantor(&catalog, role.oid, &sources, wanted),
        };
        let granted = wanted & may;
        if granted.is_empty() {
            let some = sources.privileges(|held| role.holds(held));
            let options = sources.grantable(class, |held| role.holds(held));
            if (some | options).is_empty() {
                return Err(denied(target.kind, &target.name));
            }
        }
        let shown = &target.name;
        let which = match granted {
            none if none.is_empty() => Some("no"),
            granted if granted != wanted && !asked.all => Some("not all"),
            _ => None,
        };
        match (which, terms.grant) {
            (None, _) => {}
            (Some(which), true) => self.warn(
                state::PRIVILEGE_NOT_GRANTED,
                format!("{which} privileges were granted for \"{shown}\""),
            ),
            (Some(which), false) => self.warn(
                state::PRIVILEGE_NOT_REVOKED,
                format!("{which} privileges could be revoked for \"{shown}\""),
            ),
        }
        if granted.is_empty() {
            return Ok(());
        }
        for grantee in roles {
            let what = Granting {
                grantor,
                grantee: *grantee,
                privileges: granted,
                option: terms.option,
            };
            match terms.grant {
                true => acl.grant(what)?,
                false => acl.revoke(what, terms.cascade)?,
            }
        }
        match class {
            ObjectClass::Branch => self.put_branch_access(TimelineId(target.oid), &before, acl),
            _ => self.put_access(target, column, acl),
        }
    }

    fn put_access(&mut self, target: &Target, column: i32, acl: Acl) -> Result<()> {
        let class = target.class.catalog();
        let change = match column != 0 && acl.items.is_empty() {
            true => Change::RemoveAccess {
                class,
                object: target.oid,
                sub: column,
            },
            false => Change::PutAccess(AccessList {
                class,
                object: target.oid,
                sub: column,
                items: acl.items,
            }),
        };
        self.change_catalog(vec![change])?;
        Ok(())
    }

    fn targets(&mut self, catalog: &CatalogSnapshot, objects: &Objects) -> Result<Vec<Target>> {
        match objects {
            Objects::AllRoutinesIn(named, schemas) => {
                let mut targets = Vec::new();
                for schema in schemas {
                    let schema = self.schema_oid(catalog, schema)?;
                    if schema == oid::PG_CATALOG_SCHEMA {
                        return Err(SqlError::unsupported(
                            "a privilege on the functions that are built in",
                        )
                        .with_hint("Every role may execute the functions there are."));
                    }
                    let routines = catalog.routines().iter();
                    let routines = routines.filter(|r| r.schema == schema && named.fits(r.kind));
                    targets.extend(routines.map(|r| Target::of_routine(r)));
                }
                Ok(targets)
            }
            Objects::AllIn(kind, schemas) => {
                let mut targets = Vec::new();
                for schema in schemas {
                    let schema = self.schema_oid(catalog, schema)?;
                    let relations = catalog.relations_in(schema);
                    let relations = relations.filter_map(|(_, oid)| catalog.relation(oid));
                    targets.extend(
                        relations
                            .filter(|relation| {
                                matches!(
                                    (kind, relation),
                                    (Kind::Table, Relation::Table(_) | Relation::View(_))
                                        | (Kind::Sequence, Relation::Sequence(_))
                                )
                            })
                            .map(Target::of),
                    );
                }
                Ok(targets)
            }
            Objects::Functions(named, functions) => functions
                .iter()
                .map(|function| self.routine_target(catalog, *named, function))
                .collect(),
            Objects::Named(Kind::Other(what), _) => {
                Err(SqlError::unsupported(format!("GRANT ON {what}")))
            }
            Objects::Named(kind, names) => {
                let target = |name| self.target(catalog, *kind, name);
                names.iter().map(target).collect()
            }
        }
    }

    fn schema_oid(&self, catalog: &CatalogSnapshot, name: &Ident) -> Result<Oid> {
        let name = fold(name);
        let found = catalog.schema_by_name(&self.info.schema_named(&name));
        found.map(|schema| schema.oid).ok_or_else(|| {
            SqlError::new(
                state::INVALID_SCHEMA_NAME,
                format!("schema \"{name}\" does not exist"),
            )
        })
    }

    fn routine_target(
        &mut self,
        catalog: &CatalogSnapshot,
        named: NamedAs,
        function: &RoutineName,
    ) -> Result<Target> {
        match self.routine_named(named, function) {
            Ok(routine) => Ok(Target::of_routine(&routine)),
            Err(e) if e.code == state::UNDEFINED_FUNCTION => {
                let parts = names::parts(&function.name)?;
                let name = parts.last().map_or("", String::as_str);
                match is_builtin(NameKind::Function, name)
                    && catalog.routines().iter().all(|r| r.name != name)
                {
                    true => Err(SqlError::unsupported(
                        "a privilege on a function that is built in",
                    )
                    .with_hint("Every role may execute the functions that are built in.")),
                    false => Err(e),
                }
            }
            Err(e) => Err(e),
        }
    }

    fn target(&self, catalog: &CatalogSnapshot, kind: Kind, name: &ObjectName) -> Result<Target> {
        let single = |class: ObjectClass, oid, owner, name: String| Target {
            class,
            oid,
            owner,
            kind: class.noun(),
            name,
            relation: None,
        };
        match kind {
            Kind::Schema => {
                let name = names::qualified(name, &self.info.database)?.1;
                let found = catalog.schema_by_name(&self.info.schema_named(&name));
                let schema = found.ok_or_else(|| {
                    SqlError::new(
                        state::INVALID_SCHEMA_NAME,
                        format!("schema \"{name}\" does not exist"),
                    )
                })?;
                Ok(single(ObjectClass::Schema, schema.oid, schema.owner, name))
            }
            Kind::Database => {
                let name = names::parts(name)?.join(".");
                if name != self.info.database {
                    return Err(SqlError::new(
                        state::INVALID_CATALOG_NAME,
                        format!("database \"{name}\" does not exist"),
                    ));
                }
                Ok(single(
                    ObjectClass::Database,
                    oid::DATABASE,
                    oid::BOOTSTRAP_ROLE,
                    name,
                ))
            }
            Kind::Branch => {
                let name = names::parts(name)?.join(".");
                let (id, owner) = self.branch_to_grant_on(&name)?;
                Ok(single(ObjectClass::Branch, id.0, owner, name))
            }
            Kind::Table | Kind::Sequence => {
                let relation = self.relation(catalog, name)?;
                match (&relation, kind) {
                    (Relation::Index(i), _) => Err(SqlError::new(
                        state::WRONG_OBJECT_TYPE,
                        format!("\"{}\" is an index", i.name),
                    )),
                    (Relation::Table(_) | Relation::View(_), Kind::Sequence) => Err(SqlError::new(
                        state::WRONG_OBJECT_TYPE,
                        format!("\"{}\" is not a sequence", relation.name()),
                    )),
                    _ => Ok(Target::of(relation)),
                }
            }
            Kind::Type => Err(SqlError::unsupported("GRANT ON TYPE")
                .with_hint("Every role may use the types there are.")),
            Kind::Function | Kind::Other(_) => Err(SqlError::internal("another kind of object")),
        }
    }

    fn alter_default_privileges(&mut self, grant: &GrantDefault) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let role = self.info.role();
        let of = match grant.of.is_empty() {
            true => vec![role.oid],
            false => self.role_oids(&catalog, &grant.of)?,
        };
        let kind = match grant.kind {
            Kind::Table => DefaultKind::Tables,
            Kind::Sequence => DefaultKind::Sequences,
            Kind::Function => DefaultKind::Functions,
            Kind::Type => DefaultKind::Types,
            _ => DefaultKind::Schemas,
        };
        // What would be stored here would be asked for nowhere.
        if kind == DefaultKind::Types {
            return Err(SqlError::unsupported("ALTER DEFAULT PRIVILEGES on types")
                .with_hint("Every role may use the types there are."));
        }
        let class = default_class(kind);
        if kind == DefaultKind::Schemas && !grant.schemas.is_empty() {
            return Err(SqlError::new(
                state::INVALID_GRANT_OPERATION,
                "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS",
            ));
        }
        let mut privileges = Privileges::NONE;
        for named in &grant.privileges {
            if !named.columns.is_empty() {
                return Err(SqlError::new(
                    state::INVALID_GRANT_OPERATION,
                    "default privileges cannot be set for columns",
                ));
            }
            privileges |= match &named.name {
                None => class.all(),
                Some(name) => privilege(name, class)?,
            };
        }
        let grantees = self.role_oids(&catalog, &grant.terms.roles)?;
        let mut schemas = Vec::new();
        for schema in &grant.schemas {
            schemas.push(Some(self.schema_oid(&catalog, schema)?));
        }
        if schemas.is_empty() {
            schemas.push(None);
        }
        for owner in of {
            let found = catalog
                .role(owner)
                .ok_or_else(|| undefined_role("public"))?;
            if !authority::is_member(&catalog, role.oid, owner) {
                return Err(must_be_member(&found.name));
            }
            let mut changed = Role::clone(found);
            for schema in &schemas {
                self.change_default(&mut changed, kind, *schema, privileges, grant, &grantees)?;
            }
            self.change_catalog(vec![put!(Role, changed)])?;
        }
        Ok(())
    }

    fn change_default(
        &self,
        role: &mut Role,
        kind: DefaultKind,
        schema: Option<Oid>,
        privileges: Privileges,
        grant: &GrantDefault,
        grantees: &[Oid],
    ) -> Result<()> {
        let owner = role.oid;
        let place = role
            .default_privileges
            .iter()
            .position(|d| d.kind == kind && d.schema == schema);
        // Those of a schema are beside what there is without them.
        let base = match schema {
            None => Acl::default_of(default_class(kind), 0, owner),
            Some(_) => Acl {
                owner,
                items: Vec::new(),
            },
        };
        let mut acl = match place {
            Some(at) => Acl {
                owner,
                items: role.default_privileges[at].items.clone(),
            },
            None => base.clone(),
        };
        for grantee in grantees {
            let what = Granting {
                grantor: owner,
                grantee: *grantee,
                privileges,
                option: grant.terms.option,
            };
            match grant.terms.grant {
                true => acl.grant(what)?,
                false => acl.revoke(what, grant.terms.cascade)?,
            }
        }
        match (place, same(&acl.items, &base.items)) {
            (Some(at), true) => {
                role.default_privileges.remove(at);
            }
            (None, true) => {}
            (Some(at), false) => role.default_privileges[at].items = acl.items,
            (None, false) => role.default_privileges.push(DefaultPrivileges {
                oid: self.instance.allocate_oid()?,
                schema,
                kind,
                items: acl.items,
            }),
        }
        Ok(())
    }
}

/// Whether two lists say the same, in whatever order.
fn same(a: &[AclItem], b: &[AclItem]) -> bool {
    a.len() == b.len() && a.iter().all(|item| b.contains(item))
}

pub(crate) fn default_class(kind: DefaultKind) -> ObjectClass {
    match kind {
        DefaultKind::Tables => ObjectClass::Table,
        DefaultKind::Sequences => ObjectClass::Sequence,
        DefaultKind::Functions => ObjectClass::Function,
        DefaultKind::Types => ObjectClass::Type,
        DefaultKind::Schemas => ObjectClass::Schema,
    }
}

/// Which role of those that a role is a member of may grant most, and what that is.
fn best_grantor(
    catalog: &CatalogSnapshot,
    role: Oid,
    acl: &Acl,
    wanted: Privileges,
) -> (Oid, Privileges) {
    let own = |of: Oid| {
        let items = acl.items.iter().filter(|item| item.grantee == of);
        items.fold(Privileges::NONE, |all, item| all | item.grantable)
    };
    let mut best = (role, own(role) & wanted);
    for item in &acl.items {
        if item.grantee == PUBLIC
            || !crate::privilege::Authority::of(catalog, role).holds(item.grantee)
        {
            continue;
        }
        let may = own(item.grantee) & wanted;
        if may.each().count() > best.1.each().count() {
            best = (item.grantee, may);
        }
    }
    best
}

/// The list that a new object starts with by the default privileges of its owner; `None` when there is nothing
/// to say.
pub(crate) fn default_access(catalog: &CatalogSnapshot, object: &Object) -> Option<AccessList> {
    let (kind, oid, owner, schema) = match object {
        Object::Table(t) => (DefaultKind::Tables, t.oid, t.owner, Some(t.schema)),
        Object::View(v) => (DefaultKind::Tables, v.oid, v.owner, Some(v.schema)),
        Object::Sequence(s) => (DefaultKind::Sequences, s.oid, s.owner, Some(s.schema)),
        Object::Schema(s) => (DefaultKind::Schemas, s.oid, s.owner, None),
        Object::Routine(r) => (DefaultKind::Functions, r.oid, r.owner, Some(r.schema)),
        _ => return None,
    };
    let defaults = &catalog.role(owner)?.default_privileges;
    if defaults.is_empty() {
        return None;
    }
    let of = |schema: Option<Oid>| {
        let mut found = defaults.iter();
        found.find(|d| d.kind == kind && d.schema == schema)
    };
    let class = default_class(kind);
    let plain = Acl::default_of(class, oid, owner);
    let mut acl = match of(None) {
        Some(all) => Acl {
            owner,
            items: all.items.clone(),
        },
        None => plain.clone(),
    };
    if let Some(more) = schema.and_then(|schema| of(Some(schema))) {
        acl.merge(&more.items);
    }
    (!same(&acl.items, &plain.items)).then_some(AccessList {
        class: class.catalog(),
        object: oid,
        sub: 0,
        items: acl.items,
    })
}
