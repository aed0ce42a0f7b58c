//! The objects of a database, in words.
//!
//! Descriptions are for people and for comparing databases: text that looks like the SQL that would make
//! the object. No oid, no collection and no password is in it (of a password a digest of its verifier, for
//! comparing alone), so that databases with the same logical
//! content have the same descriptions whatever order their objects were made in. Nothing is rebuilt from
//! them: a dump carries the catalog's own rows.
//!
//! Not described, because they are in every database: the schemas `pg_catalog` and
//! `information_schema` (unless somebody commented on them), and what is in these.

use std::collections::HashSet;
use std::sync::Arc;

use heliosdb_dump::digest::digest_of;
use heliosdb_dump::{
    ColumnManifest, Described, DescribedBranch, NamedSequence, NamedTable, ObjectDescription,
    Temporary,
};
use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{LoadedTimeline, ReadView};

use super::{access, plugins};
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::*;
use crate::catalog::store::{self, CATALOG};
use crate::ddl::stored_text::shown_query;
use crate::error::Result;
use crate::instance::Instance;
use crate::pg_catalog::names::{qualified_relation_name, quote_ident, quote_literal};
use crate::pg_catalog::user_type::declared;
use crate::pg_catalog::{SystemContext, definition, deparse, names};
use crate::provenance::IMPORTS;
use crate::session::info::SessionInfo;
use crate::session::settings::{Identity, Settings, Shown};
use crate::types::PgType;
use crate::types::names::format_type;

/// The collections with a fixed meaning that are SQL's own. The counter of oids is a sequence.
const SYSTEM_COLLECTIONS: [CollectionId; 2] = [CATALOG, IMPORTS];

impl Instance {
    /// Everything about the database of a view that storage has no words for. `edition` is what the
    /// dump is to say of its source, `config` the settings file if the dump is to have it.
    pub fn describe(
        self: &Arc<Self>,
        view: &ReadView,
        edition: &str,
        config: Option<String>,
    ) -> Result<Described> {
        let ctx = self.describing(view)?;
        Ok(Described {
            edition: edition.to_owned(),
            database: self.database().to_owned(),
            objects: objects(&ctx, self.database()),
            tables: tables(&ctx),
            sequences: sequences(&ctx),
            plugins: plugins::describe(self, &ctx.catalog, view)?,
            config,
            system_collections: SYSTEM_COLLECTIONS.to_vec(),
            temporary: temporary(&ctx.catalog),
            branches: Vec::new(),
            timelines: None,
            main_note: Vec::new(),
            rewritten: Vec::new(),
            branches_left_out: None,
        })
    }

    /// What a dump is to know of a branch, of which `view` is.
    pub(super) fn describe_branch(
        self: &Arc<Self>,
        view: ReadView,
        timeline: LoadedTimeline,
        tag: bool,
    ) -> Result<DescribedBranch> {
        let ctx = self.describing(&view)?;
        Ok(DescribedBranch {
            timeline,
            tag,
            tables: tables(&ctx),
            sequences: sequences(&ctx),
            temporary: temporary(&ctx.catalog),
            rewritten: Vec::new(),
            view,
        })
    }

    /// The sequences alone.
    pub fn sequence_names(self: &Arc<Self>, view: &ReadView) -> Result<Vec<NamedSequence>> {
        Ok(sequences(&self.describing(view)?))
    }

    /// What the deparser sees: the catalog of the view, and a search path that finds nothing, so that
    /// every name comes with its schema.
    fn describing(self: &Arc<Self>, view: &ReadView) -> Result<SystemContext> {
        let catalog = self.catalog(view)?;
        let mut settings = Settings::default();
        settings.set_internal("search_path", "");
        let superuser = catalog.role(oid::BOOTSTRAP_ROLE);
        settings.set_identity(
            Identity {
                session: oid::BOOTSTRAP_ROLE,
                role: None,
                definer: false,
            },
            Shown {
                session: superuser.map_or("", |r| r.name.as_str()),
                role: "none",
                superuser: true,
            },
        );
        let info = SessionInfo::new(
            self.clone(),
            oid::BOOTSTRAP_ROLE,
            self.database().to_owned(),
            settings,
            catalog.clone(),
        );
        Ok(SystemContext {
            catalog,
            session: Arc::new(info),
        })
    }
}

/// What is temporary, and so gone with its session.
fn temporary(catalog: &CatalogSnapshot) -> Temporary {
    let mut temporary = Temporary::default();
    let mut objects = HashSet::new();
    for entry in store::entries(catalog, |schema| catalog.is_temporary(schema)) {
        temporary.entries.insert((CATALOG, entry.key));
        objects.insert(entry.object);
        if let Some(collection) = entry.collection {
            let definition = heliosdb_storage::catalog::catalog_key(collection);
            let of_storage = heliosdb_storage::catalog::CATALOG;
            temporary.entries.insert((of_storage, definition.to_vec()));
            temporary.collections.insert(collection);
        }
    }
    for comment in catalog.comments().filter(|c| objects.contains(&c.object)) {
        let key = store::comment_key(comment.class, comment.object, comment.sub);
        temporary.entries.insert((CATALOG, key));
    }
    for list in catalog.access_lists() {
        if objects.contains(&list.object) {
            let key = store::access_key(list.class, list.object, list.sub);
            temporary.entries.insert((CATALOG, key));
        }
    }
    temporary
}

/// The names that collections of rows have, by collection. One that was dropped, truncated or written anew has none.
fn tables(ctx: &SystemContext) -> Vec<NamedTable> {
    let column = |c: &Column| ColumnManifest {
        name: c.name.clone(),
        type_name: type_name(ctx, c),
        dropped: c.dropped,
        compression: c.compression.as_ref().map(|c| c.method().to_owned()),
    };
    let mut tables: Vec<NamedTable> = ctx
        .catalog
        .tables()
        .filter(|table| !ctx.catalog.is_temporary(table.schema))
        .map(|table| NamedTable {
            collection: table.collection,
            name: relation(ctx, table.oid),
            columns: table.columns.iter().map(column).collect(),
        })
        .collect();
    tables.sort_by_key(|t| t.collection);
    tables
}

fn sequences(ctx: &SystemContext) -> Vec<NamedSequence> {
    let named = |s: &Arc<Sequence>| NamedSequence {
        collection: s.collection,
        name: relation(ctx, s.oid),
    };
    let kept = |s: &&Arc<Sequence>| !ctx.catalog.is_temporary(s.schema);
    ctx.catalog.sequences().filter(kept).map(named).collect()
}

/// Every object, by kind and name.
fn objects(ctx: &SystemContext, database: &str) -> Vec<ObjectDescription> {
    let catalog = &ctx.catalog;
    // What is temporary is gone with its session.
    let kept = |schema: Oid| !catalog.is_temporary(schema);
    let kept_table = |table: Oid| catalog.table(table).is_some_and(|t| kept(t.schema));
    let mut all = vec![described(
        ctx,
        "database",
        quote_ident(database),
        oid::BOOTSTRAP_ROLE,
        format!("CREATE DATABASE {}", quote_ident(database)),
        (oid::PG_DATABASE, oid::DATABASE),
    )];
    let mut add = |kind: Vec<ObjectDescription>| {
        let mut kind = kind;
        kind.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
        all.append(&mut kind);
    };
    add(catalog.roles().map(|r| role(ctx, r)).collect());
    let schemas = catalog.schemas().filter(|s| kept(s.oid));
    add(schemas.filter_map(|s| schema(ctx, s)).collect());
    add(catalog.extensions().map(|e| extension(ctx, e)).collect());
    let types = catalog.types().iter().filter(|t| kept(t.schema));
    add(types.map(|t| user_type(ctx, t)).collect());
    let tables = catalog.tables().filter(|t| kept(t.schema));
    add(tables.map(|t| table(ctx, t)).collect());
    let sequences = catalog.sequences().filter(|s| kept(s.schema));
    add(sequences.map(|s| sequence(ctx, s)).collect());
    let indexes = catalog.indexes().filter(|i| kept(i.schema));
    add(indexes.map(|i| index(ctx, i)).collect());
    let constraints = catalog.constraints().filter(|c| kept_table(c.table));
    add(constraints.map(|c| constraint(ctx, c)).collect());
    let views = catalog.views().filter(|v| kept(v.schema));
    add(views.map(|v| view(ctx, v)).collect());
    let routines = catalog.routines().iter().filter(|r| kept(r.schema));
    add(routines.map(|r| routine(ctx, r)).collect());
    let of_plugins = catalog.plugin_objects();
    add(of_plugins.map(|o| plugin_object(ctx, o)).collect());
    let comments = catalog.comments();
    add(comments.filter_map(|c| column_comment(ctx, c)).collect());
    all
}

/// `comment` is the catalog and the oid that a comment on the object is kept under.
fn described(
    ctx: &SystemContext,
    kind: &str,
    name: String,
    owner: Oid,
    definition: String,
    comment: (Oid, Oid),
) -> ObjectDescription {
    let (class, object) = comment;
    let mut definition = definition;
    access::lists(&ctx.catalog, class, object, &mut definition);
    ObjectDescription {
        kind: kind.to_owned(),
        name,
        owner: ctx.role_name(owner).map_or_else(String::new, quoted),
        definition,
        comment: ctx.catalog.comment(class, object, 0).map(str::to_owned),
        password: None,
    }
}

fn quoted(name: String) -> String {
    quote_ident(&name)
}

fn relation(ctx: &SystemContext, oid: Oid) -> String {
    qualified_relation_name(ctx, oid).unwrap_or_default()
}

fn in_schema(ctx: &SystemContext, schema: Oid, name: &str) -> String {
    let schema = ctx.schema_name(schema).map_or_else(String::new, quoted);
    format!("{schema}.{}", quote_ident(name))
}

fn role(ctx: &SystemContext, role: &Role) -> ObjectDescription {
    let attributes = [
        ("SUPERUSER", role.superuser),
        ("INHERIT", role.inherit),
        ("CREATEROLE", role.create_role),
        ("CREATEDB", role.create_db),
        ("LOGIN", role.login),
    ];
    let mut sql = format!("CREATE ROLE {} WITH", quote_ident(&role.name));
    for (attribute, on) in attributes {
        sql.push_str(if on { " " } else { " NO" });
        sql.push_str(attribute);
    }
    if role.connection_limit >= 0 {
        sql.push_str(&format!(" CONNECTION LIMIT {}", role.connection_limit));
    }
    if let Some(until) = role.valid_until {
        sql.push_str(&format!(" VALID UNTIL {until}"));
    }
    if role.password.is_some() {
        sql.push_str(" PASSWORD '********'");
    }
    access::role(&ctx.catalog, role, &mut sql);
    let description = described(
        ctx,
        "role",
        quote_ident(&role.name),
        role.oid,
        sql,
        (oid::PG_AUTHID, role.oid),
    );
    // A role belongs to nobody.
    ObjectDescription {
        owner: String::new(),
        password: role.password.as_ref().map(|p| digest_of(p.as_bytes())),
        ..description
    }
}

fn schema(ctx: &SystemContext, schema: &Schema) -> Option<ObjectDescription> {
    let name = quote_ident(&schema.name);
    let sql = format!("CREATE SCHEMA {name}");
    let comment = (oid::PG_NAMESPACE, schema.oid);
    let description = described(ctx, "schema", name, schema.owner, sql, comment);
    let built_in = matches!(schema.oid, oid::PG_CATALOG_SCHEMA | oid::INFORMATION_SCHEMA);
    (!built_in || description.comment.is_some()).then_some(description)
}

fn extension(ctx: &SystemContext, extension: &Extension) -> ObjectDescription {
    let name = quote_ident(&extension.name);
    let version = quote_literal(&extension.version);
    let sql = format!("CREATE EXTENSION {name} VERSION {version}");
    let comment = (oid::PG_EXTENSION, extension.oid);
    described(ctx, "extension", name, extension.owner, sql, comment)
}

/// A function or procedure; its name is its signature.
fn routine(ctx: &SystemContext, routine: &Routine) -> ObjectDescription {
    let inputs = routine.input_types();
    let inputs: Vec<String> = inputs.iter().map(|oid| declared(ctx, *oid, -1)).collect();
    let name = in_schema(ctx, routine.schema, &routine.name);
    let name = format!("{name}({})", inputs.join(", "));
    let sql = crate::pg_catalog::routine::definition(ctx, routine);
    let kind = routine.kind.noun();
    let comment = (oid::PG_PROC, routine.oid);
    described(ctx, kind, name, routine.owner, sql, comment)
}

/// An enum, or a domain.
fn user_type(ctx: &SystemContext, ty: &UserType) -> ObjectDescription {
    let name = in_schema(ctx, ty.schema, &ty.name);
    let (kind, sql) = match &ty.definition {
        TypeDefinition::Enum(labels) => {
            let labels = labels.iter().map(|label| quote_literal(&label.label));
            let labels: Vec<String> = labels.collect();
            (
                "type",
                format!("CREATE TYPE {name} AS ENUM ({})", labels.join(", ")),
            )
        }
        TypeDefinition::Domain(domain) => ("domain", create_domain(ctx, ty.oid, &name, domain)),
    };
    let comment = (oid::PG_TYPE, ty.oid);
    described(ctx, kind, name, ty.owner, sql, comment)
}

fn create_domain(ctx: &SystemContext, oid: Oid, name: &str, domain: &Domain) -> String {
    let base = declared(ctx, domain.base, domain.typmod);
    let mut sql = format!("CREATE DOMAIN {name} AS {base}");
    if let Some(default) = &domain.default {
        let target = Some((domain.base, domain.typmod));
        let default = deparse::expression(ctx, default, None, target, false);
        sql.push_str(&format!(" DEFAULT {default}"));
    }
    if domain.not_null {
        sql.push_str(" NOT NULL");
    }
    for check in &domain.constraints {
        let constraint = quote_ident(&check.name);
        let condition = deparse::of_domain(ctx, oid, &check.expression, false);
        sql.push_str(&format!(" CONSTRAINT {constraint} CHECK ({condition})"));
        if !check.validated {
            sql.push_str(" NOT VALID");
        }
    }
    sql
}

/// A column's type with its modifier, also when the type's plugin is away.
fn type_name(ctx: &SystemContext, column: &Column) -> String {
    if ctx.catalog.types().find(column.type_oid).is_some() {
        return names::format_type(ctx, column.type_oid, None);
    }
    format_type(&column.ty(), column.typmod)
}

fn table(ctx: &SystemContext, table: &Table) -> ObjectDescription {
    let name = relation(ctx, table.oid);
    let columns: Vec<String> = table
        .live_columns()
        .map(|(id, c)| format!("\n    {}", column(ctx, table, id.0, c)))
        .collect();
    let mut sql = format!("CREATE TABLE {name} ({}\n)", columns.join(","));
    access::policies(&ctx.catalog, table, &mut sql);
    let comment = (oid::PG_CLASS, table.oid);
    described(ctx, "table", name, table.owner, sql, comment)
}

fn column(ctx: &SystemContext, table: &Table, place: ColumnId16, column: &Column) -> String {
    let mut sql = format!("{} {}", quote_ident(&column.name), type_name(ctx, column));
    if let Some(compression) = &column.compression {
        sql.push_str(" COMPRESSION ");
        if let Compression::Codec { plugin, .. } = compression {
            sql.push_str(&format!("{}.", quote_ident(plugin)));
        }
        sql.push_str(&quote_ident(compression.method()));
    }
    if let Some(default) = definition::default(ctx, table, place, false) {
        sql.push_str(&match column.generated {
            None => format!(" DEFAULT {default}"),
            Some(_) => format!(" GENERATED ALWAYS AS ({default}) STORED"),
        });
    }
    if let Some(identity) = &column.identity {
        let when = if identity.always {
            "ALWAYS"
        } else {
            "BY DEFAULT"
        };
        let sequence = relation(ctx, identity.sequence);
        sql.push_str(&format!(
            " GENERATED {when} AS IDENTITY (SEQUENCE NAME {sequence})"
        ));
    }
    if column.not_null {
        sql.push_str(" NOT NULL");
    }
    sql
}

fn sequence(ctx: &SystemContext, sequence: &Sequence) -> ObjectDescription {
    let name = relation(ctx, sequence.oid);
    let ty = PgType::from_oid(sequence.type_oid).unwrap_or(PgType::Int8);
    let mut sql = format!(
        "CREATE SEQUENCE {name} AS {} START WITH {} INCREMENT BY {} MINVALUE {} MAXVALUE {} CACHE {}",
        ty.name(),
        sequence.start,
        sequence.increment,
        sequence.min,
        sequence.max,
        sequence.cache,
    );
    sql.push_str(if sequence.cycle {
        " CYCLE"
    } else {
        " NO CYCLE"
    });
    if let Some(owner) = &sequence.owned_by
        && let Some(column) = column_name(ctx, owner.table, owner.column)
    {
        sql.push_str(&format!(" OWNED BY {column}"));
    }
    let comment = (oid::PG_CLASS, sequence.oid);
    described(ctx, "sequence", name, sequence.owner, sql, comment)
}

fn index(ctx: &SystemContext, index: &Index) -> ObjectDescription {
    let name = relation(ctx, index.oid);
    let mut sql = definition::index(ctx, index, false);
    if index.clustered {
        let (table, index) = (relation(ctx, index.table), quote_ident(&index.name));
        sql.push_str(&format!("; ALTER TABLE {table} CLUSTER ON {index}"));
    }
    let comment = (oid::PG_CLASS, index.oid);
    described(ctx, "index", name, index.owner, sql, comment)
}

fn constraint(ctx: &SystemContext, constraint: &Constraint) -> ObjectDescription {
    let table = relation(ctx, constraint.table);
    let owner = ctx.catalog.table(constraint.table).map_or(0, |t| t.owner);
    let name = quote_ident(&constraint.name);
    let sql = format!(
        "ALTER TABLE {table} ADD CONSTRAINT {name} {}",
        definition::constraint(ctx, constraint, false)
    );
    // As COMMENT ON CONSTRAINT names it: constraints of different tables may have one name.
    let name = format!("{name} ON {table}");
    let comment = (oid::PG_CONSTRAINT, constraint.oid);
    described(ctx, "constraint", name, owner, sql, comment)
}

fn view(ctx: &SystemContext, view: &View) -> ObjectDescription {
    let name = relation(ctx, view.oid);
    let columns: Vec<String> = view.columns.iter().map(|c| quote_ident(&c.name)).collect();
    let sql = format!(
        "CREATE VIEW {name} ({}) AS {}",
        columns.join(", "),
        shown_query(&view.definition)
    );
    let comment = (oid::PG_CLASS, view.oid);
    described(ctx, "view", name, view.owner, sql, comment)
}

/// What the object is made of is in the plugin's stores.
fn plugin_object(ctx: &SystemContext, object: &PluginObject) -> ObjectDescription {
    let name = in_schema(ctx, object.schema, &object.name);
    let mut sql = format!("CREATE {} {name}", object.class.to_uppercase());
    let mut needs: Vec<String> = object
        .depends_on
        .iter()
        .filter_map(|oid| match ctx.catalog.plugin_object(*oid) {
            Some(other) => Some(in_schema(ctx, other.schema, &other.name)),
            None => qualified_relation_name(ctx, *oid),
        })
        .collect();
    needs.sort();
    if !needs.is_empty() {
        sql.push_str(&format!(" DEPENDS ON {}", needs.join(", ")));
    }
    // Two plugins may have a class of one name.
    let kind = format!("{} of {}", object.class, object.plugin);
    let comment = (oid::HELIOS_PLUGIN_OBJECTS, object.oid);
    described(ctx, &kind, name, object.owner, sql, comment)
}

fn column_name(ctx: &SystemContext, relation_oid: Oid, place: ColumnId16) -> Option<String> {
    let name = match ctx.catalog.relation(relation_oid)? {
        Relation::Table(t) => t
            .column_at(place)
            .filter(|c| !c.dropped)
            .map(|c| c.name.clone()),
        Relation::View(v) => v.columns.get(usize::from(place)).map(|c| c.name.clone()),
        Relation::Index(_) | Relation::Sequence(_) => None,
    };
    let relation = relation(ctx, relation_oid);
    name.map(|name| format!("{relation}.{}", quote_ident(&name)))
}

/// A comment on a column; those on whole objects stand with the objects.
fn column_comment(ctx: &SystemContext, comment: &Comment) -> Option<ObjectDescription> {
    let place = ColumnId16::try_from(comment.sub).ok()?.checked_sub(1)?;
    let name = column_name(ctx, comment.object, place)?;
    let relation = ctx.catalog.relation(comment.object)?;
    if ctx.catalog.is_temporary(relation.schema()) {
        return None;
    }
    let owner = relation.owner();
    let sql = format!(
        "COMMENT ON COLUMN {name} IS {}",
        quote_literal(&comment.text)
    );
    Some(ObjectDescription {
        kind: "column comment".to_owned(),
        owner: ctx.role_name(owner).map_or_else(String::new, quoted),
        name,
        definition: sql,
        comment: None,
        password: None,
    })
}
