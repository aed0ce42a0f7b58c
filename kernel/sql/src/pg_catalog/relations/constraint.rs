//! `pg_constraint` and `pg_index`.

use crate::catalog::model::{ColumnId16, ConstraintKind, Deferral, Index, IndexColumn, Oid, Table};
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::builtin::{btree_class, builtin_type, equality_operator};
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::pg_catalog::{definition, deparse};

relations! {
    PG_CONSTRAINT = pg_catalog.pg_constraint 2606 'r' {
        oid Oid, conname Name, connamespace Oid, contype Char, condeferrable Bool,
        condeferred Bool, convalidated Bool, conrelid Oid, contypid Oid, conindid Oid,
        conparentid Oid, confrelid Oid, confupdtype Char, confdeltype Char, confmatchtype Char,
        conislocal Bool, coninhcount Int4, connoinherit Bool, conkey Int2Array null,
        confkey Int2Array null, conpfeqop OidArray null, conppeqop OidArray null,
        conffeqop OidArray null, confdelsetcols Int2Array null, conexclop OidArray null,
        conbin NodeTree null,
    } => Some(constraint_rows);
    PG_INDEX = pg_catalog.pg_index 2610 'r' {
        indexrelid Oid, indrelid Oid, indnatts Int2, indnkeyatts Int2, indisunique Bool,
        indnullsnotdistinct Bool, indisprimary Bool, indisexclusion Bool, indimmediate Bool,
        indisclustered Bool, indisvalid Bool, indcheckxmin Bool, indisready Bool, indislive Bool,
        indisreplident Bool, indkey Int2Vector, indcollation OidVector, indclass OidVector,
        indoption Int2Vector, indexprs NodeTree null, indpred NodeTree null,
    } => Some(index_rows);
}

fn numbers(columns: &[ColumnId16]) -> Vec<i16> {
    columns.iter().map(|c| *c as i16 + 1).collect()
}

fn type_of(table: Option<&Table>, column: ColumnId16) -> Oid {
    table
        .and_then(|t| t.column_at(column))
        .map_or(0, |c| c.type_oid)
}

fn constraint_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for constraint in ctx.catalog.constraints() {
        let Some(table) = ctx.catalog.table(constraint.table) else {
            continue;
        };
        let (mut index, mut referenced, mut on_update, mut on_delete, mut matching) =
            (0, 0, ' ', ' ', ' ');
        let (mut referenced_columns, mut operators, mut expression) = (NULL, NULL, NULL);
        match &constraint.kind {
            ConstraintKind::PrimaryKey { index: by, .. }
            | ConstraintKind::Unique { index: by, .. } => {
                index = *by;
            }
            ConstraintKind::Check {
                expression: text, ..
            } => expression = Datum::from(deparse::node_tree(None, text)),
            ConstraintKind::ForeignKey(fk) => {
                index = fk.referenced_index;
                referenced = fk.referenced_table;
                on_update = fk.on_update.code();
                on_delete = fk.on_delete.code();
                matching = if fk.full_match { 'f' } else { 's' };
                referenced_columns = Datum::from(numbers(&fk.referenced_columns));
                let target = ctx.catalog.table(fk.referenced_table).map(AsRef::as_ref);
                let equalities: Vec<Oid> = fk
                    .referenced_columns
                    .iter()
                    .map(|c| equality_operator(type_of(target, *c)))
                    .collect();
                operators = Datum::from(equalities);
            }
            // `conbin` is a condition over columns, which a plugin's check is not.
            ConstraintKind::Plugin(_) => {}
        }
        // PostgreSQL's rule: only checks are inherited.
        let no_inherit = constraint.code() != 'c';
        rows.push(row![
            constraint.oid,
            &constraint.name,
            table.schema,
            constraint.code(),
            constraint.deferral() != Deferral::NotDeferrable,
            constraint.deferral() == Deferral::InitiallyDeferred,
            constraint.validated,
            table.oid,
            0u32,
            index,
            0u32,
            referenced,
            on_update,
            on_delete,
            matching,
            true,
            0i32,
            no_inherit,
            numbers(constraint.columns()),
            referenced_columns,
            operators.clone(),
            operators.clone(),
            operators,
            NULL,
            NULL,
            expression,
        ])?;
    }
    for ty in ctx.catalog.types().iter() {
        let constraints = ty.domain().map(|domain| domain.constraints.as_slice());
        for c in constraints.unwrap_or_default() {
            rows.push(row![
                c.oid,
                &c.name,
                ty.schema,
                'c',
                false,
                false,
                c.validated,
                0u32,
                ty.oid,
                0u32,
                0u32,
                0u32,
                ' ',
                ' ',
                ' ',
                true,
                0i32,
                false,
                NULL,
                NULL,
                NULL,
                NULL,
                NULL,
                NULL,
                NULL,
                deparse::node_tree(None, &c.expression)
            ])?;
        }
    }
    Ok(())
}

fn index_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for index in ctx.catalog.indexes() {
        let table = ctx.catalog.table(index.table).map(AsRef::as_ref);
        let types: Vec<Oid> = index
            .columns
            .iter()
            .map(|c| match index.expression(c) {
                Some(expression) => expression.type_oid,
                None => type_of(table, c.column),
            })
            .collect();
        let (expressions, predicate) = definition::index_expressions(ctx, index);
        let tree = |text: Option<String>| text.map(|text| deparse::node_tree(None, &text));
        let collations: Vec<Oid> = types
            .iter()
            .map(|t| builtin_type(*t).map_or(0, |t| t.collation))
            .collect();
        let class = |(key, ty): (&IndexColumn, &Oid)| match key.operator_class {
            0 => btree_class(*ty),
            class => class,
        };
        let classes: Vec<Oid> = index.columns.iter().zip(&types).map(class).collect();
        let count = index.columns.len() as i16;
        rows.push(row![
            index.oid,
            index.table,
            count + index.included.len() as i16,
            count,
            index.unique,
            false,
            index.primary,
            false,
            true,
            index.clustered,
            true,
            false,
            true,
            true,
            false,
            keys(index),
            collations,
            classes,
            options(index),
            tree(expressions),
            tree(predicate),
        ])?;
    }
    Ok(())
}

fn keys(index: &Index) -> Vec<i16> {
    let key = |c: &IndexColumn| match index.expression(c) {
        Some(_) => 0,
        None => c.column as i16 + 1,
    };
    let included = index.included.iter().map(|place| *place as i16 + 1);
    index.columns.iter().map(key).chain(included).collect()
}

/// `pg_index.indoption`: bit 0 is DESC, bit 1 is NULLS FIRST.
fn options(index: &Index) -> Vec<i16> {
    index
        .columns
        .iter()
        .map(|c| i16::from(c.descending) | i16::from(c.nulls_first) << 1)
        .collect()
}
