//! {{about}}

use std::sync::Arc;

use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::arrow::array::StringViewArray;
use heliosdb_plugin_api::{Arguments, Context, Host, Plugin, Registrar, Result, Settings};

pub struct {{Plugin}};

impl Plugin for {{Plugin}} {
    const MANIFEST: &'static str = include_str!("../plugin.toml");

    fn start(_host: Host, _settings: &Settings) -> Result<{{Plugin}}> {
        Ok({{Plugin}})
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.scalar("{{id}}_reverse", &["text"], reverse)
    }
}

/// One result per row of the batch.
fn reverse(_cx: &Context<'_>, arguments: &Arguments) -> Result<ArrayRef> {
    let texts = (0..arguments.rows()).map(|row| arguments[0].text(row));
    let reversed = texts.map(|text| text.map(|text| text.chars().rev().collect::<String>()));
    Ok(Arc::new(StringViewArray::from_iter(reversed)))
}

// What a server looks for in the file. To link the plugin into a server instead, leave this line to
// a cdylib crate of its own and write `heliosdb_plugin_api::plugin!({{Plugin}});` here.
heliosdb_plugin_api::export_plugin!({{Plugin}});
