//! Who may import whom: the tables of the architecture page, and circles of files.

mod circles;
mod layers;
mod packages;
mod read;
mod resolve;
mod tables;

use super::source::{Problem, Source};
use resolve::Crate;
use tables::{Pair, Tables};

pub(super) fn problems(files: &[Source]) -> Vec<Problem> {
    let (tables, mut problems) = Tables::read(files);
    let packages = packages::packages(files);
    problems.extend(packages::problems(&packages, &tables.packages));
    for package in &packages {
        match Crate::read(package.name, package.directory, files) {
            Ok(krate) => problems.extend(crate_problems(&krate, &tables)),
            Err(unreadable) => problems.extend(unreadable),
        }
    }
    let is_there = |name: &str| packages.iter().any(|package| package.name == name);
    let of_tables = tables.places.iter().map(|table| (&table.row, &table.package));
    let of_pairs = tables.pairs.iter().map(|pair| (&pair.row, &pair.package));
    for (row, package) in of_tables.chain(of_pairs).filter(|(_, package)| !is_there(package)) {
        problems.push(row.problem(format!("there is no crate `{package}`")));
    }
    problems
}

fn crate_problems(krate: &Crate, tables: &Tables) -> Vec<Problem> {
    let mut problems = Vec::new();
    for table in tables.places.iter().filter(|table| table.package == krate.name) {
        problems.extend(layers::problems(krate, table));
    }
    let allowed: Vec<&Pair> =
        tables.pairs.iter().filter(|pair| pair.package == krate.name).collect();
    problems.extend(circles::problems(krate, &allowed));
    problems
}
