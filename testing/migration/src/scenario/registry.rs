//! The one scenario that is not made up: the registry of schemas adopts the store of the plugin
//! jsonschema, with the code that a server of Full runs.

use heliosdb_jsonschema_state::{self as schemas, Draft, golden, v2};
use heliosdb_plugin_api::{Manifest, root};
use heliosdb_plugin_host::active::health::Health;
use heliosdb_schema_registry::{SchemaRegistry, state};

use super::*;

/// A plugin as a server links it.
pub(super) struct Linked(Arc<Steps>);

impl Linked {
    pub(super) fn wanted<'a>(&'a self, plugin_version: &'a str) -> Wanted<'a> {
        Wanted {
            plugin_version,
            ..self.0.wanted()
        }
    }
}

impl Clone for Linked {
    fn clone(&self) -> Linked {
        Linked(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Linked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Linked")
            .field(&self.0.wanted().plugin)
            .finish()
    }
}

impl Scenario {
    /// A Lite database with some named schemas, as Full opens it.
    pub fn registry(seed: u64) -> Scenario {
        let mut rng = Rng::new(seed).fork(61);
        let root = root::<SchemaRegistry>();
        let manifest = Manifest::parse(root.manifest()().as_str());
        let manifest = manifest.expect("the plugin's own tests read it");
        let plugin = manifest.id.clone();
        let health = Arc::new(Health::new(plugin.as_str().into()));
        let steps = Steps::of(root, &manifest, &health);
        let linked = Linked(Arc::new(steps.expect("the plugin's own tests run them")));

        let entries = random_schemas(&mut rng);
        let content = |entries: Vec<Entry>| -> Content {
            entries.into_iter().map(|e| (e.key, e.value)).collect()
        };
        let [adopt] = linked.wanted("").adopts else {
            panic!("the plugin has one edge");
        };
        let made = adopt.step.migrate(entries.clone());
        let made = content(made.expect("the entries are sound"));
        let found = content(entries);

        let mut scenario = Scenario::without_stores(seed, &plugin, &mut rng);
        scenario.linked = Some(linked);
        let tallies = (tally(&found), tally(&made));
        scenario
            .tallies
            .insert((state::STORE.to_owned(), 1), tallies);
        let source = key(schemas::PLUGIN, schemas::STORE);
        scenario.before.insert(source, (schemas::VERSION, found));
        if rng.coin() {
            let notes = (2, random_content(&mut rng));
            scenario.before.insert(key(OTHER, "notes"), notes);
        }
        scenario.after.clone_from(&scenario.before);
        scenario.after.insert(key(&plugin, state::STORE), (1, made));
        scenario
    }
}

/// The golden schemas, and others with texts of many lengths.
fn random_schemas(rng: &mut Rng) -> Vec<Entry> {
    let mut entries = golden::entries(golden::VERSION_2);
    for oid in 20_000..20_000 + rng.below(20) as u32 {
        let uri = format!("urn:schema:{oid}");
        let title = "x".repeat(rng.index(300));
        let record = v2::Record {
            uri: uri.clone(),
            draft: rng.coin().then(|| Draft::ALL[rng.index(5)]),
            text: format!("{{\"title\": \"{title}\"}}"),
        };
        entries.push(Entry {
            key: v2::schema_key(oid),
            value: record.encode(),
        });
        entries.push(Entry {
            key: v2::uri_key(&uri, oid),
            value: Vec::new(),
        });
    }
    entries
}
