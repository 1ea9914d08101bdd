// Editing a message in its place.
import {element} from '../dom.js';

// Puts an editor into `host`, in place of what is there, and returns its field. changed(text) is
// called at each change; done(text) with null if nothing shall change: the caller then shows the
// message again.
export function openEditor(host, text, changed, done) {
  const area = element('textarea', {'aria-label': 'Edit the message', rows: Math.min(12, text.split('\n').length + 2)});
  area.value = text;
  const finish = (keep) => done(keep && area.value.trim() !== '' ? area.value.trim() : null);
  const form = element('form', {class: 'editor', submit: (event) => {
    event.preventDefault();
    finish(true);
  }}, area, element('p', {class: 'quiet'}, 'What follows this message is replaced by a new answer.'),
  element('div', {class: 'buttons'},
    element('button', {type: 'button', class: 'button small', click: () => finish(false)}, 'Cancel'),
    element('button', {type: 'submit', class: 'button small primary'}, 'Send')));
  area.addEventListener('input', () => changed(area.value));
  area.addEventListener('keydown', (event) => {
    if (event.isComposing) return;
    if (event.key === 'Escape') {
      event.preventDefault();
      finish(false);
    } else if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      finish(true);
    }
  });
  host.replaceChildren(form);
  return area;
}
