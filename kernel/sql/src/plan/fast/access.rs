//! How a compiled query finds its rows: a whole unique key, or what indexes say of its conditions.

use arrow::datatypes::DataType;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ReadView;
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{ColumnId, RowId};
use heliosdb_storage::schema::ColumnType;
use heliosdb_storage::view::index::key_types;

use super::expr::{Compiler, parameter_place};
use crate::catalog::meta::TableMeta;
use crate::error::Result;
use crate::plan::filter::{self, Bounds};
use crate::plan::query::bind_expr;

/// More rows than these are not few: the general route reads them better.
pub(super) const ROWS_MAX: usize = 1024;

/// The conditions on a table that may use an index.
#[derive(Debug)]
pub(super) struct Access {
    filters: Vec<Expr>,
    point: Option<Point>,
}

/// A value for every column of a unique index.
#[derive(Debug)]
struct Point {
    /// Place among the table's indexes.
    index: usize,
    types: Vec<ColumnType>,
    key: Vec<KeyValue>,
}

#[derive(Debug)]
enum KeyValue {
    Constant(Datum),
    /// Counted from 0.
    Parameter(usize),
}

/// What a look-up came to.
pub(super) enum Found {
    /// In the order in which they are to be read.
    Rows(Vec<RowId>),
    /// Nothing narrows them down to a few.
    TooMany,
}

impl Access {
    /// `None` when no index can help.
    pub fn new(meta: &TableMeta, filters: &[Expr], compiler: &Compiler) -> Result<Option<Access>> {
        let named: Vec<&str> = filters.iter().filter_map(filter::bounded_column).collect();
        let helps = meta.indexes.iter().any(|index| {
            let first = index.columns.first();
            first
                .filter(|key| index.expression(key).is_none())
                .and_then(|key| meta.position(ColumnId(key.column)))
                .is_some_and(|place| named.contains(&meta.columns[place].name.as_str()))
        });
        if !helps {
            return Ok(None);
        }
        Ok(Some(Access {
            filters: filters.to_vec(),
            point: Point::new(meta, filters, compiler)?,
        }))
    }

    /// What it reads and by which index, for people.
    pub fn describe(&self, meta: &TableMeta, params: &[ScalarValue]) -> String {
        let (kind, index) = match &self.point {
            Some(point) => ("PointRead", Some(point.index)),
            None => {
                let found = self.bounds(meta, params).ok();
                let found = found.and_then(|bounds| bounds.best_index(meta));
                ("IndexRead", found.map(|found| found.index))
            }
        };
        let table = &meta.table.name;
        match index.and_then(|index| meta.indexes.get(index)) {
            Some(index) => format!("{kind}: table={table}, index={}", index.name),
            None => format!("{kind}: table={table}"),
        }
    }

    /// Whether every row that this finds fulfils the condition, so that it need not be evaluated: it
    /// says that the columns of the key equal its values, and nothing else.
    pub fn implies(&self, meta: &TableMeta, condition: &Expr) -> bool {
        let Some(point) = &self.point else {
            return false;
        };
        let columns = &meta.indexes[point.index].columns;
        let is_of_key = |conjunct: &Expr| {
            let place = plain_equality(conjunct).and_then(|(c, _)| meta.position_by_name(c));
            place.is_some_and(|place| columns.iter().any(|c| c.column == meta.columns[place].id.0))
        };
        // One equality per column of the key: then each is the one that the key was made of.
        let equalities = self.filters.iter().filter(|f| plain_equality(f).is_some());
        equalities.count() == columns.len()
            && split_conjunction(condition)
                .into_iter()
                .all(|conjunct| is_of_key(conjunct) && self.filters.contains(conjunct))
    }

    /// The row of a whole key; `None` when its values are not all known, or there is no such key.
    pub fn find_point(
        &self,
        meta: &TableMeta,
        view: &ReadView,
        params: &[ScalarValue],
    ) -> Result<Option<Vec<RowId>>> {
        match &self.point {
            Some(point) => point.find(meta, view, params),
            None => Ok(None),
        }
    }

    /// What the conditions say of the table with these values of their parameters.
    fn bounds(&self, meta: &TableMeta, params: &[ScalarValue]) -> Result<Bounds> {
        let bound = self.filters.iter().map(|f| bind_expr(f.clone(), params));
        Ok(Bounds::new(meta, &bound.collect::<Result<Vec<_>>>()?))
    }

    /// The rows that may qualify.
    pub fn find(&self, meta: &TableMeta, view: &ReadView, params: &[ScalarValue]) -> Result<Found> {
        if let Some(rows) = self.find_point(meta, view, params)? {
            return Ok(Found::Rows(rows));
        }
        let Some(lookup) = self.bounds(meta, params)?.best_index(meta) else {
            return Ok(Found::TooMany);
        };
        let index = &meta.storage.indexes[lookup.index];
        let mut rows = Vec::new();
        for range in &lookup.ranges {
            let left = ROWS_MAX - rows.len();
            match view.index_rows_max(&meta.storage, index, range, left)? {
                Some(found) => rows.extend(found),
                None => return Ok(Found::TooMany),
            }
        }
        meta.index_counters[lookup.index].scanned(rows.len());
        if lookup.ranges.len() > 1 {
            rows.sort_unstable();
            rows.dedup();
        }
        Ok(Found::Rows(rows))
    }
}

impl Point {
    fn new(meta: &TableMeta, filters: &[Expr], compiler: &Compiler) -> Result<Option<Point>> {
        for (place, index) in meta.indexes.iter().enumerate() {
            // A row that a partial index leaves out is not in it, whatever its key.
            if !index.unique || !index.is_plain() {
                continue;
            }
            let key: Option<Vec<KeyValue>> = index
                .columns
                .iter()
                .map(|key| {
                    let at = meta.position(ColumnId(key.column))?;
                    let ty = meta.schema.field(at).data_type();
                    let name = &meta.columns[at].name;
                    filters.iter().find_map(|f| match plain_equality(f)? {
                        (column, value) if column == name => key_value(value, ty, compiler),
                        _ => None,
                    })
                })
                .collect();
            if let Some(key) = key {
                return Ok(Some(Point {
                    index: place,
                    types: key_types(&meta.storage, &meta.storage.indexes[place])?,
                    key,
                }));
            }
        }
        Ok(None)
    }

    /// `None` when a parameter is not of the column's type after all.
    fn find(
        &self,
        meta: &TableMeta,
        view: &ReadView,
        params: &[ScalarValue],
    ) -> Result<Option<Vec<RowId>>> {
        let mut key = Vec::with_capacity(self.key.len());
        for value in &self.key {
            match value {
                KeyValue::Constant(datum) => key.push(datum.clone()),
                KeyValue::Parameter(place) => match params.get(*place).and_then(datum) {
                    Some(Datum::Null) => return Ok(Some(Vec::new())),
                    Some(datum) => key.push(datum),
                    None => return Ok(None),
                },
            }
        }
        let index = &meta.storage.indexes[self.index];
        let found = view.unique_row(index, &self.types, &key)?;
        meta.index_counters[self.index].scanned(usize::from(found.is_some()));
        Ok(Some(found.into_iter().collect()))
    }
}

/// Column and value of `column = value`, without casts around either.
fn plain_equality(filter: &Expr) -> Option<(&str, &Expr)> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = filter
    else {
        return None;
    };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(c), value) | (value, Expr::Column(c)) => Some((&c.name, value)),
        _ => None,
    }
}

/// A value that a key of this type is found by, exactly where `=` finds it.
fn key_value(value: &Expr, ty: &DataType, compiler: &Compiler) -> Option<KeyValue> {
    match value {
        Expr::Placeholder(p) => {
            let place = parameter_place(p)?;
            (compiler.parameter_type(place)? == ty && is_key_type(ty))
                .then_some(KeyValue::Parameter(place))
        }
        Expr::Literal(value, _) if value.data_type() == *ty => match datum(value)? {
            Datum::Null => None,
            datum => Some(KeyValue::Constant(datum)),
        },
        _ => None,
    }
}

fn is_key_type(ty: &DataType) -> bool {
    matches!(
        ty,
        DataType::Boolean
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Timestamp(..)
            | DataType::Utf8View
            | DataType::FixedSizeBinary(16)
    )
}

/// A value of a type whose keys are equal exactly where its Arrow values are.
fn datum(value: &ScalarValue) -> Option<Datum> {
    let null = || Some(Datum::Null);
    match value {
        ScalarValue::Boolean(v) => v.map(Datum::Bool).or_else(null),
        ScalarValue::Int16(v) => v.map(Datum::Int16).or_else(null),
        ScalarValue::Int32(v) => v.map(Datum::Int32).or_else(null),
        ScalarValue::Int64(v) => v.map(Datum::Int64).or_else(null),
        ScalarValue::Date32(v) => v.map(Datum::Date).or_else(null),
        // An enum's.
        ScalarValue::TimestampSecond(v, _) => v.map(Datum::Int64).or_else(null),
        ScalarValue::TimestampMicrosecond(v, _) => v.map(Datum::Timestamp).or_else(null),
        ScalarValue::Utf8View(Some(v)) => Some(Datum::Bytes(v.as_bytes().to_vec())),
        ScalarValue::FixedSizeBinary(16, Some(v)) => v.as_slice().try_into().ok().map(Datum::Uuid),
        ScalarValue::Utf8View(None) | ScalarValue::FixedSizeBinary(16, None) => null(),
        _ => None,
    }
}
