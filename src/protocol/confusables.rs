//! Tables of Unicode characters: letters that look like ASCII letters, and combining marks.

/// The letters of `server`, and letters that look like them.
const LOOKALIKES: [(char, &str); 4] = [
    ('s', "śŝşšșſṡṣṥṧṩꜱʂȿꞩᶊƽѕꮪꓢʃˢₛ𐑈"),
    ('e', "èéêëēĕėęěȅȇȩɇḕḗḙḛḝẹẻẽếềểễệⱸꬲᴇеѐёєҽҿεɛꭼꓰℯᵉₑ"),
    ('r', "ŕŗřȑȓɍṙṛṝṟʀɼɽɾꞧꭇꭈᴦⲅᵲᶉгґꮢꓣʳᵣ"),
    ('v', "ṽṿʋⱱᴠᶌνυѵѷⅴꮩꓦᵛᵥט"),
];

/// Returns whether `name`, which is case-folded, looks like the ASCII word `word`.
///
/// Letters of other scripts that look like those of `word`, combining marks, and punctuation
/// around the name make no difference.
///
/// The table has the letters of `server` only, from the confusables of Unicode Technical Standard
/// 39 and the characters that decompose to these letters.
pub fn looks_like(name: &str, word: &str) -> bool {
    let letters = name.trim_matches(['-', '_', '.']).chars();
    letters.filter(|c| !is_mark(*c)).map(to_ascii).eq(word.chars())
}

/// Returns the ASCII letter that `c` looks like, or `c` itself.
fn to_ascii(c: char) -> char {
    let letter = |index: u32| char::from(b'a' + (index % 26) as u8);
    match c {
        // Fullwidth, circled and squared letters, and the mathematical alphabets, which are sets
        // of 26 capital and 26 small letters each.
        '\u{FF41}'..='\u{FF5A}' => letter(c as u32 - 0xFF41),
        '\u{24D0}'..='\u{24E9}' => letter(c as u32 - 0x24D0),
        '\u{1F130}'..='\u{1F149}' => letter(c as u32 - 0x1F130),
        '\u{1F150}'..='\u{1F169}' => letter(c as u32 - 0x1F150),
        '\u{1F170}'..='\u{1F189}' => letter(c as u32 - 0x1F170),
        '\u{1D400}'..='\u{1D6A3}' => letter(c as u32 - 0x1D400),
        _ => {
            let has = |letters: &str| letters.chars().any(|letter| letter == c);
            LOOKALIKES.iter().find(|(_, letters)| has(letters)).map_or(c, |(letter, _)| *letter)
        }
    }
}

/// Returns whether `c` is a combining mark, which belongs to the letter before it.
///
/// The table has the general diacritics and the marks that names in Hebrew, Arabic, the Indic
/// scripts, Thai, Lao, Burmese, Khmer and Japanese kana need. Many vowel signs are not in it
/// because `char::is_alphanumeric` accepts them as letters.
pub fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36F}'
        | '\u{483}'..='\u{487}'
        | '\u{591}'..='\u{5BD}'
        | '\u{610}'..='\u{61A}'
        | '\u{64B}'..='\u{65F}'
        | '\u{900}'..='\u{903}' | '\u{93A}'..='\u{93C}' | '\u{93E}'..='\u{94F}'
        | '\u{9BC}' | '\u{9BE}'..='\u{9CD}'
        | '\u{A3C}' | '\u{A3E}'..='\u{A4D}'
        | '\u{ABC}' | '\u{ABE}'..='\u{ACD}'
        | '\u{B3C}' | '\u{B3E}'..='\u{B4D}'
        | '\u{BBE}'..='\u{BCD}'
        | '\u{C3E}'..='\u{C4D}'
        | '\u{CBC}' | '\u{CBE}'..='\u{CCD}'
        | '\u{D3E}'..='\u{D4D}'
        | '\u{DCA}'..='\u{DDF}'
        | '\u{E31}' | '\u{E34}'..='\u{E3A}' | '\u{E47}'..='\u{E4E}'
        | '\u{EB1}' | '\u{EB4}'..='\u{EBC}' | '\u{EC8}'..='\u{ECE}'
        | '\u{102B}'..='\u{103E}'
        | '\u{17B6}'..='\u{17D3}'
        | '\u{3099}' | '\u{309A}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::case_fold;

    #[test]
    fn lookalike_letters_and_marks_are_detected() {
        for name in [
            "server",
            "SERVER",
            "ѕеrvеr",
            "sеrver",
            "ＳＥＲＶＥＲ",
            "ｓｅｒｖｅｒ",
            "𝐬𝐞𝐫𝐯𝐞𝐫",
            "𝙎𝙀𝙍𝙑𝙀𝙍",
            "ⓢⓔⓡⓥⓔⓡ",
            "🅂🄴🅁🅅🄴🅁",
            "sérver",
            "se\u{301}rver",
            "ṣerṿer",
            "serνer",
            "ꓢꓰꓣꓦꓰꓣ",
            "ᏚᎬᏒᏙᎬᏒ",
            "ſerⅤer",
            "server.",
            "_server_",
        ] {
            assert!(looks_like(&case_fold(name), "server"), "{name}");
        }
    }

    #[test]
    fn other_words_do_not_look_like_server() {
        for name in ["alice", "сергей", "servers", "serve", "observer", "s-erver2", "σ", "", "小明"]
        {
            assert!(!looks_like(&case_fold(name), "server"), "{name}");
        }
    }
}
