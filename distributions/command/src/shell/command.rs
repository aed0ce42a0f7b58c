//! The backslash commands.

use std::io::BufReader;

use super::{Failure, Next, Outcome, Shell};

const HELP: &str = "\
  \\d [NAME]     describe a table, index, view or sequence; without a name, list them
  \\dt, \\di      list tables, indexes
  \\branches     draw the branches and tags
  \\copy TARGET {from | to} {'FILE' | stdin | stdout} [OPTIONS]
                COPY with a file on this side
  \\i FILE       run the commands of a file
  \\timing       show how long each statement takes (on or off)
  \\x            show one column a line (on or off)
  \\? or \\h      this text
  \\q            quit
End a statement with a semicolon. Ctrl-C cancels the running statement.";

impl Shell {
    /// Run one line that starts with a backslash.
    pub(super) fn command(&mut self, line: &str) -> Outcome {
        let line = line.strip_suffix(';').unwrap_or(line).trim_end();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match name {
            "\\q" | "\\quit" => return Ok(Next::Quit),
            "\\?" | "\\h" | "\\help" => println!("{HELP}"),
            "\\timing" => {
                self.timing = toggled(self.timing, rest);
                println!("Timing is {}.", on_off(self.timing));
            }
            "\\x" => {
                self.expanded = toggled(self.expanded, rest);
                println!("Expanded display is {}.", on_off(self.expanded));
            }
            "\\d" if rest.is_empty() => self.list_relations(&['r', 'v', 'm', 'S', 'p'])?,
            "\\d" => self.describe(rest)?,
            "\\dt" => self.list_relations(&['r', 'p'])?,
            "\\di" => self.list_relations(&['i'])?,
            "\\branches" => print!("{}", self.branches()?),
            "\\copy" => self.copy(rest)?,
            "\\i" | "\\include" => return self.include(rest),
            _ => {
                self.complain(&format!("invalid command {name}; try \\? for help"));
                return Err(Failure::Reported);
            }
        }
        Ok(Next::Continue)
    }

    fn include(&mut self, name: &str) -> Outcome {
        let name = unquoted(name);
        match std::fs::File::open(&name) {
            Ok(file) => self.run_script(&mut BufReader::new(file), &name),
            Err(error) => {
                self.complain(&format!("cannot open {name}: {error}"));
                Err(Failure::Reported)
            }
        }
    }
}

/// A file name, perhaps in single quotes.
pub(super) fn unquoted(text: &str) -> String {
    match text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        Some(inner) => inner.replace("''", "'"),
        None => text.to_owned(),
    }
}

fn toggled(now: bool, argument: &str) -> bool {
    match argument {
        "on" => true,
        "off" => false,
        _ => !now,
    }
}

fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}
