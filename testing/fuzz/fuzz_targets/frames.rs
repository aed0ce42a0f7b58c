//! What a client may send: opening packets, and after the first byte says that they are through, messages.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| heliosdb_server::fuzzing::frames(bytes));
