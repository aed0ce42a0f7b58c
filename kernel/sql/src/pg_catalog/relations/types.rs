//! `pg_type` and what belongs to types.

use crate::catalog::model::{Oid, oid};
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::builtin::{BuiltinType, builtin_casts, builtin_types, type_row};
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::pg_catalog::{row_type, user_type};
use crate::types::PgType;

relations! {
    PG_CAST = pg_catalog.pg_cast 2605 'r' {
        oid Oid, castsource Oid, casttarget Oid, castfunc Oid, castcontext Char, castmethod Char,
    } => Some(cast_rows);
    PG_TYPE = pg_catalog.pg_type 1247 'r' {
        oid Oid, typname Name, typnamespace Oid, typowner Oid, typlen Int2, typbyval Bool,
        typtype Char, typcategory Char, typispreferred Bool, typisdefined Bool, typdelim Char,
        typrelid Oid, typsubscript Regproc, typelem Oid, typarray Oid, typinput Regproc,
        typoutput Regproc, typreceive Regproc, typsend Regproc, typmodin Regproc,
        typmodout Regproc, typanalyze Regproc, typalign Char, typstorage Char, typnotnull Bool,
        typbasetype Oid, typtypmod Int4, typndims Int4, typcollation Oid,
        typdefaultbin NodeTree null, typdefault Text null, typacl AclItemArray null,
    } => Some(type_rows);
    PG_ENUM = pg_catalog.pg_enum 3501 'r' {
        oid Oid, enumtypid Oid, enumsortorder Float4, enumlabel Name,
    } => Some(user_type::enum_rows);
    PG_RANGE = pg_catalog.pg_range 3541 'r' {
        rngtypid Oid, rngsubtype Oid, rngmultitypid Oid, rngcollation Oid, rngsubopc Oid,
        rngcanonical Regproc, rngsubdiff Regproc,
    } => None;
}

fn type_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for t in builtin_types() {
        rows.push(type_row_of(t, t.array))?;
    }
    for extension in &ctx.session.added().types {
        let ty = PgType::Extension(extension);
        let array = ty.clone().array_of().oid();
        for (oid, array) in [(ty.oid(), array), (array, 0)] {
            if let Some(t) = type_row(oid) {
                rows.push(type_row_of(&t, array))?;
            }
        }
    }
    user_type::rows(ctx, rows)?;
    row_type::rows(ctx, rows)
}

fn type_row_of(t: &BuiltinType, array: Oid) -> [Datum; 32] {
    row![
        t.oid,
        t.name,
        t.schema,
        oid::BOOTSTRAP_ROLE,
        t.len,
        t.by_value,
        t.kind,
        t.category,
        t.preferred,
        true,
        t.delimiter,
        0u32,
        t.subscript,
        t.element,
        array,
        t.input,
        t.output,
        t.receive,
        t.send,
        t.modifier_in,
        t.modifier_out,
        t.analyze,
        t.align,
        t.storage,
        false,
        t.base,
        t.base_typmod,
        0i32,
        t.collation,
        NULL,
        NULL,
        NULL,
    ]
}

fn cast_rows(_: &SystemContext, rows: &mut Rows) -> Result<()> {
    for c in builtin_casts() {
        rows.push(row![
            c.oid, c.source, c.target, c.function, c.context, c.method
        ])?;
    }
    Ok(())
}
