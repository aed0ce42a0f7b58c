//! Names of segment files.

/// Their directory.
pub const SEGMENTS: &str = "segments";
const EXTENSION: &str = ".seg";

/// The file of segment `number`.
pub fn name_of(number: u64) -> String {
    format!("{SEGMENTS}/{number:016x}{EXTENSION}")
}

/// The number in a file's name within the directory.
pub fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(EXTENSION)?;
    match digits.len() {
        16 => u64::from_str_radix(digits, 16).ok(),
        _ => None,
    }
}
