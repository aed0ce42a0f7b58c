//! COPY's text, csv, binary and parquet formats: bytes to columns and back.
//!
//! [`Decoder`] takes the stream in chunks of any size and gives batches; [`Encoder`] takes batches
//! and gives bytes; [`BinaryDecoder`] and [`BinaryEncoder`] do the same for the binary format, and so does
//! [`ParquetEncoder`]. [`ParquetDecoder`] wants a file, since these are read from their end. All know
//! [`CopyOptions`] and the columns, nothing of tables or transactions. In text, the end-of-line is `\n` or `\r\n`; a lone `\r`, which PostgreSQL also
//! takes for one, is refused.

mod binary;
mod decode;
mod encode;
mod encoding;
mod options;
mod parquet;
pub(crate) mod syntax;
#[cfg(test)]
mod tests;

use crate::types::PgType;

pub use binary::{BinaryDecoder, BinaryEncoder};
pub use decode::Decoder;
pub use encode::Encoder;
pub use encoding::Encoding;
pub use options::{CopyFormat, CopyOptions, ForceQuote, Header};
pub use parquet::{ParquetDecoder, ParquetEncoder};

/// A column of the stream.
#[derive(Clone, Debug)]
pub struct CopyColumn {
    pub name: String,
    pub ty: PgType,
    pub typmod: i32,
}
