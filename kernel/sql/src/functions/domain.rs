//! `$domain(value, rules)`: a value cast to a domain, which is one of the base type that passed the
//! domain's checks. The rules are those of the statement's catalog, as JSON in the plan.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::ColumnarValue;
use parking_lot::Mutex;

use super::Registry;
use crate::catalog::model::DomainRules;
use crate::error::{Result, SqlError};
use crate::semantics::kernel::{expand, polymorphic};
use crate::semantics::overload::{Param, ResultType};
use crate::types::PgType;

/// What casts to domains call.
pub const DOMAIN: &str = "$domain";

/// Rules kept; past it all are read again.
const RULES_MAX: usize = 256;

type Known = HashMap<String, Arc<DomainRules>>;

static RULES: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// Rules as the argument of a call.
pub fn to_text(rules: &DomainRules) -> Result<String> {
    serde_json::to_string(rules).map_err(SqlError::internal)
}

fn rules(text: &str) -> Result<Arc<DomainRules>> {
    if let Some(known) = RULES.lock().get(text) {
        return Ok(known.clone());
    }
    let rules: Arc<DomainRules> = serde_json::from_str(text).map_err(SqlError::internal)?;
    let mut all = RULES.lock();
    if all.len() >= RULES_MAX {
        all.clear();
    }
    all.insert(text.to_owned(), rules.clone());
    Ok(rules)
}

pub fn register(r: &mut Registry) {
    let check = polymorphic(
        vec![Param::AnyElement, Param::Is(PgType::Text)],
        false,
        ResultType::From(|types| types[0].clone()),
        |args, _| {
            let (values, _) = expand(&args[0])?;
            let text = match &args[1] {
                ColumnarValue::Scalar(text) => text.try_as_str().flatten().map(str::to_owned),
                ColumnarValue::Array(_) => None,
            };
            let text = text.ok_or_else(|| SqlError::internal("a cast to no domain"))?;
            rules(&text)?.check(&values)?;
            Ok(values)
        },
    );
    // What a domain asks may change while the value is the same.
    r.add(DOMAIN, check.stable());
}
