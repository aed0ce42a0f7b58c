//! Types of users in the system catalogs: enums, domains, and the arrays of enums.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use parking_lot::Mutex;

use super::SystemContext;
use super::builtin::{self, BuiltinType, builtin_type};
use super::datum::Datum;
use super::names::{format_type, quote_ident};
use super::relation::{NULL, Rows, row};
use crate::catalog::model::{Oid, TypeDefinition, UserType};
use crate::error::Result;
use crate::names::on_path;
use crate::types::enumeration::sort_orders;

/// `enum_in`, `enum_out`, `enum_recv`, `enum_send`.
const ENUM_FUNCTIONS: [Oid; 4] = [3506, 3507, 3532, 3533];
/// `array_in`, `array_out`, `array_recv`, `array_send`.
const ARRAY_FUNCTIONS: [Oid; 4] = [750, 751, 2400, 2401];
/// `domain_in`, `domain_recv`.
const DOMAIN_FUNCTIONS: [Oid; 2] = [2597, 2598];
const ARRAY_SUBSCRIPT: Oid = 6179;
const ARRAY_ANALYZE: Oid = 3816;

/// A name as long as the process lives, as the rows of built-in types have theirs.
fn interned(name: &str) -> &'static str {
    static NAMES: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut names = NAMES.lock();
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(name);
    name
}

/// The row of any type.
pub fn type_row(ctx: &SystemContext, oid: Oid) -> Option<Cow<'static, BuiltinType>> {
    match ctx.catalog.types().find(oid) {
        Some((ty, is_array)) => row_of(ctx, ty, is_array).map(Cow::Owned),
        None => builtin::type_row(oid),
    }
}

fn row_of(ctx: &SystemContext, ty: &UserType, is_array: bool) -> Option<BuiltinType> {
    let base = BuiltinType {
        oid: ty.oid,
        name: interned(&ty.name),
        schema: ty.schema,
        delimiter: ",",
        base_typmod: -1,
        array: ty.array_oid,
        ..BuiltinType::default()
    };
    let of = |functions: [Oid; 4], row: BuiltinType| BuiltinType {
        input: functions[0],
        output: functions[1],
        receive: functions[2],
        send: functions[3],
        ..row
    };
    match &ty.definition {
        TypeDefinition::Enum(_) if is_array => {
            let row = BuiltinType {
                oid: ty.array_oid,
                name: interned(&format!("_{}", ty.name)),
                len: -1,
                kind: 'b',
                category: 'A',
                subscript: ARRAY_SUBSCRIPT,
                element: ty.oid,
                array: 0,
                analyze: ARRAY_ANALYZE,
                align: "i",
                storage: "x",
                ..base
            };
            Some(of(ARRAY_FUNCTIONS, row))
        }
        TypeDefinition::Enum(_) => {
            let row = BuiltinType {
                len: 4,
                by_value: true,
                kind: 'e',
                category: 'E',
                align: "i",
                storage: "p",
                ..base
            };
            Some(of(ENUM_FUNCTIONS, row))
        }
        TypeDefinition::Domain(domain) => {
            let of = type_row(ctx, domain.base)?;
            Some(BuiltinType {
                oid: ty.oid,
                name: base.name,
                schema: ty.schema,
                kind: 'd',
                preferred: false,
                subscript: 0,
                element: 0,
                array: 0,
                input: DOMAIN_FUNCTIONS[0],
                receive: DOMAIN_FUNCTIONS[1],
                modifier_in: 0,
                modifier_out: 0,
                base: domain.base,
                base_typmod: domain.typmod,
                ..of.into_owned()
            })
        }
    }
}

/// Rows of `pg_type`.
pub fn rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for ty in ctx.catalog.types().iter() {
        for is_array in [false, true] {
            if is_array && ty.array_oid == 0 {
                continue;
            }
            let Some(t) = row_of(ctx, ty, is_array) else {
                continue;
            };
            let domain = ty.domain();
            let default = domain.and_then(|domain| domain.default.as_deref());
            let default = default.map(|text| {
                let target = domain.map(|domain| (domain.base, domain.typmod));
                super::deparse::expression(ctx, text, None, target, false)
            });
            rows.push(row![
                t.oid,
                t.name,
                t.schema,
                ty.owner,
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
                t.array,
                t.input,
                t.output,
                t.receive,
                t.send,
                t.modifier_in,
                t.modifier_out,
                t.analyze,
                t.align,
                t.storage,
                domain.is_some_and(|domain| domain.not_null),
                t.base,
                t.base_typmod,
                0i32,
                t.collation,
                NULL,
                default,
                NULL,
            ])?;
        }
    }
    Ok(())
}

/// Rows of `pg_enum`.
pub fn enum_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for ty in ctx.catalog.types().iter() {
        let labels = ty.labels().unwrap_or_default();
        let keys: Vec<i64> = labels.iter().map(|label| label.key).collect();
        for (label, order) in labels.iter().zip(sort_orders(&keys)) {
            let order = Datum::Float(f64::from(order));
            rows.push(row![label.oid, ty.oid, order, &label.label])?;
        }
    }
    Ok(())
}

/// Whether a type is the one that its bare name finds; `None` for an oid that is no type of a user.
pub fn is_visible(ctx: &SystemContext, oid: Oid) -> Option<bool> {
    let (ty, _) = ctx.catalog.types().find(oid)?;
    Some(find(ctx, None, &ty.name) == Some(ty.oid))
}

/// As `format_type` prints it.
pub fn name(ctx: &SystemContext, oid: Oid) -> Option<String> {
    let (ty, is_array) = ctx.catalog.types().find(oid)?;
    let mut name = quote_ident(&ty.name);
    if is_visible(ctx, ty.oid) != Some(true) {
        let schema = ctx.schema_name(ty.schema).unwrap_or_default();
        name = format!("{}.{name}", quote_ident(&schema));
    }
    if is_array {
        name.push_str("[]");
    }
    Some(name)
}

/// The type of a name, in a schema or along the search path.
pub fn find(ctx: &SystemContext, schema: Option<&str>, name: &str) -> Option<Oid> {
    let path = ctx.effective_search_path();
    let in_schema = |schema: &str| {
        if schema == "pg_catalog" {
            return builtin::builtin_types()
                .iter()
                .find(|t| t.name == name)
                .map(|t| t.oid);
        }
        let schema = ctx.catalog.schema_by_name(schema)?;
        let types = ctx.catalog.types();
        types.named(schema.oid, name).map(|ty| ty.oid)
    };
    match schema {
        Some(schema) => in_schema(on_path(schema, &path)),
        None => path.iter().find_map(|schema| in_schema(schema)),
    }
}

/// The type of arrays of a type of a user.
pub fn array_of(ctx: &SystemContext, oid: Oid) -> Option<Oid> {
    let ty = ctx.catalog.types().get(oid)?;
    Some(ty.array_oid)
}

/// A type with its modifier, a built-in one too, as the definition of a column has it.
pub fn declared(ctx: &SystemContext, oid: Oid, typmod: i32) -> String {
    let typmod = match builtin_type(oid) {
        Some(_) => Some(typmod),
        None => Some(-1),
    };
    format_type(ctx, oid, typmod)
}
