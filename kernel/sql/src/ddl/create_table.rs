//! CREATE TABLE, CREATE TABLE AS and SELECT INTO.

use std::sync::Arc;

use heliosdb_storage::TableLockMode;
use sqlparser::ast::{self, ColumnOption, Expr, TableConstraint};

use super::constraint::{ConstraintRequest, Existing, KeyColumns};
use super::generated::check_alone;
use super::put;
use super::retention;
use super::sequence::{SequenceRequest, new_sequence};
use super::user_type::check_row_type_free;
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::error::{Result, SqlError, state};
use crate::functions::Functions;
use crate::names::{self, fold};
use crate::plan::compile::Expressions;
use crate::plugin::clause::Clauses;
use crate::routine::Names;
use crate::session::outcome::{CommandTag, Outcome};
use crate::session::spelling;
use crate::session::statement::{SequenceOption, parse_expression};
use crate::session::{Session, done};
use crate::types::PgType;

/// PostgreSQL's `MaxHeapAttributeNumber`.
const COLUMNS_MAX: usize = 1600;

/// A column as DDL asks for it.
pub(crate) struct ColumnRequest {
    pub name: String,
    pub ty: PgType,
    pub typmod: i32,
    /// The domain whose base that is, and what it asks.
    pub domain: Option<(Oid, Arc<DomainRules>)>,
    pub not_null: bool,
    pub default: Option<Expr>,
    /// `serial`: a sequence of its own, of this type.
    pub serial: bool,
    pub identity: Option<(bool, Vec<SequenceOption>)>,
    /// GENERATED ALWAYS AS … STORED.
    pub generated: Option<Expr>,
    pub constraints: Vec<ConstraintRequest>,
}

impl ColumnRequest {
    /// Reads a column definition.
    pub fn new(column: &ast::ColumnDef, functions: &Functions) -> Result<ColumnRequest> {
        let name = fold(&column.name);
        let (ty, typmod, serial) = column_type(&column.data_type, functions)?;
        // Checks that the type can be stored at all.
        ty.column_type(typmod).map_err(|e| match e.code {
            state::INVALID_TABLE_DEFINITION => SqlError::new(
                e.code,
                format!("column \"{name}\" has pseudo-type {}", ty.name()),
            ),
            _ => e,
        })?;
        let mut request = ColumnRequest {
            name: name.clone(),
            ty,
            typmod,
            domain: domain_of(&column.data_type, functions)?,
            not_null: serial,
            default: None,
            serial,
            identity: None,
            generated: None,
            constraints: Vec::new(),
        };
        let mut null = false;
        for option in &column.options {
            let constraint_name = option.name.as_ref().map(fold);
            match &option.option {
                ColumnOption::Null => null = true,
                ColumnOption::NotNull => request.not_null = true,
                ColumnOption::Default(expr) => {
                    if request.default.is_some() {
                        return Err(SqlError::new(
                            state::SYNTAX_ERROR,
                            format!("multiple default values specified for column \"{name}\""),
                        ));
                    }
                    request.default = Some(expr.clone());
                }
                ColumnOption::PrimaryKey(c) => {
                    check_characteristics(c.characteristics.as_ref())?;
                    request.not_null = true;
                    request.constraints.push(ConstraintRequest::Key {
                        name: constraint_name,
                        primary: true,
                        columns: KeyColumns::Named(vec![name.clone()], Vec::new()),
                    });
                }
                ColumnOption::Unique(c) => {
                    check_characteristics(c.characteristics.as_ref())?;
                    check_nulls_distinct(&c.nulls_distinct)?;
                    request.constraints.push(ConstraintRequest::Key {
                        name: constraint_name,
                        primary: false,
                        columns: KeyColumns::Named(vec![name.clone()], Vec::new()),
                    });
                }
                ColumnOption::Check(c) => request.constraints.push(ConstraintRequest::Check {
                    name: constraint_name.or_else(|| c.name.as_ref().map(fold)),
                    expr: c.expr.as_ref().clone(),
                    column: Some(name.clone()),
                }),
                ColumnOption::ForeignKey(c) => {
                    let mut c = c.clone();
                    c.columns = vec![column.name.clone()];
                    request
                        .constraints
                        .push(ConstraintRequest::foreign_key(constraint_name, &c)?);
                }
                ColumnOption::Generated {
                    generated_as,
                    sequence_options,
                    generation_expr,
                    generation_expr_mode,
                    ..
                } => {
                    if let Some(expr) = generation_expr {
                        if *generation_expr_mode != Some(ast::GeneratedExpressionMode::Stored) {
                            return Err(SqlError::unsupported(
                                "a generated column that is not STORED",
                            ));
                        }
                        if request.generated.replace(expr.clone()).is_some() {
                            return Err(SqlError::new(
                                state::SYNTAX_ERROR,
                                format!(
                                    "multiple generation clauses specified for column \"{name}\""
                                ),
                            ));
                        }
                        continue;
                    }
                    let always = matches!(generated_as, ast::GeneratedAs::Always);
                    let options = sequence_options
                        .iter()
                        .flatten()
                        .map(super::sequence::from_parser)
                        .collect();
                    request.not_null = true;
                    request.identity = Some((always, options));
                }
                ColumnOption::Collation(name) => {
                    let name = names::parts(name)?.pop().unwrap_or_default();
                    if !matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic") {
                        return Err(SqlError::unsupported(format!("collation \"{name}\"")));
                    }
                }
                other => return Err(SqlError::unsupported(format!("column option {other}"))),
            }
        }
        if null && request.not_null {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                format!("conflicting NULL/NOT NULL declarations for column \"{name}\""),
            ));
        }
        if request.serial && request.default.is_some() {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                format!("multiple default values specified for column \"{name}\""),
            ));
        }
        if request.identity.is_some() {
            if request.default.is_some() || request.serial {
                return Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    format!("both default and identity specified for column \"{name}\""),
                ));
            }
            if !request.ty.is_integer() {
                return Err(SqlError::new(
                    state::INVALID_PARAMETER_VALUE,
                    "identity column type must be smallint, integer, or bigint",
                ));
            }
        }
        Ok(request)
    }
}

/// The type of a column; true for the `serial` types, which are integers with a sequence.
pub(super) fn column_type(
    ty: &ast::DataType,
    functions: &Functions,
) -> Result<(PgType, i32, bool)> {
    let serial = match ty {
        ast::DataType::Custom(name, modifiers) if modifiers.is_empty() => {
            match names::parts(name)?.join(".").as_str() {
                "serial" | "serial4" => Some(PgType::Int4),
                "bigserial" | "serial8" => Some(PgType::Int8),
                "smallserial" | "serial2" => Some(PgType::Int2),
                _ => None,
            }
        }
        _ => None,
    };
    match serial {
        Some(ty) => Ok((ty, -1, true)),
        None => functions
            .type_from_ast(ty)
            .map(|(ty, typmod)| (ty, typmod, false)),
    }
}

/// The domain that a column's type is.
pub(super) fn domain_of(
    ty: &ast::DataType,
    functions: &Functions,
) -> Result<Option<(Oid, Arc<DomainRules>)>> {
    let types = functions.named_types();
    let Some(named) = types.resolve(ty)? else {
        return Ok(None);
    };
    let oid = named.definition.oid;
    Ok(types.catalog.types().rules(oid).map(|rules| (oid, rules)))
}

/// Of a key: only foreign keys may wait.
fn check_characteristics(characteristics: Option<&ast::ConstraintCharacteristics>) -> Result<()> {
    match deferral(characteristics)? {
        Deferral::NotDeferrable => Ok(()),
        _ => Err(SqlError::unsupported("DEFERRABLE unique constraints")),
    }
}

/// When a constraint is checked.
pub(super) fn deferral(
    characteristics: Option<&ast::ConstraintCharacteristics>,
) -> Result<Deferral> {
    let Some(c) = characteristics else {
        return Ok(Deferral::NotDeferrable);
    };
    if c.enforced == Some(false) {
        return Err(SqlError::unsupported("NOT ENFORCED constraints"));
    }
    let deferred = matches!(c.initially, Some(ast::DeferrableInitial::Deferred));
    match (c.deferrable, deferred) {
        (Some(false), true) => Err(SqlError::new(
            state::SYNTAX_ERROR,
            "constraint declared INITIALLY DEFERRED must be DEFERRABLE",
        )),
        (_, true) => Ok(Deferral::InitiallyDeferred),
        (Some(true), false) => Ok(Deferral::InitiallyImmediate),
        (_, false) => Ok(Deferral::NotDeferrable),
    }
}

pub(crate) fn check_nulls_distinct(nulls: &ast::NullsDistinctOption) -> Result<()> {
    match nulls {
        ast::NullsDistinctOption::NotDistinct => {
            Err(SqlError::unsupported("UNIQUE NULLS NOT DISTINCT"))
        }
        _ => Ok(()),
    }
}

impl Session {
    pub(crate) fn create_table(
        &mut self,
        create: &ast::CreateTable,
        clauses: &Clauses<'_>,
    ) -> Result<Outcome> {
        check_supported(create)?;
        let (schema, name) = self.creation_schema(&create.name, create.temporary)?;
        let (_, catalog) = self.write_view()?;
        if create.on_commit.is_some() && !catalog.is_temporary(schema.oid) {
            return Err(SqlError::new(
                state::INVALID_TABLE_DEFINITION,
                "ON COMMIT can only be used on temporary tables",
            ));
        }
        if create.if_not_exists && catalog.relation_in(schema.oid, &name).is_some() {
            self.notify_skipped(format!("relation \"{name}\" already exists, skipping"));
            return done("CREATE TABLE");
        }
        self.check_free(&catalog, schema.oid, &name)?;
        check_row_type_free(&catalog, schema.oid, &name)?;
        if let Some(query) = &create.query {
            let names: Vec<String> = create.columns.iter().map(|c| fold(&c.name)).collect();
            let (table, outcome) = self.create_table_as(&schema, name, query, &names, "SELECT")?;
            self.set_retention(table, options_of(create))?;
            self.apply_clauses(table, clauses, Existing::Check)?;
            self.set_on_commit(table, create.on_commit);
            return Ok(outcome);
        }
        let mut requests = Vec::with_capacity(create.columns.len());
        let mut constraints = Vec::new();
        let mut likes = Vec::new();
        for column in &create.columns {
            if let Some(like) = spelling::like(column) {
                let (likeness, columns) = self.like_columns(like)?;
                likes.push(likeness);
                requests.extend(columns);
                continue;
            }
            let mut request = ColumnRequest::new(column, &self.info.functions())?;
            constraints.append(&mut request.constraints);
            requests.push(request);
        }
        for constraint in &create.constraints {
            constraints.push(ConstraintRequest::new(constraint)?);
        }
        let table = self.new_table(&schema, name, requests)?;
        // Checks are the table's own before they are another's; keys are after.
        let is_check = |c: &ConstraintRequest| matches!(c, ConstraintRequest::Check { .. });
        let (first, then): (Vec<_>, Vec<_>) = match likes.is_empty() {
            true => (constraints, Vec::new()),
            false => constraints.into_iter().partition(is_check),
        };
        for constraint in first {
            self.add_constraint(table, constraint, Existing::None)?;
        }
        for likeness in &likes {
            self.add_likeness(table, likeness)?;
        }
        for constraint in then {
            self.add_constraint(table, constraint, Existing::None)?;
        }
        self.set_retention(table, options_of(create))?;
        self.apply_clauses(table, clauses, Existing::None)?;
        self.set_on_commit(table, create.on_commit);
        done("CREATE TABLE")
    }

    /// Makes a table with its columns, defaults and sequences, but without constraints.
    fn new_table(
        &mut self,
        schema: &Schema,
        name: String,
        requests: Vec<ColumnRequest>,
    ) -> Result<Oid> {
        if requests.len() > COLUMNS_MAX {
            return Err(SqlError::new(
                state::TOO_MANY_COLUMNS,
                format!("tables can have at most {COLUMNS_MAX} columns"),
            ));
        }
        for (i, request) in requests.iter().enumerate() {
            if requests[..i].iter().any(|r| r.name == request.name) {
                return Err(SqlError::new(
                    state::DUPLICATE_COLUMN,
                    format!("column \"{}\" specified more than once", request.name),
                ));
            }
            check_column_name(&request.name)?;
            check_alone(request, &name)?;
        }
        let oid = self.instance.allocate_oid()?;
        let collection = self.instance.allocate_collection()?;
        let mut table = Table {
            oid,
            schema: schema.oid,
            name,
            owner: self.info.role().oid,
            collection: collection.0,
            columns: Vec::new(),
            retention: None,
            row_security: Default::default(),
            policies: Vec::new(),
        };
        let mut changes = Vec::new();
        let expressions = requests.iter().map(|request| request.generated.clone());
        let expressions: Vec<Option<Expr>> = expressions.collect();
        for request in requests {
            let column = self.new_column(&table, schema, request, &mut changes)?;
            table.columns.push(column);
        }
        // None may read another one, whichever is first.
        for (column, expr) in table.columns.iter_mut().zip(&expressions) {
            column.generated = expr.as_ref().map(Generated::unread);
        }
        for (place, expr) in (0u16..).zip(&expressions) {
            if let Some(expr) = expr {
                self.generate(&mut table, place, expr)?;
            }
        }
        changes.push(put!(Table, table));
        let catalog = self.change_catalog(changes)?;
        self.lock_table(collection, TableLockMode::AccessExclusive)?;
        self.define_storage(&catalog, oid)?;
        Ok(oid)
    }

    /// A column for the next place of a table, with the sequence it may need.
    pub(crate) fn new_column(
        &mut self,
        table: &Table,
        schema: &Schema,
        request: ColumnRequest,
        changes: &mut Vec<Change>,
    ) -> Result<Column> {
        let place = u16::try_from(table.columns.len())
            .map_err(|_| SqlError::new(state::TOO_MANY_COLUMNS, "too many columns"))?;
        let mut column = Column {
            name: request.name,
            type_oid: match &request.domain {
                Some((oid, _)) => *oid,
                None => request.ty.oid(),
            },
            extension_type: request.ty.extension().map(|e| ExtensionTypeDef {
                plugin: e.plugin.to_owned(),
                name: e.name.to_owned(),
                storage: e.storage.oid(),
                ordered: e.ordered,
            }),
            user_type: (request.domain.is_some() || request.ty.enumeration().is_some())
                .then(|| request.ty.clone()),
            domain: request.domain.map(|(_, rules)| rules),
            typmod: request.typmod,
            not_null: request.not_null,
            default: None,
            default_sequences: Vec::new(),
            identity: None,
            generated: None,
            dropped: false,
            free: false,
            missing: None,
            compression: None,
        };
        let identity = request.identity.is_some();
        if request.serial || identity {
            let (_, catalog) = self.write_view()?;
            let made: Vec<String> = changes
                .iter()
                .filter_map(|c| match c {
                    Change::Put(Object::Sequence(s)) => Some(s.name.clone()),
                    _ => None,
                })
                .collect();
            let sequence_name = names::choose(&table.name, &column.name, "seq", |n| {
                catalog.relation_in(schema.oid, n).is_some() || made.iter().any(|m| m == n)
            });
            let always = request.identity.as_ref().is_some_and(|(always, _)| *always);
            let options = request
                .identity
                .map(|(_, options)| options)
                .unwrap_or_default();
            let mut sequence = new_sequence(
                self,
                schema.oid,
                sequence_name,
                SequenceRequest {
                    default_type: request.ty.clone(),
                    options: &options,
                },
            )?;
            sequence.owned_by = Some(OwnedBy {
                table: table.oid,
                column: place,
                identity,
            });
            if identity {
                column.identity = Some(Identity {
                    always,
                    sequence: sequence.oid,
                });
            } else {
                let name = names::quote(&sequence.name);
                let name = format!("{}.{name}", names::quote(&schema.name));
                let literal = name.replace('\'', "''");
                column.default = Some(format!("nextval('{literal}'::regclass)"));
                column.default_sequences = vec![sequence.oid];
            }
            changes.push(put!(Sequence, sequence));
        }
        if let Some(expr) = request.default {
            self.set_default(&mut column, &expr)?;
        }
        Ok(column)
    }

    /// Checks a default and stores its text. `DEFAULT NULL` is no default.
    pub(crate) fn set_default(&mut self, column: &mut Column, expr: &Expr) -> Result<()> {
        self.set_default_of(column, expr, Names::Statement)
    }

    /// The same, of an expression with such names.
    pub(super) fn set_default_of(
        &mut self,
        column: &mut Column,
        expr: &Expr,
        names: Names,
    ) -> Result<()> {
        let is_null = matches!(expr, Expr::Value(v) if matches!(v.value, ast::Value::Null));
        column.default = None;
        column.default_sequences.clear();
        // Of a domain it takes the place of the domain's.
        if is_null && column.domain.is_none() {
            return Ok(());
        }
        let mut named = Vec::new();
        let _ = ast::visit_expressions(expr, |e| {
            if let Expr::Identifier(_) | Expr::CompoundIdentifier(_) = e {
                named.push(());
            }
            std::ops::ControlFlow::<()>::Continue(())
        });
        if !named.is_empty() {
            return Err(SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                "cannot use column reference in DEFAULT expression",
            ));
        }
        let (_, catalog) = self.write_view()?;
        let text = names::text_of(&self.with_qualified_types(expr));
        let probe = Column {
            default: Some(text.clone()),
            ..column.clone()
        };
        let parsed = crate::dml::target::default_expression(&probe)?
            .ok_or_else(|| SqlError::internal("a default without an expression"))?;
        let (ty, typmod) = (column.ty(), column.typmod);
        let uses = self.with_state(|session, state| {
            let (info, exprs) = (&session.info, vec![parsed.clone()]);
            let what = "DEFAULT expressions";
            let plan = match names {
                Names::Statement => Expressions::plan_exprs,
                Names::Stored => Expressions::plan_of_catalog,
            };
            let exprs = plan(state, &catalog, info, &[], exprs, what)?;
            // A constant that does not fit is found now rather than at the first insert.
            if !exprs.uses.writes {
                let value = exprs
                    .program(state, &[])?
                    .run_one(0, &crate::dml::one_row())?;
                let meta = crate::catalog::meta::ColumnMeta {
                    id: heliosdb_storage::ids::ColumnId(0),
                    name: column.name.clone(),
                    ty: ty.clone(),
                    typmod,
                    not_null: false,
                    domain: None,
                };
                let storage = ty.arrow_typmod(typmod);
                crate::dml::assign::to_column(&value, &meta, &storage, &session.info.format())?;
            }
            Ok(exprs.uses)
        })?;
        let mut qualified = parse_expression(&text)?;
        self.qualify_functions(&mut qualified, &uses);

        column.default_sequences = sequences_in(&parsed)
            .iter()
            .filter_map(|n| self.info.resolve_sequence(n).ok())
            .map(|s| s.oid)
            .collect();
        column.default = Some(names::text_of(&qualified));
        Ok(())
    }

    /// CREATE TABLE AS: the table has the query's columns.
    pub(crate) fn create_table_as(
        &mut self,
        schema: &Schema,
        name: String,
        query: &ast::Query,
        columns: &[String],
        verb: &str,
    ) -> Result<(Oid, Outcome)> {
        let planned = self.plan_query(query, &[])?;
        if columns.len() > planned.columns.len() {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "too many column names were specified",
            ));
        }
        let types = planned.output_types();
        let requests = planned
            .columns
            .iter()
            .zip(&types)
            .enumerate()
            .map(|(i, (c, arrow))| ColumnRequest {
                name: columns.get(i).cloned().unwrap_or_else(|| c.name.clone()),
                ty: c.ty.clone(),
                typmod: if c.typmod >= 0 {
                    c.typmod
                } else {
                    typmod_of(arrow)
                },
                domain: None,
                not_null: false,
                default: None,
                serial: false,
                identity: None,
                generated: None,
                constraints: Vec::new(),
            })
            .collect();
        let oid = self.new_table(schema, name, requests)?;
        let n = self.fill_table(oid, &planned)?;
        Ok((oid, Outcome::Command(CommandTag::counted(verb, n))))
    }

    /// Inserts the rows of a query into a new table.
    pub(super) fn fill_table(
        &mut self,
        table: Oid,
        planned: &crate::plan::query::PlannedQuery,
    ) -> Result<u64> {
        let (view, catalog) = self.write_view()?;
        let context = self.statement_context(view);
        let mut writer = crate::dml::write::Writer::new(self, catalog.clone());
        let mut n = 0;
        self.with_state(|session, state| {
            let target = session.write_target(state, &catalog, table)?;
            let handle = session.instance.handle().clone();
            let interrupt = session.interrupt.clone();
            let mut rows = planned.start(&session.instance, state, context, &[])?;
            while let Some(batch) = rows.next_batch(&handle, Some(&interrupt))? {
                if batch.num_rows() == 0 {
                    continue;
                }
                let columns = batch
                    .columns()
                    .iter()
                    .enumerate()
                    .map(|(place, array)| {
                        let column = &target.meta.columns[place];
                        let ty = target.meta.schema.field(place).data_type();
                        crate::dml::assign::to_column(array, column, ty, &writer.format)
                    })
                    .collect::<Result<_>>()?;
                let rows = (columns, batch.num_rows());
                let rows = writer.check_rows(session, state, &target, rows, None)?;
                n += rows.num_rows() as u64;
                writer.insert(session, &target, rows)?;
            }
            writer.finish(session, state)
        })?;
        Ok(n)
    }

    pub(crate) fn select_into(
        &mut self,
        query: &ast::Query,
        into: &ast::SelectInto,
    ) -> Result<Outcome> {
        if into.unlogged {
            return Err(SqlError::unsupported("SELECT INTO UNLOGGED"));
        }
        self.begin_ddl()?;
        let (schema, name) = self.creation_schema(&into.name, into.temporary)?;
        let (_, catalog) = self.write_view()?;
        self.check_free(&catalog, schema.oid, &name)?;
        let mut query = query.clone();
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.into = None;
        }
        let (_, outcome) = self.create_table_as(&schema, name, &query, &[], "SELECT")?;
        Ok(outcome)
    }
}

/// The typmod of a decimal type.
pub(crate) fn typmod_of(ty: &arrow::datatypes::DataType) -> i32 {
    match ty {
        arrow::datatypes::DataType::Decimal128(p, s) => {
            crate::types::names::make_numeric_typmod(u32::from(*p), i32::from(*s))
        }
        _ => -1,
    }
}

pub(crate) fn check_column_name(name: &str) -> Result<()> {
    const SYSTEM: &[&str] = &[
        "tableoid",
        "xmin",
        "cmin",
        "xmax",
        "cmax",
        "ctid",
        crate::catalog::meta::ROW_ID,
    ];
    if SYSTEM.contains(&name) {
        return Err(SqlError::new(
            state::DUPLICATE_COLUMN,
            format!("column name \"{name}\" conflicts with a system column name"),
        ));
    }
    Ok(())
}

/// The names that `nextval` is called with.
fn sequences_in(expr: &Expr) -> Vec<String> {
    let mut found = Vec::new();
    let _ = ast::visit_expressions(expr, |e| {
        if let Expr::Function(f) = e
            && f.name.to_string().eq_ignore_ascii_case("nextval")
            && let ast::FunctionArguments::List(list) = &f.args
            && let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(Expr::Value(v)))] =
                list.args.as_slice()
            && let ast::Value::SingleQuotedString(name) = &v.value
        {
            found.push(name.clone());
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    found
}

fn check_supported(create: &ast::CreateTable) -> Result<()> {
    let refuse = |what: &str| Err(SqlError::unsupported(what));
    if create.or_replace || create.external || create.transient || create.volatile {
        return refuse("this kind of CREATE TABLE");
    }
    if create.like.is_some() || create.clone.is_some() {
        return refuse("CREATE TABLE … LIKE");
    }
    if create.partition_by.is_some() || create.partition_of.is_some() {
        return refuse("table partitioning");
    }
    if create.inherits.is_some() {
        return refuse("table inheritance");
    }
    match &create.table_options {
        ast::CreateTableOptions::None => Ok(()),
        ast::CreateTableOptions::With(options) => options.iter().try_for_each(check_option),
        _ => refuse("this form of CREATE TABLE options"),
    }
}

/// What is in `WITH (…)`.
fn options_of(create: &ast::CreateTable) -> &[ast::SqlOption] {
    match &create.table_options {
        ast::CreateTableOptions::With(options) => options,
        _ => &[],
    }
}

/// A storage parameter in `WITH (…)` or `SET (…)`: `retention`, and `fillfactor`, but only as 100: pages
/// are written once and full, so there is no room to leave for updates.
pub(super) fn check_option(option: &ast::SqlOption) -> Result<()> {
    if retention::option(option)?.is_some() {
        return Ok(());
    }
    let ast::SqlOption::KeyValue { key, value } = option else {
        return Err(SqlError::unsupported(format!("storage parameter {option}")));
    };
    let name = fold(key);
    if name != "fillfactor" {
        return Err(SqlError::unsupported(format!(
            "storage parameter \"{name}\""
        )));
    }
    match value.to_string().parse::<u32>() {
        Ok(100) => Ok(()),
        Ok(10..100) => Err(SqlError::unsupported(format!("fillfactor {value}"))
            .with_hint("Pages are immutable and always full: only a fillfactor of 100 is true.")),
        _ => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("value {value} out of bounds for option \"fillfactor\""),
        )
        .with_detail("Valid values are between \"10\" and \"100\".")),
    }
}

impl ConstraintRequest {
    /// Reads a table constraint.
    pub fn new(constraint: &TableConstraint) -> Result<ConstraintRequest> {
        Ok(match constraint {
            TableConstraint::PrimaryKey(c) => {
                check_characteristics(c.characteristics.as_ref())?;
                ConstraintRequest::Key {
                    name: c.name.as_ref().map(fold),
                    primary: true,
                    columns: KeyColumns::from_ast(&c.columns)?,
                }
            }
            TableConstraint::Unique(c) => {
                check_characteristics(c.characteristics.as_ref())?;
                check_nulls_distinct(&c.nulls_distinct)?;
                ConstraintRequest::Key {
                    name: c.name.as_ref().map(fold),
                    primary: false,
                    columns: KeyColumns::from_ast(&c.columns)?,
                }
            }
            TableConstraint::Check(c) => ConstraintRequest::Check {
                name: c.name.as_ref().map(fold),
                expr: c.expr.as_ref().clone(),
                column: None,
            },
            TableConstraint::ForeignKey(c) => {
                ConstraintRequest::foreign_key(c.name.as_ref().map(fold), c)?
            }
            TableConstraint::PrimaryKeyUsingIndex(c) => ConstraintRequest::Key {
                name: c.name.as_ref().map(fold),
                primary: true,
                columns: KeyColumns::Index(fold(&c.index_name)),
            },
            TableConstraint::UniqueUsingIndex(c) => ConstraintRequest::Key {
                name: c.name.as_ref().map(fold),
                primary: false,
                columns: KeyColumns::Index(fold(&c.index_name)),
            },
            other => return Err(SqlError::unsupported(format!("table constraint {other}"))),
        })
    }
}
