//! Damages a dump wherever it can be damaged, and sees that each import of it is refused with nothing
//! changed.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use heliosdb_kernel::dump::ImportError;

use crate::{Result, text, transfer};

/// Changes every byte of the file, one bit of it, and imports it. The file is as before afterwards.
/// Returns the imports that were refused.
///
/// # Errors
///
/// One was not refused as damage, or left something.
pub fn every_byte(dump: &Path, target: &Path) -> Result<u64> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(dump)
        .map_err(text)?;
    let mut refused = 0;
    for at in 0..file.metadata().map_err(text)?.len() {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).map_err(text)?;
        let changed = byte[0] ^ 1 << (at % 8);
        file.write_all_at(&[changed], at).map_err(text)?;
        let outcome = refuse(dump, target);
        file.write_all_at(&byte, at).map_err(text)?;
        outcome.map_err(|why| format!("byte {at} changed to {changed:#04x}: {why}"))?;
        refused += 1;
    }
    Ok(refused)
}

/// Cuts the file at every length, and imports what is left. The file is as before afterwards.
///
/// # Errors
///
/// As [`every_byte`].
pub fn every_length(dump: &Path, target: &Path) -> Result<u64> {
    let whole = fs::read(dump).map_err(text)?;
    let file = OpenOptions::new().write(true).open(dump).map_err(text)?;
    for length in (0..whole.len()).rev() {
        file.set_len(length as u64).map_err(text)?;
        refuse(dump, target).map_err(|why| format!("cut at {length}: {why}"))?;
    }
    file.write_all_at(&whole, 0).map_err(text)?;
    Ok(whole.len() as u64)
}

/// Imports a damaged dump.
///
/// # Errors
///
/// It is not refused as damage, or leaves something.
pub fn refuse(dump: &Path, target: &Path) -> Result<()> {
    match transfer::import(dump, target) {
        Ok(_) => Err("it was imported".to_owned()),
        Err(ImportError::Dump(_)) if !target.exists() => Ok(()),
        Err(ImportError::Dump(error)) => Err(format!("something was left: {error}")),
        Err(error) => Err(format!("not refused as damage: {}", error.explain())),
    }
}
