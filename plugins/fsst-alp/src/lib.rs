//! Column codecs as a plugin: FSST for strings, ALP and ALP-RD for floats, dictionaries, and zstd
//! where those gain less, chosen block by block.
//!
//! | module | what it knows |
//! |---|---|
//! | [`scheme`] | each scheme, of values without NULLs |
//! | [`choose`] | which scheme makes a block smallest, from samples |
//! | [`codec`] | `codec/1`: Arrow blocks, NULLs, frames |
//! | `frame`, `nulls`, `lengths`, `bits` | the parts that all encoded blocks are made of |
//!
//! What is promised for every block: it comes back to the bit, NaN payloads and signs of zeros
//! included; the same block gives the same bytes; and whatever bytes are decoded, there is no panic,
//! no unsafe code reads them, and no memory is asked for that the bytes, or [`VALUE_BYTES_MAX`], do
//! not justify.
//!
//! [`VALUE_BYTES_MAX`]: frame::VALUE_BYTES_MAX

mod bits;
pub mod choose;
pub mod codec;
pub mod float;
pub mod frame;
mod lengths;
mod nulls;
mod predicate;
pub mod scheme;
pub mod text;
mod zstd;

use std::sync::Arc;

use heliosdb_plugin_api::{Error, Host, Plugin, Registrar, Result, Settings};

use crate::choose::Preference;
use crate::codec::{BlockCodec, Method};

/// The plugin, started.
pub struct FsstAlp {
    preference: Preference,
}

heliosdb_plugin_api::plugin!(FsstAlp);

impl Plugin for FsstAlp {
    const MANIFEST: &'static str = include_str!("../plugin.toml");

    fn start(_host: Host, settings: &Settings) -> Result<FsstAlp> {
        let percent = settings.integer("zstd_saves_min");
        let percent = percent.and_then(|n| usize::try_from(n).ok());
        let percent = percent.filter(|n| *n < 100);
        let zstd_saves_min =
            percent.ok_or_else(|| Error::internal("zstd_saves_min is no percentage"))?;
        Ok(FsstAlp {
            preference: Preference { zstd_saves_min },
        })
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        for (name, method) in [
            ("auto", Method::Auto),
            ("fsst", Method::Fsst),
            ("dictionary", Method::Dictionary),
            ("alp", Method::Alp),
        ] {
            let codec = BlockCodec {
                method,
                preference: self.preference,
            };
            registrar.codec(name, codec)?;
        }
        Ok(())
    }
}
