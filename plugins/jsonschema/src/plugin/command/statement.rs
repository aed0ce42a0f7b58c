//! The grammar of the statements.
//!
//! ```text
//! CREATE JSON SCHEMA [IF NOT EXISTS] name [DRAFT 'draft'] [URI 'uri'] AS 'schema'
//! ALTER JSON SCHEMA [IF EXISTS] name [DRAFT 'draft'] AS 'schema'
//! ALTER JSON SCHEMA [IF EXISTS] name RENAME TO name
//! DROP JSON SCHEMA [IF EXISTS] name [, ...] [CASCADE | RESTRICT]
//! ```

use heliosdb_plugin_api::Result;

use crate::plugin::name::Name;
use crate::plugin::words::Words;
use crate::schema::{Draft, parse_draft};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    Create {
        name: Name,
        if_not_exists: bool,
        draft: Option<Draft>,
        uri: Option<String>,
        text: String,
    },
    Replace {
        name: Name,
        if_exists: bool,
        draft: Option<Draft>,
        text: String,
    },
    Rename {
        name: Name,
        if_exists: bool,
        new: String,
    },
    Drop {
        names: Vec<Name>,
        if_exists: bool,
        cascade: bool,
    },
}

impl Statement {
    pub fn parse(text: &str) -> Result<Statement> {
        let words = &mut Words::new(text);
        let statement = if words.accept("create")? {
            create(words)
        } else if words.accept("alter")? {
            alter(words)
        } else {
            words.expect("drop")?;
            drop(words)
        }?;
        words.accept_symbol(';')?;
        words.end()?;
        Ok(statement)
    }
}

fn json_schema(words: &mut Words<'_>) -> Result<()> {
    words.expect("json")?;
    words.expect("schema")
}

fn create(words: &mut Words<'_>) -> Result<Statement> {
    json_schema(words)?;
    let if_not_exists = words.accept("if")?;
    if if_not_exists {
        words.expect("not")?;
        words.expect("exists")?;
    }
    let name = words.name()?;
    let (mut draft, mut uri) = (None, None);
    loop {
        if draft.is_none() && words.accept("draft")? {
            draft = Some(parse_draft(&words.literal()?)?);
        } else if uri.is_none() && words.accept("uri")? {
            uri = Some(words.literal()?);
        } else {
            break;
        }
    }
    words.expect("as")?;
    Ok(Statement::Create {
        name,
        if_not_exists,
        draft,
        uri,
        text: words.literal()?,
    })
}

fn alter(words: &mut Words<'_>) -> Result<Statement> {
    json_schema(words)?;
    let if_exists = if_exists(words)?;
    let name = words.name()?;
    if words.accept("rename")? {
        words.expect("to")?;
        return Ok(Statement::Rename {
            name,
            if_exists,
            new: words.identifier()?,
        });
    }
    let draft = match words.accept("draft")? {
        true => Some(parse_draft(&words.literal()?)?),
        false => None,
    };
    words.expect("as")?;
    Ok(Statement::Replace {
        name,
        if_exists,
        draft,
        text: words.literal()?,
    })
}

fn drop(words: &mut Words<'_>) -> Result<Statement> {
    json_schema(words)?;
    let if_exists = if_exists(words)?;
    let mut names = vec![words.name()?];
    while words.accept_symbol(',')? {
        names.push(words.name()?);
    }
    let cascade = words.accept("cascade")?;
    if !cascade {
        words.accept("restrict")?;
    }
    Ok(Statement::Drop {
        names,
        if_exists,
        cascade,
    })
}

fn if_exists(words: &mut Words<'_>) -> Result<bool> {
    let found = words.accept("if")?;
    if found {
        words.expect("exists")?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        Name::parse(name).expect("a name")
    }

    #[test]
    fn statements_are_understood() {
        for (text, expected) in [
            (
                "CREATE JSON SCHEMA Person AS '{\"a\": ''x''}';",
                Statement::Create {
                    name: name("person"),
                    if_not_exists: false,
                    draft: None,
                    uri: None,
                    text: "{\"a\": 'x'}".to_owned(),
                },
            ),
            (
                "create json schema if not exists s.p uri 'urn:x' draft '7' as $$true$$",
                Statement::Create {
                    name: name("s.p"),
                    if_not_exists: true,
                    draft: Some(Draft::Draft7),
                    uri: Some("urn:x".to_owned()),
                    text: "true".to_owned(),
                },
            ),
            (
                "ALTER JSON SCHEMA p DRAFT '4' AS E'{}'",
                Statement::Replace {
                    name: name("p"),
                    if_exists: false,
                    draft: Some(Draft::Draft4),
                    text: "{}".to_owned(),
                },
            ),
            (
                "ALTER JSON SCHEMA IF EXISTS p RENAME TO \"Q\"",
                Statement::Rename {
                    name: name("p"),
                    if_exists: true,
                    new: "Q".to_owned(),
                },
            ),
            (
                "DROP JSON SCHEMA IF EXISTS a, b.c CASCADE",
                Statement::Drop {
                    names: vec![name("a"), name("b.c")],
                    if_exists: true,
                    cascade: true,
                },
            ),
        ] {
            assert_eq!(Statement::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_left_over_is_an_error() {
        for text in [
            "CREATE JSON SCHEMA p",
            "CREATE JSON SCHEMA p AS {}",
            "CREATE JSON SCHEMA p DRAFT '7' DRAFT '7' AS '{}'",
            "CREATE JSON SCHEMA p AS '{}' NOT VALID",
            "ALTER JSON SCHEMA p",
            "DROP JSON SCHEMA p RESTRICT CASCADE",
            "DROP JSON SCHEMA",
        ] {
            let error = Statement::parse(text).expect_err(text);
            assert_eq!(error.sqlstate.as_str(), "42601", "{text}");
        }
        let error = Statement::parse("CREATE JSON SCHEMA p DRAFT '5' AS '{}'");
        assert_eq!(error.expect_err("no such draft").sqlstate.as_str(), "22023");
    }
}
