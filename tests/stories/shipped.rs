//! Every shipped playbook, with the inventory beside it, is good and warns of nothing.

use std::{path::Path, process::Command};

#[test]
fn shipped_files_are_silent() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../playbooks");
    let mut checked = 0;
    for scenario in std::fs::read_dir(&root).expect("playbooks/ is there") {
        let folder = scenario.expect("readable").path();
        let output = Command::new(regreen_tests::regreen())
            .args(["check", "--format", "json"])
            .arg(&folder)
            .output()
            .expect("it starts");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {}",
            folder.display(),
            String::from_utf8_lossy(&output.stdout)
        );
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[]", "{} warns", folder.display());
        checked += 1;
    }
    assert!(checked > 0, "nothing is shipped");
}
