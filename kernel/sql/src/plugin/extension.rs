//! CREATE, ALTER and DROP EXTENSION.
//!
//! An extension is a plugin as one database knows it. The plugins that run are installed by
//! themselves when a database first meets them; DROP EXTENSION leaves a tombstone, and then only
//! CREATE EXTENSION installs again.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use heliosdb_plugin_api::Manifest;
use heliosdb_plugin_api::manifest::Provides;
use heliosdb_plugin_host::{PluginHost, State};
use sqlparser::ast::{self, Expr};

use super::availability::Availability;
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::ddl::{ExtensionUses, put};
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::names::fold;
use crate::session::outcome::Outcome;
use crate::session::statement::{AlterExtension, parse_expression, parse_query};
use crate::session::{Session, done};

pub(crate) fn undefined_extension(name: &str) -> SqlError {
    SqlError::new(
        state::UNDEFINED_OBJECT,
        format!("extension \"{name}\" does not exist"),
    )
}

fn not_available(name: &str, availability: &Availability) -> SqlError {
    let error = SqlError::new(
        state::FEATURE_NOT_SUPPORTED,
        format!("extension \"{name}\" is not available"),
    )
    .with_detail(match availability {
        Availability::Missing => format!("The server has no plugin \"{name}\"."),
        other => format!("Plugin \"{name}\" is {other}."),
    });
    match availability.hint(name) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The manifest of a plugin that runs.
fn running(host: &PluginHost, name: &str) -> Option<Arc<Manifest>> {
    host.plugin(name)
        .filter(|p| p.state == State::Active)
        .and_then(|p| p.manifest)
}

/// The extension of a plugin, with the oid of its tombstone if there is one.
fn installed(
    instance: &Instance,
    catalog: &CatalogSnapshot,
    manifest: &Manifest,
    owner: Oid,
) -> Result<Extension> {
    let oid = match catalog.extension(&manifest.id) {
        Some(tombstone) => tombstone.oid,
        None => instance.allocate_oid()?,
    };
    Ok(Extension {
        oid,
        name: manifest.id.clone(),
        version: manifest.version.to_string(),
        owner,
        requires: manifest.requires.iter().map(|r| r.plugin.clone()).collect(),
        provides: manifest.provides.clone(),
        installed: true,
    })
}

/// What a database that meets plugins for the first time installs.
pub(crate) fn install_new(instance: &Instance, catalog: &CatalogSnapshot) -> Result<Vec<Change>> {
    let plugins = instance.plugins().plugins();
    plugins
        .into_iter()
        .filter(|p| p.state == State::Active && catalog.extension(&p.id).is_none())
        .filter_map(|p| p.manifest)
        .map(|m| {
            Ok(put!(
                Extension,
                installed(instance, catalog, &m, oid::BOOTSTRAP_ROLE)?
            ))
        })
        .collect()
}

impl Session {
    pub(crate) fn create_extension(&mut self, create: &ast::CreateExtension) -> Result<Outcome> {
        let name = fold(&create.name);
        if !self.info.role().superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to create extension \"{name}\""),
            )
            .with_hint("Must be superuser to create this extension."));
        }
        let (_, catalog) = self.write_view()?;
        if catalog.is_installed(&name) {
            let message = format!("extension \"{name}\" already exists");
            if create.if_not_exists {
                self.notify_skipped(format!("{message}, skipping"));
                return done("CREATE EXTENSION");
            }
            return Err(SqlError::new(state::DUPLICATE_OBJECT, message));
        }
        if let Some(schema) = create.schema.as_ref().map(fold)
            && schema != "pg_catalog"
        {
            return Err(SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                format!("extension \"{name}\" must be installed in schema \"pg_catalog\""),
            ));
        }
        let wanted = create.version.as_ref().map(|v| v.value.as_str());
        self.install(&name, wanted, create.cascade)?;
        done("CREATE EXTENSION")
    }

    /// Installs an extension, after those that it requires.
    fn install(&mut self, name: &str, version: Option<&str>, cascade: bool) -> Result<()> {
        let manifest = running(self.instance.plugins(), name)
            .ok_or_else(|| not_available(name, &self.availability(name)))?;
        let has = manifest.version.to_string();
        if let Some(wanted) = version
            && wanted != has
        {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                format!(
                    "extension \"{name}\" has no installation script nor update path for version \
                     \"{wanted}\""
                ),
            )
            .with_hint(format!("The server has version {has} of the plugin.")));
        }
        for required in &manifest.requires {
            let (_, catalog) = self.write_view()?;
            if catalog.is_installed(&required.plugin) {
                continue;
            }
            if !cascade {
                return Err(SqlError::new(
                    state::UNDEFINED_OBJECT,
                    format!(
                        "required extension \"{}\" is not installed",
                        required.plugin
                    ),
                )
                .with_hint(
                    "Use CREATE EXTENSION ... CASCADE to install required extensions too.",
                ));
            }
            self.notify_skipped(format!(
                "installing required extension \"{}\"",
                required.plugin
            ));
            // The host starts no plugins that require each other in a circle.
            self.install(&required.plugin, None, true)?;
        }
        let (_, catalog) = self.write_view()?;
        let owner = self.info.role().oid;
        let extension = installed(&self.instance, &catalog, &manifest, owner)?;
        self.change_catalog(vec![put!(Extension, extension)])?;
        Ok(())
    }

    pub(crate) fn alter_extension(&mut self, alter: &AlterExtension) -> Result<Outcome> {
        let name = fold(&alter.name);
        let (_, catalog) = self.write_view()?;
        let extension = catalog
            .extension(&name)
            .filter(|e| e.installed)
            .ok_or_else(|| undefined_extension(&name))?;
        self.check_owner(extension.owner, "extension", &name)?;
        let manifest = running(self.instance.plugins(), &name)
            .ok_or_else(|| not_available(&name, &self.availability(&name)))?;
        let has = manifest.version.to_string();
        let wanted = alter.version.as_deref().unwrap_or(&has);
        if wanted != has {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                format!(
                    "extension \"{name}\" has no update path from version \"{}\" to version \
                     \"{wanted}\"",
                    extension.version
                ),
            )
            .with_hint(format!("The server has version {has} of the plugin.")));
        }
        if extension.version == has {
            self.notify_skipped(format!(
                "version \"{has}\" of extension \"{name}\" is already installed"
            ));
            return done("ALTER EXTENSION");
        }
        let updated = installed(&self.instance, &catalog, &manifest, extension.owner)?;
        self.change_catalog(vec![put!(Extension, updated)])?;
        done("ALTER EXTENSION")
    }

    pub(crate) fn drop_extension(&mut self, drop: &ast::DropExtension) -> Result<Outcome> {
        let cascade = match drop.cascade_or_restrict {
            None | Some(ast::ReferentialAction::Restrict) => false,
            Some(ast::ReferentialAction::Cascade) => true,
            Some(other) => {
                return Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    format!("syntax error at or near \"{other}\""),
                ));
            }
        };
        let (_, catalog) = self.write_view()?;
        let mut roots = Vec::new();
        for name in drop.names.iter().map(fold) {
            let Some(extension) = catalog.extension(&name).filter(|e| e.installed) else {
                if drop.if_exists {
                    self.notify_skipped(format!("extension \"{name}\" does not exist, skipping"));
                    continue;
                }
                return Err(undefined_extension(&name));
            };
            self.check_owner(extension.owner, "extension", &name)?;
            self.drop_columns_of(&name, cascade)?;
            let uses = match self.instance.manifest(&name) {
                Some(manifest) => uses(&catalog, &manifest.provides)?,
                None => uses(&catalog, &extension.provides)?,
            };
            roots.push((extension.oid, uses));
        }
        self.drop_extensions(&roots, cascade)?;
        done("DROP EXTENSION")
    }
}

/// What calls a plugin's functions or operators in a stored expression.
fn uses(catalog: &CatalogSnapshot, provides: &Provides) -> Result<ExtensionUses> {
    let names = Names::new(provides);
    let mut uses = ExtensionUses::default();
    for constraint in catalog.constraints() {
        if let ConstraintKind::Check { expression, .. } = &constraint.kind
            && names.in_expression(&parse_expression(expression)?)
        {
            uses.objects.push(constraint.oid);
        }
    }
    for view in catalog.views() {
        if names.in_query(parse_query(&view.definition)?.as_ref()) {
            uses.objects.push(view.oid);
        }
    }
    for table in catalog.tables() {
        for (id, column) in table.live_columns() {
            if let Some(default) = &column.default
                && names.in_expression(&parse_expression(default)?)
            {
                uses.defaults.push((table.oid, id.0));
            }
        }
    }
    Ok(uses)
}

/// The functions, operators and types of a plugin. They are told apart by name, without the types of their
/// arguments: what may be a plugin's counts as the plugin's.
struct Names<'p> {
    functions: BTreeSet<&'p str>,
    operators: BTreeSet<&'p str>,
    types: BTreeSet<&'p str>,
}

impl<'p> Names<'p> {
    fn new(provides: &'p Provides) -> Names<'p> {
        Names {
            functions: provides.functions.iter().map(|f| f.name.as_str()).collect(),
            operators: provides.operators.iter().map(|o| o.name.as_str()).collect(),
            types: provides.types.iter().map(|t| t.name.as_str()).collect(),
        }
    }

    fn is_function(&self, name: &ast::ObjectName) -> bool {
        name.0
            .last()
            .and_then(|part| part.as_ident())
            .is_some_and(|ident| self.functions.contains(fold(ident).as_str()))
    }

    fn is_type(&self, ty: &ast::DataType) -> bool {
        let name = ty.to_string().to_lowercase();
        let name = name.split(['(', '[']).next().unwrap_or_default();
        self.types.contains(name)
    }

    fn in_expression(&self, expr: &Expr) -> bool {
        ast::Visit::visit(expr, &mut Finder(self)).is_break()
    }

    fn in_query(&self, query: &ast::Query) -> bool {
        ast::Visit::visit(query, &mut Finder(self)).is_break()
    }
}

struct Finder<'a, 'p>(&'a Names<'p>);

fn found(yes: bool) -> ControlFlow<()> {
    match yes {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

impl ast::Visitor for Finder<'_, '_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        found(match expr {
            Expr::Function(f) => self.0.is_function(&f.name),
            Expr::Cast { data_type, .. } => self.0.is_type(data_type),
            Expr::BinaryOp { op, .. } => self.0.operators.contains(op.to_string().as_str()),
            _ => false,
        })
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
        found(match factor {
            ast::TableFactor::Table {
                name,
                args: Some(_),
                ..
            }
            | ast::TableFactor::Function { name, .. } => self.0.is_function(name),
            _ => false,
        })
    }
}
