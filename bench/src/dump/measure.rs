//! A program, timed, with the memory that it and the server behind it take.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process;

/// How often memory is looked at. The time between the last look and the end of a program is not seen.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
pub struct Measured {
    pub seconds: f64,
    /// The high-water marks of the program and its children, added.
    pub memory_bytes: u64,
    /// The most the server's processes had together, what they share counted once.
    pub server_memory_bytes: Option<u64>,
}

/// Run `command` to its end. `server` is the process that works for it.
pub fn measure(command: &mut Command, server: Option<u32>) -> Result<Measured, String> {
    let mut said = tempfile::tempfile().map_err(|e| format!("no temporary file: {e}"))?;
    let output = || -> Result<Stdio, String> {
        let file: File = said
            .try_clone()
            .map_err(|e| format!("no temporary file: {e}"))?;
        Ok(Stdio::from(file))
    };
    command
        .stdin(Stdio::null())
        .stdout(output()?)
        .stderr(output()?);
    eprintln!("  {command:?}");
    let start = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|e| format!("cannot run {command:?}: {e}"))?;
    let mut memory_bytes = 0;
    let mut server_memory_bytes = server.map(|_| 0);
    // A thread of its own waits, so that the end is not seen a sample late.
    let pid = child.id();
    let waiter = std::thread::spawn(move || (child.wait(), Instant::now()));
    while !waiter.is_finished() {
        memory_bytes = process::memory_peak(pid).max(memory_bytes);
        if let (Some(server), Some(peak)) = (server, &mut server_memory_bytes) {
            *peak = process::memory(server).max(*peak);
        }
        sleep(SAMPLE_INTERVAL);
    }
    let (status, end) = waiter
        .join()
        .map_err(|_| "the thread that waits for a program panicked".to_owned())?;
    let status = status.map_err(|e| format!("cannot wait for {command:?}: {e}"))?;
    if !status.success() {
        use std::io::Seek;
        let mut text = String::new();
        let _ = said.rewind().and_then(|()| said.read_to_string(&mut text));
        return Err(format!("{command:?} ended with {status}:\n{text}"));
    }
    Ok(Measured {
        seconds: (end - start).as_secs_f64(),
        memory_bytes,
        server_memory_bytes,
    })
}
