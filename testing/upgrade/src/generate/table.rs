//! CREATE TABLE: columns of every type, and every kind of constraint.

use heliosdb_sim::rng::Rng;

use super::Generator;
use super::model::{Column, ForeignKey, Role, Table};
use super::name;
use super::value::Type;
use crate::Result;

/// Columns of a wide table.
const WIDE: usize = 120;
const ACTIONS: [&str; 5] = [
    "NO ACTION",
    "RESTRICT",
    "CASCADE",
    "SET NULL",
    "SET DEFAULT",
];
/// What both a JSON schema and a check want of a document.
pub const DOCUMENT: &str =
    r#"{"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}"#;
pub const BAD_DOCUMENT: &str = r#"'{"id": "x"}'"#;

impl Generator {
    pub(super) fn create_table(&mut self) -> Result<()> {
        let schema = self.schema();
        let name = format!("{schema}.{}", self.fresh("t"));
        let mut table = Table {
            schema,
            name,
            columns: Vec::new(),
            foreign_keys: Vec::new(),
            indexes: Vec::new(),
            constraints: Vec::new(),
            made: 0,
            dropped: false,
        };
        let mut parts = Vec::new();
        self.key(&mut table, &mut parts);
        let columns = match self.rng.one_in(12) {
            true => WIDE,
            false => 1 + self.rng.index(9),
        };
        for _ in 0..columns {
            let part = self.column(&mut table);
            parts.push(part);
        }
        for _ in 0..self.rng.index(3) {
            self.foreign_key(&mut table, &mut parts);
        }
        let sql = format!("CREATE TABLE {} ({})", table.name, parts.join(", "));
        self.sql.must(&sql)?;
        self.model.tables.push(table);
        Ok(())
    }

    /// A table's key, of one column or of two; some tables have none.
    fn key(&mut self, table: &mut Table, parts: &mut Vec<String>) {
        if self.rng.one_in(6) {
            return;
        }
        let ty = Type::random_key(&mut self.rng);
        let column = self.new_column(ty, Role::Key, true);
        let kind = if self.rng.one_in(4) {
            "UNIQUE"
        } else {
            "PRIMARY KEY"
        };
        if self.rng.one_in(3) {
            let second = self.new_column(Type::Int4, Role::Pair, true);
            parts.push(format!("{} {} NOT NULL", column.name, column.ty.sql()));
            parts.push(format!("{} integer NOT NULL", second.name));
            // The second order of the columns is a key of its own.
            let (a, b) = (&column.name, &second.name);
            parts.push(format!(
                "{kind} ({a}, {b}), UNIQUE ({b}, {a}), UNIQUE ({a})"
            ));
            table.columns.extend([column, second]);
        } else {
            let (name, ty) = (&column.name, column.ty.sql());
            parts.push(format!("{name} {ty} NOT NULL {kind}"));
            table.columns.push(column);
        }
    }

    pub(super) fn new_column(&mut self, ty: Type, role: Role, not_null: bool) -> Column {
        Column {
            name: self.fresh("c"),
            ty,
            role,
            not_null,
            has_default: false,
            refused: None,
        }
    }

    /// A column of any kind but those of keys; its definition.
    pub(super) fn column(&mut self, table: &mut Table) -> String {
        match self.rng.index(14) {
            0 => self.counted(table),
            1 | 2 if !self.model.documents.is_empty() => self.document(table),
            _ => self.plain(table),
        }
    }

    fn plain(&mut self, table: &mut Table) -> String {
        let ty = Type::random(&mut self.rng);
        let not_null = self.rng.one_in(5);
        let mut column = self.new_column(ty, Role::Plain, not_null);
        let mut part = format!("{} {}", column.name, column.ty.sql());
        if self.rng.one_in(6) {
            let method = ["default", "none", "zstd"][self.rng.index(3)];
            part.push_str(&format!(" COMPRESSION {method}"));
        }
        if column.not_null {
            part.push_str(" NOT NULL");
        }
        if self.rng.one_in(3) {
            let value = column.ty.value(&mut self.rng);
            part.push_str(&format!(" DEFAULT {value}"));
            column.has_default = true;
        }
        if let Some((check, refused)) = check(&mut self.rng, &column) {
            if self.rng.coin() {
                let name = self.fresh("k");
                part.push_str(&format!(" CONSTRAINT {name}"));
                table.constraints.push(name);
            }
            part.push_str(&format!(" CHECK ({check})"));
            column.refused = Some(refused);
        }
        table.columns.push(column);
        part
    }

    /// A column that a sequence fills.
    fn counted(&mut self, table: &mut Table) -> String {
        let ty = [Type::Int2, Type::Int4, Type::Int8][self.rng.index(3)].clone();
        if self.rng.one_in(3) {
            let column = self.new_column(ty.clone(), Role::Serial, true);
            let serial = match ty {
                Type::Int2 => "smallserial",
                Type::Int4 => "serial",
                _ => "bigserial",
            };
            let part = format!("{} {serial}", column.name);
            table.columns.push(column);
            return part;
        }
        let always = self.rng.coin();
        let column = self.new_column(ty.clone(), Role::Identity { always }, true);
        let options = [
            "",
            " (INCREMENT BY 7 MINVALUE 3 MAXVALUE 9000 START WITH 10 CYCLE)",
        ];
        let options = options[self.rng.index(2)];
        let when = if always { "ALWAYS" } else { "BY DEFAULT" };
        let (name, ty) = (&column.name, ty.sql());
        let part = format!("{name} {ty} GENERATED {when} AS IDENTITY{options}");
        table.columns.push(column);
        part
    }

    /// A column that a JSON schema checks, or a function of the plugin.
    fn document(&mut self, table: &mut Table) -> String {
        let ty = [Type::Json, Type::Jsonb][self.rng.index(2)].clone();
        let mut column = self.new_column(ty.clone(), Role::Document, false);
        column.refused = Some(BAD_DOCUMENT.to_owned());
        let name = &column.name;
        let part = match self.rng.index(3) {
            0 => format!(
                "{name} {0} CHECK ({0}_matches_schema({1}, {name}))",
                ty.sql(),
                name::literal(DOCUMENT)
            ),
            _ => {
                let schemas = &self.model.documents;
                let schema = &schemas[self.rng.index(schemas.len())];
                format!("{name} {} VALIDATE USING SCHEMA {schema}", ty.sql())
            }
        };
        table.columns.push(column);
        part
    }

    fn foreign_key(&mut self, table: &mut Table, parts: &mut Vec<String>) {
        let mut parents = self.model.live();
        parents.retain(|at| self.model.tables[*at].has_key());
        let Some(&at) = parents.get(self.rng.index(parents.len().max(1))) else {
            return;
        };
        let parent = &self.model.tables[at];
        let whole = parent.has_pair() && self.rng.coin();
        let (referred, name) = (parent.columns.clone(), parent.name.clone());
        let referred = &referred[..if whole { 2 } else { 1 }];
        let mut places = Vec::new();
        for target in referred {
            let column = self.new_column(target.ty.clone(), Role::Reference, false);
            let mut part = format!("{} {}", column.name, column.ty.sql());
            // SET DEFAULT needs a row that may not be there: then it refuses.
            if self.rng.one_in(3) {
                part.push_str(&format!(" DEFAULT {}", target.ty.distinct(0)));
            }
            parts.push(part);
            places.push(table.columns.len());
            table.columns.push(column);
        }
        let own: Vec<&str> = places
            .iter()
            .map(|p| table.columns[*p].name.as_str())
            .collect();
        let theirs: Vec<&str> = referred.iter().map(|c| c.name.as_str()).collect();
        let constraint = self.fresh("f");
        let matching = if self.rng.one_in(3) {
            " MATCH FULL"
        } else {
            ""
        };
        parts.push(format!(
            "CONSTRAINT {constraint} FOREIGN KEY ({}) REFERENCES {name} ({}){matching} ON DELETE {} ON UPDATE {}",
            own.join(", "),
            theirs.join(", "),
            ACTIONS[self.rng.index(5)],
            ACTIONS[self.rng.index(5)],
        ));
        table.constraints.push(constraint);
        table.foreign_keys.push(ForeignKey {
            columns: places,
            parent: at,
        });
    }
}

/// A check that random values hardly ever break, with a value that it refuses.
fn check(rng: &mut Rng, column: &Column) -> Option<(String, String)> {
    if !rng.one_in(3) {
        return None;
    }
    let name = &column.name;
    Some(match &column.ty {
        Type::Int2 | Type::Int4 | Type::Int8 | Type::Oid => (
            format!("{name} <> 1234 AND {name} IS NOT NULL OR {name} IS NULL"),
            "1234".to_owned(),
        ),
        Type::Numeric | Type::Float4 | Type::Float8 => {
            (format!("{name} NOT IN (1234.5, 77.25)"), "77.25".to_owned())
        }
        Type::Text | Type::Name => (
            format!("length({name}) < 5000 AND {name} <> 'no'"),
            "'no'".to_owned(),
        ),
        Type::Date => (
            format!("{name} <> DATE '1999-12-31'"),
            "'1999-12-31'".to_owned(),
        ),
        Type::Array(_) => (
            format!("coalesce(array_length({name}, 1), 0) <> 13"),
            format!("ARRAY[{}]::{}", ["NULL"; 13].join(", "), column.ty.sql()),
        ),
        _ => return None,
    })
}
