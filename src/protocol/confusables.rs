//! Letters that look like others, and marks that make no other letter.

/// Whether a reader may take `name`, folded, for `word`, which is plain ASCII: letters of other
/// scripts or forms that look like those of the word, marks above or below them, and punctuation
/// around them make no difference.
///
/// The letters are those of `server`, after the confusables of Unicode Technical Standard 39 and
/// what decomposes to them; others are taken as they are.
pub fn looks_like(name: &str, word: &str) -> bool {
    let letters = name.trim_matches(['-', '_', '.']).chars();
    letters.filter(|c| !is_mark(*c)).map(plain).eq(word.chars())
}

/// The letter of ASCII that `c` looks like, or `c` itself.
fn plain(c: char) -> char {
    let ascii = |place: u32| char::from(b'a' + (place % 26) as u8);
    match c {
        // Fullwidth, circled and squared forms, and the alphabets of mathematics, which are sets of
        // 26 capital and 26 small letters each.
        '\u{FF41}'..='\u{FF5A}' => ascii(c as u32 - 0xFF41),
        '\u{24D0}'..='\u{24E9}' => ascii(c as u32 - 0x24D0),
        '\u{1F130}'..='\u{1F149}' => ascii(c as u32 - 0x1F130),
        '\u{1F150}'..='\u{1F169}' => ascii(c as u32 - 0x1F150),
        '\u{1F170}'..='\u{1F189}' => ascii(c as u32 - 0x1F170),
        '\u{1D400}'..='\u{1D6A3}' => ascii(c as u32 - 0x1D400),
        _ if is_one_of("śŝşšșſṡṣṥṧṩꜱʂȿꞩᶊƽѕꮪꓢʃˢₛ𐑈", c) => 's',
        _ if is_one_of("èéêëēĕėęěȅȇȩɇḕḗḙḛḝẹẻẽếềểễệⱸꬲᴇеѐёєҽҿεɛꭼꓰℯᵉₑ", c) => {
            'e'
        }
        _ if is_one_of("ŕŗřȑȓɍṙṛṝṟʀɼɽɾꞧꭇꭈᴦⲅᵲᶉгґꮢꓣʳᵣ", c) => {
            'r'
        }
        _ if is_one_of("ṽṿʋⱱᴠᶌνυѵѷⅴꮩꓦᵛᵥט", c) => 'v',
        c => c,
    }
}

fn is_one_of(letters: &str, c: char) -> bool {
    letters.chars().any(|letter| letter == c)
}

/// Marks that belong to a letter before them: the general diacritics, and those without which
/// names in Hebrew, Arabic, the Indic scripts, Thai, Lao, Burmese, Khmer and Japanese kana
/// cannot be written. The standard library counts many vowel signs as letters already.
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
    fn other_letters_marks_and_punctuation_do_not_hide_a_word() {
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
    fn other_words_are_left_alone() {
        for name in ["alice", "сергей", "servers", "serve", "observer", "s-erver2", "σ", "", "小明"]
        {
            assert!(!looks_like(&case_fold(name), "server"), "{name}");
        }
    }
}
