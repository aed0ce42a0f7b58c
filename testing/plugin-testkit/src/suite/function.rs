//! Scalar functions: result type and length, constants, batches, NULLs, determinism.

use arrow_array::{Array, ArrayRef};
use heliosdb_plugin_api::Argument;
use heliosdb_plugin_api::manifest::{FunctionDecl, FunctionKind, Volatility};

use super::{Outcome, Suite, arguments, ensure, fair, slices};
use crate::host::Statement;
use crate::plugin::Started;
use crate::values::{self, SHAPES, Shape};

const ROWS: usize = 64;

pub fn check(suite: &Suite) -> Outcome {
    let plugin = suite.started()?;
    for (index, declared) in plugin.provides.functions.iter().enumerate() {
        if declared.kind == FunctionKind::Scalar {
            let case = Case {
                suite,
                plugin: &plugin,
                index: index as u32,
                declared,
            };
            case.check()
                .map_err(|why| format!("function {}: {why}", declared.name))?;
        }
    }
    Ok(())
}

struct Case<'a> {
    suite: &'a Suite,
    plugin: &'a Started,
    index: u32,
    declared: &'a FunctionDecl,
}

impl Case<'_> {
    fn check(&self) -> Outcome {
        self.empty()?;
        for shape in SHAPES {
            if self.declared.strict && shape == Shape::AllNull {
                continue;
            }
            let types = &self.declared.arguments;
            let name = &self.declared.name;
            let sets = self
                .suite
                .argument_sets(self.plugin, name, types, shape, ROWS)?;
            for columns in sets {
                self.columns(&columns)?;
            }
        }
        self.cancelled()
    }

    fn call(&self, arguments: &[Argument], rows: usize) -> Result<Option<ArrayRef>, String> {
        let statement = Statement::new();
        let result = self.plugin.scalar(self.index, &statement, arguments, rows);
        fair(&format!("{rows} rows"), result)
    }

    fn empty(&self) -> Outcome {
        let types = self.declared.arguments.iter();
        let columns: Result<Vec<_>, _> = types
            .map(|ty| self.suite.column(self.plugin, ty, Shape::Dense, 0, 0))
            .collect();
        if !self.declared.arguments.is_empty() {
            let result = self.call(&arguments(&columns?), 0)?;
            ensure(result.is_some(), || "no rows are an error".to_owned())?;
        }
        Ok(())
    }

    /// Everything that one set of columns can show.
    fn columns(&self, columns: &[ArrayRef]) -> Outcome {
        let rows = columns.first().map_or(1, |c| c.len());
        let rows: Vec<usize> = (0..rows).filter(|&r| !self.skipped(columns, r)).collect();
        let columns: Vec<ArrayRef> = columns.iter().map(|c| values::take(c, &rows)).collect();
        // Values that the function refuses are left out, so that the rest can be compared.
        let mut good = Vec::new();
        let mut single = Vec::new();
        for row in 0..rows.len() {
            let one = self.call(&arguments(&slices(&columns, row, 1)), 1)?;
            if let Some(value) = one {
                good.push(row);
                single.push(value);
            }
        }
        let columns: Vec<ArrayRef> = columns.iter().map(|c| values::take(c, &good)).collect();
        let rows = good.len();
        if rows == 0 {
            return Ok(());
        }
        let whole = self.call(&arguments(&columns), rows)?;
        let whole = whole.ok_or("rows that pass one by one fail together")?;
        if self.declared.volatility == Volatility::Volatile {
            return Ok(());
        }
        let single = values::concat(&single).ok_or("no rows")?;
        ensure(values::same(&whole, &single, false), || {
            "a batch gives other values than its rows one by one".to_owned()
        })?;
        let again = self.call(&arguments(&columns), rows)?;
        ensure(
            again.is_some_and(|a| values::same(&whole, &a, false)),
            || format!("it is {:?} and not deterministic", self.declared.volatility),
        )?;
        self.offset(&columns, &whole)?;
        self.constants(&columns, &whole)
    }

    /// A strict function is not called for a row with a NULL.
    fn skipped(&self, columns: &[ArrayRef], row: usize) -> bool {
        self.declared.strict && columns.iter().any(|c| c.is_null(row))
    }

    /// A slice of a longer column begins at an offset.
    fn offset(&self, columns: &[ArrayRef], whole: &ArrayRef) -> Outcome {
        let rows = whole.len();
        let (start, count) = (rows / 3, rows - rows / 3);
        let part = self.call(&arguments(&slices(columns, start, count)), count)?;
        let expected = whole.slice(start, count);
        ensure(
            part.is_some_and(|p| values::same(&p, &expected, false)),
            || "a slice of the columns gives other values".to_owned(),
        )
    }

    /// An argument that is constant means the same as its value in every row.
    fn constants(&self, columns: &[ArrayRef], whole: &ArrayRef) -> Outcome {
        let rows = whole.len();
        for row in [0, rows - 1] {
            for constant in 0..columns.len() {
                let mut expanded = columns.to_vec();
                expanded[constant] = values::take(&columns[constant], &vec![row; rows]);
                let Some(expected) = self.call(&arguments(&expanded), rows)? else {
                    continue;
                };
                let mut mixed = arguments(&expanded);
                mixed[constant] = Argument::new(columns[constant].slice(row, 1), true);
                let all = columns.len() == 1;
                let got = self.call(&mixed, if all { 1 } else { rows })?;
                let expected = if all { expected.slice(0, 1) } else { expected };
                ensure(
                    got.is_some_and(|g| values::same(&g, &expected, false)),
                    || format!("argument {} gives other values as a constant", constant + 1),
                )?;
            }
            let all: Vec<Argument> = columns
                .iter()
                .map(|c| Argument::new(c.slice(row, 1), true))
                .collect();
            let got = self.call(&all, 1)?;
            let expected = whole.slice(row, 1);
            ensure(
                got.is_some_and(|g| values::same(&g, &expected, false)),
                || "constant arguments give another value".to_owned(),
            )?;
        }
        Ok(())
    }

    /// A canceled statement gives 57014 or a result.
    fn cancelled(&self) -> Outcome {
        let (types, name) = (&self.declared.arguments, &self.declared.name);
        let sets = self
            .suite
            .argument_sets(self.plugin, name, types, Shape::Dense, ROWS)?;
        let statement = Statement::cancelled_after(0);
        for columns in sets {
            let rows = columns.first().map_or(1, |c| c.len());
            let result = self
                .plugin
                .scalar(self.index, &statement, &arguments(&columns), rows);
            fair("canceled", result)?;
        }
        Ok(())
    }
}
