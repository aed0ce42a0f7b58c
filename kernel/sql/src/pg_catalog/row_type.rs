//! The types of the rows of tables and views, and the arrays of them.
//!
//! Every table and view has both, of its own name, as in PostgreSQL. They are not stored: their oids follow from
//! the relation's, in the half above all oids that are given out, so that clients can look them up, and a relation
//! is found by its type. No column can have one.

use super::SystemContext;
use super::names::relation_name;
use super::relation::Rows;
use crate::catalog::Relation;
use crate::catalog::model::Oid;
use crate::error::Result;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, row};

const DERIVED: Oid = 1 << 31;
/// `record_in`, `record_out`, `record_recv`, `record_send`.
const RECORD_FUNCTIONS: [Oid; 4] = [2290, 2291, 2402, 2403];
/// `array_in`, `array_out`, `array_recv`, `array_send`.
const ARRAY_FUNCTIONS: [Oid; 4] = [750, 751, 2400, 2401];
const ARRAY_SUBSCRIPT: Oid = 6179;
const ARRAY_ANALYZE: Oid = 3816;

/// The type of a table's or a view's rows.
pub fn row_type(relation: Oid) -> Oid {
    DERIVED | (relation << 1)
}

/// The type of arrays of them.
pub fn array_type(relation: Oid) -> Oid {
    row_type(relation) | 1
}

/// The relation of a type, and whether it is the one of arrays.
pub fn relation_of(ctx: &SystemContext, ty: Oid) -> Option<(Relation, bool)> {
    let relation = (ty & !DERIVED) >> 1;
    let relation = ctx
        .catalog
        .relation(relation)
        .filter(|_| ty & DERIVED != 0)?;
    matches!(relation, Relation::Table(_) | Relation::View(_)).then_some((relation, ty & 1 == 1))
}

/// As `format_type` prints it.
pub fn name(ctx: &SystemContext, ty: Oid) -> Option<String> {
    let (relation, is_array) = relation_of(ctx, ty)?;
    let name = relation_name(ctx, relation.oid())?;
    Some(if is_array { name + "[]" } else { name })
}

/// The type that a name stands for, in a schema or along the search path.
pub fn find(ctx: &SystemContext, schema: Option<&str>, name: &str) -> Option<Oid> {
    let in_schema = |schema: &str| {
        let schema = ctx.catalog.schema_by_name(schema)?.oid;
        match ctx.catalog.relation_in(schema, name)? {
            Relation::Table(t) => Some(row_type(t.oid)),
            Relation::View(v) => Some(row_type(v.oid)),
            _ => None,
        }
    };
    match schema {
        Some(schema) => in_schema(schema),
        None => ctx
            .effective_search_path()
            .iter()
            .find_map(|schema| in_schema(schema)),
    }
}

/// Their rows of `pg_type`.
pub fn rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for t in ctx.catalog.tables() {
        push(rows, t.oid, &t.name, t.schema, t.owner)?;
    }
    for v in ctx.catalog.views() {
        push(rows, v.oid, &v.name, v.schema, v.owner)?;
    }
    Ok(())
}

fn push(rows: &mut Rows, relation: Oid, name: &str, schema: Oid, owner: Oid) -> Result<()> {
    let (of_row, of_array) = (row_type(relation), array_type(relation));
    let ty = |oid: Oid, name: String, kind: char, functions: [Oid; 4]| -> [Datum; 32] {
        let is_array = oid == of_array;
        let or_none = |oid: Oid, is: bool| if is { oid } else { 0 };
        row![
            oid,
            name,
            schema,
            owner,
            -1i16,
            false,
            kind,
            if is_array { 'A' } else { 'C' },
            false,
            true,
            ",",
            or_none(relation, !is_array),
            or_none(ARRAY_SUBSCRIPT, is_array),
            or_none(of_row, is_array),
            or_none(of_array, !is_array),
            functions[0],
            functions[1],
            functions[2],
            functions[3],
            0u32,
            0u32,
            or_none(ARRAY_ANALYZE, is_array),
            "d",
            "x",
            false,
            0u32,
            -1i32,
            0i32,
            0u32,
            NULL,
            NULL,
            NULL,
        ]
    };
    rows.push(ty(of_row, name.to_owned(), 'c', RECORD_FUNCTIONS))?;
    rows.push(ty(of_array, format!("_{name}"), 'b', ARRAY_FUNCTIONS))
}
