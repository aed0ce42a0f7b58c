//! OWNER TO, REASSIGN OWNED and DROP OWNED: whose an object is.
//!
//! A new owner takes over what the old one was granted and gave (`Acl::with_owner`). Indexes and owned
//! sequences belong to whom their table belongs to.

use std::collections::BTreeSet;

use sqlparser::ast::ObjectName;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::grant::syntax::{RoleName, role_name};
use super::put;
use crate::catalog::access::{AccessList, PUBLIC, Privileges};
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::privilege::acl::Acl;
use crate::privilege::authority;
use crate::privilege::check::must_be_member;
use crate::session::outcome::Outcome;
use crate::session::{Session, done};

/// One of the statements.
#[derive(Clone, Debug)]
pub(crate) enum Owner {
    /// ALTER kind name OWNER TO role.
    Alter {
        kind: Kind,
        name: ObjectName,
        if_exists: bool,
        to: RoleName,
    },
    /// REASSIGN OWNED BY roles TO role.
    Reassign { of: Vec<RoleName>, to: RoleName },
    /// DROP OWNED BY roles.
    Drop { of: Vec<RoleName>, cascade: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    View,
    Sequence,
    Schema,
    Database,
}

/// Whether tokens, without white space, are one of the statements.
pub(crate) fn is_one(tokens: &[&Token]) -> bool {
    let word = |at: usize, word: &str| {
        matches!(tokens.get(at), Some(Token::Word(w))
            if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    };
    let owned = |verb| word(0, verb) && word(1, "owned") && word(2, "by");
    let kind = ["view", "sequence", "schema", "database"];
    let last = tokens.len();
    owned("reassign")
        || owned("drop")
        || (word(0, "alter")
            && kind.iter().any(|kind| word(1, kind))
            && last >= 6
            && !word(last - 4, "set")
            && word(last - 3, "owner")
            && word(last - 2, "to"))
}

pub(crate) fn parse(p: &mut Parser<'_>) -> std::result::Result<Owner, ParserError> {
    let owner = parse_one(p)?;
    match p.peek_token() {
        end if end.token == Token::EOF => Ok(owner),
        next => p.expected("the end of the statement", next),
    }
}

fn parse_one(p: &mut Parser<'_>) -> std::result::Result<Owner, ParserError> {
    let verb = p.next_token().token.to_string().to_ascii_lowercase();
    if verb == "alter" {
        let kinds = [
            (Keyword::VIEW, Kind::View),
            (Keyword::SEQUENCE, Kind::Sequence),
            (Keyword::SCHEMA, Kind::Schema),
            (Keyword::DATABASE, Kind::Database),
        ];
        let kind = kinds.into_iter().find(|(word, _)| p.parse_keyword(*word));
        let Some((_, kind)) = kind else {
            let next = p.peek_token();
            return p.expected("a kind of object", next);
        };
        let if_exists = p.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let name = p.parse_object_name(false)?;
        p.next_token();
        p.next_token();
        let to = role_name(p)?;
        return Ok(Owner::Alter {
            kind,
            name,
            if_exists,
            to,
        });
    }
    p.next_token();
    p.next_token();
    let of = p.parse_comma_separated(role_name)?;
    if verb == "reassign" {
        p.expect_keyword(Keyword::TO)?;
        let to = role_name(p)?;
        return Ok(Owner::Reassign { of, to });
    }
    let cascade = p.parse_keyword(Keyword::CASCADE);
    if !cascade {
        let _ = p.parse_keyword(Keyword::RESTRICT);
    }
    Ok(Owner::Drop { of, cascade })
}

impl Session {
    pub(crate) fn own(&mut self, owner: &Owner) -> Result<Outcome> {
        self.begin_statement_snapshot();
        self.begin_ddl()?;
        let (_, catalog) = self.write_view()?;
        match owner {
            Owner::Alter {
                kind,
                name,
                if_exists,
                to,
            } => {
                if *if_exists && self.find_relation(&catalog, name)?.is_none() {
                    let shown = names::parts(name)?.join(".");
                    self.notify_skipped(format!("relation \"{shown}\" does not exist, skipping"));
                    return done(match kind {
                        Kind::View => "ALTER VIEW",
                        _ => "ALTER SEQUENCE",
                    });
                }
                let to = self.role_oid(&catalog, to)?;
                match kind {
                    Kind::Schema => {
                        self.change_schema_owner(name, to)?;
                        done("ALTER SCHEMA")
                    }
                    Kind::Database => Err(SqlError::unsupported("ALTER DATABASE … OWNER TO")
                        .with_hint("The first role owns the database.")),
                    kind => {
                        let relation = self.relation(&catalog, name)?;
                        match (kind, &relation) {
                            (Kind::View, Relation::View(_))
                            | (Kind::Sequence, Relation::Sequence(_)) => {}
                            (Kind::View, other) => return Err(not_a("view", other)),
                            (_, other) => return Err(not_a("sequence", other)),
                        }
                        self.change_owner(&relation, to)?;
                        done(match kind {
                            Kind::View => "ALTER VIEW",
                            _ => "ALTER SEQUENCE",
                        })
                    }
                }
            }
            Owner::Reassign { of, to } => {
                let to = self.role_oid(&catalog, to)?;
                self.check_member_of(&catalog, to)?;
                for of in self.owners(&catalog, of)? {
                    self.reassign(of, to)?;
                }
                done("REASSIGN OWNED")
            }
            Owner::Drop { of, cascade } => {
                for of in self.owners(&catalog, of)? {
                    self.drop_owned(of, *cascade)?;
                }
                done("DROP OWNED")
            }
        }
    }

    /// The roles of a list, which the current one may act for.
    fn owners(&self, catalog: &CatalogSnapshot, names: &[RoleName]) -> Result<Vec<Oid>> {
        let mut owners = Vec::new();
        for name in names {
            let role = self.role_oid(catalog, name)?;
            self.check_member_of(catalog, role)?;
            if role == oid::BOOTSTRAP_ROLE {
                let name = catalog.role(role).map_or("", |r| r.name.as_str());
                return Err(SqlError::new(
                    state::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop objects owned by role {name} because they are required by the database system"
                    ),
                ));
            }
            owners.push(role);
        }
        Ok(owners)
    }

    pub(super) fn check_member_of(&self, catalog: &CatalogSnapshot, role: Oid) -> Result<()> {
        if authority::is_member(catalog, self.info.role().oid, role) {
            return Ok(());
        }
        let name = catalog.role(role).map_or("", |r| r.name.as_str());
        Err(must_be_member(name))
    }

    /// Gives a table, view or sequence to another role, if the current one may.
    pub(super) fn change_owner(&mut self, relation: &Relation, to: Oid) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        if relation.owner() == to {
            return Ok(());
        }
        self.check_owner(relation.owner(), relation.kind(), relation.name())?;
        self.check_member_of(&catalog, to)?;
        if !self.info.role().superuser
            && let Some(schema) = catalog.schema(relation.schema())
        {
            let new = crate::privilege::Authority::of(&catalog, to);
            new.check_schema(&catalog, schema, Privileges::CREATE)?;
        }
        if let Relation::Sequence(s) = relation
            && let Some(of) = s.owned_by
        {
            let table = catalog.table(of.table).map_or("", |t| t.name.as_str());
            return Err(SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                format!("cannot change owner of sequence \"{}\"", s.name),
            )
            .with_detail(format!(
                "Sequence \"{}\" is linked to table \"{table}\".",
                s.name
            )));
        }
        let changes = owned(&catalog, relation, to);
        self.change_catalog(changes)?;
        Ok(())
    }

    fn change_schema_owner(&mut self, name: &ObjectName, to: Oid) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let name = names::qualified(name, &self.info.database)?.1;
        let schema = catalog.schema_by_name(&name).ok_or_else(|| {
            SqlError::new(
                state::INVALID_SCHEMA_NAME,
                format!("schema \"{name}\" does not exist"),
            )
        })?;
        self.check_owner(schema.owner, "schema", &schema.name)?;
        self.check_member_of(&catalog, to)?;
        let role = self.info.role();
        role.check_database(&catalog, &self.info.database, Privileges::CREATE)?;
        let mut changes = lists(&catalog, schema.oid, schema.owner, to);
        let schema = Schema::clone(schema);
        changes.push(put!(
            Schema,
            Schema {
                owner: to,
                ..schema
            }
        ));
        self.change_catalog(changes)?;
        Ok(())
    }

    fn reassign(&mut self, of: Oid, to: Oid) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let mut changes = Vec::new();
        for relation in relations(&catalog).filter(|r| r.owner() == of) {
            changes.extend(owned(&catalog, &relation, to));
        }
        for schema in catalog.schemas().filter(|s| s.owner == of) {
            changes.extend(lists(&catalog, schema.oid, of, to));
            let schema = Schema::clone(schema);
            changes.push(put!(
                Schema,
                Schema {
                    owner: to,
                    ..schema
                }
            ));
        }
        for ty in catalog.types().iter().filter(|t| t.owner == of) {
            let ty = UserType::clone(ty);
            changes.push(put!(UserType, UserType { owner: to, ..ty }));
        }
        for routine in catalog.routines().iter().filter(|r| r.owner == of) {
            changes.extend(owned_routine(&catalog, routine, to));
        }
        for object in catalog.plugin_objects().filter(|o| o.owner == of) {
            let object = PluginObject::clone(object);
            changes.push(put!(
                PluginObject,
                PluginObject {
                    owner: to,
                    ..object
                }
            ));
        }
        for extension in catalog.all_extensions().filter(|e| e.owner == of) {
            let extension = Extension::clone(extension);
            changes.push(put!(
                Extension,
                Extension {
                    owner: to,
                    ..extension
                }
            ));
        }
        self.change_catalog(changes)?;
        Ok(())
    }

    /// Gives what belongs to roles that are gone to the current one, and forgets what they granted and were granted:
    /// what is restored may be older than they are.
    pub(crate) fn adopt_orphans(&mut self) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let is_gone = |role: Oid| role != PUBLIC && catalog.role(role).is_none();
        let to = self.info.role().oid;
        let mut owners: BTreeSet<Oid> = relations(&catalog).map(|r| r.owner()).collect();
        owners.extend(catalog.schemas().map(|s| s.owner));
        owners.extend(catalog.types().iter().map(|t| t.owner));
        owners.extend(catalog.routines().iter().map(|r| r.owner));
        owners.extend(catalog.plugin_objects().map(|o| o.owner));
        owners.extend(catalog.all_extensions().map(|e| e.owner));
        for of in owners.into_iter().filter(|of| is_gone(*of)) {
            self.reassign(of, to)?;
        }
        let (_, given) = self.write_view()?;
        let mut changes = Vec::new();
        // Those of the database are not the branch's.
        for list in given.access_lists().filter(|l| l.class != oid::PG_DATABASE) {
            let mut items = list.items.clone();
            items.retain(|item| !is_gone(item.grantee) && !is_gone(item.grantor));
            if items.len() < list.items.len() {
                changes.push(Change::PutAccess(AccessList {
                    items,
                    ..AccessList::clone(list)
                }));
            }
        }
        for table in given.tables() {
            let mut changed = Table::clone(table);
            for policy in &mut changed.policies {
                policy.roles.retain(|role| !is_gone(*role));
            }
            changed.policies.retain(|policy| !policy.roles.is_empty());
            if changed != **table {
                changes.push(put!(Table, changed));
            }
        }
        if !changes.is_empty() {
            self.change_catalog(changes)?;
        }
        Ok(())
    }

    /// Drops what a role owns, and revokes what it was granted.
    fn drop_owned(&mut self, of: Oid, cascade: bool) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let mut roots: Vec<Oid> = relations(&catalog)
            .filter(|r| r.owner() == of && !matches!(r, Relation::Index(_)))
            .map(|r| r.oid())
            .collect();
        let types = catalog.types();
        roots.extend(types.iter().filter(|t| t.owner == of).map(|t| t.oid));
        let routines = catalog.routines().iter();
        roots.extend(routines.filter(|r| r.owner == of).map(|r| r.oid));
        roots.extend(catalog.schemas().filter(|s| s.owner == of).map(|s| s.oid));
        roots.extend(
            catalog
                .plugin_objects()
                .filter(|o| o.owner == of)
                .map(|o| o.oid),
        );
        self.drop_all(&roots, cascade)?;
        let (_, catalog) = self.write_view()?;
        let mut changes = Vec::new();
        for list in catalog.access_lists() {
            let mut items = list.items.clone();
            items.retain(|item| item.grantee != of && item.grantor != of);
            if items.len() < list.items.len() {
                changes.push(Change::PutAccess(AccessList {
                    items,
                    ..AccessList::clone(list)
                }));
            }
        }
        for role in catalog.roles() {
            let mut changed = Role::clone(role);
            if role.oid == of {
                changed.default_privileges.clear();
            }
            for default in &mut changed.default_privileges {
                default.items.retain(|item| item.grantee != of);
            }
            if changed != **role {
                changes.push(put!(Role, changed));
            }
        }
        for table in catalog.tables() {
            let mut changed = Table::clone(table);
            for policy in &mut changed.policies {
                policy.roles.retain(|role| *role != of);
            }
            changed.policies.retain(|policy| !policy.roles.is_empty());
            if changed != **table {
                changes.push(put!(Table, changed));
            }
        }
        self.change_catalog(changes)?;
        Ok(())
    }
}

fn not_a(kind: &str, relation: &Relation) -> SqlError {
    SqlError::new(
        state::WRONG_OBJECT_TYPE,
        format!("\"{}\" is not a {kind}", relation.name()),
    )
}

fn relations(catalog: &CatalogSnapshot) -> impl Iterator<Item = Relation> {
    let tables = catalog.tables().map(|t| Relation::Table(t.clone()));
    let views = catalog.views().map(|v| Relation::View(v.clone()));
    let sequences = catalog.sequences().map(|s| Relation::Sequence(s.clone()));
    tables.chain(views).chain(sequences)
}

/// The access lists of an object and its parts, when it changes hands.
fn lists(catalog: &CatalogSnapshot, object: Oid, from: Oid, to: Oid) -> Vec<Change> {
    let lists = catalog.access_lists_of(object);
    lists
        .map(|list| {
            let acl = Acl {
                owner: from,
                items: list.items.clone(),
            };
            Change::PutAccess(AccessList {
                items: acl.with_owner(to).items,
                ..AccessList::clone(list)
            })
        })
        .collect()
}

/// The changes that give a routine to a role.
pub(super) fn owned_routine(catalog: &CatalogSnapshot, routine: &Routine, to: Oid) -> Vec<Change> {
    let mut changes = lists(catalog, routine.oid, routine.owner, to);
    let routine = routine.clone();
    changes.push(put!(
        Routine,
        Routine {
            owner: to,
            ..routine
        }
    ));
    changes
}

/// The changes that give a relation, and what belongs to it, to a role.
fn owned(catalog: &CatalogSnapshot, relation: &Relation, to: Oid) -> Vec<Change> {
    let mut changes = lists(catalog, relation.oid(), relation.owner(), to);
    changes.push(match relation.clone() {
        Relation::Table(t) => put!(
            Table,
            Table {
                owner: to,
                ..t.as_ref().clone()
            }
        ),
        Relation::View(v) => put!(
            View,
            View {
                owner: to,
                ..v.as_ref().clone()
            }
        ),
        Relation::Sequence(s) => put!(
            Sequence,
            Sequence {
                owner: to,
                ..s.as_ref().clone()
            }
        ),
        Relation::Index(i) => put!(
            Index,
            Index {
                owner: to,
                ..i.as_ref().clone()
            }
        ),
    });
    for index in catalog.indexes_of(relation.oid()) {
        let index = Relation::Index(index.clone());
        changes.extend(owned(catalog, &index, to));
    }
    for sequence in catalog.sequences() {
        let of = sequence.owned_by;
        if of.is_some_and(|of| of.table == relation.oid()) {
            let sequence = Relation::Sequence(sequence.clone());
            changes.extend(owned(catalog, &sequence, to));
        }
    }
    changes
}
