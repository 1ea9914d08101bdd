// The keys that work everywhere. Those of the message field are in chat/composer.js.
import {shortcutsDialog} from './dialogs.js';

const kShortcuts = [
  {keys: ['Enter'], does: 'Send the message'},
  {keys: ['Shift', 'Enter'], does: 'New line'},
  {keys: ['Esc'], does: 'Stop the answer'},
  {keys: ['\u2191'], does: 'Edit your last message (in an empty field)'},
  {keys: ['Ctrl', 'K'], does: 'New chat'},
  {keys: ['Ctrl', ','], does: 'Chat settings'},
  {keys: ['Ctrl', 'E'], does: 'Chat or engine'},
  {keys: ['Ctrl', '/'], does: 'This list'},
];

export function showShortcuts() {
  if (!document.querySelector('dialog[open]')) shortcutsDialog(kShortcuts);
}

// actions: {newChat, settings, switchView, escape}; escape() tells whether it did something.
export function startShortcuts(actions) {
  const held = {k: actions.newChat, ',': actions.settings, e: actions.switchView, '/': showShortcuts};
  addEventListener('keydown', (event) => {
    if (document.querySelector('dialog[open]') || event.isComposing) return;
    if (event.key === 'Escape' && !event.defaultPrevented && actions.escape()) event.preventDefault();
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    const action = held[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
