//! The tokens of the statements and names about schemas.
//!
//! Lexical rules are PostgreSQL's: identifiers fold to lower case unless quoted and have at most 63
//! bytes; string constants are `'…'`, `E'…'`, `U&'…'` and `$tag$…$tag$`, and go on over a line
//! break; comments are `--` and nesting `/* */`.

use heliosdb_plugin_api::{Error, Result, SqlState, state};

use super::name::Name;

/// PostgreSQL's `NAMEDATALEN` less one.
const NAME_BYTES_MAX: usize = 63;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Folded.
    Identifier(String),
    Quoted(String),
    Literal(String),
    Symbol(char),
    End,
}

/// The tokens of a statement, one looked at ahead.
pub struct Words<'a> {
    text: &'a str,
    at: usize,
    /// The next token, where it begins, and where the text goes on after it.
    ahead: Option<(Word, usize, usize)>,
}

impl<'a> Words<'a> {
    pub fn new(text: &'a str) -> Words<'a> {
        Words {
            text,
            at: 0,
            ahead: None,
        }
    }

    /// The next token, which stays.
    pub fn peek(&mut self) -> Result<&Word> {
        if self.ahead.is_none() {
            let mut scan = Scan {
                text: self.text,
                at: self.at,
            };
            scan.blank()?;
            let start = scan.at;
            let word = scan.word()?;
            self.ahead = Some((word, start, scan.at));
        }
        match &self.ahead {
            Some((word, ..)) => Ok(word),
            None => Ok(&Word::End),
        }
    }

    pub fn next(&mut self) -> Result<Word> {
        self.peek()?;
        let Some((word, _, after)) = self.ahead.take() else {
            return Ok(Word::End);
        };
        self.at = after;
        Ok(word)
    }

    /// Takes the keyword if it comes next.
    pub fn accept(&mut self, keyword: &str) -> Result<bool> {
        let found = matches!(self.peek()?, Word::Identifier(word) if word == keyword);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    pub fn accept_symbol(&mut self, symbol: char) -> Result<bool> {
        let found = *self.peek()? == Word::Symbol(symbol);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    pub fn expect(&mut self, keyword: &str) -> Result<()> {
        match self.accept(keyword)? {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    pub fn identifier(&mut self) -> Result<String> {
        if !matches!(self.peek()?, Word::Identifier(_) | Word::Quoted(_)) {
            return Err(self.unexpected());
        }
        let (Word::Identifier(mut name) | Word::Quoted(mut name)) = self.next()? else {
            return Err(self.unexpected());
        };
        if name.len() > NAME_BYTES_MAX {
            let mut end = NAME_BYTES_MAX;
            while !name.is_char_boundary(end) {
                end -= 1;
            }
            name.truncate(end);
        }
        Ok(name)
    }

    pub fn name(&mut self) -> Result<Name> {
        let first = self.identifier()?;
        if !self.accept_symbol('.')? {
            return Ok(Name {
                schema: None,
                name: first,
            });
        }
        Ok(Name {
            schema: Some(first),
            name: self.identifier()?,
        })
    }

    pub fn literal(&mut self) -> Result<String> {
        if !matches!(self.peek()?, Word::Literal(_)) {
            return Err(self.unexpected());
        }
        match self.next()? {
            Word::Literal(text) => Ok(text),
            _ => Err(self.unexpected()),
        }
    }

    pub fn end(&mut self) -> Result<()> {
        match self.peek()? {
            Word::End => Ok(()),
            _ => Err(self.unexpected()),
        }
    }

    /// PostgreSQL's syntax error at the next token.
    pub fn unexpected(&mut self) -> Error {
        let (start, after) = match (self.peek().map(|_| ()), &self.ahead) {
            (Err(error), _) => return error,
            (Ok(()), Some((_, start, after))) => (*start, *after),
            (Ok(()), None) => (self.text.len(), self.text.len()),
        };
        match self.text.get(start..after) {
            None | Some("") => syntax_error("syntax error at end of input"),
            Some(token) => syntax_error(format!("syntax error at or near \"{token}\"")),
        }
    }
}

fn syntax_error(message: impl Into<String>) -> Error {
    Error::new(state::SYNTAX_ERROR, message)
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Blanks and comments.
    fn blank(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("--") {
                self.at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    fn block_comment(&mut self) -> Result<()> {
        let mut depth = 0_usize;
        loop {
            if self.accept("/*") {
                depth += 1;
            } else if self.accept("*/") {
                depth -= 1;
                if depth == 0 {
                    return Ok(());
                }
            } else if self.take().is_none() {
                return Err(syntax_error("unterminated /* comment"));
            }
        }
    }

    fn word(&mut self) -> Result<Word> {
        let Some(c) = self.peek() else {
            return Ok(Word::End);
        };
        let second = self.rest()[c.len_utf8()..].chars().next();
        match (c, second) {
            ('\'', _) => self.string(false).map(Word::Literal),
            ('e' | 'E', Some('\'')) => {
                self.at += 1;
                self.string(true).map(Word::Literal)
            }
            ('u' | 'U', Some('&')) if self.rest()[2..].starts_with('\'') => {
                self.at += 2;
                unicode_escapes(&self.string(false)?).map(Word::Literal)
            }
            ('$', _) => self.dollar_string(),
            ('"', _) => self.quoted_identifier().map(Word::Quoted),
            _ if c.is_alphabetic() || c == '_' => Ok(Word::Identifier(self.identifier())),
            _ => {
                self.take();
                Ok(Word::Symbol(c))
            }
        }
    }

    fn identifier(&mut self) -> String {
        let rest = self.rest();
        let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_ascii_lowercase()
    }

    fn quoted_identifier(&mut self) -> Result<String> {
        self.take();
        let mut name = String::new();
        loop {
            if self.accept("\"\"") {
                name.push('"');
                continue;
            }
            match self.take() {
                Some('"') if name.is_empty() => {
                    return Err(syntax_error("zero-length delimited identifier"));
                }
                Some('"') => return Ok(name),
                Some(c) => name.push(c),
                None => return Err(syntax_error("unterminated quoted identifier")),
            }
        }
    }

    /// From the quote on; `escapes` for `E'…'`.
    fn string(&mut self, escapes: bool) -> Result<String> {
        let mut bytes = Vec::new();
        self.take();
        loop {
            if self.accept("''") {
                bytes.push(b'\'');
                continue;
            }
            match self.take() {
                Some('\'') if self.goes_on() => {}
                Some('\'') => break,
                Some('\\') if escapes => self.escape(&mut bytes)?,
                Some(c) => push(&mut bytes, c),
                None => return Err(syntax_error("unterminated quoted string")),
            }
        }
        String::from_utf8(bytes).map_err(|_| {
            Error::new(
                SqlState::new("22021"),
                "invalid byte sequence for encoding \"UTF8\"",
            )
        })
    }

    /// Whether a string goes on in another line; then its quote is taken.
    fn goes_on(&mut self) -> bool {
        let rest = self.rest();
        let next = rest.trim_start();
        let blank = &rest[..rest.len() - next.len()];
        let on = blank.contains(['\n', '\r']) && next.starts_with('\'');
        if on {
            self.at += blank.len() + 1;
        }
        on
    }

    /// What follows a backslash in `E'…'`.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let c = self.take();
        let c = c.ok_or_else(|| syntax_error("unterminated quoted string"))?;
        match c {
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            '0'..='7' => {
                self.at -= 1;
                let code = self.digits(8, 3);
                out.push(code as u8);
            }
            'x' if self.peek().is_some_and(|c| c.is_ascii_hexdigit()) => {
                let code = self.digits(16, 2);
                out.push(code as u8);
            }
            'u' | 'U' => {
                let wanted = if c == 'u' { 4 } else { 8 };
                let start = self.at;
                let code = self.digits(16, wanted);
                let c = char::from_u32(code).filter(|_| self.at - start == wanted);
                push(
                    out,
                    c.ok_or_else(|| syntax_error("invalid Unicode escape"))?,
                );
            }
            c => push(out, c),
        }
        Ok(())
    }

    /// At most `most` digits; none give 0.
    fn digits(&mut self, base: u32, most: usize) -> u32 {
        let mut code = 0_u32;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(base)) else {
                break;
            };
            self.at += 1;
            code = code.wrapping_mul(base).wrapping_add(digit);
        }
        code
    }

    /// `$$…$$` or `$tag$…$tag$`.
    fn dollar_string(&mut self) -> Result<Word> {
        let rest = self.rest();
        let tag = rest[1..].find('$').map(|end| &rest[..end + 2]);
        let is_tag = |tag: &&str| {
            let inner = &tag[1..tag.len() - 1];
            let starts = inner.chars().next().is_none_or(|c| !c.is_numeric());
            starts && inner.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        let Some(tag) = tag.filter(is_tag) else {
            self.take();
            return Ok(Word::Symbol('$'));
        };
        let body = &rest[tag.len()..];
        let end = body
            .find(tag)
            .ok_or_else(|| syntax_error("unterminated dollar-quoted string"))?;
        self.at += tag.len() + end + tag.len();
        Ok(Word::Literal(body[..end].to_owned()))
    }
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// `\0061`, `\+000061` and `\\` of `U&'…'`.
fn unicode_escapes(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut scan = Scan { text, at: 0 };
    while let Some(c) = scan.take() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        if scan.accept("\\") {
            out.push('\\');
            continue;
        }
        let wanted = if scan.accept("+") { 6 } else { 4 };
        let start = scan.at;
        let code = scan.digits(16, wanted);
        let c = char::from_u32(code).filter(|_| scan.at - start == wanted);
        out.push(c.ok_or_else(|| syntax_error("invalid Unicode escape"))?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> String {
        let mut words = Words::new(text);
        let literal = words.literal().expect("a literal");
        words.end().expect("the end");
        literal
    }

    #[test]
    fn strings_have_all_forms_of_postgresql() {
        for (text, expected) in [
            ("'it''s'", "it's"),
            (r"'a\n'", r"a\n"),
            (r"E'a\n\'\\\x41\101\u00e9'", "a\n'\\AA\u{e9}"),
            (r"e'\xc3\xa9'", "\u{e9}"),
            (r"U&'d\0061t\+000061 \\'", r"data \"),
            ("$$it's$$", "it's"),
            ("$tag$ $$ $tag $tag$", " $$ $tag "),
            ("'two'\n  'lines'", "twolines"),
        ] {
            assert_eq!(literal(text), expected, "{text}");
        }
        for text in ["'x", "E'\\", "$$x$", "E'\\xff'", "E'\\u12'", "U&'\\zz'"] {
            assert!(Words::new(text).literal().is_err(), "{text}");
        }
    }

    #[test]
    fn errors_name_the_token() {
        let mut words = Words::new("create JSON 'x' /*");
        words.expect("create").expect("a keyword");
        words.expect("json").expect("a keyword");
        let error = words.expect("schema").expect_err("refused");
        assert_eq!(error.message, "syntax error at or near \"'x'\"");
        words.literal().expect("a literal");
        assert_eq!(
            words.end().expect_err("refused").message,
            "unterminated /* comment"
        );
    }
}
