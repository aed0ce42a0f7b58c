//! Built-in objects: rows of `data/*.dat`, read once.
//!
//! The files hold what PostgreSQL's own `.dat` files hold, for the types, operators and operator
//! classes that exist here. They are part of the program: a line that does not read is a bug that a
//! test finds, and is left out at run time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::{FromStr, Split};
use std::sync::LazyLock;

use crate::catalog::model::{Oid, oid};
use crate::types::extension;

/// `pg_am.oid` of the heap, what tables name as theirs.
pub const HEAP: Oid = 2;
/// `pg_am.oid` of btree.
pub const BTREE: Oid = 403;
pub const DEFAULT_COLLATION: Oid = 100;
pub const C_COLLATION: Oid = 950;
pub const POSIX_COLLATION: Oid = 951;
/// `pg_language.oid` of functions that are part of the server.
pub const INTERNAL_LANGUAGE: Oid = 12;

/// Reads the fields of a line from left to right.
struct Fields<'a>(Split<'a, char>);

impl<'a> Fields<'a> {
    fn text(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn read<T: FromStr>(&mut self) -> Option<T> {
        self.0.next()?.parse().ok()
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.0.next()? == "t")
    }
}

fn lines<T>(data: &'static str, read: fn(&mut Fields<'static>) -> Option<T>) -> Vec<T> {
    data.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| read(&mut Fields(line.split('\t'))))
        .collect()
}

fn schema_oid(name: &str) -> Oid {
    match name {
        "information_schema" => oid::INFORMATION_SCHEMA,
        _ => oid::PG_CATALOG_SCHEMA,
    }
}

/// A row of `pg_type`, by its columns in order.
#[derive(Clone, Debug, Default)]
pub struct BuiltinType {
    pub oid: Oid,
    pub name: &'static str,
    pub schema: Oid,
    pub len: i16,
    pub by_value: bool,
    pub kind: char,
    pub category: char,
    pub preferred: bool,
    pub delimiter: &'static str,
    pub subscript: Oid,
    pub element: Oid,
    pub array: Oid,
    pub input: Oid,
    pub output: Oid,
    pub receive: Oid,
    pub send: Oid,
    pub modifier_in: Oid,
    pub modifier_out: Oid,
    pub analyze: Oid,
    pub align: &'static str,
    pub storage: &'static str,
    pub base: Oid,
    pub base_typmod: i32,
    pub collation: Oid,
}

static TYPES: LazyLock<Vec<BuiltinType>> = LazyLock::new(|| {
    lines(include_str!("data/pg_type.dat"), |f| {
        Some(BuiltinType {
            oid: f.read()?,
            name: f.text()?,
            schema: schema_oid(f.text()?),
            len: f.read()?,
            by_value: f.flag()?,
            kind: f.read()?,
            category: f.read()?,
            preferred: f.flag()?,
            delimiter: f.text()?,
            subscript: f.read()?,
            element: f.read()?,
            array: f.read()?,
            input: f.read()?,
            output: f.read()?,
            receive: f.read()?,
            send: f.read()?,
            modifier_in: f.read()?,
            modifier_out: f.read()?,
            analyze: f.read()?,
            align: f.text()?,
            storage: f.text()?,
            base: f.read()?,
            base_typmod: f.read()?,
            collation: f.read()?,
        })
    })
});

static TYPE_BY_OID: LazyLock<HashMap<Oid, &'static BuiltinType>> =
    LazyLock::new(|| TYPES.iter().map(|t| (t.oid, t)).collect());

pub fn builtin_types() -> &'static [BuiltinType] {
    &TYPES
}

pub fn builtin_type(oid: Oid) -> Option<&'static BuiltinType> {
    TYPE_BY_OID.get(&oid).copied()
}

/// The row of any type, of a plugin's too.
pub fn type_row(ty_oid: Oid) -> Option<Cow<'static, BuiltinType>> {
    if let Some(builtin) = builtin_type(ty_oid) {
        return Some(Cow::Borrowed(builtin));
    }
    let ty = extension::by_oid(ty_oid)?;
    let (category, element) = match ty.element() {
        Some(item) => ('A', item.oid()),
        None => ('U', 0),
    };
    Some(Cow::Owned(BuiltinType {
        oid: ty_oid,
        name: ty.internal_name(),
        schema: oid::PUBLIC_SCHEMA,
        len: ty.len(),
        kind: 'b',
        category,
        delimiter: ",",
        element,
        align: "i",
        storage: "x",
        base_typmod: -1,
        ..BuiltinType::default()
    }))
}

/// A row of `pg_operator`, by its columns in order.
#[derive(Clone, Debug)]
pub struct BuiltinOperator {
    pub oid: Oid,
    pub name: &'static str,
    pub kind: char,
    pub can_merge: bool,
    pub can_hash: bool,
    pub left: Oid,
    pub right: Oid,
    pub result: Oid,
    pub commutator: Oid,
    pub negator: Oid,
    pub code: Oid,
    pub restrict: Oid,
    pub join: Oid,
}

static OPERATORS: LazyLock<Vec<BuiltinOperator>> = LazyLock::new(|| {
    lines(include_str!("data/pg_operator.dat"), |f| {
        Some(BuiltinOperator {
            oid: f.read()?,
            name: f.text()?,
            kind: f.read()?,
            can_merge: f.flag()?,
            can_hash: f.flag()?,
            left: f.read()?,
            right: f.read()?,
            result: f.read()?,
            commutator: f.read()?,
            negator: f.read()?,
            code: f.read()?,
            restrict: f.read()?,
            join: f.read()?,
        })
    })
});

pub fn builtin_operators() -> &'static [BuiltinOperator] {
    &OPERATORS
}

/// A row of `pg_opclass` for btree.
#[derive(Clone, Debug)]
pub struct BuiltinClass {
    pub oid: Oid,
    pub name: &'static str,
    pub family: Oid,
    pub input: Oid,
    pub default: bool,
    pub key: Oid,
}

static CLASSES: LazyLock<Vec<BuiltinClass>> = LazyLock::new(|| {
    lines(include_str!("data/pg_opclass.dat"), |f| {
        Some(BuiltinClass {
            oid: f.read()?,
            name: f.text()?,
            family: f.read()?,
            input: f.read()?,
            default: f.flag()?,
            key: f.read()?,
        })
    })
});

pub fn builtin_classes() -> &'static [BuiltinClass] {
    &CLASSES
}

static FAMILIES: LazyLock<Vec<(Oid, &'static str)>> = LazyLock::new(|| {
    lines(include_str!("data/pg_opfamily.dat"), |f| {
        Some((f.read()?, f.text()?))
    })
});

/// Rows of `pg_opfamily`: oid and name.
pub fn builtin_families() -> &'static [(Oid, &'static str)] {
    &FAMILIES
}

/// A row of `pg_cast`, by its columns in order.
#[derive(Clone, Debug)]
pub struct BuiltinCast {
    pub oid: Oid,
    pub source: Oid,
    pub target: Oid,
    pub function: Oid,
    pub context: char,
    pub method: char,
}

static CASTS: LazyLock<Vec<BuiltinCast>> = LazyLock::new(|| {
    lines(include_str!("data/pg_cast.dat"), |f| {
        Some(BuiltinCast {
            oid: f.read()?,
            source: f.read()?,
            target: f.read()?,
            function: f.read()?,
            context: f.read()?,
            method: f.read()?,
        })
    })
});

pub fn builtin_casts() -> &'static [BuiltinCast] {
    &CASTS
}

static TYPE_COMMENTS: LazyLock<Vec<(Oid, &'static str)>> = LazyLock::new(|| {
    lines(include_str!("data/pg_description.dat"), |f| {
        Some((f.read()?, f.text()?))
    })
});

/// What PostgreSQL says of built-in objects: catalog, oid, comment.
pub fn builtin_comments() -> impl Iterator<Item = (Oid, Oid, &'static str)> {
    let types = TYPE_COMMENTS.iter();
    let types = types.map(|(ty, text)| (oid::PG_TYPE, *ty, *text));
    COMMENTS.iter().copied().chain(types)
}

/// Of other objects than types.
const COMMENTS: &[(Oid, Oid, &str)] = &[
    (PG_AM, HEAP, "heap table access method"),
    (PG_AM, BTREE, "b-tree index access method"),
    (
        oid::PG_NAMESPACE,
        oid::PG_CATALOG_SCHEMA,
        "system catalog schema",
    ),
    (
        oid::PG_NAMESPACE,
        oid::PUBLIC_SCHEMA,
        "standard public schema",
    ),
    (
        PG_COLLATION,
        DEFAULT_COLLATION,
        "database's default collation",
    ),
    (PG_COLLATION, C_COLLATION, "standard C collation"),
    (PG_COLLATION, POSIX_COLLATION, "standard POSIX collation"),
    (PG_LANGUAGE, INTERNAL_LANGUAGE, "built-in functions"),
];

const PG_AM: Oid = 2601;
const PG_COLLATION: Oid = 3456;
const PG_LANGUAGE: Oid = 2612;

/// What btree operator class and equality operator a type uses: its own, or those of the type that
/// PostgreSQL compares it as.
fn compared_as(ty: Oid) -> Oid {
    const VARCHAR: Oid = 1043;
    const TEXT: Oid = 25;
    const ANY_ARRAY: Oid = 2277;
    const REG_TYPES: [Oid; 9] = [24, 2202, 2203, 2204, 2205, 2206, 4089, 4096, 4191];
    const OID: Oid = 26;
    if ty == VARCHAR {
        TEXT
    } else if REG_TYPES.contains(&ty) {
        OID
    } else if builtin_type(ty).is_some_and(|t| t.category == 'A') {
        ANY_ARRAY
    } else {
        ty
    }
}

/// The default btree operator class of a type, or 0.
pub fn btree_class(ty: Oid) -> Oid {
    let ty = compared_as(ty);
    CLASSES
        .iter()
        .find(|c| c.input == ty && c.default)
        .map_or(0, |c| c.oid)
}

/// Whether a btree operator class is one for this type.
pub fn accepts(class: &BuiltinClass, ty: Oid) -> bool {
    class.input == ty || class.input == compared_as(ty)
}

/// The operator `ty = ty`, or 0.
pub fn equality_operator(ty: Oid) -> Oid {
    let ty = compared_as(ty);
    OPERATORS
        .iter()
        .find(|o| o.name == "=" && o.left == ty && o.right == ty)
        .map_or(0, |o| o.oid)
}

/// A row of `pg_proc`, by its columns in order.
#[derive(Clone, Debug)]
pub struct BuiltinFunction {
    pub oid: Oid,
    pub name: &'static str,
    pub kind: char,
    pub strict: bool,
    pub returns_set: bool,
    pub volatility: char,
    pub variadic: Oid,
    pub defaults: i16,
    pub result: Oid,
    pub arguments: Vec<Oid>,
    pub source: &'static str,
}

static FUNCTIONS: LazyLock<Vec<BuiltinFunction>> = LazyLock::new(|| {
    lines(include_str!("data/pg_proc.dat"), |f| {
        Some(BuiltinFunction {
            oid: f.read()?,
            name: f.text()?,
            kind: f.read()?,
            strict: f.flag()?,
            returns_set: f.flag()?,
            volatility: f.read()?,
            variadic: f.read()?,
            defaults: f.read()?,
            result: f.read()?,
            arguments: f
                .text()?
                .split_whitespace()
                .filter_map(|a| a.parse().ok())
                .collect(),
            source: f.text()?,
        })
    })
});

pub fn builtin_functions() -> &'static [BuiltinFunction] {
    &FUNCTIONS
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn count(data: &str) -> usize {
        data.lines().filter(|l| !l.starts_with('#')).count()
    }

    #[test]
    fn every_line_reads() {
        assert_eq!(
            builtin_types().len(),
            count(include_str!("data/pg_type.dat"))
        );
        assert_eq!(
            builtin_operators().len(),
            count(include_str!("data/pg_operator.dat"))
        );
        assert_eq!(
            builtin_classes().len(),
            count(include_str!("data/pg_opclass.dat"))
        );
        assert_eq!(
            builtin_families().len(),
            count(include_str!("data/pg_opfamily.dat"))
        );
        assert_eq!(
            builtin_functions().len(),
            count(include_str!("data/pg_proc.dat"))
        );
        assert_eq!(
            TYPE_COMMENTS.len(),
            count(include_str!("data/pg_description.dat"))
        );
    }

    #[test]
    fn an_oid_that_is_named_has_its_row() {
        let types: Vec<Oid> = builtin_types().iter().map(|t| t.oid).collect();
        let functions: Vec<Oid> = builtin_functions().iter().map(|f| f.oid).collect();
        for t in builtin_types() {
            for other in [t.element, t.array, t.base] {
                assert!(
                    other == 0 || types.contains(&other),
                    "{}: type {other}",
                    t.name
                );
            }
            for f in [t.input, t.output, t.receive, t.send] {
                assert!(f == 0 || functions.contains(&f), "{}: function {f}", t.name);
            }
        }
        for (ty, comment) in TYPE_COMMENTS.iter() {
            assert!(types.contains(ty), "comment on {ty}: {comment}");
        }
        for o in builtin_operators() {
            for ty in [o.left, o.right, o.result] {
                assert!(
                    ty == 0 || types.contains(&ty),
                    "operator {}: type {ty}",
                    o.oid
                );
            }
        }
        for c in builtin_classes() {
            assert!(
                builtin_families().iter().any(|(oid, _)| *oid == c.family),
                "{}",
                c.name
            );
        }
        for c in builtin_casts() {
            assert!(
                types.contains(&c.source) && types.contains(&c.target),
                "cast {}",
                c.oid
            );
            assert!(
                c.function == 0 || functions.contains(&c.function),
                "cast {}",
                c.oid
            );
        }
        for relation in crate::pg_catalog::relations::all() {
            for column in relation.columns {
                assert!(
                    types.contains(&column.ty.oid()),
                    "{relation:?}.{}",
                    column.name
                );
            }
        }
        assert_eq!(equality_operator(23), 96);
        assert_eq!(btree_class(1043), 3126);
    }
}
