//! A session of this server that answers as [`Wire`](super::wire::Wire) does.

use heliosdb_sql::types::{PgType, encode_text_typmod};
use heliosdb_sql::{Outcome, ResultColumn, SqlError, Value};

use super::answer::{Answer, Column};
use crate::support::{Client, Db};

pub struct Here {
    client: Client,
    _db: Db,
}

impl Here {
    pub fn new(db: Db) -> Here {
        Here {
            client: db.session(),
            _db: db,
        }
    }

    pub fn simple(&mut self, sql: &str, copy: &[u8]) -> Answer {
        let mut answer = Answer::default();
        let result = self.run(sql, copy, &mut answer);
        answer.error = result.err().map(told);
        answer
    }

    fn run(&mut self, sql: &str, copy: &[u8], answer: &mut Answer) -> Result<(), SqlError> {
        for statement in &self.client.0.parse(sql)? {
            let outcome = self.client.0.execute(statement, &[])?;
            self.read(outcome, copy, answer)?;
        }
        Ok(())
    }

    pub fn extended(&mut self, sql: &str, values: &[String]) -> Answer {
        let mut answer = Answer::default();
        let result = self.run_prepared(sql, values, &mut answer);
        answer.error = result.err().map(told);
        answer
    }

    fn run_prepared(
        &mut self,
        sql: &str,
        values: &[String],
        answer: &mut Answer,
    ) -> Result<(), SqlError> {
        let prepared = self.client.0.prepare(sql, &[])?;
        answer.parameters = prepared.param_types.iter().map(PgType::oid).collect();
        let values: Vec<Value> = values.iter().cloned().map(Value::Text).collect();
        let outcome = self.client.0.execute_prepared(&prepared, &values)?;
        self.read(outcome, &[], answer)
    }

    fn read(&mut self, outcome: Outcome, copy: &[u8], answer: &mut Answer) -> Result<(), SqlError> {
        let tag = match outcome {
            Outcome::Rows(mut rows) => {
                let columns = rows.columns().to_vec();
                answer.columns.extend(columns.iter().map(described));
                let format = self.client.0.info().format();
                let mut count = 0;
                while let Some(batch) = rows.next_batch()? {
                    for row in 0..batch.num_rows() {
                        let cell = |(i, column): (usize, &ResultColumn)| {
                            let array = batch.column(i).as_ref();
                            let mut text = String::new();
                            if array.is_null(row) {
                                return None;
                            }
                            let (ty, typmod) = (&column.ty, column.typmod);
                            encode_text_typmod(array, row, ty, typmod, &format, &mut text);
                            Some(text)
                        };
                        answer
                            .rows
                            .push(columns.iter().enumerate().map(cell).collect());
                        count += 1;
                    }
                }
                rows.tag(count)
            }
            Outcome::Command(tag) => tag,
            Outcome::CopyIn { .. } => {
                self.client.0.copy_in_data(copy)?;
                self.client.0.copy_in_done()?
            }
            Outcome::CopyOut(_) | Outcome::Empty => return Ok(()),
        };
        answer.tags.push(tag.0);
        Ok(())
    }
}

fn described(column: &ResultColumn) -> Column {
    Column {
        name: column.name.clone(),
        ty: column.ty.oid(),
        typmod: column.typmod,
    }
}

fn told(error: SqlError) -> (String, String) {
    (error.code.as_str().to_owned(), error.message)
}
