//! Functions about the session and the server, and a few that belong to no type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewArray};
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use crate::error::{Result, SqlError, state};
use crate::semantics::kernel::*;
use crate::semantics::overload::{Call, Param, ResultType, pg_type};
use crate::types::PgType;

/// The PostgreSQL release whose behaviour this follows.
pub const SERVER_VERSION: &str = "15.8";
pub const SERVER_VERSION_NUM: i32 = 150_008;

/// RFC 1321.
pub fn md5(data: &[u8]) -> [u8; 16] {
    const SHIFTS: [[u32; 4]; 4] = [
        [7, 12, 17, 22],
        [5, 9, 14, 20],
        [4, 11, 16, 23],
        [6, 10, 15, 21],
    ];
    let mut message = data.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&((data.len() as u64).wrapping_mul(8)).to_le_bytes());
    let mut h: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in message.chunks_exact(64) {
        let word = |i: usize| {
            u32::from_le_bytes([
                block[i * 4],
                block[i * 4 + 1],
                block[i * 4 + 2],
                block[i * 4 + 3],
            ])
        };
        let [mut a, mut b, mut c, mut d] = h;
        for i in 0..64usize {
            let (f, g) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let constant = (((i + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
            let rotated = a
                .wrapping_add(f)
                .wrapping_add(constant)
                .wrapping_add(word(g))
                .rotate_left(SHIFTS[i / 16][i % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(rotated));
        }
        for (h, v) in h.iter_mut().zip([a, b, c, d]) {
            *h = h.wrapping_add(v);
        }
    }
    let mut out = [0; 16];
    for (bytes, v) in out.chunks_exact_mut(4).zip(h) {
        bytes.copy_from_slice(&v.to_le_bytes());
    }
    out
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// `encode(…, 'base64')` breaks lines here.
const BASE64_LINE: usize = 76;

pub fn base64_encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| (n << 8) | *b as u32) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(BASE64[(n >> (18 - 6 * i)) as usize & 63] as char);
            } else {
                out.push('=');
            }
        }
    }
    let lines: Vec<&str> = (0..out.len())
        .step_by(BASE64_LINE)
        .map(|i| &out[i..(i + BASE64_LINE).min(out.len())])
        .collect();
    lines.join("\n")
}

pub fn base64_decode(text: &str) -> Result<Vec<u8>> {
    let invalid = |m: &str| SqlError::new(state::INVALID_PARAMETER_VALUE, m.to_string());
    let mut out = Vec::new();
    let (mut n, mut bits) = (0u32, 0);
    let mut padding = 0;
    let mut symbols = 0;
    for b in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        symbols += 1;
        if b == b'=' {
            padding += 1;
            continue;
        }
        let v = BASE64
            .iter()
            .position(|c| *c == b)
            .filter(|_| padding == 0)
            .ok_or_else(|| {
                invalid(&format!(
                    "invalid symbol \"{}\" found while decoding base64 sequence",
                    b as char
                ))
            })?;
        n = (n << 6) | v as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((n >> bits) as u8);
            n &= (1 << bits) - 1;
        }
    }
    if symbols % 4 != 0 {
        return Err(invalid("invalid base64 end sequence")
            .with_hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

fn type_of(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let ty = match &args[0] {
        ColumnarValue::Array(a) => pg_type(a.data_type()),
        ColumnarValue::Scalar(s) => pg_type(&s.data_type()),
    };
    let names: StringViewArray = std::iter::repeat_n(Some(ty.name()), call.rows).collect();
    Ok(Arc::new(names))
}

pub fn register(r: &mut Registry) {
    r.add(
        super::MISSING,
        f2::<Text, Text, Text>(|message, hint| {
            Err(SqlError::new(state::UNDEFINED_FUNCTION, message).with_hint(hint))
        })
        .volatile(),
    );
    for name in ["current_user", "user", "current_role"] {
        r.add(name, f0::<Text>(|c| Ok(Some(c.vars.user.clone()))).stable());
    }
    r.add(
        "session_user",
        f0::<Text>(|c| Ok(Some(c.vars.session_user.clone()))).stable(),
    );
    for name in ["current_database", "current_catalog"] {
        r.add(
            name,
            f0::<Text>(|c| Ok(Some(c.vars.database.clone()))).stable(),
        );
    }
    r.add(
        "current_schema",
        f0::<Text>(|c| Ok(c.vars.search_path.first().cloned())).stable(),
    );
    r.add(
        "current_schemas",
        o1::<Bool, TextArray>(|c, implicit| {
            let mut names = Vec::new();
            if implicit && !c.vars.search_path.iter().any(|s| s == "pg_catalog") {
                names.push(Some("pg_catalog".to_string()));
            }
            names.extend(c.vars.search_path.iter().cloned().map(Some));
            Ok(Some(names))
        })
        .stable(),
    );
    r.add(
        "pg_backend_pid",
        f0::<Int4>(|c| Ok(Some(c.vars.backend_pid))).stable(),
    );
    r.add(
        "version",
        f0::<Text>(|_| {
            Ok(Some(format!(
                "PostgreSQL {SERVER_VERSION} (HeliosDB {}) on {}-{}",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::ARCH,
                std::env::consts::OS
            )))
        })
        .stable(),
    );
    r.add(
        "gen_random_uuid",
        f0::<Uuid>(|_| Ok(Some(*uuid::Uuid::new_v4().as_bytes()))).volatile(),
    );
    r.add(
        "pg_typeof",
        polymorphic(
            vec![Param::Any],
            false,
            ResultType::Is(PgType::Text),
            type_of,
        ),
    );
    for (name, wanted) in [("num_nulls", true), ("num_nonnulls", false)] {
        r.add(
            name,
            polymorphic(
                vec![Param::Any],
                true,
                ResultType::Is(PgType::Int4),
                move |args, call| {
                    let columns = args.iter().map(expand).collect::<Result<Vec<_>>>()?;
                    let counts: arrow::array::Int32Array = (0..call.rows)
                        .map(|row| {
                            let n = columns
                                .iter()
                                .filter(|(a, s)| a.is_null(row * s) == wanted)
                                .count();
                            Some(n as i32)
                        })
                        .collect();
                    Ok(Arc::new(counts))
                },
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_base64() {
        let hex = |b: [u8; 16]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(
            hex(md5(b"The quick brown fox jumps over the lazy dog")),
            "9e107d9d372bb6826bd81d3542a419d6"
        );
        for s in ["", "a", "ab", "abc", "abcd"] {
            assert_eq!(
                base64_decode(&base64_encode(s.as_bytes())).unwrap(),
                s.as_bytes()
            );
        }
    }
}
