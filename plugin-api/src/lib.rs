//! The ABI and the SDK of plugin authors.
