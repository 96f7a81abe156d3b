const LOGIN = "/admin/login/"; // your LOGIN_URL

let leaving = 0; // when this page last began to go elsewhere
addEventListener("beforeunload", () => { leaving = Date.now(); });

function listen(receive, tries = 0, known = false) {
  const ws = new WebSocket(`wss://${location.host}/ws/notifications/`);
  ws.onopen = () => ws.send('{"type":"ping"}'); // answered only where somebody is logged in
  ws.onmessage = (event) => {
    [tries, known] = [0, true];
    receive(JSON.parse(event.data));
  };
  ws.onclose = ({ code, reason }) => {
    if (code === 4001 && known) setTimeout(logIn, 1000); // no longer; where nobody was, there is nothing to do
    if (![1001, 1006, 1013].includes(code)) return; // not before somebody has mended something
    const wait = (code === 1001 && Number(reason)) || 1000 * 2 ** Math.min(tries, 5);
    setTimeout(listen, wait * (1 + Math.random()), receive, tries + 1, known); // what was missed is not sent again
  };
}

function logIn() {
  if (Date.now() - leaving < 10000) setTimeout(logIn, 10000); // "You are logged out" may be on its way
  else if (location.pathname !== LOGIN) location.href = `${LOGIN}?next=${encodeURIComponent(location.pathname + location.search)}`;
}
