//! Messages to a client: pgwire's types, and the few that are built in place for speed.
//!
//! Everything is appended to the connection's output buffer. A message is whole or absent: what
//! cannot be encoded is taken back ([`put`]), and a row under construction is known by its start so
//! that a failure half way can remove it.

use bytes::{BufMut, BytesMut};
use heliosdb_sql::CopyFormat;
use heliosdb_sql::error::SqlError;
use pgwire::messages::Message;
use pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, ErrorResponse, NoticeResponse, NotificationResponse,
    ReadyForQuery, SslResponse, TransactionStatus as WireStatus,
};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};

/// Protocol 3.0, the only minor version spoken.
const PROTOCOL_3_0: i32 = 3 << 16;

/// How bad an error is for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The connection ends after this message.
    Fatal,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        }
    }
}

/// Append `message`, or nothing at all when it exceeds what a client would accept.
fn put(out: &mut BytesMut, message: impl Message) {
    let start = out.len();
    if let Err(error) = message.encode(out) {
        out.truncate(start);
        tracing::error!(%error, "a message to the client could not be encoded");
    }
}

pub fn refuse_encryption(out: &mut BytesMut) {
    put(out, SslResponse::Refuse);
}

pub fn accept_encryption(out: &mut BytesMut) {
    put(out, SslResponse::Accept);
}

pub fn negotiate_version(out: &mut BytesMut, unsupported_options: Vec<String>) {
    put(
        out,
        NegotiateProtocolVersion::new(PROTOCOL_3_0, unsupported_options),
    );
}

pub fn authentication_ok(out: &mut BytesMut) {
    put(out, Authentication::Ok);
}

pub fn sasl_mechanisms(out: &mut BytesMut, mechanisms: Vec<String>) {
    put(out, Authentication::SASL(mechanisms));
}

pub fn sasl_continue(out: &mut BytesMut, data: String) {
    put(out, Authentication::SASLContinue(data.into()));
}

pub fn sasl_final(out: &mut BytesMut, data: String) {
    put(out, Authentication::SASLFinal(data.into()));
}

pub fn parameter_status(out: &mut BytesMut, name: String, value: String) {
    put(out, ParameterStatus::new(name, value));
}

pub fn backend_key_data(out: &mut BytesMut, pid: i32, secret: i32) {
    put(out, BackendKeyData::new(pid, SecretKey::I32(secret)));
}

/// Where the session stands between statements.
pub fn ready_for_query(out: &mut BytesMut, status: heliosdb_sql::TransactionStatus) {
    use heliosdb_sql::TransactionStatus as Status;
    put(
        out,
        ReadyForQuery::new(match status {
            Status::Idle => WireStatus::Idle,
            Status::InTransaction => WireStatus::Transaction,
            Status::Failed => WireStatus::Error,
        }),
    );
}

pub fn command_complete(out: &mut BytesMut, tag: String) {
    put(out, CommandComplete::new(tag));
}

pub fn empty_query(out: &mut BytesMut) {
    put(out, EmptyQueryResponse::new());
}

pub fn parse_complete(out: &mut BytesMut) {
    put(out, ParseComplete::new());
}

pub fn bind_complete(out: &mut BytesMut) {
    put(out, BindComplete::new());
}

pub fn close_complete(out: &mut BytesMut) {
    put(out, CloseComplete::new());
}

pub fn portal_suspended(out: &mut BytesMut) {
    put(out, PortalSuspended::new());
}

pub fn no_data(out: &mut BytesMut) {
    put(out, NoData::new());
}

pub fn parameter_description(out: &mut BytesMut, types: Vec<u32>) {
    put(out, ParameterDescription::new(types));
}

/// `formats` holds one code per column. Drivers ask for it with every execution, so it is written in place.
pub fn row_description(
    out: &mut BytesMut,
    columns: &[heliosdb_sql::ResultColumn],
    formats: &[i16],
) {
    let start = out.len();
    out.put_u8(b'T');
    out.put_u32(0);
    out.put_i16(columns.len() as i16);
    for (column, format) in columns.iter().zip(formats) {
        out.put_slice(column.name.as_bytes());
        out.put_u8(0);
        out.put_u32(column.table_oid);
        out.put_i16(column.column_attnum);
        out.put_u32(column.ty.oid());
        out.put_i16(column.ty.len());
        out.put_i32(column.typmod);
        out.put_i16(*format);
    }
    let length = (out.len() - start - 1) as u32;
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

/// COPY moves text; every column has format 0.
pub fn copy_in(out: &mut BytesMut, format: CopyFormat, columns: usize) {
    let format = i8::from(format == CopyFormat::Binary);
    let formats = vec![i16::from(format); columns];
    put(out, CopyInResponse::new(format, columns as i16, formats));
}

pub fn copy_out(out: &mut BytesMut, format: CopyFormat, columns: usize) {
    let format = i8::from(format == CopyFormat::Binary);
    let formats = vec![i16::from(format); columns];
    put(out, CopyOutResponse::new(format, columns as i16, formats));
}

/// One row of a COPY.
pub fn copy_data(out: &mut BytesMut, row: &[u8]) {
    out.put_u8(b'd');
    out.put_u32(row.len() as u32 + 4);
    out.put_slice(row);
}

pub fn copy_done(out: &mut BytesMut) {
    put(out, CopyDone::new());
}

pub fn error(out: &mut BytesMut, severity: Severity, error: &SqlError) {
    put(out, ErrorResponse::new(fields(severity.as_str(), error)));
}

pub fn notice(out: &mut BytesMut, notice: &heliosdb_sql::Notice) {
    let mut as_error = SqlError::new(notice.code, notice.message.clone());
    as_error.detail = notice.detail.clone();
    as_error.hint = notice.hint.clone();
    put(out, NoticeResponse::new(fields(notice.severity, &as_error)));
}

pub fn notification(out: &mut BytesMut, notification: heliosdb_sql::Notification) {
    let heliosdb_sql::Notification {
        pid,
        channel,
        payload,
    } = notification;
    put(out, NotificationResponse::new(pid, channel, payload));
}

fn fields(severity: &str, error: &SqlError) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', error.code.as_str().to_owned()),
        (b'M', plain(&error.message)),
    ];
    let position = error.position.map(|p| p.to_string());
    for (code, value) in [
        (b'D', &error.detail),
        (b'H', &error.hint),
        (b'P', &position),
        (b'W', &error.context),
        (b's', &error.schema),
        (b't', &error.table),
        (b'c', &error.column),
        (b'n', &error.constraint),
    ] {
        if let Some(value) = value {
            fields.push((code, plain(value)));
        }
    }
    if error.is_stale_plan {
        fields.push((b'R', "RevalidateCachedQuery".to_owned()));
    }
    fields
}

/// A zero byte would end the field early.
fn plain(text: &str) -> String {
    text.replace('\0', "\\0")
}

/// A `DataRow` being appended, column by column.
#[derive(Debug)]
pub struct DataRow {
    start: usize,
}

impl DataRow {
    pub fn begin(out: &mut BytesMut, columns: usize) -> DataRow {
        let start = out.len();
        out.put_u8(b'D');
        out.put_u32(0);
        out.put_i16(columns as i16);
        DataRow { start }
    }

    pub fn null(out: &mut BytesMut) {
        out.put_i32(-1);
    }

    pub fn value(out: &mut BytesMut, bytes: &[u8]) {
        out.put_i32(bytes.len() as i32);
        out.put_slice(bytes);
    }

    /// Patch the length in. False, and the row taken back, if the row is longer than a message may be.
    pub fn end(self, out: &mut BytesMut) -> bool {
        let length = out.len() - self.start - 1;
        let Ok(length) = i32::try_from(length) else {
            out.truncate(self.start);
            return false;
        };
        out[self.start + 1..self.start + 5].copy_from_slice(&length.to_be_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heliosdb_sql::error::state;

    #[test]
    fn an_error_carries_every_field_it_has() {
        let mut out = BytesMut::new();
        let e = SqlError::new(state::UNIQUE_VIOLATION, "dup\0licate")
            .with_detail("d")
            .with_hint("h")
            .with_position(7)
            .with_context("w")
            .with_table("public", "t")
            .with_column("c")
            .with_constraint("t_pkey");
        error(&mut out, Severity::Error, &e);
        assert_eq!(out[0], b'E');
        assert_eq!(
            &out[5..],
            b"SERROR\0VERROR\0C23505\0Mdup\\0licate\0Dd\0Hh\0P7\0Ww\0spublic\0tt\0cc\0nt_pkey\0\0"
        );
    }

    #[test]
    fn a_row_is_whole() {
        let mut out = BytesMut::from(&b"x"[..]);
        let row = DataRow::begin(&mut out, 2);
        DataRow::value(&mut out, b"ab");
        DataRow::null(&mut out);
        assert!(row.end(&mut out));
        assert_eq!(&out[..], b"xD\0\0\0\x10\0\x02\0\0\0\x02ab\xff\xff\xff\xff");
    }
}
