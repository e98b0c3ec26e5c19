//! Alertmanager's matchers in its UTF-8 grammar, one an item, value in quotes. Anchored; a missing label is "".
//! Regular expressions mean what Go means: what Rust would read differently is rewritten or refused.

use regex::Regex;
use regex_syntax::ast::{Ast, parse::Parser};
use regreen_schemas::alert::Labels;

/// Size of a compiled expression, in bytes.
const REGEX_SIZE_MAX: usize = 1 << 20;

/// Comparison of a matcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Like,
    /// `!~`
    NotLike,
}

/// One matcher.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// As written.
    pub text: String,
    /// The label.
    pub label: String,
    /// The comparison.
    pub op: Op,
    /// The value.
    pub value: String,
    regex: Option<Regex>,
}

/// Why a matcher can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No `=`, `!=`, `=~` or `!~`.
    NoOperator,
    /// The value is not in double quotes, or something follows it.
    Quotes,
    /// The expression is not one, or means something else in Go.
    Regex(String),
    /// No label before the operator.
    NoLabel,
}

impl Matcher {
    /// Reads `label="value"`.
    ///
    /// # Errors
    /// [`Error`] says what is missing.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let at = text.find(['=', '!']).ok_or(Error::NoOperator)?;
        let (label, rest) = (text[..at].trim(), &text[at..]);
        let (op, rest) = [("=~", Op::Like), ("!~", Op::NotLike), ("!=", Op::NotEqual), ("=", Op::Equal)]
            .into_iter()
            .find_map(|(sign, op)| rest.strip_prefix(sign).map(|rest| (op, rest)))
            .ok_or(Error::NoOperator)?;
        let label = unquote(label).unwrap_or_else(|| label.to_owned());
        if label.is_empty() {
            return Err(Error::NoLabel);
        }
        let value = unquote(rest.trim()).ok_or(Error::Quotes)?;
        let regex = match op {
            Op::Like | Op::NotLike => Some(compile(&value).map_err(Error::Regex)?),
            Op::Equal | Op::NotEqual => None,
        };
        Ok(Self { text: text.to_owned(), label, op, value, regex })
    }

    /// Whether the labels match, and the value that was compared.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.accepts(labels.get(self.label.as_str()).map_or("", |value| value))
    }

    /// Whether this value of its label matches.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        let like = || self.regex.as_ref().is_some_and(|regex| regex.is_match(value));
        match self.op {
            Op::Equal => value == self.value,
            Op::NotEqual => value != self.value,
            Op::Like => like(),
            Op::NotLike => !like(),
        }
    }

    /// Whether an alert that matches is sure to have the label.
    #[must_use]
    pub fn ensures(&self) -> bool {
        !self.accepts("")
    }
}

/// A double-quoted string with Go's simple escapes.
fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                '"' => out.push('"'),
                '\\' => out.push('\\'),
                // As Alertmanager's parser does: an unknown escape stays as it stands, for expressions like \d.
                other => out.extend(['\\', other]),
            },
            other => out.push(other),
        }
    }
    (text.len() >= 2).then_some(out)
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let ast = Parser::new().parse(pattern).map_err(|error| error.kind().to_string())?;
    go_only(&ast, 0)?;
    regex::RegexBuilder::new(&format!("^(?:{})$", ascii_classes(pattern)))
        .size_limit(REGEX_SIZE_MAX)
        .build()
        .map_err(|_| "too large, or a class that Go reads differently".to_owned())
}

/// Go's `\d`, `\w`, `\s` are ASCII; without Unicode for these alone, `.` still takes a whole character.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(class @ ('d' | 'w' | 's')) => out.extend(["(?-u:\\", class.encode_utf8(&mut [0; 4]), ")"]),
            Some(class @ ('D' | 'W' | 'S')) => {
                let positive = class.to_ascii_lowercase();
                out.push_str(match positive {
                    'd' => "[^0-9]",
                    'w' => "[^0-9A-Za-z_]",
                    _ => r"[^\t\n\f\r ]",
                });
            }
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

/// Go knows `i`, `m`, `s` and `U`.
fn known_flags(flags: &regex_syntax::ast::Flags) -> Result<(), String> {
    use regex_syntax::ast::{Flag, FlagsItemKind as K};
    let unknown = |kind: &K| matches!(kind, K::Flag(Flag::IgnoreWhitespace | Flag::CRLF | Flag::Unicode));
    if flags.items.iter().any(|item| unknown(&item.kind)) {
        Err("this flag is unknown to Go".into())
    } else {
        Ok(())
    }
}

/// Refuses what Rust's syntax has and Go's has not.
fn go_only(ast: &Ast, depth: usize) -> Result<(), String> {
    use regex_syntax::ast::{ClassSet, ClassSetItem, GroupKind};
    fn class(item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Bracketed(_) => Err("a class within a class means something else in Go".into()),
            ClassSetItem::Union(union) => union.items.iter().try_for_each(class),
            ClassSetItem::Perl(_) => {
                Err("write \\d, \\w, \\s outside of `[ ]`, or the characters themselves".into())
            }
            _ => Ok(()),
        }
    }
    if depth > 32 {
        return Err("nested too deeply".into());
    }
    match ast {
        Ast::ClassBracketed(bracketed) => match &bracketed.kind {
            ClassSet::BinaryOp(_) => Err("`&&`, `--` and `~~` in a class mean something else in Go".into()),
            ClassSet::Item(item) => class(item),
        },
        Ast::Group(group) => {
            if let GroupKind::NonCapturing(flags) = &group.kind {
                known_flags(flags)?;
            }
            go_only(&group.ast, depth + 1)
        }
        Ast::Flags(flags) => known_flags(&flags.flags),
        Ast::Repetition(repetition) => go_only(&repetition.ast, depth + 1),
        Ast::Alternation(parts) => parts.asts.iter().try_for_each(|part| go_only(part, depth + 1)),
        Ast::Concat(parts) => parts.asts.iter().try_for_each(|part| go_only(part, depth + 1)),
        Ast::Assertion(assertion) => {
            use regex_syntax::ast::AssertionKind as K;
            match assertion.kind {
                K::StartLine
                | K::EndLine
                | K::StartText
                | K::EndText
                | K::WordBoundary
                | K::NotWordBoundary => Ok(()),
                _ => Err("this word boundary is unknown to Go".into()),
            }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn matching_is_alertmanagers() {
        let labels = labels(&[("env", "prod"), ("n", "12")]);
        for (text, wanted) in [
            (r#"env="prod""#, true),
            (r#"env = "pro""#, false),
            (r#"env!="prod""#, false),
            (r#"env=~"pro""#, false),
            (r#"env=~"pro.*|x""#, true),
            (r#"env!~"dev|test""#, true),
            (r#"gone="""#, true),
            (r#"gone!="""#, false),
            (r#"n=~"\d+""#, true),
            (r#""env"="prod""#, true),
        ] {
            assert_eq!(Matcher::parse(text).expect(text).matches(&labels), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        assert_eq!(Matcher::parse("NodeDown").err(), Some(Error::NoOperator));
        assert_eq!(Matcher::parse("env=prod").err(), Some(Error::Quotes));
        assert_eq!(Matcher::parse(r#"a="b",c="d""#).err(), Some(Error::Quotes));
        assert_eq!(Matcher::parse(r#"="x""#).err(), Some(Error::NoLabel));
        for pattern in ["(", "[a&&b]", "[[a]]", r"\<a", "(?x)a b", "((((((a{99}){99}){99}){99}){99}){99})"] {
            assert!(
                matches!(Matcher::parse(&format!("a=~\"{pattern}\"")), Err(Error::Regex(_))),
                "{pattern}"
            );
        }
    }

    #[test]
    fn digits_are_ascii_as_in_go() {
        let matcher = Matcher::parse(r#"n=~"\d""#).expect("fine");
        assert!(matcher.accepts("7") && !matcher.accepts("٣"));
    }
}
