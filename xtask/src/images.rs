//! `images`: container images out of the local server binaries, for where no registry is reachable.
//!
//! They stand in for the official images in `cargo xtask integration`: an image holds the server as
//! its entry point, the libraries that it needs, and nothing else.

mod libraries;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testbed::{DaprBinary, ServerBinary, ServerKind};

use crate::integration::options::{CURE, IMAGES_VARIABLE};
use crate::verb::{Failure, Outcome, no_more};
use crate::{daprd, exec, paths, servers};

/// An image to build: whose place it takes, and what is in it.
struct Recipe {
    stands_for: &'static str,
    source: Source,
}

enum Source {
    /// The first of these that is to be had.
    Servers(&'static [ServerKind]),
    Daprd,
}

const RECIPES: [Recipe; 4] = [
    Recipe {
        stands_for: "redis-7",
        source: Source::Servers(&[ServerKind::REDIS_7_0, ServerKind::REDIS_6_2]),
    },
    Recipe { stands_for: "redis-8", source: Source::Servers(&[ServerKind::REDIS_8_2]) },
    Recipe { stands_for: "valkey-9", source: Source::Servers(&[ServerKind::VALKEY_9_1]) },
    Recipe { stands_for: "daprd", source: Source::Daprd },
];

/// Prints nothing but the line for the shell on the standard output, so that `eval` can take it.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_more(arguments)?;
    engine()?;
    let mut built = Vec::new();
    for recipe in &RECIPES {
        let reference = build(recipe).map_err(Failure::Error)?;
        built.push(format!("{}={reference}", recipe.stands_for));
    }
    println!("export {IMAGES_VARIABLE}={}", built.join(","));
    Ok(())
}

/// Asks first, so that nothing is downloaded in vain.
fn engine() -> Outcome {
    let asked =
        exec::output(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]));
    asked
        .map(drop)
        .map_err(|why| Failure::Error(format!("no container engine answers: {why}\n{}", CURE)))
}

fn build(recipe: &Recipe) -> Result<String, String> {
    let (contents, reference, origin) = match recipe.source {
        Source::Servers(kinds) => {
            let binary = first_to_be_had(kinds)?;
            (Contents::of_server(&binary), reference(binary.kind()), servers::describe(&binary))
        }
        Source::Daprd => {
            let (binary, _) = daprd::find_or_build()?;
            let reference = format!("distlock-test/daprd:{}", binary.version());
            (Contents::of_daprd(&binary), reference, binary.to_string())
        }
    };
    let id = contents.import(&reference)?;
    eprintln!("{reference} {} out of {origin}", short(&id));
    Ok(reference)
}

fn first_to_be_had(kinds: &[ServerKind]) -> Result<ServerBinary, String> {
    let mut reasons = Vec::new();
    for kind in kinds {
        match servers::find_or_fetch(kind) {
            Ok((binary, _)) => return Ok(binary),
            Err(why) => reasons.push(format!("{kind}: {why}")),
        }
    }
    Err(reasons.join("; "))
}

/// `redis-8.2` becomes `distlock-test/redis:8.2`.
fn reference(kind: &ServerKind) -> String {
    let (product, version) = kind.name().split_once('-').unwrap_or((kind.name(), "latest"));
    format!("distlock-test/{product}:{version}")
}

/// What is in an image.
struct Contents {
    program: PathBuf,
    /// Libraries of the program's own.
    libraries: Option<PathBuf>,
    /// Otherwise the program is part of the command, as with the official images of Dapr.
    is_entry_point: bool,
}

impl Contents {
    fn of_server(binary: &ServerBinary) -> Self {
        let (program, libraries) = (binary.path().to_owned(), binary.libraries());
        Self { program, libraries, is_entry_point: true }
    }

    fn of_daprd(binary: &DaprBinary) -> Self {
        Self { program: binary.path().to_owned(), libraries: None, is_entry_point: false }
    }

    /// Makes the image and returns its id; an older image of that name is removed.
    fn import(&self, reference: &str) -> Result<String, String> {
        let name = reference.replace(['/', ':'], "-");
        let work = paths::root()
            .join("target/xtask/images")
            .join(format!("{name}-{}", std::process::id()));
        let result = self.import_from(&work, reference);
        // What is left of the work is rubbish, whether it succeeded or not.
        fs::remove_dir_all(&work).ok();
        result
    }

    fn import_from(&self, work: &Path, reference: &str) -> Result<String, String> {
        let root = work.join("root");
        let program = self.fill(&root)?;
        let archive = work.join("image.tar");
        // Without names and times of this machine, and readable for whatever user it runs as.
        output(
            Command::new("tar")
                .args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0"])
                .args(["--numeric-owner", "--mode=a+rX", "--file"])
                .arg(&archive)
                .arg("--directory")
                .arg(&root)
                .arg("."),
        )?;
        let inspect = ["image", "inspect", "--format", "{{.Id}}", reference];
        let older = output(docker().args(inspect)).ok();
        let mut import = docker();
        import.args([
            "import",
            "--change",
            &format!("ENV LD_LIBRARY_PATH={}", libraries::DIRECTORY),
        ]);
        if self.is_entry_point {
            import.args(["--change", &format!("ENTRYPOINT [{program:?}]")]);
        }
        let id = output(import.arg(&archive).arg(reference))?;
        if let Some(older) = older.filter(|older| *older != id) {
            // It stays where a container still uses it, or another name does.
            exec::output(docker().args(["image", "rm", &older])).ok();
        }
        Ok(id)
    }

    /// Copies everything to where it will be, and returns the program's path in the image.
    fn fill(&self, root: &Path) -> Result<String, String> {
        let program = self.program.file_name().unwrap_or_default().to_string_lossy();
        copy(&self.program, &root.join(&*program))?;
        for library in libraries::of(&self.program, self.libraries.as_deref())? {
            copy(&library.from, &root.join(library.to))?;
        }
        Ok(format!("/{program}"))
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let directory = to.parent().unwrap_or(to);
    let copied = fs::create_dir_all(directory).and_then(|()| fs::copy(from, to));
    copied.map(drop).map_err(|error| format!("cannot copy {}: {error}", from.display()))
}

fn docker() -> Command {
    Command::new("docker")
}

fn output(command: &mut Command) -> Result<String, String> {
    exec::output(command).map(|text| text.trim().to_owned())
}

/// The beginning of `sha256:…`, as the engine's own tables show it.
pub(crate) fn short(id: &str) -> &str {
    let digits = id.rsplit(':').next().unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integration::options;

    #[test]
    fn image_is_named_after_its_server() {
        assert_eq!(reference(&ServerKind::REDIS_8_2), "distlock-test/redis:8.2");
        assert_eq!(reference(&ServerKind::VALKEY_9_1), "distlock-test/valkey:9.1");
    }

    #[test]
    fn every_image_that_the_tests_use_has_a_recipe() {
        let built: Vec<&str> = RECIPES.iter().map(|recipe| recipe.stands_for).collect();
        assert_eq!(built, options::image_names());
    }

    #[test]
    fn id_is_shown_as_the_engine_shows_it() {
        assert_eq!(short("sha256:0123456789abcdef0123"), "0123456789ab");
        assert_eq!(short("redis@sha256:0123456789abcdef0123"), "0123456789ab");
        assert_eq!(short("short"), "short");
    }

    #[test]
    fn program_and_its_libraries_are_in_the_image() {
        let root = std::env::temp_dir().join(format!("distlock-image-{}", std::process::id()));
        let contents =
            Contents { program: "/bin/sh".into(), libraries: None, is_entry_point: true };
        let program = contents.fill(&root);
        let has_libraries = root.join(libraries::DIRECTORY.trim_start_matches('/')).is_dir();
        let has_program = root.join("sh").is_file();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(program.unwrap(), "/sh");
        assert!(has_program && has_libraries);
    }
}
