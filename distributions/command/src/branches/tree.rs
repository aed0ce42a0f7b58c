//! The tree of branches, and its text.

use std::fmt;

use crate::client::TextRow;

/// Gives the rows that [`Tree::of`] takes.
pub const QUERY: &str = "SELECT branch_name, branch_id, parent_id, fork_point_lsn, \
     helios_timestamp(fork_point_lsn), status, round(size_mb::numeric, 1), owner, is_current, expires_at \
     FROM pg_database_branches() ORDER BY fork_point_lsn NULLS FIRST, branch_id";

/// A branch, or a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    id: String,
    parent: Option<String>,
    /// Where it began: an SCN, and the time of that.
    pub scn: Option<u64>,
    pub began: Option<String>,
    /// `active`, `protected` or `tag`.
    pub status: String,
    pub size_mb: String,
    pub owner: Option<String>,
    pub is_current: bool,
    pub expires: Option<String>,
}

impl Node {
    pub fn is_tag(&self) -> bool {
        self.status == "tag"
    }
}

/// All of them: parents come before what began on them.
#[derive(Clone, Debug, Default)]
pub struct Tree(Vec<Node>);

impl Tree {
    /// Rows of [`QUERY`].
    pub fn of(rows: Vec<TextRow>) -> Tree {
        let node = |row: TextRow| {
            let mut values = row.into_iter();
            let mut next = || values.next().flatten();
            Node {
                name: next().unwrap_or_default(),
                id: next().unwrap_or_default(),
                parent: next(),
                scn: next().and_then(|scn| scn.parse().ok()),
                began: next(),
                status: next().unwrap_or_default(),
                size_mb: next().unwrap_or_default(),
                owner: next(),
                is_current: next().as_deref() == Some("t"),
                expires: next(),
            }
        };
        Tree(rows.into_iter().map(node).collect())
    }

    /// Every node with how deep it is, each behind its parent, siblings by when they began.
    pub fn in_order(&self) -> Vec<(usize, &Node)> {
        let mut found = Vec::with_capacity(self.0.len());
        let is_known = |id: &str| self.0.iter().any(|node| node.id == id);
        // What goes on from one that is not shown stands by itself.
        let roots = self.0.iter().filter(|node| match &node.parent {
            None => true,
            Some(parent) => !is_known(parent),
        });
        let mut open: Vec<(usize, &Node)> = roots.map(|root| (0, root)).collect();
        open.reverse();
        while let Some((depth, node)) = open.pop() {
            found.push((depth, node));
            let children: Vec<&Node> = self.children(node).collect();
            open.extend(children.into_iter().rev().map(|child| (depth + 1, child)));
        }
        found
    }

    pub fn parent(&self, node: &Node) -> Option<&Node> {
        let parent = node.parent.as_ref()?;
        self.0.iter().find(|other| other.id == *parent)
    }

    fn children<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Node> {
        let is_child = |other: &&Node| other.parent.as_ref() == Some(&node.id);
        self.0.iter().filter(is_child)
    }

    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        node: &Node,
        (own, below): (&str, &str),
        width: usize,
    ) -> fmt::Result {
        let mark = if node.is_current { " *" } else { "" };
        let label = format!("{own}{}{mark}", node.name);
        write!(f, "{label:width$}")?;
        if let Some(began) = &node.began {
            write!(f, "  {began}")?;
        }
        write!(f, "  {}  {} MB", node.status, node.size_mb)?;
        if let Some(expires) = &node.expires {
            write!(f, "  until {expires}")?;
        }
        writeln!(f)?;
        let children: Vec<&Node> = self.children(node).collect();
        for (place, child) in children.iter().enumerate() {
            let (own, rest) = match place + 1 == children.len() {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            let lines = (format!("{below}{own}"), format!("{below}{rest}"));
            self.write(f, child, (&lines.0, &lines.1), width)?;
        }
        Ok(())
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = self.in_order();
        let label = |(depth, node): &(usize, &Node)| {
            depth * 3 + node.name.chars().count() + if node.is_current { 2 } else { 0 }
        };
        let width = order.iter().map(label).max().unwrap_or(0);
        for (_, root) in order.iter().filter(|(depth, _)| *depth == 0) {
            self.write(f, root, ("", ""), width)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// main with a branch, a branch of that, and a tag that was made before both.
    pub fn sample() -> Tree {
        let row = |values: [&str; 10]| -> TextRow {
            let value = |value: &str| (!value.is_empty()).then(|| value.to_owned());
            values.into_iter().map(value).collect()
        };
        Tree::of(vec![
            row(["main", "1", "", "", "", "active", "12.0", "", "t", ""]),
            row(["v1", "4", "1", "100", "10:00", "tag", "0.0", "ann", "f", ""]),
            row([
                "dev",
                "2",
                "1",
                "200",
                "11:00",
                "protected",
                "1.5",
                "ann",
                "f",
                "",
            ]),
            row([
                "a<b", "3", "2", "300", "12:00", "active", "0.1", "bob", "f", "13:00",
            ]),
        ])
    }

    #[test]
    fn a_tree_is_drawn_with_lines() {
        let text = "\
main *      active  12.0 MB
├─ v1       10:00  tag  0.0 MB
└─ dev      11:00  protected  1.5 MB
   └─ a<b   12:00  active  0.1 MB  until 13:00
";
        let drawn = sample().to_string();
        let words = |text: &str| -> Vec<String> {
            let lines = text.lines();
            lines
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect()
        };
        assert_eq!(words(&drawn), words(text));
        let columns: Vec<usize> = drawn.lines().skip(1).filter_map(|l| l.find(':')).collect();
        assert_eq!(drawn.lines().count(), 4);
        assert_eq!(columns.len(), 3);
    }

    #[test]
    fn a_branch_of_one_that_is_not_shown_stands_by_itself() {
        let row = ["lost", "7", "6", "5", "", "active", "0.0", "", "f", ""];
        let row = row
            .iter()
            .map(|v| (!v.is_empty()).then(|| (*v).to_owned()))
            .collect();
        assert_eq!(Tree::of(vec![row]).in_order().len(), 1);
    }
}
