//! What a step of the tour is, and how one that is a script is played.

use std::io;

use super::stage::{Stage, Who};

/// Why a step ends early.
pub enum Trouble {
    /// What it was to show did not happen. The tour goes on.
    Failed(String),
    /// Nobody reads what it prints. The tour ends.
    Output(io::Error),
}

pub type Outcome = Result<(), Trouble>;

impl Trouble {
    pub fn failed(why: impl Into<String>) -> Trouble {
        Trouble::Failed(why.into())
    }
}

pub struct Step {
    pub title: &'static str,
    pub play: Play,
    /// What to try next.
    pub next: &'static [Next],
}

pub enum Play {
    Script(&'static [Line]),
    Code(fn(&mut Stage) -> Outcome),
}

/// Something to try in a second terminal while the tour is still there. It works at that moment.
pub enum Next {
    Sql(&'static str),
    /// In the words of the reader's language, where there is nothing to type.
    Read(&'static str),
}

/// A line of a script.
pub enum Line {
    /// What is shown next, and why.
    Say(&'static str),
    /// SQL that must succeed; it, its answer and its time are shown.
    Run(&'static str),
    /// The same, and its answer must have this text in it.
    Shows(&'static str, &'static str),
    /// As `Run`, on a second connection.
    Elsewhere(&'static str),
    /// SQL that must fail with this SQLSTATE; it and the error are shown.
    Refused(&'static str, &'static str),
    /// A query whose only value must be `t`, and what is then known to be true.
    Holds(&'static str, &'static str),
}

impl Step {
    pub fn play(&self, stage: &mut Stage) -> Outcome {
        match self.play {
            Play::Script(lines) => play(lines, stage),
            Play::Code(code) => code(stage),
        }
    }
}

pub fn play(lines: &[Line], stage: &mut Stage) -> Outcome {
    for line in lines {
        match line {
            Line::Say(text) => stage.say(text)?,
            Line::Run(sql) => drop(stage.run(Who::First, sql)?),
            Line::Shows(sql, text) => {
                if !stage.run(Who::First, sql)?.contains(text) {
                    return Err(Trouble::failed(format!("there is no {text} in the answer")));
                }
            }
            Line::Elsewhere(sql) => drop(stage.run(Who::Second, sql)?),
            Line::Refused(sqlstate, sql) => stage.refused(sqlstate, sql)?,
            Line::Holds(sql, text) => {
                let answer = stage.run(Who::First, sql)?;
                if answer.value() != Some("t") {
                    return Err(Trouble::failed(format!("this does not hold: {text}")));
                }
                stage.say(text)?;
            }
        }
    }
    Ok(())
}
