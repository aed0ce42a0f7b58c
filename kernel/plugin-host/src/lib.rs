//! Loads, checks, guards and migrates plugins.
