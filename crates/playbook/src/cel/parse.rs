//! Text to tree: a lexer and a precedence climber, both bounded by tokens and height.

use std::{ops::Range, sync::Arc};

use super::{Binary, Expr, HEIGHT_MAX, Kind, Macro, SyntaxError, TOKENS_MAX, Tree, Unary};
use crate::value::Value;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Int(i64),
    Str(String),
    Name(String),
    Sign(&'static str),
    End,
}

/// Longest first, so that `<=` is not `<`.
const SIGNS: &[&str] = &[
    "||", "&&", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "(", ")", "[", "]", ".", ",",
    "?", ":",
];

/// Reads an expression.
///
/// # Errors
/// The first place that is no expression.
pub fn parse(text: &str) -> Result<Expr, SyntaxError> {
    let tokens = lex(text)?;
    let mut parser = Parser { tokens, at: 0, height: 0 };
    let tree = parser.choose()?;
    match parser.peek() {
        (Token::End, _) => Ok(Expr { text: text.to_owned(), tree }),
        (_, range) => {
            Err(SyntaxError { range: range.clone(), message: "an operator is expected here".into() })
        }
    }
}

fn lex(text: &str) -> Result<Vec<(Token, Range<usize>)>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let c = rest.chars().next().expect("invariant: `at` is before the end");
        if c.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (token, length) = if c.is_ascii_digit() {
            number(rest).map_err(|message| SyntaxError { range: at..at + 1, message })?
        } else if c == '"' || c == '\'' {
            string(rest, c).ok_or_else(|| SyntaxError {
                range: at..text.len(),
                message: "this text does not end".into(),
            })?
        } else if c.is_ascii_alphabetic() || c == '_' {
            let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            (Token::Name(rest[..length].to_owned()), length)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            return Err(SyntaxError {
                range: at..at + c.len_utf8(),
                message: format!("`{c}` has no meaning here"),
            });
        };
        tokens.push((token, at..at + length));
        at += length;
        if tokens.len() > TOKENS_MAX {
            return Err(SyntaxError {
                range: at..text.len(),
                message: format!("longer than {TOKENS_MAX} words and signs"),
            });
        }
    }
    tokens.push((Token::End, text.len()..text.len()));
    Ok(tokens)
}

fn number(rest: &str) -> Result<(Token, usize), String> {
    let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if rest[length..].starts_with('.') && rest[length + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        return Err("no decimals: decisions must replay alike; judge them in a check".into());
    }
    let number = rest[..length].parse().map_err(|_| "the number is too large".to_owned())?;
    Ok((Token::Int(number), length))
}

fn string(rest: &str, quote: char) -> Option<(Token, usize)> {
    let mut out = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                c @ ('\\' | '"' | '\'' | '`' | '?') => c,
                _ => return None,
            }),
            '\n' => return None,
            c if c == quote => return Some((Token::Str(out), at + 1)),
            c => out.push(c),
        }
    }
    None
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    height: usize,
}

type Parsed = Result<Tree, SyntaxError>;

impl Parser {
    fn peek(&self) -> &(Token, Range<usize>) {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> (Token, Range<usize>) {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.peek().0
            == Token::Sign(SIGNS.iter().find(|s| **s == sign).expect("invariant: a known sign"));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<usize, SyntaxError> {
        let range = self.peek().1.clone();
        if self.take(sign) {
            Ok(range.end)
        } else {
            Err(SyntaxError { range, message: format!("`{sign}` is expected here") })
        }
    }

    /// Every way down passes here: the height of the tree is bounded, whatever nests.
    fn deeper(&mut self, inner: fn(&mut Self) -> Parsed) -> Parsed {
        self.height += 1;
        if self.height > HEIGHT_MAX {
            return Err(SyntaxError {
                range: self.peek().1.clone(),
                message: format!("nested deeper than {HEIGHT_MAX}"),
            });
        }
        let tree = inner(self);
        self.height -= 1;
        tree
    }

    fn choose(&mut self) -> Parsed {
        self.deeper(|this| {
            let condition = this.binary(0)?;
            if !this.take("?") {
                return Ok(condition);
            }
            let yes = this.choose()?;
            this.expect(":")?;
            let no = this.choose()?;
            let range = condition.range.start..no.range.end;
            Ok(Tree { range, kind: Kind::Choose(Box::new(condition), Box::new(yes), Box::new(no)) })
        })
    }

    fn operator(&self) -> Option<(Binary, u8)> {
        Some(match &self.peek().0 {
            Token::Sign("||") => (Binary::Or, 1),
            Token::Sign("&&") => (Binary::And, 2),
            Token::Sign("==") => (Binary::Eq, 3),
            Token::Sign("!=") => (Binary::Ne, 3),
            Token::Sign("<") => (Binary::Lt, 3),
            Token::Sign("<=") => (Binary::Le, 3),
            Token::Sign(">") => (Binary::Gt, 3),
            Token::Sign(">=") => (Binary::Ge, 3),
            Token::Name(name) if name == "in" => (Binary::In, 3),
            Token::Sign("+") => (Binary::Add, 4),
            Token::Sign("-") => (Binary::Sub, 4),
            Token::Sign("*") => (Binary::Mul, 5),
            Token::Sign("/") => (Binary::Div, 5),
            Token::Sign("%") => (Binary::Rem, 5),
            _ => return None,
        })
    }

    fn binary(&mut self, least: u8) -> Parsed {
        let mut left = self.unary()?;
        let mut links = 0;
        while let Some((operator, strength)) = self.operator() {
            if strength < least.max(1) {
                break;
            }
            links += 1;
            // A chain leans left: each link makes the tree one higher.
            if links + self.height > HEIGHT_MAX {
                return Err(SyntaxError {
                    range: self.peek().1.clone(),
                    message: format!("a chain longer than {HEIGHT_MAX}"),
                });
            }
            self.at += 1;
            self.height += 1;
            let right = self.binary(strength + 1);
            self.height -= 1;
            let right = right?;
            let range = left.range.start..right.range.end;
            left = Tree { range, kind: Kind::Binary(operator, Box::new(left), Box::new(right)) };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let start = self.peek().1.start;
        for (sign, unary) in [("!", Unary::Not), ("-", Unary::Minus)] {
            if self.take(sign) {
                let inner = self.deeper(Self::unary)?;
                let range = start..inner.range.end;
                return Ok(Tree { range, kind: Kind::Unary(unary, Box::new(inner)) });
            }
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Parsed {
        let mut tree = self.primary()?;
        let mut links = 0;
        loop {
            links += 1;
            if links + self.height > HEIGHT_MAX {
                return Err(SyntaxError {
                    range: self.peek().1.clone(),
                    message: format!("a chain longer than {HEIGHT_MAX}"),
                });
            }
            let start = tree.range.start;
            if self.take(".") {
                let (token, range) = self.next();
                let Token::Name(name) = token else {
                    return Err(SyntaxError {
                        range,
                        message: "a field's name is expected after `.`".into(),
                    });
                };
                tree = if self.take("(") {
                    self.method(tree, name)?
                } else {
                    Tree { range: start..range.end, kind: Kind::Field(Box::new(tree), name) }
                };
            } else if self.take("[") {
                let index = self.choose()?;
                let end = self.expect("]")?;
                tree = Tree { range: start..end, kind: Kind::Index(Box::new(tree), Box::new(index)) };
            } else {
                return Ok(tree);
            }
        }
    }

    fn method(&mut self, receiver: Tree, name: String) -> Parsed {
        let start = receiver.range.start;
        let macros =
            [("exists", Macro::Exists), ("all", Macro::All), ("filter", Macro::Filter), ("map", Macro::Map)];
        if let Some((_, kind)) = macros.into_iter().find(|(word, _)| *word == name) {
            let (token, range) = self.next();
            let Token::Name(variable) = token else {
                return Err(SyntaxError { range, message: "a name for the item is expected".into() });
            };
            self.expect(",")?;
            let body = self.choose()?;
            let end = self.expect(")")?;
            return Ok(Tree {
                range: start..end,
                kind: Kind::Macro(kind, Box::new(receiver), variable, Box::new(body)),
            });
        }
        let (mut arguments, end) = self.arguments(")")?;
        arguments.insert(0, receiver);
        Ok(Tree { range: start..end, kind: Kind::Call(name, arguments) })
    }

    fn arguments(&mut self, close: &str) -> Result<(Vec<Tree>, usize), SyntaxError> {
        let mut list = Vec::new();
        let end = self.peek().1.end;
        if self.take(close) {
            return Ok((list, end));
        }
        loop {
            list.push(self.choose()?);
            if !self.take(",") {
                return Ok((list, self.expect(close)?));
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        let (token, range) = self.next();
        let kind = match token {
            Token::Int(n) => Kind::Literal(Value::Int(n)),
            Token::Str(text) => Kind::Literal(Value::Str(Arc::from(text))),
            Token::Name(name) if name == "true" || name == "false" => {
                Kind::Literal(Value::Bool(name == "true"))
            }
            Token::Name(name) if self.take("(") => {
                let (mut arguments, end) = self.arguments(")")?;
                let range = range.start..end;
                if name != "has" {
                    return Ok(Tree { range, kind: Kind::Call(name, arguments) });
                }
                return match arguments.pop() {
                    Some(Tree { kind: Kind::Field(object, field), .. }) if arguments.is_empty() => {
                        Ok(Tree { range, kind: Kind::Has(object, field) })
                    }
                    _ => Err(SyntaxError {
                        range,
                        message: "`has` asks for one field, as in `has(alert.labels.node)`".into(),
                    }),
                };
            }
            Token::Name(name) => Kind::Name(name),
            Token::Sign("(") => {
                let inner = self.choose()?;
                let end = self.expect(")")?;
                return Ok(Tree { range: range.start..end, kind: inner.kind });
            }
            Token::Sign("[") => {
                let (items, end) = self.arguments("]")?;
                return Ok(Tree { range: range.start..end, kind: Kind::List(items) });
            }
            Token::Sign(_) | Token::End => {
                return Err(SyntaxError { range, message: "a value is expected here".into() });
            }
        };
        Ok(Tree { range, kind })
    }
}
