//! Versions of plugins: three numbers, as semantic versioning orders them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `major.minor.patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

/// Conditions that all hold: `>=1.2, <2`. Empty for any version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionRange(Vec<(Comparison, Version)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    Above,
    AtMost,
    Below,
    Equal,
}

/// The longer spellings first, so that `>=` is not read as `>`.
const COMPARISONS: [(&str, Comparison); 5] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    (">", Comparison::Above),
    ("<", Comparison::Below),
    ("=", Comparison::Equal),
];

impl FromStr for Version {
    type Err = String;

    /// Missing parts are 0.
    fn from_str(text: &str) -> Result<Version, String> {
        let bad = || format!("\"{text}\" is not a version like 1.2.3");
        let mut parts = [0u32; 3];
        let given: Vec<&str> = text.trim().split('.').collect();
        if given.len() > parts.len() {
            return Err(bad());
        }
        for (part, text) in parts.iter_mut().zip(given) {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad());
            }
            *part = text.parse().map_err(|_| bad())?;
        }
        let [major, minor, patch] = parts;
        Ok(Version {
            major,
            minor,
            patch,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl TryFrom<String> for Version {
    type Error = String;
    fn try_from(text: String) -> Result<Version, String> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

impl VersionRange {
    pub fn contains(&self, version: Version) -> bool {
        self.0.iter().all(|(comparison, bound)| match comparison {
            Comparison::AtLeast => version >= *bound,
            Comparison::Above => version > *bound,
            Comparison::AtMost => version <= *bound,
            Comparison::Below => version < *bound,
            Comparison::Equal => version == *bound,
        })
    }
}

impl TryFrom<String> for VersionRange {
    type Error = String;

    fn try_from(text: String) -> Result<VersionRange, String> {
        let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
        let conditions = parts.map(|part| {
            let found = COMPARISONS
                .iter()
                .find_map(|(symbol, c)| part.strip_prefix(symbol).map(|rest| (*c, rest)));
            let (comparison, version) = found.unwrap_or((Comparison::Equal, part));
            Ok((comparison, version.parse()?))
        });
        Ok(VersionRange(conditions.collect::<Result<_, String>>()?))
    }
}

impl From<VersionRange> for String {
    fn from(range: VersionRange) -> String {
        range.to_string()
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (comparison, version)) in self.0.iter().enumerate() {
            let symbol = COMPARISONS.iter().find(|(_, c)| c == comparison);
            let symbol = symbol.map_or("=", |(symbol, _)| symbol);
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{symbol}{version}")?;
        }
        Ok(())
    }
}
