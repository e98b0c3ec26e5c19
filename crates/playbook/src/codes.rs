//! One table of all findings: code, severity, what is wrong in three words, why that is so, and what to do. The index in
//! docs/errors, the rules of SARIF and `regreen check --explain` read it; nothing else lists codes.

use std::fmt::Write as _;

use crate::diagnostic::Severity;

/// A kind of finding.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// `501` of `RG501`.
    pub code: u16,
    /// Whether it forbids the set.
    pub severity: Severity,
    /// What is wrong.
    pub title: &'static str,
    /// What it means.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Its page in docs/errors.
    pub page: &'static str,
}

impl Code {
    /// Path of its page in the repository.
    #[must_use]
    pub fn docs(&self) -> String {
        docs(self.code)
    }
}

/// Path of a code's page in the repository.
#[must_use]
pub fn docs(code: u16) -> String {
    format!("docs/errors/RG{code}.md")
}

/// The entry of a code.
#[must_use]
pub fn find(code: u16) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}

/// The page of a code: cause, remedy, a wrong example and the same mended.
#[must_use]
pub fn page(code: u16) -> Option<&'static str> {
    find(code).map(|known| known.page)
}

/// A code as people write it: `RG501`, `rg501` or `501`.
#[must_use]
pub fn parse(text: &str) -> Option<&'static Code> {
    let digits = text.strip_prefix("RG").or_else(|| text.strip_prefix("rg")).unwrap_or(text);
    find(digits.parse().ok()?)
}

/// docs/errors/README.md: the index of all pages.
#[must_use]
pub fn index() -> String {
    let mut out = String::from(
        "# Codes of `regreen check`\n\n\
         Each finding prints its place, its cause and a hint; `regreen check --explain RG501` prints the page of a code. \
         An error keeps the set from being used. W warns: the set works, but look. N only notes.\n\n\
         The examples of all pages stand on [base.yaml](base.yaml). This index is written from the table of codes: \
         `REGREEN_UPDATE=1 cargo test -p regreen-playbook --test pages`.\n\n\
         | code | | meaning | what to do |\n|---|---|---|---|\n",
    );
    for Code { code, severity, title, cause, remedy, .. } in CODES {
        let mark = match severity {
            Severity::Error => "",
            Severity::Warning => "W",
            Severity::Note => "N",
        };
        let _ = writeln!(out, "| [RG{code}](RG{code}.md) | {mark} | **{title}.** {cause} | {remedy} |");
    }
    out
}

macro_rules! codes {
    ($($code:literal $severity:ident $title:literal: $cause:literal => $remedy:literal;)*) => {
        /// All codes, in order.
        pub const CODES: &[Code] = &[$(Code {
            code: $code,
            severity: Severity::$severity,
            title: $title,
            cause: $cause,
            remedy: $remedy,
            page: include_str!(concat!("../../../docs/errors/RG", $code, ".md")),
        }),*];
    };
}

codes! {
    100 Error "no YAML":
        "The file is no YAML, or larger than is read." => "Mend the place shown.";
    101 Error "unknown key":
        "No such key stands here." => "The hint names the nearest known one.";
    102 Error "there twice":
        "A key, a name or a step is there twice." => "Join the two, rename one, or take one away.";
    103 Error "read as a tag":
        "A leading `!` is read as a YAML tag, and the value is lost." => "Quote the value.";
    104 Error "value cut by ` #`":
        "A value ends at ` #`: the rest is a comment." => "Quote the whole value.";
    105 Error "braces read as a map":
        "`{{ … }}` without quotes is read as a map." => "Quote it.";
    106 Error "no duration":
        "The value is no length of time." => "Add a unit: `5s`, `15m`, `1h30m`.";
    107 Error "two kinds in one":
        "A step or trigger has two kinds." => "Make two of it.";
    108 Error "key missing":
        "A key that must be there is not." => "Add it.";
    109 Error "bad name":
        "A name or id has characters that names do not have." =>
        "Lower-case letters, digits, `-`, `_`; ids of steps without `-`.";
    110 Error "anchors":
        "YAML's anchors and aliases are not read." => "Share steps by `run`, or write it out.";
    201 Error "unknown action":
        "Nobody knows this action." => "The hint names the nearest.";
    202 Note "no runner has it":
        "The action is only declared: no runner of this release does it." =>
        "Make sure that a runner of your own serves it.";
    203 Error "wrong type":
        "The value is of another type than its place wants." => "As the message says.";
    204 Error "raw id":
        "A raw id stands where a node, group or service is wanted." => "Pass `{{ target }}`, or a name of the inventory.";
    205 Error "unknown name":
        "No such check, group, node, playbook or receiver is declared." => "Declare it, or fix the name.";
    206 Error "runs itself":
        "A playbook runs itself, by way of others or at once." => "Break the circle.";
    300 Error "no expression":
        "The text is no CEL." => "Mend the place shown.";
    301 Error "braces in CEL":
        "`{{` stands in CEL, which needs no braces." => "Drop the braces.";
    302 Error "braces in a plain value":
        "`{{` stands in a value that takes no template." => "Write the value itself.";
    303 Error "unknown name in an expression":
        "The name, field or function is not visible here, or `{{ }}` holds no path." => "The hint says what is visible.";
    304 Error "label may be missing":
        "No matcher ensures that the alert has this label." => "Add a matcher such as `node!=\"\"`, or ask `has(…)`.";
    305 Error "types do not fit":
        "An expression compares or joins what can't be." => "`int(…)`, `string(…)`, or another comparison.";
    306 Error "result may be absent":
        "The step that gives the result may not have run, or failed." => "Ask `steps.….ok` first.";
    307 Error "alert may be absent":
        "Not every trigger brings an alert." => "Use `target` or `inputs`.";
    308 Error "untrusted text as code":
        "Text from outside would be run as code." => "Take an input with `one_of`.";
    309 Error "not allowed in a template file":
        "A `.hbs` file holds more than paths, `#if` and `#each`." => "Compute it in a `set` step, and fill in the result.";
    401 Error "no matcher":
        "This is none of Alertmanager's matchers." => "`label=\"value\"`, the whole item in single quotes.";
    402 Error "matches every alert":
        "Every matcher accepts an empty label." => "Add `alertname=\"…\"`.";
    403 Error "can never match":
        "No alert meets all of these matchers." => "Make two triggers.";
    404 Error "destroys what has recovered":
        "A destructive playbook starts when the alert is over." => "Start it when the alert fires.";
    405 Error "target differs in the window":
        "The events of one window may name different targets." => "Add the target's label to `by`.";
    406 Warning "never the first":
        "An earlier trigger takes all that this one matches." => "Take it away, or put it first.";
    501 Error "destructive, unguarded":
        "A guard is missing, or what it acts on is not named." => "Add the guards named; say what it acts on.";
    502 Error "nothing checks the repair":
        "A destructive playbook has no closing `verify`." => "Add one.";
    503 Error "one witness destroys":
        "Something from outside alone starts a destructive playbook, and no verdict is asked." =>
        "Add `when: down(\"…\")`.";
    504 Error "destructive in `parallel`":
        "Destructive steps would run at once." => "Use `for_each`, one at a time.";
    505 Error "`min_healthy` never holds":
        "The group has fewer other nodes than must stay healthy." => "Lower it.";
    506 Error "may act twice":
        "A second try may do the effect again." => "Remove `attempts`, or say what makes a second try safe.";
    507 Error "secret in clear":
        "A secret stands in the file." => "Write `{secret: name}`.";
    508 Error "silence taken for a yes":
        "A question that nobody answers would let the run go on." => "Leave `on_failure` out of an `approve`.";
    509 Warning "destroys before verified":
        "What replaces a thing is not verified before the thing is destroyed." => "Put a `verify` between.";
    510 Error "fails unseen":
        "A destructive playbook tells nobody that it failed." => "Add `escalate`.";
    511 Error "lock wider than the caller's":
        "A sub-run would lock more than the run that it belongs to." => "Widen the caller's lock, or narrow this one.";
    512 Error "one vantage decides":
        "A single vantage would decide over destruction." => "Write `quorum: 1` if you mean it.";
    513 Error "no snapshot before":
        "What can't be brought back is dropped without a snapshot earlier in the run." =>
        "Take a snapshot of that index first.";
    514 Warning "asks unheard":
        "It asks, and nobody is told that it does." => "Add `notify`.";
    515 Error "fault outside a drill":
        "Only a drill may break something on purpose." => "Add `drill: {of: …}`, or use another action.";
    516 Warning "ceiling lowers the mode":
        "The policy allows less than the playbook says." => "Lower `mode`, or raise the ceiling.";
    517 Warning "breaks nothing":
        "A drill has no step that breaks something." => "Add a step `use: fault.…`, or take `drill` out.";
    601 Error "can never hold":
        "A `verify` must hold for longer than is waited for it." => "Raise `within`.";
    602 Warning "wait proves nothing":
        "It ends with a wait, and nothing looks." => "`verify` a check.";
    603 Warning "outlasts the deadline":
        "The steps may need longer than the `deadline`." => "Raise `deadline`, or lower timeouts.";
    604 Warning "cut off after the irreversible":
        "An irreversible step runs in a playbook that a resolved alert cuts off." => "Write `on_resolved: continue`.";
    605 Error "verify of a joined check":
        "A `verify` counts looks, and a joined check has none of its own." =>
        "Verify its members, or an `all` that is up.";
    606 Warning "unreachable":
        "No run ever comes here." => "Take it away, or mend what stands before it.";
    607 Warning "verdict never given":
        "The check never gives the verdict that is waited for." => "Wait for another, or give the check its bound.";
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::*;

    /// Every code that the source adds, with its severity.
    fn used(folder: &Path, found: &mut BTreeMap<(u16, String), String>) {
        let calls = regex::Regex::new(r"\b(error|warning|note|problem)\(\s*(\d{3}),").expect("a constant");
        for entry in fs::read_dir(folder).expect("the crate's own source") {
            let path = entry.expect("the crate's own source").path();
            if path.is_dir() {
                used(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).expect("the crate's own source");
            // Tests make up findings of their own.
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for call in calls.captures_iter(text) {
                let code = call[2].parse().expect("three digits");
                let severity = call[1].replace("problem", "error");
                found.insert((code, severity), path.display().to_string());
            }
        }
    }

    #[test]
    fn the_table_has_what_the_source_uses_and_nothing_else() {
        let mut found = BTreeMap::new();
        used(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let word = |severity| match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let known: Vec<(u16, String)> =
            CODES.iter().map(|known| (known.code, word(known.severity).to_owned())).collect();
        let missing: Vec<_> = found.iter().filter(|(used, _)| !known.contains(used)).collect();
        let unused: Vec<_> = known.iter().filter(|known| !found.contains_key(known)).collect();
        assert!(
            missing.is_empty() && unused.is_empty(),
            "not in the table: {missing:?}\nnever used: {unused:?}"
        );
    }

    #[test]
    fn codes_rise_and_are_read_as_people_write_them() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
        for text in ["RG501", "rg501", "501"] {
            assert_eq!(parse(text).map(|known| known.code), Some(501), "{text}");
        }
        for text in ["", "RG", "RG999", "501 ", "XY501"] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(page(501).is_some_and(|page| page.contains("RG501")));
    }
}
