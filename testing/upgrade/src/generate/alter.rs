//! ALTER TABLE and its like: what a table went through leaves traces that a move must keep.

use super::Generator;
use super::model::Role;
use super::name;
use super::table::DOCUMENT;
use super::value::Type;
use crate::Result;

impl Generator {
    pub(super) fn add_column(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        // The model has it only when the database has.
        let mut table = std::mem::replace(&mut self.model.tables[at], super::absent());
        let constraints = table.constraints.len();
        let part = self.column(&mut table);
        let sql = format!("ALTER TABLE {} ADD COLUMN {part}", table.name);
        let added = self.sql.may(&sql);
        if !matches!(added, Ok(true)) {
            table.columns.pop();
            table.constraints.truncate(constraints);
        }
        self.model.tables[at] = table;
        added.map(drop)
    }

    pub(super) fn drop_column(&mut self) -> Result<()> {
        let Some((at, place)) = self.column_of(&[Role::Plain, Role::Document, Role::Serial]) else {
            return Ok(());
        };
        let table = &self.model.tables[at];
        let column = &table.columns[place].name;
        let cascade = if self.rng.one_in(3) { " CASCADE" } else { "" };
        let sql = format!("ALTER TABLE {} DROP COLUMN {column}{cascade}", table.name);
        if self.sql.may(&sql)? {
            let table = &mut self.model.tables[at];
            table.columns.remove(place);
            for key in &mut table.foreign_keys {
                for other in &mut key.columns {
                    *other -= usize::from(*other > place);
                }
            }
            self.forget_what_is_gone()?;
        }
        Ok(())
    }

    pub(super) fn alter_column(&mut self) -> Result<()> {
        let Some((at, place)) = self.column_of(&[Role::Plain]) else {
            return Ok(());
        };
        let column = self.model.tables[at].columns[place].clone();
        if column.refused.is_none() && self.rng.one_in(5) {
            return self.retype_column(at, place);
        }
        let change = match self.rng.index(7) {
            0 => "SET NOT NULL".to_owned(),
            1 => "DROP NOT NULL".to_owned(),
            2 | 3 => format!("SET DEFAULT {}", column.ty.value(&mut self.rng)),
            4 => "DROP DEFAULT".to_owned(),
            _ => {
                let method = ["default", "none", "zstd"][self.rng.index(3)];
                format!("SET COMPRESSION {method}")
            }
        };
        let table = &self.model.tables[at].name;
        let sql = format!("ALTER TABLE {table} ALTER COLUMN {} {change}", column.name);
        if self.sql.may(&sql)? {
            let column = &mut self.model.tables[at].columns[place];
            match change.as_str() {
                "SET NOT NULL" => column.not_null = true,
                "DROP NOT NULL" => column.not_null = false,
                "DROP DEFAULT" => column.has_default = false,
                change if change.starts_with("SET DEFAULT") => column.has_default = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// Every type becomes a short text, and whatever compares and indexes it still does.
    fn retype_column(&mut self, at: usize, place: usize) -> Result<()> {
        let table = &self.model.tables[at];
        let column = &table.columns[place].name;
        let sql = format!(
            "ALTER TABLE {} ALTER COLUMN {column} DROP DEFAULT, \
             ALTER COLUMN {column} TYPE varchar(40) USING left({column}::text, 40)",
            table.name
        );
        if self.sql.may(&sql)? {
            let column = &mut self.model.tables[at].columns[place];
            column.ty = Type::Varchar(40);
            column.has_default = false;
        }
        Ok(())
    }

    pub(super) fn rename(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let new = self.fresh("r");
        let table = &self.model.tables[at];
        let old = table.name.clone();
        match self.rng.index(4) {
            0 => {
                let qualified = format!("{}.{new}", table.schema);
                if self
                    .sql
                    .may(&format!("ALTER TABLE {old} RENAME TO {new}"))?
                {
                    self.model.tables[at].name = qualified;
                }
            }
            1 => {
                let place = self.rng.index(table.columns.len());
                let column = &table.columns[place].name;
                if self.sql.may(&format!(
                    "ALTER TABLE {old} RENAME COLUMN {column} TO {new}"
                ))? {
                    self.model.tables[at].columns[place].name = new;
                }
            }
            2 if !table.constraints.is_empty() => {
                let place = self.rng.index(table.constraints.len());
                let constraint = &table.constraints[place];
                let sql = format!("ALTER TABLE {old} RENAME CONSTRAINT {constraint} TO {new}");
                self.sql.must(&sql)?;
                self.model.tables[at].constraints[place] = new;
            }
            3 if !table.indexes.is_empty() => {
                let place = self.rng.index(table.indexes.len());
                let index = format!("{}.{}", table.schema, table.indexes[place]);
                self.sql
                    .must(&format!("ALTER INDEX {index} RENAME TO {new}"))?;
                self.sql.may(&format!("CLUSTER {old} USING {new}"))?;
                self.model.tables[at].indexes[place] = new;
            }
            _ => {}
        }
        Ok(())
    }

    /// A constraint that is NOT VALID, or one on rows that are there; and validating it later.
    pub(super) fn add_constraint(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let (constraint, table) = (self.fresh("k"), self.model.tables[at].name.clone());
        let not_valid = if self.rng.coin() { " NOT VALID" } else { "" };
        let made = match self.column_of(&[Role::Document]) {
            Some((at, place)) if self.rng.one_in(3) => {
                let column = &self.model.tables[at].columns[place];
                let (table, column, ty) =
                    (&self.model.tables[at].name, &column.name, column.ty.sql());
                let check = format!("{ty}_matches_schema({}, {column})", name::literal(DOCUMENT));
                let check = format!("CHECK ({check})");
                let sql = format!("ALTER TABLE {table} ADD CONSTRAINT {constraint} {check}");
                let made = self.sql.may(&format!("{sql}{not_valid}"))?;
                if made {
                    self.model.tables[at].constraints.push(constraint);
                }
                return Ok(());
            }
            _ => {
                let columns = &self.model.tables[at].columns;
                let column = &columns[self.rng.index(columns.len())].name;
                let check = format!("CHECK ({column} IS NOT NULL)");
                let sql = format!("ALTER TABLE {table} ADD CONSTRAINT {constraint} {check}");
                self.sql.may(&format!("{sql}{not_valid}"))?
            }
        };
        if made {
            if self.rng.coin() {
                self.sql.may(&format!(
                    "ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}"
                ))?;
            }
            self.model.tables[at].constraints.push(constraint);
        }
        Ok(())
    }

    pub(super) fn drop_constraint(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let table = &mut self.model.tables[at];
        if let Some(constraint) = table.constraints.pop() {
            let sql = format!("ALTER TABLE {} DROP CONSTRAINT {constraint}", table.name);
            self.sql.must(&sql)?;
        }
        Ok(())
    }

    pub(super) fn create_index(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let index = self.fresh("i");
        let table = &self.model.tables[at];
        let mut keys = Vec::new();
        for column in table.columns.iter().filter(|c| c.ty.is_ordered()) {
            if keys.len() < 4 && self.rng.one_in(table.columns.len() as u64 / 2 + 1) {
                let order = ["", " DESC", " ASC"][self.rng.index(3)];
                let nulls = ["", " NULLS FIRST", " NULLS LAST"][self.rng.index(3)];
                keys.push(format!("{}{order}{nulls}", column.name));
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        let unique = if self.rng.one_in(4) { "UNIQUE " } else { "" };
        let (table, keys) = (&table.name, keys.join(", "));
        if self
            .sql
            .may(&format!("CREATE {unique}INDEX {index} ON {table} ({keys})"))?
        {
            self.model.tables[at].indexes.push(index);
        }
        Ok(())
    }

    pub(super) fn drop_index(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let table = &mut self.model.tables[at];
        match table.indexes.pop() {
            Some(index) => self
                .sql
                .must(&format!("DROP INDEX {}.{index}", table.schema))
                .map(drop),
            None => Ok(()),
        }
    }

    pub(super) fn truncate(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let restart = if self.rng.coin() {
            " RESTART IDENTITY"
        } else {
            ""
        };
        let cascade = if self.rng.coin() { " CASCADE" } else { "" };
        let table = &self.model.tables[at].name;
        self.sql
            .may(&format!("TRUNCATE {table}{restart}{cascade}"))
            .map(drop)
    }

    pub(super) fn drop_table(&mut self) -> Result<()> {
        let Some(at) = self.table().filter(|_| self.model.live().len() > 2) else {
            return Ok(());
        };
        let cascade = if self.rng.coin() { " CASCADE" } else { "" };
        let dropped = self.sql.may(&format!(
            "DROP TABLE {}{cascade}",
            self.model.tables[at].name
        ))?;
        if dropped {
            self.model.tables[at].dropped = true;
            self.forget_what_is_gone()?;
        }
        Ok(())
    }

    /// A new table from what a query finds.
    pub(super) fn create_table_as(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let mut copy = super::absent();
        copy.schema = self.schema();
        copy.name = format!("{}.{}", copy.schema, self.fresh("t"));
        copy.dropped = false;
        let source = &self.model.tables[at];
        for column in &source.columns {
            let mut column = column.clone();
            column.role = Role::Plain;
            column.not_null = false;
            column.has_default = false;
            column.refused = None;
            copy.columns.push(column);
        }
        let sql = format!(
            "CREATE TABLE {} AS SELECT * FROM {}",
            copy.name, source.name
        );
        self.sql.must(&sql)?;
        self.model.tables.push(copy);
        Ok(())
    }
}
