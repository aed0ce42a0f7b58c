//! Databases of the storage engine, exported, loaded into empty ones, and compared.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod branches;
mod compare;
mod diff;
mod load;
mod random;
mod sample;
