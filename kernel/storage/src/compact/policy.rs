//! Which segments to merge: a function of their sizes, and of nothing else.
//!
//! Size-tiered, which writes a byte about once per tier and leaves a few files per tier to be read
//! (O'Neil et al., "The log-structured merge-tree", 1996; Dayan and Idreos, "Dostoevsky", SIGMOD 2018,
//! on what tiering costs readers and spares writers). Age must be kept, so only neighbours are merged:
//!
//! 1. Four or more neighbours of the same size class, a factor of 4 wide.
//! 2. Four or more neighbours of which each is outweighed by the newer ones among them together: sizes
//!    that fit no class pattern, such as those of loads between flushes. When this finds nothing, each
//!    fourth file at most is bigger than all newer ones, so their number is logarithmic in their bytes.
//! 3. A file of which more than a tenth would go, alone.
//!
//! Files above a limit are left to the third rule: with them, the merge would write more than it spares.

use std::ops::Range;

/// Files to merge in one go.
const FILES_MIN: usize = 4;
/// Smaller files are of one class.
const CLASS_BYTES_MIN: u64 = 1 << 20;
/// What of a file has to go for it to be written anew, as one in so many.
const GARBAGE_SHARE: u64 = 10;

/// What the policy knows of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    pub bytes: u64,
    /// What is known to go when it is written anew.
    pub garbage_bytes: u64,
    /// Whether all of it can be read and written.
    pub readable: bool,
}

impl File {
    fn class(&self) -> u32 {
        self.bytes.max(CLASS_BYTES_MIN).ilog2() / 2
    }
}

/// The neighbours to merge next, if any, and no more than `files_max`. `files` are from the newest to the
/// oldest.
pub fn next(files: &[File], bytes_max: u64, files_max: usize) -> Option<Range<usize>> {
    let files_max = files_max.max(FILES_MIN);
    let small = |file: &File| file.readable && file.bytes <= bytes_max;
    // The longest range from `start` in which every further file `fits` the bytes before it.
    let grown = |start: usize, fits: &dyn Fn(&File, u64) -> bool| {
        let (mut end, mut bytes) = (start, 0);
        while end - start < files_max
            && files.get(end).is_some_and(small)
            && (end == start || fits(&files[end], bytes))
        {
            bytes += files[end].bytes;
            end += 1;
        }
        (end - start >= FILES_MIN).then_some(start..end)
    };
    let starts = || 0..files.len();
    let alike = |start: usize| grown(start, &|file, _| file.class() == files[start].class());
    let outweighed = |start: usize| grown(start, &|file, newer| file.bytes <= newer);
    let wasteful = |place: &usize| {
        let file = &files[*place];
        file.readable && file.garbage_bytes > file.bytes / GARBAGE_SHARE
    };
    starts()
        .find_map(alike)
        .or_else(|| starts().find_map(outweighed))
        .or_else(|| starts().find(wasteful).map(|place| place..place + 1))
}

/// How many files merges that are due would take away, each of them and what they make due.
pub fn debt(files: &[File], bytes_max: u64, files_max: usize) -> usize {
    let mut left = files.to_vec();
    while let Some(range) = next(&left, bytes_max, files_max).filter(|range| range.len() > 1) {
        let merged = File {
            bytes: left[range.clone()].iter().map(|file| file.bytes).sum(),
            garbage_bytes: 0,
            readable: true,
        };
        left.splice(range, [merged]);
    }
    files.len() - left.len()
}

/// The neighbours to merge next so that in the end everything is one file; `None` when it is, and has
/// nothing that would go. What cannot be read stays, and what is on either side of it, apart. Of more than
/// `files_max` those come first that are the least together.
pub fn everything(files: &[File], files_max: usize) -> Option<Range<usize>> {
    let files_max = files_max.max(FILES_MIN);
    let mut start = 0;
    while start < files.len() {
        let stretch = files[start..].iter().take_while(|file| file.readable);
        let end = start + stretch.count();
        let rest = &files[start..end];
        if rest.len() > files_max {
            let bytes = |first: &usize| -> u64 {
                let window = files[*first..*first + files_max].iter();
                window.map(|file| file.bytes).sum()
            };
            let first = (start..=end - files_max).min_by_key(bytes);
            return first.map(|first| first..first + files_max);
        }
        if rest.len() > 1 || rest.iter().any(|file| file.garbage_bytes > 0) {
            return Some(start..end);
        }
        start = end + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn files(sizes: &[u64]) -> Vec<File> {
        let file = |mb: &u64| File {
            bytes: mb * MB,
            garbage_bytes: 0,
            readable: true,
        };
        sizes.iter().map(file).collect()
    }

    fn check(sizes: &[u64], expected: Option<Range<usize>>) {
        assert_eq!(
            next(&files(sizes), 1024 * MB, usize::MAX),
            expected,
            "{sizes:?}"
        );
    }

    #[test]
    fn four_neighbours_of_one_class_are_merged() {
        check(&[64; 3], None);
        check(&[64; 4], Some(0..4));
        check(&[64, 70, 200, 255, 256], Some(0..4));
        check(&[4, 64, 64, 64, 64, 4], Some(1..5));
        check(&[0, 0, 0, 0, 1000], Some(0..4));
    }

    #[test]
    fn newer_files_that_outweigh_older_ones_are_merged() {
        check(&[300, 4, 300, 4], Some(0..4));
        check(&[4, 300, 4, 300, 1], Some(1..5));
        check(&[1, 4, 16, 64, 256], None);
        // A few large files are not rewritten for the sake of a small one behind them.
        check(&[300, 4], None);
    }

    #[test]
    fn large_and_unreadable_files_are_left_alone_and_part_the_others() {
        check(&[2000; 8], None);
        check(&[64, 64, 2000, 64, 64], None);
        check(&[64, 2000, 64, 64, 64, 64], Some(2..6));
        let mut some = files(&[64; 6]);
        some[2].readable = false;
        assert_eq!(next(&some, 1024 * MB, usize::MAX), None);
        assert_eq!(everything(&some, usize::MAX), Some(0..2));
        assert_eq!(everything(&some[1..], usize::MAX), Some(2..5));
        assert_eq!(everything(&some[1..3], usize::MAX), None);
    }

    #[test]
    fn a_file_of_which_much_would_go_is_written_anew() {
        for (garbage, expected) in [(199, None), (201, Some(1..2))] {
            let mut some = files(&[1, 2000, 3]);
            some[1].garbage_bytes = garbage * MB;
            assert_eq!(next(&some, 1024 * MB, usize::MAX), expected, "{garbage}");
            assert_eq!(everything(&some[1..2], usize::MAX), Some(0..1));
            some[1].readable = false;
            assert_eq!(next(&some, 1024 * MB, usize::MAX), None);
        }
    }

    #[test]
    fn no_more_files_are_merged_than_fit() {
        let some = files(&[64; 11]);
        assert_eq!(next(&some, 1024 * MB, 5), Some(0..5));
        let mut left = files(&[9, 9, 3, 1, 1, 1, 1, 3, 9]);
        assert_eq!(everything(&left, 5), Some(2..7));
        left.splice(2..7, files(&[7]));
        assert_eq!(everything(&left, 5), Some(0..5));
    }

    #[test]
    fn the_debt_is_what_merges_would_take_away() {
        let debt = |sizes: &[u64]| debt(&files(sizes), 1024 * MB, usize::MAX);
        assert_eq!(debt(&[64; 3]), 0);
        assert_eq!(debt(&[64; 4]), 3);
        assert_eq!(debt(&[64, 64, 64, 64, 256, 256, 256]), 6);
        // What is written anew for its garbage alone stays one file.
        let mut some = files(&[1, 2000, 3]);
        some[1].garbage_bytes = 1000 * MB;
        assert_eq!(super::debt(&some, 1024 * MB, usize::MAX), 0);
    }

    /// Flushes of one size, merged as the policy wants: the files stay few, and every byte is written
    /// few times.
    #[test]
    fn the_number_of_files_and_the_bytes_written_stay_logarithmic() {
        let (mut sizes, mut written) = (Vec::new(), 0);
        for flushed in 1..=4096_u64 {
            sizes.insert(0, 1);
            while let Some(range) = next(&files(&sizes), 1 << 40, usize::MAX) {
                let merged: u64 = sizes[range.clone()].iter().sum();
                written += merged;
                sizes.splice(range, [merged]);
            }
            assert!(
                sizes.len() <= 3 * (flushed.ilog2() as usize / 2 + 1),
                "{sizes:?}"
            );
        }
        assert_eq!(sizes.iter().sum::<u64>(), 4096);
        assert!(written <= 4096 * 7, "{written}");
    }

    /// Whatever the sizes, when nothing is left to do every fourth file outweighs all newer ones.
    #[test]
    fn any_sizes_come_to_rest_with_few_files() {
        let mut seed = 1_u64;
        for _ in 0..200 {
            let mut sizes: Vec<u64> = Vec::new();
            for _ in 0..60 {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                sizes.insert(0, 1 << ((seed >> 33) % 9));
                while let Some(range) = next(&files(&sizes), 1 << 40, usize::MAX) {
                    let merged = sizes[range.clone()].iter().sum();
                    sizes.splice(range, [merged]);
                }
                let total: u64 = sizes.iter().sum();
                assert!(sizes.len() <= 3 * (total.ilog2() as usize + 1), "{sizes:?}");
            }
        }
    }
}
