//! Entries of each version as they were written when it was new. They never change.
//!
//! One entry a line: key and value in hexadecimal, a colon between.

use heliosdb_plugin_api::Entry;

pub const VERSION_1: &str = include_str!("../schemas-1.txt");
pub const VERSION_2: &str = include_str!("../schemas-2.txt");

/// The entries of a golden text.
pub fn entries(golden: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let (key, value) = line.split_once(':')?;
        Some(Entry {
            key: bytes(key)?,
            value: bytes(value)?,
        })
    };
    golden
        .lines()
        .map(|line| entry(line).expect("golden entries are part of the build, and tests read them"))
        .collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(byte).collect()
}
