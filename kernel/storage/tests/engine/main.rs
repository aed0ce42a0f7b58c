//! The engine through its public face, on the real disk.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod archive;
mod backup;
mod branches;
mod bulk;
mod changes;
mod codec;
mod compact;
mod computed;
mod flush;
mod full_disk;
mod governor;
mod history;
mod index_build;
mod large_values;
mod load;
mod memory;
mod model;
mod pins;
mod recovery;
mod retention;
mod runs;
mod serializable;
mod support;
mod transactions;
mod unseen;
