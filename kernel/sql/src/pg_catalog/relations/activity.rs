//! Who is there, what each runs and waits for: `pg_stat_activity`, `pg_locks` and what else is of the moment.

use heliosdb_storage::{LockOwner, Locked, LockedObject, RowLockMode};

use crate::activity::{ClientAddress, State, Waits};
use crate::catalog::model::oid;
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::session::info::SessionInfo;
use crate::session::shown::pid_of;

relations! {
    PG_STAT_ACTIVITY = pg_catalog.pg_stat_activity 12222 'v' {
        datid Oid, datname Name, pid Int4, leader_pid Int4, usesysid Oid, usename Name,
        application_name Text, client_addr Inet, client_hostname Text, client_port Int4,
        backend_start Timestamptz, xact_start Timestamptz, query_start Timestamptz,
        state_change Timestamptz, wait_event_type Text, wait_event Text, state Text,
        backend_xid Xid, backend_xmin Xid, query_id Int8, query Text, backend_type Text,
    } => Some(activity_rows);
    PG_LOCKS = pg_catalog.pg_locks 12073 'v' {
        locktype Text, database Oid, relation Oid, page Int4, tuple Int2, virtualxid Text,
        transactionid Xid, classid Oid, objid Oid, objsubid Int2, virtualtransaction Text, pid Int4,
        mode Text, granted Bool, fastpath Bool, waitstart Timestamptz,
    } => Some(lock_rows);
    PG_PREPARED_STATEMENTS = pg_catalog.pg_prepared_statements 12095 'v' {
        name Text, statement Text, prepare_time Timestamptz, parameter_types RegtypeArray,
        from_sql Bool, generic_plans Int8, custom_plans Int8,
    } => Some(prepared_rows);
}

/// Roles see of others' sessions that they are there.
const HIDDEN: &str = "<insufficient privilege>";

fn activity_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let Some(viewer) = ctx.session.live() else {
        return Ok(());
    };
    let instance = &viewer.instance;
    let locks = instance.engine().locks();
    for session in instance.activity().sessions() {
        let role = ctx.role_name(session.login);
        let application = session.with_settings(|s| s.value("application_name").to_owned());
        let who = row![
            oid::DATABASE,
            &session.database,
            session.pid as i32,
            NULL,
            session.login,
            role,
            application,
        ];
        rows.extend(who.into_iter().chain(match viewer.may_see(&session) {
            true => shown(&session, &locks),
            false => hidden(),
        }))?;
    }
    Ok(())
}

fn hidden() -> [Datum; 15] {
    let mut hidden = [const { NULL }; 15];
    hidden[13] = HIDDEN.into();
    hidden
}

fn shown(session: &SessionInfo, locks: &[Locked]) -> [Datum; 15] {
    let backend = &session.backend;
    let moment = backend.moment();
    let (address, port) = match backend.client {
        None => (NULL, NULL),
        Some(ClientAddress::Local) => (NULL, Datum::Int(-1)),
        Some(client) => match client.client() {
            Some((address, port)) => (address.to_string().into(), Datum::Int(port.into())),
            None => (NULL, NULL),
        },
    };
    // Before the first statement there is no start of one.
    let [transaction, statement] = session
        .moments()
        .map(|at| (at > 0).then_some(Datum::Timestamp(at)));
    let transaction = transaction.filter(|_| moment.state != State::Idle);
    let changed = match moment.state {
        State::Active => statement.clone(),
        _ => Some(Datum::Timestamp(moment.idle_since)),
    };
    let (kind, event) = match waits_for(session, &moment.waits, moment.state, locks) {
        Some((kind, event)) => (kind.into(), event.into()),
        None => (NULL, NULL),
    };
    row![
        address,
        NULL,
        port,
        Datum::Timestamp(backend.begun),
        transaction,
        statement,
        changed,
        kind,
        event,
        moment.state.name(),
        NULL,
        NULL,
        moment.query_id,
        moment.query,
        "client backend",
    ]
}

/// PostgreSQL's names for what a session waits for.
fn waits_for(
    session: &SessionInfo,
    waits: &Waits,
    state: State,
    locks: &[Locked],
) -> Option<(&'static str, &'static str)> {
    if state != State::Active {
        return Some(("Client", "ClientRead"));
    }
    match waits {
        Waits::Sleep => return Some(("Timeout", "PgSleep")),
        Waits::Termination => return Some(("IPC", "BackendTermination")),
        Waits::Nothing => {}
    }
    let owner = LockOwner::Session(session.pid);
    let waited = locks.iter().find(|l| l.owner == owner && !l.granted)?;
    Some((
        "Lock",
        match waited.object {
            LockedObject::Table(..) => "relation",
            LockedObject::Row(..) => "tuple",
            LockedObject::Advisory(..) => "advisory",
        },
    ))
}

fn prepared_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for statement in ctx.session.prepared_statements() {
        rows.push(row![
            statement.name,
            statement.text,
            Datum::Timestamp(statement.prepared_micros),
            statement.parameters,
            statement.from_sql,
            statement.executions,
            0i64,
        ])?;
    }
    Ok(())
}

/// The mode of a lock on a tuple that stands for one on a row.
fn row_mode(mode: RowLockMode) -> &'static str {
    match mode {
        RowLockMode::KeyShare => "AccessShareLock",
        RowLockMode::Share => "RowShareLock",
        RowLockMode::NoKeyUpdate => "ExclusiveLock",
        RowLockMode::Update => "AccessExclusiveLock",
    }
}

fn lock_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let Some(viewer) = ctx.session.live() else {
        return Ok(());
    };
    for locked in viewer.instance.engine().locks() {
        // A table's, or an index's; what is neither is the system's own.
        let relation = |collection: heliosdb_storage::ids::CollectionId| {
            let table = ctx
                .catalog
                .tables()
                .find(|t| t.collection_id() == collection);
            let index = || ctx.catalog.indexes().find(|i| i.collection == collection.0);
            table.map(|t| t.oid).or_else(|| index().map(|i| i.oid))
        };
        let (kind, relation, key, mode) = match locked.object {
            LockedObject::Table(collection, mode) => {
                ("relation", relation(collection), None, mode.name())
            }
            LockedObject::Row(collection, mode) => {
                ("tuple", relation(collection), None, row_mode(mode))
            }
            LockedObject::Advisory(key, mode) => ("advisory", None, Some(key.parts()), mode.name()),
        };
        let pid = pid_of(locked.owner);
        rows.push(row![
            kind,
            oid::DATABASE,
            relation,
            NULL,
            NULL,
            NULL,
            NULL,
            key.map(|k| k.0),
            key.map(|k| k.1),
            key.map(|k| k.2 as i16),
            format!("{pid}/0"),
            (pid != 0).then_some(pid),
            mode,
            locked.granted,
            false,
            NULL,
        ])?;
    }
    Ok(())
}
