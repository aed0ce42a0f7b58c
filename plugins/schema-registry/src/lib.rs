//! Versions of JSON schemas, with where each came from.
