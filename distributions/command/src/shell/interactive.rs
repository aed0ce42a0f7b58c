//! The shell on a terminal.

use std::path::PathBuf;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::split::{self, Inside};
use super::{Failure, Next, Shell};

impl Shell {
    /// Read from the terminal until `\q`, end of input, or the connection is lost.
    pub fn run_interactive(&mut self, database: &str) -> Result<(), Failure> {
        self.interactive = true;
        let mut editor = match DefaultEditor::new() {
            Ok(editor) => editor,
            Err(error) => {
                self.complain(&format!("cannot use the terminal: {error}"));
                return Err(Failure::Reported);
            }
        };
        let history = history_file();
        if let Some(file) = &history {
            // No history yet is how everyone begins.
            let _ = editor.load_history(file);
        }
        println!("Type \\? for help, \\q to quit.");
        let outcome = self.interact(&mut editor, database);
        if let Some(file) = &history
            && let Err(error) = editor.save_history(file)
        {
            self.complain(&format!(
                "cannot save the history in {}: {error}",
                file.display()
            ));
        }
        outcome
    }

    fn interact(&mut self, editor: &mut DefaultEditor, database: &str) -> Result<(), Failure> {
        let mut pending = String::new();
        loop {
            let inside = split::first_statement(&pending)
                .err()
                .unwrap_or(Inside::Nothing);
            let block = match (
                self.client.in_failed_transaction(),
                self.client.in_transaction(),
            ) {
                (true, _) => "!",
                (false, true) => "*",
                (false, false) => "",
            };
            let prompt = format!("{database}{}{block}> ", inside.prompt());
            let line = match editor.readline(&prompt) {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => {
                    pending.clear();
                    continue;
                }
                Err(ReadlineError::Eof) => {
                    println!("\\q");
                    return Ok(());
                }
                Err(error) => {
                    self.complain(&format!("cannot read from the terminal: {error}"));
                    return Err(Failure::Reported);
                }
            };
            if inside == Inside::Nothing && line.trim_start().starts_with('\\') {
                let _ = editor.add_history_entry(line.trim());
                match self.command(line.trim()) {
                    Ok(Next::Quit) => return Ok(()),
                    Ok(Next::Continue) | Err(Failure::Reported) => {}
                    Err(Failure::Lost) => return Err(Failure::Lost),
                }
                continue;
            }
            if inside == Inside::Nothing {
                pending.clear();
            }
            pending.push_str(&line);
            pending.push('\n');
            while let Ok(length) = split::first_statement(&pending) {
                let rest = pending.split_off(length);
                let _ = editor.add_history_entry(pending.trim());
                match self.statement(&pending, None, None) {
                    Ok(()) | Err(Failure::Reported) => {}
                    Err(Failure::Lost) => return Err(Failure::Lost),
                }
                pending = rest.trim_start().to_owned();
            }
        }
    }
}

fn history_file() -> Option<PathBuf> {
    std::env::var_os("HELIOS_HISTORY")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".heliosdb_history")))
}
