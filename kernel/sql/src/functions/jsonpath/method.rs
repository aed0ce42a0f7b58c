//! Arithmetic and the methods of items.

use super::datetime;
use super::offset::offset;
use super::run::{Base, Failure, Found, Item, Result, Run};
use super::{code, failed};
use crate::error::SqlError;
use crate::types::float::parse_f64;
use crate::types::jsonb::Json;
use crate::types::jsonpath::{Binary, Item as Path, Method, Node};
use crate::types::numeric::Numeric;

/// What the numbers of objects of different values are apart.
const IDS: i64 = 10_000_000_000;

impl<'a> Run<'a> {
    pub(super) fn arithmetic(
        &mut self,
        op: Binary,
        left: &'a Path,
        right: &'a Path,
        item: Item<'a>,
    ) -> Result<Numeric> {
        let left = self.unwrapped(left, item, true)?;
        let right = self.unwrapped(right, item, true)?;
        let number = |items: &[Item<'_>], side: &str| -> Result<Numeric> {
            let number = match items {
                [one] => one.number(),
                _ => None,
            };
            let number = number.ok_or_else(|| {
                let symbol = op.symbol();
                failed(
                    code::SINGLETON_REQUIRED,
                    format!(
                        "{side} operand of jsonpath operator {symbol} is not a single numeric value"
                    ),
                )
            })?;
            Ok(Numeric::parse(number)?)
        };
        let (left, right) = (number(&left, "left")?, number(&right, "right")?);
        Ok(match op {
            Binary::Add => left.add(&right),
            Binary::Sub => left.sub(&right),
            Binary::Mul => left.mul(&right),
            Binary::Div => left.div(&right),
            _ => left.rem(&right),
        }?)
    }

    /// A sign before all that an operand is.
    pub(super) fn sign(
        &mut self,
        operand: &'a Path,
        minus: bool,
        rest: &'a [Node],
        item: Item<'a>,
        mut found: Found<'_, 'a>,
    ) -> Result<bool> {
        let mut any = false;
        for value in self.unwrapped(operand, item, true)? {
            let ends = rest.is_empty() && found.is_none();
            let Some(number) = value.number() else {
                if ends {
                    continue;
                }
                let sign = if minus { '-' } else { '+' };
                return Err(failed(
                    code::NUMBER_NOT_FOUND,
                    format!("operand of unary jsonpath operator {sign} is not a numeric value"),
                ));
            };
            if ends {
                return Ok(true);
            }
            let value = match minus {
                true => self.keep_number(&Numeric::parse(number)?.neg()),
                false => value,
            };
            if self.next(rest, value, found.as_deref_mut())? {
                if found.is_none() {
                    return Ok(true);
                }
                any = true;
            }
        }
        Ok(any)
    }

    /// `.abs()`, `.floor()`, `.ceiling()` and `.double()`.
    pub(super) fn number_of(&mut self, method: Method, item: Item<'a>) -> Result<Item<'a>> {
        if method == Method::Double {
            return self.double(item);
        }
        let Some(number) = item.number() else {
            let name = method.name();
            return Err(failed(
                code::NON_NUMERIC_ITEM,
                format!("jsonpath item method .{name}() can only be applied to a numeric value"),
            ));
        };
        let number = Numeric::parse(number)?;
        let number = match method {
            Method::Abs => number.abs(),
            Method::Floor => number.floor()?,
            _ => number.ceil()?,
        };
        Ok(self.keep_number(&number))
    }

    fn double(&mut self, item: Item<'a>) -> Result<Item<'a>> {
        if let Some(number) = item.number() {
            return match parse_f64(number) {
                Ok(_) => Ok(item),
                Err(_) => Err(failed(
                    code::NON_NUMERIC_ITEM,
                    "numeric argument of jsonpath item method .double() is out of range for type \
                     double precision",
                )),
            };
        }
        let Some(text) = item.string() else {
            return Err(failed(
                code::NON_NUMERIC_ITEM,
                "jsonpath item method .double() can only be applied to a string or numeric value",
            ));
        };
        match parse_f64(text) {
            Ok(value) if value.is_finite() => Ok(self.keep_number(&Numeric::from_f64(value))),
            _ => Err(failed(
                code::NON_NUMERIC_ITEM,
                "string argument of jsonpath item method .double() is not a valid representation of \
                 a double precision number",
            )),
        }
    }

    pub(super) fn datetime(&mut self, template: Option<&str>, item: Item<'a>) -> Result<Item<'a>> {
        let text = item.string().ok_or_else(|| {
            failed(
                code::INVALID_DATETIME_ARGUMENT,
                "jsonpath item method .datetime() can only be applied to a string",
            )
        })?;
        let value = match template {
            Some(template) => datetime::parse(text, template)?,
            None => datetime::parse_iso(text).ok_or_else(|| {
                let error = SqlError::new(
                    code::INVALID_DATETIME_ARGUMENT,
                    format!("datetime format is not recognized: \"{text}\""),
                );
                let hint = "Use a datetime template argument to specify the input data format.";
                Failure::Path(error.with_hint(hint))
            })?,
        };
        Ok(Item::Datetime(value))
    }

    /// `.keyvalue()`: an object of each pair, with a number that tells which object it is of.
    pub(super) fn key_values(
        &mut self,
        rest: &'a [Node],
        item: Item<'a>,
        mut found: Found<'_, 'a>,
    ) -> Result<bool> {
        let Item::Json(object @ Json::Object(members)) = item else {
            return Err(failed(
                code::OBJECT_NOT_FOUND,
                "jsonpath item method .keyvalue() can only be applied to an object",
            ));
        };
        let offset = self.base.value.and_then(|base| offset(base, object));
        let id = offset.unwrap_or(0) + self.base.id * IDS;
        let mut any = false;
        for (key, value) in members {
            if rest.is_empty() && found.is_none() {
                return Ok(true);
            }
            let pair = self.keep(Json::object(vec![
                ("key".to_owned(), Json::String(key.clone())),
                ("value".to_owned(), value.clone()),
                ("id".to_owned(), Json::Number(id.to_string())),
            ]));
            let base = Base {
                value: Some(pair),
                id: self.last_object_id,
            };
            self.last_object_id += 1;
            let outer = std::mem::replace(&mut self.base, base);
            let result = self.next(rest, Item::Json(pair), found.as_deref_mut());
            self.base = outer;
            any = result?;
            if any && found.is_none() {
                return Ok(true);
            }
        }
        Ok(any)
    }
}
