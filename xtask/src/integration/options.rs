//! What the command line and the environment of `integration` ask for.

use crate::verb::Failure;

/// The environment variable that names images: `redis-8=my/redis:8.2,…`.
///
/// `cargo xtask images` prints it.
pub(crate) const IMAGES_VARIABLE: &str = "DISTLOCK_TEST_IMAGES";

/// What to do if no engine answers.
pub(crate) const CURE: &str = "start one (on Debian: `apt-get install docker.io iptables`, then \
                               `dockerd` as root), or let DOCKER_HOST name one of this machine";

/// A kind of store, as `--only` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Redis,
    Valkey,
    /// A sidecar, with a Redis behind it.
    Dapr,
    /// A master and a replica, watched by three Sentinels.
    Sentinel,
    /// Three masters that share the slots.
    Cluster,
    /// Three servers that know nothing of each other.
    Quorum,
}

impl Service {
    const ALL: [Self; 6] =
        [Self::Redis, Self::Valkey, Self::Dapr, Self::Sentinel, Self::Cluster, Self::Quorum];

    fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
            Self::Dapr => "dapr",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
            Self::Quorum => "quorum",
        }
    }

    fn named(name: &str) -> Result<Self, Failure> {
        Self::ALL.into_iter().find(|service| service.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Failure::Usage(format!("--only {name}: expected one of {known}"))
        })
    }
}

/// An image: its name here, and what is taken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Image {
    name: &'static str,
    reference: String,
}

/// A store that is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tested<'a> {
    pub(crate) name: &'static str,
    pub(crate) service: Service,
    /// The image that its servers run, as the engine knows it: `redis:8`.
    pub(crate) reference: &'a str,
}

const OFFICIAL: [(&str, &str); 4] = [
    ("redis-7", "redis:7"),
    ("redis-8", "redis:8"),
    ("valkey-9", "valkey/valkey:9"),
    ("daprd", "daprio/daprd:1.18.2"),
];

/// The names of the stores, and of the images that they run. Those of several servers take one each
/// of the images that are also tested alone.
const STORES: [(&str, Service, &str); 7] = [
    ("redis-7", Service::Redis, "redis-7"),
    ("redis-8", Service::Redis, "redis-8"),
    ("valkey-9", Service::Valkey, "valkey-9"),
    ("daprd", Service::Dapr, "daprd"),
    ("sentinel", Service::Sentinel, "redis-8"),
    ("cluster", Service::Cluster, "valkey-9"),
    ("quorum", Service::Quorum, "redis-7"),
];

/// What stands behind the sidecar.
#[cfg(any(feature = "integration", test))]
const BEHIND_DAPR: &str = "redis-8";

/// The names by which images are given.
pub(crate) fn image_names() -> [&'static str; OFFICIAL.len()] {
    OFFICIAL.map(|(name, _)| name)
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// `None`: all of them.
    only: Option<Service>,
    images: Vec<Image>,
}

impl Options {
    /// `environment` is the value of [`IMAGES_VARIABLE`]; the command line goes before it.
    pub(crate) fn parse(arguments: &[String], environment: &str) -> Result<Self, Failure> {
        let images =
            OFFICIAL.map(|(name, reference)| Image { name, reference: reference.to_owned() });
        let mut options = Self { only: None, images: images.to_vec() };
        for assignment in environment.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            options.assign(assignment, IMAGES_VARIABLE)?;
        }
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let missing = || Failure::Usage(format!("{argument} needs a value"));
                arguments.next().ok_or_else(missing)
            };
            match argument.as_str() {
                "--only" => options.only = Some(Service::named(value()?)?),
                "--image" => options.assign(value()?, "--image")?,
                _ => return Err(Failure::Usage(format!("unexpected argument `{argument}`"))),
            }
        }
        Ok(options)
    }

    /// The stores that are tested.
    pub(crate) fn tested(&self) -> impl Iterator<Item = Tested<'_>> {
        let is_wanted = |service| self.only.is_none_or(|only| only == service);
        STORES.into_iter().filter(move |(_, service, _)| is_wanted(*service)).map(
            |(name, service, image)| Tested { name, service, reference: self.reference(image) },
        )
    }

    /// The image of the Redis that stands behind the sidecar.
    #[cfg(any(feature = "integration", test))]
    pub(crate) fn behind_dapr(&self) -> &str {
        self.reference(BEHIND_DAPR)
    }

    fn reference(&self, image: &'static str) -> &str {
        let found = self.images.iter().find(|known| known.name == image);
        found.map_or(image, |image| &image.reference)
    }

    /// Takes `NAME=REFERENCE` from `source`.
    fn assign(&mut self, assignment: &str, source: &str) -> Result<(), Failure> {
        let refuse = |why: &str| Failure::Usage(format!("{source}: `{assignment}`: {why}"));
        let Some((name, reference)) = assignment.split_once('=') else {
            return Err(refuse("expected NAME=REFERENCE, for instance redis-8=redis:8.2"));
        };
        if reference.is_empty() || reference.contains(char::is_whitespace) {
            return Err(refuse("the image's reference is empty or has a space in it"));
        }
        let Some(image) = self.images.iter_mut().find(|image| image.name == name) else {
            let known = image_names().join(", ");
            return Err(refuse(&format!("unknown name, expected one of {known}")));
        };
        image.reference = reference.to_owned();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str], environment: &str) -> Result<Options, String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Options::parse(&arguments, environment).map_err(|failure| match failure {
            Failure::Usage(why) => why,
            other => panic!("expected a usage error, got {other:?}"),
        })
    }

    fn references(options: &Options) -> Vec<&str> {
        options.tested().map(|tested| tested.reference).collect()
    }

    #[test]
    fn official_images_are_the_default() {
        let options = parse(&[], "").unwrap();
        let official = ["redis:7", "redis:8", "valkey/valkey:9", "daprio/daprd:1.18.2"];
        assert_eq!(references(&options)[..4], official);
    }

    #[test]
    fn every_store_runs_an_image_that_there_is() {
        for (name, _, image) in STORES {
            assert!(image_names().contains(&image), "{name} runs {image}");
        }
        let options = parse(&["--image", "valkey-9=valkey:8"], "").unwrap();
        let cluster = options.tested().find(|tested| tested.name == "cluster").unwrap();
        assert_eq!(cluster.reference, "valkey:8");
    }

    #[test]
    fn only_leaves_the_stores_of_one_kind() {
        let options = parse(&["--only", "redis"], "").unwrap();
        assert_eq!(references(&options), ["redis:7", "redis:8"]);
        let options = parse(&["--only", "valkey"], "").unwrap();
        assert_eq!(references(&options), ["valkey/valkey:9"]);
        let options = parse(&["--only", "quorum"], "").unwrap();
        assert_eq!(references(&options), ["redis:7"]);
    }

    #[test]
    fn environment_replaces_the_default_and_the_command_line_both() {
        let environment = "redis-7=local/redis:7.0, redis-8=local/redis:8.2,";
        let options = parse(&["--image", "redis-8=redis:8.4"], environment).unwrap();
        assert_eq!(references(&options)[..2], ["local/redis:7.0", "redis:8.4"]);
    }

    #[test]
    fn sidecar_has_the_newer_redis_behind_it_whether_that_is_tested_or_not() {
        let options = parse(&["--only", "dapr", "--image", "redis-8=redis:8.4"], "").unwrap();
        assert_eq!(references(&options), ["daprio/daprd:1.18.2"]);
        assert_eq!(options.behind_dapr(), "redis:8.4");
    }

    #[test]
    fn reference_may_hold_a_port_and_a_digest() {
        let options = parse(&["--only", "valkey", "--image", "valkey-9=host:5000/v@sha256:ab"], "");
        assert_eq!(references(&options.unwrap()), ["host:5000/v@sha256:ab"]);
    }

    #[test]
    fn mistakes_are_told_with_what_is_accepted() {
        for (arguments, environment, expected) in [
            (
                &["--only", "kafka"][..],
                "",
                "--only kafka: expected one of redis, valkey, dapr, sentinel",
            ),
            (&["--only"], "", "--only needs a value"),
            (&["--fast"], "", "unexpected argument `--fast`"),
            (&["--image", "redis:8"], "", "--image: `redis:8`: expected NAME=REFERENCE"),
            (&["--image", "redis-8="], "", "--image: `redis-8=`: the image's reference is empty"),
            (&[], "redis-9=redis:9", "DISTLOCK_TEST_IMAGES: `redis-9=redis:9`: unknown name"),
        ] {
            let error = parse(arguments, environment).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
