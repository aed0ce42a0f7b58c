//! Writes a dump front to back, into anything that takes bytes.
//!
//! The writer counts what it writes: offsets, sizes, items and digests of the sections come out of it
//! and go into the manifest, and nothing is written twice.

use std::io::Write;

use twox_hash::XxHash3_128;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::format::{
    FRAME_RAW_BYTES_MAX, FrameCodec, FrameHeader, FrameKind, HEADER_BYTES, TRAILER_BYTES, Trailer,
    header,
};
use crate::manifest::{Manifest, SectionManifest};

mod entries;
mod pipeline;
mod rows;

pub(crate) use entries::EntryFrames;
pub(crate) use pipeline::Pipeline;
pub(crate) use rows::RowFrames;

/// A frame's content, before compression.
#[derive(Debug)]
pub(crate) struct Payload {
    pub kind: FrameKind,
    /// Rows or entries.
    pub items: u32,
    pub raw: Vec<u8>,
}

/// A frame's content as it is stored.
#[derive(Debug)]
pub(crate) struct Packed {
    kind: FrameKind,
    codec: FrameCodec,
    items: u32,
    raw_bytes: u32,
    stored: Vec<u8>,
    crc: u32,
}

/// Compresses payloads.
pub(crate) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    pub fn new(level: i32) -> Result<Packer> {
        let compressor = zstd::bulk::Compressor::new(level);
        let compressor = compressor.map_err(|e| Error::Worker(format!("zstd: {e}")))?;
        Ok(Packer(compressor))
    }

    pub fn pack(&mut self, payload: Payload) -> Result<Packed> {
        let Payload { kind, items, raw } = payload;
        if raw.len() > FRAME_RAW_BYTES_MAX {
            return Err(heliosdb_storage::Error::RowTooLong { bytes: raw.len() }.into());
        }
        let raw_bytes = raw.len() as u32;
        let compressed = self.0.compress(&raw);
        let compressed = compressed.map_err(|e| Error::Worker(format!("zstd: {e}")))?;
        let (codec, stored) = match compressed.len() < raw.len() {
            true => (FrameCodec::Zstd, compressed),
            false => (FrameCodec::Plain, raw),
        };
        Ok(Packed {
            kind,
            codec,
            items,
            raw_bytes,
            crc: crc32c::crc32c(&stored),
            stored,
        })
    }
}

/// See the module's header.
pub(crate) struct Writer<'a> {
    out: &'a mut dyn Write,
    version: u32,
    id: [u8; 16],
    /// Of the next byte.
    offset: u64,
    /// The last one is being written.
    sections: Vec<SectionManifest>,
    /// Of the bytes of the last section.
    digest: XxHash3_128,
}

impl<'a> Writer<'a> {
    /// Begin a dump of a version.
    pub fn new(out: &'a mut dyn Write, version: u32, id: [u8; 16]) -> Result<Writer<'a>> {
        let mut writer = Writer {
            out,
            version,
            id,
            offset: 0,
            sections: Vec::new(),
            digest: XxHash3_128::new(),
        };
        writer.write(&header::encode(version, id))?;
        debug_assert_eq!(writer.offset, HEADER_BYTES as u64);
        Ok(writer)
    }

    /// Begin a section. It may stay empty.
    pub fn section(&mut self, name: String) {
        self.end_section();
        self.sections.push(SectionManifest {
            name,
            offset: self.offset,
            stored_bytes: 0,
            raw_bytes: 0,
            frames: 0,
            items: 0,
            digest: Digest::default(),
        });
    }

    fn end_section(&mut self) {
        let hasher = std::mem::replace(&mut self.digest, XxHash3_128::new());
        if let Some(section) = self.sections.last_mut() {
            section.digest = Digest(hasher.finish_128());
        }
    }

    /// The next frame of the section that was begun last.
    pub fn frame(&mut self, packed: &Packed) -> Result<()> {
        let position = self.offset;
        let index = self.sections.len().saturating_sub(1) as u32;
        let Some(section) = self.sections.last_mut() else {
            return Err(Error::Worker("a frame before any section".to_owned()));
        };
        let header = FrameHeader {
            kind: packed.kind,
            codec: packed.codec,
            section: index,
            number: section.frames,
            items: packed.items,
            raw_bytes: packed.raw_bytes,
            stored_bytes: packed.stored.len() as u32,
            position,
            payload_crc: packed.crc,
        };
        section.frames += 1;
        section.items += u64::from(packed.items);
        section.raw_bytes += u64::from(packed.raw_bytes);
        section.stored_bytes += header.frame_bytes();
        let encoded = header.encode();
        self.digest.write(&encoded);
        self.digest.write(&packed.stored);
        self.write(&encoded)?;
        self.write(&packed.stored)
    }

    /// Write the manifest, with the sections filled in, and the end of the file.
    pub fn finish(mut self, mut manifest: Manifest, packer: &mut Packer) -> Result<Manifest> {
        self.end_section();
        manifest.format = self.version;
        manifest.dump_id = uuid(self.id);
        manifest.sections = std::mem::take(&mut self.sections);
        let raw = serde_json::to_vec(&manifest).map_err(|e| Error::Write(e.into()))?;
        let packed = packer.pack(Payload {
            kind: FrameKind::Manifest,
            items: 1,
            raw,
        })?;
        let sections = manifest.sections.len() as u32;
        let manifest_offset = self.offset;
        let header = FrameHeader {
            kind: packed.kind,
            codec: packed.codec,
            section: sections,
            number: 0,
            items: packed.items,
            raw_bytes: packed.raw_bytes,
            stored_bytes: packed.stored.len() as u32,
            position: manifest_offset,
            payload_crc: packed.crc,
        };
        self.write(&header.encode())?;
        self.write(&packed.stored)?;
        let trailer = Trailer {
            manifest_offset,
            manifest_bytes: header.frame_bytes() as u32,
            sections,
            file_bytes: self.offset + TRAILER_BYTES as u64,
            version: self.version,
        };
        self.write(&trailer.encode())?;
        self.out.flush().map_err(Error::Write)?;
        Ok(manifest)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::Write)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

/// The text form of a UUID.
pub(crate) fn uuid(id: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(id));
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}
