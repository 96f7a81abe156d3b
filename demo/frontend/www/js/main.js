// Wires the page: state here, the socket in socket.js, Django's calls in api.js, the screen in
// view.js.

import { csrfToken, sendNotification, whoAmI } from './api.js';
import { connect, reconnectDelay } from './socket.js';
import * as firstView from './view.js';

const KEPT = 50;
let view = firstView;

const state = {
  me: null,
  socket: { phase: 'connecting', code: null },
  notifications: [],
  wire: [],
};
let keys = 0;
let attempt = 0;
let logouts = 0;
let current = null;

function add(list, entry) {
  list.unshift({ ...entry, key: (keys += 1), at: new Date() });
  list.splice(KEPT);
  view.draw(state);
}

const wire = (direction, text) => add(state.wire, { direction, text });

function openSocket() {
  state.socket = { phase: 'connecting', code: null };
  view.draw(state);
  const socket = connect({
    opened() {
      attempt = 0;
      state.socket = { phase: 'open', code: null };
      wire('event', 'open');
    },
    notification(data) {
      wire('in', JSON.stringify(data));
      add(state.notifications, { data });
      view.pulse();
    },
    pinged: () => wire('out', '{"type":"ping"}'),
    pong: () => wire('in', '{"type":"pong"}'),
    failed() {},
    closed(code, reason) {
      if (current !== socket) return; // a newer socket took its place
      state.socket = { phase: 'closed', code };
      wire('event', reason ? `close ${code} (${reason})` : `close ${code}`);
      const delay = reconnectDelay(code, reason, attempt);
      attempt += 1;
      if (delay !== null) setTimeout(openSocket, delay);
      if (code === 4001) signedOut();
    },
  });
  current = socket;
}

// The gateway closes a session's sockets at the moment of the logout, when Django may still be
// about to end the session: what it answers to a question asked before then is out of date.
function signedOut() {
  logouts += 1;
  state.me = { user: null, users: [], groups: [] };
  view.draw(state);
}

async function refreshAccount() {
  const asked = logouts;
  try {
    const me = await whoAmI();
    if (asked === logouts) state.me = me;
  } catch {
    // Django is away: what the page knew still stands, and the socket tells when it is back.
  }
  view.draw(state);
}

const sendForm = document.getElementById('send-form');
sendForm.addEventListener('submit', async (event) => {
  event.preventDefault();
  view.showSendStatus('Sending…', false);
  const problem = await sendNotification(sendForm);
  view.showSendStatus(problem ?? 'Sent.', problem !== null);
  if (problem === null) {
    sendForm.elements.title.value = '';
    sendForm.elements.message.value = '';
    sendForm.elements.title.focus();
  }
});

document.getElementById('logout-form').addEventListener('submit', (event) => {
  event.currentTarget.elements.csrfmiddlewaretoken.value = csrfToken();
});
document.getElementById('ping').addEventListener('click', () => current.ping());
// A page that comes back from the browser's back/forward cache has lost its socket without being
// told.
window.addEventListener('pageshow', (event) => {
  if (event.persisted) {
    refreshAccount();
    openSocket();
  }
});
// Somebody may have logged in in another tab meanwhile: the cookie is this tab's, too.
window.addEventListener('focus', async () => {
  if (state.socket.code !== 4001) return;
  await refreshAccount();
  if (state.me?.user && state.socket.code === 4001) openSocket();
});

view.draw(state);
refreshAccount();
openSocket();

if (import.meta.hot) {
  import.meta.hot.accept('./view.js', (changed) => {
    view = changed;
    for (const list of ['notifications', 'wire']) document.getElementById(list).replaceChildren();
    view.draw(state);
  });
}
