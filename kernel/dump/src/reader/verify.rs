//! The first reading of a dump: every byte, front to back, before anything is believed.
//!
//! Frames say how long they are under a checksum of their own, so the walk knows at each step what has
//! to come next. That is what tells a file that was cut off (it ends inside something) from one that
//! is damaged (a checksum is wrong) and from one that something was appended to (it goes on behind a
//! whole dump). Memory: one piece of the file, the headers of the frames, and the manifest.

use twox_hash::XxHash3_128;

use super::frame;
use super::input::Input;
use crate::digest::{Digest, digest_of};
use crate::error::{Error, Result};
use crate::format::header::{self, Header};
use crate::format::{
    FORMAT_VERSION, FORMAT_WITH_BRANCHES, FRAME_HEADER_BYTES, FrameHeader, FrameKind, HEADER_BYTES,
    HEADER_MAGIC, TRAILER_BYTES, Trailer, Wrong, section,
};
use crate::manifest::{BranchManifest, Manifest, SectionManifest, TimelineIds};
use crate::progress::Progress;
use crate::writer::uuid;

/// What was found to be whole.
pub(super) struct Verified {
    pub manifest: Manifest,
    /// Per section of the manifest.
    pub frames: Vec<Vec<FrameHeader>>,
}

/// The frames of one section that has any, as they were read.
struct Section {
    index: u32,
    frames: Vec<FrameHeader>,
    /// Of its bytes, once the next section begins.
    digest: Digest,
}

/// The sections so far.
#[derive(Default)]
struct Sections {
    done: Vec<Section>,
    /// Of the last of `done`.
    digest: Option<XxHash3_128>,
}

impl Sections {
    /// Take the next frame; `Err` says which was expected. A section without frames leaves no trace,
    /// so their numbers rise, and may leave some out.
    fn add(&mut self, frame: &FrameHeader) -> Result<(), String> {
        match self.done.last_mut() {
            Some(last) if last.index == frame.section => {
                let number = last.frames.len() as u32;
                if frame.number != number {
                    return Err(format!("frame {number} of section {}", last.index));
                }
                last.frames.push(*frame);
                return Ok(());
            }
            Some(last) if last.index > frame.section => {
                return Err(format!("a frame of section {} or later", last.index));
            }
            _ if frame.number != 0 => {
                return Err(format!("frame 0 of section {}", frame.section));
            }
            _ => {}
        }
        self.end();
        self.done.push(Section {
            index: frame.section,
            frames: vec![*frame],
            digest: Digest::default(),
        });
        self.digest = Some(XxHash3_128::new());
        Ok(())
    }

    /// Bytes of the last section.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.write(bytes);
        }
    }

    /// No more bytes of the last section.
    fn end(&mut self) {
        if let (Some(digest), Some(last)) = (self.digest.take(), self.done.last_mut()) {
            last.digest = Digest(digest.finish_128());
        }
    }
}

pub(super) fn verify(input: &Input, progress: &dyn Progress) -> Result<Verified> {
    progress.begin("checking the dump, bytes", Some(input.bytes));
    let verified = walk(input, progress);
    progress.end();
    verified
}

fn walk(input: &Input, progress: &dyn Progress) -> Result<Verified> {
    let (version, id) = check_header(input)?;
    progress.advance(HEADER_BYTES as u64);
    let mut offset = HEADER_BYTES as u64;
    let mut sections = Sections::default();
    loop {
        let header = input.array::<FRAME_HEADER_BYTES>(offset, "the header of a frame")?;
        let frame = FrameHeader::decode(&header, offset).map_err(|wrong| input.damaged(wrong))?;
        if frame.kind == FrameKind::Manifest {
            sections.end();
            return finish(input, progress, (version, id), sections.done, frame);
        }
        sections.add(&frame).map_err(|expected| {
            let found = format!("frame {} of section {}", frame.number, frame.section);
            input.damaged(Wrong::new("a frame", offset, expected, found))
        })?;
        sections.write(&header);
        frame::check_payload(input, &frame, &mut |piece| {
            sections.write(piece);
            progress.advance(piece.len() as u64);
        })?;
        progress.advance(header.len() as u64);
        offset += frame.frame_bytes();
    }
}

/// The dump's version and id.
fn check_header(input: &Input) -> Result<(u32, [u8; 16])> {
    let mut magic = [0; HEADER_MAGIC.len()];
    let count = input.read(&mut magic, 0)?;
    let not_a_dump = |reason: &str| Error::NotADump {
        file: input.name.clone(),
        reason: reason.to_owned(),
    };
    if count == 0 {
        return Err(not_a_dump("it is empty"));
    }
    if magic[..count] != HEADER_MAGIC[..count] {
        return Err(not_a_dump("it begins with something else"));
    }
    let bytes = input.array::<HEADER_BYTES>(0, "the header")?;
    match header::decode(&bytes).map_err(|wrong| input.damaged(wrong))? {
        Header::Known(version, id) => Ok((version, id)),
        Header::Version(found) => Err(Error::UnsupportedVersion {
            file: input.name.clone(),
            found,
            oldest: FORMAT_VERSION,
            supported: FORMAT_WITH_BRANCHES,
        }),
        Header::NotADump => Err(not_a_dump("it begins with something else")),
    }
}

/// Everything from the manifest to the end of the file.
fn finish(
    input: &Input,
    progress: &dyn Progress,
    (version, id): (u32, [u8; 16]),
    sections: Vec<Section>,
    frame: FrameHeader,
) -> Result<Verified> {
    let raw = frame::read_payload(input, &frame)?;
    let end = frame.position + frame.frame_bytes();
    let trailer_bytes = input.array::<TRAILER_BYTES>(end, "the trailer")?;
    let trailer = Trailer::decode(&trailer_bytes, end).map_err(|wrong| input.damaged(wrong))?;
    let expected = Trailer {
        manifest_offset: frame.position,
        manifest_bytes: frame.frame_bytes() as u32,
        sections: frame.section,
        file_bytes: end + TRAILER_BYTES as u64,
        version,
    };
    if trailer != expected {
        let (expected, found) = (format!("{expected:?}"), format!("{trailer:?}"));
        return Err(input.damaged(Wrong::new("the trailer", end, expected, found)));
    }
    if input.bytes > expected.file_bytes {
        return Err(Error::Appended {
            file: input.name.clone(),
            end: expected.file_bytes,
            bytes: input.bytes,
        });
    }
    let wrong = |expected: String, found: String| {
        input.damaged(Wrong::new("the manifest", frame.position, expected, found))
    };
    let manifest: Manifest = serde_json::from_slice(&raw)
        .map_err(|e| wrong("what this build knows".to_owned(), e.to_string()))?;
    check(&manifest, (version, id), &sections, &frame)
        .map_err(|(expected, found)| wrong(expected, found))?;
    progress.advance(frame.frame_bytes() + TRAILER_BYTES as u64);
    let mut frames = vec![Vec::new(); manifest.sections.len()];
    for section in sections {
        frames[section.index as usize] = section.frames;
    }
    Ok(Verified { manifest, frames })
}

/// What was expected, and what was found.
type Unfit = (String, String);

/// Does the manifest fit the file, and itself?
fn check(
    manifest: &Manifest,
    (version, id): (u32, [u8; 16]),
    sections: &[Section],
    frame: &FrameHeader,
) -> Result<(), Unfit> {
    equal("format", version, manifest.format)?;
    match (version == FORMAT_WITH_BRANCHES, manifest.branches.is_some()) {
        (true, false) => return Err(("branches".to_owned(), "none".to_owned())),
        (false, true) => return Err(("no branches".to_owned(), "some".to_owned())),
        _ => {}
    }
    equal(
        "dump id, as in the header,",
        uuid(id),
        manifest.dump_id.clone(),
    )?;
    equal(
        "number of sections",
        frame.section as usize,
        manifest.sections.len(),
    )?;
    if let Some(last) = sections.last().filter(|s| s.index >= frame.section) {
        let found = format!("a frame of section {}", last.index);
        return Err((format!("{} sections", frame.section), found));
    }
    let mut offset = HEADER_BYTES as u64;
    let mut names = std::collections::HashSet::new();
    for (index, said) in manifest.sections.iter().enumerate() {
        if !names.insert(said.name.as_str()) {
            return Err(("sections of different names".to_owned(), said.name.clone()));
        }
        let read = sections.binary_search_by_key(&(index as u32), |section| section.index);
        check_section(said, read.ok().map(|at| &sections[at]), offset)?;
        offset += said.stored_bytes;
    }
    equal("end of the last section", frame.position, offset)?;
    check_content(manifest)
}

fn equal<T: PartialEq + std::fmt::Display>(what: &str, expected: T, found: T) -> Result<(), Unfit> {
    match expected == found {
        true => Ok(()),
        false => Err((format!("{what} {expected}"), found.to_string())),
    }
}

fn check_section(said: &SectionManifest, read: Option<&Section>, offset: u64) -> Result<(), Unfit> {
    let Some(kind) = section::kind(&said.name) else {
        return Err(("sections of known names".to_owned(), said.name.clone()));
    };
    let frames = read.map_or(&[][..], |section| &section.frames);
    if let Some(other) = frames.iter().find(|frame| frame.kind != kind) {
        let expected = format!("{kind:?} in section {}", said.name);
        return Err((expected, format!("{:?}", other.kind)));
    }
    let sum = |of: fn(&FrameHeader) -> u64| frames.iter().map(of).sum();
    let is = SectionManifest {
        name: said.name.clone(),
        offset,
        stored_bytes: sum(FrameHeader::frame_bytes),
        raw_bytes: sum(|frame| frame.raw_bytes.into()),
        frames: frames.len() as u32,
        items: sum(|frame| frame.items.into()),
        digest: match read {
            Some(section) => section.digest,
            None => digest_of(&[]),
        },
    };
    match is == *said {
        true => Ok(()),
        false => Err((format!("{is:?}"), format!("{said:?}"))),
    }
}

/// What sections a branch has, when it fits the others.
fn sections_of(manifest: &Manifest, branch: &BranchManifest) -> Result<Vec<(String, u64)>, Unfit> {
    use heliosdb_storage::view::RowVersions::{Current, Removed, Superseded};
    let ids = manifest.branches.as_ref().map(|all| &all.timelines);
    let Some(TimelineIds { main, next }) = ids else {
        return Err(("ids of timelines".to_owned(), "none".to_owned()));
    };
    let before = manifest.branches().iter().take_while(|b| b.id != branch.id);
    let mut parents = before.map(|b| (b.id, b.fork_ts)).chain([(*main, 0)]);
    let parent = parents.find(|(id, _)| *id == branch.parent);
    let fits = parent.is_some_and(|(_, fork)| fork <= branch.fork_ts);
    let known = *main < branch.id && branch.parent < branch.id && branch.id < *next;
    if !fits || !known || branch.fork_ts > manifest.snapshot_ts {
        let expected = format!("{} behind its parent", branch.label());
        return Err((
            expected,
            format!("timeline {} of {}", branch.id, branch.parent),
        ));
    }
    let mut wanted = Vec::new();
    if branch.entries > 0 {
        wanted.push((section::branch_catalog(branch.id), branch.entries));
    }
    for table in &branch.tables {
        if table.columns.len() != table.column_digests.len() {
            let expected = format!("{} digests of columns", table.columns.len());
            return Err((expected, table.column_digests.len().to_string()));
        }
        for (which, items) in [
            (Current, table.rows),
            (Superseded, table.superseded),
            (Removed, table.removed),
        ] {
            if items > 0 {
                let name = section::branch_rows(branch.id, table.collection, which);
                wanted.push((name, items));
            }
        }
    }
    Ok(wanted)
}

/// Do the tables and stores have the sections they need, and no other?
fn check_content(manifest: &Manifest) -> Result<(), Unfit> {
    use heliosdb_storage::view::RowVersions::{Current, Superseded};
    if manifest.oldest_ts > manifest.snapshot_ts {
        let expected = format!("an oldest time of at most {}", manifest.snapshot_ts);
        return Err((expected, manifest.oldest_ts.to_string()));
    }
    let mut wanted: Vec<(String, u64)> = Vec::new();
    for table in &manifest.tables {
        if let Some(oldest) = table.oldest_ts.filter(|ts| *ts > manifest.snapshot_ts) {
            let expected = format!("an oldest time of at most {}", manifest.snapshot_ts);
            return Err((expected, oldest.to_string()));
        }
        if table.columns.len() != table.column_digests.len() {
            let expected = format!("{} digests of columns", table.columns.len());
            return Err((expected, table.column_digests.len().to_string()));
        }
        wanted.push((section::rows(table.collection, Current), table.rows));
        if table.superseded > 0 {
            wanted.push((
                section::rows(table.collection, Superseded),
                table.superseded,
            ));
        }
    }
    for branch in manifest.branches() {
        wanted.extend(sections_of(manifest, branch)?);
    }
    for store in &manifest.stores {
        wanted.push((section::store(store), store.versions));
    }
    for (name, items) in &wanted {
        match manifest.section(name) {
            None => return Err((format!("a section {name}"), "none".to_owned())),
            Some(section) => equal(&format!("items in section {name}:"), *items, section.items)?,
        }
    }
    match manifest.section(section::CATALOG) {
        None => return Err(("a section catalog".to_owned(), "none".to_owned())),
        Some(_) => wanted.push((section::CATALOG.to_owned(), 0)),
    }
    if manifest.config.is_some() {
        match manifest.section(section::CONFIG) {
            None => return Err(("a section config".to_owned(), "none".to_owned())),
            Some(_) => wanted.push((section::CONFIG.to_owned(), 0)),
        }
    }
    // Names of sections are all different, so as many different ones as were wanted are just those.
    wanted.sort();
    if let Some(twice) = wanted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let (expected, found) = ("one owner per section", &twice[0].0);
        return Err((expected.to_owned(), format!("two of {found}")));
    }
    equal("number of sections", wanted.len(), manifest.sections.len())
}
