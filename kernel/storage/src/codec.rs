//! Column codecs: encodings of a column's pages. Some are built in ([`BuiltIn`]); the others live outside
//! of storage, and this is what is asked of them.
//!
//! A column names the codec its pages are to be written with; what that name stands for is the
//! [`CodecSet`]'s business, which the layer above hands to the engine and may exchange at any time.
//! Storage does not trust a codec:
//!
//! 1. *Writing.* A page that was encoded is decoded again before it is stored, and stored only when
//!    that gives back what went in, to the byte. Otherwise, and whenever the codec is missing, off,
//!    failing or of no gain, the page is stored as if the column named no codec.
//! 2. *Reading.* What a codec decodes is checked for type, length and validity, put back into the
//!    form that a page without codec has, and held against the checksum of that form. So a page is
//!    either what was written or an error that names the codec.
//! 3. *Missing.* A codec that is not there fails the reads of the columns it encoded, and no others.
//!
//! 4. *Filtering.* Which values meet a condition a codec may tell from what it encoded. That a row is left
//!    out wrongly nothing shows when it is read, so a codec is put to the test when it encodes: one that does
//!    not find what is in the page is not used.
//!
//! Where a codec only decodes, or cannot tell, the page is decoded.
//!
//! Only columns of rows have codecs. The log, the catalog, indexes and stores never do, so neither
//! recovery nor opening a database needs one.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use parking_lot::RwLock;

/// Longest name of a codec, in bytes: a length takes one byte in files.
pub const CODEC_NAME_BYTES_MAX: usize = u8::MAX as usize;

/// One encoding of columns. Calls come from any thread, a flush's among them, at the same time. A
/// codec must not call the engine, and must not panic: who adapts foreign code catches its panics.
pub trait ColumnCodec: Send + Sync {
    /// The name that columns and pages call it by.
    fn name(&self) -> &str;

    /// About how many bytes `column`, the values of one page, would take; `None` when the codec has
    /// nothing to offer for it. Asked before every `encode`, so it should be quicker; an estimate
    /// that saves nothing spares the encoding.
    fn analyze(&self, column: &ArrayRef) -> Result<Option<u64>, CodecError>;

    /// `column` in the codec's own form. NULLs are part of it; what their slots hold is not.
    fn encode(&self, column: &ArrayRef) -> Result<Vec<u8>, CodecError>;

    /// What `encode` was given: `rows` values of type `ty`.
    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef, CodecError>;

    /// Which of the `rows` values that `encode` was given meet a condition, told from what it gave; `None`,
    /// the default, when only decoding can tell. NULL meets none.
    fn filter(
        &self,
        encoded: &[u8],
        rows: usize,
        condition: &Condition,
    ) -> Result<Option<BooleanBuffer>, CodecError> {
        let _ = (encoded, rows, condition);
        Ok(None)
    }
}

/// How values are to stand to constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Equal to one of them.
    In,
    /// Texts and bytes only.
    StartsWith,
}

/// A condition on the values of a column, in the order that `heliosdb_plugin_api` promises codecs.
#[derive(Clone, Debug)]
pub struct Condition {
    pub comparison: Comparison,
    /// Of the column's type, and not NULL. One, but for [`Comparison::In`].
    pub constants: ArrayRef,
}

/// Why a codec could not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CodecError {
    message: String,
}

impl CodecError {
    pub fn new(message: impl Into<String>) -> CodecError {
        CodecError {
            message: message.into(),
        }
    }
}

/// The codecs there are.
pub trait CodecSet: Send + Sync {
    /// The codec of that name, to read what it encoded.
    fn codec(&self, name: &str) -> Option<Arc<dyn ColumnCodec>>;

    /// Whether new pages may be encoded with it. One that is switched off still decodes.
    fn may_encode(&self, name: &str) -> bool;
}

/// The set an engine starts with: no codecs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCodecs;

impl CodecSet for NoCodecs {
    fn codec(&self, _: &str) -> Option<Arc<dyn ColumnCodec>> {
        None
    }

    fn may_encode(&self, _: &str) -> bool {
        false
    }
}

/// The set in force, as the engine and the readers of its segments share it.
pub struct Codecs(RwLock<Arc<dyn CodecSet>>);

impl Codecs {
    pub fn new(set: Arc<dyn CodecSet>) -> Arc<Codecs> {
        Arc::new(Codecs(RwLock::new(set)))
    }

    /// No codecs, until others are set.
    pub fn none() -> Arc<Codecs> {
        Codecs::new(Arc::new(NoCodecs))
    }

    pub fn current(&self) -> Arc<dyn CodecSet> {
        Arc::clone(&self.0.read())
    }

    pub fn set(&self, set: Arc<dyn CodecSet>) {
        *self.0.write() = set;
    }
}

/// The name a column gives to have its pages stored as they are. No codec is asked for it.
pub const NONE: &str = "none";
/// The name a column gives for zstd where that makes a page shorter. No codec is asked for it. A column
/// without any name gets what is best for each page: a built-in codec, zstd, or nothing.
pub const ZSTD: &str = "zstd";

/// A codec that storage brings itself, for columns that name none. Which one a page gets is chosen by
/// its values, page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BuiltIn {
    /// Whole numbers by their distance from a reference, or from the one before, in as few bits as that
    /// needs (FastLanes).
    Bitpacking,
    /// Each distinct value once, and which one each row has.
    Dictionary,
    /// Runs of equal values.
    Runs,
    /// Lengths as whole numbers, and the bytes in zstd.
    Strings,
}

impl BuiltIn {
    pub const ALL: [BuiltIn; 4] = [
        BuiltIn::Bitpacking,
        BuiltIn::Dictionary,
        BuiltIn::Runs,
        BuiltIn::Strings,
    ];

    /// The name people know it by.
    pub fn name(self) -> &'static str {
        match self {
            BuiltIn::Bitpacking => "bitpacking",
            BuiltIn::Dictionary => "dict",
            BuiltIn::Runs => "rle",
            BuiltIn::Strings => "strings",
        }
    }
}

/// How the pages of a column are stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// As they are.
    Plain,
    Zstd,
    BuiltIn(BuiltIn),
    /// By the codec of that name.
    Codec(Arc<str>),
}

impl Encoding {
    /// The name by which a column asks for it, where it can.
    pub fn name(&self) -> &str {
        match self {
            Encoding::Plain => NONE,
            Encoding::Zstd => ZSTD,
            Encoding::BuiltIn(codec) => codec.name(),
            Encoding::Codec(name) => name,
        }
    }
}
