//! How many rows ranges leave: told from zone maps, and, where those cannot tell, from a sample.

use arrow_array::Array;
use arrow_buffer::BooleanBuffer;

use super::filter::{ColumnRange, ValueRange, ZoneFilter};
use super::format::{Block, Rows};
use super::reader::{Keep, Picked, SegmentReader};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId};
use crate::schema::TableDef;

/// Blocks whose zone maps are looked at, evenly through a run.
const BLOCKS_MAX: usize = 256;
/// Of them, those whose values are.
const SAMPLES: usize = 2;
/// Rows of a decoded block that are held against a list, which is done one by one.
const LISTED_ROWS: usize = 1024;
/// What is not in the sample is taken to be a row of so many samples.
const RARE: f64 = 0.1;
/// The share taken where values are too large to be read for an estimate.
const UNREAD: f64 = 0.1;

struct Condition {
    zone: ZoneFilter,
    values: Option<ValueRange>,
    /// The share in the sample, once it was needed.
    sampled: Option<f64>,
}

impl SegmentReader {
    /// The share of a table's newest rows in this file that meet all ranges, roughly, and how many rows it
    /// is a share of. Reads a page or two of a column at most.
    pub fn share_estimate(&self, table: &TableDef, ranges: &[ColumnRange]) -> Result<(f64, u64)> {
        let Some((_, _, rows)) = self.rows(table.id)? else {
            return Ok((1.0, 0));
        };
        let mut conditions = Vec::new();
        for range in ranges {
            if let Some(column) = rows.columns.get(usize::from(range.column.0))
                && let Some(zone) = ZoneFilter::new(range, &column.ty)?
            {
                conditions.push(Condition {
                    zone,
                    values: ValueRange::new(range, &column.ty)?,
                    sampled: None,
                });
            }
        }
        let (mut seen, mut wanted) = (0.0, 0.0);
        let step = rows.head.len().div_ceil(BLOCKS_MAX).max(1);
        for block in rows.head.iter().step_by(step) {
            let mut share = 1.0;
            for condition in &mut conditions {
                share *= self.share_of_block(table.id, rows, block, condition)?;
            }
            seen += f64::from(block.rows);
            wanted += f64::from(block.rows) * share;
        }
        let live = self.live_rows(table.id);
        Ok((if seen > 0.0 { wanted / seen } else { 1.0 }, live))
    }

    fn share_of_block(
        &self,
        c: CollectionId,
        rows: &Rows,
        block: &Block,
        condition: &mut Condition,
    ) -> Result<f64> {
        let Some(Some(page)) = block.columns.get(usize::from(condition.zone.column.0)) else {
            return Ok(1.0);
        };
        let Some(zone) = &page.zone else {
            return Ok(if page.nulls == block.rows { 0.0 } else { 1.0 });
        };
        if let Some(share) = condition.zone.share(zone) {
            let values = block.rows.saturating_sub(page.nulls);
            let values = f64::from(values) / f64::from(block.rows.max(1));
            return Ok(values * share);
        }
        if condition.sampled.is_none() {
            condition.sampled = Some(self.sample(c, rows, condition)?);
        }
        Ok(condition.sampled.unwrap_or(1.0))
    }

    /// The share of the values that meet a condition, in a few blocks.
    fn sample(&self, c: CollectionId, rows: &Rows, condition: &Condition) -> Result<f64> {
        let Some(values) = &condition.values else {
            return Ok(1.0);
        };
        let column = condition.zone.column;
        let (mut seen, mut wanted) = (0, 0);
        let step = rows.head.len().div_ceil(SAMPLES).max(1);
        for block in rows.head.iter().step_by(step) {
            let Some(Some(page)) = block.columns.get(usize::from(column.0)) else {
                seen += block.rows as usize;
                continue;
            };
            if page.blobs.is_some() {
                return Ok(UNREAD);
            }
            let told = self.column_filter(c, rows, block, column, values, Keep::Stored)?;
            let inside = match told {
                Some((inside, _)) => inside,
                None => self.listed(c, rows, block, column, values)?,
            };
            wanted += inside.count_set_bits();
            seen += inside.len();
        }
        Ok((wanted as f64).max(RARE) / (seen as f64).max(1.0))
    }

    /// Which of a block's first rows have a value of a list.
    fn listed(
        &self,
        c: CollectionId,
        rows: &Rows,
        block: &Block,
        column: ColumnId,
        values: &ValueRange,
    ) -> Result<BooleanBuffer> {
        let all = Picked::new(block.rows as usize, None);
        let array = self.column_part(c, rows, block, column, &all, Keep::Stored)?;
        let array = array.ok_or_else(|| Error::internal(format!("no page of {column:?}")))?;
        let first = array.slice(0, array.len().min(LISTED_ROWS));
        values.select_few(&rows.columns[usize::from(column.0)].ty, &first)
    }
}
