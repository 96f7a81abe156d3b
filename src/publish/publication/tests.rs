use proptest::prelude::*;

use super::*;

const FRAME_SIZE: usize = 1024;

fn decoded(text: &str) -> Result<Decoded, DecodeError> {
    decode(text.as_bytes(), FRAME_SIZE, Instant::now())
}

fn addressed(to: &str) -> Result<Vec<Audience>, DecodeError> {
    decoded(&format!(r#"{{"to":{to},"frame":{{}}}}"#)).map(|decoded| decoded.publication.to)
}

fn refused(text: &str) -> (String, usize, usize) {
    let error = decoded(text).unwrap_err();
    let TextPosition { line, column } = error.place();
    (error.to_string(), line, column)
}

fn user(id: &str) -> Audience {
    Audience::User(UserId::new(id))
}

fn frame_of(text: &str) -> String {
    match decoded(text).unwrap().publication.content {
        Content::Frame(frame) => frame.text().to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_frame_is_the_bytes_that_were_sent() {
    for frame in [
        r#"{"b":1,"a":1.50,"a":2e0,"big":123456789012345678901234567890}"#,
        "{ \"spaced\" :\t[ 1 ,2 ] }",
        r#""\u00e9 \ud83d\ude00 é 😀 \/""#,
        r#"{"half":"\ud83d"}"#,
        "[]",
        "null",
        "0.10",
    ] {
        let text = format!("{{\"frame\":  {frame} \n,\"to\":{{\"user\":\"1\"}}}}");
        assert_eq!(frame_of(&text), frame);
    }
}

#[test]
fn every_audience_is_understood() {
    let digest = "0a".repeat(32);
    assert_eq!(addressed(r#"{"user":"42"}"#), Ok(vec![user("42")]));
    assert_eq!(addressed(r#"{"user":42}"#), Ok(vec![user("42")]));
    assert_eq!(addressed(r#"{"user":-1}"#), Ok(vec![user("-1")]));
    assert_eq!(
        addressed(r#"{"users":["7",42,"7",7]}"#),
        Ok(vec![user("42"), user("7")])
    );
    assert_eq!(addressed(r#"{"users":[]}"#), Ok(vec![]));
    assert_eq!(
        addressed(r#"{"group":"staff"}"#),
        Ok(vec![Audience::Group(GroupName::new("staff"))])
    );
    assert_eq!(
        addressed(&format!(r#"{{"session":"{digest}"}}"#)),
        Ok(vec![Audience::Session(digest.parse().unwrap())])
    );
    assert_eq!(
        addressed(r#"{"connection":"00ff00ff00ff00ff"}"#),
        Ok(vec![Audience::Connection(
            "00ff00ff00ff00ff".parse().unwrap()
        )])
    );
    assert_eq!(
        addressed(r#"{"topic":"shop.order:17"}"#),
        Ok(vec![Audience::Topic(
            TopicName::new("shop.order:17").unwrap()
        )])
    );
    assert!(addressed(r#"{"topic":"two words"}"#).is_err());
    assert_eq!(
        addressed(r#"{"everyone":true}"#),
        Ok(vec![Audience::Everyone])
    );
    let escaped = addressed(r#"{"user":"\u00e9\u0000"}"#);
    assert_eq!(escaped, Ok(vec![user("é\0")]));
}

#[test]
fn a_confused_audience_is_refused() {
    for to in [
        "{}",
        "[]",
        r#"["1"]"#,
        r#""42""#,
        "null",
        r#"{"user":""}"#,
        r#"{"user":null}"#,
        r#"{"user":true}"#,
        r#"{"user":1.5}"#,
        r#"{"user":123456789012345678901234567890}"#,
        r#"{"user":["1"]}"#,
        r#"{"users":"1"}"#,
        r#"{"users":[null]}"#,
        r#"{"users":[[]]}"#,
        r#"{"users":{"1":1}}"#,
        r#"{"group":7}"#,
        r#"{"group":""}"#,
        r#"{"session":"abc"}"#,
        r#"{"connection":"xyz"}"#,
        r#"{"everyone":false}"#,
        r#"{"everyone":1}"#,
        r#"{"User":"1"}"#,
        r#"{"user":"1","group":"staff"}"#,
        r#"{"user":"1","everyone":true}"#,
        r#"{"user":"1","user":"2"}"#,
    ] {
        let error = addressed(to).expect_err(to);
        assert!(
            matches!(error, DecodeError::Refused { .. }),
            "{to}: {error}"
        );
    }
    let long = "x".repeat(256);
    assert!(addressed(&format!(r#"{{"user":"{long}"}}"#)).is_err());
    assert!(addressed(&format!(r#"{{"user":"{}"}}"#, &long[1..])).is_ok());
    let users = |number| format!(r#"{{"users":[{}]}}"#, vec!["1"; number].join(","));
    assert!(addressed(&users(10_000)).is_ok());
    assert!(addressed(&users(10_001)).is_err());
}

#[test]
fn options_are_decoded() {
    let now = Instant::now();
    let text = r#"{"to":{"user":"1"},"frame":1,"id":"a","ttl":"60s","key":"k",
        "exclude":"00000000000000ff","socket":"/ws/a/"}"#;
    let Decoded { id, publication } = decode(text.as_bytes(), FRAME_SIZE, now).unwrap();
    assert_eq!(id.as_deref(), Some("a"));
    assert_eq!(publication.key.as_deref(), Some("k"));
    assert_eq!(publication.socket.as_deref(), Some("/ws/a/"));
    assert_eq!(publication.expires, Some(now + Duration::from_mins(1)));
    let exclude = publication.exclude.unwrap();
    assert_eq!(exclude.to_string(), "00000000000000ff");
    let absent = r#"{"to":{"user":"1"},"frame":1,"id":null,"ttl":null,"key":null,
        "exclude":null,"socket":null}"#;
    let Decoded { id, publication } = decoded(absent).unwrap();
    assert!(id.is_none() && publication.expires.is_none() && publication.exclude.is_none());
}

#[test]
fn a_ttl_is_a_time_above_zero() {
    let ttl = |ttl: &str| {
        let now = Instant::now();
        let text = format!(r#"{{"to":{{"user":"1"}},"frame":1,"ttl":{ttl}}}"#);
        let decoded = decode(text.as_bytes(), FRAME_SIZE, now).ok()?;
        Some(decoded.publication.expires.map(|expires| expires - now))
    };
    assert_eq!(ttl("90"), Some(Some(Duration::from_secs(90))));
    assert_eq!(ttl("0.5"), Some(Some(Duration::from_millis(500))));
    assert_eq!(ttl(r#""250ms""#), Some(Some(Duration::from_millis(250))));
    assert_eq!(ttl("18446744073709551615"), Some(None));
    for wrong in [
        "0",
        "-1",
        "0.0",
        "-0.5",
        "1e300",
        r#""0s""#,
        r#""60""#,
        r#""soon""#,
        "true",
        "[]",
    ] {
        assert_eq!(ttl(wrong), None, "{wrong}");
    }
}

#[test]
fn complaints_name_what_and_where() {
    let (message, line, column) = refused("{\"to\":{\"user\":\"1\"},\n \"frame\":{\"a\":}}");
    assert!(message.contains("expected value"), "{message}");
    assert_eq!((line, column), (2, 15));
    let (message, line, column) = refused("{\"to\":{\"user\":\"1\"},\n\"farme\":{}}");
    assert!(message.contains("unknown field `farme`"), "{message}");
    assert!(message.contains("`frame`"), "{message}");
    assert_eq!((line, column), (2, 7));
    let (message, ..) = refused(r#"{"to":{"user":"1"}}"#);
    assert!(message.contains("missing field `frame`"), "{message}");
    let (message, ..) = refused(r#"{"frame":1}"#);
    assert!(message.contains("missing field `to`"), "{message}");
    let (message, ..) = refused(r#"{"to":{"user":"1"},"to":{"user":"2"},"frame":1}"#);
    assert!(message.contains("duplicate field `to`"), "{message}");
    let (message, ..) = refused(r#"{"to":{"user":"1"},"frame":1} x"#);
    assert!(message.contains("trailing characters"), "{message}");
    let (message, line, column) = refused("");
    assert!(message.contains("EOF"), "{message}");
    assert_eq!((line, column), (1, 1));
    let (message, ..) = refused(r#"[{"user":"1"},1]"#);
    assert!(message.contains("expected an object"), "{message}");
}

#[test]
fn a_complaint_does_not_echo_a_whole_body() {
    let (message, ..) = refused(&format!(r#"{{"{}":1}}"#, "é".repeat(10_000)));
    assert!(message.len() <= 300, "{}", message.len());
}

#[test]
fn bytes_that_are_not_utf8_are_placed() {
    let text = b"{\"to\":{\"user\":\"1\"},\n\"frame\":\"\xff\"}";
    let error = decode(text, FRAME_SIZE, Instant::now()).unwrap_err();
    assert_eq!(
        error,
        DecodeError::NotUtf8(TextPosition {
            line: 2,
            column: 10
        })
    );
}

#[test]
fn a_frame_that_fits_no_outbox_is_refused() {
    let text = |size: usize| {
        let frame = "x".repeat(size - 2);
        format!(r#"{{"to":{{"user":"1"}},"frame":"{frame}"}}"#)
    };
    assert!(decoded(&text(FRAME_SIZE)).is_ok());
    let error = decoded(&text(FRAME_SIZE + 1)).unwrap_err();
    let place = TextPosition {
        line: 1,
        column: 28,
    };
    let (size, limit) = (FRAME_SIZE + 1, FRAME_SIZE);
    assert_eq!(error, DecodeError::FrameTooLarge { size, limit, place });
}

#[test]
fn a_frame_that_could_be_taken_for_the_gateways_own_word_is_refused() {
    let text = |frame: &str| format!(r#"{{"to":{{"user":"1"}},"frame":{frame}}}"#);
    for frame in [r#"{"gatepost":"resync"}"#, r#"{"a":1,"g\u0061tepost":{}}"#] {
        let (message, line, column) = refused(&text(frame));
        assert!(message.contains("`gatepost`"), "{message}");
        assert_eq!((line, column), (1, 28));
    }
    for frame in [r#"["gatepost"]"#, r#"{"a":{"gatepost":1}}"#] {
        assert!(decoded(&text(frame)).is_ok(), "{frame}");
    }
}

#[test]
fn a_text_is_sent_as_it_is() {
    let content = |members: &str| {
        let text = format!(r#"{{"to":{{"user":"1"}},{members}}}"#);
        decoded(&text).map(|decoded| decoded.publication.content)
    };
    let html = Content::Text("<li class=\"a\">é\n</li>".into());
    let members = r#""text":"<li class=\"a\">\u00e9\n</li>""#;
    assert_eq!(content(members), Ok(html.clone()));
    // A caller may send every member.
    assert_eq!(content(&format!(r#""frame":null,{members}"#)), Ok(html));
    assert_eq!(content(r#""text":"""#), Ok(Content::Text("".into())));
    let null = Content::Frame(Frame::new("null"));
    assert_eq!(content(r#""frame":null"#), Ok(null.clone()));
    assert_eq!(content(r#""frame":null,"text":null"#), Ok(null));
    assert_eq!(content(r#""text":"[{""#), Ok(Content::Text("[{".into())));
    let word = r#"{"gatepost":"resync"}"#;
    assert_eq!(
        content(&format!(r#""text":{word:?}"#)),
        Ok(Content::Text(word.into()))
    );
}

#[test]
fn what_is_neither_or_both_is_refused_with_its_place() {
    let complaint = |members: &str| refused(&format!(r#"{{"to":{{"user":"1"}},{members}}}"#));
    let (message, line, column) = complaint(r#""frame":1,"text":"a""#);
    assert_eq!(
        message,
        "`text` stands beside `frame`, expected one of them"
    );
    assert_eq!((line, column), (1, 37));
    let (message, line, column) = complaint(r#""end":false"#);
    assert!(message.starts_with("missing field `frame`"), "{message}");
    assert_eq!((line, column), (1, 31));
    for text in ["1", "true", "{}", "[]"] {
        let (message, ..) = complaint(&format!(r#""text":{text}"#));
        assert_eq!(message, "`text` is not a JSON string");
    }
    let (message, line, column) = complaint(r#""text":"ab\ud800cd""#);
    assert_eq!(message, "`text` has half of a character (a lone surrogate)");
    assert!((line, 27) < (line, column) && column < 40, "{column}");
}

#[test]
fn a_text_counts_as_it_is_sent() {
    let text = |size: usize| {
        let escaped = r"\u0061".repeat(size);
        decoded(&format!(r#"{{"to":{{"user":"1"}},"text":"{escaped}"}}"#))
    };
    assert!(text(FRAME_SIZE).is_ok());
    let error = text(FRAME_SIZE + 1).unwrap_err();
    assert!(
        matches!(error, DecodeError::FrameTooLarge { size, .. } if size == FRAME_SIZE + 1),
        "{error}"
    );
}

#[test]
fn an_end_needs_neither_frame_nor_text() {
    let publication = |members: &str| {
        let text = format!(r#"{{"to":{{"topic":"a.job:1"}},{members}}}"#);
        decoded(&text).unwrap().publication
    };
    let end = publication(r#""end":true"#);
    assert_eq!((end.content, end.end), (Content::Nothing, true));
    let last = publication(r#""frame":{},"end":true"#);
    assert_eq!(
        (last.content, last.end),
        (Content::Frame(Frame::new("{}")), true)
    );
    for members in [
        r#""frame":1"#,
        r#""frame":1,"end":false"#,
        r#""frame":1,"end":null"#,
    ] {
        assert!(!publication(members).end, "{members}");
    }
}

#[test]
fn an_event_has_a_name_that_is_not_the_gateways_own() {
    let event = |name: &str| {
        let text = format!(r#"{{"to":{{"user":"1"}},"frame":1,"event":{name}}}"#);
        decoded(&text).map(|decoded| decoded.publication.event)
    };
    let long = "x".repeat(100);
    for name in ["progress", "Fortschritt von 17 ü", "Close", &long] {
        let named = event(&serde_json::to_string(name).unwrap());
        assert_eq!(named.unwrap().as_deref(), Some(name));
    }
    assert_eq!(event("null"), Ok(None));
    for wrong in [
        r#""gatepost""#,
        r#""cl\u006fse""#,
        r#""""#,
        r#""a\nb""#,
        r#""a\r""#,
        r#""\u0000""#,
        r#""\u0085""#,
        "7",
        &format!(r#""x{long}""#),
    ] {
        let error = event(wrong).expect_err(wrong);
        assert!(error.to_string().contains("an event's name"), "{error}");
    }
}

#[test]
fn deep_json_is_refused() {
    let text = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"to":{{"user":"1"}},"frame":{open}{close}}}"#)
    };
    assert!(decoded(&text(128)).is_ok());
    let error = decoded(&text(129)).unwrap_err();
    assert!(matches!(error, DecodeError::TooDeep(_)), "{error}");
    // Beyond what any stack would bear, in every place.
    let brackets = "[".repeat(100_000);
    for text in [
        brackets.clone(),
        format!(r#"{{"to":{brackets}"#),
        format!(r#"{{"to":{{"user":{brackets}"#),
        format!(r#"{{"to":{{"user":"1"}},"frame":{brackets}"#),
        format!(r#"{{"x":{brackets}"#),
        "{\"to\":".repeat(100_000),
    ] {
        assert!(decoded(&text).is_err());
    }
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>()
            .prop_filter("JSON has no NaN", |value| value.is_finite())
            .prop_map(|value| value.to_string()),
        any::<String>().prop_map(|value| serde_json::to_string(&value).unwrap()),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let pair = (any::<String>(), inner.clone())
            .prop_map(|(key, value)| format!("{}:{value}", serde_json::to_string(&key).unwrap()));
        prop_oneof![
            proptest::collection::vec(inner, 0..6)
                .prop_map(|list| format!("[{}]", list.join(" ,"))),
            proptest::collection::vec(pair, 0..6)
                .prop_map(|list| format!("{{{}}}", list.join(",\t"))),
        ]
    })
}

/// Something near a publication: its own words in any order.
fn nearly() -> impl Strategy<Value = String> {
    let words = proptest::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"to\"",
        "\"frame\"",
        "\"text\"",
        "\"event\"",
        "\"end\"",
        "\"user\"",
        "\"users\"",
        "\"id\"",
        "\"ttl\"",
        "\"everyone\"",
        "true",
        "null",
        "1",
        "-0",
        "1e999",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"60s\"",
        " ",
        "\n",
        "\u{feff}",
        "é",
        "\\",
        "\"",
    ]);
    proptest::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&text, FRAME_SIZE, Instant::now());
    }

    #[test]
    fn near_misses_are_refused_with_a_place_in_the_text(text in nearly()) {
        if let Err(error) = decoded(&text) {
            let TextPosition { line, column } = error.place();
            prop_assert!((1..=text.split('\n').count()).contains(&line));
            prop_assert!((1..=text.len() + 1).contains(&column));
        }
    }

    #[test]
    fn any_json_arrives_as_it_was_written(frame in json()) {
        let text = format!(r#"{{"to":{{"everyone":true}},"frame":{frame}}}"#);
        let decoded = decode(text.as_bytes(), 1 << 20, Instant::now()).unwrap();
        let Content::Frame(decoded) = decoded.publication.content else {
            panic!("no frame");
        };
        prop_assert_eq!(decoded.text(), frame);
    }

    #[test]
    fn a_cut_publication_is_refused(frame in json(), cut in any::<proptest::sample::Index>()) {
        let text = format!(r#"{{"to":{{"everyone":true}},"frame":{frame}}}"#);
        let end = cut.index(text.len());
        prop_assert!(decode(&text.as_bytes()[..end], 1 << 20, Instant::now()).is_err());
    }
}
