//! Identifiers: plain ones, and those that only quotes make possible.

use heliosdb_sim::rng::Rng;

/// The most bytes that an identifier keeps (PostgreSQL's `NAMEDATALEN` - 1).
const BYTES_MAX: usize = 63;

/// A name that no other has, by its number, quoted where it must be.
pub fn fresh(rng: &mut Rng, prefix: &str, number: usize) -> String {
    match rng.index(10) {
        0 => quoted(&format!("{prefix} {number}")),
        1 => quoted(&format!("{}\"{number}\"", prefix.to_uppercase())),
        2 => quoted(&format!("таблица {prefix}{number} 😀")),
        3 => quoted(&format!("a.b'{prefix};{number}--")),
        4 => quoted(&format!("select{number}{prefix}")),
        5 => {
            let name = format!("{prefix}{number}_");
            let rest = BYTES_MAX - name.len();
            format!("{name}{}", "x".repeat(rest))
        }
        6 => quoted(&format!("Ünïcode {prefix} \\{number}\n")),
        _ => format!("{prefix}{number}"),
    }
}

/// The name with quotes around it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
