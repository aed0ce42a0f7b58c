//! The drafts of JSON Schema, as the store names them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A draft, by the name it is published under.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Draft {
    #[serde(rename = "4")]
    Draft4,
    #[serde(rename = "6")]
    Draft6,
    #[serde(rename = "7")]
    Draft7,
    #[serde(rename = "2019-09")]
    Draft201909,
    /// What a schema is that does not say.
    #[default]
    #[serde(rename = "2020-12")]
    Draft202012,
}

impl Draft {
    pub const ALL: [Draft; 5] = [
        Draft::Draft4,
        Draft::Draft6,
        Draft::Draft7,
        Draft::Draft201909,
        Draft::Draft202012,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Draft::Draft4 => "4",
            Draft::Draft6 => "6",
            Draft::Draft7 => "7",
            Draft::Draft201909 => "2019-09",
            Draft::Draft202012 => "2020-12",
        }
    }

    /// The draft of this name, written so.
    pub fn by_name(name: &str) -> Option<Draft> {
        Draft::ALL.into_iter().find(|draft| draft.name() == name)
    }

    /// The URI of the draft's meta-schema.
    pub fn uri(self) -> &'static str {
        match self {
            Draft::Draft4 => "http://json-schema.org/draft-04/schema#",
            Draft::Draft6 => "http://json-schema.org/draft-06/schema#",
            Draft::Draft7 => "http://json-schema.org/draft-07/schema#",
            Draft::Draft201909 => "https://json-schema.org/draft/2019-09/schema",
            Draft::Draft202012 => "https://json-schema.org/draft/2020-12/schema",
        }
    }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
