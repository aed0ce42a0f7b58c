//! The canonical text of a path: PostgreSQL's `printJsonPathItem`, with its brackets.

use std::fmt::{Display, Formatter, Result, Write};

use super::{Binary, Flags, Item, JsonPath, LEVEL_LAST, Node, with_room};
use crate::types::jsonb::{Json, write_string};

impl Display for JsonPath {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if !self.lax {
            f.write_str("strict ")?;
        }
        item(&self.root, true, f)
    }
}

/// How tightly an item holds; one that holds no tighter than what it stands in has brackets.
fn priority(node: &Node) -> u8 {
    match node {
        Node::Binary(op, _, _) => match op {
            Binary::Or => 0,
            Binary::And => 1,
            Binary::Add | Binary::Sub => 3,
            Binary::Mul | Binary::Div | Binary::Mod => 4,
            _ => 2,
        },
        Node::Plus(_) | Node::Minus(_) => 5,
        _ => 6,
    }
}

fn quoted(text: &str, f: &mut Formatter<'_>) -> Result {
    let mut out = String::new();
    write_string(text, &mut out);
    f.write_str(&out)
}

fn item(item: &Item, brackets: bool, f: &mut Formatter<'_>) -> Result {
    let has_next = item.0.len() > 1;
    for (place, it) in item.0.iter().enumerate() {
        with_room(|| node(it, place > 0, has_next, brackets || place > 0, f))?;
    }
    Ok(())
}

fn operand(of: &Node, operand: &Item, f: &mut Formatter<'_>) -> Result {
    let brackets = operand
        .0
        .first()
        .is_some_and(|o| priority(o) <= priority(of));
    item(operand, brackets, f)
}

/// `follows` another node, as a key does a root.
fn node(
    node: &Node,
    follows: bool,
    has_next: bool,
    brackets: bool,
    f: &mut Formatter<'_>,
) -> Result {
    let open = |f: &mut Formatter<'_>| if brackets { f.write_char('(') } else { Ok(()) };
    let close = |f: &mut Formatter<'_>| if brackets { f.write_char(')') } else { Ok(()) };
    match node {
        Node::Scalar(Json::Number(n)) if has_next => write!(f, "({n})"),
        Node::Scalar(value) => write!(f, "{value}"),
        Node::Variable(name) => {
            f.write_char('$')?;
            quoted(name, f)
        }
        Node::Root => f.write_char('$'),
        Node::Current => f.write_char('@'),
        Node::Last => f.write_str("last"),
        Node::Key(key) => {
            if follows {
                f.write_char('.')?;
            }
            quoted(key, f)
        }
        Node::AnyKey => f.write_str(if follows { ".*" } else { "*" }),
        Node::AnyArray => f.write_str("[*]"),
        Node::Index(places) => {
            f.write_char('[')?;
            for (i, (from, to)) in places.iter().enumerate() {
                if i > 0 {
                    f.write_char(',')?;
                }
                item(from, false, f)?;
                if let Some(to) = to {
                    f.write_str(" to ")?;
                    item(to, false, f)?;
                }
            }
            f.write_char(']')
        }
        Node::Any { first, last } => {
            f.write_str(if follows { ".**" } else { "**" })?;
            match (*first, *last) {
                (0, LEVEL_LAST) => Ok(()),
                (LEVEL_LAST, LEVEL_LAST) => f.write_str("{last}"),
                (first, last) if first == last => write!(f, "{{{first}}}"),
                (LEVEL_LAST, last) => write!(f, "{{last to {last}}}"),
                (first, LEVEL_LAST) => write!(f, "{{{first} to last}}"),
                (first, last) => write!(f, "{{{first} to {last}}}"),
            }
        }
        Node::Method(method) => write!(f, ".{}()", method.name()),
        Node::Datetime(None) => f.write_str(".datetime()"),
        Node::Datetime(Some(template)) => {
            f.write_str(".datetime(")?;
            quoted(template, f)?;
            f.write_char(')')
        }
        Node::Filter(condition) => {
            f.write_str("?(")?;
            item(condition, false, f)?;
            f.write_char(')')
        }
        Node::Exists(path) => {
            f.write_str("exists (")?;
            item(path, false, f)?;
            f.write_char(')')
        }
        Node::Not(condition) => {
            f.write_str("!(")?;
            item(condition, false, f)?;
            f.write_char(')')
        }
        Node::IsUnknown(condition) => {
            f.write_char('(')?;
            item(condition, false, f)?;
            f.write_str(") is unknown")
        }
        Node::Plus(of) | Node::Minus(of) => {
            open(f)?;
            f.write_char(if matches!(node, Node::Plus(_)) {
                '+'
            } else {
                '-'
            })?;
            operand(node, of, f)?;
            close(f)
        }
        Node::Binary(op, left, right) => {
            open(f)?;
            operand(node, left, f)?;
            write!(f, " {} ", op.symbol())?;
            operand(node, right, f)?;
            close(f)
        }
        Node::LikeRegex(of, pattern) => {
            open(f)?;
            operand(node, of, f)?;
            f.write_str(" like_regex ")?;
            quoted(&pattern.source, f)?;
            flags(pattern.flags, f)?;
            close(f)
        }
    }
}

fn flags(flags: Flags, f: &mut Formatter<'_>) -> Result {
    let all = [
        (flags.case_insensitive, 'i'),
        (flags.dot_all, 's'),
        (flags.multi_line, 'm'),
        (flags.expanded, 'x'),
        (flags.quoted, 'q'),
    ];
    if all.iter().any(|(set, _)| *set) {
        let letters = all.iter().filter(|(set, _)| *set).map(|(_, letter)| letter);
        write!(f, " flag \"{}\"", letters.collect::<String>())?;
    }
    Ok(())
}
