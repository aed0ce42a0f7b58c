//! Names of schemas as SQL writes them.

use heliosdb_plugin_api::Result;

use super::words::Words;

/// `[schema.]name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub schema: Option<String>,
    pub name: String,
}

impl Name {
    /// A name that is the whole text, as a function gets it or a clause.
    pub fn parse(text: &str) -> Result<Name> {
        let mut words = Words::new(text);
        let name = words.name()?;
        words.end()?;
        Ok(name)
    }

    /// As a message writes it.
    pub fn display(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_and_quote() {
        let name = |text| Name::parse(text).expect("a name").display();
        assert_eq!(name("Person"), "person");
        assert_eq!(name(" shop . \"Order \"\"1\"\"\" "), "shop.Order \"1\"");
        assert_eq!(name("/* a /* b */ */ x -- end"), "x");
        assert_eq!(name(&"x".repeat(70)).len(), 63);
        for text in ["", "a.", "a.b.c", "1a", "\"\"", "a b", "'a'"] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
