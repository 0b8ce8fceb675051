//! Takes the description of a checkpoint and its reader, and the one setting that the CRF's crate defines,
//! out of source files that also hold code on Burn: items that name nothing of Burn, word for word. Linking
//! those files would build Burn.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{ImplItem, Item};

/// Words of code that needs Burn or the training loop. What is left out for one of them becomes such a word
/// itself.
const FOREIGN: [&str; 15] = [
    "burn",
    "demotic_crf",
    "Tensor",
    "Init",
    "Device",
    "Param",
    "Module",
    "Trainer",
    "Dataset",
    "CrfError",
    "Adam",
    "Window",
    "Figure",
    "Sums",
    "WgslKernel",
];

fn main() {
    let core = Path::new("../crates/demotic-core/src");
    write(
        "crf.rs",
        "",
        &["../crates/demotic-crf/src/config.rs".into()],
    );
    let imports = "use std::collections::{BTreeMap, BTreeSet, HashMap}; use std::fs::{self, File}; use std::io::Write;\n\
         use std::path::{Path, PathBuf}; use safetensors::tensor::{Dtype, SafeTensors, TensorView};\n\
         use crate::data::{DataError, fnv1a64}; use crate::error::Error; use crate::number::{Real, Whole}; use crate::settings::{BestMetric, Config, drop_removed};";
    let files =
        ["arrays", "train/best", "train/checkpoint"].map(|file| core.join(format!("{file}.rs")));
    write("checkpoint.rs", imports, &files);
}

fn write(name: &str, imports: &str, files: &[PathBuf]) {
    let text = format!(
        "use serde::{{Deserialize, Serialize}};\n{imports}\n{}",
        plain_items(files)
    );
    let out = std::env::var_os("OUT_DIR").expect("Cargo names it");
    std::fs::write(Path::new(&out).join(name), text).expect("the output folder can be written");
}

/// Structs, enums, aliases, constants, functions and implementations without a foreign word; of
/// implementations, the methods without one.
fn plain_items(files: &[PathBuf]) -> String {
    let mut items = Vec::new();
    for path in files {
        println!("cargo:rerun-if-changed={}", path.display());
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        items.extend(file.items.into_iter().filter(|item| {
            matches!(
                item,
                Item::Struct(_)
                    | Item::Enum(_)
                    | Item::Type(_)
                    | Item::Const(_)
                    | Item::Fn(_)
                    | Item::Impl(_)
            )
        }));
    }
    let mut foreign: BTreeSet<String> = FOREIGN.iter().map(|word| (*word).to_owned()).collect();
    loop {
        let before = items.len();
        items.retain_mut(|item| {
            if let Item::Impl(block) = item {
                block
                    .items
                    .retain(|item| !matches!(item, ImplItem::Fn(_)) || is_plain(item, &foreign));
                return !block.items.is_empty() && is_plain(item, &foreign);
            }
            // The names of an enumeration's variants are nobody else's.
            let is_plain = matches!(item, Item::Enum(_)) || is_plain(item, &foreign);
            if !is_plain {
                foreign.extend(name(item));
            }
            is_plain
        });
        if items.len() == before {
            break;
        }
    }
    items
        .iter()
        .map(|item| item.to_token_stream().to_string() + "\n")
        .collect()
}

fn name(item: &Item) -> Option<String> {
    Some(match item {
        Item::Struct(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Const(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        _ => return None,
    })
}

/// Whether code names nothing foreign; its documentation may, and so may what follows `::`: a variant such as
/// `Kind::Conv` shares a network's name.
fn is_plain(code: &impl ToTokens, foreign: &BTreeSet<String>) -> bool {
    let text = without_docs(code.to_token_stream()).to_string();
    let mut qualified = false;
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
        let last = word.rsplit("::").next().unwrap_or(word);
        if !qualified && !word.contains("::") && foreign.contains(last.trim_matches(':')) {
            return false;
        }
        if !word.is_empty() {
            qualified = word.ends_with("::");
        }
    }
    true
}

fn without_docs(tokens: TokenStream) -> TokenStream {
    let mut kept = TokenStream::new();
    for token in tokens {
        kept.extend([match token {
            TokenTree::Group(group) if group.stream().to_string().starts_with("doc =") => {
                TokenTree::Group(Group::new(group.delimiter(), TokenStream::new()))
            }
            TokenTree::Group(group) => {
                TokenTree::Group(Group::new(group.delimiter(), without_docs(group.stream())))
            }
            other => other,
        }]);
    }
    kept
}
