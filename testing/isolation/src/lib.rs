//! Checks what concurrent transactions saw of each other.
//!
//! Transactions append unique numbers to lists and read lists. A list tells its own past: whoever reads
//! `[3, 1, 4]` knows which append came after which, and who had not appended yet. So from what clients
//! were told alone follows who depends on whom, and a cycle of dependencies is an anomaly with a name
//! (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 2020,
//! after Adya, Liskov and O'Neil, "Generalized Isolation Level Definitions", ICDE 2000).
//!
//! * [`history`]: what is recorded of a run.
//! * [`graph`]: the dependencies in it.
//! * [`check`]: the anomalies in it, and which of them a level allows.
//! * [`workload`]: runs random transactions on real threads, and records them;
//! * [`storage`]: such transactions in storage. Those in SQL are a test of the crate that knows SQL.
//!
//! Only [`storage`] knows the engine.

pub mod history;

pub mod graph;

pub mod check;

pub mod workload;

pub mod storage;

#[cfg(test)]
mod tests;
