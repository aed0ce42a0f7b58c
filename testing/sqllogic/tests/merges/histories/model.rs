//! What the database is to show: the plain model.
//!
//! A row is the same row where its id and the table's storage are: TRUNCATE and UNDROP give a table another storage.
//! A column is known by its number, whatever it is called.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::Policy;

/// A column's number: given once in a history, as the place of a column is on all branches.
pub type Column = usize;
pub type Row = BTreeMap<Column, i64>;

/// The columns of a table, with their names; `None` for one that was dropped.
pub type Columns = BTreeMap<Column, Option<String>>;

/// A table as it is read: the names of its columns, and its rows by id.
pub type Shown = (BTreeSet<String>, BTreeMap<i64, BTreeMap<String, i64>>);

/// A table. What a row holds nothing of is what the column began with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub storage: u64,
    pub columns: Columns,
    pub rows: BTreeMap<i64, Row>,
}

/// `None` while the table is dropped.
pub type State = Option<Table>;

impl Table {
    pub fn live(&self) -> impl Iterator<Item = (Column, &String)> {
        let columns = self.columns.iter();
        columns.filter_map(|(column, name)| Some((*column, name.as_ref()?)))
    }

    pub fn has(&self, column: Column) -> bool {
        matches!(self.columns.get(&column), Some(Some(_)))
    }
}

/// Whether a statement wrote rows where they are: `Maybe` where nothing that is read tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrote {
    No,
    Maybe,
    Yes,
}

/// A state that a branch showed.
#[derive(Clone, Debug)]
pub struct Entry {
    pub scn: u64,
    pub state: Rc<State>,
    /// Whether rows of the state's storage were written since the entry before.
    pub wrote: Wrote,
}

pub struct Branch {
    pub name: String,
    /// What it was made of, by its place; `None` for the first.
    pub parent: Option<usize>,
    /// What the database says that it goes on from: its parent, or what that one itself goes on from when it had nothing
    /// of its own by then.
    pub goes_on_from: Option<usize>,
    /// What it and its parent had in common last.
    pub base: Rc<State>,
    /// How many states of the parent it knows, and how many of its own the parent knows.
    pub knows: usize,
    pub known: usize,
    /// Every state, in order.
    pub states: Vec<Entry>,
    pub is_dropped: bool,
    pub is_tag: bool,
    pub is_protected: bool,
}

impl Branch {
    pub fn head(&self) -> &Rc<State> {
        &self.states.last().expect("a branch shows something").state
    }

    /// Whether it wrote rows of a storage since it had so many states.
    fn touched(&self, since: usize, storage: u64) -> Wrote {
        let news = self.states[since..].iter();
        let of_it = news.filter(|entry| {
            let table = entry.state.as_ref().as_ref();
            table.is_some_and(|table| table.storage == storage)
        });
        of_it.map(|entry| entry.wrote).max().unwrap_or(Wrote::No)
    }
}

/// What a merge is to do.
#[derive(Clone, Debug)]
pub struct Merged {
    /// What the target is afterwards; `None` for a merge that is refused.
    pub after: Option<(State, Wrote)>,
    /// It may be refused as well: the model does not know whether rows were written.
    pub is_unsure: bool,
}

impl Merged {
    fn refused() -> Merged {
        Merged {
            after: None,
            is_unsure: false,
        }
    }
}

/// What both sides of a merge are compared with, and what they are.
struct Sides<'a> {
    base: &'a State,
    source: &'a State,
    target: &'a State,
}

pub struct Model {
    pub branches: Vec<Branch>,
    /// The one that is called so.
    pub main: usize,
    /// What each column began with.
    pub first: Vec<i64>,
    pub last_id: i64,
    pub last_storage: u64,
    pub last_name: u64,
}

impl Model {
    pub fn live(&self) -> Vec<usize> {
        let all = self.branches.iter().enumerate();
        all.filter(|(_, branch)| !branch.is_dropped)
            .map(|(at, _)| at)
            .collect()
    }

    /// Whether the database has branches that go on from one.
    pub fn has_branches(&self, at: usize) -> bool {
        let mut live = self.branches.iter().filter(|b| !b.is_dropped);
        live.any(|b| b.goes_on_from == Some(at))
    }

    pub fn value(&self, row: &Row, column: Column) -> i64 {
        row.get(&column).copied().unwrap_or(self.first[column])
    }

    pub fn shown(&self, state: &State) -> Option<Shown> {
        let table = state.as_ref()?;
        let names = table.live().map(|(_, name)| name.clone()).collect();
        let row = |row: &Row| {
            let cells = table.live();
            cells
                .map(|(column, name)| (name.clone(), self.value(row, column)))
                .collect()
        };
        let rows = table.rows.iter().map(|(id, cells)| (*id, row(cells)));
        Some((names, rows.collect()))
    }

    /// What a merge of a branch and its parent does, in one direction or the other.
    pub fn merged(&self, child: usize, into_parent: bool, policy: Policy) -> Merged {
        let branch = &self.branches[child];
        let parent = &self.branches[branch.parent.expect("it was made of another")];
        let ((source, of_source), (target, of_target)) = match into_parent {
            true => ((branch, branch.known), (parent, branch.knows)),
            false => ((parent, branch.knows), (branch, branch.known)),
        };
        let sides = Sides {
            base: &branch.base,
            source: source.head(),
            target: target.head(),
        };
        let Some(definition) = merged_definition(&sides) else {
            return Merged::refused();
        };
        let storage_of = |state: &State| state.as_ref().map(|table| table.storage);
        let goes = definition.as_ref().map(|(storage, _)| *storage);
        let mut touched = Wrote::No;
        // The source dropped or rewrote it, and the target wrote rows of it.
        if let (Some(_), Some(ours)) = (sides.base, storage_of(sides.target))
            && goes != Some(ours)
        {
            touched = touched.max(target.touched(of_target, ours));
        }
        // The target dropped or rewrote it, and the source wrote rows of it.
        if let Some(theirs) = storage_of(sides.source)
            && goes != Some(theirs)
        {
            touched = touched.max(source.touched(of_source, theirs));
        }
        if touched == Wrote::Yes {
            return Merged::refused();
        }
        Merged {
            after: self.merged_rows(&sides, definition, policy),
            is_unsure: touched == Wrote::Maybe,
        }
    }

    /// The rows of a merge whose definition is known.
    fn merged_rows(
        &self,
        sides: &Sides<'_>,
        definition: Option<(u64, Columns)>,
        policy: Policy,
    ) -> Option<(State, Wrote)> {
        let Some((storage, columns)) = definition else {
            return Some((None, Wrote::No));
        };
        let mut after = Table {
            storage,
            columns,
            rows: BTreeMap::new(),
        };
        // The target's rows may be written for what they have in columns that come to them.
        let filled = |after: &Table| {
            let target = sides.target.as_ref();
            let mut new = after
                .live()
                .filter(|(c, _)| !target.is_some_and(|t| t.has(*c)));
            match new.next() {
                Some(_) => Wrote::Maybe,
                None => Wrote::No,
            }
        };
        let is_of = |state: &State| state.as_ref().is_some_and(|t| t.storage == storage);
        let rows = |state: &State| match state {
            Some(table) if table.storage == storage => table.rows.clone(),
            _ => BTreeMap::new(),
        };
        let wrote = match (is_of(sides.source), is_of(sides.target)) {
            (true, true) => {
                let known = [sides.base, sides.source, sides.target].map(rows);
                let (rows, wrote) = self.merged_cells(&after, known, policy)?;
                after.rows = rows;
                // Rows may have been written for what they have in columns that came to them.
                let target = sides.target.as_ref();
                let mut new = after
                    .live()
                    .filter(|(c, _)| !target.is_some_and(|t| t.has(*c)));
                match wrote {
                    Wrote::No if new.next().is_some() => Wrote::Maybe,
                    wrote => wrote,
                }
            }
            (true, false) => {
                after.rows = rows(sides.source);
                match after.rows.is_empty() {
                    true => Wrote::No,
                    false => Wrote::Yes,
                }
            }
            _ => {
                after.rows = rows(sides.target);
                filled(&after)
            }
        };
        let dropped: Vec<Column> = after.columns.keys().copied().collect();
        let dropped: Vec<Column> = dropped.into_iter().filter(|c| !after.has(*c)).collect();
        for row in after.rows.values_mut() {
            row.retain(|column, _| !dropped.contains(column));
        }
        Some((Some(after), wrote))
    }

    /// Rows cell by cell; `None` for a conflict that the policy does not decide.
    fn merged_cells(
        &self,
        after: &Table,
        [base, source, target]: [BTreeMap<i64, Row>; 3],
        policy: Policy,
    ) -> Option<(BTreeMap<i64, Row>, Wrote)> {
        let wins = |conflict: bool| match (conflict, policy) {
            (true, Policy::Fail) => None,
            (true, Policy::Target) => Some(false),
            _ => Some(true),
        };
        let is_same = |a: &Row, b: &Row| {
            let mut columns = after.live();
            columns.all(|(column, _)| self.value(a, column) == self.value(b, column))
        };
        let ids: BTreeSet<i64> = base.keys().chain(source.keys()).copied().collect();
        let mut rows = target.clone();
        let mut wrote = Wrote::No;
        for id in ids {
            match (base.get(&id), source.get(&id), target.get(&id)) {
                (base, Some(source), Some(target)) => {
                    let mut row = target.clone();
                    for (column, _) in after.live() {
                        let of = |row: &Row| self.value(row, column);
                        let base = base.map(of);
                        if base == Some(of(source)) || of(source) == of(target) {
                            continue;
                        }
                        wrote = Wrote::Yes;
                        if wins(base != Some(of(target)))? {
                            row.insert(column, of(source));
                        }
                    }
                    rows.insert(id, row);
                }
                (Some(base), None, Some(target)) => {
                    wrote = Wrote::Yes;
                    if wins(!is_same(base, target))? {
                        rows.remove(&id);
                    }
                }
                (Some(base), Some(source), None) => {
                    if !is_same(base, source) && wins(true)? {
                        wrote = Wrote::Yes;
                        rows.insert(id, source.clone());
                    }
                }
                (None, Some(source), None) => {
                    wrote = Wrote::Yes;
                    rows.insert(id, source.clone());
                }
                (_, None, _) => {}
            }
        }
        Some((rows, wrote))
    }

    /// What a table is after its rows are made what they were; `None` when it was written anew since.
    pub fn flashed_back(&self, now: &Table, then: &Table) -> Option<Table> {
        if now.storage != then.storage {
            return None;
        }
        let mut after = Table {
            rows: BTreeMap::new(),
            ..now.clone()
        };
        for (id, was) in &then.rows {
            let is = now.rows.get(id);
            let cells = now.live().map(|(column, _)| {
                let value = match then.has(column) {
                    true => self.value(was, column),
                    false => is.map_or(self.first[column], |is| self.value(is, column)),
                };
                (column, value)
            });
            let cells = cells.collect();
            after.rows.insert(*id, cells);
        }
        Some(after)
    }

    /// The columns of one state that another has dropped.
    pub fn gone(&self, dropped: &State, of: &State) -> BTreeSet<String> {
        let (Some(dropped), Some(of)) = (dropped, of) else {
            return BTreeSet::new();
        };
        let gone = of
            .live()
            .filter(|(c, _)| dropped.columns.get(c) == Some(&None));
        gone.map(|(_, name)| name.clone()).collect()
    }

    /// The cells in which one state differs from another, but for updates of columns that the first has dropped, as `helios_diff` gives them.
    pub fn differences(&self, a: &State, b: &State) -> BTreeSet<(String, i64, String)> {
        let mut found = BTreeSet::new();
        let mut cell = |op: &str, id: i64, column: &str| {
            found.insert((op.to_owned(), id, column.to_owned()));
        };
        let storage = |state: &State| state.as_ref().map(|table| table.storage);
        let is_one = storage(a) == storage(b);
        let (a, b) = (a.clone().unwrap_or_default(), b.clone().unwrap_or_default());
        let mut whole = |op: &str, id: i64, table: &Table| {
            cell(op, id, "id");
            for (_, name) in table.live() {
                cell(op, id, name);
            }
        };
        for id in a.rows.keys() {
            if !is_one || !b.rows.contains_key(id) {
                whole("delete", *id, &a);
            }
        }
        for id in b.rows.keys() {
            if !is_one || !a.rows.contains_key(id) {
                whole("insert", *id, &b);
            }
        }
        if !is_one {
            return found;
        }
        for (id, old) in &a.rows {
            let Some(new) = b.rows.get(id) else {
                continue;
            };
            for (column, name) in b.live() {
                let was = match a.columns.get(&column) {
                    Some(Some(_)) => self.value(old, column),
                    None => self.first[column],
                    // See `gone`.
                    Some(None) => continue,
                };
                if was != self.value(new, column) {
                    cell("update", *id, name);
                }
            }
        }
        found
    }
}

/// Where the rows of a merged table are, and its columns; the outer `None` for a conflict of definitions.
#[allow(clippy::option_option)] // A table that is dropped is a definition, too.
fn merged_definition(sides: &Sides<'_>) -> Option<Option<(u64, Columns)>> {
    let definition = |state: &State| {
        let table = state.as_ref()?;
        Some((table.storage, table.columns.clone()))
    };
    let [base, source, target] = [sides.base, sides.source, sides.target].map(definition);
    if base == source || source == target {
        return Some(target);
    }
    if base == target {
        return Some(source);
    }
    let (Some(base), Some(source), Some(target)) = (base, source, target) else {
        return None;
    };
    let storage = one_of(&base.0, &source.0, &target.0)?;
    let mut columns = Columns::new();
    let all: BTreeSet<Column> = source.1.keys().chain(target.1.keys()).copied().collect();
    for column in all {
        let of = |columns: &Columns| columns.get(&column).cloned();
        if let Some(column_merged) = one_of(&of(&base.1), &of(&source.1), &of(&target.1))? {
            columns.insert(column, column_merged);
        }
    }
    Some(Some((storage, columns)))
}

/// What one side alone made of something; `None` where both did.
fn one_of<T: Clone + PartialEq>(base: &T, source: &T, target: &T) -> Option<T> {
    match () {
        () if source == target || base == source => Some(target.clone()),
        () if base == target => Some(source.clone()),
        () => None,
    }
}
