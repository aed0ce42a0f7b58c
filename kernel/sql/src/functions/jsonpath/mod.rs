//! `jsonpath`: what a path finds in a document.
//!
//! [`run`] evaluates paths over documents, following PostgreSQL's `jsonpath_exec.c` in what is found, in which
//! order, and in what fails; [`predicate`] has what is true, false or unknown, [`method`] the methods,
//! [`datetime`] dates and times, and [`offset`] the numbers that `.keyvalue()` tells objects apart by. Here are
//! the SQL functions over them.
//!
//! An error of a path is a structural one, or one of its operands, and `silent` has it that nothing was found
//! instead. A variable that is not given, and a time zone that is needed where none may be, are always told.

mod datetime;
mod method;
mod offset;
mod predicate;
mod run;

use arrow::array::{Array, ArrayRef};
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use crate::error::{Result, SqlError, SqlState, state};
use crate::semantics::kernel::*;
use crate::semantics::overload::{Call, Overload};
use crate::session::nested::STACK_BYTES_MIN;
use crate::types::PgType;
use crate::types::jsonb::Json;
use crate::types::jsonpath::JsonPath;

/// The SQLSTATEs of SQL/JSON.
mod code {
    use super::SqlState;
    pub const INVALID_DATETIME_ARGUMENT: SqlState = SqlState::new("22031");
    pub const INVALID_SUBSCRIPT: SqlState = SqlState::new("22033");
    pub const NON_NUMERIC_ITEM: SqlState = SqlState::new("22036");
    pub const SINGLETON_REQUIRED: SqlState = SqlState::new("22038");
    pub const ARRAY_NOT_FOUND: SqlState = SqlState::new("22039");
    pub const MEMBER_NOT_FOUND: SqlState = SqlState::new("2203A");
    pub const NUMBER_NOT_FOUND: SqlState = SqlState::new("2203B");
    pub const OBJECT_NOT_FOUND: SqlState = SqlState::new("2203C");
}

/// One evaluation.
struct Request<'a> {
    document: &'a Json,
    path: &'a JsonPath,
    /// What `$name` stands for; the operators have nothing there, and all are null.
    vars: Option<&'a Json>,
    silent: bool,
    /// What times without a zone are in, where they may be compared with those that have one.
    zone: Option<datetime::Zone<'a>>,
}

fn exists(request: &Request<'_>) -> Result<Option<bool>> {
    run::exists(request)
}

/// All that is found; nothing when it fails in silence.
fn query(request: &Request<'_>) -> Result<Option<Vec<Json>>> {
    run::query(request).map(Some)
}

fn query_array(request: &Request<'_>) -> Result<Option<Json>> {
    Ok(Some(Json::Array(run::query(request)?)))
}

fn query_first(request: &Request<'_>) -> Result<Option<Json>> {
    Ok(run::query(request)?.into_iter().next())
}

/// The truth that a path that is a predicate gives.
fn matches(request: &Request<'_>) -> Result<Option<bool>> {
    match run::query(request)?.as_slice() {
        [Json::Bool(truth)] => Ok(Some(*truth)),
        [Json::Null] => Ok(None),
        _ if request.silent => Ok(None),
        _ => Err(SqlError::new(
            code::SINGLETON_REQUIRED,
            "single boolean result is expected",
        )),
    }
}

/// Which of its forms a function is.
#[derive(Clone, Copy)]
struct Form {
    /// An operator is silent and has no variables.
    operator: bool,
    with_zone: bool,
}

type Evaluate<R> = for<'a> fn(&Request<'a>) -> Result<Option<<R as Ret>::Value>>;

/// The function with so many arguments: document and path, then variables, then whether to be silent.
fn overload_of<R: Ret + 'static>(f: Evaluate<R>, form: Form, arguments: usize) -> Overload {
    let kernel = move |args: &[ColumnarValue], call: &Call<'_>| -> Result<ArrayRef> {
        let columns = args.iter().map(expand).collect::<Result<Vec<_>>>()?;
        let evaluate = || rows::<R>(f, form, &columns, call);
        stacker::maybe_grow(STACK_BYTES_MIN, STACK_BYTES_MIN * 2, evaluate)
    };
    let params = [PgType::Jsonb, PgType::Jsonpath, PgType::Jsonb, PgType::Bool];
    let made = overload(params[..arguments].to_vec(), R::pg(), kernel);
    match form.with_zone {
        true => made.stable(),
        false => made,
    }
}

fn rows<R: Ret>(
    f: Evaluate<R>,
    form: Form,
    columns: &[(ArrayRef, usize)],
    call: &Call<'_>,
) -> Result<ArrayRef> {
    let [(documents, document_step), (paths, path_step), rest @ ..] = columns else {
        return Err(SqlError::internal("a path without a document"));
    };
    let document_column = Jsonb::column(documents.as_ref())?;
    let path_column = Jsonpath::column(paths.as_ref())?;
    let vars = rest
        .first()
        .map(|(a, step)| (Jsonb::column(a.as_ref()), step));
    let vars = vars.map(|(column, step)| column.map(|column| (column, *step)));
    let vars = vars.transpose()?;
    let silent = rest
        .get(1)
        .map(|(a, step)| (Bool::column(a.as_ref()), step));
    let silent = silent.map(|(column, step)| column.map(|column| (column, *step)));
    let silent = silent.transpose()?;
    let none = Json::Object(Vec::new());
    // A path is nearly always a constant of the query.
    let mut last: Option<(String, JsonPath)> = None;
    let mut out = R::builder(call.rows);
    for row in 0..call.rows {
        if columns.iter().any(|(a, step)| a.is_null(row * step)) {
            R::append(&mut out, None)?;
            continue;
        }
        let text = Jsonpath::get(&path_column, row * path_step)?;
        let path = match last.take() {
            Some(known) if known.0 == text => known,
            _ => (text.to_owned(), JsonPath::parse(text)?),
        };
        let document = Jsonb::get(&document_column, row * document_step)?;
        let given = match &vars {
            Some((column, step)) => Some(Jsonb::get(column, row * step)?),
            None => None,
        };
        let request = Request {
            document: &document,
            path: &path.1,
            vars: match form.operator {
                true => None,
                false => Some(given.as_ref().unwrap_or(&none)),
            },
            silent: form.operator || silent.is_some_and(|(column, step)| column.value(row * step)),
            zone: form.with_zone.then_some(datetime::Zone {
                zone: &call.vars.format.time_zone,
                now: call.vars.transaction_start,
            }),
        };
        R::append(&mut out, f(&request)?)?;
        last = Some(path);
    }
    Ok(R::finish(out))
}

pub fn register(r: &mut Registry) {
    fn both<R: Ret + 'static>(r: &mut Registry, name: &str, f: Evaluate<R>) {
        for (name, with_zone) in [(name.to_owned(), false), (format!("{name}_tz"), true)] {
            let form = Form {
                operator: false,
                with_zone,
            };
            r.all(&name, (2..=4).map(|n| overload_of::<R>(f, form, n)));
        }
    }
    both::<Bool>(r, "jsonb_path_exists", exists);
    both::<Bool>(r, "jsonb_path_match", matches);
    both::<Jsonb>(r, "jsonb_path_query_array", query_array);
    both::<Jsonb>(r, "jsonb_path_query_first", query_first);
    both::<JsonbArray>(r, "$jsonb_path_query", query);
    let operator = Form {
        operator: true,
        with_zone: false,
    };
    for (names, f) in [
        (["$@?", "jsonb_path_exists_opr"], exists as Evaluate<Bool>),
        (["$@@", "jsonb_path_match_opr"], matches),
    ] {
        for name in names {
            r.add(name, overload_of::<Bool>(f, operator, 2));
        }
    }
}

/// An error of one of the codes above.
fn failed(code: SqlState, message: impl Into<String>) -> run::Failure {
    run::Failure::Path(SqlError::new(code, message))
}

/// `vars` that are none.
fn not_an_object() -> SqlError {
    SqlError::new(
        state::INVALID_PARAMETER_VALUE,
        "\"vars\" argument is not an object",
    )
    .with_detail("Jsonpath parameters should be encoded as key-value pairs of \"vars\" object.")
}
