//! `plugin check FILE`: what a server would find in a plugin file, one line each.

use std::io::Write;
use std::time::Duration;

use heliosdb_plugin_host::check::{Finding, Verdict, check};

use crate::Failed;
use crate::args::PluginCheck;

/// As long as a server waits by default.
const START_TIMEOUT: Duration = Duration::from_secs(30);

pub fn run(arguments: &PluginCheck) -> Result<(), Failed> {
    let mut findings = Vec::new();
    let passed = check(&arguments.file, START_TIMEOUT, &mut |finding| {
        if arguments.json {
            findings.push(json(&finding));
        } else {
            // A plugin that ends the process must not take what was found with it.
            println!("{}", line(&finding));
            let _ = std::io::stdout().flush();
        }
    });
    if arguments.json {
        println!("{:#}", serde_json::Value::Array(findings));
    }
    match passed {
        true => Ok(()),
        false => Err(Failed::Said),
    }
}

fn line(finding: &Finding) -> String {
    let mark = match finding.verdict {
        Verdict::Passed => '✓',
        Verdict::Warning => '!',
        Verdict::Failed => '✗',
    };
    format!("{mark} {}: {}", finding.subject, finding.text)
}

fn json(finding: &Finding) -> serde_json::Value {
    let verdict = match finding.verdict {
        Verdict::Passed => "passed",
        Verdict::Warning => "warning",
        Verdict::Failed => "failed",
    };
    serde_json::json!({
        "subject": finding.subject,
        "verdict": verdict,
        "text": finding.text,
    })
}
