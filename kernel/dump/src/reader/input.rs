//! A source with a name, whose errors say where.

use crate::error::{Error, Result};
use crate::format::Wrong;
use crate::source::Source;

pub(crate) struct Input {
    pub source: Box<dyn Source>,
    /// What messages call the file.
    pub name: String,
    /// Its length when it was opened.
    pub bytes: u64,
}

impl Input {
    pub fn new(source: Box<dyn Source>, name: &str) -> Result<Input> {
        let name = name.to_owned();
        match source.bytes() {
            Ok(bytes) => Ok(Input {
                source,
                name,
                bytes,
            }),
            Err(source) => Err(Error::Read {
                file: name,
                offset: 0,
                source,
            }),
        }
    }

    /// How many bytes of `buf` the file has at `offset`.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let read = self.source.read_at(buf, offset);
        read.map_err(|source| Error::Read {
            file: self.name.clone(),
            offset,
            source,
        })
    }

    /// Fill `buf` with a part of `what`.
    pub fn fill(&self, buf: &mut [u8], offset: u64, what: &str) -> Result<()> {
        let count = self.read(buf, offset)?;
        match count == buf.len() {
            true => Ok(()),
            false => Err(self.truncated(offset + count as u64, what)),
        }
    }

    pub fn array<const N: usize>(&self, offset: u64, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, offset, what)?;
        Ok(bytes)
    }

    pub fn truncated(&self, bytes: u64, what: &str) -> Error {
        Error::Truncated {
            file: self.name.clone(),
            bytes,
            what: what.to_owned(),
        }
    }

    pub fn damaged(&self, wrong: Wrong) -> Error {
        wrong.in_file(&self.name)
    }
}
