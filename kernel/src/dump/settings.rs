//! Which settings an import works with, and what becomes of those that the dump carries.
//!
//! An operator's settings go before a dump's: a file that was named, then `heliosdb.toml` in the
//! target. Those of the dump become the target's `heliosdb.toml` if there are none of an operator's and
//! this build accepts them; otherwise they are kept beside it as `heliosdb.toml.imported`, and the
//! report says so.

use std::path::Path;

use heliosdb_plugin_host::boot::Survey;
use heliosdb_plugin_host::host::manifests;

use super::ImportOptions;
use super::error::ImportError;
use super::target::{CONFIG_FILE, IMPORTED_CONFIG_FILE};
use crate::config::Config;
use crate::error::Error;

/// See the module's header.
pub(super) struct Settings {
    /// What the import, and the database it opens, obey.
    pub config: Config,
    /// The plugins that start with it.
    pub survey: Survey,
    /// The file to make in the target, and what is in it.
    pub write: Option<(&'static str, String)>,
    pub note: Option<String>,
}

/// `dumped` is the text of the dump's settings, `has_config` whether the target has its own.
pub(super) fn choose(
    target: &Path,
    has_config: bool,
    dumped: Option<String>,
    options: &ImportOptions<'_>,
) -> Result<Settings, ImportError> {
    let own_file = target.join(CONFIG_FILE);
    let own = match (options.config, has_config) {
        (Some(file), _) => Some(Config::read(file)?),
        (None, true) => Some(Config::read(&own_file)?),
        (None, false) => None,
    };
    let accepted = dumped.as_ref().map(|text| accept(target, text, options));
    let refusal = match &accepted {
        Some(Err(why)) => Some(why.clone()),
        _ => None,
    };
    let (config, survey) = match (own, accepted) {
        (Some(config), _) => {
            let survey = survey(target, &config, options)?;
            (config, survey)
        }
        (None, Some(Ok(accepted))) => accepted,
        (None, Some(Err(_)) | None) => {
            let config = Config::default();
            let survey = survey(target, &config, options)?;
            (config, survey)
        }
    };
    let kept = format!("the dump's settings are kept in {IMPORTED_CONFIG_FILE}");
    let beside = match (&refusal, has_config, options.config) {
        (Some(why), ..) => Some(format!("{kept} and not used: {why}")),
        (None, true, _) => Some(format!("{kept}; the target has a {CONFIG_FILE}")),
        (None, false, Some(_)) => Some(format!("{kept}; others were named")),
        (None, false, None) => None,
    };
    let name = match beside {
        Some(_) => IMPORTED_CONFIG_FILE,
        None => CONFIG_FILE,
    };
    let note = dumped.as_ref().map(|_| {
        beside.unwrap_or(format!(
            "the dump's settings are now the target's {CONFIG_FILE}"
        ))
    });
    Ok(Settings {
        config,
        survey,
        write: dumped.map(|text| (name, text)),
        note,
    })
}

/// The settings of a dump, if they would start here.
fn accept(
    target: &Path,
    text: &str,
    options: &ImportOptions<'_>,
) -> Result<(Config, Survey), String> {
    let config = Config::parse(text, CONFIG_FILE).map_err(|e| e.to_string())?;
    let survey = survey(target, &config, options).map_err(|e| e.to_string())?;
    Ok((config, survey))
}

/// What would start in the target.
fn survey(
    target: &Path,
    config: &Config,
    options: &ImportOptions<'_>,
) -> Result<Survey, ImportError> {
    let bundled = manifests(options.linked).map_err(Error::Bundle)?;
    let is_builtin = &heliosdb_sql::is_builtin;
    Ok(Survey::new_database(
        target,
        &config.plugins,
        bundled,
        is_builtin,
    )?)
}
