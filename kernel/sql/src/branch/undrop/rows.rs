//! The rows of a table that comes back, and where its sequences go on.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use heliosdb_storage::ScanRequest;
use heliosdb_storage::ids::{CollectionId, ColumnId};

use super::Dropped;
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::{DomainRules, Sequence};
use crate::dml::write::Writer;
use crate::error::Result;
use crate::session::Session;
use crate::types::extension;

impl Session {
    /// Copies the rows of a table into the one that has its place now and is empty. They are as they were, and so is
    /// what is worked out from them; only rules of domains that are new are looked at.
    pub(super) fn copy_rows(
        &mut self,
        dropped: &Dropped,
        catalog: &Arc<CatalogSnapshot>,
        sequences: &[Sequence],
    ) -> Result<()> {
        let meta = dropped.catalog.table_meta(dropped.table.oid)?;
        let owner = catalog.table(dropped.table.oid).map(|table| table.owner);
        let owner = owner.unwrap_or(dropped.table.owner);
        let target = self.as_role(owner, |session| {
            session.with_state(|session, state| {
                session.write_target(state, catalog, dropped.table.oid)
            })
        })?;
        let mut rules: Vec<(usize, Arc<DomainRules>)> = Vec::new();
        for (place, (was, is)) in meta.columns.iter().zip(&target.meta.columns).enumerate() {
            if let Some(is) = &is.domain
                && is_stricter(is, was.domain.as_deref())
            {
                rules.push((place, is.clone()));
            }
        }
        let mut counted: Vec<Counted<'_>> = sequences
            .iter()
            .filter_map(|sequence| {
                let place = meta.position(ColumnId(sequence.owned_by?.column))?;
                Some(Counted {
                    sequence,
                    place,
                    furthest: None,
                })
            })
            .collect();
        let request = ScanRequest::columns(meta.all_columns());
        let scans = dropped.rows.scan(meta.storage.clone(), request)?;
        let mut writer = Writer::new(self, catalog.clone());
        for batch in scans.into_iter().flatten() {
            self.interrupt.check()?;
            let batch = batch.map_err(|error| meta.explain(error))?;
            if batch.num_rows() == 0 {
                continue;
            }
            let schema = &target.meta.schema;
            let columns = batch.columns().iter().zip(schema.fields());
            let columns = columns.map(|(values, f)| extension::wrapped_as(values, f.data_type()));
            let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
            for (place, rules) in &rules {
                rules.check(&columns[*place])?;
            }
            for counted in &mut counted {
                counted.look(&columns[counted.place])?;
            }
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
            writer.insert(self, &target, batch)?;
        }
        self.with_state(|session, state| writer.finish(session, state))?;
        for counted in counted {
            self.count_past(&counted)?;
        }
        Ok(())
    }

    /// Lets a sequence go on behind the values that the rows have.
    fn count_past(&mut self, counted: &Counted<'_>) -> Result<()> {
        let Counted {
            sequence, furthest, ..
        } = counted;
        let collection = CollectionId(sequence.collection);
        let Some(value) = furthest.filter(|v| (sequence.min..=sequence.max).contains(v)) else {
            return Ok(());
        };
        let is_behind = |state: Option<(i64, bool)>| {
            let (next, is_last) = state.unwrap_or((sequence.start, false));
            match (sequence.increment >= 0, is_last) {
                (true, true) => next < value,
                (true, false) => next <= value,
                (false, true) => next > value,
                (false, false) => next >= value,
            }
        };
        let counter = self.instance.engine().sequence_counter(collection);
        let shown = self.info.place().sequence_state(collection);
        if !sequence.cycle && is_behind(counter) && (shown.is_none() || is_behind(shown)) {
            self.info.place().sequence_set(collection, value, true)?;
            self.transaction()?.used_sequence();
        }
        Ok(())
    }
}

/// A sequence, and the value of its column that is furthest on.
struct Counted<'a> {
    sequence: &'a Sequence,
    /// Of the column, among the live ones.
    place: usize,
    furthest: Option<i64>,
}

impl Counted<'_> {
    fn look(&mut self, values: &ArrayRef) -> Result<()> {
        if !values.data_type().is_integer() {
            return Ok(());
        }
        let values = cast(values, &DataType::Int64)?;
        let values = values.as_primitive::<Int64Type>();
        let (found, further): (_, fn(i64, i64) -> i64) = match self.sequence.increment >= 0 {
            true => (max(values), i64::max),
            false => (min(values), i64::min),
        };
        if let Some(found) = found {
            self.furthest = Some(self.furthest.map_or(found, |known| further(known, found)));
        }
        Ok(())
    }
}

/// Whether values of a domain may not be what they were allowed to be.
fn is_stricter(is: &DomainRules, was: Option<&DomainRules>) -> bool {
    let Some(was) = was else {
        return true;
    };
    (is.not_null && !was.not_null) || !is.checks.iter().all(|check| was.checks.contains(check))
}
