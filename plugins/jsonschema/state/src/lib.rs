//! The format of the store `schemas` of the jsonschema plugin, for whoever adopts it.
