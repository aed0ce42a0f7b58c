//! Settings of a plugin: what an operator may write under `[plugins.NAME]`, typed and checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Value;

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: SettingType,
    pub default: Value,
    /// Of numbers and sizes, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Of text: the values it may have; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    #[serde(default)]
    pub description: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingType {
    Integer,
    Float,
    Boolean,
    Text,
    /// Bytes: `"64MB"`, with PostgreSQL's units in powers of 1024; a plugin sees the number.
    Size,
}

impl SettingType {
    fn describe(self) -> &'static str {
        match self {
            SettingType::Integer => "an integer",
            SettingType::Float => "a number",
            SettingType::Boolean => "true or false",
            SettingType::Text => "a string",
            SettingType::Size => "a size such as \"64MB\"",
        }
    }
}

impl Setting {
    /// The value as a plugin gets it, or one line that says what is wrong with it.
    pub fn check(&self, value: &Value) -> Result<Value, String> {
        let name = &self.name;
        let wrong = || format!("\"{name}\" must be {}, not {value}", self.kind.describe());
        let (value, number) = match (self.kind, value) {
            (SettingType::Integer, Value::Integer(n)) => (value.clone(), Some(*n as f64)),
            (SettingType::Float, Value::Integer(n)) => (Value::Float(*n as f64), Some(*n as f64)),
            (SettingType::Float, Value::Float(x)) if x.is_finite() => (value.clone(), Some(*x)),
            (SettingType::Boolean, Value::Boolean(_)) => (value.clone(), None),
            (SettingType::Text, Value::String(text)) => {
                if !self.values.is_empty() && !self.values.contains(text) {
                    let list = self.values.join(", ");
                    return Err(format!("\"{name}\" must be one of {list}, not \"{text}\""));
                }
                (value.clone(), None)
            }
            (SettingType::Size, Value::String(text)) => {
                let bytes = size(text).ok_or_else(wrong)?;
                (Value::Integer(bytes), Some(bytes as f64))
            }
            _ => return Err(wrong()),
        };
        if let Some(number) = number {
            if self.min.is_some_and(|min| number < min) || self.max.is_some_and(|max| number > max)
            {
                let min = self.min.map_or("-∞".to_owned(), |m| m.to_string());
                let max = self.max.map_or("∞".to_owned(), |m| m.to_string());
                return Err(format!("\"{name}\" must be between {min} and {max}"));
            }
        }
        Ok(value)
    }
}

/// Bytes of `64MB`; B, kB, MB, GB, TB.
fn size(text: &str) -> Option<i64> {
    let digits = text.trim().bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.trim().split_at(digits);
    let shift = match unit.trim() {
        "B" => 0,
        "kB" => 10,
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(1 << shift)
}

/// A plugin's settings with every default filled in, as [`Plugin::start`](crate::Plugin::start) gets
/// them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, Value>);

impl Settings {
    /// Checks what an operator wrote against what the manifest declares. An unknown name is left to
    /// the caller, who knows the file and the line.
    pub fn resolve(
        declared: &[Setting],
        given: &BTreeMap<String, Value>,
    ) -> Result<Settings, String> {
        let mut settings = BTreeMap::new();
        for setting in declared {
            let value = given.get(&setting.name).unwrap_or(&setting.default);
            settings.insert(setting.name.clone(), setting.check(value)?);
        }
        Ok(Settings(settings))
    }

    /// An integer or a size in bytes.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_integer)
    }

    pub fn float(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_float)
    }

    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}
