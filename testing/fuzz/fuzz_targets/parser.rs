//! SQL as text, as clients send it and as the catalog keeps it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| heliosdb_sql::fuzzing::parse_text(text));
