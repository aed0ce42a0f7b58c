//! The schemes: each makes bytes of values that are not NULL, and reads from them some values, and
//! which of them compare so with a constant.

pub mod alp;
pub mod alp_rd;
pub mod dictionary;
pub mod fsst;
pub mod places;
mod symbols;
pub mod zstd;
