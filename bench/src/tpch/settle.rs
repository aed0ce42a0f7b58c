//! Waiting for the merges that a load leaves to be done.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::bytes_under;

/// Files that stay as they are for so long are merged as far as they are without being told to.
const QUIET: Duration = Duration::from_secs(30);
/// Merging goes on for no longer than this.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Wait until the files of a directory stay as they are; after how many seconds they did.
pub fn settle(segments: &Path) -> Result<u64, String> {
    let start = Instant::now();
    let (mut last, mut since) = (bytes_under(segments)?, Instant::now());
    while since.elapsed() < QUIET {
        if start.elapsed() > PATIENCE {
            return Err(format!("files still change after {PATIENCE:?}"));
        }
        sleep(Duration::from_millis(500));
        // A file may go between the listing of its directory and the look at it.
        let now = bytes_under(segments).unwrap_or(0);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(start.elapsed().saturating_sub(QUIET).as_secs())
}
