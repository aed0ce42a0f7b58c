//! `domains` and `domain_constraints`.

use super::{NO, facets};
use crate::catalog::model::{Domain, UserType};
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::deparse;
use crate::pg_catalog::names;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::pg_catalog::user_type::type_row;

relations! {
    DOMAINS = information_schema.domains 13320 'v' {
        domain_catalog SqlIdentifier, domain_schema SqlIdentifier, domain_name SqlIdentifier,
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
    } => Some(domain_rows);
    DOMAIN_CONSTRAINTS = information_schema.domain_constraints 13310 'v' {
        constraint_catalog SqlIdentifier, constraint_schema SqlIdentifier,
        constraint_name SqlIdentifier, domain_catalog SqlIdentifier, domain_schema SqlIdentifier,
        domain_name SqlIdentifier, is_deferrable YesOrNo, initially_deferred YesOrNo,
    } => Some(constraint_rows);
}

fn shown_domains(ctx: &SystemContext) -> impl Iterator<Item = (&UserType, &Domain)> {
    let types = ctx.catalog.types().iter();
    // Every role may use every type.
    types.filter_map(|ty| Some((ty.as_ref(), ty.domain()?)))
}

/// Rows of `domains`.
fn domain_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    for (ty, domain) in shown_domains(ctx) {
        let base = type_row(ctx, domain.base).unwrap_or_default();
        let facets = facets(&base, domain.typmod);
        let data_type = match (base.category, base.schema) {
            ('A', _) => "ARRAY".to_owned(),
            (_, crate::catalog::model::oid::PG_CATALOG_SCHEMA) => {
                names::format_type(ctx, base.oid, None)
            }
            _ => "USER-DEFINED".to_owned(),
        };
        let target = Some((domain.base, domain.typmod));
        let default = domain.default.as_deref();
        let default = default.map(|text| deparse::expression(ctx, text, None, target, false));
        rows.push(row![
            database.clone(),
            ctx.schema_name(ty.schema),
            &ty.name,
            data_type,
            facets.length,
            facets.octets,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            facets.precision,
            facets.radix,
            facets.scale,
            facets.datetime,
            NULL,
            NULL,
            default,
            database.clone(),
            ctx.schema_name(base.schema),
            base.name,
            NULL,
            NULL,
            NULL,
            NULL,
            "1",
        ])?;
    }
    Ok(())
}

/// Rows of `domain_constraints`.
fn constraint_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    for (ty, domain) in shown_domains(ctx) {
        for constraint in &domain.constraints {
            rows.push(row![
                database.clone(),
                ctx.schema_name(ty.schema),
                &constraint.name,
                database.clone(),
                ctx.schema_name(ty.schema),
                &ty.name,
                NO,
                NO,
            ])?;
        }
    }
    Ok(())
}

/// Their rows of `check_constraints`.
pub(super) fn check_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for (ty, domain) in shown_domains(ctx) {
        for constraint in &domain.constraints {
            let clause = deparse::of_domain(ctx, ty.oid, &constraint.expression, false);
            rows.push(row![
                ctx.session.database(),
                ctx.schema_name(ty.schema),
                &constraint.name,
                format!("({clause})")
            ])?;
        }
    }
    Ok(())
}
