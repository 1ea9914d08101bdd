// Light, dark, or what the system says.
import {byId} from './dom.js';
import {load, save, remove} from './storage.js';

const kNext = {system: 'light', light: 'dark', dark: 'system'};

function current() {
  const theme = load('theme', 'system');
  return theme in kNext ? theme : 'system';
}

function show(theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId('theme-name').textContent = `Theme: ${theme}`;
}

export function startTheme(onChange) {
  show(current());
  byId('toggle-theme').addEventListener('click', () => {
    const theme = kNext[current()];
    if (theme === 'system') remove('theme');
    else save('theme', theme);
    show(theme);
    onChange();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange);
}
