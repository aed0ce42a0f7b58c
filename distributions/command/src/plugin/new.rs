//! `plugin new NAME`: a crate that builds, passes the conformance suite and can be used from SQL.
//!
//! The files under `template/` are the crate, with `{{…}}` where names go. The plugin's manifest is
//! parsed before anything is written, so a name that no plugin can have is refused at once.

use std::fs;
use std::path::{Path, PathBuf};

use heliosdb_plugin_api::Manifest;

use crate::args::{PluginKind, PluginNew};
use crate::open::Message;
use crate::{Edition, Failed};

/// What is the same for all kinds.
const CARGO_TOML: &str = include_str!("template/Cargo.toml.in");
const README: &str = include_str!("template/README.md.in");
const GITIGNORE: &str = include_str!("template/gitignore");

/// What a kind of plugin begins as.
struct Template {
    manifest: &'static str,
    code: &'static str,
    tests: &'static str,
    /// What the plugin is for, in one sentence.
    about: &'static str,
    /// SQL that shows it.
    sql: &'static str,
}

const FUNCTION: Template = Template {
    manifest: include_str!("template/function/plugin.toml"),
    code: include_str!("template/function/lib.rs"),
    tests: include_str!("template/function/conformance.rs"),
    about: "A plugin for HeliosDB with a function that reverses texts.",
    sql: "SELECT {{id}}_reverse('abc');",
};

const CONSTRAINT: Template = Template {
    manifest: include_str!("template/constraint/plugin.toml"),
    code: include_str!("template/constraint/lib.rs"),
    tests: include_str!("template/constraint/conformance.rs"),
    about: "A plugin for HeliosDB with a constraint: texts that begin with a prefix.",
    sql: "CREATE TABLE item (code text {{KEYWORD}} PREFIX 'AB-');\n\
          INSERT INTO item VALUES ('AB-1');\n\
          INSERT INTO item VALUES ('CD-1');   -- refused",
};

const CODEC: Template = Template {
    manifest: include_str!("template/codec/plugin.toml"),
    code: include_str!("template/codec/lib.rs"),
    tests: include_str!("template/codec/conformance.rs"),
    about: "A plugin for HeliosDB with a codec: runs of equal bigint values are stored once.",
    sql: "CREATE TABLE reading (level bigint COMPRESSION {{id}});\n\
          INSERT INTO reading SELECT n / 1000 FROM generate_series(1, 100000) n;\n\
          CHECKPOINT;\n\
          SELECT codec, pages, ratio FROM helios_compression_stats WHERE tablename = 'reading';",
};

pub fn run(edition: &Edition, arguments: &PluginNew) -> Result<(), Failed> {
    let directory = match &arguments.path {
        Some(path) => path.clone(),
        None => PathBuf::from(&arguments.name),
    };
    if edition.plugin_ids.contains(&arguments.name.as_str()) {
        let name = &arguments.name;
        return Err(format!("\"{name}\" is a plugin of this server; choose another name").into());
    }
    let (api, testkit) = kit(arguments.api.as_deref())?;
    let names = Names {
        program: edition.program,
        id: &arguments.name,
        api: &api,
        testkit: &testkit,
    };
    let files = files(arguments.kind, &names)?;
    write(&directory, &files)?;
    let shown = directory.display();
    println!("wrote a plugin to {shown}\n\n  cd {shown}\n  cargo test\n  cargo build --release");
    println!(
        "  {} plugin check {}",
        edition.program,
        built(&arguments.name)
    );
    println!("\nREADME.md says how to use it from SQL.");
    Ok(())
}

fn built(id: &str) -> String {
    format!("target/release/lib{id}_plugin.so")
}

struct Names<'a> {
    program: &'a str,
    id: &'a str,
    api: &'a Path,
    testkit: &'a Path,
}

impl Names<'_> {
    fn fill(&self, template: &Template, text: &str) -> String {
        // `about` and `sql` first: they have places themselves.
        text.replace("{{about}}", template.about)
            .replace("{{sql}}", template.sql)
            .replace("{{program}}", self.program)
            .replace("{{id}}", self.id)
            .replace("{{Plugin}}", &type_name(self.id))
            .replace("{{KEYWORD}}", &keyword(self.id))
            .replace("{{api}}", &quoted(self.api))
            .replace("{{testkit}}", &quoted(self.testkit))
    }
}

/// `order_codes` → `OrderCodesPlugin`.
fn type_name(id: &str) -> String {
    let words = id.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.chain(["Plugin".to_owned()]).collect()
}

/// The id as a word of a clause, which has no digits.
fn keyword(id: &str) -> String {
    let letters = id.chars().filter(|c| !c.is_ascii_digit());
    letters.map(|c| c.to_ascii_uppercase()).collect()
}

/// A path inside the quotes of a TOML string.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Every file by its name in the crate.
fn files(kind: PluginKind, names: &Names<'_>) -> Result<Vec<(&'static str, String)>, Message> {
    let template = match kind {
        PluginKind::Function => FUNCTION,
        PluginKind::Constraint => CONSTRAINT,
        PluginKind::Codec => CODEC,
    };
    let fill = |text| names.fill(&template, text);
    let manifest = fill(template.manifest);
    Manifest::parse(&manifest).map_err(|error| error.to_string())?;
    Ok(vec![
        ("Cargo.toml", fill(CARGO_TOML)),
        (".gitignore", fill(GITIGNORE)),
        ("README.md", fill(README)),
        ("plugin.toml", manifest),
        ("src/lib.rs", fill(template.code)),
        ("tests/conformance.rs", fill(template.tests)),
    ])
}

/// Write into a directory that does not exist or is empty.
fn write(directory: &Path, files: &[(&str, String)]) -> Result<(), Message> {
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    if fs::read_dir(directory).map_err(failed)?.next().is_some() {
        return Err(format!(
            "the directory {} is not empty",
            directory.display()
        ));
    }
    for (name, text) in files {
        let file = directory.join(name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::write(&file, text).map_err(failed)?;
    }
    Ok(())
}

/// Where the crates of the kit are: beside `api`, or where this program was built.
fn kit(api: Option<&Path>) -> Result<(PathBuf, PathBuf), Message> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugin-api");
    let api = api.unwrap_or(&built);
    let testkit = api.join("../testing/plugin-testkit");
    let find = |path: &Path| {
        let found = path.join("Cargo.toml").is_file();
        found.then(|| path.canonicalize().ok()).flatten()
    };
    match (find(api), find(&testkit)) {
        (Some(api), Some(testkit)) => Ok((api, testkit)),
        _ => Err(format!(
            "there is no plugin kit at {}; name the directory plugin-api of a HeliosDB checkout with --api",
            api.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(id: &str) -> Names<'_> {
        Names {
            program: "heliosdb-lite",
            id,
            api: Path::new("/kit/plugin-api"),
            testkit: Path::new("/kit/testing/plugin-testkit"),
        }
    }

    #[test]
    fn every_place_is_filled() {
        for kind in [
            PluginKind::Function,
            PluginKind::Constraint,
            PluginKind::Codec,
        ] {
            for (name, text) in files(kind, &names("order_codes2")).unwrap() {
                assert!(
                    !text.contains("{{") && !text.contains("}}"),
                    "{name}: {text}"
                );
            }
        }
        assert_eq!(type_name("order_codes2"), "OrderCodes2Plugin");
        assert_eq!(keyword("order_codes2"), "ORDER_CODES");
    }

    #[test]
    fn a_name_that_no_plugin_can_have_is_refused() {
        for id in ["", "Upper", "with-dash", "9lives", "a b", "../x", "a\"b"] {
            assert!(files(PluginKind::Codec, &names(id)).is_err(), "{id}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let file = ("a", "text".to_owned());
        write(directory.path(), std::slice::from_ref(&file)).unwrap();
        let error = write(directory.path(), &[file]).unwrap_err();
        assert!(error.ends_with("is not empty"), "{error}");
    }

    #[test]
    fn the_kit_is_found_where_it_was_built() {
        assert!(kit(None).is_ok());
        let error = kit(Some(Path::new("/nowhere"))).unwrap_err();
        assert!(error.contains("--api"), "{error}");
    }
}
