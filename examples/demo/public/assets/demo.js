// The page is complete without this: here it only stays up to date.
const seconds = value => value.toFixed(2) + ' s';

function row(thread) {
  const tr = document.createElement('tr');
  tr.className = thread.serves ? 'serves' : '';
  const state = thread.serves ? 'served you' : thread.state;
  for (const text of [thread.id, thread.name, thread.role, state, seconds(thread.seconds)]) {
    tr.insertCell().textContent = text;
  }
  tr.cells[2].className = 'prose';
  tr.lastChild.className = 'number';
  return tr;
}

function fact([label, value]) {
  const div = document.createElement('div');
  for (const [tag, text] of [['dt', label], ['dd', value]]) {
    div.append(Object.assign(document.createElement(tag), { textContent: text }));
  }
  return div;
}

const live = document.querySelector('.live');

async function refresh() {
  if (document.hidden) return;
  try {
    const response = await fetch('/status.php');
    if (!response.ok) throw new Error(response.statusText);
    const status = await response.json();
    document.querySelector('#facts').replaceChildren(...Object.entries(status.facts).map(fact));
    document.querySelector('#threads')?.replaceChildren(...status.threads.map(row));
    live.hidden = false;
  } catch {
    live.hidden = true; // the server is away; the next look may find it
  }
}

refresh();
setInterval(refresh, 2000);

document.querySelector('#stream').addEventListener('click', async event => {
  event.preventDefault();
  const output = document.querySelector('#streamed');
  output.hidden = false;
  output.textContent = '';
  const response = await fetch(event.target.href);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    output.textContent += read.value;
  }
});
