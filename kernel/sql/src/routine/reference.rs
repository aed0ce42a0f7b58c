//! What a call may mean, as the name that the planner knows it by.
//!
//! Such a name begins with a zero byte, which no text that is parsed has. So nothing that a user names can be
//! taken for one, and a name without it is that of something built in.

use sqlparser::tokenizer::Location;

use crate::catalog::Oid;
use crate::catalog::model::RoutineKind;

/// Begins a name of ours, and is between its parts.
const MARK: char = '\0';

/// In front of the name of a procedure that CALL names.
pub(crate) const CALLED: &str = "\0call";

/// The name of an argument that is the array of a variadic parameter.
pub(crate) const SPREAD: &str = "\0variadic";

/// Where a call stands in its statement: line and column of the last part of its name.
pub(crate) type Site = (u64, u64);

pub(crate) fn site(at: Location) -> Option<Site> {
    (at.line > 0).then_some((at.line, at.column))
}

/// The routines that a call may mean, and what it says of its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub kind: RoutineKind,
    /// `None`: along the search path, together with what is built in.
    pub schema: Option<String>,
    /// Of one that was chosen before.
    pub oid: Option<Oid>,
    pub name: String,
    /// How many arguments there are.
    pub count: usize,
    /// The names of the last ones.
    pub labels: Vec<String>,
    /// The last one is the array of a variadic parameter.
    pub spread: bool,
    pub site: Option<Site>,
}

impl Reference {
    pub fn encode(&self) -> String {
        let kind = match self.kind {
            RoutineKind::Function => "f",
            RoutineKind::Procedure => "p",
        };
        let oid = self.oid.map(|oid| oid.to_string()).unwrap_or_default();
        let site = self.site.map(|(line, column)| format!("{line}:{column}"));
        let count = self.count.to_string();
        let mut parts = vec![
            "",
            kind,
            self.schema.as_deref().unwrap_or_default(),
            &oid,
            &self.name,
            &count,
            if self.spread { "s" } else { "" },
            site.as_deref().unwrap_or_default(),
        ];
        parts.extend(self.labels.iter().map(String::as_str));
        parts.join("\0")
    }

    /// The reference that a planner's name is; `$` before it stands for the array of rows.
    pub fn decode(name: &str) -> Option<Reference> {
        let name = name.strip_prefix('$').unwrap_or(name);
        let mut parts = name.strip_prefix(MARK)?.split(MARK);
        let mut next = || parts.next();
        let kind = match next()? {
            "f" => RoutineKind::Function,
            "p" => RoutineKind::Procedure,
            _ => return None,
        };
        let schema = next()?;
        let oid = next()?.parse().ok();
        let name = next()?.to_owned();
        let count = next()?.parse().ok()?;
        let spread = next()? == "s";
        let site = next()?
            .split_once(':')
            .and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
        Some(Reference {
            kind,
            schema: (!schema.is_empty()).then(|| schema.to_owned()),
            oid,
            name,
            count,
            spread,
            site,
            labels: parts.map(str::to_owned).collect(),
        })
    }

    /// The same at no place: calls that mean the same are equal.
    pub fn anywhere(&self) -> Reference {
        Reference {
            site: None,
            ..self.clone()
        }
    }
}

/// Whether the planner calls routines of users so.
pub(crate) fn is_reference(name: &str) -> bool {
    name.strip_prefix('$').unwrap_or(name).starts_with(MARK)
}

/// The name that a user knows in what the planner calls a function.
pub(crate) fn shown(name: &str) -> String {
    match Reference::decode(name) {
        Some(reference) => shown_reference(&reference),
        None => name.trim_start_matches('$').to_owned(),
    }
}

/// The same without a schema.
pub(crate) fn bare(name: &str) -> String {
    match Reference::decode(name) {
        Some(reference) => reference.name,
        None => name.to_owned(),
    }
}

/// A text of the planner with the names that users know.
pub(crate) fn shown_in(text: String) -> String {
    /// The zero bytes of a name at no place and without labels, as it is once a routine is chosen.
    const MARKS: usize = 7;
    if !text.contains(MARK) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(MARK) {
        let (before, from) = rest.split_at(start);
        let end = from.match_indices(MARK).nth(MARKS - 1);
        let name = end.map(|(end, _)| &from[..=end]);
        let Some((name, reference)) = name.and_then(|n| Some((n, Reference::decode(n)?))) else {
            break;
        };
        shown.push_str(before.strip_suffix('$').unwrap_or(before));
        shown.push_str(&shown_reference(&reference));
        rest = &from[name.len()..];
    }
    shown.push_str(rest);
    shown
}

fn shown_reference(reference: &Reference) -> String {
    match &reference.schema {
        Some(schema) => format!("{schema}.{}", reference.name),
        None => reference.name.clone(),
    }
}

/// Types of arguments as messages have them, with the names that a call gives.
pub(crate) fn labelled(name: &str, types: &[&str]) -> String {
    let labels = Reference::decode(name)
        .map(|r| r.labels)
        .unwrap_or_default();
    let plain = types.len().saturating_sub(labels.len());
    let types = types.iter().enumerate().map(|(at, ty)| {
        match at.checked_sub(plain).and_then(|at| labels.get(at)) {
            Some(label) => format!("{label} => {ty}"),
            None => (*ty).to_owned(),
        }
    });
    types.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_what_its_name_says() {
        let reference = Reference {
            kind: RoutineKind::Procedure,
            schema: Some("a.b\u{1}".to_owned()),
            oid: Some(16_400),
            name: "$f".to_owned(),
            count: 3,
            labels: vec!["x".to_owned(), "y z".to_owned()],
            spread: true,
            site: Some((2, 7)),
        };
        let name = reference.encode();
        assert_eq!(Reference::decode(&name).as_ref(), Some(&reference));
        assert_eq!(
            Reference::decode(&format!("${name}")),
            Some(reference.clone())
        );
        assert_eq!(shown("$lower"), "lower");
        assert_eq!(Reference::decode("lower"), None);
        let chosen = Reference {
            labels: Vec::new(),
            ..reference.anywhere()
        };
        let (name, plain) = (chosen.encode(), "Filter: x".to_owned());
        let text = format!("Filter: ${name}(a) > {name}(b)");
        assert_eq!(shown_in(text), "Filter: a.b\u{1}.$f(a) > a.b\u{1}.$f(b)");
        assert_eq!(shown_in(plain.clone()), plain);
    }
}
