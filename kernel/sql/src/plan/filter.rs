//! From pushed-down predicates to index ranges and zone-map hints.
//!
//! Only conjuncts of the form `column op constant`, `column IN (constants)`, which short lists have as
//! `column = constant OR …`, and `column LIKE 'prefix%'` are read, where for a column an expression may stand that an index is on; every
//! predicate stays in the plan as a filter as well, so what is derived here need only never exclude
//! a row that qualifies.

use std::ops::Bound;
use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, Like, Operator};
use datafusion::scalar::ScalarValue;
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::ColumnId;
use heliosdb_storage::schema::IndexDef;
use heliosdb_storage::{ColumnRange, IndexRange};

use super::computed::{compile, normal};
use super::partial::is_implied;
use crate::catalog::meta::TableMeta;
use crate::types::extension::unwrapped;

/// More alternatives than this in an IN list are left to the filter.
const IN_LIST_MAX: usize = 256;

/// What the predicates say of one column.
#[derive(Clone, Debug)]
struct ColumnBounds {
    column: ColumnId,
    /// One of these values.
    equal: Option<Vec<Datum>>,
    lower: Bound<Datum>,
    upper: Bound<Datum>,
}

/// What the predicates say of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    columns: Vec<ColumnBounds>,
    /// What the table's indexes compute, by place; `None` where that is not known.
    computed: Vec<Option<Expr>>,
    /// The predicates themselves, where an index might need them.
    filters: Vec<Expr>,
}

/// An index and the parts of it that hold every qualifying row.
#[derive(Clone, Debug)]
pub(crate) struct IndexLookup {
    /// Place in [`TableMeta::indexes`].
    pub index: usize,
    pub ranges: Vec<IndexRange>,
}

/// Whether a predicate has a shape that [`Bounds`] reads, when its parameters are known.
pub(crate) fn is_usable(filter: &Expr) -> bool {
    match filter {
        Expr::BinaryExpr(b) if b.op == Operator::Or => {
            alternatives(filter).is_some_and(|(column, _)| column_of(column).is_some())
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            matches!(
                op,
                Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
            ) && (column_of(left).is_some() || column_of(right).is_some())
        }
        Expr::Between(b) => !b.negated && column_of(&b.expr).is_some(),
        Expr::InList(l) => !l.negated && column_of(&l.expr).is_some(),
        Expr::Like(l) => is_plain_like(l) && column_of(&l.expr).is_some(),
        Expr::IsNull(e) => column_of(e).is_some(),
        Expr::Column(_) => true,
        _ => false,
    }
}

/// The column whose values a predicate bounds, when [`Bounds`] can tell from its constants.
pub(crate) fn bounded_column(filter: &Expr) -> Option<&str> {
    let is_constant = |e: &Expr| e.column_refs().is_empty();
    match filter {
        Expr::BinaryExpr(b) if b.op == Operator::Or => {
            let (column, values) = alternatives(filter)?;
            let all = values.iter().all(|value| is_constant(value));
            column_of(column).filter(|_| all)
        }
        Expr::BinaryExpr(b) if is_usable(filter) => {
            match (column_of(&b.left), column_of(&b.right)) {
                (Some(name), None) if is_constant(&b.right) => Some(name),
                (None, Some(name)) if is_constant(&b.left) => Some(name),
                _ => None,
            }
        }
        Expr::Between(b) if is_constant(&b.low) || is_constant(&b.high) => column_of(&b.expr),
        Expr::InList(l) if l.list.len() <= IN_LIST_MAX => column_of(&l.expr),
        Expr::Like(l) if is_constant(&l.pattern) => column_of(&l.expr),
        Expr::IsNull(e) => column_of(e),
        Expr::Column(c) => Some(c.name.as_str()),
        _ => None,
    }
    .filter(|_| is_usable(filter))
}

/// Whether an index of the table might make use of a predicate of any other shape.
pub(crate) fn may_be_indexed(meta: &TableMeta, filter: &Expr) -> bool {
    let mut plain = !meta.storage.computed.is_empty();
    // It never fails.
    let _ = filter.apply(|e| {
        plain &= !matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        );
        Ok(match plain {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    });
    plain
}

/// The expressions that the table's indexes compute.
fn computed(meta: &TableMeta) -> Vec<Option<Expr>> {
    let columns = meta.storage.computed.iter().map(|column| {
        let inputs = column.inputs.iter().map(|input| {
            let def = meta.storage.columns.get(usize::from(input.0))?;
            Some(Field::new(format!("c{}", input.0), def.ty.arrow(), true))
        });
        let schema = Arc::new(Schema::new(inputs.collect::<Option<Vec<_>>>()?));
        let compiled = compile(&column.expression, &schema).ok()?;
        Some(compiled.logical.clone())
    });
    columns.collect()
}

impl Bounds {
    pub fn new(meta: &TableMeta, filters: &[Expr]) -> Bounds {
        let mut bounds = Bounds::default();
        if !meta.storage.computed.is_empty() {
            bounds.computed = computed(meta);
            bounds.filters = filters.iter().map(|filter| normal(meta, filter)).collect();
        }
        for filter in filters {
            bounds.add(meta, filter);
        }
        bounds
    }

    fn add(&mut self, meta: &TableMeta, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And,
                right,
            }) => {
                self.add(meta, left);
                self.add(meta, right);
            }
            Expr::BinaryExpr(b) if b.op == Operator::Or => {
                if let Some((expr, values)) = alternatives(filter) {
                    self.be_one_of(meta, expr, values.into_iter());
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if let Some(column) = self.find(meta, left) {
                    self.compare(&column, *op, right);
                } else if let (Some(column), Some(op)) = (self.find(meta, right), op.swap()) {
                    self.compare(&column, op, left);
                }
            }
            Expr::Between(b) if !b.negated => {
                if let Some(column) = self.find(meta, &b.expr) {
                    self.compare(&column, Operator::GtEq, &b.low);
                    self.compare(&column, Operator::LtEq, &b.high);
                }
            }
            Expr::InList(l) if !l.negated && l.list.len() <= IN_LIST_MAX => {
                self.be_one_of(meta, &l.expr, l.list.iter());
            }
            Expr::Like(l) if is_plain_like(l) => {
                if let Some(column) = self.find(meta, &l.expr)
                    && let Some(prefix) = prefix_of(l)
                {
                    self.begin_with(&column, prefix);
                }
            }
            Expr::IsNull(e) => {
                if let Some((column, _)) = self.find(meta, e) {
                    self.column(column).equal = Some(vec![Datum::Null]);
                }
            }
            Expr::Column(c) => {
                if let Some((column, DataType::Boolean)) = find(meta, &c.name) {
                    self.column(column).equal = Some(vec![Datum::Bool(true)]);
                }
            }
            _ => {}
        }
    }

    /// The column that an expression is, stored or computed.
    fn find(&self, meta: &TableMeta, expr: &Expr) -> Option<(ColumnId, DataType)> {
        if let Some(name) = column_of(expr) {
            return find(meta, name);
        }
        if self.computed.is_empty() || scalar(expr).is_some() {
            return None;
        }
        let wanted = normal(meta, expr);
        let place = self
            .computed
            .iter()
            .position(|known| known.as_ref() == Some(&wanted))?;
        let ty = meta.storage.computed[place].ty.arrow();
        Some((ColumnId::computed(u16::try_from(place).ok()?), ty))
    }

    fn compare(&mut self, (column, ty): &(ColumnId, DataType), op: Operator, value: &Expr) {
        let Some(value) = constant(value, ty) else {
            return;
        };
        if value == Datum::Null {
            return;
        }
        let bounds = self.column(*column);
        match op {
            Operator::Eq => bounds.equal = Some(vec![value]),
            Operator::Lt => bounds.upper = Bound::Excluded(value),
            Operator::LtEq => bounds.upper = Bound::Included(value),
            Operator::Gt => bounds.lower = Bound::Excluded(value),
            Operator::GtEq => bounds.lower = Bound::Included(value),
            _ => {}
        }
    }

    /// NULL is equal to nothing.
    fn be_one_of<'a>(
        &mut self,
        meta: &TableMeta,
        expr: &Expr,
        values: impl Iterator<Item = &'a Expr>,
    ) {
        let Some((column, ty)) = self.find(meta, expr) else {
            return;
        };
        let values: Option<Vec<Datum>> = values.map(|value| constant(value, &ty)).collect();
        if let Some(mut values) = values {
            values.retain(|value| *value != Datum::Null);
            self.column(column).equal = Some(values);
        }
    }

    /// Texts compare by their bytes, so that those with a prefix stand together.
    fn begin_with(&mut self, (column, ty): &(ColumnId, DataType), prefix: String) {
        if *ty != DataType::Utf8View || prefix.is_empty() {
            return;
        }
        let mut end = prefix.clone().into_bytes();
        // The bytes of UTF-8 are below 0xff.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let bounds = self.column(*column);
        bounds.lower = Bound::Included(Datum::Bytes(prefix.into_bytes()));
        bounds.upper = Bound::Excluded(Datum::Bytes(end));
    }

    fn column(&mut self, column: ColumnId) -> &mut ColumnBounds {
        let at = match self.columns.iter().position(|c| c.column == column) {
            Some(at) => at,
            None => {
                self.columns.push(ColumnBounds {
                    column,
                    equal: None,
                    lower: Bound::Unbounded,
                    upper: Bound::Unbounded,
                });
                self.columns.len() - 1
            }
        };
        &mut self.columns[at]
    }

    fn get(&self, column: ColumnId) -> Option<&ColumnBounds> {
        self.columns.iter().find(|c| c.column == column)
    }

    /// Hints for skipping pages.
    pub fn zone_ranges(&self) -> Vec<ColumnRange> {
        self.columns
            .iter()
            .filter(|c| c.column.as_computed().is_none())
            .filter_map(|c| match c.equal.as_deref() {
                Some([value]) if *value != Datum::Null => {
                    let one = Bound::Included(value.clone());
                    Some(ColumnRange::between(c.column, one.clone(), one))
                }
                Some(values) => {
                    let is_list = !values.is_empty() && !values.contains(&Datum::Null);
                    is_list.then(|| ColumnRange::one_of(c.column, values.to_vec()))
                }
                None => {
                    let (lower, upper) = (c.lower.clone(), c.upper.clone());
                    Some(ColumnRange::between(c.column, lower, upper))
                }
            })
            .collect()
    }

    /// The index that narrows most: a whole unique key first, then the longest equal prefix, then a
    /// range on the first column, then a partial index whose rows are all wanted.
    pub fn best_index(&self, meta: &TableMeta) -> Option<IndexLookup> {
        if self.columns.is_empty() && self.filters.is_empty() {
            return None;
        }
        let mut best: Option<((bool, usize, u8), IndexLookup)> = None;
        for (i, index) in meta.storage.indexes.iter().enumerate() {
            let Some((score, lookup)) = self.lookup(i, index) else {
                continue;
            };
            if best.as_ref().is_none_or(|(s, _)| score > *s) {
                best = Some((score, lookup));
            }
        }
        best.map(|(_, lookup)| lookup)
    }

    /// Whether all rows that qualify are in the index.
    fn covers(&self, index: &IndexDef) -> bool {
        let Some(predicate) = index.predicate else {
            return true;
        };
        let known = predicate
            .as_computed()
            .and_then(|n| self.computed.get(n)?.as_ref());
        known.is_some_and(|predicate| is_implied(predicate, &self.filters))
    }

    fn lookup(&self, place: usize, index: &IndexDef) -> Option<((bool, usize, u8), IndexLookup)> {
        if !self.covers(index) {
            return None;
        }
        let mut prefixes: Vec<Vec<Datum>> = vec![Vec::new()];
        let mut equal = 0;
        let mut has_null = false;
        for key in &index.columns {
            let Some(values) = self.get(key.column).and_then(|c| c.equal.as_ref()) else {
                break;
            };
            if prefixes.len() * values.len() > IN_LIST_MAX {
                break;
            }
            has_null |= values.contains(&Datum::Null);
            prefixes = prefixes
                .iter()
                .flat_map(|p| {
                    values.iter().map(|v| {
                        let mut p = p.clone();
                        p.push(v.clone());
                        p
                    })
                })
                .collect();
            equal += 1;
        }
        let next = index.columns.get(equal).and_then(|k| self.get(k.column));
        let (lower, upper) = match next {
            Some(c) if c.equal.is_none() => (c.lower.clone(), c.upper.clone()),
            _ => (Bound::Unbounded, Bound::Unbounded),
        };
        let ends = u8::from(lower != Bound::Unbounded) + u8::from(upper != Bound::Unbounded);
        if equal == 0 && ends == 0 && index.predicate.is_none() {
            return None;
        }
        let unique = index.unique && equal == index.columns.len() && !has_null;
        let ranges = prefixes
            .into_iter()
            .map(|prefix| IndexRange {
                prefix,
                lower: lower.clone(),
                upper: upper.clone(),
            })
            .collect();
        Some((
            (unique, equal, ends),
            IndexLookup {
                index: place,
                ranges,
            },
        ))
    }
}

/// What `x = a OR x IN (b, c) OR …` says that `x` may be, if a filter is that.
fn alternatives(filter: &Expr) -> Option<(&Expr, Vec<&Expr>)> {
    let (mut of, mut values) = (None, Vec::new());
    let mut is_of = |expr| *of.get_or_insert(expr) == expr;
    let mut left = vec![filter];
    while let Some(filter) = left.pop() {
        match filter {
            Expr::BinaryExpr(b) if b.op == Operator::Or => {
                left.extend([&*b.right, &*b.left]);
            }
            Expr::BinaryExpr(b) if b.op == Operator::Eq => {
                let is_value = |expr: &Expr| expr.column_refs().is_empty();
                match (is_value(&b.left), is_value(&b.right)) {
                    (false, true) if is_of(&*b.left) => values.push(&*b.right),
                    (true, false) if is_of(&*b.right) => values.push(&*b.left),
                    _ => return None,
                }
            }
            Expr::InList(l) if !l.negated && is_of(&*l.expr) => values.extend(&l.list),
            _ => return None,
        }
        if values.len() > IN_LIST_MAX || left.len() > IN_LIST_MAX {
            return None;
        }
    }
    of.map(|of| (of, values))
}

fn is_plain_like(like: &Like) -> bool {
    !like.negated && !like.case_insensitive && like.escape_char.is_none()
}

/// What all that a pattern matches begins with, as far as it is plain.
fn prefix_of(like: &Like) -> Option<String> {
    let pattern = scalar(&like.pattern)?;
    let pattern = pattern.try_as_str().flatten()?;
    let plain = pattern
        .chars()
        .take_while(|c| !matches!(c, '%' | '_' | '\\'));
    Some(plain.collect())
}

fn find(meta: &TableMeta, name: &str) -> Option<(ColumnId, DataType)> {
    let at = meta.position_by_name(name)?;
    Some((
        meta.columns[at].id,
        meta.schema.field(at).data_type().clone(),
    ))
}

/// The column an expression is, looking through casts that keep every value and their order.
fn column_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(c) => Some(&c.name),
        Expr::Alias(a) => column_of(&a.expr),
        Expr::Cast(c) if is_wider_integer(c.field.data_type()) => match c.expr.as_ref() {
            Expr::Column(c) => Some(&c.name),
            _ => None,
        },
        _ => None,
    }
}

fn is_wider_integer(ty: &DataType) -> bool {
    matches!(ty, DataType::Int32 | DataType::Int64)
}

fn is_integer(ty: &DataType) -> bool {
    matches!(ty, DataType::Int16 | DataType::Int32 | DataType::Int64)
}

/// A constant as a value of the column's type; `None` when it is not one without loss.
fn constant(expr: &Expr, ty: &DataType) -> Option<Datum> {
    let value = scalar(expr)?;
    let value = if value.data_type() == *ty {
        value
    } else if value.is_null() {
        return Some(Datum::Null);
    } else if (is_integer(&value.data_type()) && is_integer(ty)) || same_family(&value, ty) {
        let cast = value.cast_to(ty).ok()?;
        if cast.is_null() {
            return None;
        }
        cast
    } else {
        return None;
    };
    let array = value.to_array().ok()?;
    if array.is_null(0) {
        return Some(Datum::Null);
    }
    Datum::from_array(unwrapped(&array).as_ref(), 0).ok()
}

fn same_family(value: &ScalarValue, ty: &DataType) -> bool {
    matches!(
        (value.data_type(), ty),
        (
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View,
            DataType::Utf8View
        )
    )
}

/// The value of a constant expression: a literal, or casts of one.
fn scalar(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Alias(a) => scalar(&a.expr),
        Expr::Cast(c) => {
            let value = scalar(&c.expr)?;
            let to = c.field.data_type();
            let lossless = (is_integer(&value.data_type()) && is_integer(to))
                || same_family(&value, to)
                || value.data_type() == *to;
            if !lossless {
                return None;
            }
            value.cast_to(to).ok().filter(|v| !v.is_null())
        }
        _ => None,
    }
}
