//! A gateway that was built without the feature `otel`.

use crate::harness::{Answer, Django, Gateway, Process};

#[tokio::test]
async fn it_says_that_no_spans_are_sent_and_serves() {
    let django = Django::start().await;
    django.answers_everything(Answer::ok("x"));
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let gateway = Process::start_knowing(Gateway::in_front_of(&django), &[endpoint]).await;
    let log = gateway.log();
    let said = log
        .lines()
        .filter(|line| line.contains("without the feature `otel`"));
    assert_eq!(said.count(), 1, "{log}");
    assert_eq!(gateway.browser().get("/").await.status, 200);
}
