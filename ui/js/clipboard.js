// Copying text, also on pages that came over plain HTTP, where navigator.clipboard does not exist.
import {element, icon} from './dom.js';
import {announce} from './announce.js';

export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const focused = document.activeElement;
  const area = element('textarea', {class: 'visually-hidden', readonly: true});
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  focused?.focus();
  if (!copied) throw new Error('the browser did not allow copying');
}

// Copies and says so, on the button and to screen readers.
export async function copyFromButton(button, text) {
  try {
    await copyText(text);
  } catch {
    announce('Could not copy');
    return;
  }
  announce('Copied');
  const old = button.querySelector('.icon');
  old.replaceWith(icon('check'));
  setTimeout(() => button.querySelector('.icon')?.replaceWith(old), 1500);
}
