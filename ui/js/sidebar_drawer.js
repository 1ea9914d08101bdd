// On narrow screens the sidebar is a drawer over the page.
import {byId} from './dom.js';

export function startSidebar() {
  const sidebar = byId('sidebar'), opener = byId('open-sidebar'), scrim = byId('scrim');

  function set(open) {
    sidebar.classList.toggle('open', open);
    opener.setAttribute('aria-expanded', String(open));
    scrim.hidden = !open;
    byId('main').inert = open;
    if (open) byId('close-sidebar').focus();
  }
  // Tells whether it was open.
  function close() {
    if (!sidebar.classList.contains('open')) return false;
    set(false);
    opener.focus();
    return true;
  }
  opener.addEventListener('click', () => set(true));
  byId('close-sidebar').addEventListener('click', close);
  scrim.addEventListener('click', close);
  matchMedia('(min-width: 52.01rem)').addEventListener('change', () => set(false));
  return {close};
}
