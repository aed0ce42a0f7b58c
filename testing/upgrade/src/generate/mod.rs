//! Makes a database through SQL, from a seed: schemas with every type and kind of constraint, and a
//! history of changes to them and to their rows.
//!
//! A statement is one that must succeed, or one that data or other objects may refuse; anything else
//! fails the run. Rows are written to segments at random moments, and the database is sometimes closed
//! and opened again on the way.

mod alter;
pub mod model;
pub mod name;
mod objects;
mod rows;
pub mod table;
pub mod value;

use std::path::Path;
use std::time::SystemTime;

use heliosdb_sim::rng::Rng;
use heliosdb_storage::ids::Ts;

use crate::edition::Edition;
use crate::sql::Sql;
use crate::{Result, ask};
use model::{Column, Model, Role, Table};

/// Changes that a database goes through: at least, and at most so many more.
const STEPS_MIN: usize = 25;
const STEPS_MORE: usize = 40;

/// A database of Lite that is open, and what it went through.
pub struct Generated {
    pub sql: Sql,
    pub model: Model,
    /// Moments of its life: between its statements.
    pub times: Vec<Ts>,
}

/// Makes the database of a seed in a directory.
///
/// # Errors
///
/// A statement failed that must succeed.
pub fn generate(seed: u64, directory: &Path) -> Result<Generated> {
    let mut generator = Generator {
        rng: Rng::new(seed).fork(4),
        sql: Sql::new(Edition::Lite.open(directory)?),
        model: Model {
            schemas: vec!["public".to_owned()],
            ..Model::default()
        },
    };
    let mut times = Vec::new();
    generator.begin()?;
    let steps = STEPS_MIN + generator.rng.index(STEPS_MORE);
    let reopen_at = generator.rng.index(2 * steps);
    for step in 0..steps {
        if step == reopen_at {
            generator.sql = generator.sql.reopened(directory)?;
        }
        generator.step()?;
        if generator.rng.one_in(4) {
            times.push(now());
        }
    }
    let Generator { sql, model, .. } = generator;
    Ok(Generated { sql, model, times })
}

/// The clock that commits are timed by.
fn now() -> Ts {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Ts(since.map_or(0, |time| time.as_micros() as u64))
}

/// The state of one run.
pub(crate) struct Generator {
    rng: Rng,
    sql: Sql,
    model: Model,
}

impl Generator {
    /// What every database has some of.
    fn begin(&mut self) -> Result<()> {
        for _ in 0..1 + self.rng.index(2) {
            self.create_role()?;
        }
        for _ in 0..self.rng.index(3) {
            self.create_schema()?;
        }
        for _ in 0..self.rng.index(3) {
            self.create_document_schema()?;
        }
        for _ in 0..2 + self.rng.index(3) {
            self.create_table()?;
            self.insert()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        match self.rng.index(64) {
            0..14 => self.insert(),
            14..21 => self.update(),
            21 | 22 => self.update_key(),
            23..27 => self.delete(),
            27 | 28 => self.create_table(),
            29 => self.create_table_as(),
            30 => self.drop_table(),
            31 => self.truncate(),
            32 | 33 => self.add_column(),
            34 | 35 => self.drop_column(),
            36 | 37 => self.alter_column(),
            38 | 39 => self.rename(),
            40 | 41 => self.add_constraint(),
            42 => self.drop_constraint(),
            43..46 => self.create_index(),
            46 => self.drop_index(),
            47 | 48 => self.create_view(),
            49 => self.drop_view(),
            50 => self.create_sequence(),
            51 | 52 => self.use_sequence(),
            53 | 54 => self.comment(),
            55 => self.create_document_schema(),
            56 => self.alter_document_schema(),
            57 => self.drop_document_schema(),
            58 => [Generator::create_role, Generator::alter_role][self.rng.index(2)](self),
            59 => self.change_owner(),
            60 => self.transaction(),
            _ => self.sql.must("CHECKPOINT").map(drop),
        }
    }

    /// Several changes of rows at one time, some of them taken back.
    fn transaction(&mut self) -> Result<()> {
        self.sql.must("BEGIN")?;
        let kept = self.rng.coin();
        for _ in 0..1 + self.rng.index(4) {
            self.sql.must("SAVEPOINT s")?;
            let refused = self.sql.refused;
            match self.rng.index(3) {
                0 => self.insert()?,
                1 => self.update()?,
                _ => self.delete()?,
            }
            if self.sql.refused > refused || self.rng.one_in(3) {
                self.sql.must("ROLLBACK TO SAVEPOINT s")?;
            }
        }
        self.sql
            .must(if kept { "COMMIT" } else { "ROLLBACK" })
            .map(drop)
    }

    /// A name that nothing has.
    fn fresh(&mut self, prefix: &str) -> String {
        self.model.made += 1;
        name::fresh(&mut self.rng, prefix, self.model.made)
    }

    /// A schema to make something in.
    fn schema(&mut self) -> String {
        self.model.schemas[self.rng.index(self.model.schemas.len())].clone()
    }

    /// A table that is there and has columns.
    fn table(&mut self) -> Option<usize> {
        let mut live = self.model.live();
        live.retain(|at| !self.model.tables[*at].columns.is_empty());
        match live.is_empty() {
            true => None,
            false => Some(live[self.rng.index(live.len())]),
        }
    }

    /// A column of one of these roles, in some table.
    fn column_of(&mut self, roles: &[Role]) -> Option<(usize, usize)> {
        let at = self.table()?;
        let fits = |column: &Column| roles.contains(&column.role);
        let columns = &self.model.tables[at].columns;
        let places: Vec<usize> = (0..columns.len()).filter(|p| fits(&columns[*p])).collect();
        match places.is_empty() {
            true => None,
            false => Some((at, places[self.rng.index(places.len())])),
        }
    }

    /// After CASCADE: what the model still knows and the database does not.
    fn forget_what_is_gone(&mut self) -> Result<()> {
        let relations = ask::pairs(
            self.sql.connection(),
            "SELECT quote_ident(n.nspname), quote_ident(c.relname) FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= 16384",
        )?;
        let constraints = ask::pairs(
            self.sql.connection(),
            "SELECT conrelid::text, quote_ident(conname) FROM pg_constraint WHERE oid >= 16384",
        )?;
        let is_there = |name: &str| {
            relations
                .iter()
                .any(|(s, n)| same(&format!("{s}.{n}"), name))
        };
        self.model.views.retain(|(view, _)| is_there(view));
        self.model.sequences.retain(|sequence| is_there(sequence));
        for table in &mut self.model.tables {
            let schema = &table.schema;
            table
                .indexes
                .retain(|index| is_there(&format!("{schema}.{index}")));
            table
                .constraints
                .retain(|name| constraints.iter().any(|(_, n)| same(n, name)));
        }
        Ok(())
    }
}

/// Whether two spellings are one name: quotes may be needless.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.replace('"', "") == other.replace('"', "")
}

/// A table of the model that is not there.
fn absent() -> Table {
    Table {
        schema: String::new(),
        name: String::new(),
        columns: Vec::new(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
        constraints: Vec::new(),
        made: 0,
        dropped: true,
    }
}
