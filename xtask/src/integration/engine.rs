//! The container engine, and the containers of this run.
//!
//! Every container carries a label with the name of the run. The end of a run asks the engine for
//! that label and removes what it finds, whatever happened before: so an error, a panic or Ctrl-C
//! leaves nothing behind, and nobody else's container is touched.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::bollard::models::{HostConfig, PortBinding};
use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use testcontainers::core::IntoContainerPort;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::options::CURE;
use crate::images::short;

const LABEL: &str = "distlock.integration";
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const PULL_LIMIT: Duration = Duration::from_secs(5 * 60);
const READY_LIMIT: Duration = Duration::from_secs(30);
/// A start that is under way has to end first.
const REMOVE_LIMIT: Duration = Duration::from_secs(90);
const REMOVE_PAUSE: Duration = Duration::from_millis(50);
const LOG_LINES: usize = 40;

/// A container to start.
pub(super) struct Wanted {
    /// The image as the engine knows it.
    pub(super) reference: String,
    pub(super) command: Vec<String>,
    pub(super) ports: Vec<Port>,
    /// Whose network it shares, loopback and ports included; `None`: one of its own.
    pub(super) beside: Option<String>,
    /// Paths in the container, and what is there.
    pub(super) files: Vec<(&'static str, String)>,
    /// What it prints when it is ready.
    pub(super) ready: &'static str,
}

/// A port of a container, published on loopback.
#[derive(Clone, Copy)]
pub(super) enum Port {
    /// On any that is free.
    Anywhere(u16),
    /// On that of the same number.
    Same(u16),
}

impl Port {
    fn inside(self) -> u16 {
        match self {
            Self::Anywhere(port) | Self::Same(port) => port,
        }
    }

    fn outside(self) -> String {
        match self {
            Self::Anywhere(_) => String::new(),
            Self::Same(port) => port.to_string(),
        }
    }
}

pub(super) struct Engine {
    docker: Docker,
    run: String,
    /// Held while a container starts: what is half made has no label to be found by yet.
    starting: Arc<Mutex<()>>,
}

impl Engine {
    pub(super) async fn connect() -> Result<Self, String> {
        let ask = async {
            let docker = docker_client_instance().await.map_err(|error| error.to_string())?;
            docker.ping().await.map_err(|error| error.to_string())?;
            Ok(docker)
        };
        let answer = timeout(ANSWER_LIMIT, ask)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs())));
        let docker = answer.map_err(|why| format!("no container engine answers: {why}\n{CURE}"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = format!("{}-{}", std::process::id(), now.as_nanos());
        Ok(Self { docker, run, starting: Arc::default() })
    }

    /// Pulls the image if the engine does not have it; returns what to show of its digest.
    pub(super) async fn obtain(&self, reference: &str) -> Result<String, String> {
        if let Some(id) = self.image_id(reference).await? {
            return Ok(id);
        }
        let (name, tag) = name_and_tag(reference);
        let pull = GenericImage::new(name, tag).pull_image();
        let pulled = timeout(PULL_LIMIT, pull).await.unwrap_or_else(|_| {
            Err(testcontainers::TestcontainersError::other("the limit of five minutes is over"))
        });
        pulled.map(drop).map_err(|error| {
            format!(
                "{error}\nwhere no registry can be reached, build images of your own: \
                 eval \"$(cargo xtask images)\""
            )
        })?;
        self.image_id(reference)
            .await?
            .ok_or_else(|| format!("{reference} was pulled, and is gone"))
    }

    /// Starts a container and waits until it is ready.
    ///
    /// Dropping the future does not interrupt the engine halfway: [`remove_all`](Self::remove_all)
    /// waits for it.
    pub(super) async fn start(&self, wanted: Wanted) -> Result<Container, String> {
        let (name, tag) = name_and_tag(&wanted.reference);
        let (ports, network) = (wanted.ports, wanted.beside.map(|id| format!("container:{id}")));
        let image = GenericImage::new(name, tag);
        // An image out of an archive declares no ports, and an undeclared one is not published.
        let image = ports
            .iter()
            .map(|port| port.inside().tcp())
            .fold(image, GenericImage::with_exposed_port);
        let request = image.with_cmd(wanted.command).with_label(LABEL, &self.run);
        let request = wanted
            .files
            .into_iter()
            .fold(request, |request, (path, text)| request.with_copy_to(path, text.into_bytes()));
        let request = request.with_host_config_modifier(move |host| {
            publish_on_loopback(host, &ports);
            host.network_mode.clone_from(&network);
        });
        let starting = Arc::clone(&self.starting).lock_owned().await;
        let started = tokio::spawn(async move {
            let started = request.start().await;
            drop(starting);
            started
        });
        let container = match started.await {
            Ok(Ok(container)) => Container(container),
            Ok(Err(error)) => return Err(format!("cannot start {}: {error}", wanted.reference)),
            Err(error) => return Err(format!("cannot start {}: {error}", wanted.reference)),
        };
        match timeout(READY_LIMIT, container.says(wanted.ready)).await {
            Ok(Ok(())) => Ok(container),
            Ok(Err(why)) => Err(format!("{}: {why}\n{}", wanted.reference, container.log().await)),
            Err(_) => Err(format!(
                "{}: not ready after {} s\n{}",
                wanted.reference,
                READY_LIMIT.as_secs(),
                container.log().await
            )),
        }
    }

    /// Removes every container of this run, the half-started ones too.
    pub(super) async fn remove_all(&self) -> Result<(), String> {
        let removal = async {
            drop(self.starting.lock().await);
            // The engine may be at it already, so it is asked again until nothing is left.
            while self.remove_once().await? > 0 {
                sleep(REMOVE_PAUSE).await;
            }
            Ok(())
        };
        let late = || format!("the engine is not done after {} s", REMOVE_LIMIT.as_secs());
        let removed = timeout(REMOVE_LIMIT, removal).await.unwrap_or_else(|_| Err(late()));
        removed.map_err(|why: String| {
            format!(
                "containers may be left behind: {why}\nremove them with \
                 docker rm -f $(docker ps -aq --filter label={LABEL}={})",
                self.run
            )
        })
    }

    /// Asks for the removal of what is there, and says how much that was.
    async fn remove_once(&self) -> Result<usize, String> {
        let label = format!("{LABEL}={}", self.run);
        let filters = HashMap::from([("label", vec![label.as_str()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let containers = self.docker.list_containers(Some(options)).await;
        let containers = containers.map_err(|error| error.to_string())?;
        for container in &containers {
            let id = container.id.as_deref().unwrap_or_default();
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            match self.docker.remove_container(id, Some(options)).await {
                Ok(()) => {}
                // It is gone, or going.
                Err(error) if is_status(&error, 404) || is_status(&error, 409) => {}
                Err(error) => return Err(format!("container {}: {error}", short(id))),
            }
        }
        Ok(containers.len())
    }

    async fn image_id(&self, reference: &str) -> Result<Option<String>, String> {
        match self.docker.inspect_image(reference).await {
            Ok(image) => {
                let digest = image.repo_digests.unwrap_or_default().into_iter().next();
                let id = digest.or(image.id).unwrap_or_default();
                Ok(Some(short(&id).to_owned()))
            }
            Err(error) if is_status(&error, 404) => Ok(None),
            Err(error) => Err(format!("{reference}: {error}")),
        }
    }
}

/// A running container, removed when it is dropped.
pub(super) struct Container(ContainerAsync<GenericImage>);

impl Container {
    pub(super) fn id(&self) -> &str {
        self.0.id()
    }

    /// The port of this machine that leads to the container's `port`.
    pub(super) async fn port(&self, port: u16) -> Result<u16, String> {
        self.0.get_host_port_ipv4(port.tcp()).await.map_err(|error| error.to_string())
    }

    /// The end of what it printed.
    pub(super) async fn log(&self) -> String {
        let mut text = String::new();
        for mut stream in [self.0.stdout(false), self.0.stderr(false)] {
            let mut bytes = Vec::new();
            match timeout(ANSWER_LIMIT, stream.read_to_end(&mut bytes)).await {
                Ok(Ok(_)) => text += &String::from_utf8_lossy(&bytes),
                Ok(Err(error)) => text += &format!("(its log cannot be read: {error})\n"),
                Err(_) => text += "(its log cannot be read: no answer)\n",
            }
        }
        crate::exec::tail(&text, LOG_LINES)
    }

    /// Returns when it runs no more, which a server never does by itself.
    pub(super) async fn ended(&self) {
        let mut lines = self.0.stdout(true).lines();
        // An error is an end as well: the engine has nothing more to tell.
        while let Ok(Some(_)) = lines.next_line().await {}
    }

    /// Waits until it prints this.
    async fn says(&self, wanted: &str) -> Result<(), String> {
        let mut lines = self.0.stdout(true).lines();
        while let Some(line) = lines.next_line().await.map_err(|error| error.to_string())? {
            if line.contains(wanted) {
                return Ok(());
            }
        }
        Err("it ended before it was ready".into())
    }
}

/// Nobody but this machine may reach an unprotected server.
fn publish_on_loopback(host: &mut HostConfig, ports: &[Port]) {
    let binding = |port: &Port| {
        let host_ip = Some("127.0.0.1".into());
        let binding = PortBinding { host_ip, host_port: Some(port.outside()) };
        (format!("{}/tcp", port.inside()), Some(vec![binding]))
    };
    let bindings = ports.iter().map(binding).collect();
    host.publish_all_ports = Some(false);
    host.port_bindings = Some(bindings);
}

/// `redis:8` as its two parts, in the way that joins to the same with a colon.
fn name_and_tag(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        // The colon of a registry's port stands before a slash.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

fn is_status(error: &EngineError, status: u16) -> bool {
    matches!(error, EngineError::DockerResponseServerError { status_code, .. } if *status_code == status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_is_taken_apart_at_its_tag() {
        for (reference, name, tag) in [
            ("redis:8", "redis", "8"),
            ("valkey/valkey:9", "valkey/valkey", "9"),
            ("host:5000/redis", "host:5000/redis", "latest"),
            ("redis@sha256:ab", "redis@sha256", "ab"),
        ] {
            assert_eq!(name_and_tag(reference), (name, tag), "{reference}");
        }
    }

    #[test]
    fn ports_are_published_on_loopback_only() {
        let mut host = HostConfig { publish_all_ports: Some(true), ..HostConfig::default() };
        publish_on_loopback(&mut host, &[Port::Anywhere(6379), Port::Same(12_345)]);
        assert_eq!(host.publish_all_ports, Some(false));
        let bindings = host.port_bindings.unwrap();
        for (inside, outside) in [("6379/tcp", ""), ("12345/tcp", "12345")] {
            let binding = &bindings[inside].as_ref().unwrap()[0];
            assert_eq!(binding.host_ip.as_deref(), Some("127.0.0.1"));
            assert_eq!(binding.host_port.as_deref(), Some(outside));
        }
    }
}
