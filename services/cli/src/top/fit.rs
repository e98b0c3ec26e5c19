//! How much goes where: lines between sections, words between lines.

use ratatui::text::Span;

/// Before what goes on from the line above.
pub const INDENT: &str = "  ";

/// Shares lines out: whoever has least gets the next one, the earlier first, until nobody wants more. So that a long
/// section leaves room for every short one.
pub fn share(room: u16, wants: &[u16]) -> Vec<u16> {
    let mut got = vec![0; wants.len()];
    for _ in 0..room {
        let hungry = (0..wants.len()).filter(|n| got[*n] < wants[*n]).min_by_key(|n| got[*n]);
        let Some(next) = hungry else { break };
        got[next] += 1;
    }
    got
}

/// Breaks text at words. A word that is wider than a line stays whole, and is cut where it is drawn.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("invariant: there is always one");
        let used = Span::raw(last.as_str()).width();
        if used > 0 && used + 1 + Span::raw(word).width() > width {
            lines.push(format!("{INDENT}{word}"));
        } else {
            last.push_str(if used > 0 { " " } else { "" });
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shared_fairly_and_break_at_words() {
        assert_eq!(share(20, &[2, 2, 100, 3, 100]), [2, 2, 7, 3, 6]);
        assert_eq!(share(3, &[2, 2, 100]), [1, 1, 1]);
        assert_eq!(share(99, &[2, 2]), [2, 2]);
        assert_eq!(wrap("one two three", 8), ["one two", "  three"]);
        assert_eq!(wrap("unbreakable", 4), ["unbreakable"]);
    }
}
