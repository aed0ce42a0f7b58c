//! The functions of plugins as the planner has them.
//!
//! A declared function becomes an [`Overload`] beside the built-in ones: its types are resolved and
//! cast by the same rules, its volatility decides what is folded, and a call crosses to the plugin
//! with whole columns. An argument that is one value for all rows crosses as one value, so that a
//! plugin may prepare what is costly (a pattern, a schema) once.
//!
//! A strict function never sees a NULL: rows with one are taken out before the call and are NULL in
//! the result.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, new_empty_array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{filter, take};
use datafusion::logical_expr::ColumnarValue;
use heliosdb_plugin_api::Argument;
use heliosdb_plugin_api::manifest::{self, FunctionKind};
use heliosdb_plugin_host::PluginHost;
use heliosdb_plugin_host::active::function::Function;
use heliosdb_plugin_host::names::NameKind;
use heliosdb_plugin_host::registry::Registry;

use super::availability::Availability;
use super::crossing::Declared;
use super::{aggregate, described, operators, table_function, types};
use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError};
use crate::functions::Functions;
use crate::functions::named_types::NamedTypes;
use crate::pg_catalog::Added;
use crate::semantics::function::PgFunction;
use crate::semantics::overload::{Call, Overload, Param, ResultType, Volatility};

/// What plugins add for the statements of one database.
#[derive(Debug, Default)]
pub(crate) struct PluginFunctions {
    pub functions: Arc<Functions>,
    /// The same in the system catalogs.
    pub added: Arc<Added>,
}

impl PluginFunctions {
    /// Those of the plugins that are installed in a catalog.
    /// Types and routines of users are looked for along `path`.
    pub fn new(
        host: &Arc<PluginHost>,
        catalog: &Arc<CatalogSnapshot>,
        path: Vec<String>,
    ) -> PluginFunctions {
        let registry = host.registry();
        let is_installed = |plugin: &str| catalog.is_installed(plugin);
        let mut functions = functions(&registry, &is_installed);
        functions.set_hint(hint(host.clone(), registry.clone(), catalog.clone()));
        functions.set_routines(crate::routine::Index::new(catalog, path.clone()));
        functions.set_named_types(NamedTypes {
            catalog: catalog.clone(),
            path,
        });
        PluginFunctions {
            added: Arc::new(described::added(&registry, &is_installed)),
            functions: Arc::new(functions),
        }
    }
}

fn functions(registry: &Arc<Registry>, is_installed: &impl Fn(&str) -> bool) -> Functions {
    let mut functions = Functions::default();
    for ty in types::installed(registry, is_installed) {
        functions.add_type(ty);
    }
    let installed = || {
        registry
            .functions()
            .iter()
            .filter(|f| is_installed(f.plugin()))
    };
    let by_name = |kind| {
        let mut overloads: BTreeMap<&str, Vec<&Arc<Function>>> = BTreeMap::new();
        for f in installed().filter(|f| f.declared.kind == kind) {
            overloads.entry(&f.declared.name).or_default().push(f);
        }
        overloads
    };
    for (name, list) in by_name(FunctionKind::Scalar) {
        let overloads = list.into_iter().filter_map(scalar).collect();
        functions.add_scalar(PgFunction::udf(name, overloads));
    }
    for (name, list) in by_name(FunctionKind::Aggregate) {
        functions.add_aggregate(aggregate::udaf(name, &list));
    }
    for (name, list) in by_name(FunctionKind::Table) {
        table_function::add(&mut functions, name, &list);
    }
    for (symbol, list) in operators::by_symbol(registry, is_installed) {
        operators::add(&mut functions, symbol, &list);
    }
    functions
}

/// The types of a function's declaration.
pub(super) struct Types {
    pub arguments: Vec<Declared>,
    pub variadic: bool,
}

impl Types {
    /// `None` when a value of one of the types cannot cross; the function is then left out.
    pub fn of(function: &Function) -> Option<Types> {
        let signature = &function.declared;
        let arguments = signature.arguments.iter();
        Some(Types {
            arguments: arguments
                .map(|name| declared(function, name))
                .collect::<Option<_>>()?,
            variadic: signature.variadic,
        })
    }

    /// Of the argument at a place. The last one stands for all that follow where it may repeat.
    pub fn argument(&self, at: usize) -> &Declared {
        let last = self.arguments.len().saturating_sub(1);
        &self.arguments[at.min(last)]
    }

    pub fn params(&self) -> Vec<Param> {
        self.arguments.iter().map(Declared::param).collect()
    }

    /// Columns as they cross: a constant as one value.
    pub fn outward(&self, args: &[ColumnarValue], call: &Call<'_>) -> Result<Vec<Argument>> {
        args.iter()
            .enumerate()
            .map(|(i, a)| {
                let (array, constant) = match a {
                    ColumnarValue::Array(array) => (array.clone(), false),
                    ColumnarValue::Scalar(value) => (value.to_array()?, true),
                };
                let array = self.argument(i).outward(&array, &call.vars.format)?;
                Ok(Argument::new(array, constant))
            })
            .collect()
    }

    pub fn overload(
        &self,
        function: &Function,
        result: ResultType,
        kernel: impl Fn(&[ColumnarValue], &Call<'_>) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Overload {
        Overload {
            params: self.params(),
            variadic: self.variadic,
            result,
            volatility: match function.declared.volatility {
                manifest::Volatility::Immutable => Volatility::Immutable,
                manifest::Volatility::Stable => Volatility::Stable,
                manifest::Volatility::Volatile => Volatility::Volatile,
            },
            kernel: Arc::new(kernel),
            one_type: false,
            chosen: None,
            ambiguous: false,
        }
    }
}

/// The type that a function declares under this name.
pub(super) fn declared(function: &Function, name: &str) -> Option<Declared> {
    let found = Declared::parse(name);
    if found.is_none() {
        tracing::warn!(
            "function {} of plugin {} is left out: no value of type {name} can cross",
            function.declared.name,
            function.plugin()
        );
    }
    found
}

pub(super) fn scalar(function: &Arc<Function>) -> Option<Overload> {
    let types = Types::of(function)?;
    let returns = declared(function, &function.declared.returns)?;
    let Declared::One { ty, .. } = &returns else {
        return None;
    };
    let result = ResultType::Is(ty.clone());
    let called = Scalar {
        function: function.clone(),
        types: Types::of(function)?,
        returns,
    };
    Some(types.overload(function, result, move |args, call| {
        called.invoke(args, call)
    }))
}

struct Scalar {
    function: Arc<Function>,
    types: Types,
    returns: Declared,
}

impl Scalar {
    /// Calls the function for every row.
    fn invoke(&self, args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
        if call.rows == 0 {
            return Ok(new_empty_array(call.result));
        }
        let arguments = self.types.outward(args, call)?;
        if !self.function.declared.strict {
            return self.run(&arguments, call.rows, call);
        }
        let complete = match complete_rows(&arguments, call.rows) {
            Complete::All => return self.run(&arguments, call.rows, call),
            Complete::None => return Ok(new_null_array(call.result, call.rows)),
            Complete::Some(complete) => complete,
        };
        let arguments = arguments
            .iter()
            .map(|a| match a.is_constant() {
                true => Ok(a.clone()),
                false => Ok(Argument::new(filter(a.array(), &complete)?, false)),
            })
            .collect::<Result<Vec<_>>>()?;
        let values = self.run(&arguments, complete.true_count(), call)?;
        let mut next = 0..;
        let places: UInt32Array = complete
            .values()
            .iter()
            .map(|there| if there { next.next() } else { None })
            .collect();
        Ok(take(&values, &places, None)?)
    }

    fn run(&self, arguments: &[Argument], rows: usize, call: &Call<'_>) -> Result<ArrayRef> {
        let services = call.vars.services()?;
        let Declared::One { arrow, .. } = &self.returns else {
            return Err(SqlError::internal("a function returns any type"));
        };
        let values = self.function.call(&**services, arguments, rows, arrow)?;
        self.returns.inward(values, &call.vars.format)
    }
}

/// The rows that have no NULL in any argument.
enum Complete {
    All,
    None,
    Some(BooleanArray),
}

fn complete_rows(arguments: &[Argument], rows: usize) -> Complete {
    let mut nulls: Option<NullBuffer> = None;
    for a in arguments {
        let of = a.array().logical_nulls();
        if a.is_constant() {
            if of.is_some_and(|n| n.null_count() > 0) {
                return Complete::None;
            }
            continue;
        }
        nulls = NullBuffer::union(nulls.as_ref(), of.as_ref());
    }
    match nulls {
        Some(nulls) if nulls.null_count() == rows => Complete::None,
        Some(nulls) if nulls.null_count() > 0 => {
            Complete::Some(BooleanArray::new(nulls.into_inner(), None))
        }
        _ => Complete::All,
    }
}

/// Why a name that a plugin has is not there.
fn hint(
    host: Arc<PluginHost>,
    registry: Arc<Registry>,
    catalog: Arc<CatalogSnapshot>,
) -> impl Fn(&str) -> Option<String> + Send + Sync {
    move |name| {
        let (kind, bare) = if let Some(symbol) = name.strip_prefix('$') {
            (NameKind::Operator, symbol)
        } else if let Some(ty) = name.strip_prefix("type ") {
            (NameKind::Type, ty)
        } else {
            (NameKind::Function, name)
        };
        let claimed = registry.claimed(kind, bare);
        let plugin = match &claimed {
            Some(claimed) => &*claimed.plugin,
            None => remembered(&catalog, kind, bare)?,
        };
        let availability = Availability::of(&host, &catalog, plugin);
        let mut what_to_do = availability.hint(plugin)?;
        if let Some(first) = what_to_do.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Some(format!(
            "Plugin \"{plugin}\", which has it, is {availability}. {what_to_do}"
        ))
    }
}

/// The installed extension that had a name when its plugin was last there.
fn remembered<'c>(catalog: &'c CatalogSnapshot, kind: NameKind, name: &str) -> Option<&'c str> {
    let found = catalog.extensions().find(|e| match kind {
        NameKind::Function => e.provides.functions.iter().any(|f| f.name == name),
        NameKind::Operator => e.provides.operators.iter().any(|o| o.name == name),
        NameKind::Type => e.provides.types.iter().any(|t| t.name == name),
        _ => false,
    })?;
    Some(&found.name)
}
