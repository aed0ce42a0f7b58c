//! `heliosdb-full`.

fn main() {}
