//! A server that wants a password and a certificate, by every way in which they can be configured.

#![cfg(all(feature = "redis", feature = "tls", feature = "serde"))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

use std::process::Command;

use distlock::{LockConfig, LockErrorKind, connect};
use testbed::{Authority, RedisServer, ReservedPort, ServerKind};

const PASSWORD: &str = "s3cret";
/// What the certificate is for; no host has that name.
const NAME: &str = "locks.example";
/// Tells a test that it is the program whose environment is set.
const CHILD_VARIABLE: &str = "DISTLOCK_TEST_CHILD";

/// A server whose clients show a certificate and a password, and their files.
struct Server {
    files: tempfile::TempDir,
    port: ReservedPort,
    _redis: RedisServer,
}

impl Server {
    fn start() -> Self {
        let authority = Authority::new().unwrap();
        let files = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let issue = |host: &str| {
            let (certificate, key) = authority.issue(host).unwrap();
            (write(&format!("{host}.pem"), &certificate), write(&format!("{host}.key"), &key))
        };
        issue("client");
        write("password", &format!("{PASSWORD}\n"));
        let (root, (certificate, key)) = (write("root.pem", authority.root_pem()), issue(NAME));
        let port = ReservedPort::reserve().unwrap();
        let arguments = [
            ("--tls-port", port.number().to_string()),
            ("--tls-cert-file", certificate),
            ("--tls-key-file", key),
            ("--tls-ca-cert-file", root),
            ("--tls-auth-clients", "yes".to_owned()),
            ("--requirepass", PASSWORD.to_owned()),
        ];
        let arguments: Vec<&str> =
            arguments.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
        let redis = RedisServer::start_with(&ServerKind::REDIS_7_0, &arguments).unwrap();
        Self { files, port, _redis: redis }
    }

    fn url(&self) -> String {
        format!("rediss://default@localhost:{}", self.port.number())
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    /// The words that are needed, and their values.
    fn words(&self) -> [(&'static str, String); 5] {
        [
            ("password_file", self.file("password")),
            ("tls_ca_file", self.file("root.pem")),
            ("tls_cert_file", self.file("client.pem")),
            ("tls_key_file", self.file("client.key")),
            ("tls_server_name", NAME.to_owned()),
        ]
    }
}

async fn works(config: LockConfig) {
    let locks = config.connect().await.unwrap();
    let guard = locks.lock("x").acquire().await.unwrap();
    assert!(guard.release().await.is_released());
}

#[tokio::test]
async fn the_files_are_named_by_a_setter_the_url_or_a_file() {
    let server = Server::start();
    let setters = LockConfig::from_url(server.url()).unwrap();
    let setters = setters.password_file(server.file("password"));
    let setters = setters.tls_ca_file(server.file("root.pem"));
    let setters = setters.tls_server_name(NAME);
    works(setters.tls_client_files(server.file("client.pem"), server.file("client.key"))).await;

    let query: Vec<_> = server.words().map(|(word, value)| format!("{word}={value}")).into();
    let url = format!("{}?{}", server.url(), query.join("&"));
    works(LockConfig::from_url(url).unwrap()).await;

    let lines = server.words().map(|(word, value)| format!("{word} = '{value}'")).join("\n");
    works(toml::from_str(&format!("url = '{}'\n{lines}", server.url())).unwrap()).await;
}

/// The environment is that of a program: so this test starts itself once more.
#[tokio::test]
async fn the_files_are_named_by_the_environment() {
    if std::env::var_os(CHILD_VARIABLE).is_some() {
        return works(LockConfig::from_env().unwrap()).await;
    }
    let server = Server::start();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "the_files_are_named_by_the_environment"])
        .env(CHILD_VARIABLE, "1")
        .env("DISTLOCK_URL", server.url())
        .envs(
            server
                .words()
                .map(|(word, value)| (format!("DISTLOCK_{}", word.to_ascii_uppercase()), value)),
        );
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn what_is_missing_is_said_and_no_text_holds_the_password() {
    let server = Server::start();
    let [password, root, certificate, key, name] =
        server.words().map(|(word, value)| format!("{word}={value}"));
    let tls = format!("{root}&{certificate}&{key}&{name}");
    for (query, kind, cause) in [
        (
            format!("{password}&{root}&{name}"),
            LockErrorKind::Denied,
            "set tls_cert_file and tls_key_file",
        ),
        (format!("{password}&{root}&{key}"), LockErrorKind::InvalidConfig, "set both"),
        (format!("{password}&{certificate}&{key}&{name}"), LockErrorKind::Denied, "certificate"),
        (
            format!("{password}&{root}&{certificate}&{key}"),
            LockErrorKind::Denied,
            "set tls_server_name",
        ),
        (tls.clone(), LockErrorKind::InvalidConfig, "redis://USER@HOST with password_file"),
        (format!("{tls}&password_file={PASSWORD}"), LockErrorKind::InvalidConfig, "not the secret"),
        (
            format!("{tls}&password_file={}", server.file("client.pem")),
            LockErrorKind::Denied,
            "refused the user name or the password",
        ),
    ] {
        let error = connect(format!("{}?{query}", server.url())).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{query}: {error}");
        let texts = format!("{error} {error:?}");
        assert!(error.to_string().contains(cause), "{query}: {error}");
        assert!(!texts.contains(PASSWORD) && !texts.contains("BEGIN"), "{texts}");
    }
    let with_both = server.url().replace("default@", ":hunter2@");
    let error = connect(format!("{with_both}?{password}&{tls}")).await.unwrap_err();
    assert!(error.to_string().contains("remove one of them"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"));
    let plain = server.url().replace("rediss", "redis");
    let error = connect(format!("{plain}?{password}&{tls}")).await.unwrap_err();
    assert!(error.to_string().contains("write rediss://"), "{error}");
}
