//! COMMENT ON.

use sqlparser::ast::{self, CommentObject};

use crate::catalog::Relation;
use crate::catalog::model::{Comment, Oid, oid};
use crate::catalog::store::Change;
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::plugin::extension::undefined_extension;
use crate::role::undefined_role;
use crate::session::comment::CommentOnConstraint;
use crate::session::outcome::Outcome;
use crate::session::user_type::TypeKind;
use crate::session::{Session, done};

impl Session {
    pub(crate) fn comment(&mut self, statement: &ast::Statement) -> Result<Outcome> {
        let ast::Statement::Comment {
            object_type,
            object_name,
            comment,
            if_exists,
        } = statement
        else {
            return Err(SqlError::internal("not a COMMENT"));
        };
        if *if_exists {
            return Err(SqlError::unsupported("COMMENT IF EXISTS"));
        }
        let (_, catalog) = self.write_view()?;
        let (class, object, sub) = match object_type {
            CommentObject::Table
            | CommentObject::View
            | CommentObject::Index
            | CommentObject::Sequence => {
                let relation = self.relation(&catalog, object_name)?;
                let fits = matches!(
                    (object_type, &relation),
                    (CommentObject::Table, Relation::Table(_))
                        | (CommentObject::View, Relation::View(_))
                        | (CommentObject::Index, Relation::Index(_))
                        | (CommentObject::Sequence, Relation::Sequence(_))
                );
                if !fits {
                    return Err(SqlError::new(
                        state::WRONG_OBJECT_TYPE,
                        format!(
                            "\"{}\" is not a {}",
                            relation.name(),
                            object_type.to_string().to_lowercase()
                        ),
                    ));
                }
                self.check_owner(relation.owner(), relation.kind(), relation.name())?;
                (oid::PG_CLASS, relation.oid(), 0)
            }
            CommentObject::Column => {
                let mut parts = names::parts(object_name)?;
                let column = parts.pop().unwrap_or_default();
                let idents = parts
                    .iter()
                    .map(|p| ast::ObjectNamePart::Identifier(names::quoted_ident(p)));
                let relation = self.relation(&catalog, &ast::ObjectName(idents.collect()))?;
                self.check_owner(relation.owner(), relation.kind(), relation.name())?;
                let place = match &relation {
                    Relation::Table(t) => t.column(&column).map(|(id, _)| usize::from(id.0)),
                    Relation::View(v) => v.columns.iter().position(|c| c.name == column),
                    _ => None,
                };
                let place = place.ok_or_else(|| {
                    SqlError::new(
                        state::UNDEFINED_COLUMN,
                        format!(
                            "column \"{column}\" of relation \"{}\" does not exist",
                            relation.name()
                        ),
                    )
                })?;
                (
                    oid::PG_CLASS,
                    relation.oid(),
                    i32::try_from(place + 1).unwrap_or(i32::MAX),
                )
            }
            CommentObject::Type | CommentObject::Domain => {
                let kind = match object_type {
                    CommentObject::Type => TypeKind::Type,
                    _ => TypeKind::Domain,
                };
                (oid::PG_TYPE, self.own_type(kind, object_name)?.oid, 0)
            }
            CommentObject::Schema => {
                let name = names::parts(object_name)?.join(".");
                let schema = catalog.schema_by_name(&name).ok_or_else(|| {
                    SqlError::new(
                        state::INVALID_SCHEMA_NAME,
                        format!("schema \"{name}\" does not exist"),
                    )
                })?;
                self.check_owner(schema.owner, "schema", &name)?;
                (oid::PG_NAMESPACE, schema.oid, 0)
            }
            CommentObject::Extension => {
                let name = names::parts(object_name)?.join(".");
                let extension = catalog
                    .extension(&name)
                    .filter(|e| e.installed)
                    .ok_or_else(|| undefined_extension(&name))?;
                self.check_owner(extension.owner, "extension", &name)?;
                (oid::PG_EXTENSION, extension.oid, 0)
            }
            CommentObject::Role | CommentObject::User => {
                let name = names::parts(object_name)?.join(".");
                let role = catalog
                    .role_by_name(&name)
                    .ok_or_else(|| undefined_role(&name))?;
                self.check_superuser("COMMENT ON ROLE")?;
                (oid::PG_AUTHID, role.oid, 0)
            }
            CommentObject::Database => {
                let name = names::parts(object_name)?.join(".");
                if name != self.info.database {
                    return Err(SqlError::new(
                        state::INVALID_CATALOG_NAME,
                        format!("database \"{name}\" does not exist"),
                    ));
                }
                self.check_superuser("COMMENT ON DATABASE")?;
                (oid::PG_DATABASE, oid::DATABASE, 0)
            }
            other => return Err(SqlError::unsupported(format!("COMMENT ON {other}"))),
        };
        self.put_comment((class, object, sub), comment.clone())
    }

    pub(crate) fn comment_on_constraint(
        &mut self,
        comment: &CommentOnConstraint,
    ) -> Result<Outcome> {
        let (_, catalog) = self.write_view()?;
        let relation = self.relation(&catalog, &comment.table)?;
        let name = names::fold(&comment.name);
        self.check_owner(relation.owner(), relation.kind(), relation.name())?;
        let found = catalog
            .constraints_of(relation.oid())
            .find(|c| c.name == name)
            .map(|c| c.oid)
            .ok_or_else(|| {
                let table = relation.name();
                let message = format!("constraint \"{name}\" for table \"{table}\" does not exist");
                SqlError::new(state::UNDEFINED_OBJECT, message)
            })?;
        self.put_comment((oid::PG_CONSTRAINT, found, 0), comment.text.clone())
    }

    pub(super) fn put_comment(
        &mut self,
        (class, object, sub): (Oid, Oid, i32),
        text: Option<String>,
    ) -> Result<Outcome> {
        // An empty comment is none.
        let change = match text.filter(|text| !text.is_empty()) {
            Some(text) => Change::PutComment(Comment {
                class,
                object,
                sub,
                text,
            }),
            None => Change::RemoveComment { class, object, sub },
        };
        self.change_catalog(vec![change])?;
        done("COMMENT")
    }
}
