//! The evaluation of a path, step by step.
//!
//! A step is given one item and hands each item it finds to what follows it ([`Run::next`]). What is at the end
//! of a path goes to a list; where there is no list, the first one found ends the search. In lax mode arrays
//! are taken apart where their items are asked for, a lone item stands for an array of it, and what is not
//! there is not found; in strict mode each of these is an error.
//!
//! Values that no document has (sums, types, pairs) are kept in an [`Arena`] for as long as the evaluation
//! lasts, so that an item is always a reference, and a part of a value can be told by its address, which
//! [`super::offset`] needs.

use std::cell::{Cell, OnceCell};

use super::datetime::{Datetime, Zone};
use super::predicate::Truth;
use super::{Request, code, failed, not_an_object};
use crate::error::{Result as SqlResult, SqlError, state};
use crate::types::jsonb::Json;
use crate::types::jsonpath::{Binary, Item as Path, LEVEL_LAST, Method, Node, with_room};
use crate::types::numeric::Numeric;

/// One thing that a path has come to.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    Json(&'a Json),
    Datetime(Datetime),
}

/// Why an evaluation ended.
pub enum Failure {
    /// An error of the path, which may be one that nobody is told.
    Path(SqlError),
    /// One that is told in any case.
    Always(SqlError),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Failure {
        Failure::Path(error)
    }
}

pub type Result<T> = std::result::Result<T, Failure>;

/// The items found, unless one is enough.
pub type Found<'f, 'a> = Option<&'f mut Vec<Item<'a>>>;

/// Values that the evaluation made.
#[derive(Default)]
struct Arena(OnceCell<Box<Slot>>);

struct Slot {
    value: Json,
    next: OnceCell<Box<Slot>>,
}

impl Drop for Arena {
    /// One after the other: there may be more than a stack has room for.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(mut slot) = next {
            next = slot.next.take();
        }
    }
}

/// What parts of values are numbered from: a value, and the number that is its own.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    pub value: Option<&'a Json>,
    pub id: i64,
}

pub struct Run<'a> {
    root: &'a Json,
    vars: Option<&'a Json>,
    lax: bool,
    pub(super) zone: Option<Zone<'a>>,
    /// What `@` is.
    pub(super) current: Item<'a>,
    ignore_structural_errors: bool,
    innermost_array_size: Option<usize>,
    pub(super) base: Base<'a>,
    pub(super) last_object_id: i64,
    /// Where the next value goes.
    free: Cell<&'a OnceCell<Box<Slot>>>,
}

/// Whether there is anything; `None` when that failed in silence.
pub fn exists(request: &Request<'_>) -> SqlResult<Option<bool>> {
    evaluate(request, |run, path| {
        // In strict mode everything has to be found, because any error there is counts.
        if run.lax {
            return run.item(&path.0, Item::Json(run.root), None);
        }
        let mut found = Vec::new();
        run.item(&path.0, Item::Json(run.root), Some(&mut found))?;
        Ok(!found.is_empty())
    })
}

pub fn query(request: &Request<'_>) -> SqlResult<Vec<Json>> {
    let found = evaluate(request, |run, path| {
        let mut found = Vec::new();
        let root = Item::Json(run.root);
        let ended = run.item(&path.0, root, Some(&mut found));
        // What was found before an error that is not told was found.
        match ended {
            Err(Failure::Always(error)) => return Err(Failure::Always(error)),
            Err(Failure::Path(error)) if !request.silent => return Err(Failure::Path(error)),
            Ok(_) | Err(Failure::Path(_)) => {}
        }
        Ok(found.into_iter().map(Item::to_json).collect())
    })?;
    Ok(found.unwrap_or_default())
}

fn evaluate<T>(
    request: &Request<'_>,
    work: impl for<'a> FnOnce(&mut Run<'a>, &'a Path) -> Result<T>,
) -> SqlResult<Option<T>> {
    if request
        .vars
        .is_some_and(|vars| !matches!(vars, Json::Object(_)))
    {
        return Err(not_an_object());
    }
    let arena = Arena::default();
    let mut run = Run {
        root: request.document,
        vars: request.vars,
        lax: request.path.lax,
        zone: request.zone,
        current: Item::Json(request.document),
        ignore_structural_errors: request.path.lax,
        innermost_array_size: None,
        base: Base { value: None, id: 0 },
        last_object_id: if request.vars.is_some() { 2 } else { 1 },
        free: Cell::new(&arena.0),
    };
    match work(&mut run, &request.path.root) {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Path(_)) if request.silent => Ok(None),
        Err(Failure::Path(error) | Failure::Always(error)) => Err(error),
    }
}

impl Item<'_> {
    fn to_json(self) -> Json {
        match self {
            Item::Json(value) => value.clone(),
            Item::Datetime(value) => Json::String(value.to_string()),
        }
    }

    pub fn type_name(&self) -> &'static str {
        match self {
            Item::Json(value) => value.type_name(),
            Item::Datetime(value) => value.type_name(),
        }
    }
}

impl<'a> Item<'a> {
    pub fn elements(self) -> Option<&'a [Json]> {
        match self {
            Item::Json(Json::Array(items)) => Some(items),
            _ => None,
        }
    }

    pub fn number(self) -> Option<&'a str> {
        match self {
            Item::Json(Json::Number(n)) => Some(n),
            _ => None,
        }
    }

    pub fn string(self) -> Option<&'a str> {
        match self {
            Item::Json(Json::String(s)) => Some(s),
            _ => None,
        }
    }
}

/// The values in an array or object.
fn children(value: &Json) -> Box<dyn Iterator<Item = &Json> + '_> {
    match value {
        Json::Array(items) => Box::new(items.iter()),
        Json::Object(members) => Box::new(members.iter().map(|(_, value)| value)),
        _ => Box::new(std::iter::empty()),
    }
}

fn is_container(value: &Json) -> bool {
    matches!(value, Json::Array(_) | Json::Object(_))
}

impl<'a> Run<'a> {
    pub(super) fn is_lax(&self) -> bool {
        self.lax
    }

    pub(super) fn keep(&self, value: Json) -> &'a Json {
        let slot = self.free.get().get_or_init(|| {
            Box::new(Slot {
                value,
                next: OnceCell::new(),
            })
        });
        self.free.set(&slot.next);
        &slot.value
    }

    pub(super) fn keep_number(&self, n: &Numeric) -> Item<'a> {
        Item::Json(self.keep(Json::Number(n.to_string())))
    }

    /// A structural error, where those count.
    pub(super) fn structural(&self, error: Failure) -> Result<bool> {
        match self.ignore_structural_errors {
            true => Ok(false),
            false => Err(error),
        }
    }

    /// Hands an item to what follows, or puts it into the list. Gives whether anything was found.
    pub(super) fn next(
        &mut self,
        rest: &'a [Node],
        item: Item<'a>,
        found: Found<'_, 'a>,
    ) -> Result<bool> {
        if !rest.is_empty() {
            return self.item(rest, item, found);
        }
        if let Some(found) = found {
            found.push(item);
        }
        Ok(true)
    }

    pub(super) fn item(
        &mut self,
        path: &'a [Node],
        item: Item<'a>,
        found: Found<'_, 'a>,
    ) -> Result<bool> {
        with_room(|| self.step(path, item, found, self.lax))
    }

    /// The same, and of arrays that are found their items.
    pub(super) fn unwrapped(
        &mut self,
        path: &'a Path,
        item: Item<'a>,
        unwrap: bool,
    ) -> Result<Vec<Item<'a>>> {
        let mut found = Vec::new();
        self.item(&path.0, item, Some(&mut found))?;
        if !unwrap || !self.lax {
            return Ok(found);
        }
        let mut items = Vec::with_capacity(found.len());
        for item in found {
            match item.elements() {
                Some(elements) => items.extend(elements.iter().map(Item::Json)),
                None => items.push(item),
            }
        }
        Ok(items)
    }

    /// Each item of an array.
    pub(super) fn each(
        &mut self,
        path: &'a [Node],
        array: Item<'a>,
        found: Found<'_, 'a>,
        unwrap: bool,
    ) -> Result<bool> {
        match array {
            Item::Json(value) => self.descend(path, value, found, Levels::CHILDREN, unwrap),
            Item::Datetime(_) => Ok(false),
        }
    }

    fn step(
        &mut self,
        path: &'a [Node],
        item: Item<'a>,
        mut found: Found<'_, 'a>,
        unwrap: bool,
    ) -> Result<bool> {
        let Some((node, rest)) = path.split_first() else {
            return Ok(false);
        };
        // What takes the items of an array one by one.
        let is_array = item.elements().is_some();
        match node {
            Node::Exists(_)
            | Node::Not(_)
            | Node::IsUnknown(_)
            | Node::LikeRegex(_, _)
            | Node::Binary(
                Binary::Or
                | Binary::And
                | Binary::Equal
                | Binary::NotEqual
                | Binary::Less
                | Binary::Greater
                | Binary::LessOrEqual
                | Binary::GreaterOrEqual
                | Binary::StartsWith,
                _,
                _,
            ) => {
                let truth = self.truth(node, item)?;
                if rest.is_empty() && found.is_none() {
                    return Ok(true);
                }
                let value = match truth {
                    Truth::True => Json::Bool(true),
                    Truth::False => Json::Bool(false),
                    Truth::Unknown => Json::Null,
                };
                let value = Item::Json(self.keep(value));
                self.next(rest, value, found)
            }
            Node::Binary(op, left, right) => {
                let value = self.arithmetic(*op, left, right, item)?;
                if rest.is_empty() && found.is_none() {
                    return Ok(true);
                }
                let value = self.keep_number(&value);
                self.next(rest, value, found)
            }
            Node::Plus(operand) => self.sign(operand, false, rest, item, found),
            Node::Minus(operand) => self.sign(operand, true, rest, item, found),
            Node::Key(key) => match item {
                Item::Json(object @ Json::Object(_)) => match object.get(key) {
                    Some(value) => self.next(rest, Item::Json(value), found),
                    None => self.structural(failed(
                        code::MEMBER_NOT_FOUND,
                        format!("JSON object does not contain key \"{key}\""),
                    )),
                },
                array if unwrap && is_array => self.each(path, array, found, false),
                _ => self.structural(failed(
                    code::MEMBER_NOT_FOUND,
                    "jsonpath member accessor can only be applied to an object",
                )),
            },
            Node::AnyKey => match item {
                Item::Json(object @ Json::Object(_)) => {
                    self.descend(rest, object, found, Levels::CHILDREN, self.lax)
                }
                array if unwrap && is_array => self.each(path, array, found, false),
                _ => self.structural(failed(
                    code::OBJECT_NOT_FOUND,
                    "jsonpath wildcard member accessor can only be applied to an object",
                )),
            },
            Node::AnyArray if is_array => self.each(rest, item, found, self.lax),
            Node::AnyArray if self.lax => self.next(rest, item, found),
            Node::AnyArray => self.structural(failed(
                code::ARRAY_NOT_FOUND,
                "jsonpath wildcard array accessor can only be applied to an array",
            )),
            Node::Index(places) if is_array || self.lax => {
                let outer = self.innermost_array_size;
                let size = item.elements().map_or(1, <[Json]>::len);
                self.innermost_array_size = Some(size);
                let result = self.places(places, rest, item, size, found);
                self.innermost_array_size = outer;
                result
            }
            Node::Index(_) => self.structural(failed(
                code::ARRAY_NOT_FOUND,
                "jsonpath array accessor can only be applied to an array",
            )),
            Node::Any { first, last } => {
                let mut any = false;
                if *first == 0 {
                    let ignore = std::mem::replace(&mut self.ignore_structural_errors, true);
                    let result = self.next(rest, item, found.as_deref_mut());
                    self.ignore_structural_errors = ignore;
                    any = result?;
                    if any && found.is_none() {
                        return Ok(true);
                    }
                }
                match item {
                    Item::Json(value) if is_container(value) => {
                        let levels = Levels {
                            level: 1,
                            first: *first,
                            last: *last,
                            tolerant: true,
                        };
                        self.descend(rest, value, found, levels, self.lax)
                    }
                    _ => Ok(any),
                }
            }
            Node::Filter(condition) => {
                if unwrap && is_array {
                    return self.each(path, item, found, false);
                }
                let outer = std::mem::replace(&mut self.current, item);
                let truth = self.condition(condition, item);
                self.current = outer;
                match truth? {
                    Truth::True => self.next(rest, item, found),
                    _ => Ok(false),
                }
            }
            Node::Root => {
                let base = Base {
                    value: Some(self.root),
                    id: 0,
                };
                let outer = std::mem::replace(&mut self.base, base);
                let result = self.next(rest, Item::Json(self.root), found);
                self.base = outer;
                result
            }
            Node::Current => self.next(rest, self.current, found),
            Node::Last => {
                let size = self.innermost_array_size.ok_or_else(|| {
                    SqlError::internal("evaluating jsonpath LAST outside of array subscript")
                })?;
                let last = self.keep_number(&Numeric::from_i64(size as i64 - 1));
                self.next(rest, last, found)
            }
            Node::Scalar(value) => {
                if rest.is_empty() && found.is_none() {
                    return Ok(true);
                }
                self.next(rest, Item::Json(value), found)
            }
            Node::Variable(name) => {
                let outer = self.base;
                let value = self.variable(name)?;
                let result = self.next(rest, Item::Json(value), found);
                self.base = outer;
                result
            }
            Node::Method(Method::Type) => {
                let name = self.keep(Json::String(item.type_name().to_owned()));
                self.next(rest, Item::Json(name), found)
            }
            Node::Method(Method::Size) => {
                if !is_array && !self.lax {
                    return self.structural(failed(
                        code::ARRAY_NOT_FOUND,
                        "jsonpath item method .size() can only be applied to an array",
                    ));
                }
                let size = item.elements().map_or(1, <[Json]>::len);
                let size = self.keep_number(&Numeric::from_i64(size as i64));
                self.next(rest, size, found)
            }
            Node::Method(_) | Node::Datetime(_) if unwrap && is_array => {
                self.each(path, item, found, false)
            }
            Node::Method(Method::KeyValue) => self.key_values(rest, item, found),
            Node::Method(method) => {
                let value = self.number_of(*method, item)?;
                self.next(rest, value, found)
            }
            Node::Datetime(template) => {
                let value = self.datetime(template.as_deref(), item)?;
                self.next(rest, value, found)
            }
        }
    }

    fn variable(&mut self, name: &str) -> Result<&'a Json> {
        let Some(vars) = self.vars else {
            return Ok(&Json::Null);
        };
        let value = vars.get(name).ok_or_else(|| {
            Failure::Always(SqlError::new(
                state::UNDEFINED_OBJECT,
                format!("could not find jsonpath variable \"{name}\""),
            ))
        })?;
        self.base = Base {
            value: Some(vars),
            id: 1,
        };
        Ok(value)
    }

    fn places(
        &mut self,
        places: &'a [(Path, Option<Path>)],
        rest: &'a [Node],
        item: Item<'a>,
        size: usize,
        mut found: Found<'_, 'a>,
    ) -> Result<bool> {
        let mut any = false;
        for (from, to) in places {
            let from = self.subscript(from, item)?;
            let to = match to {
                Some(to) => self.subscript(to, item)?,
                None => from,
            };
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            if !self.ignore_structural_errors && (from < 0 || from > to || to >= size) {
                return Err(failed(
                    code::INVALID_SUBSCRIPT,
                    "jsonpath array subscript is out of bounds",
                ));
            }
            any = false;
            for at in from.max(0)..=to.min(size - 1) {
                let value = match item.elements() {
                    Some(elements) => match elements.get(at as usize) {
                        Some(value) => Item::Json(value),
                        None => continue,
                    },
                    None => item,
                };
                if rest.is_empty() && found.is_none() {
                    return Ok(true);
                }
                any = self.next(rest, value, found.as_deref_mut())?;
                if any && found.is_none() {
                    return Ok(true);
                }
            }
        }
        Ok(any)
    }

    fn subscript(&mut self, path: &'a Path, item: Item<'a>) -> Result<i64> {
        let mut found = Vec::new();
        self.item(&path.0, item, Some(&mut found))?;
        let number = match found.as_slice() {
            [one] => one.number(),
            _ => None,
        };
        let number = number.ok_or_else(|| {
            failed(
                code::INVALID_SUBSCRIPT,
                "jsonpath array subscript is not a single numeric value",
            )
        })?;
        let whole = Numeric::parse(number)?.trunc(0)?.to_i128();
        let whole = whole.and_then(|whole| i32::try_from(whole).ok());
        whole.map(i64::from).ok_or_else(|| {
            failed(
                code::INVALID_SUBSCRIPT,
                "jsonpath array subscript is out of integer range",
            )
        })
    }

    /// What is on these levels below a value, from the top, each followed by what is below it.
    fn descend(
        &mut self,
        rest: &'a [Node],
        value: &'a Json,
        mut found: Found<'_, 'a>,
        levels: Levels,
        unwrap: bool,
    ) -> Result<bool> {
        let mut any = false;
        if levels.level > levels.last {
            return Ok(any);
        }
        let leaves = levels.first == LEVEL_LAST && levels.last == LEVEL_LAST;
        for child in children(value) {
            if levels.level >= levels.first || (leaves && !is_container(child)) {
                let item = Item::Json(child);
                if rest.is_empty() {
                    match found.as_deref_mut() {
                        Some(found) => found.push(item),
                        None => return Ok(true),
                    }
                } else {
                    let ignore = self.ignore_structural_errors;
                    self.ignore_structural_errors |= levels.tolerant;
                    let result = with_room(|| self.step(rest, item, found.as_deref_mut(), unwrap));
                    self.ignore_structural_errors = ignore;
                    any = result?;
                    if any && found.is_none() {
                        return Ok(true);
                    }
                }
            }
            if levels.level < levels.last && is_container(child) {
                any = self.descend(rest, child, found.as_deref_mut(), levels.below(), unwrap)?;
                if any && found.is_none() {
                    return Ok(true);
                }
            }
        }
        Ok(any)
    }
}

/// Which levels below a value are looked at, and which one is looked at now.
#[derive(Clone, Copy)]
struct Levels {
    level: u32,
    first: u32,
    last: u32,
    /// Whether structural errors there are none.
    tolerant: bool,
}

impl Levels {
    const CHILDREN: Levels = Levels {
        level: 1,
        first: 1,
        last: 1,
        tolerant: false,
    };

    fn below(self) -> Levels {
        Levels {
            level: self.level + 1,
            ..self
        }
    }
}
