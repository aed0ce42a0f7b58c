//! The rules of a manifest that its grammar does not hold.

use std::collections::BTreeSet;

use crate::service::budget::SHARES;

use super::{ClausePlace, FunctionKind, Manifest, ManifestError, Provides};

/// What SQL's COMPRESSION takes besides the name of a codec.
const COMPRESSION_WORDS: [&str; 3] = ["default", "none", "zstd"];

/// Index methods that are not a plugin's.
const KERNEL_METHODS: [&str; 1] = ["btree"];

const NAME_BYTES_MAX: usize = 63;
const OPERATOR_CHARACTERS: &str = "+-*/<>=~!@#%^&|`?";

type Checked = Result<(), ManifestError>;

fn refuse<T>(message: String) -> Result<T, ManifestError> {
    Err(ManifestError(message))
}

pub(super) fn check(manifest: &Manifest) -> Checked {
    name("plugin", &manifest.id)?;
    for requirement in &manifest.requires {
        name("required plugin", &requirement.plugin)?;
    }
    for service in &manifest.services {
        if !crate::service::IDS.contains(&service.as_str()) {
            return refuse(format!(
                "no host service \"{service}\"; there are {}",
                crate::service::IDS.join(", ")
            ));
        }
    }
    check_provides(&manifest.provides)?;
    if manifest
        .provides
        .observers
        .iter()
        .any(|o| o.plugin == manifest.id)
    {
        return refuse(format!("plugin \"{}\" observes itself", manifest.id));
    }
    unique("setting", manifest.settings.iter().map(|s| &s.name))?;
    for setting in &manifest.settings {
        name("setting", &setting.name)?;
        if setting.name == "activation" {
            return refuse("\"activation\" is the host's own setting".to_owned());
        }
        if let Err(why) = setting.check(&setting.default) {
            return refuse(format!("default of setting {why}"));
        }
    }
    check_stores(manifest)
}

fn check_provides(provides: &Provides) -> Checked {
    let mut signatures = BTreeSet::new();
    for f in &provides.functions {
        name("function", &f.name)?;
        if !signatures.insert((&f.name, &f.arguments)) {
            return refuse(format!("function \"{}\" is declared twice", f.name));
        }
        if f.variadic && f.arguments.is_empty() {
            return refuse(format!("variadic function \"{}\" has no argument", f.name));
        }
        let table = table_columns(&f.returns);
        match (f.kind, table) {
            (FunctionKind::Table, None) => {
                return refuse(format!(
                    "table function \"{}\" must return TABLE(name type, ...)",
                    f.name
                ));
            }
            (FunctionKind::Scalar | FunctionKind::Aggregate, Some(_)) => {
                return refuse(format!(
                    "function \"{}\" returns a table but its kind is not \"table\"",
                    f.name
                ));
            }
            _ => {}
        }
    }
    unique("type", provides.types.iter().map(|t| &t.name))?;
    for t in &provides.types {
        name("type", &t.name)?;
    }
    for o in &provides.operators {
        if o.name.is_empty() || !o.name.chars().all(|c| OPERATOR_CHARACTERS.contains(c)) {
            return refuse(format!("\"{}\" is not an operator", o.name));
        }
        let arguments = [o.left.clone(), o.right.clone()];
        let function = |f: &&super::FunctionDecl| f.name == o.function && f.arguments == arguments;
        match provides.functions.iter().find(function) {
            Some(f) if f.returns == o.returns => {}
            _ => {
                return refuse(format!(
                    "operator {} needs the function {}({}, {}) returning {}",
                    o.name, o.function, o.left, o.right, o.returns
                ));
            }
        }
    }
    unique("clause", provides.clauses.iter().map(|c| &c.name))?;
    for clause in &provides.clauses {
        name("clause", &clause.name)?;
        check_grammar(clause.place, &clause.grammar)?;
    }
    unique("command", provides.commands.iter().map(|c| &c.prefix))?;
    for command in &provides.commands {
        let words: Vec<&str> = command.prefix.split(' ').collect();
        if words.len() < 2 || !words.iter().all(|w| is_keyword(w)) {
            return refuse(format!(
                "command prefix \"{}\" must be two or more words in upper case",
                command.prefix
            ));
        }
        if let Some(returns) = &command.returns {
            if table_columns(returns).is_none() {
                return refuse(format!(
                    "command \"{}\" must return TABLE(name type, ...)",
                    command.prefix
                ));
            }
        }
    }
    unique("constraint", provides.constraints.iter().map(|c| &c.name))?;
    for constraint in &provides.constraints {
        name("constraint", &constraint.name)?;
    }
    unique("codec", provides.codecs.iter().map(|c| &c.name))?;
    for codec in &provides.codecs {
        name("codec", &codec.name)?;
        if COMPRESSION_WORDS.contains(&codec.name.as_str()) {
            return refuse(format!(
                "codec \"{}\": the kernel means something else by that name",
                codec.name
            ));
        }
    }
    unique("index method", provides.indexes.iter().map(|i| &i.name))?;
    for index in &provides.indexes {
        name("index method", &index.name)?;
        if KERNEL_METHODS.contains(&index.name.as_str()) {
            return refuse(format!(
                "index method \"{}\": the kernel means something else by that name",
                index.name
            ));
        }
        if index.types.is_empty() {
            return refuse(format!("index method \"{}\" has no types", index.name));
        }
    }
    unique("observer of", provides.observers.iter().map(|o| &o.plugin))?;
    for observer in &provides.observers {
        name("observed plugin", &observer.plugin)?;
    }
    unique("worker", provides.workers.iter().map(|w| &w.name))?;
    for worker in &provides.workers {
        name("worker", &worker.name)?;
        if !SHARES.contains(&worker.share.as_str()) {
            return refuse(format!(
                "worker \"{}\": no share \"{}\" of the CPU budget; there are {}",
                worker.name,
                worker.share,
                SHARES.join(", ")
            ));
        }
    }
    Ok(())
}

fn check_stores(manifest: &Manifest) -> Checked {
    unique("store", manifest.stores.iter().map(|s| &s.name))?;
    for store in &manifest.stores {
        name("store", &store.name)?;
        if store.version == 0 {
            return refuse(format!("store \"{}\": versions count from 1", store.name));
        }
        let steps = manifest.provides.steps.iter();
        let mut from: Vec<u32> = steps
            .filter(|s| s.store == store.name)
            .map(|s| s.from)
            .collect();
        from.sort_unstable();
        let first = from.first().copied().unwrap_or(store.version);
        if !(first..store.version).eq(from.iter().copied()) {
            return refuse(format!(
                "store \"{}\" is at version {} but its steps start from {from:?}",
                store.name, store.version
            ));
        }
    }
    let provides = &manifest.provides;
    let targets = provides.steps.iter().map(|s| &s.store);
    let targets = targets.chain(provides.indexes.iter().map(|i| &i.store));
    for store in targets.chain(provides.adopts.iter().map(|a| &a.into)) {
        if manifest.store(store).is_none() {
            return refuse(format!("no store \"{store}\" is declared"));
        }
    }
    for adopt in &provides.adopts {
        let present = manifest.store(&adopt.into).map_or(1, |s| s.version);
        let from = format!("the adoption of {}.{}", adopt.plugin, adopt.store);
        match adopt.to {
            None if present > 1 => {
                return refuse(format!(
                    "{from} must say which of the versions 1 to {present} of store \"{}\" it makes: \
                     to = …",
                    adopt.into
                ));
            }
            Some(to) if !(1..=present).contains(&to) => {
                return refuse(format!(
                    "{from} cannot make version {to} of store \"{}\", which is at version {present}",
                    adopt.into
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether `text` is an identifier that needs no quotes.
fn name(kind: &str, text: &str) -> Checked {
    let mut bytes = text.bytes();
    let head = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
    let tail = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if head && tail && text.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    refuse(format!(
        "\"{text}\" is not a name of a {kind}: a-z, 0-9 and _, from a letter, at most {NAME_BYTES_MAX}"
    ))
}

fn unique<'a>(kind: &str, names: impl Iterator<Item = &'a String>) -> Checked {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return refuse(format!("{kind} \"{name}\" is declared twice"));
        }
    }
    Ok(())
}

fn is_keyword(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

fn check_grammar(place: ClausePlace, grammar: &str) -> Checked {
    let words: Vec<&str> = grammar.split_whitespace().collect();
    let argument = |w: &&str| matches!(*w, "<name>" | "<literal>");
    let valid = match place {
        ClausePlace::With => match words.as_slice() {
            [key] => name("option", key).is_ok(),
            [key, "=", value] => name("option", key).is_ok() && argument(value),
            _ => false,
        },
        ClausePlace::Column | ClausePlace::Table => {
            words.first().is_some_and(|w| is_keyword(w))
                && words.iter().all(|w| is_keyword(w) || argument(w))
        }
    };
    if valid {
        return Ok(());
    }
    refuse(format!("\"{grammar}\" is not a clause's grammar"))
}

/// The columns of `TABLE(name type, …)`.
pub fn table_columns(returns: &str) -> Option<Vec<(String, String)>> {
    let inner = returns.trim().strip_prefix("TABLE(")?.strip_suffix(')')?;
    inner
        .split(',')
        .map(|column| {
            let (name, ty) = column.trim().split_once(' ')?;
            Some((name.to_owned(), ty.trim().to_owned()))
        })
        .collect()
}
