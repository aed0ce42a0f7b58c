//! `information_schema`: the standard's views of the catalog, in PostgreSQL 15's shape.
//!
//! They show what the current user owns or may use; as long as privileges are those of ownership and
//! superusers, that is everything for a superuser and one's own objects for others.

pub mod domain;
pub mod element;
pub mod grants;
pub mod routine;

use crate::catalog::access::PUBLIC;
use crate::catalog::model::{ColumnId16, Constraint, ConstraintKind, Deferral, Oid, Table, oid};
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::builtin::{BuiltinType, builtin_type};
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::pg_catalog::user_type::type_row;
use crate::pg_catalog::{definition, names, relations as system};
use crate::privilege::acl::ObjectClass;

relations! {
    SCHEMATA = information_schema.schemata 13382 'v' {
        catalog_name SqlIdentifier, schema_name SqlIdentifier, schema_owner SqlIdentifier,
        default_character_set_catalog SqlIdentifier, default_character_set_schema SqlIdentifier,
        default_character_set_name SqlIdentifier, sql_path CharacterData,
    } => Some(schema_rows);
    TABLES = information_schema.tables 13425 'v' {
        table_catalog SqlIdentifier, table_schema SqlIdentifier, table_name SqlIdentifier,
        table_type CharacterData, self_referencing_column_name SqlIdentifier,
        reference_generation CharacterData, user_defined_type_catalog SqlIdentifier,
        user_defined_type_schema SqlIdentifier, user_defined_type_name SqlIdentifier,
        is_insertable_into YesOrNo, is_typed YesOrNo, commit_action CharacterData,
    } => Some(table_rows);
    COLUMNS = information_schema.columns 13295 'v' {
        table_catalog SqlIdentifier, table_schema SqlIdentifier, table_name SqlIdentifier,
        column_name SqlIdentifier, ordinal_position CardinalNumber, column_default CharacterData,
        is_nullable YesOrNo, data_type CharacterData, character_maximum_length CardinalNumber,
        character_octet_length CardinalNumber, numeric_precision CardinalNumber,
        numeric_precision_radix CardinalNumber, numeric_scale CardinalNumber,
        datetime_precision CardinalNumber, interval_type CharacterData,
        interval_precision CardinalNumber, character_set_catalog SqlIdentifier,
        character_set_schema SqlIdentifier, character_set_name SqlIdentifier,
        collation_catalog SqlIdentifier, collation_schema SqlIdentifier,
        collation_name SqlIdentifier, domain_catalog SqlIdentifier, domain_schema SqlIdentifier,
        domain_name SqlIdentifier, udt_catalog SqlIdentifier, udt_schema SqlIdentifier,
        udt_name SqlIdentifier, scope_catalog SqlIdentifier, scope_schema SqlIdentifier,
        scope_name SqlIdentifier, maximum_cardinality CardinalNumber,
        dtd_identifier SqlIdentifier, is_self_referencing YesOrNo, is_identity YesOrNo,
        identity_generation CharacterData, identity_start CharacterData,
        identity_increment CharacterData, identity_maximum CharacterData,
        identity_minimum CharacterData, identity_cycle YesOrNo, is_generated CharacterData,
        generation_expression CharacterData, is_updatable YesOrNo,
    } => Some(column_rows);
    TABLE_CONSTRAINTS = information_schema.table_constraints 13411 'v' {
        constraint_catalog SqlIdentifier, constraint_schema SqlIdentifier,
        constraint_name SqlIdentifier, table_catalog SqlIdentifier, table_schema SqlIdentifier,
        table_name SqlIdentifier, constraint_type CharacterData, is_deferrable YesOrNo,
        initially_deferred YesOrNo, enforced YesOrNo, nulls_distinct YesOrNo,
    } => Some(constraint_rows);
    KEY_COLUMN_USAGE = information_schema.key_column_usage 13329 'v' {
        constraint_catalog SqlIdentifier, constraint_schema SqlIdentifier,
        constraint_name SqlIdentifier, table_catalog SqlIdentifier, table_schema SqlIdentifier,
        table_name SqlIdentifier, column_name SqlIdentifier, ordinal_position CardinalNumber,
        position_in_unique_constraint CardinalNumber,
    } => Some(key_rows);
    REFERENTIAL_CONSTRAINTS = information_schema.referential_constraints 13339 'v' {
        constraint_catalog SqlIdentifier, constraint_schema SqlIdentifier,
        constraint_name SqlIdentifier, unique_constraint_catalog SqlIdentifier,
        unique_constraint_schema SqlIdentifier, unique_constraint_name SqlIdentifier,
        match_option CharacterData, update_rule CharacterData, delete_rule CharacterData,
    } => Some(reference_rows);
    CONSTRAINT_COLUMN_USAGE = information_schema.constraint_column_usage 13300 'v' {
        table_catalog SqlIdentifier, table_schema SqlIdentifier, table_name SqlIdentifier,
        column_name SqlIdentifier, constraint_catalog SqlIdentifier,
        constraint_schema SqlIdentifier, constraint_name SqlIdentifier,
    } => Some(column_usage_rows);
    CONSTRAINT_TABLE_USAGE = information_schema.constraint_table_usage 13305 'v' {
        table_catalog SqlIdentifier, table_schema SqlIdentifier, table_name SqlIdentifier,
        constraint_catalog SqlIdentifier, constraint_schema SqlIdentifier,
        constraint_name SqlIdentifier,
    } => Some(table_usage_rows);
    CHECK_CONSTRAINTS = information_schema.check_constraints 13260 'v' {
        constraint_catalog SqlIdentifier, constraint_schema SqlIdentifier,
        constraint_name SqlIdentifier, check_clause CharacterData,
    } => Some(check_rows);
    SEQUENCES = information_schema.sequences 13386 'v' {
        sequence_catalog SqlIdentifier, sequence_schema SqlIdentifier,
        sequence_name SqlIdentifier, data_type CharacterData, numeric_precision CardinalNumber,
        numeric_precision_radix CardinalNumber, numeric_scale CardinalNumber,
        start_value CharacterData, minimum_value CharacterData, maximum_value CharacterData,
        increment CharacterData, cycle_option YesOrNo,
    } => Some(sequence_rows);
    VIEWS = information_schema.views 13483 'v' {
        table_catalog SqlIdentifier, table_schema SqlIdentifier, table_name SqlIdentifier,
        view_definition CharacterData, check_option CharacterData, is_updatable YesOrNo,
        is_insertable_into YesOrNo, is_trigger_updatable YesOrNo, is_trigger_deletable YesOrNo,
        is_trigger_insertable_into YesOrNo,
    } => Some(view_rows);
}

const YES: &str = "YES";
const NO: &str = "NO";

fn yes_or_no(yes: bool) -> &'static str {
    if yes { YES } else { NO }
}

/// Whether the current user is told of a schema: there is something it may do with it.
fn shown_schema(ctx: &SystemContext, schema: Oid, owner: Oid) -> bool {
    let role = ctx.current_role();
    let on = role.on(&ctx.catalog, ObjectClass::Schema, schema, owner);
    role.has(owner) || !on.is_empty()
}

/// Whether the current user is told of a relation: it has some privilege on it, or on a column of it.
fn shown_relation(ctx: &SystemContext, relation: Oid, owner: Oid) -> bool {
    let role = ctx.current_role();
    if role.has(owner) {
        return true;
    }
    let mut lists = ctx.catalog.access_lists_of(relation);
    lists.any(|list| {
        let mut items = list.items.iter();
        items.any(|item| item.grantee == PUBLIC || role.holds(item.grantee))
    })
}

fn shown_tables(ctx: &SystemContext) -> impl Iterator<Item = &Table> {
    ctx.catalog
        .tables()
        .map(AsRef::as_ref)
        .filter(|t| shown_relation(ctx, t.oid, t.owner) && !is_of_others(ctx, t.schema))
}

/// Whether a schema has the temporary objects of another session.
fn is_of_others(ctx: &SystemContext, schema: Oid) -> bool {
    ctx.catalog.is_temporary(schema) && ctx.session.temporary_schema() != ctx.schema_name(schema)
}

fn shown_constraints(ctx: &SystemContext) -> impl Iterator<Item = (&Constraint, &Table)> {
    ctx.catalog.constraints().filter_map(|c| {
        let table = ctx.catalog.table(c.table)?;
        let is_shown =
            shown_relation(ctx, table.oid, table.owner) && !is_of_others(ctx, table.schema);
        is_shown.then_some((c.as_ref(), table.as_ref()))
    })
}

fn schema_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    let mut add = |name: &str, owner: Oid| {
        let owner = ctx.role_name(owner);
        rows.push(row![database.clone(), name, owner, NULL, NULL, NULL, NULL])
    };
    for (built_in, name) in [
        (oid::PG_CATALOG_SCHEMA, "pg_catalog"),
        (oid::INFORMATION_SCHEMA, "information_schema"),
    ] {
        if ctx.catalog.schema(built_in).is_none()
            && shown_schema(ctx, built_in, oid::BOOTSTRAP_ROLE)
        {
            add(name, oid::BOOTSTRAP_ROLE)?;
        }
    }
    for schema in ctx
        .catalog
        .schemas()
        .filter(|s| shown_schema(ctx, s.oid, s.owner))
    {
        add(&schema.name, schema.owner)?;
    }
    Ok(())
}

fn table_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    let mut add = |schema: Option<String>, name: &str, kind: &str, writable: bool| {
        rows.push(row![
            database.clone(),
            schema,
            name,
            kind,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            yes_or_no(writable),
            NO,
            NULL,
        ])
    };
    for t in shown_tables(ctx) {
        let kind = match ctx.catalog.is_temporary(t.schema) {
            true => "LOCAL TEMPORARY",
            false => "BASE TABLE",
        };
        add(ctx.schema_name(t.schema), &t.name, kind, true)?;
    }
    for v in ctx
        .catalog
        .views()
        .filter(|v| shown_relation(ctx, v.oid, v.owner))
    {
        add(ctx.schema_name(v.schema), &v.name, "VIEW", false)?;
    }
    for r in system::all() {
        let kind = if r.kind == 'v' { "VIEW" } else { "BASE TABLE" };
        add(Some(r.schema.to_owned()), r.name, kind, false)?;
    }
    Ok(())
}

/// What `columns` says of a column.
struct Shown<'a> {
    schema: Option<String>,
    table: &'a str,
    name: &'a str,
    position: i32,
    default: Option<String>,
    nullable: bool,
    ty: Oid,
    typmod: i32,
    /// The column's sequence, and whether it is GENERATED ALWAYS.
    identity: Option<(Oid, bool)>,
    /// Whether `default` is what generates it.
    is_generated: bool,
    writable: bool,
}

/// The facts about a type that `columns` spreads over its own.
struct Facets {
    length: Option<i32>,
    octets: Option<i32>,
    precision: Option<i32>,
    radix: Option<i32>,
    scale: Option<i32>,
    datetime: Option<i32>,
}

fn facets(ty: &BuiltinType, typmod: i32) -> Facets {
    const HEADER: i32 = 4;
    const OCTETS_PER_CHARACTER: i32 = 4;
    const OCTETS_MAX: i32 = 1 << 30;
    let mut f = Facets {
        length: None,
        octets: None,
        precision: None,
        radix: None,
        scale: None,
        datetime: None,
    };
    let number = |bits: i32, scale| (Some(bits), Some(2), scale);
    match ty.name {
        "varchar" | "bpchar" if typmod >= HEADER => {
            f.length = Some(typmod - HEADER);
            f.octets = Some((typmod - HEADER).saturating_mul(OCTETS_PER_CHARACTER));
        }
        "text" | "varchar" | "bpchar" => f.octets = Some(OCTETS_MAX),
        "int2" => (f.precision, f.radix, f.scale) = number(16, Some(0)),
        "int4" => (f.precision, f.radix, f.scale) = number(32, Some(0)),
        "int8" => (f.precision, f.radix, f.scale) = number(64, Some(0)),
        "float4" => (f.precision, f.radix, f.scale) = number(24, None),
        "float8" => (f.precision, f.radix, f.scale) = number(53, None),
        "numeric" => {
            f.radix = Some(10);
            if typmod >= HEADER {
                f.precision = Some(((typmod - HEADER) >> 16) & 0xffff);
                f.scale = Some((((typmod - HEADER) & 0x7ff) ^ 1024) - 1024);
            }
        }
        "date" => f.datetime = Some(0),
        "time" | "timestamp" | "timestamptz" => {
            f.datetime = Some(if typmod < 0 { 6 } else { typmod })
        }
        "interval" => {
            let precision = typmod & 0xffff;
            f.datetime = Some(if typmod < 0 || precision > 6 {
                6
            } else {
                precision
            });
        }
        _ => {}
    }
    f
}

impl Shown<'_> {
    fn row(&self, ctx: &SystemContext) -> [Datum; 44] {
        let database = ctx.session.database();
        let declared = type_row(ctx, self.ty).unwrap_or_default();
        let declared = declared.as_ref();
        // A domain shows its base type, and its own name beside it.
        let base = type_row(ctx, declared.base);
        let ty = base.as_deref().unwrap_or(declared);
        let typmod = if declared.base == 0 {
            self.typmod
        } else {
            declared.base_typmod
        };
        let domain = (declared.base != 0).then_some(declared);
        let facets = facets(ty, typmod);
        let data_type = if ty.category == 'A' && ty.len == -1 {
            "ARRAY".to_owned()
        } else if ty.schema == oid::PG_CATALOG_SCHEMA {
            names::format_type(ctx, ty.oid, None)
        } else {
            "USER-DEFINED".to_owned()
        };
        let sequence = self.identity.and_then(|(s, _)| ctx.catalog.sequence(s));
        let (default, generated_by) = match self.is_generated {
            true => (None, self.default.clone()),
            false => (self.default.clone(), None),
        };
        let generation = self
            .identity
            .map(|(_, always)| if always { "ALWAYS" } else { "BY DEFAULT" });
        row![
            database.clone(),
            self.schema.clone(),
            self.table,
            self.name,
            self.position,
            default,
            yes_or_no(self.nullable),
            data_type,
            facets.length,
            facets.octets,
            facets.precision,
            facets.radix,
            facets.scale,
            facets.datetime,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            domain.map(|_| database.clone()),
            domain.and_then(|d| ctx.schema_name(d.schema)),
            domain.map(|d| d.name),
            database,
            ctx.schema_name(ty.schema),
            ty.name,
            NULL,
            NULL,
            NULL,
            NULL,
            self.position.to_string(),
            NO,
            yes_or_no(self.identity.is_some()),
            generation,
            sequence.map(|s| s.start.to_string()),
            sequence.map(|s| s.increment.to_string()),
            sequence.map(|s| s.max.to_string()),
            sequence.map(|s| s.min.to_string()),
            yes_or_no(sequence.is_some_and(|s| s.cycle)),
            if self.is_generated { "ALWAYS" } else { "NEVER" },
            generated_by,
            yes_or_no(self.writable),
        ]
    }
}

fn column_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for t in shown_tables(ctx) {
        for (id, c) in t.live_columns() {
            let column = Shown {
                schema: ctx.schema_name(t.schema),
                table: &t.name,
                name: &c.name,
                position: i32::from(id.0) + 1,
                default: definition::default(ctx, t, id.0, false),
                nullable: !c.not_null,
                ty: c.type_oid,
                typmod: c.typmod,
                identity: c.identity.map(|i| (i.sequence, i.always)),
                is_generated: c.generated.is_some(),
                writable: true,
            };
            rows.push(column.row(ctx))?;
        }
    }
    for v in ctx
        .catalog
        .views()
        .filter(|v| shown_relation(ctx, v.oid, v.owner))
    {
        for (place, c) in (1..).zip(&v.columns) {
            let schema = ctx.schema_name(v.schema);
            rows.push(computed(schema, &v.name, &c.name, place, c.type_oid, c.typmod).row(ctx))?;
        }
    }
    for r in system::all() {
        for (place, c) in (1..).zip(r.columns) {
            let schema = Some(r.schema.to_owned());
            let column = computed(schema, r.name, c.name, place, c.ty.oid(), -1);
            rows.push(
                Shown {
                    nullable: !c.not_null,
                    ..column
                }
                .row(ctx),
            )?;
        }
    }
    Ok(())
}

fn computed<'a>(
    schema: Option<String>,
    table: &'a str,
    name: &'a str,
    position: i32,
    ty: Oid,
    typmod: i32,
) -> Shown<'a> {
    let (default, identity) = (None, None);
    Shown {
        schema,
        table,
        name,
        position,
        default,
        nullable: true,
        ty,
        typmod,
        identity,
        is_generated: false,
        writable: false,
    }
}

/// `schema_table_column_not_null`, the name the standard's views give a NOT NULL.
fn not_null_name(t: &Table, place: ColumnId16) -> String {
    format!("{}_{}_{}_not_null", t.schema, t.oid, place + 1)
}

fn constraint_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    let yes_or_no = |yes| if yes { YES } else { NO };
    let mut add = |t: &Table, name: &str, kind: &str, deferral, nulls_distinct: Option<&str>| {
        let schema = ctx.schema_name(t.schema);
        rows.push(row![
            database.clone(),
            schema.clone(),
            name,
            database.clone(),
            schema,
            &t.name,
            kind,
            yes_or_no(deferral != Deferral::NotDeferrable),
            yes_or_no(deferral == Deferral::InitiallyDeferred),
            YES,
            nulls_distinct,
        ])
    };
    for (c, t) in shown_constraints(ctx) {
        let (kind, nulls_distinct) = match &c.kind {
            ConstraintKind::PrimaryKey { .. } => ("PRIMARY KEY", None),
            ConstraintKind::Unique { .. } => ("UNIQUE", Some(YES)),
            ConstraintKind::Check { .. } | ConstraintKind::Plugin(_) => ("CHECK", None),
            ConstraintKind::ForeignKey(_) => ("FOREIGN KEY", None),
        };
        add(t, &c.name, kind, c.deferral(), nulls_distinct)?;
    }
    for t in shown_tables(ctx) {
        for (id, _) in t.live_columns().filter(|(_, c)| c.not_null) {
            let name = not_null_name(t, id.0);
            add(t, &name, "CHECK", Deferral::NotDeferrable, None)?;
        }
    }
    Ok(())
}

fn key_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    for (c, t) in shown_constraints(ctx) {
        if c.code() == 'c' {
            continue;
        }
        let schema = ctx.schema_name(t.schema);
        for (place, column) in c.columns().iter().enumerate() {
            let in_unique = match &c.kind {
                ConstraintKind::ForeignKey(fk) => {
                    position_in_index(ctx, fk.referenced_index, fk.referenced_columns.get(place))
                }
                _ => None,
            };
            rows.push(row![
                database.clone(),
                schema.clone(),
                &c.name,
                database.clone(),
                schema.clone(),
                &t.name,
                t.column_at(*column).map(|c| &c.name),
                place as i32 + 1,
                in_unique,
            ])?;
        }
    }
    Ok(())
}

fn position_in_index(ctx: &SystemContext, index: Oid, column: Option<&ColumnId16>) -> Option<i32> {
    let place = ctx
        .catalog
        .index(index)?
        .columns
        .iter()
        .position(|part| Some(&part.column) == column)?;
    Some(place as i32 + 1)
}

fn reference_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    for (c, t) in shown_constraints(ctx) {
        let ConstraintKind::ForeignKey(fk) = &c.kind else {
            continue;
        };
        // The constraint of the referenced key; there is none when a plain unique index serves.
        let key = ctx
            .catalog
            .index(fk.referenced_index)
            .and_then(|i| i.constraint)
            .and_then(|oid| ctx.catalog.constraint(oid));
        let key_schema = key
            .and_then(|k| ctx.catalog.table(k.table))
            .and_then(|t| ctx.schema_name(t.schema));
        rows.push(row![
            database.clone(),
            ctx.schema_name(t.schema),
            &c.name,
            key.map(|_| database.clone()),
            key_schema,
            key.map(|k| &k.name),
            if fk.full_match { "FULL" } else { "NONE" },
            fk.on_update.sql(),
            fk.on_delete.sql(),
        ])?;
    }
    Ok(())
}

/// The table and the columns a constraint speaks of: those it references, for a foreign key.
fn used<'a>(
    ctx: &'a SystemContext,
    c: &'a Constraint,
    t: &'a Table,
) -> (&'a Table, &'a [ColumnId16]) {
    match &c.kind {
        ConstraintKind::ForeignKey(fk) => {
            let table = ctx
                .catalog
                .table(fk.referenced_table)
                .map_or(t, AsRef::as_ref);
            (table, &fk.referenced_columns)
        }
        _ => (t, c.columns()),
    }
}

fn column_usage_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    for (c, t) in shown_constraints(ctx) {
        let (table, columns) = used(ctx, c, t);
        for column in columns {
            rows.push(row![
                database.clone(),
                ctx.schema_name(table.schema),
                &table.name,
                table.column_at(*column).map(|c| &c.name),
                database.clone(),
                ctx.schema_name(t.schema),
                &c.name,
            ])?;
        }
    }
    Ok(())
}

fn table_usage_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    for (c, t) in shown_constraints(ctx).filter(|(c, _)| c.code() != 'c') {
        let (table, _) = used(ctx, c, t);
        rows.push(row![
            database.clone(),
            ctx.schema_name(table.schema),
            &table.name,
            database.clone(),
            ctx.schema_name(t.schema),
            &c.name,
        ])?;
    }
    Ok(())
}

fn check_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    domain::check_rows(ctx, rows)?;
    let database = ctx.session.database();
    for (c, t) in shown_constraints(ctx) {
        if let Some(clause) = definition::check_clause(ctx, c) {
            rows.push(row![
                database.clone(),
                ctx.schema_name(t.schema),
                &c.name,
                clause
            ])?;
        }
    }
    for t in shown_tables(ctx) {
        for (id, c) in t.live_columns().filter(|(_, c)| c.not_null) {
            let clause = format!("{} IS NOT NULL", c.name);
            let name = not_null_name(t, id.0);
            rows.push(row![
                database.clone(),
                ctx.schema_name(t.schema),
                name,
                clause
            ])?;
        }
    }
    Ok(())
}

fn sequence_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    for s in ctx
        .catalog
        .sequences()
        .filter(|s| shown_relation(ctx, s.oid, s.owner))
    {
        // The sequence of an identity column is part of the column.
        if s.owned_by.is_some_and(|o| o.identity) {
            continue;
        }
        let bits = builtin_type(s.type_oid).map_or(64, |t| i32::from(t.len) * 8);
        rows.push(row![
            database.clone(),
            ctx.schema_name(s.schema),
            &s.name,
            names::format_type(ctx, s.type_oid, None),
            bits,
            2i32,
            0i32,
            s.start.to_string(),
            s.min.to_string(),
            s.max.to_string(),
            s.increment.to_string(),
            yes_or_no(s.cycle),
        ])?;
    }
    Ok(())
}

fn view_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let database = ctx.session.database();
    for v in ctx
        .catalog
        .views()
        .filter(|v| shown_relation(ctx, v.oid, v.owner))
    {
        rows.push(row![
            database.clone(),
            ctx.schema_name(v.schema),
            &v.name,
            definition::view(ctx, v, false),
            "NONE",
            NO,
            NO,
            NO,
            NO,
            NO,
        ])?;
    }
    Ok(())
}
