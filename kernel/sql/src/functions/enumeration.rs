//! `enum_first`, `enum_last` and `enum_range`. A value may be NULL: only its type matters to the first two.

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::DataType;
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use super::array::list_of;
use crate::error::{Result, SqlError, state};
use crate::semantics::kernel::{expand, overload, polymorphic};
use crate::semantics::overload::{Call, Param, ResultType};
use crate::types::enumeration::{key_at, of_arrow};
use crate::types::{EnumType, PgType};

/// `$_label(key, oid)`: the key of a label, in an expression that is kept (`crate::ddl::index_labels`).
pub const LABEL: &str = "$_label";

pub fn register(r: &mut Registry) {
    let key = overload(
        vec![PgType::Int8, PgType::Int8],
        PgType::Int8,
        |args, call| {
            let key = args[0].to_array(call.rows)?;
            Ok(key)
        },
    );
    r.add(LABEL, key);
    let element = |types: &[DataType]| types.first().cloned().unwrap_or(DataType::Null);
    let list = |types: &[DataType]| match types.first() {
        Some(item) => DataType::new_list(item.clone(), true),
        None => DataType::Null,
    };
    let (one, two) = (vec![Param::AnyEnum], vec![Param::AnyEnum, Param::AnyEnum]);
    let result = ResultType::From(element);
    r.add(
        "enum_first",
        polymorphic(one.clone(), false, result.clone(), |args, call| {
            end(args, call, |of| of.labels().first().map(|label| label.0))
        })
        .stable(),
    );
    r.add(
        "enum_last",
        polymorphic(one.clone(), false, result, |args, call| {
            end(args, call, |of| of.labels().last().map(|label| label.0))
        })
        .stable(),
    );
    let result = ResultType::From(list);
    r.add(
        "enum_range",
        polymorphic(one, false, result.clone(), |args, call| {
            let of = enum_of(args)?;
            let keys = of.labels().iter().map(|label| label.0);
            let all = vec![keys.collect::<Vec<_>>(); call.rows];
            lists(of, all)
        })
        .stable(),
    );
    r.add(
        "enum_range",
        polymorphic(two, false, result, range).stable(),
    );
}

fn enum_of(args: &[ColumnarValue]) -> Result<&'static EnumType> {
    let ty = args.first().map(ColumnarValue::data_type);
    ty.as_ref()
        .and_then(of_arrow)
        .ok_or_else(|| SqlError::internal("an argument is of no enum"))
}

fn end(
    args: &[ColumnarValue],
    call: &Call<'_>,
    key: impl Fn(&EnumType) -> Option<i64>,
) -> Result<ArrayRef> {
    let of = enum_of(args)?;
    match key(of) {
        Some(key) => Ok(of.array(vec![key; call.rows])),
        None => Err(SqlError::new(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("enum {} contains no values", of.name),
        )),
    }
}

fn lists(of: &EnumType, lists: Vec<Vec<i64>>) -> Result<ArrayRef> {
    let lengths: Vec<usize> = lists.iter().map(Vec::len).collect();
    list_of(of.array(lists.concat()), lengths, None)
}

/// From one label to another; NULL is the first, or the last.
fn range(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let of = enum_of(args)?;
    let (from, from_step) = expand(&args[0])?;
    let (to, to_step) = expand(&args[1])?;
    let all = (0..call.rows).map(|row| {
        let lower = key_at(from.as_ref(), row * from_step).unwrap_or(i64::MIN);
        let upper = key_at(to.as_ref(), row * to_step).unwrap_or(i64::MAX);
        let keys = of.labels().iter().map(|label| label.0);
        keys.filter(|key| (lower..=upper).contains(key)).collect()
    });
    match call.rows {
        0 => Ok(new_null_array(call.result, 0)),
        _ => lists(of, all.collect()),
    }
}
