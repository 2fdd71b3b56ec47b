//! Where eyeline keeps its files.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The folder that holds `models/`: `$EYELINE_HOME`, else the nearest `.eyeline` upwards from the working directory,
/// else `eyeline` in the user's data folder. It need not exist.
pub fn home_dir() -> PathBuf {
    home_from(|name| env::var_os(name), &env::current_dir().unwrap_or_default())
}

fn home_from(variable: impl Fn(&str) -> Option<OsString>, working_dir: &Path) -> PathBuf {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("EYELINE_HOME")
        .or_else(|| working_dir.ancestors().map(|dir| dir.join(".eyeline")).find(|dir| dir.is_dir()))
        .or_else(|| set("XDG_DATA_HOME").map(|dir| dir.join("eyeline")))
        .or_else(|| set("HOME").map(|dir| dir.join(".local/share/eyeline")))
        .unwrap_or_else(|| working_dir.join(".eyeline"))
}

/// Where the files of models belong.
pub fn models_dir() -> PathBuf {
    home_dir().join("models")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn home_is_named_else_near_else_the_users() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let home = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.to_string(), OsString::from(v))).collect();
            home_from(move |name| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()), &deep)
        };
        assert_eq!(home(&[("HOME", "/h")]), Path::new("/h/.local/share/eyeline"));
        assert_eq!(home(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")]), Path::new("/x/eyeline"));
        fs::create_dir(dir.path().join("a/.eyeline")).unwrap();
        assert_eq!(home(&[("HOME", "/h")]), dir.path().join("a/.eyeline"));
        assert_eq!(home(&[("EYELINE_HOME", "/e")]), Path::new("/e"));
        assert_eq!(home(&[("EYELINE_HOME", "")]), dir.path().join("a/.eyeline"));
    }
}
