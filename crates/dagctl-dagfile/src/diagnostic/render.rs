//! Draws a diagnostic: headline, place, line, caret, hint.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{Color, Diagnostic, Severity};

pub(super) fn render(it: &Diagnostic, color: Color) -> String {
    let level = match it.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let renderer = match color {
        Color::Never => Renderer::plain(),
        Color::Always => Renderer::styled(),
    };
    let title = level.primary_title(&it.message).id(it.code.as_str());
    let mut text = match (&it.span, &it.excerpt) {
        (Some(span), Some(excerpt)) => {
            let mut caret = AnnotationKind::Primary.span(excerpt.start..excerpt.end);
            if let Some(label) = &it.label {
                caret = caret.label(label);
            }
            let snippet = Snippet::source(&excerpt.line)
                .line_start(span.line)
                .path(&it.file)
                .annotation(caret);
            renderer.render(&[title.element(snippet)])
        }
        (Some(_) | None, _) => {
            let origin = annotate_snippets::Origin::path(&it.file);
            renderer.render(&[title.element(origin)])
        }
    };
    for note in &it.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    if let Some(hint) = &it.hint {
        text.push_str(&format!("\nhint: {hint}"));
    }
    text
}
