//! Shows results on a stream as they complete.

use std::io::{self, Read, Write};

use crate::client::{Column, ServerError, Sink, TextRow};
use crate::output::{self, Format};

pub struct Printer<'a, 'b> {
    out: &'a mut dyn Write,
    format: Format,
    expanded: bool,
    /// Command tags are for people.
    tags: bool,
    copy_source: Option<&'b mut dyn Read>,
    columns: Option<Vec<Column>>,
    rows: Vec<TextRow>,
    copying: bool,
}

impl<'a, 'b> Printer<'a, 'b> {
    pub fn new(
        out: &'a mut dyn Write,
        format: Format,
        expanded: bool,
        tags: bool,
        copy_source: Option<&'b mut dyn Read>,
    ) -> Printer<'a, 'b> {
        Printer {
            out,
            format,
            expanded,
            tags: tags || format == Format::Table,
            copy_source,
            columns: None,
            rows: Vec::new(),
            copying: false,
        }
    }
}

impl Sink for Printer<'_, '_> {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.columns = Some(columns.to_vec());
        Ok(())
    }

    fn row(&mut self, row: TextRow) -> io::Result<()> {
        self.rows.push(row);
        Ok(())
    }

    fn complete(&mut self, tag: &str) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let copied = std::mem::take(&mut self.copying);
        match self.columns.take() {
            Some(columns) => {
                output::write_result(self.out, self.format, self.expanded, &columns, &rows)
            }
            // What COPY TO wrote is the result; a tag after it would be data to whoever reads it.
            None if self.tags && !copied && !tag.is_empty() => writeln!(self.out, "{tag}"),
            None => Ok(()),
        }
    }

    fn notice(&mut self, notice: &ServerError) -> io::Result<()> {
        self.out.flush()?;
        writeln!(io::stderr(), "{}", output::describe(notice, ""))
    }

    fn copy_data(&mut self, data: &[u8]) -> io::Result<()> {
        self.copying = true;
        self.out.write_all(data)
    }

    fn copy_source(&mut self) -> Option<&mut dyn Read> {
        match &mut self.copy_source {
            Some(source) => Some(&mut **source),
            None => None,
        }
    }
}

/// Keeps one result in memory, for the shell's own queries.
#[derive(Default)]
pub struct Collected {
    pub columns: Vec<Column>,
    pub rows: Vec<TextRow>,
}

impl Sink for Collected {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        Ok(())
    }

    fn row(&mut self, row: TextRow) -> io::Result<()> {
        self.rows.push(row);
        Ok(())
    }

    fn complete(&mut self, _tag: &str) -> io::Result<()> {
        Ok(())
    }

    fn notice(&mut self, _notice: &ServerError) -> io::Result<()> {
        Ok(())
    }

    fn copy_data(&mut self, _data: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn copy_source(&mut self) -> Option<&mut dyn Read> {
        None
    }
}
