//! Errors across the border: a plugin's as a client's, and ours as a plugin's.

use heliosdb_plugin_api as api;

use crate::error::{SqlError, SqlState, state};

impl From<api::Error> for SqlError {
    fn from(error: api::Error) -> SqlError {
        let code = <[u8; 5]>::try_from(error.sqlstate.as_str().as_bytes())
            .map_or(state::INTERNAL_ERROR, SqlState);
        SqlError {
            detail: error.detail,
            hint: error.hint,
            ..SqlError::new(code, error.message)
        }
    }
}

/// What a plugin is told of an error. The place in the statement is lost: it is not the plugin's.
pub(crate) fn to_plugin(error: SqlError) -> api::Error {
    api::Error {
        detail: error.detail,
        hint: error.hint,
        ..api::Error::new(api::SqlState::new(error.code.as_str()), error.message)
    }
}
