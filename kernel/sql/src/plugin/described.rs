//! Functions and operators of plugins as rows of `pg_proc` and `pg_operator`.

use heliosdb_plugin_api::manifest::{FunctionKind, Volatility};
use heliosdb_plugin_host::active::function::Function;
use heliosdb_plugin_host::registry::{Operator, Registry};

use super::crossing::Declared;
use super::types;
use crate::catalog::model::Oid;
use crate::pg_catalog::added::{Added, AddedFunction, AddedOperator, DerivedOids};
use crate::types::PgType;

/// `pg_type.oid` of `"any"`.
const ANY: Oid = 2276;

/// What the plugins that `is_installed` add.
pub(super) fn added(registry: &Registry, is_installed: &impl Fn(&str) -> bool) -> Added {
    let mut oids = DerivedOids::default();
    let functions: Vec<AddedFunction> = registry
        .functions()
        .iter()
        .filter(|f| is_installed(f.plugin()))
        .filter_map(|f| function(f, &mut oids))
        .collect();
    let operators: Vec<&Operator> = registry
        .operators()
        .iter()
        .filter(|o| is_installed(o.function.plugin()))
        .collect();
    let mut rows: Vec<AddedOperator> = operators
        .iter()
        .filter_map(|o| operator(o, &functions, &mut oids))
        .collect();
    // The oids of others are known only now.
    for i in 0..rows.len() {
        let row = &rows[i];
        let Some(of) = operators.iter().find(|o| is_of(o, row)) else {
            continue;
        };
        let find = |name: &Option<String>, left: Oid, right: Oid| {
            let name = name.as_deref()?;
            let other = |o: &&AddedOperator| o.name == name && o.left == left && o.right == right;
            rows.iter().find(other).map(|o| o.oid)
        };
        let commutator = find(&of.declared.commutator, row.right, row.left).unwrap_or(0);
        let negator = find(&of.declared.negator, row.left, row.right).unwrap_or(0);
        rows[i].commutator = commutator;
        rows[i].negator = negator;
    }
    Added {
        functions,
        operators: rows,
        types: types::installed(registry, is_installed),
    }
}

fn type_oid(name: &str) -> Option<Oid> {
    Some(match Declared::parse(name)? {
        Declared::Any => ANY,
        Declared::One { ty, .. } => ty.oid(),
    })
}

fn function(function: &Function, oids: &mut DerivedOids) -> Option<AddedFunction> {
    let signature = &function.declared;
    let arguments: Vec<Oid> = signature
        .arguments
        .iter()
        .map(|name| type_oid(name))
        .collect::<Option<_>>()?;
    let columns: Vec<(String, Oid)> = function
        .columns()
        .into_iter()
        .map(|(name, ty)| Some((name, type_oid(&ty)?)))
        .collect::<Option<_>>()?;
    let result = match columns.as_slice() {
        [] => type_oid(&signature.returns)?,
        [(_, one)] => *one,
        _ => PgType::Record.oid(),
    };
    let identity = format!(
        "function {}({})",
        signature.name,
        signature.arguments.join(", ")
    );
    Some(AddedFunction {
        oid: oids.of(&identity),
        name: signature.name.clone(),
        plugin: function.plugin().to_string(),
        kind: match signature.kind {
            FunctionKind::Aggregate => 'a',
            FunctionKind::Scalar | FunctionKind::Table => 'f',
        },
        strict: signature.strict,
        volatility: match signature.volatility {
            Volatility::Immutable => 'i',
            Volatility::Stable => 's',
            Volatility::Volatile => 'v',
        },
        variadic: match arguments.last() {
            Some(last) if signature.variadic => *last,
            _ => 0,
        },
        arguments,
        result,
        columns,
    })
}

fn operator(
    operator: &Operator,
    functions: &[AddedFunction],
    oids: &mut DerivedOids,
) -> Option<AddedOperator> {
    let declared = &operator.declared;
    let (left, right) = (type_oid(&declared.left)?, type_oid(&declared.right)?);
    let name = &declared.function;
    let code = functions
        .iter()
        .find(|f| f.name == *name && f.arguments == [left, right])?;
    let identity = format!(
        "operator {}({}, {})",
        declared.name, declared.left, declared.right
    );
    Some(AddedOperator {
        oid: oids.of(&identity),
        name: declared.name.clone(),
        left,
        right,
        result: code.result,
        commutator: 0,
        negator: 0,
        code: code.oid,
    })
}

/// Whether a row is of this declaration.
fn is_of(operator: &Operator, row: &AddedOperator) -> bool {
    let declared = &operator.declared;
    declared.name == row.name
        && type_oid(&declared.left) == Some(row.left)
        && type_oid(&declared.right) == Some(row.right)
}
