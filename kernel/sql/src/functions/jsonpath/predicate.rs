//! What is true of an item, false, or unknown: an error within a predicate makes it unknown.

use std::cmp::Ordering;

use super::datetime;
use super::run::{Failure, Item, Result, Run};
use crate::types::jsonb::Json;
use crate::types::jsonpath::{Binary, Item as Path, Node, Pattern, with_room};
use crate::types::numeric::Numeric;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Truth {
        match truth {
            true => Truth::True,
            false => Truth::False,
        }
    }
}

/// What an error of a path becomes; others stay.
fn or_unknown<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Path(_)) => Ok(None),
        Err(always) => Err(always),
    }
}

impl<'a> Run<'a> {
    pub(super) fn condition(&mut self, condition: &'a Path, item: Item<'a>) -> Result<Truth> {
        match condition.0.first() {
            Some(node) => with_room(|| self.truth(node, item)),
            None => Ok(Truth::Unknown),
        }
    }

    pub(super) fn truth(&mut self, node: &'a Node, item: Item<'a>) -> Result<Truth> {
        match node {
            Node::Binary(Binary::And, left, right) => {
                let left = self.condition(left, item)?;
                if left == Truth::False {
                    return Ok(Truth::False);
                }
                // An unknown truth and a falsehood is a falsehood.
                match self.condition(right, item)? {
                    Truth::True => Ok(left),
                    other => Ok(other),
                }
            }
            Node::Binary(Binary::Or, left, right) => {
                let left = self.condition(left, item)?;
                if left == Truth::True {
                    return Ok(Truth::True);
                }
                match self.condition(right, item)? {
                    Truth::False => Ok(left),
                    other => Ok(other),
                }
            }
            Node::Not(condition) => Ok(match self.condition(condition, item)? {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                Truth::Unknown => Truth::Unknown,
            }),
            Node::IsUnknown(condition) => {
                let truth = self.condition(condition, item)?;
                Ok((truth == Truth::Unknown).into())
            }
            Node::Exists(path) => {
                let any = match self.is_lax() {
                    true => self.item(&path.0, item, None),
                    false => self.unwrapped(path, item, false).map(|f| !f.is_empty()),
                };
                Ok(or_unknown(any)?.map_or(Truth::Unknown, Truth::from))
            }
            Node::Binary(Binary::StartsWith, left, right) => {
                self.of_pairs(left, Some((right, false)), item, |_, whole, initial| {
                    let texts = whole.string().zip(initial.and_then(Item::string));
                    Ok(texts.map_or(Truth::Unknown, |(w, i)| w.starts_with(i).into()))
                })
            }
            Node::LikeRegex(left, pattern) => {
                let Pattern { regex, .. } = pattern;
                self.of_pairs(left, None, item, |_, text, _| {
                    let text = text.string();
                    Ok(text.map_or(Truth::Unknown, |text| regex.is_match(text).into()))
                })
            }
            Node::Binary(op, left, right) => self.of_pairs(
                left,
                Some((right, true)),
                item,
                |run, left, right| match right {
                    Some(right) => compare(run, *op, left, right),
                    None => Ok(Truth::Unknown),
                },
            ),
            _ => Ok(Truth::Unknown),
        }
    }

    /// Whether it holds for any pair of a left item and a right one. In lax mode the first pair that it
    /// holds for decides; in strict mode it has to be known for all.
    fn of_pairs(
        &mut self,
        left: &'a Path,
        right: Option<(&'a Path, bool)>,
        item: Item<'a>,
        holds: impl Fn(&Run<'a>, Item<'a>, Option<Item<'a>>) -> Result<Truth>,
    ) -> Result<Truth> {
        let Some(lefts) = or_unknown(self.unwrapped(left, item, true))? else {
            return Ok(Truth::Unknown);
        };
        let rights = match right {
            None => vec![None],
            Some((right, unwrap)) => match or_unknown(self.unwrapped(right, item, unwrap))? {
                Some(rights) => rights.into_iter().map(Some).collect(),
                None => return Ok(Truth::Unknown),
            },
        };
        let (mut found, mut unknown) = (false, false);
        for left in lefts {
            for right in &rights {
                match holds(self, left, *right)? {
                    Truth::True if self.is_lax() => return Ok(Truth::True),
                    Truth::True => found = true,
                    Truth::False => {}
                    Truth::Unknown if self.is_lax() => unknown = true,
                    Truth::Unknown => return Ok(Truth::Unknown),
                }
            }
        }
        Ok(match (found, unknown) {
            (true, _) => Truth::True,
            (false, true) => Truth::Unknown,
            (false, false) => Truth::False,
        })
    }
}

fn compare(run: &Run<'_>, op: Binary, left: Item<'_>, right: Item<'_>) -> Result<Truth> {
    let ordering = match (left, right) {
        (Item::Datetime(left), Item::Datetime(right)) => {
            match datetime::compare(left, right, run.zone)? {
                Some(ordering) => ordering,
                None => return Ok(Truth::Unknown),
            }
        }
        (Item::Json(left), Item::Json(right)) => match (left, right) {
            (Json::Null, Json::Null) => Ordering::Equal,
            (Json::Bool(left), Json::Bool(right)) => left.cmp(right),
            (Json::Number(left), Json::Number(right)) => {
                Numeric::parse(left)?.compare(&Numeric::parse(right)?)
            }
            // By bytes, which in UTF-8 is by code points.
            (Json::String(left), Json::String(right)) => left.as_bytes().cmp(right.as_bytes()),
            (Json::Null, _) | (_, Json::Null) => return Ok((op == Binary::NotEqual).into()),
            _ => return Ok(Truth::Unknown),
        },
        (Item::Json(Json::Null), _) | (_, Item::Json(Json::Null)) => {
            return Ok((op == Binary::NotEqual).into());
        }
        _ => return Ok(Truth::Unknown),
    };
    Ok(Truth::from(match op {
        Binary::Equal => ordering.is_eq(),
        Binary::NotEqual => ordering.is_ne(),
        Binary::Less => ordering.is_lt(),
        Binary::Greater => ordering.is_gt(),
        Binary::LessOrEqual => ordering.is_le(),
        Binary::GreaterOrEqual => ordering.is_ge(),
        _ => return Ok(Truth::Unknown),
    }))
}
