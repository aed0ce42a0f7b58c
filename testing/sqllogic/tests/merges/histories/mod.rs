//! Random histories of a tree of branches, against a plain model: rows and definitions written on all of them, branches
//! made of now and of the past, merged with what they were made of, protected, dropped; tags; tables truncated,
//! dropped, brought back and flashed back; the database restored in place, flushed, compacted, closed and opened, and
//! the power cut, between statements and in the middle of them; and read as of any time, and compared, in between.
//!
//! The model keeps every state that a branch ever showed, with the SCN of it. A branch that was made has those of
//! its parent up to there; so has what takes the place of the main branch in a restore. With each branch goes the
//! newest state that it and its parent have in common, which is the base of their next merge. Only they are
//! merged with each other, so there is one such state.
//!
//! The database is on a simulated disk, and a crash leaves of what was not synced what it likes. What was committed is
//! there afterwards. A statement that the crash came into is there whole, or not at all: what is read tells which.
//! Nothing runs in the background on that disk, so no branch goes by itself when its time is over.
//!
//! Histories that leave nothing behind go on in one database. `HELIOS_HISTORIES` says how many there are,
//! `HELIOS_HISTORIES_SEED` with which one they begin. One that fails prints its statements.

mod model;
mod step;
mod world;

use std::collections::BTreeMap;
use std::rc::Rc;

use self::model::{Branch, Entry, Model, Row, State, Table, Wrote};
use self::world::{Seen, World};
use super::{Policy, Random, number};

const HISTORIES: u64 = 10_000;
const THREADS: u64 = 2;
const STEPS: u64 = 12;
/// Histories that one database sees at most, so that it does not grow too much.
const TOGETHER: u64 = 100;

struct History<'a> {
    world: &'a mut World,
    model: Model,
    random: Random,
    seed: u64,
    /// The main branch was restored: what it goes on from stays.
    is_restored: bool,
}

impl History<'_> {
    /// Whether something happens that does so once in `among` times.
    fn one_in(&mut self, among: u64) -> bool {
        self.random.next(among) == 0
    }

    fn pick(&mut self, among: usize) -> usize {
        usize::try_from(self.random.next(among.max(1) as u64)).unwrap()
    }

    /// Any branch, or tag.
    fn any(&mut self) -> usize {
        let live = self.model.live();
        live[self.pick(live.len())]
    }

    /// Any branch that may be written on.
    fn any_branch(&mut self) -> usize {
        let live = self.model.live().into_iter();
        let live: Vec<usize> = live.filter(|at| !self.model.branches[*at].is_tag).collect();
        live[self.pick(live.len())]
    }

    fn name(&self, branch: usize) -> String {
        self.model.branches[branch].name.clone()
    }

    fn state(&self, branch: usize) -> State {
        State::clone(self.model.branches[branch].head())
    }

    /// A branch shows another state.
    fn show(&mut self, branch: usize, state: State, wrote: Wrote) {
        let name = self.name(branch);
        let scn = self.world.scn(&name);
        let state = Rc::new(state);
        let entry = Entry { scn, state, wrote };
        self.model.branches[branch].states.push(entry);
    }

    /// Any state that a branch or tag ever showed: its name, and the state with its SCN.
    fn any_state(&mut self) -> (String, Entry) {
        let branch = self.any();
        self.state_of(branch)
    }

    fn state_of(&mut self, branch: usize) -> (String, Entry) {
        let place = self.pick(self.model.branches[branch].states.len());
        let entry = self.model.branches[branch].states[place].clone();
        (self.name(branch), entry)
    }

    fn look_back(&mut self, context: &str) {
        let branch = self.any();
        self.look_back_on(branch, context);
    }

    fn look_back_on(&mut self, branch: usize, context: &str) {
        let (name, Entry { scn, state, .. }) = self.state_of(branch);
        let read = self.world.read(&format!("t@{name} AS OF SCN {scn}"));
        let expected = self.model.shown(&state);
        assert_eq!(read, expected, "{context}: {name} as of {scn}");
    }

    /// All branches, and what each shows.
    fn check(&mut self, context: &str) {
        let mut listed = std::collections::BTreeSet::new();
        for at in self.model.live() {
            let branch = &self.model.branches[at];
            let parent = branch.goes_on_from.map(|parent| self.name(parent));
            let status = match (branch.is_tag, branch.is_protected) {
                (true, _) => "tag",
                (false, true) => "protected",
                (false, false) => "active",
            };
            listed.insert((branch.name.clone(), parent, status.to_owned()));
        }
        assert_eq!(self.world.branches(), listed, "{context}");
        for branch in self.model.live() {
            let name = self.name(branch);
            let read = self.world.read(&format!("t@{name}"));
            let expected = self.model.shown(self.model.branches[branch].head());
            assert_eq!(read, expected, "{context}: {name}");
        }
        let branch = self.any();
        if let Some(table) = self.state(branch) {
            let name = self.name(branch);
            let ids = self.world.read_ids(&format!("t@{name}"));
            let expected: Vec<i64> = table.rows.into_keys().collect();
            assert_eq!(ids, expected, "{context}: the index of {name}");
        }
    }

    /// What a crash, or another way to open the database anew, must have left.
    fn check_all(&mut self, context: &str) {
        self.check(context);
        for branch in self.model.live() {
            self.look_back_on(branch, context);
        }
    }

    fn reopen(&mut self, context: &str) {
        self.world.reopen();
        self.check_all(context);
    }

    fn crash(&mut self, context: &str) {
        self.world.crash(&mut self.random);
        self.check_all(context);
    }

    /// Leaves nothing behind.
    fn clean(&mut self) {
        for at in (0..self.model.branches.len()).rev() {
            let branch = &self.model.branches[at];
            if branch.is_dropped || at == self.model.main {
                continue;
            }
            let (name, is_tag) = (branch.name.clone(), branch.is_tag);
            if branch.is_protected {
                let free = format!("ALTER BRANCH {name} SET (protected = false)");
                self.world.ask("main", &free).unwrap();
            }
            self.world.leave(&name);
            let what = if is_tag { "TAG" } else { "BRANCH" };
            let sql = format!("DROP {what} {name}");
            self.world.ask("main", &sql).unwrap();
        }
        self.world.ask("main", "DROP TABLE IF EXISTS t").unwrap();
    }
}

/// One history. Whether the database is fit for another one.
fn history(world: &mut World, seed: u64) -> bool {
    world.tell(format!("-- history {seed}"));
    for sql in [
        "CREATE TABLE t (id bigint PRIMARY KEY, c0 bigint NOT NULL DEFAULT 0)",
        "INSERT INTO t VALUES (1, 0), (2, 1)",
    ] {
        world.ask("main", sql).unwrap();
    }
    let rows = [(1, Row::from([(0, 0)])), (2, Row::from([(0, 1)]))];
    let state = Rc::new(Some(Table {
        storage: 0,
        columns: BTreeMap::from([(0, Some("c0".to_owned()))]),
        rows: BTreeMap::from(rows),
    }));
    let main = Branch {
        name: "main".to_owned(),
        parent: None,
        goes_on_from: None,
        base: Rc::clone(&state),
        knows: 0,
        known: 0,
        states: vec![Entry {
            scn: world.scn("main"),
            state,
            wrote: Wrote::Yes,
        }],
        is_dropped: false,
        is_tag: false,
        is_protected: false,
    };
    let mut history = History {
        world,
        model: Model {
            branches: vec![main],
            main: 0,
            first: vec![0],
            last_id: 2,
            last_storage: 0,
            last_name: 0,
        },
        random: Random(seed),
        seed,
        is_restored: false,
    };
    history.create(&format!("history {seed}"));
    for step in 0..STEPS {
        let context = format!("history {seed}, step {step}");
        history.step(&context);
    }
    let context = format!("history {seed}, at its end");
    history.check(&context);
    history.look_back(&context);
    if history.is_restored {
        return false;
    }
    history.clean();
    true
}

/// What has to happen in that many histories, for them to be worth something.
const MANY: u64 = 500;
const HAPPENS: [&str; 20] = [
    "a crash",
    "a crash while it opened",
    "a statement lost in a crash",
    "a statement kept in a crash",
    "a branch of the past",
    "a tag",
    "a branch that goes on from another than its parent",
    "a drop",
    "2BP01",
    "42809",
    "42P01",
    "55000",
    "25006",
    "a merge",
    "a merge of definitions",
    "a merge decided by a policy",
    "a merge refused",
    "UNDROP",
    "FLASHBACK",
    "a restore",
];

#[test]
fn histories_of_a_tree_of_branches() {
    let first = number("HELIOS_HISTORIES_SEED", 1);
    let count = number("HELIOS_HISTORIES", HISTORIES);
    let run = |thread: u64| {
        let from = first + thread;
        let mut all = Seen::new();
        let mut world = World::new(from);
        let mut together = 0;
        let mut seeds = (from..first + count).step_by(THREADS as usize).peekable();
        while let Some(seed) = seeds.next() {
            together += 1;
            let is_fit = history(&mut world, seed);
            if !is_fit || together == TOGETHER || seeds.peek().is_none() {
                for (what, times) in world.seen() {
                    *all.entry(what).or_default() += times;
                }
                world = World::new(seed);
                together = 0;
            }
        }
        all
    };
    let mut seen = Seen::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        for thread in threads {
            for (what, times) in thread.join().expect("a history failed, and said why") {
                *seen.entry(what).or_default() += times;
            }
        }
    });
    println!("{seen:#?}");
    if count >= MANY {
        let missing: Vec<&&str> = HAPPENS
            .iter()
            .filter(|what| !seen.contains_key(**what))
            .collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}
