//! What a person can use of abi_stable's reports, which fill pages.

use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityErrors, ExpectedFound,
};
use abi_stable::type_layout::TLFieldOrFunction;

/// More differences than these are of one cause.
const DIFFERENCES_MAX: usize = 3;

/// One line: which fields differ, and how.
pub(super) fn explain(report: &AbiInstabilityErrors) -> String {
    let differences = report.errors.iter().flat_map(|error| {
        let path = path(&error.stack_trace);
        error.errs.iter().map(move |what| difference(&path, what))
    });
    let mut shown: Vec<String> = Vec::new();
    for difference in differences {
        if !shown.contains(&difference) {
            shown.push(difference);
        }
    }
    shown.truncate(DIFFERENCES_MAX);
    shown.join("; ")
}

/// `call.rows`: a function is in the field of its name.
fn path(trace: &[ExpectedFound<TLFieldOrFunction>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut parameters: Vec<&str> = Vec::new();
    for step in trace {
        match step.expected {
            TLFieldOrFunction::Function(function) => {
                parameters = function.param_names.as_str().split([',', ';']).collect();
            }
            TLFieldOrFunction::Field(field) => {
                let place = field.name().strip_prefix("param_");
                let place = place.and_then(|place| place.parse::<usize>().ok());
                let named = place.and_then(|place| parameters.get(place).copied());
                names.push(match (named, field.name()) {
                    (Some(name), _) if !name.is_empty() => name,
                    (_, "__returns") => "its result",
                    (_, name) => name,
                });
            }
        }
    }
    names.join(".")
}

fn difference(path: &str, what: &AbiInstability) -> String {
    use AbiInstability as Is;
    let (kind, expected, found) = match what {
        Is::Name(v) => ("type", v.expected.to_string(), v.found.to_string()),
        Is::Package(v) => ("package", v.expected.to_string(), v.found.to_string()),
        Is::PackageVersion(v) => (
            "version of its package",
            v.expected.to_string(),
            v.found.to_string(),
        ),
        Is::Size(v) => ("size", v.expected.to_string(), v.found.to_string()),
        Is::Alignment(v) => ("alignment", v.expected.to_string(), v.found.to_string()),
        Is::FieldCountMismatch(v) => (
            "number of fields",
            v.expected.to_string(),
            v.found.to_string(),
        ),
        Is::UnexpectedField(v) => (
            "name of a field",
            v.expected.name().to_owned(),
            v.found.name().to_owned(),
        ),
        Is::MismatchedPrimitive(v) => (
            "type",
            format!("{:?}", v.expected),
            format!("{:?}", v.found),
        ),
        _ => return format!("{path}: it differs in another way"),
    };
    let place = match path {
        "" => String::new(),
        path => format!("{path}: "),
    };
    format!("{place}the {kind} is {found}, not {expected}")
}

/// A report that is text alone: the lines after the two layouts that it begins with.
pub(super) fn shorten(report: &dyn std::fmt::Display) -> String {
    const LINES_MAX: usize = 12;
    let text = report.to_string();
    let differences = text.split_once("error(s)").map_or(&*text, |(_, rest)| rest);
    let lines = differences.lines().map(str::trim).filter(|l| !l.is_empty());
    lines.take(LINES_MAX).collect::<Vec<_>>().join(" ")
}
