//! A database like that of the recorded client statements, made by hand: a schema `app` with two
//! tables, an index, a view and a sequence. `app.parent` lacks the enum column, and there is no
//! materialized view and no function.

use std::sync::Arc;

use heliosdb_plugin_host::PluginHost;
use heliosdb_plugin_host::migration::MigrationRow;
use heliosdb_plugin_host::store::StoreInfo;
use heliosdb_storage::codec::{BuiltIn, Encoding};
use heliosdb_storage::governor::{Caps, Report, Share, Usage};
use heliosdb_storage::ids::{CollectionId, ColumnId, Ts};
use heliosdb_storage::memory::{MemoryBudget, Part};
use heliosdb_storage::segment::{ColumnPages, RivalBytes};
use heliosdb_storage::{Compacted, HeldBy, Horizon, Stats};

use crate::catalog::model::*;
use crate::catalog::snapshot::CatalogSnapshot;
use crate::error::{Result, SqlError, state};
use crate::pg_catalog::{OpenCursor, SessionView, Setting, StoreSize};
use crate::provenance::Provenance;

pub const APP: Oid = 16385;
pub const PARENT: Oid = 16392;
pub const CHILD: Oid = 16406;
pub const CHILD_BODY: Oid = 16418;
pub const VIEW: Oid = 16419;
const PARENT_SEQUENCE: Oid = 16391;
const CHILD_SEQUENCE: Oid = 16405;
const PARENT_CHECK: Oid = 16398;
const PARENT_PKEY_INDEX: Oid = 16401;
const PARENT_PKEY: Oid = 16402;
const PARENT_NAME_INDEX: Oid = 16403;
const PARENT_NAME: Oid = 16404;
const CHILD_PKEY_INDEX: Oid = 16411;
const CHILD_PKEY: Oid = 16412;
const CHILD_FKEY: Oid = 16413;
const OWNER: Oid = oid::BOOTSTRAP_ROLE;

fn column(name: &str, type_oid: Oid) -> Column {
    Column {
        name: name.to_owned(),
        type_oid,
        extension_type: None,
        user_type: None,
        domain: None,
        typmod: -1,
        not_null: false,
        default: None,
        default_sequences: Vec::new(),
        identity: None,
        generated: None,
        dropped: false,
        free: false,
        missing: None,
        compression: None,
    }
}

fn sequence(oid: Oid, name: &str, type_oid: Oid, max: i64, owned_by: Option<OwnedBy>) -> Object {
    Object::Sequence(Arc::new(Sequence {
        oid,
        schema: APP,
        name: name.to_owned(),
        owner: OWNER,
        collection: oid,
        type_oid,
        start: 1,
        increment: 1,
        min: 1,
        max,
        cycle: false,
        cache: 1,
        owned_by,
    }))
}

fn index(
    oid: Oid,
    name: &str,
    table: Oid,
    column: u16,
    constraint: Option<Oid>,
    primary: bool,
) -> Object {
    Object::Index(Arc::new(Index {
        oid,
        schema: APP,
        name: name.to_owned(),
        owner: OWNER,
        table,
        collection: oid,
        columns: vec![IndexColumn {
            column,
            descending: false,
            nulls_first: false,
            operator_class: 0,
        }],
        unique: constraint.is_some(),
        constraint,
        primary,
        clustered: false,
        expressions: Vec::new(),
        predicate: None,
        included: Vec::new(),
    }))
}

fn constraint(oid: Oid, name: &str, table: Oid, kind: ConstraintKind) -> Object {
    Object::Constraint(Arc::new(Constraint {
        oid,
        name: name.to_owned(),
        table,
        kind,
        validated: true,
    }))
}

pub fn catalog() -> CatalogSnapshot {
    let mut c = CatalogSnapshot::default();
    let role = |oid: Oid, name: &str, superuser: bool| {
        Object::Role(Arc::new(Role {
            oid,
            name: name.to_owned(),
            superuser,
            inherit: true,
            create_role: superuser,
            create_db: superuser,
            login: true,
            connection_limit: -1,
            password: None,
            bypass_rls: false,
            member_of: Vec::new(),
            default_privileges: Vec::new(),
            valid_until: None,
            settings: Vec::new(),
        }))
    };
    c.put(role(OWNER, "helios", true));
    c.put(role(16380, "guest", false));
    for (oid, name) in [(oid::PUBLIC_SCHEMA, "public"), (APP, "app")] {
        c.put(Object::Schema(Arc::new(Schema {
            oid,
            name: name.to_owned(),
            owner: OWNER,
        })));
    }
    let table = |oid: Oid, name: &str, columns: Vec<Column>| {
        let (schema, name) = (APP, name.to_owned());
        Object::Table(Arc::new(Table {
            oid,
            schema,
            name,
            owner: OWNER,
            collection: oid,
            columns,
            retention: None,
            row_security: Default::default(),
            policies: Vec::new(),
        }))
    };
    c.put(table(
        PARENT,
        "parent",
        vec![
            Column {
                not_null: true,
                default: Some("nextval('app.parent_id_seq'::REGCLASS)".to_owned()),
                default_sequences: vec![PARENT_SEQUENCE],
                ..column("id", 23)
            },
            Column {
                not_null: true,
                default: Some("'x'".to_owned()),
                ..column("name", 25)
            },
            Column {
                typmod: ((10 << 16) | 2) + 4,
                ..column("v", 1700)
            },
            column("j", 3802),
            Column {
                default: Some("now()".to_owned()),
                ..column("ts", 1184)
            },
            column("arr", 1007),
        ],
    ));
    c.put(table(
        CHILD,
        "child",
        vec![
            Column {
                not_null: true,
                identity: Some(Identity {
                    always: true,
                    sequence: CHILD_SEQUENCE,
                }),
                ..column("id", 20)
            },
            column("pid", 23),
            column("body", 25),
        ],
    ));
    let owned = |table, identity| {
        Some(OwnedBy {
            table,
            column: 0,
            identity,
        })
    };
    c.put(sequence(
        PARENT_SEQUENCE,
        "parent_id_seq",
        23,
        i32::MAX.into(),
        owned(PARENT, false),
    ));
    c.put(sequence(
        CHILD_SEQUENCE,
        "child_id_seq",
        20,
        i64::MAX,
        owned(CHILD, true),
    ));
    c.put(sequence(16427, "sq", 20, i64::MAX, None));
    c.put(index(
        PARENT_PKEY_INDEX,
        "parent_pkey",
        PARENT,
        0,
        Some(PARENT_PKEY),
        true,
    ));
    c.put(index(
        PARENT_NAME_INDEX,
        "parent_name_key",
        PARENT,
        1,
        Some(PARENT_NAME),
        false,
    ));
    c.put(index(
        CHILD_PKEY_INDEX,
        "child_pkey",
        CHILD,
        0,
        Some(CHILD_PKEY),
        true,
    ));
    c.put(index(CHILD_BODY, "child_body", CHILD, 2, None, false));
    let key = |index| ConstraintKind::PrimaryKey {
        columns: vec![0],
        index,
    };
    c.put(constraint(
        PARENT_PKEY,
        "parent_pkey",
        PARENT,
        key(PARENT_PKEY_INDEX),
    ));
    c.put(constraint(
        CHILD_PKEY,
        "child_pkey",
        CHILD,
        key(CHILD_PKEY_INDEX),
    ));
    let unique = ConstraintKind::Unique {
        columns: vec![1],
        index: PARENT_NAME_INDEX,
    };
    c.put(constraint(PARENT_NAME, "parent_name_key", PARENT, unique));
    let check = ConstraintKind::Check {
        expression: "v > 0".to_owned(),
        columns: vec![2],
    };
    c.put(constraint(PARENT_CHECK, "parent_v_check", PARENT, check));
    c.put(constraint(
        CHILD_FKEY,
        "child_pid_fkey",
        CHILD,
        ConstraintKind::ForeignKey(ForeignKey {
            columns: vec![1],
            referenced_table: PARENT,
            referenced_columns: vec![0],
            referenced_index: PARENT_PKEY_INDEX,
            on_delete: ReferentialAction::Cascade,
            on_update: ReferentialAction::NoAction,
            full_match: false,
            deferral: Default::default(),
        }),
    ));
    c.put(Object::View(Arc::new(View {
        oid: VIEW,
        schema: APP,
        name: "vw".to_owned(),
        owner: OWNER,
        definition: "SELECT id, name FROM app.parent".to_owned(),
        columns: vec![
            ViewColumn {
                name: "id".to_owned(),
                type_oid: 23,
                typmod: -1,
            },
            ViewColumn {
                name: "name".to_owned(),
                type_oid: 25,
                typmod: -1,
            },
        ],
        depends_on: vec![Dependency {
            oid: PARENT,
            column: Some(0),
        }],
    })));
    c.put_comment(Arc::new(Comment {
        class: oid::PG_CLASS,
        object: PARENT,
        sub: 0,
        text: "p".to_owned(),
    }));
    c
}

/// A session of the user `helios` in the database `cat`, with `search_path = app, public`.
#[derive(Debug)]
pub struct Session {
    catalog: Arc<CatalogSnapshot>,
}

impl Session {
    pub fn over(catalog: CatalogSnapshot) -> Arc<dyn SessionView> {
        Arc::new(Session {
            catalog: Arc::new(catalog),
        })
    }
}

impl SessionView for Session {
    fn temporary_schema(&self) -> Option<String> {
        None
    }

    fn added(&self) -> Arc<crate::pg_catalog::Added> {
        Arc::default()
    }

    fn catalog(&self) -> Arc<CatalogSnapshot> {
        self.catalog.clone()
    }

    fn current_user(&self) -> String {
        "helios".to_owned()
    }

    fn session_user(&self) -> String {
        "helios".to_owned()
    }

    fn database(&self) -> String {
        "cat".to_owned()
    }

    fn backend_pid(&self) -> i32 {
        42
    }

    fn search_path(&self) -> Vec<String> {
        vec!["app".to_owned(), "public".to_owned()]
    }

    fn transaction_id(&self) -> u64 {
        7
    }

    fn setting(&self, name: &str) -> Result<String> {
        match name {
            "jit" => Ok("off".to_owned()),
            "server_version" => Ok("15.0".to_owned()),
            _ => Err(SqlError::new(
                state::UNDEFINED_OBJECT,
                format!("unrecognized configuration parameter \"{name}\""),
            )),
        }
    }

    fn set_setting(&self, _: &str, value: &str, _: bool) -> Result<String> {
        Ok(value.to_owned())
    }

    fn settings(&self) -> Vec<Setting> {
        vec![Setting {
            name: "jit".to_owned(),
            value: "off".to_owned(),
            default: "off".to_owned(),
            description: "Allow JIT compilation.".to_owned(),
            kind: "bool",
            context: "user",
        }]
    }

    fn cursors(&self) -> Vec<Arc<OpenCursor>> {
        Vec::new()
    }

    fn relation_size(&self, _: Oid) -> i64 {
        8192
    }

    fn estimated_rows(&self, _: Oid) -> Option<u64> {
        None
    }

    fn column_pages(&self) -> Vec<ColumnPages> {
        let pages = |column, encoding, stored_bytes| ColumnPages {
            collection: CollectionId(PARENT),
            column: ColumnId(column),
            encoding,
            pages: 3,
            values: 300,
            raw_bytes: 3000,
            stored_bytes,
            rival: Some(RivalBytes {
                encoding: Encoding::Zstd,
                bytes: 3000,
                stored_bytes,
            }),
        };
        vec![
            pages(0, Encoding::Plain, 3000),
            pages(1, Encoding::BuiltIn(BuiltIn::Runs), 30),
        ]
    }

    fn memory(&self) -> heliosdb_storage::memory::Usage {
        let budget = MemoryBudget::new(1 << 20);
        budget.grow(Part::Memtables, 1000);
        budget.shrink(Part::Memtables, 400);
        budget.try_grow(Part::Queries, 1 << 20).unwrap_err();
        budget.usage()
    }

    fn background_cpu(&self) -> Report {
        let usage = |share: Share| Usage {
            used_micros: 1_000_000 * (1 + share as u64),
            over_micros: if share == Share::Storage { 40_000 } else { 0 },
            throttled_micros: 2_500,
            recent_micros: 400_000,
            waiting: u32::from(share == Share::IncrementalMv),
            in_debt: share == Share::Storage,
        };
        Report {
            caps: Caps::default(),
            cpus: 2,
            shares: Share::ALL.map(|share| (share, usage(share))),
        }
    }

    fn storage_stats(&self) -> Stats {
        Stats {
            segments: 3,
            segment_bytes: 4000,
            compacted: Compacted {
                compactions: 2,
                bytes_in: 9000,
                bytes_out: 3500,
                versions_dropped: 70,
                ..Compacted::default()
            },
            horizon: Horizon {
                oldest_ts: Ts(1_000_000),
                retention_micros: Some(3_600_000_000),
                held_by: HeldBy::Snapshot,
                oldest_snapshot: Some(Ts(2_000_000)),
            },
            ..Stats::default()
        }
    }

    fn remembered(&self) -> Result<heliosdb_storage::Remembered> {
        use heliosdb_storage::schema::Retention;
        use heliosdb_storage::{Kept, NamedPin, PinKind, PinState, Remembered};
        let own = |since, retention, bytes| Kept {
            since: Ts(since),
            retention: Some(retention),
            held_by: HeldBy::Named("audit".to_owned()),
            bytes,
        };
        let pin = |name: &str, kind, ts| NamedPin {
            name: name.to_owned(),
            kind,
            ts: Ts(ts),
            created_micros: 9_000_000,
            owner: "helios".to_owned(),
            reason: String::new(),
        };
        let pin = |name, kind, ts, expired| PinState {
            pin: pin(name, kind, ts),
            expired,
        };
        let day = Retention::Micros(26 * 3_600_000_000);
        Ok(Remembered {
            database: own(1_000_000, day, 70),
            collections: [(CollectionId(PARENT), own(0, Retention::Forever, 50))].into(),
            pins: vec![
                pin("audit", PinKind::Point, 1_000_000, false),
                pin("copy", PinKind::Cursor, 500_000, true),
            ],
            snapshots: vec![(Ts(3_000_000), 2)],
            branches: vec![(Ts(4_000_000), 1)],
        })
    }

    fn plugins(&self) -> Arc<PluginHost> {
        PluginHost::none()
    }

    fn plugin_stores(&self) -> Result<Vec<(StoreInfo, StoreSize)>> {
        Ok(Vec::new())
    }

    fn plugin_migrations(&self) -> Result<Vec<MigrationRow>> {
        Ok(Vec::new())
    }

    fn hba_rules(&self) -> Arc<[crate::instance::HbaFileRule]> {
        Arc::from([])
    }

    fn imports(&self) -> Result<Vec<Provenance>> {
        Ok(Vec::new())
    }

    fn last_value(&self, _: Oid) -> Option<i64> {
        None
    }
}
