//! The schema_registry plugin as a shared object.
