//! What is published never changes: each item of `wit/v1` is as `wit/published/v1.txt` has it. An item that is new there is
//! added to the list by
//!
//! ```text
//! cargo test -p mcp-codex-worker-bindings --test published -- --ignored
//! ```
//!
//! which refuses to change or drop one.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use wit_bindgen_core::wit_parser::{
    Function, Handle, InterfaceId, Resolve, Stability, Type, TypeDefKind, WorldItem,
};

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn list() -> PathBuf {
    workspace().join("wit/published/v1.txt")
}

/// Every item, by its full name, with its type and the version that it came with.
fn items() -> BTreeMap<String, String> {
    let mut resolve = Resolve::default();
    for package in ["types", "check", "summarizer", "redactor", "dialect"] {
        resolve
            .push_path(workspace().join("wit/v1").join(package))
            .unwrap();
    }
    let mut items = BTreeMap::new();
    for (id, interface) in resolve.interfaces.iter() {
        let name = resolve.id_of(id).unwrap();
        items.insert(name.clone(), since(&interface.stability));
        for (own, id) in &interface.types {
            let definition = &resolve.types[*id];
            let what = format!(
                "{} {}",
                since(&definition.stability),
                kind(&resolve, &definition.kind)
            );
            items.insert(format!("{name} {own}"), what);
        }
        for (own, function) in &interface.functions {
            let what = format!(
                "{} {}",
                since(&function.stability),
                signature(&resolve, function)
            );
            items.insert(format!("{name} {own}"), what);
        }
    }
    for (_, world) in resolve.worlds.iter() {
        let package = &resolve.packages[world.package.unwrap()].name;
        let item = |key: &_, item: &WorldItem| {
            let name = resolve.name_world_key(key);
            assert!(matches!(item, WorldItem::Interface { .. }), "{name}");
            name
        };
        let names = |of: &mut dyn Iterator<Item = String>| of.collect::<Vec<_>>().join(", ");
        let what = format!(
            "{} imports {} exports {}",
            since(&world.stability),
            names(&mut world.imports.iter().map(|(key, of)| item(key, of))),
            names(&mut world.exports.iter().map(|(key, of)| item(key, of)))
        );
        items.insert(format!("{package} world {}", world.name), what);
    }
    items
}

fn since(stability: &Stability) -> String {
    match stability {
        Stability::Stable { since, .. } => format!("@since({since})"),
        _ => panic!("an item without @since"),
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let parameters = function
        .params
        .iter()
        .map(|parameter| format!("{}: {}", parameter.name, of(resolve, &parameter.ty)));
    let parameters = parameters.collect::<Vec<_>>().join(", ");
    let result = function.result.as_ref().map(|result| of(resolve, result));
    format!(
        "func({parameters}) -> {}",
        result.unwrap_or("()".to_owned())
    )
}

fn owner(resolve: &Resolve, interface: InterfaceId) -> String {
    resolve.id_of(interface).unwrap_or_default()
}

/// A type where it is used: by its name, where it has one.
fn of(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return format!("{ty:?}").to_lowercase();
    };
    let definition = &resolve.types[*id];
    match (&definition.name, definition.owner) {
        (Some(name), wit_bindgen_core::wit_parser::TypeOwner::Interface(interface)) => {
            format!("{}.{name}", owner(resolve, interface))
        }
        _ => kind(resolve, &definition.kind),
    }
}

fn kind(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let some = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), |ty| of(resolve, ty));
    let braces = |word: &str, parts: Vec<String>| format!("{word} {{ {} }}", parts.join(", "));
    match kind {
        TypeDefKind::Record(record) => braces(
            "record",
            record
                .fields
                .iter()
                .map(|field| format!("{}: {}", field.name, of(resolve, &field.ty)))
                .collect(),
        ),
        TypeDefKind::Variant(variant) => braces(
            "variant",
            variant
                .cases
                .iter()
                .map(|case| format!("{}({})", case.name, some(&case.ty)))
                .collect(),
        ),
        TypeDefKind::Enum(cases) => braces(
            "enum",
            cases.cases.iter().map(|case| case.name.clone()).collect(),
        ),
        TypeDefKind::Resource => "resource".to_owned(),
        TypeDefKind::Option(ty) => format!("option<{}>", of(resolve, ty)),
        TypeDefKind::List(ty) => format!("list<{}>", of(resolve, ty)),
        TypeDefKind::Result(result) => {
            format!("result<{}, {}>", some(&result.ok), some(&result.err))
        }
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", of(resolve, &Type::Id(*id))),
        TypeDefKind::Handle(Handle::Borrow(id)) => {
            format!("borrow<{}>", of(resolve, &Type::Id(*id)))
        }
        TypeDefKind::Type(ty) => of(resolve, ty),
        other => panic!("{other:?} is not published yet: say here how it is written"),
    }
}

fn published() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(list()).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(" = "));
    lines
        .map(|(name, what)| (name.to_owned(), what.to_owned()))
        .collect()
}

/// What is published and is otherwise now, or gone.
fn broken() -> Vec<String> {
    let items = items();
    let published = published();
    let broken = published
        .iter()
        .filter(|(name, what)| items.get(*name) != Some(what));
    broken
        .map(|(name, what)| format!("{name}\n  was {what}\n  is  {:?}", items.get(name)))
        .collect()
}

#[test]
fn what_is_published_never_changes_and_all_is_listed() {
    let broken = broken();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let published = published();
    let items = items();
    let new: Vec<_> = items
        .keys()
        .filter(|name| !published.contains_key(*name))
        .collect();
    assert!(new.is_empty(), "not listed yet: {new:?}");
}

/// A handle in an export must be dropped by the plugin, which C, Go and JavaScript do not do by themselves; and what a
/// function cannot say, it has to trap for.
#[test]
fn no_export_has_a_handle_and_each_can_refuse() {
    let items = items();
    let exported = items
        .values()
        .filter_map(|what| what.split_once(" exports "))
        .flat_map(|(_, exports)| exports.split(", "));
    let exported: std::collections::BTreeSet<&str> = exported.collect();
    assert_eq!(exported.len(), 5, "{exported:?}");
    for interface in exported {
        let own = items
            .iter()
            .filter(|(name, _)| name.starts_with(&format!("{interface} ")));
        let mut functions = 0;
        for (name, what) in own {
            for handle in ["own<", "borrow<", "resource"] {
                assert!(!what.contains(handle), "{name} = {what}");
            }
            if what.contains(" func(") {
                functions += 1;
                assert!(what.contains("-> result<"), "{name} = {what}");
            }
        }
        assert!(functions > 0, "{interface}");
    }
}

#[test]
#[ignore = "writes wit/published"]
fn list_what_is_new() {
    let broken = broken();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let lines = items()
        .into_iter()
        .map(|(name, what)| format!("{name} = {what}\n"));
    std::fs::create_dir_all(list().parent().unwrap()).unwrap();
    std::fs::write(list(), lines.collect::<String>()).unwrap();
}
