//! `pgbench` as it is: it makes its tables, loads and vacuums them by name, and runs its script, before which it
//! vacuums two of them again.

use std::process::Command;

use crate::Served;

fn pgbench(served: &Served, arguments: &[&str]) -> String {
    let address = served.address();
    let output = Command::new("pgbench")
        .args(["-h", &address.ip().to_string()])
        .args(["-p", &address.port().to_string()])
        .args(["-U", "helios"])
        .args(arguments)
        .arg("helios")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {told}");
    told + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn pgbench_initialises_and_runs() {
    if Command::new("pgbench").arg("--version").output().is_err() {
        println!("skipped: pgbench is not on the PATH");
        return;
    }
    let served = Served::trust();
    let told = pgbench(&served, &["-i", "-s", "1"]);
    assert!(told.contains("vacuuming..."), "{told}");
    assert!(!told.contains("WARNING"), "{told}");
    let told = pgbench(&served, &["-t", "5", "-c", "2", "-M", "prepared"]);
    assert!(
        told.contains("number of transactions actually processed: 10/10"),
        "{told}"
    );
}
