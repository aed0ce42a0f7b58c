//! DataFusion's errors as PostgreSQL's.
//!
//! An error of ours that travelled through DataFusion comes out as it went in. Everything else is
//! read by `semantics`, which knows DataFusion's messages.

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use crate::error::{SqlError, state};

/// Wraps an error of ours for a trip through DataFusion.
pub(crate) fn wrap(error: impl Into<SqlError>) -> DataFusionError {
    DataFusionError::External(Box::new(error.into()))
}

pub(crate) fn convert(error: DataFusionError) -> SqlError {
    if let Some(found) = ours(&error) {
        return found;
    }
    if let DataFusionError::ResourcesExhausted(why) = error.find_root() {
        return out_of_memory(why);
    }
    crate::plan::bridge::map_error(error)
}

/// What a query gets that can have no more of the budget of memory, and cannot go on in files.
pub(crate) fn out_of_memory(why: &str) -> SqlError {
    SqlError::new(state::OUT_OF_MEMORY, "out of memory")
        .with_detail(why)
        .with_hint("See helios_memory; [memory] budget in heliosdb.toml is what all have together.")
}

/// An error of ours, or of storage, anywhere inside.
fn ours(error: &DataFusionError) -> Option<SqlError> {
    match error {
        DataFusionError::External(e) => from_boxed(e.as_ref()),
        DataFusionError::ArrowError(e, _) => match e.as_ref() {
            ArrowError::ExternalError(e) => from_boxed(e.as_ref()),
            _ => None,
        },
        DataFusionError::Context(_, e) | DataFusionError::Diagnostic(_, e) => ours(e),
        DataFusionError::Shared(e) => ours(e),
        DataFusionError::Collection(errors) => errors.iter().find_map(ours),
        _ => None,
    }
}

fn from_boxed(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<SqlError> {
    if let Some(e) = error.downcast_ref::<SqlError>() {
        return Some(e.clone());
    }
    if let Some(e) = error.downcast_ref::<heliosdb_storage::Error>() {
        return Some(SqlError::from(e.clone()));
    }
    if let Some(e) = error.downcast_ref::<DataFusionError>() {
        return ours(e);
    }
    match error.downcast_ref::<ArrowError>() {
        Some(ArrowError::ExternalError(e)) => from_boxed(e.as_ref()),
        _ => None,
    }
}
