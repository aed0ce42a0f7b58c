//! Taking stored bytes apart; every failure is damage with a place.

use crate::error::{Error, Result};

/// A cursor over bytes that were read from a file and passed its checksum.
pub struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    file: &'a str,
    /// Where in the file, for errors.
    offset: u64,
}

impl<'a> Parser<'a> {
    pub fn new(bytes: &'a [u8], file: &'a str, offset: u64) -> Parser<'a> {
        Parser {
            bytes,
            at: 0,
            file,
            offset,
        }
    }

    pub fn position(&self) -> usize {
        self.at
    }

    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub fn damaged(&self, expected: &str) -> Error {
        let found = format!("byte {} of {}", self.at, self.bytes.len());
        Error::corruption(self.file, self.offset, expected, found)
    }

    pub fn take(&mut self, n: usize, expected: &str) -> Result<&'a [u8]> {
        let end = self
            .at
            .checked_add(n)
            .filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| self.damaged(expected))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, expected: &str) -> Result<[u8; N]> {
        let taken = self.take(N, expected)?;
        Ok(taken
            .try_into()
            .expect("take returns as many bytes as asked"))
    }

    pub fn u8(&mut self, expected: &str) -> Result<u8> {
        Ok(self.array::<1>(expected)?[0])
    }

    pub fn u16(&mut self, expected: &str) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(expected)?))
    }

    pub fn u32(&mut self, expected: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(expected)?))
    }

    pub fn u64(&mut self, expected: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(expected)?))
    }

    pub fn i64(&mut self, expected: &str) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array(expected)?))
    }

    pub fn bool(&mut self, expected: &str) -> Result<bool> {
        match self.u8(expected)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.damaged(expected)),
        }
    }

    /// Nothing may follow.
    pub fn end(&self) -> Result<()> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(self.damaged("the end of the record"))
        }
    }
}
