//! Plugins as SQL sees them.
//!
//! The host ([`heliosdb_plugin_host`]) has loaded them and answers for what they registered. This
//! module gives them their place in a statement: [`syntax`] and [`grammar`] find their commands and
//! clauses in its tokens, [`command`] and [`clause`] run them, [`constraint`] lets them check rows,
//! [`observer`] tells them of other plugins' objects, [`services`] is what they may do meanwhile, with
//! [`rows`] what they may read of tables, [`worker`] what they do in the background, and [`extension`] is CREATE, ALTER and DROP EXTENSION.
//! [`functions`], with [`aggregate`], [`table_function`] and [`operators`], puts what expressions may
//! call beside what is built in; [`crossing`] has the types of what crosses, [`described`] the rows of
//! the system catalogs.
//!
//! Two questions are asked of a plugin before it is called: is it active in this server (the host's
//! [`Registry`](heliosdb_plugin_host::Registry) knows), and is it installed in this database (the
//! catalog knows). [`availability`] answers both in one error.

pub(crate) mod aggregate;
pub(crate) mod availability;
pub(crate) mod clause;
pub(crate) mod command;
pub(crate) mod constraint;
pub(crate) mod crossing;
pub(crate) mod described;
pub(crate) mod error;
pub(crate) mod extension;
pub(crate) mod functions;
pub(crate) mod grammar;
pub(crate) mod names;
pub(crate) mod objects;
pub(crate) mod observer;
pub(crate) mod operators;
pub(crate) mod rows;
pub(crate) mod services;
pub(crate) mod syntax;
pub(crate) mod table_function;
pub(crate) mod types;
pub(crate) mod worker;
