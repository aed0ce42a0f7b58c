//! Adding constraints: keys with their indexes, checks, foreign keys.
//!
//! Whether they hold of the rows that are there is `super::validate`'s.

use heliosdb_storage::TableLockMode;
use heliosdb_storage::ids::{CollectionId, ColumnId};
use sqlparser::ast::{self, Expr};

use super::create_table::deferral;
use super::index::{fill_online, told_apart};
use super::put;
use crate::catalog::access::Privileges;
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::dml::insert::changed_meanwhile;
use crate::dml::write::explain_unique;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::plan::error::convert;
use crate::plan::scan::conform;
use crate::session::Session;
use crate::session::spelling::take_included;

/// What a new constraint does about the rows that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// There are none: the table is new.
    None,
    Check,
    /// NOT VALID: VALIDATE CONSTRAINT will check them.
    NotValid,
}

/// How a new index comes by the rows that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// There are none: the table is new.
    Nothing,
    /// The statement's lock keeps writers out.
    Locked,
    /// The statement's lock lets them in: they are kept out only at the end.
    Online,
}

/// A constraint as DDL asks for it.
#[expect(
    clippy::large_enum_variant,
    reason = "made once per statement and moved, never stored in bulk"
)]
pub(crate) enum ConstraintRequest {
    Key {
        name: Option<String>,
        primary: bool,
        columns: KeyColumns,
    },
    Check {
        name: Option<String>,
        expr: Expr,
        /// The column it was written at.
        column: Option<String>,
    },
    ForeignKey {
        name: Option<String>,
        columns: Vec<String>,
        table: ast::ObjectName,
        referenced: Vec<String>,
        on_delete: ReferentialAction,
        on_update: ReferentialAction,
        full_match: bool,
        deferral: Deferral,
    },
}

pub(crate) enum KeyColumns {
    /// Those of the key, and those of INCLUDE.
    Named(Vec<String>, Vec<String>),
    /// USING INDEX.
    Index(String),
}

impl KeyColumns {
    pub fn from_ast(columns: &[ast::IndexColumn]) -> Result<KeyColumns> {
        let (key, included) = take_included(columns);
        let names = |columns: &[ast::IndexColumn]| {
            let names = columns.iter().map(|c| match &c.column.expr {
                Expr::Identifier(ident) => Ok(fold(ident)),
                other => Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    format!("syntax error at or near \"{other}\""),
                )),
            });
            names.collect::<Result<_>>()
        };
        Ok(KeyColumns::Named(names(key)?, names(included)?))
    }
}

fn action(action: Option<ast::ReferentialAction>) -> ReferentialAction {
    match action {
        None | Some(ast::ReferentialAction::NoAction) => ReferentialAction::NoAction,
        Some(ast::ReferentialAction::Restrict) => ReferentialAction::Restrict,
        Some(ast::ReferentialAction::Cascade) => ReferentialAction::Cascade,
        Some(ast::ReferentialAction::SetNull) => ReferentialAction::SetNull,
        Some(ast::ReferentialAction::SetDefault) => ReferentialAction::SetDefault,
    }
}

impl ConstraintRequest {
    pub fn foreign_key(
        name: Option<String>,
        c: &ast::ForeignKeyConstraint,
    ) -> Result<ConstraintRequest> {
        let deferral = deferral(c.characteristics.as_ref())?;
        let full_match = match c.match_kind {
            None | Some(ast::ConstraintReferenceMatchKind::Simple) => false,
            Some(ast::ConstraintReferenceMatchKind::Full) => true,
            Some(ast::ConstraintReferenceMatchKind::Partial) => {
                return Err(SqlError::unsupported("MATCH PARTIAL"));
            }
        };
        Ok(ConstraintRequest::ForeignKey {
            name: name.or_else(|| c.name.as_ref().map(fold)),
            columns: c.columns.iter().map(fold).collect(),
            table: c.foreign_table.clone(),
            referenced: c.referred_columns.iter().map(fold).collect(),
            on_delete: action(c.on_delete),
            on_update: action(c.on_update),
            full_match,
            deferral,
        })
    }
}

/// Places of columns of a table by name.
/// Indexes know the built-in orders; those of plugins' types come with index methods of plugins.
pub(crate) fn check_indexable(table: &Table, place: u16) -> Result<()> {
    match table
        .column_at(place)
        .and_then(|c| c.extension_type.as_ref())
    {
        None => Ok(()),
        Some(ty) => Err(SqlError::unsupported(format!(
            "an index on a column of type {}",
            ty.name
        ))),
    }
}

pub(crate) fn column_places(table: &Table, columns: &[String]) -> Result<Vec<u16>> {
    let mut places = Vec::with_capacity(columns.len());
    for name in columns {
        let (id, _) = table.column(name).ok_or_else(|| {
            SqlError::new(
                state::UNDEFINED_COLUMN,
                format!("column \"{name}\" named in key does not exist"),
            )
        })?;
        check_indexable(table, id.0)?;
        if places.contains(&id.0) {
            return Err(SqlError::new(
                state::DUPLICATE_COLUMN,
                format!("column \"{name}\" appears twice in key"),
            ));
        }
        places.push(id.0);
    }
    Ok(places)
}

/// The places of the columns of INCLUDE, which may be of any type.
pub(crate) fn included_places(
    table: &Table,
    columns: &[String],
    named_in: &str,
) -> Result<Vec<u16>> {
    let place = |name: &String| match table.column(name) {
        Some((id, _)) => Ok(id.0),
        None => Err(SqlError::new(
            state::UNDEFINED_COLUMN,
            format!("column \"{name}\"{named_in} does not exist"),
        )),
    };
    columns.iter().map(place).collect()
}

impl Session {
    /// Adds a constraint to a table that this transaction has locked.
    pub(crate) fn add_constraint(
        &mut self,
        table: Oid,
        request: ConstraintRequest,
        existing: Existing,
    ) -> Result<()> {
        match request {
            ConstraintRequest::Key {
                name,
                primary,
                columns,
            } => {
                if existing == Existing::NotValid {
                    let kind = if primary { "PRIMARY KEY" } else { "UNIQUE" };
                    return Err(SqlError::new(
                        state::FEATURE_NOT_SUPPORTED,
                        format!("{kind} constraints cannot be marked NOT VALID"),
                    ));
                }
                self.add_key(table, name, primary, columns, existing == Existing::Check)
            }
            ConstraintRequest::Check { name, expr, column } => {
                self.add_check(table, name, expr, column, existing)
            }
            ConstraintRequest::ForeignKey { .. } => self.add_foreign_key(table, request, existing),
        }
    }

    pub(crate) fn table_now(
        &mut self,
        table: Oid,
    ) -> Result<(std::sync::Arc<CatalogSnapshot>, Table)> {
        let (_, catalog) = self.write_view()?;
        let table = catalog
            .table(table)
            .ok_or_else(|| SqlError::internal("the table is gone"))?
            .as_ref()
            .clone();
        Ok((catalog, table))
    }

    pub(crate) fn check_constraint_name(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
        name: &str,
    ) -> Result<()> {
        if catalog.constraints_of(table.oid).any(|c| c.name == name) {
            return Err(SqlError::new(
                state::DUPLICATE_OBJECT,
                format!(
                    "constraint \"{name}\" for relation \"{}\" already exists",
                    table.name
                ),
            ));
        }
        Ok(())
    }

    fn add_key(
        &mut self,
        table: Oid,
        name: Option<String>,
        primary: bool,
        columns: KeyColumns,
        check: bool,
    ) -> Result<()> {
        let (catalog, mut table) = self.table_now(table)?;
        if primary && catalog.primary_key(table.oid).is_some() {
            return Err(SqlError::new(
                state::INVALID_TABLE_DEFINITION,
                format!(
                    "multiple primary keys for table \"{}\" are not allowed",
                    table.name
                ),
            ));
        }
        let (columns, named) = match columns {
            KeyColumns::Named(columns, included) => (columns, included),
            KeyColumns::Index(index) => {
                return self.adopt_index(&catalog, &mut table, name, primary, &index);
            }
        };
        let places = column_places(&table, &columns)?;
        let included = included_places(&table, &named, " named in key")?;
        let taken = |n: &str| {
            catalog.relation_in(table.schema, n).is_some()
                || catalog.constraints_of(table.oid).any(|c| c.name == n)
        };
        let name = match name {
            Some(name) => {
                self.check_constraint_name(&catalog, &table, &name)?;
                self.check_free(&catalog, table.schema, &name)?;
                name
            }
            None if primary => names::choose(&table.name, "", "pkey", taken),
            None => {
                let columns = told_apart([columns, named].concat()).join("_");
                names::choose(&table.name, &columns, "key", taken)
            }
        };
        let mut changes = Vec::new();
        if primary {
            self.make_not_null(&catalog, &mut table, &places, check)?;
            changes.push(put!(Table, table.clone()));
        }
        super::index::check_keys(places.len() + included.len())?;
        let constraint = self.instance.allocate_oid()?;
        let index = Index {
            oid: self.instance.allocate_oid()?,
            schema: table.schema,
            name: name.clone(),
            owner: table.owner,
            table: table.oid,
            collection: self.instance.allocate_collection()?.0,
            columns: places
                .iter()
                .map(|c| IndexColumn {
                    column: *c,
                    descending: false,
                    nulls_first: false,
                    operator_class: 0,
                })
                .collect(),
            unique: true,
            constraint: Some(constraint),
            primary,
            clustered: false,
            expressions: Vec::new(),
            predicate: None,
            included,
        };
        let kind = if primary {
            ConstraintKind::PrimaryKey {
                columns: places,
                index: index.oid,
            }
        } else {
            ConstraintKind::Unique {
                columns: places,
                index: index.oid,
            }
        };
        changes.push(put!(
            Constraint,
            Constraint {
                oid: constraint,
                name,
                table: table.oid,
                kind,
                validated: true,
            }
        ));
        let fill = match check {
            true => Fill::Locked,
            false => Fill::Nothing,
        };
        self.add_index(index, changes, fill)
    }

    fn adopt_index(
        &mut self,
        catalog: &CatalogSnapshot,
        table: &mut Table,
        name: Option<String>,
        primary: bool,
        index: &str,
    ) -> Result<()> {
        let found = match catalog.relation_in(table.schema, index) {
            Some(Relation::Index(i)) if i.table == table.oid => i,
            _ => {
                return Err(SqlError::new(
                    state::UNDEFINED_OBJECT,
                    format!("index \"{index}\" does not exist"),
                ));
            }
        };
        if !found.unique || found.constraint.is_some() {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("index \"{index}\" is not a unique index or already has a constraint"),
            ));
        }
        let parts = [
            (found.predicate.is_some(), "is a partial index"),
            (!found.expressions.is_empty(), "contains expressions"),
        ];
        if let Some((_, why)) = parts.iter().find(|(is, _)| *is) {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("index \"{index}\" {why}"),
            )
            .with_detail("Cannot create a primary key or unique constraint using such an index."));
        }
        let mut index = found.as_ref().clone();
        let places: Vec<u16> = index.columns.iter().map(|c| c.column).collect();
        let constraint = self.instance.allocate_oid()?;
        index.constraint = Some(constraint);
        index.primary = primary;
        if let Some(name) = name
            && name != index.name
        {
            self.check_free(catalog, table.schema, &name)?;
            index.name = name;
        }
        let mut changes = Vec::new();
        if primary {
            self.make_not_null(catalog, table, &places, true)?;
            changes.push(put!(Table, table.clone()));
        }
        let kind = if primary {
            ConstraintKind::PrimaryKey {
                columns: places,
                index: index.oid,
            }
        } else {
            ConstraintKind::Unique {
                columns: places,
                index: index.oid,
            }
        };
        let name = index.name.clone();
        changes.push(put!(
            Constraint,
            Constraint {
                oid: constraint,
                name,
                table: table.oid,
                kind,
                validated: true,
            }
        ));
        changes.push(put!(Index, index));
        self.change_catalog(changes)?;
        Ok(())
    }

    /// Writes an index into the catalog together with other changes, and fills it.
    pub(crate) fn add_index(
        &mut self,
        index: Index,
        mut changes: Vec<Change>,
        fill: Fill,
    ) -> Result<()> {
        let (table, collection) = (index.table, CollectionId(index.collection));
        changes.push(put!(Index, index));
        let catalog = self.change_catalog(changes)?;
        self.fill_index(&catalog, table, collection, fill)?;
        self.define_storage(&catalog, table)
    }

    /// Fills an index that the catalog has and storage has not.
    pub(crate) fn fill_index(
        &mut self,
        catalog: &CatalogSnapshot,
        table: Oid,
        collection: CollectionId,
        fill: Fill,
    ) -> Result<()> {
        let meta = catalog.table_meta(table)?;
        let mut indexes = meta.storage.indexes.iter();
        let Some(storage) = indexes.find(|index| index.id == collection) else {
            return Err(SqlError::internal("an index that is not its table's"));
        };
        let schema_name = catalog
            .schema(meta.table.schema)
            .map_or_else(String::new, |s| s.name.clone());
        let format = self.info.format();
        let wait = self.lock_wait();
        let transaction = self.transaction()?;
        let filled = match fill {
            Fill::Nothing => Ok(()),
            Fill::Locked => transaction.build_index(&meta.storage, storage),
            Fill::Online => fill_online(transaction, &meta.storage, storage, wait),
        };
        filled.map_err(|e| {
            let e = explain_unique(&meta, &schema_name, &format, e);
            could_not_create(e, &meta, storage.id.0)
        })?;
        // Later statements of the transaction may read a snapshot of other rows, which the index does not have.
        let is_read = fill != Fill::Nothing && self.txn.in_block();
        if is_read && !self.transaction()?.sees_newest_rows(meta.id())? {
            return Err(changed_meanwhile(&meta.table.name));
        }
        Ok(())
    }

    /// Sets NOT NULL on columns, after a look at the rows.
    pub(crate) fn make_not_null(
        &mut self,
        catalog: &CatalogSnapshot,
        table: &mut Table,
        places: &[u16],
        check: bool,
    ) -> Result<()> {
        for place in places {
            let column = &mut table.columns[usize::from(*place)];
            if column.not_null {
                continue;
            }
            column.not_null = true;
            if check {
                let name = column.name.clone();
                let table_name = table.name.clone();
                self.scan_table(catalog, table.oid, &[*place], |_, batch| {
                    if batch.column(0).null_count() > 0 {
                        return Err(SqlError::new(
                            state::NOT_NULL_VIOLATION,
                            format!(
                                "column \"{name}\" of relation \"{table_name}\" contains null values"
                            ),
                        ));
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Shows all rows of a table, own writes included.
    pub(crate) fn scan_table(
        &mut self,
        catalog: &CatalogSnapshot,
        table: Oid,
        places: &[u16],
        mut each: impl FnMut(&mut Session, &arrow::record_batch::RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let meta = catalog.table_meta(table)?;
        let view = self.transaction()?.latest_view();
        let request =
            heliosdb_storage::ScanRequest::columns(places.iter().map(|p| ColumnId(*p)).collect());
        let live: Vec<usize> = places
            .iter()
            .filter_map(|p| meta.position(ColumnId(*p)))
            .collect();
        // What the catalog demands may be what the rows are looked at for.
        let fields = meta.schema.project(&live)?.fields;
        let fields = fields
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true));
        let schema = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
        let schema = std::sync::Arc::new(schema);
        for batch in view
            .scan(meta.storage.clone(), request)?
            .into_iter()
            .flatten()
        {
            if self.interrupt.is_canceled() {
                return Err(SqlError::from(heliosdb_storage::Error::Canceled));
            }
            each(self, &conform(&schema, &batch?).map_err(convert)?)?;
        }
        Ok(())
    }

    fn add_check(
        &mut self,
        table: Oid,
        name: Option<String>,
        expr: Expr,
        column: Option<String>,
        existing: Existing,
    ) -> Result<()> {
        let (catalog, table) = self.table_now(table)?;
        let meta = catalog.table_meta(table.oid)?;
        let found = self.row_expression(&catalog, &meta, &expr, "check constraints")?;
        let mut qualified = self.with_qualified_types(&expr);
        self.qualify_functions(&mut qualified, &found.uses);
        let text = names::text_of(&qualified);
        let (columns, boolean) = (found.columns, found.ty);
        if !matches!(
            boolean,
            crate::types::PgType::Bool | crate::types::PgType::Unknown
        ) {
            return Err(SqlError::new(
                state::DATATYPE_MISMATCH,
                format!(
                    "argument of CHECK must be type boolean, not type {}",
                    boolean.name()
                ),
            ));
        }
        let name = match name {
            Some(name) => {
                self.check_constraint_name(&catalog, &table, &name)?;
                name
            }
            None => {
                let part = match (&column, columns.as_slice()) {
                    (Some(column), _) => column.clone(),
                    (None, [only]) => table.columns[usize::from(*only)].name.clone(),
                    _ => String::new(),
                };
                names::choose(&table.name, &part, "check", |n| {
                    catalog.constraints_of(table.oid).any(|c| c.name == n)
                })
            }
        };
        let oid = self.instance.allocate_oid()?;
        let kind = ConstraintKind::Check {
            expression: text,
            columns,
        };
        let constraint = Constraint {
            oid,
            name,
            table: table.oid,
            kind,
            validated: existing != Existing::NotValid,
        };
        self.put_constraint(constraint, existing)
    }

    fn add_foreign_key(
        &mut self,
        table: Oid,
        request: ConstraintRequest,
        existing: Existing,
    ) -> Result<()> {
        let ConstraintRequest::ForeignKey {
            name,
            columns,
            table: parent_name,
            referenced,
            on_delete,
            on_update,
            full_match,
            deferral,
        } = request
        else {
            return Err(SqlError::internal("not a foreign key"));
        };
        let (catalog, table) = self.table_now(table)?;
        let parent = match self.relation(&catalog, &parent_name)? {
            Relation::Table(t) => t,
            other => {
                return Err(SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("referenced relation \"{}\" is not a table", other.name()),
                ));
            }
        };
        let are_temporary = [&table, &*parent].map(|t| catalog.is_temporary(t.schema));
        let kind = match are_temporary {
            [true, false] => Some("temporary"),
            [false, true] => Some("permanent"),
            _ => None,
        };
        if let Some(kind) = kind {
            return Err(SqlError::new(
                state::INVALID_TABLE_DEFINITION,
                format!("constraints on {kind} tables may reference only {kind} tables"),
            ));
        }
        if parent.oid != table.oid {
            self.lock_table(parent.collection_id(), TableLockMode::ShareRowExclusive)?;
        }
        let places = columns
            .iter()
            .map(|c| {
                table.column(c).map(|(id, _)| id.0).ok_or_else(|| {
                    SqlError::new(
                        state::UNDEFINED_COLUMN,
                        format!(
                            "column \"{c}\" referenced in foreign key constraint does not exist"
                        ),
                    )
                })
            })
            .collect::<Result<Vec<u16>>>()?;
        let referenced_columns = if referenced.is_empty() {
            catalog
                .primary_key(parent.oid)
                .ok_or_else(|| {
                    SqlError::new(
                        state::UNDEFINED_OBJECT,
                        format!(
                            "there is no primary key for referenced table \"{}\"",
                            parent.name
                        ),
                    )
                })?
                .columns()
                .to_vec()
        } else {
            referenced
                .iter()
                .map(|c| {
                    parent.column(c).map(|(id, _)| id.0).ok_or_else(|| {
                        SqlError::new(
                            state::UNDEFINED_COLUMN,
                            format!(
                                "column \"{c}\" referenced in foreign key constraint does not exist"
                            ),
                        )
                    })
                })
                .collect::<Result<Vec<u16>>>()?
        };
        let numbers: Vec<i32> = referenced_columns
            .iter()
            .map(|c| i32::from(*c) + 1)
            .collect();
        let role = self.info.role();
        role.check_columns(&catalog, &parent, &numbers, Privileges::REFERENCES)?;
        if places.len() != referenced_columns.len() {
            return Err(SqlError::new(
                state::INVALID_FOREIGN_KEY,
                "number of referencing and referenced columns for foreign key disagree",
            ));
        }
        let same_set = |i: &Index| {
            let mut have: Vec<u16> = i.columns.iter().map(|c| c.column).collect();
            let mut want = referenced_columns.clone();
            have.sort_unstable();
            want.sort_unstable();
            i.unique && i.is_plain() && have == want
        };
        let index = catalog.indexes_of(parent.oid).find(|i| same_set(i)).ok_or_else(|| {
            SqlError::new(
                state::INVALID_FOREIGN_KEY,
                format!(
                    "there is no unique constraint matching given keys for referenced table \"{}\"",
                    parent.name
                ),
            )
        })?;
        let name = match name {
            Some(name) => {
                self.check_constraint_name(&catalog, &table, &name)?;
                name
            }
            None => names::choose(&table.name, &columns.join("_"), "fkey", |n| {
                catalog.constraints_of(table.oid).any(|c| c.name == n)
            }),
        };
        let oid = self.instance.allocate_oid()?;
        let key = ForeignKey {
            columns: places,
            referenced_table: parent.oid,
            referenced_columns,
            referenced_index: index.oid,
            on_delete,
            on_update,
            full_match,
            deferral,
        };
        check_alike(&name, &table, &parent, &key)?;
        check_actions(&table, &key)?;
        let kind = ConstraintKind::ForeignKey(key);
        let constraint = Constraint {
            oid,
            name,
            table: table.oid,
            kind,
            validated: existing != Existing::NotValid,
        };
        self.put_constraint(constraint, existing)
    }
}

/// 42601 when an action of a foreign key would set a generated column.
fn check_actions(child: &Table, key: &ForeignKey) -> Result<()> {
    let mut columns = key.columns.iter().map(|c| &child.columns[usize::from(*c)]);
    if !columns.any(|column| column.generated.is_some()) {
        return Ok(());
    }
    let sets = |action| {
        matches!(
            action,
            ReferentialAction::SetNull | ReferentialAction::SetDefault
        )
    };
    let event = match key {
        key if sets(key.on_update) || key.on_update == ReferentialAction::Cascade => "UPDATE",
        key if sets(key.on_delete) => "DELETE",
        _ => return Ok(()),
    };
    Err(SqlError::new(
        state::SYNTAX_ERROR,
        format!("invalid ON {event} action for foreign key constraint containing generated column"),
    ))
}

/// 42804 when the columns of a foreign key cannot be compared with those that they refer to.
pub(crate) fn check_alike(
    name: &str,
    child: &Table,
    parent: &Table,
    key: &ForeignKey,
) -> Result<()> {
    for (column, referenced) in key.columns.iter().zip(&key.referenced_columns) {
        let column = &child.columns[usize::from(*column)];
        let referenced = &parent.columns[usize::from(*referenced)];
        let (a, b) = (column.ty(), referenced.ty());
        let alike = a == b
            || (a.is_integer() && b.is_integer())
            || (a.is_string() && b.is_string())
            || (a.category() == 'N' && b.category() == 'N' && b == crate::types::PgType::Numeric);
        if !alike {
            return Err(SqlError::new(
                state::DATATYPE_MISMATCH,
                format!("foreign key constraint \"{name}\" cannot be implemented"),
            )
            .with_detail(format!(
                "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                column.name,
                referenced.name,
                a.name(),
                b.name()
            )));
        }
    }
    Ok(())
}

/// CREATE UNIQUE INDEX words its violation differently from INSERT.
fn could_not_create(
    error: SqlError,
    meta: &crate::catalog::meta::TableMeta,
    collection: u32,
) -> SqlError {
    if error.code != state::UNIQUE_VIOLATION {
        return error;
    }
    let name = meta
        .indexes
        .iter()
        .find(|i| i.collection == collection)
        .map_or_else(String::new, |i| i.name.clone());
    let detail = error
        .detail
        .as_ref()
        .map(|d| d.replace("already exists.", "is duplicated."));
    let mut out = SqlError::new(
        state::UNIQUE_VIOLATION,
        format!("could not create unique index \"{name}\""),
    )
    .with_constraint(name);
    out.detail = detail;
    out
}
