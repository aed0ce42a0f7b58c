//! Compression on a thread of its own, in order.
//!
//! The caller makes payloads and writes frames; the worker turns one into the other. At most
//! [`IN_FLIGHT_MAX`] frames are on the way, which bounds the memory. The worker touches neither the
//! engine nor the output, so what those see happens on the caller's thread in an order that does not
//! vary.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::{Packed, Packer, Payload, Writer};
use crate::error::{Error, Result};
use crate::manifest::Manifest;

/// Frames that may be between the caller and the file.
const IN_FLIGHT_MAX: usize = 4;

/// What will be written, in order.
enum Next {
    Section(String),
    /// The next thing that comes back from the worker.
    Frame,
}

/// See the module's header.
pub(crate) struct Pipeline<'a> {
    writer: Writer<'a>,
    jobs: SyncSender<Payload>,
    packed: Receiver<Result<Packed>>,
    next: VecDeque<Next>,
    in_flight: usize,
}

impl<'a> Pipeline<'a> {
    /// Call `fill` with a pipeline into `writer`, and end the file with the manifest it returns.
    pub fn run(
        writer: Writer<'a>,
        level: i32,
        fill: impl FnOnce(&mut Pipeline<'a>) -> Result<Manifest>,
    ) -> Result<Manifest> {
        let mut packer = Packer::new(level)?;
        let mut for_manifest = Packer::new(level)?;
        thread::scope(|scope| {
            let (jobs, todo) = sync_channel::<Payload>(IN_FLIGHT_MAX);
            let (done, packed) = sync_channel(IN_FLIGHT_MAX);
            let compress = move || {
                for payload in todo {
                    if done.send(packer.pack(payload)).is_err() {
                        return;
                    }
                }
            };
            let worker = thread::Builder::new()
                .name("dump-compress".to_owned())
                .spawn_scoped(scope, compress)
                .map_err(|e| Error::Worker(e.to_string()))?;
            let mut pipeline = Pipeline {
                writer,
                jobs,
                packed,
                next: VecDeque::new(),
                in_flight: 0,
            };
            let filled = fill(&mut pipeline).and_then(|manifest| {
                while !pipeline.next.is_empty() {
                    pipeline.write_next()?;
                }
                Ok(manifest)
            });
            let Pipeline {
                writer,
                jobs,
                packed,
                ..
            } = pipeline;
            drop((jobs, packed));
            // A panic of the worker is `gone()` in `filled`, if anything was still to be written.
            let _ = worker.join();
            writer.finish(filled?, &mut for_manifest)
        })
    }

    /// Begin a section.
    pub fn section(&mut self, name: String) {
        self.next.push_back(Next::Section(name));
    }

    /// Add a frame to the section that was begun last.
    pub fn frame(&mut self, payload: Payload) -> Result<()> {
        while self.in_flight >= IN_FLIGHT_MAX {
            self.write_next()?;
        }
        self.next.push_back(Next::Frame);
        self.in_flight += 1;
        self.jobs.send(payload).map_err(|_| gone())
    }

    fn write_next(&mut self) -> Result<()> {
        match self.next.pop_front() {
            None => {}
            Some(Next::Section(name)) => self.writer.section(name),
            Some(Next::Frame) => {
                let packed = self.packed.recv().map_err(|_| gone())??;
                self.in_flight -= 1;
                self.writer.frame(&packed)?;
            }
        }
        Ok(())
    }
}

fn gone() -> Error {
    Error::Worker("the compressor ended early".to_owned())
}
