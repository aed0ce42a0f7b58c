//! Password secrets, stored as PostgreSQL stores them.
//!
//! `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the last three in base64 (RFC 5802,
//! RFC 7677). A password itself is never stored. A password that already has this form is taken as a
//! secret, which is how dumps carry roles.

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::RngCore;
use ring::{digest, hmac, pbkdf2};

use crate::error::{Result, SqlError, state};

const PREFIX: &str = "SCRAM-SHA-256$";
/// PostgreSQL's default.
const ITERATIONS: u32 = 4096;
const SALT_BYTES: usize = 16;
pub const KEY_BYTES: usize = 32;

/// What a server keeps of a password to run SCRAM-SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramSecret {
    pub iterations: u32,
    pub salt: Vec<u8>,
    pub stored_key: [u8; KEY_BYTES],
    pub server_key: [u8; KEY_BYTES],
}

impl fmt::Debug for ScramSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramSecret")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl ScramSecret {
    /// A secret with a fresh salt.
    pub fn new(password: &str) -> ScramSecret {
        let mut salt = vec![0; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        ScramSecret::with_salt(password, salt, ITERATIONS)
    }

    pub fn with_salt(password: &str, salt: Vec<u8>, iterations: u32) -> ScramSecret {
        // RFC 5802 asks for SASLprep; like PostgreSQL, use the raw text when that is not possible.
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN),
            &salt,
            prepared.as_bytes(),
            &mut salted,
        );
        let client_key = sign(&salted, b"Client Key");
        ScramSecret {
            iterations,
            salt,
            stored_key: sha256(&client_key),
            server_key: sign(&salted, b"Server Key"),
        }
    }

    /// Reads the stored form.
    pub fn parse(text: &str) -> Result<ScramSecret> {
        parse(text).ok_or_else(|| {
            SqlError::new(
                state::DATA_CORRUPTED,
                "a stored password secret is not valid",
            )
        })
    }

    /// What ALTER ROLE … PASSWORD stores for this text.
    pub fn for_password(password: &str) -> ScramSecret {
        parse(password).unwrap_or_else(|| ScramSecret::new(password))
    }
}

impl fmt::Display for ScramSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}{}:{}${}:{}",
            self.iterations,
            BASE64.encode(&self.salt),
            BASE64.encode(self.stored_key),
            BASE64.encode(self.server_key)
        )
    }
}

fn parse(text: &str) -> Option<ScramSecret> {
    let (parameters, keys) = text.strip_prefix(PREFIX)?.split_once('$')?;
    let (iterations, salt) = parameters.split_once(':')?;
    let (stored, server) = keys.split_once(':')?;
    Some(ScramSecret {
        iterations: iterations.parse().ok().filter(|n| *n > 0)?,
        salt: BASE64.decode(salt).ok()?,
        stored_key: BASE64.decode(stored).ok()?.try_into().ok()?,
        server_key: BASE64.decode(server).ok()?.try_into().ok()?,
    })
}

fn sign(key: &[u8], text: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let mut out = [0; KEY_BYTES];
    out.copy_from_slice(tag.as_ref());
    out
}

fn sha256(bytes: &[u8]) -> [u8; KEY_BYTES] {
    let mut out = [0; KEY_BYTES];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

pub(crate) fn undefined_role(name: &str) -> SqlError {
    SqlError::new(
        state::UNDEFINED_OBJECT,
        format!("role \"{name}\" does not exist"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_its_text() {
        let secret = ScramSecret::new("pencil");
        assert_eq!(ScramSecret::parse(&secret.to_string()).unwrap(), secret);
        assert_eq!(ScramSecret::for_password(&secret.to_string()), secret);
    }

    /// The exchange of RFC 7677, section 3, fixes the salt and so the keys.
    #[test]
    fn keys_are_those_of_rfc_7677() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let secret = ScramSecret::with_salt("pencil", salt, 4096);
        let auth = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
                    r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
                    c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = sign(&secret.server_key, auth.as_bytes());
        assert_eq!(
            BASE64.encode(signature),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }
}
