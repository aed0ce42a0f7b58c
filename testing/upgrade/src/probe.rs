//! What a database does rather than what it holds: statements that it must refuse, rows that it must
//! accept, and the numbers that its sequences give next.
//!
//! Probes change the database that they are run on; the same ones are run on both.

use crate::ask::Question;
use crate::generate::model::{Model, Role, Table, pair};
use crate::generate::name;

/// The probes of a database.
pub fn probes(model: &Model) -> Vec<Question> {
    let mut probes = Vec::new();
    let mut probe = |sql: String| probes.push(Question::new(sql));
    for sequence in &model.sequences {
        let named = name::literal(sequence);
        probe(format!("SELECT nextval({named})"));
        probe(format!("SELECT nextval({named}), currval({named})"));
    }
    for at in model.live() {
        let table = &model.tables[at];
        for (place, column) in table.columns.iter().enumerate() {
            let default = |_: &str| "DEFAULT".to_owned();
            probe(insert(model, table, 0, |p, value| match p == place {
                true => "NULL".to_owned(),
                false => value,
            }));
            if let Some(refused) = &column.refused {
                probe(insert(model, table, 1, |p, value| match p == place {
                    true => refused.clone(),
                    false => value,
                }));
            }
            if column.role == Role::Reference {
                let absent = column.ty.distinct(9_999);
                probe(insert(model, table, 2, |p, value| match p == place {
                    true => absent.clone(),
                    false => value,
                }));
            }
            if column.has_default || column.role == Role::Serial {
                probe(insert(model, table, 3, |p, value| match p == place {
                    true => default(&value),
                    false => value,
                }));
            }
        }
        if let Some(key) = table
            .columns
            .first()
            .filter(|_| table.has_key() && table.made > 0)
        {
            // A key that is there twice, and rows that others refer to.
            for row in [0, table.made / 2, table.made - 1] {
                let value = key.ty.distinct(row);
                probe(insert(model, table, 4, |p, other| match p {
                    0 => value.clone(),
                    _ => other,
                }));
                let (table, key) = (&table.name, &key.name);
                probe(format!("SELECT * FROM {table} WHERE {key} = {value}"));
                probe(format!(
                    "DELETE FROM {table} WHERE {key} = {value} RETURNING *"
                ));
            }
        }
        probe(format!(
            "INSERT INTO {} DEFAULT VALUES RETURNING *",
            table.name
        ));
        probe(format!("SELECT * FROM {}", table.name));
    }
    for schema in &model.documents {
        probe(format!("DROP JSON SCHEMA {schema}"));
    }
    probes
}

/// An INSERT of one row of plain values, some of them changed.
fn insert(
    model: &Model,
    table: &Table,
    number: u64,
    change: impl Fn(usize, String) -> String,
) -> String {
    let row = 9_000 + number * 100 + table.made % 100;
    let mut values = Vec::new();
    for (place, column) in table.columns.iter().enumerate() {
        let value = match column.role {
            Role::Key => column.ty.distinct(row),
            Role::Pair => pair(row),
            Role::Identity { .. } => "DEFAULT".to_owned(),
            Role::Serial => row.to_string(),
            Role::Document => name::literal(&format!("{{\"id\": {row}}}")),
            Role::Reference => reference(model, table, place),
            Role::Plain => "DEFAULT".to_owned(),
        };
        values.push(change(place, value));
    }
    let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    format!(
        "INSERT INTO {} ({}) VALUES ({}) RETURNING *",
        table.name,
        names.join(", "),
        values.join(", ")
    )
}

/// A value that may be there in the parent.
fn reference(model: &Model, table: &Table, place: usize) -> String {
    for key in &table.foreign_keys {
        if let Some(at) = key.columns.iter().position(|p| *p == place) {
            return model.reference(key, 0)[at].clone();
        }
    }
    "NULL".to_owned()
}
