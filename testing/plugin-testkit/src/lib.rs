//! Conformance suites for plugins.
