//! tmp
#[path = "fuzz/books.rs"]
mod books;
#[path = "fuzz/dice.rs"]
mod dice;
use regreen_playbook::{diagnostic::Source, load};
#[test]
fn rate() {
    let mut ok = 0;
    let mut codes = std::collections::BTreeMap::<String, usize>::new();
    for seed in 0..500 {
        let text = books::set(&mut dice::Dice::new(seed));
        let (set, findings) = load(vec![Source { path: "lab.yaml".into(), text }]);
        if set.is_some() {
            ok += 1
        } else {
            for f in &findings.list {
                if f.severity == regreen_playbook::diagnostic::Severity::Error {
                    *codes
                        .entry(format!("{} {} | {} | {}", f.code, f.message, f.label, f.hint))
                        .or_default() += 1;
                }
            }
        }
    }
    println!("ok {ok}");
    let mut c: Vec<_> = codes.into_iter().collect();
    c.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    for (m, n) in c.into_iter().take(40) {
        println!("{n} {m}");
    }
}
