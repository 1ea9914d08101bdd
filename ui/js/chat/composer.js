// The message field. What is typed is kept for each conversation until it was sent.
import {byId} from '../dom.js';
import {load, save, remove} from '../storage.js';

export class Composer {
  // actions: {send(text), stop(), editLast()}.
  constructor(actions) {
    this.actions = actions;
    this.input = byId('input');
    this.sendButton = byId('send');
    this.stopButton = byId('stop');
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.send();
    });
    this.stopButton.addEventListener('click', () => {
      actions.stop();
      this.focus();
    });
    this.input.addEventListener('input', () => this.changed());
    this.input.addEventListener('keydown', (event) => this.onKey(event));
  }

  // What is typed from now on belongs to this conversation.
  belongTo(id) {
    this.draftKey = `draft/${id}`;
  }

  // Shows the field of the conversation with this id.
  open(id) {
    this.belongTo(id);
    this.input.value = load(this.draftKey, '');
    this.fit();
  }

  focus() {
    // On a touch screen the keyboard would cover the page.
    if (!matchMedia('(pointer: coarse)').matches) this.input.focus();
  }

  set(text) {
    this.input.value = text;
    this.changed();
    this.input.focus();
  }

  setRunning(running) {
    this.running = running;
    this.stopButton.hidden = !running;
    this.sendButton.hidden = running;
    this.fit();
  }

  onKey(event) {
    if (event.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.send();
    } else if (event.key === 'ArrowUp' && this.input.value === '' && !this.running) {
      event.preventDefault();
      this.actions.editLast();
    }
  }

  send() {
    const text = this.input.value.trim();
    if (this.running || text === '') return;
    this.input.value = '';
    this.changed();
    this.actions.send(text);
  }

  changed() {
    try {
      if (this.input.value === '') remove(this.draftKey);
      else save(this.draftKey, this.input.value);
    } catch {
      // A draft that finds no room still stands in the field.
    }
    this.fit();
  }

  fit() {
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight}px`;
    this.sendButton.disabled = this.input.value.trim() === '';
  }
}
