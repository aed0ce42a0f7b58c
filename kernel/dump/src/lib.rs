//! Dumps: the file that carries a whole database, its writer and its readers.
