//! `routines` and `parameters`: the functions and procedures of users.
//!
//! PostgreSQL lists its own functions here as well; ours are in `pg_proc` and nowhere else.

use std::sync::Arc;

use super::yes_or_no;
use crate::catalog::access::Privileges;
use crate::catalog::model::{Oid, ParameterMode, Routine, RoutineKind, RoutineVolatility, oid};
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::pg_catalog::user_type::type_row;
use crate::pg_catalog::{names, routine, row_type};
use crate::privilege::acl::ObjectClass;
use crate::privilege::authority;

relations! {
    ROUTINES = information_schema.routines 13377 'v' {
        specific_catalog SqlIdentifier, specific_schema SqlIdentifier,
        specific_name SqlIdentifier, routine_catalog SqlIdentifier, routine_schema SqlIdentifier,
        routine_name SqlIdentifier, routine_type CharacterData, module_catalog SqlIdentifier,
        module_schema SqlIdentifier, module_name SqlIdentifier, udt_catalog SqlIdentifier,
        udt_schema SqlIdentifier, udt_name SqlIdentifier, data_type CharacterData,
        character_maximum_length CardinalNumber, character_octet_length CardinalNumber,
        character_set_catalog SqlIdentifier, character_set_schema SqlIdentifier,
        character_set_name SqlIdentifier, collation_catalog SqlIdentifier,
        collation_schema SqlIdentifier, collation_name SqlIdentifier,
        numeric_precision CardinalNumber, numeric_precision_radix CardinalNumber,
        numeric_scale CardinalNumber, datetime_precision CardinalNumber,
        interval_type CharacterData, interval_precision CardinalNumber,
        type_udt_catalog SqlIdentifier, type_udt_schema SqlIdentifier,
        type_udt_name SqlIdentifier, scope_catalog SqlIdentifier, scope_schema SqlIdentifier,
        scope_name SqlIdentifier, maximum_cardinality CardinalNumber,
        dtd_identifier SqlIdentifier, routine_body CharacterData,
        routine_definition CharacterData, external_name CharacterData,
        external_language CharacterData, parameter_style CharacterData,
        is_deterministic YesOrNo, sql_data_access CharacterData, is_null_call YesOrNo,
        sql_path CharacterData, schema_level_routine YesOrNo,
        max_dynamic_result_sets CardinalNumber, is_user_defined_cast YesOrNo,
        is_implicitly_invocable YesOrNo, security_type CharacterData,
        to_sql_specific_catalog SqlIdentifier, to_sql_specific_schema SqlIdentifier,
        to_sql_specific_name SqlIdentifier, as_locator YesOrNo, created TimeStamp,
        last_altered TimeStamp, new_savepoint_level YesOrNo, is_udt_dependent YesOrNo,
        result_cast_from_data_type CharacterData, result_cast_as_locator YesOrNo,
        result_cast_char_max_length CardinalNumber, result_cast_char_octet_length CardinalNumber,
        result_cast_char_set_catalog SqlIdentifier, result_cast_char_set_schema SqlIdentifier,
        result_cast_char_set_name SqlIdentifier, result_cast_collation_catalog SqlIdentifier,
        result_cast_collation_schema SqlIdentifier, result_cast_collation_name SqlIdentifier,
        result_cast_numeric_precision CardinalNumber,
        result_cast_numeric_precision_radix CardinalNumber,
        result_cast_numeric_scale CardinalNumber, result_cast_datetime_precision CardinalNumber,
        result_cast_interval_type CharacterData, result_cast_interval_precision CardinalNumber,
        result_cast_type_udt_catalog SqlIdentifier, result_cast_type_udt_schema SqlIdentifier,
        result_cast_type_udt_name SqlIdentifier, result_cast_scope_catalog SqlIdentifier,
        result_cast_scope_schema SqlIdentifier, result_cast_scope_name SqlIdentifier,
        result_cast_maximum_cardinality CardinalNumber,
        result_cast_dtd_identifier SqlIdentifier,
    } => Some(routine_rows);
    PARAMETERS = information_schema.parameters 13334 'v' {
        specific_catalog SqlIdentifier, specific_schema SqlIdentifier,
        specific_name SqlIdentifier, ordinal_position CardinalNumber,
        parameter_mode CharacterData, is_result YesOrNo, as_locator YesOrNo,
        parameter_name SqlIdentifier, data_type CharacterData,
        character_maximum_length CardinalNumber, character_octet_length CardinalNumber,
        character_set_catalog SqlIdentifier, character_set_schema SqlIdentifier,
        character_set_name SqlIdentifier, collation_catalog SqlIdentifier,
        collation_schema SqlIdentifier, collation_name SqlIdentifier,
        numeric_precision CardinalNumber, numeric_precision_radix CardinalNumber,
        numeric_scale CardinalNumber, datetime_precision CardinalNumber,
        interval_type CharacterData, interval_precision CardinalNumber,
        udt_catalog SqlIdentifier, udt_schema SqlIdentifier, udt_name SqlIdentifier,
        scope_catalog SqlIdentifier, scope_schema SqlIdentifier, scope_name SqlIdentifier,
        maximum_cardinality CardinalNumber, dtd_identifier SqlIdentifier,
        parameter_default CharacterData,
    } => Some(parameter_rows);
}

/// Those that the role may call, or has.
fn shown_routines(ctx: &SystemContext) -> impl Iterator<Item = &Arc<Routine>> {
    let role = ctx.current_role();
    ctx.catalog.routines().iter().filter(move |r| {
        let class = ObjectClass::Function;
        let acl = authority::acl_of(&ctx.catalog, class, r.oid, 0, r.owner);
        let holds = |held| role.holds(held);
        role.has(r.owner) || acl.privileges(holds).contains(Privileges::EXECUTE)
    })
}

/// What tells overloads apart: the name and the oid.
fn specific_name(routine: &Routine) -> String {
    format!("{}_{}", routine.name, routine.oid)
}

/// What the standard calls a type, and its schema and name.
fn type_names(ctx: &SystemContext, ty: Oid) -> (Datum, Datum, Datum) {
    if let Some(row) = type_row(ctx, ty) {
        let data_type = match (row.category, row.schema) {
            ('A', _) if row.element != 0 && row.len == -1 => "ARRAY".to_owned(),
            (_, oid::PG_CATALOG_SCHEMA) => names::format_type(ctx, row.oid, None),
            _ => "USER-DEFINED".to_owned(),
        };
        let schema = ctx.schema_name(row.schema);
        return (data_type.into(), schema.into(), row.name.into());
    }
    match row_type::relation_of(ctx, ty) {
        Some((relation, is_array)) => {
            let schema = ctx.schema_name(relation.schema());
            let name = relation.name();
            match is_array {
                true => ("ARRAY".into(), schema.into(), format!("_{name}").into()),
                false => ("USER-DEFINED".into(), schema.into(), name.to_owned().into()),
            }
        }
        None => (NULL, NULL, NULL),
    }
}

/// Rows of `routines`.
fn routine_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    let role = ctx.current_role();
    for r in shown_routines(ctx) {
        let is_function = r.kind == RoutineKind::Function;
        let schema = ctx.schema_name(r.schema);
        let (data_type, type_schema, type_name) = match is_function {
            true => type_names(ctx, routine::result_type(r)),
            false => (NULL, NULL, NULL),
        };
        let of_function = |value: Datum| if is_function { value } else { NULL };
        let mut row: Vec<Datum> = row![
            database.clone(),
            schema.clone(),
            specific_name(r),
            database.clone(),
            schema,
            &r.name,
            match is_function {
                true => "FUNCTION",
                false => "PROCEDURE",
            },
        ]
        .into();
        row.resize(13, NULL);
        row.push(data_type);
        row.resize(28, NULL);
        row.extend([of_function(database.clone().into()), type_schema, type_name]);
        row.resize(35, NULL);
        let definition = role.has(r.owner).then(|| r.body.clone());
        row.extend(row![
            of_function("0".into()),
            "SQL",
            definition,
            NULL,
            "SQL",
            "GENERAL",
            yes_or_no(r.volatility == RoutineVolatility::Immutable),
            "MODIFIES",
            of_function(yes_or_no(r.strict).into()),
            NULL,
            "YES",
            0i32,
            NULL,
            NULL,
            match r.definer {
                true => "DEFINER",
                false => "INVOKER",
            },
            NULL,
            NULL,
            NULL,
            "NO",
            NULL,
            NULL,
            NULL,
            "NO",
        ]);
        row.resize(ROUTINES.columns.len(), NULL);
        rows.extend(row)?;
    }
    Ok(())
}

/// Rows of `parameters`.
fn parameter_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    let role = ctx.current_role();
    for r in shown_routines(ctx) {
        for (place, parameter) in r.parameters.iter().enumerate() {
            let number = i32::try_from(place + 1).unwrap_or(i32::MAX);
            let (data_type, type_schema, type_name) = type_names(ctx, parameter.type_oid);
            let mut row: Vec<Datum> = row![
                database.clone(),
                ctx.schema_name(r.schema),
                specific_name(r),
                number,
                match parameter.mode {
                    ParameterMode::In | ParameterMode::Variadic => "IN",
                    ParameterMode::InOut => "INOUT",
                    ParameterMode::Out | ParameterMode::Table => "OUT",
                },
                "NO",
                "NO",
                parameter.name.clone(),
                data_type,
            ]
            .into();
            row.resize(23, NULL);
            row.extend([Datum::from(database.clone()), type_schema, type_name]);
            row.resize(30, NULL);
            let default = role.has(r.owner).then(|| routine::default(ctx, parameter));
            row.extend(row![number.to_string(), default.flatten()]);
            rows.extend(row)?;
        }
    }
    Ok(())
}
