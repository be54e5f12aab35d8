//! Names compared with Unicode's data, over all characters.
//!
//! The data comes from the crates `unicode-normalization` and `unicode-security`, at Unicode 18.0:
//! the decompositions of UnicodeData.txt, Default_Ignorable_Code_Point of
//! DerivedCoreProperties.txt, and confusables.txt of Unicode Technical Standard 39.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use smolchat::protocol::{MAX_MARKS, is_valid_name};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;

const WORD: &str = "server";

fn all_characters() -> impl Iterator<Item = char> {
    '\0'..=char::MAX
}

/// The characters that a name can contain.
static VALID: LazyLock<BTreeSet<char>> =
    LazyLock::new(|| all_characters().filter(|c| is_valid_name(&format!("a{c}b"))).collect());

/// Returns the forms of `c` without marks that changes of case, compatibility decomposition and
/// confusables lead to, one after the other in any order.
fn forms(c: char) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([c.to_string()]);
    let mut new = vec![c.to_string()];
    while let Some(form) = new.pop() {
        let (lower, upper) = (form.to_lowercase(), form.to_uppercase());
        for next in [lower, upper, form.nfkd().collect(), skeleton(&form).collect()] {
            let next: String = next.chars().filter(|c| !is_combining_mark(*c)).collect();
            if !next.is_empty() && forms.insert(next.clone()) {
                new.push(next);
            }
        }
    }
    forms
}

/// Returns the names that are `server` with `new` in place of each `old` in turn.
fn replace_each(old: &str, new: char) -> impl Iterator<Item = String> {
    let (places, length) = (WORD.match_indices(old), old.len());
    places.map(move |(at, _)| format!("{}{new}{}", &WORD[..at], &WORD[at + length..]))
}

#[test]
fn default_ignorable_character_is_invalid() {
    let is_ignorable = |c: &char| skeleton(&c.to_string()).next().is_none();
    let valid: Vec<String> = all_characters()
        .filter(is_ignorable)
        .map(|c| format!("a{c}b"))
        .filter(|name| is_valid_name(name))
        .map(|name| format!("{name:?}"))
        .collect();
    assert_eq!(valid, [] as [String; 0]);
}

#[test]
fn name_that_looks_like_server_is_invalid() {
    let mut valid = Vec::new();
    for &c in &*VALID {
        let names =
            forms(c).into_iter().flat_map(|form| replace_each(&form, c).collect::<Vec<_>>());
        valid.extend(names.filter(|name| is_valid_name(name)));
    }
    assert_eq!(valid, [] as [String; 0]);
}

/// The table has more letters than the data. Their compatibility forms are refused, too.
#[test]
fn compatibility_form_is_as_invalid_as_its_letter() {
    let mut valid = Vec::new();
    for &c in &*VALID {
        let base: String = c.nfkd().filter(|c| !is_combining_mark(*c)).collect();
        let mut chars = base.chars();
        let (Some(base), None) = (chars.next(), chars.next()) else { continue };
        if base != c && VALID.contains(&base) {
            for letter in ["s", "e", "r", "v"] {
                let names = replace_each(letter, base).zip(replace_each(letter, c));
                let is_missed =
                    |(base, name): &(String, String)| !is_valid_name(base) && is_valid_name(name);
                valid.extend(names.filter(is_missed));
            }
        }
    }
    assert_eq!(valid, [] as [(String, String); 0]);
}

#[test]
fn mark_makes_no_name_of_server_valid() {
    let marks = all_characters().filter(|c| is_combining_mark(*c));
    let names = marks.flat_map(|mark| {
        [format!("{mark}server"), format!("s{mark}erver"), format!("_server{mark}_")]
    });
    let valid: Vec<String> = names.filter(|name| is_valid_name(name)).collect();
    assert_eq!(valid, [] as [String; 0]);
}

#[test]
fn only_marks_are_limited_in_a_row() {
    for &c in VALID.iter().filter(|c| c.is_alphanumeric()) {
        let row = c.to_string().repeat(MAX_MARKS + 1);
        let is_limited = !is_valid_name(&format!("a{row}")) && !is_valid_name(&c.to_string());
        assert_eq!(is_limited, is_combining_mark(c), "U+{:04X}", u32::from(c));
    }
}
