//! What one source file imports, module by module: its `use` items and the paths in its code.
//!
//! Comments, strings, attributes and whatever is behind `#[cfg(test)]` import nothing.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Local, Macro, Meta, Path, UseTree};

/// A module that is written in a file: the file's own, or one that stands in it in braces.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// Below the module of the file; empty for that itself.
    pub(super) path: Vec<String>,
    /// What is defined here, modules left out.
    pub(super) items: BTreeSet<String>,
    pub(super) uses: Vec<Use>,
    /// Paths of at least two names in the code.
    pub(super) paths: Vec<PathInCode>,
    /// The first names of all paths in the code.
    pub(super) first_names: BTreeSet<String>,
    /// The modules in other files that are there in tests only.
    pub(super) test_modules: BTreeSet<String>,
}

/// One name that a `use` item brings in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) path: Vec<String>,
    /// What it is called here; `None` is a glob, whose path ends before the star.
    pub(super) name: Option<String>,
    /// Whether others may import it from here.
    pub(super) is_public: bool,
    /// Counted from zero.
    pub(super) line: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathInCode {
    pub(super) path: Vec<String>,
    /// Counted from zero.
    pub(super) line: usize,
}

/// Reads a file; its own module is the first. An error is what the parser says, and the line.
pub(super) fn read(text: &str) -> Result<Vec<Module>, (usize, String)> {
    let file = syn::parse_file(text).map_err(|error| {
        let line = error.span().start().line.saturating_sub(1);
        (line, format!("cannot be parsed: {error}"))
    })?;
    let mut reader = Reader { modules: vec![Module::default()], current: 0 };
    reader.visit_file(&file);
    Ok(reader.modules)
}

struct Reader {
    modules: Vec<Module>,
    current: usize,
}

impl Reader {
    fn module(&mut self) -> &mut Module {
        &mut self.modules[self.current]
    }

    /// Enters a path that stands in the code.
    fn enter(&mut self, path: Vec<&Ident>) {
        let Some(first) = path.first() else { return };
        let line = line(first);
        let module = self.module();
        module.first_names.insert(first.to_string());
        if path.len() > 1 {
            let path = path.into_iter().map(Ident::to_string).collect();
            module.paths.push(PathInCode { path, line });
        }
    }

    fn enter_use(&mut self, tree: &UseTree, before: &[String], is_public: bool) {
        let with = |ident: &Ident| [before, &[ident.to_string()]].concat();
        let (path, name, line) = match tree {
            UseTree::Path(path) => {
                return self.enter_use(&path.tree, &with(&path.ident), is_public);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.enter_use(tree, before, is_public));
            }
            // `use a::{self}` is `use a`.
            UseTree::Name(name) if name.ident == "self" => {
                (before.to_vec(), before.last().cloned(), line(&name.ident))
            }
            UseTree::Rename(rename) if rename.ident == "self" => {
                (before.to_vec(), Some(rename.rename.to_string()), line(&rename.ident))
            }
            UseTree::Name(name) => {
                (with(&name.ident), Some(name.ident.to_string()), line(&name.ident))
            }
            UseTree::Rename(rename) => {
                (with(&rename.ident), Some(rename.rename.to_string()), line(&rename.ident))
            }
            UseTree::Glob(glob) => {
                (before.to_vec(), None, glob.star_token.spans[0].start().line.saturating_sub(1))
            }
        };
        self.module().uses.push(Use { path, name, is_public, line });
    }

    /// The paths in the arguments of a macro, which no parser but the macro itself knows, and in the
    /// macros that are defined here. What one of these says of `$crate` is said where it is used.
    fn enter_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut index = 0;
        // Behind `.`, `$` and `::` stands no path of this module.
        let mut is_new = true;
        while let Some(token) = tokens.get(index) {
            match token {
                TokenTree::Ident(first) => {
                    let mut path = vec![first];
                    while let Some(TokenTree::Ident(next)) = tokens.get(index + 3)
                        && is_colons(&tokens[index + 1..index + 3])
                    {
                        path.push(next);
                        index += 3;
                    }
                    if is_new {
                        self.enter(path);
                    }
                }
                TokenTree::Group(group) => self.enter_tokens(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            is_new = !ends_in_mark(&tokens[..=index]);
            index += 1;
        }
    }
}

impl Visit<'_> for Reader {
    fn visit_item(&mut self, item: &Item) {
        let (attributes, name) = attributes_and_name(item);
        if !is_for_tests(attributes) {
            self.module().items.extend(name.map(Ident::to_string));
            visit::visit_item(self, item);
        } else if let Item::Mod(ItemMod { ident, content: None, .. }) = item {
            self.module().test_modules.insert(ident.to_string());
        }
    }

    fn visit_item_mod(&mut self, item: &ItemMod) {
        let Some((_, items)) = &item.content else { return };
        let outer = self.current;
        let path = [&self.modules[outer].path[..], &[item.ident.to_string()]].concat();
        self.current = self.modules.len();
        self.modules.push(Module { path, ..Module::default() });
        items.iter().for_each(|item| self.visit_item(item));
        self.current = outer;
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        // `use ::a` is always another crate.
        if item.leading_colon.is_none() {
            let is_public = !matches!(item.vis, syn::Visibility::Inherited);
            self.enter_use(&item.tree, &[], is_public);
        }
    }

    fn visit_impl_item(&mut self, item: &ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs[..],
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &syn::Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &syn::FieldValue) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_arm(&mut self, arm: &syn::Arm) {
        if !is_for_tests(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_local(&mut self, local: &Local) {
        if !is_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_path(&mut self, path: &Path) {
        if path.leading_colon.is_none() {
            self.enter(path.segments.iter().map(|segment| &segment.ident).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &Macro) {
        self.visit_path(&item.path);
        self.enter_tokens(item.tokens.clone());
    }

    // Neither names anything that is used.
    fn visit_attribute(&mut self, _: &Attribute) {}
    fn visit_visibility(&mut self, _: &syn::Visibility) {}
}

fn line(ident: &Ident) -> usize {
    ident.span().start().line.saturating_sub(1)
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(first), TokenTree::Punct(second)]
        if first.as_char() == ':' && first.spacing() == Spacing::Joint && second.as_char() == ':')
}

fn ends_in_mark(tokens: &[TokenTree]) -> bool {
    let is_mark =
        |token: &TokenTree| matches!(token, TokenTree::Punct(p) if ".$".contains(p.as_char()));
    tokens.last().is_some_and(is_mark)
        || tokens.last_chunk::<2>().is_some_and(|colons| is_colons(colons))
}

/// Whether it is there in tests only: `#[cfg(test)]`, or `#[cfg(all(test, …))]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => needs_test(list.tokens.clone()),
        _ => false,
    };
    attributes.iter().any(is_test)
}

fn needs_test(condition: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = condition.into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(word)] => word == "test",
        [TokenTree::Ident(word), TokenTree::Group(group)] if word == "all" => {
            let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
            let is_comma =
                |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
            tokens.split(is_comma).any(|part| needs_test(part.iter().cloned().collect()))
        }
        _ => false,
    }
}

/// What stands before an item, and the name that others can import, if it is no module.
fn attributes_and_name(item: &Item) -> (&[Attribute], Option<&Ident>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::ExternCrate(item) => (&item.attrs, None),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::ForeignMod(item) => (&item.attrs, None),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::TraitAlias(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(text: &str) -> Vec<Module> {
        read(text).unwrap()
    }

    /// `LINE PATH as NAME`, with `pub` before it if others may import it from here.
    fn uses(text: &str) -> Vec<String> {
        let uses = modules(text).into_iter().flat_map(|module| module.uses);
        let shown = uses.map(|used| {
            let public = if used.is_public { "pub " } else { "" };
            let name = used.name.as_deref().unwrap_or("*");
            format!("{} {public}{} as {name}", used.line + 1, used.path.join("::"))
        });
        shown.collect()
    }

    fn paths(text: &str) -> Vec<String> {
        let paths = modules(text).into_iter().flat_map(|module| module.paths);
        paths.map(|path| format!("{} {}", path.line + 1, path.path.join("::"))).collect()
    }

    #[test]
    fn uses_are_read_in_every_form() {
        let text = "use crate::a;\n\
                    pub(crate) use super::b::{C, d::{self, E as F},\n    g::*};\n\
                    use self::h::{self as i};\n\
                    use ::tokio::spawn;\n";
        let expected = [
            "1 crate::a as a",
            "2 pub super::b::C as C",
            "2 pub super::b::d as d",
            "2 pub super::b::d::E as F",
            "3 pub super::b::g as *",
            "4 self::h as i",
        ];
        assert_eq!(uses(text), expected);
    }

    #[test]
    fn paths_in_code_are_read_wherever_they_stand() {
        let text = "fn f(a: crate::a::A<crate::b::B>) -> impl crate::c::C {\n\
                    let x = crate::d::e(super::g::H { i: 1 });\n\
                    if let crate::j::K = x.y { }\n}\n\
                    impl crate::l::L for M { }\n";
        let expected = [
            "1 crate::a::A",
            "1 crate::b::B",
            "1 crate::c::C",
            "2 crate::d::e",
            "2 super::g::H",
            "3 crate::j::K",
            "5 crate::l::L",
        ];
        assert_eq!(paths(text), expected);
    }

    #[test]
    fn paths_in_macros_are_read() {
        let text = "fn f() {\n    tokio::select! { x = crate::a::b() => { y.z(c::D, ::std::e::F) } }\n\
                    }\nmacro_rules! m { ($g:path) => { $crate::h::i($g::j(), crate::k::l()) } }\n";
        let expected = ["2 tokio::select", "2 crate::a::b", "2 c::D", "4 crate::k::l"];
        assert_eq!(paths(text), expected);
        assert!(!modules(text)[0].first_names.contains("z"));
        assert!(modules(text)[0].items.contains("m"));
    }

    #[test]
    fn comments_strings_and_attributes_import_nothing() {
        let text = "//! Uses crate::a::A.\n\
                    /// See [`crate::b::B`]; `use crate::c::C`.\n\
                    #[expect(crate::d::e, reason = \"crate::f::g\")]\n\
                    pub(in crate::h::i) fn f() -> &'static str { \"crate::j::k\" /* crate::l::m */ }\n";
        assert!(paths(text).is_empty() && uses(text).is_empty());
    }

    #[test]
    fn what_is_there_in_tests_only_imports_nothing() {
        let text = "#[cfg(test)]\nmod tests { use crate::a::B; }\n\
                    #[cfg(all(test, unix))]\nuse crate::c::D;\n\
                    #[cfg(test)]\nmod cases;\n\
                    struct S { #[cfg(test)] f: crate::e::F }\n\
                    impl S { #[cfg(test)] fn g() { crate::h::i() } }\n\
                    fn f() { #[cfg(test)] let x = crate::j::k(); }\n";
        assert!(paths(text).is_empty() && uses(text).is_empty());
        assert!(modules(text)[0].test_modules.contains("cases"));
        let text =
            "#[cfg(any(test, unix))]\nuse crate::c::D;\n#[cfg(not(test))]\nuse crate::e::F;\n";
        assert_eq!(uses(text), ["2 crate::c::D as D", "4 crate::e::F as F"]);
    }

    #[test]
    fn module_in_braces_is_a_module_of_its_own() {
        let modules =
            modules("fn a() {}\nmod b { mod c { use super::d; } fn e() {} }\nstruct F;\n");
        let paths: Vec<String> = modules.iter().map(|module| module.path.join("::")).collect();
        assert_eq!(paths, ["", "b", "b::c"]);
        assert_eq!(modules[0].items, ["F", "a"].map(str::to_owned).into());
        assert_eq!(modules[2].uses.len(), 1);
    }

    #[test]
    fn source_that_cannot_be_parsed_is_an_error_with_its_line() {
        let (line, what) = read("fn a() {}\nfn fn() {}\n").unwrap_err();
        assert_eq!(line, 1);
        assert!(what.starts_with("cannot be parsed: "), "{what}");
    }
}
