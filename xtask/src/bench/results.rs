//! What the bench program wrote: cells with figures.

use serde_json::Value;

/// One run of the program.
pub(super) struct Results(Value);

/// One contender in one setting.
#[derive(Clone, Copy)]
pub(super) struct Cell<'a>(&'a Value);

/// The middle of all rounds, and both ends.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Results {
    pub(super) fn parse(json: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if value["cells"].is_array() { Ok(Self(value)) } else { Err("no cells in it".into()) }
    }

    /// The server, with its version.
    pub(super) fn server(&self) -> &str {
        self.0["server"].as_str().unwrap_or("?")
    }

    pub(super) fn runtime(&self) -> &str {
        self.0["runtime"].as_str().unwrap_or("?")
    }

    /// The cells of a workload; those with the CPUs kept awake last.
    pub(super) fn cells(&self, workload: &str) -> Vec<Cell<'_>> {
        let cells = self.0["cells"].as_array().into_iter().flatten();
        cells.filter(|cell| cell["workload"] == workload).map(Cell).collect()
    }
}

impl<'a> Cell<'a> {
    pub(super) fn contender(&self) -> &'a str {
        self.0["contender"].as_str().unwrap_or("?")
    }

    pub(super) fn workers(&self) -> u64 {
        self.0["workers"].as_u64().unwrap_or(0)
    }

    pub(super) fn processes(&self) -> u64 {
        self.0["processes"].as_u64().unwrap_or(1)
    }

    pub(super) fn is_kept_awake(&self) -> bool {
        self.0["awake"].as_bool().unwrap_or(false)
    }

    pub(super) fn figure(&self, name: &str) -> Option<Spread> {
        let figure = &self.0["figures"][name];
        let part = |name: &str| figure[name].as_f64();
        Some(Spread { median: part("median")?, min: part("min")?, max: part("max")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_workload_and_name() {
        let json = r#"{ "server": "redis-7.0 (7.0.15)", "cells": [{
            "workload": "W1", "contender": "raw", "workers": 1, "processes": 1, "awake": true,
            "figures": { "ratio": { "median": 1.0, "min": 0.9, "max": 1.1 } } }] }"#;
        let results = Results::parse(json).unwrap();
        assert!(results.cells("W2").is_empty());
        let cell = results.cells("W1")[0];
        assert!(cell.is_kept_awake() && cell.contender() == "raw");
        assert_eq!(cell.figure("ratio").map(|ratio| ratio.max), Some(1.1));
        assert!(cell.figure("jain").is_none());
    }

    #[test]
    fn what_holds_no_cells_is_refused() {
        assert!(Results::parse("{}").is_err());
        assert!(Results::parse("").is_err());
    }
}
