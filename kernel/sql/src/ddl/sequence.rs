//! CREATE SEQUENCE and ALTER SEQUENCE.

use std::sync::Arc;

use sqlparser::ast::{self, Expr};

use super::put;
use crate::catalog::Relation;
use crate::catalog::model::*;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::session::outcome::Outcome;
use crate::session::statement::{self, SequenceOption};
use crate::session::{Session, done};
use crate::types::PgType;

pub(crate) struct SequenceRequest<'a> {
    pub default_type: PgType,
    pub options: &'a [SequenceOption],
}

/// The options of an identity column, which the parser reads itself. It says `Cycle(true)` for
/// NO CYCLE.
pub(crate) fn from_parser(option: &ast::SequenceOptions) -> SequenceOption {
    match option.clone() {
        ast::SequenceOptions::IncrementBy(e, _) => SequenceOption::Increment(e),
        ast::SequenceOptions::MinValue(e) => SequenceOption::Min(e),
        ast::SequenceOptions::MaxValue(e) => SequenceOption::Max(e),
        ast::SequenceOptions::StartWith(e, _) => SequenceOption::Start(e),
        ast::SequenceOptions::Cache(e) => SequenceOption::Cache(e),
        ast::SequenceOptions::Cycle(no) => SequenceOption::Cycle(!no),
    }
}

fn integer(expr: &Expr) -> Result<i64> {
    let text = expr.to_string().replace(' ', "");
    text.parse().map_err(|_| {
        SqlError::new(
            state::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{text}\" is out of range for type bigint"),
        )
    })
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(state::INVALID_PARAMETER_VALUE, message)
}

fn bounds(ty: &PgType) -> (i64, i64) {
    match ty {
        PgType::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        PgType::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

/// Applies the options that describe a sequence; RESTART, OWNED BY and RENAME are the caller's.
fn apply(sequence: &mut Sequence, options: &[SequenceOption]) -> Result<()> {
    let (mut min, mut max, mut start) = (None, None, None);
    let old = sequence.clone();
    for option in options {
        match option {
            SequenceOption::As(ty) => {
                let (ty, _) = crate::types::names::from_ast(ty)?;
                if !ty.is_integer() {
                    return Err(invalid(
                        "sequence type must be smallint, integer, or bigint",
                    ));
                }
                let before = PgType::from_oid(old.type_oid).unwrap_or(PgType::Int8);
                sequence.type_oid = ty.oid();
                // Limits that were the old type's become the new one's.
                if sequence.max == bounds(&before).1 {
                    max = max.or(Some(None));
                }
                if sequence.min == bounds(&before).0 {
                    min = min.or(Some(None));
                }
            }
            SequenceOption::Increment(e) => {
                sequence.increment = integer(e)?;
                if sequence.increment == 0 {
                    return Err(invalid("INCREMENT must not be zero"));
                }
            }
            SequenceOption::Min(e) => min = Some(e.as_ref().map(integer).transpose()?),
            SequenceOption::Max(e) => max = Some(e.as_ref().map(integer).transpose()?),
            SequenceOption::Start(e) => start = Some(integer(e)?),
            SequenceOption::Cache(e) => {
                sequence.cache = integer(e)?;
                if sequence.cache < 1 {
                    return Err(invalid(format!(
                        "CACHE ({}) must be greater than zero",
                        sequence.cache
                    )));
                }
            }
            SequenceOption::Cycle(on) => sequence.cycle = *on,
            SequenceOption::Restart(_)
            | SequenceOption::OwnedBy(_)
            | SequenceOption::RenameTo(_) => {}
        }
    }
    let ty = PgType::from_oid(sequence.type_oid).unwrap_or(PgType::Int8);
    let (least, most) = bounds(&ty);
    let up = sequence.increment > 0;
    if let Some(given) = max {
        sequence.max = given.unwrap_or(if up { most } else { -1 });
    }
    if let Some(given) = min {
        sequence.min = given.unwrap_or(if up { 1 } else { least });
    }
    for (name, value) in [("MAXVALUE", sequence.max), ("MINVALUE", sequence.min)] {
        if value < least || value > most {
            return Err(invalid(format!(
                "{name} ({value}) is out of range for sequence data type {}",
                ty.name()
            )));
        }
    }
    if sequence.min >= sequence.max {
        return Err(invalid(format!(
            "MINVALUE ({}) must be less than MAXVALUE ({})",
            sequence.min, sequence.max
        )));
    }
    if let Some(start) = start {
        sequence.start = start;
    }
    if sequence.start < sequence.min {
        return Err(invalid(format!(
            "START value ({}) cannot be less than MINVALUE ({})",
            sequence.start, sequence.min
        )));
    }
    if sequence.start > sequence.max {
        return Err(invalid(format!(
            "START value ({}) cannot be greater than MAXVALUE ({})",
            sequence.start, sequence.max
        )));
    }
    Ok(())
}

/// A sequence with its own place in storage, not yet in the catalog.
pub(crate) fn new_sequence(
    session: &Session,
    schema: Oid,
    name: String,
    request: SequenceRequest<'_>,
) -> Result<Sequence> {
    let ty = request
        .options
        .iter()
        .find_map(|o| match o {
            SequenceOption::As(ty) => Some(crate::types::names::from_ast(ty).map(|(ty, _)| ty)),
            _ => None,
        })
        .transpose()?
        .unwrap_or(request.default_type);
    if !ty.is_integer() {
        return Err(invalid(
            "sequence type must be smallint, integer, or bigint",
        ));
    }
    let (least, most) = bounds(&ty);
    let down = request
        .options
        .iter()
        .any(|o| matches!(o, SequenceOption::Increment(e) if integer(e).is_ok_and(|n| n < 0)));
    let mut sequence = Sequence {
        oid: session.instance.allocate_oid()?,
        schema,
        name,
        owner: session.info.role().oid,
        collection: session.instance.allocate_collection()?.0,
        type_oid: ty.oid(),
        start: if down { -1 } else { 1 },
        increment: if down { -1 } else { 1 },
        min: if down { least } else { 1 },
        max: if down { -1 } else { most },
        cycle: false,
        cache: 1,
        owned_by: None,
    };
    // START defaults to the end that counting begins at.
    let has = |f: fn(&SequenceOption) -> bool| request.options.iter().any(f);
    if !has(|o| matches!(o, SequenceOption::Start(_))) {
        for option in request.options {
            match option {
                SequenceOption::Min(Some(e)) if !down => sequence.start = integer(e)?,
                SequenceOption::Max(Some(e)) if down => sequence.start = integer(e)?,
                _ => {}
            }
        }
    }
    let options: Vec<SequenceOption> = request
        .options
        .iter()
        .filter(|o| !matches!(o, SequenceOption::As(_)))
        .cloned()
        .collect();
    apply(&mut sequence, &options)?;
    Ok(sequence)
}

impl Session {
    pub(crate) fn create_sequence(
        &mut self,
        create: &statement::CreateSequence,
    ) -> Result<Outcome> {
        self.begin_statement_snapshot();
        self.begin_ddl()?;
        let (schema, name) = self.creation_schema(&create.name, create.temporary)?;
        let (_, catalog) = self.write_view()?;
        if create.if_not_exists && catalog.relation_in(schema.oid, &name).is_some() {
            self.notify_skipped(format!("relation \"{name}\" already exists, skipping"));
            return done("CREATE SEQUENCE");
        }
        self.check_free(&catalog, schema.oid, &name)?;
        let request = SequenceRequest {
            default_type: PgType::Int8,
            options: &create.options,
        };
        let mut sequence = new_sequence(self, schema.oid, name, request)?;
        self.set_owner(&mut sequence, &create.options)?;
        self.change_catalog(vec![put!(Sequence, sequence)])?;
        done("CREATE SEQUENCE")
    }

    pub(crate) fn alter_sequence(&mut self, alter: &statement::AlterSequence) -> Result<Outcome> {
        self.begin_statement_snapshot();
        self.begin_ddl()?;
        let (_, catalog) = self.write_view()?;
        let found = match self.find_relation(&catalog, &alter.name)? {
            Some(Relation::Sequence(s)) => s,
            Some(other) => {
                return Err(SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a sequence", other.name()),
                ));
            }
            None if alter.if_exists => {
                self.notify_skipped(format!(
                    "relation \"{}\" does not exist, skipping",
                    alter.name
                ));
                return done("ALTER SEQUENCE");
            }
            None => {
                self.relation(&catalog, &alter.name)?;
                return done("ALTER SEQUENCE");
            }
        };
        self.check_owner(found.owner, "sequence", &found.name)?;
        let mut sequence = found.as_ref().clone();
        apply(&mut sequence, &alter.options)?;
        self.set_owner(&mut sequence, &alter.options)?;
        for option in &alter.options {
            match option {
                SequenceOption::Restart(value) => {
                    let value = match value {
                        Some(e) => integer(e)?,
                        None => sequence.start,
                    };
                    self.restart_sequence(&mut sequence, value)?;
                }
                SequenceOption::RenameTo(name) => {
                    let name = fold(name);
                    self.rename_to(
                        &Relation::Sequence(Arc::new(sequence.clone())),
                        name.clone(),
                    )?;
                    sequence.name = name;
                }
                _ => {}
            }
        }
        self.change_catalog(vec![put!(Sequence, sequence)])?;
        done("ALTER SEQUENCE")
    }

    /// Gives a sequence a new place in storage that starts at `value`: so RESTART is undone when the
    /// transaction is.
    pub(crate) fn restart_sequence(&mut self, sequence: &mut Sequence, value: i64) -> Result<()> {
        if value < sequence.min || value > sequence.max {
            let (end, limit, cmp) = if value < sequence.min {
                ("MINVALUE", sequence.min, "less")
            } else {
                ("MAXVALUE", sequence.max, "greater")
            };
            return Err(invalid(format!(
                "RESTART value ({value}) cannot be {cmp} than {end} ({limit})"
            )));
        }
        let collection = self.instance.allocate_collection()?;
        self.info.place().sequence_set(collection, value, false)?;
        self.transaction()?.used_sequence();
        sequence.collection = collection.0;
        Ok(())
    }

    fn set_owner(&self, sequence: &mut Sequence, options: &[SequenceOption]) -> Result<()> {
        for option in options {
            let SequenceOption::OwnedBy(owner) = option else {
                continue;
            };
            let Some(name) = owner else {
                sequence.owned_by = None;
                continue;
            };
            let mut parts = names::parts(name)?;
            let column = parts.pop().unwrap_or_default();
            if parts.is_empty() {
                return Err(
                    SqlError::new(state::SYNTAX_ERROR, "invalid OWNED BY option")
                        .with_hint("Specify OWNED BY table.column or OWNED BY NONE."),
                );
            }
            let idents = parts
                .iter()
                .map(|p| ast::ObjectNamePart::Identifier(names::quoted_ident(p)));
            let table = ast::ObjectName(idents.collect());
            let catalog = self.info.catalog();
            let Relation::Table(table) = self.relation(&catalog, &table)? else {
                return Err(SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("sequence cannot be owned by relation \"{table}\""),
                ));
            };
            let wanted = match (
                sequence.owner == table.owner,
                sequence.schema == table.schema,
            ) {
                (true, true) => None,
                (false, _) => Some("have same owner as"),
                (true, false) => Some("be in same schema as"),
            };
            if let Some(wanted) = wanted {
                return Err(SqlError::new(
                    state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("sequence must {wanted} table it is linked to"),
                ));
            }
            let (id, _) = table.column(&column).ok_or_else(|| {
                SqlError::new(
                    state::UNDEFINED_COLUMN,
                    format!(
                        "column \"{column}\" of relation \"{}\" does not exist",
                        table.name
                    ),
                )
            })?;
            sequence.owned_by = Some(OwnedBy {
                table: table.oid,
                column: id.0,
                identity: false,
            });
        }
        Ok(())
    }
}
