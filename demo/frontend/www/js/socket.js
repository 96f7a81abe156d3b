// The WebSocket of the session contract: Django's session cookie and nothing else. The URL, the
// handlers and the ping are those that the contract shows; what a page does with them is handed in
// by main.js.

export function connect(handlers) {
  // Build WebSocket URL (same scheme as page: ws for http, wss for https)
  const protocol = window.location.protocol === 'https:' ? 'wss:' : 'ws:';
  const wsUrl = `${protocol}//${window.location.host}/ws/notifications/`;

  const ws = new WebSocket(wsUrl);

  ws.onopen = () => {
    handlers.opened();
  };

  ws.onmessage = (event) => {
    const data = JSON.parse(event.data);
    if (data.type === 'notification') {
      handlers.notification(data);
    } else if (data.type === 'pong') {
      handlers.pong();
    }
  };

  ws.onerror = () => {
    handlers.failed();
  };

  ws.onclose = (event) => {
    clearInterval(heartbeat);
    // 4001 = anonymous user (not logged in)
    handlers.closed(event.code, event.reason);
  };

  const ping = () => {
    if (ws.readyState === WebSocket.OPEN) {
      ws.send(JSON.stringify({ type: 'ping' }));
      handlers.pinged();
    }
  };
  const heartbeat = setInterval(ping, 30000);

  return { ping };
}

// The codes after which connecting again would be answered the same way: log in, or mend something,
// first.
const FINAL = new Set([4001, 1008, 1009, 1011]);

// How long to wait before connecting again, in milliseconds; null: do not. A gateway that is going
// away (1001) says how long in the close reason, so that a crowd does not come back all at once.
export function reconnectDelay(code, reason, attempt) {
  if (FINAL.has(code)) return null;
  const asked = code === 1001 ? Number.parseInt(reason.replace(/\D+/g, ''), 10) : NaN;
  if (Number.isFinite(asked)) return Math.min(asked, 30000);
  const ceiling = Math.min(500 * 2 ** attempt, 10000);
  return ceiling / 2 + Math.random() * (ceiling / 2);
}
