//! The digest of the versions of sorted collections: catalogs, and the stores of plugins.

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::view::Version;
use heliosdb_storage::{Interrupt, ReadView, Result};
use twox_hash::XxHash3_128;

use super::Digest;

/// How many versions there are, and the sum of their hashes: XXH3-128 of collection, time, key length,
/// key, and of a 1 and the value, or a 0 where the key was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionsDigest {
    pub versions: u64,
    pub digest: Digest,
}

impl VersionsDigest {
    /// Of all versions of a collection that a view knows of.
    ///
    /// # Errors
    ///
    /// The collection cannot be read, or the work was canceled.
    pub fn of(
        view: &ReadView,
        collection: CollectionId,
        interrupt: &Interrupt,
    ) -> Result<VersionsDigest> {
        let mut sum = VersionsDigest::default();
        for version in view.versions(collection)? {
            interrupt.check()?;
            sum.add(collection, &version?);
        }
        Ok(sum)
    }

    /// Take one more.
    pub fn add(&mut self, collection: CollectionId, version: &Version) {
        let mut hasher = XxHash3_128::new();
        hasher.write(&collection.0.to_le_bytes());
        hasher.write(&version.begin.0.to_le_bytes());
        hasher.write(&(version.key.len() as u64).to_le_bytes());
        hasher.write(&version.key);
        hasher.write(&[u8::from(version.value.is_some())]);
        hasher.write(version.value.as_deref().unwrap_or_default());
        self.versions += 1;
        self.digest += Digest(hasher.finish_128());
    }
}

#[cfg(test)]
mod tests {
    use heliosdb_storage::ids::Ts;

    use super::*;

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let version = |key: &[u8], begin, value: Option<&[u8]>| Version {
            key: key.to_vec(),
            begin: Ts(begin),
            value: value.map(<[u8]>::to_vec),
        };
        let digest = |collection, versions: &[Version]| {
            let mut sum = VersionsDigest::default();
            for version in versions {
                sum.add(CollectionId(collection), version);
            }
            sum
        };
        let (a, b) = (version(b"k", 1, Some(b"v")), version(b"k", 2, None));
        let both = digest(16, &[a.clone(), b.clone()]);
        assert_eq!(both, digest(16, &[b.clone(), a.clone()]));
        for other in [
            digest(17, &[a.clone(), b.clone()]),
            digest(16, std::slice::from_ref(&a)),
            digest(16, &[a.clone(), version(b"k", 3, None)]),
            digest(16, &[a.clone(), version(b"k", 2, Some(b""))]),
            digest(16, &[version(b"kv", 1, Some(b"")), b]),
        ] {
            assert_ne!(both, other);
        }
    }
}
