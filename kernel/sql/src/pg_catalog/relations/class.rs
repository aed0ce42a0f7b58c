//! `pg_class` and `pg_sequence`: everything that has columns or rows, or orders them.

use crate::catalog::access::RowSecurity;
use crate::catalog::model::{ConstraintKind, Oid, oid};
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::builtin::{BTREE, HEAP};
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::pg_catalog::row_type::row_type;

relations! {
    PG_CLASS = pg_catalog.pg_class 1259 'r' {
        oid Oid, relname Name, relnamespace Oid, reltype Oid, reloftype Oid, relowner Oid,
        relam Oid, relfilenode Oid, reltablespace Oid, relpages Int4, reltuples Float4,
        relallvisible Int4, reltoastrelid Oid, relhasindex Bool, relisshared Bool,
        relpersistence Char, relkind Char, relnatts Int2, relchecks Int2, relhasrules Bool,
        relhastriggers Bool, relhassubclass Bool, relrowsecurity Bool, relforcerowsecurity Bool,
        relispopulated Bool, relreplident Char, relispartition Bool, relrewrite Oid,
        relfrozenxid Xid, relminmxid Xid, relacl AclItemArray null, reloptions TextArray null,
        relpartbound NodeTree null,
    } => Some(class_rows);
    PG_SEQUENCE = pg_catalog.pg_sequence 2224 'r' {
        seqrelid Oid, seqtypid Oid, seqstart Int8, seqincrement Int8, seqmax Int8, seqmin Int8,
        seqcache Int8, seqcycle Bool,
    } => Some(sequence_rows);
}

/// The columns of `pg_class` that tell one kind of relation from another.
struct Class<'a> {
    oid: Oid,
    name: &'a str,
    schema: Oid,
    owner: Oid,
    access_method: Oid,
    kind: char,
    has_storage: bool,
    rows: f32,
    columns: usize,
    checks: usize,
    has_index: bool,
    has_rules: bool,
    has_triggers: bool,
    replica_identity: char,
    options: Vec<String>,
    /// `pg_class.reltype`.
    row_type: Oid,
    row_security: RowSecurity,
}

impl Class<'_> {
    fn row(&self, ctx: &SystemContext) -> [Datum; 33] {
        let file = if self.has_storage { self.oid } else { 0 };
        let (columns, checks) = (self.columns as i16, self.checks as i16);
        row![
            self.oid,
            self.name,
            self.schema,
            self.row_type,
            0u32,
            self.owner,
            self.access_method,
            file,
            0u32,
            0i32,
            self.rows,
            0i32,
            0u32,
            self.has_index,
            false,
            if ctx.catalog.is_temporary(self.schema) {
                't'
            } else {
                'p'
            },
            self.kind,
            columns,
            checks,
            self.has_rules,
            self.has_triggers,
            false,
            self.row_security.enabled,
            self.row_security.forced,
            true,
            self.replica_identity,
            false,
            0u32,
            0u32,
            0u32,
            super::privilege::access(ctx, oid::PG_CLASS, self.oid, 0),
            match self.options.is_empty() {
                true => NULL,
                false => self.options.clone().into(),
            },
            NULL,
        ]
    }
}

fn class_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let catalog = &ctx.catalog;
    for table in catalog.tables() {
        let checks = catalog
            .constraints_of(table.oid)
            .filter(|c| c.code() == 'c')
            .count();
        let references = catalog
            .constraints_of(table.oid)
            .any(|c| matches!(c.kind, ConstraintKind::ForeignKey(_)));
        let class = Class {
            oid: table.oid,
            name: &table.name,
            schema: table.schema,
            owner: table.owner,
            access_method: HEAP,
            kind: 'r',
            has_storage: true,
            // PostgreSQL says -1 until the table is first analyzed.
            rows: ctx
                .session
                .estimated_rows(table.oid)
                .map_or(-1.0, |n| n as f32),
            columns: table.columns.len(),
            checks,
            has_index: catalog.indexes_of(table.oid).next().is_some(),
            has_rules: false,
            // Foreign keys are enforced by internal triggers there, on either side.
            has_triggers: references || catalog.foreign_keys_to(table.oid).next().is_some(),
            replica_identity: 'd',
            options: table
                .retention
                .iter()
                .map(|retention| format!("retention={retention}"))
                .collect(),
            row_type: row_type(table.oid),
            row_security: table.row_security,
        };
        rows.push(class.row(ctx))?;
    }
    for index in catalog.indexes() {
        let class = Class {
            oid: index.oid,
            name: &index.name,
            schema: index.schema,
            owner: index.owner,
            access_method: BTREE,
            kind: 'i',
            has_storage: true,
            rows: ctx
                .session
                .estimated_rows(index.table)
                .map_or(0.0, |n| n as f32),
            columns: index.columns.len() + index.included.len(),
            ..other('n')
        };
        rows.push(class.row(ctx))?;
    }
    for sequence in catalog.sequences() {
        let class = Class {
            oid: sequence.oid,
            name: &sequence.name,
            schema: sequence.schema,
            owner: sequence.owner,
            kind: 'S',
            has_storage: true,
            rows: 1.0,
            columns: 3,
            ..other('n')
        };
        rows.push(class.row(ctx))?;
    }
    for view in catalog.views() {
        let class = Class {
            oid: view.oid,
            name: &view.name,
            schema: view.schema,
            owner: view.owner,
            kind: 'v',
            columns: view.columns.len(),
            has_rules: true,
            row_type: row_type(view.oid),
            ..other('n')
        };
        rows.push(class.row(ctx))?;
    }
    for relation in super::all() {
        let class = Class {
            oid: relation.oid,
            name: relation.name,
            schema: relation.schema_oid(),
            access_method: if relation.kind == 'r' { HEAP } else { 0 },
            kind: relation.kind,
            columns: relation.columns.len(),
            has_rules: relation.kind == 'v',
            ..other('n')
        };
        rows.push(class.row(ctx))?;
    }
    Ok(())
}

/// A relation without storage, indexes, constraints or rules.
fn other(replica_identity: char) -> Class<'static> {
    Class {
        oid: 0,
        name: "",
        schema: 0,
        owner: oid::BOOTSTRAP_ROLE,
        access_method: 0,
        kind: 'r',
        has_storage: false,
        rows: -1.0,
        columns: 0,
        checks: 0,
        has_index: false,
        has_rules: false,
        has_triggers: false,
        replica_identity,
        options: Vec::new(),
        row_type: 0,
        row_security: RowSecurity::default(),
    }
}

fn sequence_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for s in ctx.catalog.sequences() {
        rows.push(row![
            s.oid,
            s.type_oid,
            s.start,
            s.increment,
            s.max,
            s.min,
            s.cache,
            s.cycle
        ])?;
    }
    Ok(())
}
