//! The PostgreSQL wire protocol, version 3.0, over `heliosdb_sql`.
//!
//! What it promises: PostgreSQL's message order, transaction rules and error fields; a frame that
//! is not a message ends its own connection and nothing else; no input makes it panic; an idle
//! connection costs no thread. It knows nothing of storage, and SQL only as sessions, statements
//! and Arrow batches.
//!
//! pgwire gives the message types and the SCRAM computation. Its handler traits are not used: they
//! collect the responses of a multi-statement query before the first is sent, own the portals, and
//! decide what an error skips, and each of those must follow the session's transaction here. The
//! state machine is therefore ours (`connection` → `open` → `simple`, `extended`, `copy`), as are
//! the decoders of the client's half (`frontend`), because pgwire's trust the counts they read.
//! No other crate names pgwire.
//!
//! Not spoken: GSSAPI (answered `N`), the function-call sub-protocol, replication, and
//! protocol versions after 3.0 (negotiated down).

mod auth;
mod backend;
mod connection;
mod copy;
mod extended;
mod frontend;
#[doc(hidden)]
pub mod fuzzing;
mod hba;
mod lent;
mod metrics;
mod open;
mod registry;
mod rows;
mod server;
mod simple;
mod socket;
mod stream;
mod tls;

pub use auth::AuthMethod;
pub use hba::{Address, ConnectionType, HbaMethod, HbaRule};
pub use server::{Server, ServerConfig, Signals, StartError};
pub use tls::{TlsError, TlsOptions};
