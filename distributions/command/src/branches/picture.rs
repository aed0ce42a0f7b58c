//! The tree as a picture: a line for each branch, from left to right by when they began.
//!
//! Times are not to scale, since branches are made in bursts: each beginning has a column of its own, in order.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::tree::{Node, Tree};

const ROW: usize = 36;
const COLUMN: usize = 72;
const MARGIN: usize = 24;
/// Room for names behind the lines.
const NAMES: usize = 420;

const STYLE: &str = "text{font:13px sans-serif;fill:#222}.small{font-size:11px;fill:#666}\
line,path{stroke:#4a6fa5;stroke-width:2;fill:none}circle{fill:#4a6fa5}.tag{fill:#c98b1b}";

/// An SVG document.
pub fn svg(tree: &Tree) -> String {
    let order = tree.in_order();
    let scns: BTreeSet<u64> = order.iter().filter_map(|(_, node)| node.scn).collect();
    let column = |node: &Node| match node.scn {
        None => 0,
        Some(scn) => 1 + scns.range(..scn).count(),
    };
    let x = |node: &Node| MARGIN + column(node) * COLUMN;
    let y = |node: &Node| {
        let place = order.iter().position(|(_, other)| *other == node);
        MARGIN + place.unwrap_or(0) * ROW
    };
    let end = MARGIN + (scns.len() + 1) * COLUMN;
    let (width, height) = (end + NAMES, 2 * MARGIN + order.len().max(1) * ROW - ROW);
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Branches\"><style>{STYLE}</style>"
    );
    for (_, node) in &order {
        let (at, row) = (x(node), y(node));
        if let Some(parent) = tree.parent(node) {
            let above = y(parent);
            let _ = writeln!(out, "<path d=\"M{at} {above}V{row}\"/>");
        }
        let to = if node.is_tag() { at } else { end };
        if to > at {
            let _ = writeln!(
                out,
                "<line x1=\"{at}\" y1=\"{row}\" x2=\"{to}\" y2=\"{row}\"/>"
            );
        }
        let class = if node.is_tag() { " class=\"tag\"" } else { "" };
        let _ = writeln!(out, "<circle cx=\"{at}\" cy=\"{row}\" r=\"5\"{class}/>");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\">{}<tspan class=\"small\" dx=\"8\">{}</tspan></text>",
            to + 10,
            row + 4,
            escaped(&node.name),
            escaped(&about(node))
        );
    }
    out.push_str("</svg>\n");
    out
}

/// A page with the picture and a table.
pub fn html(tree: &Tree) -> String {
    let mut rows = String::new();
    for (_, node) in tree.in_order() {
        let parent = tree.parent(node).map_or("", |parent| parent.name.as_str());
        rows.push_str("<tr>");
        for cell in [
            node.name.as_str(),
            parent,
            node.began.as_deref().unwrap_or_default(),
            node.status.as_str(),
            node.size_mb.as_str(),
            node.owner.as_deref().unwrap_or_default(),
            node.expires.as_deref().unwrap_or_default(),
        ] {
            let _ = write!(rows, "<td>{}</td>", escaped(cell));
        }
        rows.push_str("</tr>\n");
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Branches</title>\n\
         <style>body{{font:14px sans-serif;margin:2em}}td,th{{text-align:left;padding:.2em 1em .2em 0}}</style></head><body>\n\
         <h1>Branches</h1>\n{}<table><tr><th>name</th><th>of</th><th>began</th><th>status</th><th>MB</th>\
         <th>owner</th><th>expires</th></tr>\n{rows}</table>\n</body></html>\n",
        svg(tree)
    )
}

fn about(node: &Node) -> String {
    let mut words = vec![node.status.clone()];
    words.extend(node.began.iter().map(|began| format!("since {began}")));
    words.push(format!("{} MB", node.size_mb));
    words.extend(
        node.expires
            .iter()
            .map(|expires| format!("until {expires}")),
    );
    words.join(", ")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::sample;
    use super::*;

    #[test]
    fn every_branch_has_a_line_and_hangs_on_its_parent() {
        let svg = svg(&sample());
        assert_eq!(svg.matches("<line").count(), 3, "a tag has none");
        assert_eq!(svg.matches("<path").count(), 3);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains("<path d=\"M240 96V132\"/>"), "{svg}");
    }

    #[test]
    fn names_are_text() {
        for drawn in [svg(&sample()), html(&sample())] {
            assert!(
                drawn.contains("a&lt;b") && !drawn.contains("a<b"),
                "{drawn}"
            );
        }
    }
}
