//! `branch`: the branches of a database, from the command line. Everything is done by SQL.

mod picture;
mod tree;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::args::Target;
use crate::commands::on_target;
use crate::output::{Format, print};
use crate::partial::PartialFile;
use crate::{Edition, Failed};

pub use tree::{QUERY, Tree};

#[derive(Debug, Subcommand)]
pub enum Branch<T: Target> {
    /// Draw the tree of branches and tags.
    Tree(On<T>),
    /// Make a branch.
    Create(Create<T>),
    /// Drop a branch, with what it alone holds.
    Drop(Drop<T>),
    /// Draw when each branch and tag began, and of what.
    Graph(Graph<T>),
}

#[derive(Debug, Args)]
pub struct On<T: Target> {
    #[command(flatten)]
    pub target: T,
}

#[derive(Debug, Args)]
pub struct Create<T: Target> {
    pub name: String,
    /// The branch that it goes on from.
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    pub from: String,
    /// As of when: a time such as '2026-11-21 05:00:00.000001+00'. [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    #[command(flatten)]
    pub target: T,
}

#[derive(Debug, Args)]
pub struct Drop<T: Target> {
    pub name: String,
    #[command(flatten)]
    pub target: T,
}

#[derive(Debug, Args)]
pub struct Graph<T: Target> {
    /// What to draw.
    #[arg(long, value_enum, default_value = "svg")]
    pub picture: Picture,
    /// The file to write. [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub target: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Picture {
    /// A picture.
    Svg,
    /// A page with the picture and a table.
    Html,
}

/// # Errors
///
/// The database does not open, or the statement fails.
pub fn run<T: Target>(edition: &Edition, command: &Branch<T>) -> Result<(), Failed> {
    match command {
        Branch::Tree(on) => Ok(print(&read(edition, &on.target)?.to_string())?),
        Branch::Create(create) => {
            let at = create.at.as_ref().map_or(String::new(), |at| {
                format!(" AS OF TIMESTAMP {}::timestamptz", literal(at))
            });
            let (name, from) = (ident(&create.name), ident(&create.from));
            let statement = format!("CREATE BRANCH {name} FROM {from}{at}");
            execute(edition, &create.target, &statement)
        }
        Branch::Drop(drop) => {
            let statement = format!("DROP BRANCH {}", ident(&drop.name));
            execute(edition, &drop.target, &statement)
        }
        Branch::Graph(graph) => {
            let tree = read(edition, &graph.target)?;
            let drawn = match graph.picture {
                Picture::Svg => picture::svg(&tree),
                Picture::Html => picture::html(&tree),
            };
            match &graph.output {
                None => Ok(print(&drawn)?),
                Some(file) => {
                    let mut writing = PartialFile::readable(file)?;
                    let written = writing.write_all(drawn.as_bytes());
                    written.map_err(|e| format!("cannot write {}: {e}", file.display()))?;
                    writing.finish()?;
                    Ok(())
                }
            }
        }
    }
}

fn execute<T: Target>(edition: &Edition, target: &T, statement: &str) -> Result<(), Failed> {
    on_target(edition, target, None, Format::Table, |shell| {
        shell.run_argument(statement).map_err(drop)
    })
}

fn read<T: Target>(edition: &Edition, target: &T) -> Result<Tree, Failed> {
    let mut tree = Tree::default();
    on_target(edition, target, None, Format::Table, |shell| {
        tree = shell.branches().map_err(drop)?;
        Ok(())
    })?;
    Ok(tree)
}

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
