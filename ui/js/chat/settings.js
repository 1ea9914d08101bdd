// The panel with the system prompt and the sampling settings of a conversation.
import {byId, element, iconButton} from '../dom.js';
import {kDefaultSettings} from '../conversations.js';

const kNumbers = [
  {name: 'temperature', label: 'Temperature', max: 2, step: 0.05, slider: true,
   help: '0 always takes the likeliest token; higher is more varied.'},
  {name: 'top_p', label: 'Top-p', max: 1, step: 0.01, slider: true,
   help: 'Keeps the likeliest tokens that together have this probability. 1: all.'},
  {name: 'min_p', label: 'Min-p', max: 1, step: 0.01, slider: true,
   help: 'Drops tokens less likely than this share of the likeliest. 0: none.'},
  {name: 'top_k', label: 'Top-k', max: 1000000, step: 1, help: 'Keeps this many tokens. 0: all.'},
  {name: 'max_tokens', label: 'Longest answer', min: 1, max: 1000000, step: 1, empty: 'no limit',
   help: 'In tokens. Empty: until the model ends or its context is full.'},
  {name: 'seed', label: 'Seed', max: Number.MAX_SAFE_INTEGER, step: 1, empty: 'random',
   help: 'The same seed gives the same answer. Empty: another one each time.'},
];

export class SettingsPanel {
  // onChange(settings) with each valid change.
  constructor(onChange) {
    this.onChange = onChange;
    this.settings = kDefaultSettings;
    this.defaults = {};  // of the server
    this.panel = byId('settings');
    this.toggleButton = byId('toggle-settings');
    this.toggleButton.addEventListener('click', () => this.toggle());
    this.system = element('textarea', {id: 'setting-system', rows: 5, placeholder: 'None', input: () => this.changed()});
    this.inputs = new Map();
    this.panel.append(
      element('header', {}, element('h2', {id: 'settings-heading'}, 'Chat settings'),
              iconButton('close', 'Close the settings', () => this.toggle(false))),
      element('form', {submit: (event) => event.preventDefault()},
        element('div', {class: 'field'}, element('label', {for: 'setting-system'}, 'System prompt'), this.system),
        ...kNumbers.map((number) => this.numberField(number)),
        element('button', {type: 'button', class: 'button', click: () => this.reset()}, 'Back to the defaults'),
        element('p', {class: 'quiet'}, 'They hold for this chat; new chats begin with the last ones you chose.')));
  }

  toggle(open = this.panel.hidden) {
    if (open === !this.panel.hidden) return;
    this.panel.hidden = !open;
    this.toggleButton.setAttribute('aria-expanded', String(open));
    (open ? this.system : this.toggleButton).focus();
  }

  // Closes the panel if the focus is in it, and tells whether it was.
  leave() {
    if (!this.panel.contains(document.activeElement)) return false;
    this.toggle(false);
    return true;
  }

  show(settings) {
    this.settings = settings;
    this.system.value = settings.system;
    for (const [name, inputs] of this.inputs) {
      for (const input of inputs) input.value = settings[name] ?? this.defaults[name] ?? '';
    }
  }

  // What the server takes for what a chat leaves open: shown, but not sent. Comes at any time: it
  // replaces nothing that somebody is typing.
  setDefaults(defaults) {
    this.defaults = defaults;
    for (const [name, inputs] of this.inputs) {
      const open = (this.settings[name] ?? null) === null && !inputs.includes(document.activeElement);
      if (open) inputs.forEach((input) => { input.value = defaults[name] ?? ''; });
    }
  }

  numberField({name, label, min = 0, max, step, slider, empty, help}) {
    const id = `setting-${name}`;
    const range = {min, max, step, 'aria-describedby': `${id}-help`};
    const number = element('input', {...range, id, type: 'number', inputmode: 'decimal', placeholder: empty ?? null});
    const inputs = [number];
    if (slider) inputs.unshift(element('input', {...range, type: 'range', 'aria-label': label}));
    for (const input of inputs) {
      input.addEventListener('input', () => {
        for (const other of inputs) if (other !== input && input.value !== '') other.value = input.value;
        this.changed(name);
      });
    }
    this.inputs.set(name, inputs);
    return element('div', {class: 'field'}, element('label', {for: id}, label),
                   slider ? element('div', {class: 'pair'}, ...inputs) : number,
                   element('span', {class: 'help', id: `${id}-help`}, help));
  }

  // An invalid number changes nothing (the field shows that it is).
  changed(name) {
    const changes = {system: this.system.value};
    const input = this.inputs.get(name)?.at(-1);
    if (input?.validity.valid) changes[name] = input.value === '' ? null : input.valueAsNumber;
    this.settings = {...this.settings, ...changes};
    this.onChange(changes);
  }

  reset() {
    this.show(kDefaultSettings);
    this.onChange(kDefaultSettings);
  }
}
