//! Old, foreign and hostile builds of plugins in the present host.
//!
//! [`fixture`] builds the plugin files and makes damaged copies of them; [`server`] boots a plugin host
//! over a directory of files. The tests put the two together.

pub mod fixture;
pub mod server;
