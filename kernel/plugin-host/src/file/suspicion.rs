//! What a plugin file may do that a plugin must not, as far as its symbols tell.
//!
//! A plugin runs in the server's process. Threads, processes and sockets of its own escape the
//! server's limits and its shutdown; an allocator of its own escapes its accounting. None of this can
//! be proven from a file: an imported function may never be called, and code can reach the kernel
//! without importing anything. So these are warnings, worded as what was seen, and no file is refused
//! for one.

use std::collections::BTreeSet;

use heliosdb_plugin_api::abi::ROOT_SYMBOL;

use super::elf::{Allocator, Import};

/// Names of foreign exports in a warning: a library that is no plugin has thousands.
const EXPORTS_SHOWN: usize = 8;

/// Something worth a look before the file is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// One word, for machines: `threads`, `processes`, `exit`, `network`, `signals`, `loading`,
    /// `allocator`, `panic`, `unresolved`, `exports`.
    pub topic: &'static str,
    pub text: String,
}

struct Rule {
    topic: &'static str,
    names: &'static [&'static str],
    meaning: &'static str,
}

const RULES: [Rule; 6] = [
    Rule {
        topic: "threads",
        names: &["pthread_create", "thrd_create", "clone", "clone3"],
        meaning: "contains code that starts threads; the server can neither limit nor stop them",
    },
    Rule {
        topic: "processes",
        names: &[
            "fork",
            "vfork",
            "execv",
            "execve",
            "execvp",
            "execvpe",
            "execl",
            "execlp",
            "execle",
            "fexecve",
            "posix_spawn",
            "posix_spawnp",
            "system",
            "popen",
        ],
        meaning: "contains code that starts processes",
    },
    Rule {
        topic: "exit",
        // Not `exit`: the plugin kit itself imports it, through abi_stable.
        names: &["_exit", "_Exit", "quick_exit"],
        meaning: "contains code that ends the process, and with it the server",
    },
    Rule {
        topic: "network",
        names: &[
            "socket",
            "connect",
            "bind",
            "listen",
            "accept",
            "accept4",
            "getaddrinfo",
        ],
        meaning: "contains code that uses the network",
    },
    Rule {
        topic: "signals",
        names: &[
            "signal",
            "sigaction",
            "sigprocmask",
            "pthread_sigmask",
            "raise",
            "kill",
        ],
        meaning: "contains code that changes or sends signals, which belong to the server",
    },
    Rule {
        topic: "loading",
        names: &["dlopen", "dlmopen"],
        meaning: "contains code that loads further libraries, which no check has seen",
    },
];

/// Libraries whose symbols all carry versions, so that an import without one came from none of them.
const VERSIONED_LIBRARIES: [&str; 8] = [
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

pub(super) fn warnings(
    exports: &[String],
    imports: &[Import],
    libraries: &[String],
    allocator: Allocator,
) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |topic, text| found.push(Warning { topic, text });
    let names: BTreeSet<&str> = imports.iter().map(|i| i.name.as_str()).collect();
    for rule in &RULES {
        let seen: Vec<&str> = rule
            .names
            .iter()
            .copied()
            .filter(|n| names.contains(n))
            .collect();
        if !seen.is_empty() {
            warn(
                rule.topic,
                format!("it {} (imports {})", rule.meaning, seen.join(", ")),
            );
        }
    }
    if allocator == Allocator::Own {
        warn(
            "allocator",
            "it has a global allocator of its own, so the server cannot account for its memory"
                .to_owned(),
        );
    }
    let unwinds = names.iter().any(|n| n.starts_with("_Unwind_"));
    if unwinds && !names.contains("_Unwind_RaiseException") {
        warn(
            "panic",
            "it can catch an unwinding panic but never starts one: its standard library may be built to abort".to_owned(),
        );
    }
    let versioned = |l: &String| VERSIONED_LIBRARIES.contains(&l.as_str());
    if libraries.iter().all(versioned) {
        let nowhere = imports.iter().filter(|i| !i.weak && !i.versioned);
        let nowhere: Vec<&str> = nowhere.map(|i| i.name.as_str()).collect();
        if !nowhere.is_empty() {
            let text = format!(
                "none of the libraries it was linked with provides {}; loading it will fail if nothing else does",
                nowhere.join(", ")
            );
            warn("unresolved", text);
        }
    }
    let others: Vec<&str> = exports
        .iter()
        .map(String::as_str)
        .filter(|n| *n != ROOT_SYMBOL)
        .collect();
    if !others.is_empty() {
        let shown = &others[..others.len().min(EXPORTS_SHOWN)];
        let mut text = format!(
            "it exports more than the plugin's root: {}",
            shown.join(", ")
        );
        if others.len() > shown.len() {
            text.push_str(&format!(" and {} more", others.len() - shown.len()));
        }
        warn("exports", text);
    }
    found
}
