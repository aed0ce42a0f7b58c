//! Results as text: psql's aligned tables, CSV, JSON.

use std::io::{self, Write};

use crate::client::{Column, ServerError, TextRow};

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns with a header and a row count.
    Table,
    /// RFC 4180 with a header; NULL is an empty field, an empty string is quoted.
    Csv,
    /// One array of objects per result.
    Json,
}

const NUMERIC_OIDS: [u32; 7] = [20, 21, 23, 26, 700, 701, 1700];
const BOOL_OID: u32 = 16;
const JSON_OIDS: [u32; 2] = [114, 3802];

/// Write one complete result.
pub fn write_result(
    out: &mut dyn Write,
    format: Format,
    expanded: bool,
    columns: &[Column],
    rows: &[TextRow],
) -> io::Result<()> {
    match format {
        Format::Table if expanded => write_expanded(out, columns, rows),
        Format::Table => write_table(out, columns, rows),
        Format::Csv => write_csv(out, columns, rows),
        Format::Json => write_json(out, columns, rows),
    }
}

/// Write `text` to standard output.
///
/// # Errors
///
/// One line; for example, that nobody reads it any more.
pub fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| format!("cannot write to standard output: {error}"))
}

/// Characters a string takes on a terminal, near enough: wide East Asian ones take two.
fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match c as u32 {
            0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f
            | 0x2e80..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1faff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

fn lines(text: &str) -> Vec<String> {
    text.split('\n')
        .map(|line| line.replace('\r', "\\r").replace('\t', "        "))
        .collect()
}

fn write_table(out: &mut dyn Write, columns: &[Column], rows: &[TextRow]) -> io::Result<()> {
    let cells: Vec<Vec<Vec<String>>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|cell| lines(cell.as_deref().unwrap_or("")))
                .collect()
        })
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            cells
                .iter()
                .flat_map(|row| row.get(i).into_iter().flatten())
                .map(|line| width(line))
                .max()
                .unwrap_or(0)
                .max(width(&column.name))
        })
        .collect();
    let mut header = String::new();
    let mut rule = String::new();
    for (i, (column, wide)) in columns.iter().zip(&widths).enumerate() {
        if i > 0 {
            header.push('|');
            rule.push('+');
        }
        let room = wide - width(&column.name);
        let left = room / 2;
        header.push_str(&format!(
            " {}{}{} ",
            " ".repeat(left),
            column.name,
            " ".repeat(room - left)
        ));
        rule.push_str(&"-".repeat(wide + 2));
    }
    // psql keeps the header's trailing blanks and drops those of the rows.
    writeln!(out, "{header}\n{rule}")?;
    for row in &cells {
        let height = row.iter().map(Vec::len).max().unwrap_or(1);
        for y in 0..height {
            let mut line = String::new();
            for (i, (cell, wide)) in row.iter().zip(&widths).enumerate() {
                if i > 0 {
                    line.push('|');
                }
                let text = cell.get(y).map_or("", String::as_str);
                let pad = " ".repeat(wide - width(text));
                let more = if y + 1 < cell.len() { '+' } else { ' ' };
                if NUMERIC_OIDS.contains(&columns[i].type_oid) {
                    line.push_str(&format!(" {pad}{text}{more}"));
                } else {
                    line.push_str(&format!(" {text}{pad}{more}"));
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    writeln!(
        out,
        "({} {})\n",
        rows.len(),
        if rows.len() == 1 { "row" } else { "rows" }
    )
}

fn write_expanded(out: &mut dyn Write, columns: &[Column], rows: &[TextRow]) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "(0 rows)\n");
    }
    let names = columns.iter().map(|c| width(&c.name)).max().unwrap_or(0);
    let values = rows
        .iter()
        .flatten()
        .flatten()
        .flat_map(|value| lines(value))
        .map(|line| width(&line))
        .max()
        .unwrap_or(0);
    for (number, row) in rows.iter().enumerate() {
        // A line of the table's width with a cross under the bar; the title lies over it.
        let title = format!("-[ RECORD {} ]", number + 1);
        let line = format!("{}+{}", "-".repeat(names + 1), "-".repeat(values + 1));
        let rule = format!("{title}{}", line.get(title.len()..).unwrap_or(""));
        writeln!(out, "{rule}")?;
        for (column, value) in columns.iter().zip(row) {
            for (y, line) in lines(value.as_deref().unwrap_or("")).iter().enumerate() {
                let name = if y == 0 { column.name.as_str() } else { "" };
                let text = format!("{name}{} | {line}", " ".repeat(names - width(name)));
                writeln!(out, "{}", text.trim_end())?;
            }
        }
    }
    writeln!(out)
}

fn csv_field(value: &Option<String>) -> String {
    match value {
        None => String::new(),
        Some(text) if text.is_empty() || text.contains(['"', ',', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.clone(),
    }
}

fn write_csv(out: &mut dyn Write, columns: &[Column], rows: &[TextRow]) -> io::Result<()> {
    let header: Vec<String> = columns
        .iter()
        .map(|c| csv_field(&Some(c.name.clone())))
        .collect();
    writeln!(out, "{}", header.join(","))?;
    for row in rows {
        let fields: Vec<String> = row.iter().map(csv_field).collect();
        writeln!(out, "{}", fields.join(","))?;
    }
    Ok(())
}

fn write_json(out: &mut dyn Write, columns: &[Column], rows: &[TextRow]) -> io::Result<()> {
    write!(out, "[")?;
    for (number, row) in rows.iter().enumerate() {
        write!(out, "{}\n  {{", if number == 0 { "" } else { "," })?;
        for (i, (column, value)) in columns.iter().zip(row).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            let value = json_value(column.type_oid, value.as_deref());
            write!(out, "{separator}{}: {value}", json_string(&column.name))?;
        }
        write!(out, "}}")?;
    }
    writeln!(out, "{}]", if rows.is_empty() { "" } else { "\n" })
}

/// Numbers, booleans and JSON as themselves; anything else, and numbers JSON lacks, as strings.
fn json_value(type_oid: u32, value: Option<&str>) -> String {
    match value {
        None => "null".to_owned(),
        Some(text) if type_oid == BOOL_OID => (if text == "t" { "true" } else { "false" }).into(),
        Some(text) if JSON_OIDS.contains(&type_oid) => text.to_owned(),
        Some(text)
            if NUMERIC_OIDS.contains(&type_oid)
                && !text.ends_with("NaN")
                && !text.ends_with("Infinity") =>
        {
            text.to_owned()
        }
        Some(text) => json_string(text),
    }
}

fn json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// An error or notice as psql shows it, with a caret under the position in `sql`.
pub fn describe(error: &ServerError, sql: &str) -> String {
    let mut text = format!("{}:  {}", error.severity, error.message);
    if let Some((line, caret)) = error.position.and_then(|p| caret(sql, p)) {
        text.push_str(&format!("\n{line}\n{caret}"));
    }
    for (label, value) in [
        ("DETAIL", &error.detail),
        ("HINT", &error.hint),
        ("CONTEXT", &error.context),
    ] {
        if let Some(value) = value {
            text.push_str(&format!("\n{label}:  {value}"));
        }
    }
    text
}

/// The line of `sql` that holds the character at `position` (from 1), and a caret below it. A long
/// line is cut around the position.
fn caret(sql: &str, position: usize) -> Option<(String, String)> {
    const CONTEXT: usize = 60;
    let mut start = 0;
    let characters: Vec<char> = sql.chars().collect();
    if position == 0 || position > characters.len() + 1 {
        return None;
    }
    let mut number = 1;
    for (i, c) in characters[..position - 1].iter().enumerate() {
        if *c == '\n' {
            number += 1;
            start = i + 1;
        }
    }
    let end = characters[start..]
        .iter()
        .position(|c| *c == '\n')
        .map_or(characters.len(), |n| start + n);
    let from = start.max((position - 1).saturating_sub(CONTEXT));
    let to = end.min(position - 1 + CONTEXT);
    let cut_left = if from > start { "..." } else { "" };
    let cut_right = if to < end { "..." } else { "" };
    let shown = |range: &[char]| range.iter().collect::<String>().replace('\t', " ");
    let label = format!("LINE {number}: {cut_left}");
    let before = width(&shown(&characters[from..position - 1]));
    Some((
        format!("{label}{}{cut_right}", shown(&characters[from..to])),
        format!("{}^", " ".repeat(width(&label) + before)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<Column>, Vec<TextRow>) {
        (
            vec![
                Column {
                    name: "id".into(),
                    type_oid: 23,
                },
                Column {
                    name: "name".into(),
                    type_oid: 25,
                },
            ],
            vec![
                vec![Some("1".into()), Some("a\nb".into())],
                vec![Some("10".into()), None],
                vec![Some("2".into()), Some("x, \"y\"".into())],
            ],
        )
    }

    fn written(format: Format, expanded: bool) -> String {
        let (columns, rows) = sample();
        let mut out = Vec::new();
        write_result(&mut out, format, expanded, &columns, &rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tables_look_like_psql() {
        assert_eq!(
            written(Format::Table, false),
            " id |  name  \n----+--------\n  1 | a     +\n    | b\n 10 |\n  2 | x, \"y\"\n(3 rows)\n\n"
        );
        assert!(
            written(Format::Table, true)
                .starts_with("-[ RECORD 1 ]\nid   | 1\nname | a\n     | b\n")
        );
    }

    #[test]
    fn csv_and_json() {
        assert_eq!(
            written(Format::Csv, false),
            "id,name\n1,\"a\nb\"\n10,\n2,\"x, \"\"y\"\"\"\n"
        );
        assert_eq!(
            written(Format::Json, false),
            "[\n  {\"id\": 1, \"name\": \"a\\nb\"},\n  {\"id\": 10, \"name\": null},\n  {\"id\": 2, \"name\": \"x, \\\"y\\\"\"}\n]\n"
        );
    }

    #[test]
    fn a_caret_stands_under_the_position() {
        let error = ServerError {
            severity: "ERROR".into(),
            message: "syntax error".into(),
            position: Some(10),
            hint: Some("h".into()),
            ..ServerError::default()
        };
        assert_eq!(
            describe(&error, "select\n  é@ x"),
            "ERROR:  syntax error\nLINE 2:   é@ x\n          ^\nHINT:  h"
        );
    }
}
