//! The words of a command, as the servers read them.

/// The value of an option, the last one that is given: `--name V`, `--name=V`, `-n V`, `-nV`. An option
/// without a value is an empty one.
pub(super) fn value<'a>(words: &'a [String], long: &str, short: Option<char>) -> Option<&'a str> {
    let mut found = None;
    for (index, word) in words.iter().enumerate() {
        let Some(inside) = inside(word, long, short) else {
            continue;
        };
        found = Some(match inside {
            "" => words.get(index + 1).map_or("", String::as_str),
            inside => inside,
        });
    }
    found
}

/// What a word says of an option beyond its name.
fn inside<'a>(word: &'a str, long: &str, short: Option<char>) -> Option<&'a str> {
    if let Some(rest) = word.strip_prefix("--") {
        let rest = rest.strip_prefix(long)?;
        return match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None => rest.is_empty().then_some(rest),
        };
    }
    word.strip_prefix('-')?.strip_prefix(short?)
}

/// The words of a text as a shell splits them: white space parts them, quotes and backslashes hold them
/// together.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (Some(open), letter) if letter == open => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// A word that is split as one, whatever is in it.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
