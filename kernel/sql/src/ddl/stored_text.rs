//! What the catalog keeps as SQL text and names types in: defaults, generated columns, checks, expressions
//! of indexes, domains, views.
//!
//! A type is named with its schema in all of them ([`Session::qualify_types`]), so a change of its name is
//! a change of these texts. A routine is named with its schema and its oid (`s.f."16400"`), so that a text means
//! for ever what it meant when it was planned, whatever other routines there come to be
//! ([`Session::qualify_functions`]); any other name of a function in it is that of a built-in one. Whoever is shown
//! a text sees it without oids ([`without_oids`]). A label of an enum stands in them as a literal, whose type is that of what it
//! is compared with; [`Labels`] finds those that are surely of the enum, and says of the others that it
//! cannot tell.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{self, DataType, Expr};

use super::put;
use super::view::literal;
use crate::catalog::CatalogSnapshot;
use crate::catalog::access::Policy;
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::error::{Result, SqlError};
use crate::names::{self, fold, quoted_ident};
use crate::plan::context::Uses;
use crate::routine;
use crate::session::Session;
use crate::session::statement::{parse_expression, parse_query};

impl Session {
    /// Puts the schema in front of every type of a user that is named in an expression or query.
    pub(super) fn qualify_types(&self, syntax: &mut impl ast::VisitMut) {
        let functions = self.info.functions();
        let types = functions.named_types();
        if types.catalog.types().is_empty() {
            return;
        }
        let _ = ast::visit_expressions_mut(syntax, |e| {
            if let Some(ty) = named_type(e) {
                types.qualify(ty);
            }
            ControlFlow::<()>::Continue(())
        });
    }

    /// Puts schema and oid to every call of a routine, as `uses` say of the plan of this same syntax which routine
    /// each of them is.
    pub(super) fn qualify_functions(&self, syntax: &mut impl ast::VisitMut, uses: &Uses) {
        let catalog = self.info.catalog();
        let mut qualify = |name: &mut ast::ObjectName| {
            let last = name.0.last().and_then(ast::ObjectNamePart::as_ident);
            let site = last.and_then(|last| routine::site(last.span.start));
            let routine = site.and_then(|site| uses.noted.at(site));
            if let Some(routine) = routine.and_then(|oid| catalog.routines().get(oid))
                && let Some(schema) = catalog.schema(routine.schema)
            {
                name_routine(name, &schema.name, &routine.name, routine.oid);
            }
        };
        let _ = syntax.visit(&mut FunctionNames(&mut qualify));
    }

    /// The text of a type, with the schema of one of a user.
    pub(super) fn qualified_type(&self, ty: &DataType) -> String {
        let mut ty = ty.clone();
        self.info.functions().named_types().qualify(&mut ty);
        ty.to_string()
    }

    /// The same of an expression that stays as it is.
    pub(super) fn with_qualified_types(&self, expr: &Expr) -> Expr {
        let mut expr = expr.clone();
        self.qualify_types(&mut expr);
        expr
    }
}

/// Names one routine in a text: its schema, its name, and its oid, since others of the name may come.
fn name_routine(name: &mut ast::ObjectName, schema: &str, routine: &str, oid: Oid) {
    let oid = oid.to_string();
    name.0 = [schema, routine, &oid]
        .map(|part| ast::ObjectNamePart::Identifier(quoted_ident(part)))
        .into();
}

/// The oid of the routine that a name in a text means.
fn routine_named(name: &ast::ObjectName) -> Option<Oid> {
    match name.0.as_slice() {
        [_, _, oid] => oid.as_ident()?.value.parse().ok(),
        _ => None,
    }
}

/// A text as whoever asks is shown it: without oids.
pub(crate) fn without_oids(syntax: &mut impl ast::VisitMut) {
    let mut strip = |name: &mut ast::ObjectName| {
        if routine_named(name).is_some() {
            name.0.pop();
        }
    };
    let _ = syntax.visit(&mut FunctionNames(&mut strip));
}

/// The same of the text of a query.
pub(crate) fn shown_query(text: &str) -> String {
    let parsed = text.contains("\".\"").then(|| parse_query(text));
    match parsed {
        Some(Ok(mut query)) => {
            without_oids(query.as_mut());
            names::text_of(query.as_ref())
        }
        _ => text.to_owned(),
    }
}

/// The same of that of an expression.
pub(crate) fn shown_expression(text: &str) -> String {
    // Names with an oid are quoted.
    let parsed = text.contains("\".\"").then(|| parse_expression(text));
    match parsed {
        Some(Ok(mut expr)) => {
            without_oids(&mut expr);
            names::text_of(&expr)
        }
        _ => text.to_owned(),
    }
}

/// Visits the names of functions.
struct FunctionNames<'a>(&'a mut dyn FnMut(&mut ast::ObjectName));

impl ast::VisitorMut for FunctionNames<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            (self.0)(&mut function.name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<()> {
        match factor {
            ast::TableFactor::Table {
                name,
                args: Some(_),
                ..
            }
            | ast::TableFactor::Function { name, .. } => (self.0)(name),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The type that an expression casts to.
pub(super) fn named_type(expr: &mut Expr) -> Option<&mut DataType> {
    match expr {
        Expr::Cast { data_type, .. } => Some(data_type),
        Expr::TypedString(typed) => Some(&mut typed.data_type),
        _ => None,
    }
}

/// The parts of an expression that are of one type, whatever that is.
pub(super) fn operands(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::BinaryOp { left, right, .. }
        | Expr::AnyOp { left, right, .. }
        | Expr::AllOp { left, right, .. }
        | Expr::IsDistinctFrom(left, right)
        | Expr::IsNotDistinctFrom(left, right) => vec![left, right],
        Expr::InList { expr, list, .. } => {
            let mut all: Vec<&mut Expr> = vec![expr];
            all.extend(list);
            all
        }
        Expr::Between {
            expr, low, high, ..
        } => vec![expr, low, high],
        Expr::Case {
            operand: Some(operand),
            conditions,
            ..
        } => {
            let mut all: Vec<&mut Expr> = vec![operand];
            all.extend(conditions.iter_mut().map(|when| &mut when.condition));
            all
        }
        Expr::Function(function) => {
            let name = function.name.to_string().to_lowercase();
            match &mut function.args {
                ast::FunctionArguments::List(list)
                    if matches!(name.as_str(), "coalesce" | "nullif" | "greatest" | "least") =>
                {
                    let args = list.args.iter_mut().filter_map(|arg| match arg {
                        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Some(e),
                        _ => None,
                    });
                    args.collect()
                }
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// The name in a type, or in the type of an array's items.
fn name_in(ty: &mut DataType) -> Option<&mut ast::ObjectName> {
    match ty {
        DataType::Custom(name, _) => Some(name),
        DataType::Array(
            ast::ArrayElemTypeDef::SquareBracket(item, _)
            | ast::ArrayElemTypeDef::AngleBracket(item),
        ) => name_in(item),
        _ => None,
    }
}

/// Where a text is kept.
#[derive(Clone, Copy)]
pub(super) enum Holder<'a> {
    Default(&'a Table, u16),
    Generated(&'a Table, u16),
    Constraint(&'a Constraint),
    Index(&'a Index),
    View(&'a View),
    Domain(&'a UserType),
    Policy(&'a Table, &'a Policy),
    /// The default of a parameter.
    Routine(&'a Routine),
}

/// What is done to the texts.
pub(super) trait TextChange {
    /// Texts without this are left alone.
    fn word(&self) -> &str;
    /// What a text is before its expressions are looked at.
    fn enter(&mut self, _: &CatalogSnapshot, _: Holder<'_>) {}
    fn expr(&mut self, expr: &mut Expr);
    /// The name of a function.
    fn function(&mut self, _: &mut ast::ObjectName) {}
    /// The whole of a text that is an expression, after its parts.
    fn whole(&mut self, _: &mut Expr) {}
    /// Whether the text was understood.
    fn leave(&mut self, _: Holder<'_>) -> Result<()> {
        Ok(())
    }
}

fn changed_text<T: ast::VisitMut + Clone + std::fmt::Display + PartialEq>(
    catalog: &CatalogSnapshot,
    holder: Holder<'_>,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T>,
    whole: impl FnOnce(&mut T) -> Option<&mut Expr>,
    change: &mut dyn TextChange,
) -> Result<Option<String>> {
    if !text.contains(change.word()) {
        return Ok(None);
    }
    let before = parse(text)?;
    let mut after = before.clone();
    change.enter(catalog, holder);
    let _ = ast::visit_expressions_mut(&mut after, |e| {
        change.expr(e);
        ControlFlow::<()>::Continue(())
    });
    let mut function = |name: &mut ast::ObjectName| change.function(name);
    let _ = after.visit(&mut FunctionNames(&mut function));
    if let Some(expr) = whole(&mut after) {
        change.whole(expr);
    }
    change.leave(holder)?;
    Ok((before != after).then(|| names::text_of(&after)))
}

/// Does the change to every text of the catalog.
pub(super) fn change_texts(
    catalog: &CatalogSnapshot,
    change: &mut dyn TextChange,
) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let changed = |holder: Holder<'_>, text: &str, change: &mut dyn TextChange| {
        let whole: fn(&mut Expr) -> Option<&mut Expr> = |expr| Some(expr);
        changed_text(catalog, holder, text, parse_expression, whole, change)
    };
    for table in catalog.tables() {
        let mut new = table.as_ref().clone();
        for (place, column) in (0u16..).zip(&mut new.columns) {
            if let Some(text) = &column.default {
                let holder = Holder::Default(table, place);
                if let Some(text) = changed(holder, text, change)? {
                    column.default = Some(text);
                }
            }
            if let Some(generated) = &mut column.generated {
                let (holder, text) = (Holder::Generated(table, place), &generated.expression);
                if let Some(text) = changed(holder, text, change)? {
                    generated.expression = text;
                }
            }
        }
        for (policy, old) in new.policies.iter_mut().zip(&table.policies) {
            let holder = Holder::Policy(table, old);
            for text in policy.using.iter_mut().chain(&mut policy.check) {
                if let Some(new) = changed(holder, text, change)? {
                    *text = new;
                }
            }
        }
        if new != **table {
            changes.push(put!(Table, new));
        }
    }
    for constraint in catalog.constraints() {
        let ConstraintKind::Check {
            expression,
            columns,
        } = &constraint.kind
        else {
            continue;
        };
        let holder = Holder::Constraint(constraint);
        if let Some(expression) = changed(holder, expression, change)? {
            let kind = ConstraintKind::Check {
                expression,
                columns: columns.clone(),
            };
            let constraint = constraint.as_ref().clone();
            changes.push(put!(Constraint, Constraint { kind, ..constraint }));
        }
    }
    for index in catalog.indexes() {
        let mut new = index.as_ref().clone();
        for e in new.expressions.iter_mut().chain(&mut new.predicate) {
            let holder = Holder::Index(index);
            if let Some(text) = changed(holder, &e.expression, change)? {
                e.expression = text;
            }
        }
        if new != **index {
            changes.push(put!(Index, new));
        }
    }
    for ty in catalog.types().iter() {
        let mut new = ty.as_ref().clone();
        if let TypeDefinition::Domain(domain) = &mut new.definition {
            let checks = domain.constraints.iter_mut().map(|c| &mut c.expression);
            for text in checks.chain(&mut domain.default) {
                let holder = Holder::Domain(ty);
                if let Some(new) = changed(holder, text, change)? {
                    *text = new;
                }
            }
        }
        if new != **ty {
            changes.push(put!(UserType, new));
        }
    }
    for routine in catalog.routines().iter() {
        let mut new = routine.as_ref().clone();
        for text in new.parameters.iter_mut().filter_map(|p| p.default.as_mut()) {
            if let Some(changed) = changed(Holder::Routine(routine), text, change)? {
                *text = changed;
            }
        }
        if new != **routine {
            changes.push(put!(Routine, new));
        }
    }
    for view in catalog.views() {
        let holder = Holder::View(view);
        let parse = |text: &str| parse_query(text).map(|query| *query);
        let text = &view.definition;
        let definition = changed_text(catalog, holder, text, parse, |_| None, change)?;
        if let Some(definition) = definition {
            let view = view.as_ref().clone();
            changes.push(put!(View, View { definition, ..view }));
        }
    }
    Ok(changes)
}

/// A type gets another name.
pub(super) struct RenameType<'a> {
    pub schema: &'a str,
    pub name: &'a str,
    /// Schema and name.
    pub to: [&'a str; 2],
}

impl TextChange for RenameType<'_> {
    fn word(&self) -> &str {
        self.name
    }

    fn expr(&mut self, expr: &mut Expr) {
        if let Some(name) = named_type(expr).and_then(name_in)
            && names::parts(name).is_ok_and(|parts| parts == [self.schema, self.name])
        {
            name.0 = self
                .to
                .map(|part| ast::ObjectNamePart::Identifier(quoted_ident(part)))
                .into();
        }
    }
}

/// A routine gets another name.
pub(super) struct RenameRoutine<'a> {
    pub oid: Oid,
    pub name: &'a str,
    /// Schema and name.
    pub to: [&'a str; 2],
}

impl TextChange for RenameRoutine<'_> {
    fn word(&self) -> &str {
        self.name
    }

    fn expr(&mut self, _: &mut Expr) {}

    fn function(&mut self, name: &mut ast::ObjectName) {
        if routine_named(name) == Some(self.oid) {
            name_routine(name, self.to[0], self.to[1], self.oid);
        }
    }
}

/// The places of texts that name a type, or a routine.
pub(crate) struct Places<'a> {
    schema: &'a str,
    name: &'a str,
    /// Of a routine.
    oid: Option<Oid>,
    found: bool,
    pub of: UsesOf,
}

#[derive(Default)]
pub(crate) struct UsesOf {
    pub defaults: Vec<(Oid, u16)>,
    /// Generated columns.
    pub columns: Vec<(Oid, u16)>,
    /// Constraints, indexes and views.
    pub objects: Vec<Oid>,
    /// Tables and policies of theirs.
    pub policies: Vec<(Oid, Oid)>,
}

impl UsesOf {
    /// One of the tables and other objects that have such a text.
    pub fn first(&self) -> Option<Oid> {
        let tables = self.defaults.iter().chain(&self.columns);
        let tables = tables.map(|(table, _)| *table);
        let of_policies = self.policies.iter().map(|(table, _)| *table);
        let mut all = tables
            .chain(of_policies)
            .chain(self.objects.iter().copied());
        all.next()
    }
}

impl<'a> Places<'a> {
    pub fn find(catalog: &CatalogSnapshot, schema: &'a str, name: &'a str) -> Result<UsesOf> {
        Places::find_all(catalog, schema, name, None)
    }

    pub fn of_routine(catalog: &CatalogSnapshot, routine: &'a Routine) -> Result<UsesOf> {
        Places::find_all(catalog, "", &routine.name, Some(routine.oid))
    }

    fn find_all(
        catalog: &CatalogSnapshot,
        schema: &'a str,
        name: &'a str,
        oid: Option<Oid>,
    ) -> Result<UsesOf> {
        let mut uses = Places {
            schema,
            name,
            oid,
            found: false,
            of: UsesOf::default(),
        };
        change_texts(catalog, &mut uses)?;
        Ok(uses.of)
    }
}

impl TextChange for Places<'_> {
    fn word(&self) -> &str {
        self.name
    }

    fn enter(&mut self, _: &CatalogSnapshot, _: Holder<'_>) {
        self.found = false;
    }

    fn function(&mut self, name: &mut ast::ObjectName) {
        self.found |= self.oid.is_some() && routine_named(name) == self.oid;
    }

    fn expr(&mut self, expr: &mut Expr) {
        if self.oid.is_none()
            && let Some(name) = named_type(expr).and_then(name_in)
        {
            self.found |= names::parts(name).is_ok_and(|parts| parts == [self.schema, self.name]);
        }
    }

    fn leave(&mut self, holder: Holder<'_>) -> Result<()> {
        if !self.found {
            return Ok(());
        }
        match holder {
            Holder::Default(table, place) => self.of.defaults.push((table.oid, place)),
            Holder::Generated(table, place) => self.of.columns.push((table.oid, place)),
            Holder::Constraint(constraint) => self.of.objects.push(constraint.oid),
            Holder::Index(index) => self.of.objects.push(index.oid),
            Holder::View(view) => self.of.objects.push(view.oid),
            Holder::Domain(ty) => self.of.objects.push(ty.oid),
            Holder::Routine(routine) => self.of.objects.push(routine.oid),
            Holder::Policy(table, policy) => self.of.policies.push((table.oid, policy.oid)),
        }
        Ok(())
    }
}

/// A label gets another text.
pub(super) struct Labels<'a> {
    /// Oids of the enum, of arrays of it, and of domains over these.
    pub types: Vec<Oid>,
    pub schema: &'a str,
    pub name: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    /// The names of columns of these types that the text may read.
    columns: BTreeSet<String>,
    /// The text is a value of the enum as a whole.
    is_value: bool,
    /// How often the label stood where it is one of the enum.
    changed: usize,
    /// How often it stood anywhere.
    seen: usize,
}

impl<'a> Labels<'a> {
    pub fn new(
        types: Vec<Oid>,
        [schema, name]: [&'a str; 2],
        from: &'a str,
        to: &'a str,
    ) -> Labels<'a> {
        Labels {
            types,
            schema,
            name,
            from,
            to,
            columns: BTreeSet::new(),
            is_value: false,
            changed: 0,
            seen: 0,
        }
    }

    fn add_columns(&mut self, table: &Table) {
        for (_, column) in table.live_columns() {
            if self.types.contains(&column.type_oid) {
                self.columns.insert(column.name.clone());
            }
        }
    }

    /// Whether an expression is surely of the enum.
    fn is_of_enum(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Identifier(ident) => self.columns.contains(&fold(ident)),
            Expr::CompoundIdentifier(path) => path
                .last()
                .is_some_and(|ident| self.columns.contains(&fold(ident))),
            Expr::Nested(inner) => self.is_of_enum(inner),
            Expr::Cast { data_type, .. } => {
                let mut ty = data_type.clone();
                let name = name_in(&mut ty).map(|name| names::parts(name));
                matches!(name, Some(Ok(parts)) if parts == [self.schema, self.name])
            }
            Expr::Array(array) => array.elem.iter().any(|item| self.is_of_enum(item)),
            _ => false,
        }
    }

    /// Changes the label in an operand, whose type is the enum.
    fn relabel(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Array(array) => array.elem.iter_mut().for_each(|item| self.relabel(item)),
            Expr::Nested(inner) => self.relabel(inner),
            expr => {
                if let Some(ast::Value::SingleQuotedString(text)) = literal(expr)
                    && text == self.from
                {
                    self.to.clone_into(text);
                    self.changed += 1;
                }
            }
        }
    }

    /// Operands that are of one type.
    fn alike(&mut self, mut operands: Vec<&mut Expr>) {
        if operands.iter().any(|operand| self.is_of_enum(operand)) {
            operands
                .iter_mut()
                .for_each(|operand| self.relabel(operand));
        }
    }
}

impl TextChange for Labels<'_> {
    fn word(&self) -> &str {
        // A quote is doubled in a text.
        self.from
            .split('\'')
            .max_by_key(|part| part.len())
            .unwrap_or_default()
    }

    fn enter(&mut self, catalog: &CatalogSnapshot, holder: Holder<'_>) {
        (self.changed, self.seen, self.is_value) = (0, 0, false);
        self.columns.clear();
        let is_of =
            |column: Option<&Column>| column.is_some_and(|c| self.types.contains(&c.type_oid));
        match holder {
            Holder::Default(table, place) => self.is_value = is_of(table.column_at(place)),
            Holder::Generated(table, place) => {
                self.is_value = is_of(table.column_at(place));
                self.add_columns(table);
            }
            Holder::Policy(table, policy) => {
                self.add_columns(table);
                let others = policy.depends_on.iter();
                for other in others.filter_map(|on| catalog.table(*on)) {
                    self.add_columns(other);
                }
            }
            Holder::Constraint(constraint) => {
                if let Some(table) = catalog.table(constraint.table) {
                    self.add_columns(table);
                }
            }
            // Their labels are kept by their keys.
            Holder::Index(_) => {}
            Holder::View(view) => {
                let tables = view
                    .depends_on
                    .iter()
                    .filter_map(|on| catalog.table(on.oid));
                for table in tables.cloned().collect::<Vec<_>>() {
                    self.add_columns(&table);
                }
                for on in &view.depends_on {
                    let columns = catalog.view(on.oid).into_iter().flat_map(|v| &v.columns);
                    let of_enum = columns.filter(|c| self.types.contains(&c.type_oid));
                    let names: Vec<String> = of_enum.map(|c| c.name.clone()).collect();
                    self.columns.extend(names);
                }
            }
            Holder::Domain(ty) if self.types.contains(&ty.oid) => {
                self.is_value = true;
                self.columns.insert("value".to_owned());
            }
            Holder::Domain(_) | Holder::Routine(_) => {}
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        if let Expr::Value(value) = expr
            && let ast::Value::SingleQuotedString(text) = &mut value.value
        {
            // Expressions are visited from the inside out, and operators after their operands.
            self.seen += usize::from(text == self.from);
            return;
        }
        self.alike(operands(expr));
        if let Expr::Cast {
            expr, data_type, ..
        } = expr
        {
            let parts = name_in(data_type).and_then(|name| names::parts(name).ok());
            if parts.is_some_and(|parts| parts == [self.schema, self.name]) {
                self.relabel(expr);
            }
        }
    }

    fn whole(&mut self, expr: &mut Expr) {
        if self.is_value {
            self.relabel(expr);
        }
    }

    fn leave(&mut self, holder: Holder<'_>) -> Result<()> {
        if self.changed >= self.seen {
            return Ok(());
        }
        let what = match holder {
            Holder::Default(table, _) | Holder::Generated(table, _) => {
                format!("an expression of table \"{}\"", table.name)
            }
            Holder::Constraint(constraint) => format!("constraint \"{}\"", constraint.name),
            Holder::Index(_) => return Ok(()),
            Holder::View(view) => format!("view \"{}\"", view.name),
            Holder::Domain(ty) => format!("domain \"{}\"", ty.name),
            Holder::Policy(_, policy) => format!("policy \"{}\"", policy.name),
            Holder::Routine(routine) => format!("function \"{}\"", routine.name),
        };
        // A text that has nothing to do with the enum may have the same word.
        if self.columns.is_empty() && !self.is_value {
            return Ok(());
        }
        Err(SqlError::unsupported(format!(
            "the renaming of a label that {what} may have in another way than comparing it"
        )))
    }
}
