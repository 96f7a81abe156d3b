use std::path::Path;

use super::super::environment::Environment;
use super::super::load::parse_for;
use super::words::{quoted, split};
use super::*;

fn read(
    words: &[&str],
    variables: &[(&str, &str)],
    folder: &Path,
) -> Result<AppServerConfig, String> {
    let command = AppCommand {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        socket: "/tmp/a b/app.sock".into(),
        folder: folder.to_owned(),
    };
    let variables = variables.iter();
    let environment: Environment = variables
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let parsed = parse_for("", Path::new("gateway.toml"), &environment, Some(&command));
    let config = parsed.map_err(|errors| errors.to_string())?;
    Ok(config.app_server.unwrap())
}

fn of(words: &[&str], variables: &[(&str, &str)]) -> AppServerConfig {
    read(words, variables, Path::new("/nowhere")).unwrap()
}

fn refusal(words: &[&str], variables: &[(&str, &str)]) -> String {
    read(words, variables, Path::new("/nowhere")).unwrap_err()
}

fn variable<'a>(config: &'a AppServerConfig, name: &str) -> Option<&'a str> {
    let mut variables = config.variables.iter();
    let (_, value) = variables.find(|(known, _)| *known == name)?;
    Some(value)
}

#[test]
fn gunicorn_is_told_by_its_variable_whatever_starts_it() {
    for words in [
        &["gunicorn", "mysite.wsgi"][..],
        &["/srv/.venv/bin/gunicorn", "mysite.wsgi"],
        &["python", "-m", "gunicorn", "mysite.wsgi"],
    ] {
        let config = of(words, &[]);
        assert_eq!(config.kind, AppServerKind::Gunicorn);
        assert_eq!(config.command, words);
        let told = variable(&config, "GUNICORN_CMD_ARGS").unwrap();
        assert_eq!(told, "--bind 'unix:/tmp/a b/app.sock'");
        assert!(config.kind.reloads_at_hangup());
    }
    let config = of(&["gunicorn", "a"], &[("GUNICORN_CMD_ARGS", "--workers 2")]);
    let told = split(variable(&config, "GUNICORN_CMD_ARGS").unwrap());
    assert_eq!(told, ["--workers", "2", "--bind", "unix:/tmp/a b/app.sock"]);
}

#[test]
fn the_others_are_told_by_an_option_and_any_by_a_placeholder() {
    let command = |words: &[&str]| of(words, &[]).command.join(" ");
    let uvicorn = command(&["uvicorn", "mysite.asgi:application"]);
    assert_eq!(
        uvicorn,
        "uvicorn --uds /tmp/a b/app.sock mysite.asgi:application"
    );
    let granian = command(&["granian", "--interface", "wsgi", "mysite.wsgi"]);
    assert_eq!(
        granian,
        "granian --uds /tmp/a b/app.sock --interface wsgi mysite.wsgi"
    );
    let hypercorn = command(&["python", "-m", "hypercorn", "x"]);
    assert_eq!(
        hypercorn,
        "python -m hypercorn --bind unix:/tmp/a b/app.sock x"
    );
    let daphne = command(&["daphne", "-u", "{socket}", "x"]);
    assert_eq!(daphne, "daphne -u /tmp/a b/app.sock x");
    let gunicorn = of(&["gunicorn", "-b", "unix:{socket}", "x"], &[]);
    assert_eq!(gunicorn.command[2], "unix:/tmp/a b/app.sock");
    assert_eq!(variable(&gunicorn, "GUNICORN_CMD_ARGS"), None);
}

#[test]
fn how_many_requests_gunicorn_does_at_once_is_read_off_its_options() {
    let places = |words: &str, variables: &[(&str, &str)]| {
        of(&words.split(' ').collect::<Vec<_>>(), variables).places
    };
    let inherited = |text: &'static str| [("GUNICORN_CMD_ARGS", text)];
    for (words, expected) in [
        ("gunicorn a", Some(1)),
        ("gunicorn a --workers 3", Some(3)),
        ("gunicorn -w3 --threads=4 a", Some(12)),
        ("gunicorn -w 2 -k gthread --threads 4 a", Some(8)),
        ("gunicorn -k gevent -w 2 a", None),
        ("gunicorn -k uvicorn.workers.UvicornWorker a", None),
        ("gunicorn -w many a", None),
        ("uvicorn --workers 4 a", None),
    ] {
        assert_eq!(places(words, &[]), expected, "{words}");
    }
    assert_eq!(places("gunicorn a", &[("WEB_CONCURRENCY", "5")]), Some(5));
    assert_eq!(
        places("gunicorn -w 2 a", &[("WEB_CONCURRENCY", "5")]),
        Some(2)
    );
    assert_eq!(
        places("gunicorn a", &inherited("-w 2 --threads 3")),
        Some(6)
    );
    assert_eq!(
        places("gunicorn -w 5 a", &inherited("-w 2 --threads 3")),
        Some(15)
    );
    assert_eq!(
        places("gunicorn a", &inherited("--access-logformat '%(t)s -w 9'")),
        Some(1)
    );
}

#[test]
fn what_only_its_file_could_say_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gunicorn.conf.py"), "workers = 9\n").unwrap();
    let places = |words: &[&str]| read(words, &[], folder.path()).unwrap().places;
    assert_eq!(places(&["gunicorn", "a"]), None);
    assert_eq!(places(&["gunicorn", "-w", "2", "a"]), None);
    let all = [
        "gunicorn",
        "-w",
        "2",
        "--threads",
        "2",
        "-k",
        "gthread",
        "a",
    ];
    assert_eq!(places(&all), Some(4));
    assert_eq!(
        of(&["gunicorn", "-c", "python:mysite.conf", "a"], &[]).places,
        None
    );
}

#[test]
fn a_place_of_its_own_is_a_finding() {
    for words in [
        &["gunicorn", "--bind", "0.0.0.0:8000", "a"][..],
        &["gunicorn", "--bind=0.0.0.0:8000", "a"],
        &["gunicorn", "-b:8000", "a"],
        &["uvicorn", "a", "--port", "8000"],
        &["granian", "--host=::", "a"],
        &["hypercorn", "-b", "[::]:80", "a"],
    ] {
        let said = refusal(words, &[]);
        assert!(said.starts_with("command line: `--"), "{said}");
        assert!(
            said.contains("says where Django's server listens"),
            "{said}"
        );
    }
    let said = refusal(&["gunicorn", "a"], &[("GUNICORN_CMD_ARGS", "-b :8000")]);
    assert!(
        said.starts_with("environment variable GUNICORN_CMD_ARGS: `--bind`"),
        "{said}"
    );
    let said = refusal(&["gunicorn", "--daemon", "a"], &[]);
    assert!(said.contains("has gunicorn leave"), "{said}");
}

#[test]
fn a_server_that_nobody_can_tell_where_to_listen_is_a_finding() {
    let said = refusal(&["./start.sh"], &[]);
    assert!(
        said.contains("nothing in `./start.sh` says where"),
        "{said}"
    );
    assert!(said.contains("{socket}"), "{said}");
    let said = refusal(&["python", "manage.py", "runserver"], &[]);
    assert!(said.contains("rungateway"), "{said}");
}

#[test]
fn words_are_split_as_a_shell_splits_them() {
    assert_eq!(
        split("  a  'b c' \"d \\\" e\" f\\ g '' "),
        ["a", "b c", "d \" e", "f g", ""]
    );
    assert_eq!(split(&quoted("it's a \\ b")), ["it's a \\ b"]);
    assert_eq!(split(""), [""; 0]);
}
