//! From paths to files: which file of a crate imports which other one.

use std::collections::BTreeMap;

use super::read::{self, Module};
use crate::tidy::source::{Problem, Source};

/// How many re-exports are followed for one name; more is a circle of them.
const MAX_STEPS: usize = 16;

/// The sources of one crate, and what they import.
#[derive(Debug, Default)]
pub(super) struct Crate {
    /// As the manifest spells it.
    pub(super) name: String,
    pub(super) files: Vec<SourceFile>,
    /// Those between files of the crate, tests left out; in the order of the files and lines.
    pub(super) imports: Vec<Import>,
    /// The first names of paths that lead out of the crate.
    pub(super) from_outside: Vec<FromOutside>,
}

#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: String,
    /// Below `src/`.
    pub(super) place: String,
}

/// One file imports another one: indices into [`Crate::files`].
#[derive(Debug)]
pub(super) struct Import {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Counted from zero.
    pub(super) line: usize,
    /// A module gives out what is defined below it, and does not use it.
    pub(super) is_passed_on: bool,
}

#[derive(Debug)]
pub(super) struct FromOutside {
    pub(super) from: usize,
    pub(super) name: String,
    /// Counted from zero.
    pub(super) line: usize,
}

impl Crate {
    /// Reads the sources in `directory` (`crates/a`); what cannot be parsed is a problem.
    pub(super) fn read(
        name: &str,
        directory: &str,
        files: &[Source],
    ) -> Result<Self, Vec<Problem>> {
        let mut this = Self { name: name.to_owned(), ..Self::default() };
        let mut read_files = Vec::new();
        let mut problems = Vec::new();
        for file in files {
            let place = file.path.strip_prefix(directory).and_then(|p| p.strip_prefix("/src/"));
            let Some(place) = place.filter(|place| place.ends_with(".rs")) else { continue };
            this.files.push(SourceFile { path: file.path.clone(), place: place.to_owned() });
            match read::read(&file.text) {
                Ok(modules) => read_files.push(modules),
                Err((line, what)) => problems.push(Problem::in_line(&file.path, line, what)),
            }
        }
        if problems.is_empty() {
            let tree = Tree::new(&this, &read_files);
            tree.resolve_all(&mut this);
            Ok(this)
        } else {
            Err(problems)
        }
    }
}

/// All modules of a crate by their paths; the root's is empty.
struct Tree<'a> {
    /// As paths spell it.
    crate_name: String,
    modules: BTreeMap<Vec<String>, (usize, &'a Module)>,
}

impl<'a> Tree<'a> {
    fn new(krate: &Crate, read_files: &'a [Vec<Module>]) -> Self {
        let has_library = krate.files.iter().any(|file| file.place == "lib.rs");
        let mut modules = BTreeMap::new();
        for (index, (file, read)) in krate.files.iter().zip(read_files).enumerate() {
            let own = module_path(&file.place, has_library);
            for module in read {
                modules.insert([&own[..], &module.path].concat(), (index, module));
            }
        }
        Self { crate_name: krate.name.replace('-', "_"), modules }
    }

    fn resolve_all(&self, krate: &mut Crate) {
        let mut imports = Vec::new();
        let mut from_outside = Vec::new();
        for (scope, &(from, module)) in &self.modules {
            if self.is_for_tests(scope) {
                continue;
            }
            let uses = module.uses.iter().map(|used| {
                let name = used.name.as_ref();
                let is_used = name.is_none_or(|name| module.first_names.contains(name));
                (&used.path, used.line, used.is_public && !is_used)
            });
            let paths = module.paths.iter().map(|path| (&path.path, path.line, false));
            for (path, line, is_given_out) in uses.chain(paths) {
                let Some(absolute) = self.absolute(scope, path, 0) else {
                    let name = path[0].clone();
                    from_outside.push(FromOutside { from, name, line });
                    continue;
                };
                if let Some(to) = self.file(&absolute, 0).filter(|to| *to != from) {
                    let is_passed_on = is_given_out && absolute.starts_with(scope);
                    imports.push(Import { from, to, line, is_passed_on });
                }
            }
        }
        imports.sort_by_key(|import| (import.from, import.line, import.to));
        imports.dedup_by_key(|import| (import.from, import.line, import.to, import.is_passed_on));
        krate.imports = imports;
        krate.from_outside = from_outside;
    }

    fn is_for_tests(&self, scope: &[String]) -> bool {
        (0..scope.len()).any(|length| {
            let parent = self.modules.get(&scope[..length]);
            parent.is_some_and(|(_, module)| module.test_modules.contains(&scope[length]))
        })
    }

    /// The path from the root of the crate; `None` leads out of the crate, or to what is local.
    fn absolute(&self, scope: &[String], path: &[String], steps: usize) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([scope, rest].concat()),
            "super" => {
                let mut parent = scope[..scope.len().checked_sub(1)?].to_vec();
                let mut rest = rest;
                while let Some(("super", after)) = rest.split_first().map(|(s, a)| (s.as_str(), a))
                {
                    parent.pop()?;
                    rest = after;
                }
                parent.extend_from_slice(rest);
                Some(parent)
            }
            name => {
                let below = [scope, &[name.to_owned()]].concat();
                if self.modules.contains_key(&below) {
                    return Some([&below[..], rest].concat());
                }
                if let Some(target) = self.used(scope, name, steps) {
                    return Some([&target[..], rest].concat());
                }
                (name == self.crate_name).then(|| rest.to_vec())
            }
        }
    }

    /// What a `use` in this module calls by this name.
    fn used(&self, scope: &[String], name: &str, steps: usize) -> Option<Vec<String>> {
        let (_, module) = self.modules.get(scope)?;
        let used = module.uses.iter().find(|used| used.name.as_deref() == Some(name))?;
        // `use a::a` would lead here again.
        let leads_here = used.path.first().is_some_and(|first| first == name);
        if leads_here || steps > MAX_STEPS {
            return None;
        }
        self.absolute(scope, &used.path, steps + 1)
    }

    /// The file in which the name at the end of the path is defined, re-exports followed.
    fn file(&self, absolute: &[String], steps: usize) -> Option<usize> {
        let mut scope = Vec::new();
        for (index, name) in absolute.iter().enumerate() {
            let &(file, module) = self.modules.get(&scope)?;
            let is_last = index + 1 == absolute.len();
            scope.push(name.clone());
            if self.modules.contains_key(&scope) && !(is_last && module.items.contains(name)) {
                continue;
            }
            scope.pop();
            if module.items.contains(name) || steps > MAX_STEPS {
                return Some(file);
            }
            let rest = &absolute[index + 1..];
            let by_name = self.used(&scope, name, steps);
            let target = by_name.map(|target| [&target[..], rest].concat());
            let target = target.or_else(|| self.by_glob(&scope, &absolute[index..], steps));
            return target.map_or(Some(file), |target| self.file(&target, steps + 1));
        }
        self.modules.get(&scope).map(|(file, _)| *file)
    }

    /// The path by way of the `use …::*` of the module that brings its first name.
    fn by_glob(&self, scope: &[String], path: &[String], steps: usize) -> Option<Vec<String>> {
        let (_, module) = self.modules.get(scope)?;
        let globs = module.uses.iter().filter(|used| used.name.is_none());
        globs.filter_map(|used| self.absolute(scope, &used.path, steps + 1)).find_map(|target| {
            let (_, module) = self.modules.get(&target)?;
            let below = [&target[..], &path[..1]].concat();
            let has_it = module.items.contains(&path[0])
                || self.modules.contains_key(&below)
                || module.uses.iter().any(|used| used.name.as_ref() == Some(&path[0]));
            has_it.then(|| [&target[..], path].concat())
        })
    }
}

/// The path of a file's module; the program beside a library is not part of it, and has a name that
/// no path can say.
fn module_path(place: &str, has_library: bool) -> Vec<String> {
    match place {
        "lib.rs" => Vec::new(),
        "main.rs" if !has_library => Vec::new(),
        "main.rs" => vec![place.to_owned()],
        _ => {
            let mut path: Vec<String> =
                place.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if path.last().is_some_and(|last| last == "mod") {
                path.pop();
            }
            path
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::source;

    fn krate(files: &[(&str, &str)]) -> Crate {
        let mut files: Vec<Source> = files
            .iter()
            .map(|(place, text)| source(&format!("crates/a-b/src/{place}"), text))
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Crate::read("a-b", "crates/a-b", &files).unwrap()
    }

    /// `FROM:LINE TO`, with a `+` behind what is only passed on.
    fn imports(files: &[(&str, &str)]) -> Vec<String> {
        let krate = krate(files);
        let place = |index: usize| &krate.files[index].place;
        let shown = krate.imports.iter().map(|Import { from, to, line, is_passed_on }| {
            let mark = if *is_passed_on { "+" } else { "" };
            format!("{}:{} {}{mark}", place(*from), line + 1, place(*to))
        });
        shown.collect()
    }

    #[test]
    fn paths_lead_to_the_files_of_their_modules() {
        let found = imports(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B;\nfn f() { crate::c::d::D::new(); }"),
            ("b.rs", "pub struct B;\nuse super::c::d;\nfn f() { d::D::new(); }"),
            ("c/mod.rs", "mod d;\nfn f() { d::D::new(); self::d::g(); }\nfn h() {}"),
            ("c/d.rs", "pub struct D; fn g() { super::super::b::f(); super::h(); }"),
        ]);
        let expected = [
            "a.rs:1 b.rs",
            "a.rs:2 c/d.rs",
            "b.rs:2 c/d.rs",
            "b.rs:3 c/d.rs",
            "c/d.rs:1 b.rs",
            "c/d.rs:1 c/mod.rs",
            "c/mod.rs:2 c/d.rs",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn re_exports_lead_to_where_a_name_is_defined() {
        let found = imports(&[
            ("lib.rs", "mod a; mod b; mod c;\npub use b::*;\npub use c::C as E;"),
            ("a.rs", "use crate::b::B;\nuse crate::E;\nuse crate::C;\nuse crate::b::Own;"),
            ("b.rs", "mod d; pub use crate::c::C;\npub use d::B; pub struct Own;"),
            ("b/d.rs", "pub enum B {}"),
            ("c.rs", "pub struct C;"),
        ]);
        let expected = [
            "a.rs:1 b/d.rs",
            "a.rs:2 c.rs",
            "a.rs:3 c.rs",
            "a.rs:4 b.rs",
            "b.rs:1 c.rs",
            "b.rs:2 b/d.rs+",
            "lib.rs:2 b.rs",
            "lib.rs:3 c.rs+",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn module_that_uses_what_it_gives_out_imports_it() {
        let files = [
            ("lib.rs", "mod a;\npub use a::A;\npub fn f(a: A) {}"),
            ("a.rs", "pub struct A;\nuse crate::f;"),
        ];
        assert_eq!(imports(&files), ["a.rs:2 lib.rs", "lib.rs:2 a.rs"]);
    }

    #[test]
    fn modules_for_tests_import_nothing_wherever_they_are() {
        let found = imports(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod more { use crate::b::B; }"),
            ("a/tests.rs", "mod deep; use crate::b::B;"),
            ("a/tests/deep.rs", "use crate::b::B;"),
            ("b.rs", "pub struct B;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn program_beside_a_library_imports_it_by_its_name() {
        let found = imports(&[
            ("main.rs", "use a_b::c::C;"),
            ("lib.rs", "pub mod c;"),
            ("c.rs", "pub struct C;"),
        ]);
        assert_eq!(found, ["main.rs:1 c.rs"]);
    }

    #[test]
    fn what_comes_from_other_crates_is_told_by_its_first_name() {
        let krate = krate(&[("lib.rs", "use tokio::time::Instant;\nfn f() { rand::random(); }")]);
        let found: Vec<(&str, usize)> =
            krate.from_outside.iter().map(|used| (used.name.as_str(), used.line)).collect();
        assert_eq!(found, [("tokio", 0), ("rand", 1)]);
        assert!(krate.imports.is_empty());
    }

    #[test]
    fn re_exports_in_a_circle_end() {
        let files = [
            ("lib.rs", "mod a; mod b; use a::X;"),
            ("a.rs", "pub use crate::b::X;"),
            ("b.rs", "pub use crate::a::X;"),
        ];
        assert_eq!(imports(&files), ["lib.rs:1 b.rs"]);
    }
}
