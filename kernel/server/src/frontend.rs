//! Frames from a client, cut out of the byte stream and decoded.
//!
//! pgwire's own frontend decoders take counts from the message on trust and read past its end (a
//! `Bind` that claims 60,000 parameters panics in `BytesMut::get_i16`), so the client's half of the
//! protocol is decoded here, over exactly one frame at a time and with every read checked. A frame
//! that does not decode is a protocol violation; a frame that decodes but holds text which is not
//! UTF-8 is an ordinary error of the statement.
//!
//! Invariants, which `tests` and the fuzz test of this crate cite:
//!
//! 1. No byte sequence makes this module panic.
//! 2. Memory follows the bytes that arrived, never a length or a count that a frame claims.
//! 3. A decoder sees one frame only and must use all of it.

use bytes::{Buf, Bytes, BytesMut};
use heliosdb_sql::error::{SqlError, state};

/// Longest startup packet, and longest message of the kinds that carry no user data
/// (PostgreSQL's `MAX_STARTUP_PACKET_LENGTH` and `PQ_SMALL_MESSAGE_LIMIT`).
pub const SMALL_MESSAGE_BYTES_MAX: usize = 10_000;
/// Longest message before authentication has succeeded (`PG_MAX_AUTH_TOKEN_LENGTH`).
pub const AUTH_MESSAGE_BYTES_MAX: usize = 65_535;
/// Longest message that carries user data (`PQ_LARGE_MESSAGE_LIMIT`: 1 GiB - 1).
pub const LARGE_MESSAGE_BYTES_MAX: usize = 0x3fff_ffff;

const CANCEL_REQUEST_CODE: u32 = 80_877_102;
const SSL_REQUEST_CODE: u32 = 80_877_103;
const GSSENC_REQUEST_CODE: u32 = 80_877_104;

/// What a client may open a connection with.
#[derive(Debug, PartialEq)]
pub enum Opening {
    /// A request for TLS.
    Ssl,
    /// A request for encryption by GSSAPI.
    Gss,
    Cancel {
        pid: i32,
        secret: i32,
    },
    Startup {
        major: u16,
        minor: u16,
        parameters: Vec<(String, String)>,
    },
}

/// What a `Describe` or a `Close` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Statement,
    Portal,
}

/// A message of an open connection.
#[derive(Debug, PartialEq)]
pub enum Frontend {
    Query(String),
    Parse {
        name: String,
        query: String,
        param_types: Vec<u32>,
    },
    Bind(Bind),
    Describe {
        target: Target,
        name: String,
    },
    Close {
        target: Target,
        name: String,
    },
    Execute {
        portal: String,
        max_rows: i32,
    },
    Flush,
    Sync,
    FunctionCall,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
    /// Any of the `p` messages; authentication knows which one it asked for.
    Password(Bytes),
    Terminate,
}

#[derive(Debug, PartialEq)]
pub struct Bind {
    pub portal: String,
    pub statement: String,
    pub param_formats: Vec<i16>,
    pub params: Vec<Option<Bytes>>,
    pub result_formats: Vec<i16>,
}

/// Why a frame is not a message.
#[derive(Debug)]
pub enum FrameError {
    /// The stream can no longer be trusted to be cut right: 08P01, and the connection ends.
    Violation(String),
    /// The frame is well formed but its text is not: an error of this message alone. `kind` is the
    /// frame's type byte.
    Text { kind: u8, error: SqlError },
}

fn violation<T>(message: impl Into<String>) -> Result<T, FrameError> {
    Err(FrameError::Violation(message.into()))
}

/// Take the opening packet from the front of `input`, or `None` while it is incomplete.
pub fn next_opening(input: &mut BytesMut) -> Result<Option<Opening>, FrameError> {
    let Some(length) = input.get(..4) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
    if !(8..=SMALL_MESSAGE_BYTES_MAX).contains(&length) {
        return violation("invalid length of startup packet");
    }
    if input.len() < length {
        return Ok(None);
    }
    let mut body = Body::new(input.split_to(length).freeze());
    body.bytes.advance(4);
    let code = body.u32()?;
    match code {
        SSL_REQUEST_CODE => {
            body.end()?;
            Ok(Some(Opening::Ssl))
        }
        GSSENC_REQUEST_CODE => {
            body.end()?;
            Ok(Some(Opening::Gss))
        }
        CANCEL_REQUEST_CODE => {
            let (pid, secret) = (body.i32()?, body.i32()?);
            body.end()?;
            Ok(Some(Opening::Cancel { pid, secret }))
        }
        version => {
            let mut parameters = Vec::new();
            if version >> 16 == 3 {
                loop {
                    let name = body.text(0)?;
                    if name.is_empty() {
                        break;
                    }
                    let value = body.text(0)?;
                    parameters.push((name, value));
                }
                body.end()?;
            }
            Ok(Some(Opening::Startup {
                major: (version >> 16) as u16,
                minor: (version & 0xffff) as u16,
                parameters,
            }))
        }
    }
}

/// Take the next message from the front of `input`, or `None` while it is incomplete.
pub fn next_message(
    input: &mut BytesMut,
    authenticated: bool,
) -> Result<Option<Frontend>, FrameError> {
    let Some(&kind) = input.first() else {
        return Ok(None);
    };
    let limit = match kind {
        b'p' if !authenticated => AUTH_MESSAGE_BYTES_MAX,
        _ if !authenticated => {
            return violation(format!(
                "expected authentication response, got message type {kind}"
            ));
        }
        b'Q' | b'P' | b'B' | b'd' | b'F' => LARGE_MESSAGE_BYTES_MAX,
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' | b'p' => SMALL_MESSAGE_BYTES_MAX,
        _ => return violation(format!("invalid frontend message type {kind}")),
    };
    let Some(length) = input.get(1..5) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
    if !(4..=limit).contains(&length) {
        return violation(format!(
            "invalid message length {length} for message type {kind}"
        ));
    }
    if input.len() < 1 + length {
        return Ok(None);
    }
    let mut frame = input.split_to(1 + length).freeze();
    frame.advance(5);
    decode(kind, Body::new(frame)).map(Some)
}

/// True if the next complete message in `input` is a `Sync`.
pub fn sync_is_next(input: &[u8]) -> bool {
    input.starts_with(&[b'S', 0, 0, 0, 4])
}

fn decode(kind: u8, mut body: Body) -> Result<Frontend, FrameError> {
    let message = match kind {
        b'Q' => Frontend::Query(body.text(kind)?),
        b'P' => {
            let name = body.text(kind)?;
            let query = body.text(kind)?;
            let count = body.u16()? as usize;
            let param_types = (0..count).map(|_| body.u32()).collect::<Result<_, _>>()?;
            Frontend::Parse {
                name,
                query,
                param_types,
            }
        }
        b'B' => {
            let portal = body.text(kind)?;
            let statement = body.text(kind)?;
            let count = body.u16()? as usize;
            let param_formats = (0..count).map(|_| body.i16()).collect::<Result<_, _>>()?;
            let count = body.u16()? as usize;
            let params = (0..count).map(|_| body.value()).collect::<Result<_, _>>()?;
            let count = body.u16()? as usize;
            let result_formats = (0..count).map(|_| body.i16()).collect::<Result<_, _>>()?;
            Frontend::Bind(Bind {
                portal,
                statement,
                param_formats,
                params,
                result_formats,
            })
        }
        b'D' => Frontend::Describe {
            target: body.target()?,
            name: body.text(kind)?,
        },
        b'C' => Frontend::Close {
            target: body.target()?,
            name: body.text(kind)?,
        },
        b'E' => Frontend::Execute {
            portal: body.text(kind)?,
            max_rows: body.i32()?,
        },
        b'H' => Frontend::Flush,
        b'S' => Frontend::Sync,
        b'X' => Frontend::Terminate,
        b'd' => Frontend::CopyData(body.rest()),
        b'c' => Frontend::CopyDone,
        b'f' => Frontend::CopyFail(body.text(kind)?),
        b'p' => Frontend::Password(body.rest()),
        b'F' => {
            body.rest();
            Frontend::FunctionCall
        }
        _ => return violation(format!("invalid frontend message type {kind}")),
    };
    body.end()?;
    Ok(message)
}

/// The unread part of one frame.
struct Body {
    bytes: Bytes,
}

impl Body {
    fn new(bytes: Bytes) -> Body {
        Body { bytes }
    }

    fn take(&mut self, count: usize) -> Result<Bytes, FrameError> {
        if self.bytes.len() < count {
            return violation("insufficient data left in message");
        }
        Ok(self.bytes.split_to(count))
    }

    fn u16(&mut self) -> Result<u16, FrameError> {
        Ok(self.take(2)?.get_u16())
    }

    fn i16(&mut self) -> Result<i16, FrameError> {
        Ok(self.take(2)?.get_i16())
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(self.take(4)?.get_u32())
    }

    fn i32(&mut self) -> Result<i32, FrameError> {
        Ok(self.take(4)?.get_i32())
    }

    /// A parameter value: -1 is NULL.
    fn value(&mut self) -> Result<Option<Bytes>, FrameError> {
        match self.i32()? {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) => self.take(length).map(Some),
                Err(_) => violation("insufficient data left in message"),
            },
        }
    }

    fn target(&mut self) -> Result<Target, FrameError> {
        match self.take(1)?[0] {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            other => violation(format!("invalid message subtype {other}")),
        }
    }

    /// A string ended by a zero byte.
    fn text(&mut self, kind: u8) -> Result<String, FrameError> {
        let Some(length) = self.bytes.iter().position(|b| *b == 0) else {
            return violation("invalid string in message");
        };
        let text = self.bytes.split_to(length);
        self.bytes.advance(1);
        match std::str::from_utf8(&text) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(FrameError::Text {
                kind,
                error: invalid_utf8(&text, error),
            }),
        }
    }

    fn rest(&mut self) -> Bytes {
        self.bytes.split_to(self.bytes.len())
    }

    fn end(&self) -> Result<(), FrameError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            violation("invalid message format")
        }
    }
}

/// PostgreSQL's error for text that is not in the client's encoding.
pub fn invalid_utf8(text: &[u8], error: std::str::Utf8Error) -> SqlError {
    let bad = &text[error.valid_up_to()..];
    let shown: Vec<String> = bad
        .iter()
        .take(error.error_len().unwrap_or(bad.len()).clamp(1, 4))
        .map(|b| format!("0x{b:02x}"))
        .collect();
    SqlError::new(
        state::CHARACTER_NOT_IN_REPERTOIRE,
        format!(
            "invalid byte sequence for encoding \"UTF8\": {}",
            shown.join(" ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, body: &[u8]) -> BytesMut {
        let mut out = BytesMut::from(&[kind][..]);
        out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    fn error_of(mut input: BytesMut) -> String {
        match next_message(&mut input, true) {
            Err(FrameError::Violation(message)) => message,
            other => panic!("expected a violation, got {other:?}"),
        }
    }

    #[test]
    fn a_message_is_taken_only_when_complete() {
        let whole = frame(b'Q', b"select 1\0");
        for cut in 0..whole.len() {
            let mut input = BytesMut::from(&whole[..cut]);
            assert!(next_message(&mut input, true).unwrap().is_none());
            assert_eq!(input.len(), cut);
        }
        let mut input = whole.clone();
        input.extend_from_slice(&frame(b'S', b""));
        assert_eq!(
            next_message(&mut input, true).unwrap(),
            Some(Frontend::Query("select 1".into()))
        );
        assert!(sync_is_next(&input));
        assert_eq!(
            next_message(&mut input, true).unwrap(),
            Some(Frontend::Sync)
        );
        assert!(input.is_empty());
    }

    #[test]
    fn counts_beyond_the_frame_are_violations() {
        assert_eq!(
            error_of(frame(b'B', b"\0\0\xff\xff\0\x01")),
            "insufficient data left in message"
        );
        assert_eq!(
            error_of(frame(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xffx")),
            "insufficient data left in message"
        );
        assert_eq!(
            error_of(frame(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe")),
            "insufficient data left in message"
        );
        assert_eq!(
            error_of(frame(b'P', b"\0q\0\0\x02\0\0\0\x17")),
            "insufficient data left in message"
        );
        assert_eq!(
            error_of(frame(b'Q', b"no end")),
            "invalid string in message"
        );
        assert_eq!(error_of(frame(b'S', b"x")), "invalid message format");
        assert_eq!(error_of(frame(b'D', b"X\0")), "invalid message subtype 88");
    }

    #[test]
    fn lengths_out_of_range_are_violations_before_their_bytes_arrive() {
        assert_eq!(
            error_of(BytesMut::from(&b"S\x7f\xff\xff\xff"[..])),
            "invalid message length 2147483647 for message type 83"
        );
        assert_eq!(
            error_of(BytesMut::from(&b"Q\0\0\0\x03"[..])),
            "invalid message length 3 for message type 81"
        );
        assert_eq!(
            error_of(BytesMut::from(&b"!"[..])),
            "invalid frontend message type 33"
        );
        let mut startup = BytesMut::from(&b"\x7f\xff\xff\xff"[..]);
        assert!(matches!(
            next_opening(&mut startup),
            Err(FrameError::Violation(_))
        ));
    }

    #[test]
    fn text_that_is_not_utf8_spares_the_stream() {
        let mut input = frame(b'Q', b"select '\xff'\0");
        input.extend_from_slice(&frame(b'S', b""));
        let Err(FrameError::Text { kind, error }) = next_message(&mut input, true) else {
            panic!("expected an encoding error");
        };
        assert_eq!(
            (kind, error.code),
            (b'Q', state::CHARACTER_NOT_IN_REPERTOIRE)
        );
        assert_eq!(
            error.message,
            "invalid byte sequence for encoding \"UTF8\": 0xff"
        );
        assert_eq!(
            next_message(&mut input, true).unwrap(),
            Some(Frontend::Sync)
        );
    }

    #[test]
    fn openings_decode() {
        let mut input = BytesMut::from(&b"\0\0\0\x08\x04\xd2\x16\x2f"[..]);
        assert_eq!(next_opening(&mut input).unwrap(), Some(Opening::Ssl));
        let mut input = BytesMut::from(&b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\0\0\0\x09"[..]);
        assert_eq!(
            next_opening(&mut input).unwrap(),
            Some(Opening::Cancel { pid: 7, secret: 9 })
        );
        let mut input = BytesMut::from(&b"\0\0\0\x10\0\x03\0\0user\0u\0\0"[..]);
        assert_eq!(
            next_opening(&mut input).unwrap(),
            Some(Opening::Startup {
                major: 3,
                minor: 0,
                parameters: vec![("user".into(), "u".into())]
            })
        );
    }
}
