//! A plugin of functions and operators over text, linked into the tests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::arrow::array::{
    Array, BooleanArray, Int32Array, Int64Array, StringArray, StringViewArray,
};
use heliosdb_plugin_api::{
    Accumulator, Arguments, Context, Error, Host, Plugin, Registrar, Result, Settings, TableCursor,
    rows, state,
};

pub struct Letters {
    ticks: Arc<AtomicI64>,
}

impl Plugin for Letters {
    const MANIFEST: &'static str = r#"
id = "letters"
version = "1.0.0"
abi = 1
description = "functions over text, for tests"

[[function]]
name = "shout"
kind = "scalar"
arguments = ["text"]
returns = "text"
volatility = "immutable"
strict = true

[[function]]
name = "shout"
kind = "scalar"
arguments = ["text", "integer"]
returns = "text"
volatility = "immutable"
strict = true

[[function]]
name = "described"
kind = "scalar"
arguments = ["any"]
variadic = true
returns = "text"
volatility = "immutable"

[[function]]
name = "tick"
kind = "scalar"
arguments = []
returns = "bigint"
volatility = "volatile"

[[function]]
name = "object"
kind = "scalar"
arguments = ["text", "json"]
returns = "jsonb"
volatility = "stable"
strict = true

[[function]]
name = "refuse"
kind = "scalar"
arguments = ["text"]
returns = "text"
volatility = "immutable"

[[function]]
name = "mistake"
kind = "scalar"
arguments = ["text"]
returns = "text"
volatility = "immutable"

[[function]]
name = "spin"
kind = "scalar"
arguments = ["text"]
returns = "text"
volatility = "volatile"

[[function]]
name = "alphabet"
kind = "aggregate"
arguments = ["text"]
returns = "text"
volatility = "immutable"
strict = true

[[function]]
name = "letters"
kind = "table"
arguments = ["text"]
returns = "TABLE(place integer, letter text)"
volatility = "immutable"
strict = true

[[function]]
name = "words"
kind = "table"
arguments = ["text"]
returns = "TABLE(word text)"
volatility = "immutable"
strict = true

[[function]]
name = "letters_apart"
kind = "scalar"
arguments = ["text", "text"]
returns = "integer"
volatility = "immutable"
strict = true

[[function]]
name = "has_letters"
kind = "scalar"
arguments = ["text", "text"]
returns = "boolean"
volatility = "immutable"
strict = true

[[operator]]
name = "<->"
left = "text"
right = "text"
returns = "integer"
function = "letters_apart"
commutator = "<->"

[[operator]]
name = "@@@"
left = "text"
right = "text"
returns = "boolean"
function = "has_letters"

[[operator]]
name = "<+>"
left = "text"
right = "text"
returns = "integer"
function = "letters_apart"

[[operator]]
name = "<=>"
left = "text"
right = "text"
returns = "integer"
function = "letters_apart"

[[operator]]
name = "-"
left = "text"
right = "text"
returns = "integer"
function = "letters_apart"
"#;

    fn start(_: Host, _: &Settings) -> Result<Letters> {
        Ok(Letters {
            ticks: Arc::default(),
        })
    }

    fn register(self: &Arc<Letters>, r: &mut Registrar) -> Result<()> {
        r.scalar("shout", &["text"], shout)?;
        r.scalar("shout", &["text", "integer"], shout)?;
        r.scalar("described", &["any"], described)?;
        let ticks = self.ticks.clone();
        r.scalar(
            "tick",
            &[],
            move |_: &Context<'_>, a: &Arguments| -> Result<ArrayRef> {
                let next = |_| ticks.fetch_add(1, Ordering::SeqCst) + 1;
                let values: Int64Array = (0..a.rows()).map(next).map(Some).collect();
                Ok(Arc::new(values))
            },
        )?;
        r.scalar("object", &["text", "json"], object)?;
        r.scalar("refuse", &["text"], refuse)?;
        r.scalar("mistake", &["text"], mistake)?;
        r.scalar("spin", &["text"], spin)?;
        r.aggregate("alphabet", &["text"], || -> Result<Box<dyn Accumulator>> {
            Ok(Box::new(Alphabet::default()))
        })?;
        r.table("letters", &["text"], letters)?;
        r.table("words", &["text"], words)?;
        r.scalar("letters_apart", &["text", "text"], letters_apart)?;
        r.scalar("has_letters", &["text", "text"], has_letters)
    }
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringViewArray>())
}

/// A strict function must never see a NULL.
fn strictly(a: &Arguments, row: usize) -> Result<&str> {
    a[0].text(row)
        .ok_or_else(|| Error::contract("a strict function was called with NULL"))
}

fn shout(_: &Context<'_>, a: &Arguments) -> Result<ArrayRef> {
    let marks = |row| match a.get(1) {
        None => Some(1),
        Some(n) => n.integer(row),
    };
    let values = (0..a.rows()).map(|row| {
        let marks = usize::try_from(marks(row).unwrap_or(0)).unwrap_or(0);
        Ok(Some(strictly(a, row)?.to_uppercase() + &"!".repeat(marks)))
    });
    Ok(texts(values.collect::<Result<Vec<_>>>()?.into_iter()))
}

/// How each argument arrived: type, constant or not, NULL or not.
fn described(_: &Context<'_>, a: &Arguments) -> Result<ArrayRef> {
    let describe = |row| {
        let parts = a.iter().map(|argument| {
            let constant = if argument.is_constant() {
                " constant"
            } else {
                ""
            };
            let null = if argument.is_null(row) { " null" } else { "" };
            format!("{}{constant}{null}", argument.array().data_type())
        });
        Some(parts.collect::<Vec<_>>().join(", "))
    };
    Ok(texts((0..a.rows()).map(describe)))
}

/// JSON that is not spelled as PostgreSQL spells it.
fn object(_: &Context<'_>, a: &Arguments) -> Result<ArrayRef> {
    let build = |row| {
        let (key, value) = (a[0].text(row)?, a[1].text(row)?);
        Some(format!("{{\"{key}\":{value},   \"b\":1,\"a\":1}}"))
    };
    let values: StringArray = (0..a.rows()).map(build).collect();
    Ok(Arc::new(values))
}

fn refuse(_: &Context<'_>, a: &Arguments) -> Result<ArrayRef> {
    Err(
        Error::new(state::INVALID_PARAMETER_VALUE, "these letters are refused")
            .with_detail(format!("They are \"{}\".", a[0].text(0).unwrap_or("")))
            .with_hint("Try others.")
            .at_row(0),
    )
}

/// Runs until it is told not to.
fn spin(cx: &Context<'_>, _: &Arguments) -> Result<ArrayRef> {
    loop {
        cx.check_cancelled()?;
        std::thread::yield_now();
    }
}

/// An array of the wrong length.
fn mistake(_: &Context<'_>, a: &Arguments) -> Result<ArrayRef> {
    Ok(texts((0..=a.rows()).map(|_| Some(String::new()))))
}

/// The distinct letters, in order.
#[derive(Default)]
struct Alphabet(BTreeSet<char>);

impl Accumulator for Alphabet {
    fn update(&mut self, a: &Arguments) -> Result<()> {
        for row in 0..a.rows() {
            self.0.extend(strictly(a, row)?.chars());
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.0.iter().collect::<String>().into_bytes())
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let letters = std::str::from_utf8(state).map_err(|e| Error::internal(e.to_string()))?;
        self.0.extend(letters.chars());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ArrayRef> {
        let letters: String = self.0.iter().collect();
        let value = (!letters.is_empty()).then_some(letters);
        Ok(texts(std::iter::once(value)))
    }
}

fn letters(_: &Context<'_>, a: &Arguments) -> Result<Box<dyn TableCursor>> {
    let text = strictly(a, 0)?;
    let places: Int32Array = (1..).zip(text.chars()).map(|(i, _)| Some(i)).collect();
    let letters = texts(text.chars().map(|c| Some(c.to_string())));
    Ok(rows(vec![Arc::new(places), letters]))
}

/// One word a batch.
fn words(_: &Context<'_>, a: &Arguments) -> Result<Box<dyn TableCursor>> {
    struct Words(Vec<String>);
    impl TableCursor for Words {
        fn next(&mut self, cx: &Context<'_>) -> Result<Option<Vec<ArrayRef>>> {
            cx.check_cancelled()?;
            let word = self.0.pop();
            Ok(word.map(|word| vec![texts(std::iter::once(Some(word)))]))
        }
    }
    let words = strictly(a, 0)?.split_whitespace().rev();
    Ok(Box::new(Words(words.map(str::to_owned).collect())))
}

/// How many places hold different letters.
fn letters_apart(_: &Context<'_>, a: &Arguments) -> Result<ArrayRef> {
    let apart = |row| {
        let (left, right) = (a[0].text(row)?, a[1].text(row)?);
        let (mut l, mut r) = (left.chars(), right.chars());
        let mut apart = 0;
        loop {
            match (l.next(), r.next()) {
                (None, None) => return Some(apart),
                (x, y) if x == y => {}
                _ => apart += 1,
            }
        }
    };
    let values: Int32Array = (0..a.rows()).map(apart).collect();
    Ok(Arc::new(values))
}

fn has_letters(_: &Context<'_>, a: &Arguments) -> Result<ArrayRef> {
    let has = |row| {
        let (text, wanted) = (a[0].text(row)?, a[1].text(row)?);
        Some(wanted.chars().all(|c| text.contains(c)))
    };
    let values: BooleanArray = (0..a.rows()).map(has).collect();
    debug_assert_eq!(values.len(), a.rows());
    Ok(Arc::new(values))
}
