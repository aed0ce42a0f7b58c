//! The codecs of the manifest: what `codec/1` asks, of blocks in frames.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use heliosdb_plugin_api::{Codec, Comparison, Error, Result};

use crate::choose::{self, Choice, ForFloats, ForStrings, Preference};
use crate::float::{self, Float};
use crate::frame::{self, HEADER_BYTES, Header, Kind, Reader, Scheme, VALUE_BYTES_MAX, damaged};
use crate::nulls::Rows;
use crate::predicate::Predicate;
use crate::scheme::alp::Alp;
use crate::scheme::alp_rd::AlpRd;
use crate::scheme::dictionary::Dictionary;
use crate::scheme::fsst::Fsst;
use crate::scheme::{alp, alp_rd, dictionary, fsst, zstd};
use crate::text::{self, Strings};

/// What a column asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The smallest, block by block.
    Auto,
    Fsst,
    Dictionary,
    /// For floats; ALP-RD where that is smaller.
    Alp,
}

/// One codec of the manifest. Every one of them decodes the blocks of all.
#[derive(Clone, Copy, Debug)]
pub struct BlockCodec {
    pub method: Method,
    pub preference: Preference,
}

/// The values of a block that are not NULL.
enum Values<'a> {
    Strings(Vec<&'a [u8]>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
}

impl<'a> Values<'a> {
    fn of(block: &'a ArrayRef) -> Result<Values<'a>> {
        if let Some(strings) = text::strings(block) {
            return Ok(Values::Strings(strings));
        }
        if let Some(floats) = float::floats(block) {
            return Ok(Values::Float64(floats));
        }
        match float::floats(block) {
            Some(floats) => Ok(Values::Float32(floats)),
            None => Err(wrong_type(block.data_type())),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Values::Strings(strings) => strings.iter().map(|s| s.len()).sum(),
            Values::Float32(floats) => size_of_val(&floats[..]),
            Values::Float64(floats) => size_of_val(&floats[..]),
        }
    }
}

fn wrong_type(ty: &DataType) -> Error {
    Error::contract(format!("the codec does not take {ty}"))
}

impl Codec for BlockCodec {
    fn analyze(&self, block: &ArrayRef) -> Result<Option<u64>> {
        let values = Values::of(block)?;
        if values.bytes() > VALUE_BYTES_MAX {
            return Ok(None);
        }
        let bytes = match &values {
            Values::Strings(strings) => self.strings(strings)?.bytes,
            Values::Float32(floats) => self.floats(floats)?.bytes,
            Values::Float64(floats) => self.floats(floats)?.bytes,
        };
        let bytes = HEADER_BYTES + Rows::of(block).bytes_max() + bytes;
        Ok(Some(bytes as u64))
    }

    fn encode(&self, block: &ArrayRef) -> Result<Vec<u8>> {
        match Values::of(block)? {
            values if values.bytes() > VALUE_BYTES_MAX => {
                Err(Error::contract("a block of so many bytes is not taken"))
            }
            Values::Strings(strings) => {
                let scheme = self.strings(&strings)?.scheme;
                encode_strings(block, &strings, scheme)
            }
            Values::Float32(floats) => {
                let scheme = self.floats(&floats)?.scheme;
                encode_floats(block, &floats, &scheme)
            }
            Values::Float64(floats) => {
                let scheme = self.floats(&floats)?.scheme;
                encode_floats(block, &floats, &scheme)
            }
        }
    }

    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef> {
        self.decode_slice(encoded, ty, rows, 0..rows)
    }

    fn decode_slice(
        &self,
        encoded: &[u8],
        ty: &DataType,
        rows: usize,
        slice: Range<usize>,
    ) -> Result<ArrayRef> {
        let (header, all, reader) = open(encoded, rows)?;
        let (part, range) = all.slice(slice);
        match (header.kind, ty) {
            (Kind::Bytes, ty) if text::is_text(ty) => {
                let strings = decode_strings(header.scheme, reader, all.values(), range)?;
                strings.into_array(ty, &part)
            }
            (Kind::Float32, DataType::Float32) => {
                let floats = decode_floats::<f32>(header.scheme, reader, all.values(), range)?;
                float::array(floats, &part)
            }
            (Kind::Float64, DataType::Float64) => {
                let floats = decode_floats::<f64>(header.scheme, reader, all.values(), range)?;
                float::array(floats, &part)
            }
            _ => Err(damaged("it holds values of another type")),
        }
    }

    fn filter(
        &self,
        encoded: &[u8],
        rows: usize,
        comparison: Comparison,
        constants: &ArrayRef,
    ) -> Result<Option<BooleanArray>> {
        let (header, all, reader) = open(encoded, rows)?;
        let (scheme, values) = (header.scheme, all.values());
        let found = match (Values::of(constants)?, header.kind) {
            (Values::Strings(constants), Kind::Bytes) => {
                let predicate = Predicate::new(comparison, constants);
                predicate.map(|p| strings_that_meet(scheme, reader, values, &p))
            }
            (Values::Float32(constants), Kind::Float32) => {
                let predicate = Predicate::new(comparison, constants);
                predicate.map(|p| floats_that_meet(scheme, reader, values, &p))
            }
            (Values::Float64(constants), Kind::Float64) => {
                let predicate = Predicate::new(comparison, constants);
                predicate.map(|p| floats_that_meet(scheme, reader, values, &p))
            }
            _ => None,
        };
        let Some(found) = found.transpose()?.flatten() else {
            return Ok(None);
        };
        let found = BooleanBuffer::from(all.spread(found, false));
        Ok(Some(BooleanArray::new(found, all.nulls().cloned())))
    }
}

impl BlockCodec {
    /// How a block of these strings is to be encoded.
    pub fn strings(&self, strings: &[&[u8]]) -> Result<Choice<ForStrings>> {
        let only = |scheme, bytes| Ok(Choice { scheme, bytes });
        match self.method {
            Method::Auto => choose::strings(strings, self.preference),
            Method::Fsst => only(ForStrings::Fsst, choose::fsst_bytes(strings)),
            Method::Dictionary => only(ForStrings::Dictionary, choose::dictionary_bytes(strings)),
            Method::Alp => Err(Error::contract("ALP takes floats")),
        }
    }

    /// How a block of these floats is to be encoded.
    pub fn floats<F: Float>(&self, floats: &[F]) -> Result<Choice<ForFloats>> {
        match self.method {
            Method::Auto => choose::floats(floats, self.preference),
            Method::Alp => Ok(choose::decimals(floats)),
            Method::Dictionary => {
                let bytes = choose::float_dictionary_bytes(floats);
                let scheme = ForFloats::Dictionary;
                Ok(Choice { scheme, bytes })
            }
            Method::Fsst => Err(Error::contract("floats are no strings")),
        }
    }
}

/// The block's strings, encoded with this scheme.
pub fn encode_strings(block: &ArrayRef, strings: &[&[u8]], scheme: ForStrings) -> Result<Vec<u8>> {
    let name = match scheme {
        ForStrings::Fsst => Scheme::Fsst,
        ForStrings::Dictionary => Scheme::Dictionary,
        ForStrings::Zstd => Scheme::Zstd,
    };
    framed(block, name, Kind::Bytes, |out| {
        match scheme {
            ForStrings::Fsst => fsst::encode(strings, out),
            ForStrings::Dictionary => dictionary::encode(strings, out),
            ForStrings::Zstd => zstd::encode_strings(strings, out)?,
        }
        Ok(())
    })
}

/// The block's floats, encoded with this scheme.
pub fn encode_floats<F: Float>(
    block: &ArrayRef,
    floats: &[F],
    scheme: &ForFloats,
) -> Result<Vec<u8>> {
    let name = match scheme {
        ForFloats::Alp(_) => Scheme::Alp,
        ForFloats::AlpRd(_) => Scheme::AlpRd,
        ForFloats::Dictionary => Scheme::Dictionary,
        ForFloats::Zstd => Scheme::Zstd,
    };
    framed(block, name, F::KIND, |out| {
        match scheme {
            ForFloats::Alp(candidates) => alp::encode(floats, candidates, out),
            ForFloats::AlpRd(encoder) => alp_rd::encode(floats, encoder, out),
            ForFloats::Dictionary => dictionary::encode_floats(floats, out),
            ForFloats::Zstd => zstd::encode_floats(floats, out)?,
        }
        Ok(())
    })
}

fn framed(
    block: &ArrayRef,
    scheme: Scheme,
    kind: Kind,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut out = frame::begin(Header {
        scheme,
        kind,
        rows: block.len(),
    })?;
    Rows::of(block).write(&mut out)?;
    write(&mut out)?;
    frame::seal(&mut out);
    Ok(out)
}

/// The header, the rows and what the scheme wrote.
fn open(encoded: &[u8], rows: usize) -> Result<(Header, Rows, Reader<'_>)> {
    let (header, mut reader) = frame::open(encoded)?;
    if header.rows != rows {
        return Err(damaged("it has another number of rows"));
    }
    let rows = Rows::read(&mut reader, rows)?;
    Ok((header, rows, reader))
}

fn decode_strings(
    scheme: Scheme,
    reader: Reader<'_>,
    count: usize,
    range: Range<usize>,
) -> Result<Strings> {
    match scheme {
        Scheme::Fsst => Fsst::read(reader, count)?.strings(range),
        Scheme::Dictionary => Dictionary::read(reader, count)?.strings(range),
        Scheme::Zstd => zstd::strings(reader, count, range),
        Scheme::Alp | Scheme::AlpRd => Err(damaged("its scheme takes no strings")),
    }
}

fn decode_floats<F: Float>(
    scheme: Scheme,
    reader: Reader<'_>,
    count: usize,
    range: Range<usize>,
) -> Result<Vec<F>> {
    match scheme {
        Scheme::Alp => Alp::<F>::read(reader, count)?.floats(range),
        Scheme::AlpRd => AlpRd::read::<F>(reader, count)?.floats(range),
        Scheme::Zstd => zstd::floats(reader, count, range),
        Scheme::Dictionary => dictionary::Floats::<F>::read(reader, count)?.floats(range),
        Scheme::Fsst => Err(damaged("its scheme takes no floats")),
    }
}

/// `None` when only decoding can tell.
fn strings_that_meet(
    scheme: Scheme,
    reader: Reader<'_>,
    count: usize,
    predicate: &Predicate<&[u8]>,
) -> Result<Option<Vec<bool>>> {
    match scheme {
        Scheme::Fsst => Fsst::read(reader, count)?.matches(predicate).map(Some),
        Scheme::Dictionary => {
            let dictionary = Dictionary::read(reader, count)?;
            dictionary.matches(predicate).map(Some)
        }
        Scheme::Zstd | Scheme::Alp | Scheme::AlpRd => Ok(None),
    }
}

/// `None` when only decoding can tell.
fn floats_that_meet<F: Float>(
    scheme: Scheme,
    reader: Reader<'_>,
    count: usize,
    predicate: &Predicate<F>,
) -> Result<Option<Vec<bool>>> {
    match scheme {
        Scheme::Alp => Alp::read(reader, count)?.matches(predicate),
        Scheme::Dictionary => dictionary::Floats::read(reader, count)?.matches(predicate),
        Scheme::Zstd | Scheme::AlpRd | Scheme::Fsst => Ok(None),
    }
}

/// What an encoded block says about itself.
pub fn scheme_of(encoded: &[u8]) -> Result<Scheme> {
    frame::open(encoded).map(|(header, _)| header.scheme)
}
