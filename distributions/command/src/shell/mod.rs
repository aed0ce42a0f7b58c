//! The SQL shell: statements and backslash commands, from a terminal, a file or an argument.
//!
//! On a terminal it edits lines, keeps a history, goes on after errors, shows a caret under the
//! place of an error, and Ctrl-C cancels the running statement. From a file or an argument it stops
//! at the first error, which is then the exit status.

mod command;
mod copy;
mod describe;
mod interactive;
mod printer;
mod split;

use std::io::{self, BufRead, Read, Write};
use std::time::Instant;

use crate::client::{Client, Error};
use crate::output::{self, Format};
use printer::Printer;

/// A session with a client and the state of its commands.
pub struct Shell {
    client: Client,
    format: Format,
    expanded: bool,
    timing: bool,
    interactive: bool,
}

/// Something failed and has been reported on stderr.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// A statement or a command; the session goes on if its user is there to see.
    Reported,
    /// The connection is gone.
    Lost,
}

/// Whether to go on reading input.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Continue,
    Quit,
}

type Outcome = Result<Next, Failure>;

/// Where text came from, for messages.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    line: usize,
}

impl Shell {
    pub fn new(client: Client, format: Format) -> Shell {
        Shell {
            client,
            format,
            expanded: false,
            timing: false,
            interactive: false,
        }
    }

    /// `-c`: one backslash command, or SQL sent as it is, so that several statements are one
    /// implicit transaction. COPY FROM STDIN reads standard input.
    pub fn run_argument(&mut self, text: &str) -> Result<(), Failure> {
        if text.trim_start().starts_with('\\') {
            return self.command(text.trim()).map(drop);
        }
        let mut stdin = io::stdin().lock();
        self.statement(text, Some(&mut stdin), None)
    }

    /// `-f`, `\i` and piped input: statement by statement, up to the first error.
    pub fn run_script(&mut self, input: &mut dyn BufRead, file: &str) -> Outcome {
        let mut pending = String::new();
        let mut pending_line = 1;
        let mut line_number = 0;
        loop {
            let mut line = String::new();
            match input.read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => line_number += 1,
                Err(error) => {
                    self.complain(&format!("cannot read {file}: {error}"));
                    return Err(Failure::Reported);
                }
            }
            let begun = split::first_statement(&pending) != Err(split::Inside::Nothing);
            if !begun && line.trim_start().starts_with('\\') {
                if self.command(line.trim())? == Next::Quit {
                    return Ok(Next::Quit);
                }
                continue;
            }
            if !begun {
                pending.clear();
                pending_line = line_number;
            }
            pending.push_str(&line);
            while let Ok(length) = split::first_statement(&pending) {
                let rest = pending.split_off(length);
                let mut data = InlineData {
                    input,
                    lines: &mut line_number,
                    line: Vec::new(),
                    used: 0,
                    ended: false,
                };
                let place = Place {
                    file,
                    line: pending_line,
                };
                self.statement(&pending, Some(&mut data), Some(place))?;
                pending = rest;
                pending_line = line_number;
            }
        }
        if split::first_statement(&pending) != Err(split::Inside::Nothing) {
            self.statement(
                &pending,
                None,
                Some(Place {
                    file,
                    line: pending_line,
                }),
            )?;
        }
        Ok(Next::Continue)
    }

    /// Send `sql`, print what comes, report an error.
    fn statement(
        &mut self,
        sql: &str,
        copy_source: Option<&mut dyn Read>,
        place: Option<Place<'_>>,
    ) -> Result<(), Failure> {
        let started = now();
        let mut out = io::stdout().lock();
        let mut printer = Printer::new(
            &mut out,
            self.format,
            self.expanded,
            self.interactive,
            copy_source,
        );
        let outcome = self.client.run(sql, &mut printer);
        let flushed = out.flush().map_err(Error::Local);
        drop(out);
        let result = match outcome.and(flushed) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.report(error, sql, place)),
        };
        if self.timing {
            println!("Time: {:.3} ms", started.elapsed().as_secs_f64() * 1e3);
        }
        result
    }

    fn report(&self, error: Error, sql: &str, place: Option<Place<'_>>) -> Failure {
        let prefix = place
            .map(|p| format!("{}:{}: ", p.file, p.line))
            .unwrap_or_default();
        match error {
            Error::Server(error) => {
                let mut error = *error;
                if !self.interactive {
                    error.position = None;
                }
                eprintln!("{prefix}{}", output::describe(&error, sql));
                if error.severity == "FATAL" {
                    Failure::Lost
                } else {
                    Failure::Reported
                }
            }
            Error::Lost(why) => {
                eprintln!("{prefix}{why}");
                Failure::Lost
            }
            Error::Local(error) => {
                eprintln!("{prefix}{error}");
                Failure::Reported
            }
        }
    }

    fn complain(&self, message: &str) {
        eprintln!("{message}");
    }
}

fn now() -> Instant {
    Instant::now()
}

/// The lines after a COPY FROM STDIN in a script, up to `\.`.
struct InlineData<'a> {
    input: &'a mut dyn BufRead,
    lines: &'a mut usize,
    line: Vec<u8>,
    /// How much of `line` was handed out.
    used: usize,
    ended: bool,
}

impl Read for InlineData<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.line.len() && !self.ended {
            self.line.clear();
            self.used = 0;
            self.input.read_until(b'\n', &mut self.line)?;
            *self.lines += usize::from(!self.line.is_empty());
            if self.line.is_empty() || self.line.trim_ascii_end() == b"\\." {
                self.line.clear();
                self.ended = true;
            }
        }
        let count = buffer.len().min(self.line.len() - self.used);
        buffer[..count].copy_from_slice(&self.line[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}
