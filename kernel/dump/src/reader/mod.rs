//! Reads a dump: verified from end to end when it is opened, then random access to its sections.
//!
//! A frame is checked again whenever it is read, so a file that changes meanwhile is damage and
//! nothing worse. A [`Dump`] may be read from several threads.

use std::fs::File;

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::view::{RowVersions, Version};

use crate::error::{Error, Result};
use crate::format::{FrameHeader, Wrong, section};
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::source::Source;

mod entries;
mod frame;
mod input;
mod rows;
mod verify;

pub use entries::Entries;
pub use rows::Rows;

use input::Input;
use verify::Verified;

/// An open dump, every byte of which has been read once and is what was written.
pub struct Dump {
    input: Input,
    manifest: Manifest,
    /// Per section.
    frames: Vec<Vec<FrameHeader>>,
}

impl std::fmt::Debug for Dump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dump")
            .field("file", &self.input.name)
            .field("id", &self.manifest.dump_id)
            .finish_non_exhaustive()
    }
}

impl Dump {
    /// Check the whole of `file`, which messages call `name`, and open it.
    pub fn open(file: File, name: &str, progress: &dyn Progress) -> Result<Dump> {
        Dump::open_source(Box::new(file), name, progress)
    }

    /// The same for any source of bytes.
    pub fn open_source(
        source: Box<dyn Source>,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Dump> {
        let input = Input::new(source, name)?;
        let Verified { manifest, frames } = verify::verify(&input, progress)?;
        Ok(Dump {
            input,
            manifest,
            frames,
        })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What messages call the file.
    pub fn name(&self) -> &str {
        &self.input.name
    }

    /// Of the file.
    pub fn bytes(&self) -> u64 {
        self.input.bytes
    }

    /// The configuration file's text.
    pub fn config(&self) -> Result<Option<String>> {
        if self.manifest.config.is_none() {
            return Ok(None);
        }
        let mut text = Vec::new();
        let frames = self.frames(section::CONFIG)?;
        for frame in frames {
            text.extend(self.payload(frame)?);
        }
        match String::from_utf8(text) {
            Ok(text) => Ok(Some(text)),
            Err(e) => {
                let offset = frames.first().map_or(0, |frame| frame.position);
                let wrong = Wrong::new("the configuration", offset, "UTF-8", e.utf8_error());
                Err(self.input.damaged(wrong))
            }
        }
    }

    /// The versions in `catalog` or in a store's section, in order of collection and key, the newest
    /// of a key first.
    pub fn entries(&self, section: &str) -> Result<Entries<'_>> {
        Ok(Entries::new(self, self.frames(section)?))
    }

    /// The rows of a table, in order of their ids; of superseded versions the newest of a row first.
    /// Columns are as `ReadView::row_versions` has them.
    pub fn rows(&self, table: u32, which: RowVersions) -> Result<Rows<'_>> {
        Ok(Rows::new(self, self.row_frames(table, which)?))
    }

    /// The same of what a branch wrote.
    pub fn branch_rows(&self, branch: u32, table: u32, which: RowVersions) -> Result<Rows<'_>> {
        let name = section::branch_rows(branch, table, which);
        Ok(Rows::new(self, self.frames_or_none(&name)?))
    }

    /// The versions that a branch wrote to system collections and stores, as [`Dump::entries`] has them.
    pub fn branch_entries(&self, branch: u32) -> Result<Entries<'_>> {
        let name = section::branch_catalog(branch);
        Ok(Entries::new(self, self.frames_or_none(&name)?))
    }

    /// The frames of [`Dump::rows`], for those who decode them in parallel.
    pub(crate) fn row_frames(&self, table: u32, which: RowVersions) -> Result<&[FrameHeader]> {
        if self.manifest.table(table).is_none() {
            return Err(Error::NoSection(section::rows(table, which)));
        }
        match (self.frames(&section::rows(table, which)), which) {
            // Without superseded versions there is no section.
            (Err(Error::NoSection(_)), RowVersions::Superseded | RowVersions::Removed) => Ok(&[]),
            (frames, _) => frames,
        }
    }

    /// Of a section that is left out when there is nothing in it.
    fn frames_or_none(&self, name: &str) -> Result<&[FrameHeader]> {
        match self.frames(name) {
            Err(Error::NoSection(_)) => Ok(&[]),
            frames => frames,
        }
    }

    fn frames(&self, name: &str) -> Result<&[FrameHeader]> {
        let mut sections = self.manifest.sections.iter();
        match sections.position(|section| section.name == name) {
            Some(index) => Ok(&self.frames[index]),
            None => Err(Error::NoSection(name.to_owned())),
        }
    }

    fn payload(&self, frame: &FrameHeader) -> Result<Vec<u8>> {
        frame::read_payload(&self.input, frame)
    }

    /// Content that is not in the form it must have, although its checksum is right.
    fn malformed(&self, frame: &FrameHeader, expected: &str, found: String) -> Error {
        let wrong = Wrong::new("the content of a frame", frame.position, expected, found);
        self.input.damaged(wrong)
    }
}

/// A version out of a dump.
pub type CollectionVersion = (CollectionId, Version);

#[cfg(test)]
mod tests;
