//! `pg_description`, `pg_depend` and `pg_rewrite`: what is said of objects, and what holds them.

use crate::catalog::model::{Compression, ConstraintKind, Dependency, EXPRESSION, Oid, View, oid};
use crate::ddl::stored_text::shown_query;
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::builtin::builtin_comments;
use crate::pg_catalog::relation::{Rows, relations, row};

use super::attribute::{default_oid, defaults};

relations! {
    PG_DESCRIPTION = pg_catalog.pg_description 2609 'r' {
        objoid Oid, classoid Oid, objsubid Int4, description Text,
    } => Some(description_rows);
    PG_DEPEND = pg_catalog.pg_depend 2608 'r' {
        classid Oid, objid Oid, objsubid Int4, refclassid Oid, refobjid Oid, refobjsubid Int4,
        deptype Char,
    } => Some(depend_rows);
    PG_REWRITE = pg_catalog.pg_rewrite 2618 'r' {
        oid Oid, rulename Name, ev_class Oid, ev_type Char, ev_enabled Char, is_instead Bool,
        ev_qual NodeTree, ev_action NodeTree,
    } => Some(rewrite_rows);
}

fn description_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for c in ctx.catalog.comments() {
        rows.push(row![c.object, c.class, c.sub, &c.text])?;
    }
    for e in ctx.catalog.extensions() {
        if ctx.catalog.comment(oid::PG_EXTENSION, e.oid, 0).is_none()
            && let Some(text) = super::plugin::description(ctx, &e.name)
        {
            rows.push(row![e.oid, oid::PG_EXTENSION, 0i32, text])?;
        }
    }
    for (class, object, text) in builtin_comments() {
        if ctx.catalog.comment(class, object, 0).is_none() {
            rows.push(row![object, class, 0i32, text])?;
        }
    }
    Ok(())
}

/// A view's query is a rule of its own in PostgreSQL, with an oid; ours is above all given out.
fn rule_oid(view: &View) -> Oid {
    default_oid(view.oid, 0)
}

fn rewrite_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for view in ctx.catalog.views() {
        rows.push(row![
            rule_oid(view),
            "_RETURN",
            view.oid,
            '1',
            'O',
            true,
            "<>",
            shown_query(&view.definition)
        ])?;
    }
    Ok(())
}

/// One end of a dependency.
#[derive(Clone, Copy)]
struct Address {
    class: Oid,
    object: Oid,
    sub: i32,
}

fn class(object: Oid) -> Address {
    Address {
        class: oid::PG_CLASS,
        object,
        sub: 0,
    }
}

fn column(table: Oid, place: u16) -> Address {
    Address {
        class: oid::PG_CLASS,
        object: table,
        sub: i32::from(place) + 1,
    }
}

fn extension(object: Oid) -> Address {
    Address {
        class: oid::PG_EXTENSION,
        object,
        sub: 0,
    }
}

fn plugin_object(object: Oid) -> Address {
    Address {
        class: oid::HELIOS_PLUGIN_OBJECTS,
        object,
        sub: 0,
    }
}

fn constraint(object: Oid) -> Address {
    Address {
        class: oid::PG_CONSTRAINT,
        object,
        sub: 0,
    }
}

fn user_type(object: Oid) -> Address {
    Address {
        class: oid::PG_TYPE,
        object,
        sub: 0,
    }
}

const NORMAL: char = 'n';
const AUTO: char = 'a';
const INTERNAL: char = 'i';

fn depend_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let catalog = &ctx.catalog;
    let mut add = |from: Address, kind: char, to: Address| {
        rows.push(row![
            from.class,
            from.object,
            from.sub,
            to.class,
            to.object,
            to.sub,
            kind
        ])
    };
    let in_schema = |schema| Address {
        class: oid::PG_NAMESPACE,
        object: schema,
        sub: 0,
    };
    for table in catalog.tables() {
        add(class(table.oid), NORMAL, in_schema(table.schema))?;
        for (number, _) in defaults(table) {
            let default = Address {
                class: oid::PG_ATTRDEF,
                object: default_oid(table.oid, number),
                sub: 0,
            };
            let place = number.unsigned_abs() - 1;
            add(default, AUTO, column(table.oid, place))?;
            let Some(of) = table.column_at(place) else {
                continue;
            };
            for sequence in &of.default_sequences {
                add(default, NORMAL, class(*sequence))?;
            }
        }
    }
    for c in catalog.constraints() {
        for place in c.columns() {
            add(constraint(c.oid), AUTO, column(c.table, *place))?;
        }
        if let ConstraintKind::ForeignKey(fk) = &c.kind {
            add(constraint(c.oid), NORMAL, class(fk.referenced_index))?;
            for place in &fk.referenced_columns {
                add(
                    constraint(c.oid),
                    NORMAL,
                    column(fk.referenced_table, *place),
                )?;
            }
        }
    }
    for table in catalog.tables() {
        for (id, of) in table.live_columns() {
            if let Some(Compression::Codec { plugin, .. }) = &of.compression
                && let Some(e) = catalog.extension(plugin)
            {
                add(column(table.oid, id.0), NORMAL, extension(e.oid))?;
            }
        }
    }
    for ty in catalog.types().iter() {
        add(user_type(ty.oid), NORMAL, in_schema(ty.schema))?;
        if ty.array_oid != 0 {
            add(user_type(ty.array_oid), INTERNAL, user_type(ty.oid))?;
        }
        let Some(domain) = ty.domain() else { continue };
        if catalog.types().find(domain.base).is_some() {
            add(user_type(ty.oid), NORMAL, user_type(domain.base))?;
        }
        for check in &domain.constraints {
            add(constraint(check.oid), AUTO, user_type(ty.oid))?;
        }
    }
    for table in catalog.tables() {
        for (id, of) in table.live_columns() {
            if catalog.types().find(of.type_oid).is_some() {
                add(column(table.oid, id.0), NORMAL, user_type(of.type_oid))?;
            }
        }
    }
    let needed = |oid| match catalog.plugin_object(oid) {
        Some(_) => plugin_object(oid),
        None => class(oid),
    };
    for c in catalog.constraints() {
        let Some(by) = c.plugin() else { continue };
        if let Some(e) = catalog.extension(&by.plugin) {
            add(constraint(c.oid), NORMAL, extension(e.oid))?;
        }
        for on in &by.depends_on {
            add(constraint(c.oid), NORMAL, needed(*on))?;
        }
    }
    for e in catalog.extensions() {
        for required in e.requires.iter().filter_map(|name| catalog.extension(name)) {
            add(extension(e.oid), NORMAL, extension(required.oid))?;
        }
    }
    for o in catalog.plugin_objects() {
        add(plugin_object(o.oid), NORMAL, in_schema(o.schema))?;
        if let Some(e) = catalog.extension(&o.plugin) {
            add(plugin_object(o.oid), NORMAL, extension(e.oid))?;
        }
        for on in &o.depends_on {
            add(plugin_object(o.oid), NORMAL, needed(*on))?;
        }
    }
    for index in catalog.indexes() {
        match index.constraint {
            Some(enforced) => add(class(index.oid), INTERNAL, constraint(enforced))?,
            None => {
                let parts = index.columns.iter().map(|part| part.column);
                let parts = parts.filter(|place| *place < EXPRESSION);
                let expressions = index.expressions.iter().chain(&index.predicate);
                let read = expressions.flat_map(|e| e.columns.iter().copied());
                let included = index.included.iter().copied();
                for place in parts.chain(included).chain(read) {
                    add(class(index.oid), AUTO, column(index.table, place))?;
                }
            }
        }
    }
    for sequence in catalog.sequences() {
        add(class(sequence.oid), NORMAL, in_schema(sequence.schema))?;
        if let Some(owner) = &sequence.owned_by {
            let kind = if owner.identity { INTERNAL } else { AUTO };
            add(class(sequence.oid), kind, column(owner.table, owner.column))?;
        }
    }
    for view in catalog.views() {
        add(class(view.oid), NORMAL, in_schema(view.schema))?;
        let rule = Address {
            class: PG_REWRITE.oid,
            object: rule_oid(view),
            sub: 0,
        };
        add(rule, INTERNAL, class(view.oid))?;
        add(rule, NORMAL, class(view.oid))?;
        for Dependency { oid, column: place } in &view.depends_on {
            let on = match place {
                Some(place) => column(*oid, *place),
                None => class(*oid),
            };
            add(rule, NORMAL, on)?;
        }
    }
    Ok(())
}
