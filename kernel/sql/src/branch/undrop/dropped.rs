//! Which table a name meant that is gone, and when it went.
//!
//! The catalog's rows have a history as any rows do. It is read back from now in spans that grow, until one has a
//! table of the name going, so that what was dropped lately is found without a look at all the rest. What the
//! statement's own transaction dropped is in no history: that is what it had before and has no more.

use std::sync::Arc;

use heliosdb_storage::ReadView;
use heliosdb_storage::ids::Ts;

use crate::catalog::CatalogSnapshot;
use crate::catalog::model::Table;
use crate::catalog::store::{self, CATALOG};
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold, is_temporary_schema, quoted_ident, split_qualified};
use crate::place;
use crate::session::Session;
use crate::session::info::SessionInfo;

/// The first span, in microseconds.
const SPAN_US: u64 = 60_000_000;
/// How much longer each is than the one after it.
const SPAN_GROWTH: u64 = 16;

/// What a statement asks for.
pub(super) struct Wanted {
    pub name: String,
    /// The one that is named, or those of the search path.
    schemas: Vec<String>,
    pub new_name: Option<String>,
}

impl Wanted {
    pub fn read(text: &str, name: Option<&str>, info: &SessionInfo) -> Result<Wanted> {
        let path = info.search_path();
        let cut = |name: String| fold(&quoted_ident(&name));
        let mut parts: Vec<String> = split_qualified(text)?.into_iter().map(cut).collect();
        if parts.len() == 3 && *parts[0] == *info.database {
            parts.remove(0);
        }
        let (schemas, table) = match parts.as_slice() {
            [table] => (path.clone(), table.clone()),
            [schema, table] => (
                vec![names::on_path(schema, &path).to_owned()],
                table.clone(),
            ),
            _ => {
                return Err(SqlError::unsupported(format!(
                    "cross-database reference to \"{text}\""
                )));
            }
        };
        let new_name = match name.map(split_qualified).transpose()?.as_deref() {
            None => None,
            Some([name]) => Some(cut(name.clone())),
            Some(_) => {
                return Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    "a table comes back in the schema that it was in",
                ));
            }
        };
        Ok(Wanted {
            name: table,
            schemas,
            new_name,
        })
    }

    /// Whether a table is meant that one catalog has and the other has not. Temporary ones have no history.
    fn means(&self, table: &Table, then: &CatalogSnapshot, now: &CatalogSnapshot) -> bool {
        let schema = then.schema(table.schema);
        let is_meant = schema.is_some_and(|schema| {
            self.schemas.contains(&schema.name) && !is_temporary_schema(&schema.name)
        });
        is_meant && table.name == self.name && !now.has(table.oid)
    }
}

/// A table that is gone.
pub(super) struct Dropped {
    /// As it was just before.
    pub table: Arc<Table>,
    pub catalog: Arc<CatalogSnapshot>,
    /// What shows its rows.
    pub rows: ReadView,
}

impl Session {
    /// The table that is meant, of several the one that went last.
    pub(super) fn find_dropped(
        &mut self,
        wanted: &Wanted,
        now: &CatalogSnapshot,
    ) -> Result<Option<Dropped>> {
        let latest = self.transaction()?.latest_view();
        let catalog = self.instance.catalog(&latest.committed())?;
        if let Some(table) = catalog.tables().find(|t| wanted.means(t, &catalog, now)) {
            // Nobody wrote there since the drop, so what the transaction had written before is still its last.
            return Ok(Some(Dropped {
                table: table.clone(),
                catalog: catalog.clone(),
                rows: latest,
            }));
        }
        let instance = self.instance.clone();
        let (engine, timeline) = (instance.engine(), self.info.place().id());
        let oldest = engine.oldest_ts_of(CATALOG);
        let (mut until, mut span) = (latest.ts(), SPAN_US);
        while until > oldest {
            self.interrupt.check()?;
            let since = oldest.max(Ts(until.0.saturating_sub(span)));
            let gone = store::dropped_tables(engine, timeline, since, until)?;
            let named = gone.into_iter().rev();
            let named = named.filter(|(_, t)| t.name == wanted.name && !now.has(t.oid));
            for (ts, table) in named {
                let rows = place::view_on(engine, timeline, Ts(ts.0.saturating_sub(1)))?;
                let catalog = instance.catalog(&rows)?;
                let Some(table) = catalog.table(table.oid).cloned() else {
                    continue;
                };
                if wanted.means(&table, &catalog, now) {
                    return Ok(Some(Dropped {
                        table,
                        catalog,
                        rows,
                    }));
                }
            }
            (until, span) = (since, span.saturating_mul(SPAN_GROWTH));
        }
        Ok(None)
    }
}
