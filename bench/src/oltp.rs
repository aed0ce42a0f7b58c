//! Short transactions through the embedded API, beside PostgreSQL over its Unix socket.
//!
//! The engine runs in this process: each thread has a connection and prepared statements, and does
//! what pgbench's TPC-B script does, commit by commit durable. PostgreSQL runs the script itself, with
//! pgbench as its client. So a difference is that of the engines and of having a wire at all, which is
//! what embedding is for. `pgbench` compares the servers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use heliosdb_kernel::{Connection, Database, Prepared};

use crate::Options;
use crate::peer::{Peer, checked, temporary_directory};
use crate::pgbench::{self, BALANCES_AGREE, SCALE, SELECTS, TPCB};
use crate::table;

const THREADS: [u32; 3] = [1, 8, 32];

const TABLES: &str = "\
    CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
    CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
    CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
    CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))";

const TELLERS: u32 = 10;
const ACCOUNTS: u32 = 100_000;

pub fn run(options: &Options) -> Result<(), String> {
    let scale = options.scale.unwrap_or(SCALE);
    let branches = scale.ceil() as u32;
    let postgres = Peer::postgres()?;
    println!("{}: {}", postgres.name, postgres.version()?);
    checked(postgres.client("pgbench").args([
        "-i",
        "-q",
        "-I",
        "dtgp",
        "-s",
        &branches.to_string(),
    ]))?;
    let directory = temporary_directory()?;
    let database = Database::open(directory.path().join("heliosdb")).map_err(|e| e.to_string())?;
    load(&database, branches)?;
    println!(
        "scale {branches}, {} s a measurement, median of {} rounds, every commit durable\n",
        options.seconds,
        options.rounds()
    );
    let mut rows = Vec::new();
    for threads in THREADS {
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..options.rounds() {
            let client = postgres.socket_client("pgbench");
            rates[0].push(pgbench::transactions(client, threads, TPCB, options)?.0);
            rates[1].push(rate(&database, threads, options, |c| {
                Tpcb::new(c, branches)
            })?);
        }
        rows.push(row("TPC-B", threads, rates));
    }
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..options.rounds() {
        let client = postgres.socket_client("pgbench");
        rates[0].push(pgbench::transactions(client, 1, SELECTS, options)?.0);
        rates[1].push(rate(&database, 1, options, |c| Point::new(c, branches))?);
    }
    rows.push(row("point read", 1, rates));
    table::print(
        &["work", "threads", "PostgreSQL /s", "HeliosDB /s", "ratio"],
        &rows,
    );
    let agree = database.query(BALANCES_AGREE, &[]).map_err(text)?;
    match agree
        .one()
        .and_then(|row| row.get::<bool>(0))
        .map_err(text)?
    {
        true => Ok(()),
        false => Err("the balances do not agree after the run".to_owned()),
    }
}

fn row(work: &str, threads: u32, rates: [Vec<f64>; 2]) -> Vec<String> {
    let [postgres, helios] = rates.map(|mut samples| table::median(&mut samples));
    vec![
        work.to_owned(),
        threads.to_string(),
        format!("{postgres:.0}"),
        format!("{helios:.0}"),
        format!("{:.2}", helios / postgres),
    ]
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The tables of pgbench, filled.
pub fn load(database: &Database, branches: u32) -> Result<(), String> {
    database.execute(TABLES).map_err(text)?;
    let fill = |table: &str, rows: u32, columns: &str| {
        let sql =
            format!("INSERT INTO {table} SELECT {columns} FROM generate_series(1, {rows}) AS g(i)");
        database.execute(&sql).map_err(text)
    };
    fill("pgbench_branches", branches, "i, 0, ''")?;
    fill(
        "pgbench_tellers",
        branches * TELLERS,
        "i, (i - 1) / 10 + 1, 0, ''",
    )?;
    fill(
        "pgbench_accounts",
        branches * ACCOUNTS,
        "i, (i - 1) / 100000 + 1, 0, ''",
    )?;
    Ok(())
}

/// What a thread does again and again.
pub trait Work: Sized {
    fn once(&mut self, connection: &mut Connection) -> Result<(), heliosdb_kernel::SqlError>;
}

/// How often a second `threads` threads get their work done.
pub fn rate<W: Work>(
    database: &Database,
    threads: u32,
    options: &Options,
    make: impl Fn(&mut Connection) -> Result<W, heliosdb_kernel::SqlError> + Sync,
) -> Result<f64, String> {
    let stop = AtomicBool::new(false);
    let worker = || -> Result<u64, heliosdb_kernel::SqlError> {
        let mut connection = database.connect()?;
        let mut work = make(&mut connection)?;
        let mut done = 0;
        while !stop.load(Ordering::Relaxed) {
            work.once(&mut connection)?;
            done += 1;
        }
        Ok(done)
    };
    let begin = Instant::now();
    let counts: Result<Vec<u64>, String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        thread::sleep(Duration::from_secs(options.seconds.into()));
        stop.store(true, Ordering::Relaxed);
        let results = workers.into_iter().map(|w| match w.join() {
            Ok(count) => count.map_err(text),
            Err(_) => Err("a thread panicked".to_owned()),
        });
        results.collect()
    });
    Ok(counts?.iter().sum::<u64>() as f64 / begin.elapsed().as_secs_f64())
}

/// Numbers that look random (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    /// Seeded by the backend's number, so that threads differ.
    fn new(connection: &mut Connection) -> Random {
        let pid = u64::from(connection.session().pid());
        Random(pid.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From `low` to `high`, both included.
    fn between(&mut self, low: i32, high: i32) -> i32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let random = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        low + (random % u64::from((high - low + 1) as u32)) as i32
    }
}

/// pgbench's TPC-B script.
pub struct Tpcb {
    random: Random,
    branches: i32,
    begin: Prepared,
    account: Prepared,
    balance: Prepared,
    teller: Prepared,
    branch: Prepared,
    history: Prepared,
    end: Prepared,
}

impl Tpcb {
    pub fn new(c: &mut Connection, branches: u32) -> Result<Tpcb, heliosdb_kernel::SqlError> {
        Ok(Tpcb {
            random: Random::new(c),
            branches: branches as i32,
            begin: c.prepare("BEGIN")?,
            account: c
                .prepare("UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2")?,
            balance: c.prepare("SELECT abalance FROM pgbench_accounts WHERE aid = $1")?,
            teller: c
                .prepare("UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2")?,
            branch: c
                .prepare("UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2")?,
            history: c.prepare(
                "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) \
                 VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
            )?,
            end: c.prepare("END")?,
        })
    }
}

impl Work for Tpcb {
    fn once(&mut self, c: &mut Connection) -> Result<(), heliosdb_kernel::SqlError> {
        let aid = self.random.between(1, self.branches * ACCOUNTS as i32);
        let bid = self.random.between(1, self.branches);
        let tid = self.random.between(1, self.branches * TELLERS as i32);
        let delta = self.random.between(-5000, 5000);
        c.execute_prepared(&self.begin, &[])?;
        c.execute_prepared(&self.account, &[&delta, &aid])?;
        c.query_prepared(&self.balance, &[&aid])?
            .one()?
            .get::<i32>(0)?;
        c.execute_prepared(&self.teller, &[&delta, &tid])?;
        c.execute_prepared(&self.branch, &[&delta, &bid])?;
        c.execute_prepared(&self.history, &[&tid, &bid, &aid, &delta])?;
        c.execute_prepared(&self.end, &[])?;
        Ok(())
    }
}

/// pgbench's select-only script.
struct Point {
    random: Random,
    accounts: i32,
    balance: Prepared,
}

impl Point {
    fn new(c: &mut Connection, branches: u32) -> Result<Point, heliosdb_kernel::SqlError> {
        Ok(Point {
            random: Random::new(c),
            accounts: (branches * ACCOUNTS) as i32,
            balance: c.prepare("SELECT abalance FROM pgbench_accounts WHERE aid = $1")?,
        })
    }
}

impl Work for Point {
    fn once(&mut self, c: &mut Connection) -> Result<(), heliosdb_kernel::SqlError> {
        let aid = self.random.between(1, self.accounts);
        c.query_prepared(&self.balance, &[&aid])?
            .one()?
            .get::<i32>(0)?;
        Ok(())
    }
}
