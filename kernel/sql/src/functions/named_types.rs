//! The types of users that a statement may name: those of its catalog, along the search path.

use std::sync::Arc;

use sqlparser::ast::{self, ArrayElemTypeDef};

use crate::catalog::CatalogSnapshot;
use crate::catalog::model::{DomainRules, UserType};
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::types::{PgType, names as type_names};

/// A catalog and where names are looked for in it.
#[derive(Clone, Debug, Default)]
pub struct NamedTypes {
    pub catalog: Arc<CatalogSnapshot>,
    /// Schemas, as [`names::on_path`] has them.
    pub path: Vec<String>,
}

/// A type that a name stands for.
#[derive(Clone, Debug)]
pub struct NamedType {
    pub definition: Arc<UserType>,
    pub ty: PgType,
    pub typmod: i32,
    /// Of a domain.
    pub rules: Option<Arc<DomainRules>>,
}

impl NamedTypes {
    /// The type of a possibly qualified name, which no built-in type has.
    pub fn find(&self, name: &ast::ObjectName) -> Result<Option<&Arc<UserType>>> {
        if self.catalog.types().is_empty() {
            return Ok(None);
        }
        let parts = names::parts(name)?;
        let (schema, name) = match parts.as_slice() {
            [name] => (None, name),
            [schema, name] | [_, schema, name] => (Some(schema), name),
            _ => return Ok(None),
        };
        Ok(self.named(schema.map(String::as_str), name))
    }

    /// The same for a name in parts.
    pub fn named(&self, schema: Option<&str>, name: &str) -> Option<&Arc<UserType>> {
        let types = self.catalog.types();
        let in_schema = |schema: &str| {
            let schema = self.catalog.schema_by_name(schema)?;
            types.named(schema.oid, name)
        };
        match schema {
            Some(schema) => in_schema(names::on_path(schema, &self.path)),
            None if type_names::by_name(name).is_some() => None,
            None => self.path.iter().find_map(|schema| in_schema(schema)),
        }
    }

    /// What a type in the syntax tree is, if it is one of these.
    pub fn resolve(&self, ty: &ast::DataType) -> Result<Option<NamedType>> {
        match ty {
            ast::DataType::Custom(name, modifiers) => {
                let Some(found) = self.find(name)? else {
                    return Ok(None);
                };
                if !modifiers.is_empty() {
                    return Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        format!("type modifier is not allowed for type \"{}\"", found.name),
                    ));
                }
                let resolved = self.catalog.types().resolve(found.oid);
                let (ty, typmod) = resolved.ok_or_else(|| type_names::undefined(&found.name))?;
                Ok(Some(NamedType {
                    rules: self.catalog.types().rules(found.oid),
                    definition: found.clone(),
                    ty,
                    typmod,
                }))
            }
            ast::DataType::Array(
                ArrayElemTypeDef::SquareBracket(item, _) | ArrayElemTypeDef::AngleBracket(item),
            ) => {
                let Some(found) = self.resolve(item)? else {
                    return Ok(None);
                };
                if found.definition.domain().is_some() {
                    let what = format!("an array of domain {}", found.definition.name);
                    return Err(SqlError::unsupported(what));
                }
                Ok(Some(NamedType {
                    ty: found.ty.array_of(),
                    ..found
                }))
            }
            _ => Ok(None),
        }
    }

    /// Puts the schema in front of the name of a type, if it is one of these.
    pub fn qualify(&self, ty: &mut ast::DataType) {
        match ty {
            ast::DataType::Custom(name, _) => {
                if let Ok(Some(found)) = self.find(name)
                    && let Some(schema) = self.catalog.schema(found.schema)
                {
                    name.0 = [schema.name.as_str(), found.name.as_str()]
                        .map(|part| ast::ObjectNamePart::Identifier(names::quoted_ident(part)))
                        .into();
                }
            }
            ast::DataType::Array(
                ArrayElemTypeDef::SquareBracket(item, _) | ArrayElemTypeDef::AngleBracket(item),
            ) => self.qualify(item),
            _ => {}
        }
    }
}
