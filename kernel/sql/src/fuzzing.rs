//! The door for `testing/fuzz`: reads text as SQL, and throws away what it says.

use crate::plugin::syntax::Syntax;
use crate::session::statement::{parse, parse_expression, parse_query};

/// Reads a text as a client's, as a stored query, and as a stored expression.
pub fn parse_text(text: &str) {
    // That it is none is an answer, too.
    let _ = parse(text, &Syntax::default());
    let _ = parse_query(text);
    let _ = parse_expression(text);
}
