// Questions in dialogs. The browser keeps the focus inside, and gives it back afterwards.
import {element} from './dom.js';

// Opens a dialog with a form; resolves to its FormData, or to null if it was left.
function ask({title, fields = [], confirm, danger = false, cancel = 'Cancel'}) {
  const heading = element('h2', {id: 'dialog-heading'}, title);
  const form = element('form', {method: 'dialog'}, heading, ...fields,
    element('div', {class: 'buttons'},
      cancel && element('button', {type: 'button', class: 'button', click: () => dialog.close()}, cancel),
      element('button', {type: 'submit', class: danger ? 'button danger' : 'button primary', value: 'yes'}, confirm)));
  const dialog = element('dialog', {'aria-labelledby': 'dialog-heading'}, form);
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector('input')?.select();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes' ? new FormData(form) : null);
    });
  });
}

export async function confirmDialog(title, text, confirm) {
  return await ask({title, confirm, danger: true, fields: [element('p', {}, text)]}) !== null;
}

// Resolves to the trimmed text, or null.
export async function textDialog(title, label, value, confirm) {
  const field = element('div', {class: 'field'}, element('label', {for: 'dialog-text'}, label),
                        element('input', {id: 'dialog-text', name: 'text', type: 'text', value, maxlength: 200}));
  const data = await ask({title, confirm, fields: [field]});
  return data && data.get('text').trim();
}

// Resolves to {key, keep}, or null.
export async function keyDialog() {
  const fields = [
    element('p', {class: 'quiet'}, 'This server answers only to those who have a key.'),
    element('div', {class: 'field'}, element('label', {for: 'dialog-key'}, 'API key'),
            element('input', {id: 'dialog-key', name: 'key', type: 'password', autocomplete: 'off', required: true})),
    element('label', {class: 'check'}, element('input', {type: 'checkbox', name: 'keep'}), 'Keep it in this browser'),
  ];
  const data = await ask({title: 'API key', confirm: 'Use this key', fields});
  return data && {key: data.get('key').trim(), keep: data.get('keep') !== null};
}

export function shortcutsDialog(shortcuts) {
  const rows = shortcuts.flatMap(({keys, does}) => [
    element('dt', {}, does),
    element('dd', {}, ...keys.flatMap((name, i) => i ? [' ', element('kbd', {}, name)] : [element('kbd', {}, name)])),
  ]);
  return ask({title: 'Keyboard shortcuts', confirm: 'Close', cancel: null,
              fields: [element('dl', {class: 'shortcuts'}, ...rows)]});
}
