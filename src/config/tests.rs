use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::load::{self, LoadOptions, parse};
use super::*;

const SHIPPED: &str = include_str!("../../gateway.toml");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn parsed(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let environment = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    parse(text, Path::new("gateway.toml"), &environment)
}

fn findings(text: &str, variables: &[(&str, &str)]) -> String {
    parsed(text, variables).unwrap_err().to_string()
}

#[test]
fn the_shipped_file_says_exactly_the_defaults() {
    let shipped = parsed(SHIPPED, &[]).unwrap();
    assert_eq!(
        format!("{shipped:#?}"),
        format!("{:#?}", parsed("", &[]).unwrap())
    );
}

/// Keys that stand in the shipped file, by section; `commented` says which form is looked for.
fn keys_in_shipped(commented: bool) -> BTreeSet<(String, String)> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in SHIPPED.lines() {
        let (line, is_comment) = match line.strip_prefix("# ") {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.trim_start_matches('[').split(']').next().unwrap();
            name.clone_into(&mut section);
        } else if let Some((key, _)) = line.split_once(" = ")
            && key
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
            && is_comment == commented
        {
            keys.insert((section.clone(), key.to_owned()));
        }
    }
    keys
}

#[test]
fn the_shipped_file_names_every_key_and_comments_out_only_those_without_default() {
    let known: BTreeSet<_> = load::known_keys()
        .into_iter()
        .map(|(section, key)| (section.to_owned(), key.to_owned()))
        .collect();
    let (set, commented) = (keys_in_shipped(false), keys_in_shipped(true));
    assert_eq!(
        set.union(&commented).cloned().collect::<BTreeSet<_>>(),
        known
    );
    let without_default = |(section, key): &(String, String)| {
        matches!(
            section.as_str(),
            "tls" | "tls.acme" | "frontend" | "files" | "upstreams" | "sockets"
        ) || matches!(key.as_str(), "mode" | "watch" | "session_cookie")
            || key.ends_with("_file")
    };
    assert!(commented.iter().all(without_default), "{commented:?}");
    assert!(!set.iter().any(without_default), "{set:?}");
}

#[test]
fn the_commented_lists_of_the_shipped_file_are_their_defaults() {
    let text: String = SHIPPED
        .lines()
        .skip_while(|line| !line.contains("[[upstreams]]"))
        .take_while(|line| !line.starts_with("[auth]"))
        .map(|line| line.trim_start_matches("# ").to_owned() + "\n")
        .collect();
    let config = parsed(&text, &[]).unwrap();
    let minimal = parsed(
        "[[upstreams]]\npath = \"/ws/chat/\"\nupstream = \"http://127.0.0.1:8001\"\n\
         [[sockets]]\npath = \"/ws/notifications/\"\n",
        &[],
    );
    assert_eq!(format!("{config:?}"), format!("{:?}", minimal.unwrap()));
}

#[test]
fn command_line_beats_variable_beats_file_beats_default() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let load = |text: &str, variables: &[(&str, &str)], log_format| {
        std::fs::write(&path, text).unwrap();
        let environment = variables
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let options = LoadOptions {
            path: path.clone(),
            environment: environment.collect(),
            log_format,
            app: None,
        };
        load::load(&options).unwrap().log
    };
    let file = "[log]\nlevel = \"warn\"\nformat = \"pretty\"\n";
    let variables = [
        ("GATEPOST_LOG__LEVEL", "debug"),
        ("GATEPOST_LOG__FORMAT", "json"),
    ];
    assert_eq!(load("", &[], None).level, "info");
    assert_eq!(load(file, &[], None).level, "warn");
    assert_eq!(load(file, &variables, None).level, "debug");
    assert_eq!(load(file, &variables, None).format, LogFormat::Json);
    assert_eq!(
        load(file, &variables, Some(LogFormat::Pretty)).format,
        LogFormat::Pretty
    );
}

#[test]
fn every_kind_of_key_can_be_set_by_a_variable() {
    let config = parsed(
        "[server]\nhosts = [\"file.test\"]\n",
        &[
            ("GATEPOST_SERVER__HOSTS", "a.test, b.test"),
            ("GATEPOST_SERVER__LAN", "false"),
            ("GATEPOST_SERVER__HTTP", ""),
            ("GATEPOST_DJANGO__PATHS", "[\"/a/\", \"/b/\"]"),
            ("GATEPOST_LIMITS__HEADERS", "50"),
            ("GATEPOST_LIMITS__BODY_SIZE", "1GiB"),
            ("GATEPOST_BUFFERING__DISK", "4GiB"),
            ("GATEPOST_AUTH__TIMEOUT", "500ms"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.hosts, ["a.test", "b.test"]);
    assert!(!config.server.lan && config.server.http.is_empty());
    assert_eq!(config.django.paths, ["/a/", "/b/"]);
    assert_eq!(
        (config.limits.headers, config.limits.body_size),
        (50, 1 << 30)
    );
    assert_eq!(config.auth.timeout.as_millis(), 500);
}

#[test]
fn a_number_may_be_spelled_in_every_way_of_toml() {
    for text in ["1_000", "+1000", "0x3e8"] {
        let config = parsed(&format!("[limits]\nheaders = {text}\n"), &[]).unwrap();
        assert_eq!(config.limits.headers, 1000, "{text}");
    }
}

#[test]
fn a_variable_with_one_underscore_too_few_is_a_finding_and_others_are_not() {
    let shown = findings("", &[("GATEPOST_DJANGO_SESSION_COOKIE", "x")]);
    assert!(shown.contains("GATEPOST_DJANGO_SESSION_COOKIE"), "{shown}");
    assert!(
        shown.contains("GATEPOST_DJANGO__SESSION_COOKIE, with"),
        "{shown}"
    );
    let others = [("GATEPOST_URL", "x"), ("GATEPOST_SERVICE_HOST", "x")];
    assert!(parsed("", &others).is_ok());
}

#[test]
fn an_empty_variable_unsets_a_key_without_default() {
    let text = "[frontend]\nupstream = \"http://127.0.0.1:5173\"\n";
    assert!(
        parsed(text, &[("GATEPOST_FRONTEND__UPSTREAM", "")])
            .unwrap()
            .frontend
            .is_none()
    );
}

#[test]
fn a_finding_in_a_variable_names_it() {
    insta::assert_snapshot!(findings(
        "",
        &[
            ("GATEPOST_SECRET", "too short"),
            ("GATEPOST_SERVER__HTTPS", ":8443"),
            ("GATEPOST_SERVER__HOST", "a.test"),
            ("GATEPOST_SEVER__HOSTS", "a.test"),
            ("GATEPOST_SOCKETS__PATH", "/ws/"),
            ("GATEPOST_LIMITS__HEADERS", "many"),
        ],
    ));
}

#[test]
fn dev_means_a_certificate_of_the_local_ca_unless_said() {
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("site.pem");
    std::fs::write(&pem, "").unwrap();
    let tls = format!("[tls]\ncert = {pem:?}\nkey = {pem:?}\n");
    let mode = |text: &str| parsed(text, &[]).unwrap().mode;
    assert_eq!(mode(""), Mode::Dev);
    assert_eq!(mode(&tls), Mode::Production);
    assert_eq!(mode("[server]\nmode = \"production\"\n"), Mode::Production);
    assert_eq!(mode(&format!("{tls}[server]\nmode = \"dev\"\n")), Mode::Dev);
}

#[test]
fn where_tls_ends_in_front_there_is_no_certificate_and_the_mode_is_production() {
    let text = "[server]\nhttps = \"\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n";
    let config = parsed(text, &[]).unwrap();
    assert_eq!(config.mode, Mode::Production);
    assert!(config.tls.is_none());
    assert_eq!(config.server.http.len(), 2);
    assert!(!config.server.is_on_loopback());
    let dev = parsed(&format!("{text}mode = \"dev\"\n"), &[]).unwrap();
    assert!(dev.mode == Mode::Dev && dev.server.is_on_loopback());
    let by_variable = [
        ("GATEPOST_SERVER__HTTPS", ""),
        ("GATEPOST_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, unix"),
    ];
    assert!(parsed("", &by_variable).unwrap().tls.is_none());
}

#[test]
fn a_port_alone_is_for_this_machine_in_dev_unless_the_network_may_come() {
    let listens = |text: &str| {
        let server = parsed(text, &[]).unwrap().server;
        let http: Vec<_> = server.http.iter().map(ToString::to_string).collect();
        format!("{:?} [{}]", server.https, http.join(", "))
    };
    let own = "[127.0.0.1:8443, [::1]:8443] [127.0.0.1:8080, [::1]:8080]";
    let open = "[0.0.0.0:8443, [::]:8443] [0.0.0.0:8080, [::]:8080]";
    assert_eq!(listens(""), own);
    assert_eq!(listens("[server]\nlan = true\n"), open);
    assert_eq!(listens("[server]\nmode = \"production\"\n"), open);
    let written = "https = [\"0.0.0.0:1\", \"2\"]\nhttp = \"192.0.2.7:3\"\n";
    let in_dev = "[0.0.0.0:1, 127.0.0.1:2, [::1]:2] [192.0.2.7:3]";
    assert_eq!(listens(&format!("[server]\n{written}")), in_dev);
}

#[test]
fn a_secret_comes_from_variable_or_file_or_is_made_where_django_can_read_it() {
    let secret =
        |text: &str, variables: &[(&str, &str)]| parsed(text, variables).unwrap().django.secret;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{}\n", SECRET.to_uppercase())).unwrap();
    let with_file = format!("[django]\nsecret_file = {file:?}\nsecret_env = \"OTHER\"\n");
    let current = |source| match source {
        SecretSource::Given(secrets) => {
            String::from_utf8(secrets.current.expose().to_vec()).unwrap()
        }
        SecretSource::DevelopmentFile(path) => path.display().to_string(),
    };
    assert_eq!(current(secret("", &[("GATEPOST_SECRET", SECRET)])), SECRET);
    assert_eq!(
        current(secret(&with_file, &[("GATEPOST_SECRET", "ignored")])),
        SECRET.to_uppercase()
    );
    assert_eq!(current(secret(&with_file, &[("OTHER", SECRET)])), SECRET);
    let made = std::env::current_dir().unwrap().join(".gatepost/secret");
    assert_eq!(
        current(secret("", &[("GATEPOST_SECRET", "")])),
        made.display().to_string()
    );
    let remote = "[django]\nupstream = \"http://django:8000\"\n";
    insta::assert_snapshot!(findings(remote, &[]));
    assert_eq!(
        current(secret(remote, &[("GATEPOST_SECRET", SECRET)])),
        SECRET
    );
}

#[test]
fn neither_findings_nor_debug_show_a_secret() {
    let text = "[django]\nsecret = \"hunter2hunter2hunter2hunter2hunter2\"\n\
                upstream = \"http://u:hunter2@h\"\n";
    let shown = findings(text, &[("GATEPOST_SECRET_PREVIOUS", "hunter2")]);
    assert!(!shown.contains("hunter2"), "{shown}");
    let config = parsed("", &[("GATEPOST_SECRET", SECRET)]).unwrap();
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: PathBuf| {
        let options = LoadOptions {
            path,
            environment: Environment::default(),
            log_format: None,
            app: None,
        };
        load::load(&options).unwrap_err().to_string()
    };
    let missing = load(folder.path().join("gateway.toml"));
    assert!(
        missing.contains("there is no such file") && missing.contains("hint: "),
        "{missing}"
    );
    let latin1 = folder.path().join("latin1.toml");
    std::fs::write(&latin1, b"[server]\n# \xe9\n").unwrap();
    assert!(load(latin1).contains("not UTF-8 in line 2"));
    assert!(load(folder.path().to_owned()).contains("cannot be read"));
}

#[test]
fn every_upstream_host_survives_its_display() {
    for text in [
        "http://127.0.0.1:8000",
        "http://[::1]:80",
        "unix:/run/a.sock",
    ] {
        let config = parsed(&format!("[frontend]\nupstream = \"{text}\"\n"), &[]).unwrap();
        let Some(FrontendConfig::Upstream(upstreams)) = config.frontend else {
            panic!("no upstream");
        };
        assert_eq!(upstreams[0].to_string(), text);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[\\[\\]a-z_=\"'#{},.:/@0-9\\n\\r é\u{1b}-]{0,120}") {
        if let Err(errors) = parsed(&text, &[]) {
            let shown = errors.to_string();
            proptest::prop_assert!(!shown.contains('\u{1b}'), "{shown:?}");
        }
    }

    #[test]
    fn no_value_makes_the_parser_panic(key in 0..60usize, value in "(\"[ -~é]{0,20}\"|[0-9]{1,30}|true|\\[\\]|\\{\\}|\\[\"[ -~]{0,9}\"\\])") {
        let keys = load::known_keys();
        let (section, key) = keys[key % keys.len()];
        let open = if ["files", "upstreams", "sockets"].contains(&section) { "[[" } else { "[" };
        let close = open.replace('[', "]");
        if let Err(errors) = parsed(&format!("{open}{section}{close}\n{key} = {value}\n"), &[]) {
            proptest::prop_assert!(!errors.findings().is_empty());
        }
    }
}

#[test]
fn a_django_of_its_own_and_one_that_is_named_are_one_too_many() {
    let command = AppCommand {
        words: ["gunicorn", "--workers", "3", "mysite.wsgi"]
            .map(str::to_owned)
            .to_vec(),
        socket: "/tmp/x/app.sock".into(),
        folder: "/nowhere".into(),
    };
    let load = |text: &str| {
        let path = Path::new("gateway.toml");
        load::parse_for(text, path, &Environment::default(), Some(&command))
    };
    let config = load("").unwrap();
    let socket = UpstreamAddress::Unix("/tmp/x/app.sock".into());
    assert_eq!(config.django.upstream, [socket]);
    assert_eq!(config.django.queue.concurrency, Some(3));
    let config = load("[django]\nconcurrency = 2\n").unwrap();
    assert_eq!(config.django.queue.concurrency, Some(2));
    let said = load("[django]\nupstream = \"http://127.0.0.1:8000\"\n").unwrap_err();
    let said = said.to_string();
    assert!(
        said.starts_with("gateway.toml:2:12: django.upstream: is where another Django listens"),
        "{said}"
    );
}
