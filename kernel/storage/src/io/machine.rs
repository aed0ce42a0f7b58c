//! How much memory the machine has, for a budget that nobody chose.

use std::sync::OnceLock;

/// A budget is a quarter of the memory there is.
const MACHINE_SHARE: u64 = 4;
const BYTES_MIN: u64 = 64 << 20;
const BYTES_MAX: u64 = 8 << 30;
/// When the machine does not say what it has.
const MACHINE_BYTES: u64 = 4 << 30;
/// The limit of a container: a number of bytes, or "max".
const CGROUP_LIMITS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// A quarter of the machine's memory, or of what the process may have of it, from 64 MB to 8 GB. The machine
/// is asked once.
pub fn default_budget_bytes() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let limits = [physical_bytes(), address_space_bytes(), container_bytes()];
        let machine = limits.into_iter().flatten().min().unwrap_or(MACHINE_BYTES);
        (machine / MACHINE_SHARE).clamp(BYTES_MIN, BYTES_MAX) as usize
    })
}

fn physical_bytes() -> Option<u64> {
    // SAFETY: sysconf reads no memory of ours.
    let (pages, page) = unsafe {
        (
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
        )
    };
    let (pages, page) = (u64::try_from(pages).ok()?, u64::try_from(page).ok()?);
    pages.checked_mul(page).filter(|bytes| *bytes > 0)
}

/// The limit of the process's address space (`ulimit -v`), if there is one.
fn address_space_bytes() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel fills the struct, which lives until it has.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) } != 0;
    (!failed && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

#[allow(
    clippy::disallowed_methods,
    reason = "these files are the kernel's, not a database's, and are read once, before there is an Io"
)]
fn container_bytes() -> Option<u64> {
    let mut texts = CGROUP_LIMITS
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok());
    texts.find_map(|text| text.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_nobody_chose_is_within_bounds() {
        assert!(physical_bytes().is_some());
        assert!((BYTES_MIN..=BYTES_MAX).contains(&(default_budget_bytes() as u64)));
    }
}
