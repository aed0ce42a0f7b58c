//! The engine through its public face, on the real disk.
#![allow(clippy::unwrap_used)]

mod flush;
mod recovery;
mod support;
mod transactions;
