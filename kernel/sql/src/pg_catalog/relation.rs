//! What a system relation is: a name, typed columns and a function that gives its rows.
//!
//! [`relations!`] states one in the shape of PostgreSQL's own catalog headers, so that adding a
//! relation means writing down its columns. Names, order, types and oids are PostgreSQL 15's.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};

use super::SystemContext;
use super::datum::{Datum, Type, array};
use crate::catalog::model::{Oid, oid};
use crate::error::{Result, SqlError};

/// One column of a system relation.
#[derive(Clone, Copy, Debug)]
pub struct RelationColumn {
    pub name: &'static str,
    pub ty: Type,
    /// `pg_attribute.attnotnull`.
    pub not_null: bool,
}

/// A table of `pg_catalog` or a view of either system schema.
pub struct Relation {
    pub oid: Oid,
    pub schema: &'static str,
    pub name: &'static str,
    /// `pg_class.relkind`: `r` or `v`.
    pub kind: char,
    pub columns: &'static [RelationColumn],
    /// `None` for a relation that describes objects this database does not have: it has no rows, and
    /// plans may rely on that.
    pub rows: Option<fn(&SystemContext, &mut Rows) -> Result<()>>,
    /// Built once: the Arrow schema.
    pub arrow: LazyLock<SchemaRef>,
}

impl std::fmt::Debug for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl Relation {
    pub fn schema_oid(&self) -> Oid {
        match self.schema {
            "pg_catalog" => oid::PG_CATALOG_SCHEMA,
            _ => oid::INFORMATION_SCHEMA,
        }
    }

    /// Whether PostgreSQL has it once for all databases.
    pub fn is_shared(&self) -> bool {
        matches!(
            self.name,
            "pg_auth_members"
                | "pg_authid"
                | "pg_database"
                | "pg_db_role_setting"
                | "pg_parameter_acl"
                | "pg_replication_origin"
                | "pg_shdepend"
                | "pg_shdescription"
                | "pg_shseclabel"
                | "pg_subscription"
                | "pg_tablespace"
        )
    }

    /// The relation's Arrow schema.
    pub fn arrow_schema(&self) -> SchemaRef {
        LazyLock::force(&self.arrow).clone()
    }

    /// All rows, of the columns asked for.
    pub fn scan(&self, ctx: &SystemContext, projection: Option<&[usize]>) -> Result<RecordBatch> {
        let mut rows = Rows {
            width: self.columns.len(),
            relation: self.oid,
            values: Vec::new(),
        };
        if let Some(fill) = self.rows {
            fill(ctx, &mut rows)?;
        }
        rows.batch(self, projection)
    }
}

/// The Arrow schema of a relation with these columns.
pub fn arrow_schema(columns: &[RelationColumn]) -> SchemaRef {
    Arc::new(Schema::new(
        columns
            .iter()
            .map(|c| c.ty.field(c.name))
            .collect::<Vec<_>>(),
    ))
}

/// The rows of a relation while they are being collected.
pub struct Rows {
    width: usize,
    relation: Oid,
    values: Vec<Datum>,
}

impl Rows {
    /// Adds a row: one value per column. See [`row!`].
    pub fn push<const N: usize>(&mut self, row: [Datum; N]) -> Result<()> {
        self.extend(row)
    }

    pub fn extend(&mut self, row: impl IntoIterator<Item = Datum>) -> Result<()> {
        self.values.extend(row);
        if !self.values.len().is_multiple_of(self.width) {
            return Err(SqlError::internal(format!(
                "a row of system relation {} has the wrong number of values",
                self.relation
            )));
        }
        Ok(())
    }

    fn batch(self, relation: &Relation, projection: Option<&[usize]>) -> Result<RecordBatch> {
        let all: Vec<usize>;
        let columns = match projection {
            Some(columns) => columns,
            None => {
                all = (0..self.width).collect();
                &all
            }
        };
        let count = self.values.len() / self.width;
        let arrays: Vec<ArrayRef> = columns
            .iter()
            .map(|&i| {
                let values = self.values.iter().skip(i).step_by(self.width);
                array(relation.columns[i].ty, values)
            })
            .collect::<Result<_>>()?;
        let schema = relation
            .arrow_schema()
            .project(columns)
            .map_err(|e| SqlError::internal(format!("projection of {relation:?}: {e}")))?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options)
            .map_err(|e| SqlError::internal(format!("rows of {relation:?}: {e}")))
    }
}

/// NULL in a [`row!`].
pub const NULL: Datum = Datum::Null;

/// A row for [`Rows::push`]: each item is anything a [`Datum`] can be made of.
macro_rules! row {
    ($($value:expr),* $(,)?) => { [$($crate::pg_catalog::datum::Datum::from($value)),*] };
}
pub(crate) use row;

/// Declares system relations:
///
/// ```text
/// PG_ATTRDEF = pg_catalog.pg_attrdef 2604 'r' {
///     oid Oid, adrelid Oid, adnum Int2, adbin NodeTree,
/// } => Some(rows);
/// ```
///
/// `null` after a type lets the column of a table be null; columns of views always may.
macro_rules! relations {
    ($($(#[$doc:meta])* $id:ident = $schema:ident.$name:ident $oid:literal $kind:literal {
        $($column:ident $ty:ident $($null:ident)?),* $(,)?
    } => $rows:expr;)*) => { $(
        $(#[$doc])*
        pub static $id: $crate::pg_catalog::relation::Relation = {
            static COLUMNS: &[$crate::pg_catalog::relation::RelationColumn] = &[$(
                $crate::pg_catalog::relation::RelationColumn {
                    name: stringify!($column),
                    ty: $crate::pg_catalog::datum::Type::$ty,
                    not_null: $kind == 'r' && stringify!($($null)?).is_empty(),
                }
            ),*];
            $crate::pg_catalog::relation::Relation {
                oid: $oid,
                schema: stringify!($schema),
                name: stringify!($name),
                kind: $kind,
                columns: COLUMNS,
                rows: $rows,
                arrow: ::std::sync::LazyLock::new(|| {
                    $crate::pg_catalog::relation::arrow_schema(COLUMNS)
                }),
            }
        };
    )* };
}
pub(crate) use relations;
