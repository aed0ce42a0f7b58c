//! JSON Schema as a plugin.
