//! UNDROP TABLE: a table comes back as it was just before it was dropped.
//!
//! | what | where |
//! |---|---|
//! | when it was dropped, and what it was | [`dropped`] |
//! | what of it comes back, and under which names | [`definition`] |
//! | its rows, and where its sequences go on | [`rows`] |
//!
//! 1. Objects come back under the oids that they had: what is not there is what was dropped, so a second UNDROP of a
//!    name finds the table that was dropped before. Oids are given once, so nothing else has them.
//! 2. Rows are copied into a new collection, and indexes built over them. The old collection is not taken up again:
//!    compaction may have let go of some of it (decision 0043).
//! 3. Everything is written by the statement's transaction, which changes the catalog alone. Sequences go on where
//!    they are, because those are outside of transactions.
//! 4. What cannot come back is told in a notice, unless the table would mean something else without it: a type, a
//!    function or a policy. Then nothing is done.

mod definition;
mod dropped;
mod rows;

use heliosdb_storage::TableLockMode;
use heliosdb_storage::ids::CollectionId;

use self::definition::Restored;
use self::dropped::{Dropped, Wanted};
use crate::catalog::model::{Constraint, Object, Sequence};
use crate::catalog::store::{CATALOG, Change};
use crate::ddl::constraint::{Existing, Fill};
use crate::error::{Result, SqlError, state};
use crate::plan::as_of::time::shown;
use crate::session::Session;

impl Session {
    /// Brings back the table of a name that was dropped last, as `name` if that is given.
    ///
    /// # Errors
    ///
    /// 42P01 when the history knows of none, 22023 when its rows are kept no more, 42501 for who was not its owner or
    /// may not create in its schema, 3F000 when that is gone, 42P07 when the name is taken, 42704 and 42883 for a
    /// type or a function of it that is gone, 23503 when rows refer to what is not there any more.
    pub(crate) fn undrop_table(&mut self, text: &str, name: Option<&str>) -> Result<()> {
        self.check_writable("UNDROP TABLE")?;
        self.begin_ddl()?;
        let wanted = Wanted::read(text, name, &self.info)?;
        let (_, now) = self.write_view()?;
        let Some(dropped) = self.find_dropped(&wanted, &now)? else {
            return Err(self.never_dropped(&wanted));
        };
        let was = &dropped.table;
        let schema = dropped.catalog.schema(was.schema);
        let schema = schema.map_or("", |schema| schema.name.as_str());
        let schema = self.schema_to_create_in(&now, Some(schema), &was.name)?;
        self.info
            .role()
            .check_owner(was.owner, "table", &was.name)?;
        let name = wanted.new_name.as_deref().unwrap_or(&was.name);
        let free = self.check_table_free(&now, schema.oid, name);
        free.map_err(|error| match wanted.new_name {
            None => error.with_hint("UNDROP TABLE … AS gives the table another name."),
            Some(_) => error,
        })?;
        dropped.rows.check_kept(was.collection_id())?;
        let restored = self.restored(&dropped, &now, &schema, name)?;
        self.bring_back(&dropped, restored)
    }

    /// Makes what was decided.
    fn bring_back(&mut self, dropped: &Dropped, restored: Restored) -> Result<()> {
        let Restored {
            returning,
            others,
            told,
        } = restored;
        let (table, oid) = (returning.table, dropped.table.oid);
        let collection = table.collection_id();
        self.lock_table(collection, TableLockMode::AccessExclusive)?;
        let mut changes: Vec<Change> = returning.sequences.iter().map(put_sequence).collect();
        changes.push(put(Object::Table(table.into())));
        changes.extend(others);
        let (_, now) = self.write_view()?;
        let catalog = self.put_catalog(&now, changes)?;
        self.define_storage(&catalog, oid)?;
        self.copy_rows(dropped, &catalog, &returning.sequences)?;

        let constraints = returning.constraints.into_iter();
        let mut changes: Vec<Change> = constraints
            .map(|constraint| put(Object::Constraint(constraint.into())))
            .collect();
        let mut filled = Vec::new();
        for index in returning.indexes {
            filled.push(CollectionId(index.collection));
            changes.push(put(Object::Index(index.into())));
        }
        if !changes.is_empty() {
            let catalog = self.put_catalog(&catalog, changes)?;
            for index in filled {
                self.fill_index(&catalog, oid, index, Fill::Locked)?;
            }
            self.define_storage(&catalog, oid)?;
        }
        for constraint in returning.foreign_keys {
            self.refer_again(constraint)?;
        }
        for notice in told {
            self.notify_skipped(notice);
        }
        Ok(())
    }

    /// A foreign key to another table, held against the rows that came back.
    fn refer_again(&mut self, constraint: Constraint) -> Result<()> {
        let parent = constraint.references();
        let (_, catalog) = self.write_view()?;
        if let Some(parent) = parent.and_then(|oid| catalog.table(oid)) {
            self.lock_table(parent.collection_id(), TableLockMode::ShareRowExclusive)?;
        }
        let existing = match constraint.validated {
            true => Existing::Check,
            false => Existing::NotValid,
        };
        self.put_constraint(constraint, existing).map_err(|error| {
            match error.code == state::FOREIGN_KEY_VIOLATION {
                true => error.with_hint(
                    "Insert the rows that are referred to, or read the table AS OF a time before it was dropped.",
                ),
                false => error,
            }
        })
    }

    fn never_dropped(&self, wanted: &Wanted) -> SqlError {
        let oldest = self.instance.engine().oldest_ts_of(CATALOG);
        let error = SqlError::new(
            state::UNDEFINED_TABLE,
            format!("no table \"{}\" was dropped", wanted.name),
        );
        match oldest.0 {
            0 => error,
            _ => error.with_detail(format!(
                "History goes back to {}.",
                shown(oldest, &self.info.format())
            )),
        }
    }
}

fn put(object: Object) -> Change {
    Change::Put(object)
}

fn put_sequence(sequence: &Sequence) -> Change {
    put(Object::Sequence(sequence.clone().into()))
}
