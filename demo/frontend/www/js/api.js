// What the page asks Django, on its own origin: cookies and CSRF work as in any Django form.

export async function whoAmI() {
  const answer = await fetch('/api/me/', { headers: { Accept: 'application/json' } });
  if (!answer.ok) throw new Error(`Django answered ${answer.status}`);
  return answer.json();
}

// Resolves to null when it was sent, or to a sentence that says why not.
export async function sendNotification(form) {
  const body = new FormData(form);
  body.set('csrfmiddlewaretoken', csrfToken());
  let answer;
  try {
    const headers = { Accept: 'application/json' };
    answer = await fetch(form.action, { method: 'POST', body, headers });
  } catch {
    return 'The gateway cannot be reached.';
  }
  if (answer.ok) return null;
  const isJson = (answer.headers.get('Content-Type') ?? '').startsWith('application/');
  const said = isJson ? await answer.json().catch(() => ({})) : {};
  const field = Object.values(said.errors ?? {})[0]?.[0]?.message;
  return field ?? said.error ?? said.detail ?? `Not sent: the answer was ${answer.status}.`;
}

export function csrfToken() {
  const pair = document.cookie.split('; ').find((cookie) => cookie.startsWith('csrftoken='));
  return pair ? decodeURIComponent(pair.slice('csrftoken='.length)) : '';
}
