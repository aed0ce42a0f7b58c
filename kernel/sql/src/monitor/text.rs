//! What tells statements apart that differ in more than constants, and how such a statement is shown.
//!
//! PostgreSQL finds this in the analysed tree, which most statements here never have: their plans are found by
//! their text. So it is found in the text. Letters' case outside of quotes, white space and comments make no
//! difference to [`Shape::id`]; constants make none either, and are `$n` in [`Shape::text`], numbered from where the
//! statement's own parameters end. Places in ORDER BY and GROUP BY, and modifiers of types, are no constants.
//!
//! Of statements that are not about rows only strings are taken out. That is enough for no password to be in the
//! text of any statement.

use std::sync::Arc;

use crate::session::normal::{is_operator, is_operator_keyword, is_word};

/// Longer texts are cut.
const TEXT_BYTES_MAX: usize = 4096;

/// A statement without its constants.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Never 0.
    pub id: i64,
    pub text: Arc<str>,
}

impl Shape {
    pub fn of(text: &str) -> Shape {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        let text = text.trim_end_matches(|c: char| c == ';' || c.is_ascii_whitespace());
        let mut lexer = Lexer::new(text);
        while lexer.at < text.len() {
            lexer.token();
        }
        lexer.shape()
    }
}

/// The text with nothing quoted in it, for where it is said in full otherwise.
pub(crate) fn without_strings(text: &str) -> String {
    let mut lexer = Lexer::new(text);
    lexer.is_of_rows = false;
    while lexer.at < text.len() {
        lexer.token();
    }
    lexer.shown()
}

/// What came before a token, as far as it matters to the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    /// A value, or a name: an operator behind it has a left side.
    Operand,
    /// A minus that belongs to the number behind it, and where it is.
    Sign(usize),
    /// `GROUP BY`, `ORDER BY`, or a comma in one.
    Place,
    Group,
    Is,
    IsNot,
    /// The name of a type that takes numbers.
    Type,
    Other,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// It reads or changes rows, so that numbers in it are constants.
    is_of_rows: bool,
    before: Before,
    /// Of each open parenthesis: whether there are the numbers of a type in it, and whether it is in a list of places.
    open: Vec<(bool, bool)>,
    in_places: bool,
    hash: Hash,
    /// Where constants are.
    constants: Vec<(usize, usize)>,
    /// The highest number of a parameter.
    parameters: usize,
}

/// FNV-1a, which is the same everywhere and for ever.
struct Hash(u64);

impl Hash {
    fn bytes(&mut self, bytes: impl IntoIterator<Item = u8>) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // Between tokens.
        self.0 = (self.0 ^ 0xff).wrapping_mul(0x0100_0000_01b3);
    }

    fn id(&self) -> i64 {
        // High bits of the last bytes reach the low ones.
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        match (mixed ^ (mixed >> 32)).cast_signed() {
            0 => 1,
            id => id,
        }
    }
}

/// Words that statements about rows begin with.
const OF_ROWS: &[&str] = &[
    "select", "insert", "update", "delete", "merge", "with", "values", "table", "from",
];

/// Types that are followed by numbers which say which of them it is.
const TYPES: &[&str] = &[
    "char",
    "character",
    "bpchar",
    "varchar",
    "varying",
    "numeric",
    "decimal",
    "dec",
    "float",
    "bit",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "vector",
    "halfvec",
    "sparsevec",
];

/// Clauses that end a list of places.
const AFTER_PLACES: &[&str] = &[
    "having",
    "window",
    "limit",
    "offset",
    "fetch",
    "for",
    "union",
    "intersect",
    "except",
    "rows",
    "range",
    "groups",
    "where",
    "returning",
    "select",
];

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Lexer<'a> {
        let start = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '(');
        let word = start.split(|c: char| !c.is_ascii_alphabetic()).next();
        let is = |known: &&str| word.is_some_and(|word| word.eq_ignore_ascii_case(known));
        Lexer {
            text,
            at: 0,
            // What begins with a comment is one of them, more often than not.
            is_of_rows: OF_ROWS.iter().any(is) || start.starts_with(['-', '/']),
            before: Before::Other,
            open: Vec::new(),
            in_places: false,
            hash: Hash(0xcbf2_9ce4_8422_2325),
            constants: Vec::new(),
            parameters: 0,
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn run(&self, is: impl Fn(u8) -> bool) -> usize {
        self.rest().iter().take_while(|b| is(**b)).count()
    }

    /// Takes a token as it is.
    fn plain(&mut self, bytes: usize, before: Before) {
        let token = &self.text.as_bytes()[self.at..self.at + bytes];
        self.hash.bytes(token.iter().copied());
        self.at += bytes;
        self.before = before;
    }

    fn constant(&mut self, bytes: usize) {
        let start = match self.before {
            Before::Sign(at) => at,
            _ => {
                self.hash.bytes(*b"$");
                self.at
            }
        };
        self.at += bytes;
        self.constants.push((start, self.at));
        self.before = Before::Operand;
    }

    fn token(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.first().copied() else {
            return;
        };
        match first {
            b if b.is_ascii_whitespace() => self.at += self.run(|b| b.is_ascii_whitespace()),
            b'-' if rest.starts_with(b"--") => self.at += self.run(|b| b != b'\n'),
            b'/' if rest.starts_with(b"/*") => self.at += comment(rest),
            b'\'' => self.constant(quoted(rest, false)),
            b'"' => {
                let bytes = quoted(rest, false);
                self.plain(bytes, Before::Operand);
            }
            b'$' => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'.' if rest.get(1).is_some_and(u8::is_ascii_digit)
                && self.before != Before::Operand =>
            {
                self.number();
            }
            b if is_word(b) => self.word(),
            b'(' => {
                self.open
                    .push((self.before == Before::Type, self.in_places));
                self.in_places = false;
                self.plain(1, Before::Other);
            }
            b')' => {
                self.in_places = self.open.pop().is_some_and(|(_, places)| places);
                self.plain(1, Before::Operand);
            }
            b',' => {
                let before = match self.in_places {
                    true => Before::Place,
                    false => Before::Other,
                };
                self.plain(1, before);
            }
            b']' => self.plain(1, Before::Operand),
            b if is_operator(b) => self.operator(),
            _ => self.plain(1, Before::Other),
        }
    }

    fn dollar(&mut self) {
        let rest = self.rest();
        let digits = rest[1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits > 0 {
            let number = self.text[self.at + 1..self.at + 1 + digits].parse();
            self.parameters = self.parameters.max(number.unwrap_or(0));
            return self.plain(1 + digits, Before::Operand);
        }
        let tag = 1 + rest[1..]
            .iter()
            .take_while(|b| is_word(**b) || b.is_ascii_digit())
            .count();
        if rest.get(tag) != Some(&b'$') {
            return self.plain(1, Before::Other);
        }
        let tag = &self.text[self.at..self.at + tag + 1];
        let inside = &self.text[self.at + tag.len()..];
        let end = inside.find(tag);
        self.constant(end.map_or(rest.len(), |end| end + 2 * tag.len()));
    }

    fn number(&mut self) {
        let bytes = self.run(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'));
        let rest = self.rest();
        let has_exponent = matches!(rest[bytes - 1], b'e' | b'E')
            && !rest.starts_with(b"0x")
            && matches!(rest.get(bytes), Some(b'+' | b'-'))
            && rest.get(bytes + 1).is_some_and(u8::is_ascii_digit);
        let bytes = match has_exponent {
            true => {
                let digits = rest[bytes + 1..].iter().take_while(|b| b.is_ascii_digit());
                bytes + 1 + digits.count()
            }
            false => bytes,
        };
        let of_type = self.open.last().is_some_and(|(of_type, _)| *of_type);
        match !self.is_of_rows || of_type || self.before == Before::Place {
            true => self.plain(bytes, Before::Operand),
            false => self.constant(bytes),
        }
    }

    fn word(&mut self) {
        let bytes = self.run(|b| is_word(b) || b.is_ascii_digit() || b == b'$');
        let rest = self.rest();
        let word = &self.text[self.at..self.at + bytes];
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        let is_one_of = |words: &[&str]| words.iter().any(|known| is(known));
        // E'…', B'…', X'…', N'…' and U&'…'.
        if rest.get(bytes) == Some(&b'\'') && is_one_of(&["e", "b", "x", "n"]) {
            let string = quoted(&rest[bytes..], is("e"));
            return self.constant(bytes + string);
        }
        if is("u") && rest[bytes..].starts_with(b"&'") {
            let string = quoted(&rest[bytes + 1..], false);
            return self.constant(bytes + 1 + string);
        }
        let is_constant = match self.before {
            Before::Is | Before::IsNot => false,
            _ => self.is_of_rows && is_one_of(&["null", "true", "false"]),
        };
        if is_constant {
            return self.constant(bytes);
        }
        if is_one_of(AFTER_PLACES) {
            self.in_places = false;
        }
        let before = match self.before {
            Before::Group if is("by") => {
                self.in_places = true;
                Before::Place
            }
            _ if is("group") || is("order") => Before::Group,
            Before::Is if is("not") => Before::IsNot,
            _ if is("is") => Before::Is,
            _ if is_one_of(TYPES) => Before::Type,
            _ if is_operator_keyword(word) => Before::Other,
            _ => Before::Operand,
        };
        let lower = word.bytes().map(|b| b.to_ascii_lowercase());
        self.hash.bytes(lower);
        self.at += bytes;
        self.before = before;
    }

    fn operator(&mut self) {
        let rest = self.rest();
        let mut bytes = self.run(is_operator);
        for comment in [b"--", b"/*"] {
            let begins = rest[..bytes].windows(2).position(|two| two == comment);
            bytes = begins.unwrap_or(bytes);
        }
        // What ends in a sign is followed by a signed number, unless it has one of these in it.
        let of_symbols = |b: &u8| b"~!@#%^&|`?".contains(b);
        if !rest[..bytes].iter().any(of_symbols) {
            while bytes > 1 && matches!(rest[bytes - 1], b'-' | b'+') {
                bytes -= 1;
            }
        }
        let is_sign = bytes == 1
            && rest[0] == b'-'
            && self.is_of_rows
            && !matches!(self.before, Before::Operand | Before::Type)
            && rest[1..]
                .iter()
                .find(|b| !b.is_ascii_whitespace())
                .is_some_and(u8::is_ascii_digit);
        if is_sign && self.before != Before::Place {
            self.hash.bytes(*b"$");
            self.before = Before::Sign(self.at);
            self.at += 1;
            return;
        }
        self.plain(bytes, Before::Other);
    }

    fn shown(&self) -> String {
        let mut text = String::with_capacity(self.text.len().min(TEXT_BYTES_MAX) + 16);
        let mut copied = 0;
        for (n, (start, end)) in self.constants.iter().enumerate() {
            if text.len() > TEXT_BYTES_MAX {
                break;
            }
            text.push_str(&self.text[copied..*start]);
            text.push_str(&format!("${}", self.parameters.saturating_add(n + 1)));
            copied = *end;
        }
        text.push_str(&self.text[copied..]);
        let mut cut = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.truncate(cut);
        text
    }

    fn shape(self) -> Shape {
        Shape {
            id: self.hash.id(),
            text: self.shown().into(),
        }
    }
}

/// The bytes of a quoted text, both quotes included; all that is left when it does not end.
fn quoted(text: &[u8], escapes: bool) -> usize {
    let quote = text[0];
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'\\' if escapes => 2,
            b if *b == quote && text.get(at + 1) == Some(&quote) => 2,
            b if *b == quote => return at + 1,
            _ => 1,
        };
    }
    text.len()
}

/// The bytes of a comment, in which there may be others.
fn comment(text: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(sql: &str, shown: &str) {
        assert_eq!(&*Shape::of(sql).text, shown, "{sql}");
    }

    #[test]
    fn constants_are_numbered() {
        check(
            "  SELECT a, 1, 'it''s', E'\\'', $$x$$, $q$ $$ $q$ FROM t WHERE k = 5 LIMIT 1;",
            "SELECT a, $1, $2, $3, $4, $5 FROM t WHERE k = $6 LIMIT $7",
        );
        check(
            "select 1.5e-3, -7, a - 7, .5, x'1f', null, true from t where b is not null and c is true",
            "select $1, $2, a - $3, $4, $5, $6, $7 from t where b is not null and c is true",
        );
        check(
            "SELECT $2, 'x' FROM t WHERE k = $1 OR k=-1",
            "SELECT $2, $3 FROM t WHERE k = $1 OR k=$4",
        );
        check(
            "SELECT 1 -- one '\n, 2 /* 'a /* b */ */, \"it's 3\" FROM t1",
            "SELECT $1 -- one '\n, $2 /* 'a /* b */ */, \"it's 3\" FROM t1",
        );
        check(
            "SELECT interval '1 day', f(2), a::numeric(10, 2), b[3] FROM t",
            "SELECT interval $1, f($2), a::numeric(10, 2), b[$3] FROM t",
        );
    }

    #[test]
    fn places_are_no_constants() {
        check(
            "SELECT a, count(*), 2 FROM t GROUP BY 1, f(a, 3) ORDER BY 2 DESC, 1 LIMIT 10",
            "SELECT a, count(*), $1 FROM t GROUP BY 1, f(a, $2) ORDER BY 2 DESC, 1 LIMIT $3",
        );
        check(
            "SELECT (SELECT x FROM u ORDER BY 1), 4 FROM t",
            "SELECT (SELECT x FROM u ORDER BY 1), $1 FROM t",
        );
    }

    #[test]
    fn of_other_statements_strings_are_taken_out() {
        check(
            "CREATE ROLE r LOGIN PASSWORD 'secret' CONNECTION LIMIT 5",
            "CREATE ROLE r LOGIN PASSWORD $1 CONNECTION LIMIT 5",
        );
        check("SET timezone = 'UTC'", "SET timezone = $1");
        assert_eq!(
            without_strings("ALTER ROLE r PASSWORD 'sec''ret' 7 'and"),
            "ALTER ROLE r PASSWORD $1 7 $2"
        );
    }

    #[test]
    fn what_makes_a_difference() {
        let id = |sql: &str| Shape::of(sql).id;
        let one = id("SELECT a FROM t WHERE k = 1");
        for same in [
            "select A from T where K=2",
            "SELECT a\n\tFROM t /* here */ WHERE k = -3;",
            "SELECT a FROM t WHERE k = 'x'",
        ] {
            assert_eq!(id(same), one, "{same}");
        }
        for other in [
            "SELECT \"A\" FROM t WHERE k = 1",
            "SELECT a FROM t WHERE k = $1",
            "SELECT a FROM t WHERE k > 1",
            "SELECT a FROM t1 WHERE k = 1",
            "SELECT a FROM t WHERE k = 1 LIMIT 1",
        ] {
            assert_ne!(id(other), one, "{other}");
        }
        assert_ne!(id("SELECT a b FROM t"), id("SELECT ab FROM t"));
        assert_ne!(
            id("SELECT a, b FROM t ORDER BY 1"),
            id("SELECT a, b FROM t ORDER BY 2")
        );
    }

    #[test]
    fn long_texts_are_cut() {
        let long = format!("SELECT {}", "ä".repeat(5_000));
        assert_eq!(Shape::of(&long).text.len(), TEXT_BYTES_MAX - 1);
    }

    proptest! {
        /// Whatever it is, it is read to its end, and what was quoted in it is gone.
        #[test]
        fn any_text_has_a_shape(text in "[-a-zA-Z0-9'\"$*/(),.;:=<>| \n\\\\äE&]{0,60}") {
            prop_assert_ne!(Shape::of(&text).id, 0);
            without_strings(&text);
        }
    }
}
