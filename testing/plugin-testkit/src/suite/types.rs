//! Types: text and binary round trips of the author's samples, and input that is no value.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, StringViewArray};

use super::{Outcome, Suite, ensure, fair};
use crate::plugin::Started;
use crate::values::{self, Shape};

pub fn check(suite: &Suite) -> Outcome {
    let plugin = suite.started()?;
    for (index, declared) in plugin.provides.types.iter().enumerate() {
        let texts = suite.samples.types.get(&declared.name);
        let texts = texts
            .filter(|t| !t.is_empty())
            .ok_or_else(|| format!("type {}: Samples::texts has none of it", declared.name))?;
        check_one(&plugin, index as u32, texts)
            .map_err(|why| format!("type {}: {why}", declared.name))?;
    }
    Ok(())
}

fn strings<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter(texts))
}

fn check_one(plugin: &Started, index: u32, texts: &[String]) -> Outcome {
    // NULLs between the samples must stay where they are.
    let given = texts.iter().flat_map(|t| [Some(t.as_str()), None]);
    let given = strings(given);
    let values = plugin.parse(index, &given, -1);
    let values = values.map_err(|e| format!("a sample does not parse: {e}"))?;
    nulls_stay("parse", &given, &values)?;

    let text = plugin.format(index, &values);
    let text = text.map_err(|e| format!("format: {e}"))?;
    nulls_stay("format", &values, &text)?;
    let back = plugin.parse(index, &text, -1);
    let back = back.map_err(|e| format!("its own text does not parse: {e}"))?;
    ensure(values::same(&values, &back, false), || {
        "text and back gives another value".to_owned()
    })?;

    let bytes = plugin.send(index, &values);
    let bytes = bytes.map_err(|e| format!("send: {e}"))?;
    nulls_stay("send", &values, &bytes)?;
    let back = plugin.receive(index, &bytes, -1);
    let back = back.map_err(|e| format!("its own bytes are not received: {e}"))?;
    ensure(values::same(&values, &back, false), || {
        "bytes and back gives another value".to_owned()
    })?;

    for rows in [0, 1] {
        let part = values.slice(0, rows);
        plugin
            .format(index, &part)
            .map_err(|e| format!("format of {rows} rows: {e}"))?;
    }
    refused_texts(plugin, index, texts)?;
    damaged_bytes(plugin, index, bytes.as_binary::<i32>())?;
    for modifiers in [&[][..], &["1"], &["-1"], &["x"], &["1", "2"]] {
        fair("typmod", plugin.typmod(index, modifiers))?;
    }
    Ok(())
}

fn nulls_stay(what: &str, from: &ArrayRef, to: &ArrayRef) -> Outcome {
    let stay = (0..from.len()).all(|row| from.is_null(row) == to.is_null(row));
    ensure(stay, || {
        format!("{what} does not keep NULLs in their places")
    })
}

fn refused_texts(plugin: &Started, index: u32, texts: &[String]) -> Outcome {
    let mut odd: Vec<String> = [
        "",
        " ",
        "\u{0}",
        "🐈",
        "NaN",
        "{",
        "[",
        "99999999999999999999",
    ]
    .iter()
    .map(|&t| t.to_owned())
    .collect();
    for text in texts {
        let ends = text.char_indices().map(|(at, _)| text[..at].to_owned());
        odd.extend(ends.take(50));
        odd.push(format!("{text}x"));
    }
    for text in odd {
        let parsed = plugin.parse(index, &strings([Some(text.as_str())]), -1);
        fair(&format!("parse of {text:?}"), parsed)?;
    }
    Ok(())
}

fn damaged_bytes(plugin: &Started, index: u32, bytes: &BinaryArray) -> Outcome {
    let mut random = values::Random(3);
    for value in bytes.iter().flatten() {
        for end in 0..value.len().min(50) {
            receive(plugin, index, &value[..end])?;
        }
        for _ in 0..50 {
            let mut flipped = value.to_vec();
            if !flipped.is_empty() {
                let at = random.below(flipped.len());
                flipped[at] ^= 1 << random.below(8);
            }
            receive(plugin, index, &flipped)?;
        }
    }
    let noise = values::column("bytea", Shape::Dense, 100, 5);
    for value in noise
        .iter()
        .flat_map(|c| c.as_binary::<i32>().iter().flatten())
    {
        receive(plugin, index, value)?;
    }
    Ok(())
}

fn receive(plugin: &Started, index: u32, bytes: &[u8]) -> Outcome {
    let column: ArrayRef = Arc::new(BinaryArray::from_vec(vec![bytes]));
    let received = plugin.receive(index, &column, -1);
    fair(
        &format!("receive of {} damaged bytes", bytes.len()),
        received,
    )?;
    Ok(())
}
