//! What plugins would make of stores that come from elsewhere, foretold from manifests alone.
//!
//! An import asks before it writes anything. The rules are those of [`preflight`](super::preflight),
//! which needs the stores in an engine and the plugins' code; that a plugin's code has the steps its
//! manifest declares is checked when it is loaded. What a journal remembers of checksums is left to
//! preflight.

use heliosdb_plugin_api::manifest::{AdoptDecl, Manifest};

use super::error::{MigrationError, store_name};

/// A live store, as it will be before any plugin starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    pub plugin: String,
    pub store: String,
    pub version: u32,
}

/// What becomes of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub plugin: String,
    pub store: String,
    /// `None` when nothing is there to begin with: it is created or adopted.
    pub from: Option<u32>,
    pub to: u32,
    /// The store it is taken over from, as `plugin.store@version`.
    pub adopts: Option<String>,
}

/// What the start of some plugins would do, and everything that speaks against it.
#[derive(Clone, Debug, Default)]
pub struct Forecast {
    /// Every store of the plugins, in the order of their starts.
    pub changes: Vec<Change>,
    /// Each with the plugin that has it.
    pub problems: Vec<(String, MigrationError)>,
}

/// `starting` are the plugins that start, in their order.
pub fn forecast<'a>(
    incoming: &[Incoming],
    starting: impl IntoIterator<Item = &'a Manifest>,
) -> Forecast {
    let mut stores = incoming.to_vec();
    let mut forecast = Forecast::default();
    for manifest in starting {
        for declared in &manifest.stores {
            let (name, to) = (declared.name.as_str(), declared.version);
            match change(&stores, manifest, name, to) {
                Ok(change) => {
                    stores.retain(|s| s.plugin != manifest.id || s.store != name);
                    stores.push(Incoming {
                        plugin: manifest.id.clone(),
                        store: name.to_owned(),
                        version: to,
                    });
                    forecast.changes.push(change);
                }
                Err(problem) => forecast.problems.push((manifest.id.clone(), problem)),
            }
        }
    }
    forecast
}

fn change(
    stores: &[Incoming],
    manifest: &Manifest,
    name: &str,
    to: u32,
) -> Result<Change, MigrationError> {
    let change = |from, adopts| Change {
        plugin: manifest.id.clone(),
        store: name.to_owned(),
        from,
        to,
        adopts,
    };
    let own = |s: &&Incoming| s.plugin == manifest.id && s.store == name;
    if let Some(own) = stores.iter().find(own) {
        check_chain(manifest, name, own.version, to)?;
        return Ok(change(Some(own.version), None));
    }
    let Some((source, edge)) = adopted(stores, manifest, name)? else {
        return Ok(change(None, None));
    };
    check_chain(manifest, name, edge.to.unwrap_or(1), to)?;
    let from = store_name(&source.plugin, &source.store);
    Ok(change(None, Some(format!("{from}@{}", source.version))))
}

fn check_chain(
    manifest: &Manifest,
    name: &str,
    found: u32,
    version: u32,
) -> Result<(), MigrationError> {
    let store = store_name(&manifest.id, name);
    if found > version {
        return Err(MigrationError::NewerThanCode {
            store,
            found,
            supported: version,
            plugin_version: manifest.version.to_string(),
        });
    }
    let has = |from: u32| {
        let mut steps = manifest.provides.steps.iter();
        steps.any(|step| step.store == name && step.from == from)
    };
    match (found..version).find(|from| !has(*from)) {
        Some(from) => Err(MigrationError::MissingStep { store, found, from }),
        None => Ok(()),
    }
}

/// The store of another plugin that `into` takes over, and the edge along which it does.
fn adopted<'a>(
    stores: &'a [Incoming],
    manifest: &'a Manifest,
    into: &str,
) -> Result<Option<(&'a Incoming, &'a AdoptDecl)>, MigrationError> {
    let edges = manifest.provides.adopts.iter();
    let mut sources = edges.filter(|edge| edge.into == into).filter_map(|edge| {
        let is_it = |s: &&Incoming| s.plugin == edge.plugin && s.store == edge.store;
        stores.iter().find(is_it).map(|source| (source, edge))
    });
    let Some(first) = sources.next() else {
        return Ok(None);
    };
    let mut all = vec![first];
    all.extend(sources);
    let full_name = |s: &Incoming| store_name(&s.plugin, &s.store);
    if let Some((second, _)) = all.iter().find(|(source, _)| *source != first.0) {
        return Err(MigrationError::AdoptTwice {
            into: store_name(&manifest.id, into),
            first: full_name(first.0),
            second: full_name(second),
        });
    }
    let fits = |(source, edge): &&(&Incoming, &AdoptDecl)| edge.version == source.version;
    match all.iter().find(fits) {
        Some(found) => Ok(Some(*found)),
        None => Err(MigrationError::AdoptVersion {
            into: store_name(&manifest.id, into),
            source_store: full_name(first.0),
            wanted: all.iter().map(|(_, edge)| edge.version).max().unwrap_or(0),
            found: first.0.version,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(id: &str, rest: &str) -> Manifest {
        Manifest::parse(&format!(
            "id = \"{id}\"\nversion = \"1.0.0\"\nabi = 1\n{rest}"
        ))
        .unwrap()
    }

    fn incoming(plugin: &str, store: &str, version: u32) -> Incoming {
        Incoming {
            plugin: plugin.to_owned(),
            store: store.to_owned(),
            version,
        }
    }

    /// `store` in `version`, with a step from each of `steps`.
    fn keeper(store: &str, version: u32, steps: &[u32]) -> Manifest {
        let mut text = format!("[[store]]\nname = \"{store}\"\nversion = {version}\n");
        for from in steps {
            text +=
                &format!("[[step]]\nstore = \"{store}\"\nfrom = {from}\nchecksum = \"c{from}\"\n");
        }
        manifest("keeper", &text)
    }

    fn heir(version: u32) -> Manifest {
        let text = format!(
            "[[store]]\nname = \"estate\"\nversion = 1\n[[adopts]]\nplugin = \"keeper\"\n\
             store = \"things\"\nversion = {version}\ninto = \"estate\"\nchecksum = \"a\"\n"
        );
        manifest("heir", &text)
    }

    fn said(forecast: &Forecast) -> Vec<String> {
        forecast.problems.iter().map(|p| p.1.to_string()).collect()
    }

    #[test]
    fn a_store_goes_up_and_is_then_adopted() {
        let stores = [incoming("keeper", "things", 1)];
        let forecast = forecast(&stores, [&keeper("things", 3, &[1, 2]), &heir(3)]);
        assert!(said(&forecast).is_empty(), "{:?}", said(&forecast));
        let [own, adopted] = forecast.changes.as_slice() else {
            panic!("{:?}", forecast.changes);
        };
        assert_eq!((own.from, own.to), (Some(1), 3));
        assert_eq!(adopted.adopts.as_deref(), Some("keeper.things@3"));
    }

    #[test]
    fn everything_that_speaks_against_it_is_told_at_once() {
        let stores = [incoming("keeper", "things", 4), incoming("old", "x", 1)];
        let old = manifest("old", "[[store]]\nname = \"x\"\nversion = 3\n");
        let forecast = forecast(&stores, [&keeper("things", 3, &[1, 2]), &heir(3), &old]);
        assert_eq!(
            said(&forecast),
            [
                "store keeper.things is at version 4, and plugin version 1.0.0 knows only up to \
                 version 3",
                "store heir.estate adopts keeper.things at version 3, which is at version 4",
                "store old.x is at version 1, and the step from version 1 is missing",
            ]
        );
    }

    #[test]
    fn a_store_of_nobody_is_nobodys_problem() {
        let forecast = forecast(&[incoming("gone", "x", 7)], [&keeper("things", 1, &[])]);
        assert!(forecast.problems.is_empty());
        assert_eq!(forecast.changes.len(), 1);
        assert_eq!(forecast.changes[0].from, None);
    }
}
