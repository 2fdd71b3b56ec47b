//! `make test`: its last lines can be trusted.

use crate::machine::Machine;

const ALL_PASS: &str = "[ \"$1\" = test ] || exit 0
    echo 'test result: ok. 20 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.1s'";

#[test]
fn the_verdict_adds_up_what_the_test_programs_reported() {
    let machine = Machine::new();
    machine.fake("cargo", ALL_PASS);
    let outcome = machine.run("test.sh").expect_success();
    assert!(outcome.out.contains("make test: PASSED"), "{}", outcome.out);
    assert!(outcome.out.contains("60 tests passed, 0 failed, 9 ignored, in 3 test programs"), "{}", outcome.out);
    assert!(outcome.out.contains("EYELINE_EVAL_DATA is not set"), "{}", outcome.out);
}

#[test]
fn any_failing_step_fails_the_whole_and_is_named() {
    for (arguments, step) in [
        ("fmt*", "format"),
        ("clippy*--no-default-features*", "clippy, no features"),
        ("clippy*--all-features*", "clippy, all features"),
        ("test*--no-default-features*", "tests, no features"),
        ("test*--tests*", "tests, all features"),
        ("test*--doc*", "doc tests"),
    ] {
        let machine = Machine::new();
        machine.fake("cargo", &format!("case \"$*\" in {arguments}) exit 101 ;; esac; {ALL_PASS}"));
        let outcome = machine.run("test.sh");
        assert!(!outcome.succeeded, "{step}");
        let verdict = format!("make test: FAILED at \"{step}\"");
        assert!(outcome.out.lines().last().is_some_and(|line| line.starts_with(&verdict)), "{}", outcome.out);
    }
}

#[test]
fn no_test_at_all_is_a_failure() {
    let machine = Machine::new();
    machine.fake("cargo", "");
    let outcome = machine.run("test.sh").expect_error(&["no test ran"]);
    assert!(outcome.out.contains("FAILED"), "{}", outcome.out);
}

#[test]
fn evaluation_material_is_made_absolute_and_includes_the_ignored_tests() {
    let mut machine = Machine::new();
    std::fs::create_dir(machine.path("material")).unwrap();
    machine.set("EYELINE_EVAL_DATA", "material");
    machine.fake("cargo", &format!("echo \"material: $EYELINE_EVAL_DATA\"; {ALL_PASS}"));
    let outcome = machine.run("test.sh").expect_success();
    let absolute = machine.path("material").display().to_string();
    assert!(outcome.out.contains(&format!("material: {absolute}")), "{}", outcome.out);
    let calls = machine.calls();
    let included: Vec<&String> = calls.iter().filter(|call| call.contains("--include-ignored")).collect();
    assert!(included.len() == 1 && included[0].contains("--all-features"), "{calls:?}");
    assert!(!included[0].contains("--all-targets") && !included[0].contains("--benches"), "{calls:?}");
}

#[test]
fn missing_evaluation_material_fails_before_anything_runs() {
    let mut machine = Machine::new();
    machine.set("EYELINE_EVAL_DATA", "no/such/folder");
    machine.run("test.sh").expect_error(&["EYELINE_EVAL_DATA=no/such/folder is not a directory"]);
    assert_eq!(machine.calls(), [""; 0]);
}
