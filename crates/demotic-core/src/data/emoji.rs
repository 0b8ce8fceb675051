//! The embedded data set `emoji`: the files of `assets/emoji`, made by `demotic data import` (see its
//! README).

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../assets/emoji/", $name)))),*]
    };
}

/// Every file that the index names, and the licence texts: art and terms travel together, also in the binary.
static FILES: &[(&str, &[u8])] = embedded![
    "index.json",
    "NOTICE",
    "fluent-flat.tar.gz",
    "fluent-high-contrast.tar.gz",
    "noto.tar.gz",
    "twemoji.tar.gz",
    "openmoji/openmoji.tar.gz",
    "openmoji/openmoji-line.tar.gz",
    "openmoji/LICENSE.txt",
    "licences/fluent-flat.txt",
    "licences/fluent-high-contrast.txt",
    "licences/noto.txt",
    "licences/twemoji.txt",
];

/// A file of the embedded data set.
pub(crate) fn file(name: &str) -> Option<&'static [u8]> {
    FILES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|&(_, bytes)| bytes)
}
