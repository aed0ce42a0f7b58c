//! Which of the plugins that were found start, in which order, and why the others do not.
//!
//! This is decided from manifests and settings alone; nothing is loaded yet. Rules:
//!
//! 1. A plugin that is switched off is left alone, whatever else is wrong with it.
//! 2. A requirement must be met by a plugin that starts, in a version of the range. Requirements
//!    start first; a circle of them starts nobody in it.
//! 3. Two plugins with one id, two that claim one SQL name, and two of which one declares a conflict
//!    cannot both start. A plugin that is linked into the server wins over a file; between two of the
//!    same origin nothing can say which one is meant, and neither starts. Both are named.
//! 4. The names of the kernel are nobody else's.
//! 5. A plugin that does not start claims nothing and meets no requirement. One exception: the codecs
//!    of a plugin that is switched off stay its own, because pages name a codec and not whose it is,
//!    and another plugin's codec of that name would be asked to read them.
//!
//! The outcome does not depend on the order in which the plugins were found.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use heliosdb_plugin_api::manifest::{Manifest, Requirement};

use crate::config::{Activation, OPTIONS};
use crate::lifecycle::State;
use crate::names::{Claim, NameKind, claims};
use crate::nearest::did_you_mean;

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Linked into the server.
    Bundled,
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Bundled => f.write_str("part of this server"),
            Origin::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// A plugin that was found.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    pub manifest: &'a Manifest,
    pub origin: Origin,
    pub activation: Activation,
    /// Something else already speaks against it.
    pub refused: Option<(State, String)>,
}

/// What becomes of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Start,
    Not(State, String),
}

/// What becomes of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// One for each candidate.
    pub outcomes: Vec<Outcome>,
    /// The candidates that start, each after those it requires; else bundled ones first, by id.
    pub order: Vec<usize>,
}

/// The kernel's own names: functions, types, codecs and so on by name, commands and clauses by their
/// leading keywords.
pub type IsBuiltin<'a> = &'a dyn Fn(NameKind, &str) -> bool;

pub fn resolve(candidates: &[Candidate<'_>], is_builtin: IsBuiltin<'_>) -> Resolution {
    let mut resolver = Resolver {
        candidates,
        claims: candidates.iter().map(|c| claims(c.manifest)).collect(),
        outcomes: candidates.iter().map(first_outcome).collect(),
    };
    resolver.refuse_twins();
    resolver.refuse_builtin_names(is_builtin);
    resolver.refuse_codecs_of_others();
    // Every round but the last refuses somebody, so there are at most as many as candidates.
    loop {
        resolver.refuse_unmet();
        if let Some(circle) = resolver.circle() {
            resolver.refuse_circle(&circle);
        } else if !resolver.refuse_clashes() {
            break;
        }
    }
    Resolution {
        order: resolver.order(),
        outcomes: resolver.outcomes,
    }
}

fn first_outcome(candidate: &Candidate<'_>) -> Outcome {
    let id = &candidate.manifest.id;
    if candidate.activation == Activation::Off {
        let reason = "switched off by activation = \"off\"".to_owned();
        Outcome::Not(State::Disabled, reason)
    } else if let Some((state, reason)) = &candidate.refused {
        Outcome::Not(*state, reason.clone())
    } else if OPTIONS.contains(&id.as_str()) {
        let reason = format!("\"{id}\" is an option of [plugins] and cannot be the id of a plugin");
        Outcome::Not(State::Failed, reason)
    } else {
        Outcome::Start
    }
}

struct Resolver<'a> {
    candidates: &'a [Candidate<'a>],
    claims: Vec<Vec<Claim>>,
    outcomes: Vec<Outcome>,
}

impl Resolver<'_> {
    fn starts(&self, i: usize) -> bool {
        self.outcomes[i] == Outcome::Start
    }

    fn starting(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.candidates.len()).filter(|i| self.starts(*i))
    }

    fn refuse(&mut self, i: usize, reason: String) {
        self.outcomes[i] = Outcome::Not(State::Failed, reason);
    }

    fn id(&self, i: usize) -> &str {
        &self.candidates[i].manifest.id
    }

    /// `plugin "b" 1.0.0 (file /x/b.so)`
    fn describe(&self, i: usize) -> String {
        let Candidate {
            manifest, origin, ..
        } = &self.candidates[i];
        format!("plugin \"{}\" {} ({origin})", manifest.id, manifest.version)
    }

    /// Of two that cannot both start, the ones that do not. `why` is given the other's description.
    fn refuse_pair(&mut self, a: usize, b: usize, why: impl Fn(String) -> String) {
        let bundled = |i: usize| self.candidates[i].origin == Origin::Bundled;
        let (keep_a, keep_b) = (bundled(a) && !bundled(b), bundled(b) && !bundled(a));
        let (of_a, of_b) = (why(self.describe(b)), why(self.describe(a)));
        if !keep_a {
            self.refuse(a, of_a);
        }
        if !keep_b {
            self.refuse(b, of_b);
        }
    }

    fn pairs(&self, matches: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
        let starting: Vec<usize> = self.starting().collect();
        let mut pairs = Vec::new();
        for (n, a) in starting.iter().enumerate() {
            for b in &starting[n + 1..] {
                if matches(*a, *b) {
                    pairs.push((*a, *b));
                }
            }
        }
        pairs
    }

    fn refuse_twins(&mut self) {
        for (a, b) in self.pairs(|a, b| self.id(a) == self.id(b)) {
            self.refuse_pair(a, b, |other| format!("{other} has the same id"));
        }
    }

    fn refuse_builtin_names(&mut self, is_builtin: IsBuiltin<'_>) {
        for i in self.starting().collect::<Vec<_>>() {
            let taken = self.claims[i].iter().find(|c| is_builtin(c.kind, &c.name));
            if let Some(claim) = taken {
                let reason = format!("it claims the {claim}, which the server itself has");
                self.refuse(i, reason);
            }
        }
    }

    /// Rule 5's exception.
    fn refuse_codecs_of_others(&mut self) {
        let off = |i: &usize| matches!(self.outcomes[*i], Outcome::Not(State::Disabled, _));
        let off: Vec<usize> = (0..self.candidates.len()).filter(off).collect();
        for i in self.starting().collect::<Vec<_>>() {
            let taken = off.iter().find_map(|j| {
                let codecs = self.claims[*j].iter().filter(|c| c.kind == NameKind::Codec);
                let mut codecs = codecs.filter(|c| self.claims[i].contains(c));
                Some((*j, codecs.next()?.to_string()))
            });
            if let Some((j, codec)) = taken {
                let other = self.describe(j);
                self.refuse(
                    i,
                    format!("{other} has the {codec} too, and reads with it while it is off"),
                );
            }
        }
    }

    /// Refuse until every requirement of those that start is met by one that starts.
    fn refuse_unmet(&mut self) {
        loop {
            let unmet = self.starting().find_map(|i| {
                let requires = &self.candidates[i].manifest.requires;
                let reason = requires.iter().find_map(|r| self.unmet(r))?;
                Some((i, reason))
            });
            match unmet {
                Some((i, reason)) => self.refuse(i, reason),
                None => return,
            }
        }
    }

    fn unmet(&self, requirement: &Requirement) -> Option<String> {
        let Requirement { plugin, version } = requirement;
        let named = (0..self.candidates.len()).filter(|i| self.id(*i) == plugin);
        let named: Vec<usize> = named.collect();
        let wanted = format!("it requires plugin \"{plugin}\" {version}");
        let wanted = wanted.trim_end();
        if let Some(found) = named.iter().find(|i| self.starts(**i)) {
            let found = self.candidates[*found].manifest.version;
            return (!version.contains(found)).then(|| format!("{wanted}, and {found} is here"));
        }
        let Some(found) = named.first() else {
            let ids = (0..self.candidates.len()).map(|i| self.id(i));
            return Some(format!(
                "{wanted}, which is not here{}",
                did_you_mean(plugin, ids)
            ));
        };
        match &self.outcomes[*found] {
            Outcome::Not(State::Disabled, _) => Some(format!("{wanted}, which is switched off")),
            Outcome::Not(_, reason) => Some(format!("{wanted}, which cannot start: {reason}")),
            Outcome::Start => None,
        }
    }

    /// The candidates that `i` requires and that start; complete once nothing is unmet.
    fn requirements(&self, i: usize) -> impl Iterator<Item = usize> + '_ {
        let requires = &self.candidates[i].manifest.requires;
        requires
            .iter()
            .filter_map(|r| self.starting().find(|j| self.id(*j) == r.plugin))
    }

    /// Some plugins that require each other in a circle.
    fn circle(&self) -> Option<Vec<usize>> {
        let done: BTreeSet<usize> = self.order().into_iter().collect();
        let rest = |i: &usize| !done.contains(i);
        // Each of the rest requires another of the rest, so the walk ends where it has been.
        let mut walk = vec![self.starting().find(rest)?];
        loop {
            let last = *walk.last()?;
            let next = self.requirements(last).find(rest)?;
            if let Some(start) = walk.iter().position(|i| *i == next) {
                return Some(walk.split_off(start));
            }
            walk.push(next);
        }
    }

    fn refuse_circle(&mut self, circle: &[usize]) {
        let mut ids: Vec<&str> = circle.iter().map(|i| self.id(*i)).collect();
        ids.extend(ids.first().copied());
        let reason = format!(
            "plugins require each other in a circle: {}",
            ids.join(" → ")
        );
        for i in circle {
            self.refuse(*i, reason.clone());
        }
    }

    /// Declared conflicts and names that two claim; true if somebody was refused.
    fn refuse_clashes(&mut self) -> bool {
        let declares = |a: usize, b: usize| {
            let conflicts = &self.candidates[a].manifest.conflicts;
            conflicts.iter().any(|id| id == self.id(b))
        };
        let conflicts = self.pairs(|a, b| declares(a, b) || declares(b, a));
        let shared = |a: usize, b: usize| {
            let mut claims = self.claims[a].iter();
            claims.find(|x| self.claims[b].iter().any(|y| x.clashes(y)))
        };
        let clashes = self.pairs(|a, b| shared(a, b).is_some());
        let clashes = clashes.into_iter().filter_map(|(a, b)| {
            let claim = shared(a, b)?.to_string();
            Some((a, b, claim))
        });
        let clashes: Vec<(usize, usize, String)> = clashes.collect();
        for (a, b) in &conflicts {
            self.refuse_pair(*a, *b, |other| format!("it conflicts with {other}"));
        }
        for (a, b, claim) in &clashes {
            self.refuse_pair(*a, *b, |other| format!("{other} claims the {claim} too"));
        }
        !conflicts.is_empty() || !clashes.is_empty()
    }

    /// Requirements first; plugins of a circle, and those that require one of them, are left out.
    fn order(&self) -> Vec<usize> {
        let mut left: Vec<usize> = self.starting().collect();
        left.sort_by_key(|i| (self.candidates[*i].origin != Origin::Bundled, self.id(*i)));
        let mut order = Vec::new();
        loop {
            let ready = |i: &usize| self.requirements(*i).all(|r| order.contains(&r));
            let Some(place) = left.iter().position(ready) else {
                return order;
            };
            order.push(left.remove(place));
        }
    }
}
