//! The rows of all tables as files.

use std::fs::File;
use std::io::{BufWriter, Write, copy};
use std::path::{Path, PathBuf};

use heliosdb_tpch::{Data, TABLES};

/// A file with rows of one table.
pub struct Piece {
    pub table: &'static str,
    pub file: PathBuf,
    pub bytes: u64,
}

/// Write all rows into files in `directory`, in the order that foreign keys want.
pub fn write(data: &Data, directory: &Path) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    for table in &TABLES {
        let copies = data.copies(table);
        for part in 0..copies {
            let file = directory.join(format!("{}.{part}.csv", table.name));
            let failed = |e| format!("{}: {e}", file.display());
            let mut output = BufWriter::new(File::create(&file).map_err(failed)?);
            let bytes = copy(&mut data.rows(table, part, copies), &mut output).map_err(failed)?;
            output.flush().map_err(failed)?;
            pieces.push(Piece {
                table: table.name,
                file,
                bytes,
            });
        }
    }
    Ok(pieces)
}
