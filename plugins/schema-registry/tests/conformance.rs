//! The suite that every plugin must pass, and what becomes of the store, with the plugin jsonschema
//! played by a list.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, Int32Array, Int64Array, StringViewArray};
use heliosdb_jsonschema_state::{PLUGIN, golden};
use heliosdb_plugin_api::service::{ObjectInfo, QueryResult};
use heliosdb_plugin_api::{Error, Result};
use heliosdb_plugin_testkit::{Samples, Started, Statement, TestHost};
use heliosdb_schema_registry::SchemaRegistry;
use heliosdb_schema_registry::state::{Head, Origin, Stored, Version};

/// A named schema of the other plugin.
#[derive(Clone)]
struct Schema {
    oid: u32,
    name: &'static str,
    draft: Option<&'static str>,
    text: &'static str,
}

fn object(schema: &Schema) -> ObjectInfo {
    ObjectInfo {
        oid: schema.oid,
        plugin: PLUGIN.to_owned(),
        class: "JSON schema".to_owned(),
        schema: "public".to_owned(),
        name: schema.name.to_owned(),
        owner: "ada".to_owned(),
    }
}

/// Answers the plugin's queries as a server would, from a list of schemas.
fn answer(schemas: &[Schema], sql: &str) -> Result<QueryResult> {
    let text = |of: &dyn Fn(&Schema) -> Option<String>| -> ArrayRef {
        Arc::new(schemas.iter().map(of).collect::<StringViewArray>())
    };
    let one = |text: &str| -> ArrayRef { Arc::new(StringViewArray::from(vec![text])) };
    let names = || -> Vec<ArrayRef> {
        let oids = schemas.iter().map(|s| i64::from(s.oid));
        vec![
            Arc::new(Int64Array::from_iter_values(oids)),
            text(&|_| Some("public".to_owned())),
            text(&|s| Some(s.name.to_owned())),
        ]
    };
    let batch = if sql.contains("jsonschema_list()") {
        let mut columns = names();
        columns.push(text(&|s| Some(format!("urn:{}", s.oid))));
        columns.push(text(&|s| s.draft.map(str::to_owned)));
        columns.push(text(&|s| Some(s.text.to_owned())));
        columns
    } else if sql.contains("helios_plugin_objects") {
        names()
    } else if sql.contains("current_user") {
        vec![one("ada")]
    } else if sql.contains("current_schemas") {
        vec![one("public")]
    } else if sql.contains("helios_plugin_migrations") {
        vec![Arc::new(Int64Array::from(vec![Some(5)])) as ArrayRef]
    } else {
        return Err(Error::internal(format!("nobody asks: {sql}")));
    };
    Ok(QueryResult {
        columns: vec![("c".to_owned(), "text".to_owned()); batch.len()],
        batches: vec![batch],
        command_tag: "SELECT".to_owned(),
    })
}

const PERSON: Schema = Schema {
    oid: 16385,
    name: "person",
    draft: None,
    text: r#"{"type": "object"}"#,
};
const PET: Schema = Schema {
    oid: 16390,
    name: "pet",
    draft: Some("7"),
    text: "true",
};

fn told(plugin: &Started, schema: &Schema) {
    let objects = [object(schema)];
    plugin
        .changed(0, &Statement::new(), "CREATE JSON SCHEMA", &objects)
        .expect("it is recorded");
}

fn samples() -> Samples {
    let names: ArrayRef = Arc::new(StringViewArray::from(vec![
        Some("person"),
        None,
        Some("public.\"pet\""),
    ]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(1), Some(1)]));
    Samples::new()
        .sql(|sql, _| answer(&[PERSON, PET], sql))
        .prepare(|plugin| told(plugin, &PERSON))
        .adopted("jsonschema.schemas@2", golden::entries(golden::VERSION_2))
        .observed(object(&PERSON))
        .observed(object(&PET))
        .arguments("json_schema_version", vec![names, numbers])
}

heliosdb_plugin_testkit::conformance!(SchemaRegistry, samples());

/// A plugin beside a list of schemas that a test changes.
struct Bench {
    host: TestHost,
    plugin: Started,
    schemas: Arc<Mutex<Vec<Schema>>>,
}

impl Bench {
    fn new() -> Bench {
        let host = TestHost::new();
        let schemas = Arc::new(Mutex::new(Vec::new()));
        let list = schemas.clone();
        host.set_sql(move |sql, _| {
            let list = list.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&list, sql)
        });
        Bench {
            plugin: Started::new::<SchemaRegistry>(&host),
            host,
            schemas,
        }
    }

    fn set(&self, schemas: &[&Schema]) {
        let schemas = schemas.iter().copied().cloned().collect();
        *self.schemas.lock().expect("nobody panicked") = schemas;
    }

    fn tell(&self, command: &str, schemas: &[&Schema]) {
        let objects: Vec<ObjectInfo> = schemas.iter().map(|s| object(s)).collect();
        self.plugin
            .changed(0, &Statement::new(), command, &objects)
            .expect("it is recorded");
    }

    fn stored(&self) -> Vec<Stored> {
        let entries = self.host.store("versions");
        let decode = |e| Stored::decode(e).expect("an entry");
        entries.iter().map(decode).collect()
    }

    fn head(&self, of: u32) -> Head {
        let mut heads = self.stored().into_iter().filter_map(|stored| match stored {
            Stored::Head { oid, head } if oid == of => Some(head),
            _ => None,
        });
        heads.next().expect("a head")
    }

    /// Texts and origins of all versions of a schema.
    fn versions(&self, of: u32) -> Vec<(String, Origin)> {
        let version = |stored| match stored {
            Stored::Version { oid, version, .. } if oid == of => {
                Some((version.text, version.origin))
            }
            _ => None,
        };
        self.stored().into_iter().filter_map(version).collect()
    }
}

fn by(command: &str) -> Origin {
    Origin::Command(command.to_owned())
}

#[test]
fn a_change_is_a_version_and_a_new_name_is_none() {
    let bench = Bench::new();
    bench.set(&[&PERSON]);
    bench.tell("CREATE JSON SCHEMA", &[&PERSON]);
    let changed = Schema {
        text: "false",
        ..PERSON
    };
    bench.set(&[&changed]);
    bench.tell("ALTER JSON SCHEMA", &[&changed]);
    let renamed = Schema {
        name: "human",
        ..changed
    };
    bench.set(&[&renamed]);
    bench.tell("ALTER JSON SCHEMA", &[&renamed]);
    let expected = [
        (PERSON.text.to_owned(), by("CREATE JSON SCHEMA")),
        ("false".to_owned(), by("ALTER JSON SCHEMA")),
    ];
    assert_eq!(bench.versions(PERSON.oid), expected);
    let head = bench.head(PERSON.oid);
    assert_eq!((head.name.as_deref(), head.last), (Some("human"), 2));

    // Another draft for the same text is another schema.
    let older = Schema {
        draft: Some("4"),
        ..renamed
    };
    bench.set(&[&older]);
    bench.tell("ALTER JSON SCHEMA", &[&older]);
    assert_eq!(bench.head(PERSON.oid).last, 3);
}

#[test]
fn what_happened_while_it_was_off_is_found() {
    let bench = Bench::new();
    bench.set(&[&PERSON]);
    bench.tell("CREATE JSON SCHEMA", &[&PERSON]);
    let changed = Schema {
        text: "false",
        ..PERSON
    };
    bench.set(&[&changed, &PET]);
    bench.tell("CREATE JSON SCHEMA", &[&PET]);
    let versions = bench.versions(PERSON.oid);
    assert_eq!(versions[1], ("false".to_owned(), Origin::Found));
    assert_eq!(bench.versions(PET.oid).len(), 1);
}

#[test]
fn a_dropped_schema_keeps_its_versions_and_its_name() {
    let bench = Bench::new();
    // As an adoption leaves it, without a name.
    let head = Head {
        schema: None,
        name: None,
        last: 1,
        dropped: None,
    };
    let adopted = Origin::Adopted("jsonschema.schemas@2".to_owned());
    let text = PERSON.text.to_owned();
    let version = Version::new("urn:x".to_owned(), None, text, adopted, None);
    let entries = [head.entry(PERSON.oid), version.entry(PERSON.oid, 1)];
    bench.host.set_store("versions", entries);
    let dropped = |schema: &Schema| {
        let told = bench.plugin.dropped(0, &Statement::new(), &object(schema));
        told.expect("it is recorded");
    };
    dropped(&PERSON);
    let head = bench.head(PERSON.oid);
    assert_eq!(head.name.as_deref(), Some("person"));
    assert_eq!(head.dropped.map(|mark| mark.by).as_deref(), Some("ada"));
    assert_eq!(bench.versions(PERSON.oid).len(), 1);
    // One that the registry never heard of leaves nothing.
    dropped(&PET);
    assert_eq!(bench.stored().len(), 2);
}
