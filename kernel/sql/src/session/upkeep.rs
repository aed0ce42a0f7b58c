//! What VACUUM and ANALYZE share: their grammar, which the dialect lacks, and the tables they are of.
//!
//! ```text
//! VACUUM [ FULL ] [ FREEZE ] [ VERBOSE ] [ ANALYZE ] [ table [ ( column [, …] ) ] [, …] ]
//! ANALYZE [ VERBOSE ] [ table [ ( column [, …] ) ] [, …] ]
//! { VACUUM | ANALYZE } ( option [ value ] [, …] ) [ table [ ( column [, …] ) ] [, …] ]
//! ```

use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::Session;
use super::statement::{position_in, word_is};
use crate::catalog::model::{Table, oid};
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::pg_catalog::relation::Relation as SystemRelation;
use crate::pg_catalog::relations;

/// What PostgreSQL's words for the options were before they were in parentheses, in their order.
const WORDS: [&str; 4] = ["full", "freeze", "verbose", "analyze"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Vacuum,
    Analyze,
}

impl Command {
    pub fn name(self) -> &'static str {
        match self {
            Command::Vacuum => "VACUUM",
            Command::Analyze => "ANALYZE",
        }
    }

    /// In messages about one table.
    fn verb(self) -> &'static str {
        match self {
            Command::Vacuum => "vacuum",
            Command::Analyze => "analyze",
        }
    }
}

/// VACUUM or ANALYZE, of all tables if it names none.
#[derive(Clone, Debug)]
pub(crate) struct Upkeep {
    pub command: Command,
    pub options: Vec<UpkeepOption>,
    pub targets: Vec<Target>,
}

#[derive(Clone, Debug)]
pub(crate) struct UpkeepOption {
    pub name: String,
    value: Option<Value>,
    at: Location,
}

#[derive(Clone, Debug)]
enum Value {
    Word(String),
    Number(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub name: ObjectName,
    /// None for all.
    pub columns: Vec<Ident>,
}

/// A table to work on, with the columns that were named.
pub(super) struct Found {
    pub columns: Vec<String>,
    relation: Named,
}

enum Named {
    Own(Relation),
    /// Of the system's, which are computed: there is nothing to do.
    System(&'static SystemRelation),
}

/// Which of the two a statement is that begins so.
pub(super) fn begins(first: Option<&&TokenWithSpan>) -> Option<Command> {
    let words = [
        ("vacuum", Command::Vacuum),
        ("analyze", Command::Analyze),
        ("analyse", Command::Analyze),
    ];
    let found = words.into_iter().find(|(word, _)| word_is(first, word));
    found.map(|(_, command)| command)
}

/// Parses from the first word on.
pub(super) fn parse(p: &mut Parser<'_>, command: Command) -> Result<Upkeep, ParserError> {
    p.next_token();
    let mut options = Vec::new();
    if p.consume_token(&Token::LParen) {
        options = p.parse_comma_separated(parse_option)?;
        p.expect_token(&Token::RParen)?;
    } else {
        let words: &[&str] = match command {
            Command::Vacuum => &WORDS,
            Command::Analyze => &["verbose"],
        };
        for word in words {
            let at = p.peek_token_ref().span.start;
            let taken = take_word(p, word) || (*word == "analyze" && take_word(p, "analyse"));
            if taken {
                options.push(UpkeepOption {
                    name: (*word).to_owned(),
                    value: None,
                    at,
                });
            }
        }
    }
    let mut targets = Vec::new();
    if p.peek_token_ref().token != Token::EOF {
        targets = p.parse_comma_separated(parse_target)?;
    }
    match p.peek_token_ref().token {
        Token::EOF => Ok(Upkeep {
            command,
            options,
            targets,
        }),
        _ => p.expected_ref("end of statement", p.peek_token_ref()),
    }
}

fn take_word(p: &mut Parser<'_>, word: &str) -> bool {
    let is_next = matches!(&p.peek_token_ref().token, Token::Word(next)
        if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word));
    if is_next {
        p.next_token();
    }
    is_next
}

fn parse_option(p: &mut Parser<'_>) -> Result<UpkeepOption, ParserError> {
    let token = p.next_token();
    let name = match &token.token {
        Token::Word(word) if word.quote_style.is_some() => word.value.clone(),
        Token::Word(word) => match word.value.to_lowercase() {
            name if name == "analyse" => "analyze".to_owned(),
            name if names::is_reserved(&name) && name != "analyze" => {
                return p.expected("an option", token);
            }
            name => name,
        },
        _ => return p.expected("an option", token),
    };
    let value = match p.peek_token_ref().token {
        Token::Comma | Token::RParen => None,
        _ => Some(parse_value(p)?),
    };
    Ok(UpkeepOption {
        name,
        value,
        at: token.span.start,
    })
}

fn parse_value(p: &mut Parser<'_>) -> Result<Value, ParserError> {
    let token = p.next_token();
    match &token.token {
        Token::Word(word) if word.quote_style.is_some() => Ok(Value::Word(word.value.clone())),
        Token::Word(word) => {
            let value = word.value.to_lowercase();
            match names::is_reserved(&value) && !matches!(value.as_str(), "true" | "false" | "on") {
                true => p.expected("a value", token),
                false => Ok(Value::Word(value)),
            }
        }
        Token::SingleQuotedString(value) => Ok(Value::Word(value.clone())),
        Token::Number(number, _) => Ok(Value::Number(number.clone())),
        Token::Minus | Token::Plus => {
            let sign = if token.token == Token::Minus { "-" } else { "" };
            let next = p.next_token();
            match &next.token {
                Token::Number(number, _) => Ok(Value::Number(format!("{sign}{number}"))),
                _ => p.expected("a number", next),
            }
        }
        _ => p.expected("a value", token),
    }
}

fn parse_target(p: &mut Parser<'_>) -> Result<Target, ParserError> {
    // Words that are no names of tables without quotes.
    if let Token::Word(word) = &p.peek_token_ref().token
        && word.quote_style.is_none()
    {
        let word = word.value.to_lowercase();
        if names::is_reserved(&word) || WORDS.contains(&word.as_str()) {
            return p.expected_ref("a table", p.peek_token_ref());
        }
    }
    let name = p.parse_object_name(false)?;
    let mut columns = Vec::new();
    if p.consume_token(&Token::LParen) {
        columns = p.parse_comma_separated(Parser::parse_identifier)?;
        p.expect_token(&Token::RParen)?;
    }
    Ok(Target { name, columns })
}

impl UpkeepOption {
    pub fn is_on(&self) -> Result<bool> {
        let word = match &self.value {
            None => return Ok(true),
            Some(Value::Word(word) | Value::Number(word)) => word.to_lowercase(),
        };
        let number = matches!(self.value, Some(Value::Number(_)));
        match (word.as_str(), number) {
            ("true" | "on", false) | ("1", true) => Ok(true),
            ("false" | "off", false) | ("0", true) => Ok(false),
            _ => Err(SqlError::new(
                state::SYNTAX_ERROR,
                format!("{} requires a Boolean value", self.name),
            )),
        }
    }

    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.value, Some(Value::Word(value)) if value.eq_ignore_ascii_case(word))
    }

    /// The number it has to have, from 0 to `max`.
    pub fn number(&self, what: [&str; 2], max: u32, text: &str) -> Result<u32> {
        let [without, beyond] = what;
        let fault = |message: String| SqlError::new(state::SYNTAX_ERROR, message);
        let range = format!("must be between 0 and {max}");
        let number = match &self.value {
            None => {
                let message = format!("{without} requires a value between 0 and {max}");
                return Err(fault(message).with_position(position_in(text, self.at)));
            }
            Some(Value::Number(number)) => number.parse::<i32>().ok(),
            Some(Value::Word(_)) => None,
        };
        let number =
            number.ok_or_else(|| fault(format!("{} requires an integer value", self.name)))?;
        u32::try_from(number)
            .ok()
            .filter(|number| *number <= max)
            .ok_or_else(|| {
                fault(format!("{beyond} {range}")).with_position(position_in(text, self.at))
            })
    }

    pub fn unrecognized(&self, command: Command, text: &str) -> SqlError {
        let message = format!("unrecognized {} option \"{}\"", command.name(), self.name);
        SqlError::new(state::SYNTAX_ERROR, message).with_position(position_in(text, self.at))
    }
}

impl Found {
    /// The table, if it is one that somebody made.
    pub fn table(&self) -> Option<&Arc<Table>> {
        match &self.relation {
            Named::Own(Relation::Table(table)) => Some(table),
            _ => None,
        }
    }

    pub fn name(&self) -> &str {
        match &self.relation {
            Named::Own(relation) => relation.name(),
            Named::System(relation) => relation.name,
        }
    }

    fn is_table(&self) -> bool {
        match &self.relation {
            Named::Own(relation) => matches!(relation, Relation::Table(_)),
            Named::System(relation) => relation.kind == 'r',
        }
    }

    pub fn schema(&self, catalog: &CatalogSnapshot) -> String {
        match &self.relation {
            Named::Own(relation) => {
                let schema = catalog.schema(relation.schema());
                schema.map(|schema| schema.name.clone()).unwrap_or_default()
            }
            Named::System(relation) => relation.schema.to_owned(),
        }
    }

    /// Refuses columns that it does not have, or that are named twice.
    pub fn check_columns(&self) -> Result<()> {
        for (place, name) in self.columns.iter().enumerate() {
            let exists = match &self.relation {
                Named::Own(Relation::Table(table)) => table.column(name).is_some(),
                Named::Own(_) => false,
                Named::System(relation) => relation.columns.iter().any(|c| c.name == name),
            };
            let relation = self.name();
            if !exists {
                return Err(SqlError::new(
                    state::UNDEFINED_COLUMN,
                    format!("column \"{name}\" of relation \"{relation}\" does not exist"),
                ));
            }
            if self.columns[..place].contains(name) {
                return Err(SqlError::new(
                    state::DUPLICATE_COLUMN,
                    format!("column \"{name}\" of relation \"{relation}\" appears more than once"),
                ));
            }
        }
        Ok(())
    }
}

impl Session {
    /// The tables that it is of and that the role may work on. It is told of what is left out.
    pub(super) fn upkept(
        &mut self,
        upkeep: &Upkeep,
        catalog: &CatalogSnapshot,
    ) -> Result<Vec<Found>> {
        let command = upkeep.command;
        let mut found = Vec::new();
        for target in &upkeep.targets {
            let one = Found {
                relation: self.named(catalog, &target.name)?,
                columns: target.columns.iter().map(names::fold).collect(),
            };
            self.keep_permitted(one, command, &mut found);
        }
        if upkeep.targets.is_empty() {
            for table in catalog.tables() {
                let relation = Relation::Table(table.clone());
                if self.info.check_not_of_others(catalog, &relation).is_ok() {
                    let one = Found {
                        relation: Named::Own(relation),
                        columns: Vec::new(),
                    };
                    self.keep_permitted(one, command, &mut found);
                }
            }
        }
        // Only now: what is not there has been told.
        found.retain(|one| {
            if !one.is_table() {
                let (name, verb) = (one.name(), command.verb());
                let why = format!("cannot {verb} non-tables or special system tables");
                self.warn(state::WARNING, format!("skipping \"{name}\" --- {why}"));
            }
            one.is_table()
        });
        Ok(found)
    }

    fn named(&self, catalog: &CatalogSnapshot, name: &ObjectName) -> Result<Named> {
        if let Some(relation) = self.find_relation(catalog, name)? {
            return Ok(Named::Own(relation));
        }
        let (schema, own) = names::qualified(name, &self.info.database)?;
        if let Some(relation) = relations::find(schema.as_deref().unwrap_or("pg_catalog"), &own) {
            return Ok(Named::System(relation));
        }
        let is_system = |schema: &str| matches!(schema, "pg_catalog" | "information_schema");
        match &schema {
            Some(schema)
                if !is_system(schema)
                    && catalog
                        .schema_by_name(&self.info.schema_named(schema))
                        .is_none() =>
            {
                Err(SqlError::new(
                    state::INVALID_SCHEMA_NAME,
                    format!("schema \"{schema}\" does not exist"),
                ))
            }
            _ => self.relation(catalog, name).map(Named::Own),
        }
    }

    /// Who may: the owner of the table, of the database, a superuser.
    fn keep_permitted(&mut self, one: Found, command: Command, found: &mut Vec<Found>) {
        let role = self.info.role();
        let database = role.has(oid::BOOTSTRAP_ROLE);
        let (permitted, who) = match &one.relation {
            Named::Own(relation) => (
                database || role.has(relation.owner()),
                "table or database owner",
            ),
            Named::System(relation) if relation.is_shared() => (role.superuser, "superuser"),
            Named::System(relation) if relation.schema == "pg_catalog" => {
                (database, "superuser or database owner")
            }
            Named::System(_) => (database, "table or database owner"),
        };
        if permitted {
            found.push(one);
        } else {
            let (name, verb) = (one.name(), command.verb());
            let message = format!("skipping \"{name}\" --- only {who} can {verb} it");
            self.warn(state::WARNING, message);
        }
    }
}
