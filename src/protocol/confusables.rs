//! Tables of Unicode characters: letters that look like ASCII letters, combining marks, and
//! characters that are not drawn.
//!
//! `tests/it/unicode_names.rs` compares the tables with Unicode's data.

use super::case_fold;

/// The letters of `server`, and letters that look like them.
const LOOKALIKES: [(char, &str); 4] = [
    ('s', "śŝşšſƽșȿʂʃˢѕտടჽᵴᶊᶳᶴṡṣṥṧṩₛⴝꓢꕶꜱꞩ꟱ꮥꮪ𐊖𐑈𑣁𖫖𖼺𞁩"),
    ('e', "èéêëēĕėęěȅȇȩɇɛέεеѐёєҽҿӗᴇᴱᵉᵋḕḗḙḛḝẹẻẽếềểễệἐἑἒἓἔἕὲέₑℇℯℰⅇⱸⴹꓰꗋꬲꭼ𐊆𑣆𑣎𞀵𞁖"),
    ('r', "ŕŗřȑȓɍɼɽɾʀʳгѓґғᖇᴦᴿᵣᵲᶉṙṛṝṟℛℜℝⲅꓣꞧꭇꭈꭱꮁꮢ𐓜𐞨𐞩𐞪𖨙𖼵𞀳𞁔𞁧"),
    ('v', "ʋνυϋύϒϓϔѵѷט٧۷ᐯᴠᵛᵥᶌᶹṽṿὑὓὕὗὺύῠῡⅴⱱⱽⴸꓦꛟꮩטּ𐔝𐞰𐰟𑜆𑣀𖼈𞅅"),
];

/// The combining marks that `char::is_alphanumeric` accepts and [`is_name_mark`] does not have, in
/// the planes 0 and 1: the first character of each range, and the first one after it. Characters
/// that no name can have are in the ranges if that makes fewer of them. Unicode 18.0.
const OTHER_MARKS: [&[u16]; 2] = [
    &[
        0x5BF, 0x5C8, 0x670, 0x671, 0x6D6, 0x6E5, 0x6E7, 0x6EE, 0x711, 0x712, 0x730, 0x740, 0x7A6,
        0x7B1, 0x816, 0x818, 0x81B, 0x824, 0x825, 0x828, 0x829, 0x82D, 0x897, 0x898, 0x8D4, 0x900,
        0x955, 0x958, 0x962, 0x964, 0x981, 0x984, 0x9D7, 0x9D8, 0x9E2, 0x9E4, 0xA01, 0xA04, 0xA51,
        0xA52, 0xA70, 0xA72, 0xA75, 0xA84, 0xAE2, 0xAE4, 0xAFA, 0xB04, 0xB56, 0xB58, 0xB62, 0xB64,
        0xB82, 0xB83, 0xBD7, 0xBD8, 0xC00, 0xC05, 0xC55, 0xC57, 0xC62, 0xC64, 0xC81, 0xC84, 0xCD5,
        0xCD7, 0xCE2, 0xCE4, 0xCF3, 0xD04, 0xD57, 0xD58, 0xD62, 0xD64, 0xD81, 0xD84, 0xDF2, 0xDF4,
        0xF71, 0xF84, 0xF8D, 0xFBD, 0x1056, 0x105A, 0x105E, 0x1061, 0x1062, 0x1065, 0x1067, 0x106E,
        0x1071, 0x1075, 0x1082, 0x108E, 0x108F, 0x1090, 0x109A, 0x109E, 0x1712, 0x1714, 0x1732,
        0x1734, 0x1752, 0x1754, 0x1772, 0x1774, 0x1885, 0x1887, 0x18A9, 0x18AA, 0x1920, 0x1939,
        0x1A17, 0x1A1C, 0x1A55, 0x1A75, 0x1ABF, 0x1B05, 0x1B35, 0x1B44, 0x1B80, 0x1B83, 0x1BA1,
        0x1BAE, 0x1BE7, 0x1BF2, 0x1C24, 0x1C37, 0x1DD3, 0x1DF5, 0x2DE0, 0x2E00, 0xA674, 0xA67C,
        0xA69E, 0xA6A0, 0xA802, 0xA803, 0xA80B, 0xA80C, 0xA823, 0xA828, 0xA880, 0xA882, 0xA8B4,
        0xA8C6, 0xA8FF, 0xA900, 0xA926, 0xA92B, 0xA947, 0xA953, 0xA980, 0xA984, 0xA9B4, 0xA9C0,
        0xA9E5, 0xA9E6, 0xAA29, 0xAA37, 0xAA43, 0xAA44, 0xAA4C, 0xAA4E, 0xAA7B, 0xAA7E, 0xAAB0,
        0xAAB1, 0xAAB2, 0xAAB5, 0xAAB7, 0xAAB9, 0xAABE, 0xAABF, 0xAAEB, 0xAAF0, 0xAAF5, 0xAAF6,
        0xABE3, 0xABEB, 0xFB1E, 0xFB1F,
    ],
    &[
        0x376, 0x37B, 0xA01, 0xA10, 0xD24, 0xD28, 0xD69, 0xD6A, 0xEAB, 0xEAD, 0xEFA, 0xEFD, 0x1000,
        0x1003, 0x1038, 0x1046, 0x1073, 0x1075, 0x1080, 0x1083, 0x10B0, 0x10C3, 0x1100, 0x1103,
        0x1127, 0x1133, 0x1145, 0x1147, 0x1180, 0x1183, 0x11B3, 0x11C0, 0x11CE, 0x11D0, 0x122C,
        0x123F, 0x1241, 0x1242, 0x12DF, 0x12E9, 0x1300, 0x1304, 0x133E, 0x134D, 0x1357, 0x1358,
        0x1362, 0x1364, 0x13B8, 0x13CE, 0x1435, 0x1446, 0x14B0, 0x14C2, 0x15AF, 0x15BF, 0x15DC,
        0x15DE, 0x1630, 0x1641, 0x16AB, 0x16B6, 0x171D, 0x172B, 0x182C, 0x1839, 0x1930, 0x193D,
        0x1940, 0x1941, 0x1942, 0x1943, 0x19D1, 0x19E0, 0x19E4, 0x19E5, 0x1A01, 0x1A0B, 0x1A35,
        0x1A3A, 0x1A3B, 0x1A3F, 0x1A51, 0x1A5C, 0x1A8A, 0x1A98, 0x1B60, 0x1B68, 0x1C2F, 0x1C3F,
        0x1C92, 0x1CB7, 0x1D31, 0x1D44, 0x1D47, 0x1D48, 0x1D8A, 0x1D97, 0x1EF3, 0x1F02, 0x1F03,
        0x1F04, 0x1F34, 0x1F41, 0x611E, 0x612F, 0x6F4F, 0x6F50, 0x6F51, 0x6F93, 0x6FF0, 0x6FF2,
        0xBC9E, 0xBC9F, 0xE000, 0xE02B, 0xE08F, 0xE090, 0xE6E3, 0xE6E4, 0xE6E6, 0xE6E7, 0xE6EE,
        0xE6F0, 0xE6F5, 0xE6F6, 0xE947, 0xE948,
    ],
];

/// Returns whether `name` looks like the ASCII word `word`.
///
/// Letters of other scripts that look like those of `word`, combining marks, and punctuation
/// around the name make no difference.
///
/// The table has the letters of `server` only: those that the confusables of Unicode Technical
/// Standard 39 or a compatibility decomposition map to them, and some more.
pub fn looks_like(name: &str, word: &str) -> bool {
    let without_marks = |name: &str| name.chars().filter(|c| !is_mark(*c)).collect::<String>();
    // Some marks become letters by folding, and some letters become letters with marks.
    let name = without_marks(&case_fold(&without_marks(name)));
    let letters: String = name.chars().map(to_ascii).collect();
    letters.trim_matches(['-', '_', '.']) == word
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
        // The mathematical Greek alphabets, of 58 characters each: Epsilon, epsilon and its symbol;
        // Nu, nu, Upsilon and upsilon.
        '\u{1D6A8}'..='\u{1D7C9}' => match (c as u32 - 0x1D6A8) % 58 {
            4 | 30 | 52 => 'e',
            12 | 20 | 38 | 46 => 'v',
            _ => c,
        },
        _ => {
            let has = |letters: &str| letters.chars().any(|letter| letter == c);
            LOOKALIKES.iter().find(|(_, letters)| has(letters)).map_or(c, |(letter, _)| *letter)
        }
    }
}

/// Returns whether `c` is a combining mark (general category M), which belongs to the letter before
/// it.
///
/// It is exact for the characters that a name can have: those of [`is_name_mark`], and letters and
/// digits as `char::is_alphanumeric` counts them.
pub fn is_mark(c: char) -> bool {
    let plane = OTHER_MARKS.get(c as usize >> 16).copied().unwrap_or_default();
    // Each range adds two edges, so the number of edges up to a mark is odd.
    let edges = plane.partition_point(|&edge| u32::from(edge) <= c as u32 & 0xFFFF);
    edges % 2 == 1 || is_name_mark(c)
}

/// Returns whether `c` is a combining mark that names need.
///
/// The table has the general diacritics and the marks of names in Hebrew, Arabic, the Indic
/// scripts, Thai, Lao, Burmese, Khmer and Japanese kana. Many vowel signs are not in it because
/// `char::is_alphanumeric` accepts them as letters.
pub fn is_name_mark(c: char) -> bool {
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

/// Returns whether `c` is usually not drawn (Default_Ignorable_Code_Point), so that names which
/// differ in it look the same.
pub fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}'
        | '\u{115F}' | '\u{1160}'
        | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "sⅇrvⅇr",
            "seℛver",
            "sℰrver",
            "ᏕᎬᎡᏙᎬᎡ",
            "se\u{345}rver",
            "\u{301}_server",
            "server.",
            "_server_",
        ] {
            assert!(looks_like(name, "server"), "{name}");
        }
    }

    #[test]
    fn other_words_do_not_look_like_server() {
        for name in ["alice", "сергей", "servers", "serve", "observer", "s-erver2", "σ", "", "小明"]
        {
            assert!(!looks_like(name, "server"), "{name}");
        }
    }
}
