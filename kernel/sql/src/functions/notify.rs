//! `pg_notify` and what tells of listening: see [`crate::notify`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use crate::error::{Result, SqlError};
use crate::semantics::kernel::*;
use crate::semantics::overload::Call;
use crate::types::PgType;

pub(super) const NAMES: &[&str] = &["pg_notify"];

/// NULL is the empty text to it.
fn notify(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let session = call.vars.session()?;
    let columns = args.iter().map(expand).collect::<Result<Vec<_>>>()?;
    let text = |at: usize, row: usize| {
        let (array, factor) = columns.get(at)?;
        let array: &StringViewArray = array.as_string_view_opt()?;
        let row = row * factor;
        Some(if array.is_null(row) {
            ""
        } else {
            array.value(row)
        })
    };
    for row in 0..call.rows {
        let (Some(channel), Some(payload)) = (text(0, row), text(1, row)) else {
            return Err(SqlError::internal("pg_notify was not given texts"));
        };
        session.notify(channel, payload)?;
    }
    let nothing = std::iter::repeat_n(Some(""), call.rows);
    Ok(Arc::new(nothing.collect::<StringViewArray>()))
}

pub fn register(r: &mut Registry) {
    r.add(
        "pg_notify",
        overload(vec![PgType::Text, PgType::Text], PgType::Void, notify).volatile(),
    );
    r.add(
        "$pg_listening_channels",
        f0::<TextArray>(|c| {
            let channels = c.vars.session()?.listening_channels();
            Ok(Some(channels.into_iter().map(Some).collect()))
        })
        .stable(),
    );
    r.add(
        "pg_notification_queue_usage",
        f0::<Float8>(|c| Ok(Some(c.vars.session()?.instance.notifications().usage()))).volatile(),
    );
}
