//! What long work says while it goes on, always on stderr.
//!
//! On a terminal it is a bar that goes away when its phase is over. Elsewhere it is a line when a phase
//! is over, and for a long phase a line now and then; short work says little. Either way the line that
//! stays is the phase, how much it was, and how long it took.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use heliosdb_kernel::dump::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal, how often a phase that goes on says so.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// How often a bar is drawn even if nothing advances.
const TICK: Duration = Duration::from_millis(200);

/// Progress for whoever looks at stderr.
pub struct Shown {
    program: &'static str,
    terminal: bool,
    phase: Mutex<Option<Phase>>,
}

/// What is going on.
struct Phase {
    name: String,
    total: Option<u64>,
    done: u64,
    began: Instant,
    said: Instant,
    /// On a terminal.
    bar: Option<ProgressBar>,
}

impl Shown {
    pub fn new(program: &'static str) -> Shown {
        Shown {
            program,
            terminal: io::stderr().is_terminal(),
            phase: Mutex::new(None),
        }
    }

    fn begin_at(&self, name: &str, total: Option<u64>, now: Instant) {
        self.end_at(now);
        let bar = self.terminal.then(|| bar(name, total));
        *self.lock() = Some(Phase {
            name: name.to_owned(),
            total,
            done: 0,
            began: now,
            said: now,
            bar,
        });
    }

    fn advance_at(&self, amount: u64, now: Instant) -> Option<String> {
        let mut phase = self.lock();
        let phase = phase.as_mut()?;
        phase.done = phase.done.saturating_add(amount);
        if let Some(bar) = &phase.bar {
            bar.inc(amount);
            return None;
        }
        if now.duration_since(phase.said) < LINE_INTERVAL {
            return None;
        }
        phase.said = now;
        let of = match phase.total {
            Some(total) => format!(" of {}", grouped(total)),
            None => String::new(),
        };
        let Phase { name, done, .. } = phase;
        Some(format!("{name}: {}{of} so far", grouped(*done)))
    }

    fn end_at(&self, now: Instant) -> Option<String> {
        let phase = self.lock().take()?;
        if let Some(bar) = phase.bar {
            bar.finish_and_clear();
        }
        let seconds = now.duration_since(phase.began).as_secs_f64();
        let Phase { name, done, .. } = phase;
        Some(match done {
            0 => format!("{name}: {seconds:.1} s"),
            _ => format!("{name}: {} in {seconds:.1} s", grouped(done)),
        })
    }

    fn say(&self, line: Option<String>) {
        if let Some(line) = line {
            // Nobody reads it: the work goes on.
            let _ = writeln!(io::stderr(), "{}: {line}", self.program);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Phase>> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Shown {
    fn begin(&self, phase: &str, total: Option<u64>) {
        self.begin_at(phase, total, Instant::now());
    }

    fn advance(&self, amount: u64) {
        self.say(self.advance_at(amount, Instant::now()));
    }

    fn end(&self) {
        self.say(self.end_at(Instant::now()));
    }
}

impl Drop for Shown {
    /// A phase that failed leaves no bar behind.
    fn drop(&mut self) {
        if let Some(Phase { bar: Some(bar), .. }) = self.lock().take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(name: &str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{msg} [{wide_bar}] {human_pos}/{human_len} {eta}",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {msg} {human_pos} {elapsed}",
        ),
    };
    let style = ProgressStyle::with_template(template).expect("the templates above are valid");
    bar.set_style(style);
    bar.set_message(name.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

/// `1234567` → `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Shown {
        Shown {
            program: "p",
            terminal: false,
            phase: Mutex::new(None),
        }
    }

    #[test]
    fn a_phase_is_one_line_and_a_long_one_says_so_now_and_then() {
        let shown = plain();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        shown.begin_at("loading rows", Some(5000), start);
        assert_eq!(shown.advance_at(1000, at(1)), None);
        assert_eq!(
            shown.advance_at(1000, at(11)),
            Some("loading rows: 2,000 of 5,000 so far".to_owned())
        );
        assert_eq!(shown.advance_at(1000, at(12)), None);
        assert_eq!(
            shown.end_at(at(13)),
            Some("loading rows: 3,000 in 13.0 s".to_owned())
        );
        assert_eq!(shown.end_at(at(14)), None);
    }

    #[test]
    fn numbers_are_grouped() {
        let shown = [0, 12, 123, 1234, 123_456, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
    }
}
