//! The layout of an interface as text: the same for every build that is binary compatible.
//!
//! A type of this package is written out once: name, size, alignment, fields or variants, and for
//! functions their parameters. Other types are named with their size. What may differ between
//! compatible builds is left out: addresses, lines, versions of packages.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use abi_stable::type_layout::{TLData, TLField, TLFunction, TypeLayout};

/// The package whose types are written out.
const OURS: &str = env!("CARGO_PKG_NAME");

pub fn describe(root: &'static TypeLayout) -> String {
    let mut text = String::new();
    let mut seen = BTreeSet::new();
    let mut pending = vec![root];
    let mut foreign = BTreeSet::new();
    while let Some(layout) = pending.pop() {
        let name = name(layout);
        if !seen.insert(name.clone()) {
            continue;
        }
        let inner = parts(layout);
        if layout.package() == OURS {
            define(&name, layout, &mut text);
        } else if !matches!(layout.data(), TLData::Primitive(_)) {
            let (size, align) = (layout.size(), layout.alignment());
            foreign.insert(format!("{name}: size {size} align {align}\n"));
        }
        pending.extend(arguments(layout).into_iter().rev());
        pending.extend(inner.into_iter().rev());
    }
    text.extend(foreign);
    text
}

fn name(layout: &'static TypeLayout) -> String {
    let own = layout.full_type().to_string();
    let own = own.split_whitespace().collect::<Vec<_>>().join(" ");
    let arguments: Vec<String> = arguments(layout).into_iter().map(name).collect();
    match arguments.as_slice() {
        [] => own,
        _ if layout.package() == OURS || matches!(layout.data(), TLData::Primitive(_)) => own,
        arguments => format!("{}<{}>", layout.name(), arguments.join(", ")),
    }
}

/// What a list, an option or a pointer holds. abi_stable keeps the parameters of its own generic
/// types as types of fields.
fn arguments(layout: &'static TypeLayout) -> Vec<&'static TypeLayout> {
    let own = layout.generics().type_params().iter().map(|get| get());
    let fields = layout.get_fields().map(|f| f.to_vec()).unwrap_or_default();
    let fields = fields.iter().map(|field| field.layout());
    match layout.name() {
        "RResult" | "ROption" => fields.collect(),
        "RVec" | "RSlice" => fields.take(1).map(pointee).collect(),
        _ => own.collect(),
    }
}

fn pointee(layout: &'static TypeLayout) -> &'static TypeLayout {
    let mut held = layout.generics().type_params().iter().map(|get| get());
    let mut fields = layout.get_fields().into_iter().flat_map(|f| f.to_vec());
    match (held.next(), fields.next()) {
        (Some(held), _) => held,
        (None, Some(pointer)) => pointee(pointer.layout()),
        (None, None) => layout,
    }
}

/// The types that the definition of a type names.
fn parts(layout: &'static TypeLayout) -> Vec<&'static TypeLayout> {
    if layout.package() != OURS {
        return Vec::new();
    }
    let mut inner = Vec::new();
    for field in layout.get_fields().into_iter().flat_map(|f| f.to_vec()) {
        if !field.is_function() {
            inner.push(field.layout());
        }
        for function in field.function_range().iter() {
            inner.extend(function.param_type_layouts.iter().map(|get| get()));
            inner.extend(function.return_type_layout().map(|get| get()));
        }
    }
    inner
}

fn define(name: &str, layout: &'static TypeLayout, text: &mut String) {
    let (size, align) = (layout.size(), layout.alignment());
    let repr = format!("{:?}", layout.repr_attr());
    let mut line = |depth: usize, what: String| {
        let _ = writeln!(text, "{}{what}", "  ".repeat(depth));
    };
    let head = |kind: &str| format!("{kind} {name}: repr {repr} size {size} align {align}");
    match layout.data() {
        TLData::Struct { fields } => {
            line(0, head("struct"));
            fields.iter().for_each(|f| line(1, member(&f)));
        }
        TLData::PrefixType(prefix) => {
            line(0, head("prefix"));
            for (i, field) in prefix.fields.iter().enumerate() {
                let part = if i < usize::from(prefix.first_suffix_field) {
                    "fixed"
                } else {
                    "later"
                };
                line(1, format!("{part} {}", member(&field)));
            }
        }
        TLData::Enum(variants) => {
            line(0, head("enum"));
            let mut fields = variants.fields.iter();
            let counts = variants.field_count.iter();
            for (name, count) in variants.variant_names_iter().zip(counts) {
                line(1, name.to_owned());
                let of_variant = fields.by_ref().take(usize::from(*count));
                of_variant.for_each(|f| line(2, member(&f)));
            }
        }
        TLData::Union { fields } => {
            line(0, head("union"));
            fields.iter().for_each(|f| line(1, member(&f)));
        }
        TLData::Opaque | TLData::Primitive(_) => line(0, head("opaque")),
    }
}

fn member(field: &TLField) -> String {
    let functions: Vec<String> = field
        .function_range()
        .iter()
        .map(|f| function(&f))
        .collect();
    let name = field.name();
    match functions.as_slice() {
        [function] if field.is_function() => format!("{name}: {function}"),
        [] => format!("{name}: {}", self::name(field.layout())),
        several => format!(
            "{name}: {} of {}",
            self::name(field.layout()),
            several.join(", ")
        ),
    }
}

fn function(function: &TLFunction) -> String {
    let names = function.param_names.as_str().split([',', ';']);
    let types = function.param_type_layouts.iter().map(|get| name(get()));
    let parameters: Vec<String> = types
        .zip(names.chain(std::iter::repeat("")))
        .map(|(ty, name)| match name {
            "" => ty,
            name => format!("{name}: {ty}"),
        })
        .collect();
    let returns = function
        .return_type_layout()
        .map_or("()".to_owned(), |get| name(get()));
    let unsafety = if function.fn_qualifs.is_unsafe() {
        "unsafe "
    } else {
        ""
    };
    let lifetimes = function.paramret_lifetime_indices;
    let lifetimes: Vec<String> = lifetimes
        .as_slice()
        .iter()
        .map(|pair| format!("{pair:?}"))
        .collect();
    format!(
        "{unsafety}fn({}) -> {returns} [{}]",
        parameters.join(", "),
        lifetimes.join(" ")
    )
}
