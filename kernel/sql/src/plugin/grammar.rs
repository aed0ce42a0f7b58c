//! Finds the clauses of plugins in CREATE TABLE and ALTER TABLE and takes them out, and with them
//! COMPRESSION, which the parser's dialect does not know.
//!
//! What the parser then sees is plain SQL. It works on tokens, so a clause's words inside a string, a
//! comment or a parenthesis are never taken for one, and every token that stays keeps its place, which
//! is what positions of errors are made of.
//!
//! ```text
//! CREATE TABLE t (c type [COMPRESSION m] … COLUMN-CLAUSE …, [CONSTRAINT n] TABLE-CLAUSE) TABLE-CLAUSE WITH (KEY = v)
//! ALTER TABLE t ADD [COLUMN] c type [COMPRESSION m] … COLUMN-CLAUSE …
//! ALTER TABLE t ALTER [COLUMN] c [CONSTRAINT n] COLUMN-CLAUSE [NOT VALID]
//! ALTER TABLE t ADD [CONSTRAINT n] TABLE-CLAUSE [NOT VALID]
//! ALTER TABLE t SET (KEY = v)
//! ALTER TABLE t [ALTER [COLUMN] c] SET COMPRESSION m
//! ```

use std::ops::Range;

use heliosdb_plugin_api::manifest::ClausePlace;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::syntax::{Fit, Significant, Syntax};
use crate::names::fold;

/// A clause found in a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedClause {
    pub kind: ClauseKind,
    /// The column it was written at.
    pub column: Option<String>,
    /// `CONSTRAINT name` in front of it.
    pub constraint: Option<String>,
    pub not_valid: bool,
    /// It belongs to ADD COLUMN IF NOT EXISTS, and is nothing when the column is there.
    pub with_new_column: bool,
    /// Where it begins.
    pub at: Location,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClauseKind {
    Plugin(PluginClause),
    Compression { method: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginClause {
    pub plugin: String,
    pub clause: String,
    /// One for each `<name>` and `<literal>` of its grammar.
    pub arguments: Vec<String>,
}

/// What [`extract`] took out.
#[derive(Debug, Default)]
pub(crate) struct Extracted {
    pub clauses: Vec<PlacedClause>,
    /// Nothing is left of an ALTER TABLE but its table.
    pub only_clauses: bool,
}

/// A token that no clause can have there; `None` for the end of the statement.
#[derive(Debug)]
pub(crate) struct Unexpected(pub Option<TokenWithSpan>);

/// Takes the clauses out of a statement's tokens.
pub(crate) fn extract(
    syntax: &Syntax,
    tokens: &mut Vec<TokenWithSpan>,
) -> Result<Extracted, Unexpected> {
    let mut search = Search {
        syntax,
        tokens: Significant::new(tokens),
        found: Extracted::default(),
        taken: Vec::new(),
    };
    search.statement()?;
    let Search { found, taken, .. } = search;
    let mut place = 0..;
    tokens.retain(|_| {
        let place = place.next().unwrap_or_default();
        !taken
            .iter()
            .any(|range: &Range<usize>| range.contains(&place))
    });
    Ok(found)
}

struct Search<'a> {
    syntax: &'a Syntax,
    tokens: Significant<'a>,
    found: Extracted,
    /// Places of tokens to take out.
    taken: Vec<Range<usize>>,
}

/// What surrounds a clause.
#[derive(Clone, Default)]
struct Around {
    column: Option<String>,
    with_new_column: bool,
    alter: bool,
}

impl Search<'_> {
    fn statement(&mut self) -> Result<(), Unexpected> {
        let t = &self.tokens;
        if t.is_word(0, "create") {
            let modifier = |i| {
                ["global", "local", "temp", "temporary", "unlogged"]
                    .iter()
                    .any(|w| t.is_word(i, w))
            };
            let mut at = 1;
            while modifier(at) {
                at += 1;
            }
            if !t.is_word(at, "table") {
                return Ok(());
            }
            at += 1;
            if t.are_words(at, &["if", "not", "exists"]) {
                at += 3;
            }
            return self.create_table(at);
        }
        if t.are_words(0, &["alter", "table"]) {
            let mut at = 2;
            if t.are_words(at, &["if", "exists"]) {
                at += 2;
            }
            if t.is_word(at, "only") {
                at += 1;
            }
            return self.alter_table(at);
        }
        Ok(())
    }

    /// The first token after a qualified name.
    fn after_name(&self, mut at: usize) -> usize {
        at += 1;
        while self.tokens.token(at) == Some(&Token::Period) {
            at += 2;
        }
        at
    }

    /// From the name of the table on.
    fn create_table(&mut self, name: usize) -> Result<(), Unexpected> {
        let mut at = self.after_name(name);
        if self.tokens.token(at) == Some(&Token::LParen) {
            let close = self.closing(at);
            let items = self.items(at + 1, close);
            let mut gone = Vec::new();
            for item in &items {
                gone.push(self.table_item(item.clone())?);
            }
            self.take_items(&items, &gone);
            at = close + 1;
        }
        while at < self.tokens.len() && !self.tokens.is_word(at, "as") {
            if self.tokens.is_word(at, "with") && self.tokens.token(at + 1) == Some(&Token::LParen)
            {
                let close = self.closing(at + 1);
                if self.options(at + 2, close, false)? {
                    self.take(at, close + 1);
                }
                at = close + 1;
                continue;
            }
            let end = self.tokens.len();
            at = self
                .clause(ClausePlace::Table, at, end, &Around::default())?
                .unwrap_or(at + 1);
        }
        Ok(())
    }

    /// One item between CREATE TABLE's parentheses; true when it was a clause and nothing else.
    fn table_item(&mut self, item: Range<usize>) -> Result<bool, Unexpected> {
        let end = self.clause(ClausePlace::Table, item.start, item.end, &Around::default())?;
        match end {
            Some(end) if end == item.end => return Ok(true),
            Some(end) => return Err(self.unexpected(end)),
            None => {}
        }
        if self.is_constraint(item.start) {
            return Ok(false);
        }
        self.column_clauses(item, false, false)?;
        Ok(false)
    }

    fn is_constraint(&self, at: usize) -> bool {
        const WORDS: [&str; 7] = [
            "constraint",
            "primary",
            "unique",
            "check",
            "foreign",
            "exclude",
            "like",
        ];
        WORDS.iter().any(|w| self.tokens.is_word(at, w))
    }

    /// The clauses of a column's definition, which begins with the column's name.
    fn column_clauses(
        &mut self,
        item: Range<usize>,
        with_new_column: bool,
        alter: bool,
    ) -> Result<(), Unexpected> {
        let Some(column) = self.tokens.identifier(item.start) else {
            return Ok(());
        };
        let around = Around {
            column: Some(fold(&column)),
            with_new_column,
            alter,
        };
        // A name and a type come first, and COMPRESSION right after them.
        let mut at = item.start + 2;
        let mut in_type = true;
        while at < item.end {
            in_type &= !self.ends_type(at);
            if in_type && self.tokens.is_word(at, "compression") {
                at = self.compression(at, at, item.end, &around)?;
                in_type = false;
                continue;
            }
            if let Some(Token::LParen | Token::LBracket) = self.tokens.token(at) {
                at = self.closing(at) + 1;
                continue;
            }
            // The value of DEFAULT may be any word.
            if self.tokens.is_word(at, "default") {
                at += 2;
                continue;
            }
            at = self
                .clause(ClausePlace::Column, at, item.end, &around)?
                .unwrap_or(at + 1);
        }
        Ok(())
    }

    /// Whether a column's definition goes on to something else than its type.
    fn ends_type(&self, at: usize) -> bool {
        const WORDS: [&str; 9] = [
            "constraint",
            "not",
            "null",
            "default",
            "generated",
            "unique",
            "primary",
            "check",
            "references",
        ];
        WORDS.iter().any(|w| self.tokens.is_word(at, w))
    }

    /// `COMPRESSION method` at `word`, taken out from `start` on; gives the first token after it.
    fn compression(
        &mut self,
        start: usize,
        word: usize,
        end: usize,
        around: &Around,
    ) -> Result<usize, Unexpected> {
        let method = word + 1;
        let name = self.tokens.identifier(method).filter(|_| method < end);
        let name = name.ok_or_else(|| self.unexpected(method))?;
        self.found.clauses.push(PlacedClause {
            kind: ClauseKind::Compression {
                method: fold(&name),
            },
            column: around.column.clone(),
            constraint: None,
            not_valid: false,
            with_new_column: around.with_new_column,
            at: name.span.start,
        });
        self.take(start, method + 1);
        Ok(method + 1)
    }

    /// `SET COMPRESSION method` as all that is left of an action; true when it was there.
    fn set_compression(
        &mut self,
        start: usize,
        end: usize,
        around: &Around,
    ) -> Result<bool, Unexpected> {
        if !self.tokens.are_words(start, &["set", "compression"]) {
            return Ok(false);
        }
        match self.compression(start, start + 1, end, around)? {
            after if after == end => Ok(true),
            after => Err(self.unexpected(after)),
        }
    }

    /// From the name of the table on.
    fn alter_table(&mut self, name: usize) -> Result<(), Unexpected> {
        let start = self.after_name(name);
        let actions = self.items(start, self.tokens.len());
        let mut gone = Vec::new();
        for action in &actions {
            gone.push(self.action(action.clone())?);
        }
        self.found.only_clauses = !gone.is_empty() && gone.iter().all(|g| *g);
        self.take_items(&actions, &gone);
        Ok(())
    }

    /// One action of ALTER TABLE; true when nothing is left of it.
    fn action(&mut self, action: Range<usize>) -> Result<bool, Unexpected> {
        let (mut at, end) = (action.start, action.end);
        let around = Around {
            alter: true,
            ..Around::default()
        };
        if self.tokens.is_word(at, "set") && self.tokens.token(at + 1) == Some(&Token::LParen) {
            let close = self.closing(at + 1);
            return self.options(at + 2, close, true);
        }
        if self.set_compression(at, end, &around)? {
            return Ok(true);
        }
        if self.tokens.is_word(at, "add") {
            at += 1;
            match self.clause(ClausePlace::Table, at, end, &around)? {
                Some(after) if after == end => return Ok(true),
                Some(after) => return Err(self.unexpected(after)),
                None => {}
            }
            if self.is_constraint(at) {
                return Ok(false);
            }
            if self.tokens.is_word(at, "column") {
                at += 1;
            }
            let conditional = self.tokens.are_words(at, &["if", "not", "exists"]);
            if conditional {
                at += 3;
            }
            self.column_clauses(at..end, conditional, true)?;
            return Ok(false);
        }
        if self.tokens.is_word(at, "alter") {
            at += 1;
            if self.tokens.is_word(at, "column") {
                at += 1;
            }
            let Some(column) = self.tokens.identifier(at) else {
                return Ok(false);
            };
            let around = Around {
                column: Some(fold(&column)),
                ..around
            };
            if self.set_compression(at + 1, end, &around)? {
                return Ok(true);
            }
            return match self.clause(ClausePlace::Column, at + 1, end, &around)? {
                None => Ok(false),
                Some(after) if after == end => Ok(true),
                Some(after) => Err(self.unexpected(after)),
            };
        }
        Ok(false)
    }

    /// The keys of plugins in `WITH (…)` or `SET (…)`; true when no others are left.
    fn options(&mut self, start: usize, close: usize, alter: bool) -> Result<bool, Unexpected> {
        let around = Around {
            alter,
            ..Around::default()
        };
        let items = self.items(start, close);
        let mut gone = Vec::new();
        for item in &items {
            let end = self.clause(ClausePlace::With, item.start, item.end, &around)?;
            match end {
                Some(end) if end < item.end => return Err(self.unexpected(end)),
                end => gone.push(end.is_some()),
            }
        }
        self.take_items(&items, &gone);
        Ok(!gone.is_empty() && gone.iter().all(|g| *g))
    }

    /// The clause at `start`, taken out; gives the first token after it.
    fn clause(
        &mut self,
        place: ClausePlace,
        start: usize,
        end: usize,
        around: &Around,
    ) -> Result<Option<usize>, Unexpected> {
        let mut constraint = None;
        let mut at = start;
        if place != ClausePlace::With
            && self.tokens.is_word(at, "constraint")
            && let Some(name) = self.tokens.identifier(at + 1)
        {
            constraint = Some(fold(&name));
            at += 2;
        }
        let Some((clause, fit)) = self.syntax.clause(place, &self.tokens, at, end) else {
            return Ok(None);
        };
        let (mut after, arguments) = match fit {
            Fit::Yes { end, arguments } => (end, arguments),
            Fit::Broken { at } => return Err(self.unexpected(at)),
            Fit::No => return Ok(None),
        };
        let not_valid =
            around.alter && after + 1 < end && self.tokens.are_words(after, &["not", "valid"]);
        if not_valid {
            after += 2;
        }
        let at = self
            .tokens
            .get(at)
            .map_or(Location { line: 0, column: 0 }, |t| t.span.start);
        self.found.clauses.push(PlacedClause {
            kind: ClauseKind::Plugin(PluginClause {
                plugin: clause.plugin.clone(),
                clause: clause.name.clone(),
                arguments,
            }),
            column: around.column.clone(),
            constraint,
            not_valid,
            with_new_column: around.with_new_column,
            at,
        });
        self.take(start, after);
        Ok(Some(after))
    }

    fn take(&mut self, start: usize, end: usize) {
        // Up to the last token, and not to the next one: spaces between stay.
        if let Some(last) = end.checked_sub(1) {
            self.taken
                .push(self.tokens.place(start)..self.tokens.place(last) + 1);
        }
    }

    /// Takes items out of a list, with the commas that would then be too many.
    fn take_items(&mut self, items: &[Range<usize>], gone: &[bool]) {
        let mut kept = false;
        for (item, gone) in items.iter().zip(gone) {
            if *gone {
                self.take(item.start, item.end);
            }
            // The comma before an item stays if the item and one before it do.
            let comma = item.start.wrapping_sub(1);
            if (*gone || !kept) && self.tokens.token(comma) == Some(&Token::Comma) {
                self.take(comma, item.start);
            }
            kept |= !*gone;
        }
    }

    /// Splits a list at its commas, those inside parentheses aside.
    fn items(&self, start: usize, end: usize) -> Vec<Range<usize>> {
        let mut items = Vec::new();
        let (mut from, mut at) = (start, start);
        while at < end {
            match self.tokens.token(at) {
                Some(Token::LParen | Token::LBracket) => at = self.closing(at),
                Some(Token::Comma) => {
                    items.push(from..at);
                    from = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        if from < end {
            items.push(from..end);
        }
        items
    }

    /// The token that closes the parenthesis or bracket at `open`; the end when nothing does.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for at in open..self.tokens.len() {
            match self.tokens.token(at) {
                Some(Token::LParen | Token::LBracket) => depth += 1,
                Some(Token::RParen | Token::RBracket) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }

    fn unexpected(&self, at: usize) -> Unexpected {
        Unexpected(self.tokens.get(at).cloned())
    }
}

#[cfg(test)]
mod tests;
