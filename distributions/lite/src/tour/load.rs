//! Step: TPC-H through COPY.

use std::io::{self, IsTerminal, Read};
use std::time::{Duration, Instant};

use heliosdb_command::progress::Shown;
use heliosdb_kernel::dump::Progress;
use heliosdb_tpch::{Data, Rows, TABLES};

use super::numbers::{bytes, grouped, rate, time};
use super::stage::{Stage, Who};
use super::step::{Next, Outcome, Play, Step, Trouble};

pub const STEP: Step = Step {
    title: "A database with data in it",
    play: Play::Code(load),
    next: &[
        Next::Sql("SELECT * FROM orders ORDER BY o_totalprice DESC LIMIT 3"),
        Next::Sql(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'lineitem'::regclass",
        ),
        Next::Read("psql's \\d lineitem and \\copy work, too."),
    ],
};

/// Text that comments are cut out of. The specification wants 300 MiB, which is a second's work.
const TEXT_BYTES: u32 = 8 << 20;
/// Rows between two looks at the bar.
const PROGRESS_ROWS: u64 = 10_000;

fn load(stage: &mut Stage) -> Outcome {
    stage.say(&format!(
        "TPC-H models a wholesaler: eight tables with primary and foreign keys. Rows are generated while COPY reads them, so there is no file; comments are drawn from {} of text where the benchmark's own generator has 300 MiB. Seven tables are made like this one:",
        bytes(u64::from(TEXT_BYTES)),
    ))?;
    for table in &TABLES[..TABLES.len() - 1] {
        stage
            .ask(Who::First, table.create)
            .map_err(|error| Trouble::failed(super::stage::describe_error(&error)))?;
    }
    stage.run(Who::First, TABLES[TABLES.len() - 1].create)?;
    stage.say("COPY checks every key and every foreign key on the way:")?;
    stage.line("")?;

    let data = Data::new(stage.scale, TEXT_BYTES);
    let (mut all_rows, mut all_bytes, mut all_time) = (0, 0, Duration::ZERO);
    for table in &TABLES {
        let statement = format!("COPY {} FROM STDIN WITH (FORMAT csv)", table.name);
        let copies = data.copies(table);
        let (mut table_rows, mut table_bytes) = (0, 0);
        let begun = Instant::now();
        for copy in 0..copies {
            let mut source = Watched::new(table.name, data.rows(table, copy, copies));
            stage.copy(&statement, &mut source)?;
            table_rows += source.rows.row_count();
            table_bytes += source.rows.byte_count();
        }
        let took = begun.elapsed();
        stage.line(&format!(
            "{statement:<42} {:>11} rows {:>8} {:>9} {:>11} rows/s",
            grouped(table_rows),
            bytes(table_bytes),
            time(took),
            grouped(rate(table_rows, took)),
        ))?;
        let counted = stage.value(&format!("SELECT count(*) FROM {}", table.name))?;
        if counted != table_rows.to_string() {
            return Err(Trouble::failed(format!(
                "{} has {counted} rows, {table_rows} were sent",
                table.name
            )));
        }
        all_rows += table_rows;
        all_bytes += table_bytes;
        all_time += took;
    }
    stage.say(&format!(
        "{} rows, {} of CSV in {}: {} rows/s, {}/s. Each COPY is one transaction, and was on disk when it was acknowledged. A count of each table agrees.",
        grouped(all_rows),
        bytes(all_bytes),
        time(all_time),
        grouped(rate(all_rows, all_time)),
        bytes(rate(all_bytes, all_time)),
    ))
}

/// Rows on their way, with a bar for those who look at a terminal.
struct Watched<'a> {
    rows: Rows<'a>,
    told: u64,
    /// Its bar goes with it, before the line about the table comes.
    shown: Option<Shown>,
}

impl<'a> Watched<'a> {
    fn new(table: &str, rows: Rows<'a>) -> Watched<'a> {
        let shown = io::stderr().is_terminal().then(|| {
            let shown = Shown::new(crate::EDITION.program);
            shown.begin(&format!("rows of {table}"), None);
            shown
        });
        Watched {
            rows,
            told: 0,
            shown,
        }
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.rows.read(buffer)?;
        let new = self.rows.row_count() - self.told;
        if let Some(shown) = &self.shown
            && (new >= PROGRESS_ROWS || count == 0)
        {
            shown.advance(new);
            self.told += new;
        }
        Ok(count)
    }
}
