//! Text and sections of the page.

/// Text that means nothing to a browser.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A heading and what stands below it.
pub(super) fn section(title: &str, inner: &str) -> String {
    format!("<section><h2>{}</h2>{inner}</section>", escape(title))
}
