//! The functions. Names and the order of arguments are pg_jsonschema's where it has them.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, LargeStringArray, StringArray};
use heliosdb_jsonschema_state::CLASS;
use heliosdb_plugin_api::{
    Argument, Arguments, Context, Registrar, Result, TableCursor, rows, state as sqlstate,
};

use super::name::Name;
use super::named::Named;
use super::{Checker, JsonSchema};
use crate::error::Kind;
use crate::schema::{Compiled, Source, Violation};

pub fn register(plugin: &Arc<JsonSchema>, registrar: &mut Registrar) -> Result<()> {
    for (name, arguments) in [
        ("json_matches_schema", ["json", "json"]),
        ("jsonb_matches_schema", ["json", "jsonb"]),
        ("jsonschema_matches", ["text", "json"]),
        ("jsonschema_matches", ["text", "jsonb"]),
    ] {
        let plugin = Arc::clone(plugin);
        let given = match arguments[0] {
            "json" => Given::Json,
            _ => Given::NameOrJson,
        };
        let body = move |cx: &Context<'_>, args: &Arguments| plugin.matches(cx, args, given);
        registrar.scalar(name, &arguments, body)?;
    }
    let body = Arc::clone(plugin);
    let is_valid = move |cx: &Context<'_>, args: &Arguments| body.is_valid(cx, args);
    registrar.scalar("jsonschema_is_valid", &["json"], is_valid)?;
    for name in ["jsonschema_errors", "jsonschema_validation_errors"] {
        for instance in ["json", "jsonb"] {
            let plugin = Arc::clone(plugin);
            let body = move |cx: &Context<'_>, args: &Arguments| plugin.errors(cx, args);
            registrar.table(name, &["text", instance], body)?;
        }
    }
    registrar.table("jsonschema_list", &[], list)
}

/// How a function is told its schema.
#[derive(Clone, Copy)]
enum Given {
    Json,
    NameOrJson,
}

impl JsonSchema {
    /// One boolean a row: whether the second argument matches the first.
    fn matches(&self, cx: &Context<'_>, args: &Arguments, given: Given) -> Result<ArrayRef> {
        let (schemas, instances) = (&args[0], &args[1]);
        let mut checker = Checker::new(cx);
        let mut last: Option<(&str, Arc<Compiled>)> = None;
        let mut out = Vec::with_capacity(args.rows());
        for row in 0..args.rows() {
            let (Some(schema), Some(instance)) = (schemas.text(row), instances.text(row)) else {
                out.push(None);
                continue;
            };
            // Mostly it is one schema for all rows; the cache is for those that take turns.
            let compiled = match &last {
                Some((text, compiled)) if *text == schema => compiled,
                _ => {
                    let compiled = self.resolve(cx, schema, given);
                    let compiled = compiled.map_err(|error| error.at_row(row))?;
                    &last.insert((schema, compiled)).1
                }
            };
            let matches = checker.matches(compiled, instance);
            out.push(Some(matches.map_err(|error| error.at_row(row))?));
        }
        Ok(Arc::new(BooleanArray::from(out)))
    }

    /// Whether each argument is a schema that could be used. What went wrong otherwise, as with
    /// the store, stays an error.
    fn is_valid(&self, cx: &Context<'_>, args: &Arguments) -> Result<ArrayRef> {
        let unusable = [
            Kind::InvalidSchema,
            Kind::Unsupported,
            Kind::UndefinedSchema,
            Kind::TooDeep,
            Kind::TooLarge,
        ]
        .map(Kind::state);
        let mut out = Vec::with_capacity(args.rows());
        for row in 0..args.rows() {
            let compiled = args[0]
                .text(row)
                .map(|text| self.resolve(cx, text, Given::Json));
            out.push(match compiled {
                None => None,
                Some(Ok(_)) => Some(true),
                Some(Err(error)) if unusable.contains(&error.sqlstate) => Some(false),
                Some(Err(error)) => return Err(error.at_row(row)),
            });
        }
        Ok(Arc::new(BooleanArray::from(out)))
    }

    /// The violations of one document, all of them.
    fn errors(&self, cx: &Context<'_>, args: &Arguments) -> Result<Box<dyn TableCursor>> {
        let first = |argument: &Argument| argument.text(0).map(str::to_owned);
        let (Some(schema), Some(instance)) = (first(&args[0]), first(&args[1])) else {
            return Ok(rows(violation_columns(&[])));
        };
        let compiled = self.resolve(cx, &schema, Given::NameOrJson)?;
        let violations = Checker::new(cx).violations(&compiled, &instance, usize::MAX)?;
        Ok(rows(violation_columns(&violations.first)))
    }

    fn resolve(&self, cx: &Context<'_>, schema: &str, given: Given) -> Result<Arc<Compiled>> {
        let named = Named::new(cx)?;
        if let Given::NameOrJson = given
            && !is_json(schema)
        {
            let name = Name::parse(schema).map_err(|_| {
                heliosdb_plugin_api::Error::new(
                    sqlstate::INVALID_PARAMETER_VALUE,
                    format!("\"{schema}\" is neither a name nor a JSON schema"),
                )
            })?;
            let record = named.record(named.find(&name)?.oid)?;
            return self.compiled.get(Source::named(&record), &named);
        }
        self.compiled.get(Source::anonymous(schema), &named)
    }
}

/// Schemas are objects or booleans; names that look so must be quoted.
fn is_json(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('{') || text == "true" || text == "false"
}

fn violation_columns(violations: &[Violation]) -> Vec<ArrayRef> {
    let column = |of: fn(&Violation) -> Option<&str>| -> ArrayRef {
        Arc::new(violations.iter().map(of).collect::<StringArray>())
    };
    vec![
        column(|v| Some(&v.pointer)),
        column(|v| Some(&v.keyword)),
        column(|v| Some(&v.message)),
        column(|v| Some(&v.schema_pointer)),
        column(|v| v.schema_uri.as_deref()),
    ]
}

/// The named schemas, oldest first.
fn list(cx: &Context<'_>, _args: &Arguments) -> Result<Box<dyn TableCursor>> {
    let named = Named::new(cx)?;
    let mut columns: [Vec<Option<String>>; 5] = Default::default();
    let mut texts = Vec::new();
    for object in named.catalog().list(CLASS)? {
        let record = named.record(object.oid)?;
        let draft = record.draft.map(|draft| draft.name().to_owned());
        let row = [
            Some(object.schema),
            Some(object.name),
            Some(object.owner),
            Some(record.uri),
            draft,
        ];
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
        texts.push(Some(record.text));
    }
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in columns {
        arrays.push(Arc::new(StringArray::from(column)));
    }
    arrays.push(Arc::new(LargeStringArray::from(texts)));
    Ok(rows(arrays))
}
