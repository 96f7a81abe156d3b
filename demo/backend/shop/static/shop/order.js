// An order's status and who is here, as they change; how far it is packed, by a stream that Django hands over.

const $ = (id) => document.getElementById(id);
const { url, topic, csrf } = $('order').dataset;
const position = document.querySelector('meta[name=gatepost]').content; // what this page has
const live = new EventSource(`/ws/notifications/?${new URLSearchParams({ topic, position })}`);

function show({ status, packed, next }) {
  if (status === 'packing' && !$('step-packing').matches('.current')) follow();
  for (const step of document.querySelectorAll('.steps li')) step.classList.toggle('current', step.id === `step-${status}`);
  $('packed').value = packed;
  if ($('next')) Object.assign($('next'), { textContent: next ?? 'Packing…', disabled: !next });
}

function follow() {
  const packing = new EventSource(`${url}progress/`);
  packing.onmessage = ({ data }) => { $('packed').value = JSON.parse(data).packed; };
  packing.addEventListener('close', () => packing.close());
}

async function refresh() {
  const answer = await fetch(`${url}state/`);
  if (answer.redirected) location.href = `/accounts/login/?next=${url}`; // nobody is logged in any more
  else show(await answer.json());
}

live.addEventListener('order', ({ data }) => show(JSON.parse(data)));
live.addEventListener('gatepost', ({ data }) => {
  const { gatepost, reason, users, connections } = JSON.parse(data);
  if (gatepost === 'presence') [$('users').textContent, $('windows').textContent] = [users, connections];
  if (gatepost === 'resync') refresh(); // something was missed
  if (reason === 'expired') location.reload(); // the page's token
});
live.addEventListener('close', refresh);
live.onerror = () => { if (live.readyState === EventSource.CLOSED) refresh(); };

$('next')?.addEventListener('click', () => fetch(`${url}next/`, { method: 'POST', headers: { 'X-CSRFToken': csrf } }));

show(JSON.parse($('state').textContent));
