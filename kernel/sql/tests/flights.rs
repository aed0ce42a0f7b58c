//! The flights data, read by the csv decoder, answers its queries as PostgreSQL does.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod harness;

use std::process::Command;

use arrow::array::RecordBatch;
use heliosdb_sql::copy::{CopyColumn, CopyOptions, Decoder, Header};
use heliosdb_sql::types::{Format, names};
use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

fn load(table: &str, columns: &[CopyColumn], bytes: &[u8]) -> Vec<RecordBatch> {
    let options = CopyOptions {
        null: "NA".into(),
        header: Header::Yes,
        ..CopyOptions::csv()
    };
    let mut decoder = Decoder::new(options, columns, table, Format::default()).unwrap();
    let mut batches = Vec::new();
    for chunk in bytes.chunks(65_537) {
        batches.extend(decoder.push(chunk).unwrap());
    }
    batches.extend(decoder.finish().unwrap());
    batches
}

/// A csv field as the expected file has it.
fn csv(field: &Option<String>) -> String {
    match field {
        None => String::new(),
        Some(s) if s.contains([',', '"', '\n']) || s.is_empty() => {
            format!("\"{}\"", s.replace('"', "\"\""))
        }
        Some(s) => s.clone(),
    }
}

#[test]
fn queries_give_what_postgres_gave() {
    let Some(data) = harness::shared_data().map(|d| d.join("nycflights13")) else {
        println!("skipped: the shared data is not beside the checkout");
        return;
    };
    let session = harness::Session::new();
    let schema = std::fs::read_to_string(data.join("schema.sql")).unwrap();
    for statement in Parser::parse_sql(&PostgreSqlDialect {}, &schema).unwrap() {
        let Statement::CreateTable(create) = statement else {
            panic!("unexpected statement")
        };
        let name = create.name.to_string();
        let columns: Vec<CopyColumn> = create
            .columns
            .iter()
            .map(|c| {
                let (ty, typmod) = names::from_ast(&c.data_type).unwrap();
                CopyColumn {
                    name: c.name.value.clone(),
                    ty,
                    typmod,
                }
            })
            .collect();
        let plain = data.join(format!("{name}.csv"));
        let bytes = if plain.exists() {
            std::fs::read(plain).unwrap()
        } else {
            let packed = data.join(format!("{name}.csv.gz"));
            match Command::new("gzip").arg("-dc").arg(&packed).output() {
                Ok(out) if out.status.success() => out.stdout,
                _ => {
                    println!("skipped: gzip cannot read {}", packed.display());
                    return;
                }
            }
        };
        session.table(&name, load(&name, &columns, &bytes));
    }
    let queries = std::fs::read_to_string(data.join("queries.sql")).unwrap();
    let mut out = String::new();
    for sql in queries
        .split(";\n")
        .map(str::trim)
        .filter(|q| !q.is_empty())
    {
        let answer = session.run(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        out.push_str(&answer.columns.join(","));
        out.push('\n');
        for row in &answer.rows {
            out.push_str(&row.iter().map(csv).collect::<Vec<_>>().join(","));
            out.push('\n');
        }
    }
    let expected = std::fs::read_to_string(data.join("expected.csv")).unwrap();
    for (n, (got, want)) in out.lines().zip(expected.lines()).enumerate() {
        assert_eq!(got, want, "line {}", n + 1);
    }
    assert_eq!(out.lines().count(), expected.lines().count());
}
