//! One picture into one style, by the weights in the program:
//! `cargo run --release --example translate_one -- doodle.png twemoji coloured.png`

use std::env::args;
use std::error::Error;
use std::path::Path;

use demotic_core::Translator;
use demotic_core::train::BUILT_IN;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = args().skip(1).collect();
    let [from, style, to] = arguments.as_slice() else {
        return Err("expected: PICTURE STYLE RESULT.png".into());
    };
    translate_one(Path::new(from), style, Path::new(to))
}

/// Reads a picture, translates it, writes a PNG of the same size.
pub(crate) fn translate_one(from: &Path, style: &str, to: &Path) -> Result<(), Box<dyn Error>> {
    let picture = image::open(from)?.into_rgba8();
    let translator = Translator::open(BUILT_IN)?;
    translator.to(style)?.picture(&picture).save(to)?;
    Ok(())
}
