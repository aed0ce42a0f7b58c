//! Who a client is: SCRAM-SHA-256 (RFC 5802, RFC 7677) or, where configured, trust.
//!
//! The server holds verifiers only, never a password. A role that does not exist, or has no
//! password, goes through the whole exchange against a mock verifier whose salt is a fixed function
//! of its name, and fails where a wrong password fails: the answers tell nothing about which names
//! exist (PostgreSQL's "doomed" authentication).

use bytes::{Buf, Bytes};
use heliosdb_sql::ScramSecret;
use heliosdb_sql::error::{SqlError, state};
use pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramSecret as Verifier, ScramServerAuth,
    ScramServerAuthWaitingForClientFinal, gen_salted_password,
};
use pgwire::error::PgWireError;

pub const MECHANISM: &str = "SCRAM-SHA-256";
/// The same, bound to the channel.
pub const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// What pgwire says of a client that is bound to another channel.
const UNBOUND: &str = "Channel binding mismatch";

/// Salt bytes, as PostgreSQL's `SCRAM_DEFAULT_SALT_LEN`.
const SALT_BYTES: usize = 16;

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AuthMethod {
    #[default]
    Scram,
    /// Take any client's word. Only on addresses that this machine alone can reach.
    Trust,
}

/// The exchange after `server-first` was sent.
pub struct Pending {
    exchange: ScramServerAuthWaitingForClientFinal,
    doomed: bool,
    /// The client chose the mechanism that binds.
    binds: bool,
}

/// The mechanisms a client may choose from, where `binding` is of the channel it has.
pub fn mechanisms(binding: Option<&ScramServerAuth>) -> Vec<String> {
    let plus = binding.map(|_| MECHANISM_PLUS.to_owned());
    plus.into_iter().chain([MECHANISM.to_owned()]).collect()
}

/// Answer `SASLInitialResponse`; `secret` is the role's verifier if it has one.
pub fn client_first(
    message: Bytes,
    user: &str,
    secret: Option<ScramSecret>,
    mock_key: &[u8],
    binding: Option<&ScramServerAuth>,
) -> Result<(String, Pending), SqlError> {
    let data = initial_response(message, binding.is_some())?;
    let binds = data.starts_with(b"p");
    if binding.is_some() && data.starts_with(b"y") {
        return Err(SqlError::new(
            state::INVALID_AUTHORIZATION_SPECIFICATION,
            "SCRAM channel binding negotiation error",
        )
        .with_detail("The client supports SCRAM channel binding but thinks the server does not. However, this server does support channel binding."));
    }
    let doomed = secret.is_none();
    let verifier = match secret {
        Some(secret) => Verifier::Verifier {
            salt: secret.salt.to_vec(),
            iterations: secret.iterations as usize,
            stored_key: secret.stored_key.to_vec(),
            server_key: secret.server_key.to_vec(),
        },
        None => mock(user, mock_key),
    };
    let scram = binding.cloned().unwrap_or_default();
    let (reply, exchange) = scram
        .on_client_first_message_with_secret(&data, verifier)
        .map_err(|e| failure(user, e))?;
    let pending = Pending {
        exchange,
        doomed,
        binds,
    };
    Ok((reply, pending))
}

impl Pending {
    /// Answer `SASLResponse`: `server-final` if the proof is right.
    pub fn client_final(self, message: &[u8], user: &str) -> Result<String, SqlError> {
        let reply = self
            .exchange
            .on_client_final_message(message)
            .map_err(|e| match e {
                PgWireError::InvalidScramMessage(what) if self.binds && what == UNBOUND => {
                    SqlError::new(
                        state::INVALID_AUTHORIZATION_SPECIFICATION,
                        "SCRAM channel binding check failed",
                    )
                }
                e => failure(user, e),
            })?;
        if self.doomed {
            Err(wrong_password(user))
        } else {
            Ok(reply)
        }
    }
}

/// The mechanism's name, then the length and bytes of its first message, which begins with `p` if and only if
/// the mechanism is the one that binds.
fn initial_response(mut message: Bytes, can_bind: bool) -> Result<Bytes, SqlError> {
    let malformed = || {
        SqlError::new(
            state::PROTOCOL_VIOLATION,
            "malformed SASLInitialResponse message",
        )
    };
    let end = message.iter().position(|b| *b == 0).ok_or_else(malformed)?;
    let mechanism = message.split_to(end);
    let binds = can_bind && mechanism.as_ref() == MECHANISM_PLUS.as_bytes();
    if !binds && mechanism.as_ref() != MECHANISM.as_bytes() {
        return Err(SqlError::new(
            state::PROTOCOL_VIOLATION,
            "client selected an invalid SASL authentication mechanism",
        ));
    }
    message.advance(1);
    if message.len() < 4 || message.get_i32() as usize != message.len() {
        return Err(malformed());
    }
    if message.starts_with(b"p") != binds {
        return Err(malformed());
    }
    Ok(message)
}

fn mock(user: &str, key: &[u8]) -> Verifier {
    let mut salt = gen_salted_password(user, key, 1);
    salt.truncate(SALT_BYTES);
    Verifier::Verifier {
        salt,
        iterations: SCRAM_ITERATIONS,
        stored_key: vec![0; 32],
        server_key: vec![0; 32],
    }
}

fn failure(user: &str, error: PgWireError) -> SqlError {
    match error {
        PgWireError::InvalidPassword(_) => wrong_password(user),
        other => SqlError::new(state::PROTOCOL_VIOLATION, "malformed SCRAM message")
            .with_detail(other.to_string()),
    }
}

fn wrong_password(user: &str) -> SqlError {
    SqlError::new(
        state::INVALID_PASSWORD,
        format!("password authentication failed for user \"{user}\""),
    )
}
