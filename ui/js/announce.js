// Tells screen readers what happened, once and whole, without moving the focus.
import {byId} from './dom.js';

export function announce(text) {
  const region = byId('announcer');
  region.textContent = '';
  // An own task: the same words twice in a row are spoken twice.
  setTimeout(() => { region.textContent = text; }, 50);
}
