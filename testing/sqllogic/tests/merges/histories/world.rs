//! The database, on a disk of which a crash leaves what was synced and any part of what was not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use heliosdb_kernel::config::Config;
use heliosdb_kernel::{Connection, Database, RootRef, Rows, SqlError};
use heliosdb_sim::{CrashModel, Image, SimDisk};
use heliosdb_sqllogic::Edition;

use super::super::Random;
use super::model::Shown;

/// Small, so that histories get past the end of a file of the log, and of what is held in memory.
const SETTINGS: &str = "[storage]\nwal_segment_size = \"64kB\"\nmemtable_size = \"64kB\"\n";
/// One crash in so many is followed by another one while the database opens.
const CRASHES_PER_DOUBLE: u64 = 6;
/// The calls of a disk within which that one comes.
const OPENING_CALLS: u64 = 30;

/// What came of a statement.
pub enum Ran {
    /// With the rows of one that is alone.
    Done(Option<Rows>),
    Refused(Box<SqlError>),
    /// The machine went away before it answered, and the database is open again.
    Unknown,
}

/// What the database says of a branch: its name, what it goes on from, and its status.
pub type Listed = (String, Option<String>, String);

/// A database, with a connection for each branch.
pub struct World {
    disk: SimDisk,
    database: Option<Database>,
    connections: BTreeMap<String, Connection>,
    linked: Vec<RootRef>,
    config: Config,
    /// What was done, for who has to find out why it went wrong.
    told: Vec<String>,
    seen: Seen,
}

/// How often something happened.
pub type Seen = BTreeMap<&'static str, u64>;

/// The disk of a database that was made and closed.
fn fresh() -> &'static Image {
    static FRESH: OnceLock<Image> = OnceLock::new();
    FRESH.get_or_init(|| {
        let mut world = World::on(SimDisk::new(0));
        world.database.take().unwrap().close().unwrap();
        world.disk.image()
    })
}

impl World {
    pub fn new(seed: u64) -> World {
        World::on(fresh().crash(CrashModel::Lost, seed))
    }

    fn on(disk: SimDisk) -> World {
        let mut world = World {
            disk,
            database: None,
            connections: BTreeMap::new(),
            linked: Edition::Lite.linked().unwrap(),
            config: Config::parse(SETTINGS, "histories").unwrap(),
            told: Vec::new(),
            seen: Seen::new(),
        };
        world.database = Some(world.opened().unwrap());
        world
    }

    fn opened(&self) -> Result<Database, String> {
        let disk = Arc::new(self.disk.clone());
        let opened = Database::open_on(disk, &self.config, &self.linked, "lite");
        opened.map_err(|error| error.to_string())
    }

    pub fn tell(&mut self, what: impl Into<String>) {
        self.told.push(what.into());
    }

    /// Counts what happened, so that it is known that it does.
    pub fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    pub fn reopen(&mut self) {
        self.tell("-- closed and opened");
        self.connections.clear();
        self.database.take().unwrap().close().unwrap();
        self.database = Some(self.opened().unwrap());
    }

    /// Cuts the power, and opens what is left.
    pub fn crash(&mut self, random: &mut Random) {
        self.cut(random);
        if random.next(CRASHES_PER_DOUBLE) == 0 {
            self.disk.crash_at(1 + random.next(OPENING_CALLS));
            let opened = self.opened();
            if self.disk.crashed() {
                self.note("a crash while it opened");
                self.database = opened.ok();
                self.cut(random);
            } else {
                self.disk.heal();
                self.database = Some(opened.unwrap());
                return;
            }
        }
        self.database = Some(self.opened().unwrap());
    }

    fn cut(&mut self, random: &mut Random) {
        self.note("a crash");
        let model = CrashModel::ALL[random.next(CrashModel::ALL.len() as u64) as usize];
        let disk = self.disk.crash(model, random.next(u64::MAX));
        self.tell(format!("-- crash, {}", model.name()));
        // What they still want to write goes to a machine that is gone.
        self.connections.clear();
        self.database = None;
        // Plugins that are linked keep for ever what they were started with.
        self.disk.scrap();
        self.disk = disk;
    }

    /// Forgets a connection, as who was on a branch has to be gone before it is.
    pub fn leave(&mut self, branch: &str) {
        self.connections.remove(branch);
    }

    pub fn leave_all(&mut self) {
        self.connections.clear();
    }

    /// The connection that is on a branch.
    fn on_branch(&mut self, branch: &str) -> &mut Connection {
        let database = self.database.as_ref().unwrap();
        self.connections
            .entry(branch.to_owned())
            .or_insert_with(|| {
                let mut connection = database.connect().unwrap();
                if branch != "main" {
                    let there = format!("SET branch = '{branch}'");
                    connection.execute(&there).unwrap();
                }
                connection
            })
    }

    fn query(&mut self, branch: &str, sql: &str) -> Result<Rows, Box<SqlError>> {
        self.on_branch(branch).query(sql, &[]).map_err(Box::new)
    }

    /// Runs one statement, or several as a transaction, on a branch; with `calls`, on a machine that goes away at the
    /// disk's so many next call that writes, if it comes to that.
    pub fn run(
        &mut self,
        branch: &str,
        statements: &[String],
        calls: Option<u64>,
        random: &mut Random,
    ) -> Ran {
        // Outside of it.
        self.on_branch(branch);
        let sql = statements.join("; ");
        self.tell(match calls {
            Some(calls) => format!("{sql}; -- on {branch}, crash at call {calls}"),
            None => format!("{sql}; -- on {branch}"),
        });
        if let Some(calls) = calls {
            self.disk.crash_at(self.disk.calls() + calls);
        }
        let ran = match statements {
            [one] => self.query(branch, one).map(Some),
            _ => {
                let connection = self.on_branch(branch);
                connection.execute(&sql).map(|_| None).map_err(Box::new)
            }
        };
        let is_gone = self.disk.crashed();
        match is_gone {
            true => self.crash(random),
            false => self.disk.heal(),
        }
        match ran {
            Ok(rows) => {
                if is_gone {
                    self.note("a crash after the commit");
                }
                Ran::Done(rows)
            }
            Err(error) if is_gone => {
                self.tell(format!("-- {}", error.message));
                Ran::Unknown
            }
            Err(error) => {
                self.tell(format!("-- {} {}", error.code.as_str(), error.message));
                Ran::Refused(error)
            }
        }
    }

    /// A statement that only reads, or one whose answer is not in doubt.
    pub fn ask(&mut self, branch: &str, sql: &str) -> Result<Rows, Box<SqlError>> {
        self.tell(format!("{sql}; -- on {branch}"));
        self.query(branch, sql)
    }

    pub fn scn(&mut self, branch: &str) -> u64 {
        let rows = self.query(branch, "SELECT helios_current_scn()").unwrap();
        let scn = rows.one().unwrap().get::<i64>(0).unwrap();
        self.tell(format!("-- SCN {scn} of {branch}"));
        u64::try_from(scn).unwrap()
    }

    /// A table as it is read from the main branch; `None` when it is not there.
    pub fn read(&mut self, table: &str) -> Option<Shown> {
        let sql = format!("SELECT * FROM {table}");
        let rows = match self.query("main", &sql) {
            Ok(rows) => rows,
            Err(error) if error.code.as_str() == "42P01" => return None,
            Err(error) => panic!("{sql}: {error:?}"),
        };
        let names: Vec<String> = rows.columns().iter().map(|c| c.name.clone()).collect();
        let mut found = BTreeMap::new();
        for row in rows.iter() {
            let mut cells = BTreeMap::new();
            let mut id = 0;
            for (at, name) in names.iter().enumerate() {
                let value = row.get::<i64>(at).unwrap();
                match name.as_str() {
                    "id" => id = value,
                    _ => drop(cells.insert(name.clone(), value)),
                }
            }
            assert!(found.insert(id, cells).is_none(), "{sql}: two rows {id}");
        }
        let names: BTreeSet<String> = names.into_iter().filter(|name| name != "id").collect();
        Some((names, found))
    }

    /// The ids of a table's rows, as the index of its primary key has them.
    pub fn read_ids(&mut self, table: &str) -> Vec<i64> {
        let sql = format!("SELECT id FROM {table} WHERE id > 0 ORDER BY id");
        let rows = self.query("main", &sql).unwrap();
        rows.iter().map(|row| row.get(0).unwrap()).collect()
    }

    pub fn branches(&mut self) -> BTreeSet<Listed> {
        let sql = "SELECT branch_name, parent_name, status FROM pg_database_branches()";
        let rows = self.query("main", sql).unwrap();
        let listed = rows.iter().map(|row| {
            let parent = row.get::<Option<String>>(1).unwrap();
            (row.get(0).unwrap(), parent, row.get(2).unwrap())
        });
        listed.collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self
                .told
                .iter()
                .rposition(|told| told.starts_with("-- history"));
            eprintln!("{}", self.told[from.unwrap_or(0)..].join("\n"));
        }
        self.disk.scrap();
    }
}
