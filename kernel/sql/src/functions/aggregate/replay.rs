//! Aggregates over window frames whose start moves, for those that cannot take a row back.
//!
//! As in PostgreSQL, such an aggregate begins anew for every frame; so the rows of the frame are kept.

use std::collections::VecDeque;
use std::fmt;
use std::mem::size_of_val;

use arrow::array::{Array, ArrayRef};
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue};
use datafusion::logical_expr::Accumulator;

type Make = Box<dyn Fn() -> DfResult<Box<dyn Accumulator>> + Send + Sync>;

pub struct Replay {
    make: Make,
    /// The arguments of the frame's rows, in the order in which they came.
    rows: VecDeque<Vec<ArrayRef>>,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// The aggregate itself, if it is one of exact numbers that takes rows back.
pub fn sliding(make: Make, takes_back: bool) -> DfResult<Box<dyn Accumulator>> {
    let inner = make()?;
    if takes_back && inner.supports_retract_batch() {
        return Ok(inner);
    }
    Ok(Box::new(Replay {
        make,
        rows: VecDeque::new(),
    }))
}

fn count(values: &[ArrayRef]) -> usize {
    values.first().map_or(0, |column| column.len())
}

impl Accumulator for Replay {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        if count(values) > 0 {
            self.rows.push_back(values.to_vec());
        }
        Ok(())
    }

    /// The first rows of the frame leave it.
    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let mut left = count(values);
        while left > 0 {
            let Some(first) = self.rows.pop_front() else {
                let reason = "more rows leave a frame than are in it";
                return Err(DataFusionError::Internal(reason.to_owned()));
            };
            let rows = count(&first);
            if rows > left {
                let kept = first.iter().map(|column| column.slice(left, rows - left));
                self.rows.push_front(kept.collect());
            }
            left = left.saturating_sub(rows);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let mut inner = (self.make)()?;
        for values in &self.rows {
            inner.update_batch(values)?;
        }
        inner.evaluate()
    }

    fn size(&self) -> usize {
        let columns = self.rows.iter().flatten();
        let rows: usize = columns.map(|column| column.get_array_memory_size()).sum();
        size_of_val(self) + rows
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        let reason = "a window has no partial states";
        Err(DataFusionError::Internal(reason.to_owned()))
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> DfResult<()> {
        let reason = "a window has no partial states";
        Err(DataFusionError::Internal(reason.to_owned()))
    }
}
