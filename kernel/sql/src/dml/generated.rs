//! Generated columns of a table prepared for writing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;

use super::assign;
use crate::catalog::meta::TableMeta;
use crate::catalog::{CatalogSnapshot, Oid};
use crate::error::{Result, SqlError, state};
use crate::plan::compile::{Expressions, Local, Program};
use crate::session::info::SessionInfo;
use crate::session::planning::LazyState;
use crate::session::statement::parse_expression;
use crate::types::Format;

/// The programs of tables whose columns were computed in a statement.
pub(crate) type Programs = HashMap<Oid, Program>;

#[derive(Debug)]
pub(crate) struct GeneratedColumns {
    columns: Vec<GeneratedColumn>,
    /// In the order of `columns`.
    expressions: Expressions,
    /// The table's, but for NULL in what is not computed yet.
    schema: SchemaRef,
}

#[derive(Debug)]
struct GeneratedColumn {
    place: usize,
    /// Places of the columns that it is computed from.
    reads: Vec<usize>,
}

impl GeneratedColumn {
    fn changes_with(&self, changed: &[usize]) -> bool {
        changed.contains(&self.place) || self.reads.iter().any(|place| changed.contains(place))
    }
}

impl GeneratedColumns {
    /// Whether they hold nothing of the session that prepared them.
    pub fn is_shareable(&self) -> bool {
        self.expressions.is_shareable()
    }

    pub fn plan(
        session: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        meta: &TableMeta,
    ) -> Result<GeneratedColumns> {
        let (mut columns, mut expressions) = (Vec::new(), Vec::new());
        for (place, column) in meta.columns.iter().enumerate() {
            let Some(generated) = &meta.table.columns[usize::from(column.id.0)].generated else {
                continue;
            };
            let reads = meta.columns.iter().enumerate();
            let reads = reads.filter(|(_, column)| generated.columns.contains(&column.id.0));
            columns.push(GeneratedColumn {
                place,
                reads: reads.map(|(place, _)| place).collect(),
            });
            expressions.push(parse_expression(&generated.expression)?);
        }
        let fields = meta.schema.fields().iter();
        let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let local = Local {
            name: &meta.table.name,
            schema: schema.clone(),
        };
        let what = "column generation expressions";
        Ok(GeneratedColumns {
            expressions: Expressions::plan_stored(
                session,
                catalog,
                info,
                &[local],
                expressions,
                what,
            )?,
            columns,
            schema,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Columns that change, with those that are computed from them.
    pub fn changed_with<'a>(&self, changed: &'a [usize]) -> Cow<'a, [usize]> {
        if self.is_empty() {
            return Cow::Borrowed(changed);
        }
        let computed = self.columns.iter().filter(|c| c.changes_with(changed));
        let computed = computed
            .map(|c| c.place)
            .filter(|place| !changed.contains(place));
        let computed: Vec<usize> = computed.collect();
        Cow::Owned([changed, &computed].concat())
    }

    /// Computes those that change with `changed`, all of them for new rows, in columns of rows.
    pub fn fill(
        &self,
        state: &LazyState,
        programs: &mut Programs,
        meta: &TableMeta,
        columns: &mut [ArrayRef],
        changed: Option<&[usize]>,
        format: &Format,
    ) -> Result<()> {
        let is_wanted = |c: &GeneratedColumn| changed.is_none_or(|changed| c.changes_with(changed));
        if !self.columns.iter().any(is_wanted) {
            return Ok(());
        }
        let program = match programs.get(&meta.table.oid) {
            Some(program) => program.clone(),
            None => {
                let program = self.expressions.prepare(state, &[])?;
                programs.insert(meta.table.oid, program.clone());
                program
            }
        };
        let batch = RecordBatch::try_new(self.schema.clone(), columns.to_vec())?;
        for (which, column) in self.columns.iter().enumerate() {
            if is_wanted(column) {
                let values = program.run_one(which, &batch)?;
                let ty = meta.schema.field(column.place).data_type();
                let to = &meta.columns[column.place];
                columns[column.place] = assign::to_column(&values, to, ty, format)?;
            }
        }
        Ok(())
    }

    /// 428C9 when one of them is given a value.
    pub fn check_given(&self, meta: &TableMeta, place: usize, what: &str) -> Result<()> {
        if !self.columns.iter().any(|column| column.place == place) {
            return Ok(());
        }
        let name = &meta.columns[place].name;
        Err(
            SqlError::new(state::GENERATED_ALWAYS, what.replace("{}", name))
                .with_detail(format!("Column \"{name}\" is a generated column.")),
        )
    }

    /// 42P10 when COPY names one of them.
    pub fn check_copied(&self, meta: &TableMeta, place: usize) -> Result<()> {
        match self.is_generated(place) {
            false => Ok(()),
            true => Err(SqlError::new(
                state::INVALID_COLUMN_REFERENCE,
                format!(
                    "column \"{}\" is a generated column",
                    meta.columns[place].name
                ),
            )
            .with_detail("Generated columns cannot be used in COPY.")),
        }
    }

    pub fn is_generated(&self, place: usize) -> bool {
        self.columns.iter().any(|column| column.place == place)
    }
}
