//! The simulated directory tree: which names lead to which files, now and after a crash.
//!
//! A change of names is atomic while the machine runs. Until `sync_dir` of the directory, a crash
//! may keep or lose it; a rename across two directories is made durable by syncing both, one half
//! each.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};

/// Identity of a file whatever its name; never reused.
pub type FileId = u64;

type Entries = BTreeMap<String, FileId>;

/// Directories by name (`""` is the root) and their files.
#[derive(Clone, Debug)]
pub struct Tree(BTreeMap<String, Entries>);

/// One name (dir, file) and what it leads to afterwards; or a new directory.
#[derive(Clone, Debug)]
enum Effect {
    Entry {
        dir: String,
        file: String,
        to: Option<FileId>,
    },
    MakeDir {
        dir: String,
    },
    /// Of a directory without files.
    RemoveDir {
        dir: String,
    },
}

impl Effect {
    /// Whether both decide what one name leads to.
    fn same_place(&self, other: &Effect) -> bool {
        match (self, other) {
            (
                Effect::Entry { dir, file, .. },
                Effect::Entry {
                    dir: d, file: f, ..
                },
            ) => (dir, file) == (d, f),
            (Effect::Entry { .. }, _) | (_, Effect::Entry { .. }) => false,
            (
                Effect::MakeDir { dir } | Effect::RemoveDir { dir },
                Effect::MakeDir { dir: other } | Effect::RemoveDir { dir: other },
            ) => dir == other,
        }
    }

    /// The directory whose sync makes this durable.
    fn held_by(&self) -> &str {
        match self {
            Effect::Entry { dir, .. } => dir,
            Effect::MakeDir { dir } | Effect::RemoveDir { dir } => parent(dir),
        }
    }
}

/// A change of names that no successful `sync_dir` has covered yet.
#[derive(Clone, Debug)]
pub struct NameOp {
    pub seq: u64,
    effects: Vec<Effect>,
    poisoned: bool,
}

/// Names as the process sees them, as the disk has them, and the changes in between.
#[derive(Clone, Debug)]
pub struct Names {
    live: Tree,
    durable: Tree,
    pending: Vec<NameOp>,
}

impl Tree {
    fn new() -> Tree {
        Tree(BTreeMap::from([(String::new(), Entries::new())]))
    }

    fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::MakeDir { dir } => {
                self.0.entry(dir.clone()).or_default();
            }
            Effect::RemoveDir { dir } => {
                self.0.remove(dir);
            }
            Effect::Entry { dir, file, to } => {
                let entries = self.0.entry(dir.clone()).or_default();
                match to {
                    Some(id) => entries.insert(file.clone(), *id),
                    None => entries.remove(file),
                };
            }
        }
    }

    pub fn get(&self, name: &str) -> Result<FileId> {
        let (dir, file) = split(name)?;
        let entries = self.0.get(dir).ok_or_else(|| not_found(dir))?;
        entries.get(file).copied().ok_or_else(|| not_found(name))
    }

    pub fn list(&self, dir: &str) -> Result<Vec<String>> {
        Ok(self
            .0
            .get(dir)
            .ok_or_else(|| not_found(dir))?
            .keys()
            .cloned()
            .collect())
    }

    /// Every file, with its full name.
    pub fn files(&self) -> Vec<(String, FileId)> {
        let mut files = Vec::new();
        for (dir, entries) in &self.0 {
            for (file, id) in entries {
                let name = if dir.is_empty() {
                    file.clone()
                } else {
                    format!("{dir}/{file}")
                };
                files.push((name, *id));
            }
        }
        files
    }

    fn ids(&self, ids: &mut BTreeSet<FileId>) {
        for entries in self.0.values() {
            ids.extend(entries.values());
        }
    }
}

impl Names {
    pub fn new() -> Names {
        Names {
            live: Tree::new(),
            durable: Tree::new(),
            pending: Vec::new(),
        }
    }

    /// What a machine finds after a crash: nothing of it is in doubt any more.
    pub fn settled(tree: Tree) -> Names {
        Names {
            live: tree.clone(),
            durable: tree,
            pending: Vec::new(),
        }
    }

    pub fn live(&self) -> &Tree {
        &self.live
    }

    pub fn create(&mut self, seq: u64, name: &str, id: FileId) -> Result<()> {
        self.vacant(name)?;
        let (dir, file) = split(name)?;
        self.push(seq, vec![entry(dir, file, Some(id))]);
        Ok(())
    }

    /// Whether `name` may be created: its directory exists and the name does not.
    pub fn vacant(&self, name: &str) -> Result<()> {
        match self.live.get(name) {
            Ok(_) => Err(Error::new(ErrorKind::AlreadyExists, name.to_string())),
            Err(_) => {
                let (dir, _) = split(name)?;
                self.live
                    .0
                    .get(dir)
                    .map(|_| ())
                    .ok_or_else(|| not_found(dir))
            }
        }
    }

    pub fn has_dir(&self, dir: &str) -> bool {
        self.live.0.contains_key(dir)
    }

    pub fn make_dir(&mut self, seq: u64, dir: &str) {
        self.push(
            seq,
            vec![Effect::MakeDir {
                dir: dir.to_string(),
            }],
        );
    }

    /// A directory that is there, and was when the machine started.
    pub fn had_dir(&mut self, dir: &str) {
        for tree in [&mut self.live, &mut self.durable] {
            tree.0.entry(dir.to_string()).or_default();
        }
    }

    pub fn remove_dir(&mut self, seq: u64, dir: &str) {
        let dir = dir.to_string();
        self.push(seq, vec![Effect::RemoveDir { dir }]);
    }

    pub fn rename(&mut self, seq: u64, from: &str, to: &str) -> Result<()> {
        let id = self.live.get(from)?;
        let (from_dir, from_file) = split(from)?;
        let (to_dir, to_file) = split(to)?;
        if !self.has_dir(to_dir) {
            return Err(not_found(to_dir));
        }
        if from != to {
            let gone = entry(from_dir, from_file, None);
            self.push(seq, vec![gone, entry(to_dir, to_file, Some(id))]);
        }
        Ok(())
    }

    /// A second name for a file.
    pub fn link(&mut self, seq: u64, from: &str, to: &str) -> Result<()> {
        let id = self.live.get(from)?;
        self.create(seq, to, id)
    }

    pub fn remove(&mut self, seq: u64, name: &str) -> Result<()> {
        self.live.get(name)?;
        let (dir, file) = split(name)?;
        self.push(seq, vec![entry(dir, file, None)]);
        Ok(())
    }

    fn push(&mut self, seq: u64, effects: Vec<Effect>) {
        for effect in &effects {
            self.live.apply(effect);
        }
        self.pending.push(NameOp {
            seq,
            effects,
            poisoned: false,
        });
    }

    pub fn sync(&mut self, dir: &str) -> Result<()> {
        if !self.has_dir(dir) {
            return Err(not_found(dir));
        }
        let mut settled = Vec::new();
        for op in self.pending.iter_mut().filter(|op| !op.poisoned) {
            let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut op.effects)
                .into_iter()
                .partition(|e| e.held_by() == dir);
            for effect in &now {
                self.durable.apply(effect);
            }
            op.effects = later;
            settled.extend(now.into_iter().map(|effect| (op.seq, effect)));
        }
        // What was left in doubt before is settled by a later change of the same name.
        for op in self.pending.iter_mut().filter(|op| op.poisoned) {
            let seq = op.seq;
            op.effects.retain(|old| {
                !settled
                    .iter()
                    .any(|(later, new)| *later > seq && new.same_place(old))
            });
        }
        self.pending.retain(|op| !op.effects.is_empty());
        Ok(())
    }

    /// A sync of `dir` failed: its pending changes stay in doubt for ever.
    pub fn poison(&mut self, dir: &str) {
        for op in &mut self.pending {
            op.poisoned |= op.effects.iter().any(|e| e.held_by() == dir);
        }
    }

    pub fn pending_seqs(&self) -> impl Iterator<Item = u64> + '_ {
        self.pending.iter().map(|op| op.seq)
    }

    /// The durable tree with those pending changes that `keep` keeps, each whole or not at all.
    pub fn after_crash(&self, mut keep: impl FnMut(u64) -> bool) -> Tree {
        let mut tree = self.durable.clone();
        let mut lost_dirs = BTreeSet::new();
        for op in &self.pending {
            let kept = keep(op.seq);
            for effect in &op.effects {
                match effect {
                    Effect::MakeDir { dir } if !kept => {
                        lost_dirs.insert(dir);
                    }
                    _ if kept => tree.apply(effect),
                    _ => {}
                }
            }
        }
        // A directory whose own name is lost takes its entries with it, synced or not.
        let is_lost = |dir: &str| lost_dirs.iter().any(|lost| lost.as_str() == dir);
        tree.0.retain(|dir, _| !ancestors(dir).any(is_lost));
        tree
    }

    /// Files that some name, present or possible after a crash, leads to.
    pub fn reachable(&self) -> BTreeSet<FileId> {
        let mut ids = BTreeSet::new();
        self.live.ids(&mut ids);
        self.durable.ids(&mut ids);
        for op in &self.pending {
            for effect in &op.effects {
                if let Effect::Entry { to: Some(id), .. } = effect {
                    ids.insert(*id);
                }
            }
        }
        ids
    }
}

fn entry(dir: &str, file: &str, to: Option<FileId>) -> Effect {
    Effect::Entry {
        dir: dir.to_string(),
        file: file.to_string(),
        to,
    }
}

/// The directory that `dir` is in; the root is in itself.
pub fn parent(dir: &str) -> &str {
    dir.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// `dir` and all that it is in, but for the root.
fn ancestors(dir: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(dir), |dir| Some(parent(dir))).take_while(|dir| !dir.is_empty())
}

/// A name as (directory, file), no component of which is empty or special.
fn split(name: &str) -> Result<(&str, &str)> {
    let (dir, file) = name.rsplit_once('/').unwrap_or(("", name));
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if plain(file) && name.split('/').all(plain) {
        Ok((dir, file))
    } else {
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!("not a file name: {name:?}"),
        ))
    }
}

fn not_found(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, name.to_string())
}
