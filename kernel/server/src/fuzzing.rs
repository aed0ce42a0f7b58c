//! The door for `testing/fuzz`: reads bytes as a client's, and throws away what they say.

use bytes::BytesMut;

use crate::frontend::{next_message, next_opening};

/// Reads frames until one is none or there are no more. The first byte says what the connection has come to: 0 is its beginning,
/// 1 an open one, anything else one that is to prove who it is.
pub fn frames(bytes: &[u8]) {
    let Some((stage, rest)) = bytes.split_first() else {
        return;
    };
    let mut input = BytesMut::from(rest);
    loop {
        let left = input.len();
        let is_read = match stage {
            0 => matches!(next_opening(&mut input), Ok(Some(_))),
            stage => matches!(next_message(&mut input, *stage == 1), Ok(Some(_))),
        };
        assert!(!is_read || input.len() < left, "a frame of no bytes");
        if !is_read {
            return;
        }
    }
}
