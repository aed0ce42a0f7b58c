//! The command line that both distributions speak.
