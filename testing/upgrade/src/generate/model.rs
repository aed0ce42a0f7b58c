//! What the generator knows of the database it makes: enough to write statements that mean something.
//!
//! It is no oracle. What a statement did is asked of the database; here are only names, types and
//! which numbers the values of keys were made of.

use super::value::Type;

/// The objects of a database, by their qualified and quoted names.
#[derive(Debug, Default)]
pub struct Model {
    pub schemas: Vec<String>,
    pub roles: Vec<String>,
    pub tables: Vec<Table>,
    /// With the names of their columns.
    pub views: Vec<(String, Vec<String>)>,
    pub sequences: Vec<String>,
    /// JSON schemas that want a member `id` that is an integer.
    pub documents: Vec<String>,
    /// Objects made so far, for names.
    pub made: usize,
}

impl Model {
    /// Tables that are there.
    pub fn live(&self) -> Vec<usize> {
        (0..self.tables.len())
            .filter(|at| !self.tables[*at].dropped)
            .collect()
    }

    /// What a foreign key of `columns` holds for a row of its parent, as expressions.
    pub fn reference(&self, key: &ForeignKey, row: u64) -> Vec<String> {
        let parent = &self.tables[key.parent];
        let mut values = vec![parent.columns[0].ty.distinct(row)];
        if key.columns.len() == 2 {
            values.push(pair(row));
        }
        values
    }
}

/// The value of a table's second key column.
pub fn pair(row: u64) -> String {
    (row % 10).to_string()
}

#[derive(Debug)]
pub struct Table {
    pub schema: String,
    /// Qualified.
    pub name: String,
    /// In their order. If the table has a key, it is the first column.
    pub columns: Vec<Column>,
    pub foreign_keys: Vec<ForeignKey>,
    pub indexes: Vec<String>,
    /// Constraints with a name of their own, which may be renamed and dropped.
    pub constraints: Vec<String>,
    /// Rows inserted so far, some of which are gone: each was made of the number before.
    pub made: u64,
    pub dropped: bool,
}

impl Table {
    pub fn has_key(&self) -> bool {
        self.columns.first().is_some_and(|c| c.role == Role::Key)
    }

    pub fn has_pair(&self) -> bool {
        self.columns.get(1).is_some_and(|c| c.role == Role::Pair)
    }
}

#[derive(Clone, Debug)]
pub struct Column {
    /// Quoted.
    pub name: String,
    pub ty: Type,
    pub role: Role,
    pub not_null: bool,
    pub has_default: bool,
    /// A value that a check refuses.
    pub refused: Option<String>,
}

/// What decides a column's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    Plain,
    /// The primary key or a unique one.
    Key,
    /// The second column of a key.
    Pair,
    /// Part of a foreign key.
    Reference,
    Identity {
        always: bool,
    },
    Serial,
    /// Documents with an `id`, as a JSON schema or a check wants them.
    Document,
}

#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// Places of its columns.
    pub columns: Vec<usize>,
    /// Which table it refers to.
    pub parent: usize,
}
