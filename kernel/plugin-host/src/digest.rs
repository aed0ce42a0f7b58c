//! A 128-bit digest that adds up: of a set, it is the sum of its members' hashes modulo 2^128, so members
//! may be counted in any order and in parts. What a member's hash is, whoever sums says
//! ([`crate::migration`] of entries, `heliosdb_dump` of rows and bytes).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Written as 32 hexadecimal digits; of nothing it is 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub u128);

impl std::ops::AddAssign for Digest {
    fn add_assign(&mut self, other: Digest) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Digest, String> {
        let bad = || format!("not a digest: {text:?}");
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        u128::from_str_radix(text, 16)
            .map(Digest)
            .map_err(|_| bad())
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Digest, String> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_adds_up_and_wraps() {
        let mut sum = Digest(u128::MAX);
        sum += Digest(2);
        assert_eq!(sum, Digest(1));
    }

    #[test]
    fn it_reads_what_it_writes_and_nothing_else() {
        let digest = Digest(0x5513_eb0c_e621_d74b_ea03_7efd_3d24_4296);
        assert_eq!(digest.to_string(), "5513eb0ce621d74bea037efd3d244296");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in [
            "",
            "0",
            "+0000000000000000000000000000000",
            "g0000000000000000000000000000000",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
