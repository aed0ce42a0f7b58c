//! SQL text as words and what stands between them, as PostgreSQL cuts it.

use heliosdb_plugin_api::{Error, Result, state};

/// A word, or what stands between words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// As it is written, and as a name: folded, unless it is in quotes.
    Word {
        raw: String,
        quoted: bool,
    },
    Number(String),
    Text(String),
    Symbol(char),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub token: Token,
    pub start: usize,
    pub end: usize,
}

pub fn syntax(message: String) -> Error {
    Error::new(state::SYNTAX_ERROR, message)
}

/// # Errors
///
/// `42601` for what is begun and not ended.
pub fn tokens(text: &str) -> Result<Vec<Placed>> {
    let mut cutter = Cutter { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        cutter.skip()?;
        let start = cutter.at;
        let Some(token) = cutter.token()? else {
            return Ok(tokens);
        };
        let end = cutter.at;
        tokens.push(Placed { token, start, end });
    }
}

struct Cutter<'a> {
    text: &'a str,
    at: usize,
}

impl Cutter<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn next_is(&mut self, c: char) -> bool {
        let is_it = self.rest().starts_with(c);
        self.at += if is_it { c.len_utf8() } else { 0 };
        is_it
    }

    fn unterminated(&self, what: &str) -> Error {
        syntax(format!("unterminated {what} in {}", self.text))
    }

    /// Blanks and comments, of which those in `/* */` may stand in each other.
    fn skip(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                let mut depth = 0;
                loop {
                    let rest = self.rest();
                    if rest.starts_with("/*") {
                        depth += 1;
                        self.at += 2;
                    } else if rest.starts_with("*/") {
                        depth -= 1;
                        self.at += 2;
                        if depth == 0 {
                            break;
                        }
                    } else if self.next().is_none() {
                        return Err(self.unterminated("/* comment"));
                    }
                }
            } else {
                let blanks = rest.len() - rest.trim_start().len();
                if blanks == 0 {
                    return Ok(());
                }
                self.at += blanks;
            }
        }
    }

    fn token(&mut self) -> Result<Option<Token>> {
        let start = self.at;
        let Some(c) = self.next() else {
            return Ok(None);
        };
        Ok(Some(match c {
            '\'' => Token::Text(self.quoted('\'', false)?),
            'e' | 'E' if self.next_is('\'') => Token::Text(self.quoted('\'', true)?),
            '"' => Token::Word {
                raw: self.quoted('"', false)?,
                quoted: true,
            },
            '$' => match self.dollar_quoted()? {
                Some(text) => Token::Text(text),
                None => Token::Symbol('$'),
            },
            c if c.is_alphabetic() || c == '_' => {
                self.while_is(|c| c.is_alphanumeric() || c == '_' || c == '$');
                Token::Word {
                    raw: self.text[start..self.at].to_owned(),
                    quoted: false,
                }
            }
            c if c.is_ascii_digit() => {
                self.while_is(|c| c.is_ascii_digit() || c == '.');
                Token::Number(self.text[start..self.at].to_owned())
            }
            c => Token::Symbol(c),
        }))
    }

    fn while_is(&mut self, is_part: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    }

    /// What stands in quotes, of which the first is read. With `escapes` a backslash keeps the next character.
    fn quoted(&mut self, quote: char, escapes: bool) -> Result<String> {
        let mut value = String::new();
        loop {
            match self.next() {
                Some(c) if c == quote => match self.next_is(quote) {
                    true => value.push(quote),
                    false => return Ok(value),
                },
                Some('\\') if escapes => value.push(match self.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(c) if !c.is_alphanumeric() => c,
                    _ => return Err(syntax("invalid escape sequence".to_owned())),
                }),
                Some(other) => value.push(other),
                None => return Err(self.unterminated(&quote.to_string())),
            }
        }
    }

    /// What stands between `$tag$` and `$tag$`, when the `$` that was read begins such a mark.
    fn dollar_quoted(&mut self) -> Result<Option<String>> {
        let rest = self.rest();
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let Some(end) = rest
            .find(|c| !is_part(c))
            .filter(|end| rest[*end..].starts_with('$'))
        else {
            return Ok(None);
        };
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let mark = format!("${}$", &rest[..end]);
        let from = self.at + end + 1;
        match self.text[from..].find(&mark) {
            Some(length) => {
                self.at = from + length + mark.len();
                Ok(Some(self.text[from..from + length].to_owned()))
            }
            None => Err(self.unterminated(&mark)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sql: &str) -> Vec<Token> {
        tokens(sql)
            .unwrap()
            .into_iter()
            .map(|placed| placed.token)
            .collect()
    }

    #[test]
    fn comments_are_blanks() {
        let expected = vec![
            Token::Word {
                raw: "a".to_owned(),
                quoted: false,
            },
            Token::Number("1".to_owned()),
        ];
        assert_eq!(text("/* x /* y */ 'z */ a -- b\n 1"), expected);
        assert!(tokens("a /* b").is_err());
    }

    #[test]
    fn text_is_quoted_in_three_ways() {
        for sql in ["'it''s'", "E'it\\'s'", "$$it's$$", "$q$it's$q$"] {
            assert_eq!(text(sql), [Token::Text("it's".to_owned())], "{sql}");
        }
        assert_eq!(
            text("$1"),
            [Token::Symbol('$'), Token::Number("1".to_owned())]
        );
        for sql in ["'a", "\"a", "$$a", "E'\\"] {
            assert!(tokens(sql).is_err(), "{sql}");
        }
    }
}
