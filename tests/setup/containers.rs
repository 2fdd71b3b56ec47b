//! The container files: as far as they can be checked without a container engine.

use std::{fs, process::Command};

use serde_yaml::Value;

use crate::machine::repository;

fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap()
}

/// `docker compose` itself where it is installed, in either of its forms.
fn compose() -> Option<Command> {
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    if plugin.is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("docker");
        command.arg("compose");
        return Some(command);
    }
    Command::new("docker-compose").arg("version").output().ok().map(|_| Command::new("docker-compose"))
}

#[test]
fn every_service_is_built_or_pulled_and_its_volumes_are_declared() {
    let file: Value = serde_yaml::from_str(&read("docker-compose.yml")).unwrap();
    let services = file["services"].as_mapping().unwrap();
    for (name, service) in services {
        assert!(service["build"].is_string() || service["image"].is_string(), "{name:?}");
        for volume in service["volumes"].as_sequence().into_iter().flatten() {
            // ${NAME:-default}:target, as it stands where NAME is not set
            let plain = volume.as_str().unwrap().replace(['$', '{', '}'], "");
            let source =
                plain.split_once(":-").map_or(plain.as_str(), |(_, default)| default).split(':').next().unwrap();
            let declared = file["volumes"].as_mapping().unwrap().contains_key(source);
            assert!(source.starts_with('.') || declared, "{name:?}: volume {source} is not declared");
        }
    }
}

#[test]
fn the_compose_file_is_valid_where_docker_compose_is_installed() {
    let Some(mut command) = compose() else {
        println!("docker compose is not installed: only the structure of the file was checked");
        return;
    };
    let output = command.args(["--file", "docker-compose.yml", "config"]).current_dir(repository()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_container_is_built_by_the_same_scripts() {
    let dockerfile = read("Dockerfile");
    for line in ["RUN scripts/setup.sh", "scripts/packages.sh scripts/packages-runtime.txt", "USER eyeline"] {
        assert!(dockerfile.contains(line), "no \"{line}\"");
    }
}
