//! What plugins add to the grammar: commands and clauses, as patterns over tokens, and operators.
//!
//! A [`Syntax`] is made from the manifests of all plugins that are known, active or not: what a
//! plugin claimed is recognized while it is away, and answered with its name rather than with a
//! syntax error. It knows nothing of the catalog; whether a plugin may be used is asked when the
//! statement runs.

use std::sync::Arc;

use heliosdb_plugin_api::manifest::{ClausePlace, Provides, table_columns};
use sqlparser::ast::Ident;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::names::{fold, quote};

/// Names of more parts than this do not exist: database, schema, object.
const NAME_PARTS_MAX: usize = 3;

#[derive(Debug, Default)]
pub(crate) struct Syntax {
    commands: Vec<Arc<CommandSyntax>>,
    clauses: Vec<Arc<ClauseSyntax>>,
    /// Symbols of operators.
    operators: Vec<String>,
}

/// A statement that a plugin runs, known by how it begins.
#[derive(Debug)]
pub(crate) struct CommandSyntax {
    pub plugin: String,
    /// As the manifest spells it.
    pub prefix: String,
    /// Names and SQL types of its rows; `None` when it answers with none.
    pub columns: Option<Vec<(String, String)>>,
    words: Vec<String>,
}

/// A clause inside CREATE TABLE or ALTER TABLE.
#[derive(Debug)]
pub(crate) struct ClauseSyntax {
    pub plugin: String,
    pub name: String,
    pub place: ClausePlace,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Word(String),
    Equals,
    Name,
    Literal,
}

/// How a clause fits what stands somewhere.
pub(crate) enum Fit {
    No,
    Yes {
        /// The first token after it.
        end: usize,
        arguments: Vec<String>,
    },
    /// It begins as the clause does, and then does not go on so.
    Broken {
        at: usize,
    },
}

/// The tokens of a statement that mean something, by number, with their places in the whole list.
pub(crate) struct Significant<'a> {
    tokens: &'a [TokenWithSpan],
    places: Vec<usize>,
}

impl<'a> Significant<'a> {
    pub fn new(tokens: &'a [TokenWithSpan]) -> Significant<'a> {
        let places = (0..tokens.len())
            .filter(|i| !matches!(tokens[*i].token, Token::Whitespace(_)))
            .collect();
        Significant { tokens, places }
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn get(&self, i: usize) -> Option<&'a TokenWithSpan> {
        self.places.get(i).map(|place| &self.tokens[*place])
    }

    pub fn token(&self, i: usize) -> Option<&'a Token> {
        self.get(i).map(|t| &t.token)
    }

    /// The place of a token among all; that of the end for one past the last.
    pub fn place(&self, i: usize) -> usize {
        self.places.get(i).copied().unwrap_or(self.tokens.len())
    }

    /// Whether an unquoted word stands there, in any case.
    pub fn is_word(&self, i: usize, word: &str) -> bool {
        matches!(self.token(i), Some(Token::Word(w))
            if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    }

    /// Whether these words stand there, one after the other.
    pub fn are_words(&self, i: usize, words: &[&str]) -> bool {
        words.iter().zip(i..).all(|(word, i)| self.is_word(i, word))
    }

    pub fn identifier(&self, i: usize) -> Option<Ident> {
        match self.token(i) {
            Some(Token::Word(w)) => Some(Ident {
                value: w.value.clone(),
                quote_style: w.quote_style,
                span: self.tokens[self.places[i]].span,
            }),
            _ => None,
        }
    }
}

impl Syntax {
    /// The syntax of these plugins: each one's id and what its manifest provides.
    pub fn new<'m>(plugins: impl IntoIterator<Item = (&'m str, &'m Provides)>) -> Syntax {
        let mut syntax = Syntax::default();
        for (plugin, provides) in plugins {
            syntax
                .commands
                .extend(provides.commands.iter().map(|command| {
                    Arc::new(CommandSyntax {
                        plugin: plugin.to_owned(),
                        prefix: command.prefix.clone(),
                        columns: command.returns.as_deref().and_then(table_columns),
                        words: command.prefix.split(' ').map(str::to_owned).collect(),
                    })
                }));
            let operators = provides.operators.iter().map(|o| o.name.clone());
            syntax.operators.extend(operators);
            syntax.clauses.extend(provides.clauses.iter().map(|clause| {
                Arc::new(ClauseSyntax {
                    plugin: plugin.to_owned(),
                    name: clause.name.clone(),
                    place: clause.place,
                    parts: clause
                        .grammar
                        .split_whitespace()
                        .map(|part| match part {
                            "<name>" => Part::Name,
                            "<literal>" => Part::Literal,
                            "=" => Part::Equals,
                            word => Part::Word(word.to_owned()),
                        })
                        .collect(),
                })
            }));
        }
        syntax
    }

    pub fn operators(&self) -> impl Iterator<Item = &str> {
        self.operators.iter().map(String::as_str)
    }

    /// The command that a statement is. Of several that fit, the one with the longest prefix.
    pub fn command(&self, tokens: &[TokenWithSpan]) -> Option<Arc<CommandSyntax>> {
        if self.commands.is_empty() {
            return None;
        }
        let tokens = Significant::new(tokens);
        self.commands
            .iter()
            .filter(|c| (0..).zip(&c.words).all(|(i, word)| tokens.is_word(i, word)))
            .max_by_key(|c| c.words.len())
            .cloned()
    }

    /// The clause of this place that stands at `start` and ends before `end`. Of several that fit,
    /// the longest; of several that break off, the one that came furthest.
    pub fn clause(
        &self,
        place: ClausePlace,
        tokens: &Significant<'_>,
        start: usize,
        end: usize,
    ) -> Option<(Arc<ClauseSyntax>, Fit)> {
        self.clauses
            .iter()
            .filter(|c| c.place == place)
            .map(|c| (c, c.fit(tokens, start, end)))
            .max_by_key(|(_, fit)| match fit {
                Fit::No => (0, 0),
                Fit::Broken { at } => (1, *at),
                Fit::Yes { end, .. } => (2, *end),
            })
            .filter(|(_, fit)| !matches!(fit, Fit::No))
            .map(|(c, fit)| (c.clone(), fit))
    }
}

impl ClauseSyntax {
    fn fit(&self, tokens: &Significant<'_>, start: usize, end: usize) -> Fit {
        let mut at = start;
        let mut arguments = Vec::new();
        // Keywords alone may be somebody else's; once an argument is due they are this clause's.
        let mut ours = false;
        for part in &self.parts {
            let taken = match part {
                _ if at >= end => None,
                Part::Word(word) => tokens.is_word(at, word).then_some((at + 1, None)),
                Part::Equals => (tokens.token(at) == Some(&Token::Eq)).then_some((at + 1, None)),
                Part::Name => name(tokens, at, end),
                Part::Literal => literal(tokens, at, end, self.place == ClausePlace::With),
            };
            ours |= matches!(part, Part::Name | Part::Literal | Part::Equals) && at > start;
            match taken {
                Some((next, argument)) => {
                    at = next;
                    arguments.extend(argument);
                }
                None if ours => return Fit::Broken { at },
                None => return Fit::No,
            }
        }
        Fit::Yes { end: at, arguments }
    }
}

type Taken = Option<(usize, Option<String>)>;

/// A possibly qualified name, folded, and quoted where it has to be.
fn name(tokens: &Significant<'_>, start: usize, end: usize) -> Taken {
    let mut parts = vec![quote(&fold(&tokens.identifier(start)?))];
    let mut at = start + 1;
    while at + 1 < end && tokens.token(at) == Some(&Token::Period) && parts.len() < NAME_PARTS_MAX {
        parts.push(quote(&fold(&tokens.identifier(at + 1)?)));
        at += 2;
    }
    Some((at, Some(parts.join("."))))
}

/// A constant, as its value. Options may also be bare words, as in `WITH (autovacuum = off)`.
fn literal(tokens: &Significant<'_>, start: usize, end: usize, bare_words: bool) -> Taken {
    let value = |text: &str| Some((start + 1, Some(text.to_owned())));
    match tokens.token(start)? {
        Token::SingleQuotedString(s)
        | Token::EscapedStringLiteral(s)
        | Token::UnicodeStringLiteral(s) => value(s),
        Token::DollarQuotedString(s) => value(&s.value),
        Token::Number(n, _) => value(n),
        Token::Minus if start + 1 < end => match tokens.token(start + 1)? {
            Token::Number(n, _) => Some((start + 2, Some(format!("-{n}")))),
            _ => None,
        },
        Token::Word(w) if w.quote_style.is_none() => {
            let word = w.value.to_lowercase();
            (bare_words || matches!(word.as_str(), "true" | "false"))
                .then_some((start + 1, Some(word)))
        }
        _ => None,
    }
}
