//! Iconify packages (`@iconify-json/*`): `icons.json` (bodies and aliases), `info.json` (name, author,
//! licence), `chars.json` (codepoints -> name), `metadata.json` (categories), `package.json` (version).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::package::{Package, PackageItem, StyleMeta, parse_codepoints};
use crate::data::DataError;
use crate::data::drawing::Drawing;

/// Aliases may point at aliases; a longer chain than this is a loop.
const MAX_ALIAS_DEPTH: usize = 16;

#[derive(Deserialize)]
struct Icons {
    prefix: String,
    #[serde(rename = "icons")]
    drawn: BTreeMap<String, Icon>,
    #[serde(default)]
    aliases: BTreeMap<String, Alias>,
    left: Option<f64>,
    top: Option<f64>,
    width: Option<f64>,
    height: Option<f64>,
}

#[derive(Deserialize)]
struct Icon {
    body: String,
    #[serde(flatten)]
    place: Place,
}

#[derive(Deserialize)]
struct Alias {
    parent: String,
    #[serde(flatten)]
    place: Place,
}

/// Position and turn; the same keys for an icon and for an alias of one.
#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "camelCase")]
struct Place {
    left: Option<f64>,
    top: Option<f64>,
    width: Option<f64>,
    height: Option<f64>,
    #[serde(default)]
    rotate: i64,
    #[serde(default)]
    h_flip: bool,
    #[serde(default)]
    v_flip: bool,
}

#[derive(Deserialize)]
struct Info {
    name: String,
    author: Author,
    license: License,
}

#[derive(Deserialize)]
struct Author {
    name: String,
    #[serde(default)]
    url: String,
}

#[derive(Deserialize)]
struct License {
    title: String,
    #[serde(default)]
    spdx: Option<String>,
    #[serde(default)]
    url: String,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    categories: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Manifest {
    name: String,
    version: String,
}

/// The files of one package, as found in its archive.
#[derive(Default)]
pub(super) struct Files {
    pub(super) icons: Option<Vec<u8>>,
    pub(super) info: Option<Vec<u8>>,
    pub(super) chars: Option<Vec<u8>>,
    pub(super) metadata: Option<Vec<u8>>,
    pub(super) package: Option<Vec<u8>>,
}

/// Which of [`Files`] an entry of the archive is.
pub(super) fn slot<'f>(files: &'f mut Files, entry: &str) -> Option<&'f mut Option<Vec<u8>>> {
    match entry {
        "package/icons.json" => Some(&mut files.icons),
        "package/info.json" => Some(&mut files.info),
        "package/chars.json" => Some(&mut files.chars),
        "package/metadata.json" => Some(&mut files.metadata),
        "package/package.json" => Some(&mut files.package),
        _ => None,
    }
}

/// Reads a package. Icons without a codepoint of their own keep their name, to be resolved by the other
/// packages.
///
/// # Errors
/// [`DataError::Archive`] for missing or malformed files.
pub(super) fn read(files: &Files, archive: &Path) -> Result<Package, DataError> {
    let icons: Icons = parse(files.icons.as_deref(), "icons.json", archive)?;
    let info: Info = parse(files.info.as_deref(), "info.json", archive)?;
    let manifest: Manifest = parse(files.package.as_deref(), "package.json", archive)?;
    let metadata: Metadata = match &files.metadata {
        Some(bytes) => parse(Some(bytes), "metadata.json", archive)?,
        None => Metadata::default(),
    };
    let chars: BTreeMap<String, String> = match &files.chars {
        Some(bytes) => parse(Some(bytes), "chars.json", archive)?,
        None => BTreeMap::new(),
    };

    let mut groups = BTreeMap::new();
    for (category, names) in &metadata.categories {
        for name in names {
            groups.entry(name.as_str()).or_insert(category.as_str());
        }
    }
    let mut items = Vec::new();
    let mut named = BTreeMap::new();
    for (key, name) in &chars {
        let Some(codepoints) = parse_codepoints(key) else {
            return Err(DataError::Archive {
                problem: format!("chars.json maps `{key}`, which is not a list of codepoints"),
                path: archive.to_path_buf(),
            });
        };
        named.entry(name.clone()).or_insert(codepoints.clone());
        items.push(PackageItem {
            codepoints: Some(codepoints),
            name: name.clone(),
            label: name.replace('-', " "),
            group: groups.get(name.as_str()).copied().unwrap_or("").to_owned(),
            subgroup: String::new(),
            drawing: draw(&icons, name, archive)?,
        });
    }
    // Another package may know an icon by an alias of this one's; a turned alias shows something else.
    for (alias, Alias { parent, place }) in &icons.aliases {
        let is_turned = place.rotate.rem_euclid(4) != 0 || place.h_flip || place.v_flip;
        if !is_turned && let Some(codepoints) = named.get(parent).cloned() {
            named.entry(alias.clone()).or_insert(codepoints);
        }
    }
    if chars.is_empty() {
        for name in icons.drawn.keys().chain(icons.aliases.keys()) {
            items.push(PackageItem {
                codepoints: None,
                name: name.clone(),
                label: name.replace('-', " "),
                group: groups.get(name.as_str()).copied().unwrap_or("").to_owned(),
                subgroup: String::new(),
                drawing: draw(&icons, name, archive)?,
            });
        }
    }
    let licence = info
        .license
        .spdx
        .unwrap_or_else(|| info.license.title.clone());
    Ok(Package {
        style: StyleMeta {
            name: icons.prefix.replace("-emoji", ""),
            folder: None,
            source: format!("{} {}", manifest.name, manifest.version),
            attribution: format!(
                "{} by {} ({})",
                info.name, info.author.name, info.author.url
            ),
            licence_url: info.license.url,
            licence,
            licence_text: None,
        },
        items,
        names: named,
    })
}

fn parse<T: serde::de::DeserializeOwned>(
    bytes: Option<&[u8]>,
    name: &str,
    archive: &Path,
) -> Result<T, DataError> {
    let fail = |problem: String| DataError::Archive {
        problem,
        path: archive.to_path_buf(),
    };
    let bytes = bytes.ok_or_else(|| {
        fail(format!(
            "package/{name} is missing; expected an npm archive of an @iconify-json package or of openmoji; an archive of \
             pictures is unpacked first, and its folder named"
        ))
    })?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes)
        .map_err(|source| fail(format!("package/{name} is not as expected ({source})")))
}

/// The icon or alias `name` as a complete SVG document.
fn draw(icons: &Icons, name: &str, archive: &Path) -> Result<Drawing, DataError> {
    let fail = |problem: String| DataError::Archive {
        problem,
        path: archive.to_path_buf(),
    };
    // An alias's own sizes win over its parent's; turns add up, flips cancel.
    let mut place = Place::default();
    let mut current = name;
    let mut depth = 0;
    let body = loop {
        let (own, parent) = if let Some(icon) = icons.drawn.get(current) {
            (&icon.place, Err(&icon.body))
        } else if let Some(alias) = icons.aliases.get(current) {
            (&alias.place, Ok(&alias.parent))
        } else {
            return Err(fail(format!(
                "icons.json has no icon or alias `{current}` (wanted for `{name}`)"
            )));
        };
        place.left = place.left.or(own.left);
        place.top = place.top.or(own.top);
        place.width = place.width.or(own.width);
        place.height = place.height.or(own.height);
        place.rotate += own.rotate.rem_euclid(4);
        place.h_flip ^= own.h_flip;
        place.v_flip ^= own.v_flip;
        match parent {
            Err(body) => break body,
            Ok(parent) => current = parent,
        }
        depth += 1;
        if depth > MAX_ALIAS_DEPTH {
            return Err(fail(format!("the aliases of `{name}` run in a circle")));
        }
    };
    // 16 x 16 is the format's own default.
    let mut left = place.left.or(icons.left).unwrap_or(0.0);
    let mut top = place.top.or(icons.top).unwrap_or(0.0);
    let mut width = place.width.or(icons.width).unwrap_or(16.0);
    let mut height = place.height.or(icons.height).unwrap_or(16.0);
    if !(width > 0.0 && height > 0.0 && width.is_finite() && height.is_finite()) {
        return Err(fail(format!(
            "icon `{name}` measures {width} x {height}; expected more than 0"
        )));
    }

    let mut rotate = place.rotate;
    let mut transforms = Vec::new();
    match (place.h_flip, place.v_flip) {
        (true, true) => rotate += 2,
        (true, false) => {
            transforms.push(format!("translate({} {}) scale(-1 1)", width + left, -top));
            (left, top) = (0.0, 0.0);
        }
        (false, true) => {
            transforms.push(format!("translate({} {}) scale(1 -1)", -left, height + top));
            (left, top) = (0.0, 0.0);
        }
        (false, false) => {}
    }
    match rotate.rem_euclid(4) {
        1 => {
            let pivot = height / 2.0 + top;
            transforms.insert(0, format!("rotate(90 {pivot} {pivot})"));
        }
        2 => {
            let (x, y) = (width / 2.0 + left, height / 2.0 + top);
            transforms.insert(0, format!("rotate(180 {x} {y})"));
        }
        3 => {
            let pivot = width / 2.0 + left;
            transforms.insert(0, format!("rotate(-90 {pivot} {pivot})"));
        }
        _ => {}
    }
    if rotate.rem_euclid(2) == 1 {
        std::mem::swap(&mut left, &mut top);
        std::mem::swap(&mut width, &mut height);
    }
    let xlink = if body.contains("xlink:") {
        r#" xmlns:xlink="http://www.w3.org/1999/xlink""#
    } else {
        ""
    };
    let body = if transforms.is_empty() {
        body.clone()
    } else {
        format!("<g transform=\"{}\">{body}</g>", transforms.join(" "))
    };
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\"{xlink} viewBox=\"{left} {top} {width} {height}\">{body}</svg>"
    );
    Ok(Drawing::svg(svg, archive.join(name)))
}
