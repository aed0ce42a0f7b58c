//! The shared object of the jsonschema plugin.
