//! Step: the 22 queries of TPC-H.

use std::time::{Duration, Instant};

use heliosdb_tpch::{QUERIES, Query};

use super::numbers::time;
use super::stage::{Stage, Who, describe_error};
use super::step::{Next, Outcome, Play, Step, Trouble};

pub const STEP: Step = Step {
    title: "The queries of TPC-H",
    play: Play::Code(ask),
    next: &[
        Next::Sql(
            "SELECT l_shipmode, count(*), avg(l_receiptdate - l_shipdate) AS days FROM lineitem GROUP BY l_shipmode ORDER BY days",
        ),
        Next::Read(
            "The texts of all 22 are those of the benchmark, with its validation parameters.",
        ),
    ],
};

/// Shown with text and answer: a scan, a join of six tables, a correlated subquery.
const SHOWN: [u8; 3] = [1, 5, 4];

fn ask(stage: &mut Stage) -> Outcome {
    let factor = stage.scale.factor();
    for number in SHOWN {
        let query = &QUERIES[usize::from(number) - 1];
        stage.say(&format!("Query {number}, {}:", query.title))?;
        stage.run(Who::First, &query.sql(factor))?;
    }
    stage.say("All of them, one after the other:")?;
    stage.line("\nquery                                   rows       time")?;
    let mut total = Duration::ZERO;
    let mut answered = 0;
    for query in &QUERIES {
        let begun = Instant::now();
        match stage.ask(Who::First, &query.sql(factor)) {
            Ok(answer) => {
                let took = begun.elapsed();
                total += took;
                answered += 1;
                stage.line(&format!(
                    "{:>2} {:<34} {:>6} {:>10}",
                    query.number,
                    query.title,
                    answer.rows().len(),
                    time(took)
                ))?;
            }
            Err(error) => stage.line(&format!(
                "{:>2} {:<34} {}",
                query.number,
                query.title,
                describe_error(&error)
            ))?,
        }
    }
    stage.line(&format!(
        "\n{answered} of {} queries answered, in {} together.",
        QUERIES.len(),
        time(total)
    ))?;
    if answered < QUERIES.len() {
        return Err(Trouble::failed("not every query was answered"));
    }
    Ok(())
}

/// The text of all queries that are one statement, to be asked of another database.
pub fn comparable() -> impl Iterator<Item = &'static Query> {
    // Query 15 makes and drops a view: it would change the other database.
    QUERIES.iter().filter(|query| query.number != 15)
}
