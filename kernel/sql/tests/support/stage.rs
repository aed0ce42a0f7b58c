//! Sessions that take turns: a script says who runs what when, and a statement that has to wait for a
//! lock leaves the stage to the others until it ends.

#![allow(clippy::disallowed_methods)]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::Db;

struct Player {
    say: Sender<String>,
    heard: Receiver<String>,
    waits: bool,
}

/// Sessions 1, 2, … of a database.
pub struct Stage<'a> {
    db: &'a Db,
    players: Vec<Player>,
}

impl<'a> Stage<'a> {
    pub fn new(db: &'a Db, players: usize) -> Stage<'a> {
        let player = |_| {
            let mut session = db.session();
            let (say, orders) = channel::<String>();
            let (answer, heard) = channel();
            thread::spawn(move || {
                for sql in orders {
                    // Whoever asked is gone when its test has failed.
                    let _ = answer.send(session.run(&sql));
                }
            });
            Player {
                say,
                heard,
                waits: false,
            }
        };
        Stage {
            db,
            players: (0..players).map(player).collect(),
        }
    }

    fn waiting(&self) -> usize {
        self.db.instance.engine().stats().lock_waits
    }

    /// Runs statements in session `who`: what they print, or `None` when they have to wait.
    pub fn try_run(&mut self, who: usize, sql: &str) -> Option<String> {
        let asleep = self.players.iter().filter(|player| player.waits).count();
        let player = &mut self.players[who - 1];
        assert!(!player.waits, "session {who} waits");
        player.say.send(sql.to_owned()).unwrap();
        loop {
            if let Ok(out) = self.players[who - 1].heard.try_recv() {
                return Some(out);
            }
            // Those that this one wakes leave the count before they answer, so it only misses time.
            if self.waiting() > asleep {
                self.players[who - 1].waits = true;
                return None;
            }
            thread::yield_now();
        }
    }

    /// The same for statements that must not wait.
    pub fn run(&mut self, who: usize, sql: &str) -> String {
        match self.try_run(who, sql) {
            Some(out) => out,
            None => panic!("session {who} waits in {sql}"),
        }
    }

    /// The same for a statement that must wait.
    pub fn waits(&mut self, who: usize, sql: &str) {
        if let Some(out) = self.try_run(who, sql) {
            panic!("session {who} does not wait in {sql}: {out}");
        }
    }

    /// What the statements of `who` that waited print, now that they need not any more.
    pub fn wakes(&mut self, who: usize) -> String {
        let player = &mut self.players[who - 1];
        assert!(player.waits, "session {who} does not wait");
        player.waits = false;
        player.heard.recv().unwrap()
    }
}
