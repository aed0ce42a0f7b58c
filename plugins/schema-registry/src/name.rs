//! Names of schemas as a function gets them: `person`, `shop."Order"`.

use heliosdb_plugin_api::{Error, Result, state};

/// `[schema.]name`, folded as PostgreSQL folds identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub schema: Option<String>,
    pub name: String,
}

impl Name {
    /// # Errors
    ///
    /// `22023` for a text that is no name.
    pub fn parse(text: &str) -> Result<Name> {
        let invalid = || {
            Error::new(
                state::INVALID_PARAMETER_VALUE,
                format!("\"{text}\" is not the name of a JSON schema"),
            )
        };
        let (first, rest) = identifier(text.trim()).ok_or_else(invalid)?;
        let Some(rest) = rest.trim_start().strip_prefix('.') else {
            return match rest {
                "" => Ok(Name {
                    schema: None,
                    name: first,
                }),
                _ => Err(invalid()),
            };
        };
        match identifier(rest.trim_start()).ok_or_else(invalid)? {
            (name, "") => Ok(Name {
                schema: Some(first),
                name,
            }),
            _ => Err(invalid()),
        }
    }
}

/// An identifier and what follows it.
fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let end = text.find(|c| !part(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let first = name.chars().next()?;
        let starts = first.is_alphabetic() || first == '_';
        return starts.then(|| (name.to_ascii_lowercase(), rest));
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return (!name.is_empty()).then_some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_and_quote() {
        for (text, schema, name) in [
            ("Person", None, "person"),
            (" shop . \"Order \"\"1\"\"\" ", Some("shop"), "Order \"1\""),
            ("\"a.b\"", None, "a.b"),
            ("_é$1", None, "_é$1"),
        ] {
            let schema = schema.map(str::to_owned);
            let name = name.to_owned();
            assert_eq!(Name::parse(text), Ok(Name { schema, name }), "{text}");
        }
        for text in ["", "a.", ".a", "a.b.c", "1a", "\"\"", "\"a", "a b", "'a'"] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
