//! What a machine finds on its disk after the power went away.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::disk::{Call, SimDisk};
use crate::file::{SimFile, Stored};
use crate::names::{FileId, Names};
use crate::rng::Rng;

/// What happens to data and names that no sync covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashModel {
    /// All of it is gone.
    Lost,
    /// Each sector of each write, each length and each change of names is kept or lost on its own.
    Reordered,
    /// Everything up to some moment is kept; what was being written at that moment is cut at a
    /// 512-byte or 4 KiB boundary; nothing after it is kept.
    Torn,
}

impl CrashModel {
    pub const ALL: [CrashModel; 3] = [CrashModel::Lost, CrashModel::Reordered, CrashModel::Torn];

    pub fn name(self) -> &'static str {
        match self {
            CrashModel::Lost => "lost",
            CrashModel::Reordered => "reordered",
            CrashModel::Torn => "torn",
        }
    }

    pub fn from_name(name: &str) -> Option<CrashModel> {
        CrashModel::ALL
            .into_iter()
            .find(|model| model.name() == name)
    }
}

/// The disk at one I/O call: everything a crash at that call could leave, not yet decided.
#[derive(Clone, Debug)]
pub struct Image {
    /// The number of the call, counted from 1, or of the last one when taken between calls.
    pub call: u64,
    /// `None` when taken between calls.
    pub doing: Option<Call>,
    pub(crate) names: Names,
    pub(crate) files: BTreeMap<FileId, Stored>,
    pub(crate) now_micros: u64,
}

impl Image {
    /// Cut the power and start a machine on what is left. Its first call has number 1 again.
    pub fn crash(&self, model: CrashModel, seed: u64) -> SimDisk {
        let mut rng = Rng::new(seed).fork(model as u64 + 1);
        let (tree, files) = match model {
            CrashModel::Lost => (
                self.names.after_crash(|_| false),
                self.contents(|file| file.lost()),
            ),
            CrashModel::Reordered => {
                let mut names_rng = rng.fork(7);
                let tree = self.names.after_crash(|_| names_rng.coin());
                (tree, self.contents(|file| file.reordered(&mut rng)))
            }
            CrashModel::Torn => {
                let cut = self.torn_at(&mut rng);
                let tree = self.names.after_crash(|seq| seq < cut);
                (tree, self.contents(|file| file.torn(cut, &mut rng)))
            }
        };
        let now_micros = self.now_micros + rng.below(60_000_000);
        SimDisk::restarted(Names::settled(tree), files, rng.next_u64(), now_micros)
    }

    fn contents(&self, mut content: impl FnMut(&Stored) -> Vec<u8>) -> BTreeMap<FileId, SimFile> {
        let file = |stored: &Stored, content| {
            SimFile::from_durable(Arc::new(content), stored.stale.clone())
        };
        self.files
            .iter()
            .map(|(id, s)| (*id, file(s, content(s))))
            .collect()
    }

    /// The change in progress when the power went: usually the last, sometimes an earlier one.
    fn torn_at(&self, rng: &mut Rng) -> u64 {
        let mut seqs: Vec<u64> = self
            .files
            .values()
            .flat_map(|file| file.pending.iter().map(|op| op.seq))
            .collect();
        seqs.extend(self.names.pending_seqs());
        seqs.sort_unstable();
        match seqs.last() {
            None => u64::MAX,
            Some(last) if rng.below(3) > 0 => last + u64::from(rng.one_in(8)),
            Some(_) => seqs[rng.index(seqs.len())],
        }
    }
}
