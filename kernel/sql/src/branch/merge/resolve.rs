//! What is made of two values that one cell was given.

use std::cmp::Ordering;

use heliosdb_plugin_host::services::{ConflictPolicy, MergeRequest, Resolver};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::ColumnId;
use heliosdb_storage::key::encode_key;
use heliosdb_storage::schema::{ColumnType, KeyColumn};

use crate::catalog::meta::TableMeta;
use crate::catalog::{CatalogSnapshot, Oid, Relation};
use crate::error::{Result, SqlError, state};
use crate::types::json::{Kind, Value};
use crate::types::numeric::{Numeric, encoding};
use crate::types::{PgType, jsonb};

/// What the statement says of conflicts.
#[derive(Debug, Default)]
pub(super) struct Policies {
    pub on_conflict: ConflictPolicy,
    /// As they are written.
    columns: Vec<(String, String, Resolver)>,
}

/// The sides of a conflict, and the one that won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Winner {
    Source,
    Target,
}

impl Winner {
    pub fn name(self) -> String {
        match self {
            Winner::Source => "source",
            Winner::Target => "target",
        }
        .to_owned()
    }
}

impl Policies {
    pub fn new(request: &MergeRequest) -> Result<Policies> {
        let columns = request.resolvers.iter();
        let columns = columns.map(|r| (r.table.clone(), r.column.clone(), r.how));
        Ok(Policies {
            on_conflict: request.on_conflict,
            columns: columns.collect(),
        })
    }

    /// Who wins what no resolver is for; `None` when nobody does.
    pub fn winner(&self) -> Option<Winner> {
        match self.on_conflict {
            ConflictPolicy::Fail => None,
            ConflictPolicy::SourceWins => Some(Winner::Source),
            ConflictPolicy::TargetWins => Some(Winner::Target),
        }
    }

    /// Whether every resolver names a column of the catalog, whose type it is for.
    pub fn check(&self, catalog: &CatalogSnapshot, search_path: &[String]) -> Result<()> {
        for (table, column, how) in &self.columns {
            let meta = catalog.table_meta(find(catalog, search_path, table)?)?;
            let place = meta.position_by_name(column).ok_or_else(|| {
                SqlError::new(
                    state::UNDEFINED_COLUMN,
                    format!("column \"{column}\" of relation \"{table}\" does not exist"),
                )
            })?;
            let ty = &meta.columns[place].ty;
            if !suits(*how, ty) {
                return Err(SqlError::new(
                    state::DATATYPE_MISMATCH,
                    format!(
                        "resolver {} is not for column \"{column}\" of type {}",
                        how.name(),
                        ty.name()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The resolvers of a table's columns, by their places.
    pub fn of_table(
        &self,
        catalog: &CatalogSnapshot,
        search_path: &[String],
        meta: &TableMeta,
    ) -> Vec<Option<Resolver>> {
        let mut found = vec![None; meta.columns.len()];
        for (table, column, how) in &self.columns {
            if find(catalog, search_path, table).ok() == Some(meta.table.oid)
                && let Some(place) = meta.position_by_name(column)
            {
                found[place] = Some(*how);
            }
        }
        found
    }
}

fn find(catalog: &CatalogSnapshot, search_path: &[String], name: &str) -> Result<Oid> {
    match catalog.relation_named(name, search_path)? {
        Relation::Table(table) => Ok(table.oid),
        other => Err(SqlError::new(
            state::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a table", other.name()),
        )),
    }
}

fn suits(how: Resolver, ty: &PgType) -> bool {
    match how {
        Resolver::Sum => matches!(
            ty,
            PgType::Int2
                | PgType::Int4
                | PgType::Int8
                | PgType::Float4
                | PgType::Float8
                | PgType::Numeric
        ),
        Resolver::Min | Resolver::Max => ty.is_comparable(),
        Resolver::Latest => true,
        Resolver::JsonMerge => matches!(ty, PgType::Json | PgType::Jsonb),
    }
}

fn decode(stored: &[u8]) -> Result<Numeric> {
    encoding::decode(stored).ok_or_else(|| SqlError::internal("a stored numeric is none"))
}

/// Three values of a cell, of which no two are the same.
pub(super) struct Cell<'a> {
    pub base: Option<&'a Datum>,
    pub source: &'a Datum,
    pub target: &'a Datum,
}

impl Cell<'_> {
    /// What a resolver makes of it, other than [`Resolver::Latest`], which looks at more than values; `None` when
    /// it makes nothing of these values.
    ///
    /// # Errors
    ///
    /// 22003 for a sum that is out of range.
    pub fn resolve(&self, how: Resolver, (name, ty): (&str, &ColumnType)) -> Result<Option<Datum>> {
        match how {
            Resolver::Latest => Ok(None),
            Resolver::Sum => self.sum(name, ty),
            Resolver::Max => self.extreme(ty, Ordering::Greater).map(Some),
            Resolver::Min => self.extreme(ty, Ordering::Less).map(Some),
            Resolver::JsonMerge => self.merge_json(ty),
        }
    }

    /// Both changes, one after the other. A row that both made begins with nothing.
    fn sum(&self, name: &str, ty: &ColumnType) -> Result<Option<Datum>> {
        let out_of_range = || {
            SqlError::new(
                state::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("the sum of the changes of column \"{name}\" is out of range"),
            )
        };
        let base = self.base.unwrap_or(&Datum::Null);
        let sum = match (base, self.source, self.target) {
            (_, Datum::Null, _) | (_, _, Datum::Null) => return Ok(None),
            (base, Datum::Float32(a), Datum::Float32(b)) => {
                let base = if let Datum::Float32(base) = base {
                    *base
                } else {
                    0.0
                };
                Datum::Float32(a + (b - base))
            }
            (base, Datum::Float64(a), Datum::Float64(b)) => {
                let base = if let Datum::Float64(base) = base {
                    *base
                } else {
                    0.0
                };
                Datum::Float64(a + (b - base))
            }
            (base, Datum::Bytes(a), Datum::Bytes(b)) if *ty == ColumnType::Numeric => {
                let (a, b) = (decode(a)?, decode(b)?);
                let base = match base {
                    Datum::Bytes(base) => decode(base)?,
                    _ => Numeric::zero(),
                };
                Datum::Bytes(encoding::encode_to_vec(&a.add(&b.sub(&base)?)?))
            }
            (base, a, b) => {
                let whole = |datum: &Datum| match datum {
                    Datum::Int16(v) => Some(i128::from(*v)),
                    Datum::Int32(v) => Some(i128::from(*v)),
                    Datum::Int64(v) => Some(i128::from(*v)),
                    Datum::Decimal(v) => Some(*v),
                    _ => None,
                };
                let (Some(of_a), Some(of_b)) = (whole(a), whole(b)) else {
                    return Ok(None);
                };
                let change = of_b.checked_sub(whole(base).unwrap_or(0));
                let sum = change.and_then(|change| of_a.checked_add(change));
                let sum = sum.ok_or_else(out_of_range)?;
                match (a, ty) {
                    (Datum::Int16(_), _) => {
                        Datum::Int16(sum.try_into().map_err(|_| out_of_range())?)
                    }
                    (Datum::Int32(_), _) => {
                        Datum::Int32(sum.try_into().map_err(|_| out_of_range())?)
                    }
                    (Datum::Int64(_), _) => {
                        Datum::Int64(sum.try_into().map_err(|_| out_of_range())?)
                    }
                    (_, ColumnType::Decimal { precision, .. })
                        if sum.unsigned_abs() >= 10u128.pow(u32::from(*precision)) =>
                    {
                        return Err(out_of_range());
                    }
                    _ => Datum::Decimal(sum),
                }
            }
        };
        Ok(Some(sum))
    }

    /// The greater, or the lesser. NULL is neither.
    fn extreme(&self, ty: &ColumnType, wanted: Ordering) -> Result<Datum> {
        let (source, target) = (self.source, self.target);
        if *source == Datum::Null {
            return Ok(target.clone());
        }
        if *target == Datum::Null {
            return Ok(source.clone());
        }
        let columns = [KeyColumn {
            column: ColumnId(0),
            descending: false,
            nulls_first: false,
        }];
        let key = |datum: &Datum| {
            encode_key(
                std::slice::from_ref(datum),
                &columns,
                std::slice::from_ref(ty),
            )
        };
        Ok(match key(source)?.cmp(&key(target)?) == wanted {
            true => source.clone(),
            false => target.clone(),
        })
    }

    /// Two documents of one, member by member.
    fn merge_json(&self, ty: &ColumnType) -> Result<Option<Datum>> {
        let text = |datum: &Datum| match datum {
            Datum::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
            _ => None,
        };
        let (Some(source), Some(target)) = (text(self.source), text(self.target)) else {
            return Ok(None);
        };
        let base = self.base.and_then(text);
        let base = base.as_deref().map(Value::parse).transpose()?;
        let (source, target) = (Value::parse(&source)?, Value::parse(&target)?);
        let Some(merged) = merge_values(base.as_ref(), &source, &target) else {
            return Ok(None);
        };
        let merged = match ty {
            ColumnType::Jsonb => jsonb::canonical(&merged)?,
            _ => merged,
        };
        Ok(Some(Datum::Bytes(merged.into_bytes())))
    }
}

/// `None` when one member was given two values, or was given one and taken away. Numbers stay as they are
/// written.
fn merge_values(
    base: Option<&Value<'_>>,
    source: &Value<'_>,
    target: &Value<'_>,
) -> Option<String> {
    if source.text == target.text || base.is_some_and(|base| base.text == target.text) {
        return Some(source.text.to_owned());
    }
    if base.is_some_and(|base| base.text == source.text) {
        return Some(target.text.to_owned());
    }
    let (Kind::Object(of_source), Kind::Object(of_target)) = (&source.kind, &target.kind) else {
        return None;
    };
    if base.is_some_and(|base| !matches!(base.kind, Kind::Object(_))) {
        return None;
    }
    let only_source = of_source
        .iter()
        .filter(|(name, _)| target.get(name).is_none());
    let mut members = Vec::new();
    for (name, _) in of_target.iter().chain(only_source) {
        let base = base.and_then(|base| base.get(name));
        let member = match (base, source.get(name), target.get(name)) {
            (base, Some(source), Some(target)) => Some(merge_values(base, source, target)?),
            (None, one, other) => one.or(other).map(|value| value.text.to_owned()),
            (Some(base), Some(kept), None) | (Some(base), None, Some(kept)) => {
                match base.text == kept.text {
                    true => None,
                    false => return None,
                }
            }
            (Some(_), None, None) => None,
        };
        if let Some(member) = member {
            members.push(format!("{}: {member}", serde_json::to_string(name).ok()?));
        }
    }
    Some(format!("{{{}}}", members.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_two_documents() {
        let merge = |base, source, target| {
            let value = |text| Value::parse(text).unwrap();
            merge_values(Some(&value(base)), &value(source), &value(target))
        };
        let both = merge(
            r#"{"a":1,"b":2}"#,
            r#"{"a":9.10,"b":2}"#,
            r#"{"a":1,"b":2,"c":{}}"#,
        );
        assert_eq!(both.as_deref(), Some(r#"{"a": 9.10, "b": 2, "c": {}}"#));
        let gone = merge(r#"{"a":1,"b":2}"#, r#"{"b":2}"#, r#"{"a":1,"b":3}"#);
        assert_eq!(gone.as_deref(), Some(r#"{"b": 3}"#));
        assert_eq!(merge(r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#), None);
        assert_eq!(merge(r#"{"a":1}"#, "{}", r#"{"a":3}"#), None);
        let deep = merge(
            r#"{"a":{"x":1}}"#,
            r#"{"a":{"x":1,"y":2}}"#,
            r#"{"a":{"x":5}}"#,
        );
        assert_eq!(deep.as_deref(), Some(r#"{"a": {"x": 5, "y": 2}}"#));
    }

    #[test]
    fn sums_are_of_changes() {
        let sum = |base, source, target| {
            let (source, target) = (&source, &target);
            let cell = Cell {
                base,
                source,
                target,
            };
            cell.resolve(Resolver::Sum, ("n", &ColumnType::Int32))
        };
        let base = Datum::Int32(10);
        assert_eq!(
            sum(Some(&base), Datum::Int32(7), Datum::Int32(15)).unwrap(),
            Some(Datum::Int32(12))
        );
        assert_eq!(
            sum(None, Datum::Int32(7), Datum::Int32(15)).unwrap(),
            Some(Datum::Int32(22))
        );
        let beyond = sum(Some(&base), Datum::Int32(i32::MAX), Datum::Int32(15));
        assert_eq!(beyond.unwrap_err().code, state::NUMERIC_VALUE_OUT_OF_RANGE);
        assert_eq!(
            sum(Some(&base), Datum::Null, Datum::Int32(15)).unwrap(),
            None
        );
    }
}
