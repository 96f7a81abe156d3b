// Draws the state; keeps none. Text from outside only ever becomes textContent, so no notification
// can bring markup. Under Vite this module is replaced while the page lives: the socket and the
// list stay (see main.js).

const $ = (id) => document.getElementById(id);

const SENTENCES = {
  connecting: 'Opening a socket with your session cookie.',
  open: 'The socket is open. Send something, or open a second window as another user.',
  4001: 'Closed with 4001: not logged in, or logged out. Log in to open the socket.',
  1001: 'The gateway is going away and asked this page to come back in a moment.',
  1006: 'The connection broke. Trying again.',
  1008: 'Closed with 1008: the gateway refused what this page sent.',
  1009: 'Closed with 1009: a message was too big.',
  1011: 'Closed with 1011: gateway and Django do not agree; the gateway’s log says why.',
  1013: 'Django cannot be reached. Trying again.',
};

export function draw(state) {
  drawAccount(state.me);
  drawSocket(state.socket);
  drawList($('notifications'), state.notifications, notificationItem);
  drawList($('wire'), state.wire, wireItem);
  $('count').textContent = state.notifications.length;
  $('empty').hidden = state.notifications.length > 0;
  $('empty-text').textContent = state.me?.user
    ? 'Nothing yet. What is sent to you appears here at once.'
    : 'Log in as ann or bob, and what is sent to you appears here at once.';
}

function drawAccount(me) {
  const user = me?.user;
  $('signed-in').hidden = !user;
  $('signed-out').hidden = !me || Boolean(user);
  $('send-fields').disabled = !user;
  $('user-name').textContent = user?.name ?? '';
  $('user-initial').textContent = (user?.name ?? '').slice(0, 1);
  $('admin-link').hidden = !user?.staff;
  $('here').textContent = window.location.host;
  drawChoices(me);
}

function drawChoices(me) {
  const choices = [
    ['everyone', 'Everyone'],
    ...(me?.users ?? []).map((name) => [`user:${name}`, name + (name === me.user.name ? ' (you)' : '')]),
    ...(me?.groups ?? []).map((name) => [`group:${name}`, `Group ${name}`]),
  ];
  const select = $('send-to');
  const drawn = JSON.stringify(choices);
  if (select.dataset.drawn === drawn) return;
  select.dataset.drawn = drawn;
  select.replaceChildren(...choices.map(([value, label]) => new Option(label, value)));
}

function drawSocket({ phase, code }) {
  const socket = $('socket');
  socket.dataset.phase = phase;
  if (code) socket.dataset.code = code;
  else delete socket.dataset.code;
  $('socket-state').textContent = phase === 'closed' ? `closed ${code}` : phase;
  const sentence = SENTENCES[phase === 'closed' ? code : phase];
  $('explain').textContent = sentence ?? `The socket was closed with ${code}.`;
  $('ping').disabled = phase !== 'open';
}

// Newest first. Only new entries are made, so that what is on the screen does not flicker.
function drawList(list, entries, item) {
  const drawn = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const draw = (entry) => drawn.get(String(entry.key)) ?? keyed(item(entry), entry.key);
  list.replaceChildren(...entries.map(draw));
}

function keyed(element, key) {
  element.dataset.key = key;
  return element;
}

function notificationItem({ data, at }) {
  return node('li', 'note', [
    node('span', 'avatar', [String(data.from ?? data.title ?? '?').slice(0, 1)]),
    node('div', 'note-body', [
      node('div', 'note-head', [node('b', 'note-title', [data.title ?? '']), time(at)]),
      node('p', 'note-message', [data.message ?? '']),
      ...(data.from ? [node('span', 'note-from', [`from ${data.from}`])] : []),
    ]),
  ]);
}

function wireItem({ direction, text, at }) {
  const arrow = { in: '↓', out: '↑', event: '·' }[direction];
  return node('li', direction, [node('i', '', [arrow]), node('span', '', [text]), time(at)]);
}

function time(at) {
  const element = node('time', '', [at.toLocaleTimeString([], { hour12: false })]);
  element.dateTime = at.toISOString();
  return element;
}

function node(tag, className, children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

export function showSendStatus(text, isError) {
  const status = $('send-status');
  status.textContent = text;
  status.classList.toggle('error', isError);
}

// A light runs along the way of the notification that has just arrived.
export function pulse() {
  for (const link of [$('link-django'), $('link-socket')]) {
    link.classList.remove('pulse');
    void link.offsetWidth; // restarts the animation
    link.classList.add('pulse');
  }
}
