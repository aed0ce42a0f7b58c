//! What a database answers, so that two databases can be compared: through SQL alone, and apart from
//! the digests that dumps are verified by.

mod catalog;
mod cell;

use heliosdb_kernel::{Connection, Rows};

pub use cell::bits;

use crate::{Result, text};

/// A query that both sides are asked.
#[derive(Clone, Debug)]
pub struct Question {
    pub sql: String,
    /// Whether the order of the rows is part of the answer.
    ordered: bool,
}

impl Question {
    pub fn new(sql: impl Into<String>) -> Question {
        Question {
            sql: sql.into(),
            ordered: false,
        }
    }

    pub fn ordered(sql: impl Into<String>) -> Question {
        Question {
            ordered: true,
            ..Question::new(sql)
        }
    }
}

/// The rows, each value by its bits and as text, or the error in all its parts.
pub type Answer = Vec<String>;

/// Asks all questions.
pub fn answers(connection: &mut Connection, questions: &[Question]) -> Vec<Answer> {
    let answer = |question| answer(connection, question);
    questions.iter().map(answer).collect()
}

fn answer(connection: &mut Connection, question: &Question) -> Answer {
    let rows = match connection.query(&question.sql, &[]) {
        Ok(rows) => rows,
        Err(error) => return vec![format!("error {}", cell::error(&error))],
    };
    let mut shown = match shown(rows) {
        Ok(shown) => shown,
        Err(why) => return vec![format!("unreadable: {why}")],
    };
    if !question.ordered {
        shown.sort_unstable();
    }
    shown
}

fn shown(rows: Rows) -> Result<Answer> {
    let types: Vec<_> = rows
        .columns()
        .iter()
        .map(|c| (c.ty.clone(), c.typmod))
        .collect();
    let width = types.len();
    let mut shown = Vec::with_capacity(rows.len() + 1);
    let mut texts = Vec::with_capacity(rows.len());
    for row in &rows {
        let values = (0..width).map(|at| row.get::<Option<String>>(at).map_err(text));
        texts.push(values.collect::<Result<Vec<_>>>()?);
    }
    let mut at = 0;
    for batch in rows.to_batches() {
        for row in 0..batch.num_rows() {
            let mut line = String::new();
            for (column, text) in batch.columns().iter().zip(&texts[at]) {
                let bits = cell::bits(column.as_ref(), row);
                line.push_str(&format!("{} [{bits}]  ", text.as_deref().unwrap_or("NULL")));
            }
            shown.push(line);
            at += 1;
        }
    }
    if shown.is_empty() {
        // An empty result still has columns.
        shown.push(format!("no rows of {types:?}"));
    }
    Ok(shown)
}

/// All questions about what is stored in a database: its catalog, its tables and its views.
///
/// # Errors
///
/// Its tables and views cannot be listed.
pub fn everything(connection: &mut Connection) -> Result<Vec<Question>> {
    let mut questions = catalog::questions();
    for relation in relations(connection, "'r', 'v'")? {
        questions.push(Question::new(format!("SELECT * FROM {relation}")));
    }
    for sequence in relations(connection, "'S'")? {
        questions.push(Question::new(format!(
            "SELECT last_value, is_called FROM {sequence}"
        )));
    }
    for (relation, columns) in indexed(connection)? {
        // Both the sort and the order within an index are decided by the bits of the values.
        questions.push(Question::ordered(format!(
            "SELECT {columns} FROM {relation} ORDER BY {columns}"
        )));
    }
    Ok(questions)
}

/// The user's relations of these kinds, qualified and quoted.
pub fn relations(connection: &mut Connection, kinds: &str) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ({kinds}) AND c.oid >= 16384 ORDER BY c.oid"
    );
    let rows = connection.query(&sql, &[]).map_err(text)?;
    rows.iter().map(|row| row.get(0).map_err(text)).collect()
}

/// Tables with the columns of each of their indexes.
fn indexed(connection: &mut Connection) -> Result<Vec<(String, String)>> {
    let sql = "SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname), \
               string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) \
               FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid \
               JOIN pg_namespace n ON n.oid = t.relnamespace \
               JOIN pg_attribute a ON a.attrelid = i.indexrelid \
               WHERE t.oid >= 16384 GROUP BY i.indexrelid, n.nspname, t.relname \
               ORDER BY i.indexrelid";
    pairs(connection, sql)
}

/// The rows of a query that returns two texts.
///
/// # Errors
///
/// It fails, or returns something else.
pub fn pairs(connection: &mut Connection, sql: &str) -> Result<Vec<(String, String)>> {
    let rows = connection.query(sql, &[]).map_err(text)?;
    let field = |row: &heliosdb_kernel::Row<'_>, at: usize| row.get(at).map_err(text);
    rows.iter()
        .map(|row| Ok((field(&row, 0)?, field(&row, 1)?)))
        .collect()
}

/// The questions that two databases answer differently, with the rows that only one of them has.
pub fn differences(questions: &[Question], one: &[Answer], other: &[Answer]) -> Vec<String> {
    let pairs = one.iter().zip(other);
    let asked = questions.iter().zip(pairs);
    asked
        .filter(|(_, (one, other))| one != other)
        .map(|(question, (one, other))| {
            let only = |these: &Answer, those: &Answer| {
                let only = these.iter().filter(|row| !those.contains(row));
                only.take(3).cloned().collect::<Vec<_>>()
            };
            format!(
                "{}\n  before: {:?}\n  after:  {:?}",
                question.sql,
                only(one, other),
                only(other, one)
            )
        })
        .collect()
}
