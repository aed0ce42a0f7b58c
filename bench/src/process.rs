//! What processes use, as Linux tells it in `/proc`.

use std::fs;

/// CPU time that `root` and its descendants have used, in seconds.
pub fn cpu_seconds(root: u32) -> f64 {
    let mut ticks = 0;
    for process in under(root) {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // Fields after the parenthesised name: state is 0, utime 11, stime 12, in clock ticks of
        // 10 ms; 13 and 14 are those of children waited for.
        let rest = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest)
            .unwrap_or_default();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        for field in fields.get(11..15).unwrap_or_default() {
            ticks += field.parse::<u64>().unwrap_or(0);
        }
    }
    ticks as f64 / 100.0
}

/// The most that `root` and its descendants of now ever had in memory, each by itself (VmHWM). A
/// process that has ended counts as nothing.
pub fn memory_peak(root: u32) -> u64 {
    under(root)
        .into_iter()
        .map(|process| kilobytes(&format!("/proc/{process}/status"), "VmHWM:"))
        .sum()
}

/// What `root` and its descendants have in memory now; what they share counts once (Pss).
pub fn memory(root: u32) -> u64 {
    under(root)
        .into_iter()
        .map(|process| kilobytes(&format!("/proc/{process}/smaps_rollup"), "Pss:"))
        .sum()
}

/// A field of a file in `/proc`, in bytes.
fn kilobytes(file: &str, field: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok())
        .map_or(0, |number| number << 10)
}

/// `root` and all its descendants.
fn under(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if let Some(parent) = parent.and_then(|text| text.parse::<u32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(
            parents
                .iter()
                .filter(|(_, p)| *p == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found
}
