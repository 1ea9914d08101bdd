// The page: which view is shown, and what belongs to none of them.
//
// Addresses: #/ a new chat, #/chat/ID a conversation, #/engine the engine.
import {fetchModel} from './api.js';
import {ChatView} from './chat/view.js';
import {byId} from './dom.js';
import {EngineView} from './engine/view.js';
import {showShortcuts, startShortcuts} from './shortcuts.js';
import {startSidebar} from './sidebar_drawer.js';
import {startTheme} from './theme.js';

const chat = new ChatView((id) => go(id ? `#/chat/${id}` : '#/'), () => showModel());
const engine = new EngineView(byId('engine-view'), () => chat.askForKey());
const drawer = startSidebar();
let lastChat = '#/';

function go(hash) {
  if (location.hash === hash) show();
  else location.hash = hash;
}

function show() {
  const isEngine = location.hash === '#/engine';
  byId('chat-view').hidden = isEngine;
  byId('engine-view').hidden = !isEngine;
  byId('toggle-settings').hidden = isEngine;
  chat.hidden = isEngine;
  drawer.close();
  if (isEngine) {
    chat.settings.toggle(false);
    byId('engine-link').setAttribute('aria-current', 'page');
    chat.showSidebar();
    byId('view-title').textContent = 'Engine';
    document.title = 'Engine \u2013 Tessera';
    engine.start();
    byId('main').focus();
    return;
  }
  engine.stop();
  byId('engine-link').removeAttribute('aria-current');
  lastChat = location.hash;
  const id = /^#\/chat\/([0-9a-f]{16})$/.exec(location.hash)?.[1] ?? null;
  // A conversation that has just begun is on the screen already.
  if (id === null || id !== chat.conversation?.id) chat.open(id);
  else chat.showState();
  chat.composer.focus();
}

async function showModel() {
  try {
    const model = await fetchModel();
    byId('model-name').textContent = model?.id ?? '';
    chat.setModelName(model?.id ?? '');
    chat.settings.setDefaults(model?.default_generation_settings ?? {});
  } catch {
    // The first message will say what is wrong, and offer what helps.
  }
}

function newChat() {
  go('#/');
  chat.composer.input.focus();
}

startTheme(() => engine.redraw());
startShortcuts({
  newChat,
  settings: () => { if (!chat.hidden) chat.settings.toggle(); },
  switchView: () => go(chat.hidden ? lastChat : '#/engine'),
  escape: () => drawer.close() || chat.settings.leave() || (!chat.hidden && chat.stop()),
});
byId('new-chat').addEventListener('click', newChat);
byId('show-shortcuts').addEventListener('click', showShortcuts);
document.querySelector('.skip-link').addEventListener('click', (event) => {
  event.preventDefault();  // the address belongs to the views
  byId('main').focus();
});
addEventListener('hashchange', show);
// The running answers end here; what they have so far is kept.
addEventListener('pagehide', () => chat.answers.forEach((answer) => answer.leave()));
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
show();
showModel();
