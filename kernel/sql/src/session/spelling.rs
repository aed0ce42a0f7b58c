//! Clauses of INSERT, MERGE, CREATE TABLE and ALTER TABLE that the dialect lacks, spelled the way it knows.
//!
//! `OVERRIDING … VALUE` becomes a column at the end of the list of those that are given, `DO NOTHING` an UPDATE or INSERT
//! of one column, and INSERT … DEFAULT VALUES of MERGE one of another. `LIKE table` is a column whose type is the table. The columns have names that no SQL text
//! can have, because it cannot hold a zero byte; who plans the statement takes them out again.

use sqlparser::ast::{self, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::catalog::model::Deferral;

const OVERRIDING_SYSTEM: &str = "\0overriding system value";
const OVERRIDING_USER: &str = "\0overriding user value";
const NOTHING: &str = "\0nothing";
const DEFAULT_VALUES: &str = "\0default values";
/// Before the text of what ON CONFLICT names, and of its WHERE.
const CONFLICT: [&str; 2] = ["\0on conflict ", "\0where "];
const DROP_EXPRESSION: &str = "\0drop expression";
const DROP_EXPRESSION_IF_EXISTS: &str = "\0drop expression if exists";
/// Before what ALTER CONSTRAINT makes of a constraint.
const ALTER_CONSTRAINT: &str = "\0alter constraint ";
/// Before the columns of INCLUDE, in the list of the key's.
const INCLUDE: &str = "\0include";
/// Before the options, a bit each.
const LIKE: &str = "\0like ";

/// What OVERRIDING says of values for identity columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overriding {
    /// They are taken, for columns GENERATED ALWAYS too.
    System,
    /// They are not.
    User,
}

/// Spells the clauses in the tokens of a statement.
pub(super) fn spell(tokens: &mut Vec<TokenWithSpan>) {
    let mentions = |word: &str| {
        tokens
            .iter()
            .any(|t| matches!(&t.token, Token::Word(w) if is(w, word)))
    };
    let (overriding, merge) = (mentions("overriding"), mentions("merge"));
    if overriding {
        spell_overriding(tokens);
    }
    if merge {
        spell_actions(tokens);
    }
    spell_like(tokens);
    spell_conflicts(tokens);
    spell_alterations(tokens);
    spell_included(tokens);
}

fn is(word: &Word, what: &str) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case(what)
}

/// The places of what is no white space.
fn significant(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let all = 0..tokens.len();
    all.filter(|i| !matches!(tokens[*i].token, Token::Whitespace(_)))
        .collect()
}

fn word_at(tokens: &[TokenWithSpan], at: &[usize], i: usize, what: &str) -> bool {
    let token = at.get(i).map(|at| &tokens[*at].token);
    matches!(token, Some(Token::Word(w)) if is(w, what))
}

fn spell_overriding(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    let word = |i: usize, what: &str| word_at(tokens, &at, i, what);
    let found = (1..at.len()).rev().filter_map(|i| {
        let marker = match (word(i + 1, "system"), word(i + 1, "user")) {
            (true, _) => OVERRIDING_SYSTEM,
            (_, true) => OVERRIDING_USER,
            _ => return None,
        };
        (word(i, "overriding") && word(i + 2, "value")).then_some((i, marker))
    });
    for (i, marker) in found.collect::<Vec<_>>() {
        let like = tokens[at[i]].clone();
        let after_list = tokens[at[i - 1]].token == Token::RParen;
        let start = if after_list {
            Token::Comma
        } else {
            Token::LParen
        };
        let list = [start, quoted(marker), Token::RParen];
        let list = list.map(|token| TokenWithSpan {
            token,
            span: like.span,
        });
        // The list's own parenthesis goes; its end is the new one.
        let from = if after_list { at[i - 1] } else { at[i] };
        tokens.splice(from..=at[i + 2], list);
    }
}

fn spell_actions(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    let word = |i: usize, what: &str| word_at(tokens, &at, i, what);
    let mut found = Vec::new();
    for i in 0..at.len() {
        if word(i, "then") && word(i + 1, "do") && word(i + 2, "nothing") {
            let matched = (0..i).rev().find(|m| word(*m, "matched"));
            let not = matched.is_some_and(|m| m > 0 && word(m - 1, "not"));
            let spelled = match not {
                true => insert_of(NOTHING),
                false => update_of(NOTHING),
            };
            found.push((at[i + 1], at[i + 2], spelled));
        } else if word(i, "insert") && word(i + 1, "default") && word(i + 2, "values") {
            found.push((at[i], at[i + 2], insert_of(DEFAULT_VALUES)));
        }
    }
    for (from, to, spelled) in found.into_iter().rev() {
        let span = tokens[from].span;
        let spelled = spelled
            .into_iter()
            .map(|token| TokenWithSpan { token, span });
        tokens.splice(from..=to, spelled.collect::<Vec<_>>());
    }
}

/// The columns of a key, and those of its INCLUDE.
pub(crate) fn take_included(
    columns: &[ast::IndexColumn],
) -> (&[ast::IndexColumn], &[ast::IndexColumn]) {
    let is_marker = |column: &ast::IndexColumn| matches!(&column.column.expr, ast::Expr::Identifier(name) if name.value == INCLUDE);
    match columns.iter().position(is_marker) {
        Some(at) => (&columns[..at], &columns[at + 1..]),
        None => (columns, &[]),
    }
}

/// Spells `(key) INCLUDE (columns)` of indexes, and of constraints, as one list.
fn spell_included(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    let word = |i: usize, what: &str| word_at(tokens, &at, i, what);
    let is = |i: usize, what: &Token| at.get(i).is_some_and(|at| tokens[*at].token == *what);
    if !word(0, "create") && !word(0, "alter") {
        return;
    }
    let found = (1..at.len()).rev().filter(|i| {
        word(*i, "include") && is(*i - 1, &Token::RParen) && is(*i + 1, &Token::LParen)
    });
    for i in found.collect::<Vec<_>>() {
        let span = tokens[at[i]].span;
        let list = [Token::Comma, quoted(INCLUDE), Token::Comma];
        let list = list.map(|token| TokenWithSpan { token, span });
        tokens.splice(at[i - 1]..=at[i + 1], list);
    }
}

/// What LIKE may copy, in PostgreSQL's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LikeOption {
    Comments,
    Compression,
    Constraints,
    Defaults,
    Generated,
    Identity,
    Indexes,
    Statistics,
    Storage,
}

const LIKE_OPTIONS: [(&str, LikeOption); 9] = [
    ("comments", LikeOption::Comments),
    ("compression", LikeOption::Compression),
    ("constraints", LikeOption::Constraints),
    ("defaults", LikeOption::Defaults),
    ("generated", LikeOption::Generated),
    ("identity", LikeOption::Identity),
    ("indexes", LikeOption::Indexes),
    ("statistics", LikeOption::Statistics),
    ("storage", LikeOption::Storage),
];

/// LIKE in a CREATE TABLE.
#[derive(Clone, Debug)]
pub(crate) struct Like {
    pub source: ObjectName,
    options: u32,
}

impl Like {
    pub fn has(&self, option: LikeOption) -> bool {
        self.options & (1 << option as u32) != 0
    }
}

/// The LIKE that a column of CREATE TABLE is.
pub(crate) fn like(column: &ast::ColumnDef) -> Option<Like> {
    let options = column.name.value.strip_prefix(LIKE)?.parse().ok()?;
    match &column.data_type {
        ast::DataType::Custom(source, _) => Some(Like {
            source: source.clone(),
            options,
        }),
        _ => None,
    }
}

/// Spells the LIKEs among the columns of CREATE TABLE.
fn spell_like(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    let word = |i: usize, what: &str| word_at(tokens, &at, i, what);
    let is = |i: usize, what: &Token| at.get(i).is_some_and(|at| tokens[*at].token == *what);
    if !word(0, "create") || !(1..4).any(|i| word(i, "table")) {
        return;
    }
    let Some(open) = (0..at.len()).find(|i| is(*i, &Token::LParen)) else {
        return;
    };
    let (mut depth, mut found) = (0, Vec::new());
    for i in open..at.len() {
        if is(i, &Token::LParen) {
            depth += 1;
        } else if is(i, &Token::RParen) {
            depth -= 1;
            if depth == 0 {
                break;
            }
        }
        let begins = depth == 1 && (is(i, &Token::LParen) || is(i, &Token::Comma));
        if !begins || !word(i + 1, "like") {
            continue;
        }
        // A name of up to three parts, then options.
        let mut next = i + 3;
        while is(next, &Token::Period) {
            next += 2;
        }
        let (name, mut options) = (i + 2..next, 0_u32);
        while word(next, "including") || word(next, "excluding") {
            let bits = match LIKE_OPTIONS.iter().find(|(name, _)| word(next + 1, name)) {
                Some((_, option)) => 1 << *option as u32,
                None if word(next + 1, "all") => u32::MAX,
                None => return,
            };
            match word(next, "including") {
                true => options |= bits,
                false => options &= !bits,
            }
            next += 2;
        }
        if is(next, &Token::Comma) || is(next, &Token::RParen) {
            found.push((i + 1, name, options, next));
        }
    }
    for (like, name, options, next) in found.into_iter().rev() {
        // A name that is also a type's is the table's.
        for i in name {
            if let Some(token) = at.get(i).map(|at| &mut tokens[*at])
                && let Token::Word(word) = &mut token.token
                && word.quote_style.is_none()
            {
                *word = Word {
                    value: word.value.to_lowercase(),
                    quote_style: Some('"'),
                    keyword: Keyword::NoKeyword,
                };
            }
        }
        let span = tokens[at[like]].span;
        let end = at[next];
        let last = at[next - 1];
        tokens[at[like]] = TokenWithSpan {
            token: quoted(&format!("{LIKE}{options}")),
            span,
        };
        let options_from = (like + 1..next).find(|i| {
            word_at(tokens, &at, *i, "including") || word_at(tokens, &at, *i, "excluding")
        });
        if let Some(from) = options_from {
            tokens.drain(at[from]..=last.min(end));
        }
    }
}

fn update_of(column: &str) -> Vec<Token> {
    vec![
        keyword(Keyword::UPDATE, "UPDATE"),
        keyword(Keyword::SET, "SET"),
        quoted(column),
        Token::Eq,
        keyword(Keyword::NULL, "NULL"),
    ]
}

fn insert_of(column: &str) -> Vec<Token> {
    vec![
        keyword(Keyword::INSERT, "INSERT"),
        Token::LParen,
        quoted(column),
        Token::RParen,
        keyword(Keyword::VALUES, "VALUES"),
        Token::LParen,
        keyword(Keyword::NULL, "NULL"),
        Token::RParen,
    ]
}

fn quoted(name: &str) -> Token {
    Token::Word(Word {
        value: name.to_owned(),
        quote_style: Some('"'),
        keyword: Keyword::NoKeyword,
    })
}

fn keyword(keyword: Keyword, value: &str) -> Token {
    Token::Word(Word {
        value: value.to_owned(),
        quote_style: None,
        keyword,
    })
}

fn is_marker(name: &ObjectName, marker: &str) -> bool {
    matches!(
        name.0.as_slice(),
        [ast::ObjectNamePart::Identifier(ident)] if ident.value == marker
    )
}

/// The columns that are given, and what OVERRIDING says.
pub(crate) fn take_overriding(columns: &[ObjectName]) -> (&[ObjectName], Option<Overriding>) {
    match columns.split_last() {
        Some((last, columns)) if is_marker(last, OVERRIDING_SYSTEM) => {
            (columns, Some(Overriding::System))
        }
        Some((last, columns)) if is_marker(last, OVERRIDING_USER) => {
            (columns, Some(Overriding::User))
        }
        _ => (columns, None),
    }
}

/// Whether an action of MERGE is DO NOTHING.
pub(crate) fn does_nothing(action: &ast::MergeAction) -> bool {
    match action {
        ast::MergeAction::Insert(insert) => {
            matches!(insert.columns.as_slice(), [one] if is_marker(one, NOTHING))
        }
        ast::MergeAction::Update(update) => match update.assignments.as_slice() {
            [one] => match &one.target {
                ast::AssignmentTarget::ColumnName(name) => is_marker(name, NOTHING),
                ast::AssignmentTarget::Tuple(_) => false,
            },
            _ => false,
        },
        ast::MergeAction::Delete { .. } => false,
    }
}

/// Whether an INSERT of MERGE is of DEFAULT VALUES.
pub(crate) fn is_of_defaults(insert: &ast::MergeInsertExpr) -> bool {
    matches!(insert.columns.as_slice(), [one] if is_marker(one, DEFAULT_VALUES))
}

/// What ON CONFLICT names, as SQL.
pub(crate) struct ConflictTarget<'a> {
    pub elements: &'a str,
    pub condition: Option<&'a str>,
}

/// The target of an ON CONFLICT that names more than columns.
pub(crate) fn conflict_target(columns: &[ast::Ident]) -> Option<ConflictTarget<'_>> {
    let elements = columns.first()?.value.strip_prefix(CONFLICT[0])?;
    let condition = columns.get(1);
    let condition = condition.and_then(|ident| ident.value.strip_prefix(CONFLICT[1]));
    Some(ConflictTarget {
        elements,
        condition,
    })
}

/// Spells the targets of ON CONFLICT that have an expression or a WHERE.
fn spell_conflicts(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    let word = |i: usize, what: &str| word_at(tokens, &at, i, what);
    let is = |i: usize, what: &Token| at.get(i).is_some_and(|at| tokens[*at].token == *what);
    let mut found = Vec::new();
    for i in 0..at.len() {
        if !(word(i, "on") && word(i + 1, "conflict") && is(i + 2, &Token::LParen)) {
            continue;
        }
        let Some(close) = closing(tokens, &at, i + 2) else {
            continue;
        };
        let Some(action) = (close + 1..at.len())
            .find(|a| word(*a, "do") && (word(a + 1, "nothing") || word(a + 1, "update")))
        else {
            continue;
        };
        let names = i + 3..close;
        let plain = names.clone().all(|n| match &tokens[at[n]].token {
            Token::Word(_) => (n - i) % 2 == 1,
            Token::Comma => (n - i) % 2 == 0,
            _ => false,
        });
        let conditional = word(close + 1, "where");
        if !conditional && (plain || action != close + 1) {
            continue;
        }
        let text = |from: usize, to: usize| sql(&tokens[at[from]..at[to]]);
        let condition = conditional.then(|| text(close + 2, action));
        let (Some(elements), None | Some(Some(_))) = (text(i + 3, close), &condition) else {
            continue;
        };
        found.push((at[i + 2], at[action], elements, condition.flatten()));
    }
    for (from, to, elements, condition) in found.into_iter().rev() {
        let span = tokens[from].span;
        let mut spelled = vec![Token::LParen, quoted(&format!("{}{elements}", CONFLICT[0]))];
        if let Some(condition) = condition {
            spelled.push(Token::Comma);
            spelled.push(quoted(&format!("{}{condition}", CONFLICT[1])));
        }
        spelled.push(Token::RParen);
        let spelled = spelled
            .into_iter()
            .map(|token| TokenWithSpan { token, span });
        tokens.splice(from..to, spelled.collect::<Vec<_>>());
    }
}

/// The place of the parenthesis that closes one.
fn closing(tokens: &[TokenWithSpan], at: &[usize], open: usize) -> Option<usize> {
    let mut depth = 0;
    (open..at.len()).find(|i| {
        match tokens[at[*i]].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// Tokens as SQL; `None` when one of them does not print as it was written.
fn sql(tokens: &[TokenWithSpan]) -> Option<String> {
    let mut text = String::new();
    for token in tokens {
        match &token.token {
            Token::SingleQuotedString(string) => {
                text.push_str(&format!("'{}'", string.replace('\'', "''")));
            }
            Token::Word(word) if word.quote_style.is_some() => {
                text.push_str(&crate::names::quoted_ident(&word.value).to_string());
            }
            Token::Word(_) | Token::Number(..) | Token::Whitespace(_) => {
                text.push_str(&token.token.to_string());
            }
            Token::Placeholder(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_) => return None,
            other => text.push_str(&other.to_string()),
        }
    }
    Some(text)
}

/// Whether SET DEFAULT is DROP EXPRESSION; `true` inside with IF EXISTS.
pub(crate) fn drops_expression(value: &ast::Expr) -> Option<bool> {
    match value {
        ast::Expr::Identifier(ident) if ident.value == DROP_EXPRESSION => Some(false),
        ast::Expr::Identifier(ident) if ident.value == DROP_EXPRESSION_IF_EXISTS => Some(true),
        _ => None,
    }
}

/// What RENAME CONSTRAINT makes of the constraint, when it is ALTER CONSTRAINT.
pub(crate) fn altered_constraint(new_name: &ast::Ident) -> Option<Deferral> {
    match new_name.value.strip_prefix(ALTER_CONSTRAINT)? {
        "immediate" => Some(Deferral::InitiallyImmediate),
        "deferred" => Some(Deferral::InitiallyDeferred),
        _ => Some(Deferral::NotDeferrable),
    }
}

/// Spells DROP EXPRESSION and ALTER CONSTRAINT.
fn spell_alterations(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    let word = |i: usize, what: &str| word_at(tokens, &at, i, what);
    if !word(0, "alter") || !word(1, "table") {
        return;
    }
    let mut found: Vec<(usize, usize, Vec<Token>)> = Vec::new();
    for i in 2..at.len() {
        // Behind `ALTER [COLUMN] name`; elsewhere it is a column of that name that goes.
        let of_column = i > 2 && (word(i - 2, "alter") || word(i - 2, "column"));
        if of_column && word(i, "drop") && word(i + 1, "expression") {
            let conditional = word(i + 2, "if") && word(i + 3, "exists");
            let (last, marker) = match conditional {
                true => (i + 3, DROP_EXPRESSION_IF_EXISTS),
                false => (i + 1, DROP_EXPRESSION),
            };
            let spelled = vec![
                keyword(Keyword::SET, "SET"),
                keyword(Keyword::DEFAULT, "DEFAULT"),
                quoted(marker),
            ];
            found.push((at[i], at[last], spelled));
        } else if word(i, "alter") && word(i + 1, "constraint") && i + 2 < at.len() {
            let name = tokens[at[i + 2]].token.clone();
            let (mut next, mut deferrable, mut deferred) = (i + 3, None, None);
            loop {
                let taken = if word(next, "not") && word(next + 1, "deferrable") {
                    deferrable.replace(false).is_none().then_some(2)
                } else if word(next, "deferrable") {
                    deferrable.replace(true).is_none().then_some(1)
                } else if word(next, "initially") && word(next + 1, "deferred") {
                    deferred.replace(true).is_none().then_some(2)
                } else if word(next, "initially") && word(next + 1, "immediate") {
                    deferred.replace(false).is_none().then_some(2)
                } else {
                    break;
                };
                match taken {
                    Some(words) => next += words,
                    None => return,
                }
            }
            let what = match (deferrable, deferred) {
                // Left to the parser, which knows no such action.
                (Some(false), Some(true)) => return,
                (_, Some(true)) => "deferred",
                (Some(true), _) => "immediate",
                _ => "not",
            };
            let spelled = vec![
                keyword(Keyword::RENAME, "RENAME"),
                keyword(Keyword::CONSTRAINT, "CONSTRAINT"),
                name,
                keyword(Keyword::TO, "TO"),
                quoted(&format!("{ALTER_CONSTRAINT}{what}")),
            ];
            found.push((at[i], at[next - 1], spelled));
        }
    }
    for (from, to, spelled) in found.into_iter().rev() {
        let span = tokens[from].span;
        let spelled = spelled
            .into_iter()
            .map(|token| TokenWithSpan { token, span });
        tokens.splice(from..=to, spelled.collect::<Vec<_>>());
    }
}
