//! A table as execution wants it: its storage definition and Arrow schema, made once per version.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use heliosdb_storage::RowReader;
use heliosdb_storage::ids::{CollectionId, ColumnId};
use heliosdb_storage::schema::{
    ColumnDef, ComputedColumn, IndexDef, KeyColumn, Retention, TableDef,
};

use super::model::*;
use super::snapshot::CatalogSnapshot;
use crate::ddl::retention;
use crate::error::{Result, SqlError, state};
use crate::monitor::relations::{Counters, Kind};
use crate::types::{PgType, extension};

/// The name of the hidden column that carries row ids through DML plans.
pub(crate) const ROW_ID: &str = "_rowid";

/// A table with everything derived from its catalog entries.
#[derive(Debug)]
pub(crate) struct TableMeta {
    pub table: Arc<Table>,
    pub storage: Arc<TableDef>,
    /// Live columns, in order.
    pub columns: Vec<ColumnMeta>,
    /// The live columns as Arrow.
    pub schema: SchemaRef,
    /// The same, and [`ROW_ID`] last.
    pub schema_with_row_id: SchemaRef,
    /// In the order of `storage.indexes`.
    pub indexes: Vec<Arc<Index>>,
    /// What is counted of the table.
    pub counters: Arc<Counters>,
    /// Of its indexes, in their order.
    pub index_counters: Vec<Arc<Counters>>,
}

#[derive(Clone, Debug)]
pub(crate) struct ColumnMeta {
    pub id: ColumnId,
    pub name: String,
    pub ty: PgType,
    pub typmod: i32,
    pub not_null: bool,
    /// What its domain asks of its values.
    pub domain: Option<Arc<DomainRules>>,
}

impl Column {
    pub fn ty(&self) -> PgType {
        self.known_type().unwrap_or(PgType::Unknown)
    }

    fn known_type(&self) -> Option<PgType> {
        let Some(def) = &self.extension_type else {
            let known = self.user_type.clone();
            return known.or_else(|| PgType::from_oid(self.type_oid));
        };
        let storage = PgType::from_oid(def.storage)?;
        let ty = extension::declare(&def.plugin, &def.name, &storage, def.ordered);
        Some(PgType::Extension(ty))
    }
}

impl Index {
    /// What storage knows of it; what it computes comes behind what other indexes do.
    fn storage(&self, computed: &mut Vec<ComputedColumn>) -> Result<IndexDef> {
        let mut add = |e: &IndexExpression, condition| {
            let ty = PgType::from_oid(e.type_oid)
                .ok_or_else(|| SqlError::internal(format!("type {} is not known", e.type_oid)))?;
            let place = computed.len() as u16;
            computed.push(ComputedColumn {
                ty: ty.column_type(e.typmod)?,
                inputs: e.columns.iter().copied().map(ColumnId).collect(),
                condition,
                expression: e.expression.as_str().into(),
            });
            Ok::<_, SqlError>(ColumnId::computed(place))
        };
        let predicate = self.predicate.as_ref().map(|e| add(e, None)).transpose()?;
        let mut columns = Vec::with_capacity(self.columns.len());
        for part in &self.columns {
            columns.push(KeyColumn {
                column: match self.expression(part) {
                    Some(expression) => add(expression, predicate)?,
                    None => ColumnId(part.column),
                },
                descending: part.descending,
                nulls_first: part.nulls_first,
            });
        }
        Ok(IndexDef {
            id: CollectionId(self.collection),
            columns,
            unique: self.unique,
            predicate,
        })
    }
}

/// The indexes of a table as storage knows them, and what they compute.
fn indexes_in_storage(indexes: &[Arc<Index>]) -> Result<(Vec<IndexDef>, Vec<ComputedColumn>)> {
    let mut computed = Vec::new();
    let defs = indexes.iter().map(|index| index.storage(&mut computed));
    Ok((defs.collect::<Result<_>>()?, computed))
}

fn counters_of(catalog: &CatalogSnapshot, indexes: &[Arc<Index>]) -> Vec<Arc<Counters>> {
    let counted = catalog.counted();
    let counters = indexes
        .iter()
        .map(|index| counted.of(Kind::Index, index.oid));
    counters.collect()
}

impl TableMeta {
    pub fn new(catalog: &CatalogSnapshot, table: &Arc<Table>) -> Result<TableMeta> {
        let mut defs = Vec::with_capacity(table.columns.len());
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for (i, c) in (0u16..).zip(&table.columns) {
            let ty = c
                .known_type()
                .ok_or_else(|| SqlError::internal(format!("type {} is not known", c.type_oid)))?;
            let column_type = ty.column_type(c.typmod)?;
            if !c.dropped {
                let arrow = match &ty {
                    PgType::Extension(extension) => extension.arrow(),
                    ty if extension::is_wrapped(&ty.arrow()) => ty.arrow(),
                    _ => column_type.arrow(),
                };
                fields.push(Field::new(&c.name, arrow, !c.not_null));
                columns.push(ColumnMeta {
                    id: ColumnId(i),
                    name: c.name.clone(),
                    ty,
                    typmod: c.typmod,
                    not_null: c.not_null,
                    domain: c.domain.clone(),
                });
            }
            defs.push(ColumnDef {
                missing: c.missing.as_deref().map(Arc::from),
                dropped: c.dropped,
                free: c.free,
                compression: c.compression.as_ref().map(|c| c.method().into()),
                ty: column_type,
            });
        }
        let indexes: Vec<Arc<Index>> = catalog.indexes_of(table.oid).cloned().collect();
        let (in_storage, computed) = indexes_in_storage(&indexes)?;
        let storage = TableDef {
            id: table.collection_id(),
            columns: defs,
            computed,
            retention: match catalog.is_temporary(table.schema) {
                // The past of what is gone with its session is nobody's.
                true => Some(Retention::NONE),
                false => table
                    .retention
                    .as_deref()
                    .map(retention::parse)
                    .transpose()?
                    .map(|retention| match retention {
                        // A table's branches have all of it.
                        Retention::NONE => Retention::Micros(1),
                        retention => retention,
                    }),
            },
            indexes: in_storage,
        };
        let schema = Arc::new(ArrowSchema::new(fields.clone()));
        fields.push(Field::new(ROW_ID, DataType::UInt64, false));
        Ok(TableMeta {
            table: table.clone(),
            storage: Arc::new(storage),
            columns,
            schema,
            schema_with_row_id: Arc::new(ArrowSchema::new(fields)),
            counters: catalog.counted().of(Kind::Table, table.oid),
            index_counters: counters_of(catalog, &indexes),
            indexes,
        })
    }

    /// The same with those indexes only that another catalog has as well.
    pub fn with_indexes_of(self: &Arc<Self>, catalog: &CatalogSnapshot) -> Result<Arc<TableMeta>> {
        let is_there = |index: &Index| {
            let there = catalog.index(index.oid);
            there.is_some_and(|there| there.collection == index.collection)
        };
        if self.indexes.iter().all(|index| is_there(index)) {
            return Ok(self.clone());
        }
        let indexes: Vec<Arc<Index>> = self
            .indexes
            .iter()
            .filter(|index| is_there(index))
            .cloned()
            .collect();
        let (in_storage, computed) = indexes_in_storage(&indexes)?;
        let storage = TableDef {
            indexes: in_storage,
            computed,
            ..self.storage.as_ref().clone()
        };
        Ok(Arc::new(TableMeta {
            table: self.table.clone(),
            storage: Arc::new(storage),
            columns: self.columns.clone(),
            schema: self.schema.clone(),
            schema_with_row_id: self.schema_with_row_id.clone(),
            counters: self.counters.clone(),
            index_counters: counters_of(catalog, &indexes),
            indexes,
        }))
    }

    /// Whether a key that an index or a foreign key relies on has the column. No foreign key relies on an index
    /// that is not plain.
    pub fn is_in_key(&self, column: ColumnId) -> bool {
        let mut keys = self.indexes.iter().filter(|i| i.unique && i.is_plain());
        keys.any(|key| key.columns.iter().any(|part| part.column == column.0))
    }

    /// Reads those columns of a row that are in a key; none without a key.
    pub fn key_reader(&self) -> Result<Option<RowReader>> {
        let columns = self.columns.iter().map(|column| column.id);
        let columns: Vec<ColumnId> = columns.filter(|id| self.is_in_key(*id)).collect();
        if columns.is_empty() {
            return Ok(None);
        }
        Ok(Some(RowReader::new(&self.storage, &columns, false, None)?))
    }

    /// An error of reading the table, with names where storage has numbers.
    pub fn explain(&self, error: heliosdb_storage::Error) -> SqlError {
        let heliosdb_storage::Error::CodecMissing { codec, column, .. } = &error else {
            return SqlError::from(error);
        };
        let Some(found) = self.table.column_at(column.0) else {
            return SqlError::from(error);
        };
        let from = match &found.compression {
            Some(Compression::Codec { plugin, name }) if name == codec => {
                format!("plugin \"{plugin}\", which provides it")
            }
            _ => "the plugin that provides it".to_owned(),
        };
        SqlError::new(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "column \"{}\" of relation \"{}\" cannot be read: codec \"{codec}\" is missing",
                found.name, self.table.name
            ),
        )
        .with_hint(format!("Install or enable {from}."))
    }

    /// A batch of all live columns, and maybe row ids, that storage gave.
    pub fn read(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let schema = match batch.num_columns() > self.columns.len() {
            true => &self.schema_with_row_id,
            false => &self.schema,
        };
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(values, f)| extension::wrapped_as(values, f.data_type()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            schema.clone(),
            columns,
            &options,
        )?)
    }

    /// The place of a column among the live ones.
    pub fn position(&self, id: ColumnId) -> Option<usize> {
        self.columns.iter().position(|c| c.id == id)
    }

    pub fn position_by_name(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    pub fn id(&self) -> CollectionId {
        self.storage.id
    }

    /// Every live column.
    pub fn all_columns(&self) -> Vec<ColumnId> {
        self.columns.iter().map(|c| c.id).collect()
    }

    /// Names of columns by place in the table, for messages.
    pub fn names(&self, columns: &[ColumnId16]) -> String {
        let names: Vec<&str> = columns
            .iter()
            .filter_map(|c| self.table.column_at(*c))
            .map(|c| c.name.as_str())
            .collect();
        names.join(", ")
    }
}
