use super::settings;
use crate::config::properties::{Pair, pairs};
use crate::config::*;

fn error(text: &str) -> String {
    read_properties(text).expect_err("refused").to_string()
}

/// The pairs of a text that has nothing to refuse.
fn read(text: &str) -> Vec<(String, String)> {
    let pair = |pair: Result<Pair, PropertiesError>| match pair {
        Ok(pair) => (pair.key, pair.value),
        Err(error) => panic!("{text:?}: {error}"),
    };
    pairs(text).map(pair).collect()
}

/// Texts of which Java makes one pair, and the pair.
fn check(table: &[(&str, &str, &str)]) {
    for &(text, key, value) in table {
        assert_eq!(read(text), [(key.to_owned(), value.to_owned())], "{text:?}");
    }
}

/// What is wrong with the first of a text's pairs that is refused, before any key is looked up.
fn refused(text: &str) -> Option<Misread> {
    pairs(text).find_map(Result::err).map(|error| error.what)
}

#[test]
fn properties_are_read_as_kafka_writes_them() {
    let text =
        "# comment\n\nnum.partitions = 3\n! another\nlog.retention.ms:5\nlisteners=PLAINTEXT://\\\n  :9092\n";
    let expected =
        settings(&[("num.partitions", "3"), ("log.retention.ms", "5"), ("listeners", "PLAINTEXT://:9092")]);
    assert_eq!(read_properties(text), Ok(expected));
    let twice = read_properties("num.partitions=3\r\nnum.partitions=4\r\n");
    assert_eq!(twice, Ok(settings(&[("num.partitions", "4")])));
    assert_eq!(read_properties("broker.rack=a\\"), Ok(settings(&[("broker.rack", "a")])));
    assert_eq!(read_properties("num.partitions 3"), Ok(settings(&[("num.partitions", "3")])));
    assert_eq!(read_properties(""), Ok(Settings::new()));
}

#[test]
fn blanks_around_a_value_do_not_count_however_they_are_written() {
    for text in ["broker.rack= a b \t", "broker.rack=\\ a b\\ ", "broker.rack=\\na\\u0020b\\t"] {
        assert_eq!(read_properties(text), Ok(settings(&[("broker.rack", "a b")])), "{text:?}");
    }
    assert_eq!(read_properties("broker.rack="), Ok(settings(&[("broker.rack", "")])));
    // Around a key, those that are escaped are its own.
    assert!(error("\\ num.partitions=3").contains("' num.partitions'"));
}

/// This table and those below are of what `java.util.Properties.load` makes of the texts.
#[test]
fn a_key_ends_at_the_first_separator() {
    check(&[
        ("a=b", "a", "b"),
        ("a:b", "a", "b"),
        ("a b", "a", "b"),
        ("a\tb", "a", "b"),
        ("a\u{c}b", "a", "b"),
        (" \t\u{c}a=b", "a", "b"),
        ("a = b", "a", "b"),
        ("a \t\u{c}:\u{c}\t b", "a", "b"),
        ("a==b", "a", "=b"),
        ("a::b", "a", ":b"),
        ("a:=b", "a", "=b"),
        ("a = = b", "a", "= b"),
        ("a b=c", "a", "b=c"),
        ("a b c", "a", "b c"),
        ("a=b c:d=e", "a", "b c:d=e"),
        ("a=#b !c", "a", "#b !c"),
        ("a#=b", "a#", "b"),
        ("=b", "", "b"),
        (" : b", "", "b"),
        (":", "", ""),
        ("a=", "a", ""),
        ("a :  ", "a", ""),
        ("a=b \t", "a", "b \t"),
        // Neither is white space of the format.
        ("\u{a0}a=\u{b}b", "\u{a0}a", "\u{b}b"),
        ("ä=ö\u{85}ü\u{2028}", "ä", "ö\u{85}ü\u{2028}"),
    ]);
}

#[test]
fn a_backslash_takes_a_meaning_away_or_gives_one() {
    check(&[
        (r"a\=b=c", "a=b", "c"),
        (r"a\:b:c", "a:b", "c"),
        (r"a\ b c", "a b", "c"),
        ("a\\\tb\tc", "a\tb", "c"),
        (r"\ a\ = b", " a ", "b"),
        (r"\#a=b", "#a", "b"),
        (r"\!a=b", "!a", "b"),
        (r"\==b", "=", "b"),
        (r"a=\ b", "a", " b"),
        (r"a=\=b", "a", "=b"),
        (r"a \= b", "a", "= b"),
        (r"a=\t\n\r\f", "a", "\t\n\r\u{c}"),
        (r"\t\n=\\n", "\t\n", r"\n"),
        (r"a=C:\\temp\\", "a", r"C:\temp\"),
        (r"a\\=b", r"a\", "b"),
        (r"a\\\=b=c", r"a\=b", "c"),
        (r"a\\ b", r"a\", "b"),
        (r#"a=\b\z\0\'\"\ä\U0041\T"#, "a", r#"bz0'"äU0041T"#),
    ]);
}

#[test]
fn codes_are_of_utf_16() {
    check(&[
        (r"a=\u0041\u00e9\u20AC", "a", "Aé€"),
        (r"\u0061=b", "a", "b"),
        (r"a=\u00410", "a", "A0"),
        (r"a=\u003d\u005c\u005C", "a", r"=\\"),
        // What has a code parts nothing.
        (r"a\u003db=c", "a=b", "c"),
        (r"a\u0020b=c", "a b", "c"),
        (r"a=\u0000\uffff", "a", "\0\u{ffff}"),
        (r"a=\ud83d\ude00\uD83D\uDE00", "a", "😀😀"),
        (r"a=😀\uD800\uDC00\udbff\udfff", "a", "😀\u{10000}\u{10ffff}"),
        (r"a=\\u0041", "a", r"\u0041"),
        (r"a=\\\u0041", "a", r"\A"),
    ]);
}

#[test]
fn lines_end_in_three_ways_and_comments_with_them() {
    let two = [("a", "b"), ("c", "d")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    for text in ["a=b\nc=d", "a=b\rc=d\r", "a=b\r\nc=d\r\n", "\n \r\r\n\ta=b\n\u{c}\n\n c=d\n\n"] {
        assert_eq!(read(text), two, "{text:?}");
    }
    let text = "#\\\n!x\r \t# y=z\\\r\na=b\n\u{c}!\n#\nc=d\n# the end";
    assert_eq!(read(text), two);
    for text in ["# no end", " \r\n\t\n", "\\\n#"] {
        assert!(read(text).is_empty(), "{text:?}");
    }
}

#[test]
fn an_odd_backslash_at_the_end_goes_on_in_the_next_line() {
    check(&[
        ("a=b\\\nc", "a", "bc"),
        ("a=b\\\rc", "a", "bc"),
        ("a=b\\\r\n \t\u{c}c", "a", "bc"),
        ("a=b, \\\n  c, \\\n  d\n", "a", "b, c, d"),
        ("a=\\\n\\\nb", "a", "b"),
        ("a=b\\\n  \\\nc", "a", "bc"),
        ("a=\\\n  b", "a", "b"),
        ("a=\\\n  \\ b", "a", " b"),
        ("a\\\n=b", "a", "b"),
        ("a\\\n  b=c", "ab", "c"),
        ("a \\\n = b", "a", "b"),
        ("a=b\\\\\\\nc", "a", "b\\c"),
        ("a=\\u00\\\n41", "a", "A"),
        ("a=\\ud83d\\\n  \\ude00", "a", "😀"),
        // No comments, but parts of the value.
        ("a=b\\\n#c", "a", "b#c"),
        ("a=b\\\n  !c", "a", "b!c"),
        // Nothing follows.
        ("a=b\\", "a", "b"),
        ("a=b\\\n", "a", "b"),
        ("a=b\\\r\n", "a", "b"),
        ("a=b\\\n  ", "a", "b"),
        ("a=b\\\\\\", "a", "b\\"),
        // Where nothing but the backslash was there yet, the next line is as good as the first.
        ("\\\na=b", "a", "b"),
        (" \\\n\n  a=b", "a", "b"),
        ("\\\n# c\na=b", "a", "b"),
        ("a=b\n\\\n\\\n  #c", "a", "b"),
    ]);
    let two = |first: &str| [("a", first), ("c", "d")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(read("a=b\\\\\nc=d"), two("b\\"));
    assert_eq!(read("a=b\\ \nc=d"), two("b "));
    assert_eq!(read("a=b\\\n\nc=d"), two("b"));
    assert_eq!(read("a=b\\\r\n\r\nc=d"), two("b"));
    assert_eq!(read("a=b\\\n  \nc=d"), two("b"));
}

/// Java takes these, with an empty value; of a backslash alone at the end it depends on what ends its line.
#[test]
fn a_key_without_a_value_is_refused() {
    let no_pair = |word: &str| Some(Misread::NoPair(word.to_owned()));
    for text in ["a", " a ", "a\t\u{c}", "a\\", "a\\\n\nb=c", "#\na\r"] {
        assert_eq!(refused(text), no_pair("a"), "{text:?}");
    }
    assert_eq!(refused(r"a\=b"), no_pair(r"a\=b"));
    for text in ["\\", " \\\n", "a=b\n\\\n\\\r", "\\\r\n"] {
        assert_eq!(refused(text), no_pair(""), "{text:?}");
    }
}

/// Of the first Java says that they are malformed; of the others it makes texts that are none.
#[test]
fn codes_of_no_character_are_refused() {
    let codes = [
        r"a=\u",
        r"a=\u12",
        r"a=\u123",
        r"a=\u123g",
        r"a=\u+123",
        r"a=\u 123",
        r"a=\u-001",
        r"a=\uu0041",
        r"a=\u１２３４",
        r"a=C:\users",
        r"a\u12=34",
        r"\u004 1=b",
        "a=\\u12\n34",
        r"a=\ud83d\u",
        r"a=\ud83d\ude0",
    ];
    for text in codes {
        assert_eq!(refused(text), Some(Misread::NoCode), "{text:?}");
    }
    let halves = [
        r"a=\ud83d",
        r"a=\ude00",
        r"a=\ud83dx",
        r"a=\ud83d\n",
        r"a=\ud83d\u0041",
        r"a=\ud83d\ud83d\ude00",
        r"a=\ude00\ud83d",
        r"a=\ud83d\\ude00",
        r"a\ud83d=\ude00",
    ];
    for text in halves {
        assert_eq!(refused(text), Some(Misread::HalfPair), "{text:?}");
    }
}

/// All texts of these characters up to a length.
fn texts(alphabet: &[char], longest: usize) -> Vec<String> {
    let (mut all, mut from) = (vec![String::new()], 0);
    for _ in 0..longest {
        let next = alphabet.iter().flat_map(|c| all[from..].iter().map(move |text| format!("{text}{c}")));
        let next: Vec<String> = next.collect();
        from = all.len();
        all.extend(next);
    }
    all
}

/// With a backslash before everything that means something without.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '\t' => r"\t".to_owned(),
        '\n' => r"\n".to_owned(),
        '\r' => r"\r".to_owned(),
        '\u{c}' => r"\f".to_owned(),
        ' ' | '=' | ':' | '#' | '!' | '\\' => format!("\\{c}"),
        _ => c.to_string(),
    };
    text.chars().map(one).collect()
}

#[test]
fn what_is_written_with_escapes_is_read_as_it_was() {
    let alphabet = ['a', 'n', 'u', '0', ' ', '\t', '\u{c}', '\n', '\r', '=', ':', '#', '!', '\\', 'é', '😀'];
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    for text in &texts(&alphabet, 3)[1..] {
        let written = escaped(text);
        let file = format!("{written}=v\n k : {written}\r\n!\n{written} {written}v");
        let expected = [pair(text, "v"), pair("k", text), pair(text, &format!("{text}v"))];
        assert_eq!(read(&file), expected, "{text:?}");
        let codes: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        assert_eq!(read(&format!("{codes} {codes}v")), expected[2..], "{text:?}");
    }
}

#[test]
fn every_text_is_read_alike_whatever_its_lines_end_in() {
    let all = |text: &str| pairs(text).collect::<Vec<_>>();
    for text in texts(&['a', 'u', '=', ' ', '#', '\\', '\n'], 5) {
        let read = all(&text);
        assert_eq!(all(&text.replace('\n', "\r")), read, "{text:?}");
        assert_eq!(all(&text.replace('\n', "\r\n")), read, "{text:?}");
        let lines = read.iter().map(|pair| pair.as_ref().map_or_else(|error| error.line, |pair| pair.line));
        let lines: Vec<usize> = [0].into_iter().chain(lines).chain([text.lines().count() + 1]).collect();
        assert!(lines.windows(2).all(|two| two[0] < two[1]), "{text:?} {lines:?}");
    }
}

#[test]
fn mistakes_name_their_line_and_the_nearest_key() {
    let unknown = error("\nnum.partition=3");
    assert!(unknown.starts_with("2: ") && unknown.contains("num.partitions"), "{unknown}");
    let value = error("num.partitions=many");
    assert!(value.starts_with("1: ") && value.contains("many"), "{value}");
    let second = error("listeners=\\\n\\\nPLAINTEXT://:1\nnum.partition=3");
    assert!(second.starts_with("4: "), "{second}");
    let begun = error("\r\\\r\n  num.\\\r  partition\\\n =3");
    assert!(begun.starts_with("3: ") && begun.contains("'num.partition'"), "{begun}");
    assert!(error("# 1\nwords").starts_with("2: what begins with 'words' is no pair; write it as key=value"));
    let code = error("# 1\n# 2\nbroker.rack=\\\n  C:\\users");
    assert!(code.starts_with(r"3: \u must have four hexadecimal digits"), "{code}");
    let half = error("broker.rack=\\ud83d");
    assert!(half.starts_with(r"1: \u with half of a surrogate pair"), "{half}");
}

#[test]
fn mistakes_tell_no_secret_and_fit_into_a_line() {
    let key = "ssl.key.password";
    for blank in ["\u{a0}", "\\ ", "\u{85}"] {
        let pairless = error(&format!("{key}{blank}hush"));
        assert!(pairless.contains(key) && !pairless.contains("hush"), "{pairless}");
    }
    for secret in ["ssl.key.pasword hush", "ssl.key.password hush\\u", "ssl.key.password=\\ude00hush"] {
        let told = error(secret);
        assert!(!told.contains("hush"), "{told}");
    }
    let long = error(&"\u{1b}x".repeat(1000));
    assert!(long.len() < 2000 && !long.contains('\u{1b}'), "{long}");
    let control = error("num.partitions=\\n3\\r4\\u001b");
    assert!(!control.contains(char::is_control), "{control:?}");
    let control = error("num\\npartitions=3");
    assert!(!control.contains(char::is_control), "{control:?}");
}

#[test]
fn a_key_that_is_refused_keeps_what_it_was_set_to() {
    let mut set = settings(&[("num.partitions", "3")]);
    assert!(set_broker(&mut set, "num.partitions", "many").is_err());
    assert!(set_broker(&mut set, "num.partition", "4").is_err());
    assert_eq!(set, settings(&[("num.partitions", "3")]));
    assert_eq!(set_broker(&mut set, "num.partitions", "4"), Ok(()));
    assert_eq!(set, settings(&[("num.partitions", "4")]));
}
