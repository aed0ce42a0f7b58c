//! The names that are the server's own and that no plugin may claim.

use datafusion::functions_window::all_default_window_functions;
use heliosdb_plugin_host::names::NameKind;

use crate::functions::{self, Functions};
use crate::pg_catalog;
use crate::semantics::function::PgFunction;

/// Whether a name of this kind is the server's own.
pub fn is_builtin(kind: NameKind, name: &str) -> bool {
    match kind {
        NameKind::Function => is_function(name),
        NameKind::Operator => is_closed_operator(name),
        NameKind::Type => crate::types::names::by_name(name).is_some(),
        _ => false,
    }
}

fn is_function(name: &str) -> bool {
    let builtin = Functions::builtin();
    builtin.is_scalar(name)
        || builtin.is_aggregate(name)
        || crate::semantics::is_set_returning(name)
        || crate::session::functions::is_known(name)
        || all_default_window_functions()
            .iter()
            .any(|f| f.name() == name)
        || pg_catalog::functions::names().any(|n| n == name)
        || pg_catalog::builtin::builtin_functions()
            .iter()
            .any(|f| f.name == name)
}

/// Whether an operator takes no overloads: comparisons are no functions here.
fn is_closed_operator(symbol: &str) -> bool {
    let builtin = functions::scalar(&format!("${symbol}"));
    builtin.is_some_and(|f| f.inner().downcast_ref::<PgFunction>().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_known_by_kind() {
        for name in [
            "lower",
            "sum",
            "row_number",
            "nextval",
            "pg_get_expr",
            "unnest",
            "coalesce",
        ] {
            assert!(is_builtin(NameKind::Function, name), "{name}");
        }
        assert!(is_builtin(NameKind::Type, "jsonb"));
        assert!(is_builtin(NameKind::Operator, "="));
        // Other operators have overloads by type.
        assert!(!is_builtin(NameKind::Operator, "+"));
        assert!(!is_builtin(NameKind::Operator, "<->"));
        assert!(!is_builtin(NameKind::Function, "jsonb_matches_schema"));
        assert!(!is_builtin(NameKind::Type, "vector"));
    }
}
