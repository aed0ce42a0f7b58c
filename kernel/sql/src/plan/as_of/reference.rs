//! How a table at another time is named while it is planned.
//!
//! DataFusion compares plans by the names of what they scan, so that a table at two times has to have
//! two names: `mark slot.schema.name`, under the table's own name as its alias. The slot is the place
//! of the time among [`Uses::times`](crate::plan::context::Uses). Of VERSIONS BETWEEN it is the later
//! time's, and the earlier time has the next one.

use std::ops::ControlFlow;

use datafusion::common::TableReference;
use sqlparser::ast::{
    ObjectNamePart, Query, Statement, TableAlias, TableFactor, VisitMut, VisitorMut,
};

use super::syntax::{Moment, misplaced};
use crate::error::{Result, SqlError, state};
use crate::names::{fold, qualified, quoted_ident};

/// No SQL text can name it by accident.
const MARK: &str = "\u{1}as of ";
/// The same with all versions since the time of the next slot.
const VERSIONS: &str = "\u{1}versions ";
/// In the place of a schema that was not named.
const SEARCHED: &str = "\u{1}";

/// A table at another time.
#[derive(Debug, PartialEq)]
pub(crate) struct Reference<'a> {
    pub slot: usize,
    /// Whether all versions since the time of the next slot are read.
    pub versions: bool,
    pub schema: Option<&'a str>,
    pub name: &'a str,
}

impl Reference<'_> {
    /// What a reference stands for, when it is one of these.
    pub fn of(name: &TableReference) -> Option<Reference<'_>> {
        let marked = name.catalog()?;
        let (versions, slot) = match marked.strip_prefix(VERSIONS) {
            Some(slot) => (true, slot),
            None => (false, marked.strip_prefix(MARK)?),
        };
        Some(Reference {
            slot: slot.parse().ok()?,
            versions,
            schema: name.schema().filter(|schema| *schema != SEARCHED),
            name: name.table(),
        })
    }
}

/// Takes the times out of a query: its tables that have one get the slots from `first` on.
pub(crate) fn take(statement: &mut Statement, database: &str, first: usize) -> Result<Vec<Moment>> {
    let mut taker = Taker {
        database,
        first,
        times: Vec::new(),
        scopes: Vec::new(),
    };
    match statement.visit(&mut taker) {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok(taker.times),
    }
}

struct Taker<'a> {
    database: &'a str,
    first: usize,
    times: Vec<Moment>,
    scopes: Vec<Scope>,
}

/// The names of a query's WITH. Each is known from the end of its own query on; all from the start
/// when RECURSIVE is said.
struct Scope {
    known: Vec<String>,
    /// In order. The queries of WITH are the first inside a query.
    unknown: std::vec::IntoIter<String>,
}

impl VisitorMut for Taker<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        let with = query.with.as_ref();
        let names: Vec<String> = with
            .map(|w| w.cte_tables.iter().map(|c| fold(&c.alias.name)).collect())
            .unwrap_or_default();
        let (known, unknown) = match with {
            Some(with) if with.recursive => (names, Vec::new()),
            _ => (Vec::new(), names),
        };
        self.scopes.push(Scope {
            known,
            unknown: unknown.into_iter(),
        });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<SqlError> {
        self.scopes.pop();
        if let Some(around) = self.scopes.last_mut() {
            around.known.extend(around.unknown.next());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        match self.reference(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }
}

impl Taker<'_> {
    fn reference(&mut self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table {
            name,
            alias,
            version,
            ..
        } = factor
        else {
            return Ok(());
        };
        let Some(version) = version.take() else {
            return Ok(());
        };
        let moment = Moment::from_version(version).ok_or_else(misplaced)?;
        let (schema, table) = qualified(name, self.database)?;
        if schema.is_none() && self.scopes.iter().any(|s| s.known.contains(&table)) {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("\"{table}\" is a WITH query, which has no time of its own"),
            )
            .with_hint("Write AS OF after the tables inside it."));
        }
        let slot = self.first + self.times.len();
        let (until, since) = moment.split();
        let mark = match since {
            Some(_) => VERSIONS,
            None => MARK,
        };
        self.times.push(until);
        self.times.extend(since);
        let parts = [
            format!("{mark}{slot}"),
            schema.unwrap_or_else(|| SEARCHED.to_owned()),
            table.clone(),
        ];
        name.0 = parts
            .iter()
            .map(|part| ObjectNamePart::Identifier(quoted_ident(part)))
            .collect();
        alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: quoted_ident(&table),
            columns: Vec::new(),
            at: None,
        });
        Ok(())
    }
}
