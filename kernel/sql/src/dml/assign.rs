//! Assignment: making values of one type fit a column of another.

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{Expr, Value as AstValue};

use crate::catalog::meta::ColumnMeta;
use crate::error::{Result, SqlError, state};
use crate::plan::origin::described_type;
use crate::types::{self, CastContext, Format, PgType};

/// Casts what a plan gave to a column's type, under PostgreSQL's rules for assignment.
pub(crate) fn to_column(
    array: &ArrayRef,
    column: &ColumnMeta,
    storage: &DataType,
    format: &Format,
) -> Result<ArrayRef> {
    if matches!(array.data_type(), DataType::Null) {
        return Ok(new_null_array(storage, array.len()));
    }
    // A modifier is still to be applied, unless the type in memory has it: as numeric(p ≤ 38, s) does.
    let has_modifier = matches!(storage, DataType::Decimal128(..));
    if array.data_type() == storage && (column.typmod < 0 || has_modifier) {
        return Ok(array.clone());
    }
    let from = PgType::from_arrow(array.data_type()).unwrap_or(PgType::Unknown);
    types::cast_array(
        array,
        &from,
        &column.ty,
        column.typmod,
        CastContext::Assignment,
        format,
    )
    .map_err(|e| {
        if e.code == state::CANNOT_COERCE || e.code == state::DATATYPE_MISMATCH {
            mismatch(column, &described_type(array.data_type()))
        } else {
            e
        }
    })
}

fn mismatch(column: &ColumnMeta, from: &PgType) -> SqlError {
    SqlError::new(
        state::DATATYPE_MISMATCH,
        format!(
            "column \"{}\" is of type {} but expression is of type {}",
            column.name,
            column.ty.name(),
            from.name()
        ),
    )
    .with_hint("You will need to rewrite or cast the expression.")
}

/// A literal as a value of the column, when no expression has to be evaluated to get it.
pub(crate) fn literal(
    expr: &Expr,
    column: &ColumnMeta,
    format: &Format,
) -> Option<Result<ScalarValue>> {
    let decode = |text: &str| types::decode_text(&column.ty, column.typmod, text, format);
    match expr {
        Expr::Value(v) => match &v.value {
            AstValue::Null => Some(
                ScalarValue::try_from(&column.ty.arrow_typmod(column.typmod))
                    .map_err(SqlError::from),
            ),
            AstValue::SingleQuotedString(s) => Some(decode(s)),
            AstValue::Boolean(b) if column.ty == PgType::Bool => {
                Some(Ok(ScalarValue::Boolean(Some(*b))))
            }
            AstValue::Number(n, _) => number(n, column).map(|n| decode(&n)),
            _ => None,
        },
        Expr::UnaryOp {
            op: sqlparser::ast::UnaryOperator::Minus,
            expr,
        } => match expr.as_ref() {
            Expr::Value(v) => match &v.value {
                AstValue::Number(n, _) => number(n, column).map(|n| decode(&format!("-{n}"))),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The text of a number that reads the same as a literal and as input of the column's type.
fn number(text: &str, column: &ColumnMeta) -> Option<String> {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    let decimal = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match column.ty {
        PgType::Int2 | PgType::Int4 | PgType::Int8 if plain => Some(text.to_owned()),
        PgType::Numeric | PgType::Float4 | PgType::Float8 if decimal => Some(text.to_owned()),
        _ => None,
    }
}

/// The number of a parameter, when the expression is one.
pub(crate) fn parameter(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(v) => match &v.value {
            AstValue::Placeholder(p) => p
                .strip_prefix('$')
                .and_then(|n| n.parse().ok())
                .filter(|n| *n > 0),
            _ => None,
        },
        Expr::Nested(e) => parameter(e),
        _ => None,
    }
}

/// A parameter that is assigned as it is has the column's type, unless the client gave another.
pub(crate) fn infer_parameter(params: &mut Vec<Option<PgType>>, expr: &Expr, ty: &PgType) {
    if let Some(n) = parameter(expr) {
        if params.len() < n {
            params.resize(n, None);
        }
        if params[n - 1].is_none() {
            params[n - 1] = Some(ty.clone());
        }
    }
}

/// Whether an expression is the keyword DEFAULT.
pub(crate) fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(i) if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("default"))
}

/// The keyword DEFAULT.
pub(crate) fn default_keyword() -> Expr {
    Expr::Identifier(sqlparser::ast::Ident::new("DEFAULT"))
}
