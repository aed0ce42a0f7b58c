//! Aggregates of plugins.
//!
//! The plugin has one accumulator per group; its state is a string of bytes of its own. For a window
//! frame whose start moves, the rows of the frame are kept and a new accumulator gets them for each
//! result, because a plugin's accumulator takes nothing back.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::compute::filter;
use arrow::datatypes::DataType;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use heliosdb_plugin_api::Argument;
use heliosdb_plugin_host::active::function::{self, Function};

use super::crossing::Declared;
use super::functions::{Types, declared};
use crate::error::SqlError;
use crate::functions::aggregate::{Added, added, signature};
use crate::plan::error::wrap;
use crate::semantics::overload::ResultType;
use crate::types::Format;

/// The aggregate of these overloads.
pub(super) fn udaf(name: &str, functions: &[&Arc<Function>]) -> AggregateUDF {
    let overloads = functions.iter().filter_map(|f| {
        let types = Types::of(f)?;
        let returns = declared(f, &f.declared.returns)?;
        let Declared::One { ty, arrow } = &returns else {
            return None;
        };
        let overload = signature(types.params(), types.variadic, ResultType::Is(ty.clone()));
        let aggregate = Aggregate(Arc::new(Declaration {
            function: Arc::clone(f),
            types,
            crossing: arrow.clone(),
            returns,
        }));
        Some((overload, Arc::new(aggregate) as Arc<dyn Added>))
    });
    added(name, overloads.collect())
}

struct Declaration {
    function: Arc<Function>,
    types: Types,
    returns: Declared,
    /// How a result crosses.
    crossing: DataType,
}

#[derive(Clone)]
struct Aggregate(Arc<Declaration>);

impl std::fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Aggregate({})", self.0.function.declared.name)
    }
}

impl Aggregate {
    fn group(&self) -> DfResult<Group> {
        Ok(Group {
            accumulator: self.0.function.accumulator().map_err(wrap)?,
            declaration: self.0.clone(),
        })
    }
}

impl Added for Aggregate {
    fn accumulator(&self) -> DfResult<Box<dyn Accumulator>> {
        Ok(Box::new(self.group()?))
    }

    fn sliding(&self) -> DfResult<Box<dyn Accumulator>> {
        Ok(Box::new(Frame {
            aggregate: self.clone(),
            rows: VecDeque::new(),
        }))
    }
}

/// The rows of one group.
struct Group {
    accumulator: function::Accumulator,
    declaration: Arc<Declaration>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Group")
    }
}

impl Accumulator for Group {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let rows = values.first().map_or(0, |v| v.len());
        let nulls = if self.declaration.function.declared.strict {
            values.iter().fold(None, |nulls: Option<NullBuffer>, v| {
                NullBuffer::union(nulls.as_ref(), v.logical_nulls().as_ref())
            })
        } else {
            None
        };
        let complete = match nulls {
            Some(nulls) if nulls.null_count() > 0 => {
                Some(BooleanArray::new(nulls.into_inner(), None))
            }
            _ => None,
        };
        let taken = complete.as_ref().map_or(rows, BooleanArray::true_count);
        if taken == 0 {
            return Ok(());
        }
        let arguments = values
            .iter()
            .enumerate()
            .map(|(i, v)| {
                let v = match &complete {
                    Some(complete) => filter(v, complete)?,
                    None => v.clone(),
                };
                let declared = self.declaration.types.argument(i);
                let v = declared.outward(&v, &Format::default())?;
                Ok(Argument::new(v, false))
            })
            .collect::<Result<Vec<_>, SqlError>>()
            .map_err(wrap)?;
        self.accumulator.update(&arguments, taken).map_err(wrap)
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let declaration = &self.declaration;
        let value = self.accumulator.evaluate(&declaration.crossing);
        let value = value.map_err(wrap)?;
        let value = declaration.returns.inward(value, &Format::default());
        ScalarValue::try_from_array(&value.map_err(wrap)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.accumulator.size_bytes()
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        let state = self.accumulator.state().map_err(wrap)?;
        Ok(vec![ScalarValue::Binary(Some(state))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let states = states.first().into_iter();
        for state in states.flat_map(|s| s.as_binary::<i32>()).flatten() {
            self.accumulator.merge(state).map_err(wrap)?;
        }
        Ok(())
    }
}

/// The rows of a window frame, oldest first.
#[derive(Debug)]
struct Frame {
    aggregate: Aggregate,
    rows: VecDeque<Vec<ArrayRef>>,
}

impl Accumulator for Frame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        self.rows.push_back(values.to_vec());
        Ok(())
    }

    /// Rows leave a frame in the order in which they came.
    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let mut leaving = values.first().map_or(0, |v| v.len());
        while leaving > 0
            && let Some(oldest) = self.rows.front_mut()
        {
            let length = oldest.first().map_or(0, |v| v.len());
            if length > leaving {
                for column in oldest {
                    *column = column.slice(leaving, length - leaving);
                }
                break;
            }
            leaving -= length;
            self.rows.pop_front();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let mut group = self.aggregate.group()?;
        for values in &self.rows {
            group.update_batch(values)?;
        }
        group.evaluate()
    }

    fn size(&self) -> usize {
        let arrays = self.rows.iter().flatten();
        size_of_val(self) + arrays.map(|a| a.get_array_memory_size()).sum::<usize>()
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        let mut group = self.aggregate.group()?;
        for values in &self.rows {
            group.update_batch(values)?;
        }
        group.state()
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> DfResult<()> {
        Err(wrap(SqlError::internal("a window frame is never merged")))
    }
}
