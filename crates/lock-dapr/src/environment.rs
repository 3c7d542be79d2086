//! The environment variables of a program that has a sidecar.

use std::ffi::OsString;

use dapr::client::{DAPR_API_TOKEN_ENV, DAPR_GRPC_ENDPOINT_ENV, DAPR_GRPC_PORT_ENV};
use lock_core::message_text::quoted;
use lock_core::{LockError, LockErrorKind, Result};

/// The variables that every Dapr SDK reads. No `Debug`: the token is a secret.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    pub(crate) endpoint: Option<String>,
    pub(crate) api_token: Option<String>,
}

impl Environment {
    /// Reads the process's environment.
    pub(crate) fn read() -> Result<Self> {
        Self::from(|name| std::env::var_os(name))
    }

    fn from(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let text = |name: &str| match variable(name).map(OsString::into_string) {
            // Deployment tools often set a variable to an empty text to unset it.
            Some(Ok(text)) if text.is_empty() => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(invalid(format!("the environment variable {name} is not UTF-8"))),
            None => Ok(None),
        };
        let endpoint = match (text(DAPR_GRPC_ENDPOINT_ENV)?, text(DAPR_GRPC_PORT_ENV)?) {
            (Some(endpoint), _) => Some(endpoint),
            (None, Some(port)) => Some(at_port(&port)?),
            (None, None) => None,
        };
        Ok(Self { endpoint, api_token: text(DAPR_API_TOKEN_ENV)? })
    }
}

fn at_port(port: &str) -> Result<String> {
    match port.trim().parse::<u16>() {
        Ok(port) if port != 0 => Ok(format!("http://127.0.0.1:{port}")),
        _ => Err(invalid(format!(
            "the environment variable {DAPR_GRPC_PORT_ENV} is {}; it must be 1 to 65535",
            quoted(port)
        ))),
    }
}

fn invalid(message: String) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment> {
        Environment::from(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn an_endpoint_takes_precedence_over_a_port_and_an_empty_variable_is_unset() {
        let endpoint = |variables| read(variables).unwrap().endpoint;
        let both = [("DAPR_GRPC_ENDPOINT", "dns:host:1"), ("DAPR_GRPC_PORT", "2")];
        assert_eq!(endpoint(&both).as_deref(), Some("dns:host:1"));
        let port = [("DAPR_GRPC_ENDPOINT", ""), ("DAPR_GRPC_PORT", "2")];
        assert_eq!(endpoint(&port).as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(endpoint(&[]), None);
        let token = read(&[("DAPR_API_TOKEN", "t")]).unwrap().api_token;
        assert_eq!(token.as_deref(), Some("t"));
    }

    #[test]
    fn a_bad_port_is_refused_with_the_name_of_its_variable() {
        let error = read(&[("DAPR_GRPC_PORT", "0")]).err().unwrap();
        assert!(error.to_string().contains("DAPR_GRPC_PORT is \"0\""), "{error}");
    }
}
