//! Rows of the tables as CSV, generated while they are read.

use std::fmt::{Display, Write as _};
use std::io::{self, Read};

use tpchgen::csv::{
    CustomerCsv, LineItemCsv, NationCsv, OrderCsv, PartCsv, PartSuppCsv, RegionCsv, SupplierCsv,
};
use tpchgen::distribution::Distributions;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen::text::TextPool;

use crate::{ROWS_PER_COPY, Scale, Table};

/// Generated text is buffered up to about this much.
const CHUNK_BYTES: usize = 64 << 10;

/// What all tables are generated from: a scale, and the text that comments are cut out of.
pub struct Data {
    scale: Scale,
    text: TextPool,
}

impl Data {
    /// TPC-H cuts comments out of 300 MiB of text, which takes a second to write and stays in memory.
    /// Less makes no column different but the comments.
    pub fn new(scale: Scale, text_bytes: u32) -> Data {
        let size = i32::try_from(text_bytes).unwrap_or(i32::MAX);
        Data {
            scale,
            text: TextPool::new(size, Distributions::static_default()),
        }
    }

    /// The size of the text of the specification.
    pub const TEXT_BYTES: u32 = 300 << 20;

    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// How many COPYs a table is to be loaded with.
    pub fn copies(&self, table: &Table) -> u32 {
        let per_scale = match table.name {
            "region" | "nation" => return 1,
            "supplier" => 10_000.0,
            "customer" => 150_000.0,
            "part" => 200_000.0,
            "partsupp" => 800_000.0,
            "orders" => 1_500_000.0,
            // Orders have 1 to 7 items.
            _ => 6_000_000.0,
        };
        let rows = per_scale * self.scale.factor();
        // A scale is 300 at most: at most 3,600.
        (rows / ROWS_PER_COPY as f64).ceil().max(1.0) as u32
    }

    /// The rows of COPY `copy`, counted from 0, of `copies`: together, in order, those of the table.
    pub fn rows(&self, table: &Table, copy: u32, copies: u32) -> Rows<'_> {
        let scale = self.scale.factor();
        let distributions = Distributions::static_default();
        let text = &self.text;
        let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let (part, parts) = (number(copy.saturating_add(1)), number(copies));
        macro_rules! lines {
            ($generator:ident, $csv:ident) => {
                lines(
                    $generator::new_with_distributions_and_text_pool(
                        scale,
                        part,
                        parts,
                        distributions,
                        text,
                    )
                    .iter()
                    .map($csv::new),
                )
            };
        }
        let next = match table.name {
            "region" => lines(
                RegionGenerator::new_with_distributions_and_text_pool(distributions, text)
                    .iter()
                    .map(RegionCsv::new),
            ),
            "nation" => lines(
                NationGenerator::new_with_distributions_and_text_pool(distributions, text)
                    .iter()
                    .map(NationCsv::new),
            ),
            "supplier" => lines!(SupplierGenerator, SupplierCsv),
            "customer" => lines!(CustomerGenerator, CustomerCsv),
            "part" => lines!(PartGenerator, PartCsv),
            "partsupp" => lines(
                PartSuppGenerator::new_with_text_pool(scale, part, parts, text)
                    .iter()
                    .map(PartSuppCsv::new),
            ),
            "orders" => lines!(OrderGenerator, OrderCsv),
            _ => lines!(LineItemGenerator, LineItemCsv),
        };
        Rows {
            next,
            chunk: String::new(),
            taken: 0,
            rows: 0,
            bytes: 0,
            ended: false,
        }
    }
}

/// Appends the next row to a text; false at the end.
type Next<'a> = Box<dyn FnMut(&mut String) -> bool + Send + 'a>;

fn lines<'a, T: Display>(mut rows: impl Iterator<Item = T> + Send + 'a) -> Next<'a> {
    Box::new(move |text| match rows.next() {
        // Writing to a String cannot fail.
        Some(row) => writeln!(text, "{row}").is_ok(),
        None => false,
    })
}

/// CSV without a header, for `COPY … FROM STDIN WITH (FORMAT csv)`.
pub struct Rows<'a> {
    next: Next<'a>,
    chunk: String,
    /// How much of `chunk` was handed out.
    taken: usize,
    rows: u64,
    bytes: u64,
    ended: bool,
}

impl Rows<'_> {
    /// Rows generated so far.
    pub fn row_count(&self) -> u64 {
        self.rows
    }

    /// Bytes handed out so far.
    pub fn byte_count(&self) -> u64 {
        self.bytes
    }
}

impl Read for Rows<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.chunk.len() {
            self.chunk.clear();
            self.taken = 0;
            while !self.ended && self.chunk.len() < CHUNK_BYTES {
                self.ended = !(self.next)(&mut self.chunk);
                self.rows += u64::from(!self.ended);
            }
        }
        let rest = &self.chunk.as_bytes()[self.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TABLES;

    fn text(data: &Data, table: &Table, copy: u32, copies: u32) -> (String, u64) {
        let mut rows = data.rows(table, copy, copies);
        let mut text = String::new();
        rows.read_to_string(&mut text).unwrap();
        assert_eq!(rows.byte_count(), text.len() as u64);
        (text, rows.row_count())
    }

    #[test]
    fn the_rows_of_all_copies_are_those_of_the_table() {
        let data = Data::new(Scale::new(0.01).unwrap(), 1 << 20);
        let mut counts = Vec::new();
        for table in &TABLES {
            let (whole, count) = text(&data, table, 0, 1);
            assert_eq!(whole.lines().count() as u64, count);
            counts.push(count);
            if !matches!(table.name, "region" | "nation") {
                let pieces: String = (0..3).map(|copy| text(&data, table, copy, 3).0).collect();
                assert!(whole == pieces, "{}", table.name);
            }
        }
        assert_eq!(counts, [5, 25, 100, 1500, 2000, 8000, 15000, 60175]);
    }

    #[test]
    fn a_copy_is_never_large() {
        let data = Data::new(Scale::new(2.0).unwrap(), 1 << 20);
        let copies: Vec<u32> = TABLES.iter().map(|table| data.copies(table)).collect();
        assert_eq!(copies, [1, 1, 1, 1, 1, 4, 6, 24]);
    }
}
