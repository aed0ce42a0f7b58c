//! Its functions: a scalar one, a strict one, an aggregate, a table function.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_array::{ArrayRef, Int64Array, LargeStringArray, StringArray};
use heliosdb_plugin_api::{Accumulator, Arguments, Context, Error, Result, TableCursor, state};

use super::fault;

static CALLS: AtomicI64 = AtomicI64::new(0);

/// The text in upper case with exclamation marks, so many times; NULL is silence.
pub fn shout<const FAULT: u8>(loudness: usize, arguments: &Arguments) -> Result<ArrayRef> {
    let rows = match FAULT {
        fault::WRONG_LENGTH => arguments.rows() + 1,
        _ => arguments.rows(),
    };
    if FAULT == fault::WRONG_TYPE {
        return Ok(Arc::new(Int64Array::from(vec![1; rows])));
    }
    let mut all: Vec<Option<String>> = Vec::new();
    for row in 0..rows {
        let text = match FAULT {
            fault::PANICS_ON_NULL => Some(arguments[0].text(row).expect("never NULL")),
            // The value at the row of a constant, which has only one.
            fault::FORGETS_CONSTANTS if arguments[0].is_constant() && row > 0 => None,
            _ => arguments[0].text(row),
        };
        let marks = arguments[1].integer(row).unwrap_or(1).clamp(0, 3) as usize;
        let extra = match FAULT {
            fault::COUNTS_ROWS => row.to_string(),
            fault::NOT_DETERMINISTIC => CALLS.fetch_add(1, Ordering::Relaxed).to_string(),
            _ => String::new(),
        };
        let shouted = |t: &str| t.to_uppercase() + &"!".repeat(loudness * marks) + &extra;
        all.push(text.map(shouted));
    }
    // Another layout than text has: the kit converts it.
    Ok(Arc::new(LargeStringArray::from(all)))
}

/// Strict: it is never called for a NULL.
pub fn halve<const FAULT: u8>(_: &Context<'_>, arguments: &Arguments) -> Result<ArrayRef> {
    let half = |row| {
        let value = arguments[0].integer(row);
        value.expect("a strict function is not called for NULL") / 2
    };
    let halves = (0..arguments.rows()).map(half);
    Ok(Arc::new(Int64Array::from_iter_values(halves)))
}

struct Total<const FAULT: u8>(i64);

pub fn total<const FAULT: u8>() -> Result<Box<dyn Accumulator>> {
    Ok(Box::new(Total::<FAULT>(0)))
}

impl<const FAULT: u8> Accumulator for Total<FAULT> {
    fn update(&mut self, arguments: &Arguments) -> Result<()> {
        for row in 0..arguments.rows() {
            let value = arguments[0].integer(row).unwrap_or(0);
            self.0 = self.0.wrapping_add(value);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.0.to_le_bytes().to_vec())
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let other = <[u8; 8]>::try_from(state);
        let other = match FAULT {
            fault::BELIEVES_STATE => other.expect("eight bytes"),
            _ => other.map_err(|_| Error::new(state::DATA_CORRUPTED, "not a total"))?,
        };
        if FAULT != fault::FORGETS_MERGE {
            self.0 = self.0.wrapping_add(i64::from_le_bytes(other));
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(vec![self.0])))
    }
}

struct Letters<const FAULT: u8> {
    text: Vec<char>,
    place: usize,
}

pub fn letters<const FAULT: u8>(
    _: &Context<'_>,
    arguments: &Arguments,
) -> Result<Box<dyn TableCursor>> {
    Ok(Box::new(Letters::<FAULT> {
        text: arguments[0].text(0).unwrap_or_default().chars().collect(),
        place: 0,
    }))
}

impl<const FAULT: u8> TableCursor for Letters<FAULT> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Vec<ArrayRef>>> {
        if FAULT != fault::IGNORES_CANCEL {
            cx.check_cancelled()?;
        }
        let Some(letter) = self.text.get(self.place) else {
            return Ok(None);
        };
        self.place += 1;
        let place = match FAULT {
            fault::NEVER_THE_SAME_ROWS => CALLS.fetch_add(1, Ordering::Relaxed),
            _ => self.place as i64,
        };
        Ok(Some(vec![
            Arc::new(Int64Array::from(vec![place])),
            Arc::new(StringArray::from(vec![letter.to_string()])),
        ]))
    }
}
