//! Columns of text for a terminal, and numbers as people read them.

use std::fmt::{self, Write};

use super::report::Verdict;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows of cells under headings. Cells are what people read, in a terminal and on a page alike.
pub(super) struct Grid {
    pub columns: Vec<(&'static str, Align)>,
    pub rows: Vec<(Vec<String>, Verdict)>,
}

impl Grid {
    pub fn new(columns: &[(&'static str, Align)]) -> Grid {
        Grid {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// A row with nothing wrong in it.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.judged(cells, Verdict::Equal);
    }

    pub fn judged<const N: usize>(&mut self, cells: [String; N], verdict: Verdict) {
        self.rows.push((cells.into(), verdict));
    }

    /// With a heading before it; nothing when there are no rows.
    pub fn write_titled(&self, out: &mut String, title: &str) -> fmt::Result {
        if self.rows.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{title}")?;
        self.write(out)
    }

    pub fn write(&self, out: &mut String) -> fmt::Result {
        let headings: Vec<String> = self.columns.iter().map(|c| c.0.to_owned()).collect();
        let has_headings = headings.iter().any(|h| !h.is_empty());
        let rows = self.rows.iter().map(|(cells, _)| cells);
        let lines: Vec<&Vec<String>> = has_headings
            .then_some(&headings)
            .into_iter()
            .chain(rows)
            .collect();
        let width = |place: usize| {
            let cells = lines.iter().filter_map(|line| line.get(place));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        for line in lines {
            let mut text = String::from(" ");
            for ((cell, width), (_, align)) in line.iter().zip(&widths).zip(&self.columns) {
                let cell = one_line(cell);
                match align {
                    Align::Left => write!(text, " {cell:<width$} ")?,
                    Align::Right => write!(text, " {cell:>width$} ")?,
                }
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Names may have anything in them; a line of a table may not.
fn one_line(cell: &str) -> String {
    let visible = |c: char| match c.is_control() {
        true => ' ',
        false => c,
    };
    cell.chars().map(visible).collect()
}

/// `1 row`, `2 rows`, `2 entries`.
pub(super) fn counted(n: u64, noun: &str) -> String {
    match (n, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (n, Some(stem)) => format!("{n} {stem}ies"),
        (n, None) => format!("{n} {noun}s"),
    }
}

/// `1.5 GB`, in powers of 1024 as PostgreSQL's `pg_size_pretty`.
pub(super) fn bytes(n: u64) -> String {
    let mut unit = "bytes";
    let mut value = n as f64;
    for larger in ["kB", "MB", "GB", "TB", "PB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    match unit {
        "bytes" => counted(n, "byte"),
        unit => format!("{value:.1} {unit}"),
    }
}

/// `1.234 s`.
pub(super) fn seconds(micros: u64) -> String {
    let millis = micros / 1000;
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let mut grid = Grid::new(&[("name", Align::Left), ("rows", Align::Right)]);
        grid.row(["größe\n2".to_owned(), "7".to_owned()]);
        grid.row(["x".to_owned(), "12345".to_owned()]);
        let mut out = String::new();
        grid.write(&mut out).unwrap();
        assert_eq!(
            out,
            "  name      rows\n  größe 2      7\n  x        12345\n"
        );
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(
            [0, 1, 2].map(|n| counted(n, "row")),
            ["0 rows", "1 row", "2 rows"]
        );
        assert_eq!(
            [1, 2].map(|n| counted(n, "entry")),
            ["1 entry", "2 entries"]
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 1, 1023].map(bytes), ["0 bytes", "1 byte", "1023 bytes"]);
        assert_eq!(bytes(1536), "1.5 kB");
        assert_eq!(bytes(u64::MAX), "16384.0 PB");
        assert_eq!(seconds(1_234_567), "1.234 s");
    }
}
