//! Random histories of a tree of branches, against a plain model: rows and columns written on all of them, branches
//! made of now and of the past, merged with what they were made of, dropped; the database restored in place,
//! flushed, compacted, closed and opened; and read as of any time, and compared, in between.
//!
//! The model keeps every state that a branch ever showed, with the SCN of it. A branch that was made has those of
//! its parent up to there; so has what takes the place of the main branch in a restore. With each branch goes the
//! newest state that it and its parent have in common, which is the base of their next merge. Only they are
//! merged with each other, so there is one such state.
//!
//! Histories that leave nothing behind go on in one database. `HELIOS_HISTORIES` says how many there are,
//! `HELIOS_HISTORIES_SEED` with which one they begin.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use heliosdb_kernel::{Config, Connection, Database, RootRef};
use heliosdb_sqllogic::Edition;

use super::{Policy, Random, number};

const HISTORIES: u64 = 10_000;
const THREADS: u64 = 2;
const STEPS: u64 = 9;
/// Histories that one database sees at most, so that it does not grow too much.
const TOGETHER: u64 = 200;
const BRANCHES_MAX: usize = 5;
/// Values are few, so that branches write the same now and then.
const VALUES: u64 = 3;

/// A column by its number: `c0`, `c1` …; numbers are given once in a history.
type Column = usize;
type Row = BTreeMap<Column, i64>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    columns: BTreeSet<Column>,
    /// Cells that are not what their column began with may be missing.
    rows: BTreeMap<i64, Row>,
}

struct Branch {
    name: String,
    /// What it was made of, by its place; `None` for the first.
    parent: Option<usize>,
    /// What it and its parent had in common last.
    base: Rc<State>,
    /// Every state with its SCN, in order.
    states: Vec<(u64, Rc<State>)>,
    is_dropped: bool,
}

impl Branch {
    fn head(&self) -> &Rc<State> {
        &self.states.last().unwrap().1
    }
}

struct Model {
    /// The main branch is the first.
    branches: Vec<Branch>,
    /// What each column began with.
    first: Vec<i64>,
    last_id: i64,
}

impl Model {
    fn value(&self, row: &Row, column: Column) -> i64 {
        row.get(&column).copied().unwrap_or(self.first[column])
    }

    /// A row with all its cells.
    fn whole(&self, state: &State, row: &Row) -> Row {
        let cells = state.columns.iter();
        cells
            .map(|column| (*column, self.value(row, *column)))
            .collect()
    }

    fn whole_state(&self, state: &State) -> BTreeMap<i64, Row> {
        let rows = state.rows.iter();
        rows.map(|(id, row)| (*id, self.whole(state, row)))
            .collect()
    }

    /// What the target is after a merge; `None` when it fails.
    fn merged(
        &self,
        base: &State,
        source: &State,
        target: &State,
        policy: Policy,
    ) -> Option<State> {
        let mut after = target.clone();
        after.columns.extend(&source.columns);
        let wins = |conflict: bool| match (conflict, policy) {
            (true, Policy::Fail) => None,
            (true, Policy::Target) => Some(false),
            _ => Some(true),
        };
        let is_same = |a: &Row, b: &Row| {
            let mut columns = after.columns.iter();
            columns.all(|column| self.value(a, *column) == self.value(b, *column))
        };
        let ids: BTreeSet<i64> = base
            .rows
            .keys()
            .chain(source.rows.keys())
            .copied()
            .collect();
        let mut rows = target.rows.clone();
        for id in ids {
            match (
                base.rows.get(&id),
                source.rows.get(&id),
                target.rows.get(&id),
            ) {
                (base, Some(source), Some(target)) => {
                    let mut row = target.clone();
                    for column in &after.columns {
                        let of = |row: &Row| self.value(row, *column);
                        let base = base.map(of);
                        if base == Some(of(source)) || of(source) == of(target) {
                            continue;
                        }
                        if wins(base != Some(of(target)))? {
                            row.insert(*column, of(source));
                        }
                    }
                    rows.insert(id, row);
                }
                (Some(base), None, Some(target)) => {
                    if wins(!is_same(base, target))? {
                        rows.remove(&id);
                    }
                }
                (Some(base), Some(source), None) => {
                    if !is_same(base, source) && wins(true)? {
                        rows.insert(id, source.clone());
                    }
                }
                (None, Some(source), None) => {
                    rows.insert(id, source.clone());
                }
                (_, None, _) => {}
            }
        }
        after.rows = rows;
        Some(after)
    }

    /// The cells in which one state differs from another, as `helios_diff` gives them.
    fn differences(&self, a: &State, b: &State) -> BTreeSet<(String, i64, String)> {
        let mut found = BTreeSet::new();
        let mut cell = |op: &str, id: i64, column: &str| {
            found.insert((op.to_owned(), id, column.to_owned()));
        };
        let ids: BTreeSet<i64> = a.rows.keys().chain(b.rows.keys()).copied().collect();
        for id in ids {
            let (op, columns) = match (a.rows.get(&id), b.rows.get(&id)) {
                (Some(old), Some(new)) => {
                    for column in &b.columns {
                        if self.value(old, *column) != self.value(new, *column) {
                            cell("update", id, &format!("c{column}"));
                        }
                    }
                    continue;
                }
                (Some(_), None) => ("delete", &a.columns),
                _ => ("insert", &b.columns),
            };
            cell(op, id, "id");
            for column in columns {
                cell(op, id, &format!("c{column}"));
            }
        }
        found
    }
}

/// A database, with a connection for each branch.
struct World {
    database: Option<Database>,
    connections: BTreeMap<String, Connection>,
    directory: tempfile::TempDir,
    linked: Vec<RootRef>,
}

/// In memory where there is such a place: that commits are durable is shown elsewhere.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

impl World {
    fn new() -> World {
        let mut world = World {
            database: None,
            connections: BTreeMap::new(),
            directory: scratch(),
            linked: Edition::Lite.linked().unwrap(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let (path, config) = (self.directory.path(), Config::default());
        let opened = Database::open_edition(path, &config, &self.linked, "lite");
        self.database = Some(opened.unwrap());
    }

    fn reopen(&mut self) {
        self.connections.clear();
        self.database.take().unwrap().close().unwrap();
        self.open();
    }

    /// The connection that is on a branch.
    fn on(&mut self, branch: &str) -> &mut Connection {
        let database = self.database.as_ref().unwrap();
        self.connections
            .entry(branch.to_owned())
            .or_insert_with(|| {
                let mut connection = database.connect().unwrap();
                // That a commit is durable is shown elsewhere.
                connection.execute("SET synchronous_commit = off").unwrap();
                if branch != "main" {
                    connection
                        .execute(&format!("SET branch = '{branch}'"))
                        .unwrap();
                }
                connection
            })
    }

    fn scn(&mut self, branch: &str) -> u64 {
        let rows = self
            .on(branch)
            .query("SELECT helios_current_scn()", &[])
            .unwrap();
        u64::try_from(rows.one().unwrap().get::<i64>(0).unwrap()).unwrap()
    }

    /// A table as it is read.
    fn read(&mut self, table: &str) -> (BTreeSet<Column>, BTreeMap<i64, Row>) {
        let rows = self
            .on("main")
            .query(&format!("SELECT * FROM {table}"), &[])
            .unwrap();
        let names: Vec<String> = rows.columns().iter().map(|c| c.name.clone()).collect();
        let column = |name: &String| name.strip_prefix('c').map(|n| n.parse().unwrap());
        let columns: Vec<Option<Column>> = names.iter().map(column).collect();
        let mut found = BTreeMap::new();
        for row in rows.iter() {
            let mut cells = Row::new();
            let mut id = 0;
            for (at, column) in columns.iter().enumerate() {
                let value = row.get::<i64>(at).unwrap();
                match column {
                    Some(column) => drop(cells.insert(*column, value)),
                    None => id = value,
                }
            }
            found.insert(id, cells);
        }
        (columns.into_iter().flatten().collect(), found)
    }
}

struct History<'a> {
    world: &'a mut World,
    model: Model,
    random: Random,
    seed: u64,
    /// The main branch was restored: what it goes on from stays.
    is_restored: bool,
}

impl History<'_> {
    fn pick(&mut self, among: usize) -> usize {
        usize::try_from(self.random.next(among.max(1) as u64)).unwrap()
    }

    fn live(&self) -> Vec<usize> {
        let all = self.model.branches.iter().enumerate();
        all.filter(|(_, branch)| !branch.is_dropped)
            .map(|(at, _)| at)
            .collect()
    }

    fn any_branch(&mut self) -> usize {
        let live = self.live();
        live[self.pick(live.len())]
    }

    fn name(&self, branch: usize) -> String {
        self.model.branches[branch].name.clone()
    }

    /// A branch shows another state.
    fn show(&mut self, branch: usize, state: State) {
        let name = self.name(branch);
        let scn = self.world.scn(&name);
        self.model.branches[branch]
            .states
            .push((scn, Rc::new(state)));
    }

    fn write(&mut self) {
        let branch = self.any_branch();
        let name = self.name(branch);
        let mut state = State::clone(self.model.branches[branch].head());
        let ids: Vec<i64> = state.rows.keys().copied().collect();
        let some = ids.get(self.pick(ids.len())).copied();
        let value = |random: &mut Random| i64::try_from(random.next(VALUES)).unwrap();
        let sql = match (self.random.next(8), some) {
            (0 | 1, _) | (_, None) => {
                self.model.last_id += 1;
                let id = self.model.last_id;
                let mut row = Row::new();
                for column in &state.columns {
                    row.insert(*column, value(&mut self.random));
                }
                let cells: Vec<String> = row.values().map(|v| format!(", {v}")).collect();
                let names: Vec<String> = row.keys().map(|c| format!(", c{c}")).collect();
                state.rows.insert(id, row);
                format!(
                    "INSERT INTO t (id{}) VALUES ({id}{})",
                    names.concat(),
                    cells.concat()
                )
            }
            (2, Some(id)) => {
                state.rows.remove(&id);
                format!("DELETE FROM t WHERE id = {id}")
            }
            (3, _) => {
                let column = self.model.first.len();
                let first = value(&mut self.random);
                self.model.first.push(first);
                state.columns.insert(column);
                format!("ALTER TABLE t ADD COLUMN c{column} bigint NOT NULL DEFAULT {first}")
            }
            (_, Some(id)) => {
                let columns: Vec<Column> = state.columns.iter().copied().collect();
                let column = columns[self.pick(columns.len())];
                let value = value(&mut self.random);
                state.rows.get_mut(&id).unwrap().insert(column, value);
                format!("UPDATE t SET c{column} = {value} WHERE id = {id}")
            }
        };
        self.world.on(&name).execute(&sql).unwrap();
        self.show(branch, state);
    }

    fn create(&mut self) {
        if self.live().len() >= BRANCHES_MAX {
            return;
        }
        let parent = self.any_branch();
        let from = &self.model.branches[parent];
        let past = self.random.next(3) == 0;
        let count = match past {
            true => 1 + usize::try_from(self.random.next(from.states.len() as u64)).unwrap(),
            false => from.states.len(),
        };
        let states = from.states[..count].to_vec();
        let at = match past {
            true => format!(" AS OF SCN {}", states[count - 1].0),
            false => String::new(),
        };
        let name = format!("b{}_{}", self.seed, self.model.branches.len());
        let sql = format!("CREATE BRANCH {name} FROM {}{at}", from.name);
        self.world.on("main").execute(&sql).unwrap();
        self.model.branches.push(Branch {
            name,
            parent: Some(parent),
            base: Rc::clone(&states[count - 1].1),
            states,
            is_dropped: false,
        });
    }

    fn drop_one(&mut self) {
        let branch = self.any_branch();
        let has_children = |at: usize, model: &Model| {
            let mut live = model.branches.iter().filter(|b| !b.is_dropped);
            live.any(|b| b.parent == Some(at))
        };
        if branch == 0 || has_children(branch, &self.model) {
            return;
        }
        let name = self.name(branch);
        self.world.connections.remove(&name);
        self.world
            .on("main")
            .execute(&format!("DROP BRANCH {name}"))
            .unwrap();
        self.model.branches[branch].is_dropped = true;
    }

    fn merge(&mut self, context: &str) {
        let edges: Vec<usize> = self.live();
        let edges: Vec<usize> = edges
            .into_iter()
            .filter(|at| self.model.branches[*at].parent.is_some())
            .collect();
        if edges.is_empty() {
            return;
        }
        let child = edges[self.pick(edges.len())];
        let parent = self.model.branches[child].parent.unwrap();
        let (source, target) = match self.random.next(2) {
            0 => (child, parent),
            _ => (parent, child),
        };
        let policies = [Policy::Fail, Policy::Source, Policy::Target];
        let policy = policies[self.pick(policies.len())];
        let sql = format!(
            "MERGE BRANCH {} INTO {} WITH (conflict_resolution = '{}')",
            self.name(source),
            self.name(target),
            policy.option()
        );
        let head = |at: usize| Rc::clone(self.model.branches[at].head());
        let (from, to) = (head(source), head(target));
        let base = Rc::clone(&self.model.branches[child].base);
        let expected = self.model.merged(&base, &from, &to, policy);
        let done = self.world.on("main").execute(&sql);
        match (done, expected) {
            (Ok(_), Some(after)) => {
                self.show(target, after);
                self.model.branches[child].base = from;
            }
            (Err(error), None) => assert_eq!(error.code.as_str(), "40002", "{context}: {error:?}"),
            (done, expected) => panic!("{context}: {sql}: {done:?}, not {expected:?}"),
        }
    }

    fn restore(&mut self) {
        let states = &self.model.branches[0].states;
        let count = 1 + usize::try_from(self.random.next(states.len() as u64)).unwrap();
        let kept = states[..count].to_vec();
        let sql = format!("RESTORE DATABASE AS OF SCN {}", kept[count - 1].0);
        let rows = self.world.on("main").query(&sql, &[]).unwrap();
        let name: String = rows.one().unwrap().get(0).unwrap();
        let place = self.model.branches.len();
        for branch in &mut self.model.branches {
            if branch.parent == Some(0) {
                branch.parent = Some(place);
            }
        }
        let base = Rc::clone(&kept[count - 1].1);
        let main = Branch {
            name: "main".to_owned(),
            parent: Some(place),
            base,
            states: kept,
            is_dropped: false,
        };
        let mut before = std::mem::replace(&mut self.model.branches[0], main);
        before.name = name;
        self.model.branches.push(before);
        self.is_restored = true;
    }

    fn look_back(&mut self, context: &str) {
        let branch = self.any_branch();
        let states = &self.model.branches[branch].states;
        let (scn, state) = states[self.random.next(states.len() as u64) as usize].clone();
        let name = self.name(branch);
        let read = self.world.read(&format!("t@{name} AS OF SCN {scn}"));
        let expected = (state.columns.clone(), self.model.whole_state(&state));
        assert_eq!(read, expected, "{context}: {name} as of {scn}");
    }

    fn compare(&mut self, context: &str) {
        let mut side = || {
            let branch = self.any_branch();
            let states = &self.model.branches[branch].states;
            let (scn, state) = states[self.random.next(states.len() as u64) as usize].clone();
            (format!("{}@{scn}", self.model.branches[branch].name), state)
        };
        let ((a, old), (b, new)) = (side(), side());
        let sql = format!("SELECT op, key, column_name FROM helios_diff('t', '{a}', '{b}')");
        let rows = self.world.on("main").query(&sql, &[]).unwrap();
        let cells = rows.iter().map(|row| {
            let key: String = row.get(1).unwrap();
            let id = key.strip_prefix("id=").unwrap().parse().unwrap();
            (
                row.get::<String>(0).unwrap(),
                id,
                row.get::<String>(2).unwrap(),
            )
        });
        let found: BTreeSet<(String, i64, String)> = cells.collect();
        assert_eq!(
            found,
            self.model.differences(&old, &new),
            "{context}: {a} to {b}"
        );
    }

    fn check_heads(&mut self, context: &str) {
        for branch in self.live() {
            let (name, state) = (
                self.name(branch),
                Rc::clone(self.model.branches[branch].head()),
            );
            let read = self.world.read(&format!("t@{name}"));
            let expected = (state.columns.clone(), self.model.whole_state(&state));
            assert_eq!(read, expected, "{context}: {name}");
        }
    }

    /// Leaves nothing behind.
    fn clean(&mut self) {
        for branch in (1..self.model.branches.len()).rev() {
            if !self.model.branches[branch].is_dropped {
                let name = self.name(branch);
                self.world.connections.remove(&name);
                self.world
                    .on("main")
                    .execute(&format!("DROP BRANCH {name}"))
                    .unwrap();
            }
        }
        self.world.on("main").execute("DROP TABLE t").unwrap();
    }
}

/// One history. Whether the database is fit for another one.
fn history(world: &mut World, seed: u64) -> bool {
    world
        .on("main")
        .execute("CREATE TABLE t (id bigint PRIMARY KEY, c0 bigint NOT NULL DEFAULT 0); INSERT INTO t VALUES (1, 0), (2, 1)")
        .unwrap();
    let rows = [(1, Row::from([(0, 0)])), (2, Row::from([(0, 1)]))];
    let state = Rc::new(State {
        columns: BTreeSet::from([0]),
        rows: BTreeMap::from(rows),
    });
    let scn = world.scn("main");
    let main = Branch {
        name: "main".to_owned(),
        parent: None,
        base: Rc::clone(&state),
        states: vec![(scn, state)],
        is_dropped: false,
    };
    let mut history = History {
        world,
        model: Model {
            branches: vec![main],
            first: vec![0],
            last_id: 2,
        },
        random: Random(seed),
        seed,
        is_restored: false,
    };
    history.create();
    for step in 0..STEPS {
        let context = format!("history {seed}, step {step}");
        match history.random.next(100) {
            0..=49 => history.write(),
            50..=59 => history.create(),
            60..=77 => history.merge(&context),
            78..=81 => history.drop_one(),
            82..=89 => history.look_back(&context),
            90..=95 => history.compare(&context),
            96 => history.restore(),
            97 => history.world.reopen(),
            98 => drop(history.world.on("main").execute("CHECKPOINT").unwrap()),
            _ => drop(history.world.on("main").execute("VACUUM").unwrap()),
        }
    }
    let context = format!("history {seed}, at its end");
    history.check_heads(&context);
    history.look_back(&context);
    if history.is_restored {
        return false;
    }
    history.clean();
    true
}

#[test]
fn histories_of_a_tree_of_branches() {
    let first = number("HELIOS_HISTORIES_SEED", 1);
    let count = number("HELIOS_HISTORIES", HISTORIES);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut world = World::new();
                let mut seen = 0;
                for seed in (first + thread..first + count).step_by(THREADS as usize) {
                    seen += 1;
                    if !history(&mut world, seed) || seen == TOGETHER {
                        world = World::new();
                        seen = 0;
                    }
                }
            });
        }
    });
}
