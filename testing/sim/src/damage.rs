//! Damage to data that was safely on the disk: what checksums are for.

use crate::file::{BLOCK_BYTES, SECTOR_BYTES};

/// One way in which stored bytes go bad. Offsets beyond the end of the file do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit of the file flips.
    Bit { bit: u64 },
    /// A sector reads as noise.
    Sector { sector: u64, seed: u64 },
    /// A 4 KiB block reads as it was before its last synced write: that write never happened.
    StaleBlock { block: u64 },
    /// A 4 KiB block reads as another block of the same file.
    MisplacedBlock { block: u64, from: u64 },
}

impl Damage {
    /// Apply to a file's bytes; `stale` is what `block` held before. True when a byte changed.
    pub(crate) fn apply(self, content: &mut [u8], stale: Option<&[u8]>) -> bool {
        let before = content.to_vec();
        match self {
            Damage::Bit { bit } => {
                if let Some(byte) = content.get_mut((bit / 8) as usize) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Damage::Sector { sector, seed } => {
                let mut rng = crate::rng::Rng::new(seed);
                let noise = rng.bytes(SECTOR_BYTES as usize);
                overwrite(content, sector * SECTOR_BYTES, &noise);
            }
            Damage::StaleBlock { block } => {
                overwrite(content, block * BLOCK_BYTES, stale.unwrap_or(&[]));
            }
            Damage::MisplacedBlock { block, from } => {
                let start = ((from * BLOCK_BYTES) as usize).min(content.len());
                let end = (start + BLOCK_BYTES as usize).min(content.len());
                let other = content[start..end].to_vec();
                overwrite(content, block * BLOCK_BYTES, &other);
            }
        }
        content != before
    }
}

/// Write as much of `bytes` at `offset` as fits without growing.
fn overwrite(content: &mut [u8], offset: u64, bytes: &[u8]) {
    let start = (offset as usize).min(content.len());
    let len = bytes.len().min(content.len() - start);
    content[start..start + len].copy_from_slice(&bytes[..len]);
}
