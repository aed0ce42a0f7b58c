//! What a statement is answered with, and how two answers are made comparable: oids that a server gives out by
//! itself become the names of what they are of, and physical facts become a mark.

use std::collections::HashMap;
use std::fmt;

use crate::harness::Row;

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub ty: u32,
    pub typmod: i32,
}

#[derive(Debug, Default)]
pub struct Answer {
    pub parameters: Vec<u32>,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    pub tags: Vec<String>,
    /// SQLSTATE and message.
    pub error: Option<(String, String)>,
}

/// The first oid that is not of a built-in object.
const FIRST_NORMAL_OID: u32 = 16384;
/// `oid`, `oid[]` and `oidvector`.
const OID_TYPES: [u32; 3] = [26, 1028, 30];

/// Whose answers tell of the machine or of the program: client and column.
const PHYSICAL: [(&str, &str); 2] = [("psql_d", "Size"), ("sqlalchemy", "version")];

/// Arrays whose elements come in the order in which a server happened to read rows: client and column.
const UNORDERED: [(&str, &str); 2] = [
    ("sequelize", "column_indexes"),
    ("sequelize", "column_names"),
];

/// Where objects with oids are listed, and what to call them.
pub const NAMED: [&str; 5] = [
    "SELECT oid, 'relation ' || relname FROM pg_catalog.pg_class",
    "SELECT oid, 'type ' || typname FROM pg_catalog.pg_type",
    "SELECT oid, 'constraint ' || conname FROM pg_catalog.pg_constraint",
    "SELECT oid, 'schema ' || nspname FROM pg_catalog.pg_namespace",
    "SELECT oid, 'role ' || rolname FROM pg_catalog.pg_roles",
];

impl Answer {
    pub fn shows_oids(&self) -> bool {
        self.columns.iter().any(|c| OID_TYPES.contains(&c.ty)) && !self.rows.is_empty()
    }

    /// Makes it comparable with another server's.
    pub fn settle(&mut self, client: &str, sql: &str, names: &HashMap<u32, String>) {
        for row in &mut self.rows {
            for (value, column) in row.iter_mut().zip(&self.columns) {
                if PHYSICAL.contains(&(client, column.name.as_str())) {
                    *value = value.as_ref().map(|_| "(physical)".to_owned());
                } else if UNORDERED.contains(&(client, column.name.as_str())) {
                    *value = value.as_ref().map(|text| sorted(text));
                } else if OID_TYPES.contains(&column.ty) {
                    *value = value.as_ref().map(|text| named(text, names));
                }
            }
        }
        if !is_ordered(sql) {
            self.rows.sort();
        }
        // The server's own type that is not an array's is the enum of the schema.
        let columns = self.columns.iter_mut().map(|column| &mut column.ty);
        for ty in columns.chain(&mut self.parameters) {
            *ty = (*ty).min(FIRST_NORMAL_OID);
        }
    }

    pub fn is_like(&self, other: &Answer) -> bool {
        let code = |answer: &Answer| answer.error.as_ref().map(|e| e.0.clone());
        match (code(self), code(other)) {
            (None, None) => {
                self.parameters == other.parameters
                    && self.columns == other.columns
                    && self.tags == other.tags
                    && self.rows == other.rows
            }
            (ours, theirs) => ours == theirs,
        }
    }

    /// What this has and the other has not.
    pub fn beside(&self, other: &Answer) -> String {
        let mut lines = Vec::new();
        if let Some((code, message)) = &self.error {
            lines.push(format!("error {code}: {message}"));
        }
        if self.parameters != other.parameters {
            lines.push(format!("parameters {:?}", self.parameters));
        }
        if self.columns != other.columns {
            let columns: Vec<String> = self.columns.iter().map(Column::to_string).collect();
            lines.push(format!("columns {}", columns.join(", ")));
        }
        if self.tags != other.tags {
            lines.push(format!("tags {:?}", self.tags));
        }
        let rows = self.rows.iter().filter(|row| !other.rows.contains(row));
        lines.extend(rows.take(8).map(|row| format!("row {row:?}")));
        if lines.is_empty() && self.rows != other.rows {
            lines.push(format!("order {:?}", self.rows));
        }
        lines.join("\n      ")
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.ty)?;
        match self.typmod {
            -1 => Ok(()),
            typmod => write!(f, " ({typmod})"),
        }
    }
}

/// The text of an array of plain elements with these in order.
fn sorted(text: &str) -> String {
    let mut elements: Vec<&str> = text.trim_matches(['{', '}']).split(',').collect();
    elements.sort_unstable();
    elements.join(",")
}

/// A text with the oids of this server's own objects replaced by names.
fn named(text: &str, names: &HashMap<u32, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit());
        let (number, after) = rest.split_at(digits.unwrap_or(rest.len()));
        match number.parse::<u32>() {
            Ok(oid) if oid >= FIRST_NORMAL_OID => {
                out.push_str(names.get(&oid).map_or("unknown object", String::as_str));
            }
            _ => out.push_str(number),
        }
        let others = after.find(|c: char| c.is_ascii_digit());
        let (others, after) = after.split_at(others.unwrap_or(after.len()));
        out.push_str(others);
        rest = after;
    }
    out
}

/// Whether the statement says in which order its rows are to come.
fn is_ordered(sql: &str) -> bool {
    let mut depth = 0;
    let outermost = |c: &char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0
    };
    let outermost: String = sql.chars().filter(outermost).collect();
    outermost.to_lowercase().contains("order by")
}
