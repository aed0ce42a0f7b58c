//! `codec/1`: column codecs, after DuckDB's analyze → score → compress → scan.
//!
//! A codec is trusted with no value: the kernel decodes what it encoded before it keeps it, and what
//! no longer decodes is an error of that column alone. What [`filter`](Codec::filter) leaves out is taken on
//! its word, after a trial on each block that is encoded.

use std::ops::Range;

use abi_stable::std_types::{RNone, ROption, RSlice, RSome, RVec};
use abi_stable::StableAbi;
use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::DataType;

use super::{instance, registered};
use crate::abi::arrow::AbiColumn;
use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::error::{Error, Result};
use crate::guard::guarded;

/// A codec. Arrays are blocks of a column, at most 8192 values, NULLs among them.
pub trait Codec: Send + Sync {
    /// About how many bytes [`encode`](Self::encode) would take for the block; `None` when the
    /// codec has nothing to offer for it.
    fn analyze(&self, block: &ArrayRef) -> Result<Option<u64>>;

    fn encode(&self, block: &ArrayRef) -> Result<Vec<u8>>;

    /// The block again: `rows` values of type `ty`.
    ///
    /// # Errors
    ///
    /// `XX001` for bytes that [`encode`](Self::encode) did not make.
    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef>;

    /// A few of the block's values. By default all are decoded first.
    fn decode_slice(
        &self,
        encoded: &[u8],
        ty: &DataType,
        rows: usize,
        slice: Range<usize>,
    ) -> Result<ArrayRef> {
        let block = self.decode(encoded, ty, rows)?;
        let end = slice.end.min(block.len());
        let start = slice.start.min(end);
        Ok(block.slice(start, end - start))
    }

    /// Which values compare so with constants, found on the encoded bytes; `None`, the default, when only
    /// decoding can tell. NULL where the value is NULL.
    ///
    /// `constants` are of the block's type and not NULL. There is one, but for [`Comparison::In`]. Values are
    /// in PostgreSQL's order: texts by their bytes, NaN equal to itself and above all other floats, -0 equal
    /// to 0.
    fn filter(
        &self,
        encoded: &[u8],
        rows: usize,
        comparison: Comparison,
        constants: &ArrayRef,
    ) -> Result<Option<BooleanArray>> {
        let _ = (encoded, rows, comparison, constants);
        Ok(None)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Comparison {
    Equal = 1,
    NotEqual = 2,
    Less = 3,
    LessOrEqual = 4,
    Greater = 5,
    GreaterOrEqual = 6,
    /// Is one of the constants.
    In = 7,
    /// Begins with the constant, a text or bytes.
    StartsWith = 8,
}

impl Comparison {
    fn from_code(code: u8) -> Result<Comparison> {
        Ok(match code {
            1 => Comparison::Equal,
            2 => Comparison::NotEqual,
            3 => Comparison::Less,
            4 => Comparison::LessOrEqual,
            5 => Comparison::Greater,
            6 => Comparison::GreaterOrEqual,
            7 => Comparison::In,
            8 => Comparison::StartsWith,
            _ => return Err(Error::contract(format!("no comparison has code {code}"))),
        })
    }
}

/// The vtable of `codec/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct CodecV1 {
    pub analyze:
        extern "C" fn(instance: *const (), index: u32, block: AbiColumn) -> AbiResult<ROption<u64>>,
    pub encode:
        extern "C" fn(instance: *const (), index: u32, block: AbiColumn) -> AbiResult<RVec<u8>>,
    /// `like` is an empty column of the type to decode to.
    pub decode: extern "C" fn(
        instance: *const (),
        index: u32,
        encoded: RSlice<'_, u8>,
        like: AbiColumn,
        rows: u64,
        result: &mut AbiColumn,
    ) -> AbiResult<()>,
    pub decode_slice: extern "C" fn(
        instance: *const (),
        index: u32,
        encoded: RSlice<'_, u8>,
        like: AbiColumn,
        rows: u64,
        start: u64,
        end: u64,
        result: &mut AbiColumn,
    ) -> AbiResult<()>,
    /// Whether `result` was filled, with a boolean per row.
    pub filter: extern "C" fn(
        instance: *const (),
        index: u32,
        encoded: RSlice<'_, u8>,
        rows: u64,
        comparison: u8,
        constants: AbiColumn,
        result: &mut AbiColumn,
    ) -> AbiResult<bool>,
}

unsafe impl Published for CodecV1 {
    const ID: &'static str = "codec/1";
}

pub(crate) static CODEC: CodecV1 = CodecV1 {
    analyze,
    encode,
    decode,
    decode_slice,
    filter,
};

/// # Safety
///
/// As [`instance`].
unsafe fn codec<'a>(this: *const (), index: u32) -> Result<&'a dyn Codec> {
    // SAFETY: the caller's.
    let instance = unsafe { instance(this) }?;
    let (_, codec) = registered(&instance.registered.codecs, index, "codec")?;
    Ok(codec.as_ref())
}

fn count(rows: u64) -> Result<usize> {
    usize::try_from(rows).map_err(|_| Error::contract("too many rows"))
}

extern "C" fn analyze(this: *const (), index: u32, block: AbiColumn) -> AbiResult<ROption<u64>> {
    guarded("codec/1.analyze", || {
        let (block, _) = block.import_trusted()?;
        Ok(match unsafe { codec(this, index) }?.analyze(&block)? {
            Some(bytes) => RSome(bytes),
            None => RNone,
        })
    })
}

extern "C" fn encode(this: *const (), index: u32, block: AbiColumn) -> AbiResult<RVec<u8>> {
    guarded("codec/1.encode", || {
        let (block, _) = block.import_trusted()?;
        Ok(unsafe { codec(this, index) }?.encode(&block)?.into())
    })
}

extern "C" fn decode(
    this: *const (),
    index: u32,
    encoded: RSlice<'_, u8>,
    like: AbiColumn,
    rows: u64,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    guarded("codec/1.decode", || {
        let (like, _) = like.import_trusted()?;
        let codec = unsafe { codec(this, index) }?;
        let block = codec.decode(&encoded, like.data_type(), count(rows)?)?;
        *result = AbiColumn::export(&block, false)?;
        Ok(())
    })
}

#[allow(clippy::too_many_arguments)] // The vtable is flat.
extern "C" fn decode_slice(
    this: *const (),
    index: u32,
    encoded: RSlice<'_, u8>,
    like: AbiColumn,
    rows: u64,
    start: u64,
    end: u64,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    guarded("codec/1.decode_slice", || {
        let (like, _) = like.import_trusted()?;
        let codec = unsafe { codec(this, index) }?;
        let slice = count(start)?..count(end)?;
        let block = codec.decode_slice(&encoded, like.data_type(), count(rows)?, slice)?;
        *result = AbiColumn::export(&block, false)?;
        Ok(())
    })
}

#[allow(clippy::too_many_arguments)] // The vtable is flat.
extern "C" fn filter(
    this: *const (),
    index: u32,
    encoded: RSlice<'_, u8>,
    rows: u64,
    comparison: u8,
    constants: AbiColumn,
    result: &mut AbiColumn,
) -> AbiResult<bool> {
    guarded("codec/1.filter", || {
        let (constants, _) = constants.import_trusted()?;
        let codec = unsafe { codec(this, index) }?;
        let comparison = Comparison::from_code(comparison)?;
        match codec.filter(&encoded, count(rows)?, comparison, &constants)? {
            None => Ok(false),
            Some(found) => {
                let found: ArrayRef = std::sync::Arc::new(found);
                *result = AbiColumn::export(&found, false)?;
                Ok(true)
            }
        }
    })
}
