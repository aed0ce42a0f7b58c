//! The statements, read from their text.
//!
//! ```text
//! CREATE [DATABASE] BRANCH [IF NOT EXISTS] name [FROM {CURRENT | name}]
//!        [AS OF {NOW | TIMESTAMP expression | SCN expression}] [WITH (option [= value], …)]
//! ALTER  [DATABASE] BRANCH name {RENAME TO name | SET (option [= value], …)}
//! DROP   [DATABASE] BRANCH [IF EXISTS] name
//! USE    [DATABASE] BRANCH name
//! MERGE  [DATABASE] BRANCH name INTO name [WITH (option [= value], …)]
//! CREATE TAG [IF NOT EXISTS] name [FROM …] [AS OF …]      DROP TAG [IF EXISTS] name
//! RESTORE DATABASE {AS OF {TIMESTAMP expression | SCN expression} | TO BRANCH name}
//! FLASHBACK TABLE name TO {TIMESTAMP expression | SCN expression}
//! UNDROP TABLE name [AS name]
//! ```

use heliosdb_plugin_api::{Error, Result};

use crate::token::{Placed, Token, syntax, tokens};

/// When a branch begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    Now,
    /// An SQL expression.
    Timestamp(String),
    /// An SQL expression.
    Scn(String),
}

/// Options, with their values as written, in order.
pub type Options = Vec<(String, String)>;

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    Create {
        name: String,
        if_not_exists: bool,
        /// `None` for the branch that the session is on.
        from: Option<String>,
        when: When,
        options: Options,
    },
    Rename {
        name: String,
        to: String,
    },
    Set {
        name: String,
        options: Options,
    },
    Drop {
        name: String,
        if_exists: bool,
    },
    Use {
        name: String,
    },
    CreateTag {
        name: String,
        if_not_exists: bool,
        from: Option<String>,
        when: When,
    },
    DropTag {
        name: String,
        if_exists: bool,
    },
    Restore(When),
    RestoreBranch {
        name: String,
    },
    Flashback {
        /// As SQL names it.
        table: String,
        when: When,
    },
    Undrop {
        /// As SQL names it; so the other one.
        table: String,
        /// What it is called from now on, if that is another name.
        name: Option<String>,
    },
    Merge {
        name: String,
        into: String,
        options: Options,
    },
}

/// # Errors
///
/// `42601`
pub fn read(text: &str) -> Result<Statement> {
    let tokens = tokens(text)?;
    let mut reader = Reader {
        text,
        tokens: &tokens,
        at: 0,
    };
    let statement = reader.statement()?;
    match reader.tokens.get(reader.at) {
        None => Ok(statement),
        Some(_) => Err(reader.unexpected()),
    }
}

/// `table.column word, …`: the table as SQL names it, the column's name, and the word.
///
/// # Errors
///
/// `42601`
pub fn columns_with_words(text: &str) -> Result<Vec<(String, String, String)>> {
    let tokens = tokens(text)?;
    let mut reader = Reader {
        text,
        tokens: &tokens,
        at: 0,
    };
    let mut all = Vec::new();
    loop {
        let first = reader.at;
        let mut column = reader.name()?;
        let mut table = None;
        loop {
            let before = reader.at;
            if !reader.symbol('.') {
                break;
            }
            column = reader.name()?;
            table = Some(before);
        }
        let table = table.ok_or_else(|| reader.unexpected())?;
        let table = text[tokens[first].start..tokens[table - 1].end].to_owned();
        all.push((table, column, reader.name()?));
        if !reader.symbol(',') {
            break;
        }
    }
    match reader.tokens.get(reader.at) {
        None => Ok(all),
        Some(_) => Err(reader.unexpected()),
    }
}

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Placed],
    at: usize,
}

impl Reader<'_> {
    fn unexpected(&self) -> Error {
        match self.tokens.get(self.at) {
            Some(token) => {
                let shown = &self.text[token.start..token.end];
                syntax(format!("syntax error at or near \"{}\"", shown.trim_end()))
            }
            None => syntax("syntax error at end of input".to_owned()),
        }
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        matches!(
            self.tokens.get(self.at + ahead).map(|placed| &placed.token),
            Some(Token::Word { raw, quoted: false }) if raw.eq_ignore_ascii_case(word)
        )
    }

    /// Takes these words, if they are next.
    fn words(&mut self, words: &[&str]) -> bool {
        let all = words
            .iter()
            .enumerate()
            .all(|(i, word)| self.is_word(i, word));
        if all {
            self.at += words.len();
        }
        all
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let placed = self.tokens.get(self.at);
        let is_it = placed.is_some_and(|placed| placed.token == Token::Symbol(symbol));
        self.at += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, is_there: bool) -> Result<()> {
        match is_there {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    fn name(&mut self) -> Result<String> {
        let name = match self.tokens.get(self.at).map(|placed| &placed.token) {
            Some(Token::Word { raw, quoted: true }) => raw.clone(),
            Some(Token::Word { raw, quoted: false }) => raw.to_lowercase(),
            Some(Token::Text(text)) => text.clone(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(name)
    }

    fn statement(&mut self) -> Result<Statement> {
        let verbs = ["create", "alter", "drop", "use", "merge"];
        if self.words(&["restore", "database"]) {
            return self.restore();
        }
        if self.words(&["flashback", "table"]) {
            return self.flashback();
        }
        if self.words(&["undrop", "table"]) {
            return self.undrop();
        }
        if self.words(&["create", "tag"]) {
            return match self.create()? {
                Statement::Create {
                    name,
                    if_not_exists,
                    from,
                    when,
                    options,
                } if options.is_empty() => Ok(Statement::CreateTag {
                    name,
                    if_not_exists,
                    from,
                    when,
                }),
                _ => Err(syntax("a tag has no options".to_owned())),
            };
        }
        if self.words(&["drop", "tag"]) {
            let if_exists = self.words(&["if", "exists"]);
            let name = self.name()?;
            return Ok(Statement::DropTag { name, if_exists });
        }
        let verb = verbs.into_iter().find(|verb| self.is_word(0, verb));
        let verb = verb.ok_or_else(|| self.unexpected())?;
        self.at += 1;
        self.words(&["database"]);
        let branch = self.words(&["branch"]);
        self.expect(branch)?;
        match verb {
            "create" => self.create(),
            "alter" => self.alter(),
            "drop" => {
                let if_exists = self.words(&["if", "exists"]);
                let name = self.name()?;
                Ok(Statement::Drop { name, if_exists })
            }
            "merge" => self.merge(),
            _ => self.name().map(|name| Statement::Use { name }),
        }
    }

    fn create(&mut self) -> Result<Statement> {
        let if_not_exists = self.words(&["if", "not", "exists"]);
        let name = self.name()?;
        let from = match self.words(&["from"]) {
            true if self.words(&["current"]) => None,
            true => Some(self.name()?),
            false => None,
        };
        let when = match self.words(&["as", "of"]) {
            true => self.when()?,
            false => When::Now,
        };
        let options = match self.words(&["with"]) {
            true => self.options()?,
            false => Vec::new(),
        };
        Ok(Statement::Create {
            name,
            if_not_exists,
            from,
            when,
            options,
        })
    }

    fn restore(&mut self) -> Result<Statement> {
        if self.words(&["to", "branch"]) {
            let name = self.name()?;
            return Ok(Statement::RestoreBranch { name });
        }
        let as_of = self.words(&["as", "of"]);
        self.expect(as_of)?;
        self.when().map(Statement::Restore)
    }

    fn flashback(&mut self) -> Result<Statement> {
        let table = self.table()?;
        let to = self.words(&["to"]);
        self.expect(to)?;
        let when = self.when()?;
        Ok(Statement::Flashback { table, when })
    }

    fn undrop(&mut self) -> Result<Statement> {
        let table = self.table()?;
        let name = match self.words(&["as"]) {
            true => {
                let first = self.at;
                self.name()?;
                Some(self.written(first))
            }
            false => None,
        };
        Ok(Statement::Undrop { table, name })
    }

    /// The name of a table, as it is written.
    fn table(&mut self) -> Result<String> {
        let first = self.at;
        self.name()?;
        while self.symbol('.') {
            self.name()?;
        }
        Ok(self.written(first))
    }

    /// What is written from one token up to where the reader is.
    fn written(&self, first: usize) -> String {
        let (begin, end) = (self.tokens[first].start, self.tokens[self.at - 1].end);
        self.text[begin..end].to_owned()
    }

    fn merge(&mut self) -> Result<Statement> {
        let name = self.name()?;
        let into = self.words(&["into"]);
        self.expect(into)?;
        let into = self.name()?;
        let options = match self.words(&["with"]) {
            true => self.options()?,
            false => Vec::new(),
        };
        Ok(Statement::Merge {
            name,
            into,
            options,
        })
    }

    fn alter(&mut self) -> Result<Statement> {
        let name = self.name()?;
        if self.words(&["rename", "to"]) {
            let to = self.name()?;
            return Ok(Statement::Rename { name, to });
        }
        let set = self.words(&["set"]);
        self.expect(set)?;
        let options = self.options()?;
        Ok(Statement::Set { name, options })
    }

    fn when(&mut self) -> Result<When> {
        if self.words(&["now"]) {
            return Ok(When::Now);
        }
        let timestamp = self.words(&["timestamp"]);
        // A transaction is known by the SCN of its commit.
        let is_scn = !timestamp && (self.words(&["scn"]) || self.words(&["transaction"]));
        self.expect(timestamp || is_scn)?;
        let expression = self.expression()?;
        Ok(match timestamp {
            true => When::Timestamp(expression),
            false => When::Scn(expression),
        })
    }

    /// Everything up to WITH, or to the end.
    fn expression(&mut self) -> Result<String> {
        let first = self.at;
        let mut depth = 0_usize;
        while let Some(placed) = self.tokens.get(self.at) {
            match placed.token {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => {
                    depth = depth.checked_sub(1).ok_or_else(|| self.unexpected())?
                }
                Token::Symbol(';') => return Err(self.unexpected()),
                _ if depth == 0 && self.is_with_options() => break,
                _ => {}
            }
            self.at += 1;
        }
        match (self.tokens.get(first), self.at > first) {
            (Some(begin), true) => {
                let end = self.tokens[self.at - 1].end;
                Ok(self.text[begin.start..end].trim().to_owned())
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `timestamp with time zone` goes on.
    fn is_with_options(&self) -> bool {
        let next = self.tokens.get(self.at + 1);
        self.is_word(0, "with") && next.is_some_and(|next| next.token == Token::Symbol('('))
    }

    fn options(&mut self) -> Result<Options> {
        let open = self.symbol('(');
        self.expect(open)?;
        let mut options = Vec::new();
        loop {
            let name = self.name()?;
            let value = match self.symbol('=') {
                true => self.value()?,
                false => "true".to_owned(),
            };
            options.push((name, value));
            if self.symbol(')') {
                return Ok(options);
            }
            let comma = self.symbol(',');
            self.expect(comma)?;
        }
    }

    fn value(&mut self) -> Result<String> {
        let value = match self.tokens.get(self.at).map(|placed| &placed.token) {
            Some(Token::Word { raw, .. }) => raw.clone(),
            Some(Token::Text(value) | Token::Number(value)) => value.clone(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(text: &str) -> (String, Option<String>, When, Options) {
        match read(text) {
            Ok(Statement::Create {
                name,
                from,
                when,
                options,
                ..
            }) => (name, from, when, options),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn branches_are_made_from_anything_at_any_time() {
        assert_eq!(
            created("CREATE BRANCH Dev"),
            ("dev".to_owned(), None, When::Now, Vec::new())
        );
        assert_eq!(
            created("create database branch \"A b\" from current as of now"),
            ("A b".to_owned(), None, When::Now, Vec::new())
        );
        assert_eq!(
            created(
                "CREATE BRANCH d -- a comment with ' in it
                 FROM dev AS OF TIMESTAMP now() - (interval '1 hour') WITH (protected, expires = '7 days')"
            ),
            (
                "d".to_owned(),
                Some("dev".to_owned()),
                When::Timestamp("now() - (interval '1 hour')".to_owned()),
                vec![
                    ("protected".to_owned(), "true".to_owned()),
                    ("expires".to_owned(), "7 days".to_owned())
                ]
            )
        );
        assert_eq!(
            created("CREATE BRANCH d AS OF SCN 17").2,
            When::Scn("17".to_owned())
        );
    }

    #[test]
    fn the_others_are_read() {
        let rename = Statement::Rename {
            name: "a".to_owned(),
            to: "b".to_owned(),
        };
        assert_eq!(read("ALTER BRANCH a RENAME TO b").unwrap(), rename);
        let drop = Statement::Drop {
            name: "a".to_owned(),
            if_exists: true,
        };
        assert_eq!(read("DROP DATABASE BRANCH IF EXISTS a").unwrap(), drop);
        let choose = Statement::Use {
            name: "it's".to_owned(),
        };
        let flashback = Statement::Flashback {
            table: "s.\"T t\"".to_owned(),
            when: When::Scn("7".to_owned()),
        };
        assert_eq!(
            read("FLASHBACK TABLE s.\"T t\" TO SCN 7").unwrap(),
            flashback
        );
        let undrop = Statement::Undrop {
            table: "s.\"T t\"".to_owned(),
            name: Some("\"As\"".to_owned()),
        };
        assert_eq!(read("undrop table s.\"T t\" as \"As\"").unwrap(), undrop);
        let plain = Statement::Undrop {
            table: "t".to_owned(),
            name: None,
        };
        assert_eq!(read("UNDROP TABLE t /* gone */").unwrap(), plain);
        let back = Statement::RestoreBranch {
            name: "b".to_owned(),
        };
        assert_eq!(read("RESTORE DATABASE TO BRANCH b").unwrap(), back);
        assert_eq!(read("USE BRANCH 'it''s'").unwrap(), choose);
        let merge = Statement::Merge {
            name: "a".to_owned(),
            into: "main".to_owned(),
            options: vec![("dry_run".to_owned(), "true".to_owned())],
        };
        assert_eq!(
            read("merge database branch a into MAIN with (dry_run = true)").unwrap(),
            merge
        );
    }

    #[test]
    fn what_is_none_of_them_is_told() {
        for (text, message) in [
            ("CREATE BRANCH", "syntax error at end of input"),
            ("CREATE BRANCH a b", "syntax error at or near \"b\""),
            ("CREATE BRANCH a AS OF SCN", "syntax error at end of input"),
            (
                "CREATE BRANCH a AS OF SCN 1; SELECT 2",
                "syntax error at or near \";\"",
            ),
            (
                "CREATE BRANCH a AS OF SCN 1) + (2",
                "syntax error at or near \")\"",
            ),
            (
                "CREATE BRANCH a WITH (x = )",
                "syntax error at or near \")\"",
            ),
            ("ALTER BRANCH a", "syntax error at end of input"),
            ("USE BRANCH 7", "syntax error at or near \"7\""),
            ("MERGE BRANCH a", "syntax error at end of input"),
            ("RESTORE DATABASE", "syntax error at end of input"),
            (
                "FLASHBACK TABLE a.b.c AS OF SCN 1",
                "syntax error at or near \"AS\"",
            ),
            ("UNDROP TABLE", "syntax error at end of input"),
            ("UNDROP TABLE a AS", "syntax error at end of input"),
            ("UNDROP TABLE a AS b.c", "syntax error at or near \".\""),
            ("UNDROP TABLE a, b", "syntax error at or near \",\""),
        ] {
            assert_eq!(read(text).unwrap_err().message, message, "{text}");
        }
    }
}
