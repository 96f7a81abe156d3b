"""`GATEPOST["TOPICS"]`: who listens by a token is asked about again while the page is open."""

from harness.browser import log_in

LISTEN = """() => {
    window.said = [];
    const topic = encodeURIComponent(document.querySelector("#order").dataset.topic);
    window.ws = new WebSocket(`wss://${location.host}/ws/notifications/?topic=${topic}&welcome=1`);
    ws.onmessage = (event) => said.push(JSON.parse(event.data));
    ws.onclose = () => said.push("closed");
}"""


def test_who_may_no_longer_see_an_object_hears_it_no_more_and_others_do(start_site):
    site = start_site(auth='revalidate = "2s"')
    site.manage("demo_orders")
    ann, bob = site.browser.visitor().new_page(), site.browser.visitor().new_page()
    for page, name in ((ann, "ann"), (bob, "bob")):
        log_in(page, site.origin, name)
        page.goto(f"{site.origin}/orders/")
        page.evaluate(LISTEN)
        page.wait_for_function("said[0]?.gatepost === 'welcome'")
    change(site, "status='packed'")
    for page in (ann, bob):
        page.wait_for_function("said.some((one) => one.status === 'packed')")

    # The order is another customer's: no signal of Django's says so.
    change(site, "customer=User.objects.get(username='ann')")

    ended = "said.find((one) => one.gatepost === 'unsubscribed')"
    bob.wait_for_function(ended)
    said = bob.evaluate(ended)
    assert said["reason"] == "not_allowed"
    assert said["topics"] == [f"shop.order:{bob.url.split('/')[-2]}"]
    change(site, "status='sent'")
    ann.wait_for_function("said.some((one) => one.status === 'sent')")
    # The socket goes on; what was published before its pong would have come before it.
    bob.evaluate('ws.send(\'{"type":"ping"}\')')
    bob.wait_for_function("said.at(-1).type === 'pong'")
    assert not bob.evaluate("said.some((one) => one.status === 'sent' || one === 'closed')")


def change(site, what):
    """Changes the order past Django's signals, and tells its page as a task would."""
    site.manage(
        "shell",
        "--command",
        "from django.contrib.auth.models import User; from shop.models import Order;"
        f"Order.objects.update({what}); Order.objects.get().tell()",
    )
