//! Step: time travel.

use super::stage::{Stage, Who};
use super::step::{Line, Next, Outcome, Play, Step, play};

pub const STEP: Step = Step {
    title: "The past",
    play: Play::Code(look_back),
    next: &[
        Next::Sql("SELECT key, column_name, value, written_at, role FROM helios_blame('stock')"),
        Next::Sql("SELECT * FROM helios_history"),
        Next::Read("docs/time-travel.md has the rest: through DDL, in views, between branches."),
    ],
};

fn look_back(stage: &mut Stage) -> Outcome {
    stage.say("Every commit stays to be read, at its microsecond:")?;
    stage.run(
        Who::First,
        "CREATE TABLE stock (item text PRIMARY KEY, pieces integer NOT NULL)",
    )?;
    stage.run(
        Who::First,
        "INSERT INTO stock VALUES ('pen', 10), ('cup', 20), ('hat', 30)",
    )?;
    let then = stage.value("SELECT helios_current_scn()")?;
    play(
        &[
            Line::Run("UPDATE stock SET pieces = pieces - 1 WHERE item = 'pen'"),
            Line::Run("DELETE FROM stock WHERE item = 'hat'"),
        ],
        stage,
    )?;
    let mut run = |sql: String| stage.run(Who::First, &sql).map(drop);
    run(format!(
        "SELECT item, old.pieces AS pieces_then, new.pieces AS pieces_now
FROM stock AS OF SCN {then} old LEFT JOIN stock new USING (item) ORDER BY item"
    ))?;
    run(format!(
        "SELECT item, pieces, versions_starttime, versions_endtime
FROM stock VERSIONS BETWEEN SCN {then} AND helios_current_scn() ORDER BY item, versions_startscn"
    ))?;
    stage.say("A table goes back in place, and that is a commit like others:")?;
    stage.run(Who::First, &format!("FLASHBACK TABLE stock TO SCN {then}"))?;
    play(
        &[Line::Holds(
            "SELECT sum(pieces) = 60 AS as_before FROM stock",
            "Ten pens and thirty hats are there again.",
        )],
        stage,
    )
}
