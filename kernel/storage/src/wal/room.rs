//! How much more the log's files can take: a full disk has to be told to a committer before its commit
//! point, because after it nobody can go back and the log must not fail.
//!
//! Whoever is going to queue a record reserves what it costs first; when the files that there are cannot
//! take it, another one is made, and if there is no space for that, the reservation is refused and nothing
//! has happened.
//!
//! Invariants:
//! 1. `reserved + queued + writing` is at most `files`.
//! 2. What is written costs at most the sum of what its records cost one by one, however they were put
//!    into batches and files: [`record_bytes`] is superadditive enough (batches are aligned, and a larger
//!    payload wastes no more), and each file that is still to be opened is counted without its manifest and
//!    without a block for the record that comes to lie across its start.

use super::batch::{ALIGNMENT, BATCH_BYTES_MAX, HEADER_BYTES, batch_bytes};

/// Payload of a whole batch.
const PAYLOAD_BYTES_MAX: usize = BATCH_BYTES_MAX - HEADER_BYTES;

/// What a record of so many bytes costs in the log, written alone.
pub fn record_bytes(bytes: usize) -> u64 {
    let whole = (bytes / PAYLOAD_BYTES_MAX) as u64 * BATCH_BYTES_MAX as u64;
    whole + batch_bytes(bytes % PAYLOAD_BYTES_MAX)
}

/// What a file that is yet to be opened with such a manifest can take.
pub fn file_bytes(len: u64, manifest_bytes: usize) -> u64 {
    len.saturating_sub(batch_bytes(manifest_bytes) + ALIGNMENT)
}

/// See the module's header. All are costs as [`record_bytes`] gives them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// What the files could take when nothing was being written.
    files: u64,
    reserved: u64,
    queued: u64,
    writing: u64,
}

impl Room {
    pub fn new(files: u64) -> Room {
        Room {
            files,
            ..Room::default()
        }
    }

    fn promised(&self) -> u64 {
        self.reserved + self.queued + self.writing
    }

    /// Whether so much more can be promised, with `kept` left over.
    pub fn fits(&self, bytes: u64, kept: u64) -> bool {
        self.promised() + bytes + kept <= self.files
    }

    pub fn reserve(&mut self, bytes: u64) {
        self.reserved += bytes;
    }

    pub fn give_back(&mut self, bytes: u64) {
        self.reserved -= bytes;
    }

    /// What was reserved is on the queue.
    pub fn queue(&mut self, bytes: u64) {
        self.reserved -= bytes;
        self.queued += bytes;
    }

    /// All that is on the queue is going to be written.
    pub fn begin_writing(&mut self) {
        self.writing = std::mem::take(&mut self.queued);
    }

    /// It is, and the files can take so much more now.
    pub fn end_writing(&mut self, files: u64) {
        self.writing = 0;
        self.files = files;
    }

    /// The files can take so much now, when nothing is being written.
    pub fn set_files(&mut self, files: u64) {
        self.files = files;
    }

    /// How much nobody needs, when so much is to be kept. Nothing is being written.
    pub fn spare(&self, kept: u64) -> u64 {
        self.files.saturating_sub(self.promised() + kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invariant 2, of batches: two records written as one payload cost no more than each alone.
    #[test]
    fn a_group_costs_no_more_than_its_records() {
        let max = PAYLOAD_BYTES_MAX;
        let block = ALIGNMENT as usize;
        let mut sizes = vec![
            0,
            1,
            100,
            block - HEADER_BYTES,
            block - HEADER_BYTES + 1,
            block,
        ];
        for near in [max, 2 * max, BATCH_BYTES_MAX] {
            sizes.extend([near - block, near - 1, near, near + 1, near + block]);
        }
        for a in &sizes {
            for b in &sizes {
                assert!(
                    record_bytes(a + b) <= record_bytes(*a) + record_bytes(*b),
                    "{a} and {b}"
                );
            }
        }
    }

    #[test]
    fn what_is_promised_is_not_promised_again() {
        let mut room = Room::new(100);
        assert!(room.fits(90, 10) && !room.fits(91, 10) && room.fits(91, 0));
        room.reserve(50);
        room.queue(30);
        room.begin_writing();
        room.reserve(10);
        assert!(room.fits(40, 0) && !room.fits(41, 0));
        room.end_writing(75);
        assert_eq!(room.spare(5), 40);
        room.give_back(20);
        assert!(room.fits(65, 0) && !room.fits(66, 0));
    }
}
