//! Which columns what FROM names has, without planning it: what joins by names are rewritten with.
//!
//! A name stands for what [`get_table_source`](super::context::PlanContext) would find by it, and nothing is noted as
//! used: the planner does that. Of a target of DML these are the columns of the table, and not its row ids.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use sqlparser::ast::{
    ObjectName, SelectItem, Statement, TableFactor, TableWithJoins, WildcardAdditionalOptions,
};

use super::as_of::reference::Reference;
use super::as_of::versions;
use super::compile::select;
use super::context::{PlanContext, undefined_table};
use super::error::convert;
use super::policy::RAW;
use super::returned::{RETURNED, ReturnedRows};
use crate::catalog::Relation;
use crate::error::{Result, SqlError};
use crate::names;
use crate::pg_catalog::{SessionView, system_table};
use crate::semantics::joins::{self, Relations};

impl PlanContext<'_> {
    /// Rewrites the joins by names of a statement that is ready to be planned otherwise.
    pub fn merge_joins(&self, statement: &mut Statement) -> Result<()> {
        joins::merge(statement, self)
    }

    /// The columns of a relation as it was at the time of a slot.
    fn past_columns(&self, reference: &Reference<'_>) -> Result<Vec<String>> {
        let (schema, name) = (reference.schema, reference.name);
        let past = self.uses.borrow().times.get(reference.slot).cloned();
        let past = past.ok_or_else(|| undefined_table(schema, name))?;
        if let Some(present) = &past.present
            && self.elsewhere != Some(present.timeline)
        {
            return self.under(present).past_columns(reference);
        }
        let relation = self.find(&past.catalog, schema, name)?;
        match &relation {
            Relation::Table(table) if reference.versions => {
                let meta = past.catalog.table_meta(table.oid)?;
                let rows = versions::source(meta, self.info, reference.slot)?;
                Ok(of_schema(&rows.schema()))
            }
            relation => Ok(relation.column_names()),
        }
    }
}

impl Relations for PlanContext<'_> {
    fn columns(&self, name: &ObjectName) -> Result<Vec<String>> {
        let parts = names::parts(name)?;
        let name = match parts.as_slice() {
            [table] => TableReference::bare(table.as_str()),
            [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
            [catalog, schema, table] => {
                TableReference::full(catalog.as_str(), schema.as_str(), table.as_str())
            }
            _ => {
                return Err(SqlError::internal(
                    "a name of a relation with too many parts",
                ));
            }
        };
        if let TableReference::Bare { table } = &name
            && let Some(schema) = self.locals.get(table.as_ref())
        {
            return Ok(of_schema(schema));
        }
        if name.catalog() == Some(RETURNED) {
            let rows = ReturnedRows::named(&self.returned, name.table()).map_err(convert)?;
            return Ok(of_schema(&rows.schema()));
        }
        if name.catalog() == Some(RAW)
            && let Some(raw) = &self.raw
        {
            return Ok(of_schema(&raw.schema()));
        }
        let around = |slot| Reference {
            slot,
            versions: false,
            schema: name.schema(),
            name: name.table(),
        };
        let reference = Reference::of(&name).or_else(|| self.slot.map(around));
        let schema = match &reference {
            Some(reference) => reference.schema,
            None => name.schema(),
        };
        let session: Arc<dyn SessionView> = self.info.clone();
        let builtin = match schema {
            None => system_table("pg_catalog", name.table(), &session),
            Some(schema @ ("pg_catalog" | "information_schema")) => {
                system_table(schema, name.table(), &session)
            }
            Some(_) => None,
        };
        match (builtin, &reference) {
            (Some(table), _) => Ok(of_schema(&table.schema())),
            (None, Some(reference)) => self.past_columns(reference),
            (None, None) => {
                let relation = self.find(self.catalog, name.schema(), name.table())?;
                Ok(relation.column_names())
            }
        }
    }

    fn schema_of(&self, name: &str) -> Result<Option<String>> {
        if self.locals.contains_key(name) || self.slot.is_some() {
            return Ok(None);
        }
        let session: Arc<dyn SessionView> = self.info.clone();
        if system_table("pg_catalog", name, &session).is_some() {
            return Ok(Some("pg_catalog".to_owned()));
        }
        let relation = self.find(self.catalog, None, name)?;
        let schema = self.catalog.schema(relation.schema());
        Ok(schema.map(|schema| schema.name.clone()))
    }

    fn columns_of_call(&self, call: &TableFactor) -> Result<Vec<String>> {
        let star = SelectItem::Wildcard(WildcardAdditionalOptions::default());
        let from = TableWithJoins {
            relation: call.clone(),
            joins: Vec::new(),
        };
        let query = select(vec![star], vec![from]);
        let planned = self
            .planner()
            .sql_statement_to_plan(Statement::Query(Box::new(query)));
        let plan = planned.map_err(convert)?;
        let fields = plan.schema().fields().iter();
        Ok(fields.map(|field| field.name().clone()).collect())
    }
}

fn of_schema(schema: &SchemaRef) -> Vec<String> {
    let fields = schema.fields().iter();
    fields.map(|field| field.name().clone()).collect()
}
