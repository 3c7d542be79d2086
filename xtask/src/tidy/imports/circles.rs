//! Files of a crate that import each other, directly or by way of others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::resolve::Crate;
use super::tables::Pair;
use crate::tidy::source::Problem;

/// From each file, whom it imports, and the first line that does.
type Graph = BTreeMap<usize, BTreeMap<usize, usize>>;

/// Direct circles, pairs that the page allows left out; of longer ones, the shortest of each knot.
pub(super) fn problems(krate: &Crate, allowed: &[&Pair]) -> Vec<Problem> {
    let graph = graph(krate);
    let mut problems = mutual(krate, &graph, allowed);
    for knot in knots(&graph) {
        if let Some(circle) = shortest_circle(&graph, &knot) {
            problems.push(told(krate, &graph, &circle, knot.len()));
        }
    }
    problems
}

fn graph(krate: &Crate) -> Graph {
    let mut graph = Graph::new();
    // Giving out what is defined below needs nothing of it.
    for import in krate.imports.iter().filter(|import| !import.is_passed_on) {
        graph.entry(import.from).or_default().entry(import.to).or_insert(import.line);
    }
    graph
}

fn imported(graph: &Graph, from: usize) -> impl Iterator<Item = usize> {
    graph.get(&from).into_iter().flat_map(|imported| imported.keys().copied())
}

fn mutual(krate: &Crate, graph: &Graph, allowed: &[&Pair]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let is_mutual = |a: usize, b: usize| imported(graph, b).any(|back| back == a);
    for (&a, targets) in graph {
        for (&b, line) in targets.iter().filter(|(b, _)| a < **b && is_mutual(a, **b)) {
            let [one, other] = [a, b].map(|file| &krate.files[file]);
            if !allowed.iter().any(|pair| pair.is(&one.place, &other.place)) {
                let (place, back) = (&other.place, place_and_line(krate, graph, b, a));
                let what = format!("imports {place}, which imports it back at {back}");
                problems.push(Problem::in_line(&one.path, *line, what));
            }
        }
    }
    for pair in allowed {
        let is_there = graph.iter().any(|(&a, targets)| {
            targets.keys().any(|&b| {
                let [one, other] = [a, b].map(|file| krate.files[file].place.as_str());
                pair.is(one, other) && is_mutual(a, b)
            })
        });
        if !is_there {
            let [one, other] = &pair.places;
            let what = format!("{one} and {other} of {} do not import each other", krate.name);
            problems.push(pair.row.problem(what));
        }
    }
    problems
}

/// Groups of files each of which reaches all others of its group.
fn knots(graph: &Graph) -> Vec<BTreeSet<usize>> {
    let reached: BTreeMap<usize, BTreeSet<usize>> =
        graph.keys().map(|&from| (from, reached_from(graph, from))).collect();
    let mut knots = Vec::new();
    let mut done = BTreeSet::new();
    for (&file, others) in &reached {
        let reaches_back =
            |other: &&usize| reached.get(other).is_some_and(|back| back.contains(&file));
        let knot: BTreeSet<usize> = others.iter().filter(reaches_back).copied().collect();
        if knot.len() > 2 && done.insert(file) {
            done.extend(&knot);
            knots.push(knot);
        }
    }
    knots
}

fn reached_from(graph: &Graph, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<usize> = imported(graph, from).collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(imported(graph, file));
        }
    }
    reached
}

/// A circle of three files or more; there is none where all circles are direct ones.
fn shortest_circle(graph: &Graph, knot: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let edges = knot.iter().flat_map(|&a| imported(graph, a).map(move |b| (a, b)));
    let circles = edges.filter(|(_, b)| knot.contains(b)).filter_map(|(a, b)| {
        let mut circle = way(graph, b, a)?;
        circle.insert(0, a);
        Some(circle)
    });
    circles.min_by_key(Vec::len)
}

/// The shortest way from one file to another that is not one step; the last file is left out.
fn way(graph: &Graph, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut before = BTreeMap::from([(from, from)]);
    let mut next = VecDeque::from([from]);
    while let Some(file) = next.pop_front() {
        for imported in imported(graph, file) {
            if imported == to && file != from {
                let mut way = vec![file];
                while way[0] != from {
                    way.insert(0, before[&way[0]]);
                }
                return Some(way);
            }
            if imported != to && !before.contains_key(&imported) {
                before.insert(imported, file);
                next.push_back(imported);
            }
        }
    }
    None
}

fn told(krate: &Crate, graph: &Graph, circle: &[usize], knot: usize) -> Problem {
    let first = circle[0];
    let after = circle[1..].iter().chain([&first]);
    let steps = circle.iter().zip(after).map(|(&from, &to)| {
        format!("{} imports {}", place_and_line(krate, graph, from, to), krate.files[to].place)
    });
    let steps: Vec<String> = steps.collect();
    let what = format!("a circle: {} ({knot} files are in circles with it)", steps.join(", "));
    Problem::in_line(&krate.files[first].path, graph[&first][&circle[1]], what)
}

fn place_and_line(krate: &Crate, graph: &Graph, from: usize, to: usize) -> String {
    format!("{}:{}", krate.files[from].place, graph[&from][&to] + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::imports::tables::Row;
    use crate::tidy::source::{Source, source};

    fn krate(files: &[(&str, &str)]) -> Crate {
        let files: Vec<Source> = files
            .iter()
            .map(|(place, text)| source(&format!("crates/x/src/{place}"), text))
            .collect();
        Crate::read("x", "crates/x", &files).unwrap()
    }

    fn found(files: &[(&str, &str)], allowed: &[&Pair]) -> Vec<String> {
        problems(&krate(files), allowed).iter().map(ToString::to_string).collect()
    }

    fn pair(one: &str, other: &str) -> Pair {
        Pair {
            row: Row { path: "docs/page.md".into(), line: 6 },
            package: "x".into(),
            places: [one.into(), other.into()],
        }
    }

    const MUTUAL: [(&str, &str); 3] = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "//! A.\nuse crate::b::B;\npub struct A;"),
        ("b.rs", "pub struct B;\n\nfn f(a: crate::a::A) {}"),
    ];

    #[test]
    fn files_that_import_each_other_are_found_with_both_lines() {
        let expected = "crates/x/src/a.rs:2: imports b.rs, which imports it back at b.rs:3";
        assert_eq!(found(&MUTUAL, &[]), [expected]);
    }

    #[test]
    fn named_pair_may_import_each_other_while_it_does() {
        assert!(found(&MUTUAL, &[&pair("b.rs", "a.rs")]).is_empty());
        let expected = "docs/page.md:7: a.rs and lib.rs of x do not import each other";
        assert_eq!(found(&MUTUAL, &[&pair("b.rs", "a.rs"), &pair("a.rs", "lib.rs")]), [expected]);
    }

    #[test]
    fn shortest_of_the_longer_circles_is_spelled_out() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::c::C;\nuse crate::d::D;\npub struct B;"),
            ("c.rs", "use crate::d::D;\npub struct C;"),
            ("d.rs", "pub struct D;\nuse crate::a;"),
        ];
        let expected = "crates/x/src/a.rs:1: a circle: a.rs:1 imports b.rs, b.rs:2 imports d.rs, \
                        d.rs:2 imports a.rs (4 files are in circles with it)";
        assert_eq!(found(&files, &[]), [expected]);
    }

    #[test]
    fn chain_of_direct_circles_is_no_longer_circle() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use crate::a::A; use crate::c::C; pub struct B;"),
            ("c.rs", "use crate::b::B; pub struct C;"),
        ];
        assert_eq!(found(&files, &[]).len(), 2);
    }

    #[test]
    fn module_that_gives_out_what_is_below_it_is_in_no_circle() {
        let files = [
            ("lib.rs", "mod a;\npub use a::A;\npub const C: u8 = 0;"),
            ("a.rs", "pub struct A([u8; crate::C as usize]);\nuse crate::C;"),
        ];
        assert!(found(&files, &[]).is_empty());
    }
}
