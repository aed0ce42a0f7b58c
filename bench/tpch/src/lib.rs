//! TPC-H as SQL programs want it: the tables with their keys, their rows as CSV, the 22 queries.
//!
//! Rows are generated as they are read (by the `tpchgen` crate), so that a COPY of any size needs no
//! file and little memory. The tour loads them into HeliosDB and the benchmarks into PostgreSQL, too;
//! this crate knows neither.

mod queries;
mod rows;
mod schema;

pub use queries::{QUERIES, Query};
pub use rows::{Data, Rows};
pub use schema::{INDEXES, TABLES, Table};

/// Rows of one COPY at most: a transaction has to fit into HeliosDB's memory.
pub const ROWS_PER_COPY: u64 = 500_000;

/// A scale factor at which TPC-H's rules give keys that are unique and fit into `integer`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale(f64);

impl Scale {
    pub const MIN: f64 = 0.01;
    pub const MAX: f64 = 300.0;

    /// # Errors
    ///
    /// Why it is not a scale, in words for whoever gave it.
    pub fn new(scale: f64) -> Result<Scale, String> {
        if !(Scale::MIN..=Scale::MAX).contains(&scale) {
            return Err(format!(
                "a scale is from {} to {}, not {scale}",
                Scale::MIN,
                Scale::MAX
            ));
        }
        if gives_a_supplier_twice(scale) {
            return Err(format!(
                "at scale {scale} TPC-H gives some parts one supplier twice, which their primary key forbids; 0.01, 0.02, 0.025 and above are fine"
            ));
        }
        Ok(Scale(scale))
    }

    pub fn factor(self) -> f64 {
        self.0
    }
}

/// Suppliers `k` of a part lie `k * step` apart among all `suppliers` (TPC-H 4.2.3, PS_SUPPKEY); in
/// a small database four of them may not be different ones.
fn gives_a_supplier_twice(scale: f64) -> bool {
    let suppliers = (scale * 10_000.0) as u64;
    let parts = (scale * 200_000.0) as u64;
    let (first, last) = (suppliers / 4, suppliers / 4 + (parts - 1) / suppliers);
    (first..=last).any(|step| (1..4).any(|k| (k * step).is_multiple_of(suppliers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_whose_keys_clash_is_refused() {
        for good in [0.01, 0.02, 0.025, 0.05, 1.0, 2.0] {
            assert!(Scale::new(good).is_ok(), "{good}");
        }
        for bad in [0.0, -1.0, 0.001, 0.012, 0.015, 301.0, f64::NAN] {
            assert!(Scale::new(bad).is_err(), "{bad}");
        }
    }
}
