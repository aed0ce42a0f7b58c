//! Functions about the session and the server, and a few that belong to no type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewArray};
use base64::engine::general_purpose::STANDARD;
use base64::{Engine as _, alphabet};
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use crate::error::{Result, SqlError, state};
use crate::semantics::kernel::*;
use crate::semantics::overload::{Call, Param, ResultType, pg_type};
use crate::types::PgType;

/// The PostgreSQL release whose behaviour this follows.
pub const SERVER_VERSION: &str = "15.8";
pub const SERVER_VERSION_NUM: i32 = 150_008;

/// `encode(…, 'base64')` breaks lines here.
const BASE64_LINE: usize = 76;

pub fn base64_encode(bytes: &[u8]) -> String {
    let out = STANDARD.encode(bytes);
    let lines: Vec<&str> = (0..out.len())
        .step_by(BASE64_LINE)
        .map(|i| &out[i..(i + BASE64_LINE).min(out.len())])
        .collect();
    lines.join("\n")
}

/// Blanks are skipped wherever they are; the errors are PostgreSQL's.
pub fn base64_decode(text: &str) -> Result<Vec<u8>> {
    let invalid = |m: &str| SqlError::new(state::INVALID_PARAMETER_VALUE, m.to_string());
    let mut out = Vec::new();
    let (mut n, mut bits) = (0u32, 0);
    let mut padding = 0;
    let mut symbols = 0;
    for b in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        symbols += 1;
        if b == b'=' {
            padding += 1;
            continue;
        }
        let v = alphabet::STANDARD
            .as_str()
            .bytes()
            .position(|symbol| symbol == b)
            .filter(|_| padding == 0)
            .ok_or_else(|| {
                invalid(&format!(
                    "invalid symbol \"{}\" found while decoding base64 sequence",
                    b as char
                ))
            })?;
        n = (n << 6) | v as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((n >> bits) as u8);
            n &= (1 << bits) - 1;
        }
    }
    if symbols % 4 != 0 {
        return Err(invalid("invalid base64 end sequence")
            .with_hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

fn type_of(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let ty = match &args[0] {
        ColumnarValue::Array(a) => pg_type(a.data_type()),
        ColumnarValue::Scalar(s) => pg_type(&s.data_type()),
    };
    // Only types of users are named with their schema, where the search path does not find them.
    let objects = call.vars.format.objects.as_ref();
    let known = ty.enumeration().and(objects);
    let name = known.and_then(|objects| objects.name(&PgType::Regtype, ty.oid()));
    let name = name.as_deref().unwrap_or(ty.name());
    let names: StringViewArray = std::iter::repeat_n(Some(name), call.rows).collect();
    Ok(Arc::new(names))
}

pub fn register(r: &mut Registry) {
    r.add(
        super::MISSING,
        f2::<Text, Text, Text>(|message, hint| {
            Err(SqlError::new(state::UNDEFINED_FUNCTION, message).with_hint(hint))
        })
        .volatile(),
    );
    for name in ["current_user", "user", "current_role"] {
        r.add(name, f0::<Text>(|c| Ok(Some(c.vars.user.clone()))).stable());
    }
    r.add(
        "session_user",
        f0::<Text>(|c| Ok(Some(c.vars.session_user.clone()))).stable(),
    );
    for name in ["current_database", "current_catalog"] {
        r.add(
            name,
            f0::<Text>(|c| Ok(Some(c.vars.database.clone()))).stable(),
        );
    }
    r.add(
        "current_schema",
        f0::<Text>(|c| Ok(c.vars.search_path.first().cloned())).stable(),
    );
    r.add(
        "current_schemas",
        o1::<Bool, TextArray>(|c, implicit| {
            let mut names = Vec::new();
            if implicit && !c.vars.search_path.iter().any(|s| s == "pg_catalog") {
                names.push(Some("pg_catalog".to_string()));
            }
            names.extend(c.vars.search_path.iter().cloned().map(Some));
            Ok(Some(names))
        })
        .stable(),
    );
    r.add(
        "pg_backend_pid",
        f0::<Int4>(|c| Ok(Some(c.vars.backend_pid))).stable(),
    );
    r.add(
        "version",
        f0::<Text>(|_| {
            Ok(Some(format!(
                "PostgreSQL {SERVER_VERSION} (HeliosDB {}) on {}-{}",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::ARCH,
                std::env::consts::OS
            )))
        })
        .stable(),
    );
    r.add(
        "gen_random_uuid",
        f0::<Uuid>(|_| Ok(Some(*uuid::Uuid::new_v4().as_bytes()))).volatile(),
    );
    r.add(
        "pg_typeof",
        polymorphic(
            vec![Param::Any],
            false,
            ResultType::Is(PgType::Text),
            type_of,
        ),
    );
    for (name, wanted) in [("num_nulls", true), ("num_nonnulls", false)] {
        r.add(
            name,
            polymorphic(
                vec![Param::Any],
                true,
                ResultType::Is(PgType::Int4),
                move |args, call| {
                    let columns = args.iter().map(expand).collect::<Result<Vec<_>>>()?;
                    let counts: arrow::array::Int32Array = (0..call.rows)
                        .map(|row| {
                            let n = columns
                                .iter()
                                .filter(|(a, s)| a.is_null(row * s) == wanted)
                                .count();
                            Some(n as i32)
                        })
                        .collect();
                    Ok(Arc::new(counts))
                },
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_there_and_back() {
        for s in ["", "a", "ab", "abc", "abcd"] {
            assert_eq!(
                base64_decode(&base64_encode(s.as_bytes())).unwrap(),
                s.as_bytes()
            );
        }
    }
}
