//! Services that the host lends: one versioned interface each, asked for by id.

/// Every service there is. A plugin gets those its manifest names.
pub const IDS: [&str; 6] = [
    "store/1",
    "catalog/1",
    "sql/1",
    "log/1",
    "clock/1",
    "memory/1",
];
