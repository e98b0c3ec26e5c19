//! Two lists side by side: what they have in common stays in order, what only one of them has is marked.

/// A line of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<A, B> {
    /// Both have it.
    Same(A, B),
    /// Only the first: it was expected.
    Lost(A),
    /// Only the second: it came instead.
    New(B),
}

/// Longest list that is compared in full; beyond it the rest is taken as changed.
const LIST_MAX: usize = 4000;

/// Aligns two lists by their longest common part.
pub fn align<'l, A, B>(
    wanted: &'l [A],
    came: &'l [B],
    same: impl Fn(&A, &B) -> bool,
) -> Vec<Edit<&'l A, &'l B>> {
    let head = wanted.iter().zip(came).take_while(|(a, b)| same(a, b)).count();
    let mut out: Vec<_> = wanted[..head].iter().zip(&came[..head]).map(|(a, b)| Edit::Same(a, b)).collect();
    let (wanted, came) = (&wanted[head..], &came[head..]);
    let (wanted_cut, came_cut) = (wanted.len().min(LIST_MAX), came.len().min(LIST_MAX));
    let longest = longest(&wanted[..wanted_cut], &came[..came_cut], &same);
    let (mut i, mut j) = (0, 0);
    while i < wanted_cut && j < came_cut {
        if same(&wanted[i], &came[j]) {
            out.push(Edit::Same(&wanted[i], &came[j]));
            (i, j) = (i + 1, j + 1);
        } else if longest[i + 1][j] >= longest[i][j + 1] {
            out.push(Edit::Lost(&wanted[i]));
            i += 1;
        } else {
            out.push(Edit::New(&came[j]));
            j += 1;
        }
    }
    out.extend(wanted[i..].iter().map(Edit::Lost));
    out.extend(came[j..].iter().map(Edit::New));
    out
}

/// Length of the longest common part of each pair of tails.
fn longest<A, B>(wanted: &[A], came: &[B], same: &impl Fn(&A, &B) -> bool) -> Vec<Vec<u16>> {
    let mut table = vec![vec![0_u16; came.len() + 1]; wanted.len() + 1];
    for i in (0..wanted.len()).rev() {
        for j in (0..came.len()).rev() {
            table[i][j] = if same(&wanted[i], &came[j]) {
                table[i + 1][j + 1] + 1
            } else {
                table[i + 1][j].max(table[i][j + 1])
            };
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_stays_in_order() {
        for (wanted, came, marked) in [
            ("", "", ""),
            ("abc", "abc", "=a=b=c"),
            ("abc", "ac", "=a-b=c"),
            ("ac", "abc", "=a+b=c"),
            ("abc", "xyz", "-a-b-c+x+y+z"),
            ("", "ab", "+a+b"),
        ] {
            let (wanted, came): (Vec<char>, Vec<char>) = (wanted.chars().collect(), came.chars().collect());
            let edits = align(&wanted, &came, |a, b| a == b);
            let text: String = edits
                .iter()
                .map(|edit| match edit {
                    Edit::Same(a, _) => format!("={a}"),
                    Edit::Lost(a) => format!("-{a}"),
                    Edit::New(b) => format!("+{b}"),
                })
                .collect();
            assert_eq!(text, marked);
        }
    }
}
