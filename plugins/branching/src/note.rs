//! What is noted of a branch beside what the kernel knows: JSON, which grows by fields that may be missing.

use heliosdb_plugin_api::{Error, Result};
use serde::{Deserialize, Serialize};

/// The options of a branch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// It cannot be dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// When it is dropped by itself: microseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
}

impl Note {
    /// # Errors
    ///
    /// `XX001` for a note that is none of this plugin's.
    pub fn read(text: &str) -> Result<Note> {
        match text {
            "" => Ok(Note::default()),
            text => serde_json::from_str(text).map_err(|e| {
                Error::new(
                    heliosdb_plugin_api::state::DATA_CORRUPTED,
                    format!("the note of a branch cannot be read: {e}"),
                )
            }),
        }
    }

    pub fn write(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::internal(e.to_string()))
    }
}
