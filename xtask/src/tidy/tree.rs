//! The repository's text files in memory, and the crates among them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What holds nothing of ours: build output, downloads, data of a broker.
const PASSED_OVER: &[&str] =
    &["target", ".git", "node_modules", "__pycache__", "flumen-data", "artifacts", "corpus"];
/// What is larger is not a text that somebody wrote.
const BYTES_MAX: u64 = 4 << 20;

/// Path from the root, with `/`, to content.
#[derive(Default)]
pub struct Tree {
    pub files: BTreeMap<String, String>,
}

/// A package of the workspace.
#[derive(Debug, PartialEq)]
pub struct Crate {
    /// `src/broker`
    pub path: String,
    pub name: String,
    /// The names of what it depends on to be built, tests apart.
    pub dependencies: BTreeSet<String>,
}

impl Tree {
    pub fn read(root: &Path) -> Result<Tree, String> {
        let mut tree = Tree::default();
        tree.read_directory(root, "")?;
        Ok(tree)
    }

    fn read_directory(&mut self, root: &Path, below: &str) -> Result<(), String> {
        let directory = root.join(below);
        let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if PASSED_OVER.contains(&name.as_str()) {
                continue;
            }
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            let about = fs::symlink_metadata(entry.path()).map_err(failed)?;
            if about.is_dir() {
                self.read_directory(root, &path)?;
            } else if about.is_file() && about.len() <= BYTES_MAX {
                let bytes = fs::read(entry.path()).map_err(failed)?;
                if let Ok(text) = String::from_utf8(bytes) {
                    self.files.insert(path, text);
                }
            }
        }
        Ok(())
    }

    /// The content of a file; empty when there is none.
    pub fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// Whether a file, or a directory with a file in it, is there.
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        self.files.contains_key(path)
            || self.files.range(below.clone()..).next().is_some_and(|(file, _)| file.starts_with(&below))
    }

    /// The files with one of these endings.
    pub fn ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let files = self.files.iter().filter(move |(path, _)| path.ends_with(ending));
        files.map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The workspace's packages, as the patterns in the root `Cargo.toml` name them.
    pub fn crates(&self) -> Vec<Crate> {
        let root = self.text("Cargo.toml");
        let members = strings(root, "members");
        let excluded = strings(root, "exclude");
        let is_member = |path: &str| {
            let parent = path.rsplit_once('/').map(|(parent, _)| format!("{parent}/*"));
            !excluded.iter().any(|one| one == path)
                && members.iter().any(|one| one == path || Some(one) == parent.as_ref())
        };
        let manifests = self.ending("/Cargo.toml");
        let packages = manifests.filter_map(|(path, text)| {
            let path = path.strip_suffix("/Cargo.toml")?;
            is_member(path).then(|| package(path, text))
        });
        packages.collect()
    }
}

/// The strings of a list `key = ["…", …]`.
fn strings(toml: &str, key: &str) -> Vec<String> {
    let list = toml.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then_some(value)
    });
    list.unwrap_or_default().split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn package(path: &str, toml: &str) -> Crate {
    let mut found = Crate { path: path.into(), name: String::new(), dependencies: BTreeSet::new() };
    let mut section = String::new();
    for line in toml.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix('[') {
            section = title.trim_matches(['[', ']']).to_owned();
            // A dependency with a section of its own: `[dependencies.x]`.
            if let Some((kind, name)) = section.rsplit_once('.')
                && builds(kind)
            {
                found.dependencies.insert(name.to_owned());
            }
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim();
            if section == "package" && key == "name" {
                found.name = value.trim().trim_matches('"').to_owned();
            } else if builds(&section) {
                found.dependencies.insert(key.split('.').next().unwrap_or(key).trim_matches('"').to_owned());
            }
        }
    }
    found
}

/// Whether a section of a manifest lists what the package needs to be built.
fn builds(section: &str) -> bool {
    let last = section.rsplit('.').next().unwrap_or(section);
    matches!(last, "dependencies" | "build-dependencies")
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A tree of given files.
    pub fn tree(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect() }
    }

    #[test]
    fn packages_are_found_by_pattern_and_their_dependencies_read() {
        let tree = tree(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"src/*\", \"xtask\"]\nexclude = [\"src/not\"]\n"),
            ("src/not/Cargo.toml", "[package]\nname = \"not\"\n"),
            ("other/x/Cargo.toml", "[package]\nname = \"x\"\n"),
            ("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n"),
            (
                "src/a/Cargo.toml",
                "[package]\nname = \"the-a\"\n[dependencies]\nb.workspace = true\n# c = \"1\"\n\
                 d = { path = \"..\" }\n[dev-dependencies]\ne = \"1\"\n[dependencies.f]\nversion = \"1\"\n\
                 [target.'cfg(unix)'.dependencies]\ng = \"1\"\n",
            ),
        ]);
        let crates = tree.crates();
        let names: Vec<&str> = crates.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["the-a", "xtask"]);
        let dependencies: Vec<&str> = crates[0].dependencies.iter().map(String::as_str).collect();
        assert_eq!(dependencies, ["b", "d", "f", "g"]);
        assert!(
            tree.has("src/a") && tree.has("src/a/") && tree.has("src/a/Cargo.toml") && !tree.has("src/b")
        );
    }
}
