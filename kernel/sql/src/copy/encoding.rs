//! The encodings that text in COPY may have: UTF-8, and those of a byte a character that files still come in.
//!
//! Bytes below 128 are the same in all of them, so that a stream may be cut anywhere but within a character.

use crate::error::{Result, SqlError, state};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Latin1,
    Latin9,
    Win1252,
}

/// Other encodings that PostgreSQL knows, without the marks in their names.
const OTHERS: &[&str] = &[
    "abc",
    "alt",
    "big5",
    "euccn",
    "eucjis2004",
    "eucjp",
    "euckr",
    "euctw",
    "gb18030",
    "gbk",
    "iso88591",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885916",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "iso88599",
    "johab",
    "koi8",
    "koi8r",
    "koi8u",
    "latin10",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "mskanji",
    "muleinternal",
    "shiftjis",
    "shiftjis2004",
    "sjis",
    "tcvn",
    "tcvn5712",
    "uhc",
    "vscii",
    "win",
    "win1250",
    "win1251",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
    "win874",
    "win932",
    "win936",
    "win949",
    "win950",
    "windows1250",
    "windows1251",
    "windows1253",
    "windows1254",
    "windows1255",
    "windows1256",
    "windows1257",
    "windows1258",
    "windows866",
    "windows874",
    "windows932",
    "windows936",
    "windows949",
    "windows950",
];

/// What 0x80 to 0x9f are in Windows' code page 1252; a space is nothing.
const WIN1252: &str = "€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ";

impl Encoding {
    pub fn by_name(name: &str) -> Result<Encoding> {
        let plain: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match plain.as_str() {
            "utf8" | "unicode" => Ok(Encoding::Utf8),
            // No encoding: bytes are taken for what the server speaks.
            "sqlascii" => Ok(Encoding::Utf8),
            "latin1" | "iso88591" => Ok(Encoding::Latin1),
            "latin9" | "iso885915" => Ok(Encoding::Latin9),
            "win1252" | "windows1252" => Ok(Encoding::Win1252),
            other if OTHERS.contains(&other) => Err(SqlError::unsupported(format!(
                "COPY encoding \"{name}\""
            ))
            .with_hint("Encodings of COPY are UTF8, SQL_ASCII, LATIN1, LATIN9 and WIN1252.")),
            _ => Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "argument to option \"encoding\" must be a valid encoding name",
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "UTF8",
            Encoding::Latin1 => "LATIN1",
            Encoding::Latin9 => "LATIN9",
            Encoding::Win1252 => "WIN1252",
        }
    }

    /// What a byte from 128 is.
    fn character(self, byte: u8) -> Option<char> {
        match self {
            Encoding::Utf8 | Encoding::Latin1 => Some(byte as char),
            Encoding::Latin9 => Some(latin9(byte)),
            Encoding::Win1252 => win1252(byte),
        }
    }

    /// A piece of the data as UTF-8, or `None` when that is what it is.
    pub fn decode(self, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
        if self == Encoding::Utf8 {
            return Ok(None);
        }
        let mut out = String::with_capacity(bytes.len() + bytes.len() / 8);
        for &byte in bytes {
            match byte {
                0..=127 => out.push(byte as char),
                _ => out.push(
                    self.character(byte)
                        .ok_or_else(|| untranslatable(&[byte], self.name(), "UTF8"))?,
                ),
            }
        }
        Ok(Some(out.into_bytes()))
    }

    /// Turns what was written since `start` into this encoding.
    pub fn encode(self, out: &mut Vec<u8>, start: usize) -> Result<()> {
        if self == Encoding::Utf8 || out[start..].is_ascii() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&out[start..]).into_owned();
        out.truncate(start);
        for c in text.chars() {
            let byte = match c {
                '\0'..='\x7f' => Some(c as u8),
                _ => (128..=255).find(|byte| self.character(*byte) == Some(c)),
            };
            let mut utf8 = [0; 4];
            out.push(byte.ok_or_else(|| {
                untranslatable(c.encode_utf8(&mut utf8).as_bytes(), "UTF8", self.name())
            })?);
        }
        Ok(())
    }
}

fn latin9(byte: u8) -> char {
    match byte {
        0xa4 => '€',
        0xa6 => 'Š',
        0xa8 => 'š',
        0xb4 => 'Ž',
        0xb8 => 'ž',
        0xbc => 'Œ',
        0xbd => 'œ',
        0xbe => 'Ÿ',
        _ => byte as char,
    }
}

fn win1252(byte: u8) -> Option<char> {
    match byte {
        0x80..=0x9f => {
            let c = WIN1252.chars().nth(usize::from(byte - 0x80));
            c.filter(|c| *c != ' ')
        }
        _ => Some(byte as char),
    }
}

fn untranslatable(bytes: &[u8], from: &str, to: &str) -> SqlError {
    let shown: Vec<String> = bytes.iter().map(|b| format!("0x{b:02x}")).collect();
    SqlError::new(
        state::UNTRANSLATABLE_CHARACTER,
        format!(
            "character with byte sequence {} in encoding \"{from}\" has no equivalent in encoding \"{to}\"",
            shown.join(" ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        for name in ["LATIN1", "latin-9", "Windows-1252"] {
            let encoding = Encoding::by_name(name).unwrap();
            let defined: Vec<u8> = (0..=255u8)
                .filter(|b| encoding.decode(&[*b]).is_ok())
                .collect();
            assert!(defined.len() > 250, "{name}");
            let mut text = encoding.decode(&defined).unwrap().unwrap();
            encoding.encode(&mut text, 0).unwrap();
            assert_eq!(text, defined, "{name}");
        }
    }

    #[test]
    fn what_is_not_in_it_is_refused() {
        let win = Encoding::by_name("WIN1252").unwrap();
        assert_eq!(win.decode(b"a\x80").unwrap().unwrap(), "a€".as_bytes());
        assert_eq!(
            win.decode(b"\x81").unwrap_err().message,
            "character with byte sequence 0x81 in encoding \"WIN1252\" has no equivalent in encoding \"UTF8\""
        );
        let latin = Encoding::by_name("latin1").unwrap();
        let error = latin.encode(&mut "€".as_bytes().to_vec(), 0).unwrap_err();
        assert_eq!(error.code, state::UNTRANSLATABLE_CHARACTER);
        assert_eq!(
            Encoding::by_name("koi8-r").unwrap_err().code,
            state::FEATURE_NOT_SUPPORTED
        );
        assert_eq!(
            Encoding::by_name("nothing").unwrap_err().code,
            state::INVALID_PARAMETER_VALUE
        );
    }
}
