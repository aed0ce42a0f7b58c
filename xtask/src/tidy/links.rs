//! Relative links in Markdown: the file is there, and so is the heading.

use std::path::Path;

pub fn check(path: &Path, name: &str, text: &str, problems: &mut Vec<String>) {
    let dir = path.parent().expect("a file lies in a directory");
    for (line, link) in links(text) {
        let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
        let target = if file.is_empty() {
            path.to_path_buf()
        } else {
            dir.join(file)
        };
        if !target.exists() {
            problems.push(format!("{name}:{line}: dead link {link}"));
            continue;
        }
        if heading.is_empty() || target.extension().is_none_or(|e| e != "md") {
            continue;
        }
        let there = std::fs::read_to_string(&target).unwrap_or_default();
        if !headings(&there).iter().any(|h| h == heading) {
            problems.push(format!("{name}:{line}: no such heading: {link}"));
        }
    }
}

/// Relative targets of `[text](target)` outside code, with their line numbers.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for (at, _) in line.match_indices("](") {
            let in_code = line[..at].matches('`').count() % 2 == 1;
            let (target, _) = line[at + 2..].split_once(')').unwrap_or(("", ""));
            let target = target.split_whitespace().next().unwrap_or("");
            let absolute = target.contains("://") || target.starts_with("mailto:");
            if !in_code && !target.is_empty() && !absolute {
                found.push((number, target.to_string()));
            }
        }
    }
    found
}

/// Lines outside fenced code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

/// Anchors of all headings, as GitHub makes them.
fn headings(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let title = title.trim().to_lowercase().replace(' ', "-");
        let anchor: String = title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
            .collect();
        let again = anchors.iter().filter(|a| **a == anchor).count();
        anchors.push(if again == 0 {
            anchor
        } else {
            format!("{anchor}-{again}")
        });
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_in_prose_and_not_in_code() {
        let text = "See [a](b.md) and [`c`](d.rs#x), not `[e](f)` or [g](https://h).\n\
                    ```\n[i](j)\n```\n[k](l.md \"title\")\n";
        let found: Vec<_> = links(text)
            .into_iter()
            .map(|(n, l)| format!("{n} {l}"))
            .collect();
        assert_eq!(found, ["1 b.md", "1 d.rs#x", "5 l.md"]);
    }

    #[test]
    fn headings_become_anchors() {
        let text = "# The WAL: a log\n## 4. What's in it\n# The WAL: a log\n#not\n";
        assert_eq!(
            headings(text),
            ["the-wal-a-log", "4-whats-in-it", "the-wal-a-log-1"]
        );
    }
}
