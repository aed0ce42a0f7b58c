//! Foreign keys whose check waits for the end of the transaction: `DEFERRABLE` ones, and SET CONSTRAINTS.
//!
//! 1. *What waits is what does not hold yet.* A deferred check is made when its statement ends, too, and only
//!    keys that it finds without a parent are kept, each once. A parent that is there is locked, as by a check
//!    that does not wait; only one that somebody else has locked is looked for again.
//! 2. *Checked again as one question*: whether a row refers to the key, and none has it. Which of the two
//!    tables changed last only decides how a violation is worded.
//! 3. *Savepoints.* Keys are kept in the order in which they came, so that a rollback forgets those at the end.
//!    One that was found since a savepoint may be lost again with it, so that keys stay while there are savepoints.
//!
//! The grammar of SET CONSTRAINTS, which the dialect lacks:
//!
//! ```text
//! SET CONSTRAINTS { ALL | name [, …] } { DEFERRED | IMMEDIATE }
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlparser::ast::ObjectName;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

use super::Session;
use super::outcome::Outcome;
use crate::catalog::model::{Constraint, ConstraintKind, Deferral, Table};
use crate::catalog::{CatalogSnapshot, Oid};
use crate::dml::foreign_key::{self, Change, Orphan};
use crate::dml::target::ForeignKeyTarget;
use crate::error::{Result, SqlError, state};
use crate::names;

/// Keys that wait at most.
const ORPHANS_MAX: usize = 1 << 20;

/// What a transaction has to check before it commits, and what SET CONSTRAINTS said of it.
#[derive(Default)]
pub(crate) struct Deferred {
    orphans: Vec<(Oid, Orphan)>,
    /// The same, to be told apart from others.
    known: HashSet<Known>,
    /// Constraints all of whose orphans were checked since they came, or came back, and had their parent.
    checked: HashSet<Oid>,
    set: Set,
}

/// A constraint, and what tells its orphans apart.
type Known = (Oid, Change, Box<[u8]>);

/// What is forgotten with a savepoint.
#[derive(Clone)]
pub(super) struct Mark {
    orphans: usize,
    set: Set,
}

/// Whether checks wait, where SET CONSTRAINTS said so.
#[derive(Clone, Default)]
struct Set {
    all: Option<bool>,
    each: HashMap<Oid, bool>,
}

/// SET CONSTRAINTS.
#[derive(Clone, Debug)]
pub(crate) struct SetConstraints {
    /// `None` for all.
    names: Option<Vec<ObjectName>>,
    deferred: bool,
}

/// Parses from the word SET on.
pub(super) fn parse(p: &mut Parser<'_>) -> std::result::Result<SetConstraints, ParserError> {
    p.next_token();
    p.next_token();
    let names = match p.parse_keyword(Keyword::ALL) {
        true => None,
        false => Some(p.parse_comma_separated(|p| p.parse_object_name(false))?),
    };
    let when = p.expect_one_of_keywords(&[Keyword::DEFERRED, Keyword::IMMEDIATE])?;
    let deferred = when == Keyword::DEFERRED;
    Ok(SetConstraints { names, deferred })
}

impl Deferred {
    pub(super) fn is_empty(&self) -> bool {
        self.orphans.is_empty()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            orphans: self.orphans.len(),
            set: self.set.clone(),
        }
    }

    pub(super) fn back_to(&mut self, mark: &Mark) {
        let kept = mark.orphans.min(self.orphans.len());
        for (constraint, orphan) in self.orphans.drain(kept..) {
            self.known.remove(&known(constraint, &orphan));
        }
        self.checked.clear();
        self.set = mark.set.clone();
    }

    fn waits(&self, constraint: &Constraint) -> bool {
        let ConstraintKind::ForeignKey(key) = &constraint.kind else {
            return false;
        };
        let initially = match key.deferral {
            Deferral::NotDeferrable => return false,
            Deferral::InitiallyImmediate => false,
            Deferral::InitiallyDeferred => true,
        };
        let said = self.set.each.get(&constraint.oid).copied();
        said.or(self.set.all).unwrap_or(initially)
    }

    fn push(&mut self, constraint: Oid, orphan: Orphan) -> Result<()> {
        self.checked.remove(&constraint);
        if !self.known.insert(known(constraint, &orphan)) {
            return Ok(());
        }
        if self.orphans.len() >= ORPHANS_MAX {
            return Err(SqlError::new(
                state::OUT_OF_MEMORY,
                format!(
                    "more than {ORPHANS_MAX} keys without a row wait for the end of the transaction"
                ),
            )
            .with_hint("Write the rows that are referred to first."));
        }
        self.orphans.push((constraint, orphan));
        Ok(())
    }
}

fn known(constraint: Oid, orphan: &Orphan) -> Known {
    (constraint, orphan.change, orphan.encoded.clone())
}

impl Session {
    /// Whether the check of a foreign key waits for the end of the transaction.
    pub(crate) fn waits(&self, fk: &ForeignKeyTarget) -> bool {
        self.txn.deferred.waits(&fk.constraint)
    }

    /// Keeps a key that no row of the parent has.
    pub(crate) fn check_later(&mut self, fk: &ForeignKeyTarget, orphan: Orphan) -> Result<()> {
        self.txn.deferred.push(fk.constraint.oid, orphan)
    }

    pub(crate) fn set_constraints(&mut self, set: &SetConstraints) -> Result<Outcome> {
        if !self.txn.in_block() {
            self.warn(
                state::NO_ACTIVE_SQL_TRANSACTION,
                "SET CONSTRAINTS can only be used in transaction blocks",
            );
        }
        let (_, catalog) = self.read_view()?;
        match &set.names {
            None => {
                self.txn.deferred.set = Set {
                    all: Some(set.deferred),
                    each: HashMap::new(),
                }
            }
            Some(names) => {
                for name in names {
                    for constraint in self.constraints_named(&catalog, name, set.deferred)? {
                        self.txn.deferred.set.each.insert(constraint, set.deferred);
                    }
                }
            }
        }
        if !set.deferred {
            self.check_deferred(|deferred, constraint| !deferred.waits(constraint))?;
        }
        super::done("SET CONSTRAINTS")
    }

    /// The constraints of a name, which all have to be deferrable to be `deferred`: those of the first schema of
    /// the search path that has one.
    fn constraints_named(
        &self,
        catalog: &CatalogSnapshot,
        name: &ObjectName,
        deferred: bool,
    ) -> Result<Vec<Oid>> {
        let (schema, name) = names::qualified(name, &self.info.database)?;
        let path = match schema {
            Some(schema) if !self.info.has_schema(&self.info.schema_named(&schema)) => {
                return Err(SqlError::new(
                    state::INVALID_SCHEMA_NAME,
                    format!("schema \"{schema}\" does not exist"),
                ));
            }
            Some(schema) => vec![schema],
            None => self.info.search_path(),
        };
        let path = path.iter().map(|schema| self.info.schema_named(schema));
        let path: Vec<_> = path.collect();
        let schemas = path.iter().filter_map(|s| catalog.schema_by_name(s));
        for schema in schemas {
            let of_schema = |c: &&Arc<Constraint>| {
                let table = catalog.table(c.table);
                c.name == name && table.is_some_and(|t| t.schema == schema.oid)
            };
            let mut found = Vec::new();
            for constraint in catalog.constraints().filter(of_schema) {
                if deferred && constraint.deferral() == Deferral::NotDeferrable {
                    return Err(SqlError::new(
                        state::WRONG_OBJECT_TYPE,
                        format!("constraint \"{name}\" is not deferrable"),
                    ));
                }
                found.push(constraint.oid);
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(SqlError::new(
            state::UNDEFINED_OBJECT,
            format!("constraint \"{name}\" does not exist"),
        ))
    }

    /// Checks all that waits, before the transaction commits.
    pub(super) fn check_all_deferred(&mut self) -> Result<()> {
        self.check_deferred(|_, _| true)?;
        self.txn.deferred = Deferred::default();
        Ok(())
    }

    /// Checks what waits for those constraints. The violation that came first is the error.
    fn check_deferred(&mut self, of: impl Fn(&Deferred, &Constraint) -> bool) -> Result<()> {
        if self.txn.deferred.is_empty() {
            return Ok(());
        }
        let (_, catalog) = self.write_view()?;
        let mut by_constraint: HashMap<Oid, Vec<usize>> = HashMap::new();
        for (place, (constraint, _)) in self.txn.deferred.orphans.iter().enumerate() {
            by_constraint.entry(*constraint).or_default().push(place);
        }
        let mut first: Option<(usize, SqlError)> = None;
        let mut checked = HashSet::new();
        for (constraint, places) in by_constraint {
            // One that was dropped holds nobody to anything.
            let Some(constraint) = catalog.constraint(constraint) else {
                continue;
            };
            if !of(&self.txn.deferred, constraint) {
                continue;
            }
            checked.insert(constraint.oid);
            let fk = ForeignKeyTarget::of(&catalog, constraint)?;
            let orphans = &self.txn.deferred.orphans;
            let orphans: Vec<Orphan> = places
                .iter()
                .map(|place| orphans[*place].1.clone())
                .collect();
            if let Some((at, error)) = foreign_key::first_orphan(self, &fk, &orphans)?
                && first.as_ref().is_none_or(|(first, _)| places[at] < *first)
            {
                first = Some((places[at], error));
            }
        }
        if let Some((_, error)) = first {
            return Err(error);
        }
        // What has its parent now may lose it again with a savepoint, also one of who runs this statement.
        let may_go_back = self.txn.savepoints() > 0 || self.nesting > 0;
        let deferred = &mut self.txn.deferred;
        if may_go_back {
            deferred.checked.extend(checked);
        } else {
            deferred.orphans.retain(|(of, _)| !checked.contains(of));
            deferred.known.retain(|(of, ..)| !checked.contains(of));
        }
        Ok(())
    }

    /// 55006 when keys of rows of a table wait, which a statement like `what` would make other ones.
    pub(crate) fn check_none_waits(&self, what: &str, table: &Table) -> Result<()> {
        let deferred = &self.txn.deferred;
        if deferred.is_empty() {
            return Ok(());
        }
        let catalog = self.info.catalog();
        let is_of = |(constraint, _): &(Oid, Orphan)| {
            let is_of =
                |c: &Arc<Constraint>| c.table == table.oid || c.references() == Some(table.oid);
            !deferred.checked.contains(constraint)
                && catalog.constraint(*constraint).is_some_and(is_of)
        };
        match deferred.orphans.iter().any(is_of) {
            false => Ok(()),
            true => Err(SqlError::new(
                state::OBJECT_IN_USE,
                format!(
                    "cannot {what} \"{}\" because it has pending trigger events",
                    table.name
                ),
            )),
        }
    }
}
