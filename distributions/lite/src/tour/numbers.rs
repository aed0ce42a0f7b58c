//! Numbers as people read them.

use std::time::Duration;

pub use heliosdb_command::progress::grouped;

/// `1.2 GB`: powers of 1000, as rates and disks are sold.
pub fn bytes(count: u64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    match (unit, value) {
        (0, _) if count == 1 => "1 byte".to_owned(),
        (0, _) => format!("{count} bytes"),
        (_, value) if value < 9.95 => format!("{value:.1} {}", units[unit]),
        (_, value) => format!("{value:.0} {}", units[unit]),
    }
}

/// `12.3 ms`, `4.56 s`.
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// So many in a second.
pub fn rate(count: u64, duration: Duration) -> u64 {
    let seconds = duration.as_secs_f64().max(1e-6);
    // A count divided by a microsecond still fits.
    (count as f64 / seconds) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_two_digits_or_three() {
        let shown = [
            0,
            1,
            999,
            1000,
            9_949,
            9_951,
            123_456,
            999_600,
            2_000_000_000,
        ]
        .map(bytes);
        assert_eq!(
            shown,
            [
                "0 bytes",
                "1 byte",
                "999 bytes",
                "1.0 kB",
                "9.9 kB",
                "10 kB",
                "123 kB",
                "1.0 MB",
                "2.0 GB"
            ]
        );
    }

    #[test]
    fn a_rate_is_per_second() {
        assert_eq!(rate(500, Duration::from_millis(250)), 2000);
        assert_eq!(rate(1, Duration::ZERO), 1_000_000);
    }
}
