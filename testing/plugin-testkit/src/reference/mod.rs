//! Plugins to learn from: small, whole, and held against the plain truth by the project's own tests.

pub mod word;
