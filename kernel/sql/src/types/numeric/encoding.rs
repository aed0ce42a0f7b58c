//! The stored form of a `numeric` that has no fixed scale: bytes that compare as the values do.
//!
//! ```text
//! +-----+---------------------+----------------------+------+--------------+
//! | tag | exponent, u32 BE    | pairs of digits + 1  | 0x00 | dscale u16BE |
//! +-----+---------------------+----------------------+------+--------------+
//!         only when the value is finite and not zero           always last
//! ```
//!
//! The value is `0.d₁d₂d₃… × 10^exponent` with d₁ ≠ 0. Digits go in pairs (base 100), each byte one
//! more than its pair so that the terminator sorts first; an odd last digit is padded with 0, and
//! trailing zero pairs are dropped. A negative value has every byte between tag and dscale
//! complemented. Tags: `-Infinity` 0x10 < negative 0x20 < zero 0x30 < positive 0x40 < `Infinity`
//! 0x50 < `NaN` 0x60.
//!
//! Invariants: (1) without its last two bytes, one value has one encoding, and memcmp of two
//! encodings is the order of the values; (2) no encoding without its last two bytes is a proper
//! prefix of another; (3) the last two bytes are the display scale.

use num_bigint::{BigInt, Sign};
use num_traits::ToPrimitive;

use super::{Numeric, Small, arith, pow10};

const TAG_NEG_INFINITY: u8 = 0x10;
const TAG_NEGATIVE: u8 = 0x20;
const TAG_ZERO: u8 = 0x30;
const TAG_POSITIVE: u8 = 0x40;
const TAG_INFINITY: u8 = 0x50;
const TAG_NAN: u8 = 0x60;

/// Bytes of the dscale at the end.
pub const DSCALE_BYTES: usize = 2;
const EXPONENT_BIAS: i64 = 1 << 31;
const TERMINATOR: u8 = 0;
/// 36 digits have a place in 128 bits.
const SMALL_PAIRS_MAX: usize = 18;

/// The part of an encoding that equality and order look at.
pub fn key(encoded: &[u8]) -> &[u8] {
    &encoded[..encoded.len().saturating_sub(DSCALE_BYTES)]
}

pub fn encode(value: &Numeric, out: &mut Vec<u8>) {
    let dscale = value.dscale();
    match value {
        Numeric::NegInfinity => out.push(TAG_NEG_INFINITY),
        Numeric::Infinity => out.push(TAG_INFINITY),
        Numeric::NaN => out.push(TAG_NAN),
        Numeric::Finite(d) => match d.coefficient.to_i128() {
            Some(coefficient) => {
                let small = Small {
                    coefficient,
                    dscale,
                };
                return encode_small(small, out);
            }
            None => {
                let text = d.coefficient.magnitude().to_string();
                let negative = d.coefficient.sign() == Sign::Minus;
                encode_digits(text.as_bytes(), negative, dscale, out);
            }
        },
    }
    out.extend_from_slice(&dscale.to_be_bytes());
}

/// What [`encode`] writes of the value.
pub fn encode_small(small: Small, out: &mut Vec<u8>) {
    let Small {
        coefficient,
        dscale,
    } = small;
    match coefficient {
        0 => out.push(TAG_ZERO),
        _ => {
            let mut buffer = [0u8; 40];
            let digits = write_u128(coefficient.unsigned_abs(), &mut buffer);
            encode_digits(digits, coefficient < 0, dscale, out);
        }
    }
    out.extend_from_slice(&dscale.to_be_bytes());
}

pub fn encode_to_vec(value: &Numeric) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    encode(value, &mut out);
    out
}

fn write_u128(mut v: u128, buffer: &mut [u8; 40]) -> &[u8] {
    let mut at = buffer.len();
    let mut put = |digit: u8| {
        at -= 1;
        buffer[at] = b'0' + digit;
    };
    // Division of 64 bits is several times as fast.
    while v > u64::MAX as u128 {
        put((v % 10) as u8);
        v /= 10;
    }
    let mut v = v as u64;
    while v > 0 {
        put((v % 10) as u8);
        v /= 10;
    }
    &buffer[at..]
}

/// Tag, exponent and pairs of a value that is not zero.
fn encode_digits(digits: &[u8], negative: bool, dscale: u16, out: &mut Vec<u8>) {
    out.push(if negative { TAG_NEGATIVE } else { TAG_POSITIVE });
    let start = out.len();
    let exponent = digits.len() as i64 - dscale as i64;
    out.extend_from_slice(&((exponent + EXPONENT_BIAS) as u32).to_be_bytes());
    let significant = digits
        .iter()
        .rposition(|d| *d != b'0')
        .map_or(0, |at| at + 1);
    for pair in digits[..significant].chunks(2) {
        let high = pair[0] - b'0';
        let low = pair.get(1).map_or(0, |d| d - b'0');
        out.push(high * 10 + low + 1);
    }
    out.push(TERMINATOR);
    if negative {
        out[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

/// An encoded value that is finite and has a place in 128 bits. `None` is for [`decode`] to tell.
pub fn decode_small(encoded: &[u8]) -> Option<Small> {
    let (body, dscale) = encoded.split_last_chunk::<DSCALE_BYTES>()?;
    let dscale = u16::from_be_bytes(*dscale);
    let (tag, body) = body.split_first()?;
    let flip = match *tag {
        TAG_ZERO if body.is_empty() => {
            return Some(Small {
                coefficient: 0,
                dscale,
            });
        }
        TAG_NEGATIVE => 0xff,
        TAG_POSITIVE => 0,
        _ => return None,
    };
    let (exponent, pairs) = body.split_first_chunk::<4>()?;
    let exponent = u32::from_be_bytes(exponent.map(|b| b ^ flip)) as i64 - EXPONENT_BIAS;
    let (last, pairs) = pairs.split_last()?;
    if last ^ flip != TERMINATOR || pairs.len() > SMALL_PAIRS_MAX {
        return None;
    }
    let mut v = 0i128;
    for p in pairs {
        v = v * 100 + pair_value(*p, flip)? as i128;
    }
    let zeros = dscale as i64 - (2 * pairs.len() as i64 - exponent);
    let v = match u32::try_from(zeros) {
        Ok(zeros) => v.checked_mul(10i128.checked_pow(zeros)?)?,
        // The last pair was filled up.
        Err(_) if zeros == -1 && v % 10 == 0 => v / 10,
        Err(_) => return None,
    };
    Some(Small {
        coefficient: if flip == 0 { v } else { -v },
        dscale,
    })
}

/// Decodes what [`encode`] wrote; `None` for bytes it never writes.
pub fn decode(encoded: &[u8]) -> Option<Numeric> {
    if let Some(small) = decode_small(encoded) {
        return Some(small.into());
    }
    let split = encoded.len().checked_sub(DSCALE_BYTES)?;
    let (body, dscale) = encoded.split_at(split);
    let dscale = u16::from_be_bytes([dscale[0], dscale[1]]);
    let (tag, body) = body.split_first()?;
    let negative = match *tag {
        TAG_NEG_INFINITY => return Some(Numeric::NegInfinity),
        TAG_INFINITY => return Some(Numeric::Infinity),
        TAG_NAN => return Some(Numeric::NaN),
        TAG_ZERO => return Some(Numeric::new(BigInt::from(0), dscale)),
        TAG_NEGATIVE => true,
        TAG_POSITIVE => false,
        _ => return None,
    };
    let flip = if negative { 0xff } else { 0 };
    let exponent = body.get(..4)?;
    let exponent = u32::from_be_bytes([
        exponent[0] ^ flip,
        exponent[1] ^ flip,
        exponent[2] ^ flip,
        exponent[3] ^ flip,
    ]) as i64
        - EXPONENT_BIAS;
    if exponent > super::INTEGER_DIGITS_MAX {
        return None;
    }
    let (last, pairs) = body[4..].split_last()?;
    if last ^ flip != TERMINATOR {
        return None;
    }
    let base100 = pairs.iter().map(|p| pair_value(*p, flip));
    let base100: Vec<u8> = base100.collect::<Option<_>>()?;
    let magnitude = BigInt::from_radix_be(Sign::Plus, &base100, 100)?;
    // The pairs stand at scale 2·len - exponent; the value is shown at dscale.
    let scale = 2 * pairs.len() as i64 - exponent;
    let coefficient = if dscale as i64 >= scale {
        magnitude * pow10((dscale as i64 - scale) as u32)
    } else {
        arith::rescale(&magnitude, scale, dscale as i64)
    };
    Some(Numeric::new(
        if negative { -coefficient } else { coefficient },
        dscale,
    ))
}

fn pair_value(byte: u8, flip: u8) -> Option<u8> {
    let v = (byte ^ flip).checked_sub(1)?;
    (v < 100).then_some(v)
}
