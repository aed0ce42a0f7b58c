//! Misbehaviour from safe code, through the author's kit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Int64Array, LargeStringArray, StringArray};
use arrow_schema::DataType;
use heliosdb_plugin_api::{
    Accumulator, Arguments, Clause, ClauseAction, ClauseTarget, Codec, CommandOutcome, Comparison,
    Constraint, ConstraintDefinition, Context, Error, Result, SqlState, TableCursor, Type,
    Violation,
};

use crate::{columns, is};

/// How long it stays away when it ignores a cancel: longer than anybody waits for an answer.
const AWAY: Duration = Duration::from_millis(300);

/// A payload whose destructor panics again.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("twice");
    }
}

fn numbers(rows: usize) -> ArrayRef {
    Arc::new(Int64Array::from_iter((0..rows as i64).map(Some)))
}

pub fn bigint(_: &Context<'_>, arguments: &Arguments) -> Result<ArrayRef> {
    let rows = arguments.rows();
    if is("panics") {
        panic!("in a function");
    }
    if is("panics with a bomb") {
        std::panic::panic_any(Bomb);
    }
    if is("overflows an index") {
        return Ok(arguments[7].array().clone());
    }
    if is("ignores cancel") {
        let until = Instant::now() + AWAY;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }
    if is("invents a SQLSTATE") {
        return Err(Error::new(SqlState::new("💥!"), "odd").at_row(usize::MAX));
    }
    if is("talks too much") {
        let long = "blah ".repeat(2 << 20);
        return Err(Error::internal(&long).with_detail(&long).with_hint(long));
    }
    if is("gives too few rows") {
        return Ok(numbers(rows.saturating_sub(1)));
    }
    if is("gives too many rows") {
        return Ok(numbers(rows + 1));
    }
    if is("gives another type") {
        return Ok(Arc::new(BooleanArray::from(vec![true; rows])));
    }
    Ok(numbers(rows))
}

pub fn text(_: &Context<'_>, arguments: &Arguments) -> Result<ArrayRef> {
    Ok(columns::text(&crate::act(), arguments.rows()))
}

pub fn json(_: &Context<'_>, arguments: &Arguments) -> Result<ArrayRef> {
    Ok(columns::json(&crate::act(), arguments.rows()))
}

struct Sum(i64);

pub fn sum() -> Result<Box<dyn Accumulator>> {
    Ok(Box::new(Sum(0)))
}

impl Accumulator for Sum {
    fn update(&mut self, arguments: &Arguments) -> Result<()> {
        assert!(!is("panics in update"), "in an aggregate");
        let values = (0..arguments.rows()).filter_map(|row| arguments[0].integer(row));
        self.0 = values.fold(self.0, i64::wrapping_add);
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.0.to_le_bytes().to_vec())
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let other = <[u8; 8]>::try_from(state).map_err(|_| Error::internal("not a sum"))?;
        self.0 = self.0.wrapping_add(i64::from_le_bytes(other));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ArrayRef> {
        if is("evaluates to two rows") {
            return Ok(numbers(2));
        }
        if is("evaluates to text") {
            return Ok(Arc::new(BooleanArray::from(vec![true])));
        }
        Ok(Arc::new(Int64Array::from(vec![self.0])))
    }

    fn size_bytes(&self) -> usize {
        assert!(!is("panics in size_bytes"), "in a small thing");
        if is("is as large as memory") {
            return usize::MAX;
        }
        8
    }
}

impl Drop for Sum {
    fn drop(&mut self) {
        assert!(!is("panics in release"), "in a destructor");
    }
}

struct Rows(usize);

pub fn rows(_: &Context<'_>, _: &Arguments) -> Result<Box<dyn TableCursor>> {
    Ok(Box::new(Rows(0)))
}

impl TableCursor for Rows {
    fn next(&mut self, _: &Context<'_>) -> Result<Option<Vec<ArrayRef>>> {
        self.0 += 1;
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x"; 3]));
        if is("panics in next") {
            panic!("in a cursor");
        }
        if is("gives ragged columns") {
            return Ok(Some(vec![
                numbers(3),
                Arc::new(StringArray::from(vec!["x"])),
            ]));
        }
        if is("gives another number of columns") {
            return Ok(Some(vec![numbers(3)]));
        }
        // Never the end, and never a look at cancel.
        let ends = self.0 > 2 && !is("never ends");
        Ok((!ends).then(|| vec![numbers(3), text]))
    }
}

/// Its type and its codec.
pub struct Opaque;

impl Type for Opaque {
    fn parse(&self, text: &ArrayRef, _: i32) -> Result<ArrayRef> {
        let rows = match is("loses rows of a type") {
            true => 0,
            false => text.len(),
        };
        Ok(Arc::new(BinaryArray::from_vec(vec![b"x"; rows])))
    }

    fn format(&self, values: &ArrayRef) -> Result<ArrayRef> {
        assert!(!is("panics in format"), "in a type");
        Ok(Arc::new(StringArray::from(vec!["x"; values.len()])))
    }

    fn receive(&self, bytes: &ArrayRef, _: i32) -> Result<ArrayRef> {
        Ok(bytes.clone())
    }

    fn send(&self, values: &ArrayRef) -> Result<ArrayRef> {
        Ok(values.clone())
    }
}

impl Codec for Opaque {
    fn analyze(&self, _: &ArrayRef) -> Result<Option<u64>> {
        assert!(!is("panics in analyze"), "in a codec");
        Ok(Some(0))
    }

    fn encode(&self, block: &ArrayRef) -> Result<Vec<u8>> {
        if is("encodes more than it got") {
            return Ok(vec![7; 1 << 20]);
        }
        Ok((block.len() as u64).to_le_bytes().to_vec())
    }

    fn decode(&self, _: &[u8], _: &DataType, rows: usize) -> Result<ArrayRef> {
        assert!(!is("panics in decode"), "in a codec");
        Ok(match is("decodes to fewer rows") {
            true => numbers(rows.saturating_sub(1)),
            false => numbers(rows),
        })
    }

    fn filter(
        &self,
        _: &[u8],
        rows: usize,
        _: Comparison,
        _: &ArrayRef,
    ) -> Result<Option<BooleanArray>> {
        let rows = match is("filters fewer rows") {
            true => rows.saturating_sub(1),
            false => rows,
        };
        Ok(Some(BooleanArray::from(vec![true; rows])))
    }
}

/// Its constraint and its clause.
pub struct Never;

impl Constraint for Never {
    fn check(
        &self,
        _: &Context<'_>,
        _: &ConstraintDefinition,
        rows: &Arguments,
    ) -> Result<Vec<Violation>> {
        let violation = |row| Violation {
            row,
            ..Violation::default()
        };
        Ok(if is("blames a row that is not there") {
            vec![violation(rows.rows())]
        } else if is("blames row 2^64 - 1") {
            vec![violation(usize::MAX)]
        } else {
            Vec::new()
        })
    }
}

impl Clause for Never {
    fn apply(&self, _: &Context<'_>, _: &ClauseTarget, _: &[String]) -> Result<Vec<ClauseAction>> {
        let kind = match is("adds an unknown constraint") {
            true => "no_such_constraint",
            false => "hostile_constraint",
        };
        Ok(vec![ClauseAction::AddConstraint {
            kind: kind.to_owned(),
            options: String::new(),
            definition: "HOSTILE".to_owned(),
            depends_on: Vec::new(),
        }])
    }
}

pub fn command(_: &Context<'_>, _: &str) -> Result<CommandOutcome> {
    assert!(!is("panics in a command"), "in a command");
    let columns = vec![
        ("a".to_owned(), "bigint".to_owned()),
        ("b".to_owned(), "jsonb".to_owned()),
    ];
    let json = |rows| -> ArrayRef { Arc::new(LargeStringArray::from(vec!["{}"; rows])) };
    let batches = match is("gives ragged columns") {
        true => vec![vec![numbers(3), json(2)]],
        false => vec![vec![numbers(2), json(2)]],
    };
    Ok(CommandOutcome {
        tag: "DO HOSTILE".to_owned(),
        columns,
        batches,
    })
}
