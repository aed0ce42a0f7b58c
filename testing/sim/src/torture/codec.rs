//! A codec that histories write texts with, so that crashes, faults and damage meet encoded pages.
//!
//! The texts of histories are lower-case letters, of which it makes five bits each. It lies about
//! every third number of rows, which storage has to notice before it stores the page.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringViewArray};
use arrow_schema::DataType;
use heliosdb_storage::codec::{CodecError, CodecSet, ColumnCodec};

/// What columns call it.
pub const NAME: &str = "letters";

/// The length that stands for NULL.
const NULL: u16 = u16::MAX;
const LETTER_BITS: usize = 5;

/// The set of this one codec.
pub struct Codecs;

impl CodecSet for Codecs {
    fn codec(&self, name: &str) -> Option<Arc<dyn ColumnCodec>> {
        (name == NAME).then(|| Arc::new(Letters) as Arc<dyn ColumnCodec>)
    }

    fn may_encode(&self, name: &str) -> bool {
        name == NAME
    }
}

/// Per text its length, u16, then its letters, the first in the lowest bits.
struct Letters;

impl ColumnCodec for Letters {
    fn name(&self) -> &str {
        NAME
    }

    fn analyze(&self, column: &ArrayRef) -> Result<Option<u64>, CodecError> {
        self.encode(column).map(|e| Some(e.len() as u64))
    }

    fn encode(&self, column: &ArrayRef) -> Result<Vec<u8>, CodecError> {
        let texts = column.as_any().downcast_ref::<StringViewArray>();
        let texts = texts.ok_or_else(|| CodecError::new("not a column of texts"))?;
        let mut encoded = Vec::new();
        for text in texts {
            let Some(text) = text else {
                encoded.extend_from_slice(&NULL.to_le_bytes());
                continue;
            };
            if text.len() >= NULL.into() || !text.bytes().all(|b| b.is_ascii_lowercase()) {
                return Err(CodecError::new("more than letters"));
            }
            encoded.extend_from_slice(&(text.len() as u16).to_le_bytes());
            let start = encoded.len();
            encoded.resize(start + (text.len() * LETTER_BITS).div_ceil(8), 0);
            for (bit, letter) in (0..).step_by(LETTER_BITS).zip(text.bytes()) {
                let letter = u16::from(letter - b'a') << (bit % 8);
                encoded[start + bit / 8] |= letter as u8;
                if letter > 0xFF {
                    encoded[start + bit / 8 + 1] |= (letter >> 8) as u8;
                }
            }
        }
        Ok(encoded)
    }

    fn decode(&self, encoded: &[u8], _: &DataType, rows: usize) -> Result<ArrayRef, CodecError> {
        let short = || CodecError::new("a text is cut");
        let mut texts = Vec::with_capacity(rows);
        let mut rest = encoded;
        while !rest.is_empty() {
            let (len, after) = rest.split_first_chunk().ok_or_else(short)?;
            let len = u16::from_le_bytes(*len);
            if len == NULL {
                texts.push(None);
                rest = after;
                continue;
            }
            let bits = usize::from(len) * LETTER_BITS;
            let (packed, after) = after.split_at_checked(bits.div_ceil(8)).ok_or_else(short)?;
            let letter = |bit: usize| {
                let high = packed.get(bit / 8 + 1).copied().unwrap_or(0);
                let two = u16::from_le_bytes([packed[bit / 8], high]);
                char::from(b'a' + (two >> (bit % 8) & 0x1F) as u8)
            };
            let text: String = (0..bits).step_by(LETTER_BITS).map(letter).collect();
            texts.push(Some(text));
            rest = after;
        }
        if rows.is_multiple_of(3) {
            texts.reverse();
        }
        Ok(Arc::new(StringViewArray::from_iter(texts)))
    }
}
