//! What is not a table: schemas, roles, views, sequences, comments, JSON schemas.

use super::Generator;
use super::name;
use super::table::DOCUMENT;
use crate::Result;

impl Generator {
    pub(super) fn create_schema(&mut self) -> Result<()> {
        let schema = self.fresh("s");
        let owner = match self.model.roles.last() {
            Some(role) if self.rng.coin() => format!(" AUTHORIZATION {role}"),
            _ => String::new(),
        };
        self.sql.must(&format!("CREATE SCHEMA {schema}{owner}"))?;
        self.model.schemas.push(schema);
        Ok(())
    }

    pub(super) fn create_role(&mut self) -> Result<()> {
        let role = self.fresh("u");
        let mut options = String::new();
        for option in ["LOGIN", "SUPERUSER", "CREATEDB", "CREATEROLE", "NOINHERIT"] {
            if self.rng.one_in(3) {
                options.push_str(&format!(" {option}"));
            }
        }
        if self.rng.coin() {
            options.push_str(&format!(" PASSWORD 'p''w{}'", self.model.made));
        }
        if self.rng.one_in(3) {
            options.push_str(&format!(" CONNECTION LIMIT {}", self.rng.below(9)));
        }
        self.sql.must(&format!("CREATE ROLE {role}{options}"))?;
        self.model.roles.push(role);
        Ok(())
    }

    pub(super) fn alter_role(&mut self) -> Result<()> {
        let at = self.rng.index(self.model.roles.len());
        let new = self.fresh("u");
        let role = &mut self.model.roles[at];
        match self.rng.index(3) {
            0 => {
                self.sql
                    .must(&format!("ALTER ROLE {role} RENAME TO {new}"))?;
                *role = new;
            }
            1 => drop(self.sql.must(&format!("ALTER ROLE {role} PASSWORD NULL"))?),
            _ => drop(
                self.sql
                    .must(&format!("ALTER ROLE {role} NOCREATEDB PASSWORD 'ü\"'"))?,
            ),
        }
        Ok(())
    }

    pub(super) fn change_owner(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let role = &self.model.roles[self.rng.index(self.model.roles.len())];
        let table = &self.model.tables[at].name;
        self.sql
            .must(&format!("ALTER TABLE {table} OWNER TO {role}"))
            .map(drop)
    }

    /// Over a table, over two, or over another view.
    pub(super) fn create_view(&mut self) -> Result<()> {
        let view = format!("{}.{}", self.schema(), self.fresh("v"));
        let Some(at) = self.table() else {
            return Ok(());
        };
        let table = &self.model.tables[at];
        let names: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
        let some = &names[..1 + self.rng.index(names.len())];
        let (query, columns) = match self.rng.index(5) {
            0 => (format!("SELECT * FROM {}", table.name), names.clone()),
            1 => {
                let number = table.columns.iter().find(|c| c.ty.is_number());
                let sum = number.map_or("0".to_owned(), |c| format!("sum({})", c.name));
                let query = format!(
                    "SELECT count(*) AS n, {sum} AS total FROM {} WHERE {} IS NOT NULL",
                    table.name, names[0]
                );
                (query, vec!["n".to_owned(), "total".to_owned()])
            }
            2 if !self.model.views.is_empty() => {
                let (below, columns) = &self.model.views[self.rng.index(self.model.views.len())];
                let query = format!("SELECT {}, 1 AS one FROM {below}", columns.join(", "));
                let mut columns = columns.clone();
                columns.retain(|c| c != "one");
                let list = columns.join(", ");
                let query = match list.is_empty() {
                    true => query,
                    false => format!("SELECT {list}, 1 AS one FROM {below}"),
                };
                columns.push("one".to_owned());
                (query, columns)
            }
            3 => {
                let tables = self.model.live();
                let other = &self.model.tables[tables[self.rng.index(tables.len())]].name;
                let query = format!(
                    "SELECT a.{0} AS x, CASE WHEN a.{0} IS NULL THEN 'ø' ELSE '''' END AS y, b.n \
                     FROM {1} AS a CROSS JOIN (SELECT count(*) AS n FROM {other}) AS b",
                    some[0], table.name
                );
                (query, ["x", "y", "n"].map(str::to_owned).to_vec())
            }
            _ => {
                let query = format!("SELECT {} FROM {}", some.join(", "), table.name);
                (query, some.to_vec())
            }
        };
        if self.sql.may(&format!("CREATE VIEW {view} AS {query}"))? {
            self.model.views.push((view, columns));
        }
        Ok(())
    }

    pub(super) fn drop_view(&mut self) -> Result<()> {
        if self.model.views.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(self.model.views.len());
        if self
            .sql
            .may(&format!("DROP VIEW {}", self.model.views[at].0))?
        {
            self.model.views.remove(at);
        }
        Ok(())
    }

    pub(super) fn create_sequence(&mut self) -> Result<()> {
        let sequence = format!("{}.{}", self.schema(), self.fresh("q"));
        let options = [
            "",
            " INCREMENT BY -3 MINVALUE -100 MAXVALUE 50 START WITH 7 CYCLE CACHE 5",
            " AS smallint",
            " AS integer START WITH 2147483640",
            " MINVALUE 1 MAXVALUE 3",
            " INCREMENT BY 9223372036854775807",
            " INCREMENT BY -1 MINVALUE -9223372036854775808 START WITH -9223372036854775800",
        ];
        let options = options[self.rng.index(options.len())];
        self.sql
            .must(&format!("CREATE SEQUENCE {sequence}{options}"))?;
        self.model.sequences.push(sequence);
        Ok(())
    }

    /// Moves a sequence on, which no rollback undoes.
    pub(super) fn use_sequence(&mut self) -> Result<()> {
        if self.model.sequences.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(self.model.sequences.len());
        let sequence = self.model.sequences[at].clone();
        let named = name::literal(&sequence);
        let sql = match self.rng.index(6) {
            0 => format!("SELECT setval({named}, 2, {})", self.rng.coin()),
            1 => format!("ALTER SEQUENCE {sequence} RESTART"),
            2 => format!("ALTER SEQUENCE {sequence} CYCLE CACHE 2"),
            3 => match self.table() {
                Some(table) => {
                    let table = &self.model.tables[table];
                    let column = &table.columns[0].name;
                    format!("ALTER SEQUENCE {sequence} OWNED BY {}.{column}", table.name)
                }
                None => return Ok(()),
            },
            _ => format!("SELECT nextval({named}), nextval({named})"),
        };
        self.sql.may(&sql).map(drop)
    }

    pub(super) fn comment(&mut self) -> Result<()> {
        let Some(at) = self.table() else {
            return Ok(());
        };
        let table = &self.model.tables[at];
        let on = match self.rng.index(8) {
            0 => format!("TABLE {}", table.name),
            1 | 2 => {
                let column = &table.columns[self.rng.index(table.columns.len())].name;
                format!("COLUMN {}.{column}", table.name)
            }
            3 if !self.model.views.is_empty() => format!("VIEW {}", self.model.views[0].0),
            4 if !table.indexes.is_empty() => {
                format!("INDEX {}.{}", table.schema, table.indexes[0])
            }
            5 if !self.model.sequences.is_empty() => {
                format!("SEQUENCE {}", self.model.sequences[0])
            }
            6 => format!("SCHEMA {}", table.schema),
            7 => format!("ROLE {}", self.model.roles[0]),
            _ => "DATABASE helios".to_owned(),
        };
        let text = match self.rng.index(4) {
            0 => "NULL".to_owned(),
            1 => "'it''s \"x\" — ☃ 😀'".to_owned(),
            _ => format!("'comment {}'", self.rng.below(1000)),
        };
        self.sql
            .must(&format!("COMMENT ON {on} IS {text}"))
            .map(drop)
    }

    pub(super) fn create_document_schema(&mut self) -> Result<()> {
        let schema = format!("{}.{}", self.schema(), self.fresh("j"));
        let options = ["", " DRAFT '7'", " DRAFT '2019-09'"][self.rng.index(3)];
        let uri = match self.rng.one_in(3) {
            true => format!(" URI 'https://example.org/{}'", self.model.made),
            false => String::new(),
        };
        let text = name::literal(DOCUMENT);
        self.sql.must(&format!(
            "CREATE JSON SCHEMA {schema}{options}{uri} AS {text}"
        ))?;
        self.model.documents.push(schema);
        Ok(())
    }

    /// A schema that says more than before, and is met by what is stored.
    pub(super) fn alter_document_schema(&mut self) -> Result<()> {
        if self.model.documents.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(self.model.documents.len());
        let new = self.fresh("j");
        let schema = &mut self.model.documents[at];
        if self.rng.coin() {
            let more =
                DOCUMENT.replacen('{', &format!("{{\"title\": \"{}\", ", self.model.made), 1);
            let text = name::literal(&more);
            return self
                .sql
                .may(&format!("ALTER JSON SCHEMA {schema} AS {text}"))
                .map(drop);
        }
        self.sql
            .must(&format!("ALTER JSON SCHEMA {schema} RENAME TO {new}"))?;
        // A schema's name ends in its last part, whose quotes hold no dots but those of `fresh`.
        let space = self
            .model
            .schemas
            .iter()
            .find(|s| schema.starts_with(&format!("{s}.")));
        if let Some(space) = space {
            *schema = format!("{space}.{new}");
        }
        Ok(())
    }

    pub(super) fn drop_document_schema(&mut self) -> Result<()> {
        if self.model.documents.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(self.model.documents.len());
        let cascade = if self.rng.one_in(3) { " CASCADE" } else { "" };
        if self.sql.may(&format!(
            "DROP JSON SCHEMA {}{cascade}",
            self.model.documents[at]
        ))? {
            self.model.documents.remove(at);
        }
        Ok(())
    }
}
