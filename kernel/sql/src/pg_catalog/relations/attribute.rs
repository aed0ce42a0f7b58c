//! `pg_attribute` and `pg_attrdef`: columns and their defaults.

use crate::catalog::model::{Oid, Table, oid};
use crate::ddl::index::column_names;
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::builtin::{C_COLLATION, DEFAULT_COLLATION, builtin_type};
use crate::pg_catalog::datum::{Datum, Type};
use crate::pg_catalog::deparse;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::pg_catalog::user_type::type_row;

relations! {
    PG_ATTRIBUTE = pg_catalog.pg_attribute 1249 'r' {
        attrelid Oid, attname Name, atttypid Oid, attstattarget Int4, attlen Int2, attnum Int2,
        attndims Int4, attcacheoff Int4, atttypmod Int4, attbyval Bool, attalign Char,
        attstorage Char, attcompression Char, attnotnull Bool, atthasdef Bool,
        atthasmissing Bool, attidentity Char, attgenerated Char, attisdropped Bool,
        attislocal Bool, attinhcount Int4, attcollation Oid, attacl AclItemArray null,
        attoptions TextArray null, attfdwoptions TextArray null, attmissingval AnyArray null,
    } => Some(attribute_rows);
    PG_ATTRDEF = pg_catalog.pg_attrdef 2604 'r' {
        oid Oid, adrelid Oid, adnum Int2, adbin NodeTree,
    } => Some(default_rows);
}

/// What tells one column from another.
struct Attribute<'a> {
    relation: Oid,
    name: &'a str,
    number: i16,
    type_oid: Oid,
    typmod: i32,
    not_null: bool,
    has_default: bool,
    has_missing: bool,
    identity: &'a str,
    generated: &'a str,
    dropped: bool,
    collation: Option<Oid>,
}

impl Attribute<'_> {
    fn row(&self, ctx: &SystemContext) -> [Datum; 26] {
        let ty = type_row(ctx, self.type_oid).unwrap_or_default();
        // The modifier of a domain is its type's.
        let typmod = if ty.base == 0 { self.typmod } else { -1 };
        let dimensions = i32::from(ty.category == 'A');
        let type_oid = if self.dropped { 0 } else { self.type_oid };
        row![
            self.relation,
            self.name,
            type_oid,
            -1i32,
            ty.len,
            self.number,
            dimensions,
            -1i32,
            typmod,
            ty.by_value,
            ty.align,
            ty.storage,
            "",
            self.not_null,
            self.has_default,
            self.has_missing,
            self.identity,
            self.generated,
            self.dropped,
            true,
            0i32,
            self.collation.unwrap_or(ty.collation),
            super::privilege::access(ctx, oid::PG_CLASS, self.relation, self.number.into()),
            NULL,
            NULL,
            NULL,
        ]
    }
}

fn attribute<'a>(
    relation: Oid,
    name: &'a str,
    place: usize,
    ty: Oid,
    typmod: i32,
) -> Attribute<'a> {
    Attribute {
        relation,
        name,
        number: place as i16 + 1,
        type_oid: ty,
        typmod,
        not_null: false,
        has_default: false,
        has_missing: false,
        identity: "",
        generated: "",
        dropped: false,
        collation: None,
    }
}

/// What PostgreSQL keeps with every row of a table: name, number and type.
const SYSTEM_COLUMNS: [(&str, i16, Oid); 6] = [
    ("ctid", -1, 27),
    ("xmin", -2, 28),
    ("cmin", -3, 29),
    ("xmax", -4, 28),
    ("cmax", -5, 29),
    ("tableoid", -6, 26),
];

/// The system columns of a relation. Tools that list all columns of a table by `pg_attribute` count on them;
/// queries can read none but the `tableoid` of system relations.
fn system_columns(ctx: &SystemContext, relation: Oid, rows: &mut Rows) -> Result<()> {
    for (name, number, ty) in SYSTEM_COLUMNS {
        let column = Attribute {
            number,
            not_null: true,
            ..attribute(relation, name, 0, ty, -1)
        };
        rows.push(column.row(ctx))?;
    }
    Ok(())
}

fn attribute_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for table in ctx.catalog.tables() {
        for (place, column) in table.columns.iter().enumerate() {
            let dropped_name = format!("........pg.dropped.{}........", place + 1);
            let row = Attribute {
                not_null: column.not_null && !column.dropped,
                has_default: (column.default.is_some() || column.generated.is_some())
                    && !column.dropped,
                has_missing: column.missing.is_some() && !column.dropped,
                identity: match &column.identity {
                    Some(identity) if identity.always => "a",
                    Some(_) => "d",
                    None => "",
                },
                generated: if column.generated.is_some() { "s" } else { "" },
                dropped: column.dropped,
                ..attribute(
                    table.oid,
                    if column.dropped {
                        &dropped_name
                    } else {
                        &column.name
                    },
                    place,
                    column.type_oid,
                    column.typmod,
                )
            };
            rows.push(row.row(ctx))?;
        }
        system_columns(ctx, table.oid, rows)?;
    }
    for index in ctx.catalog.indexes() {
        let Some(table) = ctx.catalog.table(index.table) else {
            continue;
        };
        let names = column_names(table, index);
        let of_column = |place| table.column_at(place).map(|c| (c.type_oid, c.typmod));
        let keys = index
            .columns
            .iter()
            .map(|part| match index.expression(part) {
                Some(e) => Some((e.type_oid, e.typmod)),
                None => of_column(part.column),
            });
        let included = index.included.iter().map(|place| of_column(*place));
        for ((place, part), name) in keys.chain(included).enumerate().zip(names) {
            let Some((ty, typmod)) = part else {
                continue;
            };
            rows.push(attribute(index.oid, &name, place, ty, typmod).row(ctx))?;
        }
    }
    for sequence in ctx.catalog.sequences() {
        let columns = [
            ("last_value", Type::Int8),
            ("log_cnt", Type::Int8),
            ("is_called", Type::Bool),
        ];
        for (place, (name, ty)) in columns.into_iter().enumerate() {
            let column = attribute(sequence.oid, name, place, ty.oid(), -1);
            rows.push(
                Attribute {
                    not_null: true,
                    ..column
                }
                .row(ctx),
            )?;
        }
        system_columns(ctx, sequence.oid, rows)?;
    }
    for view in ctx.catalog.views() {
        for (place, column) in view.columns.iter().enumerate() {
            let (ty, typmod) = (column.type_oid, column.typmod);
            rows.push(attribute(view.oid, &column.name, place, ty, typmod).row(ctx))?;
        }
    }
    for relation in super::all() {
        for (place, column) in relation.columns.iter().enumerate() {
            let ty = column.ty.oid();
            let row = Attribute {
                not_null: column.not_null,
                // System catalogs sort their text by bytes.
                collation: builtin_type(ty)
                    .filter(|t| t.collation == DEFAULT_COLLATION)
                    .map(|_| C_COLLATION),
                ..attribute(relation.oid, column.name, place, ty, -1)
            };
            rows.push(row.row(ctx))?;
        }
        if relation.kind == 'r' {
            system_columns(ctx, relation.oid, rows)?;
        }
    }
    Ok(())
}

fn default_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for table in ctx.catalog.tables() {
        for (number, expression) in defaults(table) {
            let tree = deparse::node_tree(Some(number), expression);
            rows.push(row![
                default_oid(table.oid, number),
                table.oid,
                number,
                tree
            ])?;
        }
    }
    Ok(())
}

/// The live columns with a default, or with what generates them: attribute number and expression.
pub fn defaults(table: &Table) -> impl Iterator<Item = (i16, &str)> {
    table.live_columns().filter_map(|(id, c)| {
        let generated = c.generated.as_ref().map(|g| g.expression.as_str());
        let expression = c.default.as_deref().or(generated)?;
        Some((id.0 as i16 + 1, expression))
    })
}

/// A default is part of its column here and has no oid of its own. This one is above all that are
/// given out, so that it meets no other object's.
pub fn default_oid(table: Oid, number: i16) -> Oid {
    0x8000_0000 | (table & 0xf_ffff) << 11 | Oid::from(number.unsigned_abs()) & 0x7ff
}
