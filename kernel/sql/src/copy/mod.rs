//! COPY's text and csv formats: bytes to columns and back.
//!
//! [`Decoder`] takes the stream in chunks of any size and gives batches; [`Encoder`] takes batches
//! and gives bytes. Both know [`CopyOptions`] and the columns, nothing of tables or transactions.
//! Only UTF-8 is spoken. The end-of-line is `\n` or `\r\n`; a lone `\r`, which PostgreSQL also
//! takes for one, is refused.

mod decode;
mod encode;
mod options;
#[cfg(test)]
mod tests;

use crate::types::PgType;

pub use decode::Decoder;
pub use encode::Encoder;
pub use options::{CopyFormat, CopyOptions, ForceQuote, Header};

/// A column of the stream.
#[derive(Clone, Debug)]
pub struct CopyColumn {
    pub name: String,
    pub ty: PgType,
    pub typmod: i32,
}
