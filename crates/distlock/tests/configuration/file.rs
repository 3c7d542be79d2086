//! Configurations in a file.

use super::*;

fn read(file: &str) -> Result<LockConfig, toml::de::Error> {
    toml::from_str(file)
}

#[tokio::test]
async fn a_file_sets_every_word() {
    let config = read(
        r#"
        url = "memory:?ttl=1s"
        namespace = "shop:"
        key_prefix = ""
        ttl = "1h"
        wait = "forever"
        keep_alive = true
        max_hold = "2h"
        min_hold = "1ms"
        on_lost = "continue"
        require_fencing = true
        response_timeout = "500ms"
        lazy = true
        endpoint = "127.0.0.1:50001"
        handover_grants = 10
        handover_time = "20ms"
        program = "worker"
        program_version = "1.2"
        program_host = "node-7"
        tls_ca_file = "/run/ca.pem"
        tls_cert_file = "/run/client.pem"
        tls_key_file = "/run/client.key"
        tls_server_name = "redis.example"
        password_file = "/run/password"
        api_token_file = "/run/token"
        "#,
    );
    let locks = config.unwrap().connect().await.unwrap();
    let guard = locks.lock("x").acquire().await.unwrap();
    assert!(guard.remaining() > Duration::from_secs(60), "the field is above the query");
}

#[test]
fn a_file_need_not_name_the_store() {
    for file in ["", "ttl = '1s'"] {
        let config = read(file).unwrap();
        config.clone().default_url("memory:").unwrap().check().unwrap();
        let error = config.check().unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
        assert!(error.to_string().contains("no store is configured"), "{error}");
    }
}

#[test]
fn bad_files_are_refused_by_key_and_value() {
    for (line, causes) in [
        ("url = 'memory:'\nttl = '30'", ["\"30\" is refused", "has no unit; write \"30s\""]),
        ("url = 'memory:'\nttl = 30", ["\"30\" is refused", "has no unit; write \"30s\""]),
        ("url = 'memory:'\nttl = 1.5", ["\"1.5\" is refused", "has no unit; write \"1.5s\""]),
        ("url = 'memory:'\nttl = true", ["boolean", "\"500ms\", \"1.5s\""]),
        ("url = 'memory:'\nlazy = 'true'", ["invalid type: string \"true\"", "boolean"]),
        (
            "url = 'memory:'\nwait = 5",
            ["\"5\" is refused", "write \"5s\" or \"5ms\", or `forever`"],
        ),
        ("url = 'memory:'\nwait = true", ["boolean", "\"5m\" or \"1h\", or `forever`"]),
        ("url = 'memory:'\nkeep_alive = 1", ["invalid type: integer `1`", "boolean"]),
        ("url = 'memory:'\nhandover_grants = 2000", ["\"2000\" is refused", "1023 at most"]),
        ("url = 'memory:'\nhandover_grants = '2'", ["string \"2\"", "a whole number"]),
        ("url = 'memory:'\npassword_file = 1", ["integer `1`", "the path of a file"]),
        ("url = 'memory:'\nnamespace = 1", ["invalid type: integer `1`", "a string"]),
        ("url = 'memory:'\nttl = '1s'\nttl = '2s'", ["duplicate", "ttl"]),
        ("url = 'memory:'\non_lost = 'stop'", ["\"stop\" is refused", "`cancel` or `continue`"]),
        (
            "url = 'memory:'\nnamspace = 'x'",
            ["unknown field `namspace`", "did you mean `namespace`?"],
        ),
        (
            "password = 's3cret'",
            [
                "unknown field `password`; did you mean `password_file`?",
                "or write it into `url`, as",
            ],
        ),
        ("db = 1", ["unknown field `db`; write it into `url`", "HOST:PORT/DATABASE"]),
    ] {
        let error = read(line).unwrap_err().to_string();
        assert!(causes.iter().all(|cause| error.contains(cause)), "{line}: {error}");
    }
}

#[test]
fn a_bad_url_in_a_file_is_refused_when_it_is_used_so_that_no_parser_quotes_it() {
    let config = read("url = 'redis://:secret@h:x'").unwrap();
    let error = config.check().unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
    assert!(!format!("{config} {config:?} {error} {error:?}").contains("secret"));
}
