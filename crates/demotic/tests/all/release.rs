//! `.ci/release` packs a binary as `cargo binstall` and a person expect it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use flate2::read::GzDecoder;

/// The script with these arguments on the binary under test.
fn release(out: &Path) -> Output {
    Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/release"))
        .args(["--binary", env!("CARGO_BIN_EXE_demotic")])
        .arg(out)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        // Twice a large file: how small it gets is not asked here.
        .env("GZIP_LEVEL", "1")
        .output()
        .expect("bash is there")
}

#[test]
#[cfg(target_os = "linux")]
fn an_archive_has_the_name_and_the_binary_that_binstall_looks_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    let done = release(&one);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{said}");
    // The name that the manifest tells binstall.
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let manifest = manifest.expect("a manifest");
    let url = manifest
        .lines()
        .find_map(|line| line.strip_prefix("pkg-url = "))
        .expect("an address");
    let target = concat!(env!("CARGO_PKG_NAME"), "-", env!("CARGO_PKG_VERSION"), "-");
    let found = fs::read_dir(&one).expect("a folder");
    let found = found.map(|entry| entry.expect("an entry").file_name().into_string());
    let mut found: Vec<String> = found.map(|name| name.expect("a name")).collect();
    found.sort();
    let [archive, sum] = &found[..] else {
        panic!("an archive and its checksum: {found:?}");
    };
    assert!(
        sum.strip_suffix(".sha256") == Some(archive.as_str()),
        "{sum}"
    );
    let triple = archive
        .strip_prefix(target)
        .and_then(|rest| rest.strip_suffix(".tar.gz"))
        .unwrap_or_else(|| panic!("{archive}"));
    let named = url
        .replace("{ name }", env!("CARGO_PKG_NAME"))
        .replace("{ version }", env!("CARGO_PKG_VERSION"))
        .replace("{ target }", triple);
    assert!(
        named.trim_matches('"').ends_with(&format!("/{archive}")),
        "{named}"
    );
    assert!(triple.contains("-linux-"), "{triple}");

    // What is in it: the very binary on top, and what belongs to it.
    let bytes = fs::read(one.join(archive)).expect("an archive");
    let mut entries = Vec::new();
    let mut packed = tar::Archive::new(GzDecoder::new(&bytes[..]));
    let mut binary = Vec::new();
    for entry in packed.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").display().to_string();
        if name == "./demotic" || name == "demotic" {
            assert_eq!(entry.header().mode().expect("a mode") & 0o111, 0o111);
            entry.read_to_end(&mut binary).expect("bytes");
        }
        entries.push(name.trim_start_matches("./").to_owned());
    }
    let own = fs::read(env!("CARGO_BIN_EXE_demotic")).expect("the binary");
    assert!(binary == own, "another binary was packed");
    for expected in [
        "README.md",
        "LICENSE-MIT",
        "licences/emoji-NOTICE",
        "licences/phrases-NOTICE",
        "licences/fonts-OFL.txt",
        "man/demotic.1",
        "completions/demotic.fish",
    ] {
        assert!(
            entries.iter().any(|name| name == expected),
            "{expected}: {entries:?}"
        );
    }

    // The same again, and never over what is there.
    assert_eq!(release(&two).status.code(), Some(0));
    assert!(fs::read(two.join(archive)).expect("an archive") == bytes);
    let refused = release(&one);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(1) && said.contains("is there already"),
        "{said}"
    );
}

/// No image is built here: what would go wrong in one without being seen is held.
#[test]
fn the_image_takes_the_pinned_toolchain_and_every_notice_of_the_archive() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = |name: &str| fs::read_to_string(root.join(name)).expect(name);
    let (image, archive) = (text("Dockerfile"), text(".ci/release"));
    let toolchain = text("rust-toolchain.toml");
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = "))
        .expect("a channel");
    let (minor, _) = channel
        .trim_matches('"')
        .rsplit_once('.')
        .expect("three numbers");
    assert!(image.contains(&format!("\nFROM rust:{minor}-")), "{image}");
    // What it copies out of the sources is there.
    let copied: Vec<&str> = image
        .lines()
        .filter(|line| line.starts_with("COPY --from=build "))
        .flat_map(|line| line.split(' '))
        .filter_map(|word| word.strip_prefix("/demotic/"))
        .filter(|path| !path.starts_with("target/"))
        .collect();
    for path in &copied {
        assert!(root.join(path).exists(), "{path}");
    }
    // It leaves out nothing that the archive says of what is in the program.
    let packed = archive.split(['"', ' ', '\n']);
    let packed: Vec<&str> = packed
        .filter_map(|word| word.strip_prefix("$assets/"))
        .collect();
    assert!(packed.len() > 5, "{packed:?}");
    for name in packed {
        let path = format!("crates/demotic-core/assets/{name}");
        assert!(copied.contains(&path.as_str()), "{path}: {copied:?}");
    }
}
