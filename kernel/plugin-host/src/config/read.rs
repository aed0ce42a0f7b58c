//! Reading `[plugins]` from TOML, with the place of every name.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, de};
use toml::{Spanned, Value};

use super::{Activation, OPTIONS, Place, PluginConfig, PluginsConfig};
use crate::nearest::did_you_mean;

const START_TIMEOUT_MIN: Duration = Duration::from_millis(10);
const START_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

impl<'de> Deserialize<'de> for PluginsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PluginsConfig, D::Error> {
        deserializer.deserialize_map(Section)
    }
}

struct Section;

impl<'de> Visitor<'de> for Section {
    type Value = PluginsConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the section [plugins]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PluginsConfig, A::Error> {
        let mut section = PluginsConfig::default();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let place = Place::Byte(key.span().start);
            match key.into_inner() {
                name if name == "directory" => {
                    section.directory = Some(map.next_value::<PathBuf>()?);
                    section.directory_place = place;
                }
                name if name == "start_timeout" => {
                    section.start_timeout = map.next_value_seed(StartTimeout)?;
                }
                name => {
                    let plugin = map.next_value_seed(PluginSection { name: &name, place })?;
                    section.plugins.insert(name, plugin);
                }
            }
        }
        Ok(section)
    }
}

/// `[plugins.NAME]`.
struct PluginSection<'a> {
    name: &'a str,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for PluginSection<'_> {
    type Value = PluginConfig;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<PluginConfig, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl PluginSection<'_> {
    /// A value where a plugin's table belongs is an option that does not exist.
    fn no_option<T, E: de::Error>(self) -> Result<T, E> {
        Err(E::custom(format!(
            "unknown option \"{}\" of [plugins]{}",
            self.name,
            did_you_mean(self.name, OPTIONS)
        )))
    }
}

impl<'de> Visitor<'de> for PluginSection<'_> {
    type Value = PluginConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the section [plugins.{}]", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PluginConfig, A::Error> {
        let mut plugin = PluginConfig {
            place: self.place,
            ..PluginConfig::default()
        };
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let place = Place::Byte(key.span().start);
            let name = key.into_inner();
            if name == "activation" {
                plugin.activation = map.next_value()?;
            } else {
                plugin.settings.insert(name.clone(), map.next_value()?);
                plugin.setting_places.insert(name, place);
            }
        }
        Ok(plugin)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<PluginConfig, E> {
        self.no_option()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<PluginConfig, E> {
        self.no_option()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<PluginConfig, E> {
        self.no_option()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<PluginConfig, E> {
        self.no_option()
    }
}

impl<'de> Deserialize<'de> for Activation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Activation, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.as_str() {
            Some("off") => Ok(Activation::Off),
            Some("on") => Ok(Activation::On),
            Some("force") => Ok(Activation::Force),
            _ => Err(D::Error::custom(format!(
                "unknown activation {value}, expected \"off\", \"on\" or \"force\""
            ))),
        }
    }
}

struct StartTimeout;

impl<'de> DeserializeSeed<'de> for StartTimeout {
    type Value = Duration;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        match duration(&text) {
            Some(timeout) if (START_TIMEOUT_MIN..=START_TIMEOUT_MAX).contains(&timeout) => {
                Ok(timeout)
            }
            Some(_) => Err(D::Error::custom(format!(
                "start_timeout is \"{text}\", outside the valid range 10ms .. 1h"
            ))),
            None => Err(D::Error::custom(format!(
                "start_timeout is \"{text}\", expected a time such as \"30s\" (ms, s, min, h)"
            ))),
        }
    }
}

/// PostgreSQL's units of time.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(milliseconds).map(Duration::from_millis)
}
