//! Picking a distribution's plugins out of everything that the program links.

use heliosdb_kernel::{RootRef, linked};
use heliosdb_plugin_api::Manifest;

/// The linked plugins of these ids, in their order. A program may link others (a test that holds both
/// distributions does); those stay out.
///
/// # Errors
///
/// One of them is not linked, or something linked is no plugin.
pub fn pick(ids: &[&str]) -> Result<Vec<RootRef>, String> {
    let mut linked = linked_by_id()?;
    ids.iter()
        .map(|id| {
            let at = linked.iter().position(|(found, _)| found == id);
            let at = at.ok_or_else(|| format!("this build lacks its plugin \"{id}\""))?;
            Ok(linked.swap_remove(at).1)
        })
        .collect()
}

/// The ids of everything that the program links, in alphabetical order.
///
/// # Errors
///
/// Something linked is no plugin.
pub fn linked_ids() -> Result<Vec<String>, String> {
    let mut ids: Vec<String> = linked_by_id()?.into_iter().map(|(id, _)| id).collect();
    ids.sort();
    Ok(ids)
}

fn linked_by_id() -> Result<Vec<(String, RootRef)>, String> {
    let parsed = linked().map(|root| {
        let text = (root.manifest())();
        let manifest = Manifest::parse(text.as_str())
            .map_err(|error| format!("the manifest of a bundled plugin: {error}"))?;
        Ok((manifest.id, root))
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_plugin_that_is_not_linked_is_named() {
        assert_eq!(
            super::pick(&["nowhere"]).map(|roots| roots.len()),
            Err("this build lacks its plugin \"nowhere\"".to_owned())
        );
    }
}
