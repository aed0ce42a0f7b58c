//! What is wanted of values, in the terms of `codec/1`, and how it is told of a value that is there.

use std::cmp::Ordering;

use heliosdb_plugin_api::Comparison;

/// The orders to a constant that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orders {
    pub less: bool,
    pub equal: bool,
    pub greater: bool,
}

impl Orders {
    #[cfg(test)]
    pub const ALL: [Orders; 6] = [
        Orders::EQUAL,
        Orders::of(true, false, true),
        Orders::of(true, false, false),
        Orders::of(true, true, false),
        Orders::of(false, false, true),
        Orders::of(false, true, true),
    ];

    pub const EQUAL: Orders = Orders::of(false, true, false);

    const fn of(less: bool, equal: bool, greater: bool) -> Orders {
        Orders {
            less,
            equal,
            greater,
        }
    }

    /// Whether a value that stands in this order to the constant is wanted.
    pub fn holds(self, order: Ordering) -> bool {
        match order {
            Ordering::Less => self.less,
            Ordering::Equal => self.equal,
            Ordering::Greater => self.greater,
        }
    }

    /// Whether only equality matters.
    pub fn is_equality(self) -> bool {
        self.less == self.greater
    }
}

/// A condition on values.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate<T> {
    Order(Orders, T),
    In(Vec<T>),
    StartsWith(T),
}

impl<T: Copy> Predicate<T> {
    /// `None` for one that lacks its constant.
    pub fn new(comparison: Comparison, constants: Vec<T>) -> Option<Predicate<T>> {
        let first = constants.first().copied();
        let orders = match comparison {
            Comparison::Equal => Orders::EQUAL,
            Comparison::NotEqual => Orders::of(true, false, true),
            Comparison::Less => Orders::of(true, false, false),
            Comparison::LessOrEqual => Orders::of(true, true, false),
            Comparison::Greater => Orders::of(false, false, true),
            Comparison::GreaterOrEqual => Orders::of(false, true, true),
            Comparison::In => return Some(Predicate::In(constants)),
            Comparison::StartsWith => return first.map(Predicate::StartsWith),
        };
        first.map(|constant| Predicate::Order(orders, constant))
    }
}

impl Predicate<&[u8]> {
    /// Whether a string meets it.
    pub fn holds(&self, string: &[u8]) -> bool {
        match self {
            Predicate::Order(orders, constant) => orders.holds(string.cmp(constant)),
            Predicate::In(list) => list.contains(&string),
            Predicate::StartsWith(prefix) => string.starts_with(prefix),
        }
    }
}
