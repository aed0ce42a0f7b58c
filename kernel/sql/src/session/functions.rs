//! Functions that look at the session: sequences, identities, settings, pins.
//!
//! They are made for a session when a statement names them, and hold its [`SessionInfo`].

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::info::SessionInfo;
use super::pins::Ask;
use crate::catalog::Relation;
use crate::catalog::model::Sequence;
use crate::error::{SqlError, state};
use crate::names::is_temporary_schema;
use crate::plan::error::wrap;
use crate::semantics::SessionVars;

pub(crate) struct Found {
    pub function: Arc<ScalarUDF>,
    /// It changes state, so the statement needs a transaction of its own.
    pub writes: bool,
    /// It asks for a pin: see [`super::pins`].
    pub pins: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    NextVal,
    CurrVal,
    LastVal,
    SetVal,
    CurrentUser,
    CurrentDatabase,
    CurrentSchema,
    CurrentSetting,
    SetConfig,
    Version,
    BackendPid,
    Pin(Ask),
    CursorPlace,
}

fn find(name: &str) -> Option<Function> {
    use Function::*;
    Some(match name {
        "nextval" => NextVal,
        "currval" => CurrVal,
        "lastval" => LastVal,
        "setval" => SetVal,
        "current_user" | "session_user" | "user" | "current_role" => CurrentUser,
        "current_database" | "current_catalog" => CurrentDatabase,
        "current_schema" => CurrentSchema,
        "current_setting" => CurrentSetting,
        "set_config" => SetConfig,
        "version" => Version,
        "pg_backend_pid" => BackendPid,
        "helios_pin" => Pin(Ask::Point),
        "helios_create_cursor" => Pin(Ask::Cursor),
        "helios_advance_cursor" => Pin(Ask::Advance),
        "helios_unpin" => Pin(Ask::Remove),
        "helios_cursor" => CursorPlace,
        _ => return None,
    })
}

/// Whether a function of this name is one of these.
pub(crate) fn is_known(name: &str) -> bool {
    find(name).is_some()
}

/// Whether a function of this name is one of these and changes state.
pub(crate) fn writes(name: &str) -> bool {
    find(name).is_some_and(changes_state)
}

fn changes_state(function: Function) -> bool {
    use Function::{NextVal, Pin, SetConfig, SetVal};
    matches!(function, NextVal | SetVal | SetConfig | Pin(_))
}

/// The function of this name, when it is one of these.
pub(crate) fn lookup(name: &str, info: &Arc<SessionInfo>) -> Option<Found> {
    use Function::*;
    let function = find(name)?;
    let name = match name {
        "user" => "current_user",
        name => name,
    };
    let (counts, returns, volatility): (&[usize], DataType, Volatility) = match function {
        NextVal => (&[1], DataType::Int64, Volatility::Volatile),
        CurrVal => (&[1], DataType::Int64, Volatility::Volatile),
        LastVal => (&[0], DataType::Int64, Volatility::Volatile),
        SetVal => (&[2, 3], DataType::Int64, Volatility::Volatile),
        CurrentUser | CurrentDatabase | CurrentSchema | Version => {
            (&[0], DataType::Utf8View, Volatility::Stable)
        }
        CurrentSetting => (&[1, 2], DataType::Utf8View, Volatility::Stable),
        SetConfig => (&[3], DataType::Utf8View, Volatility::Volatile),
        BackendPid => (&[0], DataType::Int32, Volatility::Stable),
        Pin(Ask::Point | Ask::Cursor) => (&[1, 2, 3], DataType::Int64, Volatility::Volatile),
        Pin(Ask::Advance) => (&[2], DataType::Int64, Volatility::Volatile),
        Pin(Ask::Remove) => (&[1], DataType::Boolean, Volatility::Volatile),
        CursorPlace => (&[1], DataType::Int64, Volatility::Stable),
    };
    let signature = match counts {
        [0] => Signature::nullary(volatility),
        [n] => Signature::any(*n, volatility),
        many => Signature::one_of(
            many.iter()
                .map(|n| datafusion::logical_expr::TypeSignature::Any(*n))
                .collect(),
            volatility,
        ),
    };
    let pins = matches!(function, Pin(_));
    let writes = changes_state(function);
    let function = SessionFunction {
        name: name.to_owned(),
        function,
        signature,
        returns,
        info: info.clone(),
    };
    Some(Found {
        function: Arc::new(ScalarUDF::new_from_impl(function)),
        writes,
        pins,
    })
}

/// Whether a function is `nextval`.
pub(crate) fn is_nextval(function: &ScalarUDF) -> bool {
    let function: &dyn std::any::Any = function.inner().as_ref();
    let function = function.downcast_ref::<SessionFunction>();
    function.is_some_and(|f| f.function == Function::NextVal)
}

#[derive(Debug)]
struct SessionFunction {
    name: String,
    function: Function,
    signature: Signature,
    returns: DataType,
    info: Arc<SessionInfo>,
}

impl PartialEq for SessionFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.info, &other.info)
    }
}

impl Eq for SessionFunction {}

impl Hash for SessionFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for SessionFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let text = |s: Option<String>| ColumnarValue::Scalar(ScalarValue::Utf8View(s));
        let info = &self.info;
        Ok(match self.function {
            Function::CurrentUser => text(Some(info.role().name.clone())),
            Function::CurrentDatabase => text(Some(info.database.clone())),
            Function::CurrentSchema => {
                let catalog = info.catalog();
                let path = info.search_path();
                let is_first = |s: &String| {
                    let is_implicit = s == "pg_catalog" || is_temporary_schema(s);
                    !is_implicit && catalog.schema_by_name(s).is_some()
                };
                text(path.into_iter().find(is_first))
            }
            Function::Version => text(Some(format!(
                "PostgreSQL 15.0 (HeliosDB {}) on {}-{}",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::ARCH,
                std::env::consts::OS
            ))),
            Function::BackendPid => {
                let pid = i32::try_from(info.pid).unwrap_or(i32::MAX);
                ColumnarValue::Scalar(ScalarValue::Int32(Some(pid)))
            }
            Function::LastVal => integer(info.sequence_last().map_err(wrap)?),
            Function::NextVal | Function::CurrVal | Function::SetVal => self.sequence(&args)?,
            Function::Pin(ask) => {
                let scns = self.pin(ask, &args)?;
                ColumnarValue::Array(match ask {
                    Ask::Remove => {
                        Arc::new(scns.iter().map(|_| Some(true)).collect::<BooleanArray>())
                    }
                    _ => Arc::new(Int64Array::from(scns)),
                })
            }
            Function::CursorPlace => {
                let vars = SessionVars::of(&args.config_options);
                let view = vars.snapshot().map_err(wrap)?;
                let engine = info.instance.engine();
                let place = |row| {
                    let name = Row { args: &args, row }.text(0)?;
                    let place = name.map(|name| engine.cursor_in(view, &name));
                    let place = place.transpose().map_err(|e| wrap(SqlError::from(e)))?;
                    Ok(place.map(|ts| i64::try_from(ts.0).unwrap_or(i64::MAX)))
                };
                let places = (0..args.number_rows)
                    .map(place)
                    .collect::<Result<Int64Array>>()?;
                ColumnarValue::Array(Arc::new(places))
            }
            Function::CurrentSetting => per_row(&args, |row| {
                let Some(name) = row.text(0)? else {
                    return Ok(None);
                };
                let missing_ok = row.boolean(1)?.unwrap_or(false);
                match info.with_settings(|s| s.get(&name).map(str::to_owned)) {
                    Err(_) if missing_ok => Ok(None),
                    other => other.map(Some).map_err(wrap),
                }
            })?,
            Function::SetConfig => per_row(&args, |row| {
                let (Some(name), Some(value)) = (row.text(0)?, row.text(1)?) else {
                    return Ok(None);
                };
                if row.boolean(2)?.unwrap_or(false) {
                    return Err(wrap(SqlError::unsupported("set_config with is_local")));
                }
                info.change_settings(|s| {
                    s.set(&name, &value)?;
                    s.get(&name).map(str::to_owned)
                })
                .map(Some)
                .map_err(wrap)
            })?,
        })
    }
}

fn null_argument(function: &str) -> SqlError {
    SqlError::new(
        state::NULL_VALUE_NOT_ALLOWED,
        format!("argument of {function} must not be null"),
    )
}

fn integer(n: i64) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::Int64(Some(n)))
}

impl SessionFunction {
    /// Ask for a pin per row; the SCNs.
    fn pin(&self, ask: Ask, args: &ScalarFunctionArgs) -> Result<Vec<Option<i64>>> {
        let present = || -> std::result::Result<i64, SqlError> {
            let vars = SessionVars::of(&args.config_options);
            Ok(i64::try_from(vars.snapshot()?.ts().0).unwrap_or(i64::MAX))
        };
        let mut scns = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            let row = Row { args, row };
            let Some(name) = row.text(0)? else {
                return Err(wrap(null_argument(&self.name)));
            };
            let scn = match (ask, args.args.len()) {
                (Ask::Remove, _) => None,
                (_, 1) => Some(present().map_err(wrap)?),
                _ => {
                    let given = row.integer(1)?;
                    Some(given.ok_or_else(|| wrap(null_argument(&self.name)))?)
                }
            };
            let reason = row.text(2)?.unwrap_or_default();
            self.info.ask_pin(ask, name, scn, reason).map_err(wrap)?;
            scns.push(scn);
        }
        Ok(scns)
    }

    /// `nextval`, `currval` and `setval` run once per row, whatever their arguments are.
    fn sequence(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let info = &self.info;
        let mut known: Option<(ScalarValue, Arc<Sequence>)> = None;
        let mut out = Vec::with_capacity(args.number_rows);
        for i in 0..args.number_rows {
            let row = Row { args, row: i };
            let name = row.value(0)?;
            if name.is_null() {
                out.push(None);
                continue;
            }
            let sequence = match &known {
                Some((n, s)) if *n == name => s.clone(),
                _ => {
                    let s = find_sequence(info, &name)?;
                    known = Some((name, s.clone()));
                    s
                }
            };
            out.push(match self.function {
                Function::NextVal => Some(info.sequence_next(&sequence).map_err(wrap)?),
                Function::CurrVal => Some(info.sequence_current(&sequence).map_err(wrap)?),
                _ => match row.integer(1)? {
                    None => None,
                    Some(n) => {
                        let called = row.boolean(2)?.unwrap_or(true);
                        info.sequence_set(&sequence, n, called).map_err(wrap)?;
                        Some(n)
                    }
                },
            });
        }
        Ok(ColumnarValue::Array(
            Arc::new(Int64Array::from(out)) as ArrayRef
        ))
    }
}

/// A `regclass` argument: a name, or an oid.
fn find_sequence(info: &SessionInfo, value: &ScalarValue) -> Result<Arc<Sequence>> {
    let found = match value {
        ScalarValue::UInt32(Some(oid)) => match info.catalog().relation(*oid) {
            Some(Relation::Sequence(s)) => Ok(s),
            _ => Err(SqlError::new(
                state::UNDEFINED_TABLE,
                format!("relation with OID {oid} does not exist"),
            )),
        },
        other => match string(other) {
            Some(name) => info.resolve_sequence(&name),
            None => Err(SqlError::new(
                state::UNDEFINED_FUNCTION,
                "a sequence must be named by text or regclass",
            )),
        },
    };
    found.map_err(wrap)
}

fn string(value: &ScalarValue) -> Option<String> {
    value.try_as_str().flatten().map(str::to_owned)
}

/// One row of a call's arguments.
struct Row<'a> {
    args: &'a ScalarFunctionArgs,
    row: usize,
}

impl Row<'_> {
    fn value(&self, at: usize) -> Result<ScalarValue> {
        match self.args.args.get(at) {
            None => Ok(ScalarValue::Null),
            Some(ColumnarValue::Scalar(s)) => Ok(s.clone()),
            Some(ColumnarValue::Array(a)) => ScalarValue::try_from_array(a, self.row),
        }
    }

    fn text(&self, at: usize) -> Result<Option<String>> {
        Ok(string(&self.value(at)?))
    }

    fn integer(&self, at: usize) -> Result<Option<i64>> {
        match self.value(at)?.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(n) => Ok(n),
            _ => Ok(None),
        }
    }

    fn boolean(&self, at: usize) -> Result<Option<bool>> {
        match self.value(at)?.cast_to(&DataType::Boolean)? {
            ScalarValue::Boolean(b) => Ok(b),
            _ => Ok(None),
        }
    }
}

fn per_row(
    args: &ScalarFunctionArgs,
    f: impl Fn(Row<'_>) -> Result<Option<String>>,
) -> Result<ColumnarValue> {
    if args
        .args
        .iter()
        .all(|a| matches!(a, ColumnarValue::Scalar(_)))
    {
        return Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(f(Row {
            args,
            row: 0,
        })?)));
    }
    let rows = (0..args.number_rows).map(|row| f(Row { args, row }));
    let array: StringViewArray = rows.collect::<Result<Vec<_>>>()?.into_iter().collect();
    debug_assert_eq!(array.len(), args.number_rows);
    Ok(ColumnarValue::Array(Arc::new(array)))
}
