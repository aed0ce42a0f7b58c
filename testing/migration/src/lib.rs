//! Crashes the migration of plugin state at every point.
