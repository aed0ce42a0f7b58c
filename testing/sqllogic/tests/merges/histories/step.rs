//! What happens in a history, one thing after the other: what is to come of it is said by the model beforehand.

use std::rc::Rc;

use super::model::{Branch, Column, Entry, State, Table, Wrote};
use super::world::Ran;
use super::{History, Policy};

const BRANCHES_MAX: usize = 5;
/// Values are few, so that branches write the same now and then.
const VALUES: u64 = 3;
/// In one statement of so many a crash comes, if it writes as often as that.
const STATEMENTS_PER_CRASH: u64 = 12;
/// The disk's calls that a commit makes, or some more; what makes files makes very many.
const COMMIT_CALLS: u64 = 6;
const FILE_CALLS: u64 = 60;

impl History<'_> {
    pub fn step(&mut self, context: &str) {
        match self.random.next(100) {
            0..=37 => self.write(context),
            38..=40 => self.truncate(context),
            41..=44 => self.drop_table(context),
            45..=48 => self.flash_back(context),
            49..=55 => self.create(context),
            56..=58 => self.protect(context),
            59..=74 => self.merge(context),
            75..=78 => self.drop_one(context),
            79..=84 => self.look_back(context),
            85..=90 => self.compare(context),
            91 => self.restore(context),
            92 => self.reopen(context),
            93 | 94 => self.crash(context),
            95..=97 => self.maintain("CHECKPOINT", context),
            _ => self.maintain("VACUUM", context),
        }
    }

    /// At which call of the disk the machine is to go away, if it is.
    fn crash_call(&mut self, calls: u64) -> Option<u64> {
        let comes = self.one_in(STATEMENTS_PER_CRASH);
        comes.then(|| 1 + self.random.next(calls))
    }

    fn run(&mut self, branch: usize, sql: &str, calls: Option<u64>) -> Ran {
        let name = self.name(branch);
        let statements = [sql.to_owned()];
        self.world.run(&name, &statements, calls, &mut self.random)
    }

    /// Runs statements, as one transaction, that give a branch another state.
    fn change(&mut self, branch: usize, sql: &[String], after: State, wrote: Wrote, context: &str) {
        let head = Rc::clone(self.model.branches[branch].head());
        let (before, shown) = (self.model.shown(&head), self.model.shown(&after));
        // What nobody can see is not left in doubt.
        let calls = match before == shown {
            true => None,
            false => self.crash_call(COMMIT_CALLS),
        };
        let name = self.name(branch);
        match self.world.run(&name, sql, calls, &mut self.random) {
            Ran::Done(_) => self.show(branch, after, wrote),
            Ran::Refused(error) => panic!("{context}: {sql:?}: {error:?}"),
            Ran::Unknown => {
                let read = self.world.read(&format!("t@{name}"));
                self.note_crashed(read == shown);
                if read == shown {
                    self.show(branch, after, wrote);
                } else {
                    assert_eq!(read, before, "{context}: neither before nor after {sql:?}");
                }
            }
        }
        if calls.is_some() {
            self.check_all(context);
        }
    }

    /// Counts a statement into which a crash came.
    fn note_crashed(&mut self, is_done: bool) {
        self.world.note(match is_done {
            true => "a statement kept in a crash",
            false => "a statement lost in a crash",
        });
    }

    fn write(&mut self, context: &str) {
        let branch = self.any_branch();
        let Some(mut table) = self.state(branch) else {
            return self.undrop(branch, context);
        };
        let count = match self.random.next(4) {
            0 => 2 + self.random.next(3),
            _ => 1,
        };
        let before = table.clone();
        let mut sql = Vec::new();
        for _ in 0..count {
            let statement = self.statement(&mut table);
            sql.push(statement);
        }
        if count > 1 && self.one_in(3) {
            return self.roll_back(branch, sql, context);
        }
        let is_same = self.shown_same(&before, &table);
        let altering = sql.iter().filter(|sql| sql.starts_with("ALTER")).count();
        let wrote = match altering {
            0 if !is_same => Wrote::Yes,
            // Columns come and go without rows being written.
            count if count == sql.len() => Wrote::No,
            // An update to what was there may write the row, and a row may have come and gone.
            _ => Wrote::Maybe,
        };
        self.change(branch, &sql, Some(table), wrote, context);
    }

    fn shown_same(&self, a: &Table, b: &Table) -> bool {
        let shown = |table: &Table| self.model.shown(&Some(table.clone()));
        shown(a) == shown(b)
    }

    /// Statements of which nothing stays.
    fn roll_back(&mut self, branch: usize, mut sql: Vec<String>, context: &str) {
        let name = self.name(branch);
        if self.one_in(2) {
            sql.push("SELECT 1 / 0".to_owned());
            match self.world.run(&name, &sql, None, &mut self.random) {
                Ran::Refused(error) => assert_eq!(error.code.as_str(), "22012", "{context}"),
                _ => panic!("{context}: a division by zero"),
            }
        } else {
            for sql in [&["BEGIN".to_owned()], &sql[..], &["ROLLBACK".to_owned()]].concat() {
                self.world.ask(&name, &sql).unwrap();
            }
        }
        self.check(context);
    }

    fn value(&mut self) -> i64 {
        i64::try_from(self.random.next(VALUES)).unwrap()
    }

    /// One statement that writes rows, or changes columns; what the table is then.
    fn statement(&mut self, table: &mut Table) -> String {
        let ids: Vec<i64> = table.rows.keys().copied().collect();
        // The first ones are on most branches, which then write them both.
        let among = if self.one_in(2) { ids.len() } else { 2 };
        let some = ids.get(self.pick(among)).or(ids.first()).copied();
        let live: Vec<(Column, String)> = table.live().map(|(c, name)| (c, name.clone())).collect();
        let column = live.get(self.pick(live.len())).cloned();
        match (self.random.next(24), some, column) {
            (0 | 1, Some(id), _) => {
                table.rows.remove(&id);
                format!("DELETE FROM t WHERE id = {id}")
            }
            (2 | 3, ..) => self.add_column(table),
            (4, _, Some((column, name))) if live.len() > 1 => {
                table.columns.insert(column, None);
                for row in table.rows.values_mut() {
                    row.remove(&column);
                }
                format!("ALTER TABLE t DROP COLUMN {name}")
            }
            (5, _, Some((column, name))) => {
                self.model.last_name += 1;
                let new = format!("c{column}_{}", self.model.last_name);
                table.columns.insert(column, Some(new.clone()));
                format!("ALTER TABLE t RENAME COLUMN {name} TO {new}")
            }
            (6 | 7, _, Some((column, name))) => {
                // All rows at once.
                for row in table.rows.values_mut() {
                    let value = (self.model.value(row, column) + 1) % VALUES as i64;
                    row.insert(column, value);
                }
                format!("UPDATE t SET {name} = ({name} + 1) % {VALUES}")
            }
            (8..=16, Some(id), Some((column, name))) => {
                let value = self.value();
                let row = table.rows.get_mut(&id).unwrap();
                row.insert(column, value);
                format!("UPDATE t SET {name} = {value} WHERE id = {id}")
            }
            _ => {
                self.model.last_id += 1;
                let id = self.model.last_id;
                let row = live.iter().map(|(column, _)| (*column, self.value()));
                let row: std::collections::BTreeMap<Column, i64> = row.collect();
                let cells: Vec<String> = row.values().map(|v| format!(", {v}")).collect();
                let names: Vec<String> = live.iter().map(|(_, name)| format!(", {name}")).collect();
                table.rows.insert(id, row);
                format!(
                    "INSERT INTO t (id{}) VALUES ({id}{})",
                    names.concat(),
                    cells.concat()
                )
            }
        }
    }

    fn add_column(&mut self, table: &mut Table) -> String {
        let column = self.model.first.len();
        let first = self.value();
        self.model.first.push(first);
        let name = format!("c{column}");
        table.columns.insert(column, Some(name.clone()));
        format!("ALTER TABLE t ADD COLUMN {name} bigint NOT NULL DEFAULT {first}")
    }

    fn new_storage(&mut self) -> u64 {
        self.model.last_storage += 1;
        self.model.last_storage
    }

    fn truncate(&mut self, context: &str) {
        let branch = self.any_branch();
        let Some(mut table) = self.state(branch) else {
            return;
        };
        table.storage = self.new_storage();
        table.rows.clear();
        let sql = ["TRUNCATE t".to_owned()];
        self.change(branch, &sql, Some(table), Wrote::No, context);
    }

    fn drop_table(&mut self, context: &str) {
        let branch = self.any_branch();
        match self.state(branch) {
            Some(_) => {
                let sql = ["DROP TABLE t".to_owned()];
                self.change(branch, &sql, None, Wrote::No, context);
                if self.one_in(2) {
                    self.undrop(branch, context);
                }
            }
            None => self.undrop(branch, context),
        }
    }

    /// The table comes back as it was last on this branch, if it is gone.
    fn undrop(&mut self, branch: usize, context: &str) {
        if self.state(branch).is_some() {
            return;
        }
        let states = self.model.branches[branch].states.iter();
        let mut tables = states.filter_map(|entry| State::clone(&entry.state));
        let mut table = tables.next_back().expect("it was there once");
        table.storage = self.new_storage();
        let wrote = match table.rows.is_empty() {
            true => Wrote::No,
            false => Wrote::Yes,
        };
        let sql = ["UNDROP TABLE t".to_owned()];
        self.world.note("UNDROP");
        self.change(branch, &sql, Some(table), wrote, context);
    }

    fn flash_back(&mut self, context: &str) {
        let branch = self.any_branch();
        let place = self.pick(self.model.branches[branch].states.len());
        let Entry { scn, state, .. } = self.model.branches[branch].states[place].clone();
        let now = self.state(branch);
        let sql = format!("FLASHBACK TABLE t TO SCN {scn}");
        let expected = match (&now, state.as_ref()) {
            (None, _) | (_, None) => Err("42P01"),
            (Some(now), Some(then)) => self.model.flashed_back(now, then).ok_or("55000"),
        };
        match expected {
            Ok(after) => {
                self.world.note("FLASHBACK");
                let wrote = match now.is_some_and(|now| self.shown_same(&now, &after)) {
                    true => Wrote::Maybe,
                    false => Wrote::Yes,
                };
                self.change(branch, &[sql], Some(after), wrote, context);
            }
            Err(code) => self.refused(branch, &sql, code, context),
        }
    }

    /// A statement that fails, and changes nothing.
    fn refused(&mut self, branch: usize, sql: &str, code: &'static str, context: &str) {
        self.world.note(code);
        match self.run(branch, sql, None) {
            Ran::Refused(error) => {
                assert_eq!(error.code.as_str(), code, "{context}: {sql}: {error:?}");
            }
            _ => panic!("{context}: {sql} was not refused with {code}"),
        }
    }

    /// What the database says that a branch goes on from; `None` when there is no such branch.
    fn listed_parent(&mut self, name: &str) -> Option<Option<usize>> {
        let listed = self.world.branches().into_iter();
        let mut listed = listed.filter(|(branch, ..)| branch == name);
        let (_, parent, _) = listed.next()?;
        let all = self.model.branches.iter();
        let mut places = all.enumerate().filter(|(_, branch)| !branch.is_dropped);
        Some(parent.map(|parent| {
            let place = places.find(|(_, branch)| branch.name == parent);
            place.expect("a branch that the model knows").0
        }))
    }

    /// A branch or a tag, of now or of the past.
    pub fn create(&mut self, context: &str) {
        if self.model.live().len() >= BRANCHES_MAX {
            return;
        }
        let parent = self.any();
        let is_tag = self.one_in(6);
        let is_protected = !is_tag && self.one_in(8);
        let from = &self.model.branches[parent];
        let (from_name, states) = (from.name.clone(), from.states.clone());
        let past = self.one_in(3);
        let count = match past {
            true => 1 + self.pick(states.len()),
            false => states.len(),
        };
        let at = match past {
            true => format!(" AS OF SCN {}", states[count - 1].scn),
            false => String::new(),
        };
        let options = match is_protected {
            true => " WITH (protected = true)",
            false => "",
        };
        let what = if is_tag { "TAG" } else { "BRANCH" };
        let name = format!("b{}_{}", self.seed, self.model.branches.len());
        let sql = format!("CREATE {what} {name} FROM {from_name}{at}{options}");
        let calls = self.crash_call(COMMIT_CALLS);
        let ran = self.run(self.model.main, &sql, calls);
        let listed = self.listed_parent(&name);
        match ran {
            Ran::Done(_) => assert!(listed.is_some(), "{context}: {sql}"),
            Ran::Refused(error) => panic!("{context}: {sql}: {error:?}"),
            Ran::Unknown => self.note_crashed(listed.is_some()),
        }
        if let Some(goes_on_from) = listed {
            self.check_line(parent, goes_on_from, context);
            if past {
                self.world.note("a branch of the past");
            }
            if is_tag {
                self.world.note("a tag");
            }
            if goes_on_from != Some(parent) {
                self.world
                    .note("a branch that goes on from another than its parent");
            }
            self.model.branches.push(Branch {
                name,
                parent: Some(parent),
                goes_on_from,
                base: Rc::clone(&states[count - 1].state),
                knows: count,
                known: count,
                states: states[..count].to_vec(),
                is_dropped: false,
                is_tag,
                is_protected,
            });
        }
        if calls.is_some() {
            self.check_all(context);
        }
    }

    /// A branch goes on from its parent, or from what that one goes on from.
    fn check_line(&self, parent: usize, goes_on_from: Option<usize>, context: &str) {
        let above = |at: &usize| self.model.branches[*at].goes_on_from;
        let mut line = std::iter::successors(Some(parent), above);
        assert!(line.any(|at| Some(at) == goes_on_from), "{context}");
    }

    fn protect(&mut self, context: &str) {
        let branch = self.any();
        let is_protected = self.one_in(2);
        let sql = format!(
            "ALTER BRANCH {} SET (protected = {is_protected})",
            self.name(branch)
        );
        if branch == self.model.main {
            return self.refused(branch, &sql, "42809", context);
        }
        // Of a tag nothing tells whether it is.
        let calls = match self.model.branches[branch].is_tag {
            true => None,
            false => self.crash_call(COMMIT_CALLS),
        };
        match self.run(self.model.main, &sql, calls) {
            Ran::Done(_) => self.model.branches[branch].is_protected = is_protected,
            Ran::Refused(error) => panic!("{context}: {sql}: {error:?}"),
            Ran::Unknown => {
                let name = self.name(branch);
                let listed = self.world.branches().into_iter();
                let mut listed = listed.filter(|(branch, ..)| *branch == name);
                let (_, _, status) = listed.next().expect("it was there");
                self.model.branches[branch].is_protected = status == "protected";
            }
        }
        if calls.is_some() {
            self.check_all(context);
        }
    }

    fn drop_one(&mut self, context: &str) {
        let branch = self.any();
        let name = self.name(branch);
        let what = match self.model.branches[branch].is_tag {
            true => "TAG",
            false => "BRANCH",
        };
        let sql = format!("DROP {what} {name}");
        let main = self.model.main;
        let why_not = match &self.model.branches[branch] {
            _ if branch == main => Some("42809"),
            branch if branch.is_protected => Some("55000"),
            _ if self.model.has_branches(branch) => Some("2BP01"),
            _ => None,
        };
        if let Some(code) = why_not {
            return self.refused(main, &sql, code, context);
        }
        self.world.leave(&name);
        let calls = self.crash_call(COMMIT_CALLS);
        self.model.branches[branch].is_dropped = match self.run(main, &sql, calls) {
            Ran::Done(_) => true,
            Ran::Refused(error) => panic!("{context}: {sql}: {error:?}"),
            Ran::Unknown => {
                let is_gone = self.listed_parent(&name).is_none();
                self.note_crashed(is_gone);
                is_gone
            }
        };
        self.world.note("a drop");
        if calls.is_some() {
            self.check_all(context);
        }
    }

    fn merge(&mut self, context: &str) {
        let is_edge = |at: &usize| {
            let parent = self.model.branches[*at].parent;
            parent.is_some_and(|parent| !self.model.branches[parent].is_dropped)
        };
        let edges: Vec<usize> = self.model.live().into_iter().filter(is_edge).collect();
        if edges.is_empty() {
            return;
        }
        let child = edges[self.pick(edges.len())];
        let into_parent = self.one_in(2);
        let policies = [Policy::Fail, Policy::Source, Policy::Target];
        let policy = policies[self.pick(policies.len())];
        self.merge_edge(child, into_parent, policy, context);
        // Once more: now there is nothing left to do.
        let parent = self.model.branches[child].parent.expect("an edge");
        let is_there = [child, parent]
            .iter()
            .all(|at| !self.model.branches[*at].is_dropped);
        if is_there && self.one_in(4) {
            self.merge_edge(child, into_parent, policy, context);
        }
    }

    fn merge_edge(&mut self, child: usize, into_parent: bool, policy: Policy, context: &str) {
        let parent = self.model.branches[child].parent.expect("an edge");
        let (source, target) = match into_parent {
            true => (child, parent),
            false => (parent, child),
        };
        let merge = format!(
            "MERGE BRANCH {} INTO {} WITH (conflict_resolution = '{}'",
            self.name(source),
            self.name(target),
            policy.option()
        );
        let main = self.model.main;
        if self.model.branches[target].is_tag {
            return self.refused(main, &format!("{merge})"), "25006", context);
        }
        let merged = self.model.merged(child, into_parent, policy);
        let dry = match self.one_in(3) {
            true => Some(self.dry_run(&merge, (main, target), context)),
            false => None,
        };
        let of_source = &self.model.branches[source];
        let may_go = source != main && !of_source.is_protected && !of_source.is_tag;
        let may_go = may_go && !self.model.has_branches(source);
        let goes = may_go && self.one_in(5);
        let sql = match goes {
            true => format!("{merge}, delete_branch_after = true)"),
            false => format!("{merge})"),
        };
        if goes {
            self.world.leave(&self.model.branches[source].name.clone());
        }
        let calls = match merged.after.is_some() && !merged.is_unsure {
            true => self.crash_call(COMMIT_CALLS),
            false => None,
        };
        let (done, after) = match (self.run(main, &sql, calls), merged.after) {
            (Ran::Done(rows), Some(after)) => {
                let told = report(&rows.expect("a merge tells what it did"));
                self.world.note("a merge");
                if told.3 > 0 {
                    self.world.note("a merge decided by a policy");
                }
                if !told.4.is_empty() {
                    self.world.note("a merge of definitions");
                }
                if let Some(dry) = dry {
                    assert_eq!(dry, told, "{context}: {sql}: otherwise in the dry run");
                }
                (true, after)
            }
            (Ran::Refused(error), after) if after.is_none() || merged.is_unsure => {
                assert_eq!(error.code.as_str(), "40002", "{context}: {sql}: {error:?}");
                self.world.note(match merged.is_unsure {
                    true => "a merge of which the model is not sure",
                    false => "a merge refused",
                });
                if let Some(dry) = dry {
                    assert!(dry.3 > 0, "{context}: {sql}: no conflicts in the dry run");
                }
                return;
            }
            (Ran::Unknown, Some(after)) => {
                let is_done = self.was_merged(source, target, &merge, &after.0, context);
                self.note_crashed(is_done);
                (is_done, after)
            }
            (Ran::Done(_), None) => panic!("{context}: {sql} was not refused"),
            (Ran::Refused(error), _) => panic!("{context}: {sql}: {error:?}"),
            (Ran::Unknown, None) => unreachable!("no crash was asked for"),
        };
        if done {
            let (state, wrote) = after;
            let head = Rc::clone(self.model.branches[source].head());
            let count = self.model.branches[source].states.len();
            self.model.branches[child].base = head;
            match into_parent {
                true => self.model.branches[child].known = count,
                false => self.model.branches[child].knows = count,
            }
            self.show(target, state, wrote);
        }
        if goes {
            let name = self.name(source);
            let is_gone = self.listed_parent(&name).is_none();
            assert!(!is_gone || done, "{context}: {name} went unmerged");
            assert!(is_gone || calls.is_some() || !done, "{context}: {name}");
            self.model.branches[source].is_dropped = is_gone;
        }
        if calls.is_some() {
            self.check_all(context);
        }
    }

    /// Whether a merge was done into which a crash came.
    fn was_merged(
        &mut self,
        source: usize,
        target: usize,
        merge: &str,
        after: &State,
        context: &str,
    ) -> bool {
        let head = Rc::clone(self.model.branches[target].head());
        let (before, after) = (self.model.shown(&head), self.model.shown(after));
        let name = self.name(target);
        let read = self.world.read(&format!("t@{name}"));
        let source = self.name(source);
        let is_there = self.listed_parent(&source).is_some();
        if before != after || !is_there {
            let is_done = read == after;
            assert!(is_done || read == before, "{context}: half of {merge})");
            return is_done;
        }
        // Nobody can see it. Now it is done, whatever was.
        assert_eq!(read, before, "{context}: half of {merge})");
        match self.run(self.model.main, &format!("{merge})"), None) {
            Ran::Done(_) => true,
            _ => panic!("{context}: {merge}) cannot be done again"),
        }
    }

    /// What a merge would do, which it does not.
    fn dry_run(&mut self, merge: &str, (main, target): (usize, usize), context: &str) -> Report {
        let sql = format!("{merge}, dry_run = true)");
        let rows = match self.run(main, &sql, None) {
            Ran::Done(Some(rows)) => rows,
            Ran::Refused(error) => panic!("{context}: {sql}: {error:?}"),
            _ => panic!("{context}: {sql}"),
        };
        let name = self.name(target);
        let read = self.world.read(&format!("t@{name}"));
        let head = self.model.shown(self.model.branches[target].head());
        assert_eq!(read, head, "{context}: {sql} did something");
        report(&rows)
    }

    /// The main branch becomes what it was, or what another one is.
    fn restore(&mut self, context: &str) {
        let main = self.model.main;
        let others = self.model.live().into_iter();
        let others = others.filter(|at| *at != main && !self.model.branches[*at].is_tag);
        let others: Vec<usize> = others.collect();
        let to_branch = !others.is_empty() && self.one_in(3);
        let branch = others.get(self.pick(others.len())).copied();
        let count = 1 + self.pick(self.model.branches[main].states.len());
        let kept = self.model.branches[main].states[..count].to_vec();
        let sql = match branch.filter(|_| to_branch) {
            Some(branch) => format!("RESTORE DATABASE TO BRANCH {}", self.name(branch)),
            None => format!("RESTORE DATABASE AS OF SCN {}", kept[count - 1].scn),
        };
        let calls = self.crash_call(2 * COMMIT_CALLS);
        let name = match self.run(main, &sql, calls) {
            Ran::Done(rows) => {
                let rows = rows.expect("a restore tells what the main branch is called now");
                Some(rows.one().unwrap().get::<String>(0).unwrap())
            }
            Ran::Refused(error) => panic!("{context}: {sql}: {error:?}"),
            Ran::Unknown => self.world.branches().into_iter().find_map(|(name, ..)| {
                let mut known = self.model.branches.iter().filter(|b| !b.is_dropped);
                (!known.any(|branch| branch.name == name)).then_some(name)
            }),
        };
        if let Some(name) = name {
            self.world.leave_all();
            self.world.note("a restore");
            self.model.branches[main].name = name;
            self.is_restored = true;
            match branch.filter(|_| to_branch) {
                Some(branch) => {
                    self.model.branches[branch].name = "main".to_owned();
                    self.model.branches[branch].is_protected = false;
                    self.model.main = branch;
                }
                None => {
                    let goes_on_from = self.listed_parent("main").expect("there is one");
                    self.check_line(main, goes_on_from, context);
                    self.model.main = self.model.branches.len();
                    self.model.branches.push(Branch {
                        name: "main".to_owned(),
                        parent: Some(main),
                        goes_on_from,
                        base: Rc::clone(&kept[count - 1].state),
                        knows: count,
                        known: count,
                        states: kept,
                        is_dropped: false,
                        is_tag: false,
                        is_protected: false,
                    });
                }
            }
        }
        self.check_all(context);
    }

    fn compare(&mut self, context: &str) {
        let (name, Entry { scn, state: a, .. }) = self.any_state();
        let of_a = format!("{name}@{scn}");
        let (name, Entry { scn, state: b, .. }) = self.any_state();
        let of_b = format!("{name}@{scn}");
        let sql = format!("SELECT op, key, column_name FROM helios_diff('t', '{of_a}', '{of_b}')");
        if a.is_none() && b.is_none() {
            return self.refused(self.model.main, &sql, "42P01", context);
        }
        let rows = self.world.ask("main", &sql).unwrap();
        let cells = rows.iter().map(|row| {
            let key: String = row.get(1).unwrap();
            let id = key.strip_prefix("id=").unwrap().parse().unwrap();
            let op: String = row.get(0).unwrap();
            (op, id, row.get(2).unwrap())
        });
        // What was in a column that the first has dropped is told of rows that were written since both had the same, and of
        // no others. Which those are the model does not know.
        let gone = self.model.gone(&a, &b);
        let told = cells.filter(|(op, _, column)| op != "update" || !gone.contains(column));
        let found: std::collections::BTreeSet<(String, i64, String)> = told.collect();
        let expected = self.model.differences(&a, &b);
        assert_eq!(found, expected, "{context}: {of_a} to {of_b}");
    }

    /// What changes nothing that is read.
    fn maintain(&mut self, sql: &str, context: &str) {
        let calls = self.crash_call(FILE_CALLS);
        if let Ran::Refused(error) = self.run(self.model.main, sql, calls) {
            panic!("{context}: {sql}: {error:?}");
        }
        self.check_all(context);
    }
}

/// What a merge says of itself: how many rows it inserted, updated and deleted, how many conflicts it found, and what it
/// did to definitions.
type Report = (i64, i64, i64, i64, String);

fn report(rows: &heliosdb_kernel::Rows) -> Report {
    let row = rows.one().unwrap();
    let number = |name: &str| row.get::<i64>(name).unwrap();
    (
        number("inserted"),
        number("updated"),
        number("deleted"),
        number("conflicts"),
        row.get("definitions").unwrap(),
    )
}
