//! The frame around every encoded block, and reading what may be damaged.
//!
//! ```text
//! magic u8 │ version u8 │ scheme u8 │ kind u8 │ rows u32 │ crc32c u32 │ body
//!
//! crc32c   of everything before and after it
//! body     which rows are NULL (`nulls`), then what the scheme makes of the other values
//! ```
//!
//! Numbers are little-endian; a *varint* has seven bits a byte, the lowest first. The checksum finds
//! what happened to the bytes. It does not make them trustworthy: whoever reads the body checks each
//! length before it is used, as if there were no checksum.

use heliosdb_plugin_api::{Error, Result, state};

const MAGIC: u8 = 0xfa;
const VERSION: u8 = 1;
const CRC_AT: usize = 8;
/// Bytes before the body.
pub const HEADER_BYTES: usize = 12;

/// Most bytes of values in a block. Larger blocks are left to the host: so little of what is
/// encoded can ask for so much memory.
pub const VALUE_BYTES_MAX: usize = 32 << 20;

/// How the values of a block are encoded. The numbers are in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Scheme {
    Fsst = 1,
    Dictionary = 2,
    Zstd = 3,
    Alp = 4,
    AlpRd = 5,
}

impl Scheme {
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Fsst => "fsst",
            Scheme::Dictionary => "dictionary",
            Scheme::Zstd => "zstd",
            Scheme::Alp => "alp",
            Scheme::AlpRd => "alp_rd",
        }
    }
}

/// What the values of a block are. The numbers are in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes of any length: texts, JSON, bytea.
    Bytes = 1,
    Float32 = 2,
    Float64 = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub scheme: Scheme,
    pub kind: Kind,
    pub rows: usize,
}

/// The error of bytes that no encoder here made.
pub fn damaged(what: &str) -> Error {
    Error::new(state::DATA_CORRUPTED, "an encoded block is damaged").with_detail(what)
}

/// A block without body, to append it to.
pub fn begin(header: Header) -> Result<Vec<u8>> {
    let rows = u32::try_from(header.rows).map_err(|_| Error::contract("too many rows"))?;
    let mut out = vec![MAGIC, VERSION, header.scheme as u8, header.kind as u8];
    out.extend_from_slice(&rows.to_le_bytes());
    out.extend_from_slice(&[0; HEADER_BYTES - CRC_AT]);
    Ok(out)
}

/// Sets the checksum of a block, whose body is complete.
pub fn seal(block: &mut [u8]) {
    let crc = checksum(block).to_le_bytes();
    if let Some(field) = block.get_mut(CRC_AT..HEADER_BYTES) {
        field.copy_from_slice(&crc);
    }
}

fn checksum(block: &[u8]) -> u32 {
    let (header, body) = block.split_at(HEADER_BYTES.min(block.len()));
    crc32c::crc32c_append(crc32c::crc32c(&header[..CRC_AT.min(header.len())]), body)
}

/// The header of an encoded block, and its body.
pub fn open(encoded: &[u8]) -> Result<(Header, Reader<'_>)> {
    let mut reader = Reader(encoded);
    if reader.u8()? != MAGIC {
        return Err(damaged("it does not begin like one"));
    }
    let version = reader.u8()?;
    if version != VERSION {
        let later = format!("it has format {version}, which is not known here");
        return Err(damaged(&later));
    }
    let scheme = match reader.u8()? {
        1 => Scheme::Fsst,
        2 => Scheme::Dictionary,
        3 => Scheme::Zstd,
        4 => Scheme::Alp,
        5 => Scheme::AlpRd,
        _ => return Err(damaged("its scheme is unknown")),
    };
    let kind = match reader.u8()? {
        1 => Kind::Bytes,
        2 => Kind::Float32,
        3 => Kind::Float64,
        _ => return Err(damaged("its kind of values is unknown")),
    };
    let rows = reader.u32()? as usize;
    if reader.u32()? != checksum(encoded) {
        return Err(damaged("its checksum is another"));
    }
    Ok((Header { scheme, kind, rows }, reader))
}

/// Takes bytes from the front. What is not there is an error.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub fn take(&mut self, bytes: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .0
            .split_at_checked(bytes)
            .ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged("a number in it is too large"))
    }

    /// A varint that counts bytes of values, and so is not above [`VALUE_BYTES_MAX`].
    pub fn length(&mut self) -> Result<usize> {
        let value = self.varint()?;
        match usize::try_from(value) {
            Ok(length) if length <= VALUE_BYTES_MAX => Ok(length),
            _ => Err(damaged("a length in it is too large")),
        }
    }

    /// A width in bits, at most 64.
    pub fn width(&mut self) -> Result<u32> {
        match u32::from(self.u8()?) {
            width if width <= u64::BITS => Ok(width),
            _ => Err(damaged("a width in it is above 64 bits")),
        }
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// # Errors
    ///
    /// Bytes are left.
    pub fn end(self) -> Result<()> {
        match self.0 {
            [] => Ok(()),
            _ => Err(damaged("it ends too late")),
        }
    }
}

pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A signed number as an unsigned one, small where its magnitude is.
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                write_varint(value, &mut out);
                let mut reader = Reader::new(&out);
                assert_eq!(reader.varint().unwrap(), value);
                reader.end().unwrap();
                let signed = value as i64;
                assert_eq!(unzigzag(zigzag(signed)), signed);
            }
        }
        assert!(Reader::new(&[0xff; 10]).varint().is_err());
        let mut too_large = [0x80; 10];
        too_large[9] = 2;
        assert!(Reader::new(&too_large).varint().is_err());
    }

    #[test]
    fn a_frame_is_checked() {
        let header = Header {
            scheme: Scheme::Alp,
            kind: Kind::Float64,
            rows: 3,
        };
        let mut block = begin(header).unwrap();
        block.extend_from_slice(b"body");
        seal(&mut block);
        let (read, body) = open(&block).unwrap();
        assert_eq!((read, body.rest()), (header, &b"body"[..]));
        for at in 0..block.len() {
            for bit in 0..8 {
                let mut other = block.clone();
                other[at] ^= 1 << bit;
                assert!(open(&other).is_err(), "bit {bit} of byte {at}");
            }
            assert!(open(&block[..at]).is_err(), "{at} bytes");
        }
    }
}
