//! INSERT, UPDATE and DELETE: rows with NULLs, defaults and extreme values, and the history of what
//! was changed.

use super::Generator;
use super::model::{Role, pair};
use super::name;
use super::value::Type;
use crate::Result;

/// Rows of a large INSERT, and of the others.
const MANY: usize = 300;
const FEW: usize = 8;

impl Generator {
    pub(super) fn insert(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let table = &self.model.tables[at];
        let count = match self.rng.one_in(15) && table.columns.len() < 15 {
            true => MANY,
            false => 1 + self.rng.index(FEW),
        };
        // The same columns are left out of all rows of a statement.
        let places: Vec<usize> = (0..table.columns.len())
            .filter(|place| self.is_given(at, *place))
            .collect();
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count {
            let row = self.row(at, &places);
            self.model.tables[at].made += 1;
            rows.push(format!("({})", row.join(", ")));
        }
        let table = &self.model.tables[at];
        if places.is_empty() {
            return self
                .sql
                .may(&format!("INSERT INTO {} DEFAULT VALUES", table.name))
                .map(drop);
        }
        let names: Vec<&str> = places
            .iter()
            .map(|p| table.columns[*p].name.as_str())
            .collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES {}",
            table.name,
            names.join(", "),
            rows.join(", ")
        );
        self.sql.may(&sql).map(drop)
    }

    fn is_given(&self, table: usize, place: usize) -> bool {
        let mut rng = self.rng.fork(place as u64);
        let column = &self.model.tables[table].columns[place];
        match column.role {
            Role::Key | Role::Pair | Role::Reference => true,
            Role::Identity { always: true } => false,
            Role::Identity { always: false } | Role::Serial => rng.one_in(5),
            Role::Plain | Role::Document => {
                (column.not_null && !column.has_default) || !rng.one_in(6)
            }
        }
    }

    /// The next row of a table, as expressions for these columns.
    pub(super) fn row(&mut self, at: usize, places: &[usize]) -> Vec<String> {
        let mut row = vec![String::new(); self.model.tables[at].columns.len()];
        for key in self.model.tables[at].foreign_keys.clone() {
            let made = self.model.tables[key.parent].made;
            let values = match made == 0 || self.rng.one_in(5) {
                true => vec!["NULL".to_owned(); key.columns.len()],
                false => {
                    let number = self.rng.below(made);
                    self.model.reference(&key, number)
                }
            };
            for (place, value) in key.columns.iter().zip(values) {
                row[*place] = value;
            }
        }
        for place in places {
            if row[*place].is_empty() {
                row[*place] = self.value(at, *place);
            }
        }
        places
            .iter()
            .map(|p| std::mem::take(&mut row[*p]))
            .collect()
    }

    /// A value for a column of the table's next row.
    fn value(&mut self, at: usize, place: usize) -> String {
        let table = &self.model.tables[at];
        let (number, column) = (table.made, &table.columns[place]);
        match column.role {
            Role::Key => return column.ty.distinct(number),
            Role::Pair => return pair(number),
            Role::Identity { .. } | Role::Serial => return (5000 + number % 900).to_string(),
            _ if column.has_default && self.rng.one_in(5) => return "DEFAULT".to_owned(),
            _ if !column.not_null && self.rng.one_in(4) => return "NULL".to_owned(),
            _ => {}
        }
        if column.role == Role::Document {
            let more = Type::Jsonb.text(&mut self.rng);
            let document = name::literal(&format!("{{\"id\": {number}, \"more\": {more}}}"));
            return format!("{document}::{}", column.ty.sql());
        }
        column.ty.value(&mut self.rng)
    }

    pub(super) fn update(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let plain = |place: &usize| {
            let role = &self.model.tables[at].columns[*place].role;
            matches!(role, Role::Plain | Role::Document)
        };
        let mut places: Vec<usize> = (0..self.model.tables[at].columns.len())
            .filter(plain)
            .collect();
        if places.is_empty() {
            return Ok(());
        }
        let mut sets = Vec::new();
        for _ in 0..1 + self.rng.index(3.min(places.len())) {
            let place = places.swap_remove(self.rng.index(places.len()));
            let value = self.value(at, place);
            sets.push(format!(
                "{} = {value}",
                self.model.tables[at].columns[place].name
            ));
        }
        let condition = self.condition(at);
        let name = &self.model.tables[at].name;
        let sql = format!("UPDATE {name} SET {}{condition}", sets.join(", "));
        self.sql.may(&sql).map(drop)
    }

    /// Changes the key of a row, which foreign keys to it may follow.
    pub(super) fn update_key(&mut self) -> Result<()> {
        let Some(at) = self.table().filter(|at| self.model.tables[*at].has_key()) else {
            return Ok(());
        };
        let condition = self.condition_on_key(at);
        let table = &mut self.model.tables[at];
        let sets = format!(
            "{} = {}",
            table.columns[0].name,
            table.columns[0].ty.distinct(table.made)
        );
        table.made += 1;
        let sql = format!("UPDATE {} SET {sets} WHERE {condition}", table.name);
        self.sql.may(&sql).map(drop)
    }

    pub(super) fn delete(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let condition = match self.rng.one_in(10) {
            true => String::new(),
            false => self.condition(at),
        };
        let sql = format!("DELETE FROM {}{condition}", self.model.tables[at].name);
        self.sql.may(&sql).map(drop)
    }

    /// A WHERE that is met by a part of a table, or nothing for all of it.
    fn condition(&mut self, at: usize) -> String {
        if self.model.tables[at].has_key() && !self.rng.one_in(4) {
            return format!(" WHERE {}", self.condition_on_key(at));
        }
        let table = &self.model.tables[at];
        let column = &table.columns[self.rng.index(table.columns.len())].name;
        match self.rng.index(3) {
            0 => format!(" WHERE {column} IS NULL"),
            1 => format!(" WHERE {column} IS NOT NULL"),
            _ => String::new(),
        }
    }

    fn condition_on_key(&mut self, at: usize) -> String {
        let table = &self.model.tables[at];
        let key = &table.columns[0];
        let some: Vec<String> = (0..1 + self.rng.index(5))
            .map(|_| key.ty.distinct(self.rng.below(table.made)))
            .collect();
        format!("{} IN ({})", key.name, some.join(", "))
    }
}
