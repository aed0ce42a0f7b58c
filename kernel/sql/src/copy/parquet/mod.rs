//! COPY's parquet format: the columns of Apache Parquet files, by name.
//!
//! ```text
//! boolean                      BOOLEAN
//! smallint, integer, bigint    INT(16), INT(32), INT(64)
//! oid                          INT(32), unsigned
//! real, double precision       FLOAT, DOUBLE
//! numeric(p, s), p up to 38    DECIMAL(p, s)
//! bytea                        BYTE_ARRAY
//! date, time                   DATE, TIME(MICROS)
//! timestamp [with time zone]   TIMESTAMP(MICROS), [adjusted to UTC]
//! arrays                       LIST of one of these
//! all else                     STRING, as it prints
//! ```
//!
//! What comes in may be other than what would go out: [`convert`] takes what an assignment takes, and strings for
//! everything. Ends of time (`infinity`) have no place in these files and are refused.

mod convert;
mod read;
mod write;

use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;

use super::decode::bad_format;
use crate::error::{Result, SqlError, state};

pub use read::ParquetDecoder;
pub use write::ParquetEncoder;

/// How pages are compressed, by the names that DuckDB has for it; zstd where nothing is said.
pub(super) fn compression_by_name(name: &str) -> Result<Compression> {
    match name.to_ascii_lowercase().as_str() {
        "uncompressed" | "none" => Ok(Compression::UNCOMPRESSED),
        "snappy" => Ok(Compression::SNAPPY),
        "gzip" => Ok(Compression::GZIP(GzipLevel::default())),
        "lz4" => Ok(Compression::LZ4_RAW),
        "zstd" => Ok(zstd()),
        other => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("COPY compression \"{other}\" not recognized"),
        )
        .with_hint("It is one of uncompressed, snappy, gzip, lz4 and zstd.")),
    }
}

pub(super) fn zstd() -> Compression {
    Compression::ZSTD(ZstdLevel::default())
}

fn failed(error: &ParquetError) -> SqlError {
    bad_format(format!("could not read Parquet data: {error}"))
}
