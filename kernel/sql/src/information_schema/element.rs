//! The types of the elements of array columns.

use super::shown_relation;
use crate::catalog::model::Oid;
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::names;
use crate::pg_catalog::relation::{NULL, Rows, relations};
use crate::pg_catalog::user_type::type_row;

relations! {
    ELEMENT_TYPES = information_schema.element_types 13493 'v' {
        object_catalog SqlIdentifier, object_schema SqlIdentifier, object_name SqlIdentifier,
        object_type CharacterData, collection_type_identifier SqlIdentifier,
        data_type CharacterData, character_maximum_length CardinalNumber,
        character_octet_length CardinalNumber, character_set_catalog SqlIdentifier,
        character_set_schema SqlIdentifier, character_set_name SqlIdentifier,
        collation_catalog SqlIdentifier, collation_schema SqlIdentifier,
        collation_name SqlIdentifier, numeric_precision CardinalNumber,
        numeric_precision_radix CardinalNumber, numeric_scale CardinalNumber,
        datetime_precision CardinalNumber, interval_type CharacterData,
        interval_precision CardinalNumber, domain_default CharacterData,
        udt_catalog SqlIdentifier, udt_schema SqlIdentifier, udt_name SqlIdentifier,
        scope_catalog SqlIdentifier, scope_schema SqlIdentifier, scope_name SqlIdentifier,
        maximum_cardinality CardinalNumber, dtd_identifier SqlIdentifier,
    } => Some(element_rows);
}

fn element_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for t in ctx
        .catalog
        .tables()
        .filter(|t| shown_relation(ctx, t.oid, t.owner))
    {
        for (id, column) in t.live_columns() {
            let object = (t.schema, t.name.as_str(), "TABLE");
            push(ctx, rows, object, usize::from(id.0) + 1, column.type_oid)?;
        }
    }
    for v in ctx
        .catalog
        .views()
        .filter(|v| shown_relation(ctx, v.oid, v.owner))
    {
        for (place, column) in v.columns.iter().enumerate() {
            let object = (v.schema, v.name.as_str(), "TABLE");
            push(ctx, rows, object, place + 1, column.type_oid)?;
        }
    }
    Ok(())
}

fn push(
    ctx: &SystemContext,
    rows: &mut Rows,
    (schema, name, kind): (Oid, &str, &str),
    number: usize,
    ty: Oid,
) -> Result<()> {
    let element = type_row(ctx, ty).filter(|t| t.category == 'A' && t.element != 0);
    let Some(element) = element.and_then(|t| type_row(ctx, t.element)) else {
        return Ok(());
    };
    let database = ctx.session.database();
    let mut row: Vec<Datum> = vec![
        database.clone().into(),
        ctx.schema_name(schema).into(),
        name.into(),
        kind.into(),
        number.to_string().into(),
        names::format_type(ctx, element.oid, None).into(),
    ];
    // PostgreSQL says nothing of lengths and precisions here.
    row.resize(21, NULL);
    row.extend([
        Datum::from(database),
        ctx.schema_name(element.schema).into(),
        element.name.into(),
    ]);
    row.resize(ELEMENT_TYPES.columns.len() - 1, NULL);
    row.push(format!("a{number}").into());
    rows.extend(row)
}
