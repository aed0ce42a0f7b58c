//! Access methods, operators, operator classes, collations, languages and functions: what is built in.

use crate::catalog::model::oid;
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::builtin::*;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::pg_catalog::routine;

relations! {
    PG_AM = pg_catalog.pg_am 2601 'r' {
        oid Oid, amname Name, amhandler Regproc, amtype Char,
    } => Some(am_rows);
    PG_OPERATOR = pg_catalog.pg_operator 2617 'r' {
        oid Oid, oprname Name, oprnamespace Oid, oprowner Oid, oprkind Char, oprcanmerge Bool,
        oprcanhash Bool, oprleft Oid, oprright Oid, oprresult Oid, oprcom Oid, oprnegate Oid,
        oprcode Regproc, oprrest Regproc, oprjoin Regproc,
    } => Some(operator_rows);
    PG_OPCLASS = pg_catalog.pg_opclass 2616 'r' {
        oid Oid, opcmethod Oid, opcname Name, opcnamespace Oid, opcowner Oid, opcfamily Oid,
        opcintype Oid, opcdefault Bool, opckeytype Oid,
    } => Some(class_rows);
    PG_OPFAMILY = pg_catalog.pg_opfamily 2753 'r' {
        oid Oid, opfmethod Oid, opfname Name, opfnamespace Oid, opfowner Oid,
    } => Some(family_rows);
    PG_COLLATION = pg_catalog.pg_collation 3456 'r' {
        oid Oid, collname Name, collnamespace Oid, collowner Oid, collprovider Char,
        collisdeterministic Bool, collencoding Int4, collcollate Text null, collctype Text null,
        colliculocale Text null, collversion Text null,
    } => Some(collation_rows);
    PG_LANGUAGE = pg_catalog.pg_language 2612 'r' {
        oid Oid, lanname Name, lanowner Oid, lanispl Bool, lanpltrusted Bool, lanplcallfoid Oid,
        laninline Oid, lanvalidator Oid, lanacl AclItemArray null,
    } => Some(language_rows);
    PG_PROC = pg_catalog.pg_proc 1255 'r' {
        oid Oid, proname Name, pronamespace Oid, proowner Oid, prolang Oid, procost Float4,
        prorows Float4, provariadic Oid, prosupport Regproc, prokind Char, prosecdef Bool,
        proleakproof Bool, proisstrict Bool, proretset Bool, provolatile Char, proparallel Char,
        pronargs Int2, pronargdefaults Int2, prorettype Oid, proargtypes OidVector,
        proallargtypes OidArray null, proargmodes CharArray null, proargnames TextArray null,
        proargdefaults NodeTree null, protrftypes OidArray null, prosrc Text, probin Text null,
        prosqlbody NodeTree null, proconfig TextArray null, proacl AclItemArray null,
    } => Some(function_rows);
}

const OWNER: u32 = oid::BOOTSTRAP_ROLE;
const SCHEMA: u32 = oid::PG_CATALOG_SCHEMA;
/// `pg_language.oid` of functions that come from a file.
const C_LANGUAGE: u32 = 13;
const HEAP_HANDLER: u32 = 3;
const BTREE_HANDLER: u32 = 330;

fn am_rows(_: &SystemContext, rows: &mut Rows) -> Result<()> {
    rows.push(row![HEAP, "heap", HEAP_HANDLER, 't'])?;
    rows.push(row![BTREE, "btree", BTREE_HANDLER, 'i'])
}

fn operator_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for o in builtin_operators() {
        rows.push(row![
            o.oid,
            o.name,
            SCHEMA,
            OWNER,
            o.kind,
            o.can_merge,
            o.can_hash,
            o.left,
            o.right,
            o.result,
            o.commutator,
            o.negator,
            o.code,
            o.restrict,
            o.join,
        ])?;
    }
    for o in &ctx.session.added().operators {
        rows.push(row![
            o.oid,
            &o.name,
            oid::PUBLIC_SCHEMA,
            OWNER,
            'b',
            false,
            false,
            o.left,
            o.right,
            o.result,
            o.commutator,
            o.negator,
            o.code,
            0u32,
            0u32,
        ])?;
    }
    Ok(())
}

fn class_rows(_: &SystemContext, rows: &mut Rows) -> Result<()> {
    for c in builtin_classes() {
        rows.push(row![
            c.oid, BTREE, c.name, SCHEMA, OWNER, c.family, c.input, c.default, c.key
        ])?;
    }
    Ok(())
}

fn family_rows(_: &SystemContext, rows: &mut Rows) -> Result<()> {
    for (oid, name) in builtin_families() {
        rows.push(row![*oid, BTREE, *name, SCHEMA, OWNER])?;
    }
    Ok(())
}

fn collation_rows(_: &SystemContext, rows: &mut Rows) -> Result<()> {
    rows.push(row![
        DEFAULT_COLLATION,
        "default",
        SCHEMA,
        OWNER,
        'd',
        true,
        -1i32,
        NULL,
        NULL,
        NULL,
        NULL,
    ])?;
    for (oid, name) in [(C_COLLATION, "C"), (POSIX_COLLATION, "POSIX")] {
        rows.push(row![
            oid, name, SCHEMA, OWNER, 'c', true, -1i32, name, name, NULL, NULL
        ])?;
    }
    Ok(())
}

fn language_rows(_: &SystemContext, rows: &mut Rows) -> Result<()> {
    rows.push(row![
        INTERNAL_LANGUAGE,
        "internal",
        OWNER,
        false,
        false,
        0u32,
        0u32,
        0u32,
        NULL
    ])?;
    rows.push(row![
        C_LANGUAGE, "c", OWNER, false, false, 0u32, 0u32, 0u32, NULL
    ])?;
    let sql = routine::SQL_LANGUAGE;
    rows.push(row![sql, "sql", OWNER, false, true, 0u32, 0u32, 0u32, NULL])
}

fn function_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for f in builtin_functions() {
        let (cost, returned) = (1.0f32, if f.returns_set { 1000.0f32 } else { 0.0 });
        rows.push(row![
            f.oid,
            f.name,
            SCHEMA,
            OWNER,
            INTERNAL_LANGUAGE,
            cost,
            returned,
            f.variadic,
            0u32,
            f.kind,
            false,
            false,
            f.strict,
            f.returns_set,
            f.volatility,
            's',
            f.arguments.len() as i16,
            f.defaults,
            f.result,
            f.arguments.clone(),
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            f.source,
            NULL,
            NULL,
            NULL,
            NULL,
        ])?;
    }
    for f in &ctx.session.added().functions {
        let (cost, returned) = (1.0f32, if f.returns_set() { 1000.0f32 } else { 0.0 });
        let (all, modes, names) = if f.returns_set() {
            (f.all_types().into(), f.modes().into(), f.names().into())
        } else {
            (NULL, NULL, NULL)
        };
        rows.push(row![
            f.oid,
            &f.name,
            oid::PUBLIC_SCHEMA,
            OWNER,
            C_LANGUAGE,
            cost,
            returned,
            f.variadic,
            0u32,
            f.kind,
            false,
            false,
            f.strict,
            f.returns_set(),
            f.volatility,
            's',
            f.arguments.len() as i16,
            0i16,
            f.result,
            f.arguments.clone(),
            all,
            modes,
            names,
            NULL,
            NULL,
            &f.name,
            format!("$libdir/{}", f.plugin),
            NULL,
            NULL,
            NULL,
        ])?;
    }
    routine::rows(ctx, rows)
}
