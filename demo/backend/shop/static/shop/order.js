// Live status by a topic, a progress bar by a stream that Django hands over, and who is here.

const order = document.getElementById('order').dataset;
const $ = (id) => document.getElementById(id);
let position = document.querySelector('meta[name=gatepost]').content; // what this page has
let progress = null; // the stream, while it is packed

function listen(tries = 0) {
  const query = new URLSearchParams({ topic: order.topic, position });
  const ws = new WebSocket(`wss://${location.host}/ws/notifications/?${query}`, 'gatepost.v1');
  ws.onmessage = async (event) => {
    const said = JSON.parse(event.data);
    [tries, position] = [0, said.id ?? said.position ?? position];
    if (said.data?.type === 'order') show(said.data);
    if (said.control === 'presence') [$('users').textContent, $('windows').textContent] = [said.users, said.connections];
    if (said.reason === 'expired') location.reload(); // the page's token
    if (said.recovered === false) show(await (await fetch(`${order.url}state/`)).json()); // something was missed
  };
  ws.onclose = ({ code, reason }) => {
    if (code === 4001) location.href = `/accounts/login/?next=${order.url}`;
    const wait = (code === 1001 && Number(reason)) || 1000 * 2 ** Math.min(tries, 5);
    if ([1001, 1006, 1013].includes(code)) setTimeout(listen, wait * (1 + Math.random()), tries + 1);
  };
}

function show({ status, packed, next }) {
  for (const step of document.querySelectorAll('.steps li')) step.classList.toggle('current', step.id === `step-${status}`);
  $('packed').value = packed;
  if ($('next')) [$('next').textContent, $('next').disabled] = [next ?? 'Packing…', !next];
  if (status === 'packing' && (progress?.readyState ?? EventSource.CLOSED) === EventSource.CLOSED) follow();
}

function follow() {
  progress = new EventSource(`${order.url}progress/`);
  progress.onmessage = (event) => { $('packed').value = JSON.parse(event.data).packed; };
  progress.addEventListener('close', () => progress.close());
}

$('next-form')?.addEventListener('submit', (event) => {
  event.preventDefault();
  fetch(event.target.action, { method: 'POST', body: new FormData(event.target) });
});

show(JSON.parse($('state').textContent));
listen();
