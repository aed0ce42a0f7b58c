//! CREATE, ALTER and DROP of types of users: what enums and domains have in common, and enums.
//!
//! A label's key is given once and for ever ([`enumeration`]), so ADD VALUE and RENAME VALUE change the
//! catalog alone. What is kept as text and names the type, or has the label, is changed with it.

use std::sync::Arc;

use sqlparser::ast::ObjectName;

use super::put;
use super::stored_text::{Labels, RenameType, change_texts};
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names::{self, NAME_BYTES_MAX, fold};
use crate::session::outcome::Outcome;
use crate::session::user_type::{AlterType, LabelPlace, TypeKind, TypeStatement};
use crate::session::{Session, done};
use crate::types::{PgType, enumeration, names as type_names};

impl Session {
    pub(crate) fn change_type(&mut self, statement: &TypeStatement) -> Result<Outcome> {
        match statement {
            TypeStatement::CreateEnum { name, labels } => {
                self.create_enum(name, labels)?;
                done("CREATE TYPE")
            }
            TypeStatement::CreateDomain(create) => {
                self.create_domain(create)?;
                done("CREATE DOMAIN")
            }
            TypeStatement::Alter { kind, name, action } => {
                self.alter_type(*kind, name, action)?;
                done(match kind {
                    TypeKind::Type => "ALTER TYPE",
                    TypeKind::Domain => "ALTER DOMAIN",
                })
            }
            TypeStatement::Drop {
                kind,
                names,
                if_exists,
                cascade,
            } => {
                let mut roots = Vec::new();
                for name in names {
                    roots.extend(self.type_to_drop(*kind, name, *if_exists)?);
                }
                self.drop_all(&roots, *cascade)?;
                done(match kind {
                    TypeKind::Type => "DROP TYPE",
                    TypeKind::Domain => "DROP DOMAIN",
                })
            }
            TypeStatement::Unsupported(what) => Err(SqlError::unsupported(*what)),
        }
    }

    fn create_enum(&mut self, name: &ObjectName, labels: &[String]) -> Result<()> {
        let (schema, name) = self.schema_for_type(name)?;
        let oid = self.instance.allocate_oid()?;
        for (place, label) in labels.iter().enumerate() {
            check_label(label)?;
            if labels[..place].contains(label) {
                return Err(SqlError::new(
                    state::UNIQUE_VIOLATION,
                    "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"",
                )
                .with_detail(format!(
                    "Key (enumtypid, enumlabel)=({oid}, {label}) already exists."
                )));
            }
        }
        let keys = enumeration::first_keys(labels.len()).ok_or_else(too_many_labels)?;
        let array_oid = self.instance.allocate_oid()?;
        let labels = labels.iter().zip(keys).map(|(label, key)| {
            Ok(EnumLabel {
                oid: self.instance.allocate_oid()?,
                label: label.clone(),
                key,
            })
        });
        let definition = TypeDefinition::Enum(labels.collect::<Result<_>>()?);
        let ty = UserType {
            oid,
            array_oid,
            schema: schema.oid,
            name,
            owner: self.info.role().oid,
            definition,
        };
        ty.declare()?;
        self.change_catalog(vec![put!(UserType, ty)])?;
        Ok(())
    }

    /// The schema and name of a new type, which nothing else there has.
    pub(super) fn schema_for_type(&mut self, name: &ObjectName) -> Result<(Arc<Schema>, String)> {
        let (schema, name) = self.creation_schema(name, false)?;
        let (_, catalog) = self.write_view()?;
        if catalog.is_temporary(schema.oid) {
            return Err(SqlError::unsupported("temporary types"));
        }
        check_type_free(&catalog, schema.oid, &name)?;
        Ok((schema, name))
    }

    /// The type that a statement names, whose owner this role is.
    pub(super) fn own_type(&mut self, kind: TypeKind, name: &ObjectName) -> Result<Arc<UserType>> {
        let found = self.find_type(name)?;
        let shown = names::parts(name)?.join(".");
        let Some(ty) = found else {
            return Err(match self.built_in(name)? {
                Some(ty) => SqlError::new(
                    state::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot change type {} because it is required by the database system",
                        ty.name()
                    ),
                ),
                None => type_names::undefined(&shown),
            });
        };
        if kind == TypeKind::Domain && ty.domain().is_none() {
            return Err(not_a_domain(&shown));
        }
        self.check_owner(ty.owner, "type", &ty.name)?;
        Ok(ty)
    }

    pub(super) fn find_type(&mut self, name: &ObjectName) -> Result<Option<Arc<UserType>>> {
        self.write_view()?;
        let functions = self.info.functions();
        Ok(functions.named_types().find(name)?.cloned())
    }

    /// A built-in type by the name that it has in `pg_type`.
    fn built_in(&self, name: &ObjectName) -> Result<Option<PgType>> {
        Ok(match names::parts(name)?.as_slice() {
            [name] => PgType::from_internal_name(name),
            [schema, name] if schema == "pg_catalog" => PgType::from_internal_name(name),
            _ => None,
        })
    }

    fn alter_type(&mut self, kind: TypeKind, name: &ObjectName, action: &AlterType) -> Result<()> {
        let ty = self.own_type(TypeKind::Type, name)?;
        if kind == TypeKind::Domain && ty.domain().is_none() {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("{} is not a domain", ty.name),
            ));
        }
        match action {
            AlterType::AddValue {
                if_not_exists,
                label,
                place,
            } => self.add_label(&ty, label, place.as_ref(), *if_not_exists),
            AlterType::RenameValue { from, to } => self.rename_label(&ty, from, to),
            AlterType::Rename(to) => {
                let to = fold(to);
                self.move_type(&ty, ty.schema, to)
            }
            AlterType::SetSchema(schema) => {
                let (_, catalog) = self.write_view()?;
                let schema = fold(schema);
                let to = self.schema_to_create_in(&catalog, Some(&schema), &ty.name)?;
                match to.oid == ty.schema {
                    true => Ok(()),
                    false => self.move_type(&ty, to.oid, ty.name.clone()),
                }
            }
            AlterType::Owner(owner) => {
                let owner = self.new_owner(owner)?;
                let (_, catalog) = self.write_view()?;
                self.check_member_of(&catalog, owner)?;
                let ty = ty.as_ref().clone();
                self.change_catalog(vec![put!(UserType, UserType { owner, ..ty })])?;
                Ok(())
            }
            of_domain => self.alter_domain(&ty, of_domain),
        }
    }

    fn add_label(
        &mut self,
        ty: &UserType,
        label: &str,
        place: Option<&LabelPlace>,
        if_not_exists: bool,
    ) -> Result<()> {
        let mut labels = labels_of(ty)?.to_vec();
        check_label(label)?;
        if labels.iter().any(|l| l.label == label) {
            let message = format!("enum label \"{label}\" already exists");
            return match if_not_exists {
                true => {
                    self.notify_skipped(format!("{message}, skipping"));
                    Ok(())
                }
                false => Err(SqlError::new(state::DUPLICATE_OBJECT, message)),
            };
        }
        let at = match place {
            None => labels.len(),
            Some(place) => {
                let neighbour = labels.iter().position(|l| l.label == place.neighbour);
                neighbour.ok_or_else(|| no_label(&place.neighbour))? + usize::from(!place.before)
            }
        };
        let before = at.checked_sub(1).map(|at| labels[at].key);
        let after = labels.get(at).map(|label| label.key);
        let key = enumeration::key_between(before, after).ok_or_else(too_many_labels)?;
        let new = EnumLabel {
            oid: self.instance.allocate_oid()?,
            label: label.to_owned(),
            key,
        };
        labels.insert(at, new);
        let definition = TypeDefinition::Enum(labels);
        let ty = ty.clone();
        self.change_catalog(vec![put!(UserType, UserType { definition, ..ty })])?;
        Ok(())
    }

    fn rename_label(&mut self, ty: &UserType, from: &str, to: &str) -> Result<()> {
        let mut labels = labels_of(ty)?.to_vec();
        check_label(to)?;
        let at = labels.iter().position(|label| label.label == from);
        let at = at.ok_or_else(|| no_label(from))?;
        if labels.iter().any(|label| label.label == to) {
            return Err(SqlError::new(
                state::DUPLICATE_OBJECT,
                format!("enum label \"{to}\" already exists"),
            ));
        }
        to.clone_into(&mut labels[at].label);
        let (_, catalog) = self.write_view()?;
        let mut oids = catalog.types().made_of(ty.oid);
        oids.push(ty.array_oid);
        let schema = schema_name(&catalog, ty.schema);
        let mut relabel = Labels::new(oids, [&schema, &ty.name], from, to);
        let mut changes = change_texts(&catalog, &mut relabel)?;
        let definition = TypeDefinition::Enum(labels);
        let ty = ty.clone();
        changes.push(put!(UserType, UserType { definition, ..ty }));
        self.change_catalog(changes)?;
        Ok(())
    }

    /// Gives a type another name, or another schema.
    fn move_type(&mut self, ty: &UserType, schema: Oid, name: String) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        check_type_free(&catalog, schema, &name)?;
        let (from, to) = (
            schema_name(&catalog, ty.schema),
            schema_name(&catalog, schema),
        );
        let mut rename = RenameType {
            schema: &from,
            name: &ty.name,
            to: [&to, &name],
        };
        let mut changes = change_texts(&catalog, &mut rename)?;
        // Its own checks may name it, too.
        let own = changes.iter().rposition(
            |change| matches!(change, Change::Put(Object::UserType(t)) if t.oid == ty.oid),
        );
        let ty = match own.map(|own| changes.remove(own)) {
            Some(Change::Put(Object::UserType(changed))) => changed.as_ref().clone(),
            _ => ty.clone(),
        };
        changes.push(put!(UserType, UserType { schema, name, ..ty }));
        self.change_catalog(changes)?;
        Ok(())
    }

    /// The type that a DROP names; `None` when it is not there and need not be.
    fn type_to_drop(
        &mut self,
        kind: TypeKind,
        name: &ObjectName,
        if_exists: bool,
    ) -> Result<Option<Oid>> {
        let shown = names::parts(name)?.join(".");
        if self.find_type(name)?.is_none() {
            if let Some(ty) = self.built_in(name)? {
                return Err(SqlError::new(
                    state::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop type {} because it is required by the database system",
                        ty.name()
                    ),
                ));
            }
            if if_exists {
                self.notify_skipped(format!("type \"{shown}\" does not exist, skipping"));
                return Ok(None);
            }
        }
        Ok(Some(self.own_type(kind, name)?.oid))
    }
}

/// 42710 when a type, or a table or view, which has one, has the name.
pub(super) fn check_type_free(catalog: &CatalogSnapshot, schema: Oid, name: &str) -> Result<()> {
    let relation = catalog.relation_in(schema, name);
    let has_row_type = matches!(relation, Some(Relation::Table(_) | Relation::View(_)));
    if catalog.types().named(schema, name).is_none() && !has_row_type {
        return Ok(());
    }
    Err(SqlError::new(
        state::DUPLICATE_OBJECT,
        format!("type \"{name}\" already exists"),
    ))
}

/// The same for a new table or view.
pub(super) fn check_row_type_free(
    catalog: &CatalogSnapshot,
    schema: Oid,
    name: &str,
) -> Result<()> {
    if catalog.types().named(schema, name).is_none() {
        return Ok(());
    }
    Err(SqlError::new(
        state::DUPLICATE_OBJECT,
        format!("type \"{name}\" already exists"),
    )
    .with_hint(
        "A relation has an associated type of the same name, so you must use a name that doesn't \
         conflict with any existing type.",
    ))
}

fn labels_of(ty: &UserType) -> Result<&[EnumLabel]> {
    ty.labels().ok_or_else(|| {
        SqlError::new(
            state::WRONG_OBJECT_TYPE,
            format!("{} is not an enum", ty.name),
        )
    })
}

fn check_label(label: &str) -> Result<()> {
    if label.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(SqlError::new(
        state::INVALID_NAME,
        format!("invalid enum label \"{label}\""),
    )
    .with_detail(format!("Labels must be {NAME_BYTES_MAX} bytes or less.")))
}

fn no_label(label: &str) -> SqlError {
    SqlError::new(
        state::INVALID_PARAMETER_VALUE,
        format!("\"{label}\" is not an existing enum label"),
    )
}

fn too_many_labels() -> SqlError {
    SqlError::new(
        state::PROGRAM_LIMIT_EXCEEDED,
        "there is no room for another label at this place of the enum",
    )
    .with_hint(
        "Add the label at another place, or make a new type and change the columns to it with \
         ALTER TABLE … ALTER COLUMN … TYPE.",
    )
}

pub(super) fn not_a_domain(name: &str) -> SqlError {
    SqlError::new(
        state::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is not a domain"),
    )
}

pub(super) fn schema_name(catalog: &CatalogSnapshot, schema: Oid) -> String {
    let schema = catalog.schema(schema);
    schema.map_or_else(String::new, |schema| schema.name.clone())
}
