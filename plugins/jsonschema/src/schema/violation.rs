//! What is wrong with a document, in words and in places.

use std::fmt;

use jsonschema::ValidationError;
use jsonschema::error::{ErrorIterator, ValidationErrorKind};

use crate::document::Document;

/// Characters of a message. Messages quote the document.
const MESSAGE_MAX: usize = 300;

/// One keyword of a schema that one value of a document breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer to the value, empty for the document itself.
    pub pointer: String,
    /// The keyword; `false` for the schema that allows nothing.
    pub keyword: String,
    /// JSON pointer to the keyword, from the root of the schema it is in.
    pub schema_pointer: String,
    /// URI of the keyword, if the schema it is in has a URI.
    pub schema_uri: Option<String>,
    pub message: String,
}

/// The first violations of a document, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    pub first: Vec<Violation>,
    pub total: usize,
}

impl Violations {
    pub(super) fn collect(
        errors: ErrorIterator<'_>,
        document: &Document<'_>,
        max: usize,
    ) -> Violations {
        let mut violations = Violations::default();
        for error in errors {
            violations.total += 1;
            if violations.first.len() < max {
                violations.first.push(Violation::of(&error, document));
            }
        }
        violations
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }
}

/// One line each, as they stand in the DETAIL of an error.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.first.iter().enumerate() {
            let end = if i > 0 { "\n" } else { "" };
            write!(f, "{end}{violation}")?;
        }
        match self.total - self.first.len() {
            0 => Ok(()),
            more => write!(f, "\n{more} more."),
        }
    }
}

impl Violation {
    fn of(error: &ValidationError<'_>, document: &Document<'_>) -> Violation {
        let pointer = error.instance_path().as_str();
        let root = document.root();
        let value = root.pointer(pointer);
        let message = if value.is_some_and(|value| value.is_long()) {
            error.masked().to_string()
        } else {
            error.to_string()
        };
        let keyword = match error.kind() {
            ValidationErrorKind::FalseSchema => "false",
            kind => kind.keyword(),
        };
        let uri = error.absolute_keyword_location();
        Violation {
            pointer: pointer.to_owned(),
            keyword: keyword.to_owned(),
            schema_pointer: error.schema_path().as_str().to_owned(),
            schema_uri: uri.map(|uri| uri.as_str().to_owned()),
            message: shortened(&message),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            pointer,
            keyword,
            message,
            ..
        } = self;
        write!(f, "At \"{pointer}\", {keyword}: {message}.")
    }
}

/// At most [`MESSAGE_MAX`] characters.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
