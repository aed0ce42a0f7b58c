//! Editions: a program opens the databases of its own edition and no others.
//!
//! What one edition's plugins made of their state another's may not understand, so a directory does not
//! change hands when somebody names it by mistake: everything moves by way of a dump, or nothing does.
//! The database says whose it is ([`heliosdb_sql::edition`]); which editions there are is not known here.
//!
//! A program says what it is when it opens a database ([`Database::open_edition`](crate::Database)), or
//! once and for all by linking a bundle that does ([`edition!`](crate::edition!)).

use heliosdb_sql::edition;
use heliosdb_storage::Engine;

use crate::error::Error;

pub(crate) use heliosdb_sql::edition::LITE;

/// An edition that the binary links: what [`edition!`](crate::edition!) submits.
pub struct Linked(pub &'static str);

inventory::collect!(Linked);

/// Makes every program that links this crate one of the edition, unless it says otherwise where it
/// opens a database. Lite needs none.
#[macro_export]
macro_rules! edition {
    ($name:expr) => {
        $crate::inventory::submit! { $crate::edition::Linked($name) }
    };
}

/// What a program is that does not say.
///
/// # Errors
///
/// It links the bundles of several editions.
pub(crate) fn linked() -> Result<&'static str, Error> {
    pick(inventory::iter::<Linked>.into_iter().map(|linked| linked.0))
}

fn pick(mut linked: impl Iterator<Item = &'static str>) -> Result<&'static str, Error> {
    let edition = linked.next().unwrap_or(LITE);
    match linked.find(|other| *other != edition) {
        None => Ok(edition),
        Some(other) => Err(Error::Bundle(format!(
            "the program links the bundles of two editions, {edition} and {other}"
        ))),
    }
}

/// Refuses a database of another edition. One that is nobody's yet is the program's from now on.
pub(crate) fn claim(engine: &Engine, program: &str) -> Result<(), Error> {
    match edition::of(&engine.latest_view())? {
        None => Ok(edition::record(engine, program)?),
        Some(database) if database == program => Ok(()),
        Some(database) => Err(Error::Edition {
            database,
            program: program.to_owned(),
        }),
    }
}

/// What people call an edition.
pub(crate) fn title(edition: &str) -> String {
    let mut letters = edition.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests;
