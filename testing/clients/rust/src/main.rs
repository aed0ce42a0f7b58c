//! tokio-postgres and sqlx: their types, prepared statements, pipelining, COPY, portals, pools, migrations.

mod sqlx_cases;
mod tokio_cases;

use std::future::Future;
use std::time::Duration;

pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

const CASE_SECONDS_MAX: u64 = 60;

/// Fails with both values when they differ.
pub fn equal<T: PartialEq + std::fmt::Debug>(got: T, expected: T) -> Outcome {
    match got == expected {
        true => Ok(()),
        false => Err(format!("got {got:?}, expected {expected:?}").into()),
    }
}

pub async fn case(name: &str, run: impl Future<Output = Outcome>) {
    let limit = Duration::from_secs(CASE_SECONDS_MAX);
    let told = match tokio::time::timeout(limit, run).await {
        Ok(Ok(())) => return println!("passed {name}"),
        Ok(Err(error)) => {
            // What a driver prints of itself is not what the server said.
            let mut told = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                told = format!("{told}: {error}");
                cause = error.source();
            }
            told
        }
        Err(_) => format!("took longer than {CASE_SECONDS_MAX} s"),
    };
    let told: Vec<&str> = told.split_whitespace().collect();
    println!("failed {name}: {}", told.join(" "));
}

/// The version of a dependency, as the lock file has it.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("[[package]]").find_map(|package| {
        let package = package.trim_start();
        package.strip_prefix(&format!("name = \"{name}\"\nversion = \""))
    });
    entry.and_then(|rest| rest.split('"').next()).unwrap_or("?")
}

#[tokio::main]
async fn main() {
    println!(
        "version tokio-postgres {}, sqlx {}",
        version("tokio-postgres"),
        version("sqlx")
    );
    let url = std::env::var("DATABASE_URL").expect("the command sets it");
    tokio_cases::all(&url).await;
    sqlx_cases::all(&url).await;
}
